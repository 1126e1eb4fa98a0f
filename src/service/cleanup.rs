//! Cleaning up: what expired, what nothing refers to, and what is left at Cloudflare.
//!
//! All of it goes on in batches by key, so that neither the table is locked nor memory filled, however many images there are; and
//! two runs at once do each image once.

use tracing::instrument;

use super::{CloudflareService, Error, ImageRecords};
use crate::domain::{CloudflareId, Due, DueImage, ImageId, Timestamp};
use crate::store::pending_deletions::PendingDeletion;
use crate::store::{self, ImageSet, Transaction};

/// How many images are changed or looked at in one go.
const BATCH: u32 = 1000;
/// How long a claimed deletion is one run's own: longer than a call to Cloudflare may take.
const CLAIM_MINUTES: i64 = 2;
/// The longest that a deletion which keeps failing is put off.
const MAX_DELAY_MINUTES: i64 = 24 * 60;

/// What a clean-up has done, for whoever watches.
#[derive(Debug)]
pub enum CleanupEvent<'a> {
    /// An image was marked as expired.
    Marked(&'a DueImage),
    /// An image that expired long ago was deleted here.
    Deleted(&'a DueImage),
    /// An image that expired long ago was kept, because the database refuses to delete it, or a row of the application cannot be
    /// without it.
    Kept {
        /// The image.
        image: &'a DueImage,
        /// Why: which row, and what to do.
        reason: &'a Error,
    },
    /// An image that nothing refers to was deleted, at Cloudflare and here.
    OrphanDeleted(&'a DueImage),
    /// An image that nothing refers to could not be deleted.
    OrphanFailed {
        /// The image.
        image: &'a DueImage,
        /// Why not.
        error: &'a Error,
    },
    /// What was left at Cloudflare was deleted.
    LeftoverDeleted(&'a CloudflareId),
    /// What was left at Cloudflare could not be deleted; it will be tried again.
    LeftoverFailed {
        /// The key at Cloudflare.
        id: &'a CloudflareId,
        /// Why not.
        error: &'a Error,
    },
}

/// Told of each step of a clean-up, after it is committed.
pub type CleanupObserver<'a> = dyn FnMut(CleanupEvent<'_>) + Send + 'a;

impl ImageRecords {
    /// How many images are due, given the time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_due(&self, due: Due, before: Timestamp) -> Result<u64, Error> {
        Ok(store::cleanup::count(&self.database, due, before).await?)
    }

    /// The newest images that are due, given the time.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_due(&self, due: Due, before: Timestamp, limit: u32) -> Result<Vec<DueImage>, Error> {
        Ok(store::cleanup::list_newest(&self.database, due, before, limit).await?)
    }

    /// How many deletions at Cloudflare are to be tried by now.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_leftovers(&self) -> Result<u64, Error> {
        Ok(store::pending_deletions::count_due(&self.database, self.clock.now()).await?)
    }

    /// Marks pending and draft images, whoever owns them, as expired when their upload URL has ended; how many. Each batch is
    /// committed alone.
    ///
    /// # Errors
    /// If the database fails; batches before stay marked.
    pub async fn mark_expired(&self, observer: &mut CleanupObserver<'_>) -> Result<u64, Error> {
        let now = self.clock.now();
        let (mut marked, mut from) = (0, Some(ImageId::first()));
        while let Some(start) = from {
            let mut transaction = self.database.begin().await?;
            let batch = store::cleanup::mark_expired(&mut transaction, now, start, BATCH).await?;
            transaction.commit().await?;
            for image in &batch {
                marked += 1;
                observer(CleanupEvent::Marked(image));
            }
            from = next_start(&batch);
        }
        Ok(marked)
    }

    /// Deletes images that are `expired` since before a time, here only: drafts at Cloudflare end by themselves. Each batch is
    /// committed alone. An image that cannot be deleted is kept, and the others go: a row of the application may require it, a
    /// trigger may raise, a right may be missing.
    ///
    /// # Errors
    /// If the database fails in a way that may be over a little later, or images cannot be looked for; batches before stay deleted.
    pub async fn delete_expired(&self, before: Timestamp, observer: &mut CleanupObserver<'_>) -> Result<(), Error> {
        let mut from = Some(ImageId::first());
        while let Some(start) = from {
            let mut transaction = self.database.begin().await?;
            let batch = store::cleanup::list_expired(&mut transaction, before, start, BATCH).await?;
            match self.remove_or_undo(transaction, &batch).await? {
                Ok(()) => batch.iter().for_each(|image| observer(CleanupEvent::Deleted(image))),
                Err(_) => self.delete_expired_one_by_one(before, &batch, observer).await?,
            }
            from = next_start(&batch);
        }
        Ok(())
    }

    async fn delete_expired_one_by_one(
        &self,
        before: Timestamp,
        images: &[DueImage],
        observer: &mut CleanupObserver<'_>,
    ) -> Result<(), Error> {
        for image in images {
            let mut transaction = self.database.begin().await?;
            let found = store::cleanup::list_expired(&mut transaction, before, image.id, 1).await?;
            if found.first().is_none_or(|found| found.id != image.id) {
                // Somebody else is at it.
                transaction.rollback().await?;
                continue;
            }
            match self.remove_or_undo(transaction, &found).await? {
                Ok(()) => observer(CleanupEvent::Deleted(image)),
                Err(reason) => observer(CleanupEvent::Kept { image, reason: &reason }),
            }
        }
        Ok(())
    }

    /// Deletes images and commits, or else undoes all of it; the inner result tells which, and is about these images alone.
    ///
    /// # Errors
    /// If the database fails in a way that has nothing to do with the images and may be over a little later.
    async fn remove_or_undo(
        &self,
        mut transaction: Transaction,
        images: &[DueImage],
    ) -> Result<Result<(), Error>, Error> {
        let ids = images.iter().map(|image| image.id).collect::<ImageSet>();
        let (outcome, undone) = match self.remove(&mut transaction, &ids).await {
            Ok(_) => (transaction.commit().await.map_err(Error::from), Ok(())),
            Err(error) => (Err(error), transaction.rollback().await),
        };
        match outcome {
            Err(Error::Store(error)) if error.is_transient() => Err(error.into()),
            outcome => undone.map(|()| outcome).map_err(Error::from),
        }
    }
}

