//! Which images are wanted.

use serde::{Deserialize, Serialize};

use super::{CloudflareId, ImageId, ImageStatus, Timestamp};

/// Conditions on images, all of which must hold.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageFilter {
    /// How far the upload has come.
    pub status: Option<ImageStatus>,
    /// Uploaded at this time or later.
    pub uploaded_after: Option<Timestamp>,
    /// Uploaded at this time or earlier.
    pub uploaded_before: Option<Timestamp>,
    /// Whether the list of delivery URLs is anything but `[]`.
    pub has_variants: Option<bool>,
    /// Whether the picture is delivered with signed URLs only.
    pub require_signed_urls: Option<bool>,
    /// A part of either file name, in any case.
    pub filename: Option<String>,
    /// Cloudflare's `creator`, whole.
    pub creator: Option<String>,
    /// Whether only images that no content refers to are wanted.
    pub orphaned: bool,
    /// Values within the metadata.
    pub metadata: Vec<MetadataMatch>,
    /// Parts of the id at Cloudflare, a file name or the creator, in any case; each must be found in one of them.
    pub terms: Vec<String>,
    /// Any of these keys.
    pub ids: Option<Vec<ImageId>>,
    /// Any of these keys at Cloudflare.
    pub cloudflare_ids: Option<Vec<CloudflareId>>,
}

/// A string that the metadata must hold at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataMatch {
    /// Keys of objects or places in lists, from the outside; at least one.
    pub path: Vec<String>,
    /// Whether only lists are looked into, because the path is a single number.
    pub is_place_only: bool,
    /// The string there.
    pub value: String,
}

/// What images can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageSort {
    /// When the row was made.
    CreatedAt,
    /// When Cloudflare got the picture.
    UploadedAt,
    /// When the upload URL ends.
    ExpiresAt,
    /// The size of the file.
    FileSize,
}

/// A column to sort by, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageOrder {
    /// What is compared.
    pub by: ImageSort,
    /// Whether the largest comes first; unknown values count as the largest.
    pub descending: bool,
}

impl ImageFilter {
    /// Whether all images are wanted.
    pub fn is_everything(&self) -> bool {
        self.depends_on_counts_only() && self.status.is_none() && self.require_signed_urls.is_none()
    }

    /// Whether nothing but status and privacy matters, which is what images are counted by.
    pub fn depends_on_counts_only(&self) -> bool {
        let Self { status: _, require_signed_urls: _, orphaned, metadata, terms, .. } = self;
        let is_unconditional = self.uploaded_after.is_none()
            && self.uploaded_before.is_none()
            && self.has_variants.is_none()
            && self.filename.is_none()
            && self.creator.is_none()
            && self.ids.is_none()
            && self.cloudflare_ids.is_none();
        is_unconditional && !orphaned && metadata.is_empty() && terms.is_empty()
    }
}
