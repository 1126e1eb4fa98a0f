//! `webhook/`: what is believed, what is recorded once, and what is kept of it.

use std::sync::Arc;

use cfimages::config::settings;
use cfimages::domain::ManualClock;
use cfimages::signature::{sign_hmac, sign_timestamped};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::app::{Answer, TestApp, TestAppBuilder, WEBHOOK_SECRET};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, rows, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("webhook_safety::a_timestamped_report_is_recorded_while_it_is_fresh", timestamped);
    suite.on_both_engines("webhook_safety::no_other_proof_makes_an_old_time_good", downgrade);
    suite.on_both_engines("webhook_safety::notifications_count_while_they_are_fresh", notification_times);
    suite.on_both_engines("webhook_safety::times_that_nobody_vouches_for_do_not_count", unsigned_times);
    suite.on_both_engines("webhook_safety::events_of_older_releases_are_recorded", events);
    suite.on_both_engines("webhook_safety::late_reports_never_undo_an_upload", late_reports);
    suite.on_both_engines("webhook_safety::the_same_delivery_is_recorded_once_within_its_window", duplicates);
    suite.on_both_engines("webhook_safety::the_same_delivery_to_two_instances_is_recorded_once", two_instances);
    suite.on_postgres("webhook_safety::a_delivery_waits_for_its_twin_and_goes_on_when_that_fails", twins);
    suite.on_both_engines("webhook_safety::an_image_that_is_made_anew_is_another", made_anew);
    suite.on_both_engines("webhook_safety::webhooks_come_from_allowed_addresses_only", allowed_addresses);
    suite
        .on_both_engines("webhook_safety::every_delivery_is_kept_with_its_reason_and_without_secrets", kept_deliveries);
    suite.on_both_engines("webhook_safety::old_and_surplus_deliveries_are_removed", pruning);
}

/// The beginning of the year 2026.
const START: u32 = 1_767_225_600;

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("2026-01-01T00:00:00Z".parse().unwrap()))
}

fn public() -> TestAppBuilder {
    TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
}

async fn send(app: &TestApp, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut request = app.anonymous(Method::POST, "webhook/").body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = Answer::of(request).await;
    (answer.status.as_u16(), answer.text)
}

async fn send_signed(app: &TestApp, body: &str) -> (u16, String) {
    send(app, &[("X-Signature", &sign_hmac(WEBHOOK_SECRET, body.as_bytes()))], body).await
}

fn ok() -> (u16, String) {
    (200, "OK".to_owned())
}

fn refused(text: &str) -> (u16, String) {
    (401, text.to_owned())
}

async fn image(app: &TestApp, id: &str) -> Value {
    app.get(&format!("images/by-cloudflare-id/{id}/")).await.json()
}

/// How many webhooks were recorded.
async fn recorded(app: &TestApp) -> i64 {
    let logged = "SELECT count(*) FROM cloudflare_image_logs WHERE event_type = 'webhook_received'";
    let kept = "SELECT count(*) FROM cfimages_webhook_deliveries WHERE outcome = 'recorded'";
    let logged = sql::count(app.database_url.as_str(), logged).await;
    assert_eq!(sql::count(app.database_url.as_str(), kept).await, logged);
    logged
}

/// How many notifications have to be asked about again: the emulator has a draft still.
async fn postponed(app: &TestApp) -> i64 {
    let kept = "SELECT count(*) FROM cfimages_webhook_deliveries WHERE outcome = 'postponed'";
    sql::count(app.database_url.as_str(), kept).await
}

async fn timestamped(engine: Engine) {
    let app = public().clock(clock()).start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let body = r#"{"id": "hook-a", "uploaded": "2025-12-31T23:00:00Z"}"#;
    let at = |seconds| sign_timestamped(WEBHOOK_SECRET, seconds, body.as_bytes());
    for seconds in [START - 301, START + 301, 0] {
        let answer = send(&app, &[("Webhook-Signature", &at(seconds))], body).await;
        assert_eq!(answer, refused("Invalid timestamp"), "{seconds}");
    }
    for header in [
        at(START).replace("time=", "time=0"),
        at(START).replace("sig1", "sig2"),
        sign_timestamped("wrong", START, body.as_bytes()),
        sign_timestamped(WEBHOOK_SECRET, START, b"another body"),
        "nonsense".to_owned(),
    ] {
        assert_eq!(send(&app, &[("Webhook-Signature", &header)], body).await, refused("Invalid signature"), "{header}");
    }
    assert_eq!((image(&app, "hook-a").await["status"].clone(), recorded(&app).await), (json!("pending"), 0));

    assert_eq!(send(&app, &[("Webhook-Signature", &at(START - 300))], body).await, ok());
    assert_eq!(image(&app, "hook-a").await["status"], "uploaded");
    assert_eq!(send(&app, &[("Webhook-Signature", &at(START + 300))], body).await, ok());
    assert_eq!(recorded(&app).await, 1, "the same report, signed once more");
}

