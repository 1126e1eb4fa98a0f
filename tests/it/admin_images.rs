//! The admin's pages about images.

use std::sync::Arc;
use std::time::Duration;

use cfimages::app::SystemClock;
use cfimages::config::settings;
use cfimages::domain::{BrowseBy, BrowseFrom, BrowseOrder, Clock, ImageFilter, ImageQuery, ManualClock};
use cfimages::store;
use reqwest::StatusCode;
use serde_json::json;
use sqlx::Connection;

use crate::support::admin::{Browser, leads_to, link};
use crate::support::app::{ACCOUNT_HASH, Answer, SIGNING_KEY, TestApp, connect, migrated_database};
use crate::support::rows::{ImageRow, insert_images, insert_usage, key};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_images::each_filter_finds_what_it_says", filters);
    suite.on_both_engines("admin_images::years_lead_to_months_and_days_that_have_images", dates);
    suite.on_postgres("admin_images::a_name_of_several_users_is_a_problem_of_the_filter", ambiguous_owner);
    suite.on_both_engines("admin_images::a_search_that_takes_too_long_leaves_the_connection_as_it_was", slow_searches);
    suite.on_postgres("admin_images::searches_wait_for_one_another_and_leave_the_rest_alone", busy_searches);
    suite.on_both_engines("admin_images::pages_meet_without_gaps_in_every_order_and_back", pages);
    suite.on_both_engines("admin_images::the_number_is_told_where_it_is_known", numbers);
    suite.on_both_engines("admin_images::the_view_is_remembered", view);
    suite.on_both_engines("admin_images::fifty_rows_are_small", size_of_page);
    suite.on_both_engines("admin_images::an_image_shows_all_that_is_known_of_it", detail);
    suite.on_both_engines("admin_images::of_many_uses_and_entries_the_latest_are_shown", many_lines);
    suite.on_both_engines("admin_images::private_pictures_are_signed", private_pictures);
    suite.on_both_engines("admin_images::an_upload_url_is_shown_while_it_is_good", upload_urls);
    suite.on_both_engines("admin_images::a_check_is_logged_with_who_made_it", checks);
    suite.on_both_engines("admin_images::hostile_texts_stay_texts", hostile_texts);
    suite.on_both_engines("admin_images::the_dashboard_tells_how_the_site_is_doing", dashboard);
    suite.on_both_engines("admin_images::nobody_sees_anything_without_signing_in", strangers);
}

/// The keys of the images of a page, in its order, by their numbers.
fn numbers_on(html: &str) -> Vec<u128> {
    let keys = html.split("href=\"").skip(1).filter_map(|rest| uuid::Uuid::try_parse(rest.get(..36)?).ok());
    let mut numbers: Vec<_> = keys.map(|key| key.as_u128()).collect();
    numbers.dedup();
    numbers
}

