//! The addresses under which the pictures of images are shown.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use crate::delivery::{DeliveryUrls, SignError, round_up_expiry};
use crate::domain::{Image, ImageStatus, Timestamp};

/// How long signed URLs are good that nobody chose a time for, in seconds.
pub const DEFAULT_LIFETIME: i64 = 3600;

/// Finds the delivery URLs of images in the shape of the application.
#[derive(Debug, Clone)]
pub struct ImageLinks {
    urls: DeliveryUrls,
    thumbnail_variant: String,
    signing_key: Option<SecretString>,
}

/// Where a private picture is shown for a while.
#[derive(Debug)]
pub struct SignedLinks {
    /// The signed URL of the variant `public`.
    pub public_url: Option<PictureUrl>,
    /// The signed URL of a preview; none where previews are made by options, which cannot be signed.
    pub thumbnail_url: Option<PictureUrl>,
    /// When both end.
    pub until: Timestamp,
}

/// A URL that may be signed: whoever has it may see the picture, so [`Debug`](fmt::Debug) leaves it out.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct PictureUrl(String);

impl fmt::Debug for PictureUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PictureUrl(***)")
    }
}

impl PictureUrl {
    /// The URL; not to be logged.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the URL of a public picture.
    pub(super) fn unsigned(url: String) -> Self {
        Self(url)
    }
}

impl ImageLinks {
    /// Links in the shape of `urls`; `thumbnail_variant` is the name of a variant, or options such as `w=300,fit=cover`. With a
    /// key there are links of private pictures, too.
    pub fn new(urls: DeliveryUrls, thumbnail_variant: String, signing_key: Option<SecretString>) -> Self {
        Self { urls, thumbnail_variant, signing_key }
    }

    /// The delivery URLs of the application.
    pub fn urls(&self) -> &DeliveryUrls {
        &self.urls
    }

    /// Whether there is a key for the pictures of private images.
    pub fn has_signing_key(&self) -> bool {
        self.signing_key.is_some()
    }

    /// A URL of the picture that options of transformations can be added to; none where neither Cloudflare nor the
    /// configuration says what it is.
    pub fn picture_url(&self, image: &Image) -> Option<String> {
        self.public_url(image).or_else(|| self.future_public_url(image))
    }

    /// The URL of the variant `public`; none for drafts, which have no picture.
    pub fn public_url(&self, image: &Image) -> Option<String> {
        self.listed_url(image, "public")
    }

    /// The URL of a preview, else that of `public`.
    ///
    /// upstream: `CloudflareImage.thumbnail_url`
    pub fn thumbnail_url(&self, image: &Image) -> Option<String> {
        if self.thumbnail_variant.contains('=') {
            return Some(self.urls.with_options(&self.public_url(image)?, &self.thumbnail_variant));
        }
        self.listed_url(image, &self.thumbnail_variant).or_else(|| self.public_url(image))
    }

    /// The URL that the variant `public` will have once the picture is uploaded, where the account hash is known.
    pub fn future_public_url(&self, image: &Image) -> Option<String> {
        self.urls.build(image.cloudflare_id.as_str(), "public")
    }

    /// The links of a private picture, signed for [`DEFAULT_LIFETIME`] rounded up to five minutes. None where the picture is
    /// public or not there yet, or where no key is configured.
    pub fn signed(&self, image: &Image, now: Timestamp) -> Option<SignedLinks> {
        let key = self.signing_key.as_ref().filter(|_| image.require_signed_urls && image.is_uploaded())?;
        let until = end_after(now, DEFAULT_LIFETIME);
        let sign = |url: Option<String>| self.sign(&url?, key, until).ok();
        let (public_url, thumbnail_url) = (sign(self.public_url(image)), sign(self.thumbnail_url(image)));
        let is_any = public_url.is_some() || thumbnail_url.is_some();
        is_any.then_some(SignedLinks { public_url, thumbnail_url, until })
    }

    /// Signs a delivery URL.
    pub(super) fn sign(&self, url: &str, key: &SecretString, until: Timestamp) -> Result<PictureUrl, SignError> {
        self.urls.sign(url, key.expose_secret(), until.as_unix_seconds()).map(PictureUrl)
    }

    /// The URL of any variant, a name or options, whether Cloudflare listed it or not; none where that takes the account hash and
    /// nothing tells it.
    pub(super) fn url_of(&self, image: &Image, variant: &str) -> Option<String> {
        self.urls
            .build(image.cloudflare_id.as_str(), variant)
            .or_else(|| Some(self.urls.with_options(&self.public_url(image)?, variant)))
            .filter(|url| self.urls.is_delivery_url(url))
    }

    fn listed_url(&self, image: &Image, name: &str) -> Option<String> {
        if image.status == ImageStatus::Draft {
            return None;
        }
        image.variants.url_of(name).map(|url| self.urls.rewrite(&url).into_owned())
    }
}

/// The end of a signed URL that is good for some seconds at least: the next full five minutes after that.
pub(super) fn end_after(now: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_micros(round_up_expiry(now.as_unix_seconds().saturating_add(seconds)).saturating_mul(1_000_000))
}
