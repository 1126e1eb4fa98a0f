//! Notifications, received by a server that listens.

use axum::http::Method;
use image::ImageFormat;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::StorageKind;
use super::pictures::encoded;
use super::{ACCOUNT, Answer, App, Destination};

const WEBHOOKS: &str = "alerting/v3/destinations/webhooks";
const POLICIES: &str = "alerting/v3/policies";

impl App {
    /// The answer to a new destination for the server.
    async fn new_webhook(&self, server: &MockServer) -> Answer {
        let body = json!({"name": "mine", "url": format!("{}/new", server.uri()), "secret": "hush"});
        self.call(Method::POST, WEBHOOKS, body.to_string()).await
    }

    /// The id of a new destination.
    async fn webhook(&self, server: &MockServer) -> String {
        let answer = self.new_webhook(server).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["result"]["id"].as_str().unwrap().to_owned()
    }

    /// The id of a new policy with this destination.
    async fn policy(&self, webhook: &str) -> String {
        let answer = self.call(Method::POST, POLICIES, policy(webhook).to_string()).await;
        answer.result()["id"].as_str().unwrap().to_owned()
    }
}

fn policy(webhook: &str) -> Value {
    json!({"name": "Pictures", "alert_type": "image_notification", "enabled": true, "mechanisms": {"webhooks": [{"id": webhook}]}})
}

pub(super) async fn destination(statuses: &[u16]) -> MockServer {
    let server = MockServer::start().await;
    for (at, status) in statuses.iter().enumerate() {
        let mock = Mock::given(any()).respond_with(ResponseTemplate::new(*status));
        let is_last = at + 1 == statuses.len();
        if is_last { mock.mount(&server).await } else { mock.up_to_n_times(1).mount(&server).await }
    }
    server
}

fn app(server: &MockServer, secret: Option<&str>) -> App {
    let url = format!("{}/hook", server.uri());
    App::with(|config| config.notify = Some(Destination { url, secret: secret.map(str::to_owned) }))
}

async fn bodies(server: &MockServer) -> Vec<Value> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|request| serde_json::from_slice(&request.body).unwrap()).collect()
}

#[tokio::test]
async fn a_success_is_notified_with_the_secret() {
    let server = destination(&[204]).await;
    let app = app(&server, Some("hush"));
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    app.emulator.finish().await;

    let requests = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].url.path(), "/hook");
    assert_eq!(requests[0].headers["cf-webhook-auth"], "hush");
    assert_eq!(requests[0].headers["content-type"], "application/json");
    let mut body = bodies(&server).await.remove(0);
    for id in ["policy_id", "alert_correlation_id"] {
        assert_eq!(body[id].take().as_str().unwrap().len(), 32);
    }
    assert_eq!(
        body,
        json!({
            "name": "Images uploads",
            "text": format!("The upload of image {id} succeeded."),
            "data": {"status": "uploaded", "image_id": id, "uploaded": "2026-11-22T10:00:00.123Z"},
            "ts": app.now().as_unix_seconds(),
            "account_id": ACCOUNT,
            "policy_id": null,
            "policy_name": "Images uploads",
            "alert_type": "image_notification",
            "alert_correlation_id": null,
            "alert_event": "ALERT_STATE_EVENT_START",
        })
    );
}

#[tokio::test]
async fn a_bad_file_is_notified_but_a_bad_request_is_not() {
    let server = destination(&[200]).await;
    let app = app(&server, None);
    let (id, path) = app.draft(&[]).await;
    app.upload(&path, "image/png", b"text").await.error();
    app.upload("/upload/other/x", "image/png", b"text").await.error();
    app.send(super::form(axum::http::Request::post(&path), [])).await.error();
    app.emulator.finish().await;

    let requests = server.received_requests().await.unwrap();
    assert!(!requests[0].headers.contains_key("cf-webhook-auth"));
    let bodies = bodies(&server).await;
    assert_eq!(bodies.len(), 1);
    let data = &bodies[0]["data"];
    assert_eq!((&data["status"], &data["image_id"], &data["error_code"]), (&json!("failed"), &json!(id), &json!(9422)));
    assert!(data["error_message"].as_str().unwrap().starts_with("Decode error: "));
}

#[tokio::test]
async fn failures_that_may_pass_are_tried_again_and_others_are_not() {
    for (statuses, posts) in [(&[503, 429, 200][..], 3), (&[400, 200], 1), (&[301, 200], 1)] {
        let server = destination(statuses).await;
        let app = app(&server, None);
        app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
        app.emulator.finish().await;
        assert_eq!(bodies(&server).await.len(), posts, "{statuses:?}");
    }
}

