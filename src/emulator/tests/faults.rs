//! Faults on request, over real sockets.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use image::ImageFormat;
use reqwest::{RequestBuilder, Response, redirect};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::super::{ErrorBody, Fault, FaultPlan, Faults, Operation, RateLimit, StorageKind};
use super::pictures::encoded;
use super::{ACCOUNT, Answer, App, HASH, TOKEN};

/// An emulator that listens.
struct Server {
    app: App,
    origin: String,
    http: reqwest::Client,
}

impl Server {
    async fn start() -> Self {
        let app = App::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let router = app.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).no_proxy().build().unwrap();
        Self { app, origin, http }
    }

    fn faults(&self) -> Faults {
        self.app.emulator.faults()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/client/v4/accounts/{ACCOUNT}/images/{path}", self.origin);
        self.http.request(method, url).bearer_auth(TOKEN)
    }

    async fn get(&self, id: &str) -> Result<Response, reqwest::Error> {
        self.request(Method::GET, &format!("v1/{id}")).send().await
    }

    /// Code and `retry-after` of the answer to a request.
    async fn status(&self, id: &str) -> (u16, Option<String>) {
        let response = self.get(id).await.unwrap();
        let retry_after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), retry_after)
    }
}

/// Whether there was no answer, and not for want of time.
fn is_cut(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_timeout() && !error.is_connect() && error.status().is_none()
}

fn png() -> Vec<u8> {
    encoded(ImageFormat::Png, 4, 4)
}

#[tokio::test]
async fn the_next_calls_fail_in_their_order_and_then_no_more() {
    let server = Server::start().await;
    let (faults, id) = (server.faults(), server.app.image(&[], "image/png", &png()).await);
    faults.add(Fault::error(503).on(Operation::GetImage).times(2)).unwrap();
    faults.add(Fault::too_many_requests(Some(7)).on(Operation::GetImage)).unwrap();
    faults.add(Fault::too_many_requests(None).on(Operation::GetImage).skip(1)).unwrap();
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(server.status(&id).await);
    }
    let (ok, busy) = ((200, None), (503, None));
    assert_eq!(seen, [busy.clone(), busy, (429, Some("7".to_owned())), ok.clone(), (429, None), ok]);
    assert_eq!(faults.calls(Operation::GetImage), 6);
    assert_eq!(faults.plan(), FaultPlan::default());
}

#[tokio::test]
async fn errors_come_in_every_form_and_with_rate_limit_headers() {
    let app = App::new();
    let faults = app.emulator.faults();
    let next = async |fault: Fault| {
        faults.add(fault).unwrap();
        app.api(Method::GET, "v1/x").await
    };
    assert_eq!(next(Fault::error(500)).await.error(), (500, 5500));
    assert_eq!(next(Fault::error(401)).await.error(), (401, 10000));
    let answer = next(Fault::too_many_requests(Some(1))).await;
    assert_eq!((answer.error(), answer.header("retry-after")), ((429, 971), "1"));
    assert!(answer.header("ratelimit").starts_with("\"default\";r="));
    let text = next(Fault::error_with(503, ErrorBody::Text)).await;
    assert_eq!(
        (text.text(), text.header("content-type")),
        ("ERROR 5503: Server unavailable", "text/plain; charset=utf-8")
    );
    let html = next(Fault::error_with(502, ErrorBody::Html)).await;
    assert_eq!((html.status, html.header("content-type")), (StatusCode::BAD_GATEWAY, "text/html; charset=utf-8"));
    assert_eq!(next(Fault::error_with(504, ErrorBody::Empty)).await.text(), "");
    let redirect = next(Fault::redirect("http://127.0.0.1:1/x")).await;
    assert_eq!((redirect.status.as_u16(), redirect.header("location")), (307, "http://127.0.0.1:1/x"));
}