async fn filters(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let statuses = ["uploaded", "pending", "draft", "failed", "expired"];
    for (number, status) in (1..).zip(statuses) {
        let created_at = format!("2020-01-0{number}T12:00:00");
        ImageRow { number, status, created_at: &created_at, ..ImageRow::default() }.insert(url).await;
    }
    for change in [
        "expires_at = '2098-12-31 23:59:59+00:00' WHERE cloudflare_id = 'img-4'",
        "uploaded_at = '2020-05-01 23:59:59+00:00' WHERE cloudflare_id = 'img-1'",
        "require_signed_urls = false, file_size = 5000, original_filename = 'Sunset 100%.JPG' WHERE cloudflare_id = 'img-1'",
        "user_id = 2, creator = 'studio', file_size = 1000 WHERE cloudflare_id = 'img-2'",
        "user_id = NULL, filename = 'under_score.png' WHERE cloudflare_id = 'img-3'",
    ] {
        sql::execute(url, &format!("UPDATE cloudflare_images SET {change}")).await;
    }
    insert_usage(url, 4, "shop.product", "7", "hero", "field").await;
    let id = uuid::Uuid::from_u128(3).to_string();
    let id = format!("q={id}");
    for (query, found) in [
        ("", &[5, 4, 3, 2, 1][..]),
        ("status=failed", &[4]),
        ("privacy=public", &[1]),
        ("privacy=private&status=draft", &[3]),
        ("usage=used", &[4]),
        ("usage=orphaned", &[5, 3, 2, 1]),
        ("owner=bob", &[2]),
        ("owner=alice&status=pending", &[]),
        ("creator=studio", &[2]),
        ("creator=stud", &[]),
        ("variants=yes", &[]),
        ("variants=no&status=draft", &[3]),
        ("from=2020-01-02&to=2020-01-03", &[3, 2]),
        ("to=2020-01-01", &[1]),
        ("up-from=2020-05-01&up-to=2020-05-01", &[1]),
        ("up-from=2020-05-02", &[]),
        ("end-from=2099-01-01&end-to=2099-01-01", &[5, 3, 2, 1]),
        ("end-to=2098-12-31", &[4]),
        ("min=1&max=4", &[2]),
        ("min=5", &[1]),
        ("q=sunset", &[1]),
        ("q=100%25+sun", &[1]),
        ("q=r_s", &[3]),
        ("q=IMG-5", &[5]),
        ("q=studio", &[2]),
        ("q=nothing", &[]),
        (&id, &[3]),
        ("q=%27+OR+1%3D1+--", &[]),
        ("sort=largest", &[1, 2, 5, 4, 3]),
        ("sort=smallest", &[3, 4, 5, 2, 1]),
        ("sort=oldest", &[1, 2, 3, 4, 5]),
    ] {
        let html = browser.page(&format!("images/?{query}")).await;
        assert_eq!(numbers_on(&html), found, "{query}");
    }
    for (query, problem) in [
        ("status=lost", "“Status” is none of those that there are."),
        ("owner=zoe", "There is no user zoe."),
        ("from=yesterday&min=x", "“Created from” must be a day"),
        ("q=%00", "“Search” is too long, or holds what no text holds."),
    ] {
        let html = browser.page(&format!("images/?{query}")).await;
        assert!(html.contains(problem) && numbers_on(&html).is_empty(), "{query}: {html}");
    }
    for place in ["after=x", "before=AAAA", "after=%00", "after=AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA&sort=largest"] {
        assert_eq!(browser.get(&format!("images/?{place}")).await.status, StatusCode::BAD_REQUEST, "{place}");
    }
}

async fn dates(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    assert!(!browser.page("images/").await.contains("Days of creation"));
    for (number, created_at) in (1..).zip(["2019-12-31T23:59:59", "2020-03-01", "2020-03-31", "2022-03-01"]) {
        ImageRow { number, created_at, ..ImageRow::default() }.insert(url).await;
    }
    for (query, found, steps) in [
        ("", &[4, 3, 2, 1][..], "Created in 2019 2020 2022"),
        ("from=2020-01-01&to=2020-12-31", &[3, 2], "All days 2020 Mar"),
        ("from=2020-03-01&to=2020-03-31", &[3, 2], "All days 2020 March 1 31"),
        ("from=2020-03-31&to=2020-03-31", &[3], "All days 2020 March 31"),
        ("from=2021-01-01&to=2021-12-31", &[], "All days 2021"),
        ("from=2020-01-02&to=2020-12-30&status=uploaded", &[3, 2], "Created in 2019 2020 2022"),
    ] {
        let html = browser.page(&format!("images/?{query}")).await;
        assert_eq!(numbers_on(&html), found, "{query}");
        let nav = html.split_once("<nav class=\"dates\"").unwrap().1.split_once("</nav>").unwrap().0;
        let texts: Vec<_> =
            nav.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text.trim()).collect();
        let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty() && *text != "›").collect();
        assert_eq!(texts.join(" "), steps, "{query}");
    }
    let html = browser.page("images/?from=2020-03-01&to=2020-03-31&status=uploaded&sort=oldest").await;
    let month = "?status=uploaded&#38;sort=oldest&#38;from=2020%2D03%2D31&#38;to=2020%2D03%2D31";
    assert!(html.contains(month), "{html}");
}

async fn ambiguous_owner(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    sql::execute(url, "ALTER TABLE auth_user DROP CONSTRAINT auth_user_username_key").await;
    sql::execute(url, "UPDATE auth_user SET username = 'same' WHERE username <> 'alice'").await;
    let html = browser.page("images/?owner=same").await;
    assert!(html.contains("Several users have the name same."), "{html}");
}

