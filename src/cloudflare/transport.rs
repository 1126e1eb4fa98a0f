//! Requests on behalf of an account, and the envelopes that the answers come in.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};
use tracing::{debug, error, info, instrument, warn};

use super::breaker::{Breaker, Leave, News, Sign};
use super::error::errors_in;
use super::failure::{AnswerHead, Failure};
use super::last_calls::LastCalls;
use super::limiter::{Limiter, Place};
use super::operation::Repeat;
use super::patience::{Patience, Times};
use super::retry::{Tries, exhaustion_in, jitter, requests_left_in};
use super::{ClientLimits, ClientSettings, ClientSetupError, Error, Health, Operation};
use crate::domain::is_loopback_url;
use crate::metrics::Metrics;

/// What may stand in a path segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What every call goes through: its turn, its tries, and what they tell of Cloudflare. Cheap to clone; all clones share the
/// connections and what is known of Cloudflare.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    account: Account,
    gate: Arc<Gate>,
    times: Times,
    patience: Patience,
    metrics: Arc<Metrics>,
    /// What is warned of.
    slow_call: Option<Duration>,
}

/// What all calls of a client share.
#[derive(Debug)]
struct Gate {
    limiter: Limiter,
    breaker: Breaker,
    last_calls: LastCalls,
}

/// A call, as far as it matters to those who watch over it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    operation: Operation,
    /// When it may be made again; `None` for never.
    repeat: Option<Repeat>,
    /// How long bytes may take that are uploaded or fetched, where there are any.
    arrival: Option<Duration>,
    /// By when it has to be over, whatever time it would have.
    deadline: Option<Instant>,
}

impl From<Operation> for Call {
    fn from(operation: Operation) -> Self {
        Self { operation, repeat: Some(operation.repeat()), arrival: None, deadline: None }
    }
}

impl Call {
    /// The same, which may be made again whatever has become of it.
    pub(super) fn repeatable(self) -> Self {
        Self { repeat: Some(Repeat::Always), ..self }
    }

    /// The same, whose bytes may take so long beside it.
    pub(super) fn arriving_within(self, arrival: Duration) -> Self {
        Self { arrival: Some(arrival), ..self }
    }

    /// The same, whose bytes may take all the time until it has to be over.
    pub(super) fn over_by(self, deadline: Instant) -> Self {
        let arrival = deadline.saturating_duration_since(Instant::now());
        Self { deadline: Some(deadline), ..self.arriving_within(arrival) }
    }

    fn once(self) -> Self {
        Self { repeat: None, ..self }
    }

    fn is_upload(&self) -> bool {
        self.arrival.is_some()
    }
}

/// Makes requests below the address of the account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    http: reqwest::Client,
    /// Without a slash at the end.
    url: String,
}

impl Account {
    /// A request for `path`, which begins without a slash and whose segments are encoded, see [`segment`].
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/{path}", self.url))
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }
}

