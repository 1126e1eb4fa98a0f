//! What happens when Cloudflare or the database fails.

use std::time::Duration;

use cfimages::config::settings;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::{API_TOKEN, Answer, TestApp, WEBHOOK_SECRET, migrated_database};
use crate::support::proxy::{Proxy, Target};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("faults::errors_of_cloudflare_are_told_in_the_toolkits_words", cloudflare_errors);
    suite.on_both_engines("faults::answers_that_make_no_sense_are_a_bad_gateway", malformed_answers);
    suite.on_both_engines("faults::redirects_are_not_followed", redirects);
    suite.on_both_engines("faults::a_cloudflare_that_is_down_is_told_at_once", cloudflare_down);
    suite.on_both_engines("faults::a_connection_that_breaks_is_told", broken_connection);
    suite.on_both_engines("faults::files_that_are_no_pictures_leave_the_upload_url_usable", no_pictures);
    suite.on_both_engines("faults::a_failed_check_changes_nothing", failed_check);
    suite.on_both_engines("faults::nothing_waits_for_a_cloudflare_that_is_slow", slow_cloudflare);
    suite.on_both_engines("faults::an_answer_from_before_the_upload_does_not_undo_it", late_answer);
    suite.on_both_engines("faults::an_upload_url_is_recorded_though_the_client_went_away", client_gone);
    suite.on_both_engines("faults::a_database_that_goes_away_and_comes_back_needs_no_restart", database_outage);
}

const UPLOAD_ERROR: &str = "Failed to create upload URL: ";

async fn cloudflare_errors(engine: Engine) {
    let envelope =
        |errors: Value| json!({"result": null, "success": false, "errors": errors, "messages": []}).to_string();
    let cases = [
        (
            400,
            envelope(json!([{"code": 5400, "message": "Bad"}])),
            format!("{UPLOAD_ERROR}400 Client Error: Bad Request"),
        ),
        (
            401,
            envelope(json!([{"code": 10000, "message": "Authentication error"}])),
            format!("{UPLOAD_ERROR}401 Client Error: Unauthorized"),
        ),
        (404, "ERROR 5404: Image not found".to_owned(), format!("{UPLOAD_ERROR}404 Client Error: Not Found")),
        (409, "ERROR 5409: Resource already exists".to_owned(), format!("{UPLOAD_ERROR}409 Client Error: Conflict")),
        (
            403,
            envelope(json!([{"code": 5453, "message": "Limit reached"}])),
            format!("{UPLOAD_ERROR}403 Client Error: Forbidden. The account has no room for more images."),
        ),
        (429, String::new(), format!("{UPLOAD_ERROR}429 Client Error: Too Many Requests")),
        (500, "<html>".to_owned(), format!("{UPLOAD_ERROR}500 Server Error: Internal Server Error")),
        (503, String::new(), format!("{UPLOAD_ERROR}503 Server Error: Service Unavailable")),
        (
            200,
            envelope(json!([{"message": "Bad request: ✓"}, {"message": "second error"}])),
            "Cloudflare API error: Bad request: ✓, second error".to_owned(),
        ),
        (
            200,
            envelope(json!([{"code": 1}, {"message": "second"}])),
            "Cloudflare API error: Unknown error, second".to_owned(),
        ),
        (200, envelope(json!(["plain"])), "Cloudflare API error: plain".to_owned()),
        (200, envelope(json!([])), "Cloudflare API error: ".to_owned()),
    ];
    for (status, body, error) in cases {
        let answer = upload_with(&engine, ResponseTemplate::new(status).set_body_string(body)).await;
        answer.assert_is(400, &json!({"error": error}));
    }
}

