//! From a picture that was found to the answer: made, or taken from the results that are kept, with the headers of Cloudflare.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use image::ImageResult;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::super::storage::{self, Key, Original, ResultStore, StoredResult};
use super::super::transform::{self, Drawing, Made, Picture, Recipe, Size, svg};
use super::flights::Flights;
use super::refusal::RESIZED;
use super::{Account, File, Found, Job, Refusal};

/// To be changed with the way pictures are made, so that nobody keeps those made before.
const PIPELINE_VERSION: u8 = 3;
/// What a picture may do that is opened as a page: nothing.
const INERT: HeaderValue = HeaderValue::from_static("default-src 'none'; form-action 'none'");
/// What a drawing may do that is opened as a page: use its own styles and the pictures inside it.
const INERT_DRAWING: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; form-action 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
);
/// Warnings that are told of one URL, and characters of each.
const MAX_WARNINGS: usize = 10;
const MAX_WARNING: usize = 300;

/// Pictures that were made are kept within a bound, and none is made twice at the same time.
#[derive(Debug)]
pub(in super::super) struct Results {
    store: Arc<ResultStore>,
    flights: Flights<Key, Answer>,
}

impl Results {
    pub(in super::super) fn new(store: ResultStore) -> Self {
        Self { store: Arc::new(store), flights: Flights::default() }
    }

    /// The picture that was made before, or else the one that `make` makes.
    async fn get_or_make(
        &self,
        key: Key,
        make: impl Future<Output = Result<Answer, Refusal>> + Send,
    ) -> Result<Answer, Refusal> {
        let store = Arc::clone(&self.store);
        let make = async {
            let asked = Instant::now();
            let reader = Arc::clone(&store);
            if let Some(kept) = storage::blocking(move || reader.get(&key)).await {
                return Ok(Answer::kept(kept, asked.elapsed().as_millis()));
            }
            let answer = make.await?;
            if let Some(result) = answer.to_keep() {
                storage::blocking(move || store.put(key, &result)).await;
            }
            Ok(answer)
        };
        self.flights.join(key, make).await
    }
}

/// Answers with the picture, or with the news that it did not change.
pub(super) async fn answer(account: &Account, found: Found, request: &Parts) -> Result<Response, Refusal> {
    let key = key(&found);
    let etag = etag(&key, &found.sha256);
    let mut response = if matches_etag(&request.headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let answer = match &found.job {
            Job::Transform(picture, recipe) if recipe.makes_picture() => {
                account.results.get_or_make(key, transformed(account, &found.file, *picture, recipe)).await?
            }
            Job::Transform(picture, recipe) => transformed(account, &found.file, *picture, recipe).await?,
            Job::Sanitise => sanitised(account, &found.file).await?,
        };
        answer.into_response(request.method == Method::HEAD)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, found.caching);
    headers.insert(header::ETAG, HeaderValue::try_from(etag).expect("hexadecimal digits and quotes"));
    headers.insert(header::VARY, found.vary);
    for warning in found.warnings.iter().take(MAX_WARNINGS) {
        headers.append(header::WARNING, warning_value(warning));
    }
    Ok(response)
}

/// What was made, and what it cost.
#[derive(Debug, Clone)]
struct Answer {
    body: Payload,
    cost: Cost,
}

/// What is delivered.
#[derive(Debug, Clone)]
enum Payload {
    Original(&'static str, Bytes),
    Picture(transform::Format, Bytes),
    Description(Bytes),
    Drawing(Bytes),
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Whether the picture had been made before.
    was_kept: bool,
    /// To read the file, or what was made of it before.
    reading: u128,
    /// For a worker.
    waiting: u128,
    decoding: u128,
    /// All the rest of the work.
    working: u128,
}

impl Answer {
    fn kept(result: StoredResult, reading: u128) -> Self {
        let cost = Cost { was_kept: true, reading, ..Cost::default() };
        Self { body: Payload::Picture(result.format, result.bytes), cost }
    }

    fn to_keep(&self) -> Option<StoredResult> {
        match &self.body {
            Payload::Picture(format, bytes) => Some(StoredResult { format: *format, bytes: bytes.clone() }),
            _ => None,
        }
    }

    fn into_response(self, is_head: bool) -> Response {
        let Self { body, cost } = self;
        let (content_type, bytes, policy, is_made) = match body {
            Payload::Original(content_type, bytes) => (content_type, bytes, INERT, false),
            Payload::Picture(format, bytes) => (format.content_type(), bytes, INERT, true),
            Payload::Description(bytes) => ("application/json", bytes, INERT, true),
            Payload::Drawing(bytes) => (Drawing::Svg.content_type(), bytes, INERT_DRAWING, false),
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::CONTENT_LENGTH, HeaderValue::from(bytes.len())),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::CONTENT_SECURITY_POLICY, policy),
        ];
        let resized = is_made.then(|| [(RESIZED, cost.header(bytes.len()))]);
        let body = if is_head { Body::empty() } else { Body::from(bytes) };
        let mut response = (headers, body).into_response();
        response.headers_mut().extend(resized.into_iter().flatten());
        response
    }
}

