//! Notifications, received by a server that listens.

use image::ImageFormat;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::pictures::encoded;
use super::{ACCOUNT, App, Destination};

async fn destination(statuses: &[u16]) -> MockServer {
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
