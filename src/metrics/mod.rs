//! What the server counts, for Prometheus.
//!
//! Every family that is counted is declared in [`Metrics::default`], and nowhere else; whoever does something tells it by a method. Labels are
//! words of closed sets, or the routes of the router, so that nobody outside can make series. What is looked up when it is asked for, such
//! as the connections of the database, is in `app::metrics`. A counter or an observation costs about as much as looking into a small map.

mod job;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use crate::domain::Timestamp;

pub use job::{JobKind, Round};

/// What the name of every family of ours begins with.
pub const PREFIX: &str = "cfimages";

/// The route of requests that no route of ours takes.
pub const UNMATCHED: &str = "unmatched";
/// The status of requests whose client went away before there was an answer, as nginx logs it.
pub const CLIENT_GONE: u16 = 499;

/// The bounds of the buckets of durations, in seconds: from an answer out of memory to the longest call.
const SECONDS: [f64; 15] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

/// The counters of one server. Shared by all its parts.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_durations: Durations<RouteLabels>,
    requests_in_flight: Gauge,
    errors: Family<KindLabel, Counter>,
    calls: Family<CallLabels, Counter>,
    call_durations: Durations<OperationLabel>,
    calls_in_flight: Gauge,
    retries: Family<OperationLabel, Counter>,
    uploads: Family<StatusLabel, Counter>,
    webhooks: Family<WebhookLabels, Counter>,
    webhook_durations: Durations<FormLabel>,
    transformations: Family<TransformationLabels, Counter>,
    transformation_options: Family<OptionLabel, Counter>,
    job_rounds: Family<RoundLabels, Counter>,
    job_items: Family<ItemLabels, Counter>,
    job_successes: Family<JobLabel, Gauge<f64, AtomicU64>>,
}

macro_rules! labels {
    ($($labels:ident { $($label:ident: $type:ty),+ })+) => {
        $(#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $labels {
            $($label: $type,)+
        })+
    };
}

