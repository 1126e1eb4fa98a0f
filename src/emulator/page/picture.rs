//! The pictures on the page: the emulator's own delivery, with a URL that is signed here where it has to be.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use crate::delivery::{Width, round_up_expiry, sign};
use crate::domain::Timestamp;

use super::path::encode_segment;
use super::query::parameters;
use super::storage::StoredImage;
use super::{Account, delivery};

/// What is made of public pictures, where the account has flexible variants.
const OPTIONS: &str = "width=480,height=360,fit=scale-down";
/// The least width that is large enough to be seen.
const MIN_WIDTH: u32 = 160;
/// How long signed URLs hold.
const MINUTES: i64 = 60;

/// `GET /_cfimages/picture?id=`, small; with `&variant=` in that one.
pub(super) async fn show(State(account): State<Arc<Account>>, request: Request) -> Response {
    let query: Vec<_> = parameters(request.uri().query().unwrap_or_default()).collect();
    let find = |wanted: &str| query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let image = find("id").and_then(|id| account.storage.find(id, account.clock.now()));
    let Some(image) = image else { return StatusCode::NOT_FOUND.into_response() };
    let variant = find("variant").map_or_else(|| small(&account, &image), str::to_owned);
    let Ok(uri) = path_of(&account, &image, &variant, account.clock.now()).parse::<Uri>() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (mut parts, _) = request.into_parts();
    parts.uri = uri;
    let mut response = delivery::deliver(State(account), Request::from_parts(parts, Body::empty())).await;
    // The id may be that of another picture by the next time.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    response
}

/// The variant, or the options of one, that shows an image small.
fn small(account: &Account, image: &StoredImage) -> String {
    if account.options.get().flexible_variants && !image.require_signed_urls {
        return OPTIONS.to_owned();
    }
    let variants = account.variants.get();
    let width = |name: &str| match variants.find(name).map(|variant| variant.options().width) {
        Some(Some(Width::Pixels(width))) => width,
        _ => u32::MAX,
    };
    let large_enough = variants.names().filter(|name| width(name) >= MIN_WIDTH);
    large_enough.min_by_key(|name| width(name)).unwrap_or("public").to_owned()
}

/// Path and query of a delivery URL, signed where that is needed.
pub(super) fn path_of(account: &Account, image: &StoredImage, variant: &str, now: Timestamp) -> String {
    let variants = account.variants.get();
    let is_open = variants.find(variant).is_some_and(|variant| !variant.requires_signature());
    let id: Vec<_> = image.id.split('/').map(encode_segment).collect();
    let path = format!("/{}/{}/{variant}", account.hash, id.join("/"));
    let keys = account.signing_keys.get();
    match keys.first() {
        Some(key) if image.require_signed_urls && !is_open => {
            sign(key.value(), &path, round_up_expiry(now.plus_minutes(MINUTES).as_unix_seconds()))
        }
        _ => path,
    }
}