impl Transport {
    pub(super) fn new(settings: &ClientSettings, limits: &ClientLimits) -> Result<Self, ClientSetupError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", settings.api_token.expose_secret()))
            .map_err(|_| ClientSetupError::Token)?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        let is_local = is_loopback_url(&settings.base_url);
        let mut builder = reqwest::Client::builder();
        if is_local {
            // A proxy of the environment would look for its own loopback.
            builder = builder.no_proxy();
        }
        let times = Times::new(limits.timeout);
        let http = builder
            .user_agent(concat!("cfimages/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(times.to_connect())
            // A redirect would carry the token elsewhere, and turn a DELETE into a GET.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let url = format!("{}/accounts/{}", settings.base_url.trim_end_matches('/'), segment(&settings.account_id));
        let (first_pause, longest_pause) = times.outage_pauses();
        let gate = Gate {
            limiter: Limiter::new(limits, is_local, Instant::now()),
            breaker: Breaker::new(first_pause, longest_pause),
            last_calls: LastCalls::default(),
        };
        let (account, metrics) = (Account { http, url }, Arc::default());
        let (gate, slow_call) = (Arc::new(gate), limits.slow_call);
        Ok(Self { account, gate, times, patience: Patience::Person, metrics, slow_call })
    }

    /// Where calls are counted.
    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// The same for jobs, for which nobody waits.
    pub(super) fn patient(&self) -> Self {
        Self { patience: Patience::Job, ..self.clone() }
    }

    /// Scheme, host and port of the API.
    pub(super) fn origin(&self) -> String {
        reqwest::Url::parse(&self.account.url).map(|url| url.origin().ascii_serialization()).unwrap_or_default()
    }

    /// Whether the API is on this machine: an emulator.
    pub(super) fn is_local(&self) -> bool {
        is_loopback_url(&self.account.url)
    }

    /// How Cloudflare is, as far as is known.
    pub(super) fn health(&self) -> Health {
        let (now, last) = (Instant::now(), self.gate.last_calls.get());
        Health {
            outage: self.gate.breaker.outage(now),
            paused_for: self.gate.limiter.paused_for(now),
            headroom: self.gate.limiter.headroom(now),
            told_requests_left: last.told_requests_left,
            last_success: last.success.map(|at| now.saturating_duration_since(at)),
            last_failure: last.failure(now),
        }
    }

    /// Does a call whose request can be made again, and takes `result`, which must be there, out of the answer.
    pub(super) async fn call(
        &self,
        call: impl Into<Call>,
        request: impl Fn(&Account) -> RequestBuilder,
    ) -> Result<Box<RawValue>, Error> {
        self.send(call, request).await?.ok_or(NO_RESULT)
    }

    /// Does a call whose request can be made again, and takes `result`, where there is one, out of the answer.
    pub(super) async fn send(
        &self,
        call: impl Into<Call>,
        request: impl Fn(&Account) -> RequestBuilder,
    ) -> Result<Option<Box<RawValue>>, Error> {
        self.send_if(call, request, always).await
    }

    /// The same, if that is meant still when its turn has come, each time it is tried.
    pub(super) async fn send_if<M: Future<Output = bool>>(
        &self,
        call: impl Into<Call>,
        request: impl Fn(&Account) -> RequestBuilder,
        is_meant: impl Fn() -> M,
    ) -> Result<Option<Box<RawValue>>, Error> {
        let call = call.into();
        let max_bytes = call.operation.max_answer_bytes();
        let (result, _) =
            self.run(call, |account| request(account), is_meant, |response| read_result(response, max_bytes)).await?;
        Ok(result)
    }

    /// Does a call whose request can be made again, and whose answer, where it worked, is no envelope but bytes: those are left to
    /// the caller, who takes them within the time that is left, and keeps the place in flight as long.
    pub(super) async fn open(
        &self,
        call: impl Into<Call>,
        request: impl Fn(&Account) -> RequestBuilder,
    ) -> Result<(Response, Place), Error> {
        let call = call.into();
        let max_bytes = call.operation.max_answer_bytes();
        self.run(call, |account| request(account), always, |response| successful(response, max_bytes)).await
    }

    /// Does a call whose request can be made once only, as its body is gone then.
    pub(super) async fn call_once(
        &self,
        call: Call,
        request: impl FnOnce(&Account) -> RequestBuilder,
    ) -> Result<Box<RawValue>, Error> {
        let mut request = Some(request);
        let once = |account: &Account| request.take().expect("a call that is not repeatable is tried once")(account);
        let max_bytes = call.operation.max_answer_bytes();
        let (result, _) = self.run(call.once(), once, always, |response| read_result(response, max_bytes)).await?;
        result.ok_or(NO_RESULT)
    }

    /// Warns of a try that took long, unless it moved bytes, which may take their time.
    fn note_time(&self, call: &Call, attempt: u32, time: Duration) {
        if self.slow_call.is_some_and(|limit| time >= limit) && !call.is_upload() {
            let (operation, millis) = (call.operation, u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
            warn!(
                operation = operation.name(),
                attempt,
                duration_ms = millis,
                "{operation} at Cloudflare took {millis} ms"
            );
        }
    }

    /// Makes a call, and counts it; what came of it, and its place in flight.
    #[instrument(name = "cloudflare.call", skip_all, fields(operation = call.operation.name()))]
    async fn run<T, R: Future<Output = Result<T, Error>>, M: Future<Output = bool>>(
        &self,
        call: Call,
        request: impl FnMut(&Account) -> RequestBuilder,
        is_meant: impl Fn() -> M,
        read: impl Fn(Response) -> R,
    ) -> Result<(T, Place), Error> {
        let counted = self.metrics.begin_call(call.operation.name());
        let outcome = self.try_repeatedly(call, request, is_meant, read).await;
        counted.end(outcome.as_ref().map_or_else(Error::kind, |_| "success"));
        self.gate.last_calls.note(outcome.as_ref(), Instant::now());
        outcome
    }

    /// Tries a call until it works, may not be tried again, or its time is over.
    async fn try_repeatedly<T, R: Future<Output = Result<T, Error>>, M: Future<Output = bool>>(
        &self,
        call: Call,
        mut request: impl FnMut(&Account) -> RequestBuilder,
        is_meant: impl Fn() -> M,
        read: impl Fn(Response) -> R,
    ) -> Result<(T, Place), Error> {
        let arrival = call.arrival.unwrap_or_default();
        let mut tries =
            Tries::new(self.times, self.patience, call.repeat, arrival, Instant::now()).over_by(call.deadline);
        let mut failed: Option<Failure> = None;
        for attempt in 1.. {
            let turn = match self.gate.enter(&call, self.patience, tries.latest_start()).await {
                Ok(turn) => turn,
                Err(refusal) => {
                    // What became of the try before is what the caller has to know.
                    let failure = failed.unwrap_or_else(|| refusal.into());
                    failure.log(call.operation, attempt, call.is_upload());
                    return Err(failure.into_error());
                }
            };
            if !is_meant().await {
                return Err(failed.unwrap_or_else(|| Error::CalledOff.into()).into_error());
            }
            let request = request(&self.account).timeout(tries.time(Instant::now()));
            let started = Instant::now();
            let outcome = self.gate.exchange(request, &read).await;
            self.note_time(&call, attempt, started.elapsed());
            let place = turn.end(outcome.as_ref(), &call);
            let failure = match outcome {
                Ok(result) => return Ok((result, place)),
                Err(failure) => failure,
            };
            drop(place);
            let Some(pause) = tries.pause_after(&failure, jitter(), Instant::now()) else {
                failure.log(call.operation, attempt, call.is_upload());
                return Err(failure.into_error());
            };
            failure.log_retry(call.operation, attempt, pause);
            self.metrics.count_retry(call.operation.name());
            failed = Some(failure);
            sleep(pause).await;
        }
        unreachable!("tries come to an end")
    }
}

impl Gate {
    /// Waits for a call's turn; fails at once where it has none.
    async fn enter(&self, call: &Call, patience: Patience, deadline: Instant) -> Result<Turn<'_>, Error> {
        self.breaker.check(Instant::now())?;
        let place = self.limiter.enter(patience, call.is_upload(), deadline).await?;
        let leave = self.breaker.enter(Instant::now())?;
        Ok(Turn { breaker: &self.breaker, leave, place })
    }

    /// Sends a request and reads the answer.
    async fn exchange<T, R: Future<Output = Result<T, Error>>>(
        &self,
        request: RequestBuilder,
        read: impl Fn(Response) -> R,
    ) -> Result<T, Failure> {
        let response = send(request).await?;
        let head = AnswerHead::of(&response);
        self.heed(&head, response.headers());
        read(response).await.map_err(|error| head.failure(error))
    }

    /// Keeps all calls back where Cloudflare says that there were too many.
    fn heed(&self, head: &AnswerHead, headers: &HeaderMap) {
        if let Some(left) = requests_left_in(headers) {
            self.last_calls.note_requests_left(left);
        }
        let refused = head.wait.filter(|_| head.status == StatusCode::TOO_MANY_REQUESTS);
        if let Some(pause) = refused.or_else(|| exhaustion_in(headers)) {
            self.limiter.pause(pause, Instant::now());
        }
    }
}

/// Sends a request. Of bodies and of the values of headers nothing is logged, of the path what follows the account.
async fn send(request: RequestBuilder) -> Result<Response, Error> {
    let (http, request) = request.build_split();
    let request = request?;
    debug!(
        http.request.method = %request.method(),
        url.path = path_of(request.url()),
        http.request.headers = ?names(request.headers()),
        http.request.body.size = request.body().and_then(reqwest::Body::as_bytes).map(<[u8]>::len),
        "cloudflare.request"
    );
    let response = http.execute(request).await?;
    debug!(
        http.response.status_code = response.status().as_u16(),
        http.response.headers = ?names(response.headers()),
        http.response.body.size = response.content_length(),
        "cloudflare.response"
    );
    Ok(response)
}

fn path_of(url: &reqwest::Url) -> &str {
    let after_accounts = url.path().split_once("/accounts/").and_then(|(_, rest)| rest.split_once('/'));
    after_accounts.map_or("", |(_, path)| path)
}

fn names(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().map(HeaderName::as_str).collect()
}

/// That it is a call's turn, until it is over.
struct Turn<'a> {
    breaker: &'a Breaker,
    leave: Leave,
    place: Place,
}

