//! What the server tells Prometheus, and whether what is made of it speaks of what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::http::Request;
use cfimages::domain::DeletionReason;
use cfimages::{app, jobs};
use http_body_util::BodyExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::cli::{Server, cfimages, environment, failure, free_address};
use crate::documents::anchors;
use crate::health::make_alice_staff;
use crate::http::send_half_a_body;
use crate::jobs_leftovers::record;
use crate::jobs_polling::World;
use crate::support::app::{API_TOKEN, Answer, TestApp, http_client, migrated_database};
use crate::support::rows::ImageRow;
use crate::support::scrape::{Scrape, family_of};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("metrics::an_upload_is_counted_at_each_of_its_steps", uploads);
    suite.test("metrics::requests_are_counted_by_route_and_never_by_path", || requests(Engine::Sqlite));
    suite.test("metrics::a_request_that_took_too_long_is_counted_with_its_route", || slow_request(Engine::Sqlite));
    suite.test("metrics::errors_are_counted_by_their_kind", || errors(Engine::Sqlite));
    suite.test("metrics::webhooks_are_counted_by_what_became_of_them", || webhooks(Engine::Sqlite));
    suite.test("metrics::transformations_are_counted_by_preset_and_option", || transformations(Engine::Sqlite));
    suite.test("metrics::calls_that_fail_are_counted_by_why_and_tries_apart", || failing_calls(Engine::Sqlite));
    suite.on_both_engines("metrics::jobs_are_counted_by_what_they_did", job_work);
    suite.on_both_engines("metrics::a_database_that_is_gone_does_not_fail_the_scrape", no_database);
    suite.on_both_engines("metrics::the_listener_is_apart_and_stops_with_the_server", listener);
    suite.test("metrics::an_address_that_is_taken_is_told_with_its_setting", || taken_address(Engine::Sqlite));
    suite.test("metrics::documents_dashboard_and_alerts_speak_of_what_there_is", || documents(Engine::Sqlite));
}

fn request(method: &str, route: &str, status: u16) -> String {
    format!("cfimages_http_requests_total{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}")
}

fn api_request(method: &str, path: &str, status: u16) -> String {
    request(method, &format!("/cloudflare-images/api/{path}"), status)
}

fn call(operation: &str, outcome: &str) -> String {
    format!("cfimages_cloudflare_calls_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}")
}

fn error(kind: &str) -> String {
    format!("cfimages_http_errors_total{{kind=\"{kind}\"}}")
}

fn option(name: &str) -> String {
    format!("cfimages_transformation_options_total{{option=\"{name}\"}}")
}

fn items(job: &str, outcome: &str) -> String {
    format!("cfimages_job_items_total{{name=\"{job}\",outcome=\"{outcome}\"}}")
}

/// Makes sure that the counters have counted exactly this since another scrape.
#[track_caller]
fn assert_counted<S: AsRef<str>>(after: &Scrape, before: &Scrape, expected: &[(S, f64)]) {
    let counted = after.grown_since(before);
    let expected: BTreeMap<&str, f64> = expected.iter().map(|(series, more)| (series.as_ref(), *more)).collect();
    assert_eq!(counted, expected);
}

