//! Images that a clean-up is about.

use super::{CloudflareId, ImageId, Timestamp};

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
