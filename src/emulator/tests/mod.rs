//! The emulator from outside, through its router.

mod api_uploads;
mod batch;
#[path = "../../../tests/it/support/conformance.rs"]
mod conformance;
mod deliveries;
mod drafts;
mod drawings;
mod faults;
mod flexible;
mod hosts;
mod lists;
mod notifications;
mod options;
mod page;
mod pictures;
mod remote;
mod restarts;
mod results;
mod signing_keys;
mod tokens;
mod updates;
mod uploads;
mod variants;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use bytes::Bytes;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::domain::{Clock as _, ManualClock, Timestamp};

use conformance::Exchange;

use super::{Destination, Emulator, EmulatorConfig, LimitedToken, Permission, Sources, StorageKind, Variant};

const ACCOUNT: &str = "9035f53656c247e895c5a6939ae8a0e0";
const HASH: &str = "Vi7wi5KSItxGFsWRG2Us6Q";
const TOKEN: &str = "the-api-token";
const KEY: &str = "Oix0bbNaT8Rge9PuyxUBrjI6zrgnsyJ5=";
const PUBLIC_URL: &str = "http://127.0.0.1:8001";
const BOUNDARY: &str = "the-boundary";

/// An emulator and a clock that stands still.
struct App {
    emulator: Emulator,
    router: Router,
    clock: Arc<ManualClock>,
}

/// An answer that has been read.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

fn config(clock: Arc<ManualClock>) -> EmulatorConfig {
    EmulatorConfig {
        account_id: ACCOUNT.to_owned(),
        account_hash: HASH.to_owned(),
        api_token: TOKEN.to_owned(),
        limited_tokens: vec![],
        signing_keys: vec![("other".to_owned(), "unused".to_owned()), ("default".to_owned(), KEY.to_owned())],
        public_url: PUBLIC_URL.to_owned(),
        address: "127.0.0.1:8001".parse().unwrap(),
        storage: StorageKind::Memory,
        variants: vec![Variant::public(), Variant::scale_down("thumbnail", 300, 300)],
        flexible_variants: true,
        sources: Sources::default(),
        cache_bytes: 1_000_000,
        notify: None,
        clock,
    }
}

