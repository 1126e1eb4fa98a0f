//! Calls to Cloudflare.

use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::multipart::{Form, Part};
use reqwest::{RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::model::errors_in;
use super::{
    DirectUpload, DirectUploadRequest, Error, ImageDetails, ImageUpdate, NewImageFields, SigningKey, UploadFile,
};
use crate::domain::CloudflareId;

/// How long to try to reach Cloudflare.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call may take in all; the toolkit's limit. Uploads get the time for their bytes beside it.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of an answer that are read.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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
    http: reqwest::Client,
    /// The address of the account, without a slash at the end.
    account_url: String,
}

impl Client {
    /// A client for one account.
    ///
    /// # Errors
    /// If the token cannot be sent in a header, or TLS cannot be set up.
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientSetupError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.api_token.expose_secret()))
            .map_err(|_| ClientSetupError::Token)?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let mut builder = reqwest::Client::builder();
        if is_loopback(&settings.base_url) {
            // A proxy of the environment would look for its own loopback.
            builder = builder.no_proxy();
        }
        let http = builder
            .user_agent(concat!("cfimages/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            // A redirect would carry the token elsewhere, and turn a DELETE into a GET.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let account = utf8_percent_encode(&settings.account_id, SEGMENT);
        Ok(Self { http, account_url: format!("{}/accounts/{account}", settings.base_url.trim_end_matches('/')) })
    }

    /// Creates a draft and the one-time URL by which its file is uploaded.
    ///
    /// # Errors
    /// See [`Error`]. After [`Error::Interrupted`] there may be a draft; it expires by itself.
    pub async fn create_direct_upload(&self, request: &DirectUploadRequest) -> Result<DirectUpload, Error> {
        let form = new_image_form(&request.image).text("expiry", request.expiry.to_isoformat());
        let result =
            call(self.http.post(format!("{}/images/v2/direct_upload", self.account_url)).multipart(form)).await?;
        DirectUpload::from_result(&result)
    }

    /// Uploads a file as a new image, as its bytes come; `arrival` is how long these may take.
    ///
    /// # Errors
    /// See [`Error`]. After [`Error::Interrupted`] there may be an image, unless the bytes ended with an error.
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
        self.upload(new_image_form(image).part("file", part), arrival).await
    }

    /// Has Cloudflare fetch a picture from a URL and make an image of it; `arrival` is how long that may take.
    ///
    /// # Errors
    /// See [`Error`]. After [`Error::Interrupted`] there may be an image.
    pub async fn upload_from_url(
        &self,
        image: &NewImageFields,
        url: &str,
        arrival: Duration,
    ) -> Result<ImageDetails, Error> {
        self.upload(new_image_form(image).text("url", url.to_owned()), arrival).await
    }

    async fn upload(&self, form: Form, arrival: Duration) -> Result<ImageDetails, Error> {
        let request = self.http.post(format!("{}/images/v1", self.account_url)).timeout(arrival + TOTAL_TIMEOUT);
        let result = call(request.multipart(form)).await?;
        ImageDetails::from_upload(&result)
    }

    /// Whether the API is on this machine: an emulator.
    pub fn is_local(&self) -> bool {
        is_loopback(&self.account_url)
    }

    /// What Cloudflare knows of an image, drafts included.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is no such image.
    pub async fn get_image(&self, id: &CloudflareId) -> Result<ImageDetails, Error> {
        let result = call(self.http.get(self.image_url(id)?)).await?;
        ImageDetails::from_result(&result)
    }

    /// Changes metadata, privacy or creator of an image. The image may have another id then: that of the answer counts.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is no such image, [`Error::CUSTOM_ID_CANNOT_BE_PRIVATE`] where it has
    /// a custom id and was to become private.
    pub async fn update_image(&self, id: &CloudflareId, update: &ImageUpdate) -> Result<ImageDetails, Error> {
        let request = self.http.patch(self.image_url(id)?).header(CONTENT_TYPE, "application/json");
        let body = serde_json::to_string(update).map_err(|_| Error::Malformed("the update is no JSON"))?;
        let result = call(request.body(body)).await?;
        ImageDetails::from_result(&result)
    }

    /// Deletes an image or a draft. One that is not there counts as deleted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_image(&self, id: &CloudflareId) -> Result<(), Error> {
        match send(self.http.delete(self.image_url(id)?)).await {
            Err(error) if error.is_not_found() => Ok(()),
            answer => answer.map(drop),
        }
    }

    /// The keys of the account that delivery URLs of private images are signed with; each is as good as the others.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, Error> {
        let result = call(self.http.get(format!("{}/images/v1/keys", self.account_url))).await?;
        SigningKey::list_from_result(&result)
    }

    /// The address of an image: its id, whatever it holds, is one segment of the path.
    fn image_url(&self, id: &CloudflareId) -> Result<String, Error> {
        // URL parsers resolve these two even when they are percent-encoded.
        if matches!(id.as_str(), "" | "." | "..") {
            return Err(Error::UnusableId);
        }
        Ok(format!("{}/images/v1/{}", self.account_url, utf8_percent_encode(id.as_str(), SEGMENT)))
    }
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

/// Whether the API is on this machine.
fn is_loopback(base_url: &str) -> bool {
    let host = reqwest::Url::parse(base_url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
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

/// Sends a request and takes `result`, which must be there, out of the envelope of the answer.
async fn call(request: RequestBuilder) -> Result<Box<RawValue>, Error> {
    send(request).await?.ok_or(Error::Malformed("it has no result"))
}

/// Sends a request and takes `result`, where there is one, out of the envelope of the answer.
async fn send(request: RequestBuilder) -> Result<Option<Box<RawValue>>, Error> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(default)]
        success: bool,
        #[serde(borrow)]
        result: Option<&'a RawValue>,
    }

    let response = request.send().await?;
    let status = response.status();
    let body = read_body(response).await?;
    if !status.is_success() {
        return Err(Error::Status { status, errors: errors_in(&body) });
    }
    let envelope: Envelope<'_> =
        serde_json::from_slice(&body).map_err(|_| Error::Malformed("it is no JSON envelope"))?;
    if !envelope.success {
        return Err(Error::Unsuccessful { errors: errors_in(&body) });
    }
    Ok(envelope.result.map(ToOwned::to_owned))
}

async fn read_body(mut response: Response) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(Error::Malformed("it is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
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
        ] {
            let url = client().image_url(&CloudflareId::new(id)).unwrap();
            assert_eq!(url, format!("https://api.example/client/v4/accounts/acct%2F..%2F1/images/v1/{segment}"));
        }
    }

    #[test]
    fn ids_that_are_dot_segments_are_never_sent() {
        for id in ["", ".", ".."] {
            assert!(matches!(client().image_url(&CloudflareId::new(id)), Err(Error::UnusableId)), "{id}");
        }
    }

    #[test]
    fn loopback_is_known_in_every_form() {
        for url in ["http://127.0.0.1:8001/client/v4", "http://[::1]:8001", "http://localhost/x"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in ["https://api.cloudflare.com/client/v4", "http://10.0.0.1", "nonsense"] {
            assert!(!is_loopback(url), "{url}");
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
