//! What is left at Cloudflare after a failure, and nobody knows of here.
//!
//! It is noted, and deleted at once or later: by a job of the server, by `cleanup-expired`, or when an operator says so. Two rules hold
//! for all of it:
//!
//! - Nothing that is not recorded is deleted without a claim on its id. Whoever wants the id meanwhile is told to wait, so that a
//!   deletion which is repeated does not hit what they make under it.
//! - Nothing is looked at before its time, whoever asks. What Cloudflare may still be at, or somebody else be about to record, is noted
//!   with the time when that is over; what is found before is no answer. Only what was tried may be tried again at any time.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, error, info, instrument, warn};

use super::registration::MAX_CREATOR_CHARS;
use super::retry::retry;
use super::{CleanupEvent, CleanupObserver, CloudflareService, Error, ImageRecords, with_jitter};
use crate::cloudflare::{self, ImageDetails, NewImageFields};
use crate::domain::{
    CloudflareId, DeletionReason, ImageMarks, Json, NewPendingDeletion, PageFrom, PendingDeletion, PendingPlace,
    Stretch, Timestamp, User,
};
use crate::metrics::JobKind;
use crate::store::{self, CloudflareIdSet};

const OPERATION: &str = "Failed to delete image";
/// How long what is claimed is one run's own: longer than the calls to Cloudflare may take that it needs.
pub(super) const CLAIM_MINUTES: i64 = 5;
/// How long Cloudflare may be at an upload whose answer was lost. Whoever else used its id at the same time has recorded it by then.
pub(super) const LOST_UPLOAD_MINUTES: i64 = 5;
/// How far Cloudflare's clock may be from ours.
pub(super) const CLOCKS_APART_MINUTES: i64 = 1;
/// The longest that something which keeps failing is put off.
const MAX_DELAY_MINUTES: u64 = 24 * 60;
/// How long to wait before each further try to get rid of what is not recorded while the database fails, too.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// What became of something left whose turn it was.
#[derive(Debug)]
pub enum LeftoverOutcome {
    /// It is gone.
    Deleted(CloudflareId),
    /// It is recorded by now, or somebody else's, and stays.
    Kept(CloudflareId),
    /// It could not be seen to, and will be tried again.
    Failed(CloudflareId, Error),
}

