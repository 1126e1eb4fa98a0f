//! When a call that failed is made again.

use std::time::Duration;

use chrono::DateTime;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::time::Instant;

use super::failure::Failure;
use super::operation::Repeat;
use super::patience::{Patience, Times};

/// The tries of a call.
#[derive(Debug)]
pub(super) struct Tries {
    repeat: Option<Repeat>,
    deadline: Instant,
    /// A try that gets less time than this is not worth it.
    least_time: Duration,
    most_time: Duration,
    left: u32,
    pause: Duration,
    longest_pause: Duration,
}

impl Tries {
    /// `repeat` is when the call may be made again, `None` for never; `arrival` is how long its bytes may take.
    pub(super) fn new(
        times: Times,
        patience: Patience,
        repeat: Option<Repeat>,
        arrival: Duration,
        now: Instant,
    ) -> Self {
        let alone = times.in_all(patience);
        let in_all = alone + arrival;
        let (pause, longest_pause) = times.pauses(patience);
        // What hangs may go through at once when it is tried again.
        let most_time = if repeat == Some(Repeat::Always) { alone / 2 + arrival } else { in_all };
        Self {
            repeat,
            deadline: now + in_all,
            least_time: alone / 4,
            most_time,
            left: Times::tries(patience),
            pause,
            longest_pause,
        }
    }

    /// The same, which have to be over by `deadline`, whatever time they would have.
    pub(super) fn over_by(self, deadline: Option<Instant>) -> Self {
        Self { deadline: deadline.map_or(self.deadline, |deadline| deadline.min(self.deadline)), ..self }
    }

    /// When a try has to begin at the latest: what comes later has no time to be answered, and would look like an outage.
    pub(super) fn latest_start(&self) -> Instant {
        self.deadline - self.least_time
    }

    /// How long the next try may take.
    pub(super) fn time(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now).min(self.most_time)
    }

    /// How long to wait before the next try, if there is to be one. `jitter` is anything from 0 to 1: those that failed together
    /// should not come back together.
    pub(super) fn pause_after(&mut self, failure: &Failure, jitter: f64, now: Instant) -> Option<Duration> {
        self.left = self.left.saturating_sub(1);
        let is_allowed = match self.repeat {
            Some(Repeat::Always) => true,
            Some(Repeat::WithoutEffect) => !failure.error.may_have_taken_effect(),
            None => false,
        };
        if self.left == 0 || !is_allowed || !failure.error.is_retryable() {
            return None;
        }
        let pause = failure.wait.unwrap_or_else(|| self.pause.mul_f64(jitter.clamp(0.0, 1.0)));
        self.pause = (self.pause * 2).min(self.longest_pause);
        (now + pause + self.least_time <= self.deadline).then_some(pause)
    }
}

/// How long Cloudflare wants to be left alone, if it says so.
pub(super) fn wait_in(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let may_say = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let retry_after = || may_say.then(|| retry_after_in(headers)).flatten();
    retry_after().or_else(|| (status == StatusCode::TOO_MANY_REQUESTS).then(|| exhaustion_in(headers)).flatten())
}

/// `Retry-After`: seconds, or a date, which counts from the `Date` of the answer, as clocks differ.
fn retry_after_in(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let value = text(RETRY_AFTER)?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(bounded(Duration::from_secs(seconds)));
    }
    let date = |text| DateTime::parse_from_rfc2822(text).ok();
    let wait = date(value)? - date(text(DATE)?)?;
    Some(bounded(wait.to_std().unwrap_or_default()))
}

/// How long no request is left, by `Ratelimit: "default";r=0;t=30`, of whose policies the strictest counts.
pub(super) fn exhaustion_in(headers: &HeaderMap) -> Option<Duration> {
    policies_in(headers).filter_map(exhaustion_of).max()
}

/// How many requests are left, by the same.
pub(super) fn requests_left_in(headers: &HeaderMap) -> Option<u64> {
    policies_in(headers).filter_map(|policy| parameter_of(policy, "r")).min()
}

fn policies_in(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all("ratelimit").iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(','))
}

fn exhaustion_of(policy: &str) -> Option<Duration> {
    let is_exhausted = parameter_of(policy, "r")? == 0;
    is_exhausted.then(|| parameter_of(policy, "t")).flatten().map(Duration::from_secs).map(bounded)
}

