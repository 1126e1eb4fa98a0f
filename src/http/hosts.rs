//! The names under which the service answers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::config::AllowedHosts;

/// Refuses requests for other hosts.
pub async fn require_allowed_host(State(allowed): State<Arc<AllowedHosts>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    match host.or_else(|| request.uri().host()) {
        Some(host) if !allowed.allows(host) => {
            (StatusCode::BAD_REQUEST, "This host is not served here.").into_response()
        }
        _ => next.run(request).await,
    }
}
