//! `health/`: how the server and what it depends on are, for staff.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::ErrorDetail;
use super::view::{Access, View};
use super::{ApiError, Principal};
use crate::cloudflare;
use crate::domain::Timestamp;
use crate::metrics::JobKind;
use crate::service::{CloudflareService, LastWebhooks, Status};
use crate::store::PoolState;

/// How long the database may take, all questions together.
const PATIENCE: Duration = Duration::from_secs(2);

/// How all is.
pub const HEALTH: View = View {
    path: "health/",
    methods: &["GET"],
    access: Access::Staff,
    takes_suffix: false,
    name: "Health",
    description: "Tells how the server, Cloudflare and the database are.",
    describes_image: false,
};

/// How the server and what it depends on are. Times and counts are those of this instance since it started, unless something else is said.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthResponse {
    /// `ok`, or `degraded` where Cloudflare or the database does not answer.
    #[schema(example = "ok")]
    status: &'static str,
    /// The version of the program.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// When the instance started.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    started_at: Timestamp,
    /// How long ago that was.
    #[schema(example = 86400)]
    uptime_seconds: i64,
    /// How Cloudflare is.
    cloudflare: CloudflareHealth,
    /// How the database is.
    database: DatabaseHealth,
    /// What the jobs do.
    jobs: Vec<JobHealth>,
    /// The webhooks that came last, to any instance; `null` where the database does not tell.
    #[schema(required)]
    webhooks: Option<WebhookHealth>,
}

/// How Cloudflare is, as far as the instance knows: it is not asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct CloudflareHealth {
    /// `up`; `down` while calls fail at once because it does not answer; `paused` while it wants no call.
    #[schema(example = "up")]
    status: &'static str,
    /// For how long it has not been answering.
    #[schema(required, example = json!(null))]
    outage_seconds: Option<f64>,
    /// When a call is let through again, from now on.
    #[schema(required, example = json!(null))]
    next_try_seconds: Option<f64>,
    /// How many calls may be made at once by our own limit; `null` where there is none.
    #[schema(required, example = 480)]
    requests_left: Option<u32>,
    /// How many there are where none was made for a while.
    #[schema(required, example = 500)]
    requests_left_max: Option<u32>,
    /// How many Cloudflare last said to be left.
    #[schema(required, example = 1180)]
    told_requests_left: Option<u64>,
    /// When a call last worked.
    #[schema(required, value_type = Option<chrono::DateTime<chrono::Utc>>, example = "2026-11-29T12:00:00Z")]
    last_success_at: Option<Timestamp>,
    /// When a call last failed for a reason that is not about one image.
    #[schema(required, value_type = Option<chrono::DateTime<chrono::Utc>>, example = json!(null))]
    last_failure_at: Option<Timestamp>,
    /// Why, in one word.
    #[schema(required, example = json!(null))]
    last_failure: Option<&'static str>,
}

/// How the database is.
#[derive(Debug, Serialize, ToSchema)]
pub struct DatabaseHealth {
    /// `up`, or `down` where it did not answer within two seconds.
    #[schema(example = "up")]
    status: &'static str,
    /// Whether it lets us in and has all that is ours, as `/readyz` checks it.
    #[schema(example = true)]
    ready: bool,
    /// `PostgreSQL` or `SQLite`.
    #[schema(example = "PostgreSQL")]
    engine: &'static str,
    /// The version of the engine.
    #[schema(required, example = "15.3")]
    version: Option<String>,
    /// How long it took to answer, the wait for a connection included.
    #[schema(required, example = 0.4)]
    answer_ms: Option<f64>,
    /// The connections.
    pools: Vec<PoolHealth>,
}

/// The connections to the database.
#[derive(Debug, Serialize, ToSchema)]
pub struct PoolHealth {
    /// What they are for: `all`, or on SQLite `read` and `write`.
    #[schema(example = "all")]
    name: &'static str,
    /// How many there may be.
    #[schema(example = 10)]
    max: u32,
    /// How many are in use.
    #[schema(example = 1)]
    used: u32,
    /// How many are open and not in use.
    #[schema(example = 2)]
    idle: u32,
}

/// What a job does.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobHealth {
    /// Which: `polling`, `compensation`, `bulk`, or `cleanup`, which is done when somebody asks for it.
    #[schema(example = "polling")]
    name: &'static str,
    /// When a round last worked on this instance.
    #[schema(required, value_type = Option<chrono::DateTime<chrono::Utc>>, example = "2026-11-29T12:00:00Z")]
    last_success_at: Option<Timestamp>,
    /// How much waits for the job on any instance, be its turn now or later; `null` where nothing does, or the database does not tell.
    #[schema(required, example = 3)]
    waiting: Option<u64>,
    /// For how long the first of it has had its turn.
    #[schema(required, example = 0.0)]
    overdue_seconds: Option<f64>,
}

