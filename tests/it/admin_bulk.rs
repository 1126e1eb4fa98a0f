//! The admin's pages about what is done with many images at once.

use std::sync::Arc;

use cfimages::app::SystemClock;
use cfimages::config::settings;
use cfimages::domain::{Clock, ManualClock};
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::admin::{Browser, leads_to, make_staff};
use crate::support::app::{Answer, TestApp};
use crate::support::rows::{ImageRow, insert_images, insert_usage, key};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_bulk::staff_are_told_what_will_happen_to_how_many_before_it_does", asked);
    suite.on_both_engines("admin_bulk::a_run_tells_how_far_it_is_and_is_stopped", run_page);
    suite.on_both_engines("admin_bulk::images_that_come_after_the_question_are_left_alone", later_images);
    suite.on_both_engines("admin_bulk::what_is_wrong_is_told_and_what_was_typed_stays", problems);
    suite.on_both_engines("admin_bulk::nothing_begins_without_a_form_of_ours", forgeries);
    suite.on_both_engines("admin_bulk::hostile_texts_stay_texts", hostile_texts);
    suite.on_both_engines("admin_bulk::older_runs_are_on_further_pages", pages);
}

const RUNS: &str = "SELECT count(*) FROM cfimages_bulk_runs";

async fn ask(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> Answer {
    browser.submit("runs/", "images/bulk/", fields).await
}

async fn start(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> Answer {
    browser.submit("runs/", "images/bulk/start/", fields).await
}

/// What was recorded of the latest run.
async fn latest(app: &TestApp, column: &str) -> String {
    let latest = format!("SELECT {column} FROM cfimages_bulk_runs ORDER BY id DESC LIMIT 1");
    sql::text(app.database_url.as_str(), &latest).await
}

async fn asked(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    insert_images(url, 12, "uploaded").await;
    insert_usage(url, 3, "shop.product", "7", "hero", "field").await;
    sql::execute(url, "UPDATE cloudflare_images SET status = 'pending' WHERE cloudflare_id = 'img-1'").await;
    let list = browser.page("images/").await;
    assert_eq!(list.matches("name=\"image\"").count(), 12);
    let one = uuid::Uuid::from_u128(3).to_string();
    for (fields, title, used) in [
        (&[("action", "delete"), ("scope", "all"), ("list", "")][..], "Delete 12 images?", true),
        (&[("action", "delete"), ("scope", "all"), ("list", "?status=pending")], "Delete 1 image?", false),
        (&[("action", "make-private"), ("image", &one)], "Make 1 image private?", true),
        (&[("action", "check-status"), ("scope", "all"), ("list", "?q=img-1")], "Check the status of 4 images?", false),
        (&[("action", "refresh"), ("scope", "all")], "Check the status of 1 image?", false),
        (&[("action", "mark-expired"), ("scope", "all")], "Mark 1 image as expired?", false),
    ] {
        let page = ask(&mut browser, fields).await;
        assert_eq!(page.status, StatusCode::OK, "{title}");
        assert!(page.text.contains(&format!("<h1>{title}</h1>")), "{title}: {}", page.text);
        assert_eq!(page.text.contains("Content uses 1 of them."), used, "{title}");
    }
    for fields in [&[("action", "delete"), ("scope", "chosen")][..], &[("action", "mark-expired"), ("image", &one)]] {
        let page = ask(&mut browser, fields).await;
        assert!(page.text.contains("There is no image to do that with"), "{fields:?}: {}", page.text);
    }
    assert_eq!(sql::count(url, RUNS).await, 0, "asking changes nothing");

    let delete = [("action", "delete"), ("scope", "all"), ("list", "?status=uploaded"), ("understood", "yes")];
    for also_used in [false, true] {
        let mut fields = delete.to_vec();
        if also_used {
            fields.push(("also-used", "yes"));
        }
        let answer = start(&mut browser, &fields).await;
        assert_eq!(leads_to(&answer), format!("runs/{}/", latest(&app, "CAST(id AS text)").await));
        let selection: Value = serde_json::from_str(&latest(&app, "selection").await).unwrap();
        assert_eq!(selection["query"]["filter"]["status"], "uploaded");
        assert_eq!(selection["query"]["filter"]["orphaned"], !also_used);
        assert_eq!(selection["list"], "?status=uploaded");
        let action: Value = serde_json::from_str(&latest(&app, "action").await).unwrap();
        assert_eq!(action, serde_json::json!({"delete": {"force": also_used}}));
        assert_eq!(latest(&app, "username").await, "alice");
    }
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_images").await, 12, "the job does that");
}

async fn run_page(engine: Engine) {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .clock(clock.clone())
        .start(&engine)
        .await;
    let url = app.database_url.as_str();
    insert_images(url, 3, "pending").await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let answer = start(&mut browser, &[("action", "refresh"), ("scope", "all"), ("list", "?owner=alice")]).await;
    let page = leads_to(&answer).to_owned();
    let html = browser.page(&page).await;
    assert!(html.contains("Waiting") && html.contains("http-equiv=\"refresh\"") && html.contains("every 2s"), "{html}");
    assert!(html.contains("<span class=\"quiet\">Owner:</span> <bdi>alice</bdi>"), "{html}");
    let no_server = "no server does this work";
    assert!(!html.contains(no_server));
    clock.advance(61);
    assert!(browser.page(&page).await.contains(no_server));
    sql::execute(
        url,
        "UPDATE cfimages_bulk_runs SET state = 'running', total = 1200, done = 300, last_error = 'It rains.'",
    )
    .await;
    let html = browser.page(&page).await;
    assert!(html.contains("value=\"300\" max=\"1200\"") && html.contains("300 of 1,200"), "{html}");
    assert!(html.contains("It rains. It goes on by itself") && !html.contains(no_server), "{html}");

    let answer = browser.submit(&page, &format!("{page}stop/"), &[]).await;
    assert_eq!(leads_to(&answer), page);
    let html = browser.page(&page).await;
    assert!(html.contains("Stopped") && html.contains("alice stopped it."), "{html}");
    assert!(
        !html.contains("http-equiv=\"refresh\"") && !html.contains("every 2s") && !html.contains("/stop/"),
        "{html}"
    );
    assert!(browser.page("runs/").await.contains("Check the status of 1,200 images"));

    let failure = format!(
        "INSERT INTO cfimages_bulk_failures (run_id, image_id, name, message) SELECT id, '{}', 'lake.jpg', 'It is gone.' FROM cfimages_bulk_runs",
        key(2)
    );
    sql::execute(url, &failure).await;
    sql::execute(url, "UPDATE cfimages_bulk_runs SET failed = 1").await;
    let html = browser.page(&page).await;
    assert!(html.contains("<bdi>lake.jpg</bdi>") && html.contains("It is gone."), "{html}");
    let again = browser.submit(&page, &format!("{page}retry/"), &[]).await;
    assert_ne!(leads_to(&again), page);
    let selection: Value = serde_json::from_str(&latest(&app, "selection").await).unwrap();
    assert_eq!(selection["query"]["filter"]["ids"], serde_json::json!([uuid::Uuid::from_u128(2).to_string()]));
    for missing in ["runs/999/", "runs/x/"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

async fn later_images(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    ImageRow { created_at: "2026-01-01T00:00:00.5Z", ..ImageRow::default() }.insert(url).await;
    let asked = ask(&mut browser, &[("action", "check-status"), ("scope", "all")]).await;
    let until = asked.text.split_once("name=\"until\" value=\"").unwrap().1.split('"').next().unwrap();
    let is_now = SystemClock.now().as_micros() - until.parse::<i64>().unwrap();
    assert!((0..60_000_000).contains(&is_now), "{until}");
    for (until, bound) in [("1767225600500000", "2026-01-01T00:00:00.500001Z"), ("1", "1970-01-01T00:00:00.000002Z")] {
        start(&mut browser, &[("action", "check-status"), ("scope", "all"), ("until", until)]).await;
        let selection: Value = serde_json::from_str(&latest(&app, "selection").await).unwrap();
        assert_eq!(selection["query"]["created_before"], bound);
    }
    // Nobody can promise what is to come.
    start(&mut browser, &[("action", "check-status"), ("scope", "all"), ("until", "9000000000000000")]).await;
    let selection: Value = serde_json::from_str(&latest(&app, "selection").await).unwrap();
    assert!(selection["query"]["created_before"].as_str().unwrap() < "2200");
}

async fn problems(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    insert_images(url, 2, "uploaded").await;
    let edit = [("action", "edit-metadata"), ("scope", "all")];
    for (set, remove, problem) in [
        ("", " \n", "Name keys to set or to remove."),
        ("{\"a\": }", "", "The keys to set are no JSON"),
        ("[1]", "", "are to be an object"),
    ] {
        let page = start(&mut browser, &[&edit[..], &[("set", set), ("remove", remove)]].concat()).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{set}");
        assert!(page.text.contains(problem), "{set}: {}", page.text);
        assert!(page.text.contains(&format!(">{}</textarea>", set.replace('"', "&#34;"))), "{set}: {}", page.text);
    }
    let page = start(&mut browser, &[("action", "delete"), ("scope", "all")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("Tick that you know what will happen."), "{}", page.text);
    let page = start(&mut browser, &[("action", "check-status"), ("scope", "all"), ("list", "?owner=zoe")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("There is no user zoe."), "{}", page.text);
    for fields in [&[("action", "explode")][..], &[], &[("action", "delete"), ("image", "x")]] {
        assert_eq!(ask(&mut browser, fields).await.status, StatusCode::BAD_REQUEST, "{fields:?}");
    }
    assert_eq!(sql::count(url, RUNS).await, 0);

    start(&mut browser, &[&edit[..], &[("set", "{\"a\": 1.50}"), ("remove", "b\r\n  c  \n")]].concat()).await;
    let action: Value = serde_json::from_str(&latest(&app, "action").await).unwrap();
    assert_eq!(action["edit"]["metadata"]["merge"]["without"], serde_json::json!(["b", "c"]));
    let html = browser.page(&format!("runs/{}/", latest(&app, "CAST(id AS text)").await)).await;
    assert!(html.contains("&#34;a&#34;: 1.5\n") && html.contains("<code class=\"break\">c</code>"), "{html}");
}

async fn forgeries(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    insert_images(url, 2, "pending").await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let fields = [("action", "refresh"), ("scope", "all")];
    start(&mut browser, &fields).await;
    for page in ["images/bulk/", "images/bulk/start/", "runs/1/stop/", "runs/1/retry/"] {
        assert_eq!(browser.post(page, &fields).await.status, StatusCode::FORBIDDEN, "{page}");
        let stranger = Browser::new(&app).post(page, &fields).await;
        assert!(leads_to(&stranger).starts_with("sign-in/"), "{page}");
    }
    make_staff(&app, "bob").await;
    sql::execute(url, "UPDATE auth_user SET is_staff = false WHERE username = 'bob'").await;
    for page in ["images/bulk/", "runs/", "runs/1/"] {
        let stranger = Browser::new(&app).get(page).await;
        assert!(leads_to(&stranger).starts_with("sign-in/?next="), "{page}");
    }
    assert_eq!(leads_to(&browser.get("images/bulk/").await), "images/");
    assert_eq!(sql::count(url, RUNS).await, 1);
    assert_eq!(latest(&app, "state").await, "waiting");
}

async fn hostile_texts(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let hostile = "<script>alert(1)</script>\"'<img src=x onerror=alert(1)>\u{202e}gpj\u{200b}";
    ImageRow::default().insert(url).await;
    let quoted = hostile.replace('\'', "''");
    sql::execute(url, &format!("UPDATE cloudflare_images SET original_filename = '{quoted}', creator = '{quoted}'"))
        .await;
    let query = percent_encoding::utf8_percent_encode(hostile, percent_encoding::NON_ALPHANUMERIC);
    let set = serde_json::json!({ hostile: hostile }).to_string();
    let list = format!("?creator={query}");
    let fields =
        [("action", "edit-metadata"), ("scope", "all"), ("list", list.as_str()), ("set", &set), ("remove", hostile)];
    let asked = ask(&mut browser, &fields).await.text;
    leads_to(&start(&mut browser, &fields).await);
    let failure = format!(
        "INSERT INTO cfimages_bulk_failures (run_id, image_id, name, message) SELECT id, '{}', '{quoted}', '{quoted}' FROM cfimages_bulk_runs",
        key(1)
    );
    sql::execute(url, &failure).await;
    let change = format!("UPDATE cfimages_bulk_runs SET failed = 1, username = '{quoted}', last_error = '{quoted}'");
    sql::execute(url, &change).await;
    let run = browser.page(&format!("runs/{}/", latest(&app, "CAST(id AS text)").await)).await;
    let runs = browser.page("runs/").await;
    for html in [asked, run, runs] {
        assert!(html.contains("U+202E"), "{html}");
        assert!(!html.contains("<script>") && !html.contains("<img src=x"), "{html}");
        // What is in an attribute or a field to type in stays as it is.
        let html = html.split("</textarea>").filter_map(|part| part.split("<textarea").next()).collect::<String>();
        let texts: String = html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        assert!(!texts.contains('\u{202e}') && !texts.contains('\u{200b}'), "{texts}");
    }
}

async fn pages(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    assert!(browser.page("runs/").await.contains("No runs yet"));
    for _ in 0..30 {
        start(&mut browser, &[("action", "refresh"), ("scope", "all")]).await;
    }
    let runs_on = |html: &str| html.matches("class=\"line-title\"").count();
    let first = browser.page("runs/").await;
    assert_eq!(runs_on(&first), 25);
    let older = first.split_once("rel=\"next\" href=\"").unwrap().1.split('"').next().unwrap();
    let second = browser.page(&format!("runs/{older}")).await;
    assert_eq!(runs_on(&second), 5);
    assert!(!second.contains("rel=\"next\""), "{second}");
    assert!(browser.page("runs/?before=0").await.contains("There are no older runs"));
    assert_eq!(browser.get("runs/?before=x").await.status, StatusCode::BAD_REQUEST);
}
