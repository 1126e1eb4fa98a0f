//! `health/`, for staff.

use std::time::Duration;

use cfimages::config::settings;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::app::{Answer, TestApp};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("health::it_is_for_staff_alone", staff_alone);
    suite.on_both_engines("health::it_tells_how_all_is", all_is_well);
    suite.test("health::a_cloudflare_that_does_not_answer_is_told", || outage(Engine::Sqlite));
    suite.on_both_engines("health::a_database_that_fails_is_told_and_keeps_nobody_waiting", no_database);
}

pub(crate) async fn make_alice_staff(app: &TestApp) {
    sql::execute(app.database_url.as_str(), "UPDATE auth_user SET is_staff = true WHERE username = 'alice'").await;
}

async fn staff_alone(engine: Engine) {
    let app = TestApp::start(&engine).await;
    assert_eq!(Answer::of(app.anonymous(Method::GET, "health/")).await.status, StatusCode::FORBIDDEN);
    let answer = app.get("health/").await;
    answer.assert_is(403, &json!({"detail": "You do not have permission to perform this action."}));
    make_alice_staff(&app).await;
    assert_eq!(app.get("health/").await.status, StatusCode::OK);
}

async fn all_is_well(engine: Engine) {
    let app =
        TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_MAX_REQUESTS_PER_5_MINUTES, "100").start(&engine).await;
    make_alice_staff(&app).await;
    let before = app.get("health/").await.json();
    assert_eq!(
        (&before["cloudflare"]["last_success_at"], &before["webhooks"]["last_refusal"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        before["jobs"][0],
        json!({"name": "polling", "last_success_at": null, "waiting": 0, "overdue_seconds": 0.0})
    );
    app.create_upload(&json!({"require_signed_urls": false})).await;
    let refused = app.anonymous(Method::POST, "webhook/").body("{}");
    assert_eq!(Answer::of(refused).await.status, StatusCode::UNAUTHORIZED);
    let stopping = CancellationToken::new();
    let jobs = tokio::spawn(cfimages::jobs::run(app.service.clone(), stopping.clone()));
    let health = eventually("all is told", async || {
        let health = app.get("health/").await.json();
        let is_told = health["jobs"].as_array().unwrap()[..3].iter().all(|job| !job["last_success_at"].is_null());
        (is_told && !health["webhooks"]["last_refused_at"].is_null()).then_some(health)
    })
    .await;
    stopping.cancel();
    jobs.await.unwrap();

    assert_eq!(health["status"], "ok", "{health}");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    let cloudflare = &health["cloudflare"];
    assert_eq!((&cloudflare["status"], &cloudflare["requests_left_max"]), (&json!("up"), &json!(50)));
    assert_eq!(cloudflare["told_requests_left"], 1199);
    // One is used, and comes back in six seconds.
    assert!(matches!(cloudflare["requests_left"].as_u64(), Some(49 | 50)), "{cloudflare}");
    assert!(cloudflare["last_success_at"].is_string() && cloudflare["last_failure"].is_null(), "{cloudflare}");
    let database = &health["database"];
    let (name, pool) = match engine {
        Engine::Sqlite => ("SQLite", "read"),
        Engine::Postgres(_) => ("PostgreSQL", "all"),
    };
    assert_eq!((&database["status"], &database["engine"]), (&json!("up"), &json!(name)));
    assert!(database["version"].as_str().unwrap().starts_with(|first: char| first.is_ascii_digit()), "{database}");
    assert_eq!((&database["pools"][0]["name"], &database["pools"][0]["max"]), (&json!(pool), &json!(1)));
    assert!(database["answer_ms"].as_f64().unwrap() > 0.0, "{database}");
    let names: Vec<_> = health["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["polling", "compensation", "bulk", "cleanup"]);
    assert!(health["webhooks"]["last_refusal"].as_str().unwrap().contains("cf-webhook-auth"), "{health}");
}

/// As many failures as it takes to know that it is one.
async fn outage(engine: Engine) {
    let app = TestApp::builder()
        .cloudflare("http://127.0.0.1:9/client/v4".to_owned())
        .set(&settings::CLOUDFLARE_IMAGES_TIMEOUT_SECONDS, "1")
        .start(&engine)
        .await;
    make_alice_staff(&app).await;
    for _ in 0..3 {
        app.post("upload-url/", &json!({"require_signed_urls": false})).await;
    }
    let health = app.get("health/").await.json();
    assert_eq!((&health["status"], &health["cloudflare"]["status"]), (&json!("degraded"), &json!("down")), "{health}");
    assert!(health["cloudflare"]["outage_seconds"].is_number(), "{health}");
    let kind = health["cloudflare"]["last_failure"].as_str().unwrap();
    assert!(["unreachable", "breaker_open"].contains(&kind), "{kind}");
}

async fn no_database(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for table in ["cfimages_polls", "cfimages_bulk_runs"] {
        sql::execute(app.database_url.as_str(), &format!("DROP TABLE {table}")).await;
    }
    let status = app.service.status(Duration::from_secs(10)).await;
    assert!(status.database.is_none() && !status.pools.is_empty());
    make_alice_staff(&app).await;
    let health = app.get("health/").await;
    assert_eq!(health.status, StatusCode::OK);
    assert_eq!((&health.json()["status"], &health.json()["database"]["status"]), (&json!("degraded"), &json!("down")));
}
