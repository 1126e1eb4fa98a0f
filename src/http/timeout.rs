//! The time that a request may take.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;

/// The time that a request may take, reading its body included.
#[derive(Debug, Clone, Copy)]
pub struct RequestTimeout(pub Duration);

/// The most time that is kept for the answer.
const MAX_MARGIN: Duration = Duration::from_secs(5);

/// Until when a request may go on working, so that there is time left to answer; among the extensions of the request.
#[derive(Debug, Clone, Copy)]
pub struct WorkDeadline(pub Instant);

/// Until when a request may be answered by whoever works on it, after which it is given up; among the extensions of the request.
#[derive(Debug, Clone, Copy)]
pub struct AnswerDeadline(pub Instant);

impl RequestTimeout {
    /// The time for the work: a tenth of the limit is kept for the answer, up to some seconds.
    fn work_time(self) -> Duration {
        self.0.saturating_sub(self.margin())
    }

    /// The time for work and answer.
    fn answer_time(self) -> Duration {
        self.0.saturating_sub(self.margin() / 2)
    }

    fn margin(self) -> Duration {
        MAX_MARGIN.min(self.0 / 10)
    }
}

/// Gives up requests that take too long; `T` is what they are answered with.
pub async fn limit_time<T: IntoResponse + Default>(
    State(timeout): State<RequestTimeout>,
    mut request: Request,
    next: Next,
) -> Response {
    let now = Instant::now();
    request.extensions_mut().insert(WorkDeadline(now + timeout.work_time()));
    request.extensions_mut().insert(AnswerDeadline(now + timeout.answer_time()));
    match tokio::time::timeout(timeout.0, next.run(request)).await {
        Ok(response) => response,
        Err(_) => T::default().into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_time_is_kept_for_the_answer_up_to_five_seconds() {
        for (limit, work) in [(1000, 900), (20_000, 18_000), (60_000, 55_000), (3_600_000, 3_595_000)] {
            let timeout = RequestTimeout(Duration::from_millis(limit));
            assert_eq!(timeout.work_time(), Duration::from_millis(work), "{limit}");
        }
    }
}
