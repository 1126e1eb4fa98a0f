//! Signing keys in the REST API.

use axum::http::Method;
use image::ImageFormat;
use serde_json::Value;

use super::super::StorageKind;
use super::pictures::encoded;
use super::{App, HASH, KEY};
use crate::delivery::sign;

fn names(keys: &Value) -> Vec<&str> {
    keys["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect()
}

fn value<'a>(keys: &'a Value, name: &str) -> &'a str {
    let keys = keys["keys"].as_array().unwrap();
    keys.iter().find(|key| key["name"] == name).unwrap()["value"].as_str().unwrap()
}

#[tokio::test]
async fn keys_are_made_and_deleted_and_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || App::with(|config| config.storage = StorageKind::Folder(folder.path().to_owned()));
    let app = open();
    let keys = app.api(Method::GET, "v1/keys").await.result();
    assert_eq!((names(&keys), value(&keys, "default")), (vec!["other", "default"], KEY));
    let keys = app.api(Method::PUT, "v1/keys/mine").await.result();
    assert_eq!(names(&keys), ["other", "default", "mine"]);
    assert_eq!(app.api(Method::PUT, "v1/keys/mine").await.result(), keys);
    assert!(value(&keys, "mine").len() > 30);
    drop(app);
    let app = open();
    assert_eq!(app.api(Method::GET, "v1/keys").await.result(), keys);
    assert_eq!(names(&app.api(Method::DELETE, "v1/keys/other").await.result()), ["default", "mine"]);
    app.api(Method::DELETE, "v1/keys/mine").await.result();
    let keys = app.api(Method::DELETE, "v1/keys/default").await.result();
    assert_eq!(names(&keys), ["default"]);
    assert_ne!(value(&keys, "default"), KEY);
    drop(app);
    assert_eq!(open().api(Method::GET, "v1/keys").await.result(), keys);
}

#[tokio::test]
async fn signatures_hold_as_long_as_their_key() {
    let app = App::new();
    let keys = app.api(Method::PUT, "v1/keys/mine").await.result();
    let id = app.image(&[("requireSignedURLs", "true")], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    let signed = sign(value(&keys, "mine"), &format!("/{HASH}/{id}/public"), app.now().as_unix_seconds() + 60);
    assert_eq!(app.get(&signed).await.status, 200);
    app.api(Method::DELETE, "v1/keys/mine").await.result();
    assert_eq!(app.get(&signed).await.status, 403);
}

#[tokio::test]
async fn keys_that_cannot_be_made_or_found_are_refused() {
    let app = App::new();
    for name in ["a-b", "a%2Fb", "%C3%A9", &"x".repeat(21)] {
        assert_eq!(app.api(Method::PUT, &format!("v1/keys/{name}")).await.error(), (400, 5400), "{name}");
    }
    assert_eq!(app.api(Method::DELETE, "v1/keys/nothing").await.error(), (404, 5404));
}
