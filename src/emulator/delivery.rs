//! Delivery of pictures: `/{account_hash}/{image_id}/{variant}`, also behind `/cdn-cgi/imagedelivery`, where the variant has a name
//! or is a list of options.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use image::ImageResult;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::delivery::{Resolved, SignatureError, Transform, TransformError, Width, verify};

use super::signing_keys::SigningKey;
use super::storage::{Original, StoredImage};
use super::transform::{self, Browser, Made, Picture, Recipe, Size};
use super::{Account, path};

/// To be changed with the way pictures are made, so that no browser keeps those made before.
const PIPELINE_VERSION: u8 = 2;
/// What decides about most pictures, besides the URL.
const VARY: HeaderValue = HeaderValue::from_static("Accept");
/// The same, where the options ask for what only the browser knows.
const VARY_BY_HINTS: HeaderValue = HeaderValue::from_static(
    "Accept, Save-Data, ECT, RTT, Downlink, Sec-CH-Width, Width, Sec-CH-Viewport-Width, Viewport-Width, User-Agent",
);
/// Whether, and at what cost, a picture was transformed.
const RESIZED: HeaderName = HeaderName::from_static("cf-resized");
/// What a picture may do that is opened as a page: nothing.
const INERT: HeaderValue = HeaderValue::from_static("default-src 'none'; form-action 'none'");
/// Warnings that are told of one URL, and characters of each.
const MAX_WARNINGS: usize = 10;
const MAX_WARNING: usize = 300;

/// A refusal, as text: `ERROR 9404: ...`.
struct Refusal {
    status: StatusCode,
    code: u16,
    message: Cow<'static, str>,
}

impl Refusal {
    const MALFORMED_PATH: Self = Self::forbidden(9426, "The path is not /<account hash>/<image id>/<variant>");
    const WRONG_ACCOUNT: Self = Self::forbidden(9427, "The account hash is not valid");
    const FLEXIBLE_VARIANTS: Self = Self::forbidden(9429, "Flexible variants are not enabled");
    const PRIVATE: Self = Self::forbidden(
        9425,
        "Image access denied: Flexible variants cannot be used for images that require signed URLs, use a named variant",
    );
    const NO_VARIANT: Self =
        Self::forbidden(9425, "Image access denied: This account doesn't have variant with this name");
    const NO_IMAGE: Self = Self {
        status: StatusCode::NOT_FOUND,
        code: 9404,
        message: Cow::Borrowed("Could not fetch the image — the server returned HTTP error 404 Not Found"),
    };
    const BROKEN: Self = Self {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        code: 9516,
        message: Cow::Borrowed("The image could not be processed"),
    };

    const fn forbidden(code: u16, message: &'static str) -> Self {
        Self { status: StatusCode::FORBIDDEN, code, message: Cow::Borrowed(message) }
    }

    fn bad_options(problem: &str) -> Self {
        let message = format!("The transformation options are not valid: {problem}").into();
        Self { status: StatusCode::BAD_REQUEST, code: 9401, message }
    }

    fn unsigned(error: SignatureError) -> Self {
        Self::forbidden(
            9425,
            match error {
                SignatureError::Missing => "Image access denied: check failed: The URL is not signed",
                SignatureError::Mismatch => {
                    "Image access denied: check failed: Malformed data found: The URL signature does not match. \
                     Expecting SHA-256 HMAC of the path without domain nor query string"
                }
                SignatureError::Expired => "Image access denied: check failed: The signed URL has expired",
            },
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let caching = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        let resized = [(RESIZED, format!("err={}", self.code))];
        (self.status, caching, resized, format!("ERROR {}: {}", self.code, self.message)).into_response()
    }
}

/// Answers everything that is neither the REST API nor an upload URL.
///
/// UNCONFIRMED, and chosen here: the order of the checks, which is that of the path, then privacy; a signature on a public
/// picture is not looked at; private pictures may be kept by browsers only as far as they see fit (`private`).
pub(super) async fn deliver(State(account): State<Arc<Account>>, request: Request) -> Response {
    let is_head = request.method() == Method::HEAD;
    if !is_head && request.method() != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET,HEAD")]).into_response();
    }
    // A body is of no interest, and would keep the future from being sent between threads.
    let (parts, _) = request.into_parts();
    match find_picture(&account, &parts.uri, Browser::from(&parts.headers)) {
        Ok(found) => answer(&account, found, &parts.headers, is_head).await.unwrap_or_else(Refusal::into_response),
        Err(refusal) => refusal.into_response(),
    }
}

