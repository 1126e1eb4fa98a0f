//! One scenario against the real server.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, iter};

use cfimages::config::settings;

use super::cloudflare::ScriptedCloudflare;
use super::compare::{self, Difference};
use super::differences::{Differences, EngineName};
use super::http::{self, Message};
use super::json::Json;
use super::placeholders::Placeholders;
use super::recording::{Body, Exchange, Request, Scenario, Settings};
use super::seed::seeded_database;
use crate::support::app::TestApp;
use crate::support::suite::Engine;

/// Begins the paths that were sent to Cloudflare itself.
const CLOUDFLARE_PATH: &str = "/upload/";

/// The most lines about one exchange in a report.
const LINES: usize = 12;

/// Replays a scenario and fails with a list of all exchanges that come out differently.
pub(crate) async fn run(engine: Engine, name: &'static str) -> Result<(), Report> {
    let scenario = Scenario::read(name);
    let mut replay = Replay::start(&engine, &scenario).await;
    for exchange in &scenario.exchanges {
        if !exchange.request.path.starts_with(CLOUDFLARE_PATH) {
            replay.exchange(exchange).await;
        }
    }
    replay.report()
}

/// What came out differently, for people.
pub(crate) struct Report(String);

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A server on its own copy of the database, and its Cloudflare.
struct Server {
    app: TestApp,
    cloudflare: ScriptedCloudflare,
}

impl Server {
    async fn start(engine: &Engine, settings: Settings) -> Self {
        let cloudflare = ScriptedCloudflare::start().await;
        let builder = TestApp::builder()
            .cloudflare(cloudflare.base_url.clone())
            .set(&settings::CFIMAGES_DJANGO_SECRET_KEY, "peer-lab-secret-key-not-for-production-0123456789");
        let builder = match settings {
            Settings::Default => builder
                .set(&settings::CLOUDFLARE_IMAGES_WEBHOOK_SECRET, "whsec-lab-1")
                .unset(&settings::CLOUDFLARE_IMAGES_DELIVERY_URL),
            Settings::Alt => builder
                .unset(&settings::CLOUDFLARE_IMAGES_WEBHOOK_SECRET)
                .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
                .set(&settings::CLOUDFLARE_IMAGES_DEFAULT_EXPIRY_MINUTES, "90")
                .set(&settings::CLOUDFLARE_IMAGES_DELIVERY_URL, "images.example.com"),
        };
        Self { app: builder.start_on(seeded_database(engine).await).await, cloudflare }
    }

    fn address(&self) -> &str {
        self.app.origin.strip_prefix("http://").unwrap()
    }
}

struct Replay<'a> {
    engine: &'a Engine,
    scenario: &'a Scenario,
    differences: Differences,
    shared: Server,
    placeholders: Placeholders,
    captured: BTreeMap<&'a str, String>,
    passed: usize,
    failed: BTreeSet<&'a str>,
    failures: Vec<String>,
}

impl<'a> Replay<'a> {
    async fn start(engine: &'a Engine, scenario: &'a Scenario) -> Self {
        let shared = Server::start(engine, scenario.settings).await;
        let name = if matches!(engine, Engine::Sqlite) { EngineName::Sqlite } else { EngineName::Postgres };
        Self {
            engine,
            scenario,
            differences: Differences::of(&scenario.name, name),
            placeholders: Placeholders::new(shared.app.origin.clone()),
            shared,
            captured: BTreeMap::new(),
            passed: 0,
            failed: BTreeSet::new(),
            failures: Vec::new(),
        }
    }

