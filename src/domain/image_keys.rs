//! What images are named by.

use super::{CloudflareId, ImageId};

/// One key of an image, of either kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImageKey {
    /// The key here.
    Id(ImageId),
    /// The key at Cloudflare.
    CloudflareId(CloudflareId),
}

/// Both keys of an image.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct ImageKeys {
    /// The key here.
    pub id: ImageId,
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
}

impl ImageKeys {
    /// Each of them alone.
    pub fn each(&self) -> [ImageKey; 2] {
        [ImageKey::Id(self.id), ImageKey::CloudflareId(self.cloudflare_id.clone())]
    }
}
