//! How often callers may ask.

use std::sync::Arc;

use cfimages::app::SystemClock;
use cfimages::config::settings;
use cfimages::domain::{Clock, ManualClock};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use crate::support::admin::{Browser, make_staff};
use crate::support::app::{Answer, BOB, TestApp, TestAppBuilder, WEBHOOK_SECRET};
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.test("limits::a_user_who_asks_too_often_is_told_when_to_come_back", || users(Engine::Sqlite));
    suite.test("limits::requests_that_nobody_sent_count_for_their_address", || addresses(Engine::Sqlite));
    suite.test("limits::proxies_that_do_not_say_who_asks_are_no_caller", || silent_proxies(Engine::Sqlite));
    suite.test("limits::webhooks_count_for_their_address", || webhooks(Engine::Sqlite));
    suite.test("limits::the_admin_site_shows_a_page", || admin_pages(Engine::Sqlite));
    suite.test("limits::passwords_can_be_tried_so_often_from_an_address", || sign_in(Engine::Sqlite));
    suite.test("limits::health_checks_and_static_files_have_none", || without_limits(Engine::Sqlite));
}

fn app() -> (TestAppBuilder, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    (TestApp::builder().clock(clock.clone()), clock)
}

/// A request that a trusted proxy passed on.
fn from(request: RequestBuilder, address: &str) -> RequestBuilder {
    request.header("X-Forwarded-For", address)
}

#[track_caller]
fn assert_throttled(answer: &Answer, seconds: u64) {
    let unit = if seconds == 1 { "second" } else { "seconds" };
    let detail = format!("Request was throttled. Expected available in {seconds} {unit}.");
    answer.assert_is(429, &json!({ "detail": detail }));
    assert_eq!(answer.headers["retry-after"], seconds.to_string().as_str());
}