#[tokio::test]
async fn a_new_destination_has_to_take_the_test_message() {
    let app = App::new();
    let server = destination(&[503, 302, 200]).await;
    assert_eq!(app.new_webhook(&server).await.error(), (400, 0));
    assert_eq!(app.new_webhook(&server).await.error(), (400, 0));
    let nobody = json!({"name": "mine", "url": "http://127.0.0.1:1/"}).to_string();
    assert_eq!(app.call(Method::POST, WEBHOOKS, nobody).await.error(), (400, 0));
    assert_eq!(app.call(Method::GET, WEBHOOKS, "").await.result(), json!([]));

    let id = app.webhook(&server).await;
    let request = server.received_requests().await.unwrap().remove(2);
    assert_eq!((request.url.path(), &request.headers["cf-webhook-auth"]), ("/new", &"hush".parse().unwrap()));
    let message: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(message.as_object().unwrap().len(), 1);
    assert!(message["text"].as_str().unwrap().starts_with("Hello World! This is a test message"));
    let webhook = json!({
        "id": id, "name": "mine", "type": "generic", "url": format!("{}/new", server.uri()),
        "created_at": "2026-11-22T10:00:00.123456Z", "last_success": "2026-11-22T10:00:00.123456Z",
    });
    assert_eq!(app.call(Method::GET, WEBHOOKS, "").await.result(), json!([webhook]));
    assert_eq!(app.call(Method::GET, &format!("{WEBHOOKS}/{id}"), "").await.result(), webhook);
}

#[tokio::test]
async fn every_enabled_policy_about_images_is_followed() {
    let app = App::new();
    let server = destination(&[200]).await;
    let webhook = app.webhook(&server).await;
    let (first, second) = (app.policy(&webhook).await, app.policy(&webhook).await);
    let put = async |id: &str, body: Value| app.call(Method::PUT, &format!("{POLICIES}/{id}"), body.to_string()).await;
    assert_eq!(put(&second, json!({"name": "Second"})).await.result(), json!({"id": second}));
    let third = app.policy(&webhook).await;
    put(&third, json!({"enabled": false})).await.result();
    let fourth = app.policy(&webhook).await;
    put(&fourth, json!({"alert_type": "image_resizing_notification"})).await.result();

    app.clock.advance(5);
    app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    app.emulator.finish().await;
    let mut told: Vec<_> = bodies(&server).await[1..]
        .iter()
        .map(|body| (body["policy_id"].as_str().unwrap().to_owned(), body["policy_name"].clone()))
        .collect();
    let mut want = vec![(first, json!("Pictures")), (second, json!("Second"))];
    told.sort_by(|a, b| a.0.cmp(&b.0));
    want.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(told, want);
    let webhook = app.call(Method::GET, &format!("{WEBHOOKS}/{webhook}"), "").await.result();
    assert_eq!(webhook["last_success"], "2026-11-22T10:00:05.123456Z");
}

#[tokio::test]
async fn uploads_by_the_account_itself_are_not_notified() {
    let app = App::new();
    let server = destination(&[200]).await;
    app.policy(&app.webhook(&server).await).await;
    let png = encoded(ImageFormat::Png, 4, 4);
    let request = axum::http::Request::post(format!("/client/v4/accounts/{ACCOUNT}/images/v1"))
        .header("authorization", format!("Bearer {}", super::TOKEN));
    app.send(super::form(request, [super::part("file", Some("a.png"), Some("image/png"), &png)])).await.result();
    app.emulator.finish().await;
    assert_eq!(bodies(&server).await.len(), 1);
}

