//! Variants in the REST API.

use axum::http::Method;
use image::ImageFormat;
use serde_json::{Value, json};

use super::super::StorageKind;
use super::pictures::encoded;
use super::{Answer, App, HASH};

impl App {
    async fn variant(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.call(method, &format!("images/v1/variants{path}"), body.to_string()).await
    }
}

fn hero() -> Value {
    json!({
        "id": "hero",
        "options": {"fit": "cover", "width": 20, "height": 10, "metadata": "none"},
        "neverRequireSignedURLs": true,
    })
}

#[tokio::test]
async fn variants_are_made_shown_and_deleted() {
    let app = App::new();
    let made = app.variant(Method::POST, "", &hero()).await.result();
    assert_eq!(made, json!({"variant": hero()}));
    assert_eq!(app.api(Method::GET, "v1/variants/hero").await.result(), made);
    assert_eq!(app.api(Method::GET, "v1/variants/hero/flat").await.result(), hero());
    let mut all = app.api(Method::GET, "v1/variants").await.result();
    assert_eq!(all["variants"]["hero"].take(), hero());
    let public = json!({
        "id": "public",
        "options": {"fit": "scale-down", "width": 1366, "height": 768, "metadata": "copyright"},
        "neverRequireSignedURLs": false,
    });
    assert_eq!(all["variants"]["public"], public);
    assert_eq!(all["variants"].as_object().unwrap().len(), 3);
    assert_eq!(app.variant(Method::POST, "", &hero()).await.error(), (409, 5409));

    assert_eq!(app.api(Method::DELETE, "v1/variants/hero").await.result(), json!({}));
    for path in ["v1/variants/hero", "v1/variants/hero/flat"] {
        assert_eq!(app.api(Method::GET, path).await.error(), (404, 5401), "{path}");
    }
    assert_eq!(app.api(Method::DELETE, "v1/variants/hero").await.error(), (404, 5401));
    assert_eq!(app.variant(Method::PATCH, "/hero", &hero()).await.error(), (404, 5401));
    assert_eq!(app.api(Method::DELETE, "v1/variants/public").await.error(), (400, 5400));
}

#[tokio::test]
async fn changes_are_seen_in_deliveries_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || App::with(|config| config.storage = StorageKind::Folder(folder.path().to_owned()));
    let app = open();
    let png = encoded(ImageFormat::Png, 40, 40);
    let id = app.image(&[("requireSignedURLs", "true")], "image/png", &png).await;
    let path = format!("/{HASH}/{id}/hero");
    let size = async |app: &App| {
        let picture = app.get(&path).await;
        assert_eq!(picture.status, 200, "{picture:?}");
        let picture = image::load_from_memory(&picture.body).unwrap();
        (picture.width(), picture.height())
    };
    assert_eq!(app.get(&path).await.status, 403);
    app.variant(Method::POST, "", &hero()).await.result();
    assert_eq!(size(&app).await, (20, 10));
    let variants = app.api(Method::GET, &format!("v1/{id}")).await.result()["variants"].take();
    assert_eq!(variants[2], format!("https://imagedelivery.net{path}"));

    let change = json!({"options": {"fit": "scale-down", "width": 8}});
    let changed = app.variant(Method::PATCH, "/hero", &change).await.result();
    let options = json!({"fit": "scale-down", "width": 8, "metadata": "copyright"});
    assert_eq!(changed["variant"], json!({"id": "hero", "options": options, "neverRequireSignedURLs": true}));
    assert_eq!(size(&app).await, (8, 8));
    drop(app);
    let app = open();
    assert_eq!(size(&app).await, (8, 8));
    let private = json!({"options": options, "neverRequireSignedURLs": false});
    app.variant(Method::PATCH, "/hero", &private).await.result();
    assert_eq!(app.get(&path).await.status, 403);
}

#[tokio::test]
async fn variants_that_cannot_be_made_are_refused() {
    let app = App::new();
    let mut bad = Vec::new();
    for (key, value) in [("id", json!("a-b")), ("id", json!("")), ("id", Value::Null), ("id", json!("x".repeat(100)))] {
        let mut body = hero();
        body[key] = value;
        bad.push(body);
    }
    for (key, value) in [
        ("fit", json!("squeeze")),
        ("fit", Value::Null),
        ("width", json!(0)),
        ("width", json!("20")),
        ("height", json!(12_001)),
        ("metadata", json!("some")),
        ("browser_ttl", json!(3599)),
    ] {
        let mut body = hero();
        body["options"][key] = value;
        bad.push(body);
    }
    for body in bad {
        assert_eq!(app.variant(Method::POST, "", &body).await.error(), (400, 5400), "{body}");
    }
    assert_eq!(
        app.variant(Method::PATCH, "/public", &json!({"neverRequireSignedURLs": true})).await.error(),
        (400, 5400)
    );
}

#[tokio::test]
async fn an_account_has_at_most_a_hundred_variants() {
    let app = App::new();
    for at in 2..100 {
        let mut body = hero();
        body["id"] = json!(format!("v{at}"));
        app.variant(Method::POST, "", &body).await.result();
    }
    assert_eq!(app.variant(Method::POST, "", &hero()).await.error(), (403, 5453));
    app.api(Method::DELETE, "v1/variants/v2").await.result();
    app.variant(Method::POST, "", &hero()).await.result();
}