async fn downgrade(engine: Engine) {
    let app = public().clock(clock()).start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let body = r#"{"id": "hook-a", "uploaded": "2025-12-31T23:00:00Z"}"#;
    let stale = sign_timestamped(WEBHOOK_SECRET, START - 400, body.as_bytes());
    let signature = sign_hmac(WEBHOOK_SECRET, body.as_bytes());
    let others = [
        ("X-Signature", signature.as_str()),
        ("X-Cloudflare-Signature", &signature),
        ("cf-webhook-auth", WEBHOOK_SECRET),
    ];
    for other in others {
        assert_eq!(
            send(&app, &[("Webhook-Signature", &stale), other], body).await,
            refused("Invalid timestamp"),
            "{other:?}"
        );
        let wrong = [("Webhook-Signature", "time=1,sig1=0"), other];
        assert_eq!(send(&app, &wrong, body).await, refused("Invalid signature"), "{other:?}");
    }
    let signature_of_time_and_body = stale.split_once("sig1=").unwrap().1;
    assert_eq!(send(&app, &[("X-Signature", signature_of_time_and_body)], body).await, refused("Invalid signature"));
    let time_and_body = format!("{}.{body}", START - 400);
    let answer = send(&app, &[("X-Signature", signature_of_time_and_body)], &time_and_body).await;
    assert_eq!(answer, (400, "Invalid JSON".to_owned()));
    let twice = [("cf-webhook-auth", "wrong"), ("cf-webhook-auth", WEBHOOK_SECRET)];
    assert_eq!(send(&app, &twice, body).await, refused("Invalid signature"));
    assert_eq!(image(&app, "hook-a").await["status"], "pending");
}

async fn notification_times(engine: Engine) {
    let app = public().clock(clock()).start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let auth = [("cf-webhook-auth", WEBHOOK_SECRET)];
    let sent_at =
        |ts: u32| json!({"alert_type": "image_notification", "ts": ts, "data": {"image_id": "hook-a"}}).to_string();
    for ts in [START - 301, START + 301] {
        assert_eq!(send(&app, &auth, &sent_at(ts)).await, refused("Invalid timestamp"));
    }
    assert_eq!(send(&app, &auth, &sent_at(START - 300)).await, ok());
    assert_eq!(postponed(&app).await, 1);
    for _ in 0..3 {
        assert_eq!(send(&app, &auth, &sent_at(START)).await, ok());
    }
    assert_eq!((postponed(&app).await, recorded(&app).await), (2, 0));

    let lenient =
        public().clock(clock()).set(&settings::CLOUDFLARE_IMAGES_WEBHOOK_MAX_AGE_SECONDS, "0").start(&engine).await;
    assert_eq!(send(&lenient, &auth, &sent_at(1)).await, ok());
}

async fn unsigned_times(engine: Engine) {
    let app = public().clock(clock()).set(&settings::CLOUDFLARE_IMAGES_WEBHOOK_SECRET, "").start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let body = json!({"alert_type": "image_notification", "ts": 1, "data": {"image_id": "hook-a"}}).to_string();
    assert_eq!(send(&app, &[("Webhook-Signature", "time=1,sig1=0")], &body).await, ok());
    assert_eq!(postponed(&app).await, 1);
}