#[tokio::test]
async fn a_connection_is_cut_before_or_after_the_effect() {
    let server = Server::start().await;
    let faults = server.faults();
    let (kept, lost) =
        (server.app.image(&[], "image/png", &png()).await, server.app.image(&[], "image/png", &png()).await);
    faults.add(Fault::cut().on(Operation::DeleteImage)).unwrap();
    faults.add(Fault::cut().on(Operation::DeleteImage).after_effect()).unwrap();
    for id in [&kept, &lost] {
        let error = server.request(Method::DELETE, &format!("v1/{id}")).send().await.unwrap_err();
        assert!(is_cut(&error), "{error:?}");
    }
    assert_eq!((server.status(&kept).await.0, server.status(&lost).await.0), (200, 404));

    // An upload that is cut off before it was read, too.
    faults.add(Fault::cut().on(Operation::UploadToUrl)).unwrap();
    let (id, path) = server.app.draft(&[]).await;
    let part = reqwest::multipart::Part::bytes(vec![0; 5_000_000]).file_name("a.png");
    let form = reqwest::multipart::Form::new().part("file", part);
    server.http.post(format!("{}{path}", server.origin)).multipart(form).send().await.unwrap_err();
    assert_eq!(server.get(&id).await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_error_may_come_after_the_effect() {
    let app = App::new();
    app.emulator.faults().add(Fault::error(504).on(Operation::CreateDirectUpload).after_effect()).unwrap();
    assert_eq!(app.direct_upload(&[("id", "mine")]).await.error(), (504, 5500));
    assert_eq!(app.direct_upload(&[("id", "mine")]).await.error(), (409, 5409));
}

#[tokio::test]
async fn bodies_are_cut_off_or_incomplete() {
    let server = Server::start().await;
    let id = server.app.image(&[], "image/png", &png()).await;
    let whole = server.get(&id).await.unwrap().bytes().await.unwrap();
    server.faults().add(Fault::cut_body().on(Operation::GetImage)).unwrap();
    server.faults().add(Fault::malformed_body().on(Operation::GetImage)).unwrap();
    let cut = server.get(&id).await.unwrap();
    assert_eq!((cut.status(), cut.content_length()), (StatusCode::OK, Some(whole.len() as u64)));
    assert!(cut.bytes().await.is_err());
    let malformed = server.get(&id).await.unwrap();
    assert_eq!(malformed.headers()["content-type"], "application/json");
    assert_eq!(malformed.bytes().await.unwrap(), whole[..whole.len() / 2]);
}

#[tokio::test]
async fn a_slow_answer_is_late() {
    let app = App::new();
    let delay = Duration::from_millis(80);
    app.emulator.faults().add(Fault::slow(delay).on(Operation::GetStats)).unwrap();
    let started = Instant::now();
    app.api(Method::GET, "v1/stats").await.result();
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn pictures_fail_only_where_they_are_named() {
    let app = App::new();
    let id = app.image(&[], "image/png", &png()).await;
    let picture = format!("/{HASH}/{id}/public");
    app.emulator.faults().add(Fault::error(500).always()).unwrap();
    assert_eq!(app.get(&picture).await.status, 200);
    assert_eq!(app.api(Method::GET, "v1/stats").await.status, 500);
    app.emulator.faults().clear();
    app.emulator.faults().add(Fault::error_with(502, ErrorBody::Text).on(Operation::Deliver)).unwrap();
    assert_eq!(app.get(&picture).await.status, 502);
    assert_eq!(app.get(&picture).await.status, 200);
}

#[tokio::test]
async fn a_rate_hits_the_same_calls_for_the_same_seed() {
    let pattern = async |seed: u64| {
        let app = App::new();
        let faults = vec![Fault::error(500).rate(0.5).always()];
        app.emulator.faults().set(FaultPlan { faults, seed, ..FaultPlan::default() }).unwrap();
        let mut pattern = Vec::new();
        for _ in 0..64 {
            pattern.push(app.api(Method::GET, "v1/stats").await.status == StatusCode::OK);
        }
        pattern
    };
    let first = pattern(1).await;
    assert_eq!(first, pattern(1).await);
    assert_ne!(first, pattern(2).await);
    assert!((16..48).contains(&first.iter().filter(|is_ok| **is_ok).count()), "{first:?}");
}

#[tokio::test]
async fn errors_are_text_where_the_plan_says_so() {
    let app = App::new();
    app.emulator.faults().set(FaultPlan { plain_text_errors: true, ..FaultPlan::default() }).unwrap();
    let answer = app.api(Method::GET, "v1/x").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (404, "ERROR 5404: Image not found"));
    assert!(!answer.header("ratelimit").is_empty());
    let answer = app.upload("/upload/other/x", "image/png", b"").await;
    assert_eq!((answer.text(), answer.header("access-control-allow-origin")), ("ERROR 5404: Image not found", "*"));
    app.api(Method::GET, "v1/stats").await.result();
}

#[tokio::test]
async fn images_get_new_ids_where_the_plan_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let app = App::with(|config| config.storage = StorageKind::Folder(folder.path().to_owned()));
    let id = app.image(&[], "image/png", &png()).await;
    app.emulator.faults().set(FaultPlan { new_id_on_access_change: true, ..FaultPlan::default() }).unwrap();
    let patch = async |id: &str, body: &str| app.call(Method::PATCH, &format!("images/v1/{id}"), body.to_owned()).await;
    assert_eq!(patch(&id, r#"{"creator":"me","requireSignedURLs":false}"#).await.result()["id"], id.as_str());
    let image = patch(&id, r#"{"requireSignedURLs":true}"#).await.result();
    let new_id = image["id"].as_str().unwrap();
    assert_ne!(new_id, id);
    assert!(image["variants"][0].as_str().unwrap().contains(new_id));
    assert_eq!(app.api(Method::GET, &format!("v1/{id}")).await.error(), (404, 5404));
    drop(app.emulator);
    let app = App::with(|config| config.storage = StorageKind::Folder(folder.path().to_owned()));
    let mut answer = app.api(Method::GET, "v1").await.result();
    assert_eq!(answer["images"].take(), json!([image]));
}

#[tokio::test]
async fn a_deleted_image_is_found_for_a_while_where_the_plan_says_so() {
    let app = App::new();
    app.emulator.faults().set(FaultPlan { stale_after_delete: 2, ..FaultPlan::default() }).unwrap();
    app.image(&[("id", "mine")], "image/png", &png()).await;
    app.api(Method::DELETE, "v1/mine").await.result();
    assert_eq!(app.api(Method::GET, "v1/mine").await.result()["id"], "mine");
    assert_eq!(app.direct_upload(&[("id", "mine")]).await.error(), (409, 5409));
    assert_eq!(app.api(Method::GET, "v1/mine").await.error(), (404, 5404));
    app.draft(&[("id", "mine")]).await;
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_until_the_window_ends() {
    let app = App::new();
    let rate_limit = Some(RateLimit { requests: 2, seconds: 60 });
    app.emulator.faults().set(FaultPlan { rate_limit, ..FaultPlan::default() }).unwrap();
    let stats = async || app.api(Method::GET, "v1/stats").await;
    assert_eq!(stats().await.header("ratelimit"), "\"default\";r=1;t=60");
    assert_eq!(stats().await.header("ratelimit-policy"), "\"default\";q=2;w=60");
    let refused = stats().await;
    assert_eq!((refused.error(), refused.header("retry-after")), ((429, 971), "60"));
    app.clock.advance(59);
    assert_eq!(stats().await.header("retry-after"), "1");
    app.clock.advance(1);
    stats().await.result();
}

async fn control(app: &App, method: Method, token: &str, body: impl Into<Body>) -> Answer {
    let request = Request::builder().method(method).uri("/_cfimages/faults");
    app.send(request.header(header::AUTHORIZATION, format!("Bearer {token}")).body(body.into()).unwrap()).await
}

#[tokio::test]
async fn tests_in_any_language_control_the_faults() {
    let app = App::new();
    let plan = json!({
        "faults": [
            {"operation": "get_image", "times": 2, "kind": {"error": {"status": 503, "retry_after": 3, "body": "text"}}},
            {"kind": "cut", "times": null, "skip": 1, "after_effect": true, "delay_ms": 1, "operation": "delete_key"},
        ],
        "seed": 4, "stale_after_delete": 1, "rate_limit": {"requests": 5, "seconds": 1},
    });
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        assert_eq!(control(&app, method, "wrong", plan.to_string()).await.error(), (401, 10000));
    }
    control(&app, Method::PUT, TOKEN, plan.to_string()).await.result();
    let answer = app.api(Method::GET, "v1/x").await;
    assert_eq!((answer.text(), answer.header("retry-after")), ("ERROR 5503: Server unavailable", "3"));
    let report = control(&app, Method::GET, TOKEN, "").await.json();
    assert_eq!((&report["faults"][0]["times"], &report["faults"][1]["times"]), (&json!(1), &Value::Null));
    assert_eq!((&report["calls"], &report["seed"]), (&json!({"get_image": 1}), &json!(4)));
    for bad in [
        "[",
        r#"{"fault":[]}"#,
        r#"{"faults":[{"time":2}]}"#,
        r#"{"faults":[{"operation":"explode"}]}"#,
        r#"{"faults":[{"kind":{"error":{"status":200}}}]}"#,
        r#"{"faults":[{"rate":1.5}]}"#,
        r#"{"rate_limit":{"requests":1,"seconds":0}}"#,
    ] {
        assert_eq!(control(&app, Method::PUT, TOKEN, bad).await.error(), (400, 5400), "{bad}");
    }
    assert_eq!(control(&app, Method::GET, TOKEN, "").await.json(), report);
    assert_eq!(control(&app, Method::DELETE, TOKEN, "").await.status, 204);
    assert_eq!(app.emulator.faults().plan(), FaultPlan::default());
}

#[tokio::test]
async fn every_operation_can_be_aimed_at() {
    let app = App::new();
    for (method, route, operation) in Operation::routes() {
        let path: Vec<_> =
            route.split('/').map(|segment| if segment.starts_with('{') { "x" } else { segment }).collect();
        let answer = app.call(method.clone(), &path.join("/"), "").await;
        assert_ne!(answer.status, 405, "{method} {route}");
        assert_eq!(app.emulator.faults().calls(operation), 1, "{method} {route}");
    }
}
