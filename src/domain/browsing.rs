//! Going through all images, whoever owns them, page by page.

use serde::{Deserialize, Serialize};

use super::{CloudflareId, Image, ImageFilter, ImageId, PageFrom, Timestamp, UserId};

/// Which of all images are wanted: conditions, all of which must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageQuery {
    /// The conditions that users have for their own images, too.
    pub filter: ImageFilter,
    /// Whose they are.
    pub owner: Option<UserId>,
    /// The key here or at Cloudflare.
    pub key: Option<(ImageId, CloudflareId)>,
    /// Whether only images that some content refers to are wanted.
    pub is_used: bool,
    /// Whether only uploads that have not happened yet are wanted, `pending` or `draft`.
    pub is_unfinished: bool,
    /// Made at this time or later.
    pub created_from: Option<Timestamp>,
    /// Made before this time.
    pub created_before: Option<Timestamp>,
    /// Uploaded at this time or later.
    pub uploaded_from: Option<Timestamp>,
    /// Uploaded before this time.
    pub uploaded_before: Option<Timestamp>,
    /// With an upload URL that ends at this time or later.
    pub expires_from: Option<Timestamp>,
    /// With an upload URL that ends before this time.
    pub expires_before: Option<Timestamp>,
    /// At least so many bytes.
    pub min_bytes: Option<i64>,
    /// At most so many bytes.
    pub max_bytes: Option<i64>,
}

impl ImageQuery {
    /// Whether nothing but owner, status and privacy matters, which is what images are counted by.
    pub fn depends_on_counts_only(&self) -> bool {
        self.key.is_none()
            && self.created_from.is_none()
            && self.created_before.is_none()
            && !self.is_used
            && !self.is_unfinished
            && !self.has_unsorted_conditions()
            && self.filter.depends_on_counts_only()
    }

    /// Whether a page in this order is found through an index, wherever it is. Otherwise, all images may have to be looked at for it.
    pub fn is_quick(&self, order: BrowseOrder) -> bool {
        // No index has the privacy: all images would be looked at for the few that are private.
        let is_sorted = order.by == BrowseBy::CreatedAt && self.filter.require_signed_urls.is_none();
        let is_sorted = is_sorted && !self.has_unsorted_conditions() && !self.is_used;
        self.key.is_some() || (is_sorted && self.filter.depends_on_counts_only())
    }

    /// Whether there are conditions that no index serves together with an order.
    fn has_unsorted_conditions(&self) -> bool {
        let times = [self.uploaded_from, self.uploaded_before, self.expires_from, self.expires_before];
        times.iter().any(Option::is_some) || self.min_bytes.is_some() || self.max_bytes.is_some()
    }
}

/// What all images can be sorted by; ties are sorted by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BrowseBy {
    /// When the row was made.
    #[default]
    CreatedAt,
    /// When Cloudflare got the picture; those that it did not get come before the first.
    UploadedAt,
    /// The size of the file; unknown ones are smaller than all others.
    FileSize,
}

/// The order of all images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrowseOrder {
    /// What is compared.
    pub by: BrowseBy,
    /// Whether the largest comes first.
    pub descending: bool,
}

impl BrowseOrder {
    /// Newest first.
    pub const NEWEST_FIRST: Self = Self { by: BrowseBy::CreatedAt, descending: true };
    /// Oldest first.
    pub const OLDEST_FIRST: Self = Self { by: BrowseBy::CreatedAt, descending: false };

    /// The place of an image in this order.
    pub fn position(self, image: &Image) -> BrowsePosition {
        let value = match self.by {
            BrowseBy::CreatedAt => image.created_at.as_micros(),
            BrowseBy::UploadedAt => image.uploaded_at.unwrap_or_else(BrowsePosition::never).as_micros(),
            BrowseBy::FileSize => image.file_size.unwrap_or(BrowsePosition::UNKNOWN_SIZE),
        };
        BrowsePosition { value, id: image.id }
    }
}

/// The place of an image in an order, whether it is still there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowsePosition {
    /// What is compared: microseconds since 1970 began, or bytes.
    pub value: i64,
    /// The key, for ties.
    pub id: ImageId,
}

impl BrowsePosition {
    /// What stands for a size that is not known.
    pub const UNKNOWN_SIZE: i64 = -1;

    /// What stands for the time of an upload that did not happen.
    pub fn never() -> Timestamp {
        Timestamp::from_micros(i64::MIN)
    }
}

/// Where a page of images begins or ends.
pub type BrowseFrom = PageFrom<BrowsePosition>;
