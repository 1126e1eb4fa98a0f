//! Changes of images.

use axum::http::Method;
use image::ImageFormat;
use serde_json::{Value, json};

use super::pictures::encoded;
use super::{Answer, App};

impl App {
    async fn patch(&self, id: &str, body: &str) -> Answer {
        self.call(Method::PATCH, &format!("images/v1/{id}"), body.to_owned()).await
    }
}

#[tokio::test]
async fn metadata_is_replaced_and_what_is_left_out_stays() {
    let app = App::new();
    let (id, _) = app.draft(&[("metadata", r#"{"a":1}"#), ("creator", "me")]).await;
    let image = app.patch(&id, r#"{"metadata":{"b":2.50},"other":1,"requireSignedURLs":null}"#).await.result();
    assert_eq!((&image["id"], &image["meta"]), (&json!(id), &json!({"b": 2.5})));
    assert_eq!((&image["creator"], &image["requireSignedURLs"]), (&json!("me"), &json!(false)));

    let image = app.patch(&id, r#"{"requireSignedURLs":true,"creator":""}"#).await.result();
    assert_eq!((&image["meta"], &image["requireSignedURLs"]), (&json!({"b": 2.5}), &json!(true)));
    assert_eq!(image.get("creator"), None::<&Value>);
    assert_eq!(app.api(Method::GET, &format!("v1/{id}")).await.result(), image);
}

#[tokio::test]
async fn images_with_a_custom_id_stay_public() {
    let app = App::new();
    app.draft(&[("id", "shop/1")]).await;
    assert_eq!(app.patch("shop%2F1", r#"{"requireSignedURLs":true}"#).await.error(), (400, 5410));
    assert_eq!(app.patch("shop%2F1", r#"{"requireSignedURLs":false}"#).await.result()["id"], "shop/1");
    assert_eq!(app.patch("shop%2F2", r#"{"requireSignedURLs":true}"#).await.error(), (404, 5404));
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused() {
    let app = App::new();
    let (id, _) = app.draft(&[]).await;
    for body in ["", "[]", r#"{"metadata":[]}"#, r#"{"requireSignedURLs":"true"}"#, r#"{"creator":1}"#] {
        assert_eq!(app.patch(&id, body).await.error(), (400, 5400), "{body}");
    }
    let huge = format!(r#"{{"creator":"{}"}}"#, "x".repeat(100_000));
    assert_eq!(app.patch(&id, &huge).await.error(), (413, 7011));
    let long = format!(r#"{{"metadata":{{"a":"{}"}}}}"#, "x".repeat(1024));
    assert_eq!(app.patch(&id, &long).await.error(), (400, 5400));
    assert_eq!(app.patch("2cdc28f0-017a-49c4-9ed7-87056c839010", "{}").await.error(), (404, 5404));
}

#[tokio::test]
async fn the_file_is_given_back_as_it_came() {
    let app = App::new();
    let png = encoded(ImageFormat::Png, 4, 4);
    app.image(&[("id", "a/b")], "image/png", &png).await;
    let blob = app.api(Method::GET, "v1/a%2Fb/blob").await;
    assert_eq!((blob.header("content-type"), &blob.body[..]), ("image/png", &png[..]));
    assert_eq!(app.api(Method::HEAD, "v1/a%2Fb/blob").await.header("content-length"), png.len().to_string());
    let (draft, _) = app.draft(&[]).await;
    for id in ["x", "a", &draft] {
        assert_eq!(app.api(Method::GET, &format!("v1/{id}/blob")).await.error(), (404, 5404), "{id}");
    }
}
