//! Static files, embedded in the binary; read from disk in debug builds.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::api::not_found_page;
use crate::http::EntityTag;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Assets;

/// Answers with a static file, or 304 where the client has it already.
pub(super) async fn serve_asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match Assets::get(&path) {
        Some(file) => respond(&path, file, &headers),
        None => not_found_page(),
    }
}

fn respond(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = EntityTag::of_sha256(&file.metadata.sha256_hash());
    let is_known = tag.is_known(headers);
    let caching =
        [(header::ETAG, tag.into()), (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"))];
    // Pages of any origin may use the modules, which browsers fetch with CORS. Nothing here is secret.
    let sharing = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    if is_known {
        return (StatusCode::NOT_MODIFIED, caching, sharing).into_response();
    }
    (caching, sharing, [(header::CONTENT_TYPE, content_type(path))], file.data).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
