//! How often callers may ask. Counted in memory, so each instance of the service counts for itself.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use tracing::warn;

use super::RequestContext;
use crate::config::{RateLimit, RateLimitsConfig};
use crate::domain::{ClientNetwork, Clock, UserId};

/// How many parts the callers are kept in, each with a lock of its own.
const SHARDS: usize = 16;
/// How many callers a part holds in each of its two generations: 32,768 in all, some 2 MB for a group of requests at the worst.
const MAX_CALLERS: usize = 1024;

/// What a request is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestGroup {
    /// Makes new images.
    Upload,
    /// A notification.
    Webhook,
    /// Tries a password.
    SignIn,
    /// Changes nothing.
    Read,
    /// Changes anything else.
    Write,
}

/// For whom a request is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Who sent it.
    User(UserId),
    /// Where it came from, as nobody proved to have sent it.
    Network(ClientNetwork),
}

/// There were too many requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttled {
    /// How long until there is room for another one.
    pub wait: Duration,
}

/// The limits of all groups. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct RateLimits(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    clock: Arc<dyn Clock>,
    uploads: Option<Limiter>,
    webhooks: Option<Limiter>,
    sign_in: Option<Limiter>,
    reads: Option<Limiter>,
    writes: Option<Limiter>,
}

impl Caller {
    /// Where a request came from. Nothing where that is a trusted proxy, which did not tell for whom it asks: everybody behind it would
    /// be one caller.
    pub fn address(context: Option<&RequestContext>) -> Option<Self> {
        let (context, client) = context.and_then(|context| Some((context, context.client?)))?;
        if context.is_proxy {
            warn_of_silent_proxy(client);
            return None;
        }
        Some(Self::Network(client.into()))
    }
}

/// Said once. What asks from this machine is more often a program on it than a proxy.
fn warn_of_silent_proxy(client: IpAddr) {
    static SAID: Once = Once::new();
    if !client.is_loopback() {
        SAID.call_once(|| {
            warn!(
                client.address = %client,
                "The proxy {client} does not say for whom it asks: set X-Forwarded-For there. Until then nobody behind it is limited by \
                 address"
            );
        });
    }
}

impl Throttled {
    /// The time to wait in whole seconds, at least one, for `Retry-After`.
    pub fn seconds(&self) -> u64 {
        self.wait.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
    }
}

impl RateLimits {
    /// Limits by a clock, with nothing counted yet.
    pub fn new(config: &RateLimitsConfig, clock: Arc<dyn Clock>) -> Self {
        let limiter = |limit: Option<RateLimit>| limit.map(Limiter::new);
        Self(Arc::new(Limits {
            clock,
            uploads: limiter(config.uploads),
            webhooks: limiter(config.webhooks),
            sign_in: limiter(config.sign_in),
            reads: limiter(config.reads),
            writes: limiter(config.writes),
        }))
    }

    /// Counts a request, unless there were too many. Nobody's requests are not counted.
    ///
    /// # Errors
    /// [`Throttled`] if there were too many.
    pub fn count(&self, group: RequestGroup, caller: Option<Caller>) -> Result<(), Throttled> {
        self.with(group, caller, Limiter::count)
    }

    /// Whether a request would be let through, for those that are counted only where they turn out to be nobody's.
    ///
    /// # Errors
    /// [`Throttled`] if there were too many.
    pub fn check(&self, group: RequestGroup, caller: Option<Caller>) -> Result<(), Throttled> {
        self.with(group, caller, Limiter::check)
    }

    fn with(
        &self,
        group: RequestGroup,
        caller: Option<Caller>,
        ask: impl FnOnce(&Limiter, Caller, i64) -> Result<(), Throttled>,
    ) -> Result<(), Throttled> {
        let limiter = match group {
            RequestGroup::Upload => &self.0.uploads,
            RequestGroup::Webhook => &self.0.webhooks,
            RequestGroup::SignIn => &self.0.sign_in,
            RequestGroup::Read => &self.0.reads,
            RequestGroup::Write => &self.0.writes,
        };
        match (limiter, caller) {
            (Some(limiter), Some(caller)) => ask(limiter, caller, self.0.clock.now().as_micros()),
            _ => Ok(()),
        }
    }
}

