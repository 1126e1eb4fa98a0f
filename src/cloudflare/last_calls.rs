//! What came of the calls that were made last.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::{Error, LastFailure};

/// When calls last worked and failed, and what Cloudflare last said to be left.
#[derive(Debug, Default)]
pub(super) struct LastCalls(Mutex<Last>);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Last {
    pub(super) success: Option<Instant>,
    failure: Option<(Instant, &'static str)>,
    pub(super) told_requests_left: Option<u64>,
}

impl LastCalls {
    /// Learns from a call. That Cloudflare refuses what concerns one image is as good as an answer.
    pub(super) fn note<T>(&self, outcome: Result<&T, &Error>, now: Instant) {
        match outcome {
            // Nothing was asked.
            Err(Error::UnusableId | Error::CalledOff) => {}
            Err(error) if !error.concerns_one_image() => self.last().failure = Some((now, error.kind())),
            _ => self.last().success = Some(now),
        }
    }

    /// Learns how many requests Cloudflare says to be left.
    pub(super) fn note_requests_left(&self, left: u64) {
        self.last().told_requests_left = Some(left);
    }

    /// All that is known.
    pub(super) fn get(&self) -> Last {
        *self.last()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    pub(super) fn failure(&self, now: Instant) -> Option<LastFailure> {
        self.failure.map(|(at, kind)| LastFailure { ago: now.saturating_duration_since(at), kind })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refusal_about_one_image_is_no_failure_of_cloudflare() {
        let (calls, now) = (LastCalls::default(), Instant::now());
        let status = |status| Error::Status { status, errors: vec![] };
        calls.note::<()>(Err(&status(reqwest::StatusCode::SERVICE_UNAVAILABLE)), now);
        let later = now + Duration::from_secs(2);
        calls.note::<()>(Err(&status(reqwest::StatusCode::CONFLICT)), later);
        let last = calls.get();
        assert_eq!(last.success, Some(later));
        assert_eq!(last.failure(later), Some(LastFailure { ago: Duration::from_secs(2), kind: "server_error" }));
    }
}
