//! What a client may ask of Cloudflare, and how Cloudflare is.

use std::time::Duration;

use super::Outage;

/// How much a client may ask of Cloudflare.
#[derive(Debug, Clone)]
pub struct ClientLimits {
    /// How long a call may take that somebody waits for, all tries and waits included; the bytes of uploads get their time beside it.
    /// Jobs take three times as long.
    pub timeout: Duration,
    /// How many requests may be made in five minutes by all instances together. [`ClientLimits::MAX_REQUESTS`] where it is `None`, and
    /// no limit where the API is on this machine.
    pub max_requests: Option<u32>,
    /// How many instances share these requests; at least 1. Each makes [`ClientLimits::FEWEST_REQUESTS`] at least, though they are
    /// more than there are then.
    pub instances: u32,
    /// How many calls may be in flight; at least 2. Jobs have half of the places, and so have uploads and downloads together, so that
    /// there are always some for people's small calls.
    pub max_concurrent_requests: usize,
    /// How long a try may take before it is warned of, if it moves no bytes of pictures; none for any time.
    pub slow_call: Option<Duration>,
}

impl ClientLimits {
    /// How many requests may be made in five minutes where nobody says otherwise. Cloudflare takes 1200 of a user, those of the
    /// dashboard and of other programs included.
    pub const MAX_REQUESTS: u32 = 1000;
    /// The fewest requests in five minutes that an instance can work with: half of them may be made at once, and jobs leave half of
    /// these to people.
    pub const FEWEST_REQUESTS: u32 = 4;
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(20),
            max_requests: None,
            instances: 1,
            max_concurrent_requests: 64,
            slow_call: Some(Duration::from_secs(3)),
        }
    }
}

/// How Cloudflare is, as far as a client and its clones know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// That it does not answer. Calls fail at once then, but for one now and then.
    pub outage: Option<Outage>,
    /// How long it wants no request, because there were too many; zero for not at all.
    pub paused_for: Duration,
    /// How many requests may be made at once; none where there is no limit.
    pub headroom: Option<Headroom>,
    /// How many requests Cloudflare last said to be left, where it said so.
    pub told_requests_left: Option<u64>,
    /// How long ago a call last worked.
    pub last_success: Option<Duration>,
    /// The last call that failed for a reason that is not about one image.
    pub last_failure: Option<LastFailure>,
}

/// How many requests a client may make at once, by its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// So many are left.
    pub left: u32,
    /// So many are left where none was made for a while: half of those of five minutes.
    pub most: u32,
}

/// A call that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastFailure {
    /// How long ago.
    pub ago: Duration,
    /// The kind of its error, see [`Error::kind`](super::Error::kind).
    pub kind: &'static str,
}
