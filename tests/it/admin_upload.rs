//! Uploading in the admin.

use cfimages::config::settings;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::admin::{Browser, encode, leads_to, token};
use crate::support::app::{Answer, TestApp};
use crate::support::suite::{Engine, Suite};
use crate::support::{picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_upload::files_go_through_the_server_where_there_are_no_scripts", files);
    suite.on_both_engines("admin_upload::one_bad_file_does_not_keep_the_others_out", bad_files);
    suite.on_both_engines("admin_upload::urls_are_fetched_and_those_that_are_not_stay_in_the_form", urls);
    suite.on_both_engines("admin_upload::scripts_get_upload_urls_and_the_images_belong_to_who_asked", scripts);
    suite.on_both_engines("admin_upload::nothing_is_uploaded_for_a_forged_form", forgeries);
    suite.on_both_engines("admin_upload::what_cannot_be_kept_is_told_before_anything_is_uploaded", bad_wishes);
}

fn file(name: &str) -> Part {
    Part::bytes(picture(name)).file_name(name.to_owned()).mime_str("application/octet-stream").unwrap()
}

async fn csrf(browser: &mut Browser<'_>) -> String {
    token(&browser.page("upload/").await).to_owned()
}

async fn send(app: &TestApp, browser: &Browser<'_>, form: Form) -> Answer {
    let request = browser.request(Method::POST, "upload/").header("Origin", &app.origin);
    Answer::of(request.multipart(form)).await
}

async fn ask(app: &TestApp, browser: &Browser<'_>, page: &str, csrf: &str, fields: &[(&str, &str)]) -> Answer {
    let request = browser.request(Method::POST, page).header("Origin", &app.origin).header("X-CSRF-Token", csrf);
    let request = request.header("Accept", "application/json").header("HX-Request", "true");
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    Answer::of(request.body(encode(fields))).await
}

async fn count(app: &TestApp) -> i64 {
    sql::count(app.database_url.as_str(), "SELECT count(*) FROM cloudflare_images").await
}

async fn files(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "bob").await;
    let form = Form::new()
        .text("csrf", csrf(&mut browser).await)
        .text("creator", "studio")
        .text("metadata", r#"{"album": "lakes"}"#)
        .text("urls", "")
        .part("file", file("photo.jpg"))
        .part("file", file("graphic.png"));
    let answer = send(&app, &browser, form).await;
    let html = browser.page(leads_to(&answer)).await;
    assert!(html.contains("2 pictures were uploaded") && html.contains("photo.jpg") && html.contains("graphic.png"));
    assert!(!html.contains("hx-trigger=\"load"), "nothing is waited for");
    for (column, want) in [("status", "uploaded"), ("creator", "studio"), ("CAST(user_id AS text)", "2")] {
        let found = sql::texts(url, &format!("SELECT {column} FROM cloudflare_images")).await;
        assert_eq!(found, vec![Some(want.to_owned()); 2], "{column}");
    }
    let log = sql::texts(url, "SELECT message FROM cloudflare_image_logs WHERE event_type = 'staff_action'").await;
    assert_eq!(log, vec![Some("bob uploaded the picture".to_owned()); 2]);
}

async fn bad_files(engine: Engine) {
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .set(&settings::CLOUDFLARE_IMAGES_MAX_FILE_SIZE_MB, "1")
        .start(&engine)
        .await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let csrf = csrf(&mut browser).await;
    let mut large = picture("photo.jpg");
    large.resize(3_000_000, 0);
    let named = |bytes: Vec<u8>, name: &str| Part::bytes(bytes).file_name(name.to_owned());
    let form = Form::new()
        .text("csrf", csrf.clone())
        .part("file", named(b"<script>alert(1)</script>".to_vec(), "<script>.jpg"))
        .part("file", named(large, "large.jpg"))
        .part("file", named(Vec::new(), "empty.jpg"))
        .part("file", file("graphic.png"));
    let answer = send(&app, &browser, form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for text in [
        "1 picture was uploaded, 3 not",
        "Upload a picture: a JPEG",
        "The file is too large. The most are 1 MB.",
        "The submitted file is empty.",
        "graphic.png",
    ] {
        assert!(answer.text.contains(text), "{text}: {}", answer.text);
    }
    assert!(!answer.text.contains("<script>.jpg"));
    assert_eq!(count(&app).await, 1);

    // A form without anything says what is missing, and one that breaks off leaves nothing.
    let nothing = Form::new().text("csrf", csrf.clone()).part("file", named(Vec::new(), ""));
    let answer = send(&app, &browser, nothing).await;
    assert!(answer.text.contains("Choose a picture, or give a URL."), "{}", answer.text);
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{csrf}\r\n--b\r\nContent-Disposition: form-data; \
         name=\"file\"; filename=\"a.gif\"\r\n\r\nGIF89a"
    );
    let request = browser.request(Method::POST, "upload/").header("Content-Type", "multipart/form-data; boundary=b");
    let answer = Answer::of(request.body(body)).await;
    assert!(answer.text.contains("The form was cut off, or cannot be read."), "{}", answer.text);
    assert_eq!(count(&app).await, 1);
}

