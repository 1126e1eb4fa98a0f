//! Deleting images, at Cloudflare and here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{error, info, instrument};

use super::retry::retry;
use super::{CloudflareService, Error};
use crate::cloudflare;
use crate::domain::{Clock, CloudflareId, Image, ImageFilter, ImageId, ImageKey, ImageKeys, Timestamp, User};
use crate::store::{self, CloudflareIdSet, Database, ImageSet, Transaction};

const OPERATION: &str = "Failed to delete image";

/// The records of images here, and how they end. Knows nothing of Cloudflare. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ImageRecords {
    pub(super) database: Database,
    pub(super) clock: Arc<dyn Clock>,
    host_delete_tables: Arc<[String]>,
}

impl ImageRecords {
    /// The records in a database; `host_delete_tables` are the tables of the application whose rows are deleted with the image they
    /// require, as `table` or `schema.table`.
    pub fn new(database: Database, clock: Arc<dyn Clock>, host_delete_tables: Vec<String>) -> Self {
        Self { database, clock, host_delete_tables: host_delete_tables.into() }
    }

    /// Deletes images and what belongs to them: rows of the application that refer to them are set to null or deleted, usages are
    /// kept as references to images that are not recorded, logs go. How many images there were.
    ///
    /// # Errors
    /// [`Error::RequiredByHost`] if a row of the application cannot be without one of them; the transaction must then be undone.
    pub(super) async fn remove(&self, transaction: &mut Transaction, images: &ImageSet) -> Result<u64, Error> {
        let now = self.clock.now();
        store::images::lock(transaction, images).await?;
        let plan = store::host_tables::plan(transaction, images, &self.host_delete_tables).await?;
        if let Some(blocker) = plan.blockers.first() {
            return Err(Error::RequiredByHost { table: blocker.table.clone(), rows: blocker.rows });
        }
        plan.apply(transaction, images, now).await?;
        store::usages::unlink(transaction, images).await?;
        store::upload_logs::delete(transaction, images).await?;
        let removed = store::images::delete(transaction, images).await?;
        store::images::check_references(transaction).await?;
        Ok(removed)
    }

    /// Makes sure that an image could be deleted, by deleting it and undoing that: so nothing that the database refuses, such as a
    /// constraint or a missing right on a table of the application, is found out only after the picture is gone.
    async fn require_removable(&self, id: ImageId) -> Result<(), Error> {
        retry(Error::is_conflict, async || {
            let mut transaction = self.database.begin().await?;
            let outcome = self.remove(&mut transaction, &ImageSet::from_iter([id])).await;
            transaction.rollback().await?;
            outcome.map(drop)
        })
        .await
    }

    /// Deletes an image here if it has this id at Cloudflare; whether it has.
    async fn remove_one(&self, id: ImageId, cloudflare_id: &CloudflareId) -> Result<bool, Error> {
        retry(Error::is_conflict, async || {
            let mut transaction = self.database.begin().await?;
            let ids = CloudflareIdSet::from_iter([cloudflare_id]);
            let images = store::images::lock_by_cloudflare_ids(&mut transaction, &ids).await?;
            if images.iter().all(|image| image.id != id) {
                transaction.rollback().await?;
                return Ok(false);
            }
            self.remove(&mut transaction, &ImageSet::from_iter([id])).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await
    }
}

/// What became of an image that was to be deleted with others.
#[derive(Debug)]
pub enum BulkDeletion {
    /// The user has no image with this key.
    Unknown(ImageKey),
    /// It was not tried.
    NotTried(ImageKey, NotTried),
    /// It was tried.
    Tried {
        /// The image.
        image: ImageKeys,
        /// Whether it worked.
        outcome: BulkOutcome,
    },
}

/// Why the deletion of an image was not tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTried {
    /// The time for all of them was over.
    TimeOver,
    /// The database failed when the image was looked up.
    LookupFailed,
}

/// Whether an image that was to be deleted with others is gone.
#[derive(Debug)]
pub enum BulkOutcome {
    /// It is.
    Deleted,
    /// Content refers to it as often as this.
    InUse(usize),
    /// The deletion failed.
    Failed(Error),
    /// The time for all of them was over meanwhile. Where Cloudflare has been asked already, it goes on to its end.
    Interrupted,
}

/// Why an image was not deleted.
#[derive(Debug)]
pub(super) struct FailedDeletion {
    pub(super) error: Error,
    /// What became of the picture all the same.
    pub(super) picture: Picture,
}

/// What a deletion that failed made of a picture at Cloudflare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Picture {
    /// It is there still.
    Kept,
    /// Nobody knows.
    Unsure,
    /// It is gone, and the record is not.
    Gone,
}

