//! The admin's lists of webhooks, repairs, logs and usages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cfimages::domain::{
    CloudflareId, DeletionReason, DeliveryDigest, PendingPlace, Timestamp, WebhookDelivery, WebhookForm,
    WebhookOutcome, WebhookProof,
};
use cfimages::store;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::jobs_leftovers::{record, recorded};
use crate::support::admin::{Browser, encode, leads_to};
use crate::support::app::{Answer, TestApp, WEBHOOK_SECRET, connect};
use crate::support::cloudflare::FakeCloudflare;
use crate::support::rows::{ImageRow, insert_images, insert_usage, is_sqlite, key, time};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_lists::a_webhook_is_shown_with_what_became_of_it_and_its_body", webhooks);
    suite.on_both_engines("admin_lists::webhooks_follow_one_another_without_gaps", webhook_pages);
    suite.on_both_engines("admin_lists::a_repair_is_tried_now_or_given_up", repairs);
    suite.on_both_engines("admin_lists::a_repair_that_fails_again_says_why_and_all_can_be_made_due", failing_repairs);
    suite.on_both_engines("admin_lists::logs_are_found_by_event_image_day_and_message", logs);
    suite.on_both_engines("admin_lists::logs_of_many_events_follow_one_another_in_the_order_of_time", log_pages);
    suite.on_both_engines("admin_lists::usages_are_found_by_image_content_and_id", usages);
    suite.on_both_engines("admin_lists::hostile_texts_stay_texts_in_lists", hostile_texts);
    suite.on_both_engines("admin_lists::addresses_that_make_no_sense_are_told", broken_addresses);
    suite.on_both_engines(
        "admin_lists::uploads_that_are_asked_about_again_are_listed_with_their_next_turn",
        waiting_uploads,
    );
    suite.on_both_engines("admin_lists::null_characters_are_no_error_of_the_database", null_characters);
    suite.on_both_engines("admin_lists::nobody_sees_or_changes_anything_without_signing_in", strangers);
}

const LISTS: [&str; 4] = ["webhooks/", "repairs/", "logs/", "usages/"];

/// The titles of the lines of a list.
fn titles(html: &str) -> Vec<String> {
    let lines = html.split("line-title").skip(1);
    lines.map(|line| line.split_once('>').unwrap().1.split('<').next().unwrap().trim().to_owned()).collect()
}

fn lines(html: &str) -> usize {
    html.matches("<li class=\"line\">").count()
}

