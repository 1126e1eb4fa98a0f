//! `usages/`

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{Answer, BOB, TestApp};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_usages::a_usage_is_recorded_once_and_removed_once", life);
    suite.on_both_engines("api_usages::fields_that_are_not_accepted_are_named", invalid);
    suite.on_both_engines("api_usages::forms_are_taken_as_well_as_json", forms);
    suite.on_both_engines("api_usages::images_of_others_and_usages_of_django_are_refused", refusals);
    suite.on_both_engines("api_usages::lists_are_filtered_searched_ordered_and_paged", lists);
    suite.on_both_engines("api_usages::single_usages_are_found_by_djangos_rules", details);
}

async fn put(app: &TestApp, body: &Value) -> Answer {
    let request = app.api(Method::PUT, "usages/").header("Content-Type", "application/json").body(body.to_string());
    Answer::of(request).await
}

async fn delete(app: &TestApp, query: &str) -> Answer {
    Answer::of(app.api(Method::DELETE, &format!("usages/?{query}"))).await
}

async fn make_staff(app: &TestApp, username: &str) {
    let statement = format!("UPDATE auth_user SET is_staff = true WHERE username = '{username}'");
    sql::execute(app.database_url.as_str(), &statement).await;
}

async fn life(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let image = app.create_upload(&json!({})).await;
    let id = image["cloudflare_id"].as_str().unwrap();
    let body = json!({"content_type": "Shop.Product", "object_id": 7, "field_name": "hero", "cloudflare_id": id});
    let made = put(&app, &body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.headers["allow"], "GET, PUT, DELETE, HEAD, OPTIONS");
    let made = made.json();
    let want = json!({
        "id": made["id"], "cloudflare_id": id, "image": image["id"], "content_type": "Shop.product", "object_id": "7",
        "content_object": null, "field_name": "hero", "is_unregistered": false, "created_at": made["created_at"],
        "updated_at": made["created_at"],
    });
    assert_eq!(made, want);
    let again = put(&app, &body).await;
    assert_eq!((again.status.as_u16(), &again.json()["id"]), (200, &made["id"]));
    assert_eq!(app.get("usages/").await.json()["count"], 1);
    assert_eq!(app.get("stats/").await.json()["total_usages"], 1);

    for _ in 0..2 {
        let gone = delete(&app, "content_type=Shop.product&object_id=7&field_name=hero").await;
        assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    }
    assert_eq!(app.get("usages/").await.json()["count"], 0);

    let manual = json!({"content_type": "a.b", "object_id": "x", "cloudflare_id": id});
    assert_eq!(put(&app, &manual).await.json()["field_name"], "manual");
    assert_eq!(delete(&app, "content_type=a.b&object_id=x").await.status, 204);
    assert_eq!(app.get("usages/").await.json()["count"], 0);
}