async fn slow_searches(engine: Engine) {
    let url = migrated_database(&engine).await;
    insert_images(url.as_str(), 5000, "uploaded").await;
    // There is one connection.
    let database = connect(url.as_str()).await;
    let filter = ImageFilter { terms: vec!["nothing".to_owned()], ..ImageFilter::default() };
    let query = ImageQuery { filter, ..ImageQuery::default() };
    for _ in 0..2 {
        let hurried = database.within(Duration::ZERO);
        let order = BrowseOrder { by: BrowseBy::FileSize, descending: true };
        let given_up = store::browsing::list(&hurried, &query, order, BrowseFrom::Start, 1).await.unwrap_err();
        assert!(given_up.is_statement_timeout(), "{given_up}");
        let given_up = store::browsing::count_up_to(&hurried, &query, 9).await.unwrap_err();
        assert!(given_up.is_statement_timeout(), "{given_up}");
        let (found, order) = (ImageQuery::default(), BrowseOrder::NEWEST_FIRST);
        assert_eq!(store::browsing::list(&database, &found, order, BrowseFrom::Start, 7).await.unwrap().len(), 7);
        assert_eq!(store::browsing::count_up_to(&database, &query, 9).await.unwrap(), 0);
    }
}

async fn busy_searches(engine: Engine) {
    let app = TestApp::builder().set(&settings::CFIMAGES_DB_MAX_CONNECTIONS, "4").start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    ImageRow::default().insert(url).await;
    let database = connect(url).await;
    let mut lock = sqlx::PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE cloudflare_images IN ACCESS EXCLUSIVE MODE").execute(&mut lock).await.unwrap();
    let searches: Vec<_> = ["q=img", "sort=largest"]
        .map(|query| tokio::spawn(Answer::of(browser.request(reqwest::Method::GET, &format!("images/?{query}")))))
        .into();
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    eventually("two searches wait", async || (sql::count(url, waiting).await >= 2).then_some(())).await;
    let refused = browser.page("images/?q=img").await;
    assert!(refused.contains("Too many searches are going on at the moment."), "{refused}");
    assert!(browser.page("sessions/").await.contains("This browser"), "there are connections left");

    let (query, order, from) = (ImageQuery::default(), BrowseOrder::NEWEST_FIRST, BrowseFrom::Start);
    let hurried = database.within(Duration::from_millis(50));
    let given_up = store::browsing::list(&hurried, &query, order, from, 1).await.unwrap_err();
    assert!(given_up.is_statement_timeout(), "{given_up}");
    sqlx::raw_sql("COMMIT").execute(&mut lock).await.unwrap();
    assert_eq!(store::browsing::list(&database, &query, order, from, 1).await.unwrap().len(), 1);
    for search in searches {
        assert!(search.await.unwrap().text.contains("img-1"));
    }
}

async fn pages(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    // Many were made at the same time, and of many nothing is known, so that ties are everywhere.
    insert_images(url, 110, "uploaded").await;
    sql::execute(url, "UPDATE cloudflare_images SET file_size = length(cloudflare_id) WHERE cloudflare_id LIKE '%5'")
        .await;
    sql::execute(url, "UPDATE cloudflare_images SET uploaded_at = created_at WHERE cloudflare_id LIKE '%7'").await;
    for sort in ["newest", "oldest", "uploaded", "uploaded-first", "largest", "smallest"] {
        let mut forward = Vec::new();
        let mut page = format!("images/?per=25&sort={sort}");
        let mut way = vec![page.clone()];
        loop {
            let html = browser.page(&page).await;
            forward.push(numbers_on(&html));
            let Some(next) = link(&html, "next") else { break };
            page = format!("images/{next}");
            way.push(page.clone());
        }
        let mut all: Vec<_> = forward.concat();
        assert_eq!(forward.iter().map(Vec::len).collect::<Vec<_>>(), [25, 25, 25, 25, 10], "{sort}");
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 110, "{sort}");

        let mut backward = vec![forward.last().unwrap().clone()];
        let mut html = browser.page(way.last().unwrap()).await;
        while let Some(previous) = link(&html, "prev") {
            html = browser.page(&format!("images/{previous}")).await;
            backward.push(numbers_on(&html));
        }
        backward.reverse();
        assert_eq!(backward, forward, "{sort}");
    }
    let first = browser.page("images/?per=25&privacy=private").await;
    let next = link(&first, "next").unwrap();
    sql::execute(url, "DELETE FROM cloudflare_images").await;
    let html = browser.page(&format!("images/{next}")).await;
    assert!(html.contains("There is nothing on this page any more"), "{html}");
    assert!(!html.contains("Nothing fits") && !html.contains("No images yet"), "{html}");
}

