//! Cleaning up: what expired, and what nothing refers to.
//!
//! All of it goes on in batches by key, so that neither the table is locked nor memory filled, however many images there are; and
//! two runs at once do each image once.

use tracing::instrument;

use super::deletions::DeleteIf;
use super::{CloudflareService, Error, ImageRecords};
use crate::domain::{CloudflareId, Due, DueImage, ImageId, Timestamp};
use crate::metrics::{JobKind, Round, UploadStep};
use crate::store::{self, ImageSet, Transaction};

/// How many images are changed or looked at in one go, at most.
const BATCH: u32 = 1000;
/// After how many batches that went well in a row larger ones are tried again.
const BATCHES_UNTIL_LARGER: u32 = 10;

/// How many images are changed in one go: fewer where that took the database too long.
struct BatchSize {
    images: u32,
    went_well: u32,
}

impl BatchSize {
    fn new() -> Self {
        Self { images: BATCH, went_well: 0 }
    }

    /// Halves the size after a failure of `images` that fewer may not have; whether that was possible.
    fn shrink(&mut self, images: usize, error: &Error) -> bool {
        let is_timeout = matches!(error, Error::Store(error) if error.is_statement_timeout());
        let smaller = self.images.min(u32::try_from(images).unwrap_or(BATCH)) / 2;
        if !is_timeout || smaller == 0 {
            return false;
        }
        *self = Self { images: smaller, went_well: 0 };
        true
    }

    fn note_success(&mut self) {
        self.went_well += 1;
        if self.went_well >= BATCHES_UNTIL_LARGER {
            *self = Self { images: (self.images * 2).min(BATCH), went_well: 0 };
        }
    }
}

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
    /// What was left at Cloudflare could not be deleted, or an image there not be found; it will be tried again.
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

    /// Marks pending and draft images, whoever owns them, as expired when their upload URL has ended; how many. Each batch is
    /// committed alone.
    ///
    /// # Errors
    /// If the database fails; batches before stay marked.
    pub async fn mark_expired(&self, observer: &mut CleanupObserver<'_>) -> Result<u64, Error> {
        let now = self.clock.now();
        let (mut marked, mut from, mut size) = (0, Some(ImageId::first()), BatchSize::new());
        while let Some(start) = from {
            let batch = match self.mark_batch(now, start, size.images).await {
                Err(error) if size.shrink(usize::MAX, &error) => continue,
                batch => batch?,
            };
            size.note_success();
            for image in &batch {
                marked += 1;
                observer(CleanupEvent::Marked(image));
            }
            from = next_start(&batch);
        }
        Ok(marked)
    }

    async fn mark_batch(&self, now: Timestamp, start: ImageId, limit: u32) -> Result<Vec<DueImage>, Error> {
        let mut transaction = self.database.begin().await?;
        let batch = store::cleanup::mark_expired(&mut transaction, now, start, limit).await?;
        transaction.commit().await?;
        Ok(batch)
    }

    /// Deletes images that are `expired` since before a time, here only: drafts at Cloudflare end by themselves. Each batch is
    /// committed alone; where one takes the database too long, the next are smaller. An image that cannot be deleted is kept, and the
    /// others go: a row of the application may require it, a trigger may raise, a right may be missing.
    ///
    /// # Errors
    /// If the database fails in a way that may be over a little later, or images cannot be looked for; batches before stay deleted.
    #[instrument(name = "service.cleanup.delete_expired", skip_all)]
    pub async fn delete_expired(&self, before: Timestamp, observer: &mut CleanupObserver<'_>) -> Result<(), Error> {
        let (mut from, mut size) = (Some(ImageId::first()), BatchSize::new());
        while let Some(start) = from {
            let (batch, outcome) = match self.delete_batch(before, start, size.images).await {
                Ok((batch, Err(error))) if size.shrink(batch.len(), &error) => continue,
                Err(error) if size.shrink(usize::MAX, &error) => continue,
                done => done?,
            };
            size.note_success();
            match outcome {
                Ok(()) => batch.iter().for_each(|image| observer(CleanupEvent::Deleted(image))),
                Err(_) => self.delete_expired_one_by_one(before, &batch, observer).await?,
            }
            from = next_start(&batch);
        }
        Ok(())
    }

    /// Deletes a batch, or undoes all of it; the inner result tells which, and is about these images alone.
    async fn delete_batch(
        &self,
        before: Timestamp,
        start: ImageId,
        limit: u32,
    ) -> Result<(Vec<DueImage>, Result<(), Error>), Error> {
        let mut transaction = self.database.begin().await?;
        let batch = store::cleanup::list_expired(&mut transaction, before, start, limit).await?;
        let outcome = self.remove_or_undo(transaction, &batch).await?;
        Ok((batch, outcome))
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
            Err(Error::Store(error)) if error.is_transient() && !error.is_statement_timeout() => Err(error.into()),
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
        let marked = self.records.mark_expired(&mut |_| {}).await;
        let round = if marked.is_ok() { Round::Worked } else { Round::Failed };
        self.metrics().count_round(JobKind::Cleanup, round, self.clock.now());
        let marked = marked?;
        self.metrics().count_uploads(UploadStep::Expired, marked);
        self.metrics().count_items(JobKind::Cleanup, "expired", marked);
        Ok(marked)
    }

    /// Deletes uploaded images to which nothing has referred since a time, each at Cloudflare, then here. Each is looked at again
    /// right before Cloudflare is asked. A failure is told, and the next image comes. Nobody waits for it.
    ///
    /// # Errors
    /// If the database fails while images are looked for.
    #[instrument(name = "service.cleanup.delete_orphans", skip_all)]
    pub async fn delete_orphans(&self, before: Timestamp, observer: &mut CleanupObserver<'_>) -> Result<(), Error> {
        let (service, mut from) = (self.patient(), Some(ImageId::first()));
        while let Some(start) = from {
            let batch = store::cleanup::list_orphans(&self.database, before, start, BATCH).await?;
            for image in &batch {
                let deleted = service.delete_if(image.id, DeleteIf::OrphanSince(before)).await;
                match deleted.map_err(|failed| failed.error) {
                    Ok(true) => observer(CleanupEvent::OrphanDeleted(image)),
                    // Content uses it by now, or somebody else has just deleted it.
                    Ok(false) | Err(Error::InUse) => {}
                    Err(error) => observer(CleanupEvent::OrphanFailed { image, error: &error }),
                }
            }
            from = next_start(&batch);
        }
        Ok(())
    }
}

/// Where the batch after this one starts; none after the last.
fn next_start(batch: &[DueImage]) -> Option<ImageId> {
    batch.iter().map(|image| image.id).max()?.following()
}