async fn webhooks(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    assert!(browser.page("webhooks/").await.contains("No webhook came within the last week"));
    let upload = app.create_upload(&json!({"filename": "lake.jpg"})).await;
    let send = async |secret: &str, body: &Value| {
        let request = app.http.post(format!("{}/cloudflare-images/api/webhook/", app.origin));
        let request = request.header("cf-webhook-auth", secret).header("Content-Type", "application/json");
        Answer::of(request.body(body.to_string())).await.status
    };
    assert_eq!(send("wrong", &json!({"text": "hello"})).await, StatusCode::UNAUTHORIZED);
    assert_eq!(send(WEBHOOK_SECRET, &json!({"text": "hello"})).await, StatusCode::OK);
    let event = json!({"eventType": "image.failed", "imageId": upload["cloudflare_id"], "note": {"a": [1, "<b>"]}});
    assert_eq!(send(WEBHOOK_SECRET, &event).await, StatusCode::OK);
    let html = eventually("all are kept", async || {
        let html = browser.page("webhooks/").await;
        (lines(&html) == 3).then_some(html)
    })
    .await;
    assert!(html.contains("3 webhooks") && html.contains("127.0.0.1"), "{html}");
    for (filter, found) in [
        ("outcome=refused", &["Not understood"][..]),
        ("outcome=ignored", &["Test message"]),
        ("form=event", &["Event of an image"]),
        ("form=event&outcome=refused", &[]),
    ] {
        let html = browser.page(&format!("webhooks/?{filter}")).await;
        assert_eq!(titles(&html), found, "{filter}: {html}");
    }
    let html = browser.page("webhooks/?form=event").await;
    let id = html.split_once("line-title\" href=\"").unwrap().1.split('/').next().unwrap().to_owned();
    let html = browser.page(&format!("webhooks/{id}/")).await;
    for shown in
        ["Event of an image", "lake.jpg", "The secret itself", "&#34;note&#34;: {\n", "&#60;b&#62;", "<dd>200</dd>"]
    {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    for missing in ["webhooks/x/", &format!("webhooks/{}/", "0".repeat(64)), "webhooks/%00/"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

async fn webhook_pages(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let database = connect(app.database_url.as_str()).await;
    let mut transaction = database.begin().await.unwrap();
    for number in 0..120_i64 {
        // Several come within the same moment.
        let delivery = WebhookDelivery {
            received_at: Timestamp::from_micros(1_700_000_000_000_000 + number / 7),
            form: WebhookForm::Event,
            proof: WebhookProof::None,
            outcome: if number % 2 == 0 { WebhookOutcome::Refused } else { WebhookOutcome::Failed },
            status: 400,
            reason: format!("why {number}."),
            cloudflare_id: None,
            client: None,
            body: String::new(),
        };
        store::webhook_deliveries::insert(&mut transaction, &delivery, &DeliveryDigest::random()).await.unwrap();
    }
    transaction.commit().await.unwrap();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let reasons = |html: &str| -> Vec<u32> {
        html.split(">why ").skip(1).map(|rest| rest.split('.').next().unwrap().parse().unwrap()).collect()
    };
    let pages = browser.walk("webhooks/", "", reasons).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 20]);
    let moments: Vec<_> = pages.concat().iter().map(|number| number / 7).collect();
    assert!(moments.is_sorted_by(|one, next| one >= next), "{moments:?}");
    let refused = browser.walk("webhooks/", "?outcome=refused", reasons).await;
    assert_eq!(refused.iter().map(Vec::len).collect::<Vec<_>>(), [50, 10]);
}

async fn repairs(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "bob").await;
    assert!(browser.page("repairs/").await.contains("Nothing has to be repaired"));
    // What is not there any more is as it should be, and what is recorded stays.
    record(url, "gone/away", &DeletionReason::Unrecorded).await;
    let upload = app.create_upload(&json!({})).await;
    let kept = upload["cloudflare_id"].as_str().unwrap();
    record(url, kept, &DeletionReason::AnswerLost).await;
    record(url, "left", &DeletionReason::UploadLost).await;
    let html = browser.page("repairs/").await;
    for shown in
        ["3 repairs", "An image could not be recorded", "gone/away", "The last failure: <bdi>why</bdi>", "Waiting"]
    {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    let answer = browser.post("repairs/try/", &[("id", "gone/away")]).await;
    assert_eq!((answer.status, recorded(url).await.len()), (StatusCode::FORBIDDEN, 3));

    let answer = browser.submit("repairs/", "repairs/try/", &[("id", "gone/away")]).await;
    assert_eq!(leads_to(&answer), "repairs/?done=deleted");
    assert!(browser.page("repairs/?done=deleted").await.contains("It is gone at Cloudflare"));
    let answer = browser.submit("repairs/", "repairs/try/", &[("id", kept)]).await;
    assert_eq!(leads_to(&answer), "repairs/?done=kept");
    assert_eq!(app.at_emulator(kept).await, StatusCode::OK);

    let question = "repairs/give-up/?id=left";
    assert!(browser.page(question).await.contains("Give up this repair?"));
    assert_eq!(recorded(url).await.len(), 1, "to ask changes nothing");
    assert_eq!(browser.post("repairs/give-up/", &[("id", "left")]).await.status, StatusCode::FORBIDDEN);
    let answer = browser.submit(question, "repairs/give-up/", &[("id", "left")]).await;
    assert_eq!((leads_to(&answer), recorded(url).await.len()), ("repairs/?done=given-up", 0));
    let late = browser.submit("repairs/", "repairs/try/", &[("id", "left")]).await;
    assert_eq!(leads_to(&late), "repairs/?done=gone");
    for missing in [question, "repairs/give-up/", "repairs/give-up/?id=%00"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

async fn failing_repairs(engine: Engine) {
    let cloudflare = FakeCloudflare::start().await;
    let app = TestApp::builder().cloudflare(cloudflare.base_url.clone()).start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "bob").await;
    let (image, _) = ImageRow::default().insert(url).await;
    record(url, "left", &DeletionReason::Unrecorded).await;
    record(url, "img-1", &DeletionReason::IdUnsure).await;
    let marks = format!(
        "UPDATE cfimages_pending_deletions SET marks = '{{\"record\":\"{image}\"}}' WHERE cloudflare_id = 'img-1'"
    );
    sql::execute(url, &marks).await;
    cloudflare.has_draft("left");
    cloudflare.fail_with(400);
    let answer = browser.submit("repairs/", "repairs/try/", &[("id", "left")]).await;
    assert_eq!(leads_to(&answer), "repairs/?done=failed");
    let html = browser.page("repairs/?done=failed").await;
    for shown in
        ["Failed once", "400 Client Error: Bad Request", "notice bad", &format!("images/{image}/"), "next try <time"]
    {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    assert!(browser.page("repairs/give-up/?id=img-1").await.contains("Nobody will look for the image any more"));

    let due = "SELECT count(*) FROM cfimages_pending_deletions WHERE next_attempt_at > '2090-01-01'";
    let later = time(url, "2099-01-01");
    sql::execute(url, &format!("UPDATE cfimages_pending_deletions SET next_attempt_at = '{later}', attempts = 1"))
        .await;
    assert_eq!(sql::count(url, due).await, 2);
    let answer = browser.submit("repairs/", "repairs/try-all/", &[]).await;
    assert_eq!((leads_to(&answer), sql::count(url, due).await), ("repairs/?done=all", 0));

    // What Cloudflare may still be at is not tried before its time.
    record(url, "young", &DeletionReason::UploadLost).await;
    let html = browser.page("repairs/").await;
    assert!(html.contains("Try now: young"), "{html}");
    let wait =
        format!("UPDATE cfimages_pending_deletions SET next_attempt_at = '{later}' WHERE cloudflare_id = 'young'");
    sql::execute(url, &wait).await;
    let answer = browser.submit("repairs/", "repairs/try/", &[("id", "young")]).await;
    assert_eq!(leads_to(&answer), "repairs/?done=early");
    assert!(!browser.page("repairs/?done=early").await.contains("Try now: young"));
    leads_to(&browser.submit("repairs/", "repairs/give-up/", &[("id", "young")]).await);

    // What somebody is at is not taken away from them.
    sql::execute(url, &format!("UPDATE cfimages_pending_deletions SET claimed_until = '{later}'")).await;
    for action in ["try/", "give-up/"] {
        let busy = browser.submit("repairs/", &format!("repairs/{action}"), &[("id", "left")]).await;
        assert_eq!(leads_to(&busy), "repairs/?done=busy");
    }
    let html = browser.page("repairs/?done=busy").await;
    assert!(html.contains("Somebody is at it just now") && !html.contains("Give up:"));
    assert_eq!(html.matches("Being tried").count(), 2);
}

/// Writes entries into logs, numbered in their messages, a minute apart; the words for their events go round.
async fn insert_logs(url: &str, image: u32, count: u32, events: &[&str]) {
    for number in 0..count {
        let event = events[number as usize % events.len()];
        let at = time(url, &format!("2020-03-01T{:02}:{:02}:00", number / 60, number % 60));
        let row = format!(
            "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
             VALUES ('{event}', 'entry {number}.', '{{\"n\": {number}}}', '{at}', '{}')",
            key(image)
        );
        sql::execute(url, &row).await;
    }
}

fn entries(html: &str) -> Vec<u32> {
    html.split(">entry ").skip(1).map(|rest| rest.split('.').next().unwrap().parse().unwrap()).collect()
}

async fn logs(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    assert!(browser.page("logs/").await.contains("Nothing has happened yet"));
    let upload = app.create_upload(&json!({"filename": "lake.jpg"})).await;
    let html = browser.page("logs/").await;
    for shown in
        ["1 entry", "Upload URL handed out", "lake.jpg", &format!("images/{}/", upload["id"].as_str().unwrap())]
    {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    assert!(html.contains("(the upload URL)") && !html.contains(upload["upload_url"].as_str().unwrap()), "{html}");

    ImageRow::default().insert(url).await;
    insert_logs(url, 1, 4, &["status_checked", "of_django"]).await;
    let id = uuid::Uuid::from_u128(1);
    for (filter, found) in [
        ("event=status_checked", &[2, 0][..]),
        ("event=of_django", &[3, 1]),
        ("event=unknown", &[]),
        ("image=img-1", &[3, 2, 1, 0]),
        (&format!("image={id}"), &[3, 2, 1, 0]),
        (&format!("image={id}&event=of_django"), &[3, 1]),
        ("from=2020-03-01&to=2020-03-01", &[3, 2, 1, 0]),
        ("to=2020-02-29", &[]),
        ("from=2020-03-02", &[]),
        ("from=2020-03-01&message=ENTRY+2", &[2]),
        ("image=img-1&message=entry%25", &[]),
    ] {
        assert_eq!(entries(&browser.page(&format!("logs/?{filter}")).await), found, "{filter}");
    }
    for (filter, problem) in [
        ("message=entry", "“Message” needs an image or a first day beside it"),
        ("image=nobody", "There is no image nobody."),
        ("from=x", "“From” must be a day"),
    ] {
        let html = browser.page(&format!("logs/?{filter}")).await;
        assert!(html.contains(problem) && entries(&html).is_empty(), "{filter}: {html}");
    }
    assert!(browser.page("logs/").await.contains("<option value=\"of_django\">of django</option>"));
}

async fn log_pages(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    ImageRow::default().insert(url).await;
    insert_logs(url, 1, 105, &["a", "b", "b", "c"]).await;
    let pages = browser.walk("logs/", "", entries).await;
    assert_eq!(pages.concat(), (0..105).rev().collect::<Vec<_>>());
    assert_eq!(pages.len(), 3);
    let pages = browser.walk("logs/", "?event=b", entries).await;
    assert_eq!(pages.concat(), (0..105).rev().filter(|number| matches!(number % 4, 1 | 2)).collect::<Vec<_>>());
    assert_eq!(pages.len(), 2);
}

async fn usages(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    assert!(browser.page("usages/").await.contains("No content refers to an image"));
    for number in [1, 2] {
        ImageRow { number, ..ImageRow::default() }.insert(url).await;
    }
    sql::execute(url, "UPDATE cloudflare_images SET original_filename = 'lake.jpg' WHERE cloudflare_id = 'img-1'")
        .await;
    insert_usage(url, 1, "shop.product", "7", "hero", "field").await;
    insert_usage(url, 2, "shop.product", "8", "manual", "manual").await;
    insert_usage(url, 2, "blog.post", "img-1", "cover", "field").await;
    sql::execute(
        url,
        "UPDATE cloudflare_image_usages SET image_id = NULL, cloudflare_id = 'lost' WHERE object_id = '8'",
    )
    .await;
    let html = browser.page("usages/").await;
    for shown in ["3 references", "lake.jpg", "Not recorded here", "kept by Django", "recorded by an application"] {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    let record = uuid::Uuid::from_u128(2);
    let objects = |html: &str| -> Vec<String> {
        let titles = html.split("line-title\">").skip(1);
        titles.map(|rest| rest.split_once("<bdi>").unwrap().1.split('<').next().unwrap().to_owned()).collect()
    };
    for (filter, found) in [
        ("images=unregistered", &["8"][..]),
        ("images=registered", &["img-1", "7"]),
        ("content=shop.product", &["8", "7"]),
        ("content=shop.nothing", &[]),
        ("id=lost", &["8"]),
        ("id=img-1", &["img-1", "7"]),
        (&format!("id={record}"), &["img-1"]),
        ("id=7&images=unregistered", &[]),
    ] {
        assert_eq!(objects(&browser.page(&format!("usages/?{filter}")).await), found, "{filter}");
    }
    for number in 100..205 {
        insert_usage(url, 1, "shop.product", &number.to_string(), "hero", "field").await;
    }
    let pages = browser.walk("usages/", "?content=shop.product", objects).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 7]);
    assert_eq!((pages[0][0].as_str(), pages[2][6].as_str()), ("204", "7"));
}

async fn hostile_texts(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let hostile = "<script>alert(1)</script>\"<img src=x onerror=alert(1)>\u{202e}gpj\u{200b}";
    ImageRow::default().insert(url).await;
    sql::execute(url, &format!("UPDATE cloudflare_images SET original_filename = '{hostile}'")).await;
    insert_usage(url, 1, "shop.product", hostile, hostile, "field").await;
    record(url, hostile, &DeletionReason::Unrecorded).await;
    sql::execute(url, &format!("UPDATE cfimages_pending_deletions SET last_error = '{hostile}', reason = '{hostile}'"))
        .await;
    let value = hostile.replace('"', "\\\"");
    let data =
        format!("'{{\"{value}\": \"{value}{}\"}}'{}", "w".repeat(10_000), if is_sqlite(url) { "" } else { "::jsonb" });
    let log = format!(
        "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
         VALUES ('<script>', '{hostile}', {data}, '{}', '{}')",
        time(url, "2020-01-01"),
        key(1)
    );
    sql::execute(url, &log).await;
    let delivery = WebhookDelivery {
        received_at: Timestamp::from_micros(0),
        form: WebhookForm::Unknown,
        proof: WebhookProof::None,
        outcome: WebhookOutcome::Refused,
        status: 400,
        reason: hostile.to_owned(),
        cloudflare_id: Some(CloudflareId::new(hostile)),
        client: Some(hostile.to_owned()),
        body: format!("{{\"{value}\": [\"{value}\""),
    };
    let (database, digest) = (connect(url).await, DeliveryDigest::random());
    let mut transaction = database.begin().await.unwrap();
    store::webhook_deliveries::insert(&mut transaction, &delivery, &digest).await.unwrap();
    transaction.commit().await.unwrap();
    let query = encode(&[("q", hostile)]).split_once('=').unwrap().1.to_owned();
    let detail = format!("webhooks/{digest}/");
    let question = format!("repairs/give-up/?id={query}");
    let filters =
        LISTS.map(|list| format!("{list}?image={query}&id={query}&outcome={query}&images={query}&event={query}"));
    for page in LISTS.iter().copied().chain([detail.as_str(), &question]).chain(filters.iter().map(String::as_str)) {
        let html = browser.page(page).await;
        assert!(!html.contains("<script>") && !html.contains("<img src=x"), "{page}");
        let texts: String = html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        assert!(!texts.contains('\u{202e}') && !texts.contains('\u{200b}'), "{page}");
    }
    let answer = browser.submit("repairs/", "repairs/give-up/", &[("id", hostile)]).await;
    assert_eq!((leads_to(&answer), recorded(url).await.len()), ("repairs/?done=given-up", 0));
}

async fn broken_addresses(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    for list in LISTS {
        for place in ["after=x", "before=WyJsb2dzIiwxXQ", "after=%00", "after=W10"] {
            assert_eq!(browser.get(&format!("{list}?{place}")).await.status, StatusCode::BAD_REQUEST, "{list} {place}");
        }
        // Names of filters that a list does not have say nothing.
        browser.page(&format!("{list}?nothing=x&done=x")).await;
    }
    for (page, problem) in [
        ("webhooks/?outcome=x", "“Outcome” is none of those that there are."),
        ("webhooks/?form=%00", "“Form” is too long, or holds what no text holds."),
        ("usages/?images=x", "“Images” is none of those that there are."),
        ("usages/?content=x", "“Content” must be an application and a model"),
    ] {
        assert!(browser.page(page).await.contains(problem), "{page}");
    }
}

async fn waiting_uploads(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    assert!(!browser.page("repairs/").await.contains("asked about again"));
    insert_images(url, 23, "draft").await;
    for number in 1..=23 {
        let next = time(url, &format!("2099-01-01T00:{:02}:00", number / 2));
        let row = format!(
            "INSERT INTO cfimages_polls (image_id, next_poll_at, attempts, claimed_until, last_error) \
             VALUES ('{}', '{next}', {}, NULL, 'why {number} <b>')",
            key(number),
            number % 3
        );
        sql::execute(url, &row).await;
    }
    let numbers = |html: &str| -> Vec<u32> {
        html.split("why ").skip(1).map(|rest| rest.split(' ').next().unwrap().parse().unwrap()).collect()
    };
    let html = browser.page("repairs/").await;
    assert!(html.contains("Nothing has to be repaired") && html.contains("next look"), "{html}");
    assert!(html.contains("asked 1 time ") && html.contains("asked 2 times ") && !html.contains("<b>"), "{html}");
    assert_eq!(numbers(&html), (1..=20).collect::<Vec<_>>());
    let more = html.split_once("href=\"?uploads=").unwrap().1.split('#').next().unwrap().to_owned();
    let html = browser.page(&format!("repairs/?uploads={more}")).await;
    assert_eq!(numbers(&html), [21, 22, 23]);
    assert!(html.contains("The first") && !html.contains("href=\"?uploads="), "{html}");
    assert_eq!(browser.get("repairs/?uploads=x").await.status, StatusCode::BAD_REQUEST);
}

/// PostgreSQL holds no text with a null character, and tells so of any that is bound.
async fn null_characters(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::of_superuser(&app, "alice").await;
    let place = PendingPlace { created_at: "2026-01-01".parse().unwrap(), cloudflare_id: "a\0".to_owned() };
    let repair = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&("repairs", place)).unwrap());
    let user = URL_SAFE_NO_PAD.encode(br#"["users",{"username":"a\u0000","id":"1"}]"#);
    let delivery = URL_SAFE_NO_PAD.encode(br#"["webhooks",["2026-01-01T00:00:00Z","\u0000"]]"#);
    for (list, place) in [("repairs/", repair), ("users/", user), ("webhooks/", delivery)] {
        for direction in ["after", "before"] {
            let answer = browser.get(&format!("{list}?{direction}={place}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{list} {direction}");
        }
    }
    for (page, names) in [
        (
            "images/",
            "q status privacy usage owner creator from to up-from up-to end-from end-to min max sort per view after done",
        ),
        ("images/export.csv", "q owner creator status"),
        ("logs/", "event image from to message before"),
        ("usages/", "images content id after"),
        ("webhooks/", "outcome form after"),
        ("webhooks/%00/", "x"),
        ("repairs/", "after done"),
        ("repairs/give-up/", "id"),
        ("runs/", "before"),
        ("runs/%00/", "x"),
        ("users/", "q who after"),
        ("users/%00/", "x"),
        ("upload/", "image failed"),
        ("workbench/", "image variant w url"),
        ("images/%00/", "x"),
        ("sign-in/", "next"),
    ] {
        for name in names.split(' ') {
            let answer = browser.get(&format!("{page}?{name}=a%00b&image=%00")).await;
            assert!(!answer.status.is_server_error(), "{page} {name}: {}", answer.text);
        }
    }
}

async fn strangers(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::new(&app);
    record(app.database_url.as_str(), "left", &DeletionReason::Unrecorded).await;
    for page in LISTS.iter().copied().chain(["webhooks/x/", "repairs/give-up/?id=left"]) {
        assert!(leads_to(&browser.get(page).await).starts_with("sign-in/"), "{page}");
    }
    for page in ["repairs/try/", "repairs/try-all/", "repairs/give-up/"] {
        assert!(leads_to(&browser.post(page, &[("id", "left")]).await).starts_with("sign-in/"), "{page}");
    }
    assert_eq!(recorded(app.database_url.as_str()).await.len(), 1);
}