fn parameter_of(policy: &str, name: &str) -> Option<u64> {
    let mut parameters = policy.split(';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
    parameters.find(|(own, _)| *own == name)?.1.parse().ok()
}

/// A wait that a clock can be set to, whatever it was asked for.
fn bounded(wait: Duration) -> Duration {
    wait.min(Duration::from_hours(24))
}

/// A number from 0 to 1, different each time.
pub(super) fn jitter() -> f64 {
    // Without random numbers, halfway is as good as anything.
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::cloudflare::Error;

    const SECOND: Duration = Duration::from_secs(1);

    fn status(status: u16) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        Error::Status { status, errors: Vec::new() }.into()
    }

    fn tries(patience: Patience, repeat: Option<Repeat>, now: Instant) -> Tries {
        Tries::new(Times::new(20 * SECOND), patience, repeat, Duration::ZERO, now)
    }

    /// The pauses of a call that goes on failing.
    fn pauses(patience: Patience, failure: &Failure, jitter: f64) -> Vec<Duration> {
        let now = Instant::now();
        let mut tries = tries(patience, Some(Repeat::Always), now);
        std::iter::from_fn(|| tries.pause_after(failure, jitter, now)).collect()
    }

    #[test]
    fn waits_have_a_bound_whatever_is_asked_for() {
        let day = Some(Duration::from_hours(24));
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "18446744073709551615".parse().unwrap());
        assert_eq!(wait_in(StatusCode::TOO_MANY_REQUESTS, &headers), day);
        let mut headers = HeaderMap::new();
        headers.insert("ratelimit", "\"default\";r=0;t=18446744073709551615".parse().unwrap());
        assert_eq!(exhaustion_in(&headers), day);
    }

    #[test]
    fn pauses_double_and_are_spread() {
        let milliseconds = |pauses: Vec<Duration>| pauses.iter().map(Duration::as_millis).collect::<Vec<_>>();
        assert_eq!(milliseconds(pauses(Patience::Person, &status(503), 1.0)), [250, 500]);
        assert_eq!(milliseconds(pauses(Patience::Person, &status(503), 0.5)), [125, 250]);
        assert_eq!(milliseconds(pauses(Patience::Job, &status(503), 1.0)), [1000, 2000, 4000]);
        assert_eq!(milliseconds(pauses(Patience::Job, &status(503), 0.0)), [0, 0, 0]);
    }

    #[test]
    fn only_what_may_help_and_cannot_harm_is_tried_again() {
        let (always, without_effect) = (Some(Repeat::Always), Some(Repeat::WithoutEffect));
        for (failure, when_repeatable, when_creating) in [
            (status(500), true, false),
            (status(429), true, true),
            (status(404), false, false),
            (status(401), false, false),
            (status(302), false, false),
            (Error::Malformed("").into(), false, false),
            (Error::UnusableId.into(), false, false),
        ] {
            let now = Instant::now();
            let is_tried = |repeat| tries(Patience::Person, repeat, now).pause_after(&failure, 0.5, now).is_some();
            assert_eq!(is_tried(always), when_repeatable, "{failure:?}");
            assert_eq!(is_tried(without_effect), when_creating, "{failure:?}");
            assert!(!is_tried(None), "{failure:?}");
        }
    }

    #[test]
    fn what_cloudflare_says_counts_unless_time_would_be_over() {
        let now = Instant::now();
        let told = |seconds| Failure { wait: Some(Duration::from_secs(seconds)), ..status(429) };
        let pause =
            |patience, seconds| tries(patience, Some(Repeat::WithoutEffect), now).pause_after(&told(seconds), 0.1, now);
        assert_eq!(pause(Patience::Person, 15), Some(15 * SECOND));
        assert_eq!(pause(Patience::Person, 16), None);
        assert_eq!(pause(Patience::Job, 45), Some(45 * SECOND));
        assert_eq!(pause(Patience::Job, 300), None);
    }

    #[test]
    fn a_try_has_enough_time_or_is_none() {
        let start = Instant::now();
        let mut repeatable = tries(Patience::Person, Some(Repeat::Always), start);
        assert_eq!(repeatable.time(start), 10 * SECOND);
        assert_eq!(repeatable.time(start + 18 * SECOND), 2 * SECOND);
        assert_eq!(tries(Patience::Person, None, start).time(start), 20 * SECOND);
        assert!(repeatable.pause_after(&status(500), 0.0, start + 16 * SECOND).is_none());
        let upload = || Tries::new(Times::new(20 * SECOND), Patience::Person, None, 60 * SECOND, start);
        assert_eq!(upload().time(start), 80 * SECOND);
        assert_eq!(upload().over_by(Some(start + 50 * SECOND)).time(start), 50 * SECOND);
        assert_eq!(upload().over_by(Some(start + 90 * SECOND)).time(start), 80 * SECOND);
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        lines.iter().map(line).collect()
    }

    #[test]
    fn waits_are_read_in_every_form() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (lines, seconds) in [
            (vec![("retry-after", "120")], Some(120)),
            (vec![("retry-after", "0")], Some(0)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT"), date], Some(120)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"), date], Some(0)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT")], None),
            (vec![("retry-after", "-1")], None),
            (vec![("retry-after", "soon")], None),
            (vec![("ratelimit", "\"default\";r=0;t=30")], Some(30)),
            (vec![("ratelimit", "\"burst\"; t=5; r=0, \"default\";r=0;t=30")], Some(30)),
            (vec![("ratelimit", "\"default\";r=50;t=30")], None),
            (vec![("retry-after", "7"), ("ratelimit", "\"default\";r=0;t=30")], Some(7)),
            (vec![("ratelimit", "\"default\";r=0")], None),
            (vec![], None),
        ] {
            let headers = headers(&lines);
            let wait = seconds.map(Duration::from_secs);
            assert_eq!(wait_in(StatusCode::TOO_MANY_REQUESTS, &headers), wait, "{lines:?}");
            assert_eq!(wait_in(StatusCode::INTERNAL_SERVER_ERROR, &headers), None, "{lines:?}");
        }
        let left = headers(&[("ratelimit", "\"burst\";r=7;t=5, \"default\";r=50;t=30"), ("ratelimit", "x;r=no")]);
        assert_eq!((requests_left_in(&left), requests_left_in(&headers(&[]))), (Some(7), None));
        let later = headers(&[("retry-after", "3")]);
        assert_eq!(wait_in(StatusCode::SERVICE_UNAVAILABLE, &later), Some(3 * SECOND));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_readers_panic(value in "[ -~]{0,40}", date in "[ -~]{0,40}") {
            let headers = headers(&[("retry-after", &value), ("ratelimit", &value), ("date", &date)]);
            wait_in(StatusCode::TOO_MANY_REQUESTS, &headers);
            exhaustion_in(&headers);
        }
    }
}
