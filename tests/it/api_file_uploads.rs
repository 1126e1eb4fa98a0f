//! `images/upload/`

use std::time::Duration;

use cfimages::app::SystemClock;
use cfimages::config::settings;
use cfimages::domain::Clock;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::{ALICE, API_TOKEN, Answer, TestApp};
use crate::support::sessions::{self, DJANGOS_DATA, PASSWORD_HASH, SECRET_KEY};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_file_uploads::a_picture_becomes_an_image_at_once", uploaded);
    suite.on_both_engines("api_file_uploads::what_is_said_before_the_file_is_kept", fields);
    suite.on_both_engines("api_file_uploads::what_comes_after_the_file_is_refused_or_ignored", after_the_file);
    suite.on_both_engines("api_file_uploads::what_is_no_picture_never_reaches_cloudflare", no_pictures);
    suite.on_both_engines("api_file_uploads::bodies_that_say_nothing_useful_are_refused", bad_bodies);
    suite.on_both_engines("api_file_uploads::a_file_that_is_too_large_is_stopped_early", too_large);
    suite.on_both_engines("api_file_uploads::a_client_that_goes_away_leaves_nothing_behind", client_gone);
    suite.on_both_engines("api_file_uploads::a_whole_file_is_recorded_though_the_client_went_away", client_gone_late);
    suite.on_both_engines("api_file_uploads::a_refusal_in_the_middle_of_the_file_is_told", early_refusal);
    suite.on_both_engines("api_file_uploads::a_client_that_is_too_slow_is_told", slow_client);
    suite.on_both_engines("api_file_uploads::a_silent_cloudflare_is_told_before_the_request_times_out", silence);
    suite.on_both_engines("api_file_uploads::refusals_of_cloudflare_name_the_field", cloudflare_errors);
    suite
        .on_both_engines("api_file_uploads::an_answer_that_cannot_be_recorded_leaves_nothing_behind", unusable_answers);
    suite.on_both_engines("api_file_uploads::a_custom_id_can_be_used_once", custom_id_taken);
    suite
        .on_both_engines("api_file_uploads::a_picture_that_cannot_be_recorded_does_not_stay_at_cloudflare", unrecorded);
    suite.on_both_engines("api_file_uploads::sessions_need_the_token_before_the_file_or_in_the_header", forgeries);
    suite.on_both_engines("api_file_uploads::a_form_goes_on_to_next", next);
    suite.on_both_engines("api_file_uploads::browsers_are_told_by_a_page_what_went_wrong", pages);
    suite.on_both_engines("api_file_uploads::a_picture_is_fetched_from_a_url", from_url);
    suite.on_both_engines("api_file_uploads::private_addresses_are_not_fetched", private_urls);
}

const PATH: &str = "images/upload/";

fn file(name: &str) -> Part {
    // The declared type does not count.
    Part::bytes(picture(name)).file_name(name.to_owned()).mime_str("application/octet-stream").unwrap()
}

async fn send(app: &TestApp, form: Form) -> Answer {
    Answer::of(app.api(Method::POST, PATH).multipart(form)).await
}

async fn count(app: &TestApp) -> i64 {
    sql::count(app.database_url.as_str(), "SELECT count(*) FROM cloudflare_images").await
}

