//! Looking at images, changing their records, and asking Cloudflare about them.

use tracing::{info, instrument};

use super::retry::retry;
use super::staff_actions::ByStaff;
use super::{CloudflareService, Error};
use crate::cloudflare::ImageDetails;
use crate::domain::{
    Image, ImageEdit, ImageFilter, ImageId, ImageOrder, ImageUsage, Json, LogEntry, Page, PageRequest, Timestamp,
    UploadEvent, User,
};
use crate::store::{self, Transaction};

impl CloudflareService {
    /// A page of the images of a user that meet the conditions; `choose` says which, given how many images there are.
    ///
    /// # Errors
    /// What `choose` refuses, or if the database fails.
    pub async fn list_images<E: From<Error>>(
        &self,
        owner: &User,
        filter: &ImageFilter,
        order: &[ImageOrder],
        choose: impl FnOnce(u64) -> Result<PageRequest, E>,
    ) -> Result<Page<Image>, E> {
        let count = store::selections::count(&self.database, owner.id, filter).await.map_err(Error::from)?;
        let page = choose(count)?;
        let items =
            store::selections::list(&self.database, owner.id, filter, order, page).await.map_err(Error::from)?;
        Ok(Page { count, items })
    }

    /// The image of a user that meets the conditions, one of which is a key.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or it is somebody else's.
    pub async fn get_image(&self, owner: &User, filter: &ImageFilter) -> Result<Image, Error> {
        store::selections::find(&self.database, owner.id, filter).await?.ok_or(Error::NotFound)
    }

    /// The log of an image, newest first; the latest `limit` entries at most.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_logs(&self, image: ImageId, limit: u32) -> Result<Vec<LogEntry>, Error> {
        Ok(store::upload_logs::list_of_image(&self.database, image, limit).await?)
    }

    /// The content that refers to an image, the latest reference first; `limit` references at most.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_image_usages(&self, image: ImageId, limit: u32) -> Result<Vec<ImageUsage>, Error> {
        Ok(store::usages::list_of_image(&self.database, image, limit).await?)
    }

    /// Changes the record of an image. Cloudflare is not told.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the image was deleted meanwhile.
    #[instrument(name = "service.images.edit", skip_all, fields(image.id = %image.id))]
    pub async fn edit_image(&self, image: &Image, edit: &ImageEdit) -> Result<Image, Error> {
        retry(Error::is_conflict, async || {
            let mut transaction = self.database.begin().await?;
            let changed = store::images::edit(&mut transaction, image, edit, self.clock.now()).await?;
            transaction.commit().await?;
            changed.ok_or(Error::NotFound)
        })
        .await
    }

    /// What Cloudflare answers when it is asked about an image. Nothing is recorded.
    ///
    /// # Errors
    /// If Cloudflare refuses or cannot be reached.
    pub async fn ask_about(&self, image: &Image) -> Result<Json, Error> {
        let asked = self.client.get_image(&image.cloudflare_id).await;
        Ok(asked.map_err(Error::cloudflare("Failed to get image"))?.raw)
    }

    /// Asks Cloudflare about an image and records the answer.
    ///
    /// The call is made without a transaction; the row and its log row are then changed in one.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the image was deleted meanwhile; otherwise if Cloudflare refuses or cannot be reached, or the database
    /// fails.
    pub async fn check_image_status(&self, image: &Image) -> Result<Image, Error> {
        self.check_status(image, None).await
    }

    /// The same, also for a member of the staff, who is recorded with the answer.
    #[instrument(name = "service.images.check_status", skip_all, fields(image.id = %image.id))]
    pub(super) async fn check_status(&self, image: &Image, by: Option<&ByStaff>) -> Result<Image, Error> {
        let details = self
            .client
            .get_image(&image.cloudflare_id)
            .await
            .map_err(Error::cloudflare("Failed to check image status"))?;
        let mut transaction = self.database.begin().await?;
        let now = self.clock.now();
        // What others changed while Cloudflare was asked is not the staff's doing.
        let before = match by {
            Some(_) => store::images::hold(&mut transaction, image.id).await?,
            None => None,
        };
        let status_before = &image.status;
        let image = record_check(&mut transaction, image.id, &details, now).await?.ok_or(Error::NotFound)?;
        if let Some((by, before)) = by.zip(before) {
            by.log(&mut transaction, &before, &image, now).await?;
        }
        transaction.commit().await?;
        self.count_end(Some(status_before), &image.status);
        info!(image.cloudflare_id = ?image.cloudflare_id.as_str(), image.status = %image.status, "Checked status of image {:?}: {}",
            image.cloudflare_id.as_str(), image.status);
        Ok(image)
    }

    /// The same for several images of a user, one after the other; the newest first. A failure does not keep the others from being
    /// checked.
    ///
    /// # Errors
    /// If the images cannot be looked up.
    pub async fn check_image_statuses(
        &self,
        owner: &User,
        filter: &ImageFilter,
    ) -> Result<Vec<(Image, Result<Image, Error>)>, Error> {
        let mut results = Vec::new();
        for image in store::selections::list_by_keys(&self.database, owner.id, filter).await? {
            let result = self.check_image_status(&image).await;
            results.push((image, result));
        }
        Ok(results)
    }
}

/// Records what Cloudflare answered about an image, with a log row; `None` if the image is gone.
pub(super) async fn record_check(
    transaction: &mut Transaction,
    id: ImageId,
    details: &ImageDetails,
    now: Timestamp,
) -> Result<Option<Image>, Error> {
    let Some(image) = store::images::apply(transaction, id, &details.changes(now), now).await? else { return Ok(None) };
    let event = UploadEvent::StatusChecked { status: &image.status, response: &details.raw };
    store::upload_logs::insert(transaction, image.id, &event, now).await?;
    Ok(Some(image))
}
