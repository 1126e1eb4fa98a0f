//! Pictures of other hosts: `/cdn-cgi/image/{options}/{source}`.

use std::borrow::Cow;

use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use reqwest::Url;
use sha2::{Digest, Sha256};

use crate::delivery::{OnError, Resolved};

use super::super::fetch::{FetchError, Fetched, VIA};
use super::super::storage::hex;
use super::super::transform::{self, Content, Rejection};
use super::refusal::RESIZED;
use super::{Account, Browser, File, Found, Job, Refusal, answer, parse_options, path, public_for, vary, warnings};

const PREFIX: &str = "/cdn-cgi/image/";
/// Bytes of a picture.
const MAX_SOURCE: usize = 100_000_000;
/// Seconds that browsers keep a picture whose source does not say how long.
const BROWSER_TTL: u32 = 3600;

/// Whether the URL is one of a transformation.
pub(super) fn is_remote(uri: &Uri) -> bool {
    uri.path().starts_with(PREFIX)
}

/// Answers with a picture of another host, transformed.
///
/// UNCONFIRMED, and chosen here: the codes of failures that several of Cloudflare's could stand for; that the time a browser keeps
/// the picture is the source's `Cache-Control`; the status of a redirect, 307.
pub(super) async fn answer(account: &Account, request: &Parts) -> Result<Response, Refusal> {
    let asked = Asked::parse(account, &request.uri)?;
    let is_loop = request.headers.get_all(header::VIA).iter().any(|value| value == VIA);
    if is_loop || asked.source.path().starts_with(PREFIX) {
        return Err(LOOP);
    }
    if !account.sources.allow(&asked.source) {
        return Err(not_allowed(&asked.source));
    }
    match transformed(account, &asked, request).await {
        Err(_) if asked.is_redirected_on_error(account) => Ok(redirect(&asked.source)),
        result => result,
    }
}

/// What a URL asks for.
struct Asked {
    options: Resolved,
    warnings: Vec<Cow<'static, str>>,
    source: Url,
}

impl Asked {
    fn parse(account: &Account, uri: &Uri) -> Result<Self, Refusal> {
        let rest = uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let (options, source) = rest.split_once('/').ok_or(NO_SOURCE)?;
        let decoded = path::decode(options).ok_or_else(|| Refusal::bad_options("they are not UTF-8"))?;
        // Options are decoded one by one, but where all of them were encoded as one.
        let options = if options.contains('=') { options } else { &decoded };
        let (options, warnings) = parse_options(options)?;
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Ok(Self { options, warnings, source: source_url(account, source, &query)? })
    }

    fn is_redirected_on_error(&self, account: &Account) -> bool {
        self.options.onerror == Some(OnError::Redirect) && account.sources.is_at_origin(&self.source)
    }
}

/// The URL of the source, which may be encoded as a whole; what has no host is on the site of `--origin`.
fn source_url(account: &Account, source: &str, query: &str) -> Result<Url, Refusal> {
    let is_absolute = |text: &str| ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme));
    if source.is_empty() {
        return Err(NO_SOURCE);
    }
    if is_absolute(source) {
        return Url::parse(&format!("{source}{query}")).map_err(|_| INVALID_URL);
    }
    if let Some(decoded) = path::decode(source).filter(|decoded| is_absolute(decoded)) {
        return Url::parse(&format!("{decoded}{query}")).map_err(|_| INVALID_URL);
    }
    account.sources.at_origin(&format!("{source}{query}")).ok_or(NO_ORIGIN)
}

async fn transformed(account: &Account, asked: &Asked, request: &Parts) -> Result<Response, Refusal> {
    let is_allowed = |url: &Url| account.sources.allow(url);
    let fetched = account.fetcher.fetch(asked.source.clone(), is_allowed, MAX_SOURCE, &account.bodies).await?;
    if fetched.headers.contains_key(RESIZED) {
        return Err(LOOP);
    }
    let kind = kind_of(&fetched)?;
    let content = transform::inspect(&account.workers, kind, fetched.bytes.clone()).await?;
    let found = found(account, asked, &fetched, &content, Browser::from(&request.headers));
    let response = answer::answer(account, found, request).await;
    drop(fetched);
    response
}

