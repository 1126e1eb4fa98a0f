//! The page at the root, for the people who work with the emulator: the pictures that are stored, what was asked and announced of
//! late, and the settings to copy into a client.
//!
//! - `/` shows all of it, and is what the page's script asks for again and again;
//! - `/_cfimages/image?id=` tells everything about one image or draft, `/_cfimages/picture?id=` is the picture of one;
//! - `POST /_cfimages/upload` takes a file as `POST images/v1` does, for the form on the page;
//! - `POST /_cfimages/session` lets in whoever presents the token of the account, where it may come from another machine.
//!
//! Two segments are never the path of a picture. What the page itself asks for is neither recorded nor hit by faults.

mod access;
mod activity;
mod assets;
mod details;
mod overview;
mod picture;
mod recent;
mod session;
mod target;
mod texts;
mod upload;

pub(super) use access::Access;
pub(super) use activity::{Activity, record};

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};

use super::envelope::ApiError;
use super::host::WRONG_HOST;
use super::upload::MAX_BODY;
use super::{Account, api_upload, delivery, path, query, storage, transform};

/// The page and everything that belongs to it.
pub(super) fn router(account: &Arc<Account>) -> Router<Arc<Account>> {
    let trusted = Router::new()
        .route("/_cfimages/image", get(details::show))
        .route("/_cfimages/picture", get(picture::show))
        .route("/_cfimages/upload", post(upload::receive).layer(DefaultBodyLimit::max(MAX_BODY)))
        .layer(from_fn_with_state(Arc::clone(account), access::require_trust));
    Router::new()
        .route("/", get(overview::show))
        .route("/_cfimages/session", post(session::create).layer(DefaultBodyLimit::max(session::MAX_BODY)))
        .merge(assets::router())
        .merge(trusted)
        .layer(from_fn_with_state(Arc::clone(account), access::guard))
}

/// Something that could not be done, for people.
#[derive(Template)]
#[template(path = "emulator/problem.html")]
struct Problem<'a> {
    title: &'a str,
    text: &'a str,
}

fn problem(status: StatusCode, title: &str, text: &str) -> Response {
    (status, page(&Problem { title, text })).into_response()
}

fn page(template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => Html(html).into_response(),
        Err(error) => ApiError::internal(&error).into_response(),
    }
}