#[track_caller]
fn created(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

async fn uploaded(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let image = created(&send(&app, Form::new().part("file", file("graphic.png"))).await);
    let id = image["id"].as_str().unwrap();
    let shown = app.get(&format!("images/{id}/")).await.json();
    for (key, want) in [
        ("status", json!("uploaded")),
        ("is_uploaded", json!(true)),
        ("filename", json!("graphic.png")),
        ("original_filename", json!("graphic.png")),
        ("content_type", json!("image/png")),
        ("file_size", json!(picture("graphic.png").len())),
        ("upload_url", json!("")),
        ("require_signed_urls", json!(false)),
        ("metadata", json!({})),
    ] {
        assert_eq!((&image[key], &shown[key]), (&want, &want), "{key}");
    }
    assert!(image["uploaded_at"].is_string() && image["variants"].as_array().unwrap().len() == 2, "{image}");
    let delivered = app.http.get(image["public_url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(delivered.bytes().await.unwrap(), picture("graphic.png"));

    let log = app.get(&format!("images/{id}/logs/")).await.json();
    assert_eq!(log.as_array().unwrap().len(), 1);
    assert_eq!(
        (&log[0]["event_type"], &log[0]["message"]),
        (&json!("image_uploaded"), &json!("Image uploaded through the server"))
    );
    assert_eq!(log[0]["data"]["response"]["id"], image["cloudflare_id"]);
    let stats = app.get("stats/").await.json();
    assert_eq!((&stats["successful_uploads"], &stats["pending_uploads"]), (&json!(1), &json!(0)));
}

async fn fields(engine: Engine) {
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_DEFAULT_METADATA, r#"{"site": "main", "kind": "any"}"#)
        .set(&settings::CLOUDFLARE_IMAGES_DEFAULT_CREATOR, "house")
        .start(&engine)
        .await;
    let form = Form::new()
        .text("custom_id", "products/42")
        .text("metadata", r#"{"kind": "own"}"#)
        .text("require_signed_urls", "false")
        .text("creator", "tenant-9")
        .text("filename", "lake at dusk.jpg")
        .text("expiry_minutes", "whatever")
        .part("other", file("graphic.png"))
        .part("file", file("photo.jpg"));
    let image = created(&send(&app, form).await);
    for (key, want) in [
        ("cloudflare_id", json!("products/42")),
        ("metadata", json!({"site": "main", "kind": "own"})),
        ("cloudflare_metadata", json!({"site": "main", "kind": "own"})),
        ("require_signed_urls", json!(false)),
        ("original_filename", json!("lake at dusk.jpg")),
        ("filename", json!("photo.jpg")),
        ("content_type", json!("image/jpeg")),
    ] {
        assert_eq!(image[key], want, "{key}");
    }
    let private = created(&send(&app, Form::new().part("file", file("photo.webp"))).await);
    assert_eq!(private["require_signed_urls"], true);
    let creators =
        sql::texts(app.database_url.as_str(), "SELECT creator FROM cloudflare_images ORDER BY created_at").await;
    assert_eq!(creators, [Some("tenant-9".to_owned()), Some("house".to_owned())]);
}

async fn after_the_file(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let form = || Form::new().text("custom_id", "one").part("file", file("photo.jpg"));
    let before = "Send this field before the file.";
    for (late, errors) in [
        (form().text("metadata", "{}"), json!({"metadata": [before]})),
        (form().text("next", "/"), json!({"next": [before]})),
        (form().text("url", ""), json!({"url": [before]})),
        (form().part("file", file("photo.jpg")), json!({"file": ["Send one file at a time."]})),
    ] {
        send(&app, late).await.assert_is(400, &errors);
        assert_eq!((app.at_emulator("one").await, count(&app).await), (StatusCode::NOT_FOUND, 0));
    }
    let form = form().text("submit", "Upload").part("attachment", file("graphic.png"));
    assert_eq!(created(&send(&app, form).await)["cloudflare_id"], "one");
}

async fn no_pictures(engine: Engine) {
    let cloudflare = MockServer::start().await;
    let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
    let wrong_type = json!({"file": ["Upload a picture: a JPEG, PNG, WebP, GIF, HEIC, AVIF or SVG file."]});
    for (name, status, errors) in [
        ("not-an-image.jpg", 415, &wrong_type),
        ("README.md", 415, &wrong_type),
        ("empty.png", 400, &json!({"file": ["The submitted file is empty."]})),
    ] {
        let part = Part::bytes(picture(name)).file_name("picture.jpg").mime_str("image/jpeg").unwrap();
        send(&app, Form::new().part("file", part)).await.assert_is(status, errors);
    }
    assert_eq!(cloudflare.received_requests().await.unwrap().len(), 0);
    assert_eq!(count(&app).await, 0);
}

async fn bad_bodies(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let unnamed = Form::new().part("file", Part::bytes(Vec::new()).file_name(""));
    for (form, errors) in [
        (Form::new().text("creator", "me"), json!({"file": ["No file was submitted."]})),
        (unnamed, json!({"file": ["No file was submitted."]})),
        (
            Form::new().text("file", "photo.jpg"),
            json!({"file": ["The submitted data was not a file. Check the encoding type on the form."]}),
        ),
        (
            Form::new().text("url", "http://127.0.0.1/").part("file", file("photo.jpg")),
            json!({"url": ["Send a file or a URL, not both."]}),
        ),
        (
            Form::new().text("metadata", "[]").text("custom_id", "..").part("file", file("photo.jpg")),
            json!({"metadata": ["metadata must be a JSON object."], "custom_id": ["This ID cannot be used in a URL."]}),
        ),
    ] {
        send(&app, form).await.assert_is(400, &errors);
    }
    let post = async |kind: &str, body: &str| {
        Answer::of(app.api(Method::POST, PATH).header("Content-Type", kind.to_owned()).body(body.to_owned())).await
    };
    post("application/json", "{}").await.assert_is(400, &json!({"url": ["This field is required."]}));
    post("application/json", "[]")
        .await
        .assert_is(400, &json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}));
    post("image/jpeg", "x")
        .await
        .assert_is(415, &json!({"detail": "Unsupported media type \"image/jpeg\" in request."}));
    let cut_off = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\n\r\nGIF89a";
    post("multipart/form-data; boundary=b", cut_off).await.assert_is(
        400,
        &json!({"detail": "Multipart form parse error - the body is cut off or not in multipart form"}),
    );
    let endless_head = format!("--b\r\nContent-Disposition: form-data; name=\"{}", "x".repeat(5_000_000));
    assert_eq!(post("multipart/form-data; boundary=b", &endless_head).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(Answer::of(app.anonymous(Method::POST, PATH)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(app.get(PATH).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(count(&app).await, 0);
}

/// A Cloudflare that takes one connection and never answers; what it got until the connection ended.
async fn silent_cloudflare() -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/client/v4", listener.local_addr().unwrap());
    let received = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let (mut received, mut buffer) = (Vec::new(), vec![0; 65536]);
        while let Ok(count @ 1..) = connection.read(&mut buffer).await {
            received.extend_from_slice(&buffer[..count]);
        }
        received
    });
    (base_url, received)
}

/// Begins an upload in chunks, with a file that begins as a picture.
async fn begin_upload(app: &TestApp) -> TcpStream {
    let mut connection = TcpStream::connect(app.origin.strip_prefix("http://").unwrap()).await.unwrap();
    let head = format!(
        "POST /cloudflare-images/api/{PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {ALICE}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let part = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.gif\"\r\n\r\nGIF89a";
    write_chunk(&mut connection, part.as_bytes()).await.unwrap();
    connection
}

async fn write_chunk(connection: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    connection.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
    connection.write_all(bytes).await?;
    connection.write_all(b"\r\n").await
}

async fn read_answer(connection: &mut TcpStream) -> String {
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    while !answer.contains("\r\n\r\n") || !answer.contains('}') {
        let count = connection.read(&mut buffer).await.unwrap();
        assert!(count > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    answer
}

/// Whether a body in chunks came to its end, which makes it an upload.
fn is_whole(received: &[u8]) -> bool {
    received.ends_with(b"0\r\n\r\n")
}

async fn too_large(engine: Engine) {
    let (base_url, received) = silent_cloudflare().await;
    let app = TestApp::builder()
        .cloudflare(base_url)
        .set(&settings::CLOUDFLARE_IMAGES_MAX_FILE_SIZE_MB, "1")
        .start(&engine)
        .await;
    let errors = json!({"file": ["The file is too large. The most are 1 MB."]});
    // A length that says so is enough.
    let known = Part::bytes([b"GIF89a".to_vec(), vec![0; 4_000_000]].concat()).file_name("a.gif");
    send(&app, Form::new().part("file", known)).await.assert_is(413, &errors);
    assert!(!received.is_finished());

    let mut connection = begin_upload(&app).await;
    for _ in 0..300 {
        write_chunk(&mut connection, &[0; 16_384]).await.unwrap();
    }
    connection.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = read_answer(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with(&errors.to_string()), "{answer}");
    let received = received.await.unwrap();
    assert!(received.len() < 1_010_000 && !is_whole(&received), "{}", received.len());
    assert_eq!(count(&app).await, 0);
}

async fn client_gone(engine: Engine) {
    let (base_url, received) = silent_cloudflare().await;
    let app = TestApp::builder().cloudflare(base_url).start(&engine).await;
    let mut connection = begin_upload(&app).await;
    write_chunk(&mut connection, &[0; 16_384]).await.unwrap();
    drop(connection);
    assert!(!is_whole(&received.await.unwrap()));
    assert_eq!(count(&app).await, 0);
}

async fn client_gone_late(engine: Engine) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/client/v4", listener.local_addr().unwrap());
    let app = TestApp::builder().cloudflare(base_url).start(&engine).await;
    let mut connection = begin_upload(&app).await;
    write_chunk(&mut connection, b"\r\n--b--\r\n").await.unwrap();
    connection.write_all(b"0\r\n\r\n").await.unwrap();
    let (mut upload, _) = listener.accept().await.unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    while !is_whole(&received) {
        let count = upload.read(&mut buffer).await.unwrap();
        received.extend_from_slice(&buffer[..count]);
    }
    drop(connection);
    let body = json!({"success": true, "result": {"id": "late", "uploaded": "2026-01-01T00:00:00Z"}}).to_string();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    upload.write_all(answer.as_bytes()).await.unwrap();
    let uploaded = "SELECT count(*) FROM cloudflare_images WHERE cloudflare_id = 'late' AND status = 'uploaded'";
    eventually("the image is recorded", async || {
        (sql::count(app.database_url.as_str(), uploaded).await == 1).then_some(())
    })
    .await;
}

/// Cloudflare answers while the client has more to send, and does not send it.
async fn early_refusal(engine: Engine) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/client/v4", listener.local_addr().unwrap());
    let app = TestApp::builder().cloudflare(base_url).start(&engine).await;
    let mut connection = begin_upload(&app).await;
    write_chunk(&mut connection, &[0; 16_384]).await.unwrap();
    let (mut upload, _) = listener.accept().await.unwrap();
    assert!(upload.read(&mut [0; 4096]).await.unwrap() > 0);
    let refusal = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 22\r\n\r\nERROR 5413: Too large\r\n";
    upload.write_all(refusal.as_bytes()).await.unwrap();
    let answer = read_answer(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(answer.ends_with(r#"{"file":["The picture is larger than Cloudflare allows."]}"#), "{answer}");
}

async fn slow_client(engine: Engine) {
    let (base_url, received) = silent_cloudflare().await;
    let app = TestApp::builder()
        .cloudflare(base_url)
        .set(&settings::CFIMAGES_REQUEST_TIMEOUT_SECONDS, "1")
        .start(&engine)
        .await;
    let mut connection = begin_upload(&app).await;
    write_chunk(&mut connection, &[0; 16_384]).await.unwrap();
    assert!(!is_whole(&received.await.unwrap()));
    let answer = read_answer(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("The request took too long."), "{answer}");
}

/// Whether Cloudflare has made the image all the same is looked up within the time of the request, too.
async fn silence(engine: Engine) {
    let slow = Duration::from_secs(30);
    let uploaded = json!({"id": "one", "uploaded": SystemClock.now().to_isoformat(), "meta": {}});
    let uploaded = json!({"result": uploaded, "success": true, "errors": [], "messages": []});
    let found = || ResponseTemplate::new(200).set_body_json(&uploaded);
    let too_long = json!({"error": "Failed to upload image: Cloudflare took too long to answer"});
    for (look_up, status) in [(found(), 201), (found().set_delay(slow), 400), (ResponseTemplate::new(404), 400)] {
        let cloudflare = MockServer::start().await;
        Mock::given(method("POST")).respond_with(found().set_delay(slow)).mount(&cloudflare).await;
        Mock::given(path("/accounts/acct-0001/images/v1/one")).respond_with(look_up).mount(&cloudflare).await;
        let app = TestApp::builder()
            .cloudflare(cloudflare.uri())
            .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
            .set(&settings::CFIMAGES_REQUEST_TIMEOUT_SECONDS, "2")
            .start(&engine)
            .await;
        let form = Form::new().text("custom_id", "one").part("file", file("photo.jpg"));
        let by_url = json!({"url": "https://192.0.2.1/a.png", "custom_id": "one"});
        if status == 201 {
            assert_eq!(created(&send(&app, form).await)["cloudflare_id"], "one");
            sql::execute(app.database_url.as_str(), "DELETE FROM cloudflare_image_logs").await;
            sql::execute(app.database_url.as_str(), "DELETE FROM cloudflare_images").await;
            assert_eq!(created(&app.post(PATH, &by_url).await)["cloudflare_id"], "one");
        } else {
            let (file, url) = tokio::join!(send(&app, form), app.post(PATH, &by_url));
            file.assert_is(status, &too_long);
            url.assert_is(status, &too_long);
            assert_eq!(count(&app).await, 0);
        }
    }
}

async fn cloudflare_errors(engine: Engine) {
    let too_large = json!({"file": ["The picture is larger than Cloudflare allows."]});
    let unreadable = json!({"file": ["Upload a valid image. The file is damaged, or of a kind that cannot be read."]});
    let private = "Cloudflare does not allow private images with a custom ID. Send require_signed_urls=false, or leave out custom_id.";
    for (status, code, want, errors) in [
        (413, 5413, 413, too_large.clone()),
        (413, 5443, 413, too_large.clone()),
        (413, 7011, 413, too_large),
        (415, 5455, 415, json!({"file": ["Upload a picture: a JPEG, PNG, WebP, GIF, HEIC, AVIF or SVG file."]})),
        (400, 9422, 400, unreadable),
        (409, 5409, 409, json!({"custom_id": ["An image with this custom ID already exists."]})),
        (400, 5410, 400, json!({"custom_id": [private]})),
        (400, 5411, 400, json!({"custom_id": ["Message of Cloudflare"]})),
        (415, 5415, 400, json!({"error": "Failed to upload image: 415 Client Error: Unsupported Media Type"})),
        (500, 5500, 400, json!({"error": "Failed to upload image: 500 Server Error: Internal Server Error"})),
    ] {
        let envelope = json!({"result": null, "success": false, "errors": [{"code": code, "message": "Message of Cloudflare"}], "messages": []});
        let cloudflare = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/accounts/acct-0001/images/v1"))
            .respond_with(ResponseTemplate::new(status).set_body_json(envelope))
            .expect(1)
            .mount(&cloudflare)
            .await;
        let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
        let form = Form::new().text("custom_id", "one").part("file", file("photo.jpg"));
        let answer = send(&app, form).await;
        answer.assert_is(want, &errors);
        assert!(!answer.text.contains(API_TOKEN));
        assert_eq!(count(&app).await, 0);
    }
}

async fn unusable_answers(engine: Engine) {
    let long = "x".repeat(256);
    for (result, deleted) in [(json!({"id": long}), 1), (json!({"id": ""}), 0), (json!({}), 0), (json!([]), 0)] {
        let cloudflare = MockServer::start().await;
        let answer = json!({"result": result, "success": true, "errors": [], "messages": []});
        Mock::given(method("POST"))
            .respond_with(ResponseTemplate::new(200).set_body_json(answer))
            .mount(&cloudflare)
            .await;
        Mock::given(method("DELETE"))
            .respond_with(ResponseTemplate::new(200).set_body_json(json!({"success": true})))
            .expect(deleted)
            .mount(&cloudflare)
            .await;
        let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
        let answer = send(&app, Form::new().part("file", file("photo.jpg"))).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text);
        assert_eq!(count(&app).await, 0);
    }
}

async fn custom_id_taken(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let form = |id: &'static str| Form::new().text("custom_id", id).part("file", file("photo.jpg"));
    created(&send(&app, form("one")).await);
    let taken = json!({"custom_id": ["An image with this custom ID already exists."]});
    send(&app, form("one")).await.assert_is(409, &taken);
    // At Cloudflare alone.
    sql::execute_all(app.database_url.as_str(), "DELETE FROM cloudflare_image_logs; DELETE FROM cloudflare_images;")
        .await;
    send(&app, form("one")).await.assert_is(409, &taken);
    let answer = send(&app, form("notes.txt")).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.json()["custom_id"][0].as_str().unwrap().starts_with("The Custom ID is invalid."),
        "{}",
        answer.text
    );
}

/// Makes the database refuse every new image.
pub(crate) async fn refuse_images(url: &str) {
    let trigger = if url.starts_with("sqlite") {
        "CREATE TRIGGER refuse BEFORE INSERT ON cloudflare_images BEGIN SELECT RAISE(ABORT, 'refused'); END"
    } else {
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON cloudflare_images FOR EACH ROW EXECUTE FUNCTION refuse();"
    };
    sql::execute_all(url, trigger).await;
}

async fn unrecorded(engine: Engine) {
    let app = TestApp::start(&engine).await;
    refuse_images(app.database_url.as_str()).await;
    let form = Form::new().text("custom_id", "one").part("file", file("photo.jpg"));
    assert_eq!(send(&app, form).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((app.at_emulator("one").await, count(&app).await), (StatusCode::NOT_FOUND, 0));

    let cloudflare = MockServer::start().await;
    let answer = json!({"result": {"id": "two", "uploaded": "2026-01-01T00:00:00Z"}, "success": true});
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200).set_body_json(answer)).mount(&cloudflare).await;
    Mock::given(method("DELETE")).respond_with(ResponseTemplate::new(500)).mount(&cloudflare).await;
    let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
    refuse_images(app.database_url.as_str()).await;
    let answer = send(&app, Form::new().part("file", file("photo.jpg"))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let pending = "SELECT cloudflare_id FROM cfimages_pending_deletions";
    assert_eq!(sql::text(app.database_url.as_str(), pending).await, "two");
}

async fn forgeries(engine: Engine) {
    const CSRF: &str = "abcdefghijABCDEFGHIJ0123456789XY";
    let app = TestApp::builder()
        .set(&settings::CFIMAGES_DJANGO_SECRET_KEY, SECRET_KEY)
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .start(&engine)
        .await;
    let url = app.database_url.as_str();
    sql::execute(url, &format!("UPDATE auth_user SET password = '{PASSWORD_HASH}' WHERE username = 'alice'")).await;
    sessions::insert(url, "0123456789abcdefghijklmnopqrstuv", DJANGOS_DATA).await;
    let cookie = format!("sessionid=0123456789abcdefghijklmnopqrstuv; csrftoken={CSRF}");
    let browser = || app.anonymous(Method::POST, PATH).header("Cookie", &cookie);
    let with_token = |token: &'static str| Form::new().text("csrfmiddlewaretoken", token);
    let refused = async |request: RequestBuilder, detail: &str| {
        Answer::of(request).await.assert_is(403, &json!({"detail": format!("CSRF Failed: {detail}")}));
        assert_eq!(count(&app).await, 0);
    };
    let plain = || Form::new().part("file", file("photo.jpg"));
    refused(browser().multipart(plain()), "CSRF token missing.").await;
    refused(browser().multipart(plain().text("csrfmiddlewaretoken", CSRF)), "CSRF token missing.").await;
    let wrong = with_token("XbcdefghijABCDEFGHIJ0123456789XY").part("file", file("photo.jpg"));
    refused(browser().multipart(wrong), "CSRF token from POST incorrect.").await;

    let form = with_token(CSRF).text("creator", "alice").part("file", file("graphic.png")).text("submit", "Upload");
    let image = created(&Answer::of(browser().multipart(form)).await);
    assert_eq!(image["file_size"], picture("graphic.png").len());
    created(&Answer::of(browser().header("X-CSRFToken", CSRF).multipart(plain())).await);
    let creators = sql::texts(url, "SELECT creator FROM cloudflare_images ORDER BY created_at").await;
    assert_eq!(creators, [Some("alice".to_owned()), Some(String::new())]);
    let url = browser().header("X-CSRFToken", CSRF).header("Content-Type", "application/json").body("{}");
    Answer::of(url).await.assert_is(400, &json!({"url": ["This field is required."]}));
}

async fn next(engine: Engine) {
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .set(&settings::CFIMAGES_CSRF_TRUSTED_ORIGINS, "https://www.example.com, https://*.example.org")
        .start(&engine)
        .await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let post = |query: &str| {
        http.post(format!("{}/cloudflare-images/api/{PATH}{query}", app.origin))
            .header("Authorization", format!("Token {ALICE}"))
    };
    let form = |next: &str| Form::new().text("next", next.to_owned()).part("file", file("graphic.png"));
    let own = format!("{}/x", app.origin);
    for (next, start) in [
        ("/gallery/?page=2#top", "/gallery/?page=2&image="),
        (own.as_str(), "/x?image="),
        ("https://www.example.com/x", "https://www.example.com/x?image="),
        ("https://a.example.org/", "https://a.example.org/?image="),
    ] {
        let answer = Answer::of(post("").multipart(form(next))).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{next}: {}", answer.text);
        let location = answer.headers["location"].to_str().unwrap();
        let id = location.strip_prefix(start).unwrap_or_else(|| panic!("{location}")).trim_end_matches("#top");
        assert_eq!(app.get(&format!("images/{id}/")).await.json()["status"], "uploaded");
    }
    let answer = Answer::of(post("?next=/from-query").multipart(Form::new().part("file", file("graphic.png")))).await;
    assert!(answer.headers["location"].to_str().unwrap().starts_with("/from-query?image="));
    let uploaded = count(&app).await;
    let errors =
        json!({"next": ["This must be a path on this host, such as /gallery/, or a URL of a trusted origin."]});
    for next in
        ["//evil.example/", "https://evil.example/", "/\\evil.example", "/.//evil.example", "javascript:alert(1)"]
    {
        Answer::of(post("").multipart(form(next))).await.assert_is(400, &errors);
    }
    assert_eq!(count(&app).await, uploaded);
}

async fn pages(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let send = async |query: &str, accept: &str, form: Form| {
        Answer::of(app.api(Method::POST, &format!("{PATH}{query}")).header("Accept", accept.to_owned()).multipart(form))
            .await
    };
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let answer = send("?next=/", browser, Form::new().part("file", file("not-an-image.jpg"))).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers["vary"], "Accept, Cookie");
    assert!(
        answer.text.contains(
            "<p>file: Upload a picture: a JPEG, PNG, WebP, GIF, HEIC, AVIF or SVG file. Go back and try again.</p>"
        ),
        "{}",
        answer.text
    );
    let answer = send("", browser, Form::new().text("next", "//<script>").part("file", file("photo.jpg"))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(
        answer.text.contains("<p>next: This must be a path") && !answer.text.contains("<script>"),
        "{}",
        answer.text
    );
    // Without a page to go on to, and for scripts, the answer is that of the API.
    for (query, accept) in [("", browser), ("?next=/", "application/json"), ("?next=/", "*/*")] {
        send(query, accept, Form::new()).await.assert_is(400, &json!({"file": ["No file was submitted."]}));
    }
}

async fn from_url(engine: Engine) {
    let site = MockServer::start().await;
    let png = ResponseTemplate::new(200).set_body_raw(picture("graphic.png"), "image/png");
    Mock::given(path("/a/lake.png")).respond_with(png).mount(&site).await;
    let app = TestApp::start(&engine).await;
    let url = format!("{}/a/lake.png", site.uri());
    let image = created(
        &app.post(PATH, &json!({"url": url, "custom_id": "lake", "metadata": {"a": 1.0}, "creator": "me"})).await,
    );
    for (key, want) in [
        ("cloudflare_id", json!("lake")),
        ("status", json!("uploaded")),
        ("filename", json!("lake.png")),
        ("original_filename", json!("")),
        ("metadata", json!({"a": 1.0})),
        ("content_type", json!("")),
        ("file_size", Value::Null),
    ] {
        assert_eq!(image[key], want, "{key}");
    }
    let delivered = app.http.get(image["public_url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(delivered.bytes().await.unwrap(), picture("graphic.png"));
    let form = app.api(Method::POST, PATH).header("Content-Type", "application/x-www-form-urlencoded");
    created(&Answer::of(form.body(format!("url={url}&metadata={{}}"))).await);
    created(&send(&app, Form::new().text("url", url.clone())).await);

    let not_fetched = json!({"url": ["Cloudflare could not fetch a picture from this URL."]});
    app.post(PATH, &json!({"url": format!("{}/nothing", site.uri())})).await.assert_is(400, &not_fetched);
    let taken = json!({"custom_id": ["An image with this custom ID already exists."]});
    app.post(PATH, &json!({"url": url, "custom_id": "lake"})).await.assert_is(409, &taken);
    for (url, error) in [
        ("lake.png", "Enter a valid URL."),
        ("file:///etc/passwd", "Only http and https URLs are fetched."),
        ("", "This field may not be blank."),
    ] {
        app.post(PATH, &json!({"url": url})).await.assert_is(400, &json!({"url": [error]}));
    }
    assert_eq!(count(&app).await, 3);
}

async fn private_urls(engine: Engine) {
    // An address that is reserved for documentation: nobody is there, and nobody is asked.
    let app = TestApp::builder().cloudflare("http://192.0.2.1:9/client/v4".to_owned()).start(&engine).await;
    let errors = json!({"url": ["Only public addresses are fetched."]});
    for host in ["127.0.0.1", "2130706433", "localhost", "[::ffff:10.0.0.1]", "metadata.google.internal"] {
        let answer = app.post(PATH, &json!({"url": format!("http://user:hush@{host}/x.png")})).await;
        answer.assert_is(400, &errors);
        assert!(!answer.text.contains("hush"));
    }
}