impl Cost {
    /// As Cloudflare writes it; `h` is a result that had been made before, which is UNCONFIRMED.
    fn header(&self, length: usize) -> HeaderValue {
        let Self { was_kept, reading, waiting, decoding, working } = self;
        let (from, version) = (if *was_kept { 'h' } else { 'm' }, env!("CARGO_PKG_VERSION"));
        let text =
            format!("internal=ok/{from} q=0 n={reading}+{waiting} c={decoding}+{working} v={version} l={length}");
        HeaderValue::try_from(text).expect("words and numbers")
    }
}

async fn transformed(account: &Account, file: &File, picture: Picture, recipe: &Recipe) -> Result<Answer, Refusal> {
    let started = Instant::now();
    let original = read(account, file).await?;
    let reading = started.elapsed().as_millis();
    let (asked, memory, is_original) = (Instant::now(), recipe.memory(&picture), recipe.is_original());
    let recipe = recipe.clone();
    let work = move || {
        let (waiting, started) = (asked.elapsed().as_millis(), Instant::now());
        let made = transform::make(&original, &picture, &recipe)?;
        let elapsed = started.elapsed().as_millis();
        let (body, decoding) = match made {
            Made::Original(bytes) => (Payload::Original(picture.format.content_type(), bytes), 0),
            Made::Picture { bytes, format, decoding } => (Payload::Picture(format, bytes), decoding),
            Made::Size(size) => (Payload::Description(description(original.len(), &picture, size)), 0),
        };
        let working = elapsed.saturating_sub(decoding);
        Ok(Answer { body, cost: Cost { was_kept: false, reading, waiting, decoding, working } })
    };
    let answer: ImageResult<Answer> = if is_original {
        // That is no work on pixels.
        work()
    } else {
        account.workers.run(memory, work).await.map_err(|error| Refusal::broken(&error))?
    };
    answer.map_err(|error| Refusal::broken(&error))
}

async fn sanitised(account: &Account, file: &File) -> Result<Answer, Refusal> {
    let original = read(account, file).await?;
    let work = account.workers.run(svg::MEMORY, move || svg::sanitise(&original)).await;
    let drawing = work.map_err(|error| Refusal::broken(&error))?.map_err(|error| Refusal::broken(&error))?;
    Ok(Answer { body: Payload::Drawing(drawing.into()), cost: Cost::default() })
}

async fn read(account: &Account, file: &File) -> Result<Bytes, Refusal> {
    match file {
        File::Fetched(bytes) => Ok(bytes.clone()),
        File::Stored(original) => read_stored(account, original.clone()).await,
    }
}

async fn read_stored(account: &Account, original: Original) -> Result<Bytes, Refusal> {
    account.on_storage(move |storage| storage.read(&original)).await.map_err(|error| match error.kind() {
        // It was deleted just now.
        io::ErrorKind::NotFound => Refusal::NO_IMAGE,
        _ => Refusal::broken(&error),
    })
}

/// `format=json`. UNCONFIRMED: the names of the fields.
#[derive(Serialize)]
struct Description {
    width: u32,
    height: u32,
    original: DescribedOriginal,
}

#[derive(Serialize)]
struct DescribedOriginal {
    file_size: usize,
    width: u32,
    height: u32,
    format: &'static str,
}

fn description(file_size: usize, picture: &Picture, size: Size) -> Bytes {
    let Size { width, height } = picture.size;
    let original = DescribedOriginal { file_size, width, height, format: picture.format.content_type() };
    let description = Description { width: size.width, height: size.height, original };
    serde_json::to_vec(&description).expect("numbers and words").into()
}

/// What tells a result from all others, and is known without making it.
fn key(found: &Found) -> Key {
    Sha256::digest(format!("{PIPELINE_VERSION} {} {:?}", found.sha256, found.job)).into()
}

/// `"cf-<how it is made>:<the original>"`
fn etag(key: &Key, sha256: &str) -> String {
    format!("\"cf-{}:{sha256}\"", storage::hex(&key[..8]))
}

fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == etag)
    })
}

/// `cf-images 299 "<reason>"`. Reasons may have any text of the URL in them.
fn warning_value(reason: &str) -> HeaderValue {
    let is_plain = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    let reason: String = reason.chars().take(MAX_WARNING).map(|c| if is_plain(c) { c } else { '?' }).collect();
    HeaderValue::try_from(format!("cf-images 299 \"{reason}\"")).expect("visible characters")
}