async fn users(engine: Engine) {
    let (builder, clock) = app();
    let app = builder
        .set(&settings::CFIMAGES_RATE_LIMIT_UPLOADS, "2/minute")
        .set(&settings::CFIMAGES_RATE_LIMIT_READS, "3/hour")
        .set(&settings::CFIMAGES_RATE_LIMIT_WRITES, "1/second")
        .start(&engine)
        .await;
    let upload = async || app.post("upload-url/", &json!({"require_signed_urls": false})).await;
    for _ in 0..2 {
        assert_eq!(upload().await.status, StatusCode::CREATED);
    }
    let refused = upload().await;
    assert_throttled(&refused, 30);
    assert_eq!(refused.headers["allow"], "POST, OPTIONS");
    assert_eq!(refused.headers["vary"], "Accept, Cookie");
    assert_throttled(&app.post("images/register/", &json!({})).await, 30);

    let bobs = app.anonymous(Method::POST, "upload-url/").header("Authorization", format!("Token {BOB}"));
    assert_eq!(Answer::of(bobs).await.status, StatusCode::CREATED);
    assert_eq!(app.post("images/bulk_status_check/", &json!({})).await.status, StatusCode::BAD_REQUEST);
    assert_throttled(&app.post("images/bulk_status_check/", &json!({})).await, 1);
    for path in ["images/", "stats/", "transform/?url=https://example.com/a.jpg"] {
        assert_eq!(app.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_throttled(&app.get("images/").await, 1200);
    assert_throttled(&Answer::of(app.api(Method::OPTIONS, "images/")).await, 1200);

    clock.advance(30);
    assert_eq!(upload().await.status, StatusCode::CREATED);
    assert_throttled(&upload().await, 30);
}

async fn addresses(engine: Engine) {
    let app = app().0.set(&settings::CFIMAGES_RATE_LIMIT_READS, "3/minute").start(&engine).await;
    let guess = async |address: &str| {
        let request = app.anonymous(Method::GET, "images/").header("Authorization", "Token 0123");
        Answer::of(from(request, address)).await
    };
    for _ in 0..3 {
        assert_eq!(guess("203.0.113.1").await.status, StatusCode::FORBIDDEN);
    }
    assert_throttled(&guess("203.0.113.1").await, 20);
    assert_throttled(&Answer::of(from(app.anonymous(Method::GET, "images/"), "203.0.113.1")).await, 20);
    assert_eq!(guess("203.0.113.2").await.status, StatusCode::FORBIDDEN);

    // Not even whether a token is right is told there; elsewhere its user has a limit of their own.
    assert_throttled(&Answer::of(from(app.api(Method::GET, "images/"), "203.0.113.1")).await, 20);
    for _ in 0..3 {
        assert_eq!(Answer::of(from(app.api(Method::GET, "images/"), "203.0.113.2")).await.status, StatusCode::OK);
    }
    assert_throttled(&Answer::of(from(app.api(Method::GET, "images/"), "203.0.113.3")).await, 20);
    assert_eq!(guess("203.0.113.2").await.status, StatusCode::FORBIDDEN);
}

async fn silent_proxies(engine: Engine) {
    let app = app().0.set(&settings::CFIMAGES_RATE_LIMIT_READS, "1/day").start(&engine).await;
    for _ in 0..5 {
        assert_eq!(Answer::of(app.anonymous(Method::GET, "images/")).await.status, StatusCode::FORBIDDEN);
        let through_two = from(app.anonymous(Method::GET, "images/"), "127.0.0.2");
        assert_eq!(Answer::of(through_two).await.status, StatusCode::FORBIDDEN);
    }
}

async fn webhooks(engine: Engine) {
    let app = app().0.set(&settings::CFIMAGES_RATE_LIMIT_WEBHOOKS, "2/minute").start(&engine).await;
    let send = async |address: &str, secret: &str| {
        let request = app.anonymous(Method::POST, "webhook/").header("cf-webhook-auth", secret);
        Answer::of(from(request.body(r#"{"text": "hello"}"#), address)).await
    };
    assert_eq!(send("203.0.113.1", WEBHOOK_SECRET).await.status, StatusCode::OK);
    assert_eq!(send("203.0.113.1", "a guess").await.status, StatusCode::UNAUTHORIZED);
    assert_throttled(&send("203.0.113.1", WEBHOOK_SECRET).await, 30);
    assert_eq!(send("203.0.113.2", WEBHOOK_SECRET).await.status, StatusCode::OK);
}

async fn admin_pages(engine: Engine) {
    let app = app().0.set(&settings::CFIMAGES_RATE_LIMIT_READS, "3/minute").start(&engine).await;
    let mut alice = Browser::signed_in(&app, "alice").await;
    for _ in 0..3 {
        assert_eq!(alice.get("images/").await.status, StatusCode::OK);
    }
    let refused = alice.get("images/").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers["retry-after"], "20");
    assert!(refused.text.contains("<h1>Too many requests</h1>"), "{}", refused.text);
    assert!(refused.headers.contains_key("content-security-policy"));
    let script = Answer::of(alice.request(Method::GET, "images/").header("Accept", "application/json")).await;
    assert_eq!(
        (script.status, &script.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &refused.headers["retry-after"])
    );
    assert!(script.json()["error"].is_string());
    assert_throttled(&app.get("images/").await, 20);

    for _ in 0..3 {
        let answer = Answer::of(from(Browser::new(&app).request(Method::GET, "images/"), "203.0.113.1")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
    }
    let answer = Answer::of(from(Browser::new(&app).request(Method::GET, "images/"), "203.0.113.1")).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
}

async fn sign_in(engine: Engine) {
    let (builder, clock) = app();
    let app = builder.set(&settings::CFIMAGES_RATE_LIMIT_SIGN_IN, "2/minute").start(&engine).await;
    make_staff(&app, "alice").await;
    let attempt = async |address: &str| {
        let request = Browser::new(&app).request(Method::POST, "sign-in/").body("username=alice&password=wrong");
        Answer::of(from(request, address)).await
    };
    for _ in 0..2 {
        assert_eq!(attempt("2001:db8::1").await.status, StatusCode::FORBIDDEN, "there is no cookie");
    }
    let refused = attempt("2001:db8::2").await;
    assert_eq!(
        (refused.status, &refused.headers["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"30".parse().unwrap())
    );
    assert!(refused.text.contains("<h1>Too many requests</h1>"), "{}", refused.text);
    assert_eq!(attempt("2001:db8:0:1::1").await.status, StatusCode::FORBIDDEN);
    clock.advance(30);
    assert_eq!(attempt("2001:db8::3").await.status, StatusCode::FORBIDDEN);
}

async fn without_limits(engine: Engine) {
    let app = app().0.set(&settings::CFIMAGES_RATE_LIMIT_READS, "1/day").start(&engine).await;
    for path in ["/healthz", "/readyz", "/cloudflare-images/static/cfimages.css", "/cloudflare-images/api/openapi.json"]
    {
        for _ in 0..3 {
            let answer = Answer::of(from(app.http.get(format!("{}{path}", app.origin)), "203.0.113.1")).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
        }
    }
}