impl ImageRecords {
    /// How many leftovers at Cloudflare are to be seen to by now, those included that somebody is at.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_leftovers(&self) -> Result<u64, Error> {
        Ok(store::pending_deletions::count_due(&self.database, self.clock.now()).await?)
    }

    /// At most `size` of what has to be seen to at Cloudflare, now or later, the oldest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_leftovers(
        &self,
        from: PageFrom<PendingPlace>,
        size: u32,
    ) -> Result<Stretch<PendingDeletion, PendingPlace>, Error> {
        let found = store::pending_deletions::list(&self.database, &from, size.saturating_add(1)).await?;
        Ok(Stretch::cut(found, size, &from, PendingDeletion::place))
    }

    /// What has to be seen to under an id.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such thing.
    pub async fn get_leftover(&self, id: &CloudflareId) -> Result<PendingDeletion, Error> {
        store::pending_deletions::find(&self.database, id).await?.ok_or(Error::NotFound)
    }

    /// Forgets what has to be seen to at Cloudflare, which stays there then; whether there was such a thing.
    ///
    /// # Errors
    /// [`Error::BeingCleared`] while somebody is at it, who would leave it unseen; otherwise if the database fails.
    pub async fn forget_leftover(&self, id: &CloudflareId) -> Result<bool, Error> {
        let mut transaction = self.database.begin().await?;
        let is_forgotten = store::pending_deletions::delete(&mut transaction, id, self.clock.now()).await?;
        transaction.commit().await?;
        if !is_forgotten && store::pending_deletions::find(&self.database, id).await?.is_some() {
            return Err(Error::BeingCleared(id.clone()));
        }
        Ok(is_forgotten)
    }

    /// Makes all that was tried before due now. What somebody is at stays theirs.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn hasten_leftovers(&self) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::hasten_all(&mut transaction, self.clock.now()).await?;
        Ok(transaction.commit().await?)
    }

    async fn claim_leftover(&self, due: Timestamp) -> Result<Option<PendingDeletion>, Error> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let claimed_until = now.plus_minutes(CLAIM_MINUTES);
        let leftover = store::pending_deletions::claim(&mut transaction, due, now, claimed_until).await?;
        transaction.commit().await?;
        Ok(leftover)
    }

    /// Takes what is left under an id, if there is something, whatever its time. While somebody else is at it, it waits a moment.
    ///
    /// # Errors
    /// [`Error::BeingCleared`]; otherwise if the database fails.
    pub(super) async fn claim_leftover_of(&self, id: &CloudflareId) -> Result<Option<PendingDeletion>, Error> {
        let is_busy = |error: &Error| matches!(error, Error::BeingCleared(_));
        retry(is_busy, async || self.try_to_claim_leftover_of(id).await).await
    }

    async fn try_to_claim_leftover_of(&self, id: &CloudflareId) -> Result<Option<PendingDeletion>, Error> {
        if !self.is_left(id).await? {
            return Ok(None);
        }
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let claimed_until = now.plus_minutes(CLAIM_MINUTES);
        let leftover = store::pending_deletions::claim_one(&mut transaction, id, now, claimed_until).await?;
        transaction.commit().await?;
        if leftover.is_none() && self.is_left(id).await? {
            return Err(Error::BeingCleared(id.clone()));
        }
        Ok(leftover)
    }

    async fn is_left(&self, id: &CloudflareId) -> Result<bool, Error> {
        let ids = CloudflareIdSet::from_iter([id]);
        Ok(!store::pending_deletions::among(&self.database, &ids).await?.is_empty())
    }

    /// Gives back what is claimed, to be tried at a time; nothing is changed where the claim was lost.
    pub(super) async fn postpone_leftover(
        &self,
        leftover: &PendingDeletion,
        why: &str,
        next: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::postpone(&mut transaction, leftover, why, next).await?;
        Ok(transaction.commit().await?)
    }

    /// Gives back what is claimed and was not tried, to be tried at a time; nothing is changed where the claim was lost.
    pub(super) async fn give_back_leftover(
        &self,
        leftover: &PendingDeletion,
        why: &str,
        next: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::give_back_untried(&mut transaction, leftover, why, next).await?;
        Ok(transaction.commit().await?)
    }

    /// Forgets what is claimed and done; nothing is changed where the claim was lost.
    pub(super) async fn settle_leftover(&self, leftover: &PendingDeletion) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::settle(&mut transaction, leftover).await?;
        Ok(transaction.commit().await?)
    }

    /// Notes something to be seen to by whoever comes first.
    pub(super) async fn note_leftover(&self, leftover: &NewPendingDeletion) -> Result<(), store::Error> {
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::insert(&mut transaction, leftover, self.clock.now()).await?;
        transaction.commit().await
    }

    /// The same, and claims it; none while somebody else is at what is under the id, and it is only noted then.
    async fn note_and_claim_leftover(
        &self,
        leftover: &NewPendingDeletion,
    ) -> Result<Option<PendingDeletion>, store::Error> {
        let now = self.clock.now();
        let claimed_until = now.plus_minutes(CLAIM_MINUTES);
        let mut transaction = self.database.begin().await?;
        let noted = store::pending_deletions::insert_claimed(&mut transaction, leftover, now, claimed_until).await?;
        transaction.commit().await?;
        Ok(noted)
    }
}