impl From<Error> for FailedDeletion {
    fn from(error: Error) -> Self {
        Self { error, picture: Picture::Kept }
    }
}

impl From<store::Error> for FailedDeletion {
    fn from(error: store::Error) -> Self {
        Error::from(error).into()
    }
}

/// Which images are deleted. Until Cloudflare is asked, what was so may have changed.
#[derive(Debug, Clone, Copy)]
pub(super) enum DeleteIf {
    /// All.
    Always,
    /// Those that no content refers to.
    Unused,
    /// Those that no content has referred to since a time.
    OrphanSince(Timestamp),
}

/// Images that are deleted one after the other, and what became of those before.
#[derive(Debug, Default)]
struct BulkRun {
    /// All keys of what is in the results; a further mention is left out.
    seen: HashSet<ImageKey>,
    results: Vec<BulkDeletion>,
}

impl BulkRun {
    fn leave(&mut self, keys: &[ImageKey], why: NotTried) {
        for key in keys {
            if self.seen.insert(key.clone()) {
                self.results.push(BulkDeletion::NotTried(key.clone(), why));
            }
        }
    }
}

impl CloudflareService {
    /// Deletes an image at Cloudflare, then here. Where it is not there any more, here or there, that is no error.
    ///
    /// What could forbid it is looked at first. Then Cloudflare is asked, without a transaction; then all rows are changed in one,
    /// on the state that they have by then. From the call to Cloudflare on, it goes on to its end when the client goes away. If it
    /// fails after the call, the image stays here, and another try goes through.
    ///
    /// # Errors
    /// [`Error::InUse`] if content refers to the image, or does when Cloudflare is asked, unless by `force`; [`Error::RequiredByHost`] if a row of the application
    /// cannot be without it; otherwise if Cloudflare refuses or cannot be reached, or the database fails.
    #[instrument(name = "service.deletions.delete", skip_all, fields(image.id = %image.id))]
    pub async fn delete_image(&self, image: &Image, force: bool) -> Result<(), Error> {
        self.delete_by_keys(image.id, &image.cloudflare_id, force).await.map_err(|failed| failed.error)
    }

    pub(super) async fn delete_by_keys(
        &self,
        id: ImageId,
        cloudflare_id: &CloudflareId,
        force: bool,
    ) -> Result<(), FailedDeletion> {
        self.delete_if(id, if force { DeleteIf::Always } else { DeleteIf::Unused }).await?;
        info!(image.cloudflare_id = ?cloudflare_id.as_str(), "Deleted image {:?}", cloudflare_id.as_str());
        Ok(())
    }

    /// Deletes images of a user one after the other, in this order, until the time is over; what became of each. An image that is
    /// named more than once is reported once. A failure does not keep the others from being deleted.
    ///
    /// # Errors
    /// If the first images cannot be looked up; nothing is deleted then.
    #[instrument(name = "service.deletions.delete_many", skip_all)]
    pub async fn delete_images(
        &self,
        owner: &User,
        filter: &ImageFilter,
        keys: &[ImageKey],
        force: bool,
        until: Instant,
    ) -> Result<Vec<BulkDeletion>, Error> {
        let mut run = BulkRun::default();
        for batch in keys.chunks(store::selections::MAX_KEYS) {
            let looking = store::selections::list_keys(&self.database, owner.id, filter, batch);
            match before(until, looking).await {
                Some(Ok(images)) => self.delete_batch(&mut run, batch, &images, force, until).await,
                None => run.leave(batch, NotTried::TimeOver),
                Some(Err(error)) if run.results.is_empty() => return Err(error.into()),
                Some(Err(error)) => {
                    error!(error = %error, "Images to delete could not be looked up: {error}");
                    run.leave(batch, NotTried::LookupFailed);
                }
            }
        }
        Ok(run.results)
    }