/// The webhooks that came last; they are kept for a week.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the names in the JSON")]
pub struct WebhookHealth {
    /// When one last changed an image.
    #[schema(required, value_type = Option<chrono::DateTime<chrono::Utc>>, example = "2026-11-29T12:00:00Z")]
    last_recorded_at: Option<Timestamp>,
    /// When one was last refused.
    #[schema(required, value_type = Option<chrono::DateTime<chrono::Utc>>, example = json!(null))]
    last_refused_at: Option<Timestamp>,
    /// Why, in sentences.
    #[schema(required, example = json!(null))]
    last_refusal: Option<String>,
}

/// Show how the server is.
///
/// How Cloudflare, the database, the jobs and the webhooks are; for staff. It is answered with 200 also where something is wrong, and costs
/// the same however many images there are.
#[utoipa::path(
    get,
    path = "/health/",
    tag = "description",
    operation_id = "get_health",
    responses(
        (status = 200, description = "How all is", body = HealthResponse),
        (status = 403, description = "Not signed in, or not staff", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn get_health(
    Principal(_): Principal,
    State(service): State<CloudflareService>,
) -> Result<Json<HealthResponse>, ApiError> {
    let status = service.status(PATIENCE).await;
    let webhooks = tokio::time::timeout(PATIENCE, service.last_webhooks()).await.ok().and_then(Result::ok);
    Ok(Json(HealthResponse::new(&service, status, webhooks)))
}

impl HealthResponse {
    fn new(service: &CloudflareService, status: Status, webhooks: Option<LastWebhooks>) -> Self {
        let cloudflare = CloudflareHealth::new(&status.cloudflare, status.now);
        let is_ok = cloudflare.status == "up" && status.database.is_some() && status.is_database_ready;
        Self {
            status: if is_ok { "ok" } else { "degraded" },
            version: env!("CARGO_PKG_VERSION"),
            started_at: status.started_at,
            uptime_seconds: status.now.as_unix_seconds() - status.started_at.as_unix_seconds(),
            cloudflare,
            jobs: JobKind::ALL.iter().map(|job| JobHealth::new(*job, service, &status)).collect(),
            database: DatabaseHealth::new(service.engine_name(), status),
            webhooks: webhooks.map(WebhookHealth::from),
        }
    }
}

impl CloudflareHealth {
    fn new(health: &cloudflare::Health, now: Timestamp) -> Self {
        let before = |ago: Duration| {
            Timestamp::from_micros(now.as_micros() - i64::try_from(ago.as_micros()).unwrap_or(i64::MAX))
        };
        let status = match health {
            cloudflare::Health { outage: Some(_), .. } => "down",
            cloudflare::Health { paused_for, .. } if !paused_for.is_zero() => "paused",
            _ => "up",
        };
        let pause = (!health.paused_for.is_zero()).then_some(health.paused_for);
        Self {
            status,
            outage_seconds: health.outage.map(|outage| outage.since.as_secs_f64()),
            next_try_seconds: health.outage.map(|outage| outage.next_try).or(pause).map(|wait| wait.as_secs_f64()),
            requests_left: health.headroom.map(|headroom| headroom.left),
            requests_left_max: health.headroom.map(|headroom| headroom.most),
            told_requests_left: health.told_requests_left,
            last_success_at: health.last_success.map(before),
            last_failure_at: health.last_failure.map(|failure| before(failure.ago)),
            last_failure: health.last_failure.map(|failure| failure.kind),
        }
    }
}

impl DatabaseHealth {
    fn new(engine: &'static str, status: Status) -> Self {
        let pools = status.pools.iter().map(PoolHealth::from).collect();
        let answer_ms = status.database.as_ref().map(|database| database.answered_in.as_secs_f64() * 1000.0);
        Self {
            status: if status.database.is_some() { "up" } else { "down" },
            ready: status.is_database_ready,
            engine,
            version: status.database.map(|database| database.version),
            answer_ms,
            pools,
        }
    }
}

impl From<&PoolState> for PoolHealth {
    fn from(pool: &PoolState) -> Self {
        Self { name: pool.name, max: pool.most, used: pool.used(), idle: pool.idle }
    }
}

impl JobHealth {
    fn new(job: JobKind, service: &CloudflareService, status: &Status) -> Self {
        let backlog = status.database.as_ref().and_then(|database| database.backlog(job));
        Self {
            name: job.as_str(),
            last_success_at: service.metrics().last_success(job),
            waiting: backlog.map(|backlog| backlog.waiting),
            overdue_seconds: backlog.map(|backlog| backlog.overdue.as_secs_f64()),
        }
    }
}

impl From<LastWebhooks> for WebhookHealth {
    fn from(LastWebhooks { recorded, refused }: LastWebhooks) -> Self {
        Self {
            last_recorded_at: recorded.map(|delivery| delivery.received_at),
            last_refused_at: refused.as_ref().map(|delivery| delivery.received_at),
            last_refusal: refused.map(|delivery| delivery.reason),
        }
    }
}