#[tokio::test]
async fn a_policy_can_be_tested() {
    let app = App::new();
    let server = destination(&[200]).await;
    let id = app.policy(&app.webhook(&server).await).await;
    let test = async |body: &str| app.call(Method::POST, &format!("{POLICIES}/{id}/test"), body.to_owned()).await;
    assert_eq!(test("").await.json(), json!({"success": true, "errors": [], "messages": []}));
    for bad in [r#"{"severity":5}"#, r#"{"state_event":1}"#, r#"{"state_event":3,"state_correlation_id":"a"}"#] {
        assert_eq!(test(bad).await.error(), (400, 0), "{bad}");
    }
    test(r#"{"severity":3,"source":"me","state_event":2,"state_correlation_id":"a"}"#).await;
    app.emulator.finish().await;
    let mut bodies = bodies(&server).await.split_off(1);
    bodies.sort_by_key(|body| body["data"]["severity"].as_u64());
    let [first, second] = &bodies[..] else { panic!("{bodies:?}") };
    assert_eq!((&first["policy_id"], &first["alert_type"]), (&json!(id), &json!("image_notification")));
    assert_eq!((&first["data"], &first["alert_event"]), (&json!({"severity": 1}), &json!("ALERT_STATE_EVENT_START")));
    assert_eq!(second["data"], json!({"severity": 3, "source": "me"}));
    assert_eq!(
        (&second["alert_event"], &second["alert_correlation_id"]),
        (&json!("ALERT_STATE_EVENT_END"), &json!("a"))
    );
}

#[tokio::test]
async fn destinations_and_policies_are_shown_changed_and_deleted() {
    let app = App::new();
    let (server, refusing) = (destination(&[200]).await, destination(&[500]).await);
    let webhook = app.webhook(&server).await;
    let id = app.policy(&webhook).await;
    let mut want = policy(&webhook);
    for (key, value) in [("id", json!(id)), ("description", json!("")), ("filters", json!({}))] {
        want[key] = value;
    }
    want["created"] = json!("2026-11-22T10:00:00.123456Z");
    want["modified"] = want["created"].clone();
    let path = format!("{POLICIES}/{id}");
    assert_eq!(app.call(Method::GET, &path, "").await.result(), want);
    assert_eq!(app.call(Method::GET, POLICIES, "").await.result(), json!([want]));

    let hook = format!("{WEBHOOKS}/{webhook}");
    let refused = json!({"name": "new", "url": refusing.uri()}).to_string();
    assert_eq!(app.call(Method::PUT, &hook, refused).await.error(), (400, 0));
    let renamed = json!({"name": "new", "url": server.uri()}).to_string();
    assert_eq!(app.call(Method::PUT, &hook, renamed).await.result(), json!({"id": webhook}));
    assert_eq!(app.call(Method::GET, &hook, "").await.result()["name"], "new");
    let last = server.received_requests().await.unwrap().pop().unwrap();
    assert_eq!(last.headers["cf-webhook-auth"], "hush");

    let done = json!({"success": true, "errors": [], "messages": []});
    assert_eq!(app.call(Method::DELETE, &hook, "").await.json(), done);
    assert_eq!(app.call(Method::GET, &path, "").await.result()["mechanisms"], json!({}));
    assert_eq!(app.call(Method::DELETE, &path, "").await.json(), done);
    for gone in [hook, path] {
        for (method, body) in
            [(Method::GET, ""), (Method::DELETE, ""), (Method::PUT, r#"{"name":"a","url":"http://127.0.0.1:1/"}"#)]
        {
            assert_eq!(app.call(method, &gone, body).await.error(), (404, 0), "{gone}");
        }
    }
}

#[tokio::test]
async fn what_makes_no_destination_or_policy_is_refused() {
    let app = App::new();
    for body in [
        r#"{"url":"http://127.0.0.1:1/"}"#,
        r#"{"name":"","url":"http://127.0.0.1:1/"}"#,
        r#"{"name":"a"}"#,
        r#"{"name":"a","url":"ftp://127.0.0.1/"}"#,
        r#"{"name":"a","url":"127.0.0.1"}"#,
        r#"{"name":"a","url":"http://127.0.0.1:1/","secret":"a\nb"}"#,
    ] {
        assert_eq!(app.call(Method::POST, WEBHOOKS, body).await.error().0, 400, "{body}");
    }
    for (key, value) in [
        ("name", Value::Null),
        ("name", json!("")),
        ("alert_type", Value::Null),
        ("alert_type", json!("no such/type")),
        ("enabled", Value::Null),
        ("mechanisms", Value::Null),
        ("mechanisms", json!({"webhooks": ["a"]})),
        ("mechanisms", json!({"webhooks": [{"id": "0".repeat(32)}]})),
        ("mechanisms", json!({"pagerduty": [{"id": "0".repeat(33)}]})),
        ("filters", json!([])),
        ("filters", json!({"zones": "all"})),
    ] {
        let mut body = policy("x");
        body["mechanisms"] = json!({"email": [{"id": "me@example.com"}]});
        body[key] = value;
        assert_eq!(app.call(Method::POST, POLICIES, body.to_string()).await.error().0, 400, "{body}");
    }
    assert_eq!(app.call(Method::GET, POLICIES, "").await.result(), json!([]));
}

#[tokio::test]
async fn destinations_and_policies_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = destination(&[200]).await;
    let configured = Some(Destination { url: server.uri(), secret: Some("of the settings".to_owned()) });
    let open = |notify: &Option<Destination>| {
        App::with(|config| {
            config.storage = StorageKind::Folder(folder.path().to_owned());
            config.notify.clone_from(notify);
        })
    };
    let app = open(&configured);
    app.policy(&app.webhook(&server).await).await;
    let lists = async |app: &App| {
        [app.call(Method::GET, WEBHOOKS, "").await.result(), app.call(Method::GET, POLICIES, "").await.result()]
    };
    let before = lists(&app).await;
    assert!(before.iter().all(|list| list.as_array().unwrap().len() == 2));
    drop(app);
    let app = open(&configured);
    assert_eq!(lists(&app).await, before);
    app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    app.emulator.finish().await;
    let requests = server.received_requests().await.unwrap();
    let mut secrets: Vec<_> = requests[1..].iter().map(|request| &request.headers["cf-webhook-auth"]).collect();
    secrets.sort_by_key(|secret| secret.len());
    assert_eq!(secrets, ["hush", "of the settings"]);
    drop(app);
    assert!(lists(&open(&None)).await.iter().all(|list| list.as_array().unwrap().len() == 1));
}

#[test]
fn settings_that_cannot_be_read_are_kept_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notifications.json");
    std::fs::write(&file, b"{").unwrap();
    let mut config = super::config(std::sync::Arc::new(crate::domain::ManualClock::new("2026-11-22".parse().unwrap())));
    config.storage = StorageKind::Folder(folder.path().to_owned());
    let error = super::Emulator::open(config).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("notifications.json cannot be read"), "{source}");
    assert_eq!(std::fs::read(file).unwrap(), b"{");
}
