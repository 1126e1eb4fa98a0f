//! What a page about changing one image says of it.

use super::{MAX_LINES, UsageLine, cut, read_id, usage_line};
use crate::admin::Admin;
use crate::admin::error::PageError;
use crate::admin::picture::{Badge, Thumbnail, name, status_badge};
use crate::domain::Image;

/// An image, and the content that uses it.
pub(super) struct Subject {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) cloudflare_id: String,
    pub(super) thumbnail: Thumbnail,
    pub(super) status: Badge,
    pub(super) is_private: bool,
    pub(super) usages: Vec<UsageLine>,
    pub(super) has_more_usages: bool,
}

impl Subject {
    /// The image with a key.
    pub(super) async fn find(admin: &Admin, id: &str) -> Result<(Image, Self), PageError> {
        let (image, _) = admin.service.find_any_image(read_id(id)?).await?;
        let now = admin.service.clock().now();
        let mut usages = admin.service.list_image_usages(image.id, MAX_LINES + 1).await?;
        let subject = Self {
            id: image.id.to_string(),
            name: name(&image, 120),
            cloudflare_id: image.cloudflare_id.as_str().to_owned(),
            thumbnail: Thumbnail::new(&admin.links, &image, now),
            status: status_badge(&image.status),
            is_private: image.require_signed_urls,
            has_more_usages: cut(&mut usages),
            usages: usages.iter().map(|usage| usage_line(usage, now)).collect(),
        };
        Ok((image, subject))
    }

    /// How many references there are, in words.
    pub(super) fn uses(&self) -> String {
        match (self.usages.len(), self.has_more_usages) {
            (1, _) => "in one place".to_owned(),
            (count, false) => format!("in {count} places"),
            (count, true) => format!("in more than {count} places"),
        }
    }
}
