//! What holds for all pictures of the account.

use axum::http::Method;
use image::ImageFormat;
use serde_json::json;

use super::super::StorageKind;
use super::pictures::encoded;
use super::{Answer, App, HASH};

impl App {
    async fn configure(&self, body: &str) -> Answer {
        self.call(Method::PATCH, "images/v1/config", body.to_owned()).await
    }
}

#[tokio::test]
async fn flexible_variants_are_switched_on_and_off() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        App::with(|config| {
            config.flexible_variants = false;
            config.storage = StorageKind::Folder(folder.path().to_owned());
        })
    };
    let app = open();
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    let path = format!("/{HASH}/{id}/w=2");
    assert_eq!(app.get(&path).await.status, 403);
    let want = json!({"flexible_variants": true, "browser_ttl": 172_800, "preserve_content_credentials": false});
    assert_eq!(app.configure(r#"{"flexible_variants": true}"#).await.result(), want);
    assert_eq!(app.get(&path).await.status, 200);
    drop(app);
    let app = open();
    assert_eq!(app.configure("{}").await.result(), want);
    app.configure(r#"{"flexible_variants": false, "preserve_content_credentials": true}"#).await.result();
    assert_eq!(app.get(&path).await.status, 403);
}

#[tokio::test]
async fn browsers_keep_pictures_as_long_as_account_and_variant_say() {
    let app = App::new();
    let png = encoded(ImageFormat::Png, 4, 4);
    let (id, private) =
        (app.image(&[], "image/png", &png).await, app.image(&[("requireSignedURLs", "true")], "image/png", &png).await);
    let open = r#"{"id":"open","options":{"fit":"pad","browser_ttl":7200},"neverRequireSignedURLs":true}"#;
    app.call(Method::POST, "images/v1/variants", open).await.result();
    app.configure(r#"{"browser_ttl": 3600}"#).await.result();
    for (path, seconds) in [("public", 3600), ("w=2", 3600), ("open", 7200)] {
        let want = format!("public, max-age={seconds}, stale-while-revalidate=7200");
        assert_eq!(app.get(&format!("/{HASH}/{id}/{path}")).await.header("cache-control"), want, "{path}");
    }
    let want = "public, max-age=7200, stale-while-revalidate=7200";
    assert_eq!(app.get(&format!("/{HASH}/{private}/open")).await.header("cache-control"), want);
    for bad in ["", "[]", r#"{"browser_ttl": 60}"#, r#"{"browser_ttl": 31536001}"#, r#"{"flexible_variants": "yes"}"#] {
        assert_eq!(app.configure(bad).await.error(), (400, 5400), "{bad}");
    }
}
