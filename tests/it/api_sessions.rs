//! Browsers that are signed in to a Django beside the service.

use std::sync::Arc;

use cfimages::api::{AuthError, Authentication};
use cfimages::app::SystemClock;
use cfimages::config::{Loader, Purpose, settings};
use cfimages::service::{Accounts, DjangoSessions};
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::app::{ALICE, Answer, BOB, TestApp, TestAppBuilder, WEBHOOK_SECRET, connect, migrated_database};
use crate::support::sessions::{self, DJANGOS_DATA, PASSWORD_HASH, SECRET_KEY, sign, signed_in};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_sessions::a_session_that_django_made_is_accepted", accepted);
    suite.on_both_engines("api_sessions::a_session_that_does_not_count_is_none", refused);
    suite.on_both_engines("api_sessions::a_session_ends_with_its_password_and_its_user", ended);
    suite.on_both_engines("api_sessions::a_session_of_an_earlier_secret_key_is_accepted", fallbacks);
    suite.on_both_engines("api_sessions::without_the_secret_key_there_are_no_sessions", without_key);
    suite.on_both_engines("api_sessions::cookies_and_header_may_have_other_names", other_names);
    suite.on_both_engines("api_sessions::a_session_beats_a_wrong_token_unless_tokens_come_first", order);
    suite.on_both_engines("api_sessions::with_tokens_first_the_refusal_is_a_challenge", challenge);
    suite.on_both_engines("api_sessions::changes_need_the_token_against_forgeries", forgeries);
    suite.on_both_engines("api_sessions::behind_tls_the_page_must_be_one_of_the_site", behind_tls);
    suite.on_both_engines("api_sessions::the_body_reaches_the_handler_whole", bodies);
    suite.on_both_engines("api_sessions::the_webhook_looks_at_no_session", webhook);
    suite.on_both_engines("api_sessions::a_site_without_sessions_and_tokens_lets_nobody_in", missing_tables);
    suite.on_both_engines("api_sessions::answers_depend_on_cookies_only_where_sessions_were_looked_for", vary);
}

const KEY: &str = "0123456789abcdefghijklmnopqrstuv";
const COOKIE: &str = "sessionid=0123456789abcdefghijklmnopqrstuv";
const CSRF: &str = "abcdefghijABCDEFGHIJ0123456789XY";
const NOT_PROVIDED: &str = "Authentication credentials were not provided.";

/// A service that shares the secret key, where alice is signed in with a session that Django made.
async fn start(engine: &Engine, builder: TestAppBuilder) -> TestApp {
    let app = builder.set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false").start(engine).await;
    let url = app.database_url.as_str();
    sql::execute(url, &format!("UPDATE auth_user SET password = '{PASSWORD_HASH}' WHERE username = 'alice'")).await;
    sessions::insert(url, KEY, DJANGOS_DATA).await;
    app
}

fn with_key() -> TestAppBuilder {
    TestApp::builder().set(&settings::CFIMAGES_DJANGO_SECRET_KEY, SECRET_KEY)
}

/// A request with the session, and the cookie against forgeries.
fn browser(app: &TestApp, method: Method, path: &str) -> RequestBuilder {
    app.anonymous(method, path).header("Cookie", format!("{COOKIE}; csrftoken={CSRF}"))
}

async fn list(app: &TestApp, cookie: &str) -> Answer {
    Answer::of(app.anonymous(Method::GET, "images/").header("Cookie", cookie)).await
}

#[track_caller]
fn assert_refused(answer: &Answer, detail: &str) {
    answer.assert_is(403, &json!({"detail": detail}));
    assert!(!answer.headers.contains_key("www-authenticate"));
}

/// Whether images of alice, and no others, are listed.
async fn assert_sees_images_of_alice(app: &TestApp, request: RequestBuilder) {
    if app.get("images/").await.json()["count"] == 0 {
        app.create_upload(&json!({})).await;
    }
    let answer = Answer::of(request).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["count"]), (200, &json!(1)), "{}", answer.text);
}

async fn accepted(engine: Engine) {
    let app = start(&engine, with_key()).await;
    assert_sees_images_of_alice(&app, browser(&app, Method::GET, "images/")).await;
    let url = app.database_url.as_str();
    // Other code of a site may have stored the key of the user as a number.
    sessions::insert(url, "number-as-key", &sign(SECRET_KEY, &signed_in(SECRET_KEY, &json!(1)))).await;
    let cookie = "a=b; sessionid=\"number-as-key\"";
    assert_sees_images_of_alice(&app, app.anonymous(Method::GET, "images/").header("Cookie", cookie)).await;
    assert_eq!(
        sql::text(url, &format!("SELECT session_data FROM django_session WHERE session_key = '{KEY}'")).await,
        DJANGOS_DATA
    );
}

