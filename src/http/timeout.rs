//! The time that a request may take.

use std::time::Duration;

use tokio::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The time that a request may take, reading its body included.
#[derive(Debug, Clone, Copy)]
pub struct RequestTimeout(pub Duration);

/// The most time that is kept for the answer.
const MAX_MARGIN: Duration = Duration::from_secs(5);

/// Until when a request may go on working, so that there is time left to answer; among the extensions of the request.
#[derive(Debug, Clone, Copy)]
pub struct WorkDeadline(pub Instant);

impl RequestTimeout {
    /// A tenth of the limit is kept for the answer, up to some seconds.
    fn work_deadline(self) -> WorkDeadline {
        WorkDeadline(Instant::now() + self.0.saturating_sub(MAX_MARGIN.min(self.0 / 10)))
    }
}

/// Gives up requests that take too long; `T` is what they are answered with.
pub async fn limit_time<T: IntoResponse + Default>(
    State(timeout): State<RequestTimeout>,
    mut request: Request,
    next: Next,
) -> Response {
    request.extensions_mut().insert(timeout.work_deadline());
    match tokio::time::timeout(timeout.0, next.run(request)).await {
        Ok(response) => response,
        Err(_) => T::default().into_response(),
    }
}
