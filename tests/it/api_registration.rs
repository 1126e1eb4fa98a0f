//! `images/register/` and `images/{id}/remote/`, with the emulator.

use reqwest::{Method, multipart};
use serde_json::{Value, json};

use crate::support::app::{API_TOKEN, Answer, BOB, TestApp};
use crate::support::picture;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_registration::an_image_that_was_uploaded_elsewhere_is_registered", uploaded);
    suite.on_both_engines("api_registration::what_cannot_be_registered_is_told_with_the_reason", refused);
    suite.on_both_engines("api_registration::an_image_is_changed_at_cloudflare_and_here", changed);
    suite.on_both_engines("api_registration::changes_that_are_not_accepted_are_told_with_the_reason", unchanged);
}

/// The address of the images API of the emulator, which the upload URL of an image of ours gives away.
async fn cloudflare(app: &TestApp) -> String {
    let ours = app.create_upload(&json!({})).await;
    let (origin, _) = ours["upload_url"].as_str().unwrap().split_once("/upload/").unwrap();
    format!("{origin}/client/v4/accounts/acct-0001/images")
}

/// The id and the upload URL of a draft that was not made by way of ours.
async fn draft(app: &TestApp, api: &str, fields: &[(&'static str, &str)]) -> (String, String) {
    let form = fields.iter().fold(multipart::Form::new(), |form, (name, value)| form.text(*name, (*value).to_owned()));
    let request = app.http.post(format!("{api}/v2/direct_upload")).bearer_auth(API_TOKEN).multipart(form);
    let result = Answer::of(request).await.json()["result"].take();
    (result["id"].as_str().unwrap().to_owned(), result["uploadURL"].as_str().unwrap().to_owned())
}

async fn upload(app: &TestApp, api: &str, fields: &[(&'static str, &str)]) -> String {
    let (id, url) = draft(app, api, fields).await;
    assert_eq!(app.upload(&url, "photo.jpg", "image/jpeg", picture("photo.jpg")).await.status, 200);
    id
}

async fn patch(app: &TestApp, path: &str, body: &Value) -> Answer {
    let request = app.api(Method::PATCH, path).header("Content-Type", "application/json").body(body.to_string());
    Answer::of(request).await
}

async fn uploaded(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let api = cloudflare(&app).await;
    let id = upload(&app, &api, &[("metadata", r#"{"a":1}"#), ("creator", "alice")]).await;
    let body = json!({"cloudflare_id": id, "expected_creator": "alice"});
    let first = app.post("images/register/", &body).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let image = first.json();
    assert_eq!(
        (&image["status"], &image["is_uploaded"], &image["upload_url"]),
        (&json!("uploaded"), &json!(true), &json!(""))
    );
    assert_eq!((&image["metadata"], &image["filename"]), (&json!({"a": 1}), &json!("photo.jpg")));
    assert!(image["public_url"].as_str().unwrap().ends_with("/public"), "{image}");

    let again = app.post("images/register/", &body).await;
    assert_eq!((again.status.as_u16(), &again.json()["id"]), (200, &image["id"]));
    let detail = format!("images/{}/", image["id"].as_str().unwrap());
    assert_eq!(app.get(&detail).await.json(), again.json());
    let logs = app.get(&format!("{detail}logs/")).await.json();
    assert_eq!(logs[1]["message"], "Image registered from Cloudflare");
    assert_eq!(logs[0]["event_type"], "image_registered");
}

async fn refused(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let api = cloudflare(&app).await;
    let register = async |body: &Value| app.post("images/register/", body).await;
    register(&json!({})).await.assert_is(400, &json!({"cloudflare_id": ["This field is required."]}));
    register(&json!({"cloudflare_id": "x".repeat(256), "expected_creator": ""})).await.assert_is(
        400,
        &json!({
            "cloudflare_id": ["Ensure this field has no more than 255 characters."],
            "expected_creator": ["This field may not be blank."],
        }),
    );
    register(&json!({"cloudflare_id": "no/such"}))
        .await
        .assert_is(404, &json!({"error": "Image no/such not found in Cloudflare"}));
    let (id, _) = draft(&app, &api, &[]).await;
    register(&json!({"cloudflare_id": id}))
        .await
        .assert_is(409, &json!({"error": format!("Image {id} is still a draft (upload not completed)")}));
    let id = upload(&app, &api, &[("creator", "somebody")]).await;
    for body in [json!({"cloudflare_id": id}), json!({"cloudflare_id": id, "expected_creator": "alice"})] {
        register(&body)
            .await
            .assert_is(403, &json!({"error": format!("Image {id} does not belong to the expected creator")}));
    }
    let bobs = app.anonymous(Method::POST, "upload-url/").header("Authorization", format!("Token {BOB}"));
    let bobs = Answer::of(bobs).await.json();
    let id = bobs["cloudflare_id"].as_str().unwrap();
    app.upload(bobs["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    register(&json!({"cloudflare_id": id}))
        .await
        .assert_is(403, &json!({"error": format!("Image {id} is already registered to another user")}));
    let get = app.get("images/register/").await;
    assert_eq!((get.status.as_u16(), &get.headers["allow"]), (405, &"POST, OPTIONS".parse().unwrap()));
}

async fn changed(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let api = cloudflare(&app).await;
    let image = app.create_upload(&json!({"metadata": {"keep": 1, "change": 1}})).await;
    let path = format!("images/{}/remote/", image["id"].as_str().unwrap());
    let body = json!({"metadata": {"change": 2}, "require_signed_urls": true, "creator": "me"});
    let answer = patch(&app, &path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let answer = answer.json();
    let whole = json!({"keep": 1, "change": 2});
    assert_eq!((&answer["metadata"], &answer["cloudflare_metadata"]), (&whole, &whole));
    assert_eq!(answer["require_signed_urls"], true);
    let there = app.http.get(format!("{api}/v1/{}", image["cloudflare_id"].as_str().unwrap())).bearer_auth(API_TOKEN);
    let there = Answer::of(there).await.json()["result"].take();
    assert_eq!((&there["meta"], &there["creator"], &there["requireSignedURLs"]), (&whole, &json!("me"), &json!(true)));
}

async fn unchanged(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let image = app.create_upload(&json!({"custom_id": "products/1"})).await;
    let path = format!("images/{}/remote/", image["id"].as_str().unwrap());
    patch(&app, &path, &json!({}))
        .await
        .assert_is(400, &json!({"non_field_errors": ["Send metadata, require_signed_urls or creator."]}));
    patch(&app, &path, &json!({"metadata": [], "require_signed_urls": "maybe", "creator": "x".repeat(256)}))
        .await
        .assert_is(
            400,
            &json!({
                "metadata": ["metadata must be a JSON object."], "require_signed_urls": ["Must be a valid boolean."],
                "creator": ["Ensure this field has no more than 255 characters."],
            }),
        );
    patch(&app, &path, &json!({"require_signed_urls": true})).await.assert_is(
        400,
        &json!({
            "error": "Failed to update image: Cloudflare does not allow private images with a custom ID. \
                      To make it private, delete it and upload it again without custom_id.",
        }),
    );
    let others = app.anonymous(Method::PATCH, &path).header("Authorization", format!("Token {BOB}"));
    let others = others.header("Content-Type", "application/json").body(r#"{"creator": "bob"}"#);
    Answer::of(others).await.assert_is(404, &json!({"detail": "No CloudflareImage matches the given query."}));
    let detail = app.get(&format!("images/{}/", image["id"].as_str().unwrap())).await.json();
    assert_eq!(detail["require_signed_urls"], false);
}
