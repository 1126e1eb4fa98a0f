//! `images/`

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{Answer, BOB, TestApp};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_images::lists_are_paged_newest_first", pages);
    suite.on_both_engines("api_images::links_follow_the_host_and_the_proxys_scheme", links);
    suite.on_both_engines("api_images::images_of_others_do_not_exist", foreign_images);
    suite.on_both_engines("api_images::ids_in_paths_are_read_as_leniently_as_django_reads_them", lenient_ids);
    suite.on_both_engines("api_images::a_draft_has_neither_time_of_upload_nor_urls", draft);
    suite.on_both_engines("api_images::metadata_and_times_come_back_as_they_are_stored", stored_values);
    suite.on_both_engines("api_images::metadata_that_would_fill_the_memory_are_refused", long_metadata);
    suite.on_both_engines("api_images::the_latest_thousand_of_a_log_and_of_usages_are_answered", long_lists);
}

async fn pages(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for number in 0..5 {
        app.create_upload(&json!({"filename": format!("{number}.png")})).await;
    }
    let page = async |query: &str| app.get(&format!("images/?{query}")).await;
    let names = |answer: &Answer| {
        answer.json()["results"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| image["original_filename"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let base = format!("{}/cloudflare-images/api/images/", app.origin);

    let first = page("page_size=2").await;
    assert_eq!(names(&first), ["4.png", "3.png"]);
    assert_eq!(
        (&first.json()["count"], &first.json()["next"], &first.json()["previous"]),
        (&json!(5), &json!(format!("{base}?page=2&page_size=2")), &json!(null))
    );
    let second = page("page_size=2&page=2").await;
    assert_eq!(names(&second), ["2.png", "1.png"]);
    assert_eq!(second.json()["previous"], json!(format!("{base}?page_size=2")));
    let last = page("page_size=2&page=last").await;
    assert_eq!(names(&last), ["0.png"]);
    assert_eq!(last.json()["next"], json!(null));
    assert_eq!(names(&page("").await).len(), 5);
    for query in ["page=2", "page=0", "page=-1", "page=x", "page=99999999999999999999", "page=%00", "page=%F0%9F%92%A5"]
    {
        page(query).await.assert_is(404, &json!({"detail": "Invalid page."}));
    }
}

async fn links(engine: Engine) {
    let app = TestApp::start(&engine).await;
    app.create_upload(&json!({})).await;
    app.create_upload(&json!({})).await;
    let request = app
        .api(Method::GET, "images/?page_size=1")
        .header("Host", "photos.example.com")
        .header("X-Forwarded-Proto", "https");
    let answer = Answer::of(request).await;
    assert_eq!(answer.json()["next"], "https://photos.example.com/cloudflare-images/api/images/?page=2&page_size=1");
}

async fn foreign_images(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({})).await;
    let id = created["id"].as_str().unwrap();
    let not_found = json!({"detail": "No CloudflareImage matches the given query."});
    for (method, path) in [(Method::GET, ""), (Method::GET, "logs/"), (Method::POST, "check_status/")] {
        let request = app
            .anonymous(method.clone(), &format!("images/{id}/{path}"))
            .header("Authorization", format!("Token {BOB}"));
        Answer::of(request).await.assert_is(404, &not_found);
        let unknown = app.api(method, &format!("images/00000000-0000-4000-8000-00000000dead/{path}"));
        Answer::of(unknown).await.assert_is(404, &not_found);
    }
    let others =
        Answer::of(app.anonymous(Method::GET, "images/").header("Authorization", format!("Token {BOB}"))).await;
    assert_eq!(others.json()["count"], 0);
}

async fn lenient_ids(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({})).await;
    let id = created["id"].as_str().unwrap();
    for form in [id.to_uppercase(), id.replace('-', ""), format!("urn:uuid:{id}"), format!("%7B{id}%7D")] {
        assert_eq!(app.get(&format!("images/{form}/")).await.json()["id"], id, "{form}");
    }
    for nonsense in ["12", "%00", "%FF", "%E2%9C%93", "a%20b", &"9".repeat(5000)] {
        app.get(&format!("images/{nonsense}/")).await.assert_is(404, &json!({"detail": "Not found."}));
    }
}

async fn draft(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({})).await;
    let status =
        app.post(&format!("images/{}/check_status/", created["id"].as_str().unwrap()), &json!({})).await.json();
    assert_eq!(
        (&status["status"], &status["uploaded_at"], &status["public_url"], &status["is_uploaded"]),
        (&json!("draft"), &json!(null), &json!(null), &json!(false))
    );
}

