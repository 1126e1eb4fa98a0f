//! The answers of the REST API: results and errors in Cloudflare's envelope.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct Envelope<'a, T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<T>,
    success: bool,
    errors: &'a [Problem<'a>],
    messages: [&'a str; 0],
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    message: &'a str,
}

/// `200` with a result.
pub(super) fn success(result: impl Serialize) -> Response {
    succeeded(Some(result))
}

/// `200` without a result.
pub(super) fn done() -> Response {
    succeeded(None::<()>)
}

/// `201` with a result.
pub(super) fn created(result: impl Serialize) -> Response {
    (StatusCode::CREATED, success(result)).into_response()
}

fn succeeded(result: Option<impl Serialize>) -> Response {
    Json(Envelope { result, success: true, errors: &[], messages: [] }).into_response()
}

/// The body of a request that is no form; refused in the envelope where it cannot be had.
pub(super) struct Payload(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Self).map_err(|error| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::entity_too_large()
            } else {
                ApiError::bad_request(format!("The body could not be read: {}", error.body_text()))
            }
        })
    }
}

/// Reads a JSON body.
pub(super) fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request(format!("The body could not be read: {error}")))
}

/// A refusal of the REST API or of an upload URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    status: StatusCode,
    code: Option<u16>,
    message: Cow<'static, str>,
}

impl ApiError {
    /// An error with one of Cloudflare's codes.
    pub(super) fn new(status: StatusCode, code: u16, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: Some(code), message: message.into() }
    }

    /// An error without a code, of which only the API for notifications has some.
    pub(super) fn without_code(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: None, message: message.into() }
    }

    /// The request is wrong in the way that the message says.
    pub(super) fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, 5400, message)
    }

    /// There is no image with the id, or no longer.
    pub(super) fn image_not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, 5404, "Image not found")
    }

    /// There is an image already.
    pub(super) fn already_exists() -> Self {
        Self::new(StatusCode::CONFLICT, 5409, "Resource already exists")
    }

    /// The body is no form.
    pub(super) fn not_multipart() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            5415,
            "Images must be uploaded as a form, not as raw image data. Please use multipart/form-data format",
        )
    }

    /// The body is larger than any that makes sense.
    pub(super) fn entity_too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, 7011, "Request entity is too large")
    }

    /// The method is not one of the route's. The code is UNCONFIRMED.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, 7001, "Method not available for that URI")
    }

    /// Something broke here. What it was goes to the log, not to the client.
    pub(super) fn internal(error: &(dyn StdError + 'static)) -> Self {
        tracing::error!(error, "the emulator could not answer");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, 5500, "Internal server error")
    }

    /// Cloudflare's number for the error, where it has one.
    pub(super) fn code(&self) -> Option<u16> {
        self.code
    }

    /// The text for people.
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl From<io::Error> for ApiError {
    fn from(error: io::Error) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let errors = &[Problem { code: self.code, message: &self.message }];
        let body = Json(Envelope { result: Some(()), success: false, errors, messages: [] });
        let mut response = (self.status, body).into_response();
        // For whoever wants to say it in another form.
        response.extensions_mut().insert(self);
        response
    }
}
