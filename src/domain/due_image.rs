//! Images that a clean-up is about.

use super::{CloudflareId, ImageId, Timestamp};

/// Which images a clean-up is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Pending and draft images whose upload URL ended before a time.
    Expiring,
    /// Images that expired before a time, those included that will be marked as expired first.
    Old,
    /// Uploaded images to which nothing has referred since a time.
    Orphaned,
}

/// What a clean-up has to know of an image.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct DueImage {
    /// The key here.
    pub id: ImageId,
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// When the upload URL ended, or ends.
    pub expires_at: Timestamp,
}
