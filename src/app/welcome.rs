//! The page at `/`, for people who open the service in a browser.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

/// Only our own style sheet and pictures; no scripts, no frames.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage<'a> {
    version: &'static str,
    origin: &'a str,
    prefix: &'a str,
}

/// Says what runs here and where to go on; `origin` is the address under which the reader found it.
pub(super) fn welcome(origin: &str, prefix: &str) -> Response {
    match (WelcomePage { version: env!("CARGO_PKG_VERSION"), origin, prefix }).render() {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)], Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