async fn urls(engine: Engine) {
    let site = MockServer::start().await;
    let png = ResponseTemplate::new(200).set_body_raw(picture("graphic.png"), "image/png");
    Mock::given(path("/lake.png")).respond_with(png).mount(&site).await;
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let csrf = csrf(&mut browser).await;
    let (lake, nothing) = (format!("{}/lake.png", site.uri()), format!("{}/nothing", site.uri()));
    let form =
        Form::new().text("csrf", csrf.clone()).text("urls", format!("{lake}\r\n\r\n{nothing}\nfile:///etc/passwd"));
    let answer = send(&app, &browser, form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for text in ["1 picture was uploaded, 2 not", "could not fetch a picture", "Only http and https", "lake.png</bdi>"]
    {
        assert!(answer.text.contains(text), "{text}: {}", answer.text);
    }
    assert!(answer.text.contains(&format!("{nothing}\nfile:///etc/passwd\n</textarea>")), "{}", answer.text);

    let fetched = ask(&app, &browser, "upload/from-url/", &csrf, &[("url", &lake), ("private", "yes")]).await;
    assert_eq!(fetched.status, StatusCode::CREATED, "{}", fetched.text);
    let id = fetched.json()["cloudflare_id"].as_str().unwrap().to_owned();
    assert_eq!(app.get(&format!("images/by-cloudflare-id/{id}/")).await.json()["require_signed_urls"], true);
    let refused = ask(&app, &browser, "upload/from-url/", &csrf, &[("url", "x")]).await;
    assert_eq!((refused.status.as_u16(), refused.json()), (422, json!({"error": "Enter a valid URL."})));
    // What a script has done is told by the same page as the rest.
    let form = Form::new().text("csrf", csrf).text("image", id);
    let html = browser.page(leads_to(&send(&app, &browser, form).await)).await;
    assert!(html.contains("1 picture was uploaded") && html.contains("lake.png"));
}

async fn scripts(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "bob").await;
    let answer = browser.get("upload/").await;
    let policy = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!("connect-src 'self' {};", app.emulator)) && policy.contains("blob:"), "{policy}");
    let elsewhere = browser.get("images/").await;
    assert!(elsewhere.headers["content-security-policy"].to_str().unwrap().contains("connect-src 'self';"));

    let csrf = csrf(&mut browser).await;
    let given = ask(&app, &browser, "upload/url/", &csrf, &[("filename", "a lake.jpg"), ("creator", "")]).await;
    assert_eq!(given.status, StatusCode::CREATED, "{}", given.text);
    let given = given.json();
    let id = given["cloudflare_id"].as_str().unwrap();
    let page = format!("upload/?image={id}&image=nobody-knows-this");
    let html = browser.page(&page).await;
    assert!(html.contains("a lake.jpg") && html.contains("Pending") && html.contains("hx-trigger=\"load delay:4s\""));
    app.upload(given["upload_url"].as_str().unwrap(), "x.jpg", "image/jpeg", picture("photo.jpg")).await;
    assert_eq!(sql::text(url, "SELECT CAST(user_id AS text) FROM cloudflare_images").await, "2");
    let log = sql::text(url, "SELECT message FROM cloudflare_image_logs WHERE event_type = 'staff_action'").await;
    assert_eq!(log, "bob asked for an upload URL");

    let refused = ask(&app, &browser, "upload/url/", &csrf, &[("metadata", "[1]")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.json()["error"].as_str().unwrap().contains("must be a JSON object"), "{}", refused.text);
}

async fn forgeries(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let csrf = csrf(&mut browser).await;
    for form in [
        Form::new().part("file", file("photo.jpg")),
        Form::new().text("csrf", "x").part("file", file("photo.jpg")),
        // The token has to be there before the file.
        Form::new().part("file", file("photo.jpg")).text("csrf", csrf.clone()),
    ] {
        assert_eq!(send(&app, &browser, form).await.status, StatusCode::FORBIDDEN);
    }
    let foreign = browser.request(Method::POST, "upload/").header("Origin", "https://evil.example");
    let form = Form::new().text("csrf", csrf.clone()).part("file", file("photo.jpg"));
    assert_eq!(Answer::of(foreign.multipart(form)).await.status, StatusCode::FORBIDDEN);
    for page in ["upload/url/", "upload/from-url/"] {
        let forged = ask(&app, &browser, page, "x", &[("url", "https://example.com/x.png")]).await;
        assert_eq!(forged.status, StatusCode::FORBIDDEN, "{page}");
        assert!(forged.json()["error"].as_str().unwrap().contains("reload"), "{page}: {}", forged.text);
        let stranger = ask(&app, &Browser::new(&app), page, &csrf, &[]).await;
        assert_eq!(stranger.status, StatusCode::UNAUTHORIZED, "{page}");
    }
    assert_eq!(count(&app).await, 0);
}

async fn bad_wishes(engine: Engine) {
    let app = TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_DEFAULT_CREATOR, "house").start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let html = browser.page("upload/").await;
    assert!(
        html.contains("value=\"yes\" checked") && html.contains("value=\"house\""),
        "the settings are where it starts"
    );
    let form = Form::new()
        .text("csrf", token(&html).to_owned())
        .text("creator", "c".repeat(256))
        .text("metadata", "{\"a\": <script>}")
        .text("urls", "https://example.com/kept.png")
        .part("file", file("photo.jpg"));
    let answer = send(&app, &browser, form).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    for text in ["at most 255 characters", "The metadata cannot be read", "https://example.com/kept.png"] {
        assert!(answer.text.contains(text), "{text}: {}", answer.text);
    }
    assert!(!answer.text.contains("<script>}") && !answer.text.contains("value=\"yes\" checked"));
    assert_eq!(count(&app).await, 0);
}
