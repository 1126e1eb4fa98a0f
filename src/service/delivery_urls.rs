//! Telling where a picture is delivered from, signed where it is private.

use tracing::instrument;

use super::links::{PictureUrl, end_after};
use super::{CloudflareService, Error, ImageLinks};
use crate::delivery::{SignError, Transform};
use crate::domain::{Image, Timestamp};
use crate::metrics::TransformationSource;

/// Where a variant of a picture is.
#[derive(Debug)]
pub struct VariantUrl {
    /// The URL.
    pub url: PictureUrl,
    /// When it ends; never where it is not signed.
    pub expires_at: Option<Timestamp>,
}

impl CloudflareService {
    /// The delivery URL of a variant, a name or options. That of a private picture is signed for `lifetime` seconds, rounded up
    /// to five minutes.
    ///
    /// # Errors
    /// [`Error::NotUploaded`] if there is no picture yet, [`Error::Unsignable`] if the picture is private and the variant is a
    /// list of options, [`Error::NoSigningKey`] and [`Error::NoAccountHash`] if what is needed is neither configured nor to be
    /// had.
    #[instrument(name = "service.delivery_urls.make", skip_all, fields(image.id = %image.id))]
    pub async fn variant_url(
        &self,
        image: &Image,
        links: &ImageLinks,
        variant: &str,
        lifetime: i64,
    ) -> Result<VariantUrl, Error> {
        if !image.is_uploaded() {
            return Err(Error::NotUploaded(image.cloudflare_id.clone()));
        }
        let url = links.url_of(image, variant).ok_or(Error::NoAccountHash)?;
        if !image.require_signed_urls {
            self.count_options_of(variant);
            return Ok(VariantUrl { url: PictureUrl::unsigned(url), expires_at: None });
        }
        // Before Cloudflare is asked for a key that would be of no use.
        if variant.contains('=') {
            return Err(Error::Unsignable(SignError::FlexibleVariant));
        }
        let key = self.signing_keys.get(&self.client).await.map_err(Error::NoSigningKey)?;
        let until = end_after(self.clock.now(), lifetime);
        let url = links.sign(&url, key, until).map_err(|error| match error {
            SignError::NoAccountHash => Error::NoAccountHash,
            error => Error::Unsignable(error),
        })?;
        Ok(VariantUrl { url, expires_at: Some(until) })
    }

    /// Counts the options of a variant that is a list of them.
    fn count_options_of(&self, variant: &str) {
        if variant.contains('=') {
            let (transform, _) = Transform::parse_leniently(variant);
            let options = transform.option_names();
            self.metrics().count_transformation(TransformationSource::DeliveryUrl, "", &options);
        }
    }
}