/// The parts of a delivery path.
#[derive(Debug, PartialEq, Eq)]
struct DeliveryPath<'a> {
    account_hash: &'a str,
    image_id: String,
    variant: String,
    /// The same as it came; the options of a flexible variant are decoded one by one.
    encoded_variant: &'a str,
    /// The path as it is signed: as it came, without the prefix.
    signed: &'a str,
}

impl<'a> DeliveryPath<'a> {
    /// Takes a path apart: the account first, the variant last, and everything between them the id.
    fn parse(path: &'a str) -> Option<Self> {
        let prefixed = path.strip_prefix("/cdn-cgi/imagedelivery").filter(|rest| rest.starts_with('/'));
        let signed = prefixed.unwrap_or(path);
        let (account_hash, rest) = signed.strip_prefix('/')?.split_once('/')?;
        let (image_id, encoded_variant) = rest.rsplit_once('/')?;
        if account_hash.is_empty() || image_id.is_empty() || encoded_variant.is_empty() {
            return None;
        }
        let (image_id, variant) = (path::decode(image_id)?, path::decode(encoded_variant)?);
        Some(Self { account_hash, image_id, variant, encoded_variant, signed })
    }

    /// The options in place of the name of a variant, also where all of them were encoded as one.
    fn options(&self) -> Option<&str> {
        [self.encoded_variant, &self.variant].into_iter().find(|text| text.contains('='))
    }
}

/// A picture that may be delivered, and as what.
struct Found {
    original: Original,
    recipe: Recipe,
    is_private: bool,
    /// Seconds that browsers keep it, if it is not private.
    browser_ttl: u32,
    warnings: Vec<Cow<'static, str>>,
    vary: HeaderValue,
}

fn find_picture(account: &Account, uri: &Uri, browser: Browser) -> Result<Found, Refusal> {
    let path = DeliveryPath::parse(uri.path()).ok_or(Refusal::MALFORMED_PATH)?;
    if path.account_hash != account.hash {
        return Err(Refusal::WRONG_ACCOUNT);
    }
    if path.options().is_some() && !account.options.get().flexible_variants {
        return Err(Refusal::FLEXIBLE_VARIANTS);
    }
    let image = account.storage.find(&path.image_id, account.clock.now()).ok_or(Refusal::NO_IMAGE)?;
    let original = image.original().ok_or(Refusal::NO_IMAGE)?.clone();
    let wanted = match path.options() {
        Some(options) => flexible_variant(&image, options)?,
        None => named_variant(account, &image, &path.variant)?,
    };
    let Wanted { options, is_private, browser_ttl, mut warnings } = wanted;
    if is_private {
        check_signature(account, path.signed, uri.query().unwrap_or_default())?;
    }
    warnings.extend(transform::warnings(&options, &original.picture));
    let asks_browser = options.width == Some(Width::Auto) || options.slow_connection_quality.is_some();
    let vary = if asks_browser { VARY_BY_HINTS } else { VARY };
    let recipe = Recipe::new(&options, &original.picture, browser);
    let browser_ttl = browser_ttl.unwrap_or(account.options.get().browser_ttl);
    Ok(Found { original, recipe, is_private, browser_ttl, warnings, vary })
}

