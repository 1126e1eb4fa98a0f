//! Bodies that are forms, and bodies that are none.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_forms::forms_of_either_kind_are_read", both_kinds);
    suite.on_both_engines("api_forms::leaving_out_a_checkbox_never_makes_pictures_public", privacy);
    suite.on_both_engines("api_forms::large_files_in_a_form_are_passed_over", files);
    suite.on_both_engines("api_forms::bodies_that_are_cut_off_are_refused_before_cloudflare_is_asked", cut_off);
    suite.on_both_engines("api_forms::numbered_fields_are_a_list_that_is_there", numbered);
    suite.on_both_engines("api_forms::metadata_cannot_be_null", null_metadata);
    suite.on_both_engines("api_forms::media_types_are_compared_as_drf_compares_them", media_types);
    suite.on_both_engines("api_forms::bodies_beyond_djangos_limits_get_djangos_page", limits);
}

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";

async fn post(app: &TestApp, path: &str, content_type: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer::of(app.api(Method::POST, path).header("Content-Type", content_type).body(body.into())).await
}

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

async fn show(app: &TestApp, created: &Answer) -> Value {
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    app.get(&format!("images/{}/", created.json()["id"].as_str().unwrap())).await.json()
}

async fn numbered(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let id = "00000000-0000-4000-8000-000000000000";
    let answer = post(&app, "images/bulk_status_check/", FORM, format!("image_ids[0]={id}")).await;
    answer.assert_is(200, &json!({"results": []}));
    let answer = post(&app, "images/bulk_status_check/", FORM, format!("other[0]={id}")).await;
    answer.assert_is(400, &json!({"image_ids": ["This field is required."]}));
}

async fn null_metadata(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let id = app.create_upload(&json!({"metadata": {"a": 1}})).await["id"].as_str().unwrap().to_owned();
    let path = format!("images/{id}/");
    let request = app.api(Method::PATCH, &path).header("Content-Type", FORM).body("metadata=null");
    Answer::of(request).await.assert_is(400, &json!({"metadata": ["This field may not be null."]}));
    assert_eq!(app.get(&path).await.json()["metadata"], json!({"a": 1}));
}

async fn both_kinds(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let form =
        "filename=caf%C3%A9.png&filename=last.png&metadata=%7B%22a%22%3A+1.0%7D&custom_id=&expiry_minutes=&creator=";
    let multipart = format!(
        "{}{}{}{}--b--\r\n",
        part("filename", "last.png"),
        part("metadata", "{\"a\": 1.0}"),
        part("custom_id", ""),
        part("creator", "")
    );
    for created in [post(&app, "upload-url/", FORM, form).await, post(&app, "upload-url/", MULTIPART, multipart).await]
    {
        let image = show(&app, &created).await;
        assert_eq!((&image["original_filename"], &image["metadata"]), (&json!("last.png"), &json!({"a": 1.0})));
    }
    for (content_type, body) in [
        (FORM, "expiry_minutes=soon&require_signed_urls=perhaps&metadata=%7Boops".to_owned()),
        (
            MULTIPART,
            format!(
                "{}{}{}--b--\r\n",
                part("expiry_minutes", "soon"),
                part("require_signed_urls", "perhaps"),
                part("metadata", "{oops")
            ),
        ),
    ] {
        post(&app, "upload-url/", content_type, body).await.assert_is(
            400,
            &json!({
                "expiry_minutes": ["A valid integer is required."],
                "require_signed_urls": ["Must be a valid boolean."],
                "metadata": ["Value must be valid JSON."],
            }),
        );
    }
}

