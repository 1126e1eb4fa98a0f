//! Who may enter the admin site, and for how long.

use std::sync::Arc;

use cfimages::app::SystemClock;
use cfimages::config::settings;
use cfimages::domain::{Clock, ManualClock};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::admin::{Browser, PASSWORD, encode, leads_to, make_staff, set_cookies, token};
use crate::support::app::{Answer, TestApp};
use crate::support::sessions::{self, SECRET_KEY};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_sign_in::staff_enter_with_their_password_and_nobody_else_does", staff_only);
    suite.on_both_engines("admin_sign_in::the_token_is_random_and_only_its_digest_is_kept", digests);
    suite.on_both_engines("admin_sign_in::a_session_ends_with_sign_out_password_rights_and_account", endings);
    suite.on_both_engines("admin_sign_in::a_session_ends_after_a_day_without_requests_and_after_two_weeks", times);
    suite.on_both_engines("admin_sign_in::sessions_are_listed_and_ended_by_their_user_alone", listing);
    suite.on_both_engines("admin_sign_in::many_failures_are_told_to_wait", throttling);
    suite.on_both_engines("admin_sign_in::the_limit_does_not_tell_that_the_password_of_a_user_is_right", not_staff);
    suite.on_both_engines("admin_sign_in::djangos_staff_enter_by_djangos_session", django_session);
    suite.test("admin_sign_in::a_sign_in_leads_to_pages_of_the_admin_site_alone", || next(Engine::Sqlite));
    suite.test("admin_sign_in::forms_of_other_sites_are_refused", || forgeries(Engine::Sqlite));
    suite.test("admin_sign_in::every_answer_allows_nothing_foreign", || headers(Engine::Sqlite));
    suite.test("admin_sign_in::cookies_are_secure_behind_https", || secure_cookies(Engine::Sqlite));
    suite.test("admin_sign_in::errors_are_pages", || errors(Engine::Sqlite));
    suite.test("admin_sign_in::the_root_leads_to_the_admin_site_where_no_django_is", || root(Engine::Sqlite));
}

