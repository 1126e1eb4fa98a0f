//! Style sheets, script and logo of the page. Those of the family are the server's, so that there is one look.

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Account;

const TOKENS_CSS: &str = include_str!("../../../static/tokens.css");
const FAMILY_CSS: &str = include_str!("../../../static/cfimages.css");
const CSS: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const LOGO: &str = include_str!("../../../static/logo.svg");

pub(super) fn router() -> Router<Arc<Account>> {
    Router::new()
        .route("/_cfimages/tokens.css", get(async || file("text/css; charset=utf-8", TOKENS_CSS)))
        .route("/_cfimages/cfimages.css", get(async || file("text/css; charset=utf-8", FAMILY_CSS)))
        .route("/_cfimages/page.css", get(async || file("text/css; charset=utf-8", CSS)))
        .route("/_cfimages/page.js", get(async || file("text/javascript; charset=utf-8", SCRIPT)))
        .route("/_cfimages/logo.svg", get(async || file("image/svg+xml", LOGO)))
}

/// Small, and from this machine: never kept, so that it is always that of the page.
fn file(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
