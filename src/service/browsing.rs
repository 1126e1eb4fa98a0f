//! Looking at the images of all users, for the staff.

use std::collections::HashMap;

use super::{CloudflareService, Error, ImageRecords, SearchError};
use crate::domain::{
    BrowseFrom, BrowseOrder, BrowsePosition, CloudflareId, Image, ImageId, ImageQuery, ImageUsage, LogEntry, Stretch,
    Timestamp, User, UserId,
};
use crate::store::{self, Database};

/// Why a name is not that of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerProblem {
    /// Nobody has it.
    Unknown,
    /// Several users have it.
    Ambiguous,
}

/// A page of the images of all users.
#[derive(Debug)]
pub struct ImagePage {
    /// The images.
    pub images: Vec<Image>,
    /// The names of their owners.
    pub owners: HashMap<UserId, String>,
    /// How many there are on all pages, where that is known without looking at them.
    pub count: Option<u64>,
    /// The place that the page before ends right before; none on the first page.
    pub previous: Option<BrowsePosition>,
    /// The place that the next page begins right after; none on the last page.
    pub next: Option<BrowsePosition>,
}

impl CloudflareService {
    /// A page of at most `size` images that meet the conditions, whoever owns them. What it costs does not depend on where in the list
    /// it is.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn browse_images(
        &self,
        query: &ImageQuery,
        order: BrowseOrder,
        from: BrowseFrom,
        size: u32,
    ) -> Result<ImagePage, Error> {
        self.records.browse(query, order, from, size).await
    }

    /// The same for a person who waits for it. What may have to look at all images for a page waits for its turn, so that people at work
    /// cannot take all connections away from the API, and is given up after some seconds.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn search_images(
        &self,
        query: &ImageQuery,
        order: BrowseOrder,
        from: BrowseFrom,
        size: u32,
    ) -> Result<ImagePage, SearchError> {
        if query.is_quick(order) {
            return Ok(self.browse_images(query, order, from, size).await?);
        }
        self.search(|database| async move { self.records.browse_on(&database, query, order, from, size).await }).await
    }

    /// A page of the images that meet the conditions, newest first, for a file: a page may have to look at all images, and nobody waits for
    /// it.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn export_images(
        &self,
        query: &ImageQuery,
        from: BrowseFrom,
        size: u32,
    ) -> Result<ImagePage, SearchError> {
        let order = BrowseOrder::NEWEST_FIRST;
        if query.is_quick(order) {
            return Ok(self.browse_images(query, order, from, size).await?);
        }
        self.search_for_file(
            |database| async move { self.records.browse_on(&database, query, order, from, size).await },
        )
        .await
    }

    /// When the first and the last of all images were made; none where there is no image.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn first_and_last_created(&self) -> Result<Option<(Timestamp, Timestamp)>, Error> {
        Ok(store::browsing::first_and_last(&self.database).await?)
    }

    /// Which of some times, each from its beginning up to its end, have images that were made in them: their places among them.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn times_with_images(&self, times: &[(Timestamp, Timestamp)]) -> Result<Vec<usize>, Error> {
        Ok(store::browsing::times_with_images(&self.database, times).await?)
    }

    /// An image, whoever owns it, and its owner, where it has one who is still there.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn find_any_image(&self, id: ImageId) -> Result<(Image, Option<User>), Error> {
        let image = store::images::find(&self.database, id).await?.ok_or(Error::NotFound)?;
        let owner = self.records.find_owner_of(&image).await?;
        Ok((image, owner))
    }

    /// The images with these ids at Cloudflare, whoever owns them, in this order. Those that there are none of are left out.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_images_at_cloudflare(&self, ids: &[CloudflareId]) -> Result<Vec<Image>, Error> {
        let mut images = store::images::find_by_cloudflare_ids(&self.database, &ids.iter().collect()).await?;
        images.sort_by_key(|image| ids.iter().position(|id| *id == image.cloudflare_id));
        Ok(images)
    }

    /// The key of the user with a name, or why there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_owner(&self, username: &str) -> Result<Result<UserId, OwnerProblem>, Error> {
        self.records.find_owner(username).await
    }
}

impl ImageRecords {
    /// A page of at most `size` images that meet the conditions, whoever owns them. What it costs does not depend on where in the list
    /// it is.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn browse(
        &self,
        query: &ImageQuery,
        order: BrowseOrder,
        from: BrowseFrom,
        size: u32,
    ) -> Result<ImagePage, Error> {
        self.browse_on(&self.database, query, order, from, size).await
    }

    /// The same on a database that may be limited.
    async fn browse_on(
        &self,
        database: &Database,
        query: &ImageQuery,
        order: BrowseOrder,
        from: BrowseFrom,
        size: u32,
    ) -> Result<ImagePage, Error> {
        let count = store::browsing::count(database, query).await?;
        let images = store::browsing::list(database, query, order, from, size.saturating_add(1)).await?;
        let Stretch { items: images, previous, next } =
            Stretch::cut(images, size, &from, |image| order.position(image));
        Ok(ImagePage { owners: self.name_owners(&images).await?, count, previous, next, images })
    }

    async fn name_owners(&self, images: &[Image]) -> Result<HashMap<UserId, String>, Error> {
        let mut ids: Vec<UserId> = Vec::new();
        for id in images.iter().filter_map(|image| image.user_id) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(store::users::list_names(&self.database, &ids).await?.into_iter().collect())
    }

    /// The image with a key, here or at Cloudflare, whoever owns it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_by_key(&self, key: &str) -> Result<Option<Image>, Error> {
        if let Ok(id) = key.parse::<ImageId>()
            && let Some(image) = store::images::find(&self.database, id).await?
        {
            return Ok(Some(image));
        }
        let id = CloudflareId::new(key);
        if !id.is_storable() {
            return Ok(None);
        }
        Ok(store::images::find_by_cloudflare_ids(&self.database, &[&id].into_iter().collect()).await?.pop())
    }

    /// The owner of an image, where it has one who is still there.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_owner_of(&self, image: &Image) -> Result<Option<User>, Error> {
        Ok(match image.user_id {
            Some(owner) => store::users::find(&self.database, owner).await?,
            None => None,
        })
    }

    /// The log of an image and the content that refers to it, the latest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn history(&self, image: ImageId) -> Result<(Vec<LogEntry>, Vec<ImageUsage>), Error> {
        let logs = store::upload_logs::list_of_image(&self.database, image, u32::MAX).await?;
        Ok((logs, store::usages::list_of_image(&self.database, image, u32::MAX).await?))
    }

    /// The key of the user with a name, or why there is none.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_owner(&self, username: &str) -> Result<Result<UserId, OwnerProblem>, Error> {
        match store::users::find_by_username(&self.database, username).await {
            Ok(Some(user)) => Ok(Ok(user.id)),
            Ok(None) => Ok(Err(OwnerProblem::Unknown)),
            Err(store::Error::AmbiguousUser(_)) => Ok(Err(OwnerProblem::Ambiguous)),
            Err(error) => Err(error.into()),
        }
    }
}
