//! Fetching a picture from the URL that an upload or a delivery names.
//!
//! The emulator runs on the machine of a developer, for that developer: addresses of this machine and its network are fetched, too.

use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use reqwest::{Client, Response, Url, redirect};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::bodies::{Bodies, Room};
use super::envelope::ApiError;
use super::upload::{File, MAX_FILE, base_name};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the answer may take to begin, redirects included, and how long it may take from there to its end.
const TIMEOUT: Duration = Duration::from_secs(20);
const MAX_REDIRECTS: usize = 5;
/// Who fetches a picture to transform it; by this a picture that would be made of itself is found out.
pub(super) const VIA: &str = "1.1 image-resizing";

/// Fetches pictures.
#[derive(Debug)]
pub(super) struct Fetcher(Client);

/// A picture from elsewhere.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Where it was in the end.
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
    /// To be kept as long as the bytes are.
    pub(super) room: Room,
}

/// Why a picture could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The host may not be asked, or the URL is not one of the web.
    #[error("{0} is not allowed")]
    NotAllowed(Url),
    /// The name of the host is not known.
    #[error("there is no such host")]
    UnknownHost,
    /// The host is not there, or it broke off.
    #[error("there is no answer")]
    NoAnswer,
    /// The picture took too long.
    #[error("it takes more than {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    /// The answer leads to nowhere.
    #[error("it is redirected to what is no URL")]
    BadRedirect,
    /// One answer leads to the next.
    #[error("there are more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    /// The answer is no success.
    #[error("the answer is {}", .0.as_u16())]
    Status(StatusCode),
    /// The file is larger than it may be.
    #[error("it is larger than {} MB", .0 / 1_000_000)]
    TooLarge(usize),
}

impl Fetcher {
    /// A fetcher that follows no redirect without looking where it leads.
    pub(super) fn new() -> reqwest::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(redirect::Policy::none())
            // The picture is on this machine or near it, also where the way out leads through a proxy.
            .no_proxy()
            .user_agent(concat!("cfimages-emulator/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    /// The file at a URL, of at most `max_bytes`. `is_allowed` is asked about the URL and about every one it is redirected to.
    pub(super) async fn fetch(
        &self,
        url: Url,
        is_allowed: impl Fn(&Url) -> bool,
        max_bytes: usize,
        bodies: &Bodies,
    ) -> Result<Fetched, FetchError> {
        let timed_out = |_| FetchError::TimedOut;
        let response = timeout(TIMEOUT, self.follow(url, is_allowed)).await.map_err(timed_out)??;
        let (url, headers) = (response.url().clone(), response.headers().clone());
        let length =
            response.content_length().map_or(max_bytes, |length| usize::try_from(length).unwrap_or(usize::MAX));
        if length > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        let room = bodies.room_for(length).await;
        let bytes = timeout(TIMEOUT, read(response, length)).await.map_err(timed_out)??;
        Ok(Fetched { url, headers, bytes, room })
    }

    /// The first answer that is no redirect.
    async fn follow(&self, mut url: Url, is_allowed: impl Fn(&Url) -> bool) -> Result<Response, FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            if !is_http(&url) || !is_allowed(&url) {
                return Err(FetchError::NotAllowed(url));
            }
            let request = self.0.get(url.clone()).header(header::ACCEPT, "image/*").header(header::VIA, VIA);
            let response = match request.send().await {
                Ok(response) => response,
                Err(_) if is_unknown(&url).await => return Err(FetchError::UnknownHost),
                Err(_) => return Err(FetchError::NoAnswer),
            };
            match response.status() {
                StatusCode::OK => return Ok(response),
                status if status.is_redirection() => url = target(&url, &response).ok_or(FetchError::BadRedirect)?,
                status => return Err(FetchError::Status(status)),
            }
        }
        Err(FetchError::TooManyRedirects)
    }

    /// The file at a URL that an upload names, and the room for it. Whatever fails is 5454; the text and the status are UNCONFIRMED.
    pub(super) async fn fetch_upload(&self, url: &str, bodies: &Bodies) -> Result<(File, Room), ApiError> {
        let url = Url::parse(url).ok().filter(is_http).ok_or_else(|| failed("the URL is not one of http or https"))?;
        let is_delivered =
            |url: &Url| url.host_str().is_some_and(|host| host.eq_ignore_ascii_case("imagedelivery.net"));
        if is_delivered(&url) {
            return Err(failed("it is delivered by Cloudflare Images already"));
        }
        let fetched = self.fetch(url, |_| true, MAX_FILE, bodies).await.map_err(|error| failed(&error.to_string()))?;
        let (filename, content_type) = (filename(&fetched.url), fetched.content_type());
        Ok((File { filename, content_type, bytes: fetched.bytes }, fetched.room))
    }
}

impl Fetched {
    /// What the server says it is; empty where it says nothing.
    pub(super) fn content_type(&self) -> String {
        let value = self.headers.get(header::CONTENT_TYPE);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }
}

async fn read(mut response: Response, max_bytes: usize) -> Result<Bytes, FetchError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| FetchError::NoAnswer)? {
        if bytes.len() + chunk.len() > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

/// Where a redirect leads.
fn target(from: &Url, response: &Response) -> Option<Url> {
    from.join(response.headers().get(header::LOCATION)?.to_str().ok()?).ok()
}

/// Whether the host of a URL has no address.
async fn is_unknown(url: &Url) -> bool {
    match (url.host_str(), url.port_or_known_default()) {
        (Some(host), Some(port)) => lookup_host((host.trim_matches(['[', ']']), port)).await.is_err(),
        _ => true,
    }
}

fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// The last segment of the path.
fn filename(url: &Url) -> String {
    base_name(&percent_decode_str(url.path()).decode_utf8_lossy())
}

fn failed(reason: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, 5454, format!("The image could not be fetched: {reason}"))
}
