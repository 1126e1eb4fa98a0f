//! Keeping within what Cloudflare allows: so many requests in five minutes, and so many at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::patience::Patience;
use super::{ClientLimits, Error, Headroom};

/// What the limit of requests is counted over.
const WINDOW: Duration = Duration::from_mins(5);
/// What nobody reaches.
const NO_LIMIT: u32 = u32::MAX;
/// However long Cloudflare wants to be left alone, it is asked again after this long.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// Makes calls wait for their turn.
///
/// Requests are counted by a token bucket that holds half of what may be sent in five minutes and gets the other half in five minutes,
/// so that no five minutes see more than the whole. A burst passes at once. Jobs leave half of the bucket to people, and half of the
/// places in flight; so do uploads and downloads, as their bytes may take long.
#[derive(Debug)]
pub(super) struct Limiter {
    bucket: Mutex<Bucket>,
    is_limited: bool,
    places: Arc<Semaphore>,
    places_of_jobs: Arc<Semaphore>,
    places_of_uploads: Arc<Semaphore>,
}

/// A place among the calls in flight, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _places: [Option<OwnedSemaphorePermit>; 3],
}

impl Limiter {
    /// `is_local`: the API is an emulator, which has no limit unless one is set.
    pub(super) fn new(limits: &ClientLimits, is_local: bool, now: Instant) -> Self {
        let default = if is_local { NO_LIMIT } else { ClientLimits::MAX_REQUESTS };
        let of_all = limits.max_requests.unwrap_or(default);
        let requests = of_all / limits.instances.max(1);
        let places = limits.max_concurrent_requests.max(2);
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self {
            bucket: Mutex::new(Bucket::new(requests.max(ClientLimits::FEWEST_REQUESTS), now)),
            is_limited: of_all != NO_LIMIT,
            places: semaphore(places),
            places_of_jobs: semaphore(places / 2),
            places_of_uploads: semaphore(places / 2),
        }
    }

    /// Waits for a place and for a request to be left.
    ///
    /// # Errors
    /// [`Error::Busy`] where there is no place before the deadline; at once [`Error::RateLimited`] where no request will be left by
    /// then.
    pub(super) async fn enter(&self, patience: Patience, is_upload: bool, deadline: Instant) -> Result<Place, Error> {
        let place = timeout_at(deadline, self.place(patience, is_upload)).await.map_err(|_| Error::Busy)?;
        loop {
            let turn = self.bucket().take(patience, Instant::now(), deadline);
            match turn {
                Turn::At(time) => {
                    sleep_until(time).await;
                    return Ok(place);
                }
                Turn::AskAgain(time) => sleep_until(time).await,
                Turn::TooLate(wait) => return Err(Error::RateLimited { wait }),
            }
        }
    }

    /// Always in the same order, so that nobody waits for somebody who waits for them.
    async fn place(&self, patience: Patience, is_upload: bool) -> Place {
        let of_jobs = take(&self.places_of_jobs, patience == Patience::Job).await;
        let of_uploads = take(&self.places_of_uploads, is_upload).await;
        let of_all = take(&self.places, true).await;
        Place { _places: [of_jobs, of_uploads, of_all] }
    }

    /// Lets no request through for a time, because Cloudflare says so.
    pub(super) fn pause(&self, time: Duration, now: Instant) {
        self.bucket().pause_until(now + time.min(LONGEST_PAUSE));
    }

    /// How long no request is let through, because Cloudflare says so.
    pub(super) fn paused_for(&self, now: Instant) -> Duration {
        self.bucket().filled_at.saturating_duration_since(now)
    }

