//! `webhook/`

use std::time::Duration;

use cfimages::config::settings;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::json;
use sha2::Sha256;
use sqlx::{Connection, Executor, PgConnection};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::{Answer, TestApp, WEBHOOK_SECRET};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("webhook::a_signed_report_is_recorded", signed_report);
    suite.on_both_engines("webhook::without_a_right_proof_nothing_is_read", proofs);
    suite.on_both_engines("webhook::cloudflares_test_message_is_welcome", test_message);
    suite.on_both_engines("webhook::a_notification_changes_what_cloudflare_confirms", notification);
    suite.on_both_engines(
        "webhook::a_notification_that_cannot_be_confirmed_is_kept_and_followed_later",
        unconfirmed_notification,
    );
    suite.on_both_engines("webhook::a_slow_cloudflare_does_not_hold_up_the_answer", slow_cloudflare);
    suite.on_postgres("webhook::an_image_that_is_deleted_meanwhile_is_unknown", deleted_meanwhile);
    suite.on_postgres("webhook::a_deadlock_with_django_is_none_for_the_sender", deadlock);
    suite.on_both_engines("webhook::bodies_of_every_encoding_are_read_and_nonsense_is_refused", bodies);
    suite.on_both_engines("webhook::values_that_do_not_fit_are_left_out", unfit_values);
    suite.on_both_engines("webhook::a_failed_upload_is_failed", failed_upload);
    suite.on_both_engines("webhook::other_credentials_are_not_looked_at", other_credentials);
    suite.on_both_engines("webhook::without_a_secret_every_well_formed_report_is_recorded", no_secret);
}

async fn post(app: &TestApp, headers: &[(&str, &[u8])], body: &[u8]) -> (u16, String) {
    let mut request = app.anonymous(Method::POST, "webhook/").body(body.to_vec());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = Answer::of(request).await;
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    (answer.status.as_u16(), answer.text)
}

async fn authorised(app: &TestApp, body: &[u8]) -> (u16, String) {
    post(app, &[("cf-webhook-auth", WEBHOOK_SECRET.as_bytes())], body).await
}

fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(WEBHOOK_SECRET.as_bytes()).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
}

fn answer(status: u16, text: &str) -> (u16, String) {
    (status, text.to_owned())
}

async fn signed_report(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let report = json!({"id": "hook-a", "uploaded": "2024-06-01T10:00:00Z", "variants": ["https://imagedelivery.net/hash-0001/hook-a/public"], "metadata": {"k": 1}, "requireSignedURLs": true});
    let body = report.to_string();
    let signature = format!("sha256={}", signature(body.as_bytes()));
    assert_eq!(post(&app, &[("X-Signature", signature.as_bytes())], body.as_bytes()).await, answer(200, "OK"));

    let id = created["id"].as_str().unwrap();
    let image = app.get(&format!("images/{id}/")).await.json();
    assert_eq!((&image["status"], &image["uploaded_at"]), (&json!("uploaded"), &json!("2024-06-01T10:00:00Z")));
    assert_eq!((&image["variants"], &image["cloudflare_metadata"]), (&report["variants"], &json!({"k": 1})));
    assert_eq!(image["require_signed_urls"], false);
    let log = app.get(&format!("images/{id}/logs/")).await.json();
    assert_eq!(
        (&log[0]["event_type"], &log[0]["message"], &log[0]["data"]),
        (&json!("webhook_received"), &json!("Webhook processed successfully"), &json!({"payload": report}))
    );
}

/// Django holds the log and then wants the image, a report of ours the other way round: PostgreSQL ends ours.
async fn deadlock(engine: Engine) {
    let app = TestApp::start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let mut django = PgConnection::connect(app.database_url.as_str()).await.unwrap();
    let hold = "SET deadlock_timeout = '1min'; BEGIN; LOCK TABLE cloudflare_image_logs IN EXCLUSIVE MODE";
    django.execute(hold).await.unwrap();
    let cross = async {
        sql::somebody_waits(app.database_url.as_str()).await;
        django.execute("SELECT * FROM cloudflare_images FOR UPDATE; COMMIT").await.unwrap();
    };
    let report = br#"{"id": "hook-a", "uploaded": "2024-06-01T10:00:00Z"}"#;
    let (told, ()) = tokio::join!(authorised(&app, report), cross);
    assert_eq!(told, answer(200, "OK"));
    let received = "SELECT count(*) FROM cloudflare_image_logs WHERE event_type = 'webhook_received'";
    assert_eq!(sql::count(app.database_url.as_str(), received).await, 1);
}