impl CloudflareService {
    /// Deletes at Cloudflare all that could not be deleted when it should have been, and looks for images whose id may have changed.
    /// What has been recorded as an image by now stays. Nobody waits for it.
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
                LeftoverOutcome::Failed(id, error) => {
                    observer(CleanupEvent::LeftoverFailed { id: &id, error: &error });
                }
            }
        }
        Ok(())
    }

    /// Sees to what has waited longest among that which was due by a time; `None` if nothing is. Several instances may do so at the
    /// same time: each leftover is claimed by one of them, and free again 5 minutes after a crash. Nobody waits for it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_next_leftover(&self, due: Timestamp) -> Result<Option<LeftoverOutcome>, Error> {
        match self.records.claim_leftover(due).await? {
            Some(leftover) => self.patient().see_to_leftover(leftover).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sees to what is left under an id, at any time if it was tried before; `None` if there is no such thing. It goes on to its end
    /// when the client goes away.
    ///
    /// # Errors
    /// [`Error::BeingCleared`] while somebody else is at it; otherwise if the database fails.
    #[instrument(name = "service.leftovers.retry", skip_all)]
    pub async fn retry_leftover(&self, id: &CloudflareId) -> Result<Option<LeftoverOutcome>, Error> {
        let (service, id) = (self.clone(), id.clone());
        self.run_to_end(async move { service.see_to_leftover_of(&id).await }).await
    }

    /// The same for a member of the staff. The log of the server tells who had it done and what came of it, whether they wait for that or
    /// not.
    ///
    /// # Errors
    /// As before.
    pub async fn retry_leftover_for(&self, id: &CloudflareId, staff: &User) -> Result<Option<LeftoverOutcome>, Error> {
        let (service, id, name) = (self.clone(), id.clone(), staff.username.clone());
        self.run_to_end(async move {
            let tried = service.see_to_leftover_of(&id).await;
            let outcome = match &tried {
                Ok(Some(LeftoverOutcome::Deleted(_))) => "it is deleted".to_owned(),
                Ok(Some(LeftoverOutcome::Kept(_))) => "there was nothing to repair".to_owned(),
                Ok(None) => "it was done with before".to_owned(),
                Ok(Some(LeftoverOutcome::Failed(_, error))) | Err(error) => error.to_string(),
            };
            info!(user.name = ?name, image.cloudflare_id = ?id.as_str(), outcome, "{name:?} had {:?} at Cloudflare seen to: {outcome}",
                id.as_str());
            tried
        })
        .await
    }

    /// Forgets what has to be seen to at Cloudflare for a member of the staff, as [`ImageRecords::forget_leftover`] does. The log of the
    /// server tells who did it, whether they wait for that or not.
    ///
    /// # Errors
    /// As before.
    pub async fn give_up_leftover(&self, id: &CloudflareId, staff: &User) -> Result<bool, Error> {
        let (records, id, name) = (self.records.clone(), id.clone(), staff.username.clone());
        self.run_to_end(async move {
            let is_forgotten = records.forget_leftover(&id).await?;
            if is_forgotten {
                info!(user.name = ?name, image.cloudflare_id = ?id.as_str(), "{name:?} gave up what is left at Cloudflare as {:?}",
                    id.as_str());
            }
            Ok(is_forgotten)
        })
        .await
    }

    async fn see_to_leftover_of(&self, id: &CloudflareId) -> Result<Option<LeftoverOutcome>, Error> {
        match self.records.claim_leftover_of(id).await? {
            Some(leftover) => self.see_to_leftover(leftover).await.map(Some),
            None => Ok(None),
        }
    }

    /// Sees to what is claimed, and gives it back or forgets it; counts what became of it.
    async fn see_to_leftover(&self, leftover: PendingDeletion) -> Result<LeftoverOutcome, Error> {
        let outcome = self.settle_or_give_back(leftover).await;
        let word = match &outcome {
            Ok(LeftoverOutcome::Deleted(_)) => "deleted",
            Ok(LeftoverOutcome::Kept(_)) => "kept",
            Ok(LeftoverOutcome::Failed(..)) | Err(_) => "failed",
        };
        self.metrics().count_items(JobKind::Compensation, word, 1);
        outcome
    }

    async fn settle_or_give_back(&self, leftover: PendingDeletion) -> Result<LeftoverOutcome, Error> {
        let is_first_try = leftover.attempts <= 1;
        if is_first_try && leftover.next_attempt_at > self.clock.now() {
            let (id, until) = (leftover.cloudflare_id.clone(), leftover.next_attempt_at);
            self.records.give_back_leftover(&leftover, &leftover.last_error, until).await?;
            return Ok(LeftoverOutcome::Failed(id.clone(), Error::NotCertainYet { id, until }));
        }
        let outcome = match leftover.reason {
            DeletionReason::IdUnsure => self.follow_access_change(&leftover).await.map(|()| false),
            DeletionReason::Other(_) => Err(Error::NotedByOtherVersion(leftover.cloudflare_id.clone())),
            _ => self.delete_if_ours(&leftover).await,
        };
        match outcome {
            Ok(is_gone) => {
                self.records.settle_leftover(&leftover).await?;
                let id = leftover.cloudflare_id;
                Ok(if is_gone { LeftoverOutcome::Deleted(id) } else { LeftoverOutcome::Kept(id) })
            }
            Err(Error::Store(error)) => Err(error.into()),
            Err(error) => {
                let delay = with_jitter(Duration::from_mins(delay_minutes(leftover.attempts)));
                let next = self.clock.now().plus_seconds(i64::try_from(delay.as_secs()).unwrap_or(i64::MAX));
                self.records.postpone_leftover(&leftover, &reason_of(&error), next).await?;
                Ok(LeftoverOutcome::Failed(leftover.cloudflare_id, error))
            }
        }
    }

    /// Whether it is gone; otherwise it is recorded, or not ours to delete.
    async fn delete_if_ours(&self, leftover: &PendingDeletion) -> Result<bool, Error> {
        let id = &leftover.cloudflare_id;
        if self.is_taken(id).await? {
            return Ok(false);
        }
        if matches!(leftover.reason, DeletionReason::AnswerLost | DeletionReason::UploadLost) {
            let is_draft = leftover.reason == DeletionReason::AnswerLost;
            match self.client.get_image(id).await {
                Ok(details) if details.is_draft == is_draft && fits(&leftover.marks, &details) => {}
                Ok(_) => {
                    warn!(image.cloudflare_id = ?id.as_str(), "Leaving an image at Cloudflare that may be somebody else's: {:?}", id.as_str());
                    return Ok(false);
                }
                Err(cause) if cause.is_not_found() => return Ok(true),
                Err(cause) => return Err(Error::cloudflare(OPERATION)(cause)),
            }
        }
        self.delete_left(id).await.map(|()| true).map_err(Error::cloudflare(OPERATION))
    }

    async fn delete_left(&self, id: &CloudflareId) -> Result<(), cloudflare::Error> {
        match self.client.delete_image(id).await {
            // What no URL can name, nobody can reach.
            Err(cloudflare::Error::UnusableId) => Ok(()),
            answer => answer,
        }
    }

    /// Makes sure that nothing we have left under an id has to be seen to any more. It goes on to its end when the client goes away.
    pub(super) async fn clear_leftover(&self, id: &CloudflareId) -> Result<(), Error> {
        match self.retry_leftover(id).await? {
            Some(LeftoverOutcome::Failed(_, error)) => Err(error),
            _ => Ok(()),
        }
    }

    /// Gets rid of a draft or an image at Cloudflare that could not be recorded here, now or later. Where the database fails, too, that
    /// is tried again in the background.
    pub(super) async fn delete_unrecorded(&self, id: &CloudflareId, is_custom: bool) {
        if self.try_to_delete_unrecorded(id, is_custom).await {
            return;
        }
        let (service, id) = (self.clone(), id.clone());
        let trying = async move {
            for pause in RETRY_PAUSES {
                tokio::time::sleep(pause).await;
                if service.try_to_delete_unrecorded(&id, is_custom).await {
                    return;
                }
            }
            error!(image.cloudflare_id = ?id.as_str(), "Gave up deleting at Cloudflare what is not recorded; a draft expires by itself, a picture stays");
        };
        self.tasks.spawn(trying.in_current_span());
    }

    /// Whether there is nothing left to do.
    async fn try_to_delete_unrecorded(&self, id: &CloudflareId, is_custom: bool) -> bool {
        if self.delete_or_note(self.leftover(id, DeletionReason::Unrecorded)).await {
            return true;
        }
        // It may have been recorded after all, as the answer to a commit can be lost. Otherwise nobody else ever has an id that Cloudflare
        // chose, so that there is nothing to claim.
        matches!(self.is_taken(id).await, Ok(true)) || (!is_custom && self.delete_left(id).await.is_ok())
    }

    /// Sees to something at once, or leaves it to be seen to later; whether it is noted, or needs no more to be.
    async fn delete_or_note(&self, leftover: NewPendingDeletion) -> bool {
        let (id, noted) = (&leftover.cloudflare_id, self.records.note_and_claim_leftover(&leftover).await);
        let outcome = match noted {
            Ok(Some(claimed)) => self.see_to_leftover(claimed).await,
            Ok(None) => return true,
            Err(error) => {
                warn!(image.cloudflare_id = ?id.as_str(), error = %error, "Could not note what is to be deleted at Cloudflare: {error}");
                return false;
            }
        };
        if let Ok(LeftoverOutcome::Failed(_, error)) | Err(error) = outcome {
            warn!(image.cloudflare_id = ?id.as_str(), error = %error, "What is not recorded is deleted at Cloudflare later: {error}");
        }
        true
    }

    /// Something that may be seen to at once.
    pub(super) fn leftover(&self, id: &CloudflareId, reason: DeletionReason) -> NewPendingDeletion {
        NewPendingDeletion {
            cloudflare_id: id.clone(),
            reason,
            marks: ImageMarks::default(),
            last_error: String::new(),
            next_attempt_at: self.clock.now(),
        }
    }

    /// Gets rid of the draft that Cloudflare may have made though its answer was lost, so that its custom id is free for another
    /// try. Only a draft that is what was asked for is ours.
    pub(super) async fn delete_lost_draft(&self, asked: &NewImageFields) {
        let Some(id) = &asked.custom_id else {
            info!("Cloudflare's answer was lost; a draft that it has made expires by itself");
            return;
        };
        let draft = self.leftover(id, DeletionReason::AnswerLost);
        self.delete_or_note(NewPendingDeletion { marks: marks_of(asked), ..draft }).await;
    }

    /// The image that Cloudflare has made though its answer was lost, if it can be told by `deadline` to be the one that was asked for.
    /// Where it cannot, the caller is told that the upload failed, and the image is looked for and deleted later.
    pub(super) async fn find_lost_upload(
        &self,
        asked: &NewImageFields,
        since: Timestamp,
        deadline: Instant,
    ) -> Option<ImageDetails> {
        let Some(id) = &asked.custom_id else {
            warn!(
                "Cloudflare's answer to an upload was lost; there may be a picture without a custom id that is not recorded. \
                `cfimages reconcile-account` finds it"
            );
            return None;
        };
        let latest = self.clock.now().plus_minutes(LOST_UPLOAD_MINUTES);
        let marks = ImageMarks {
            uploaded_from: Some(since.plus_minutes(-CLOCKS_APART_MINUTES)),
            uploaded_until: Some(latest),
            ..marks_of(asked)
        };
        let cause = match timeout_at(deadline, self.client.get_image(id)).await {
            Ok(Ok(details)) if !details.is_draft && fits(&marks, &details) => return Some(details),
            Ok(Ok(_)) => {
                warn!(image.cloudflare_id = ?id.as_str(), "Cloudflare's answer to an upload was lost; the image with its id is another");
                return None;
            }
            // What Cloudflare is still at may be there a little later.
            Ok(Err(cause)) => cause.to_string(),
            Err(_) => "Cloudflare did not answer in time".to_owned(),
        };
        warn!(image.cloudflare_id = ?id.as_str(), error = %cause, "Cloudflare's answer to an upload was lost; \
            what there is of it will be deleted: {cause}");
        let leftover = NewPendingDeletion {
            marks,
            last_error: cause,
            next_attempt_at: latest.plus_minutes(CLOCKS_APART_MINUTES),
            ..self.leftover(id, DeletionReason::UploadLost)
        };
        if let Err(error) = self.records.note_leftover(&leftover).await {
            warn!(image.cloudflare_id = ?id.as_str(), error = %error, "Could not note what is to be deleted at Cloudflare: {error}");
        }
        None
    }
}

