//! Calls to Cloudflare.

use std::time::Duration;

use reqwest::Method;
use reqwest::multipart::{Form, Part};
use secrecy::SecretString;

use super::transport::{Account, Call, Transport, segment};
use super::{
    ClientLimits, DirectUpload, DirectUploadRequest, Error, Health, ImageDetails, ImageUpdate, NewImageFields,
    Operation, UploadFile,
};
use crate::domain::CloudflareId;

/// Where Cloudflare's API is, and on whose behalf to call it.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The address of the API, without a slash at the end: `https://api.cloudflare.com/client/v4`.
    pub base_url: String,
    /// The account whose images these are.
    pub account_id: String,
    /// A token that may read and write the account's images.
    pub api_token: SecretString,
}

/// The client of Cloudflare's REST API. Cheap to clone; all clones share the connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) transport: Transport,
}

impl Client {
    /// A client for one account, with the usual limits.
    ///
    /// # Errors
    /// If the token cannot be sent in a header, or TLS cannot be set up.
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientSetupError> {
        Self::with_limits(settings, &ClientLimits::default())
    }

    /// A client for one account.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_limits(settings: &ClientSettings, limits: &ClientLimits) -> Result<Self, ClientSetupError> {
        Ok(Self { transport: Transport::new(settings, limits)? })
    }

    /// The same client for jobs, for which nobody waits: its calls take more time and more tries, and leave requests and places in
    /// flight to those of people.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self { transport: self.transport.patient() }
    }

    /// How Cloudflare is, as far as this client and its clones know. Asks nobody.
    pub fn health(&self) -> Health {
        self.transport.health()
    }

    /// Creates a draft and the one-time URL by which its file is uploaded.
    ///
    /// Without a custom id it is tried again though there may be a draft already: nobody can find that one, and it expires by itself.
    ///
    /// # Errors
    /// See [`Error`]. Where it [may have taken effect](Error::may_have_taken_effect), there may be a draft; [`get_image`](Self::get_image)
    /// tells whether there is one with the custom id.
    pub async fn create_direct_upload(&self, request: &DirectUploadRequest) -> Result<DirectUpload, Error> {
        let form = || new_image_form(&request.image).text("expiry", request.expiry.to_isoformat());
        let call = Call::from(Operation::CreateDirectUpload);
        let call = if request.image.custom_id.is_some() { call } else { call.repeatable() };
        let result =
            self.transport.call(call, |account| account.post("images/v2/direct_upload").multipart(form())).await?;
        DirectUpload::from_result(&result)
    }

    /// Uploads a file as a new image, as its bytes come; `arrival` is how long these may take. It is tried once, as the bytes are
    /// gone then.
    ///
    /// # Errors
    /// See [`Error`]. Where it [may have taken effect](Error::may_have_taken_effect), there may be an image, unless the bytes ended
    /// with an error; it can be found by its custom id alone.
    pub async fn upload_file(
        &self,
        image: &NewImageFields,
        file: UploadFile,
        arrival: Duration,
    ) -> Result<ImageDetails, Error> {
        let part = Part::stream(file.bytes)
            .file_name(file.name)
            .mime_str(file.content_type)
            .map_err(|_| Error::Malformed("the type of the file is none"))?;
        let form = new_image_form(image).part("file", part);
        let request = |account: &Account| account.post("images/v1").multipart(form);
        ImageDetails::from_upload(&self.transport.call_once(Operation::UploadFile, arrival, request).await?)
    }

    /// Has Cloudflare fetch a picture from a URL and make an image of it; `arrival` is how long that may take.
    ///
    /// # Errors
    /// See [`Error`]. Where it [may have taken effect](Error::may_have_taken_effect), there may be an image; it can be found by its
    /// custom id alone.
    pub async fn upload_from_url(
        &self,
        image: &NewImageFields,
        url: &str,
        arrival: Duration,
    ) -> Result<ImageDetails, Error> {
        let form = || new_image_form(image).text("url", url.to_owned());
        let call = Call::from(Operation::UploadFromUrl).arriving_within(arrival);
        let result = self.transport.call(call, |account| account.post("images/v1").multipart(form())).await?;
        ImageDetails::from_upload(&result)
    }

    /// Whether the API is on this machine: an emulator.
    pub fn is_local(&self) -> bool {
        self.transport.is_local()
    }

    /// What Cloudflare knows of an image, drafts included.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is no such image.
    pub async fn get_image(&self, id: &CloudflareId) -> Result<ImageDetails, Error> {
        let path = image_path(id)?;
        let result = self.transport.call(Operation::GetImage, |account| account.get(&path)).await?;
        ImageDetails::from_result(&result)
    }

    /// Changes metadata, privacy or creator of an image. The image may have another id then: that of the answer counts.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is no such image, [`Error::CUSTOM_ID_CANNOT_BE_PRIVATE`] where it has
    /// a custom id and was to become private.
    pub async fn update_image(&self, id: &CloudflareId, update: &ImageUpdate) -> Result<ImageDetails, Error> {
        let path = image_path(id)?;
        ImageDetails::from_result(&self.write(Operation::UpdateImage, Method::PATCH, &path, update).await?)
    }

    /// Deletes an image or a draft. One that is not there counts as deleted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_image(&self, id: &CloudflareId) -> Result<(), Error> {
        self.delete(Operation::DeleteImage, &image_path(id)?).await
    }
}

/// The path of an image: its id, whatever it holds, is one segment.
pub(super) fn image_path(id: &CloudflareId) -> Result<String, Error> {
    if !id.is_addressable() {
        return Err(Error::UnusableId);
    }
    Ok(format!("images/v1/{}", segment(id.as_str())))
}

/// What every form says that makes an image.
fn new_image_form(image: &NewImageFields) -> Form {
    let mut form = Form::new()
        .text("requireSignedURLs", image.require_signed_urls.to_string())
        .text("metadata", image.metadata.as_str().to_owned());
    if let Some(id) = &image.custom_id {
        form = form.text("id", id.as_str().to_owned());
    }
    if !image.creator.is_empty() {
        form = form.text("creator", image.creator.clone());
    }
    form
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientSetupError {
    /// The token holds characters that no header may hold.
    #[error("the API token holds characters that cannot be sent")]
    Token,
    /// TLS could not be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[from] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let settings = ClientSettings {
            base_url: "https://api.example/client/v4/".to_owned(),
            account_id: "acct/../1".to_owned(),
            api_token: "secret-token".to_owned().into(),
        };
        Client::new(&settings).unwrap()
    }

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
    fn the_token_is_not_in_the_debug_output() {
        assert!(!format!("{:?}", client()).contains("secret-token"));
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_refused() {
        let settings =
            ClientSettings { base_url: String::new(), account_id: String::new(), api_token: "a\nb".to_owned().into() };
        assert!(matches!(Client::new(&settings), Err(ClientSetupError::Token)));
    }
}