fn found(account: &Account, asked: &Asked, fetched: &Fetched, content: &Content, browser: Browser) -> Found {
    let options = &asked.options;
    // Other than that of hosted pictures, the format is the source's unless another is asked for.
    let accepts_webp = browser.accepts_webp && options.format.is_some();
    let job = Job::new(options, content, Browser { accepts_webp, ..browser });
    let mut all_warnings = asked.warnings.clone();
    all_warnings.extend(warnings(options, content));
    if options.onerror == Some(OnError::Redirect) && !account.sources.is_at_origin(&asked.source) {
        all_warnings.push("onerror=redirect is for images of the same zone only".into());
    }
    let caching = fetched.headers.get(header::CACHE_CONTROL).cloned().unwrap_or_else(|| public_for(BROWSER_TTL));
    let sha256 = hex(&Sha256::digest(&fetched.bytes));
    Found {
        file: File::Fetched(fetched.bytes.clone()),
        sha256,
        job,
        caching,
        warnings: all_warnings,
        vary: vary(options),
    }
}

/// What the file is, by its first bytes; servers often say something else, or nothing.
fn kind_of(fetched: &Fetched) -> Result<transform::Kind, Refusal> {
    let content_type = fetched.content_type();
    transform::Kind::of_bytes(&fetched.bytes).ok_or_else(|| {
        let is_picture = content_type.to_ascii_lowercase().starts_with("image/");
        if is_picture { UNSUPPORTED } else { NO_PICTURE }
    })
}

fn redirect(source: &Url) -> Response {
    let location = HeaderValue::try_from(source.as_str()).expect("URLs are visible characters");
    let caching = HeaderValue::from_static("no-store");
    (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location), (header::CACHE_CONTROL, caching)]).into_response()
}

const NO_SOURCE: Refusal = Refusal::fixed(400, 9401, "The path is not /cdn-cgi/image/<options>/<source>");
const INVALID_URL: Refusal = Refusal::fixed(403, 9406, "The URL of the image is not valid");
const NO_ORIGIN: Refusal = Refusal::fixed(
    403,
    9406,
    "There is no zone here that a path could be on: name a site with --origin URL, or the image by an absolute URL",
);
const LOOP: Refusal = Refusal::fixed(508, 9403, "The image has been resized already");
const NO_PICTURE: Refusal = Refusal::fixed(415, 9412, "The origin answered with what is not an image");
const UNSUPPORTED: Refusal = Refusal::fixed(415, 9420, "The format of the image is not supported");

fn not_allowed(url: &Url) -> Refusal {
    let host = url.host_str().unwrap_or_default();
    let message = format!(
        "Transformation origin is not in allowed origins list: the emulator takes images of {host} with --allow-source {host}"
    );
    Refusal::new(403, 9401, message)
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        let (status, code) = match &error {
            FetchError::NotAllowed(url) => return not_allowed(url),
            FetchError::Status(StatusCode::NOT_FOUND | StatusCode::GONE) => return Self::NO_IMAGE,
            FetchError::Status(status) if status.is_client_error() => (status.as_u16(), 9408),
            FetchError::Status(_) => (502, 9509),
            FetchError::UnknownHost => (523, 9407),
            FetchError::NoAnswer => (502, 9505),
            FetchError::TimedOut => (524, 9504),
            FetchError::BadRedirect => (400, 9420),
            FetchError::TooManyRedirects => (400, 9421),
            FetchError::TooLarge(_) => (413, 9402),
        };
        Self::new(status, code, format!("Could not fetch the image: {error}"))
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let (status, code) = match rejection {
            Rejection::WrongType => return UNSUPPORTED,
            Rejection::TooLarge(_) | Rejection::TooDeep(_) | Rejection::AnimationTooLarge => (403, 9413),
            Rejection::Unreadable(_) => (422, 9516),
        };
        Self::new(status, code, format!("The image could not be processed: {rejection}"))
    }
}
