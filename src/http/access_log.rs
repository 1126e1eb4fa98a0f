//! One log event for each request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, field, info_span};

use super::RequestContext;

/// The name under which handlers record who is asking: a user's key.
const USER: &str = "user.id";

/// Notes in the span of the request who is asking.
pub fn record_user(user: impl std::fmt::Display) {
    Span::current().record(USER, field::display(user));
}

/// Answers the request within a span that names it, and logs how it went. The query, which may hold secrets, is left out.
pub async fn log_request(request: Request, next: Next) -> Response {
    let context = request.extensions().get::<RequestContext>();
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let is_probe = matches!(route.as_str(), "/healthz" | "/readyz");
    let span = info_span!(
        "http.request",
        request.id = context.map_or("", |context| &context.id),
        client.address = context.and_then(|context| context.client).map(field::display),
        http.request.method = %request.method(),
        http.route = route,
        url.path = request.uri().path(),
        user.id = field::Empty,
    );
    async move {
        let started = Instant::now();
        let response = next.run(request).await;
        log_response(response.status(), started.elapsed().as_secs_f64() * 1000.0, is_probe);
        response
    }
    .instrument(span)
    .await
}

fn log_response(status: StatusCode, duration_ms: f64, is_probe: bool) {
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                target: "http",
                { http.response.status_code = status.as_u16(), duration_ms = (duration_ms * 100.0).round() / 100.0 },
                "http.server.response"
            )
        };
    }
    match status {
        status if status.is_server_error() => event!(error),
        _ if is_probe => event!(debug),
        status if status.is_client_error() => event!(warn),
        _ => event!(info),
    }
}