labels! {
    RequestLabels { method: &'static str, route: Arc<str>, status: u16 }
    RouteLabels { method: &'static str, route: Arc<str> }
    KindLabel { kind: &'static str }
    CallLabels { operation: &'static str, outcome: &'static str }
    OperationLabel { operation: &'static str }
    StatusLabel { status: &'static str }
    WebhookLabels { form: &'static str, outcome: &'static str, reason: &'static str }
    FormLabel { form: &'static str }
    TransformationLabels { source: &'static str, preset: &'static str }
    OptionLabel { option: &'static str }
    RoundLabels { name: &'static str, outcome: &'static str }
    ItemLabels { name: &'static str, outcome: &'static str }
    JobLabel { name: &'static str }
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadStep {
    /// An upload URL was handed out.
    Created,
    /// The picture is at Cloudflare.
    Uploaded,
    /// Cloudflare did not take it.
    Failed,
    /// Nothing came before the upload URL ended.
    Expired,
}

impl UploadStep {
    const ALL: [Self; 4] = [Self::Created, Self::Uploaded, Self::Failed, Self::Expired];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Uploaded => "uploaded",
            Self::Failed => "failed",
            Self::Expired => "expired",
        }
    }
}

/// Who asked for the URL of a transformed picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransformationSource {
    /// `transform/`.
    Transform,
    /// A fragment of HTML.
    Html,
    /// The URL of a variant that is a list of options.
    DeliveryUrl,
}

impl TransformationSource {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Transform => "transform",
            Self::Html => "html",
            Self::DeliveryUrl => "delivery_url",
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let metrics = Self {
            requests: add(
                &mut registry,
                "http_requests",
                "Requests that were answered, or whose client went away (499)",
            ),
            request_durations: add_durations(&mut registry, "http_request_duration_seconds", "How long answers took"),
            requests_in_flight: add(&mut registry, "http_requests_in_flight", "Requests that are being answered"),
            errors: add(&mut registry, "http_errors", "Requests that were answered with an error, by what was wrong"),
            calls: add(
                &mut registry,
                "cloudflare_calls",
                "Calls of Cloudflare's API with all their tries, by what became of them",
            ),
            call_durations: add_durations(
                &mut registry,
                "cloudflare_call_duration_seconds",
                "How long calls of Cloudflare's API took, all tries and waits included",
            ),
            calls_in_flight: add(
                &mut registry,
                "cloudflare_calls_in_flight",
                "Calls of Cloudflare's API that are under way or wait for their turn",
            ),
            retries: add(&mut registry, "cloudflare_retries", "Further tries of calls that failed"),
            uploads: add(&mut registry, "uploads", "Uploads that this instance began, or whose end it recorded"),
            webhooks: add(
                &mut registry,
                "webhooks",
                "Webhooks that came, by form, what became of them, and why they were refused",
            ),
            webhook_durations: add_durations(&mut registry, "webhook_duration_seconds", "How long webhooks took"),
            transformations: add(
                &mut registry,
                "transformations",
                "Transformations that were asked for, by who asked and preset",
            ),
            transformation_options: add(
                &mut registry,
                "transformation_options",
                "Options of the transformations that were asked for",
            ),
            job_rounds: add(&mut registry, "job_rounds", "Rounds of the jobs"),
            job_items: add(&mut registry, "job_items", "What the jobs had to do with, by what became of it"),
            job_successes: add(
                &mut registry,
                "job_last_success_timestamp_seconds",
                "When a round of the job last worked on this instance",
            ),
            registry,
        };
        metrics.begin_at_zero();
        metrics
    }
}

fn add<M: Metric + Default + Clone>(registry: &mut Registry, name: &'static str, help: &'static str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn add_durations<L>(registry: &mut Registry, name: &'static str, help: &'static str) -> Durations<L>
where
    L: EncodeLabelSet + fmt::Debug + Clone + Eq + std::hash::Hash + Send + Sync + 'static,
{
    let durations: Durations<L> = Family::new_with_constructor(|| Histogram::new(SECONDS));
    registry.register(name, help, durations.clone());
    durations
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Series of small sets are there from the start: a rate of what has just appeared is none.
    fn begin_at_zero(&self) {
        for step in UploadStep::ALL {
            self.count_uploads(step, 0);
        }
        for job in JobKind::ALL {
            for round in Round::ALL {
                let labels = RoundLabels { name: job.as_str(), outcome: round.as_str() };
                drop(self.job_rounds.get_or_create(&labels));
            }
            for outcome in job.outcomes() {
                self.count_items(job, outcome, 0);
            }
        }
    }

    /// All families in Prometheus's text format, version 0.0.4.
    pub fn write(&self, to: &mut String) {
        write(&self.registry, to);
    }

    /// A request has come, which is answered until the guard is dropped.
    pub fn begin_request(&self) -> InFlight {
        InFlight::new(&self.requests_in_flight)
    }

    /// A request has ended: its method and route, the status of the answer, and how long it took.
    pub fn end_request(&self, method: &str, route: Arc<str>, status: u16, time: Duration) {
        let labels = RouteLabels { method: known_method(method), route };
        self.request_durations.get_or_create(&labels).observe(time.as_secs_f64());
        let RouteLabels { method, route } = labels;
        self.requests.get_or_create(&RequestLabels { method, route, status }).inc();
    }

    /// A request is answered with an error.
    pub fn count_error(&self, kind: &'static str) {
        self.errors.get_or_create(&KindLabel { kind }).inc();
    }

    /// A call of Cloudflare's API begins.
    pub fn begin_call(&self, operation: &'static str) -> CallInFlight<'_> {
        CallInFlight {
            metrics: self,
            operation,
            begun: Instant::now(),
            outcome: CallInFlight::ABANDONED,
            _in_flight: InFlight::new(&self.calls_in_flight),
        }
    }

    /// A call of Cloudflare's API is tried again.
    pub fn count_retry(&self, operation: &'static str) {
        self.retries.get_or_create(&OperationLabel { operation }).inc();
    }

    /// So many uploads have come this far.
    pub fn count_uploads(&self, step: UploadStep, count: u64) {
        self.uploads.get_or_create(&StatusLabel { status: step.as_str() }).inc_by(count);
    }

    /// A webhook was answered; `reason` is why it was refused, and otherwise empty.
    pub fn count_webhook(&self, form: &'static str, outcome: &'static str, reason: &'static str, time: Duration) {
        self.webhooks.get_or_create(&WebhookLabels { form, outcome, reason }).inc();
        self.webhook_durations.get_or_create(&FormLabel { form }).observe(time.as_secs_f64());
    }

    /// The URL of a transformed picture was asked for; `preset` is empty for none.
    pub fn count_transformation(&self, source: TransformationSource, preset: &'static str, options: &[&'static str]) {
        let source = source.as_str();
        self.transformations.get_or_create(&TransformationLabels { source, preset }).inc();
        for option in options {
            self.transformation_options.get_or_create(&OptionLabel { option }).inc();
        }
    }

    /// A round of a job has ended.
    pub fn count_round(&self, job: JobKind, round: Round, now: Timestamp) {
        let job = job.as_str();
        self.job_rounds.get_or_create(&RoundLabels { name: job, outcome: round.as_str() }).inc();
        if round == Round::Worked {
            self.job_successes.get_or_create(&JobLabel { name: job }).set(seconds_of(now));
        }
    }

    /// When a round of a job last worked.
    pub fn last_success(&self, job: JobKind) -> Option<Timestamp> {
        let seconds = self.job_successes.get(&JobLabel { name: job.as_str() })?.get();
        #[expect(clippy::cast_possible_truncation, reason = "it was a time before it became seconds")]
        let micros = (seconds * 1_000_000.0).round() as i64;
        Some(Timestamp::from_micros(micros))
    }

    /// A job had to do with so many things; `outcome` is one of its own, see [`JobKind::outcomes`].
    pub fn count_items(&self, job: JobKind, outcome: &'static str, count: u64) {
        self.job_items.get_or_create(&ItemLabels { name: job.as_str(), outcome }).inc_by(count);
    }
}

/// Writes what is registered in Prometheus's text format, version 0.0.4.
#[expect(clippy::missing_panics_doc, reason = "a String takes all that is written")]
pub fn write(registry: &Registry, to: &mut String) {
    prometheus_text::encode(to, registry).expect("a String takes all that is written");
}

/// A time as Prometheus has it: seconds since 1970 began.
pub fn seconds_of(time: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds since 1970 have fewer than 53 bits until the year 2255"
    )]
    let micros = time.as_micros() as f64;
    micros / 1_000_000.0
}

/// Anybody may send any word for a method.
fn known_method(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// Counts as in flight until it is dropped.
#[derive(Debug)]
pub struct InFlight(Gauge);

impl InFlight {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A call of Cloudflare's API that is under way; counted when it is dropped.
#[derive(Debug)]
pub struct CallInFlight<'a> {
    metrics: &'a Metrics,
    operation: &'static str,
    begun: Instant,
    outcome: &'static str,
    _in_flight: InFlight,
}

impl CallInFlight<'_> {
    /// Nobody waited for it any more.
    const ABANDONED: &'static str = "abandoned";

    /// The call has ended: `success`, or the kind of its error.
    pub fn end(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for CallInFlight<'_> {
    fn drop(&mut self) {
        let Self { metrics, operation, begun, outcome, .. } = *self;
        metrics.calls.get_or_create(&CallLabels { operation, outcome }).inc();
        metrics.call_durations.get_or_create(&OperationLabel { operation }).observe(begun.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(metrics: &Metrics) -> String {
        let mut text = String::new();
        metrics.write(&mut text);
        text
    }

    #[test]
    fn a_request_is_counted_with_what_is_known_of_it_and_no_more() {
        let metrics = Metrics::default();
        let in_flight = metrics.begin_request();
        assert!(written(&metrics).contains("cfimages_http_requests_in_flight 1\n"));
        drop(in_flight);
        metrics.end_request("BREW", UNMATCHED.into(), 404, Duration::from_millis(3));
        let text = written(&metrics);
        for line in [
            "cfimages_http_requests_in_flight 0\n",
            "cfimages_http_requests_total{method=\"other\",route=\"unmatched\",status=\"404\"} 1\n",
            "cfimages_http_request_duration_seconds_bucket{method=\"other\",route=\"unmatched\",le=\"0.005\"} 1\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
    }

    #[test]
    fn a_call_that_nobody_waits_for_any_more_is_counted_as_abandoned() {
        let metrics = Metrics::default();
        metrics.begin_call("get_image").end("timeout");
        drop(metrics.begin_call("get_image"));
        let text = written(&metrics);
        for outcome in ["timeout", "abandoned"] {
            let line = format!("cfimages_cloudflare_calls_total{{operation=\"get_image\",outcome=\"{outcome}\"}} 1\n");
            assert!(text.contains(&line), "{text}");
        }
        assert!(text.contains("cfimages_cloudflare_calls_in_flight 0\n"), "{text}");
    }

    #[test]
    fn a_round_that_failed_is_no_success() {
        let metrics = Metrics::default();
        metrics.count_round(JobKind::Polling, Round::Failed, Timestamp::from_micros(7_000_000));
        assert_eq!(metrics.last_success(JobKind::Polling), None);
        let now = Timestamp::from_micros(1_795_910_400_123_457);
        metrics.count_round(JobKind::Polling, Round::Worked, now);
        let exactly = metrics.last_success(JobKind::Polling).unwrap().as_micros() - now.as_micros();
        assert!(exactly.abs() <= 1, "{exactly}");
    }
}
