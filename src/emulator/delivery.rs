//! Delivery of pictures: `/{account_hash}/{image_id}/{variant}`, also behind `/cdn-cgi/imagedelivery`.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::delivery::{SignatureError, verify};

use super::storage::{Original, StoredImage};
use super::transform::{self, Plan};
use super::{Account, Variant, path};

/// What public pictures carry at Cloudflare when nothing else is configured: two days.
const PUBLIC_CACHING: &str = "public, max-age=172800, stale-while-revalidate=7200";
/// To be changed with the way pictures are made, so that no browser keeps those made before.
const PIPELINE_VERSION: u8 = 1;

/// A refusal, as text: `ERROR 9404: ...`.
struct Refusal {
    status: StatusCode,
    code: u16,
    message: &'static str,
}

impl Refusal {
    const MALFORMED_PATH: Self = Self::forbidden(9426, "The path is not /<account hash>/<image id>/<variant>");
    const WRONG_ACCOUNT: Self = Self::forbidden(9427, "The account hash is not valid");
    const FLEXIBLE_VARIANTS: Self = Self::forbidden(9429, "Flexible variants are not enabled");
    const NO_VARIANT: Self =
        Self::forbidden(9425, "Image access denied: This account doesn't have variant with this name");
    const NO_IMAGE: Self = Self {
        status: StatusCode::NOT_FOUND,
        code: 9404,
        message: "Could not fetch the image — the server returned HTTP error 404 Not Found",
    };
    const BROKEN: Self =
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, code: 9516, message: "The image could not be processed" };

    const fn forbidden(code: u16, message: &'static str) -> Self {
        Self { status: StatusCode::FORBIDDEN, code, message }
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
        (self.status, caching, format!("ERROR {}: {}", self.code, self.message)).into_response()
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
    match find_picture(&account, &parts.uri) {
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
    /// The path as it is signed: as it came, without the prefix.
    signed: &'a str,
}

impl<'a> DeliveryPath<'a> {
    /// Takes a path apart: the account first, the variant last, and everything between them the id.
    fn parse(path: &'a str) -> Option<Self> {
        let prefixed = path.strip_prefix("/cdn-cgi/imagedelivery").filter(|rest| rest.starts_with('/'));
        let signed = prefixed.unwrap_or(path);
        let (account_hash, rest) = signed.strip_prefix('/')?.split_once('/')?;
        let (image_id, variant) = rest.rsplit_once('/')?;
        if account_hash.is_empty() || image_id.is_empty() || variant.is_empty() {
            return None;
        }
        Some(Self { account_hash, image_id: path::decode(image_id)?, variant: path::decode(variant)?, signed })
    }
}

/// A picture that may be delivered, and as what.
struct Found {
    original: Original,
    variant: Variant,
    is_private: bool,
}

fn find_picture(account: &Account, uri: &Uri) -> Result<Found, Refusal> {
    let path = DeliveryPath::parse(uri.path()).ok_or(Refusal::MALFORMED_PATH)?;
    if path.account_hash != account.hash {
        return Err(Refusal::WRONG_ACCOUNT);
    }
    if path.variant.contains('=') {
        return Err(Refusal::FLEXIBLE_VARIANTS);
    }
    let image = account.storage.find(&path.image_id, account.clock.now()).ok_or(Refusal::NO_IMAGE)?;
    let original = image.original().ok_or(Refusal::NO_IMAGE)?.clone();
    let variant = account.variants.find(&path.variant).ok_or(Refusal::NO_VARIANT)?.clone();
    let is_private = is_private(&image, &variant);
    if is_private {
        check_signature(account, path.signed, uri.query().unwrap_or_default())?;
    }
    Ok(Found { original, variant, is_private })
}

fn is_private(image: &StoredImage, variant: &Variant) -> bool {
    image.require_signed_urls && variant.requires_signature()
}

fn check_signature(account: &Account, signed_path: &str, query: &str) -> Result<(), Refusal> {
    let keys = account.signing_keys.iter().map(|(_, value)| value.as_str());
    verify(keys, signed_path, query, account.clock.now().as_unix_seconds()).map(drop).map_err(Refusal::unsigned)
}

async fn answer(account: &Account, found: Found, headers: &HeaderMap, is_head: bool) -> Result<Response, Refusal> {
    let etag = etag(&found);
    let mut response = if matches_etag(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = render(account, &found).await?;
        picture_response(&found, bytes, is_head)
    };
    let caching = HeaderValue::from_static(if found.is_private { "private" } else { PUBLIC_CACHING });
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, caching);
    headers.insert(header::ETAG, HeaderValue::try_from(etag).expect("hexadecimal digits and quotes"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

fn picture_response(found: &Found, bytes: Bytes, is_head: bool) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(found.original.picture.format.content_type())),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes.len())),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    let body = if is_head { Body::empty() } else { Body::from(bytes) };
    (headers, body).into_response()
}

async fn render(account: &Account, found: &Found) -> Result<Bytes, Refusal> {
    let picture = found.original.picture;
    let original = read_original(account, &found.original).await?;
    match transform::plan(&picture, found.variant.resize()) {
        Plan::Original => Ok(original),
        Plan::Scale(size) => account
            .workers
            .run(picture.memory(), move || transform::render(&original, &picture, size))
            .await
            .map_err(|error| broken(&error))?
            .map(Bytes::from)
            .map_err(|error| broken(&error)),
    }
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
    let recipe = Sha256::digest(format!("{PIPELINE_VERSION} {:?}", found.variant.resize()));
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
