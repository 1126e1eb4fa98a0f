//! Lets the calls go wrong that are to.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use bytes::Bytes;
use tokio::time::sleep;

use super::super::envelope::ApiError;
use super::super::upload::drain;
use super::{Account, Cut, ErrorBody, Fault, Kind, Operation, cut};

/// Answers calls of the REST API and uploads as it should be, or as the plan says.
pub(in crate::emulator) async fn inject(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    let operation = Operation::of(&request);
    strike(&account, operation, request, next).await
}

/// The same for pictures.
pub(in crate::emulator) async fn deliver(
    State(account): State<Arc<Account>>,
    request: Request,
    next: Next,
) -> Response {
    let operation = (request.method() == Method::GET).then_some(Operation::Deliver);
    strike(&account, operation, request, next).await
}

/// Writes errors as text where the plan says so.
pub(in crate::emulator) async fn in_words(
    State(account): State<Arc<Account>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if account.faults.has_plain_text_errors() { plain_text(response) } else { response }
}

async fn strike(account: &Account, operation: Option<Operation>, request: Request, next: Next) -> Response {
    match operation.and_then(|operation| account.faults.strike(operation)) {
        None => next.run(request).await,
        Some(fault) => spoil(fault, request, next).await,
    }
}

async fn spoil(fault: Fault, request: Request, next: Next) -> Response {
    sleep(Duration::from_millis(fault.delay_ms)).await;
    match fault.kind {
        Kind::None => next.run(request).await,
        Kind::CutBody => {
            let (mut response, body) = read(next.run(request).await).await;
            *response.body_mut() = cut::half_of(&body);
            response.extensions_mut().insert(Cut);
            response
        }
        Kind::MalformedBody => {
            let (mut response, body) = read(next.run(request).await).await;
            *response.body_mut() = Body::from(body.slice(..body.len() / 2));
            response
        }
        Kind::Cut => {
            if fault.after_effect {
                next.run(request).await;
            }
            (Extension(Cut), cut::nothing()).into_response()
        }
        kind => {
            if fault.after_effect {
                next.run(request).await;
            } else {
                drain(request.into_body()).await;
            }
            refusal(kind)
        }
    }
}

/// An answer without its body, whose length is forgotten, and the body.
async fn read(response: Response) -> (Response, Bytes) {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    (Response::from_parts(parts, Body::empty()), body)
}

fn refusal(kind: Kind) -> Response {
    match kind {
        Kind::Error { status, code, message, retry_after, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let (usual_code, usual_message) = usual(status);
            let error =
                ApiError::new(status, code.unwrap_or(usual_code), message.unwrap_or_else(|| usual_message.to_owned()));
            let mut response = match body {
                ErrorBody::Json => error.into_response(),
                ErrorBody::Text => plain_text(error.into_response()),
                ErrorBody::Html => {
                    (status, Html(format!("<html><body><h1>{status}</h1></body></html>"))).into_response()
                }
                ErrorBody::Empty => status.into_response(),
            };
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Kind::Redirect { location } => {
            let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
            if let Ok(location) = HeaderValue::try_from(location) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            response
        }
        Kind::None | Kind::Cut | Kind::CutBody | Kind::MalformedBody => {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Code and message that Cloudflare has for a status.
fn usual(status: StatusCode) -> (u16, &'static str) {
    match status.as_u16() {
        401 | 403 => (10000, "Authentication error"),
        404 => (5404, "Image not found"),
        408 => (5408, "The upload is too slow"),
        409 => (5409, "Resource already exists"),
        413 => (7011, "Request entity is too large"),
        429 => (971, "Please wait and consider throttling your request speed"),
        503 => (5503, "Server unavailable"),
        500.. => (5500, "Internal server error"),
        _ => (5400, "Bad request"),
    }
}

/// An error as text; anything else as it is.
fn plain_text(mut response: Response) -> Response {
    let Some(error) = response.extensions().get::<ApiError>() else { return response };
    let code = error.code().unwrap_or(1000);
    *response.body_mut() = Body::from(format!("ERROR {code}: {}", error.message()));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
