//! Looking at images, and asking Cloudflare about them.

use tracing::{info, instrument};

use super::{CloudflareService, Error};
use crate::domain::{Image, ImageId, LogEntry, PageRequest, UploadEvent, User};
use crate::store;

impl CloudflareService {
    /// How many images a user has.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_images(&self, owner: &User) -> Result<u64, Error> {
        Ok(store::images::count_owned(&self.database, owner.id).await?)
    }

    /// A page of a user's images, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_images(&self, owner: &User, page: PageRequest) -> Result<Vec<Image>, Error> {
        Ok(store::images::list_owned(&self.database, owner.id, page).await?)
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

    /// Asks Cloudflare about an image and records the answer.
    ///
    /// The call is made without a transaction; the row and its log row are then changed in one.
    ///
    /// # Errors
    /// If Cloudflare refuses or cannot be reached, the image was deleted meanwhile, or the database fails.
    #[instrument(name = "service.images.check_status", skip_all, fields(image.id = %image.id))]
    pub async fn check_image_status(&self, image: &Image) -> Result<Image, Error> {
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
        info!(image.cloudflare_id = %image.cloudflare_id, image.status = %image.status, "Checked status of image {}: {}", image.cloudflare_id, image.status);
        Ok(image)
    }
}