    /// Deletes the images that have these keys; `images` are those that were found.
    async fn delete_batch(
        &self,
        run: &mut BulkRun,
        keys: &[ImageKey],
        images: &[ImageKeys],
        force: bool,
        until: Instant,
    ) {
        let found: HashMap<ImageKey, &ImageKeys> =
            images.iter().flat_map(|image| image.each().map(|key| (key, image))).collect();
        for key in keys {
            if run.seen.contains(key) {
                continue;
            }
            let Some(image) = found.get(key) else {
                run.results.push(BulkDeletion::Unknown(key.clone()));
                continue;
            };
            if Instant::now() >= until {
                run.leave(std::slice::from_ref(key), NotTried::TimeOver);
                continue;
            }
            run.seen.extend(image.each());
            let outcome = before(until, self.delete_one_of_many(image, force)).await;
            let outcome = outcome.unwrap_or(BulkOutcome::Interrupted);
            run.results.push(BulkDeletion::Tried { image: ImageKeys::clone(image), outcome });
        }
    }

    async fn delete_one_of_many(&self, image: &ImageKeys, force: bool) -> BulkOutcome {
        match self.delete_by_keys(image.id, &image.cloudflare_id, force).await.map_err(|failed| failed.error) {
            Ok(()) => BulkOutcome::Deleted,
            Err(Error::InUse) => match store::usages::count_links(&self.database, image.id).await {
                Ok(usages) => BulkOutcome::InUse(usize::try_from(usages).unwrap_or(usize::MAX)),
                Err(error) => BulkOutcome::Failed(error.into()),
            },
            Err(error) => BulkOutcome::Failed(error),
        }
    }

    /// Deletes an image unless a row of the application forbids it; whether it was still there.
    ///
    /// # Errors
    /// [`Error::InUse`] if it is not of those that are to be deleted, now or when Cloudflare is asked.
    pub(super) async fn delete_if(&self, id: ImageId, condition: DeleteIf) -> Result<bool, FailedDeletion> {
        self.require(id, condition).await?;
        self.records.require_removable(id).await?;
        let service = self.clone();
        self.run_to_end(async move { service.delete_under_each_id(id, condition).await }).await
    }

    async fn require(&self, id: ImageId, condition: DeleteIf) -> Result<(), Error> {
        let is_met = match condition {
            DeleteIf::Always => true,
            DeleteIf::Unused => !store::usages::is_used(&self.database, id).await?,
            DeleteIf::OrphanSince(time) => store::cleanup::is_orphan(&self.database, id, time).await?,
        };
        if is_met { Ok(()) } else { Err(Error::InUse) }
    }

    /// Deletes an image under the id that it has by now, and once more where it gets another one meanwhile.
    async fn delete_under_each_id(&self, id: ImageId, condition: DeleteIf) -> Result<bool, FailedDeletion> {
        while let Some(image) = store::images::find(&self.database, id).await? {
            let is_meant = || async { self.require(id, condition).await.is_ok() };
            match self.client.delete_image_if(&image.cloudflare_id, is_meant).await {
                Ok(()) => {}
                Err(cloudflare::Error::CalledOff) => {
                    self.require(id, condition).await?;
                    continue;
                }
                Err(error) => {
                    let picture = if error.may_have_taken_effect() { Picture::Unsure } else { Picture::Kept };
                    return Err(FailedDeletion { error: Error::cloudflare(OPERATION)(error), picture });
                }
            }
            let removed = self.records.remove_one(id, &image.cloudflare_id).await;
            if removed.map_err(|error| FailedDeletion { error, picture: Picture::Gone })? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// What comes of work that ends in time; nothing is begun when the time is over.
async fn before<T>(until: Instant, work: impl Future<Output = T>) -> Option<T> {
    if Instant::now() >= until {
        return None;
    }
    tokio::time::timeout_at(until, work).await.ok()
}
