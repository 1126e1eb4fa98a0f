//! What the staff do with one image in the admin site.

use cfimages::config::settings;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::admin::{Browser, leads_to, token};
use crate::support::app::TestApp;
use crate::support::cloudflare::FakeCloudflare;
use crate::support::rows::{ImageRow, insert_usage, is_sqlite, key};
use crate::support::suite::{Engine, Suite};
use crate::support::{picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_image::an_image_is_deleted_after_asking", deletion);
    suite.on_both_engines("admin_image::content_that_uses_an_image_is_listed_before_it_is_deleted", used_image);
    suite.on_both_engines("admin_image::an_image_becomes_private_and_public_again", privacy);
    suite.on_both_engines("admin_image::what_is_kept_with_an_image_is_edited", edits);
    suite.on_both_engines("admin_image::what_cannot_be_saved_is_told_and_stays_as_it_was_typed", refused_edits);
    suite.on_both_engines("admin_image::what_nobody_touched_stays_whatever_a_form_makes_of_it", untouched_fields);
    suite.on_both_engines("admin_image::what_somebody_else_changed_is_not_overwritten_unseen", conflicts);
    suite.on_both_engines("admin_image::only_what_was_not_uploaded_is_marked_as_expired", expiry);
    suite.on_both_engines("admin_image::the_answer_of_cloudflare_is_shown_as_it_is", raw_data);
    suite.on_both_engines("admin_image::a_request_that_takes_too_long_ends_with_a_page", timeouts);
    suite.on_both_engines("admin_image::nothing_changes_without_the_token_of_a_page", forgeries);
    suite.on_both_engines("admin_image::hostile_texts_stay_texts_on_pages_that_change_an_image", hostile_texts);
}

/// An image that alice has uploaded, as the API tells it.
async fn uploaded(app: &TestApp, fields: &Value) -> Value {
    let upload = app.create_upload(fields).await;
    app.upload(upload["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    app.wait_for_status(upload["id"].as_str().unwrap(), "uploaded").await
}

fn page_of(image: &Value) -> String {
    format!("images/{}/", image["id"].as_str().unwrap())
}

async fn now(app: &TestApp, image: &Value) -> Value {
    app.get(&format!("images/{}/", image["id"].as_str().unwrap())).await.json()
}

/// The value of a hidden field.
#[track_caller]
fn hidden<'a>(html: &'a str, name: &str) -> &'a str {
    html.split_once(&format!("name=\"{name}\" value=\"")).unwrap().1.split('"').next().unwrap()
}

async fn deletion(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let image = uploaded(&app, &json!({"filename": "lake.jpg"})).await;
    let page = page_of(&image);
    assert!(browser.page(&page).await.contains(&format!("{page}delete/")));
    let asked = browser.page(&format!("{page}delete/")).await;
    for shown in ["Delete this image?", "lake.jpg", "No content is known to refer to this image."] {
        assert!(asked.contains(shown), "{shown} is missing in {asked}");
    }
    assert!(!asked.contains("type=\"checkbox\""), "there is nothing to insist on");
    let deleted = browser.submit(&format!("{page}delete/"), &format!("{page}delete/"), &[]).await;
    assert_eq!(leads_to(&deleted), "images/?done=deleted");
    assert!(browser.page("images/?done=deleted").await.contains("The image is deleted, at Cloudflare and here."));
    assert_eq!(browser.get(&page).await.status, StatusCode::NOT_FOUND);
    assert_eq!(app.at_emulator(image["cloudflare_id"].as_str().unwrap()).await, StatusCode::NOT_FOUND);
}

async fn used_image(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "bob").await;
    let (id, _) = ImageRow::default().insert(url).await;
    insert_usage(url, 1, "shop.product", "7", "hero", "field").await;
    let page = format!("images/{id}/delete/");
    let asked = browser.page(&page).await;
    for shown in ["Used in one place", "shop.product <bdi>7</bdi>", "name=\"force\" required"] {
        assert!(asked.contains(shown), "{shown} is missing in {asked}");
    }
    let refused = browser.submit(&page, &page, &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(
        refused.text.contains("Content uses the image.") && refused.text.contains("shop.product"),
        "{}",
        refused.text
    );
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_images").await, 1);
    let deleted = browser.submit(&page, &page, &[("force", "on")]).await;
    assert_eq!(leads_to(&deleted), "images/?done=deleted");
    let left = "SELECT count(*) FROM cloudflare_image_usages WHERE image_id IS NULL";
    assert_eq!(sql::count(url, left).await, 1);
}