async fn staff_only(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::new(&app);
    assert_eq!(leads_to(&browser.get("").await), "sign-in/");
    make_staff(&app, "alice").await;
    make_staff(&app, "bob").await;
    make_staff(&app, "carol").await;
    sql::execute(app.database_url.as_str(), "UPDATE auth_user SET is_staff = false WHERE username = 'bob'").await;
    let mut texts = Vec::new();
    for (username, password) in
        [("alice", "wrong"), ("bob", PASSWORD), ("carol", PASSWORD), ("nobody", PASSWORD), ("", "")]
    {
        let answer = browser.sign_in(username, password, "").await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{username}");
        assert!(browser.cookie("cfimages_admin").is_none());
        let problem = answer.text.split_once(r#"role="alert""#).unwrap().1.split_once("</p>").unwrap().0.to_owned();
        texts.push(problem);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "it is told apart why: {texts:?}");
    assert_eq!(leads_to(&browser.sign_in("alice", PASSWORD, "").await), "");
    assert!(browser.page("sessions/").await.contains("Firefox on Linux"));
    assert_eq!(leads_to(&browser.get("sign-in/").await), "");
}

async fn digests(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let browser = Browser::signed_in(&app, "alice").await;
    let first = browser.cookie("cfimages_admin").unwrap().to_owned();
    assert_eq!(first.len(), 64);
    let hex = |column: &str| {
        let read = if matches!(engine, Engine::Sqlite) {
            format!("lower(hex({column}))")
        } else {
            format!("encode({column}, 'hex')")
        };
        format!("SELECT {read} FROM cfimages_admin_sessions")
    };
    let url = app.database_url.as_str();
    assert_eq!(sql::text(url, &hex("token_digest")).await, sha256(&first));
    let password = sql::text(url, "SELECT password FROM auth_user WHERE username = 'alice'").await;
    assert_eq!(sql::text(url, &hex("password_digest")).await, sha256(&password));
    // Every sign-in has a token of its own, and the one that the browser had before ends.
    let mut again = Browser::new(&app);
    again.page("sign-in/").await;
    again.set_cookie("cfimages_admin", &first);
    let form_secret = again.cookie("cfimages_admin_form").unwrap().to_owned();
    let form = {
        let mut anonymous = Browser::new(&app);
        anonymous.set_cookie("cfimages_admin_form", &form_secret);
        token(&anonymous.page("sign-in/").await).to_owned()
    };
    leads_to(&again.post("sign-in/", &[("username", "alice"), ("password", PASSWORD), ("csrf", &form)]).await);
    assert_ne!(again.cookie("cfimages_admin").unwrap(), first);
    assert_eq!(sql::count(url, "SELECT count(*) FROM cfimages_admin_sessions").await, 1);
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

async fn endings(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let token_before = browser.cookie("cfimages_admin").unwrap().to_owned();
    assert_eq!(leads_to(&browser.submit("sessions/", "sign-out/", &[]).await), "sign-in/");
    assert_eq!(browser.cookie("cfimages_admin"), None);
    browser.set_cookie("cfimages_admin", &token_before);
    assert_eq!(leads_to(&browser.get("sessions/").await), "sign-in/?next=%2Fcloudflare%2Dimages%2Fadmin%2Fsessions%2F");
    for (change, back) in [
        ("password = 'pbkdf2_sha256$10$salt$other'", ""),
        ("is_staff = false", "is_staff = true"),
        ("is_active = false", "is_active = true"),
    ] {
        let mut browser = Browser::signed_in(&app, "alice").await;
        browser.page("sessions/").await;
        sql::execute(url, &format!("UPDATE auth_user SET {change} WHERE username = 'alice'")).await;
        assert_eq!(browser.get("sessions/").await.status, StatusCode::SEE_OTHER, "{change}");
        if !back.is_empty() {
            sql::execute(url, &format!("UPDATE auth_user SET {back} WHERE username = 'alice'")).await;
            assert_eq!(browser.get("sessions/").await.status, StatusCode::SEE_OTHER, "{change} has ended it");
        }
    }
}

async fn times(engine: Engine) {
    const MINUTE: i64 = 60;
    const DAY: i64 = 24 * 60 * MINUTE;
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let app = TestApp::builder().clock(clock.clone()).start(&engine).await;
    let url = app.database_url.as_str();
    let status = async |browser: &mut Browser<'_>| browser.get("sessions/").await.status.as_u16();
    let mut browser = Browser::signed_in(&app, "alice").await;
    for _ in 0..3 {
        clock.advance(DAY - MINUTE);
        assert_eq!(status(&mut browser).await, 200);
    }
    clock.advance(DAY);
    assert_eq!(status(&mut browser).await, 303, "a day had passed");

    let mut browser = Browser::signed_in(&app, "alice").await;
    assert_eq!(sql::count(url, "SELECT count(*) FROM cfimages_admin_sessions").await, 1, "old rows are removed");
    for halves in 1..28 {
        clock.advance(DAY / 2);
        assert_eq!(status(&mut browser).await, 200, "after {halves} halves of a day");
    }
    clock.advance(DAY / 2);
    assert_eq!(status(&mut browser).await, 303, "two weeks had passed");

    // What was seen is kept to the minute, not for each request.
    let mut browser = Browser::signed_in(&app, "alice").await;
    let seen = "SELECT CAST(max(last_seen_at) AS text) FROM cfimages_admin_sessions";
    let before = sql::text(url, seen).await;
    clock.advance(MINUTE - 1);
    assert_eq!(status(&mut browser).await, 200);
    assert_eq!(sql::text(url, seen).await, before);
    clock.advance(1);
    assert_eq!(status(&mut browser).await, 200);
    assert_ne!(sql::text(url, seen).await, before);
}

async fn listing(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let (mut one, mut two) = (Browser::signed_in(&app, "alice").await, Browser::signed_in(&app, "alice").await);
    let mut bob = Browser::signed_in(&app, "bob").await;
    let html = one.page("sessions/").await;
    assert_eq!(html.matches("class=\"line\"").count(), 2);
    assert_eq!(html.matches("This browser").count(), 1);
    let id = sql::text(url, "SELECT CAST(max(id) AS text) FROM cfimages_admin_sessions WHERE user_key = '1'").await;

    leads_to(&bob.submit("sessions/", "sessions/end/", &[("session", &id)]).await);
    assert_eq!(two.get("sessions/").await.status, StatusCode::OK, "somebody else ended it");
    leads_to(&one.submit("sessions/", "sessions/end/", &[("session", &id)]).await);
    assert_eq!(two.get("sessions/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(one.submit("sessions/", "sessions/end/", &[("session", "x")]).await.status, StatusCode::BAD_REQUEST);

    let mut two = Browser::signed_in(&app, "alice").await;
    leads_to(&one.submit("sessions/", "sessions/end-others/", &[]).await);
    assert_eq!(two.get("sessions/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(one.get("sessions/").await.status, StatusCode::OK);
    assert_eq!(bob.get("sessions/").await.status, StatusCode::OK);
}

async fn throttling(engine: Engine) {
    let app = TestApp::start(&engine).await;
    make_staff(&app, "alice").await;
    let mut browser = Browser::new(&app);
    for _ in 0..5 {
        assert_eq!(browser.sign_in("alice", "wrong", "").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let answer = browser.sign_in("alice", PASSWORD, "").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.text.contains("Try again in 15 minutes."), "{}", answer.text);
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((800..=900).contains(&seconds), "{seconds}");
}

async fn not_staff(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for username in ["alice", "bob"] {
        make_staff(&app, username).await;
    }
    sql::execute(app.database_url.as_str(), "UPDATE auth_user SET is_staff = false").await;
    let mut browser = Browser::new(&app);
    let mut statuses = async |username: &str, fifth: &str| {
        let mut statuses = Vec::new();
        for password in ["1", "2", "3", "4", fifth, "6", "7"] {
            statuses.push(browser.sign_in(username, password, "").await.status.as_u16());
        }
        statuses
    };
    let wanted = [422, 422, 422, 422, 422, 429, 429];
    assert_eq!(statuses("alice", "5").await, wanted);
    assert_eq!(statuses("bob", PASSWORD).await, wanted);
}

async fn django_session(engine: Engine) {
    let app = TestApp::builder().set(&settings::CFIMAGES_DJANGO_SECRET_KEY, SECRET_KEY).start(&engine).await;
    let url = app.database_url.as_str();
    let update = format!("UPDATE auth_user SET password = '{}', is_staff = true", sessions::PASSWORD_HASH);
    sql::execute(url, &format!("{update} WHERE username = 'alice'")).await;
    let key = "0123456789abcdefghijklmnopqrstuv";
    sessions::insert(url, key, &sessions::sign(SECRET_KEY, &sessions::signed_in(SECRET_KEY, &json!("1")))).await;
    let mut browser = Browser::new(&app);
    browser.set_cookie("sessionid", key);
    let html = browser.page("sessions/").await;
    assert!(html.contains("The session of this site lets you in here.") && !html.contains("Sign out"));
    assert_eq!(leads_to(&browser.get("sign-in/").await), "");
    // The session of the admin site goes before it.
    let mut own = Browser::signed_in(&app, "bob").await;
    own.set_cookie("sessionid", key);
    assert!(own.page("sessions/").await.contains("<bdi>bob</bdi>"));
    let signed_out = own.submit("sessions/", "sign-out/", &[]).await;
    assert_eq!(leads_to(&signed_out), "sessions/?done=signed-out");
    let html = own.page("sessions/?done=signed-out").await;
    assert!(html.contains("You are signed out here.") && html.contains("<bdi class=\"strong\">alice</bdi>"), "{html}");

    sql::execute(url, "UPDATE auth_user SET is_staff = false WHERE username = 'alice'").await;
    let refused = browser.get("sessions/").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("no member of the staff"), "{}", refused.text);
    assert!(browser.page("sign-in/").await.contains("Password"));
    browser.set_cookie("sessionid", "another-session");
    assert_eq!(leads_to(&browser.get("").await), "sign-in/");

    let alone = TestApp::start(&engine).await;
    sessions::insert(
        alone.database_url.as_str(),
        key,
        &sessions::sign(SECRET_KEY, &sessions::signed_in(SECRET_KEY, &json!("1"))),
    )
    .await;
    let mut browser = Browser::new(&alone);
    browser.set_cookie("sessionid", key);
    assert_eq!(leads_to(&browser.get("").await), "sign-in/");
}

async fn next(engine: Engine) {
    let app = TestApp::start(&engine).await;
    make_staff(&app, "alice").await;
    let admin = "/cloudflare-images/admin/";
    for (wanted, leads) in [
        (format!("{admin}sessions/?a=b#c"), "sessions/?a=b#c"),
        (String::new(), ""),
        ("https://evil.example/".to_owned(), ""),
        ("//evil.example/cloudflare-images/admin/".to_owned(), ""),
        (format!("{admin}../api/"), ""),
        (format!("{admin}%2e%2E/api/"), ""),
        (format!("{admin}\\evil"), ""),
        (format!("{admin}/evil"), ""),
        (format!("{admin}a\r\nSet-Cookie: x=y"), ""),
        (format!("{admin}sign-out/"), ""),
        ("/cloudflare-images/api/".to_owned(), ""),
    ] {
        let mut browser = Browser::new(&app);
        assert_eq!(leads_to(&browser.sign_in("alice", PASSWORD, &wanted).await), leads, "{wanted}");
    }
    let mut browser = Browser::new(&app);
    let asked = browser.get("sessions/?x=%22%3E").await;
    let sign_in = leads_to(&asked).to_owned();
    let html = browser.page(&sign_in).await;
    assert!(html.contains("value=\"/cloudflare-images/admin/sessions/?x=%22%3E\""), "{html}");
}

async fn forgeries(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let html = browser.page("sessions/").await;
    let own_token = token(&html).to_owned();
    let mut other = Browser::signed_in(&app, "bob").await;
    let others_token = token(&other.page("sessions/").await).to_owned();
    for forged in ["", "x", &others_token] {
        let answer = browser.post("sign-out/", &[("csrf", forged)]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{forged}");
    }
    let send = async |browser: &Browser<'_>, headers: &[(&str, &str)]| {
        let mut request = browser.request(Method::POST, "sessions/end-others/").body(encode(&[("csrf", &own_token)]));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await.status.as_u16()
    };
    for foreign in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        assert_eq!(send(&browser, &[foreign]).await, 403, "{foreign:?}");
    }
    assert_eq!(send(&browser, &[("Sec-Fetch-Site", "same-origin")]).await, 303);
    assert_eq!(send(&browser, &[("Origin", &app.origin)]).await, 303);
    // Scripts may send the token in a header.
    let by_header = browser.request(Method::POST, "sessions/end-others/").header("X-CSRF-Token", &own_token);
    assert_eq!(Answer::of(by_header).await.status, StatusCode::SEE_OTHER);
    // Nobody signs another in.
    let mut victim = Browser::new(&app);
    let form = [("username", "bob"), ("password", PASSWORD), ("csrf", others_token.as_str())];
    assert_eq!(victim.post("sign-in/", &form).await.status, StatusCode::FORBIDDEN);
    victim.page("sign-in/").await;
    assert_eq!(victim.post("sign-in/", &form).await.status, StatusCode::FORBIDDEN);
    for page in ["sign-out/", "sessions/end/", "sessions/end-others/"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{page}");
        assert_eq!(answer.headers["allow"], "POST", "{page}");
    }
}

async fn headers(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    for page in ["sign-in/", "sessions/", "nope/", ""] {
        let answer = browser.get(page).await;
        let header = |name: &str| answer.headers[name].to_str().unwrap();
        let policy = header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'"));
        assert!(policy.contains(&app.emulator) && !policy.contains("unsafe"), "{policy}");
        assert_eq!((header("cache-control"), header("x-content-type-options")), ("no-store", "nosniff"));
        assert_eq!((header("referrer-policy"), header("x-frame-options")), ("same-origin", "DENY"));
        assert!(!answer.text.contains("<style") && !answer.text.contains(" style="), "{page}");
        assert_eq!(answer.text.matches("<script").count(), answer.text.matches("<script src=").count(), "{page}");
    }
    // Every file that a page names is there for good, compressed.
    let html = browser.page("sessions/").await;
    let files: Vec<_> = html.split('"').filter(|text| text.contains("/static/")).collect();
    assert!(files.len() >= 5, "{files:?}");
    for file in files {
        let answer =
            Answer::of(app.http.get(format!("{}{file}", app.origin)).header("Accept-Encoding", "gzip, br")).await;
        assert_eq!(answer.status, StatusCode::OK, "{file}");
        assert_eq!(answer.headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(answer.headers["content-encoding"], "gzip");
        assert_eq!(answer.headers["vary"], "Accept-Encoding");
        let again = app.http.get(format!("{}{file}", app.origin)).header("If-None-Match", &answer.headers["etag"]);
        assert_eq!(Answer::of(again).await.status, StatusCode::NOT_MODIFIED, "{file}");
    }
    let stale = format!("{}/cloudflare-images/static/admin.0123456789abcdef.css", app.origin);
    assert_eq!(Answer::of(app.http.get(stale)).await.headers["cache-control"], "no-cache");
}

async fn secure_cookies(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for (proto, is_secure) in [("https", true), ("http", false)] {
        let browser = Browser::new(&app);
        let answer = Answer::of(browser.request(Method::GET, "sign-in/").header("X-Forwarded-Proto", proto)).await;
        let [cookie] = set_cookies(&answer.headers)[..] else { panic!("{:?}", answer.headers) };
        assert!(cookie.contains("; Path=/cloudflare-images/admin/; ") && cookie.contains("; HttpOnly; SameSite=Lax"));
        assert_eq!(cookie.ends_with("; Secure"), is_secure, "{cookie}");
    }
}

async fn errors(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let missing = browser.get("nope/<script>/").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.text.contains("There is nothing here") && missing.text.contains("admin."), "{}", missing.text);
    assert_eq!(browser.get("sessions").await.headers["location"], "/cloudflare-images/admin/sessions/");
    assert_eq!(browser.get("../admin").await.headers["location"], "/cloudflare-images/admin/");
    let htmx = Answer::of(Browser::new(&app).request(Method::GET, "sessions/").header("HX-Request", "true")).await;
    assert_eq!(
        (htmx.status.as_u16(), &htmx.headers["hx-redirect"]),
        (401, &"/cloudflare-images/admin/sign-in/".parse().unwrap())
    );
    sql::execute(app.database_url.as_str(), "ALTER TABLE cfimages_admin_sessions RENAME TO away").await;
    let broken = browser.get("sessions/").await;
    assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(broken.text.contains("Something went wrong"), "{}", broken.text);
    assert!(broken.text.contains(broken.headers["x-request-id"].to_str().unwrap()));
}

async fn root(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for path in ["/", "/admin", "/admin/"] {
        let answer = Answer::of(http.get(format!("{}{path}", app.origin))).await;
        assert_eq!(answer.headers["location"], "/cloudflare-images/admin/", "{path}");
    }
    let beside_django = TestApp::builder().set(&settings::CFIMAGES_DJANGO_SECRET_KEY, SECRET_KEY).start(&engine).await;
    assert_eq!(Answer::of(http.get(format!("{}/admin/", beside_django.origin))).await.status, StatusCode::NOT_FOUND);
    assert_eq!(Answer::of(http.get(format!("{}/", beside_django.origin))).await.status, StatusCode::OK);
    let at_root = TestApp::builder().set(&settings::CFIMAGES_URL_PREFIX, "/").start(&engine).await;
    let answer = Answer::of(http.get(format!("{}/", at_root.origin))).await;
    assert_eq!(answer.headers["location"], "/admin/");
    let answer = Answer::of(http.get(format!("{}/admin/", at_root.origin))).await;
    assert_eq!(answer.headers["location"], "/admin/sign-in/");
}
