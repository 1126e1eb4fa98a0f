//! The selection of the admin's list as a file.

use reqwest::header::{CONTENT_DISPOSITION, CONTENT_TYPE, LOCATION};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::admin::{Browser, make_staff};
use crate::support::app::{Answer, TestApp};
use crate::support::rows::{ImageRow, insert_images};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_export::each_image_of_the_selection_is_in_it_once", selections);
    suite.on_both_engines("admin_export::texts_stay_what_they_are_and_no_secret_is_told", contents);
    suite.on_both_engines("admin_export::a_file_that_is_not_whole_breaks_off", failures);
    suite.on_both_engines("admin_export::only_staff_get_it", strangers);
}

async fn export(browser: &mut Browser<'_>, file: &str) -> Answer {
    let answer = browser.get(&format!("images/{file}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{file}: {}", answer.text);
    answer
}

async fn selections(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    // More than are read at once, all made at the same time.
    insert_images(url, 1203, "uploaded").await;
    sql::execute(url, "UPDATE cloudflare_images SET status = 'failed' WHERE cloudflare_id LIKE '%7'").await;

    for (query, count) in
        [("", 1203), ("?status=failed", 120), ("?status=failed&sort=largest&per=25", 120), ("?status=draft", 0)]
    {
        let csv = export(&mut browser, &format!("export.csv{query}")).await;
        assert_eq!(csv.headers[CONTENT_TYPE], "text/csv; charset=utf-8; header=present");
        let name = csv.headers[CONTENT_DISPOSITION].to_str().unwrap();
        assert!(name.starts_with("attachment; filename=\"images-20") && name.ends_with(".csv\""), "{name}");
        let mut ids: Vec<_> = csv.text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
        assert_eq!((ids.len(), csv.text.matches("\r\n").count()), (count, count + 1), "{query}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{query}");

        let json = export(&mut browser, &format!("export.json{query}")).await;
        assert_eq!(json.headers[CONTENT_TYPE], "application/json");
        assert_eq!(json.json().as_array().unwrap().len(), count, "{query}");
    }
    let refused = browser.get("images/export.csv?status=lost&per=25").await;
    assert_eq!(refused.status, StatusCode::SEE_OTHER);
    assert!(refused.headers[LOCATION].to_str().unwrap().ends_with("/admin/images/?status=lost&per=25"));
}

async fn contents(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let row = ImageRow { created_at: "2026-01-02T03:04:05.25Z", ..ImageRow::default() };
    row.insert(url).await;
    let cast = if matches!(engine, Engine::Sqlite) { "" } else { "::jsonb" };
    let change = format!(
        "UPDATE cloudflare_images SET original_filename = '=cmd|\"/c calc\"!A1, \u{202e}x', creator = '<b>', file_size = 7, \
         upload_url = 'https://upload.example/secret', metadata = '{{\"a\": [1, \"é\"]}}'{cast}"
    );
    sql::execute(url, &change).await;

    let csv = export(&mut browser, "export.csv").await.text;
    let (head, line) = csv.split_once("\r\n").unwrap();
    assert_eq!(head.split(',').take(3).collect::<Vec<_>>(), ["id", "cloudflare_id", "original_filename"]);
    let id = uuid::Uuid::from_u128(1).to_string();
    let expected = format!(
        "\"{id}\",\"img-1\",\"'=cmd|\"\"/c calc\"\"!A1, \u{202e}x\",\"\",\"uploaded\",true,\"alice\",\"<b>\",\"\",7,,,\
         \"2026-01-02T03:04:05.250000Z\",,\"2026-01-02T03:04:05.250000Z\",\"2099-01-01T00:00:00Z\",\"{{\"\"a\"\": [1, \"\"é\"\"]}}\"\r\n"
    );
    assert_eq!(line, expected);

    let exported = export(&mut browser, "export.json").await.json();
    assert_eq!(
        exported,
        json!([{
            "id": id, "cloudflare_id": "img-1", "original_filename": "=cmd|\"/c calc\"!A1, \u{202e}x", "filename": "",
            "status": "uploaded", "require_signed_urls": true, "owner": "alice", "creator": "<b>", "content_type": "", "file_size": 7,
            "width": Value::Null, "height": Value::Null, "created_at": "2026-01-02T03:04:05.250000Z", "uploaded_at": Value::Null,
            "updated_at": "2026-01-02T03:04:05.250000Z", "expires_at": "2099-01-01T00:00:00Z", "metadata": {"a": [1, "é"]},
        }])
    );
}

/// The database fails after the first images were sent, which are more than any buffer between the two holds.
async fn failures(engine: Engine) {
    for file in ["export.csv", "export.json"] {
        let app = TestApp::start(&engine).await;
        let url = app.database_url.as_str();
        let browser = Browser::signed_in(&app, "alice").await;
        insert_images(url, 3000, "uploaded").await;
        let cast = if matches!(engine, Engine::Sqlite) { "" } else { "::jsonb" };
        let metadata = format!("UPDATE cloudflare_images SET metadata = '{{\"a\": \"{}\"}}'{cast}", "w".repeat(10_000));
        sql::execute(url, &metadata).await;
        let answer = browser.request(Method::GET, &format!("images/{file}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        sql::execute(url, "ALTER TABLE cloudflare_images RENAME TO away").await;
        assert!(answer.bytes().await.is_err(), "{file}");
    }
}

async fn strangers(engine: Engine) {
    let app = TestApp::start(&engine).await;
    make_staff(&app, "alice").await;
    let mut browser = Browser::new(&app);
    for file in ["export.csv", "export.json"] {
        let answer = browser.get(&format!("images/{file}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{file}");
        assert!(answer.headers[LOCATION].to_str().unwrap().contains("/sign-in/?next="), "{file}");
    }
}
