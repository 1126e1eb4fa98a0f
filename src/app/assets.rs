//! Static files, embedded in the binary; read from disk in debug builds.

use std::fmt::Write as _;

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::api::not_found_page;

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
    let etag = etag(&file);
    let caching = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, "public, max-age=3600".to_owned())];
    // Pages of any origin may use the modules, which browsers fetch with CORS. Nothing here is secret.
    let sharing = [(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, caching, sharing).into_response();
    }
    (caching, sharing, [(header::CONTENT_TYPE, content_type(path))], file.data).into_response()
}

fn etag(file: &EmbeddedFile) -> String {
    let mut etag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(etag, "{byte:02x}");
    }
    etag + "\""
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
