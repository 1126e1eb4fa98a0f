//! How long calls may take, and how often they are tried.

use std::time::Duration;

/// Who waits for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Somebody, who should be told before they give up.
    Person,
    /// Nobody: a job, which does not mind waiting, and lets people go first.
    Job,
}

/// All times of a client, made of one: how long a call may take that a person waits for, tries and waits included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    timeout: Duration,
}

impl Times {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout }
    }

    /// How long a call may take in all.
    pub(super) fn in_all(self, patience: Patience) -> Duration {
        match patience {
            Patience::Person => self.timeout,
            Patience::Job => self.timeout * 3,
        }
    }

    /// How often a call is tried at most.
    pub(super) fn tries(patience: Patience) -> u32 {
        match patience {
            Patience::Person => 3,
            Patience::Job => 4,
        }
    }

    /// The longest pauses before the second try and before any.
    pub(super) fn pauses(self, patience: Patience) -> (Duration, Duration) {
        match patience {
            Patience::Person => (self.timeout / 80, self.timeout / 10),
            Patience::Job => (self.timeout / 20, self.timeout / 2),
        }
    }

    /// How long to try to reach Cloudflare.
    pub(super) fn to_connect(self) -> Duration {
        self.timeout / 4
    }

    /// How long Cloudflare is left alone when it is down, at first and at most.
    pub(super) fn outage_pauses(self) -> (Duration, Duration) {
        (self.timeout / 20, self.timeout)
    }
}
