//! Errors of the API, in the shapes of DRF and the toolkit.

use askama::Template;
use axum::Json;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::{error, warn};
use utoipa::ToSchema;

use super::FieldErrors;
use crate::http::RequestContext;
use crate::http::pagination::InvalidPage;
use crate::service::{self, TokenError};
use crate::store;

/// Why a request is answered with an error.
#[derive(Debug)]
pub enum ApiError {
    /// Nobody is signed in, or the token is not accepted: 403, as DRF answers where sessions come first.
    NotAuthenticated(String),
    /// There is no such page or object: 404.
    NotFound(String),
    /// The path exists but not the method: 405.
    MethodNotAllowed(Method),
    /// The body is in a form that is not understood: 415.
    UnsupportedMediaType(String),
    /// The body cannot be read: 400.
    Unreadable(String),
    /// The body is longer than [`MAX_BODY_BYTES`](crate::http::body::MAX_BODY_BYTES): 400 with a page, as Django answers.
    BodyTooLarge,
    /// Fields have values that are not accepted: 400.
    Fields(FieldErrors),
    /// A use case failed.
    Service(service::Error),
    /// The request took too long: 503.
    TookTooLong,
}

/// The body of most errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// What is wrong, for people.
    #[schema(example = "No CloudflareImage matches the given query.")]
    pub detail: String,
    /// The name of the request in the logs; only where the server failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The body of errors of Cloudflare.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorMessage {
    /// What was tried and why it failed, for people.
    #[schema(example = "Failed to check image status: 404 Client Error: Not Found")]
    pub error: String,
    /// The name of the request in the logs; only where Cloudflare's answer made no sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What the body of a 400 may be: for the description of the API, each answer is made from what is in it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum BadRequest {
    /// What is wrong with the fields of the request.
    Fields(FieldErrors),
    /// The request cannot be read.
    Unreadable(ErrorDetail),
    /// Cloudflare refused, or cannot be reached.
    Cloudflare(ErrorMessage),
}

/// The answer to a request that took too long.
#[derive(Debug, Default)]
pub struct RequestTookTooLong;

impl IntoResponse for RequestTookTooLong {
    fn into_response(self) -> Response {
        ApiError::TookTooLong.into_response()
    }
}

impl From<service::Error> for ApiError {
    fn from(error: service::Error) -> Self {
        Self::Service(error)
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Self::Fields(errors)
    }
}

impl From<InvalidPage> for ApiError {
    fn from(error: InvalidPage) -> Self {
        Self::NotFound(error.to_string())
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Store(error) => Self::Service(error.into()),
            error => Self::NotAuthenticated(error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::NotAuthenticated(text) => detail(StatusCode::FORBIDDEN, text),
            Self::NotFound(text) => detail(StatusCode::NOT_FOUND, text),
            Self::MethodNotAllowed(method) => {
                detail(StatusCode::METHOD_NOT_ALLOWED, format!("Method \"{method}\" not allowed."))
            }
            Self::UnsupportedMediaType(kind) => {
                detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Unsupported media type \"{kind}\" in request."))
            }
            Self::Unreadable(text) => detail(StatusCode::BAD_REQUEST, text),
            Self::BodyTooLarge => bad_request_page(),
            Self::Fields(errors) => (StatusCode::BAD_REQUEST, Json(errors)).into_response(),
            Self::Service(error) => service_error(&error),
            Self::TookTooLong => {
                server_error(StatusCode::SERVICE_UNAVAILABLE, "The request took too long. Try again later.")
            }
        }
    }
}

fn service_error(error: &service::Error) -> Response {
    match error {
        service::Error::NotFound => {
            detail(StatusCode::NOT_FOUND, "No CloudflareImage matches the given query.".to_owned())
        }
        service::Error::CustomIdTaken => {
            let errors = FieldErrors::of("custom_id", "An image with this custom ID already exists.");
            (StatusCode::BAD_REQUEST, Json(errors)).into_response()
        }
        service::Error::CustomIdCannotBePrivate => message(
            StatusCode::BAD_REQUEST,
            "Failed to create upload URL: Cloudflare does not allow private images with a custom ID. \
             Send require_signed_urls=false, or leave out custom_id."
                .to_owned(),
        ),
        service::Error::Cloudflare { cause, .. } => {
            warn!(error = %chain(error), "A call to Cloudflare failed: {error}");
            let status = if cause.is_malformed() { StatusCode::BAD_GATEWAY } else { StatusCode::BAD_REQUEST };
            message(status, cloudflare_text(error))
        }
        service::Error::Store(cause) => store_error(cause),
    }
}

/// The toolkit leaves out what was tried where Cloudflare itself says why it refused.
fn cloudflare_text(error: &service::Error) -> String {
    match error {
        service::Error::Cloudflare { cause: cause @ crate::cloudflare::Error::Unsuccessful { .. }, .. } => {
            format!("Cloudflare API error: {cause}")
        }
        error => error.to_string(),
    }
}

fn store_error(error: &store::Error) -> Response {
    error!(error = %chain(error), "The database failed: {error}");
    if error.is_transient() {
        return server_error(StatusCode::SERVICE_UNAVAILABLE, "The database is not available. Try again later.");
    }
    server_error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error.")
}

/// The answer where a handler panicked.
pub fn panicked(cause: &(dyn std::any::Any + Send)) -> Response {
    let text = cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    error!(error = text.unwrap_or("no message"), "A handler panicked");
    server_error(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error.")
}

fn detail(status: StatusCode, detail: String) -> Response {
    (status, Json(ErrorDetail { detail, request_id: None })).into_response()
}

fn server_error(status: StatusCode, text: &str) -> Response {
    (status, Json(ErrorDetail { detail: text.to_owned(), request_id: current_request_id() })).into_response()
}

fn message(status: StatusCode, error: String) -> Response {
    let request_id = if status.is_server_error() { current_request_id() } else { None };
    (status, Json(ErrorMessage { error, request_id })).into_response()
}

fn current_request_id() -> Option<String> {
    RequestContext::current_id().map(|id| id.to_string())
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    title: &'static str,
    text: &'static str,
}

/// Django's page for requests that it does not even look at.
pub fn bad_request_page() -> Response {
    page(StatusCode::BAD_REQUEST, &ErrorPage { title: "Bad Request (400)", text: "" })
}

/// Django's page for paths that do not exist.
pub fn not_found_page() -> Response {
    page(
        StatusCode::NOT_FOUND,
        &ErrorPage { title: "Not Found", text: "The requested resource was not found on this server." },
    )
}

fn page(status: StatusCode, page: &ErrorPage) -> Response {
    let html = page.render().unwrap_or_else(|_| page.title.to_owned());
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}
