//! One image: what Cloudflare knows of it, changing and deleting it.

use reqwest::Method;
use serde::Serialize;

use super::transport::{Call, segment};
use super::{Client, Error, ImageDetails, Operation};
use crate::domain::{CloudflareId, Json};

/// What is to be changed in an image; what is `None` stays as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ImageUpdate {
    /// Takes the place of all metadata: an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// Whether the picture is delivered with signed URLs only.
    #[serde(rename = "requireSignedURLs", skip_serializing_if = "Option::is_none")]
    pub require_signed_urls: Option<bool>,
    /// Cloudflare's `creator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
}

impl Client {
    /// What Cloudflare knows of an image, drafts included.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is no such image.
    pub async fn get_image(&self, id: &CloudflareId) -> Result<ImageDetails, Error> {
        let path = image_path(id)?;
        let result = self.transport.call(Operation::GetImage, |account| account.get(&path)).await?;
        ImageDetails::from_result(&result)
    }

    /// Changes metadata, privacy or creator of an image. Where the privacy changes, the image may have another id then: that of the
    /// answer counts. Such a change is not tried again where it [may have taken effect](Error::may_have_taken_effect), as the image
    /// would not be found.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is no such image, [`Error::CUSTOM_ID_CANNOT_BE_PRIVATE`] where it has
    /// a custom id and was to become private.
    pub async fn update_image(&self, id: &CloudflareId, update: &ImageUpdate) -> Result<ImageDetails, Error> {
        let path = image_path(id)?;
        let call = Call::from(Operation::UpdateImage);
        let call = if update.require_signed_urls.is_some() { call } else { call.repeatable() };
        ImageDetails::from_result(&self.write(call, Method::PATCH, &path, update).await?)
    }

    /// Deletes an image or a draft. One that is not there counts as deleted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_image(&self, id: &CloudflareId) -> Result<(), Error> {
        self.delete(Operation::DeleteImage, &image_path(id)?).await
    }

    /// The same, if that is meant still when its turn has come: a call may wait for long.
    ///
    /// # Errors
    /// [`Error::CalledOff`] where it is not; others see [`Error`].
    pub async fn delete_image_if<M: Future<Output = bool>>(
        &self,
        id: &CloudflareId,
        is_meant: impl Fn() -> M,
    ) -> Result<(), Error> {
        self.delete_if(Operation::DeleteImage, &image_path(id)?, is_meant).await
    }
}

/// The path of an image: its id, whatever it holds, is one segment.
pub(super) fn image_path(id: &CloudflareId) -> Result<String, Error> {
    if !id.is_addressable() {
        return Err(Error::UnusableId);
    }
    Ok(format!("images/v1/{}", segment(id.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_is_one_segment_of_the_path() {
        for (id, segment) in [
            ("x/../img-0090", "x%2F..%2Fimg-0090"),
            ("a?b=c#d", "a%3Fb%3Dc%23d"),
            ("a%2Fb", "a%252Fb"),
            ("with space & percent%25", "with%20space%20%26%20percent%2525"),
            ("café/✓", "caf%C3%A9%2F%E2%9C%93"),
            ("keys/1", "keys%2F1"),
        ] {
            let path = image_path(&CloudflareId::new(id)).unwrap();
            assert_eq!(path, format!("images/v1/{segment}"));
        }
    }

    #[test]
    fn ids_that_name_something_else_than_an_image_are_never_sent() {
        for id in ["", ".", "..", "keys", "Variants", "stats", "config", "batch_token", "direct_upload"] {
            assert!(matches!(image_path(&CloudflareId::new(id)), Err(Error::UnusableId)), "{id}");
        }
    }

    #[test]
    fn updates_name_only_what_changes() {
        let metadata = Some(Json::parse(r#"{"a":1.0}"#).unwrap());
        let update = ImageUpdate { metadata, require_signed_urls: Some(false), creator: None };
        assert_eq!(serde_json::to_string(&update).unwrap(), r#"{"metadata":{"a": 1.0},"requireSignedURLs":false}"#);
        assert_eq!(serde_json::to_string(&ImageUpdate::default()).unwrap(), "{}");
    }
}
