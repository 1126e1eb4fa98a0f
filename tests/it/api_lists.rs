//! Filters, search, order and pages of `images/`, and that they hold for single images, too.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_lists::places_in_metadata_are_found_however_they_are_named", metadata);
    suite.on_both_engines("api_lists::search_finds_every_word_in_any_column", search);
    suite.on_both_engines("api_lists::unknown_values_come_first_on_descending_order", null_order);
    suite.on_both_engines("api_lists::limit_and_offset_page_as_page_and_page_size_do", windows);
    suite.on_both_engines("api_lists::filters_hold_for_single_images_too", filtered_details);
    suite.on_both_engines("api_lists::orphans_are_images_that_no_content_refers_to", orphans);
    suite.on_both_engines("api_lists::conditions_beyond_measure_are_refused", too_much);
}

/// The names of the images that a query leaves over, in the order of the answer.
async fn names(app: &TestApp, path: &str) -> Vec<String> {
    let answer = app.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    let answer = answer.json();
    let names: Vec<String> = answer["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["original_filename"].as_str().unwrap().to_owned())
        .collect();
    assert!(answer["count"].as_u64().unwrap() >= names.len() as u64, "{path}");
    names
}

async fn create(app: &TestApp, name: &str, metadata: &Value) -> String {
    let created = app.create_upload(&json!({"filename": name, "metadata": metadata})).await;
    created["id"].as_str().unwrap().to_owned()
}

async fn metadata(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for (name, metadata) in [
        (
            "object",
            json!({"a": {"b": "x", "0": "zero"}, "tags": ["p", "q", {"k": "v"}], "n": 1, "flag": true, "none": null}),
        ),
        ("odd", json!({"a.b": "x", "a\"b": "x", "é": "ü", "": "empty", "a\\b": "x", "$": "x", "0": "x", "t": "\"x\""})),
        ("text", json!({"a": "b", "tags": "p"})),
    ] {
        create(&app, name, &metadata).await;
    }
    let list = create(&app, "list", &json!({})).await;
    let edit = app.api(Method::PATCH, &format!("images/{list}/")).header("Content-Type", "application/json");
    assert_eq!(Answer::of(edit.body(r#"{"metadata": ["x", "y", ["z"]]}"#)).await.status, 200);

    for (query, want) in [
        ("metadata__a__b=x", &["object"][..]),
        ("metadata__a__0=zero", &["object"]),
        ("metadata__tags__0=p", &["object"]),
        ("metadata__tags__-1__k=v", &["object"]),
        ("metadata__tags__-2=q", &["object"]),
        ("metadata__tags__%200=p", &["object"]),
        ("metadata__tags__7=q", &[]),
        ("metadata__tags__-7=q", &[]),
        ("metadata__tags=p", &["text"]),
        ("metadata__a=b", &["text"]),
        ("metadata__a__b__c=x", &[]),
        ("metadata__n=1", &[]),
        ("metadata__flag=true", &[]),
        ("metadata__none=null", &[]),
        ("metadata__a.b=x", &["odd"]),
        ("metadata__a%22b=x", &["odd"]),
        ("metadata__a%5Cb=x", &["odd"]),
        ("metadata__%C3%A9=%C3%BC", &["odd"]),
        ("metadata__=empty", &["odd"]),
        ("metadata__$=x", &["odd"]),
        ("metadata__t=%22x%22", &["odd"]),
        ("metadata__t=x", &[]),
        ("metadata__0=x", &["list"]),
        ("metadata__%D9%A1=y", &["list"]),
        ("metadata__-1__0=z", &["list"]),
        ("metadata__a=b&metadata__tags=p", &["text"]),
        ("metadata__a=b&metadata__tags=q", &[]),
        ("metadata__a'%20OR%201=1", &[]),
    ] {
        assert_eq!(names(&app, &format!("images/?{query}")).await, want, "{query}");
    }
    let deep = format!("images/?metadata__{}=x", ["a"; 40].join("__"));
    assert_eq!(names(&app, &deep).await, [""; 0]);
    app.get("images/?metadata__a__contains=x")
        .await
        .assert_is(400, &json!({"metadata__a__contains": "Unsupported metadata lookup operator."}));
    app.get("images/?metadata__a=%00")
        .await
        .assert_is(400, &json!({"metadata__a": "Null characters are not allowed."}));
}

async fn search(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for (name, creator) in [("Hero shot.jpg", "tenant-1"), ("100%_done.png", "tenant-2"), ("back\\slash.gif", "hero")] {
        app.create_upload(&json!({"filename": name, "creator": creator})).await;
    }
    for (query, want) in [
        ("search=HERO", &["back\\slash.gif", "Hero shot.jpg"][..]),
        ("search=hero+jpg", &["Hero shot.jpg"]),
        ("search=%22hero+shot%22", &["Hero shot.jpg"]),
        ("search=%25", &["100%_done.png"]),
        ("search=_", &["100%_done.png"]),
        ("search=back%5Cslash", &["back\\slash.gif"]),
        ("search=tenant-1,shot", &["Hero shot.jpg"]),
        ("search=nothing", &[]),
        ("filename=DONE", &["100%_done.png"]),
        ("creator=tenant-1", &["Hero shot.jpg"]),
        ("creator=tenant", &[]),
    ] {
        assert_eq!(names(&app, &format!("images/?{query}")).await, want, "{query}");
    }
    app.get("images/?search=%00").await.assert_is(400, &json!(["Null characters are not allowed."]));
}

async fn null_order(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for (name, size) in [("small", "1"), ("unknown", "NULL"), ("large", "2")] {
        let id = create(&app, name, &json!({})).await;
        let update =
            format!("UPDATE cloudflare_images SET file_size = {size} WHERE id = '{}'", engine_id(&engine, &id));
        sql::execute(app.database_url.as_str(), &update).await;
    }
    assert_eq!(names(&app, "images/?ordering=-file_size").await, ["unknown", "large", "small"]);
    assert_eq!(names(&app, "images/?ordering=file_size").await, ["small", "large", "unknown"]);
    assert_eq!(names(&app, "images/?ordering=created_at").await, ["small", "unknown", "large"]);
    assert_eq!(names(&app, "images/?ordering=nonsense").await, ["large", "unknown", "small"]);
}

fn engine_id(engine: &Engine, id: &str) -> String {
    if matches!(engine, Engine::Sqlite) { id.replace('-', "") } else { id.to_owned() }
}

async fn windows(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for name in ["1", "2", "3", "4", "5"] {
        create(&app, name, &json!({})).await;
    }
    let base = format!("{}/cloudflare-images/api/images/", app.origin);
    let answer = app.get("images/?limit=2&offset=2").await.json();
    assert_eq!(answer["count"], 5);
    assert_eq!(answer["next"], format!("{base}?limit=2&offset=4"));
    assert_eq!(answer["previous"], format!("{base}?limit=2"));
    assert_eq!(names(&app, "images/?limit=2&offset=2").await, ["3", "2"]);
    assert_eq!(names(&app, "images/?limit=2&offset=99").await, [""; 0]);
    assert_eq!(names(&app, "images/?limit=2&page=1").await.len(), 5);
    assert_eq!(names(&app, "images/?page=%D9%A2&page_size=%D9%A2").await, ["3", "2"]);
}

async fn filtered_details(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({"filename": "one.png", "custom_id": "shop/one"})).await;
    let id = created["id"].as_str().unwrap();
    let not_found = json!({"detail": "No CloudflareImage matches the given query."});
    for path in [format!("images/{id}/"), format!("images/{id}/logs/"), format!("images/{id}/usages/")] {
        assert_eq!(app.get(&format!("{path}?status=pending&search=one")).await.status, 200);
        app.get(&format!("{path}?status=draft")).await.assert_is(404, &not_found);
        app.get(&format!("{path}?search=two")).await.assert_is(404, &not_found);
        app.get(&format!("{path}?search=%00")).await.assert_is(400, &json!(["Null characters are not allowed."]));
    }
    let by_id = "images/by-cloudflare-id/shop/one/";
    assert_eq!(app.get(&format!("{by_id}?search=two")).await.json()["id"], id);
    app.get(&format!("{by_id}?status=draft")).await.assert_is(404, &not_found);
    assert_eq!(app.get("images/by-cloudflare-id/shop%2Fone.json").await.json()["id"], id);
}

async fn orphans(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let used = create(&app, "used", &json!({})).await;
    create(&app, "unused", &json!({})).await;
    let key = engine_id(&engine, &used);
    for row in [
        "INSERT INTO django_content_type (id, app_label, model) VALUES (1, 'shop', 'product')".to_owned(),
        format!(
            "INSERT INTO cloudflare_image_usages (object_id, field_name, cloudflare_id, created_at, updated_at, content_type_id, image_id, source) \
             VALUES ('7', 'hero', 'x', '2024-01-01 00:00:00', '2024-01-02 00:00:00', 1, '{key}', 'auto')"
        ),
    ] {
        sql::execute(app.database_url.as_str(), &row).await;
    }
    assert_eq!(names(&app, "images/orphans/").await, ["unused"]);
    assert_eq!(names(&app, "images/orphans.json").await, ["unused"]);
    assert_eq!(names(&app, "images/?orphaned=yes").await, ["unused"]);
    assert_eq!(names(&app, "images/?orphaned=no").await.len(), 2);
    let usages = app.get(&format!("images/{used}/usages/")).await.json();
    let want = json!([{
        "id": usages[0]["id"], "cloudflare_id": "x", "image": used, "content_type": "shop.product", "object_id": "7",
        "content_object": null, "field_name": "hero", "is_unregistered": false,
        "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-02T00:00:00Z"
    }]);
    assert_eq!(usages, want);
}

async fn too_much(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let words = vec!["a"; 101].join("+");
    assert_eq!(app.get(&format!("images/?search={words}")).await.status, 400);
    assert_eq!(app.get(&format!("images/?search={}", vec!["a"; 100].join("+"))).await.status, 200);
    let long = "a".repeat(52_000);
    let image = app.create_upload(&json!({})).await;
    let usage = json!({"cloudflare_id": image["cloudflare_id"], "content_type": "a.b", "object_id": "1"});
    let request = app.api(Method::PUT, "usages/").header("Content-Type", "application/json");
    assert!(Answer::of(request.body(usage.to_string())).await.status.is_success());
    for condition in ["search", "filename"] {
        assert_eq!(names(&app, &format!("images/?{condition}={long}")).await.len(), 0);
    }
    assert_eq!(app.get(&format!("usages/?search={long}")).await.json()["count"], 0);
    let places: Vec<String> = (0..101).map(|place| format!("metadata__k{place}=1")).collect();
    assert_eq!(app.get(&format!("images/?{}", places.join("&"))).await.status, 400);
    assert_eq!(app.get(&format!("images/?{}", places[..60].join("&"))).await.status, 200);
    let many = app.get(&format!("images/?{}", vec!["a=1"; 1001].join("&"))).await;
    assert_eq!((many.status.as_u16(), many.headers.get("allow")), (400, None));
    assert!(many.text.contains("<h1>Bad Request (400)</h1>"), "{}", many.text);
}