async fn proofs(engine: Engine) {
    let app = TestApp::start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let body = br#"{"id": "hook-a", "uploaded": "2024-06-01T10:00:00Z"}"#;
    let hex = signature(body);
    for headers in [&[][..], &[("X-Signature", &b""[..])], &[("cf-webhook-auth", b"")]] {
        assert_eq!(post(&app, headers, body).await, answer(401, "Missing signature"));
    }
    let wrong: [(&str, Vec<u8>); 8] = [
        ("X-Signature", b"nonsense".to_vec()),
        ("X-Signature", hex.to_uppercase().into_bytes()),
        ("X-Signature", format!("SHA256={hex}").into_bytes()),
        ("X-Signature", format!("sha256=sha256={hex}").into_bytes()),
        ("X-Cloudflare-Signature", b"sha256=abc".to_vec()),
        ("X-Signature", "✓".as_bytes().to_vec()),
        ("cf-webhook-auth", b"whsec-tes".to_vec()),
        ("cf-webhook-auth", b"\xff".to_vec()),
    ];
    for (name, value) in &wrong {
        assert_eq!(post(&app, &[(*name, value.as_slice())], body).await, answer(401, "Invalid signature"), "{name}");
    }
    assert_eq!(sql::text(app.database_url.as_str(), "SELECT status FROM cloudflare_images").await, "pending");
    for name in ["X-Signature", "X-Cloudflare-Signature"] {
        assert_eq!(post(&app, &[(name, hex.as_bytes())], body).await, answer(200, "OK"));
    }
    assert_eq!(authorised(&app, body).await, answer(200, "OK"));
}

async fn test_message(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let body = br#"{"text": "Hello World! This is a test message sent from https://cloudflare.com."}"#;
    assert_eq!(authorised(&app, body).await, answer(200, "OK"));
    assert_eq!(post(&app, &[], body).await, answer(401, "Missing signature"));
}

/// The notification claims more than Cloudflare says: Cloudflare counts.
async fn notification(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let body = json!({"name": "n", "text": "t", "alert_type": "image_notification", "data": {"image_id": "hook-a", "status": "uploaded"}}).to_string();
    assert_eq!(authorised(&app, body.as_bytes()).await, answer(200, "OK"));
    let image = app.get(&format!("images/{}/", created["id"].as_str().unwrap())).await.json();
    assert_eq!((&image["status"], &image["uploaded_at"]), (&json!("pending"), &json!(null)));
    assert_eq!(postponed(&app).await, (1, 1));

    for data in [json!({"image_id": "somebody-elses"}), json!({})] {
        let body = json!({"alert_type": "image_notification", "data": data}).to_string();
        assert_eq!(authorised(&app, body.as_bytes()).await, answer(200, "OK"));
    }
    let other = json!({"alert_type": "billing_usage_alert", "data": {"image_id": "hook-a"}}).to_string();
    assert_eq!(authorised(&app, other.as_bytes()).await, answer(200, "OK"));
    assert_eq!(
        sql::count(
            app.database_url.as_str(),
            "SELECT count(*) FROM cloudflare_image_logs WHERE event_type = 'webhook_received'"
        )
        .await,
        0
    );
}

/// A service whose Cloudflare hands out an upload URL for `hook-a`, and then answers with this when it is asked for the image.
async fn with_cloudflare(engine: &Engine, answer: ResponseTemplate) -> (MockServer, TestApp) {
    let cloudflare = MockServer::start().await;
    let upload = json!({"success": true, "result": {"id": "hook-a", "uploadURL": "https://u/i"}});
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200).set_body_json(upload)).mount(&cloudflare).await;
    Mock::given(method("GET")).respond_with(answer).mount(&cloudflare).await;
    let app = TestApp::builder().cloudflare(cloudflare.uri()).start(engine).await;
    app.create_upload(&json!({})).await;
    (cloudflare, app)
}

/// What is kept to be done about `hook-a`, and of the deliveries.
async fn postponed(app: &TestApp) -> (i64, i64) {
    let url = app.database_url.as_str();
    let due = "SELECT count(*) FROM cfimages_polls JOIN cloudflare_images ON id = image_id \
        WHERE cloudflare_id = 'hook-a' AND status = 'pending' AND attempts = 0";
    let kept = "SELECT count(*) FROM cfimages_webhook_deliveries WHERE outcome = 'postponed'";
    (sql::count(url, due).await, sql::count(url, kept).await)
}

async fn slow_cloudflare(engine: Engine) {
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(25));
    let (_cloudflare, app) = with_cloudflare(&engine, slow).await;
    let body = br#"{"alert_type": "image_notification", "data": {"image_id": "hook-a"}}"#;
    let answer_in_time = tokio::time::timeout(Duration::from_secs(10), authorised(&app, body));
    assert_eq!(answer_in_time.await.expect("the sender is answered"), answer(200, "OK"));
    assert_eq!(postponed(&app).await, (1, 1));
}

async fn unconfirmed_notification(engine: Engine) {
    let (cloudflare, app) = with_cloudflare(&engine, ResponseTemplate::new(503)).await;
    let body = br#"{"alert_type": "image_notification", "data": {"image_id": "hook-a"}}"#;
    let mut asked = Vec::new();
    for _ in 0..2 {
        assert_eq!(authorised(&app, body).await, answer(200, "OK"));
        assert_eq!(postponed(&app).await, (1, 1));
        asked.push(cloudflare.received_requests().await.unwrap().len());
    }
    assert_eq!(asked[0], asked[1], "the second is a duplicate");

    sql::execute(app.database_url.as_str(), "ALTER TABLE cfimages_polls RENAME TO away").await;
    let other = br#"{"alert_type": "image_notification", "ts": null, "data": {"image_id": "hook-a"}}"#;
    assert_eq!(authorised(&app, other).await, answer(500, "Internal server error"));
    sql::execute(app.database_url.as_str(), "ALTER TABLE away RENAME TO cfimages_polls").await;
    assert_eq!(postponed(&app).await, (1, 1), "what is not kept is not acknowledged");
}

