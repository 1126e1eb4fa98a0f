//! The rate limit of the REST API.

use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::domain::Timestamp;

use super::envelope::ApiError;
use super::faults::RateLimit;

/// What the headers speak of where nobody is refused: a test that asks quickly is no abuse.
const USUAL: RateLimit = RateLimit { requests: 1200, seconds: 300 };

/// Counts the requests of the present window.
#[derive(Debug, Default)]
pub(super) struct RequestCount(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    /// The number of the window since 1970 began.
    number: i64,
    requests: u64,
}

/// Where a request stands in its window.
#[derive(Debug)]
pub(super) struct Standing {
    limit: RateLimit,
    remaining: u64,
    /// Seconds until the next window.
    reset: i64,
    is_refused: bool,
}

impl RequestCount {
    /// Counts a request.
    pub(super) fn count(&self, now: Timestamp, limit: Option<RateLimit>) -> Standing {
        let is_limited = limit.is_some();
        let limit = limit.unwrap_or(USUAL);
        let (seconds, length) = (now.as_unix_seconds(), i64::from(limit.seconds));
        let requests = self.requests(seconds.div_euclid(length));
        Standing {
            limit,
            // Who is refused nothing always has something left: clients stop by themselves otherwise.
            remaining: limit.requests.saturating_sub(requests).max(u64::from(!is_limited)),
            reset: length - seconds.rem_euclid(length),
            is_refused: is_limited && requests > limit.requests,
        }
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

impl Standing {
    /// Refuses a request beyond the limit.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        if self.is_refused {
            let message = "Please wait and consider throttling your request speed";
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, 971, message));
        }
        Ok(())
    }

    /// Writes what is left into the headers of an answer.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        let Self { limit: RateLimit { requests, seconds }, remaining, reset, is_refused } = self;
        let header = |text: String| HeaderValue::try_from(text).expect("ASCII without control characters");
        headers.insert("ratelimit", header(format!("\"default\";r={remaining};t={reset}")));
        headers.insert("ratelimit-policy", header(format!("\"default\";q={requests};w={seconds}")));
        if *is_refused {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*reset));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(count: &RequestCount, seconds: i64, limit: Option<RateLimit>) -> Standing {
        count.count(Timestamp::from_micros(seconds * 1_000_000), limit)
    }

    #[test]
    fn the_count_starts_again_with_every_window() {
        let count = RequestCount::default();
        let left = |seconds: i64| {
            let mut headers = HeaderMap::new();
            at(&count, seconds, None).write(&mut headers);
            headers["ratelimit"].to_str().unwrap().to_owned()
        };
        assert_eq!(left(600), "\"default\";r=1199;t=300");
        assert_eq!(left(899), "\"default\";r=1198;t=1");
        assert_eq!(left(900), "\"default\";r=1199;t=300");
    }

    #[test]
    fn requests_beyond_the_limit_are_refused_until_the_window_ends() {
        let count = RequestCount::default();
        let limit = Some(RateLimit { requests: 2, seconds: 10 });
        let is_refused = |seconds| at(&count, seconds, limit).check().is_err();
        assert_eq!([100, 101, 102, 109, 110].map(is_refused), [false, false, true, true, false]);
        for _ in 0..5000 {
            assert!(at(&count, 500, None).check().is_ok());
        }
    }
}
