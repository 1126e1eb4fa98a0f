//! What is left at Cloudflare after a failure, and nobody knows of here.
//!
//! It is deleted at once, or recorded and deleted later: by a job of the server, by `cleanup-expired`, or when an operator says so.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, error, info, instrument, warn};

use super::{CleanupEvent, CleanupObserver, CloudflareService, Error, ImageRecords, with_jitter};
use crate::cloudflare::{self, ImageDetails, NewImageFields};
use crate::domain::{CloudflareId, DeletionReason, Json, PendingDeletion, Timestamp};
use crate::store;

const OPERATION: &str = "Failed to delete image";
/// How long a claimed deletion is one run's own: longer than a call to Cloudflare may take.
const CLAIM_MINUTES: i64 = 5;
/// The longest that a deletion which keeps failing is put off.
const MAX_DELAY_MINUTES: u64 = 24 * 60;
/// How long to wait before each further try to get rid of what is not recorded while the database fails, too.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// What became of a deletion whose turn it was.
#[derive(Debug)]
pub enum LeftoverOutcome {
    /// It is gone.
    Deleted(CloudflareId),
    /// It is recorded by now, or somebody else's, and stays.
    Kept(CloudflareId),
    /// It could not be deleted, and will be tried again.
    Failed(CloudflareId, cloudflare::Error),
}

impl ImageRecords {
    /// How many deletions at Cloudflare are to be tried by now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_leftovers(&self) -> Result<u64, Error> {
        Ok(store::pending_deletions::count_due(&self.database, self.clock.now()).await?)
    }

    /// What has to be deleted at Cloudflare, now or later: the oldest, at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_leftovers(&self, limit: u32) -> Result<Vec<PendingDeletion>, Error> {
        Ok(store::pending_deletions::list(&self.database, limit).await?)
    }

    /// Forgets what has to be deleted at Cloudflare, which stays there then; whether there was such a thing.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn forget_leftover(&self, id: &CloudflareId) -> Result<bool, Error> {
        let mut transaction = self.database.begin().await?;
        let was_there = store::pending_deletions::delete(&mut transaction, id).await?;
        transaction.commit().await?;
        Ok(was_there)
    }

    /// Makes all that has to be deleted at Cloudflare due now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hasten_leftovers(&self) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::hasten_all(&mut transaction, self.clock.now()).await?;
        Ok(transaction.commit().await?)
    }

    async fn claim_leftover(&self, due: Timestamp) -> Result<Option<PendingDeletion>, Error> {
        let claimed_until = self.clock.now().plus_minutes(CLAIM_MINUTES);
        let mut transaction = self.database.begin().await?;
        let deletion = store::pending_deletions::claim(&mut transaction, due, claimed_until).await?;
        transaction.commit().await?;
        Ok(deletion)
    }

    async fn postpone_leftover(&self, deletion: &PendingDeletion, cause: &cloudflare::Error) -> Result<(), Error> {
        let delay = with_jitter(Duration::from_mins(delay_minutes(deletion.attempts)));
        let next = self.clock.now().plus_seconds(i64::try_from(delay.as_secs()).unwrap_or(i64::MAX));
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::postpone(&mut transaction, &deletion.cloudflare_id, &cause.to_string(), next).await?;
        Ok(transaction.commit().await?)
    }

    async fn record_pending_deletion(
        &self,
        id: &CloudflareId,
        reason: DeletionReason,
        cause: &cloudflare::Error,
    ) -> Result<(), store::Error> {
        let (cause, now) = (cause.to_string(), self.clock.now());
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::insert(&mut transaction, id, &reason, &cause, now).await?;
        transaction.commit().await
    }
}

