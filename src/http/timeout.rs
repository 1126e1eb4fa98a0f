//! The time that a request may take.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The time that a request may take, reading its body included.
#[derive(Debug, Clone, Copy)]
pub struct RequestTimeout(pub Duration);

/// Gives up requests that take too long; `T` is what they are answered with.
pub async fn limit_time<T: IntoResponse + Default>(
    State(RequestTimeout(limit)): State<RequestTimeout>,
    request: Request,
    next: Next,
) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => T::default().into_response(),
    }
}
