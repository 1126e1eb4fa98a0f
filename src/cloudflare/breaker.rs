//! Leaving Cloudflare alone while it is down.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Error;

/// So many failures in a row, with no answer between them, are an outage. More than one call makes.
const FAILURES: u32 = 5;

/// What a finished call tells of the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered, be it with a refusal.
    Up,
    /// It did not, or said itself that it cannot.
    Down,
    /// Nothing.
    Unclear,
}

/// Whether a call may be made: while Cloudflare is down only one now and then, to see whether it is still so.
#[derive(Debug)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// How long to leave it alone at first.
    first_pause: Duration,
    /// How long at most, after twice as long each time.
    longest_pause: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Failures since the last answer, and when they began.
    Closed { failures: u32, since: Option<Instant> },
    /// Down since then. After `next_try` one call may see, which puts that off by another `pause`.
    Open { since: Instant, pause: Duration, next_try: Instant },
}

/// That a call may be made.
#[derive(Debug)]
pub(super) struct Leave {
    is_probe: bool,
}

/// Cloudflare does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// How long it has not been answering.
    pub since: Duration,
    /// When a call is let through again to see whether it does. Zero: the next one is.
    pub next_try: Duration,
}

impl Breaker {
    pub(super) fn new(first_pause: Duration, longest_pause: Duration) -> Self {
        Self { state: Mutex::new(State::CLOSED), first_pause, longest_pause }
    }

    /// What is known of an outage.
    pub(super) fn outage(&self, now: Instant) -> Option<Outage> {
        self.state().outage(now)
    }

    /// Whether a call would have to fail.
    pub(super) fn check(&self, now: Instant) -> Result<(), Error> {
        match self.outage(now) {
            Some(outage) if !outage.next_try.is_zero() => Err(Error::Unavailable(outage)),
            _ => Ok(()),
        }
    }

    /// Lets a call through, or fails it.
    pub(super) fn enter(&self, now: Instant) -> Result<Leave, Error> {
        let mut state = self.state();
        let outage = state.outage(now);
        match (&mut *state, outage) {
            (State::Open { next_try, .. }, Some(outage)) if now < *next_try => Err(Error::Unavailable(outage)),
            (State::Open { pause, next_try, .. }, _) => {
                *next_try = now + *pause;
                Ok(Leave { is_probe: true })
            }
            (State::Closed { .. }, _) => Ok(Leave { is_probe: false }),
        }
    }