async fn privacy(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let image = uploaded(&app, &json!({})).await;
    let page = page_of(&image);
    let privacy = format!("{page}privacy/");
    let asked = browser.page(&privacy).await;
    assert!(asked.contains("Make this image private?") && asked.contains("another id"), "{asked}");
    let made = browser.submit(&privacy, &privacy, &[("privacy", "private")]).await;
    assert_eq!(leads_to(&made), format!("{page}?done=private"));
    let html = browser.page(&format!("{page}?done=private")).await;
    assert!(html.contains("The image is private now.") && html.contains("bob made the image private"), "{html}");
    assert_eq!(now(&app, &image).await["require_signed_urls"], true);

    let again = browser.submit(&privacy, &privacy, &[("privacy", "private")]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text.contains("The image is private already."), "{}", again.text);
    assert!(browser.page(&privacy).await.contains("Make this image public?"));
    browser.submit(&privacy, &privacy, &[("privacy", "public")]).await;
    assert_eq!(now(&app, &image).await["require_signed_urls"], false);
    assert_eq!(browser.submit(&privacy, &privacy, &[("privacy", "x")]).await.status, StatusCode::BAD_REQUEST);

    let custom = uploaded(&app, &json!({"custom_id": "my/own"})).await;
    let privacy = format!("{}privacy/", page_of(&custom));
    let refused = browser.submit(&privacy, &privacy, &[("privacy", "private")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.text.contains("Cloudflare does not allow private images with a custom id."), "{}", refused.text);
}

async fn edits(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let metadata = json!({"album": "été", "n": 1});
    let image = uploaded(&app, &json!({"filename": "lake.jpg", "creator": "studio", "metadata": metadata})).await;
    let page = page_of(&image);
    let edit = format!("{page}edit/");
    let html = browser.page(&edit).await;
    for shown in ["value=\"lake.jpg\"", "value=\"studio\"", "\n  &#34;album&#34;: &#34;été&#34;"] {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    let seen = hidden(&html, "seen").to_owned();
    let typed = "{\r\n\"album\": \"winter\"}";
    let fields = [("creator", "me"), ("original_filename", "sea.jpg"), ("metadata", typed), ("seen", &seen)];
    let formatted = browser.submit(&edit, &edit, &[&fields[..], &[("do", "format")]].concat()).await;
    assert!(formatted.text.contains("{\n  &#34;album&#34;: &#34;winter&#34;\n}"), "{}", formatted.text);
    assert_eq!((formatted.status, &now(&app, &image).await["original_filename"]), (StatusCode::OK, &json!("lake.jpg")));

    let saved = browser.submit(&edit, &edit, &fields).await;
    assert_eq!(leads_to(&saved), format!("{page}?done=edited"));
    let html = browser.page(&format!("{page}?done=edited")).await;
    assert!(html.contains("The changes are saved.") && html.contains("bob changed what is kept"), "{html}");
    let after = now(&app, &image).await;
    assert_eq!((&after["metadata"], &after["original_filename"]), (&json!({"album": "winter"}), &json!("sea.jpg")));
    assert_eq!(after["cloudflare_metadata"], json!({"album": "winter"}));

    let html = browser.page(&edit).await;
    let seen = hidden(&html, "seen");
    let fields = [("creator", "me"), ("original_filename", "sea.jpg"), ("metadata", typed), ("seen", seen)];
    let same = browser.post(&edit, &[&fields[..], &[("csrf", token(&html))]].concat()).await;
    assert!(same.status == StatusCode::OK && same.text.contains("All is as it is to be already."), "{}", same.text);
}

async fn refused_edits(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let image = uploaded(&app, &json!({"filename": "lake.jpg"})).await;
    let edit = format!("{}edit/", page_of(&image));
    let seen = hidden(&browser.page(&edit).await, "seen").to_owned();
    let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1020));
    for (creator, metadata, problem, typed) in [
        ("", "{\r\n \"a\": 1,\r\n}", "Line 3, column 1: trailing comma.", "&#34;a&#34;: 1,"),
        ("", "[1]", "The metadata are to be an object: {...}.", "[1]"),
        ("", &long, "The metadata have 1028 bytes. Cloudflare keeps at most 1024.", "xxxxxxxx"),
        (&"c".repeat(256), "{}", "The creator has at most 255 characters", "cccccccc"),
        ("", "{\"a\": \"\\u0000\"}", "null characters are not allowed", "u0000"),
    ] {
        let fields =
            [("creator", creator), ("original_filename", "typed.jpg"), ("metadata", metadata), ("seen", &seen)];
        let refused = browser.submit(&edit, &edit, &fields).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        for shown in [problem, typed, "value=\"typed.jpg\"", "aria-invalid=\"true\""] {
            assert!(refused.text.contains(shown), "{shown} is missing in {}", refused.text);
        }
    }
    let unseen = browser.submit(&edit, &edit, &[("metadata", "{}")]).await;
    assert_eq!(unseen.status, StatusCode::BAD_REQUEST);
    assert_eq!(now(&app, &image).await["original_filename"], "lake.jpg");
}

