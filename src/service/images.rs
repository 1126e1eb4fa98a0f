//! Looking at images, and asking Cloudflare about them.

use tracing::{info, instrument};

use super::{CloudflareService, Error};
use crate::domain::{Image, ImageId, LogEntry, Page, PageRequest, UploadEvent, User};
use crate::store;

impl CloudflareService {
    /// A page of a user's images, newest first; `choose` says which, given how many images there are.
    ///
    /// # Errors
    /// What `choose` refuses, or if the database fails.
    pub async fn list_images<E: From<Error>>(
        &self,
        owner: &User,
        choose: impl FnOnce(u64) -> Result<PageRequest, E>,
    ) -> Result<Page<Image>, E> {
        let count = store::images::count_owned(&self.database, owner.id).await.map_err(Error::from)?;
        let request = choose(count)?;
        let items = store::images::list_owned(&self.database, owner.id, request).await.map_err(Error::from)?;
        Ok(Page { request, count, items })
    }

    /// An image of a user.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, or it is somebody else's.
    pub async fn get_image(&self, owner: &User, id: ImageId) -> Result<Image, Error> {
        store::images::find_owned(&self.database, id, owner.id).await?.ok_or(Error::NotFound)
    }

    /// The log of an image of a user, newest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such image, or it is somebody else's.
    pub async fn list_logs(&self, owner: &User, id: ImageId) -> Result<Vec<LogEntry>, Error> {
        let image = self.get_image(owner, id).await?;
        Ok(store::upload_logs::list(&self.database, image.id).await?)
    }

    /// Asks Cloudflare about an image of a user and records the answer.
    ///
    /// The call is made without a transaction; the row and its log row are then changed in one.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such image, it is somebody else's, or it was deleted meanwhile; otherwise if Cloudflare
    /// refuses or cannot be reached, or the database fails.
    #[instrument(name = "service.images.check_status", skip_all, fields(image.id = %id))]
    pub async fn check_image_status(&self, owner: &User, id: ImageId) -> Result<Image, Error> {
        let image = self.get_image(owner, id).await?;
        let details = self
            .client
            .get_image(&image.cloudflare_id)
            .await
            .map_err(Error::cloudflare("Failed to check image status"))?;
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let image = store::images::apply(&mut transaction, image.id, &details.changes(now), now)
            .await?
            .ok_or(Error::NotFound)?;
        let event = UploadEvent::StatusChecked { status: &image.status, response: &details.raw };
        store::upload_logs::insert(&mut transaction, image.id, &event, now).await?;
        transaction.commit().await?;
        info!(image.cloudflare_id = ?image.cloudflare_id.as_str(), image.status = %image.status, "Checked status of image {:?}: {}",
            image.cloudflare_id.as_str(), image.status);
        Ok(image)
    }
}