/// The limit of a group, by the generic cell rate algorithm: a full bucket of requests for each caller, which comes back one by one.
/// Times are in microseconds.
#[derive(Debug)]
struct Limiter {
    period: i64,
    /// What one request takes of the period.
    interval: i64,
    hasher: RandomState,
    shards: [Mutex<Callers>; SHARDS],
}

/// When the bucket of each caller is full again. Who is not here has a full one.
///
/// Callers come into the young generation. When it has lasted for a period it becomes the old one, and the old one, all of whose
/// buckets are full by then, goes. It does so too when it is full of callers: a flood of addresses makes older ones forgotten, but
/// takes no more memory.
#[derive(Debug, Default)]
struct Callers {
    young: HashMap<Caller, i64>,
    old: HashMap<Caller, i64>,
    /// When the young generation began.
    begun_at: i64,
}

impl Limiter {
    fn new(limit: RateLimit) -> Self {
        let period = i64::try_from(limit.period.duration().as_micros()).unwrap_or(i64::MAX);
        Self {
            period,
            interval: period / i64::from(limit.requests),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    fn count(&self, caller: Caller, now: i64) -> Result<(), Throttled> {
        self.ask(caller, now, |callers, full_at| callers.put(caller, full_at, now, self.period))
    }

    fn check(&self, caller: Caller, now: i64) -> Result<(), Throttled> {
        self.ask(caller, now, |_, _| ())
    }

    fn ask(&self, caller: Caller, now: i64, admit: impl FnOnce(&mut Callers, i64)) -> Result<(), Throttled> {
        let shard = &self.shards[self.shard_of(caller)];
        let mut callers = shard.lock().unwrap_or_else(PoisonError::into_inner);
        // What is further ahead than a period was counted before the clock was put back.
        let counted = Some(callers.full_at(caller)).filter(|full_at| (now..=now + self.period).contains(full_at));
        let full_at = counted.unwrap_or(now) + self.interval;
        if let Ok(micros @ 1..) = u64::try_from(full_at - self.period - now) {
            return Err(Throttled { wait: Duration::from_micros(micros) });
        }
        admit(&mut callers, full_at);
        Ok(())
    }

    fn shard_of(&self, caller: Caller) -> usize {
        usize::try_from(self.hasher.hash_one(caller) % SHARDS as u64).unwrap_or_default()
    }
}

impl Callers {
    fn full_at(&self, caller: Caller) -> i64 {
        self.young.get(&caller).or_else(|| self.old.get(&caller)).copied().unwrap_or(i64::MIN)
    }

    fn put(&mut self, caller: Caller, full_at: i64, now: i64, period: i64) {
        let is_young = (self.begun_at..self.begun_at + period).contains(&now);
        if !is_young || self.young.len() >= MAX_CALLERS {
            self.old = std::mem::take(&mut self.young);
            self.begun_at = now;
        }
        self.young.insert(caller, full_at);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::config::Period;
    use crate::domain::{ManualClock, Timestamp};

    const LIMIT: RateLimit = RateLimit { requests: 6, period: Period::Minute };

    fn limits() -> (RateLimits, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(1_000_000_000_000)));
        let config = RateLimitsConfig { reads: Some(LIMIT), ..RateLimitsConfig::default() };
        (RateLimits::new(&config, clock.clone()), clock)
    }

    const ALICE: Option<Caller> = Some(Caller::User(UserId::Number(1)));

    fn address(address: impl Into<IpAddr>) -> Option<Caller> {
        let context = RequestContext {
            id: Arc::from("1"),
            client: Some(address.into()),
            is_proxy: false,
            origin: "http://localhost".to_owned(),
        };
        Caller::address(Some(&context))
    }

    /// Asks until there is something to wait for; how many it were, and for how many seconds to wait.
    fn exhaust(limits: &RateLimits, caller: Option<Caller>) -> (u32, u64) {
        for asked in 0..1000 {
            if let Err(throttled) = limits.count(RequestGroup::Read, caller) {
                return (asked, throttled.seconds());
            }
        }
        panic!("there is no limit")
    }

    #[test]
    fn so_many_requests_pass_at_once_and_come_back_one_by_one() {
        let (limits, clock) = limits();
        assert_eq!(exhaust(&limits, ALICE), (6, 10));
        clock.advance(9);
        assert_eq!(exhaust(&limits, ALICE), (0, 1));
        clock.advance(1);
        assert_eq!(exhaust(&limits, ALICE), (1, 10));
        clock.advance(30);
        assert_eq!(exhaust(&limits, ALICE), (3, 10));
        clock.advance(1_000_000);
        assert_eq!(exhaust(&limits, ALICE), (6, 10));
    }

    #[test]
    fn who_is_refused_waits_no_longer_for_it_and_who_only_looks_is_not_counted() {
        let (limits, clock) = limits();
        for _ in 0..100 {
            assert_eq!(limits.check(RequestGroup::Read, ALICE), Ok(()));
        }
        assert_eq!(exhaust(&limits, ALICE), (6, 10));
        for _ in 0..100 {
            exhaust(&limits, ALICE);
        }
        assert!(limits.check(RequestGroup::Read, ALICE).is_err());
        clock.advance(10);
        assert_eq!(limits.check(RequestGroup::Read, ALICE), Ok(()));
    }

    #[test]
    fn callers_and_groups_are_counted_apart_and_groups_without_a_limit_not_at_all() {
        let (limits, _) = limits();
        exhaust(&limits, ALICE);
        assert_eq!(exhaust(&limits, Some(Caller::User(UserId::from(2)))).0, 6);
        assert_eq!(exhaust(&limits, address(Ipv4Addr::LOCALHOST)).0, 6);
        for _ in 0..1000 {
            assert_eq!(limits.count(RequestGroup::Write, ALICE), Ok(()));
            assert_eq!(limits.count(RequestGroup::Read, None), Ok(()));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller_and_ipv4_in_its_form_is_ipv4() {
        let (limits, _) = limits();
        let in_network = |low: u128| address(Ipv6Addr::from_bits((0x2001_0db8_0000_0001 << 64) + low));
        exhaust(&limits, in_network(1));
        assert_eq!(exhaust(&limits, in_network(u128::from(u64::MAX))).0, 0);
        assert_eq!(exhaust(&limits, in_network(1 << 64)).0, 6);
        exhaust(&limits, address(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(exhaust(&limits, address(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped())).0, 0);
        assert_eq!(exhaust(&limits, address(Ipv4Addr::new(192, 0, 2, 2))).0, 6);
    }

    #[test]
    fn a_clock_that_is_put_back_keeps_nobody_out() {
        let (limits, clock) = limits();
        exhaust(&limits, ALICE);
        clock.advance(-1_000_000);
        assert_eq!(exhaust(&limits, ALICE), (6, 10));
        clock.advance(60);
        assert_eq!(exhaust(&limits, ALICE), (6, 10));
    }

    #[test]
    fn a_flood_of_addresses_takes_no_more_memory_and_callers_are_kept_over_a_change_of_generations() {
        let (limits, clock) = limits();
        let kept = |limits: &RateLimits| -> usize {
            let shards = &limits.0.reads.as_ref().unwrap().shards;
            let sizes = shards.iter().map(|shard| {
                let callers = shard.lock().unwrap();
                callers.young.len() + callers.old.len()
            });
            sizes.sum()
        };
        for number in 0..200_000 {
            limits.count(RequestGroup::Read, address(Ipv4Addr::from_bits(number))).unwrap();
        }
        assert!((SHARDS * MAX_CALLERS..=2 * SHARDS * MAX_CALLERS).contains(&kept(&limits)), "{}", kept(&limits));

        clock.advance(60);
        exhaust(&limits, ALICE);
        clock.advance(5);
        for number in 0..u32::try_from(SHARDS * MAX_CALLERS / 2).unwrap() {
            limits.count(RequestGroup::Read, address(Ipv4Addr::from_bits(number))).unwrap();
        }
        assert_eq!(exhaust(&limits, ALICE).0, 0);

        // Each part forgets when somebody new comes to it.
        for _ in 0..2 {
            clock.advance(60);
            for number in 0..1000 {
                limits.count(RequestGroup::Read, address(Ipv4Addr::from_bits(number))).unwrap();
            }
        }
        assert_eq!(kept(&limits), 2000);
    }
}
