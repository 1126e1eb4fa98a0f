//! Figures.

use super::{CloudflareService, Error, ImageRecords};
use crate::domain::{ImageStats, User, UserId};
use crate::store;

impl CloudflareService {
    /// The figures of a user's images.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn get_upload_statistics(&self, owner: &User) -> Result<ImageStats, Error> {
        self.records.statistics(Some(owner.id)).await
    }
}

impl ImageRecords {
    /// The figures of the images of a user, or of all images.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn statistics(&self, owner: Option<UserId>) -> Result<ImageStats, Error> {
        Ok(match owner {
            Some(owner) => store::stats::find(&self.database, owner).await?,
            None => store::stats::find_all(&self.database).await?,
        })
    }
}
