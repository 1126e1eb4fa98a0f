//! Fetching a picture from the URL that an upload names.
//!
//! The emulator runs on the machine of a developer, for that developer: addresses of this machine and its network are fetched, too.

use std::time::Duration;

use axum::http::{StatusCode, header};
use percent_encoding::percent_decode_str;
use reqwest::{Client, Response, Url, redirect};

use super::envelope::ApiError;
use super::upload::{File, MAX_FILE, base_name};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a picture may take to come, redirects included.
const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_REDIRECTS: usize = 5;

/// Fetches pictures.
#[derive(Debug)]
pub(super) struct Fetcher(Client);

impl Fetcher {
    /// A fetcher that follows a few redirects, to `http` and `https` only.
    pub(super) fn new() -> reqwest::Result<Self> {
        let policy = redirect::Policy::custom(|attempt| {
            if attempt.previous().len() > MAX_REDIRECTS || !is_http(attempt.url()) {
                return attempt.stop();
            }
            attempt.follow()
        });
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(policy)
            // The picture is on this machine or near it, also where the way out leads through a proxy.
            .no_proxy()
            .user_agent(concat!("cfimages-emulator/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    /// The file at a URL. Whatever fails is 5454; the text and the status are UNCONFIRMED.
    pub(super) async fn fetch(&self, url: &str) -> Result<File, ApiError> {
        let url = Url::parse(url).ok().filter(is_http).ok_or_else(|| failed("the URL is not one of http or https"))?;
        if url.host_str().is_some_and(|host| host.eq_ignore_ascii_case("imagedelivery.net")) {
            return Err(failed("it is delivered by Cloudflare Images already"));
        }
        let no_answer = |_| failed("there is no answer");
        let mut response = self.0.get(url).send().await.map_err(no_answer)?;
        if response.status() != StatusCode::OK {
            return Err(failed(&format!("the answer is {}", response.status().as_u16())));
        }
        let (filename, content_type) = (filename(response.url()), content_type(&response));
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
            if bytes.len() + chunk.len() > MAX_FILE {
                return Err(failed("it is larger than 10 MB"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(File { filename, content_type, bytes: bytes.into() })
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The last segment of the path.
fn filename(url: &Url) -> String {
    base_name(&percent_decode_str(url.path()).decode_utf8_lossy())
}

fn content_type(response: &Response) -> String {
    let value = response.headers().get(header::CONTENT_TYPE);
    value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn failed(reason: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, 5454, format!("The image could not be fetched: {reason}"))
}