/// The browser leaves line breaks out of fields of one line; what nobody touched stays.
async fn untouched_fields(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let url = app.database_url.as_str();
    ImageRow::default().insert(url).await;
    let edit = format!("images/{}/edit/", key(1));
    let break_lines = "UPDATE cloudflare_images SET status = 'pending', creator = 'two' || chr(10) || 'lines', \
                       original_filename = 'a' || chr(13) || chr(10) || 'b.jpg'";
    let dialect = |sql: &str| if is_sqlite(url) { sql.replace("chr(", "char(") } else { sql.to_owned() };
    sql::execute(url, &dialect(break_lines)).await;
    let seen = hidden(&browser.page(&edit).await, "seen").to_owned();
    let fields =
        [("creator", "twolines"), ("original_filename", "ab.jpg"), ("metadata", "{\"n\": 1}"), ("seen", &seen)];
    let saved = browser.submit(&edit, &edit, &fields).await;
    assert!(leads_to(&saved).ends_with("/?done=edited"), "{}", saved.text);
    let kept = dialect(
        "SELECT count(*) FROM cloudflare_images WHERE creator = 'two' || chr(10) || 'lines' \
         AND original_filename = 'a' || chr(13) || chr(10) || 'b.jpg' AND CAST(metadata AS text) = '{\"n\": 1}'",
    );
    assert_eq!(sql::count(url, &kept).await, 1);

    let long = format!("UPDATE cloudflare_images SET metadata = '{{\"a\": \"{}\"}}'", "x".repeat(100_000));
    sql::execute(url, &long).await;
    let html = browser.page(&edit).await;
    assert!(html.contains("too long to be edited here") && !html.contains("name=\"metadata\""), "{html}");
    assert!(html.len() < 50_000, "{}", html.len());
    let fields = [("creator", "twolines"), ("original_filename", "new.jpg"), ("seen", hidden(&html, "seen"))];
    let saved = browser.submit(&edit, &edit, &fields).await;
    assert!(leads_to(&saved).ends_with("/?done=edited"), "{}", saved.text);
    let kept = "SELECT count(*) FROM cloudflare_images WHERE original_filename = 'new.jpg' AND length(CAST(metadata AS text)) > 100000";
    assert_eq!(sql::count(url, kept).await, 1);
}