async fn uploads(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let before = Scrape::of(&app).await;
    let image = app.create_upload(&json!({})).await;
    let created = Scrape::of(&app).await;
    assert_counted(
        &created,
        &before,
        &[
            (api_request("POST", "upload-url/", 201), 1.0),
            (call("create_direct_upload", "success"), 1.0),
            ("cfimages_uploads_total{status=\"created\"}".to_owned(), 1.0),
        ],
    );
    let sent = app.upload(image["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    assert_eq!(sent.status, StatusCode::OK, "{}", sent.text);
    let answered = api_request("POST", "webhook/", 200);
    let uploaded = scrape_after_webhook(&app).await;
    assert_counted(
        &uploaded,
        &created,
        &[
            (answered, 1.0),
            (call("get_image", "success"), 1.0),
            ("cfimages_uploads_total{status=\"uploaded\"}".to_owned(), 1.0),
            ("cfimages_webhooks_total{form=\"notification\",outcome=\"recorded\",reason=\"\"}".to_owned(), 1.0),
        ],
    );
    uploaded.assert_is("cfimages_images{status=\"uploaded\"}", 1.0);
    uploaded.assert_is("cfimages_cloudflare_call_duration_seconds_count{operation=\"get_image\"}", 1.0);
    uploaded.assert_is("cfimages_webhook_duration_seconds_count{form=\"notification\"}", 1.0);

    // It is uploaded already, so that nothing has become of it.
    let path = format!("images/{}/check_status/", image["id"].as_str().unwrap());
    assert_eq!(app.post(&path, &json!({})).await.status, StatusCode::OK);
    let checked = Scrape::of(&app).await;
    let route = api_request("POST", "images/{id}/check_status/", 200);
    assert_counted(&checked, &uploaded, &[(route, 1.0), (call("get_image", "success"), 1.0)]);
}

async fn requests(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let before = Scrape::of(&app).await;
    assert_eq!(app.get("stats/").await.status, StatusCode::OK);
    for path in ["/nope", "/cloudflare-images/api/images/not/a/path/"] {
        assert_eq!(Answer::of(app.http.get(format!("{}{path}", app.origin))).await.status, StatusCode::NOT_FOUND);
    }
    let brew = Method::from_bytes(b"BREW").unwrap();
    assert_eq!(Answer::of(app.api(brew, "stats/")).await.status, StatusCode::METHOD_NOT_ALLOWED);
    let admin = format!("{}/cloudflare-images/admin/images/a-word/", app.origin);
    assert_eq!(http_client_without_redirects().get(admin).send().await.unwrap().status(), StatusCode::SEE_OTHER);
    let after = Scrape::of(&app).await;
    assert_counted(
        &after,
        &before,
        &[
            (api_request("GET", "stats/", 200), 1.0),
            (request("GET", "unmatched", 404), 2.0),
            (api_request("other", "stats/", 405), 1.0),
            (request("GET", "/cloudflare-images/admin/images/{id}/", 303), 1.0),
            (error("method_not_allowed"), 1.0),
        ],
    );
    after.assert_is("cfimages_http_requests_in_flight", 0.0);
    after.assert_is("cfimages_http_request_duration_seconds_count{method=\"GET\",route=\"unmatched\"}", 2.0);
}

fn http_client_without_redirects() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn slow_request(engine: Engine) {
    use cfimages::config::settings::CFIMAGES_REQUEST_TIMEOUT_SECONDS;

    let app = TestApp::builder().set(&CFIMAGES_REQUEST_TIMEOUT_SECONDS, "1").start(&engine).await;
    let before = Scrape::of(&app).await;
    send_half_a_body(&app).await;
    let after = Scrape::of(&app).await;
    assert_counted(&after, &before, &[(api_request("POST", "upload-url/", 503), 1.0), (error("took_too_long"), 1.0)]);
}

async fn errors(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let before = Scrape::of(&app).await;
    app.post("upload-url/", &json!({"expiry_minutes": "soon"})).await;
    app.get("images/00000000-0000-4000-8000-000000000000/").await;
    Answer::of(app.anonymous(Method::GET, "stats/")).await;
    app.get("health/").await;
    let after = Scrape::of(&app).await;
    assert_counted(
        &after,
        &before,
        &[
            (api_request("POST", "upload-url/", 400), 1.0),
            (api_request("GET", "images/{id}/", 404), 1.0),
            (api_request("GET", "stats/", 403), 1.0),
            (api_request("GET", "health/", 403), 1.0),
            (error("not_valid"), 1.0),
            (error("not_found"), 1.0),
            (error("not_authenticated"), 1.0),
            (error("permission_denied"), 1.0),
        ],
    );
}

async fn webhooks(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let before = Scrape::of(&app).await;
    let send = async |secret: &str, body: &str| {
        let request = app.anonymous(Method::POST, "webhook/").header("cf-webhook-auth", secret).body(body.to_owned());
        Answer::of(request).await.status.as_u16()
    };
    let secret = crate::support::app::WEBHOOK_SECRET;
    assert_eq!(send("wrong", "{}").await, 401);
    assert_eq!(send(secret, "no JSON").await, 400);
    assert_eq!(send(secret, r#"{"id": "nobodys"}"#).await, 404);
    assert_eq!(send(secret, r#"{"text": "Hello"}"#).await, 200);
    let after = Scrape::of(&app).await;
    let webhook = |form: &str, outcome: &str, reason: &str| {
        (format!("cfimages_webhooks_total{{form=\"{form}\",outcome=\"{outcome}\",reason=\"{reason}\"}}"), 1.0)
    };
    let answered = |status| (api_request("POST", "webhook/", status), 1.0);
    assert_counted(
        &after,
        &before,
        &[
            webhook("unknown", "refused", "wrong_proof"),
            webhook("unknown", "refused", "not_json"),
            webhook("report", "refused", "unknown_image"),
            webhook("test", "ignored", ""),
            answered(401),
            answered(400),
            answered(404),
            answered(200),
        ],
    );
}

async fn transformations(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let image = uploaded_image(&app).await;
    let transformed = |source: &str, preset: &str| {
        (format!("cfimages_transformations_total{{source=\"{source}\",preset=\"{preset}\"}}"), 1.0)
    };
    let picture = "url=https://imagedelivery.net/hash-0001/an-id/public";
    for (path, counted) in [
        (
            format!("transform/?{picture}&preset=hero_image&blur=5"),
            vec![
                transformed("transform", "hero"),
                (option("blur"), 1.0),
                (option("fit"), 1.0),
                (option("format"), 1.0),
                (option("gravity"), 1.0),
                (option("height"), 1.0),
                (option("quality"), 1.0),
                (option("width"), 1.0),
            ],
        ),
        (format!("transform/?{picture}&w=3"), vec![transformed("transform", ""), (option("width"), 1.0)]),
        (
            format!("html/thumbnail/?{picture}"),
            vec![
                transformed("html", "thumbnail"),
                (option("fit"), 1.0),
                (option("height"), 1.0),
                (option("quality"), 1.0),
                (option("width"), 1.0),
            ],
        ),
        (
            format!("images/{image}/url/?variant=w%3D300,fit%3Dcover"),
            vec![transformed("delivery_url", ""), (option("fit"), 1.0), (option("width"), 1.0)],
        ),
        (format!("images/{image}/url/?variant=public"), vec![]),
    ] {
        let before = Scrape::of(&app).await;
        let answer = app.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
        let after = Scrape::of(&app).await;
        let route = path.split('?').next().unwrap().replace(&image, "{id}");
        let expected = [counted, vec![(api_request("GET", &route, 200), 1.0)]].concat();
        assert_counted(&after, &before, &expected);
    }
}

/// The key of an image with a picture.
async fn uploaded_image(app: &TestApp) -> String {
    let image = app.create_upload(&json!({})).await;
    app.upload(image["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    let id = image["id"].as_str().unwrap().to_owned();
    app.wait_for_status(&id, "uploaded").await;
    scrape_after_webhook(app).await;
    id
}

/// A scrape that begins after the first webhook is answered. The one that first tells of it may have looked at the images before.
async fn scrape_after_webhook(app: &TestApp) -> Scrape {
    let answered = api_request("POST", "webhook/", 200);
    eventually("the webhook is answered", async || (Scrape::of(app).await.get(&answered) > 0.0).then_some(())).await;
    Scrape::of(app).await
}

/// Lets calls at the emulator fail.
async fn plan_faults(app: &TestApp, faults: Value) {
    let plan = json!({"faults": faults, "seed": 1});
    let request = app.http.put(format!("{}/_cfimages/faults", app.emulator)).bearer_auth(API_TOKEN);
    let answer = Answer::of(request.header("Content-Type", "application/json").body(plan.to_string())).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

async fn failing_calls(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let image = uploaded_image(&app).await;
    plan_faults(
        &app,
        json!([
            {"operation": "get_image", "kind": {"error": {"status": 503}}},
            {"operation": "get_image", "skip": 1, "kind": {"error": {"status": 403}}},
        ]),
    )
    .await;
    let before = Scrape::of(&app).await;
    let path = format!("images/{image}/check_status/");
    assert_eq!(app.post(&path, &json!({})).await.status, StatusCode::OK);
    assert_eq!(app.post(&path, &json!({})).await.status, StatusCode::BAD_REQUEST);
    let after = Scrape::of(&app).await;
    assert_counted(
        &after,
        &before,
        &[
            (api_request("POST", "images/{id}/check_status/", 200), 1.0),
            (api_request("POST", "images/{id}/check_status/", 400), 1.0),
            (call("get_image", "success"), 1.0),
            (call("get_image", "forbidden"), 1.0),
            ("cfimages_cloudflare_retries_total{operation=\"get_image\"}".to_owned(), 1.0),
            (error("cloudflare"), 1.0),
        ],
    );
}

async fn job_work(engine: Engine) {
    let world = World::new(&engine).await;
    let row = ImageRow { number: 1, status: "pending", created_at: "2026-01-01", expires_at: "2026-01-01T00:30:00Z" };
    row.insert(world.url()).await;
    world.cloudflare.has_picture("img-1");
    record(world.url(), "left-1", &DeletionReason::Unrecorded).await;
    world.cloudflare.has_draft("left-1");
    world.fixture.clock.advance(90);
    let service = world.service().clone();
    let before = scrape_directly(&service).await;
    let rounds = |name: &str| format!("cfimages_job_rounds_total{{name=\"{name}\",outcome=\"worked\"}}");
    let stopping = CancellationToken::new();
    let running = tokio::spawn(jobs::run(service.clone(), stopping.clone()));
    eventually("each job has had a round", async || {
        let scrape = scrape_directly(&service).await;
        ["polling", "compensation", "bulk"].iter().all(|name| scrape.get(&rounds(name)) > 0.0).then_some(())
    })
    .await;
    stopping.cancel();
    running.await.unwrap();
    let after = scrape_directly(&service).await;
    let mut counted = after.grown_since(&before);
    // The pause between its rounds is a second.
    assert!(counted.remove(rounds("bulk").as_str()).is_some());
    let expected = [
        (rounds("polling"), 1.0),
        (rounds("compensation"), 1.0),
        (items("polling", "changed"), 1.0),
        (items("compensation", "deleted"), 1.0),
        (call("get_image", "success"), 1.0),
        (call("delete_image", "success"), 1.0),
        ("cfimages_uploads_total{status=\"uploaded\"}".to_owned(), 1.0),
    ];
    assert_eq!(counted, expected.iter().map(|(series, more)| (series.as_str(), *more)).collect());
    let last_success = "cfimages_job_last_success_timestamp_seconds{name=\"polling\"}";
    #[expect(clippy::cast_precision_loss, reason = "a time in seconds has 31 bits")]
    let now = world.fixture.clock_now().as_unix_seconds() as f64;
    after.assert_is(last_success, now);
    before.assert_is("cfimages_job_queue_length{name=\"compensation\"}", 1.0);
    assert!(before.series["cfimages_job_queue_overdue_seconds{name=\"compensation\"}"] > 1_000_000.0);
    after.assert_is("cfimages_job_queue_length{name=\"compensation\"}", 0.0);
    after.assert_is("cfimages_job_queue_overdue_seconds{name=\"compensation\"}", 0.0);
}

/// A scrape of a service that listens nowhere.
async fn scrape_directly(service: &cfimages::service::CloudflareService) -> Scrape {
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let answer = app::metrics_router(service.clone()).oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    Scrape::read(std::str::from_utf8(&body).unwrap())
}

async fn no_database(engine: Engine) {
    let world = World::new(&engine).await;
    let scrape = scrape_directly(world.service()).await;
    scrape.assert_is("cfimages_database_up", 1.0);
    scrape.assert_is("cfimages_database_ready", 1.0);
    assert!(scrape.series["cfimages_database_answer_seconds"] > 0.0);
    world.fixture.database.close().await;
    let scrape = scrape_directly(world.service()).await;
    scrape.assert_is("cfimages_database_up", 0.0);
    scrape.assert_is("cfimages_database_ready", 0.0);
    assert!(!scrape.names().contains("cfimages_images") && scrape.names().contains("cfimages_uploads_total"));
}

async fn listener(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let (listen, metrics) = (free_address(), free_address());
    let mut command = cfimages(folder.path(), &["serve", "--listen", &listen]);
    let server = Server::start(command.envs(environment(url.as_str())).env("CFIMAGES_METRICS_LISTEN", &metrics))
        .ready(&listen)
        .await;
    let http = http_client();
    let status =
        async |address: &str, path: &str| http.get(format!("http://{address}{path}")).send().await.unwrap().status();
    assert_eq!(status(&listen, "/metrics").await, StatusCode::NOT_FOUND);
    assert_eq!(status(&metrics, "/readyz").await, StatusCode::NOT_FOUND);
    let text = http.get(format!("http://{metrics}/metrics")).send().await.unwrap().text().await.unwrap();
    let scrape = Scrape::read(&text);
    let version = env!("CARGO_PKG_VERSION");
    scrape.assert_is(&format!("cfimages_build_info{{version=\"{version}\"}}"), 1.0);
    assert!(scrape.series["process_start_time_seconds"] > 1_700_000_000.0);
    #[cfg(target_os = "linux")]
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
        assert!(scrape.series[name] > 1.0, "{name}");
    }
    assert!(scrape.get(&request("GET", "/readyz", 200)) >= 1.0);
    let (code, log) = tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert!(code == Some(0) && log.contains("Telling Prometheus at /metrics"), "{code:?} {log}");
    assert!(tokio::net::TcpStream::connect(&metrics).await.is_err());
}

async fn taken_address(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let address = free_address();
    let mut command = cfimages(folder.path(), &["serve", "--listen", &address]);
    let text = failure(command.envs(environment(url.as_str())).env("CFIMAGES_METRICS_LISTEN", &address));
    let expected = format!("cannot listen on {address}");
    assert!(text.contains(&expected) && text.contains("choose another address with CFIMAGES_METRICS_LISTEN"), "{text}");
}

/// A scrape of a server that has done something of each kind.
async fn scrape_after_all_work(engine: Engine) -> Scrape {
    use cfimages::config::settings::CLOUDFLARE_IMAGES_MAX_REQUESTS_PER_5_MINUTES as MAX_REQUESTS;

    let app = TestApp::builder()
        .set(&MAX_REQUESTS, "100")
        .set(&cfimages::config::settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .start(&engine)
        .await;
    make_alice_staff(&app).await;
    let image = uploaded_image(&app).await;
    plan_faults(&app, json!([{"operation": "get_image", "kind": {"error": {"status": 503}}}])).await;
    app.post(&format!("images/{image}/check_status/"), &json!({})).await;
    app.get(&format!("images/{image}/url/?variant=w%3D300")).await;
    app.get("nope/").await;
    app.get("images/00000000-0000-4000-8000-000000000000/").await;
    let stopping = CancellationToken::new();
    let running = tokio::spawn(jobs::run(app.service.clone(), stopping.clone()));
    eventually("each job has had a round", async || {
        let scrape = Scrape::of(&app).await;
        let successes = scrape.series.keys().filter(|series| series.starts_with("cfimages_job_last_success"));
        (successes.count() == 3).then_some(())
    })
    .await;
    stopping.cancel();
    running.await.unwrap();
    Scrape::of(&app).await
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

async fn documents(engine: Engine) {
    let scrape = scrape_after_all_work(engine).await;
    check_table(&scrape);
    let alerts = fs::read_to_string(project("contrib/prometheus/alerts.yml")).unwrap();
    check_alerts(&scrape, &alerts);
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(project("contrib/grafana/cfimages.json")).unwrap()).unwrap();
    let expressions = expressions_in(&dashboard);
    assert!(expressions.len() > 20, "{expressions:?}");
    for expression in &expressions {
        check_expression(&scrape, expression);
    }
    for example in examples() {
        check_expression(&scrape, &example);
    }
}

/// The table of docs/metrics.md has each family, as the server tells it: name, type, labels and what it is.
fn check_table(scrape: &Scrape) {
    let text = fs::read_to_string(project("docs/metrics.md")).unwrap();
    let documented: BTreeSet<&str> =
        text.lines().filter(|line| line.starts_with("| `cfimages_") || line.starts_with("| `process_")).collect();
    let row = |(name, family): (&String, &crate::support::scrape::Family)| {
        let labels: Vec<_> =
            family.labels.iter().filter(|label| *label != "le").map(|label| format!("`{label}`")).collect();
        let help = family.help.trim_end_matches('.');
        format!("| `{name}` | {} | {} | {help} |", family.kind, labels.join(", "))
    };
    let told: BTreeSet<String> = scrape.families.iter().map(row).collect();
    let told: BTreeSet<&str> = told.iter().map(String::as_str).collect();
    let missing: Vec<_> = told.difference(&documented).collect();
    let stale: Vec<_> = documented.difference(&told).collect();
    assert!(missing.is_empty() && stale.is_empty(), "docs/metrics.md lacks {missing:#?} and has {stale:#?}");
}

/// Queries in the document.
fn examples() -> Vec<String> {
    let text = fs::read_to_string(project("docs/metrics.md")).unwrap();
    let blocks: Vec<_> = text.split("```promql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(!blocks.is_empty());
    blocks.iter().flat_map(|block| block.lines()).filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// Each alert has an expression about what there is, a summary, and where it is told what to do.
fn check_alerts(scrape: &Scrape, alerts: &str) {
    let value_of = |line: &str, key: &str| {
        line.trim_start_matches([' ', '-']).strip_prefix(key).map(|value| value.trim().to_owned())
    };
    let all = |key: &str| alerts.lines().filter_map(|line| value_of(line, key)).collect::<Vec<_>>();
    let names = all("alert:");
    assert!(names.len() > 10, "{names:?}");
    let expressions = all("expr:");
    for key in ["expr:", "summary:", "description:", "runbook:"] {
        assert_eq!(all(key).len(), names.len(), "{key}");
    }
    for expression in &expressions {
        check_expression(scrape, expression);
    }
    for runbook in all("runbook:") {
        let (file, anchor) = runbook.split_once('#').unwrap();
        let anchors = anchors(&fs::read_to_string(project(file)).unwrap());
        assert!(anchors.contains(anchor), "{runbook}");
    }
    let troubleshooting = fs::read_to_string(project("docs/troubleshooting.md")).unwrap();
    for name in names {
        assert!(troubleshooting.contains(&format!("| `{name}` |")), "docs/troubleshooting.md does not tell of {name}");
    }
}

/// All queries of a dashboard.
fn expressions_in(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value {
                Value::String(text) if matches!(key.as_str(), "expr" | "query") && text.contains("cfimages_") => {
                    vec![text.clone()]
                }
                value => expressions_in(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(expressions_in).collect(),
        _ => vec![],
    }
}

/// Each metric of a query exists, and so does each of its labels.
fn check_expression(scrape: &Scrape, expression: &str) {
    let names = scrape.names();
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut labels: BTreeSet<&str> = ["le", "instance", "job"].into();
    let mut rest = expression;
    let mut found = 0;
    while let Some(at) = rest.find("cfimages_").into_iter().chain(rest.find("process_")).min() {
        let end = rest[at..].find(|c| !is_word(c)).map_or(rest.len(), |length| at + length);
        let name = &rest[at..end];
        assert!(names.contains(name), "there is no {name}: {expression}");
        let family = &scrape.families[family_of(name)];
        labels.extend(family.labels.iter().map(String::as_str));
        rest = &rest[end..];
        if let Some(selector) = rest.strip_prefix('{') {
            for matcher in selector.split('}').next().unwrap().split("\",").filter(|matcher| !matcher.is_empty()) {
                let label = matcher.trim().split(|c| !is_word(c)).next().unwrap();
                let is_known = family.labels.contains(label) || ["instance", "job"].contains(&label);
                assert!(is_known, "{name} has no label {label}: {expression}");
            }
        }
        found += 1;
    }
    assert!(found > 0 || expression.contains("up{"), "{expression}");
    for group in expression.split(" by (").skip(1).chain(expression.split("on (").skip(1)) {
        for label in group.split(')').next().unwrap().split(',') {
            assert!(labels.contains(label.trim()), "there is no label {label}: {expression}");
        }
    }
}