/// What an image is known by that was asked for.
fn marks_of(asked: &NewImageFields) -> ImageMarks {
    ImageMarks { metadata: Some(asked.metadata.clone()), creator: Some(asked.creator.clone()), ..ImageMarks::default() }
}

/// Whether an image at Cloudflare is one that is known by these marks.
pub(super) fn fits(marks: &ImageMarks, details: &ImageDetails) -> bool {
    let value = |json: &Json| serde_json::from_str::<serde_json::Value>(json.as_str()).ok();
    let metadata = details.metadata.clone().unwrap_or_default();
    let creator = details.creator.as_deref().unwrap_or_default();
    marks.metadata.as_ref().is_none_or(|own| value(own) == value(&metadata))
        && marks.creator.as_ref().is_none_or(|own| own.chars().take(MAX_CREATOR_CHARS).eq(creator.chars()))
        && marks.require_signed_urls.is_none_or(|own| details.require_signed_urls == Some(own))
        && marks.filename.as_ref().is_none_or(|own| details.filename.as_ref() == Some(own))
        && marks.uploaded_from.is_none_or(|from| details.uploaded.is_some_and(|uploaded| uploaded >= from))
        && marks.uploaded_until.is_none_or(|until| details.uploaded.is_some_and(|uploaded| uploaded <= until))
}

/// Why something could not be seen to, for those who read the list of it.
fn reason_of(error: &Error) -> String {
    match error {
        Error::Cloudflare { cause, .. } => cause.to_string(),
        error => error.to_string(),
    }
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