impl CloudflareService {
    /// Deletes at Cloudflare all that could not be deleted when it should have been. What has been recorded as an image by now stays.
    ///
    /// # Errors
    /// If the database fails.
    #[instrument(name = "service.leftovers.delete", skip_all)]
    pub async fn delete_leftovers(&self, observer: &mut CleanupObserver<'_>) -> Result<(), Error> {
        let begun = self.clock.now();
        while let Some(outcome) = self.delete_next_leftover(begun).await? {
            match outcome {
                LeftoverOutcome::Deleted(id) => observer(CleanupEvent::LeftoverDeleted(&id)),
                LeftoverOutcome::Kept(_) => {}
                LeftoverOutcome::Failed(id, cause) => {
                    let error = Error::cloudflare(OPERATION)(cause);
                    observer(CleanupEvent::LeftoverFailed { id: &id, error: &error });
                }
            }
        }
        Ok(())
    }

    /// Deletes what has waited longest among that which was due by a time; `None` if nothing is. Several instances may do so at the
    /// same time: each deletion is claimed by one of them, and free again 5 minutes after a crash.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_next_leftover(&self, due: Timestamp) -> Result<Option<LeftoverOutcome>, Error> {
        match self.records.claim_leftover(due).await? {
            Some(deletion) => self.delete_leftover(deletion).await.map(Some),
            None => Ok(None),
        }
    }

    async fn delete_leftover(&self, deletion: PendingDeletion) -> Result<LeftoverOutcome, Error> {
        let is_kept = self.is_taken(&deletion.cloudflare_id).await?;
        let outcome = if is_kept { Ok(false) } else { self.delete_if_ours(&deletion).await };
        if let Err(cause) = outcome {
            self.records.postpone_leftover(&deletion, &cause).await?;
            return Ok(LeftoverOutcome::Failed(deletion.cloudflare_id, cause));
        }
        let id = deletion.cloudflare_id;
        self.records.forget_leftover(&id).await?;
        Ok(if matches!(outcome, Ok(true)) { LeftoverOutcome::Deleted(id) } else { LeftoverOutcome::Kept(id) })
    }

    /// Whether it is gone; otherwise it is not ours to delete.
    async fn delete_if_ours(&self, deletion: &PendingDeletion) -> Result<bool, cloudflare::Error> {
        let id = &deletion.cloudflare_id;
        if deletion.reason == DeletionReason::AnswerLost {
            match self.client.get_image(id).await {
                Ok(details) if details.is_draft => {}
                Ok(_) => {
                    warn!(image.cloudflare_id = ?id.as_str(), "Leaving a picture at Cloudflare that may be somebody else's: {:?}", id.as_str());
                    return Ok(false);
                }
                Err(cause) if cause.is_not_found() => return Ok(true),
                Err(cause) => return Err(cause),
            }
        }
        match self.client.delete_image(id).await {
            // What no URL can name, nobody can reach.
            Ok(()) | Err(cloudflare::Error::UnusableId) => Ok(true),
            Err(cause) => Err(cause),
        }
    }

    /// Makes sure that a custom id is not kept from being used anew by what we have left under it.
    pub(super) async fn clear_leftover(&self, id: &CloudflareId) -> Result<(), Error> {
        let claimed_until = self.clock.now().plus_minutes(CLAIM_MINUTES);
        let mut transaction = self.database.begin().await?;
        let deletion = store::pending_deletions::claim_one(&mut transaction, id, claimed_until).await?;
        transaction.commit().await?;
        match deletion {
            Some(deletion) => match self.delete_leftover(deletion).await? {
                LeftoverOutcome::Failed(_, cause) => {
                    Err(Error::Cloudflare { operation: "Failed to delete image", cause })
                }
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// Gets rid of a draft or an image at Cloudflare that could not be recorded here: now, or else by recording it for later deletion.
    /// Where the database fails, too, both are tried again in the background.
    pub(super) async fn delete_unrecorded(&self, id: &CloudflareId) {
        if self.try_to_delete_unrecorded(id).await {
            return;
        }
        let (service, id) = (self.clone(), id.clone());
        let trying = async move {
            for pause in RETRY_PAUSES {
                tokio::time::sleep(pause).await;
                if service.try_to_delete_unrecorded(&id).await {
                    return;
                }
            }
            error!(image.cloudflare_id = ?id.as_str(), "Gave up deleting at Cloudflare what is not recorded; a draft expires by itself, a picture stays");
        };
        self.tasks.spawn(trying.in_current_span());
    }

    /// Whether there is nothing left to do.
    async fn try_to_delete_unrecorded(&self, id: &CloudflareId) -> bool {
        // It may have been recorded after all: the answer to a commit can be lost, and somebody may use the id anew.
        if matches!(self.is_taken(id).await, Ok(true)) {
            return true;
        }
        let cause = match self.client.delete_image(id).await {
            // What no URL can name, nobody can reach.
            Ok(()) | Err(cloudflare::Error::UnusableId) => return true,
            Err(cause) => cause,
        };
        warn!(image.cloudflare_id = ?id.as_str(), error = %cause, "Could not delete at Cloudflare what is not recorded: {cause}");
        self.try_to_record(id, DeletionReason::Unrecorded, &cause).await
    }

    async fn try_to_record(&self, id: &CloudflareId, reason: DeletionReason, cause: &cloudflare::Error) -> bool {
        let recorded = self.records.record_pending_deletion(id, reason, cause).await;
        if let Err(error) = &recorded {
            warn!(image.cloudflare_id = ?id.as_str(), error = %error, "Could not record it for later deletion: {error}");
        }
        recorded.is_ok()
    }

    /// Gets rid of the draft that Cloudflare may have made though its answer was lost, so that its custom id is free for another
    /// try. Only a draft that is what was asked for is ours.
    pub(super) async fn delete_lost_draft(&self, asked: &NewImageFields) {
        let Some(id) = &asked.custom_id else {
            info!("Cloudflare's answer was lost; a draft that it has made expires by itself");
            return;
        };
        match self.client.get_image(id).await {
            Ok(details) if details.is_draft && is_as_asked(&details, asked) => self.delete_unrecorded(id).await,
            Ok(_) => {}
            Err(cause) if cause.is_not_found() => {}
            Err(cause) => {
                self.try_to_record(id, DeletionReason::AnswerLost, &cause).await;
            }
        }
    }

    /// The image that Cloudflare has made though its answer was lost, if it can be told by `deadline` to be the one that was asked for.
    pub(super) async fn find_lost_upload(
        &self,
        asked: &NewImageFields,
        since: Timestamp,
        deadline: Instant,
    ) -> Option<ImageDetails> {
        let found = match &asked.custom_id {
            Some(id) => timeout_at(deadline, self.client.get_image(id)).await.ok().and_then(Result::ok),
            None => None,
        };
        let is_ours = |details: &ImageDetails| {
            let is_new = details.uploaded.is_some_and(|uploaded| uploaded >= since.plus_minutes(-1));
            !details.is_draft && is_new && is_as_asked(details, asked)
        };
        let found = found.filter(is_ours);
        if found.is_none() {
            let id = asked.custom_id.as_ref().map_or("(made by Cloudflare)", CloudflareId::as_str);
            warn!(image.cloudflare_id = ?id, "Cloudflare's answer to an upload was lost; there may be a picture that is not recorded. \
                `images/register/` records it where its id is known");
        }
        found
    }
}

/// Whether an image at Cloudflare is what was asked for.
fn is_as_asked(details: &ImageDetails, asked: &NewImageFields) -> bool {
    let value = |json: &Json| serde_json::from_str::<serde_json::Value>(json.as_str()).ok();
    let metadata = details.metadata.clone().unwrap_or_default();
    value(&metadata) == value(&asked.metadata) && details.creator.as_deref().unwrap_or_default() == asked.creator
}

/// Twice as long after each try, up to a day.
fn delay_minutes(attempts: i32) -> u64 {
    let doublings = attempts.clamp(0, 11).unsigned_abs();
    (1_u64 << doublings).min(MAX_DELAY_MINUTES)
}

#[cfg(test)]
mod tests {
    use super::delay_minutes;

    #[test]
    fn delays_double_up_to_a_day() {
        for (attempts, minutes) in [(1, 2), (2, 4), (10, 1024), (11, 1440), (i32::MAX, 1440)] {
            assert_eq!(delay_minutes(attempts), minutes);
        }
    }
}