async fn refused(engine: Engine) {
    let app = start(&engine, with_key()).await;
    let url = app.database_url.as_str();
    let alice = signed_in(SECRET_KEY, &json!("1"));
    let without = |name: &str| {
        let mut data = alice.clone();
        data.as_object_mut().unwrap().remove(name);
        sign(SECRET_KEY, &data)
    };
    let mut other_hash = alice.clone();
    other_hash["_auth_user_hash"] = json!("0".repeat(64));
    for (key, data) in [
        ("anonymous", sign(SECRET_KEY, &json!({}))),
        ("other-key", sign("another-key", &alice)),
        ("no-user-key", without("_auth_user_id")),
        ("no-backend", without("_auth_user_backend")),
        ("no-password", without("_auth_user_hash")),
        ("other-password", sign(SECRET_KEY, &other_hash)),
        ("hash-of-other-key", sign(SECRET_KEY, &signed_in("another-key", &json!("1")))),
        ("other-user", sign(SECRET_KEY, &signed_in(SECRET_KEY, &json!("2")))),
        ("no-such-user", sign(SECRET_KEY, &signed_in(SECRET_KEY, &json!("4711")))),
        ("no-number", sign(SECRET_KEY, &signed_in(SECRET_KEY, &json!("alice")))),
        ("tampered", DJANGOS_DATA.replacen("xVr0G", "xVr0H", 1)),
        ("truncated", DJANGOS_DATA[..100].to_owned()),
        ("no-object", sign(SECRET_KEY, &json!([1]))),
        ("empty-data", String::new()),
        ("short", sign(SECRET_KEY, &alice)),
    ] {
        sessions::insert(url, key, &data).await;
        assert_refused(&list(&app, &format!("sessionid={key}")).await, NOT_PROVIDED);
    }
    sessions::insert_until(url, "expired-session", DJANGOS_DATA, "2020-01-01 00:00:00").await;
    for cookie in [
        "sessionid=expired-session",
        "sessionid=unknown-session",
        "sessionid=",
        "sessionid=\"1234567\\000\"",
        "SESSIONID=x",
    ] {
        assert_refused(&list(&app, cookie).await, NOT_PROVIDED);
    }
    assert_eq!(list(&app, COOKIE).await.status, 200);
}

async fn ended(engine: Engine) {
    let app = start(&engine, with_key()).await;
    for (change, undo) in [
        ("password = 'pbkdf2_sha256$1$a$c'", "password = 'pbkdf2_sha256$1$a$b'"),
        ("is_active = false", "is_active = true"),
    ] {
        let update = async |assignment: &str| {
            sql::execute(
                app.database_url.as_str(),
                &format!("UPDATE auth_user SET {assignment} WHERE username = 'alice'"),
            )
            .await;
        };
        update(change).await;
        assert_refused(&list(&app, COOKIE).await, NOT_PROVIDED);
        update(undo).await;
        assert_eq!(list(&app, COOKIE).await.status, 200);
    }
}

async fn fallbacks(engine: Engine) {
    let app = start(
        &engine,
        TestApp::builder()
            .set(&settings::CFIMAGES_DJANGO_SECRET_KEY, "the-new-key")
            .set(&settings::CFIMAGES_DJANGO_SECRET_KEY_FALLBACKS, &format!("the-older-key,{SECRET_KEY}")),
    )
    .await;
    assert_eq!(list(&app, COOKIE).await.status, 200);
    // Django signs the data anew where it writes to a session, but not always what it knows of the password.
    let data = sign("the-new-key", &signed_in("the-older-key", &json!("1")));
    sessions::insert(app.database_url.as_str(), "mixed-session", &data).await;
    assert_eq!(list(&app, "sessionid=mixed-session").await.status, 200);
}

async fn without_key(engine: Engine) {
    let app = start(&engine, TestApp::builder()).await;
    assert_refused(&list(&app, COOKIE).await, NOT_PROVIDED);
    let url = app.database_url.as_str();
    sessions::insert(url, "empty-key", &sign("", &signed_in("", &json!("1")))).await;
    assert_refused(&list(&app, "sessionid=empty-key").await, NOT_PROVIDED);
}

async fn other_names(engine: Engine) {
    let names = with_key()
        .set(&settings::CFIMAGES_DJANGO_SESSION_COOKIE, "__Host-sid")
        .set(&settings::CFIMAGES_DJANGO_CSRF_COOKIE, "xsrf")
        .set(&settings::CFIMAGES_DJANGO_CSRF_HEADER, "X-XSRF-Token");
    let app = start(&engine, names).await;
    assert_refused(&list(&app, COOKIE).await, NOT_PROVIDED);
    let post = |token: &str| {
        app.anonymous(Method::POST, "upload-url/")
            .header("Cookie", format!("__Host-sid={KEY}; xsrf={CSRF}"))
            .header("X-XSRF-Token", token)
    };
    assert_eq!(Answer::of(post(CSRF)).await.status, 201);
    let wrong = Answer::of(post(&CSRF.to_uppercase())).await;
    assert_refused(&wrong, "CSRF Failed: CSRF token from the 'X-Xsrf-Token' HTTP header incorrect.");
}