async fn numbers(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    assert!(browser.page("images/").await.contains("No images yet"));
    insert_images(url, 1060, "uploaded").await;
    sql::execute(url, "UPDATE cloudflare_images SET status = 'failed' WHERE cloudflare_id = 'img-7'").await;
    for (query, count) in [
        ("", "1,060 images"),
        ("status=uploaded", "1,059 images"),
        ("status=failed", "1 image"),
        ("owner=alice&status=uploaded&privacy=private", "1,059 images"),
        ("owner=bob", "0 images"),
        ("q=img", "Many images"),
        ("q=img-100&per=25", "11 images"),
        ("q=nothing", "0 images"),
    ] {
        let html = browser.page(&format!("images/?{query}")).await;
        let told = html.split_once("id=\"count\"").unwrap().1.split_once('>').unwrap().1.split('<').next().unwrap();
        assert_eq!(told, count, "{query}");
    }
}

async fn view(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    ImageRow::default().insert(app.database_url.as_str()).await;
    let is_table = |html: &str| html.contains("<table");
    assert!(!is_table(&browser.page("images/").await));
    assert!(is_table(&browser.page("images/?view=table").await));
    assert!(is_table(&browser.page("images/").await));
    assert!(is_table(&browser.page("images/?view=x").await));
    assert!(!is_table(&browser.page("images/?view=gallery").await));
    assert!(!is_table(&browser.page("images/").await));
}

async fn size_of_page(engine: Engine) {
    let app = TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, SIGNING_KEY).start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    insert_images(url, 60, "uploaded").await;
    let cast = if matches!(engine, Engine::Sqlite) { "" } else { "::jsonb" };
    let host = "https://imagedelivery.net";
    let id = "2cdc28f0-017a-49c4-9ed7-87056c83";
    sql::execute(
        url,
        &format!(
            "UPDATE cloudflare_images SET cloudflare_id = '{id}' || cloudflare_id, creator = 'the studio in the old town', \
             original_filename = 'a lake at dusk, seen from the long wooden jetty.jpg', file_size = 1234567, \
             variants = '[\"{host}/{ACCOUNT_HASH}/{id}/public\", \"{host}/{ACCOUNT_HASH}/{id}/thumbnail\"]'{cast}"
        ),
    )
    .await;
    for view in ["gallery", "table"] {
        let html = browser.page(&format!("images/?view={view}")).await;
        assert_eq!(numbers_on(&html).len(), 50);
        assert_eq!(html.matches("sig=").count(), 50, "{view}");
        assert!(html.len() <= 60 * 1024, "{view}: {} bytes", html.len());
    }
}