impl CloudflareService {
    /// The records of images, without Cloudflare.
    pub fn records(&self) -> &ImageRecords {
        &self.records
    }

    /// Marks pending and draft images, whoever owns them, as expired when their upload URL has ended; how many.
    ///
    /// # Errors
    /// If the database fails.
    #[instrument(name = "service.cleanup.mark_expired", skip_all)]
    pub async fn mark_expired(&self) -> Result<u64, Error> {
        self.records.mark_expired(&mut |_| {}).await
    }

    /// Deletes uploaded images to which nothing has referred since a time, each at Cloudflare, then here. Each is looked at again
    /// right before. A failure is told, and the next image comes.
    ///
    /// # Errors
    /// If the database fails while images are looked for.
    #[instrument(name = "service.cleanup.delete_orphans", skip_all)]
    pub async fn delete_orphans(&self, before: Timestamp, observer: &mut CleanupObserver<'_>) -> Result<(), Error> {
        let mut from = Some(ImageId::first());
        while let Some(start) = from {
            let batch = store::cleanup::list_orphans(&self.database, before, start, BATCH).await?;
            for image in &batch {
                if !store::cleanup::is_orphan(&self.database, image.id, before).await? {
                    continue;
                }
                match self.delete_removable(image.id, &image.cloudflare_id).await {
                    Ok(true) => observer(CleanupEvent::OrphanDeleted(image)),
                    // Somebody else has just deleted it.
                    Ok(false) => {}
                    Err(error) => observer(CleanupEvent::OrphanFailed { image, error: &error }),
                }
            }
            from = next_start(&batch);
        }
        Ok(())
    }

    /// Deletes at Cloudflare what could not be deleted when it should have been. What has been recorded as an image by now stays.
    ///
    /// # Errors
    /// If the database fails.
    #[instrument(name = "service.cleanup.delete_leftovers", skip_all)]
    pub async fn delete_leftovers(&self, observer: &mut CleanupObserver<'_>) -> Result<(), Error> {
        let (begun, client) = (self.clock.now(), self.client.patient());
        while let Some(deletion) = self.claim_leftover(begun).await? {
            let id = &deletion.cloudflare_id;
            if store::images::find_by_cloudflare_id(&self.database, id).await?.is_some() {
                self.forget_leftover(id).await?;
                continue;
            }
            match client.delete_image(id).await {
                Ok(()) => {
                    self.forget_leftover(id).await?;
                    observer(CleanupEvent::LeftoverDeleted(id));
                }
                Err(cause) => {
                    self.postpone_leftover(&deletion, &cause.to_string()).await?;
                    let error = Error::Cloudflare { operation: "Failed to delete image", cause };
                    observer(CleanupEvent::LeftoverFailed { id, error: &error });
                }
            }
        }
        Ok(())
    }

    async fn claim_leftover(&self, due: Timestamp) -> Result<Option<PendingDeletion>, Error> {
        let claimed_until = self.clock.now().plus_minutes(CLAIM_MINUTES);
        let mut transaction = self.database.begin().await?;
        let deletion = store::pending_deletions::claim(&mut transaction, due, claimed_until).await?;
        transaction.commit().await?;
        Ok(deletion)
    }

    async fn forget_leftover(&self, id: &CloudflareId) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::delete(&mut transaction, id).await?;
        Ok(transaction.commit().await?)
    }

    async fn postpone_leftover(&self, deletion: &PendingDeletion, cause: &str) -> Result<(), Error> {
        let next = self.clock.now().plus_minutes(delay_minutes(deletion.attempts));
        let mut transaction = self.database.begin().await?;
        store::pending_deletions::postpone(&mut transaction, &deletion.cloudflare_id, cause, next).await?;
        Ok(transaction.commit().await?)
    }
}

/// Where the batch after this one starts; none after the last.
fn next_start(batch: &[DueImage]) -> Option<ImageId> {
    batch.iter().map(|image| image.id).max()?.following()
}

/// Twice as long after each try, up to a day.
fn delay_minutes(attempts: i32) -> i64 {
    let doublings = attempts.clamp(0, 11).unsigned_abs();
    (1_i64 << doublings).min(MAX_DELAY_MINUTES)
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