async fn conflicts(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let image = uploaded(&app, &json!({"filename": "lake.jpg"})).await;
    let edit = format!("{}edit/", page_of(&image));
    let seen = hidden(&browser.page(&edit).await, "seen").to_owned();
    let path = format!("images/{}/", image["id"].as_str().unwrap());
    let theirs = app
        .api(Method::PATCH, &path)
        .header("Content-Type", "application/json")
        .body(r#"{"metadata": {"a": "theirs"}}"#);
    assert_eq!(theirs.send().await.unwrap().status(), StatusCode::OK);
    let mine = |seen: &str| {
        [("creator", "me"), ("original_filename", "mine.jpg"), ("metadata", "{\"a\": \"mine\"}"), ("seen", seen)]
            .map(|(name, value)| (name, value.to_owned()))
    };
    let fields = mine(&seen);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = browser.submit(&edit, &edit, &fields).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    for shown in
        ["Somebody changed the image", "value=\"mine.jpg\"", "&#34;mine&#34;", "What it is now", "&#34;theirs&#34;"]
    {
        assert!(refused.text.contains(shown), "{shown} is missing in {}", refused.text);
    }
    assert_eq!(now(&app, &image).await["metadata"], json!({"a": "theirs"}));
    let fields = mine(hidden(&refused.text, "seen"));
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    leads_to(&browser.submit(&edit, &edit, &fields).await);
    assert_eq!(now(&app, &image).await["metadata"], json!({"a": "mine"}));
}

async fn expiry(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let waiting = app.create_upload(&json!({})).await;
    let page = page_of(&waiting);
    let expire = format!("{page}mark-expired/");
    assert!(browser.page(&page).await.contains(&expire));
    let marked = browser.submit(&page, &expire, &[]).await;
    assert_eq!(leads_to(&marked), format!("{page}?done=expired"));
    let html = browser.page(&page).await;
    assert!(html.contains("bob marked the upload as expired") && !html.contains(&expire), "{html}");
    assert_eq!(now(&app, &waiting).await["status"], "expired");
    let again = browser.submit(&page, &expire, &[]).await;
    assert_eq!(again.status, StatusCode::CONFLICT);
    assert!(again.text.contains("Only pending images and drafts can be marked as expired."), "{}", again.text);
    assert!(!browser.page(&page).await.contains(&format!("{page}privacy/")));
    assert!(browser.page(&format!("{page}privacy/")).await.contains("There is no picture yet"));
    let html = browser.page(&format!("{page}edit/")).await;
    assert!(html.contains("readonly"), "there is nobody to be told the creator: {html}");
}

async fn raw_data(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let image = uploaded(&app, &json!({"metadata": {"a": 1}})).await;
    let raw = format!("{}cloudflare/", page_of(&image));
    let html = browser.page(&raw).await;
    for shown in
        ["&#34;requireSignedURLs&#34;: false", "  &#34;variants&#34;: [", image["cloudflare_id"].as_str().unwrap()]
    {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    let (id, _) = ImageRow::default().insert(app.database_url.as_str()).await;
    let failed = browser.get(&format!("images/{id}/cloudflare/")).await;
    assert_eq!(failed.status, StatusCode::BAD_GATEWAY);
    assert!(
        failed.text.contains("There is no answer to show") && failed.text.contains("Failed to get image"),
        "{}",
        failed.text
    );
}

async fn timeouts(engine: Engine) {
    let cloudflare = FakeCloudflare::start().await;
    cloudflare.hold();
    let app = TestApp::builder()
        .cloudflare(cloudflare.base_url.clone())
        .set(&settings::CFIMAGES_REQUEST_TIMEOUT_SECONDS, "1")
        .start(&engine)
        .await;
    let mut browser = Browser::signed_in(&app, "bob").await;
    let (id, _) = ImageRow::default().insert(app.database_url.as_str()).await;
    let late = browser.get(&format!("images/{id}/cloudflare/")).await;
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(late.text.contains("<h1>That took too long</h1>"), "{}", late.text);
    cloudflare.release();
}

async fn forgeries(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "bob").await;
    let (id, _) = ImageRow { status: "pending", ..ImageRow::default() }.insert(url).await;
    let mut stranger = Browser::new(&app);
    for action in ["delete", "privacy", "edit", "mark-expired", "check-status"] {
        let page = format!("images/{id}/{action}/");
        let fields = [("force", "on"), ("privacy", "public"), ("metadata", "{}"), ("seen", "2020-01-01")];
        assert_eq!(browser.post(&page, &fields).await.status, StatusCode::FORBIDDEN, "{page}");
        assert!(leads_to(&stranger.post(&page, &fields).await).starts_with("sign-in/"), "{page}");
    }
    for page in ["delete", "privacy", "edit", "cloudflare"] {
        assert!(leads_to(&stranger.get(&format!("images/{id}/{page}/")).await).starts_with("sign-in/"), "{page}");
        for missing in ["x", "00000000-0000-0000-0000-000000000009"] {
            assert_eq!(browser.get(&format!("images/{missing}/{page}/")).await.status, StatusCode::NOT_FOUND, "{page}");
        }
    }
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_images WHERE status = 'pending'").await, 1);
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_image_logs").await, 0);
}

async fn hostile_texts(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let hostile = "</textarea><script>alert(1)</script>\"''><img src=x>\u{202e}gpj\u{200b}";
    let (id, _) = ImageRow::default().insert(url).await;
    insert_usage(url, 1, "shop.product", "7", "hero", "field").await;
    let quoted = hostile.replace('\'', "''");
    let value = quoted.replace('"', "\\\"");
    let cast = if matches!(engine, Engine::Sqlite) { "" } else { "::jsonb" };
    for change in [
        format!(
            "cloudflare_images SET original_filename = '{quoted}', creator = '{quoted}', cloudflare_id = '{quoted}', \
                 metadata = '{{\"{value}\": \"{value}{}\"}}'{cast}",
            "w".repeat(10_000)
        ),
        format!("cloudflare_image_usages SET object_id = '{quoted}', field_name = '{quoted}'"),
    ] {
        sql::execute(url, &format!("UPDATE {change}")).await;
    }
    for page in ["delete", "privacy", "edit", "cloudflare"] {
        let html = browser.get(&format!("images/{id}/{page}/")).await.text;
        assert!(!html.contains("<script>") && !html.contains("<img src=x"), "{page}: {html}");
        let texts: String = html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
        assert!(!texts.contains('\u{202e}') && !texts.contains('\u{200b}'), "{page}");
    }
    // What is saved as it was shown is not changed by that.
    let edit = format!("images/{id}/edit/");
    let html = browser.page(&edit).await;
    assert!(html.contains(r"\u202egpj\u200b"), "{html}");
}