    /// How many requests may be made at once; none where there is no limit.
    pub(super) fn headroom(&self, now: Instant) -> Option<Headroom> {
        self.is_limited.then(|| self.bucket().headroom(now))
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn take(places: &Arc<Semaphore>, is_needed: bool) -> Option<OwnedSemaphorePermit> {
    // It is never closed.
    if is_needed { Arc::clone(places).acquire_owned().await.ok() } else { None }
}

/// When a request may be sent.
#[derive(Debug, PartialEq)]
enum Turn {
    /// Then, for sure.
    At(Instant),
    /// Not before then; others may be first.
    AskAgain(Instant),
    /// After this long, which is after the deadline.
    TooLate(Duration),
}

/// Requests that are left. Below zero, those that wait have taken what is still to come.
#[derive(Debug)]
struct Bucket {
    capacity: f64,
    per_second: f64,
    level: f64,
    /// When the level was right. Ahead of the present during a pause.
    filled_at: Instant,
}

impl Bucket {
    fn new(requests: u32, now: Instant) -> Self {
        let capacity = f64::from(requests / 2);
        Self { capacity, per_second: capacity / WINDOW.as_secs_f64(), level: capacity, filled_at: now }
    }

    fn take(&mut self, patience: Patience, now: Instant, deadline: Instant) -> Turn {
        self.fill(now);
        let to_leave = match patience {
            Patience::Person => 0.0,
            Patience::Job => self.capacity / 2.0,
        };
        let missing = (to_leave + 1.0 - self.level).max(0.0);
        let time = self.filled_at + Duration::from_secs_f64(missing / self.per_second);
        if time > deadline.max(now) {
            return Turn::TooLate(time - now);
        }
        if patience == Patience::Job && time > now {
            return Turn::AskAgain(time);
        }
        self.level -= 1.0;
        Turn::At(time)
    }

    fn fill(&mut self, now: Instant) {
        if let Some(passed) = now.checked_duration_since(self.filled_at) {
            self.level = (self.level + passed.as_secs_f64() * self.per_second).min(self.capacity);
            self.filled_at = now;
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between zero and the capacity, a u32")]
    fn headroom(&mut self, now: Instant) -> Headroom {
        self.fill(now);
        Headroom { left: self.level.max(0.0) as u32, most: self.capacity as u32 }
    }

    fn pause_until(&mut self, time: Instant) {
        self.filled_at = self.filled_at.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// A bucket of 300, filled by one a second.
    const REQUESTS: u32 = 600;

    /// Takes until there is something to wait for; how many it were.
    fn drain(bucket: &mut Bucket, patience: Patience, now: Instant) -> u32 {
        (0..REQUESTS).take_while(|_| bucket.take(patience, now, now) == Turn::At(now)).count().try_into().unwrap()
    }

    #[test]
    fn a_burst_passes_at_once_and_no_five_minutes_see_more_than_the_limit() {
        let start = Instant::now();
        let mut bucket = Bucket::new(REQUESTS, start);
        assert_eq!(drain(&mut bucket, Patience::Person, start), 300);
        let later: u32 = (1..=300).map(|second| drain(&mut bucket, Patience::Person, start + second * SECOND)).sum();
        assert!((299..=300).contains(&later), "{later}");
        let much_later = start + 100 * WINDOW;
        assert_eq!(drain(&mut bucket, Patience::Person, much_later), 300);
    }

    #[test]
    fn the_headroom_is_what_is_left_and_never_below_zero() {
        let start = Instant::now();
        let mut bucket = Bucket::new(REQUESTS, start);
        bucket.take(Patience::Person, start, start);
        assert_eq!(bucket.headroom(start), Headroom { left: 299, most: 300 });
        drain(&mut bucket, Patience::Person, start);
        bucket.take(Patience::Person, start, start + 10 * SECOND);
        assert_eq!(bucket.headroom(start), Headroom { left: 0, most: 300 });
        let limiter = |is_local| Limiter::new(&ClientLimits::default(), is_local, start);
        assert_eq!(limiter(false).headroom(start), Some(Headroom { left: 500, most: 500 }));
        assert_eq!(limiter(true).headroom(start), None);
    }

    #[test]
    fn who_waits_knows_how_long_and_who_would_wait_too_long_fails_at_once() {
        let start = Instant::now();
        let mut bucket = Bucket::new(REQUESTS, start);
        drain(&mut bucket, Patience::Person, start);
        let deadline = start + SECOND * 5 / 2;
        for (seconds, want) in [(1, true), (2, true), (3, false), (3, false)] {
            let turn = bucket.take(Patience::Person, start, deadline);
            match turn {
                Turn::At(time) if want => assert!((time - start).abs_diff(seconds * SECOND) < SECOND / 100),
                Turn::TooLate(wait) if !want => assert!(wait.abs_diff(seconds * SECOND) < SECOND / 100),
                turn => panic!("{turn:?}"),
            }
        }
    }

    #[test]
    fn jobs_leave_half_to_people() {
        let start = Instant::now();
        let mut bucket = Bucket::new(REQUESTS, start);
        assert_eq!(drain(&mut bucket, Patience::Job, start), 150);
        assert_eq!(bucket.take(Patience::Job, start, start + WINDOW), Turn::AskAgain(start + SECOND));
        assert_eq!(drain(&mut bucket, Patience::Person, start), 150);
        assert_eq!(bucket.take(Patience::Job, start, start + WINDOW), Turn::AskAgain(start + 151 * SECOND));
        assert_eq!(bucket.take(Patience::Job, start, start + SECOND), Turn::TooLate(151 * SECOND));
    }

    #[test]
    fn a_pause_lets_nothing_through_and_adds_nothing() {
        let start = Instant::now();
        let mut bucket = Bucket::new(REQUESTS, start);
        drain(&mut bucket, Patience::Person, start);
        bucket.pause_until(start + 10 * SECOND);
        bucket.pause_until(start + 5 * SECOND);
        let turn = bucket.take(Patience::Person, start + SECOND, start + WINDOW);
        assert!(matches!(turn, Turn::At(time) if (time - start).abs_diff(11 * SECOND) < SECOND / 100), "{turn:?}");
        assert_eq!(drain(&mut bucket, Patience::Person, start + 12 * SECOND), 1);
    }

    #[test]
    fn the_limit_is_shared_by_the_instances_and_an_emulator_has_none() {
        let now = Instant::now();
        let burst = |max_requests, instances, is_local| {
            let limits = ClientLimits { max_requests, instances, ..ClientLimits::default() };
            let limiter = Limiter::new(&limits, is_local, now);
            limiter.bucket().capacity
        };
        for (max_requests, instances, is_local, capacity) in [
            (None, 1, false, 500.0),
            (Some(800), 4, false, 100.0),
            (Some(10), 100, false, 2.0),
            (Some(800), 4, true, 100.0),
        ] {
            assert!((burst(max_requests, instances, is_local) - capacity).abs() < f64::EPSILON, "{max_requests:?}");
        }
        assert!(burst(None, 1, true) > 1e9);
    }

    fn limiter(max_concurrent_requests: usize) -> Limiter {
        let limits = ClientLimits { max_concurrent_requests, ..ClientLimits::default() };
        Limiter::new(&limits, true, Instant::now())
    }

    #[tokio::test]
    async fn jobs_and_uploads_leave_places_to_others() {
        let limiter = limiter(4);
        let enter = async |patience, is_upload| limiter.enter(patience, is_upload, Instant::now()).await;
        let _uploads = [enter(Patience::Person, true).await.unwrap(), enter(Patience::Person, true).await.unwrap()];
        assert!(matches!(enter(Patience::Person, true).await, Err(Error::Busy)));
        let job = enter(Patience::Job, false).await.unwrap();
        let person = enter(Patience::Person, false).await.unwrap();
        assert!(matches!(enter(Patience::Person, false).await, Err(Error::Busy)));
        drop(person);
        drop(enter(Patience::Person, false).await.unwrap());
        let _second_job = enter(Patience::Job, false).await.unwrap();
        drop(job);
        assert!(enter(Patience::Person, false).await.is_ok());
    }

    #[tokio::test]
    async fn nobody_is_let_through_during_a_pause() {
        let limiter = limiter(4);
        let now = Instant::now();
        limiter.pause(Duration::from_hours(24), now);
        assert_eq!(limiter.paused_for(now), LONGEST_PAUSE);
        for patience in [Patience::Person, Patience::Job] {
            let refused = limiter.enter(patience, false, now + SECOND).await;
            assert!(matches!(refused, Err(Error::RateLimited { wait }) if wait > LONGEST_PAUSE / 2));
        }
    }
}