async fn invalid(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let required = json!(["This field is required."]);
    put(&app, &json!({}))
        .await
        .assert_is(400, &json!({"content_type": required, "object_id": required, "cloudflare_id": required}));
    let long = "é".repeat(256);
    let too_long = json!(["Ensure this field has no more than 255 characters."]);
    let no_model = "This must be an application and a model of letters, digits, '_' and '-', such as shop.product.";
    put(&app, &json!({"content_type": "shop", "object_id": long, "field_name": long, "cloudflare_id": long}))
        .await
        .assert_is(
            400,
            &json!({"content_type": [no_model], "object_id": too_long, "field_name": too_long, "cloudflare_id": too_long}),
        );
    put(&app, &json!({"content_type": "a.b", "object_id": "", "field_name": null, "cloudflare_id": "a\u{0}b"}))
        .await
        .assert_is(
            400,
            &json!({
                "object_id": ["This field may not be blank."], "field_name": ["This field may not be null."],
                "cloudflare_id": ["Null characters are not allowed."],
            }),
        );
    put(&app, &json!([]))
        .await
        .assert_is(400, &json!({"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}));
    delete(&app, "object_id=&field_name=%00").await.assert_is(
        400,
        &json!({
            "content_type": required, "object_id": ["This field may not be blank."],
            "field_name": ["Null characters are not allowed."],
        }),
    );
    let longest = json!({
        "content_type": format!("{}.{}", "a".repeat(100), "b".repeat(100)), "object_id": "é".repeat(255),
        "field_name": "f".repeat(255), "cloudflare_id": "c".repeat(255),
    });
    assert_eq!(put(&app, &longest).await.status, 201);
    let anonymous = Answer::of(app.anonymous(Method::PUT, "usages/").body("{}")).await;
    assert_eq!(anonymous.status, 403);
}

async fn forms(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let form = "content_type=shop.product&object_id=7&field_name=&cloudflare_id=not%2Frecorded";
    let request = app
        .api(Method::PUT, "usages/")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    let made = Answer::of(request).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    assert_eq!((&made["cloudflare_id"], &made["field_name"]), (&json!("not/recorded"), &json!("manual")));
    assert_eq!((&made["image"], &made["is_unregistered"]), (&json!(null), &json!(true)));
}

async fn refusals(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let bobs = Answer::of(app.anonymous(Method::POST, "upload-url/").header("Authorization", format!("Token {BOB}")))
        .await
        .json();
    let body = json!({"content_type": "a.b", "object_id": "1", "cloudflare_id": bobs["cloudflare_id"]});
    put(&app, &body).await.assert_is(403, &json!({"error": "The image belongs to another user."}));
    make_staff(&app, "alice").await;
    assert_eq!(put(&app, &body).await.status, 201);

    let hero = json!({"content_type": "a.b", "object_id": "1", "field_name": "hero", "cloudflare_id": "x"});
    assert_eq!(put(&app, &hero).await.status, 201);
    let automatic = "UPDATE cloudflare_image_usages SET source = 'auto' WHERE field_name = 'hero'";
    sql::execute(app.database_url.as_str(), automatic).await;
    let reason = json!({
        "error": "The usage is kept by Django, which follows the field of the model. Use another field_name.",
    });
    put(&app, &hero).await.assert_is(409, &reason);
    delete(&app, "content_type=a.b&object_id=1&field_name=hero").await.assert_is(409, &reason);
}

async fn lists(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let image = app.create_upload(&json!({})).await;
    for (content_type, object, field) in
        [("shop.product", "1", "hero"), ("shop.product", "2", "cover"), ("blog.article", "3", "hero")]
    {
        let body = json!({
            "content_type": content_type, "object_id": object, "field_name": field, "cloudflare_id": image["cloudflare_id"],
        });
        assert_eq!(put(&app, &body).await.status, 201);
    }
    let unknown = json!({"content_type": "a.b", "object_id": "4", "field_name": "hero", "cloudflare_id": "unknown"});
    assert_eq!(put(&app, &unknown).await.status, 201);
    let objects = async |query: &str| -> String {
        let answer = app.get(&format!("usages/?{query}")).await.json();
        let results = answer["results"].as_array().unwrap();
        results.iter().map(|usage| usage["object_id"].as_str().unwrap()).collect()
    };
    let all = [
        ("", "321"),
        ("content_type=shop.product", "21"),
        ("content_type=shop", "321"),
        ("content_type=.", ""),
        ("field_name=hero", "31"),
        ("field_name=", "321"),
        ("unregistered=TRUE", ""),
        ("unregistered=0", "321"),
        ("search=HER", "31"),
        ("search=her,nothing", ""),
        ("ordering=created_at", "123"),
        ("ordering=id,-created_at", "321"),
        ("page_size=2", "32"),
        ("page_size=2&page=2", "1"),
        ("limit=1&offset=1", "2"),
    ];
    for (query, want) in all {
        assert_eq!(objects(query).await, want, "{query}");
    }
    let links = app.get("usages/?page_size=1&page=2").await.json();
    let base = format!("{}/cloudflare-images/api/usages/", app.origin);
    assert_eq!(links["next"], format!("{base}?page=3&page_size=1"));
    assert_eq!((&links["previous"], &links["count"]), (&json!(format!("{base}?page_size=1")), &json!(3)));
    app.get("usages/?page=9").await.assert_is(404, &json!({"detail": "Invalid page."}));
    app.get("usages/?search=%00").await.assert_is(400, &json!(["Null characters are not allowed."]));
    app.get("usages/?field_name=%00")
        .await
        .assert_is(400, &json!({"field_name": ["Null characters are not allowed."]}));

    make_staff(&app, "alice").await;
    assert_eq!((objects("").await.as_str(), objects("unregistered=on").await.as_str()), ("4321", "4"));
    assert_eq!(app.get("usages.json?search=unknown").await.json()["count"], 1);
}

async fn details(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let image = app.create_upload(&json!({})).await;
    let body = json!({"content_type": "a.b", "object_id": "1", "cloudflare_id": image["cloudflare_id"]});
    let made = put(&app, &body).await.json();
    let id = made["id"].as_i64().unwrap();
    for path in [format!("usages/{id}/"), format!("usages/%2B{id}/"), format!("usages/{id}.json")] {
        app.get(&path).await.assert_is(200, &made);
    }
    for path in ["usages/-1/", "usages/99999999999999999999/", &format!("usages/{id}/?field_name=hero")] {
        app.get(path).await.assert_is(404, &json!({"detail": "No ImageUsage matches the given query."}));
    }
    app.get("usages/abc/").await.assert_is(404, &json!({"detail": "Not found."}));
    let put = Answer::of(app.api(Method::PUT, &format!("usages/{id}/")).body("{}")).await;
    assert_eq!((put.status.as_u16(), &put.headers["allow"]), (405, &"GET, HEAD, OPTIONS".parse().unwrap()));
}