    /// Sends a request to the server that it is meant for: one that may write gets its own, unless the next ones build on it.
    async fn exchange(&mut self, exchange: &'a Exchange) {
        let own;
        let server = if self.scenario.sequential || exchange.request.is_safe() {
            &self.shared
        } else {
            own = Server::start(self.engine, self.scenario.settings).await;
            &own
        };
        self.placeholders.base.clone_from(&server.app.origin);
        server.cloudflare.expect(&exchange.cloudflare);
        let request = self.bytes_of(&exchange.request, server.address());
        let answer = http::exchange(server.address(), &request).await;
        let calls = server.cloudflare.requests();
        let lines = match answer {
            Ok(answer) => self.judge(exchange, &answer, &calls),
            Err(error) => vec![format!("no answer: {error}")],
        };
        if lines.is_empty() {
            self.passed += 1;
        } else {
            self.failed.insert(&exchange.name);
            self.failures.push(describe_failure(&self.scenario.name, exchange, &lines));
        }
    }

    /// A request, byte by byte as it was recorded.
    fn bytes_of(&self, request: &Request, address: &str) -> Vec<u8> {
        let path = self
            .captured
            .iter()
            .fold(request.path.clone(), |path, (name, value)| path.replace(&format!("{{{name}}}"), value));
        let body = request.body();
        let mut lines = vec![format!("{} {path} HTTP/1.1", request.method)];
        if request.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("host")) {
            lines.push(format!("Host: {address}"));
        }
        lines.extend(request.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if body.is_some() || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
            lines.push(format!("Content-Length: {}", body.as_ref().map_or(0, Vec::len)));
        }
        lines.push("Connection: close\r\n\r\n".to_owned());
        [lines.join("\r\n").into_bytes(), body.unwrap_or_default()].concat()
    }

    /// What is wrong with an answer and with what Cloudflare was asked, a line each.
    fn judge(&mut self, exchange: &'a Exchange, answer: &Message, calls: &Json) -> Vec<String> {
        let is_listed = |place: &str| self.differences.has(&exchange.name, place);
        let is_whole = exchange.peer_bug.is_some() || is_listed("body");
        let order = exchange.any_order_within_equal.as_deref();
        let mut differences = compare::answers(&exchange.response, answer, order, is_whole, &mut self.placeholders);
        if exchange.peer_bug.is_some() {
            let is_right = is_right_after_a_crash(answer.status());
            differences.retain(|Difference { place, .. }| is_listed(place) || (place == "status" && !is_right));
        }
        let recorded = Json::List(exchange.cloudflare.iter().map(super::recording::Call::request).collect());
        differences.extend(compare::calls(&recorded, calls, &mut self.placeholders));
        self.capture(exchange, answer);
        differences
            .iter()
            .filter_map(|difference| self.differences.judge(&exchange.name, difference, &mut self.placeholders))
            .collect()
    }

    /// Takes the values for the paths of later requests.
    fn capture(&mut self, exchange: &'a Exchange, answer: &Message) {
        for (name, key) in &exchange.capture {
            if let Body::Json(json) = compare::body(answer)
                && let Some(value) = json.get(key).and_then(Json::as_text)
            {
                self.captured.insert(name, value.to_owned());
            }
        }
    }

    fn report(self) -> Result<(), Report> {
        let unneeded = self.differences.unneeded(&self.failed);
        if self.failures.is_empty() && unneeded.is_empty() {
            return Ok(());
        }
        let all = self.passed + self.failures.len();
        let summary = format!("{} of {all} exchanges differ", self.failures.len());
        Err(Report([&[summary], self.failures.as_slice(), unneeded.as_slice()].concat().join("\n")))
    }
}

/// Where the toolkit crashed, the mistake is the client's or Cloudflare's, and not ours.
fn is_right_after_a_crash(status: u16) -> bool {
    matches!(status, 400..=499 | 502 | 504)
}

fn describe_failure(scenario: &str, exchange: &Exchange, lines: &[String]) -> String {
    let Exchange { name, request, .. } = exchange;
    let title = format!("\n{scenario}/{name}  {} {}", request.method, request.path);
    let shown = lines.iter().take(LINES).map(|line| format!("  {line}"));
    let more = lines.len().checked_sub(LINES).filter(|more| *more > 0).map(|more| format!("  ... and {more} more"));
    iter::once(title).chain(shown).chain(more).collect::<Vec<_>>().join("\n")
}
