//! The names under which the service answers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;

use crate::api::bad_request_page;
use crate::config::AllowedHosts;

/// Refuses requests for other hosts.
pub async fn require_allowed_host(State(allowed): State<Arc<AllowedHosts>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    // Without a name, the request can only mean this machine.
    let host = host.or_else(|| request.uri().host()).unwrap_or("localhost");
    if allowed.allows(host) { next.run(request).await } else { bad_request_page() }
}