/// What is to be delivered of an image.
struct Wanted {
    options: Resolved,
    is_private: bool,
    /// Where the variant says it.
    browser_ttl: Option<u32>,
    warnings: Vec<Cow<'static, str>>,
}

fn named_variant(account: &Account, image: &StoredImage, name: &str) -> Result<Wanted, Refusal> {
    let variants = account.variants.get();
    let variant = variants.find(name).ok_or(Refusal::NO_VARIANT)?;
    let is_private = image.require_signed_urls && variant.requires_signature();
    let (options, browser_ttl) = (variant.options(), variant.browser_ttl());
    Ok(Wanted { options, is_private, browser_ttl, warnings: Vec::new() })
}

/// Reads options as Cloudflare does: what is wrong is ignored, and the answer warns of it. An unknown format is refused, and so is
/// what has nothing that is right. UNCONFIRMED: the words, and that of an option given twice the first one counts.
fn flexible_variant(image: &StoredImage, options: &str) -> Result<Wanted, Refusal> {
    if image.require_signed_urls {
        return Err(Refusal::PRIVATE);
    }
    let (transform, errors) = Transform::parse_leniently(options);
    let is_format = |error: &&TransformError| matches!(error, TransformError::Invalid { option: "format", .. });
    if let Some(error) = errors.iter().find(is_format) {
        return Err(Refusal::bad_options(&error.to_string()));
    }
    match errors.first() {
        Some(error) if transform == Transform::new() => Err(Refusal::bad_options(&error.to_string())),
        _ => {
            let warnings = errors.iter().map(|error| warning(error).into()).collect();
            Ok(Wanted { options: transform.resolved(), is_private: false, browser_ttl: None, warnings })
        }
    }
}

/// What is wrong with an option, in short.
fn warning(error: &TransformError) -> String {
    match error {
        TransformError::Unknown(name) => format!("there is no option {name}"),
        other => other.to_string(),
    }
}

fn check_signature(account: &Account, signed_path: &str, query: &str) -> Result<(), Refusal> {
    let keys = account.signing_keys.get();
    let keys = keys.iter().map(SigningKey::value);
    verify(keys, signed_path, query, account.clock.now().as_unix_seconds()).map(drop).map_err(Refusal::unsigned)
}

async fn answer(account: &Account, found: Found, headers: &HeaderMap, is_head: bool) -> Result<Response, Refusal> {
    let etag = etag(&found);
    let mut response = if matches_etag(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        make(account, &found).await?.into_response(&found, is_head)
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, caching(&found));
    headers.insert(header::ETAG, HeaderValue::try_from(etag).expect("hexadecimal digits and quotes"));
    headers.insert(header::VARY, found.vary);
    for warning in found.warnings.iter().take(MAX_WARNINGS) {
        headers.append(header::WARNING, warning_value(warning));
    }
    Ok(response)
}

fn caching(found: &Found) -> HeaderValue {
    if found.is_private {
        return HeaderValue::from_static("private");
    }
    let text = format!("public, max-age={}, stale-while-revalidate=7200", found.browser_ttl);
    HeaderValue::try_from(text).expect("words and a number")
}

/// `cf-images 299 "<reason>"`. Reasons may have any text of the URL in them.
fn warning_value(reason: &str) -> HeaderValue {
    let is_plain = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
    let reason: String = reason.chars().take(MAX_WARNING).map(|c| if is_plain(c) { c } else { '?' }).collect();
    HeaderValue::try_from(format!("cf-images 299 \"{reason}\"")).expect("visible characters")
}

/// What was made, and how many milliseconds it took.
struct Answer {
    made: Made,
    /// To read the original.
    reading: u128,
    /// For a worker.
    waiting: u128,
    /// To decode the original and all the rest.
    working: u128,
    /// Bytes of the original.
    file_size: usize,
}

