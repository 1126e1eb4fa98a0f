//! A Cloudflare that answers what was recorded, and tells what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::http::{self, Message};
use super::json::Json;
use super::recording::{Call, CloudflareAnswer, Special};
use crate::support::app::API_TOKEN;

/// How long a slow answer takes, as when it was recorded.
const SLOW: Duration = Duration::from_millis(1500);

/// Before the id in the path of an image.
const IMAGE_PATH: &str = "/client/v4/accounts/acct-0001/images/v1/";

/// What a call is answered that the toolkit did not make. It is among the requests, so that it is seen.
const UNEXPECTED: &str = "ERROR 5404: Image not found";

/// A server that stops when it is dropped.
pub(crate) struct ScriptedCloudflare {
    pub(crate) base_url: String,
    script: Arc<Mutex<Script>>,
    running: AbortHandle,
}

/// The answers that are to be given, and the requests that came.
#[derive(Default)]
struct Script {
    answers: Vec<CloudflareAnswer>,
    requests: Vec<Json>,
}

impl Script {
    /// The answer to a request. One that is made again, because it failed in a way that may pass, fails again and counts once: the
    /// toolkit tries nothing twice.
    fn next(&mut self, request: Json) -> CloudflareAnswer {
        if self.requests.last() != Some(&request) || !self.may_be_tried_again() {
            self.requests.push(request);
        }
        let answer = self.last_answer().cloned();
        answer.unwrap_or(CloudflareAnswer { status: 404, body: UNEXPECTED.to_owned(), special: None })
    }

    fn may_be_tried_again(&self) -> bool {
        self.last_answer().is_some_and(|answer| {
            matches!(answer.special, Some(Special::Reset)) || answer.status >= 500 || answer.status == 429
        })
    }

    /// The answer to the last request.
    fn last_answer(&self) -> Option<&CloudflareAnswer> {
        self.answers.get(self.requests.len().checked_sub(1)?)
    }
}

impl ScriptedCloudflare {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/client/v4", listener.local_addr().unwrap());
        let script = Arc::default();
        let running = tokio::spawn(accept(listener, Arc::clone(&script))).abort_handle();
        Self { base_url, script, running }
    }

    /// Lays down the answers to the next requests, in order.
    pub(crate) fn expect(&self, calls: &[Call]) {
        let answers = calls.iter().map(|call| call.response.clone()).collect();
        *self.script.lock().unwrap() = Script { answers, requests: Vec::new() };
    }

    /// The requests since then, in the form of the recordings.
    pub(crate) fn requests(&self) -> Json {
        Json::List(std::mem::take(&mut self.script.lock().unwrap().requests))
    }
}

impl Drop for ScriptedCloudflare {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn accept(listener: TcpListener, script: Arc<Mutex<Script>>) {
    while let Ok((connection, _)) = listener.accept().await {
        tokio::spawn(answer(connection, Arc::clone(&script)));
    }
}

async fn answer(mut connection: TcpStream, script: Arc<Mutex<Script>>) {
    let Ok(request) = http::read_message(&mut connection, http::End::AtLength).await else { return };
    let answer = script.lock().unwrap().next(describe(&request));
    let location = match answer.special {
        Some(Special::Reset) => return,
        Some(Special::Slow) => {
            tokio::time::sleep(SLOW).await;
            ""
        }
        Some(Special::Redirect) => "Location: /client/v4/elsewhere\r\n",
        None => "",
    };
    let reason =
        StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason()).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} {reason}\r\nContent-Type: application/json\r\n{location}Content-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.body.len()
    );
    // A client that hangs up is seen by the test in another way.
    let _ = connection.write_all((head + &answer.body).as_bytes()).await;
}

/// A request as the recordings describe it. What must never be is added under a key of its own.
fn describe(request: &Message) -> Json {
    let (method, target) = request.start.split_once(' ').unwrap();
    let path = target.rsplit_once(' ').unwrap().0;
    let authorized = request.header("authorization") == Some(format!("Bearer {API_TOKEN}"));
    let mut description = BTreeMap::from([
        ("request".to_owned(), Json::Text(format!("{method} {}", percent_decode_str(path).decode_utf8_lossy()))),
        ("authorized".to_owned(), Json::Bool(authorized)),
    ]);
    if let Some(kind) = request.header("content-type") {
        let (kind, parameters) = kind.split_once(';').unwrap_or((&kind, ""));
        description.insert("content_type".to_owned(), Json::Text(kind.to_owned()));
        if let Some((_, boundary)) = parameters.split_once("boundary=") {
            description.insert("form".to_owned(), read_form(&request.body, boundary));
        }
    }
    if path.strip_prefix(IMAGE_PATH).is_some_and(|id| !is_one_segment(id)) {
        description.insert("id_is_not_one_segment".to_owned(), Json::Text(path.to_owned()));
    }
    Json::Object(description)
}

/// Whether an id, as it stands in a URL, can only be read as one segment of the path.
fn is_one_segment(id: &str) -> bool {
    !matches!(id, "" | "." | "..")
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'-' | b'.' | b'_' | b'~'))
}

/// The parts of a multipart form, `metadata` as JSON.
fn read_form(body: &[u8], boundary: &str) -> Json {
    let text = String::from_utf8_lossy(body);
    let mut fields = BTreeMap::new();
    for part in text.split(&format!("--{boundary}")) {
        let Some((head, content)) = part.split_once("\r\n\r\n") else { continue };
        let name = head.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(name, _)| name);
        let content = content.strip_suffix("\r\n").unwrap_or(content);
        let value = if name == "metadata" { Json::parse(content).ok() } else { None };
        let earlier = fields.insert(name.to_owned(), value.unwrap_or_else(|| Json::Text(content.to_owned())));
        assert_eq!(earlier, None, "the form has {name} twice");
    }
    Json::Object(fields)
}

/// A path that can be read in two ways is told from one that cannot.
pub(crate) async fn sees_ids_that_are_not_one_segment() {
    let describe = |path: &str| {
        let start = format!("DELETE {IMAGE_PATH}{path} HTTP/1.1");
        describe(&Message { start, headers: Vec::new(), body: Vec::new() }).get("id_is_not_one_segment").is_some()
    };
    for path in ["x%2F..%2Fimg", "with%20space%20%26%20percent%2525", "a.b_c~d"] {
        assert!(!describe(path), "{path}");
    }
    for path in ["products/123", "..", "", "a?b", "café", "a b"] {
        assert!(describe(path), "{path}");
    }
}
