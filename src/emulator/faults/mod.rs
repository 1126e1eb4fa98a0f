//! Faults on request, for tests of clients: what is to go wrong with the next calls, and ways of Cloudflare that are hard to come by.

pub(super) mod control;
mod cut;
pub(super) mod inject;
mod operation;

pub(super) use cut::Cut;
pub use operation::Operation;
pub(super) use operation::{BATCH, UPLOAD_URL};

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Account;
use super::storage::StoredImage;

/// What goes wrong with some calls.
///
/// Made by one of the constructors, such as [`Fault::error`], a fault hits the next call of any operation but
/// [`Operation::Deliver`]; the other methods say which calls it hits instead. A call is hit by one fault at most, the first of
/// those that are meant for it.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use cfimages::emulator::{Fault, Operation};
///
/// // Two answers of 503, then one that gets lost.
/// let faults = [
///     Fault::error(503).on(Operation::DeleteImage).times(2),
///     Fault::cut().on(Operation::DeleteImage).after_effect(),
/// ];
/// // One call in ten is slow and fails.
/// let weather = Fault::error(500).delay(Duration::from_millis(200)).rate(0.1).always();
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    /// Calls that are left alone first.
    #[serde(default)]
    skip: u32,
    /// Calls that are hit; all where it is `None`.
    #[serde(default = "once")]
    times: Option<u32>,
    /// How many of the calls are hit, from 0 to 1.
    #[serde(default = "all")]
    rate: f64,
    #[serde(default)]
    delay_ms: u64,
    #[serde(default)]
    after_effect: bool,
    #[serde(default)]
    kind: Kind,
}

#[expect(clippy::unnecessary_wraps, reason = "the default of a field that may be null")]
fn once() -> Option<u32> {
    Some(1)
}

fn all() -> f64 {
    1.0
}

#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Kind {
    /// The answer is right, and late.
    #[default]
    None,
    Error {
        status: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
        /// Seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u32>,
        #[serde(default)]
        body: ErrorBody,
    },
    Redirect {
        location: String,
    },
    Cut,
    CutBody,
    MalformedBody,
}

/// The form of an error.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorBody {
    /// Cloudflare's envelope.
    #[default]
    Json,
    /// `ERROR 5503: ...`, as text.
    Text,
    /// A page for people, as gateways send them.
    Html,
    /// Nothing.
    Empty,
}

impl Fault {
    fn new(kind: Kind) -> Self {
        Self { operation: None, skip: 0, times: once(), rate: all(), delay_ms: 0, after_effect: false, kind }
    }

    /// An error with this status, 400 to 599, and the code that Cloudflare has for it.
    pub fn error(status: u16) -> Self {
        Self::error_with(status, ErrorBody::Json)
    }

    /// The same in another form.
    pub fn error_with(status: u16, body: ErrorBody) -> Self {
        Self::new(Kind::Error { status, code: None, message: None, retry_after: None, body })
    }

    /// 429 with code 971, and, where it is given, a `retry-after` of so many seconds.
    pub fn too_many_requests(retry_after: Option<u32>) -> Self {
        Self::new(Kind::Error { status: 429, code: None, message: None, retry_after, body: ErrorBody::Json })
    }

    /// A redirect, 307, to another address.
    pub fn redirect(location: impl Into<String>) -> Self {
        Self::new(Kind::Redirect { location: location.into() })
    }

    /// No answer: the connection is cut.
    pub fn cut() -> Self {
        Self::new(Kind::Cut)
    }

    /// Half of the right answer, and then the connection is cut. What was asked for is done.
    pub fn cut_body() -> Self {
        Self::new(Kind::CutBody)
    }

    /// Half of the right answer as if it were all of it. What was asked for is done.
    pub fn malformed_body() -> Self {
        Self::new(Kind::MalformedBody)
    }

    /// The right answer, but late.
    pub fn slow(delay: Duration) -> Self {
        Self::new(Kind::None).delay(delay)
    }

    /// Hits only calls of this operation.
    #[must_use]
    pub fn on(self, operation: Operation) -> Self {
        Self { operation: Some(operation), ..self }
    }

    /// Leaves so many calls alone first.
    #[must_use]
    pub fn skip(self, calls: u32) -> Self {
        Self { skip: calls, ..self }
    }

    /// Hits so many calls in place of one.
    #[must_use]
    pub fn times(self, calls: u32) -> Self {
        Self { times: Some(calls), ..self }
    }

    /// Hits all calls until it is taken away.
    #[must_use]
    pub fn always(self) -> Self {
        Self { times: None, ..self }
    }

    /// Hits only this part of the calls, from 0 to 1; which, [`FaultPlan::seed`] decides.
    #[must_use]
    pub fn rate(self, rate: f64) -> Self {
        Self { rate, ..self }
    }

    /// Waits before anything else is done, with a precision of milliseconds.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay_ms: delay.as_millis().try_into().unwrap_or(u64::MAX), ..self }
    }

    /// Does what was asked for before it goes wrong: the answer gets lost.
    #[must_use]
    pub fn after_effect(self) -> Self {
        Self { after_effect: true, ..self }
    }

    fn is_for(&self, operation: Operation) -> bool {
        self.operation.map_or(operation != Operation::Deliver, |of| of == operation)
    }

    /// Whether it hits a call that it is meant for.
    fn hits(&mut self, random: &mut Random) -> bool {
        if self.times == Some(0) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        if self.rate < 1.0 && random.next() >= self.rate {
            return false;
        }
        self.times = self.times.map(|times| times - 1);
        true
    }

    fn check(&self) -> Result<(), InvalidFault> {
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(InvalidFault("rate must be 0 to 1"));
        }
        match &self.kind {
            Kind::Error { status, .. } if !(400..=599).contains(status) => {
                Err(InvalidFault("status must be 400 to 599"))
            }
            Kind::Redirect { location } if axum::http::HeaderValue::from_str(location).is_err() => {
                Err(InvalidFault("location must be able to stand in a header"))
            }
            _ => Ok(()),
        }
    }
}

