//! What is the same for every request.

use std::time::Duration;

use cfimages::config::settings;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::app::{Answer, TestApp};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.test("http::paths_that_do_not_exist_are_a_page", || unknown_paths(Engine::Sqlite));
    suite.test("http::methods_that_do_not_exist_are_told_in_drfs_words", || methods(Engine::Sqlite));
    suite.test("http::every_answer_names_its_request", || request_ids(Engine::Sqlite));
    suite.test("http::hosts_that_are_not_allowed_are_refused", || hosts(Engine::Sqlite));
    suite.test("http::static_files_are_cached_and_never_leave_their_folder", || static_files(Engine::Sqlite));
    suite.test("http::the_welcome_page_allows_nothing_foreign", || welcome(Engine::Sqlite));
    suite.test("http::hostile_request_lines_are_answered", || hostile_requests(Engine::Sqlite));
    suite.test("http::another_prefix_moves_everything", || prefix(Engine::Sqlite));
    suite.on_both_engines("http::readiness_tells_what_is_missing", readiness);
    suite.test("http::a_slow_body_is_given_up", || slow_body(Engine::Sqlite));
    suite.test("http::who_sends_a_body_that_is_refused_gets_the_answer", || refused_bodies(Engine::Sqlite));
}

async fn unknown_paths(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for path in ["/nope", "/cloudflare-images/", "/cloudflare-images/api/nope", "/cloudflare-images/api/Images/"] {
        let answer = Answer::of(app.http.get(format!("{}{path}", app.origin))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.text.contains("<h1>Not Found</h1>"), "{path}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    }
}

async fn methods(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for (method, path) in [(Method::PUT, "stats/"), (Method::DELETE, "upload-url/"), (Method::GET, "webhook/")] {
        let answer = Answer::of(app.api(method.clone(), path)).await;
        answer.assert_is(405, &json!({"detail": format!("Method \"{method}\" not allowed.")}));
        assert!(answer.headers.contains_key("allow"), "{path}");
    }
    assert_eq!(Answer::of(app.api(Method::HEAD, "images/")).await.status, StatusCode::OK);
}

async fn request_ids(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let id_of = async |given: &str| {
        Answer::of(app.api(Method::GET, "stats/").header("X-Request-Id", given)).await.headers["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(id_of("from-the-proxy_1").await, "from-the-proxy_1");
    for forged in ["", "a b", "{\"x\":1}", &"x".repeat(65)] {
        assert_eq!(id_of(forged).await.len(), 32, "{forged}");
    }
}

async fn hosts(engine: Engine) {
    let app =
        TestApp::builder().set(&settings::CFIMAGES_ALLOWED_HOSTS, "www.example.com,.example.org").start(&engine).await;
    let status = async |host: &str, path: &str| {
        Answer::of(app.http.get(format!("{}{path}", app.origin)).header("Host", host)).await.status.as_u16()
    };
    assert_eq!(status("evil.example.com", "/nope").await, 400);
    assert_eq!(status("www.example.com:8000", "/nope").await, 404);
    assert_eq!(status("a.example.org", "/nope").await, 404);
    assert_eq!(status("10.1.2.3", "/healthz").await, 200);
}

async fn static_files(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = format!("{}/cloudflare-images/static/cfimages.css", app.origin);
    let first = Answer::of(app.http.get(&url)).await;
    assert_eq!(
        (first.status, first.headers["content-type"].to_str().unwrap()),
        (StatusCode::OK, "text/css; charset=utf-8")
    );
    let again = Answer::of(app.http.get(&url).header("If-None-Match", &first.headers["etag"])).await;
    assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    for answer in [first, again] {
        assert_eq!(answer.headers["access-control-allow-origin"], "*");
    }
    for path in ["..%2FCargo.toml", "%2Fetc%2Fpasswd", "nope.css", "..%5CCargo.toml", "%00"] {
        let answer = Answer::of(app.http.get(format!("{}/cloudflare-images/static/{path}", app.origin))).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

async fn welcome(engine: Engine) {
    let secret_key = "a-secret-key-of-the-tests";
    let app = TestApp::builder().set(&settings::CFIMAGES_DJANGO_SECRET_KEY, secret_key).start(&engine).await;
    let answer = Answer::of(app.http.get(&app.origin)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(
        answer.text.contains("/cloudflare-images/api/openapi.json") && !answer.text.contains("<script"),
        "{}",
        answer.text
    );
}

async fn hostile_requests(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for line in [
        "GET /cloudflare-images/api/images/../../../etc/passwd HTTP/1.1",
        "GET /cloudflare-images/api/images/%2e%2e/%2e%2e/ HTTP/1.1",
        "GET /cloudflare-images/api/images/%zz/ HTTP/1.1",
        "GET //evil.example/ HTTP/1.1",
        "GET http://evil.example/cloudflare-images/api/stats/ HTTP/1.1",
        "BREW /cloudflare-images/api/stats/ HTTP/1.1",
        "GET /cloudflare-images/api/images/?page=%FF%FE&page_size=%00 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "nonsense",
    ] {
        let answer = raw(&app, &format!("{line}\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        let status: u16 = answer
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{line}: {answer}"));
        assert!((400..500).contains(&status), "{line}: {answer}");
    }
    assert_eq!(app.get("stats/").await.status, StatusCode::OK);
}

async fn raw(app: &TestApp, request: &str) -> String {
    let mut connection = TcpStream::connect(app.origin.strip_prefix("http://").unwrap()).await.unwrap();
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn prefix(engine: Engine) {
    let app = TestApp::builder().set(&settings::CFIMAGES_URL_PREFIX, "/pictures").start(&engine).await;
    let status = async |path: &str| Answer::of(app.http.get(format!("{}{path}", app.origin))).await.status.as_u16();
    assert_eq!(status("/pictures/api/openapi.json").await, 200);
    assert_eq!(status("/pictures/static/cfimages.css").await, 200);
    assert_eq!(status("/pictures/api/stats/").await, 403);
    assert_eq!(status("/cloudflare-images/api/stats/").await, 404);
}

async fn readiness(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let ready = async || Answer::of(app.http.get(format!("{}/readyz?probe=1", app.origin))).await;
    let answer = ready().await;
    let checks = json!({"database": "ok", "migrations": "ok", "objects": "ok", "user_table": "ok", "lifecycle": "ok"});
    assert_eq!((answer.status, &answer.json()["status"]), (StatusCode::OK, &json!("ready")));
    assert_eq!(answer.json()["checks"], checks);
    sql::execute(app.database_url.as_str(), "DROP TABLE cfimages_polls").await;
    let answer = ready().await;
    assert_eq!(
        (answer.status, &answer.json()["checks"]["objects"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("missing"))
    );
    sql::execute(
        app.database_url.as_str(),
        "DELETE FROM cfimages_migrations WHERE version = (SELECT max(version) FROM cfimages_migrations)",
    )
    .await;
    let answer = ready().await;
    assert_eq!(
        (answer.status, &answer.json()["checks"]["migrations"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("pending"))
    );
}

async fn slow_body(engine: Engine) {
    let app = TestApp::builder().set(&settings::CFIMAGES_REQUEST_TIMEOUT_SECONDS, "1").start(&engine).await;
    let answer = send_half_a_body(&app).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("The request took too long."), "{answer}");
}

/// Begins a request for an upload URL whose body does not come to its end; the answer.
pub(crate) async fn send_half_a_body(app: &TestApp) -> String {
    let head = format!(
        "POST /cloudflare-images/api/upload-url/ HTTP/1.1\r\nHost: x\r\nAuthorization: Token {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{{",
        crate::support::app::ALICE
    );
    tokio::time::timeout(Duration::from_secs(10), raw(app, &head)).await.unwrap()
}

async fn refused_bodies(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let body = "x".repeat(8 * 1024 * 1024);
    let token = format!("Authorization: Token {}\r\n", crate::support::app::ALICE);
    for (authorization, status) in [(token.as_str(), "400"), ("", "403")] {
        let head = format!(
            "POST /cloudflare-images/api/upload-url/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}"
        );
        let answer = raw(&app, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}