async fn events(engine: Engine) {
    let app = public().start(&engine).await;
    for id in ["hook-a", "hook-b"] {
        app.create_upload(&json!({"custom_id": id})).await;
    }
    let uploaded =
        json!({"eventType": "image.uploaded", "imageId": "hook-a", "status": "uploaded", "metadata": {"k": 1}});
    assert_eq!(send_signed(&app, &uploaded.to_string()).await, ok());
    let image_a = image(&app, "hook-a").await;
    assert_eq!((&image_a["status"], &image_a["cloudflare_metadata"]), (&json!("uploaded"), &json!({"k": 1})));
    assert!(image_a["uploaded_at"].is_string(), "{image_a}");

    let failed = |id| json!({"eventType": "image.failed", "imageId": id, "status": "failed"}).to_string();
    assert_eq!(send_signed(&app, &failed("hook-b")).await, ok());
    assert_eq!(image(&app, "hook-b").await["status"], "failed");
    assert_eq!(send_signed(&app, &failed("hook-a")).await, ok());
    assert_eq!(image(&app, "hook-a").await["status"], "uploaded");
    assert_eq!(send_signed(&app, &failed("hook-c")).await, (404, "Image not found".to_owned()));
    assert_eq!(recorded(&app).await, 3);

    for body in [json!({"eventType": "image.viewed", "imageId": "hook-b"}), json!({"eventType": "account.created"})] {
        assert_eq!(send_signed(&app, &body.to_string()).await, ok());
    }
    assert_eq!(image(&app, "hook-b").await["status"], "failed");
    assert_eq!(send_signed(&app, r#"{"eventType": "image.failed"}"#).await, (400, "Invalid payload".to_owned()));
    assert_eq!(send(&app, &[], &failed("hook-b")).await, refused("Missing signature"));
    assert_eq!(recorded(&app).await, 3);
}

async fn late_reports(engine: Engine) {
    let app = public().start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    for body in [
        r#"{"id": "hook-a", "draft": true}"#,
        r#"{"id": "hook-a", "uploaded": "2024-06-01"}"#,
        r#"{"id": "hook-a", "draft": true, "uploaded": "2024-05-01"}"#,
        r#"{"id": "hook-a", "status": "failed"}"#,
        r#"{"eventType": "image.failed", "imageId": "hook-a"}"#,
    ] {
        assert_eq!(send_signed(&app, body).await, ok());
    }
    let image = image(&app, "hook-a").await;
    assert_eq!((&image["status"], &image["uploaded_at"]), (&json!("uploaded"), &json!("2024-06-01T00:00:00Z")));
}

async fn duplicates(engine: Engine) {
    let clock = clock();
    let app = public().clock(Arc::<ManualClock>::clone(&clock)).start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    app.create_upload(&json!({"custom_id": "hook-b"})).await;
    let body = r#"{"id": "hook-a", "uploaded": "2024-06-01"}"#;
    let send_at_once = async || {
        let one = || send_signed(&app, body);
        let answers = tokio::join!(one(), one(), one(), one(), one(), one());
        assert_eq!(answers, (ok(), ok(), ok(), ok(), ok(), ok()));
    };
    send_at_once().await;
    assert_eq!(recorded(&app).await, 1);
    let before = image(&app, "hook-a").await;

    clock.advance(600);
    send_at_once().await;
    assert_eq!(send(&app, &[("cf-webhook-auth", WEBHOOK_SECRET)], body).await, ok());
    assert_eq!((image(&app, "hook-a").await, recorded(&app).await), (before, 1));
    assert_eq!(send_signed(&app, &body.replace("hook-a", "hook-b")).await, ok());
    assert_eq!(send_signed(&app, r#"{"id": "hook-a", "uploaded": "2024-06-02"}"#).await, ok());
    assert_eq!(recorded(&app).await, 3, "other reports are no duplicates");

    clock.advance(1);
    send_at_once().await;
    assert_eq!(recorded(&app).await, 4, "a sender may say the same again later");
}

async fn two_instances(engine: Engine) {
    let one = public().start(&engine).await;
    let other = public().set(&settings::DATABASE_URL, one.database_url.as_str()).start(&engine).await;
    let bodies: Vec<String> =
        (1..=12).map(|n| json!({"id": format!("img-{n}"), "uploaded": "2024-06-01"}).to_string()).collect();
    rows::insert_images(one.database_url.as_str(), 12, "pending").await;
    for body in &bodies {
        let answers = tokio::join!(
            send_signed(&one, body),
            send_signed(&other, body),
            send_signed(&one, body),
            send_signed(&other, body)
        );
        assert_eq!(answers, (ok(), ok(), ok(), ok()));
    }
    assert_eq!(recorded(&one).await, 12);
    let uploaded = "SELECT count(*) FROM cloudflare_images WHERE status = 'uploaded'";
    assert_eq!(sql::count(one.database_url.as_str(), uploaded).await, 12);
}

/// The twin takes the digest and is undone: what waited for it must go on, and not call itself a duplicate.
async fn twins(engine: Engine) {
    let app = public().start(&engine).await;
    let url = app.database_url.as_str();
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let body = r#"{"id": "hook-a", "uploaded": "2024-06-01"}"#;
    assert_eq!(send_signed(&app, body).await, ok());
    let mut twin = PgConnection::connect(url).await.unwrap();
    sql::execute(url, "CREATE TABLE kept AS SELECT digest FROM cfimages_webhook_deliveries").await;
    sql::execute(url, "DELETE FROM cfimages_webhook_deliveries").await;
    let begin = "BEGIN; INSERT INTO cfimages_webhook_deliveries \
        (received_at, form, proof, outcome, status, reason, body, digest) \
        SELECT now(), 'report', 'none', 'recorded', 200, '', '', digest FROM kept";
    twin.execute(begin).await.unwrap();
    let undo = async {
        sql::somebody_waits(url).await;
        twin.execute("ROLLBACK").await.unwrap();
    };
    let (answer, ()) = tokio::join!(send_signed(&app, body), undo);
    assert_eq!(answer, ok());
    assert_eq!(sql::text(url, "SELECT outcome FROM cfimages_webhook_deliveries").await, "recorded");
}

async fn made_anew(engine: Engine) {
    let app = public().start(&engine).await;
    let body = r#"{"id": "hook-a", "uploaded": "2024-06-01"}"#;
    assert_eq!(send_signed(&app, body).await, (404, "Image not found".to_owned()));
    for _ in 0..2 {
        let created = app.create_upload(&json!({"custom_id": "hook-a"})).await;
        assert_eq!(send_signed(&app, body).await, ok());
        assert_eq!(image(&app, "hook-a").await["status"], "uploaded");
        let path = format!("images/{}/", created["id"].as_str().unwrap());
        assert_eq!(Answer::of(app.api(Method::DELETE, &path)).await.status, 204);
    }
}

async fn allowed_addresses(engine: Engine) {
    let allowed = "203.0.113.0/24, 2001:db8::/32";
    let app = public().set(&settings::CLOUDFLARE_IMAGES_WEBHOOK_ALLOWED_IPS, allowed).start(&engine).await;
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let body = r#"{"id": "hook-a", "uploaded": "2024-06-01"}"#;
    let signature = sign_hmac(WEBHOOK_SECRET, body.as_bytes());
    let from = async |chain: &str| send(&app, &[("X-Signature", &signature), ("X-Forwarded-For", chain)], body).await;
    for chain in ["198.51.100.7", "203.0.113.9, 198.51.100.7", "2001:db9::1", "::ffff:198.51.100.7", "rubbish"] {
        assert_eq!(from(chain).await, refused("Address not allowed"), "{chain}");
    }
    assert_eq!(send_signed(&app, body).await, refused("Address not allowed"), "the proxy itself");
    assert_eq!(recorded(&app).await, 0);
    for chain in
        ["203.0.113.9", "198.51.100.7, 203.0.113.9", "2001:db8:1::7", "::ffff:203.0.113.9", "203.0.113.9, 127.0.0.1"]
    {
        assert_eq!(from(chain).await, ok(), "{chain}");
    }

    let strict = public()
        .set(&settings::CLOUDFLARE_IMAGES_WEBHOOK_ALLOWED_IPS, allowed)
        .set(&settings::CFIMAGES_TRUSTED_PROXIES, "")
        .start(&engine)
        .await;
    let lie = [("X-Signature", signature.as_str()), ("X-Forwarded-For", "203.0.113.9")];
    assert_eq!(send(&strict, &lie, body).await, refused("Address not allowed"));
}

/// `form proof outcome status image client reason | body`, the oldest first.
const DELIVERIES: &str = "SELECT form || ' ' || proof || ' ' || outcome || ' ' || CAST(status AS text) || ' ' || \
    coalesce(cloudflare_id, '-') || ' ' || coalesce(client, '-') || ' ' || reason || ' | ' || body \
    FROM cfimages_webhook_deliveries ORDER BY received_at";

async fn kept_deliveries(engine: Engine) {
    let app = public().start(&engine).await;
    let url = app.database_url.as_str();
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    let report = r#"{"id": "hook-a"}"#;
    let leak = format!(r#"{{"id": "hook-b", "note": "{WEBHOOK_SECRET}"}}"#);
    let auth = ("cf-webhook-auth", WEBHOOK_SECRET);
    let wrong = "almost-the-secret";
    let long = "x".repeat(1_000_000);
    for (headers, body, status) in [
        (vec![], report, 401),
        (vec![("cf-webhook-auth", wrong)], report, 401),
        (vec![("X-Signature", wrong)], report, 401),
        (vec![("Webhook-Signature", "time=1,sig1=almost-the-secret")], report, 401),
        (vec![auth], "{oops \u{0}", 400),
        (vec![auth], "[]", 400),
        (vec![auth], &leak, 404),
        (vec![auth], r#"{"text": "test"}"#, 200),
        (vec![auth], r#"{"alert_type": "other"}"#, 200),
        (vec![], &long, 401),
        (vec![auth], &"x".repeat(3_000_000), 400),
        (vec![auth], report, 200),
        (vec![auth], report, 200),
    ] {
        let answer = send(&app, &headers, body).await;
        assert_eq!(answer.0, status, "{headers:?}");
    }
    let kept = eventually("all deliveries are kept", async || {
        let kept = sql::texts(url, DELIVERIES).await;
        (kept.len() == 13).then_some(kept)
    })
    .await;
    let kept: Vec<String> = kept.into_iter().flatten().collect();
    assert!(kept.iter().all(|row| !row.contains(WEBHOOK_SECRET) && !row.contains(wrong)), "{kept:#?}");
    assert!(kept.iter().all(|row| row.chars().count() < 2_300 && row.contains(" 127.0.0.1 ")), "{kept:#?}");
    for want in [
        "unknown none refused 401 - 127.0.0.1 It has no header cf-webhook-auth",
        "unknown none refused 401 - 127.0.0.1 cf-webhook-auth is not CLOUDFLARE_IMAGES_WEBHOOK_SECRET",
        "unknown none refused 401 - 127.0.0.1 X-Signature is not that of the body",
        "unknown none refused 401 - 127.0.0.1 Webhook-Signature is not",
        "unknown secret refused 400 - 127.0.0.1 The body is not JSON. | {oops \u{fffd}",
        "unknown secret refused 400 - 127.0.0.1 The body has none of the forms",
        r#"report secret refused 404 hook-b 127.0.0.1 No image with this id is recorded here. | {"id": "hook-b", "note": "***"}"#,
        r#"test secret ignored 200 - 127.0.0.1 It is a test message. | {"text": "test"}"#,
        "notification secret ignored 200 - 127.0.0.1 It is a notification of another kind",
        "unknown none refused 400 - 127.0.0.1 The body is longer than 2.5 MB",
        r#"report secret recorded 200 hook-a 127.0.0.1 The image was changed. | {"id": "hook-a"}"#,
        r#"report secret duplicate 200 hook-a 127.0.0.1 It was recorded before. | {"id": "hook-a"}"#,
    ] {
        assert!(kept.iter().any(|row| row.starts_with(want)), "{want}\n{kept:#?}");
    }
}

/// Deliveries that came a while ago, numbered down to the youngest.
async fn insert_deliveries(url: &str, count: u32, outcome: &str, received_at: &str) {
    let (cast, digest) = if rows::is_sqlite(url) {
        ("", "randomblob(32)")
    } else {
        ("::timestamptz", "sha256(CAST(random() AS text)::bytea)")
    };
    let time = rows::time(url, received_at);
    sql::execute(
        url,
        &format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}) \
             INSERT INTO cfimages_webhook_deliveries (digest, received_at, form, proof, outcome, status, reason, body) \
             SELECT {digest}, '{time}'{cast}, 'report', 'none', '{outcome}', 200, '', '' FROM numbers"
        ),
    )
    .await;
}

/// The first webhook after a start sees to it.
async fn pruning(engine: Engine) {
    let app = public().clock(clock()).start(&engine).await;
    let url = app.database_url.as_str();
    insert_deliveries(url, 1_500, "recorded", "2025-12-24T23:59:59Z").await;
    insert_deliveries(url, 10_500, "recorded", "2025-12-31T20:00:00Z").await;
    insert_deliveries(url, 2_500, "refused", "2025-12-31T23:59:59Z").await;
    insert_deliveries(url, 700, "recorded", "2025-12-31T23:55:00Z").await;
    let counts = async || {
        let of = async |outcome: &str| {
            let query = format!("SELECT count(*) FROM cfimages_webhook_deliveries WHERE outcome = '{outcome}'");
            sql::count(url, &query).await
        };
        (of("recorded").await, of("refused").await)
    };
    app.create_upload(&json!({"custom_id": "hook-a"})).await;
    assert_eq!(send_signed(&app, r#"{"id": "hook-a"}"#).await, ok());
    eventually("as many are left as are kept", async || (counts().await == (10_000, 2_000)).then_some(())).await;
}
