//! `upload-url/`

use cfimages::config::settings;
use reqwest::Method;
use serde_json::{Value, json};
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::{API_TOKEN, Answer, TestApp};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_uploads::everything_asked_for_is_kept_and_logged", full_request);
    suite.on_both_engines("api_uploads::what_is_not_asked_for_comes_from_the_settings", defaults);
    suite.on_both_engines("api_uploads::a_body_is_not_needed", no_body);
    suite.on_both_engines("api_uploads::fields_are_refused_in_drfs_words_before_cloudflare_is_asked", invalid_fields);
    suite.on_both_engines("api_uploads::bodies_that_cannot_be_read_are_refused", unreadable_bodies);
    suite.on_both_engines("api_uploads::a_custom_id_can_be_used_once", custom_id_taken);
    suite.on_both_engines("api_uploads::a_taken_custom_id_is_told_beside_other_mistakes", custom_id_taken_and_more);
    suite.on_both_engines("api_uploads::a_private_image_with_a_custom_id_is_refused_with_advice", private_custom_id);
    suite.on_both_engines("api_uploads::hostile_custom_ids_reach_their_own_image_only", hostile_ids);
    suite.on_both_engines("api_uploads::cloudflare_gets_the_toolkits_form", form);
}

async fn full_request(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let metadata = json!({"b": 1, "a": "é", "n": {"z": [1, 2.5, null]}});
    let created = app
        .create_upload(&json!({"custom_id": "catalog/2024/one", "metadata": metadata, "expiry_minutes": 60, "filename": " one.png ", "creator": "tenant-9", "unknown": 1}))
        .await;
    assert_eq!(created["cloudflare_id"], "catalog/2024/one");
    assert_eq!(created["metadata"], metadata);
    assert!(
        created["public_url"].as_str().unwrap().ends_with("/cdn-cgi/imagedelivery/hash-0001/catalog/2024/one/public")
    );

    let id = created["id"].as_str().unwrap();
    let image = app.get(&format!("images/{id}/")).await.json();
    for (key, want) in [
        ("status", json!("pending")),
        ("original_filename", json!("one.png")),
        ("filename", json!("")),
        ("require_signed_urls", json!(false)),
        ("metadata", metadata),
        ("uploaded_at", Value::Null),
        ("variants", json!([])),
        ("public_url", Value::Null),
        ("is_uploaded", json!(false)),
        ("upload_url", created["upload_url"].clone()),
        ("expires_at", created["expires_at"].clone()),
    ] {
        assert_eq!(image[key], want, "{key}");
    }
    let url = app.database_url.as_str();
    assert_eq!(sql::text(url, "SELECT creator FROM cloudflare_images").await, "tenant-9");

    let log = app.get(&format!("images/{id}/logs/")).await.json();
    assert_eq!(log[0]["event_type"], "upload_url_created");
    assert_eq!(log[0]["message"], "Direct upload URL created successfully");
    assert_eq!(log[0]["data"], json!({"response": {"id": "catalog/2024/one", "uploadURL": created["upload_url"]}}));
}

async fn defaults(engine: Engine) {
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_DEFAULT_METADATA, r#"{"site": "main", "kind": "any"}"#)
        .set(&settings::CLOUDFLARE_IMAGES_DEFAULT_CREATOR, "house")
        .set(&settings::CLOUDFLARE_IMAGES_DEFAULT_EXPIRY_MINUTES, "2000")
        .start(&engine)
        .await;
    let created = app.create_upload(&json!({"metadata": {"kind": "own"}})).await;
    assert_eq!(created["metadata"], json!({"site": "main", "kind": "own"}));
    let image = app.get(&format!("images/{}/", created["id"].as_str().unwrap())).await.json();
    assert_eq!(image["require_signed_urls"], true);
    let minutes =
        |key: &str| image[key].as_str().unwrap().parse::<cfimages::domain::Timestamp>().unwrap().as_unix_seconds() / 60;
    assert!((359..=360).contains(&(minutes("expires_at") - minutes("created_at"))), "{image}");

    app.create_upload(&json!({"creator": ""})).await;
    let creators =
        sql::texts(app.database_url.as_str(), "SELECT creator FROM cloudflare_images ORDER BY created_at").await;
    assert_eq!(creators, [Some("house".to_owned()), Some(String::new())]);
}

