//! Delivery of pictures: those that are kept here, and those of other hosts.
//!
//! Finding a picture and deciding what is to be done to it is the business of [`hosted`] and [`remote`]; doing it and writing the
//! answer is that of [`answer`].

mod answer;
mod flights;
mod hosted;
mod refusal;
mod remote;
mod sources;

pub(super) use answer::Results;
pub use sources::Sources;

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::delivery::{Resolved, Transform, TransformError, Width};

use self::refusal::Refusal;
use super::storage::Original;
use super::transform::{self, Browser, Content, Picture, Recipe};
use super::{Account, path};

/// What decides about most pictures, besides the URL.
const VARY: HeaderValue = HeaderValue::from_static("Accept");
/// The same, where the options ask for what only the browser knows.
const VARY_BY_HINTS: HeaderValue = HeaderValue::from_static(
    "Accept, Save-Data, ECT, RTT, Downlink, Sec-CH-Width, Width, Sec-CH-Viewport-Width, Viewport-Width, User-Agent",
);

/// Answers everything that is neither the REST API nor an upload URL.
pub(super) async fn deliver(State(account): State<Arc<Account>>, request: Request) -> Response {
    if request.method() != Method::HEAD && request.method() != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET,HEAD")]).into_response();
    }
    // A body is of no interest, and would keep the future from being sent between threads.
    let (parts, _) = request.into_parts();
    let answer = if remote::is_remote(&parts.uri) {
        remote::answer(&account, &parts).await
    } else {
        hosted::answer(&account, &parts).await
    };
    answer.unwrap_or_else(Refusal::into_response)
}

/// A picture that may be delivered, and as what.
struct Found {
    file: File,
    /// Of the file, in hexadecimal digits.
    sha256: String,
    job: Job,
    caching: HeaderValue,
    warnings: Vec<Cow<'static, str>>,
    vary: HeaderValue,
}

/// Where the file is.
enum File {
    Stored(Original),
    Fetched(Bytes),
}

/// What is done to a file before it is delivered. The `Debug` output tells it from others.
#[derive(Debug, Clone)]
enum Job {
    Transform(Picture, Box<Recipe>),
    /// An SVG, which has no pixels to transform.
    Sanitise,
}

impl Job {
    fn new(options: &Resolved, content: &Content, browser: Browser) -> Self {
        match content {
            Content::Pixels(picture) => Self::Transform(*picture, Box::new(Recipe::new(options, picture, browser))),
            Content::Drawing(_) => Self::Sanitise,
        }
    }
}

/// What of the options is not carried out.
fn warnings(options: &Resolved, content: &Content) -> Vec<Cow<'static, str>> {
    match content {
        Content::Pixels(picture) => transform::warnings(options, picture),
        Content::Drawing(_) => Vec::new(),
    }
}

fn vary(options: &Resolved) -> HeaderValue {
    let asks_browser = options.width == Some(Width::Auto) || options.slow_connection_quality.is_some();
    if asks_browser { VARY_BY_HINTS } else { VARY }
}

/// Reads options as Cloudflare does: what is wrong is ignored, and the answer warns of it. An unknown format is refused, and so is
/// what has nothing that is right. UNCONFIRMED: the words, and that of an option given twice the first one counts.
fn parse_options(options: &str) -> Result<(Resolved, Vec<Cow<'static, str>>), Refusal> {
    let (transform, errors) = Transform::parse_leniently(options);
    let is_format = |error: &&TransformError| matches!(error, TransformError::Invalid { option: "format", .. });
    if let Some(error) = errors.iter().find(is_format) {
        return Err(Refusal::bad_options(&error.to_string()));
    }
    match errors.first() {
        Some(error) if transform == Transform::new() => Err(Refusal::bad_options(&error.to_string())),
        _ => Ok((transform.resolved(), errors.iter().map(|error| warning(error).into()).collect())),
    }
}

/// What is wrong with an option, in short.
fn warning(error: &TransformError) -> String {
    match error {
        TransformError::Unknown(name) => format!("there is no option {name}"),
        other => other.to_string(),
    }
}

/// What browsers and proxies may do with a public picture.
fn public_for(seconds: u32) -> HeaderValue {
    let text = format!("public, max-age={seconds}, stale-while-revalidate=7200");
    HeaderValue::try_from(text).expect("words and a number")
}
