//! What browsers are told about answers: who may read them (CORS), and what may be done with them.

use cfimages::config::settings;
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{Answer, TestApp};
use crate::support::sessions::{self, DJANGOS_DATA, PASSWORD_HASH, SECRET_KEY};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

const SHOP: &str = "https://shop.example";

pub(crate) fn register(suite: &mut Suite) {
    suite.test("browsers::a_listed_origin_is_answered_before_anybody_signs_in", preflight);
    suite.test("browsers::a_listed_origin_may_read_answers_errors_included", listed_origin);
    suite.test("browsers::other_origins_and_null_may_not", other_origins);
    suite.test("browsers::any_origin_is_any_without_cookies", any_origin);
    suite.test("browsers::without_origins_nothing_is_said_of_them", no_origins);
    suite.test("browsers::a_listed_origin_needs_djangos_trust_to_change_something", sessions_of);
    suite.test("browsers::every_answer_says_what_may_be_done_with_it", security_headers);
}

async fn app(origins: &str) -> TestApp {
    TestApp::builder().set(&settings::CFIMAGES_CORS_ORIGINS, origins).start(&Engine::Sqlite).await
}

async fn ask(app: &TestApp, origin: &str, method: &str, path: &str) -> Answer {
    let request = app.anonymous(Method::OPTIONS, path).header("Origin", origin);
    Answer::of(request.header("Access-Control-Request-Method", method)).await
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name).map(|value| value.to_str().unwrap())
}

/// All that an answer says of other origins.
fn cors(headers: &HeaderMap) -> Vec<&HeaderName> {
    headers.keys().filter(|name| name.as_str().starts_with("access-control-")).collect()
}

fn varies_by_origin(answer: &Answer) -> bool {
    answer.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains("Origin"))
}

async fn preflight() {
    let app = app("https://other.example, https://shop.example").await;
    for (method, path) in [("POST", "upload-url/"), ("DELETE", "images/0/"), ("GET", "nowhere/")] {
        let answer = ask(&app, SHOP, method, path).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""), "{path}");
        assert_eq!(header(&answer, "access-control-allow-origin"), Some(SHOP));
        assert_eq!(header(&answer, "access-control-allow-credentials"), Some("true"));
        assert_eq!(header(&answer, "access-control-max-age"), Some("3600"));
        assert!(header(&answer, "access-control-allow-methods").unwrap().contains(method));
        let allowed = header(&answer, "access-control-allow-headers").unwrap().to_ascii_lowercase();
        for name in ["authorization", "content-type", "x-csrftoken"] {
            assert!(allowed.contains(name), "{allowed}");
        }
        assert!(varies_by_origin(&answer));
    }
    // Who asks for the description of a URL is no browser that asks on its own.
    let description = Answer::of(app.api(Method::OPTIONS, "images/").header("Origin", SHOP)).await;
    assert_eq!((description.status, &description.json()["name"]), (StatusCode::OK, &json!("Cloudflare Image List")));
    // Elsewhere nothing is shared.
    let admin = app.http.request(Method::OPTIONS, format!("{}/cloudflare-images/admin/", app.origin));
    let admin = admin.header("Origin", SHOP).header("Access-Control-Request-Method", "POST");
    assert!(cors(&Answer::of(admin).await.headers).is_empty());
}

async fn listed_origin() {
    let app = app(SHOP).await;
    let list = Answer::of(app.api(Method::GET, "images/").header("Origin", SHOP)).await;
    let refused = Answer::of(app.anonymous(Method::GET, "images/").header("Origin", SHOP)).await;
    let nowhere = Answer::of(app.anonymous(Method::GET, "nowhere/").header("Origin", SHOP)).await;
    let description = Answer::of(app.anonymous(Method::GET, "openapi.json").header("Origin", SHOP)).await;
    for (answer, status) in [(&list, 200), (&refused, 403), (&nowhere, 404), (&description, 200)] {
        assert_eq!(answer.status, status);
        assert_eq!(header(answer, "access-control-allow-origin"), Some(SHOP));
        assert_eq!(header(answer, "access-control-allow-credentials"), Some("true"));
        assert!(header(answer, "access-control-expose-headers").unwrap().contains("X-Request-Id"));
        assert!(varies_by_origin(answer));
    }
    assert!(list.headers.get_all("vary").iter().any(|value| value == "Accept, Cookie"));
    let plain = app.get("images/").await;
    assert!(cors(&plain.headers).is_empty() && varies_by_origin(&plain), "caches have to know");
}

async fn other_origins() {
    let app = app(SHOP).await;
    for origin in [
        "null",
        "https://evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil.example",
        "https://SHOP.example",
        "https://shop.example/",
        "",
    ] {
        let answer = Answer::of(app.api(Method::GET, "images/").header("Origin", origin)).await;
        assert_eq!((answer.status, cors(&answer.headers)), (StatusCode::OK, vec![]), "{origin}");
        let answer = ask(&app, origin, "POST", "upload-url/").await;
        assert_eq!((answer.status, cors(&answer.headers)), (StatusCode::FORBIDDEN, vec![]), "{origin}");
        assert!(varies_by_origin(&answer), "{origin}");
    }
}