async fn order(engine: Engine) {
    let bad = |app: &TestApp, token: &str| browser(app, Method::GET, "images/").header("Authorization", token);
    let app = start(&engine, with_key()).await;
    assert_sees_images_of_alice(&app, bad(&app, "Token nope")).await;
    assert_sees_images_of_alice(&app, bad(&app, &format!("Token {BOB}"))).await;
    // A session that does not count leaves it to the token.
    let forged = app.anonymous(Method::GET, "images/").header("Cookie", "sessionid=forged-session");
    assert_refused(&Answer::of(forged.header("Authorization", "Token nope")).await, "Invalid token.");

    let tokens_first = with_key().set(&settings::CFIMAGES_AUTH_ORDER, "token,session");
    let app = start(&engine, tokens_first).await;
    assert_eq!(Answer::of(bad(&app, "Token nope")).await.status, 401);
    assert_eq!(Answer::of(bad(&app, &format!("Token {BOB}"))).await.json()["count"], 0);
    assert_sees_images_of_alice(&app, bad(&app, "Bearer other")).await;

    let app = start(&engine, with_key().set(&settings::CFIMAGES_AUTH_ORDER, "token")).await;
    assert_eq!(list(&app, COOKIE).await.status, 401);
    let app = start(&engine, with_key().set(&settings::CFIMAGES_AUTH_ORDER, "session")).await;
    assert_refused(&app.get("images/").await, NOT_PROVIDED);
    assert_eq!(list(&app, COOKIE).await.status, 200);
}

async fn challenge(engine: Engine) {
    let app = start(&engine, with_key().set(&settings::CFIMAGES_AUTH_ORDER, "token,session")).await;
    for (token, detail) in [("", NOT_PROVIDED), ("Token nope", "Invalid token.")] {
        let answer = Answer::of(app.anonymous(Method::GET, "images/").header("Authorization", token)).await;
        answer.assert_is(401, &json!({"detail": detail}));
        assert_eq!(answer.headers["www-authenticate"], "Token");
    }
    let forged = Answer::of(browser(&app, Method::POST, "upload-url/")).await;
    assert_refused(&forged, "CSRF Failed: CSRF token missing.");
}

async fn forgeries(engine: Engine) {
    let app = start(&engine, with_key()).await;
    let post = || app.anonymous(Method::POST, "upload-url/").header("Cookie", COOKIE);
    let unset = Answer::of(post().header("X-CSRFToken", CSRF)).await;
    assert_refused(&unset, "CSRF Failed: CSRF cookie not set.");
    let missing = Answer::of(browser(&app, Method::POST, "upload-url/")).await;
    assert_refused(&missing, "CSRF Failed: CSRF token missing.");
    let foreign = browser(&app, Method::POST, "upload-url/").header("X-CSRFToken", CSRF);
    let foreign = Answer::of(foreign.header("Origin", "https://evil.example")).await;
    let text = "CSRF Failed: Origin checking failed - https://evil.example does not match any trusted origins.";
    assert_refused(&foreign, text);

    assert_eq!(Answer::of(browser(&app, Method::POST, "upload-url/").header("X-CSRFToken", CSRF)).await.status, 201);
    let own = browser(&app, Method::POST, "upload-url/").header("X-CSRFToken", CSRF).header("Origin", &app.origin);
    assert_eq!(Answer::of(own).await.status, 201);
    // A token proves who is asking without cookies, so no page of another site can use it.
    let by_token = app.api(Method::POST, "upload-url/").header("Origin", "https://evil.example");
    assert_eq!(Answer::of(by_token).await.status, 201);
}

async fn behind_tls(engine: Engine) {
    let trusting = with_key().set(&settings::CFIMAGES_CSRF_TRUSTED_ORIGINS, "https://*.example.com");
    let app = start(&engine, trusting).await;
    let post = |name: &str, value: &str| {
        browser(&app, Method::POST, "upload-url/")
            .header("X-Forwarded-Proto", "https")
            .header("X-CSRFToken", CSRF)
            .header(name, value)
    };
    let site = app.origin.replace("http://", "https://");
    for (name, value) in [
        ("Referer", format!("{site}/gallery/?page=2")),
        ("Referer", "https://www.example.com/".to_owned()),
        ("Origin", site),
        ("Origin", "https://www.example.com".to_owned()),
    ] {
        assert_eq!(Answer::of(post(name, &value)).await.status, 201, "{name}: {value}");
    }
    for (name, value, reason) in [
        ("X-None", "", "no Referer."),
        ("Referer", "nonsense", "Referer is malformed."),
        ("Referer", app.origin.as_str(), "Referer is insecure while host is secure."),
        ("Referer", "https://evil.example/", "https://evil.example/ does not match any trusted origins."),
    ] {
        let text = format!("CSRF Failed: Referer checking failed - {reason}");
        assert_refused(&Answer::of(post(name, value)).await, &text);
    }
}

