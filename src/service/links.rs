//! The addresses under which the pictures of images are shown.

use crate::delivery::DeliveryUrls;
use crate::domain::{Image, ImageStatus};

/// Finds the delivery URLs of images in the shape of the application.
#[derive(Debug, Clone)]
pub struct ImageLinks {
    urls: DeliveryUrls,
    thumbnail_variant: String,
}

impl ImageLinks {
    /// Links in the shape of `urls`; `thumbnail_variant` is the name of a variant, or options such as `w=300,fit=cover`.
    pub fn new(urls: DeliveryUrls, thumbnail_variant: String) -> Self {
        Self { urls, thumbnail_variant }
    }

    /// The delivery URLs of the application.
    pub fn urls(&self) -> &DeliveryUrls {
        &self.urls
    }

    /// A URL of the picture that options of transformations can be added to; none where neither Cloudflare nor the
    /// configuration says what it is.
    pub fn picture_url(&self, image: &Image) -> Option<String> {
        self.public_url(image).or_else(|| self.future_public_url(image))
    }

    /// The URL of the variant `public`; none for drafts, which have no picture.
    pub fn public_url(&self, image: &Image) -> Option<String> {
        self.variant_url(image, "public")
    }

    /// The URL of a preview, else that of `public`.
    ///
    /// upstream: `CloudflareImage.thumbnail_url`
    pub fn thumbnail_url(&self, image: &Image) -> Option<String> {
        if self.thumbnail_variant.contains('=') {
            return Some(self.urls.with_options(&self.public_url(image)?, &self.thumbnail_variant));
        }
        self.variant_url(image, &self.thumbnail_variant).or_else(|| self.public_url(image))
    }

    /// The URL that the variant `public` will have once the picture is uploaded, where the account hash is known.
    pub fn future_public_url(&self, image: &Image) -> Option<String> {
        self.urls.build(image.cloudflare_id.as_str(), "public")
    }

    fn variant_url(&self, image: &Image, name: &str) -> Option<String> {
        if image.status == ImageStatus::Draft {
            return None;
        }
        image.variants.url_of(name).map(|url| self.urls.rewrite(&url).into_owned())
    }
}
