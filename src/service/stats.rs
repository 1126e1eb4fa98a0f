//! Figures.

use super::{CloudflareService, Error};
use crate::domain::{ImageStats, User};
use crate::store;

impl CloudflareService {
    /// The figures of a user's images.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn get_upload_statistics(&self, owner: &User) -> Result<ImageStats, Error> {
        Ok(store::stats::find(&self.database, owner.id).await?)
    }
}