async fn any_origin() {
    let app = app("*").await;
    for origin in [SHOP, "http://localhost:3000", "null"] {
        let list = Answer::of(app.api(Method::GET, "images/").header("Origin", origin)).await;
        for answer in [list, ask(&app, origin, "DELETE", "images/0/").await] {
            assert_eq!(header(&answer, "access-control-allow-origin"), Some("*"));
            assert_eq!(header(&answer, "access-control-allow-credentials"), None);
            assert!(!varies_by_origin(&answer));
        }
    }
}

async fn no_origins() {
    let app = TestApp::start(&Engine::Sqlite).await;
    let list = Answer::of(app.api(Method::GET, "images/").header("Origin", SHOP)).await;
    assert_eq!((list.status, cors(&list.headers), varies_by_origin(&list)), (StatusCode::OK, vec![], false));
    let asked = ask(&app, SHOP, "POST", "upload-url/").await;
    assert_eq!((asked.status, cors(&asked.headers)), (StatusCode::FORBIDDEN, vec![]));
}

async fn sessions_of() {
    let app = TestApp::builder()
        .set(&settings::CFIMAGES_DJANGO_SECRET_KEY, SECRET_KEY)
        .set(&settings::CFIMAGES_CORS_ORIGINS, "https://shop.example, https://trusted.example")
        .set(&settings::CFIMAGES_CSRF_TRUSTED_ORIGINS, "https://trusted.example")
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .start(&Engine::Sqlite)
        .await;
    let (url, session) = (app.database_url.as_str(), "0123456789abcdefghijklmnopqrstuv");
    sql::execute(url, &format!("UPDATE auth_user SET password = '{PASSWORD_HASH}' WHERE username = 'alice'")).await;
    sessions::insert(url, session, DJANGOS_DATA).await;
    let csrf = "a".repeat(32);
    let send = async |method: Method, path: &str, origin: &str| {
        let cookies = format!("sessionid={session}; csrftoken={csrf}");
        let request = app.anonymous(method, path).header("Cookie", cookies).header("X-CSRFToken", &csrf);
        Answer::of(request.header("Origin", origin)).await
    };
    for (origin, status) in [(SHOP, 403), ("https://trusted.example", 201)] {
        let read = send(Method::GET, "images/", origin).await;
        assert_eq!((read.status, header(&read, "access-control-allow-origin")), (StatusCode::OK, Some(origin)));
        let written = send(Method::POST, "upload-url/", origin).await;
        assert_eq!((written.status.as_u16(), header(&written, "access-control-allow-origin")), (status, Some(origin)));
    }
}

async fn security_headers() {
    let app = TestApp::builder().set(&settings::CFIMAGES_ALLOWED_HOSTS, "127.0.0.1").start(&Engine::Sqlite).await;
    let get = |path: &str| app.http.get(format!("{}{path}", app.origin));
    let fragment = "/cloudflare-images/api/html/img/?url=https://example.com/a.jpg&alt=a";
    for (request, status, policy, resource) in [
        (app.api(Method::GET, "images/"), 200, "default-src 'none'; frame-ancestors 'none'", "same-origin"),
        (app.anonymous(Method::GET, "images/"), 403, "default-src 'none'; frame-ancestors 'none'", "same-origin"),
        (app.anonymous(Method::GET, "openapi.json"), 200, "default-src 'none'", "same-origin"),
        (app.anonymous(Method::GET, "images"), 301, "default-src 'none'", "same-origin"),
        (get("/nowhere"), 404, "default-src 'none'", "same-origin"),
        (get("/healthz"), 200, "default-src 'none'", "same-origin"),
        (get("/readyz"), 200, "default-src 'none'", "same-origin"),
        (get("/nowhere").header("Host", "evil.example"), 400, "default-src 'none'", "same-origin"),
        (get("/cloudflare-images/static/cfimages-upload.js"), 200, "default-src 'none'", "cross-origin"),
        (get("/cloudflare-images/admin/sign-in/"), 200, "default-src 'none'; script-src 'self'", "same-origin"),
        (
            get(fragment).header("Authorization", format!("Token {}", crate::support::app::ALICE)),
            200,
            "default-src 'none'; img-src *",
            "same-origin",
        ),
    ] {
        let request = request.build().unwrap();
        let what = request.url().path().to_owned();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let headers = client.execute(request).await.unwrap();
        assert_eq!(headers.status(), status, "{what}");
        let header = |name: &str| headers.headers()[name].to_str().unwrap();
        assert!(header("content-security-policy").starts_with(policy), "{what}: {}", header("content-security-policy"));
        assert!(header("content-security-policy").contains("frame-ancestors 'none'"), "{what}");
        assert_eq!(header("cross-origin-resource-policy"), resource, "{what}");
        assert_eq!(header("referrer-policy"), "same-origin", "{what}");
        assert_eq!(header("x-content-type-options"), "nosniff", "{what}");
        assert_eq!(header("x-frame-options"), "DENY", "{what}");
    }
}
