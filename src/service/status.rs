//! How the server and what it depends on are, for those who watch over it: the dashboard, `health/` and Prometheus see the same.

use std::time::{Duration, Instant};

use super::{CloudflareService, Error};
use crate::cloudflare::Health;
use crate::domain::{DeliveryFilter, PageFrom, StatusCounts, Timestamp, WebhookDelivery, WebhookOutcome};
use crate::metrics::JobKind;
use crate::store::queues::Queue;
use crate::store::{self, PoolState};

/// What is known without asking anybody, and what the database tells.
#[derive(Debug)]
pub struct Status {
    /// When this server started.
    pub started_at: Timestamp,
    /// The time that all of it is told at.
    pub now: Timestamp,
    /// How Cloudflare is, as far as this server knows.
    pub cloudflare: Health,
    /// The connections to the database.
    pub pools: Vec<PoolState>,
    /// Whether the database answers, lets us in and has all that is ours, as `/readyz` checks it.
    pub is_database_ready: bool,
    /// What the database told; none where it fails, or took too long.
    pub database: Option<DatabaseStatus>,
}

/// What the database tells of itself and of what is in it.
#[derive(Debug, Clone)]
pub struct DatabaseStatus {
    /// The version of its engine.
    pub version: String,
    /// How long the first answer took, the wait for a connection included.
    pub answered_in: Duration,
    /// All images, by status.
    pub images: StatusCounts,
    /// What waits for each job that has something to wait for it.
    pub backlogs: [Backlog; 3],
}

/// What waits for a job, of all instances together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// The job.
    pub job: JobKind,
    /// How many there are, also those whose turn comes later.
    pub waiting: u64,
    /// For how long the first of them has had its turn. A job that works keeps it within minutes.
    pub overdue: Duration,
}

/// The webhooks that came last; they are kept for a week.
#[derive(Debug)]
pub struct LastWebhooks {
    /// The last that changed an image.
    pub recorded: Option<WebhookDelivery>,
    /// The last that was refused.
    pub refused: Option<WebhookDelivery>,
}

impl CloudflareService {
    /// How all is, for those who do not want to wait: the database gets so much time.
    pub async fn status(&self, patience: Duration) -> Status {
        let asking = async {
            let is_ready = store::migrations::check(&self.database).await.is_ok();
            (is_ready, self.database_status().await.ok())
        };
        // Before its own questions take connections.
        let local = self.local_status();
        let (is_database_ready, database) = tokio::time::timeout(patience, asking).await.unwrap_or_default();
        Status { is_database_ready, database, ..local }
    }

    /// What is known without asking anybody.
    fn local_status(&self) -> Status {
        Status {
            started_at: self.started_at,
            now: self.clock.now(),
            cloudflare: self.client.health(),
            pools: self.database.pools(),
            is_database_ready: false,
            database: None,
        }
    }

    /// What the database tells. It costs the same however many images there are.
    ///
    /// # Errors
    /// If the database fails.
    pub(super) async fn database_status(&self) -> Result<DatabaseStatus, Error> {
        let asked = Instant::now();
        let version = self.database.version().await?;
        let answered_in = asked.elapsed();
        let images = store::stats::count_all(&self.database).await?;
        let (polls, leftovers, bulk_runs) = (
            store::queues::polls(&self.database).await?,
            store::queues::leftovers(&self.database).await?,
            store::queues::bulk_runs(&self.database).await?,
        );
        let now = self.clock.now();
        let backlog = |job, queue| Backlog::new(job, queue, now);
        let backlogs = [
            backlog(JobKind::Polling, polls),
            backlog(JobKind::Compensation, leftovers),
            backlog(JobKind::Bulk, bulk_runs),
        ];
        Ok(DatabaseStatus { version, answered_in, images, backlogs })
    }

    /// The webhooks that came last, with each outcome that matters.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn last_webhooks(&self) -> Result<LastWebhooks, Error> {
        let last = async |outcome| {
            let filter = DeliveryFilter { outcome: Some(outcome), form: None };
            let found = store::webhook_deliveries::list(&self.database, filter, PageFrom::Start, 1).await?;
            Ok::<_, Error>(found.into_iter().next().map(|kept| kept.delivery))
        };
        Ok(LastWebhooks {
            recorded: last(WebhookOutcome::Recorded).await?,
            refused: last(WebhookOutcome::Refused).await?,
        })
    }
}

impl DatabaseStatus {
    /// What waits for a job.
    pub fn backlog(&self, job: JobKind) -> Option<&Backlog> {
        self.backlogs.iter().find(|backlog| backlog.job == job)
    }
}

impl Backlog {
    fn new(job: JobKind, queue: Queue, now: Timestamp) -> Self {
        let overdue = queue.next_at.map_or(0, |next_at| now.as_micros() - next_at.as_micros());
        Self {
            job,
            waiting: u64::try_from(queue.waiting).unwrap_or(0),
            overdue: Duration::from_micros(u64::try_from(overdue).unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_its_turn_later_is_not_overdue() {
        let now = Timestamp::from_micros(10_000_000);
        let overdue = |seconds: Option<i64>| {
            let queue = Queue { waiting: 1, next_at: seconds.map(|seconds| now.plus_seconds(seconds)) };
            Backlog::new(JobKind::Polling, queue, now).overdue.as_secs()
        };
        assert_eq!([overdue(Some(-3)), overdue(Some(3)), overdue(None)], [3, 0, 0]);
    }
}