    /// Learns from a finished call; the news, where there are any. A call that is not reported, because nobody waits for it any
    /// more, tells nothing.
    pub(super) fn report(&self, leave: &Leave, sign: Sign, now: Instant) -> Option<News> {
        let mut state = self.state();
        match (sign, &mut *state) {
            (Sign::Unclear, _) => None,
            (Sign::Up, State::Closed { .. }) => {
                *state = State::CLOSED;
                None
            }
            (Sign::Up, State::Open { since, .. }) => {
                let lasted = now - *since;
                *state = State::CLOSED;
                Some(News::Over { lasted })
            }
            (Sign::Down, State::Closed { failures, since }) => {
                *failures += 1;
                let since = *since.get_or_insert(now);
                if *failures < FAILURES {
                    return None;
                }
                *state = State::Open { since, pause: self.first_pause, next_try: now + self.first_pause };
                Some(News::Begun)
            }
            (Sign::Down, State::Open { pause, next_try, .. }) => {
                // Those that were on their way when it began tell nothing new.
                if leave.is_probe {
                    *pause = (*pause * 2).min(self.longest_pause);
                    *next_try = now + *pause;
                }
                None
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Cloudflare is down.
    Begun,
    /// It answers again.
    Over {
        /// How long it did not.
        lasted: Duration,
    },
}

impl State {
    const CLOSED: Self = Self::Closed { failures: 0, since: None };

    fn outage(&self, now: Instant) -> Option<Outage> {
        match *self {
            Self::Closed { .. } => None,
            Self::Open { since, next_try, .. } => Some(Outage {
                since: now.saturating_duration_since(since),
                next_try: next_try.saturating_duration_since(now),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn breaker() -> Breaker {
        Breaker::new(SECOND, 4 * SECOND)
    }

    /// Makes a call that ends at once.
    fn call(breaker: &Breaker, sign: Sign, now: Instant) -> Option<News> {
        breaker.report(&breaker.enter(now).unwrap(), sign, now)
    }

    /// A breaker that has just seen enough.
    fn down(start: Instant) -> Breaker {
        let breaker = breaker();
        for _ in 1..FAILURES {
            assert_eq!(call(&breaker, Sign::Down, start), None);
        }
        assert_eq!(call(&breaker, Sign::Down, start), Some(News::Begun));
        breaker
    }

    /// The wait that a call is refused with.
    fn refusal(breaker: &Breaker, now: Instant) -> Duration {
        match breaker.enter(now).unwrap_err() {
            Error::Unavailable(outage) => outage.next_try,
            error => panic!("{error}"),
        }
    }

    #[test]
    fn failures_are_an_outage_only_without_answers_between_them() {
        let (breaker, now) = (breaker(), Instant::now());
        for _ in 0..10 {
            for _ in 1..FAILURES {
                assert_eq!(call(&breaker, Sign::Down, now), None);
            }
            assert_eq!(call(&breaker, Sign::Up, now), None);
        }
        assert_eq!(breaker.outage(now), None);
    }

    #[test]
    fn what_is_unclear_or_was_given_up_does_not_count() {
        let (breaker, now) = (breaker(), Instant::now());
        for _ in 0..100 {
            assert_eq!(call(&breaker, Sign::Unclear, now), None);
            breaker.enter(now).unwrap();
        }
        assert_eq!(breaker.outage(now), None);
    }

    #[test]
    fn calls_fail_at_once_and_say_since_when_and_until_when() {
        let start = Instant::now();
        let breaker = down(start);
        let now = start + SECOND / 4;
        let outage = Outage { since: SECOND / 4, next_try: SECOND * 3 / 4 };
        assert_eq!(breaker.outage(now), Some(outage));
        assert!(matches!(breaker.enter(now), Err(Error::Unavailable(told)) if told == outage));
        assert!(matches!(breaker.check(now), Err(Error::Unavailable(told)) if told == outage));
    }

    #[test]
    fn one_call_at_a_time_sees_whether_it_is_over() {
        let start = Instant::now();
        let breaker = down(start);
        let now = start + SECOND;
        assert!(breaker.check(now).is_ok());
        let probe = breaker.enter(now).unwrap();
        assert_eq!(refusal(&breaker, now), SECOND);
        assert_eq!(breaker.report(&probe, Sign::Up, now), Some(News::Over { lasted: SECOND }));
        assert_eq!(breaker.outage(now), None);
        assert_eq!(call(&breaker, Sign::Down, now), None);
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut now = Instant::now();
        let breaker = down(now);
        let mut pause = SECOND;
        for next in [2, 4, 4] {
            now += pause;
            assert_eq!(call(&breaker, Sign::Down, now), None);
            pause = next * SECOND;
            assert_eq!(refusal(&breaker, now), pause);
        }
    }

    #[test]
    fn a_probe_that_nobody_waits_for_any_more_is_followed_by_another() {
        let start = Instant::now();
        let breaker = down(start);
        breaker.enter(start + SECOND).unwrap();
        assert!(breaker.enter(start + 2 * SECOND).is_ok());
    }

    #[test]
    fn those_that_were_on_their_way_put_nothing_off_and_may_end_it() {
        let start = Instant::now();
        let breaker = breaker();
        let stragglers = [breaker.enter(start).unwrap(), breaker.enter(start).unwrap()];
        for _ in 0..FAILURES {
            call(&breaker, Sign::Down, start);
        }
        assert_eq!(breaker.report(&stragglers[0], Sign::Down, start + SECOND / 2), None);
        assert_eq!(refusal(&breaker, start + SECOND / 2), SECOND / 2);
        let over = Some(News::Over { lasted: SECOND / 2 });
        assert_eq!(breaker.report(&stragglers[1], Sign::Up, start + SECOND / 2), over);
    }
}
