//! The rate-limit headers of the REST API.

use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderValue};

use crate::domain::Timestamp;

/// Requests a window.
const QUOTA: u64 = 1200;
/// Seconds a window lasts.
const WINDOW: i64 = 300;

/// Counts the requests of the present window. Nobody is refused: a test that asks quickly is no abuse.
#[derive(Debug, Default)]
pub(super) struct RateLimit(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// The number of the window since 1970 began.
    number: i64,
    requests: u64,
}

impl RateLimit {
    /// Counts a request and writes what is left into the headers of its answer.
    pub(super) fn count(&self, now: Timestamp, headers: &mut HeaderMap) {
        let seconds = now.as_unix_seconds();
        let remaining = QUOTA.saturating_sub(self.requests(seconds.div_euclid(WINDOW)));
        let reset = WINDOW - seconds.rem_euclid(WINDOW);
        let header = |text: String| HeaderValue::try_from(text).expect("ASCII without control characters");
        headers.insert("ratelimit", header(format!("\"default\";r={remaining};t={reset}")));
        headers.insert("ratelimit-policy", header(format!("\"default\";q={QUOTA};w={WINDOW}")));
    }

    fn requests(&self, number: i64) -> u64 {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.number != number {
            *window = Window { number, requests: 0 };
        }
        window.requests += 1;
        window.requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_starts_again_with_every_window() {
        let limit = RateLimit::default();
        let left = |seconds: i64| {
            let mut headers = HeaderMap::new();
            limit.count(Timestamp::from_micros(seconds * 1_000_000), &mut headers);
            headers["ratelimit"].to_str().unwrap().to_owned()
        };
        assert_eq!(left(600), "\"default\";r=1199;t=300");
        assert_eq!(left(899), "\"default\";r=1198;t=1");
        assert_eq!(left(900), "\"default\";r=1199;t=300");
    }
}