async fn privacy(engine: Engine) {
    let app = TestApp::builder().start(&engine).await;
    for (content_type, body) in [
        (FORM, "filename=a.png".to_owned()),
        (FORM, String::new()),
        (MULTIPART, format!("{}--b--\r\n", part("filename", "a"))),
    ] {
        let image = show(&app, &post(&app, "upload-url/", content_type, body).await).await;
        assert_eq!(image["require_signed_urls"], true, "{content_type}");
        let path = format!("images/{}/", image["id"].as_str().unwrap());
        let put = app.api(Method::PUT, &path).header("Content-Type", FORM).body("filename=b.png&file_size=");
        let changed = Answer::of(put).await.json();
        assert_eq!(
            (&changed["require_signed_urls"], &changed["filename"], &changed["file_size"]),
            (&json!(true), &json!("b.png"), &json!(null))
        );
    }
}

async fn files(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut body = part("creator", "me").into_bytes();
    body.extend_from_slice(b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n");
    body.extend(vec![b'x'; 5_000_000]);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let created = post(&app, "upload-url/", MULTIPART, body).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);

    let named = "--b\r\nContent-Disposition: form-data; name=\"filename\"; filename=\"a.png\"\r\n\r\nx\r\n--b--\r\n";
    post(&app, "upload-url/", MULTIPART, named).await.assert_is(400, &json!({"filename": ["Not a valid string."]}));
}

async fn cut_off(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for (content_type, body, error) in [
        (MULTIPART, part("filename", "a.png"), "Multipart form parse error - "),
        (MULTIPART, "nonsense".to_owned(), "Multipart form parse error - "),
        (
            "multipart/form-data",
            part("filename", "a.png"),
            "Multipart form parse error - Invalid boundary in multipart: None",
        ),
        (
            "application/json",
            "{\"filename\": ".to_owned(),
            "JSON parse error - Expecting value: line 1 column 14 (char 13)",
        ),
        (
            "application/json",
            "\u{feff}{}".to_owned(),
            "JSON parse error - Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)",
        ),
    ] {
        let answer = post(&app, "upload-url/", content_type, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
        assert!(answer.json()["detail"].as_str().unwrap().starts_with(error), "{}", answer.text);
    }
    assert_eq!(app.get("images/").await.json()["count"], 0);
}

async fn media_types(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for content_type in ["application/json", "APPLICATION/JSON; charset=utf-8", "application/*", "*/*"] {
        assert_eq!(post(&app, "upload-url/", content_type, "{}").await.status, 201, "{content_type}");
    }
    for content_type in ["text/plain", "json", "application/xml; x=y"] {
        post(&app, "upload-url/", content_type, "{}")
            .await
            .assert_is(415, &json!({"detail": format!("Unsupported media type \"{content_type}\" in request.")}));
    }
    let untyped = Answer::of(app.api(Method::POST, "upload-url/").body("{}")).await;
    untyped.assert_is(415, &json!({"detail": "Unsupported media type \"\" in request."}));
    assert_eq!(Answer::of(app.api(Method::POST, "upload-url/")).await.status, 201);
    assert_eq!(post(&app, "upload-url/", "text/plain", "").await.status, 201);
}

async fn limits(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let fields = |count: usize| (0..count).map(|number| format!("f{number}=1")).collect::<Vec<_>>().join("&");
    let parts =
        |count: usize| (0..count).map(|number| part(&format!("f{number}"), "1")).collect::<String>() + "--b--\r\n";
    assert_eq!(post(&app, "upload-url/", FORM, fields(1000)).await.status, 201);
    assert_eq!(post(&app, "upload-url/", MULTIPART, parts(1000)).await.status, 201);
    let text = "x".repeat(2_621_441);
    for (content_type, body) in [
        (FORM, fields(1001)),
        (MULTIPART, parts(1001)),
        (FORM, format!("filename={text}")),
        (MULTIPART, format!("{}--b--\r\n", part("filename", &text))),
        ("application/json", format!("{{\"filename\": \"{text}\"}}")),
    ] {
        let answer = post(&app, "upload-url/", content_type, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{content_type}");
        assert!(answer.text.contains("<h1>Bad Request (400)</h1>"), "{}", answer.text);
        assert!(!answer.headers.contains_key("allow"));
        assert_eq!(answer.headers["vary"], "Cookie");
    }
}
