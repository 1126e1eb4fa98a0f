//! Where images are used: rows of `cloudflare_image_usages`.

use super::{CloudflareId, ImageId, Timestamp};

/// A reference of some content to an image.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct ImageUsage {
    /// The row's number.
    pub id: i64,
    /// The image at Cloudflare that the content names.
    pub cloudflare_id: CloudflareId,
    /// The image's record here; none for images that are not recorded.
    pub image_id: Option<ImageId>,
    /// The application of the content's model: `shop`.
    pub app_label: String,
    /// The model of the content, in lower case: `product`.
    pub model: String,
    /// The key of the content, as text.
    pub object_id: String,
    /// The field of the content that names the image, or a label of the application's own.
    pub field_name: String,
    /// When the reference was recorded.
    pub created_at: Timestamp,
    /// When the reference was last recorded anew.
    pub updated_at: Timestamp,
}

impl ImageUsage {
    /// The model of the content as `app_label.model`.
    pub fn content_type(&self) -> String {
        format!("{}.{}", self.app_label, self.model)
    }

    /// Whether the content names an image that is not recorded here.
    pub fn is_unregistered(&self) -> bool {
        self.image_id.is_none()
    }
}