impl Answer {
    fn into_response(self, found: &Found, is_head: bool) -> Response {
        let Self { made, reading, waiting, working, file_size } = self;
        let (content_type, bytes, cost) = match made {
            Made::Original(bytes) => (found.original.picture.format.content_type(), bytes, None),
            Made::Picture { bytes, format, decoding } => {
                (format.content_type(), bytes, Some((decoding, working.saturating_sub(decoding))))
            }
            Made::Size(size) => {
                ("application/json", description(file_size, &found.original.picture, size), Some((0, working)))
            }
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::CONTENT_LENGTH, HeaderValue::from(bytes.len())),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::CONTENT_SECURITY_POLICY, INERT),
        ];
        let resized = cost.map(|(decoding, rest)| {
            let (version, length) = (env!("CARGO_PKG_VERSION"), bytes.len());
            let text = format!("internal=ok/m q=0 n={reading}+{waiting} c={decoding}+{rest} v={version} l={length}");
            [(RESIZED, text)]
        });
        let body = if is_head { Body::empty() } else { Body::from(bytes) };
        let mut response = (headers, body).into_response();
        response.headers_mut().extend(
            resized
                .into_iter()
                .flatten()
                .map(|(name, text)| (name, HeaderValue::try_from(text).expect("words and numbers"))),
        );
        response
    }
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

async fn make(account: &Account, found: &Found) -> Result<Answer, Refusal> {
    let Found { original: Original { picture, .. }, recipe, .. } = found;
    let started = Instant::now();
    let original = read_original(account, &found.original).await?;
    let reading = started.elapsed().as_millis();
    let (file_size, asked) = (original.len(), Instant::now());
    let (picture, job) = (*picture, recipe.clone());
    let work = move || {
        let (waiting, started) = (asked.elapsed().as_millis(), Instant::now());
        let made = transform::make(&original, &picture, &job)?;
        Ok(Answer { made, reading, waiting, working: started.elapsed().as_millis(), file_size })
    };
    let answer: ImageResult<Answer> = if recipe.is_original() {
        // That is no work on pixels.
        work()
    } else {
        account.workers.run(recipe.memory(&picture), work).await.map_err(|error| broken(&error))?
    };
    answer.map_err(|error| broken(&error))
}

async fn read_original(account: &Account, original: &Original) -> Result<Bytes, Refusal> {
    let original = original.clone();
    account.on_storage(move |storage| storage.read(&original)).await.map_err(|error| match error.kind() {
        // It was deleted just now.
        io::ErrorKind::NotFound => Refusal::NO_IMAGE,
        _ => broken(&error),
    })
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Refusal {
    tracing::error!(error, "the emulator could not deliver a picture");
    Refusal::BROKEN
}

/// `"cf-<how it is made>:<the original>"`, which is known without making it.
fn etag(found: &Found) -> String {
    let recipe = Sha256::digest(format!("{PIPELINE_VERSION} {:?}", found.recipe));
    let mut recipe_hex = String::new();
    for byte in &recipe[..8] {
        let _ = write!(recipe_hex, "{byte:02x}");
    }
    format!("\"cf-{recipe_hex}:{}\"", found.original.sha256)
}

fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == etag)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn both_shapes_of_a_path_are_the_same_picture() {
        for path in ["/hash/a/b%2Fc%25/public", "/cdn-cgi/imagedelivery/hash/a/b%2Fc%25/public"] {
            let parsed = DeliveryPath::parse(path).unwrap();
            assert_eq!((parsed.account_hash, parsed.variant.as_str()), ("hash", "public"));
            assert_eq!(parsed.image_id, "a/b/c%");
            assert_eq!(parsed.signed, "/hash/a/b%2Fc%25/public");
        }
    }

    #[test]
    fn paths_without_three_parts_are_malformed() {
        for path in ["", "/", "/hash", "/hash/public", "/hash/id/", "/hash//public", "//id/public", "/h/%ff/public"] {
            assert_eq!(DeliveryPath::parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_the_parser_panic(path in "\\PC*") {
            let _ = DeliveryPath::parse(&path);
        }
    }
}