async fn no_body(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for request in [
        app.api(Method::POST, "upload-url/"),
        app.api(Method::POST, "upload-url/").header("Content-Type", "application/json").body(""),
    ] {
        assert_eq!(Answer::of(request).await.status, 201);
    }
}

async fn invalid_fields(engine: Engine) {
    let cloudflare = MockServer::start().await;
    let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
    let long = "y".repeat(256);
    let field = |name: &str, message: &str| json!({name: [message]});
    let cases = [
        (json!({"custom_id": null}), field("custom_id", "This field may not be null.")),
        (json!({"custom_id": "   "}), field("custom_id", "This field may not be blank.")),
        (json!({"custom_id": ["a"]}), field("custom_id", "Not a valid string.")),
        (json!({"custom_id": long}), field("custom_id", "Ensure this field has no more than 255 characters.")),
        (json!({"custom_id": "a\u{0}b"}), field("custom_id", "Null characters are not allowed.")),
        (json!({"custom_id": ".."}), field("custom_id", "This ID cannot be used in a URL.")),
        (json!({"custom_id": "keys"}), field("custom_id", "This ID cannot be used in a URL.")),
        (json!({"metadata": "text"}), field("metadata", "metadata must be a JSON object.")),
        (json!({"metadata": [1]}), field("metadata", "metadata must be a JSON object.")),
        (json!({"metadata": {"a": "\u{0}"}}), field("metadata", "Null characters are not allowed.")),
        (json!({"require_signed_urls": "maybe"}), field("require_signed_urls", "Must be a valid boolean.")),
        (json!({"expiry_minutes": "soon"}), field("expiry_minutes", "A valid integer is required.")),
        (json!({"expiry_minutes": 361}), field("expiry_minutes", "Ensure this value is less than or equal to 360.")),
        (json!({"expiry_minutes": -5}), field("expiry_minutes", "Ensure this value is greater than or equal to 2.")),
        (json!({"filename": ""}), field("filename", "This field may not be blank.")),
        (json!({"creator": {}}), field("creator", "Not a valid string.")),
        (
            json!({"creator": 5, "filename": {}, "expiry_minutes": true}),
            json!({"filename": ["Not a valid string."], "expiry_minutes": ["A valid integer is required."]}),
        ),
        (json!([]), field("non_field_errors", "Invalid data. Expected a dictionary, but got list.")),
        (json!("text"), field("non_field_errors", "Invalid data. Expected a dictionary, but got str.")),
    ];
    for (body, errors) in cases {
        app.post("upload-url/", &body).await.assert_is(400, &errors);
    }
    assert_eq!(cloudflare.received_requests().await.unwrap().len(), 0);
    assert_eq!(sql::count(app.database_url.as_str(), "SELECT count(*) FROM cloudflare_images").await, 0);
}