async fn long_metadata(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({})).await;
    let path = format!("images/{}/", created["id"].as_str().unwrap());
    let told = json!(["Ensure this field has no more than 32768 characters, as it is answered."]);
    // An object with one key, and six characters for each of its value.
    let metadata = |count: usize| json!({"metadata": {"k": "\u{7f}".repeat(count)}});
    let edit = async |body: &Value| {
        let request = app.api(Method::PATCH, &path).header("Content-Type", "application/json");
        Answer::of(request.body(body.to_string())).await
    };
    let fits = edit(&metadata(5_459)).await;
    assert_eq!(fits.status, 200, "{}", fits.text);
    assert!(fits.text.len() < 34_000, "{}", fits.text.len()); // PostgreSQL keeps it shorter.
    edit(&metadata(5_460)).await.assert_is(400, &json!({"metadata": told}));
    app.post("upload-url/", &metadata(5_460)).await.assert_is(400, &json!({"metadata": told}));
}

async fn long_lists(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let created = app.create_upload(&json!({})).await;
    let (id, cloudflare_id) = (created["id"].as_str().unwrap(), created["cloudflare_id"].as_str().unwrap());
    let usage = json!({"cloudflare_id": cloudflare_id, "content_type": "shop.product", "object_id": "0", "field_name": "cover"});
    let request = app.api(Method::PUT, "usages/").header("Content-Type", "application/json");
    let put = Answer::of(request.body(usage.to_string())).await;
    assert!(put.status.is_success(), "{}", put.text);
    let numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1100)";
    let logs = "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
                SELECT event_type, CAST(n AS text), data, \"timestamp\", image_id FROM cloudflare_image_logs, numbers";
    let usages = "INSERT INTO cloudflare_image_usages (object_id, field_name, cloudflare_id, created_at, updated_at, content_type_id, image_id, source) \
                  SELECT CAST(n AS text), field_name, cloudflare_id, created_at, updated_at, content_type_id, image_id, source \
                  FROM cloudflare_image_usages, numbers";
    for insert in [logs, usages] {
        sql::execute(url, &format!("{numbers} {insert}")).await;
    }
    for (list, named) in [("logs", "message"), ("usages", "object_id")] {
        let answer = app.get(&format!("images/{id}/{list}/")).await.json();
        let entries = answer.as_array().unwrap();
        assert_eq!((entries.len(), &entries[0][named], &entries[999][named]), (1000, &json!("1100"), &json!("101")));
    }
    let in_use = Answer::of(app.api(Method::DELETE, &format!("images/{id}/"))).await;
    assert_eq!((in_use.status.as_u16(), in_use.json()["usages"].as_array().unwrap().len()), (409, 1000));
}

async fn stored_values(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({})).await;
    let id = created["id"].as_str().unwrap();
    let update = "UPDATE cloudflare_images SET created_at = '2024-03-24 16:01:20', uploaded_at = '2024-03-24 16:01:20.026', status = 'odd', file_size = 2147483647, \
                  metadata = '{\"big\": 12345678901234567890, \"one\": 1.0, \"list\": []}', variants = '\"https://d/h/i/public\"'";
    sql::execute(app.database_url.as_str(), update).await;
    let answer = app.get(&format!("images/{id}/")).await;
    let image = answer.json();
    assert_eq!(
        (&image["created_at"], &image["uploaded_at"]),
        (&json!("2024-03-24T16:01:20Z"), &json!("2024-03-24T16:01:20.026000Z"))
    );
    assert_eq!((&image["status"], &image["file_size"]), (&json!("odd"), &json!(2_147_483_647)));
    assert_eq!(
        (&image["variants"], &image["public_url"]),
        (&json!("https://d/h/i/public"), &json!("https://d/h/i/public"))
    );
    assert!(answer.text.contains("12345678901234567890") && answer.text.contains("1.0"), "{}", answer.text);
}