impl App {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut EmulatorConfig)) -> Self {
        let clock = Arc::new(ManualClock::new("2026-11-22T10:00:00.123456Z".parse().unwrap()));
        Self::with_clock(clock, change)
    }

    fn with_clock(clock: Arc<ManualClock>, change: impl FnOnce(&mut EmulatorConfig)) -> Self {
        let mut config = config(Arc::clone(&clock));
        change(&mut config);
        let emulator = Emulator::open(config).unwrap();
        Self { router: emulator.router(), emulator, clock }
    }

    /// The answer to a request, which is what Cloudflare describes unless it is to go wrong.
    async fn send(&self, request: Request<Body>) -> Answer {
        let plan = self.emulator.faults().plan();
        let is_spoiled = plan.plain_text_errors || !plan.faults.is_empty();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        if !is_spoiled {
            assert_eq!(answer.exchange(&method, &path).violation(), None);
        }
        answer
    }

    /// A request to the REST API with the account's token, below `images/`.
    async fn api(&self, method: Method, path: &str) -> Answer {
        self.call(method, &format!("images/{path}"), "").await
    }

    /// A request to the REST API with the account's token and a body, JSON where there is one.
    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/client/v4/accounts/{ACCOUNT}/{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        self.send(request.body(body.into()).unwrap()).await
    }

    async fn direct_upload(&self, fields: &[(&str, &str)]) -> Answer {
        let parts = fields.iter().map(|(name, value)| part(name, None, None, value.as_bytes()));
        let request = Request::post(format!("/client/v4/accounts/{ACCOUNT}/images/v2/direct_upload"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        self.send(form(request, parts)).await
    }

    /// The id and the path of the upload URL of a new draft.
    async fn draft(&self, fields: &[(&str, &str)]) -> (String, String) {
        let answer = self.direct_upload(fields).await;
        let result = answer.result();
        let url = result["uploadURL"].as_str().unwrap();
        (result["id"].as_str().unwrap().to_owned(), url.strip_prefix(PUBLIC_URL).unwrap().to_owned())
    }

    async fn upload(&self, path: &str, content_type: &str, bytes: &[u8]) -> Answer {
        self.send(form(Request::post(path), [part("file", Some("picture"), Some(content_type), bytes)])).await
    }

    /// The id of a new image.
    async fn image(&self, fields: &[(&str, &str)], content_type: &str, bytes: &[u8]) -> String {
        let (id, path) = self.draft(fields).await;
        assert_eq!(self.upload(&path, content_type, bytes).await.result()["id"], id.as_str());
        id
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

impl Answer {
    fn exchange<'a>(&'a self, method: &'a Method, path: &'a str) -> Exchange<'a> {
        let (status, content_type) = (self.status.as_u16(), self.header("content-type"));
        Exchange { method: method.as_str(), path, status, content_type, body: &self.body }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The same without the header that tells the time the work took, which is another each time.
    fn without_cost(mut self) -> Self {
        self.headers.remove("cf-resized");
        self
    }

    /// `result` of a success in its envelope.
    #[track_caller]
    fn result(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        let mut json = self.json();
        let result = json["result"].take();
        assert_eq!(json, serde_json::json!({"result": null, "success": true, "errors": [], "messages": []}));
        result
    }

    /// Status and code of a refusal in its envelope.
    #[track_caller]
    fn error(&self) -> (u16, u64) {
        let json = self.json();
        assert_eq!(json["success"], false);
        assert_eq!((&json["result"], &json["messages"]), (&Value::Null, &serde_json::json!([])));
        let errors = json["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1, "{self:?}");
        assert!(errors[0]["message"].as_str().is_some_and(|message| !message.is_empty()));
        // Some errors about notifications have no code.
        (self.status.as_u16(), errors[0].get("code").map_or(0, |code| code.as_u64().unwrap()))
    }
}

fn part(name: &str, filename: Option<&str>, content_type: Option<&str>, bytes: &[u8]) -> Vec<u8> {
    let filename = filename.map_or(String::new(), |filename| format!("; filename=\"{filename}\""));
    let content_type = content_type.map_or(String::new(), |content_type| format!("\r\nContent-Type: {content_type}"));
    let head =
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{filename}{content_type}\r\n\r\n");
    [head.as_bytes(), bytes, b"\r\n"].concat()
}

fn form(request: axum::http::request::Builder, parts: impl IntoIterator<Item = Vec<u8>>) -> Request<Body> {
    let mut body: Vec<u8> = parts.into_iter().flatten().collect();
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    request
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"))
        .body(Body::from(body))
        .unwrap()
}

#[test]
fn secrets_are_not_in_debug_output() {
    let mut config = config(Arc::new(ManualClock::new(Timestamp::from_micros(0))));
    config.notify = Some(Destination { url: "http://127.0.0.1:1/".to_owned(), secret: Some("hush".to_owned()) });
    config.limited_tokens = vec![LimitedToken { token: "limited".to_owned(), permissions: vec![] }];
    let emulator = Emulator::open(config.clone()).unwrap();
    let printed = format!("{config:?} {emulator:?} {:?}", config.notify);
    for secret in [TOKEN, KEY, "hush", "limited\""] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let notify = |url: &str, secret: &str| Some(Destination { url: url.to_owned(), secret: Some(secret.to_owned()) });
    let limited = |tokens: &[&str]| {
        let limited =
            |token: &&str| LimitedToken { token: (*token).to_owned(), permissions: vec![Permission::ImagesRead] };
        tokens.iter().map(limited).collect::<Vec<_>>()
    };
    let base = config(Arc::new(ManualClock::new(Timestamp::from_micros(0))));
    let cases = [
        ("account_id", EmulatorConfig { account_id: "a/b".to_owned(), ..base.clone() }),
        ("account_hash", EmulatorConfig { account_hash: String::new(), ..base.clone() }),
        ("account_hash", EmulatorConfig { account_hash: "images".to_owned(), ..base.clone() }),
        ("api_token", EmulatorConfig { api_token: String::new(), ..base.clone() }),
        ("signing_keys", EmulatorConfig { signing_keys: vec![("a".to_owned(), String::new())], ..base.clone() }),
        ("public_url", EmulatorConfig { public_url: "127.0.0.1:8001".to_owned(), ..base.clone() }),
        ("limited_tokens", EmulatorConfig { limited_tokens: limited(&[TOKEN]), ..base.clone() }),
        ("limited_tokens", EmulatorConfig { limited_tokens: limited(&["a", "a"]), ..base.clone() }),
        ("limited_tokens", EmulatorConfig { limited_tokens: limited(&[""]), ..base.clone() }),
        ("variants", EmulatorConfig { variants: vec![Variant::scale_down("a/b", 1, 1)], ..base.clone() }),
        ("notify", EmulatorConfig { notify: notify("ftp://x/", "a"), ..base.clone() }),
        ("notify", EmulatorConfig { notify: notify("http://x/", "a\nb"), ..base }),
    ];
    for (setting, config) in cases {
        let error = Emulator::open(config).unwrap_err().to_string();
        assert!(error.starts_with(setting), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_cloudflare_does_not_describe_is_refused() {
    let app = App::new();
    let (id, _) = app.draft(&[("metadata", r#"{"a":1}"#)]).await;
    let violation = |path: &str, status: u16, content_type: &str, body: &str| {
        let path = format!("/client/v4/accounts/{ACCOUNT}/{path}");
        Exchange { method: "GET", path: &path, status, content_type, body: body.as_bytes() }.violation()
    };
    let json = |path: &str, status, body: &Value| violation(path, status, "application/json", &body.to_string());
    let image = app.api(Method::GET, &format!("v1/{id}")).await.json();
    let not_found = app.api(Method::GET, "v1/x").await.json();
    assert_eq!((json("images/v1/x", 200, &image), json("images/v1/x", 404, &not_found)), (None, None));

    let spoiled = |answer: &Value, pointer: &str, value: Value| {
        let mut answer = answer.clone();
        *answer.pointer_mut(pointer).unwrap() = value;
        answer
    };
    for (pointer, value) in [
        ("/success", Value::Bool(false)),
        ("/messages", Value::Null),
        ("/errors", serde_json::json!([{"message": "no code"}])),
        ("/result", Value::Null),
        ("/result/id", Value::from(1)),
        ("/result/meta", Value::from("{}")),
        ("/result/uploaded", Value::from("yesterday")),
        ("/result/variants", serde_json::json!(["not a URL"])),
        ("/result/requireSignedURLs", Value::from("true")),
    ] {
        assert!(json("images/v1/x", 200, &spoiled(&image, pointer, value)).is_some(), "{pointer}");
    }
    for (pointer, value) in
        [("/success", Value::Bool(true)), ("/errors", serde_json::json!([])), ("/result", serde_json::json!({}))]
    {
        assert!(json("images/v1/x", 404, &spoiled(&not_found, pointer, value)).is_some(), "{pointer}");
    }
    for (path, status) in [("images/v1/x", 201), ("images/v1/x", 500), ("images/v1/x", 404), ("images/v9/x", 200)] {
        assert!(json(path, status, &image).is_some(), "{path} {status}");
    }
    assert!(violation("images/v1/x", 200, "text/plain", &image.to_string()).is_some());
    assert!(violation("images/v1/x", 200, "application/json", "{").is_some());
    assert!(violation("images/v1/x/blob", 200, "text/html", "").is_some());
    assert_eq!(violation("images/v1/x/blob", 200, "image/png", ""), None);
    let hero = serde_json::json!({"id": "hero", "options": {"fit": "squeeze", "metadata": "none"}});
    let variants = spoiled(&image, "/result", serde_json::json!({"variants": {"other": hero}}));
    assert!(json("images/v1/variants", 200, &variants).is_some());
}