async fn deleted_meanwhile(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    app.create_upload(&json!({"custom_id": "hook-gone"})).await;
    let mut django = PgConnection::connect(url).await.unwrap();
    django.execute("BEGIN; DELETE FROM cloudflare_image_logs; DELETE FROM cloudflare_images").await.unwrap();
    let report = authorised(&app, br#"{"id": "hook-gone", "uploaded": "2024-06-01T10:00:00Z"}"#);
    let commit = async {
        sql::somebody_waits(url).await;
        django.execute("COMMIT").await.unwrap();
    };
    let both = async { tokio::join!(report, commit) };
    let (reported, ()) =
        tokio::time::timeout(Duration::from_secs(20), both).await.expect("the webhook waits for Django");
    assert_eq!(reported, answer(404, "Image not found"));
}

async fn bodies(engine: Engine) {
    let app = TestApp::start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let bom = [b"\xef\xbb\xbf", &br#"{"id": "hook-a"}"#[..]].concat();
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(r#"{"id": "hook-a"}"#.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for body in [bom, utf16, br#"{"id": " hook-a ", "uploaded": "2024-06-01"}"#.to_vec()] {
        assert_eq!(authorised(&app, &body).await, answer(200, "OK"));
    }
    for body in [&b"{oops"[..], b"", b"{\"id\": \"\xff\"}"] {
        assert_eq!(authorised(&app, body).await, answer(400, "Invalid JSON"));
    }
    for body in [
        "[]",
        "5",
        "null",
        "{}",
        r#"{"id": ""}"#,
        r#"{"id": "hook-a", "draft": "maybe"}"#,
        r#"{"id": "hook-a", "uploaded": null}"#,
        r#"{"id": "a\u0000b"}"#,
        r#"{"alert_type": "image_notification", "data": {"image_id": "a\u0000b"}}"#,
    ] {
        assert_eq!(authorised(&app, body.as_bytes()).await, answer(400, "Invalid payload"), "{body}");
    }
    assert_eq!(authorised(&app, br#"{"id": "who"}"#).await, answer(404, "Image not found"));
    assert_eq!(authorised(&app, br#"{"id": 12345}"#).await, answer(404, "Image not found"));
    let digits = format!(r#"{{"id": "hook-a", "metadata": {{"n": {}}}}}"#, "9".repeat(140_000));
    assert_eq!(authorised(&app, digits.as_bytes()).await, answer(400, "Invalid payload"));
    let long = format!(r#"{{"id": "{}"}}"#, "x".repeat(100_000));
    assert_eq!(authorised(&app, long.as_bytes()).await, answer(404, "Image not found"));
    let (status, page) = authorised(&app, &vec![b' '; 3_000_000]).await;
    assert!(status == 400 && page.contains("Bad Request (400)"), "{page}");
}

async fn unfit_values(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let body = json!({"id": "hook-a", "uploaded": "2024-06-01", "draft": "false", "filename": "x".repeat(256), "width": "wide", "height": -1, "format": null, "creator": 5});
    assert_eq!(authorised(&app, body.to_string().as_bytes()).await, answer(200, "OK"));
    let image = app.get(&format!("images/{}/", created["id"].as_str().unwrap())).await.json();
    assert_eq!((&image["status"], &image["filename"]), (&json!("uploaded"), &json!("")));
}

async fn failed_upload(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let path = format!("images/{}/", created["id"].as_str().unwrap());
    assert_eq!(authorised(&app, br#"{"id": "hook-a", "status": "failed"}"#).await, answer(200, "OK"));
    assert_eq!(app.get(&path).await.json()["status"], "failed");
    assert_eq!(app.get("stats/").await.json()["failed_images"], 1);
    assert_eq!(authorised(&app, br#"{"id": "hook-a", "uploaded": "2024-06-01"}"#).await, answer(200, "OK"));
    assert_eq!(app.get(&path).await.json()["status"], "uploaded");
}

async fn other_credentials(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let headers: [(&str, &[u8]); 3] = [
        ("Authorization", b"Token nope"),
        ("Cookie", b"sessionid=nope"),
        ("cf-webhook-auth", WEBHOOK_SECRET.as_bytes()),
    ];
    assert_eq!(post(&app, &headers, br#"{"id": "who"}"#).await, answer(404, "Image not found"));
}

async fn no_secret(engine: Engine) {
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_WEBHOOK_SECRET, "")
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .start(&engine)
        .await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    assert_eq!(post(&app, &[("X-Signature", b"wrong")], br#"{"id": "hook-a"}"#).await, answer(200, "OK"));
}
