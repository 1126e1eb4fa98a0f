//! Looking at the logs of all images, for the staff.

use super::{CloudflareService, Error, ImageRecords, SearchError};
use crate::domain::{
    CloudflareId, ImageId, LogFilter, LogPlace, LoggedEvent, PageFrom, Stretch, Timestamp, UploadEvent,
};
use crate::store::{self, Database};

/// How many entries are deleted in one go, so that nobody who writes waits for long.
const BATCH: u32 = 500;

impl ImageRecords {
    /// How many entries of logs [`prune_logs`](Self::prune_logs) would delete.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_old_logs(&self, before: Timestamp) -> Result<u64, Error> {
        let mut count = 0;
        for event_type in self.list_prunable_event_types().await? {
            count += store::upload_logs::count_old(&self.database, &event_type, before).await?;
        }
        Ok(count)
    }

    /// Deletes the entries of logs that are from before a time, in batches that are committed one by one; how many. `note` is told how
    /// many each of them had.
    ///
    /// What is needed later stays: the logs of images that are pending or drafts, and that an image was found in the account, by which
    /// a comparison with the account knows it.
    ///
    /// # Errors
    /// If the database fails; batches before stay deleted.
    pub async fn prune_logs(&self, before: Timestamp, mut note: impl FnMut(u64)) -> Result<u64, Error> {
        let mut deleted = 0;
        for event_type in self.list_prunable_event_types().await? {
            let mut after = LogPlace { timestamp: Timestamp::from_micros(i64::MIN), id: i64::MIN };
            loop {
                let places = store::upload_logs::list_old(&self.database, &event_type, before, after, BATCH).await?;
                let Some(last) = places.last() else { break };
                after = *last;
                let mut transaction = self.database.begin().await?;
                let ids = places.iter().map(|place| place.id);
                let gone = store::upload_logs::delete_entries(&mut transaction, ids).await?;
                transaction.commit().await?;
                deleted += gone;
                note(gone);
            }
        }
        Ok(deleted)
    }

    async fn list_prunable_event_types(&self) -> Result<Vec<String>, Error> {
        let mut event_types = store::upload_logs::list_event_types(&self.database).await?;
        event_types.retain(|event_type| event_type != UploadEvent::IMAGE_IMPORTED);
        Ok(event_types)
    }
}

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