async fn detail(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let upload = app
        .create_upload(&json!({"filename": "lake.jpg", "creator": "studio", "metadata": {"album": "holidays"}}))
        .await;
    let id = upload["id"].as_str().unwrap();
    app.upload(upload["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    app.wait_for_status(id, "uploaded").await;
    let usage = json!({"content_type": "shop.product", "object_id": "7", "field_name": "hero", "cloudflare_id": upload["cloudflare_id"]});
    let put =
        app.api(reqwest::Method::PUT, "usages/").header("Content-Type", "application/json").body(usage.to_string());
    assert_eq!(put.send().await.unwrap().status(), 201);

    let html = browser.page(&format!("images/{id}/")).await;
    for shown in [
        "<h1 class=\"break\">lake.jpg</h1>",
        id,
        upload["cloudflare_id"].as_str().unwrap(),
        "<bdi>alice</bdi>",
        "<bdi>studio</bdi>",
        "&#34;album&#34;: &#34;holidays&#34;",
        "shop.product <bdi>7</bdi>",
        "Webhook received",
        "Upload URL handed out",
        "Uploaded",
        "<p class=\"strong\">thumbnail</p>",
    ] {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    let src = html.split_once("<img src=\"").unwrap().1;
    let preview = html.split("<img src=\"").find(|rest| rest.starts_with(&app.emulator)).unwrap_or(src);
    let picture = app.http.get(preview.split('"').next().unwrap()).send().await.unwrap();
    assert_eq!(picture.status(), 200);
    assert!(!html.contains(upload["upload_url"].as_str().unwrap()), "the upload URL has no use any more");
    for missing in ["images/00000000-0000-0000-0000-000000000001/", "images/x/", "images/%00/"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

async fn many_lines(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let (id, _) = ImageRow::default().insert(url).await;
    let page = format!("images/{id}/");
    for number in 1..=101 {
        insert_usage(url, 1, "shop.product", &number.to_string(), "hero", "field").await;
        if number < 100 {
            continue;
        }
        sql::execute(url, "DELETE FROM cloudflare_image_logs").await;
        let log = "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
                   SELECT 'test', object_id, '{}', updated_at, image_id FROM cloudflare_image_usages";
        sql::execute(url, log).await;
        let html = browser.page(&page).await;
        assert_eq!((html.matches("shop.product").count(), html.matches("timeline-head").count()), (100, 100));
        for more in ["More are not shown.", "Older entries are not shown."] {
            assert_eq!(html.contains(more), number > 100, "{more} {number}");
        }
    }
}

async fn private_pictures(engine: Engine) {
    for has_key in [true, false] {
        let builder = TestApp::builder();
        let builder =
            if has_key { builder.set(&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, SIGNING_KEY) } else { builder };
        let app = builder.start(&engine).await;
        let mut browser = Browser::signed_in(&app, "alice").await;
        let upload = app.create_upload(&json!({"require_signed_urls": true})).await;
        let id = upload["id"].as_str().unwrap();
        app.upload(upload["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
        app.wait_for_status(id, "uploaded").await;
        let list = browser.page("images/?view=gallery").await;
        assert_eq!(list.contains("sig="), has_key, "lists ask nobody for keys");
        assert!(list.contains("#i-lock"));
        // A single image is worth asking Cloudflare for the key.
        let html = browser.page(&format!("images/{id}/")).await;
        let url = html.split("<img src=\"").find(|rest| rest.starts_with(&app.emulator)).unwrap();
        let url = url.split('"').next().unwrap();
        let url = url.replace("&#38;", "&").replace("&amp;", "&");
        assert_eq!(app.http.get(url).send().await.unwrap().status(), 200);
    }
}

async fn upload_urls(engine: Engine) {
    let clock = Arc::new(ManualClock::new(SystemClock.now()));
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .clock(clock.clone())
        .start(&engine)
        .await;
    let mut browser = Browser::signed_in(&app, "alice").await;
    let upload = app.create_upload(&json!({})).await;
    let (id, url) = (upload["id"].as_str().unwrap(), upload["upload_url"].as_str().unwrap());
    let html = browser.page(&format!("images/{id}/")).await;
    let secret = html.split_once("<details class=\"secret\">").unwrap().1.split_once("</details>").unwrap().0;
    assert!(secret.contains(url) && html.matches(url).count() == 1);
    assert!(!browser.page("images/").await.contains(url));
    clock.advance(31 * 60);
    assert!(!browser.page(&format!("images/{id}/")).await.contains(url));
}

async fn checks(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let upload = app.create_upload(&json!({})).await;
    let id = upload["id"].as_str().unwrap();
    let page = format!("images/{id}/");
    let check = format!("{page}check-status/");
    let answer = browser.submit(&page, &check, &[]).await;
    assert_eq!(leads_to(&answer), format!("{page}?done=checked"));
    assert!(browser.page(&format!("{page}?done=checked")).await.contains("bob had Cloudflare asked for the status"));
    let log = app.get(&format!("images/{id}/logs/")).await.json();
    let entry = log.as_array().unwrap().iter().find(|entry| entry["event_type"] == "staff_action").unwrap().clone();
    let changes = json!({"status": {"from": "pending", "to": "draft"}});
    let user = json!({"id": "2", "username": "bob"});
    assert_eq!(entry["data"], json!({"action": "check_status", "user": user, "changes": changes}));
    assert_eq!(app.get(&format!("images/{id}/")).await.json()["status"], "draft");

    let cloudflare_id = upload["cloudflare_id"].as_str().unwrap();
    let url = app.database_url.as_str();
    sql::execute(
        url,
        &format!("UPDATE cloudflare_images SET cloudflare_id = 'gone' WHERE cloudflare_id = '{cloudflare_id}'"),
    )
    .await;
    let failed = browser.submit(&page, &check, &[]).await;
    assert_eq!(failed.status, StatusCode::BAD_GATEWAY);
    assert!(
        failed.text.contains("notice bad") && failed.text.contains("Failed to check image status"),
        "{}",
        failed.text
    );
    let count = "SELECT count(*) FROM cloudflare_image_logs WHERE event_type = 'staff_action'";
    assert_eq!(sql::count(url, count).await, 1);
}

async fn hostile_texts(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let hostile = "<script>alert(1)</script>\"''><img src=x onerror=alert(1)>\u{202e}gpj\u{200b}";
    ImageRow::default().insert(url).await;
    let columns = ["cloudflare_id", "filename", "original_filename", "creator"];
    let changes: Vec<_> = columns.iter().map(|column| format!("{column} = '{hostile}'")).collect();
    let cast = if matches!(engine, Engine::Sqlite) { "" } else { "::jsonb" };
    let value = hostile.replace('"', "\\\"");
    let json = format!("'{{\"{value}\": \"{value}{}\"}}'{cast}", "w".repeat(10_000));
    let variants = format!("'[\"javascript:alert(1)\", \"{value}\"]'{cast}");
    let changes =
        format!("{}, metadata = {json}, cloudflare_metadata = {json}, variants = {variants}", changes.join(", "));
    sql::execute(url, &format!("UPDATE cloudflare_images SET {changes}")).await;
    insert_usage(url, 1, "shop.product", "7", "hero", "field").await;
    let usage = format!("UPDATE cloudflare_image_usages SET object_id = '{hostile}', field_name = '{hostile}'");
    sql::execute(url, &usage).await;
    let log = format!(
        "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
         VALUES ('<script>', '{hostile}', {json}, '2020-01-01 00:00:00', '{}')",
        key(1)
    );
    sql::execute(url, &log).await;
    let id = uuid::Uuid::from_u128(1);
    let query = percent_encoding::utf8_percent_encode(hostile, percent_encoding::NON_ALPHANUMERIC);
    for page in [
        String::new(),
        "images/?view=gallery".to_owned(),
        "images/?view=table".to_owned(),
        format!("images/{id}/"),
        format!("images/?q={query}&status={query}&sort={query}&view={query}"),
        format!("images/?q={query}"),
        format!("images/?owner={query}"),
    ] {
        let html = browser.page(&page).await;
        assert!(!html.contains("<script>") && !html.contains("<img src=x"), "{page}");
        assert!(!html.contains("href=\"javascript:"), "{page}");
        // What is in an attribute stays as it is; nobody reads it there.
        let texts: String = html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        assert!(!texts.contains('\u{202e}') && !texts.contains('\u{200b}'), "{page}");
    }
}

async fn dashboard(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let empty = browser.page("").await;
    assert!(empty.contains("No picture was uploaded yet") && empty.contains("Nothing has happened yet."), "{empty}");
    let upload = app.create_upload(&json!({"filename": "lake.jpg"})).await;
    app.create_upload(&json!({"filename": "waiting.jpg"})).await;
    app.upload(upload["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    app.wait_for_status(upload["id"].as_str().unwrap(), "uploaded").await;
    ImageRow { status: "failed", ..ImageRow::default() }.insert(url).await;
    sql::execute(url, "UPDATE cloudflare_images SET user_id = 2, file_size = 1500000 WHERE cloudflare_id = 'img-1'")
        .await;
    let html = browser.page("").await;
    for shown in [
        "<dd class=\"number\">3</dd>",
        "<dd class=\"number\">33.33 %</dd>",
        "1 in all",
        "lake.jpg",
        "waiting.jpg",
        "Webhook received",
        "This server knows of no failure.",
        "The last came",
        if matches!(engine, Engine::Sqlite) { "SQLite answers within" } else { "PostgreSQL answers within" },
    ] {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    assert_eq!(html.matches("<rect x=").count() - 7, 30, "icons have seven rectangles");
}

async fn strangers(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::new(&app);
    let (id, _) = ImageRow::default().insert(app.database_url.as_str()).await;
    for page in ["", "images/", &format!("images/{id}/"), "sessions/"] {
        assert!(leads_to(&browser.get(page).await).starts_with("sign-in/"), "{page}");
    }
    assert!(leads_to(&browser.post(&format!("images/{id}/check-status/"), &[]).await).starts_with("sign-in/"));
}
