//! What happened of late: requests of clients and notifications to webhooks, in memory, and without secrets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use crate::domain::Timestamp;

use super::super::faults::Cut;
use super::recent::Recent;
use super::texts::shorten;
use super::{Account, target};

/// Requests that are kept.
const MAX_REQUESTS: usize = 50;
/// Notifications that are kept.
const MAX_NOTIFICATIONS: usize = 20;
/// Characters of a method; those of HTTP have fewer.
const MAX_METHOD: usize = 12;

/// What happened of late.
#[derive(Debug)]
pub(in crate::emulator) struct Activity {
    pub(super) requests: Recent<Exchange>,
    pub(super) notifications: Recent<Delivery>,
}

/// A request, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) at: Timestamp,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) outcome: Outcome,
    /// Until the answer began, or the request ended otherwise.
    pub(super) duration: Option<Duration>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    Pending,
    Answered(StatusCode),
    /// The connection was cut, as a fault wanted it.
    Cut,
    /// The client went away before there was an answer.
    Abandoned,
}

/// A notification to one destination, and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) at: Timestamp,
    pub(super) destination: String,
    pub(super) url: String,
    pub(super) text: String,
    pub(super) tries: u32,
    /// Whether it was taken, or else why not; `None` while it is on its way.
    pub(super) result: Option<Result<(), String>>,
}

impl Default for Activity {
    fn default() -> Self {
        Self { requests: Recent::new(MAX_REQUESTS), notifications: Recent::new(MAX_NOTIFICATIONS) }
    }
}

impl Activity {
    /// A message is on its way; answers the number for [`notified`](Self::notified).
    pub(in crate::emulator) fn notify(&self, at: Timestamp, destination: &str, url: &str, text: String) -> u64 {
        let (destination, url) = (destination.to_owned(), target::of_url(url));
        self.notifications.push(Delivery { at, destination, url, text, tries: 0, result: None })
    }

    /// The message was taken, or given up, after so many tries.
    pub(in crate::emulator) fn notified(&self, number: u64, tries: u32, result: Result<(), String>) {
        self.notifications.update(number, |delivery| {
            delivery.tries = tries;
            delivery.result = Some(result);
        });
    }
}

/// Records requests and what becomes of them.
pub(in crate::emulator) async fn record(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    let number = account.activity.requests.push(Exchange {
        at: account.clock.now(),
        method: shorten(request.method().as_str(), MAX_METHOD),
        target: target::of(request.uri()),
        outcome: Outcome::Pending,
        duration: None,
    });
    let mut pending = Pending { account, number, started: Instant::now(), outcome: Outcome::Abandoned };
    let response = next.run(request).await;
    let is_cut = response.extensions().get::<Cut>().is_some();
    pending.outcome = if is_cut { Outcome::Cut } else { Outcome::Answered(response.status()) };
    response
}

/// A request without an answer. Where its client goes away, it is dropped.
struct Pending {
    account: Arc<Account>,
    number: u64,
    started: Instant,
    outcome: Outcome,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let (outcome, duration) = (self.outcome, self.started.elapsed());
        self.account.activity.requests.update(self.number, |exchange| {
            exchange.outcome = outcome;
            exchange.duration = Some(duration);
        });
    }
}