async fn unreadable_bodies(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let send = async |content_type: &str, body: Vec<u8>| {
        Answer::of(app.api(Method::POST, "upload-url/").header("Content-Type", content_type).body(body)).await
    };
    for body in [&b"{oops"[..], b"{\"a\": NaN}", b"\x00", b"{\"filename\": \"\\ud800\"}", b"{} {}"] {
        let answer = send("application/json", body.to_vec()).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    assert!(
        send("application/json", b"{'a': 1}".to_vec()).await.json()["detail"]
            .as_str()
            .unwrap()
            .starts_with("JSON parse error - ")
    );
    send("application/json", b"{\"filename\": \"\xff\xfe\"}".to_vec())
        .await
        .assert_is(400, &json!({"detail": "JSON parse error - 'utf-8' codec can't decode byte 0xff in position 14: invalid start byte"}));
    let deep = format!("{{\"metadata\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(send("application/json", deep.into_bytes()).await.status, 400);
    send("text/plain", b"{}".to_vec())
        .await
        .assert_is(415, &json!({"detail": "Unsupported media type \"text/plain\" in request."}));
    let huge = format!("{{\"filename\": \"{}\"}}", "x".repeat(3_000_000));
    let answer = send("application/json", huge.into_bytes()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.contains("Bad Request (400)"), "{}", answer.text);
}

async fn custom_id_taken(engine: Engine) {
    let app = TestApp::start(&engine).await;
    app.create_upload(&json!({"custom_id": "one"})).await;
    let taken = json!({"custom_id": ["An image with this custom ID already exists."]});
    app.post("upload-url/", &json!({"custom_id": "one"})).await.assert_is(400, &taken);
    app.post("upload-url/", &json!({"custom_id": " one "})).await.assert_is(400, &taken);
    assert_eq!(app.get("images/").await.json()["count"], 1);
}

async fn custom_id_taken_and_more(engine: Engine) {
    let app = TestApp::start(&engine).await;
    app.create_upload(&json!({"custom_id": "one"})).await;
    let answer = app.post("upload-url/", &json!({"custom_id": "one", "expiry_minutes": 1, "metadata": []})).await;
    answer.assert_is(
        400,
        &json!({
            "custom_id": ["An image with this custom ID already exists."],
            "expiry_minutes": ["Ensure this value is greater than or equal to 2."],
            "metadata": ["metadata must be a JSON object."],
        }),
    );
}

async fn private_custom_id(engine: Engine) {
    let app = TestApp::builder().start(&engine).await;
    let answer = app.post("upload-url/", &json!({"custom_id": "one"})).await;
    assert_eq!(answer.status, 400);
    let error = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(
        error.contains("does not allow private images with a custom ID") && error.contains("require_signed_urls=false"),
        "{error}"
    );
    assert_eq!(app.post("upload-url/", &json!({"custom_id": "one", "require_signed_urls": false})).await.status, 201);
}

/// Each id is one segment of the path at Cloudflare: the status that comes back is that of the image itself.
async fn hostile_ids(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let victim = app.create_upload(&json!({"custom_id": "victim"})).await;
    let check = async |image: &Value| {
        app.post(&format!("images/{}/check_status/", image["id"].as_str().unwrap()), &json!({})).await
    };
    for id in ["a?b=c#d", "a%2Fb", "%2e%2e", "%2e%2e%2fvictim", "with space & percent%25", "café/✓", "💥", "a;b,c=d"]
    {
        let created = app.create_upload(&json!({"custom_id": id})).await;
        assert_eq!(created["cloudflare_id"], id);
        let status = check(&created).await;
        assert_eq!(
            (status.status.as_u16(), &status.json()["status"], &status.json()["cloudflare_id"]),
            (200, &json!("draft"), &json!(id)),
            "{id}: {}",
            status.text
        );
    }
    let row = app.create_upload(&json!({"custom_id": "from-elsewhere"})).await;
    let mut stored = "from-elsewhere".to_owned();
    for (id, error) in [
        ("x/../victim", "404 Client Error: Not Found"),
        ("../victim", "404 Client Error: Not Found"),
        ("..", "the image ID cannot be used in a URL"),
        (".", "the image ID cannot be used in a URL"),
        ("keys", "the image ID cannot be used in a URL"),
    ] {
        let change = format!("UPDATE cloudflare_images SET cloudflare_id = '{id}' WHERE cloudflare_id = '{stored}'");
        sql::execute(app.database_url.as_str(), &change).await;
        id.clone_into(&mut stored);
        check(&row).await.assert_is(400, &json!({"error": format!("Failed to check image status: {error}")}));
    }
    let untouched = app.get(&format!("images/{}/", victim["id"].as_str().unwrap())).await.json();
    assert_eq!(untouched["status"], "pending");
}

async fn form(engine: Engine) {
    let cloudflare = MockServer::start().await;
    let answer = json!({"success": true, "errors": [], "messages": [], "result": {"id": "i", "uploadURL": "https://upload.imagedelivery.net/h/i"}});
    Mock::given(method("POST"))
        .and(path("/accounts/acct-0001/images/v2/direct_upload"))
        .and(header("Authorization", format!("Bearer {API_TOKEN}")))
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .expect(1)
        .mount(&cloudflare)
        .await;
    let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
    let created = app.create_upload(&json!({"custom_id": "a/b", "metadata": {"big": 12_345_678_901_234_567_890_u64, "one": 1.0}, "creator": "c"})).await;

    let request = &cloudflare.received_requests().await.unwrap()[0];
    let form = String::from_utf8(request.body.clone()).unwrap();
    let expiry = created["expires_at"].as_str().unwrap().replace('Z', "+00:00");
    for (name, value) in [
        ("requireSignedURLs", "true"),
        ("metadata", r#"{"big": 12345678901234567890, "one": 1.0}"#),
        ("expiry", &expiry),
        ("id", "a/b"),
        ("creator", "c"),
    ] {
        assert!(form.contains(&format!("form-data; name=\"{name}\"\r\n\r\n{value}\r\n")), "{name}: {form}");
    }
}