async fn malformed_answers(engine: Engine) {
    let long = "x".repeat(501);
    for body in [
        "",
        "{\"success\": tru",
        "[]",
        "null",
        "{\"success\": true}",
        "{\"success\": true, \"result\": null}",
        "{\"success\": true, \"result\": {\"id\": \"i\"}}",
        "{\"success\": true, \"result\": {\"id\": \"\", \"uploadURL\": \"https://u\"}}",
        "{\"success\": true, \"result\": {\"id\": 5, \"uploadURL\": \"https://u\"}}",
        &format!("{{\"success\": true, \"result\": {{\"id\": \"{long}\", \"uploadURL\": \"https://u\"}}}}"),
        &format!("{{\"success\": true, \"result\": {{\"id\": \"i\", \"uploadURL\": \"https://{long}\"}}}}"),
        "{\"success\": true, \"result\": {\"id\": \"i\", \"uploadURL\": \"https://u\", \"x\": \"\\u0000\"}}",
    ] {
        let answer = upload_with(&engine, ResponseTemplate::new(200).set_body_string(body)).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{body}: {}", answer.text);
        assert!(answer.json()["error"].as_str().unwrap().starts_with(UPLOAD_ERROR), "{body}");
    }
    let endless = ResponseTemplate::new(200).set_body_bytes(vec![b' '; 5 * 1024 * 1024]);
    assert_eq!(upload_with(&engine, endless).await.status, StatusCode::BAD_GATEWAY);
    let no_url = r#"{"success": true, "result": {"id": "i", "uploadURL": "not a url"}}"#;
    upload_with(&engine, ResponseTemplate::new(200).set_body_string(no_url))
        .await
        .assert_is(400, &json!({"upload_url": ["Enter a valid URL."]}));
}

async fn redirects(engine: Engine) {
    let cloudflare = MockServer::start().await;
    let location = format!("{}/elsewhere", cloudflare.uri());
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(302).insert_header("Location", location))
        .mount(&cloudflare)
        .await;
    Mock::given(path("/elsewhere")).respond_with(ResponseTemplate::new(200)).expect(0).mount(&cloudflare).await;
    let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
    assert_eq!(app.post("upload-url/", &json!({})).await.status, StatusCode::BAD_GATEWAY);
}

async fn cloudflare_down(engine: Engine) {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let app = TestApp::builder().cloudflare(format!("http://{address}/client/v4")).start(&engine).await;
    let answer = app.post("upload-url/", &json!({})).await;
    answer.assert_is(400, &json!({"error": format!("{UPLOAD_ERROR}no connection to Cloudflare")}));
    assert_eq!(app.get("images/").await.json()["count"], 0);
}

async fn broken_connection(engine: Engine) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 100]).await;
        }
    });
    let app = TestApp::builder().cloudflare(format!("http://{address}/client/v4")).start(&engine).await;
    let answer = app.post("upload-url/", &json!({})).await;
    answer.assert_is(400, &json!({"error": format!("{UPLOAD_ERROR}the connection to Cloudflare broke")}));
}

/// The answer to a request for an upload URL where Cloudflare answers like this. It never shows the token, the account or the API.
async fn upload_with(engine: &Engine, response: ResponseTemplate) -> Answer {
    let cloudflare = MockServer::start().await;
    Mock::given(method("POST")).respond_with(response).mount(&cloudflare).await;
    let app = TestApp::builder().cloudflare(cloudflare.uri()).start(engine).await;
    let answer = app.post("upload-url/", &json!({})).await;
    for secret in [API_TOKEN, "acct-0001", &cloudflare.uri()] {
        assert!(!answer.text.contains(secret), "{}", answer.text);
    }
    answer
}

async fn no_pictures(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({})).await;
    let upload_url = created["upload_url"].as_str().unwrap();
    for (name, kind) in [
        ("not-an-image.jpg", "image/jpeg"),
        ("empty.png", "image/png"),
        ("truncated.jpg", "image/jpeg"),
        ("photo.jpg", "text/plain"),
        ("photo.jpg", "image/png"),
    ] {
        let answer = app.upload(upload_url, name, kind, picture(name)).await;
        assert!(answer.status.is_client_error(), "{name} as {kind}: {} {}", answer.status, answer.text);
    }
    let too_large = app.upload(upload_url, "large.jpg", "image/jpeg", vec![0xff; 10_500_000]).await;
    assert_eq!(too_large.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", too_large.text);
    assert_eq!(app.upload(upload_url, "photo.jpg", "image/jpeg", picture("photo.jpg")).await.status, StatusCode::OK);
    app.wait_for_status(created["id"].as_str().unwrap(), "uploaded").await;
}

