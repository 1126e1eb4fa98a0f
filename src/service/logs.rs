//! Looking at the logs of all images, for the staff.

use super::{CloudflareService, Error, SearchError};
use crate::domain::{CloudflareId, ImageId, LogFilter, LogPlace, LoggedEvent, PageFrom, Stretch};
use crate::store::{self, Database};

impl CloudflareService {
    /// At most `size` rows of the logs of all images, the latest first. What it costs does not depend on how many there are, but for
    /// parts of messages.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn browse_logs(
        &self,
        filter: &LogFilter,
        from: PageFrom<LogPlace>,
        size: u32,
    ) -> Result<Stretch<LoggedEvent, LogPlace>, SearchError> {
        let browse = async |database: Database| {
            store::upload_logs::browse(&database, filter, from, size.saturating_add(1)).await.map_err(Error::from)
        };
        let found = match filter.message {
            Some(_) => self.search(browse).await?,
            None => browse(self.database.clone()).await?,
        };
        Ok(Stretch::cut(found, size, &from, LoggedEvent::place))
    }

    /// The words for events that there are in any log.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_event_types(&self) -> Result<Vec<String>, Error> {
        Ok(store::upload_logs::list_event_types(&self.database).await?)
    }

    /// The key of the image that a text names: the key here, or the one at Cloudflare.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_image_key(&self, text: &str) -> Result<Option<ImageId>, Error> {
        if let Ok(id) = text.parse()
            && let Some(image) = store::images::find(&self.database, id).await?
        {
            return Ok(Some(image.id));
        }
        let image = store::images::find_by_cloudflare_id(&self.database, &CloudflareId::new(text)).await?;
        Ok(image.map(|image| image.id))
    }
}