impl Turn<'_> {
    /// Ends the turn with what came of it; the place, which others get when it is dropped.
    fn end<T>(self, outcome: Result<&T, &Failure>, call: &Call) -> Place {
        let sign = outcome.map_or_else(|failure| failure.sign(call.is_upload()), |_| Sign::Up);
        match self.breaker.report(&self.leave, sign, Instant::now()) {
            Some(News::Begun) => error!("Cloudflare does not answer: calls fail at once until it does"),
            Some(News::Over { lasted }) => {
                info!(outage.seconds = lasted.as_secs(), "Cloudflare answers again, after {} s", lasted.as_secs());
            }
            None => {}
        }
        self.place
    }
}

/// What most calls are meant.
pub(super) fn always() -> Ready<bool> {
    ready(true)
}

const NO_RESULT: Error = Error::Malformed("it has no result");

/// A text as one segment of a path, whatever it holds.
pub(super) fn segment(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, SEGMENT)
}

/// An id as one segment of a path, whatever it holds.
///
/// # Errors
/// If it cannot be one, see [`Error::UnusableId`].
pub(super) fn segment_of(id: &str) -> Result<impl std::fmt::Display, Error> {
    // URL parsers resolve these two even when they are percent-encoded.
    if matches!(id, "" | "." | "..") { Err(Error::UnusableId) } else { Ok(segment(id)) }
}

