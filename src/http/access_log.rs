//! One log event for each request.

use std::sync::Arc;
use std::time::Instant;

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, debug, field, info_span};

use super::RequestContext;

/// The name under which handlers record who is asking: a user's key.
const USER: &str = "user.id";
const ROUTE: &str = "http.route";

/// The route that a request took, where it was not axum that chose it. An extension of answers.
#[derive(Debug, Clone)]
pub struct RouteName(pub Arc<str>);

/// Notes in the span of the request who is asking.
pub fn record_user(user: impl std::fmt::Display) {
    Span::current().record(USER, field::display(user));
}

/// Answers the request within a span that names it, and logs how it went. The query, which may hold secrets, is left out.
pub async fn log_request(request: Request, next: Next) -> Response {
    let context = request.extensions().get::<RequestContext>();
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let is_probe = matches!(route.as_deref(), Some("/healthz" | "/readyz"));
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
        let mut answer = Answer { started: Instant::now(), is_probe, status: None };
        debug!(
            target: "http",
            { http.request.headers = ?names(request.headers()), http.request.body.size = request.body().size_hint().exact() },
            "http.server.request"
        );
        let response = next.run(request).await;
        if let Some(RouteName(route)) = response.extensions().get() {
            Span::current().record(ROUTE, &**route);
        }
        debug!(
            target: "http",
            { http.response.headers = ?names(response.headers()), http.response.body.size = response.body().size_hint().exact() },
            "http.server.answer"
        );
        answer.status = Some(response.status());
        response
    }
    .instrument(span)
    .await
}

/// The names of headers. Their values, some of which are secrets, are never logged.
fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).collect()
}

/// Logs when it goes: also where the client went away before there was an answer.
struct Answer {
    started: Instant,
    is_probe: bool,
    status: Option<StatusCode>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        let duration_ms = (self.started.elapsed().as_secs_f64() * 100_000.0).round() / 100.0;
        macro_rules! event {
            ($level:ident, $status:expr) => {
                tracing::$level!(
                    target: "http",
                    { http.response.status_code = $status.as_u16(), duration_ms },
                    "http.server.response"
                )
            };
        }
        match self.status {
            None => tracing::info!(target: "http", { duration_ms }, "http.client.gone"),
            Some(status) if status.is_server_error() => event!(error, status),
            Some(status) if self.is_probe => event!(debug, status),
            Some(status) if status.is_client_error() => event!(warn, status),
            Some(status) => event!(info, status),
        }
    }
}