async fn bodies(engine: Engine) {
    let app = start(&engine, with_key()).await;
    let post = |path: &str, kind: &str, body: String| {
        browser(&app, Method::POST, path).header("Content-Type", kind).body(body)
    };
    let request = json!({"metadata": {"project": "alpha"}});
    let json = || post("upload-url/", "application/json", format!("{request}{}", " ".repeat(100_000)));
    let answer = Answer::of(json().header("X-CSRFToken", CSRF)).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["metadata"]), (201, &request["metadata"]));
    // What cannot be read is told before the token is looked at, as Django REST framework does.
    assert!(
        Answer::of(post("upload-url/", "application/json", "{".to_owned())).await.text.contains("JSON parse error")
    );
    let long = format!("\"{}\"", "x".repeat(3_000_000));
    let too_long = Answer::of(post("upload-url/", "application/json", long).header("X-CSRFToken", CSRF)).await;
    assert_eq!(too_long.status, 400);

    let path = "images/00000000-0000-4000-8000-00000000dead/check_status/";
    let kind = "application/x-www-form-urlencoded";
    let found = Answer::of(post(path, kind, format!("a=1&csrfmiddlewaretoken={CSRF}"))).await;
    found.assert_is(404, &json!({"detail": "No CloudflareImage matches the given query."}));
    let wrong = Answer::of(post(path, kind, "csrfmiddlewaretoken=abc".to_owned())).await;
    assert_refused(&wrong, "CSRF Failed: CSRF token from POST has incorrect length.");
    let form = reqwest::multipart::Form::new().text("csrfmiddlewaretoken", CSRF);
    assert_eq!(Answer::of(browser(&app, Method::POST, path).multipart(form)).await.status, 404);
}

async fn webhook(engine: Engine) {
    let app = start(&engine, with_key()).await;
    let answer = Answer::of(
        app.anonymous(Method::POST, "webhook/")
            .header("Cookie", COOKIE)
            .header("Authorization", "Token nope")
            .header("cf-webhook-auth", WEBHOOK_SECRET)
            .body(r#"{"id": "unknown"}"#),
    )
    .await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (404, "Image not found"));
}

async fn missing_tables(engine: Engine) {
    let app = start(&engine, with_key()).await;
    sql::execute(app.database_url.as_str(), "DROP TABLE django_session").await;
    sql::execute(app.database_url.as_str(), "DROP TABLE authtoken_token").await;
    assert_refused(&list(&app, COOKIE).await, NOT_PROVIDED);
    let with_token = app.anonymous(Method::GET, "images/").header("Authorization", format!("Token {ALICE}"));
    assert_refused(&Answer::of(with_token).await, "Invalid token.");
}

async fn vary(engine: Engine) {
    let url = migrated_database(&engine).await;
    let database = connect(url.as_str()).await;
    let authentication = |order: &str| {
        let overrides = [(&settings::CFIMAGES_AUTH_ORDER, order.to_owned())];
        let config = Loader::new().overrides(overrides).load(Purpose::Database).unwrap();
        let accounts = Accounts::new(database.clone(), Arc::new(SystemClock));
        let sessions = DjangoSessions::new(database.clone(), Arc::new(SystemClock), SECRET_KEY.into(), []);
        Authentication::new(&config.auth, accounts, Some(sessions))
    };
    let token = format!("Token {ALICE}");
    for (order, header, want, challenge) in [
        ("session,token", token.as_str(), true, None),
        ("session,token", "", true, None),
        ("token,session", &token, false, Some("Token")),
        ("token,session", "Token nope", false, Some("Token")),
        ("token,session", "Bearer x", true, Some("Token")),
        ("token", "", false, Some("Token")),
        ("session", &token, true, None),
    ] {
        let request = axum::extract::Request::builder().header("Authorization", header);
        let authentication = authentication(order);
        let (_, identity) = authentication.identify(request.body(axum::body::Body::empty()).unwrap()).await;
        assert_eq!(identity.looked_at_cookies, want, "{order} {header}");
        assert_eq!(authentication.challenge(), challenge, "{order}");
        let is_alice = matches!(&identity.result, Ok(Some(user)) if user.username == "alice");
        assert_eq!(is_alice, header == token && order != "session", "{order} {header}");
        let is_refused = matches!(identity.result, Err(AuthError::NotAuthenticated(_)));
        assert_eq!(is_refused, header == "Token nope", "{order} {header}");
    }
}