/// A fault that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidFault(&'static str);

/// All that is to go wrong. In JSON every field may be left out.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultPlan {
    /// What goes wrong with single calls.
    pub faults: Vec<Fault>,
    /// Which calls are hit by faults with a rate: the same seed and the same calls make the same faults.
    pub seed: u64,
    /// Errors are text, `ERROR 5404: Image not found`, and not JSON.
    pub plain_text_errors: bool,
    /// An image gets a new id when `requireSignedURLs` changes, and the old one is gone.
    pub new_id_on_access_change: bool,
    /// So many times a deleted image is still found, and its id still taken.
    pub stale_after_delete: u32,
    /// More requests than these get 429; none is refused where it is `None`.
    pub rate_limit: Option<RateLimit>,
}

/// How many requests to the REST API are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Requests a window.
    pub requests: u64,
    /// Seconds a window lasts, at least 1; windows begin at multiples of it since 1970.
    pub seconds: u32,
}

impl FaultPlan {
    fn check(&self) -> Result<(), InvalidFault> {
        if self.rate_limit.is_some_and(|limit| limit.seconds == 0) {
            return Err(InvalidFault("seconds must be 1 or more"));
        }
        self.faults.iter().try_for_each(Fault::check)
    }
}

/// The faults of an emulator that runs; copies are of the same emulator.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    plan: FaultPlan,
    random: Random,
    calls: BTreeMap<Operation, u64>,
    /// Deleted images, and how many times each is still found.
    ghosts: HashMap<String, (Arc<StoredImage>, u32)>,
}

/// The faults that are left, and the calls since the plan was made.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    plan: &'a FaultPlan,
    calls: &'a BTreeMap<Operation, u64>,
}

impl Faults {
    /// Puts a plan in the place of the present one, and counts calls anew.
    ///
    /// # Errors
    /// If a number of it is out of its range; the present plan stays then.
    pub fn set(&self, plan: FaultPlan) -> Result<(), InvalidFault> {
        plan.check()?;
        *self.lock() = State { random: Random(plan.seed), plan, ..State::default() };
        Ok(())
    }

    /// Adds a fault behind the present ones.
    ///
    /// # Errors
    /// If a number of it is out of its range.
    pub fn add(&self, fault: Fault) -> Result<(), InvalidFault> {
        fault.check()?;
        self.lock().plan.faults.push(fault);
        Ok(())
    }

    /// Takes everything away, and counts calls anew.
    pub fn clear(&self) {
        *self.lock() = State::default();
    }

    /// What is left of the plan: faults that have hit all their calls are gone.
    pub fn plan(&self) -> FaultPlan {
        self.lock().plan.clone()
    }

    /// The calls of an operation since the plan was made, those that were hit included.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.lock().calls.get(&operation).copied().unwrap_or_default()
    }

    /// What is left, as JSON.
    fn report(&self) -> serde_json::Value {
        let state = self.lock();
        serde_json::to_value(Report { plan: &state.plan, calls: &state.calls }).expect("numbers and words are JSON")
    }

    pub(super) fn rate_limit(&self) -> Option<RateLimit> {
        self.lock().plan.rate_limit
    }

    pub(super) fn has_new_ids(&self) -> bool {
        self.lock().plan.new_id_on_access_change
    }

    fn has_plain_text_errors(&self) -> bool {
        self.lock().plan.plain_text_errors
    }

    /// Remembers an image that was deleted, for as long as it is to be found.
    pub(super) fn deleted(&self, image: Arc<StoredImage>) {
        let mut state = self.lock();
        let times = state.plan.stale_after_delete;
        if times > 0 {
            state.ghosts.insert(image.id.clone(), (image, times));
        }
    }

    /// A deleted image that is to be found once more.
    pub(super) fn ghost(&self, id: &str) -> Option<Arc<StoredImage>> {
        let mut state = self.lock();
        let (image, times) = state.ghosts.get_mut(id)?;
        *times -= 1;
        let (image, is_last) = (Arc::clone(image), *times == 0);
        if is_last {
            state.ghosts.remove(id);
        }
        Some(image)
    }

    /// Counts a call, and says what is to go wrong with it.
    fn strike(&self, operation: Operation) -> Option<Fault> {
        let mut state = self.lock();
        *state.calls.entry(operation).or_default() += 1;
        let State { plan, random, .. } = &mut *state;
        let at = plan.faults.iter_mut().position(|fault| fault.is_for(operation) && fault.hits(random))?;
        let fault = plan.faults[at].clone();
        if fault.times == Some(0) {
            plan.faults.remove(at);
        }
        Some(fault)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers that look random and are the same for the same seed, by the method `SplitMix64`.
#[derive(Debug, Default)]
struct Random(u64);

impl Random {
    /// From 0 to less than 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit into a float")]
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}
