//! One log event for each request, which is counted at the same time.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, Span, debug, field, info_span};

use super::RequestContext;
use crate::metrics::{CLIENT_GONE, Metrics, UNMATCHED};

/// The name under which handlers record who is asking: a user's key.
const USER: &str = "user.id";
const ROUTE: &str = "http.route";

/// The route that a request takes, where it is not axum that chooses it; whoever does writes it in here. An extension of requests.
#[derive(Debug, Clone, Default)]
pub struct ChosenRoute(Arc<OnceLock<Arc<str>>>);

impl ChosenRoute {
    /// Writes the route down, in the span of the request as well.
    pub fn set(&self, route: Arc<str>) {
        Span::current().record(ROUTE, &*route);
        // A request is routed once.
        let _ = self.0.set(route);
    }
}

/// What was wrong with a request, in one word. An extension of answers.
#[derive(Debug, Clone, Copy)]
pub struct ErrorKind(pub &'static str);

impl ErrorKind {
    /// A handler panicked.
    pub const PANIC: Self = Self("panic");
}

/// Notes in the span of the request who is asking.
pub fn record_user(user: impl std::fmt::Display) {
    Span::current().record(USER, field::display(user));
}

/// Answers the request within a span that names it, and logs and counts how it went. The query, which may hold secrets, is left out.
pub async fn log_request(State(metrics): State<Arc<Metrics>>, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|route| Arc::<str>::from(route.as_str()));
    let chosen_route = ChosenRoute::default();
    request.extensions_mut().insert(chosen_route.clone());
    let context = request.extensions().get::<RequestContext>();
    let span = info_span!(
        "http.request",
        request.id = context.map_or("", |context| &context.id),
        client.address = context.and_then(|context| context.client).map(field::display),
        http.request.method = %request.method(),
        http.route = route.as_deref(),
        url.path = request.uri().path(),
        user.id = field::Empty,
    );
    async move {
        let _in_flight = metrics.begin_request();
        let method = request.method().clone();
        let mut answer =
            Answer { metrics, method, route, chosen_route, started: Instant::now(), status: None, error: None };
        debug!(
            target: "http",
            { http.request.headers = ?names(request.headers()), http.request.body.size = request.body().size_hint().exact() },
            "http.server.request"
        );
        let response = next.run(request).await;
        debug!(
            target: "http",
            { http.response.headers = ?names(response.headers()), http.response.body.size = response.body().size_hint().exact() },
            "http.server.answer"
        );
        answer.status = Some(response.status());
        answer.error = response.extensions().get().copied();
        response
    }
    .instrument(span)
    .await
}

/// The names of headers. Their values, some of which are secrets, are never logged.
fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).collect()
}

/// Logged and counted when it goes: also where the client went away before there was an answer.
struct Answer {
    metrics: Arc<Metrics>,
    method: Method,
    route: Option<Arc<str>>,
    chosen_route: ChosenRoute,
    started: Instant,
    status: Option<StatusCode>,
    error: Option<ErrorKind>,
}

impl Answer {
    fn log(&self, time: Duration) {
        let duration_ms = (time.as_secs_f64() * 100_000.0).round() / 100.0;
        let is_probe = matches!(self.route.as_deref(), Some("/healthz" | "/readyz"));
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
            Some(status) if is_probe => event!(debug, status),
            Some(status) if status.is_client_error() => event!(warn, status),
            Some(status) => event!(info, status),
        }
    }

    fn count(&self, time: Duration) {
        let route = self.route.as_ref().or_else(|| self.chosen_route.0.get());
        let route = route.map_or_else(|| UNMATCHED.into(), Arc::clone);
        let status = self.status.map_or(CLIENT_GONE, |status| status.as_u16());
        self.metrics.end_request(self.method.as_str(), route, status, time);
        if let Some(ErrorKind(kind)) = self.error {
            self.metrics.count_error(kind);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let time = self.started.elapsed();
        self.log(time);
        self.count(time);
    }
}