/// Takes `result`, where there is one, out of the envelope of an answer.
async fn read_result(response: Response, max_bytes: usize) -> Result<Option<Box<RawValue>>, Error> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(default)]
        success: bool,
        #[serde(borrow)]
        result: Option<&'a RawValue>,
    }

    let body = read_body(successful(response, max_bytes).await?, max_bytes).await?;
    let envelope: Envelope<'_> =
        serde_json::from_slice(&body).map_err(|_| Error::Malformed("it is no JSON envelope"))?;
    if !envelope.success {
        return Err(Error::Unsuccessful { errors: errors_in(&body) });
    }
    Ok(envelope.result.map(ToOwned::to_owned))
}

/// The answer, if its status is one of success.
async fn successful(response: Response, max_bytes: usize) -> Result<Response, Error> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = read_body(response, max_bytes).await?;
    Err(Error::Status { status, errors: errors_in(&body) })
}

/// Reads an answer to its end, within a bound.
async fn read_body(mut response: Response, max_bytes: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(Error::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_one_segment_of_the_path() {
        let settings = ClientSettings {
            base_url: "https://api.example/client/v4/".to_owned(),
            account_id: "acct/../1".to_owned(),
            api_token: "token".to_owned().into(),
        };
        let request =
            Transport::new(&settings, &ClientLimits::default()).unwrap().account.get("images/v1/keys").build().unwrap();
        assert_eq!(request.url().as_str(), "https://api.example/client/v4/accounts/acct%2F..%2F1/images/v1/keys");
    }

    /// What is logged, for a test to read.
    #[derive(Clone, Default)]
    struct Logs(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Logs {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The events of a call that is answered like this, as JSON.
    async fn logs_of(answer: wiremock::ResponseTemplate) -> Vec<serde_json::Value> {
        logs_within(&ClientLimits::default(), answer).await
    }

    async fn logs_within(limits: &ClientLimits, answer: wiremock::ResponseTemplate) -> Vec<serde_json::Value> {
        let server = wiremock::MockServer::start().await;
        wiremock::Mock::given(wiremock::matchers::any()).respond_with(answer).mount(&server).await;
        let settings = ClientSettings {
            base_url: server.uri(),
            account_id: "the-account".to_owned(),
            api_token: "the-token".to_owned().into(),
        };
        let transport = Transport::new(&settings, limits).unwrap();
        let logs = Logs::default();
        let writer = logs.clone();
        let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let _ = transport.call(Operation::GetImage, |account| account.get("images/v1/i")).await;
        drop(guard);
        let bytes = logs.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        for secret in ["the-account", "the-token", &server.uri()] {
            assert!(!text.contains(secret), "{text}");
        }
        let own = |event: &serde_json::Value| event["target"].as_str().unwrap().starts_with("cfimages");
        text.lines().map(|line| serde_json::from_str(line).unwrap()).filter(own).collect()
    }

    #[tokio::test]
    async fn a_failed_call_is_logged_once_with_all_that_is_known() {
        let body = r#"{"errors": [{"code": 10000, "message": "Authentication error"}, {"code": 9109}]}"#;
        let answer = wiremock::ResponseTemplate::new(403).set_body_string(body).insert_header("cf-ray", "8b1c2d3e-FRA");
        let events = logs_of(answer).await;
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0]["level"], "ERROR");
        let fields = &events[0]["fields"];
        for (name, value) in [
            ("operation", serde_json::json!("get_image")),
            ("http.status", 403.into()),
            ("cloudflare.codes", "10000 9109".into()),
            ("cloudflare.ray", "8b1c2d3e-FRA".into()),
            ("attempt", 1.into()),
            ("error", "403 Client Error: Forbidden".into()),
        ] {
            assert_eq!(fields[name], value, "{name}");
        }
    }

    #[tokio::test]
    async fn a_slow_call_is_warned_of_where_that_is_wanted() {
        let answer = || {
            let body = r#"{"success": true, "result": {}}"#;
            wiremock::ResponseTemplate::new(200).set_body_string(body).set_delay(Duration::from_millis(5))
        };
        let within = |slow_call| ClientLimits { slow_call, ..ClientLimits::default() };
        for limits in [within(None), within(Some(Duration::from_mins(1)))] {
            assert_eq!(logs_within(&limits, answer()).await, Vec::<serde_json::Value>::new());
        }
        let events = logs_within(&within(Some(Duration::from_millis(5))), answer()).await;
        assert_eq!((events.len(), &events[0]["level"]), (1, &"WARN".into()), "{events:?}");
        let fields = &events[0]["fields"];
        assert_eq!((&fields["operation"], &fields["attempt"]), (&"get_image".into(), &1.into()));
        assert!(fields["duration_ms"].as_u64() >= Some(5), "{fields}");
    }

    #[tokio::test]
    async fn tries_are_warned_of_and_the_last_is_the_error() {
        let events = logs_of(wiremock::ResponseTemplate::new(500)).await;
        let found: Vec<_> = events.iter().map(|event| (&event["level"], &event["fields"]["attempt"])).collect();
        let expected = [("WARN", 1), ("WARN", 2), ("ERROR", 3)].map(|(level, attempt)| (level.into(), attempt.into()));
        assert_eq!(found, expected.iter().map(|(level, attempt)| (level, attempt)).collect::<Vec<_>>());
    }
}