async fn failed_check(engine: Engine) {
    let cloudflare = MockServer::start().await;
    let upload = json!({"success": true, "result": {"id": "i", "uploadURL": "https://upload.example/i"}});
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200).set_body_json(upload)).mount(&cloudflare).await;
    let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
    let created = app.create_upload(&json!({})).await;
    let id = created["id"].as_str().unwrap();
    let before = app.get(&format!("images/{id}/")).await.json();

    let long = "x".repeat(256);
    for (status, body, want) in [
        (404, "ERROR 5404: Image not found".to_owned(), 400),
        (500, String::new(), 400),
        (200, "{\"success\": tru".to_owned(), 502),
        (200, r#"{"success": true, "result": []}"#.to_owned(), 502),
        (200, r#"{"success": true, "result": {"uploaded": "2024-01-01", "meta": null}}"#.to_owned(), 502),
        (200, format!(r#"{{"success": true, "result": {{"filename": "{long}"}}}}"#), 502),
    ] {
        let mock = Mock::given(method("GET"))
            .respond_with(ResponseTemplate::new(status).set_body_string(body))
            .mount_as_scoped(&cloudflare)
            .await;
        let answer = app.post(&format!("images/{id}/check_status/"), &json!({})).await;
        assert_eq!(answer.status.as_u16(), want, "{}", answer.text);
        assert!(
            answer.json()["error"].as_str().unwrap().starts_with("Failed to check image status: "),
            "{}",
            answer.text
        );
        drop(mock);
    }
    assert_eq!(app.get(&format!("images/{id}/")).await.json(), before);
    assert_eq!(app.get(&format!("images/{id}/logs/")).await.json().as_array().unwrap().len(), 1);
}

/// A Cloudflare that answers when the test says so.
struct SlowCloudflare(TcpListener);

impl SlowCloudflare {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/client/v4", listener.local_addr().unwrap());
        (Self(listener), base_url)
    }

    /// Waits until a request is there.
    async fn request(&self) -> TcpStream {
        let (mut connection, _) = self.0.accept().await.unwrap();
        assert!(connection.read(&mut [0; 4096]).await.unwrap() > 0);
        connection
    }

    async fn answer(mut connection: TcpStream, result: Value) {
        let body = json!({"success": true, "result": result}).to_string();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        connection.write_all((head + &body).as_bytes()).await.unwrap();
    }
}

/// Whoever held the only connection during the call would keep the others waiting.
async fn slow_cloudflare(engine: Engine) {
    let (cloudflare, base_url) = SlowCloudflare::start().await;
    let app = TestApp::builder().cloudflare(base_url).start(&engine).await;
    let creating = tokio::spawn(Answer::of(app.api(Method::POST, "upload-url/")));
    let request = cloudflare.request().await;
    for path in ["stats/", "images/"] {
        let answer = tokio::time::timeout(Duration::from_secs(3), app.get(path)).await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
    }
    let unknown =
        app.anonymous(Method::POST, "webhook/").header("cf-webhook-auth", WEBHOOK_SECRET).body(r#"{"id": "who"}"#);
    assert_eq!(Answer::of(unknown).await.status, StatusCode::NOT_FOUND);
    SlowCloudflare::answer(request, json!({"id": "i", "uploadURL": "https://u/i"})).await;
    assert_eq!(creating.await.unwrap().status, StatusCode::CREATED);
}

async fn late_answer(engine: Engine) {
    let (cloudflare, base_url) = SlowCloudflare::start().await;
    let app = TestApp::builder().cloudflare(base_url).start(&engine).await;
    let creating = tokio::spawn(Answer::of(app.api(Method::POST, "upload-url/")));
    SlowCloudflare::answer(cloudflare.request().await, json!({"id": "i", "uploadURL": "https://u/i"})).await;
    let id = creating.await.unwrap().json()["id"].as_str().unwrap().to_owned();

    let checking = tokio::spawn(Answer::of(app.api(Method::POST, &format!("images/{id}/check_status/"))));
    let request = cloudflare.request().await;
    for (body, status) in
        [(r#"{"id": "i", "uploaded": "2024-06-01"}"#, "uploaded"), (r#"{"id": "i", "status": "failed"}"#, "uploaded")]
    {
        let report = app.anonymous(Method::POST, "webhook/").header("cf-webhook-auth", WEBHOOK_SECRET).body(body);
        assert_eq!(Answer::of(report).await.status, StatusCode::OK);
        assert_eq!(app.get(&format!("images/{id}/")).await.json()["status"], status);
    }
    SlowCloudflare::answer(request, json!({"id": "i", "draft": true, "uploaded": "2024-01-01T00:00:00Z"})).await;
    assert_eq!(checking.await.unwrap().json()["status"], "uploaded");
    let image = app.get(&format!("images/{id}/")).await.json();
    assert_eq!((&image["status"], &image["uploaded_at"]), (&json!("uploaded"), &json!("2024-06-01T00:00:00Z")));
}

async fn client_gone(engine: Engine) {
    let (cloudflare, base_url) = SlowCloudflare::start().await;
    let app = TestApp::builder().cloudflare(base_url).start(&engine).await;
    let creating = tokio::spawn(Answer::of(app.api(Method::POST, "upload-url/")));
    let request = cloudflare.request().await;
    creating.abort();
    assert!(creating.await.unwrap_err().is_cancelled());
    SlowCloudflare::answer(request, json!({"id": "orphan", "uploadURL": "https://u/i"})).await;
    eventually("the image is recorded", async || {
        (app.get("images/").await.json()["results"][0]["cloudflare_id"] == "orphan").then_some(())
    })
    .await;
}

async fn database_outage(engine: Engine) {
    match engine {
        Engine::Sqlite => sqlite_outage(&engine).await,
        Engine::Postgres(_) => postgres_outage(&engine).await,
    }
}

async fn postgres_outage(engine: &Engine) {
    let database = migrated_database(engine).await;
    let mut proxy = Proxy::start(postgres_target(database.as_str())).await;
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .set(&settings::CFIMAGES_DB_ACQUIRE_TIMEOUT_SECONDS, "1")
        .database_at(proxy.address)
        .start_on(database)
        .await;
    let created = app.create_upload(&json!({"custom_id": "before"})).await;

    proxy.cut().await;
    for (method, path) in [(Method::GET, "images/"), (Method::POST, "upload-url/"), (Method::GET, "stats/")] {
        assert_unavailable(&Answer::of(app.api(method, path)).await);
    }
    let body = br#"{"id": "before"}"#.to_vec();
    let webhook = app.anonymous(Method::POST, "webhook/").header("cf-webhook-auth", WEBHOOK_SECRET).body(body);
    assert_eq!(Answer::of(webhook).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(ready(&app).await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(app.http.get(format!("{}/healthz", app.origin)).send().await.unwrap().status(), StatusCode::OK);

    proxy.restore().await;
    eventually("the server is ready again", async || (ready(&app).await == StatusCode::OK).then_some(())).await;
    assert_eq!(app.get("images/").await.json()["results"][0]["id"], created["id"]);
    app.create_upload(&json!({"custom_id": "after"})).await;
}

fn postgres_target(url: &str) -> Target {
    let rest = url.split_once("://").unwrap().1;
    if let Some((_, folder)) = rest.split_once("?host=") {
        let port = rest.split(['@', '/', '?']).find_map(|part| part.rsplit_once(':')).map_or("5432", |(_, port)| port);
        return Target::Socket(format!("{}/.s.PGSQL.{port}", folder.replace("%2F", "/")));
    }
    let host = rest.split('/').next().unwrap().rsplit('@').next().unwrap();
    Target::Tcp(if host.contains(':') { host.to_owned() } else { format!("{host}:5432") })
}

/// Somebody else holds the file: writers have to give up, and may go on afterwards.
async fn sqlite_outage(engine: &Engine) {
    use sqlx::{Connection, SqliteConnection};

    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .set(&settings::CFIMAGES_DB_ACQUIRE_TIMEOUT_SECONDS, "1")
        .start(engine)
        .await;
    let created = app.create_upload(&json!({"custom_id": "before"})).await;

    let mut holder = SqliteConnection::connect(app.database_url.as_str()).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    assert_unavailable(&app.post("upload-url/", &json!({"custom_id": "during"})).await);
    assert_eq!(app.get("images/").await.json()["results"][0]["id"], created["id"]);
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    holder.close().await.unwrap();

    // The draft of before is deleted as soon as that can be noted.
    eventually("the id is free", async || {
        let answer = app.post("upload-url/", &json!({"custom_id": "during"})).await;
        (answer.status == StatusCode::CREATED).then_some(())
    })
    .await;
    assert_eq!(sql::count(app.database_url.as_str(), "SELECT count(*) FROM cloudflare_images").await, 2);
}

#[track_caller]
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["detail"], "The database is not available. Try again later.");
    assert_eq!(body["request_id"].as_str(), answer.headers["x-request-id"].to_str().ok());
}

async fn ready(app: &TestApp) -> StatusCode {
    let request = app.http.get(format!("{}/readyz", app.origin)).timeout(Duration::from_secs(10));
    request.send().await.unwrap().status()
}
