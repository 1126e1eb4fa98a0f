//! The main job, over real sockets: a picture on its whole way.

use std::io::Cursor;

use image::{GenericImageView, ImageFormat};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::app::{ACCOUNT_HASH, SIGNING_KEY, TestApp};
use crate::support::picture;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("main_job::a_jpeg_is_uploaded_tracked_and_delivered", jpeg);
    suite.on_both_engines("main_job::a_turned_jpeg_is_delivered_upright", turned_jpeg);
    suite.on_both_engines("main_job::a_png_is_uploaded_tracked_and_delivered", png);
    suite.on_both_engines("main_job::a_webp_is_uploaded_tracked_and_delivered", webp);
    suite.on_both_engines("main_job::a_gif_is_uploaded_tracked_and_delivered", gif);
    suite.on_both_engines("main_job::a_private_picture_is_refused_without_a_signature", private_picture);
    suite.on_both_engines("main_job::many_uploads_at_once_share_one_connection", many_at_once);
}

async fn jpeg(engine: Engine) {
    travel(engine, "photo.jpg", "image/jpeg", ImageFormat::Jpeg, (1152, 768), (300, 200)).await;
}

async fn turned_jpeg(engine: Engine) {
    travel(engine, "photo-rotated.jpg", "image/jpeg", ImageFormat::Jpeg, (400, 600), (200, 300)).await;
}

async fn png(engine: Engine) {
    travel(engine, "graphic.png", "image/png", ImageFormat::Png, (800, 600), (300, 225)).await;
}

async fn webp(engine: Engine) {
    travel(engine, "photo.webp", "image/webp", ImageFormat::WebP, (512, 768), (200, 300)).await;
}

async fn gif(engine: Engine) {
    travel(engine, "animation.gif", "image/gif", ImageFormat::Gif, (400, 300), (300, 225)).await;
}

/// Upload URL → upload → notification → list, detail, status, statistics and log → both variants.
async fn travel(
    engine: Engine,
    name: &str,
    kind: &str,
    format: ImageFormat,
    public: (u32, u32),
    thumbnail: (u32, u32),
) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({"filename": name, "metadata": {"from": "test"}})).await;
    let id = created["id"].as_str().unwrap();
    assert_eq!(created["status"], "pending");

    let stored = app.upload(created["upload_url"].as_str().unwrap(), name, kind, picture(name)).await;
    assert_eq!(stored.status, StatusCode::OK, "{}", stored.text);

    let image = app.wait_for_status(id, "uploaded").await;
    assert_eq!(image["filename"], name);
    assert_eq!(image["original_filename"], name);
    assert_eq!(image["cloudflare_metadata"], json!({"from": "test"}));
    assert_eq!((&image["is_uploaded"], &image["is_expired"]), (&json!(true), &json!(false)));
    let variant = |variant: &str| {
        json!(format!(
            "https://imagedelivery.net/{ACCOUNT_HASH}/{}/{variant}",
            image["cloudflare_id"].as_str().unwrap()
        ))
    };
    assert_eq!(image["variants"], json!([variant("public"), variant("thumbnail")]));
    assert!(image["uploaded_at"].as_str() >= image["created_at"].as_str(), "{image}");

    let status = app.post(&format!("images/{id}/check_status/"), &json!({})).await;
    assert_eq!(status.status, StatusCode::OK, "{}", status.text);
    for key in ["status", "uploaded_at", "variants", "public_url", "thumbnail_url", "is_uploaded"] {
        assert_eq!(status.json()[key], image[key], "{key}");
    }

    let list = app.get("images/").await.json();
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(1), &json!(id)));
    let figures = app.get("stats/").await.json();
    assert_eq!(
        (&figures["total_images"], &figures["uploaded_images"], &figures["success_rate"]),
        (&json!(1), &json!(1), &json!(100.0))
    );
    assert_eq!(events(&app, id).await, ["status_checked", "webhook_received", "upload_url_created"]);

    assert_eq!(delivered(&app, &image["public_url"], format).await, public);
    assert_eq!(delivered(&app, &image["thumbnail_url"], format).await, thumbnail);
}

/// The size of the picture behind a URL, which must be of a format.
async fn delivered(app: &TestApp, url: &Value, format: ImageFormat) -> (u32, u32) {
    let response = app.http.get(url.as_str().unwrap()).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], format.to_mime_type());
    let bytes = response.bytes().await.unwrap();
    assert_eq!(image::guess_format(&bytes).unwrap(), format);
    image::ImageReader::with_format(Cursor::new(bytes), format).decode().unwrap().dimensions()
}

async fn events(app: &TestApp, id: &str) -> Vec<String> {
    let log = app.get(&format!("images/{id}/logs/")).await.json();
    log.as_array().unwrap().iter().map(|entry| entry["event_type"].as_str().unwrap().to_owned()).collect()
}

/// In the default privacy, that is.
async fn private_picture(engine: Engine) {
    let app = TestApp::builder().start(&engine).await;
    let created = app.create_upload(&json!({})).await;
    let stored =
        app.upload(created["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    assert_eq!(stored.json()["result"]["requireSignedURLs"], true);
    let image = app.wait_for_status(created["id"].as_str().unwrap(), "uploaded").await;
    assert_eq!(image["require_signed_urls"], true);

    let public_url = image["public_url"].as_str().unwrap();
    let refused = app.http.get(public_url).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(refused.text().await.unwrap().starts_with("ERROR 9425:"));

    let path = format!("/{ACCOUNT_HASH}/{}/public", image["cloudflare_id"].as_str().unwrap());
    let signed = cfimages::delivery::sign(SIGNING_KEY, &path, 4_102_444_800);
    let query = signed.split_once('?').unwrap().1;
    assert_eq!(delivered(&app, &json!(format!("{public_url}?{query}")), ImageFormat::Jpeg).await, (1152, 768));
}

/// Whoever held a connection while asking for a second one, or while waiting for Cloudflare, would stand still here.
async fn many_at_once(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let one = async || {
        let created = app.create_upload(&json!({})).await;
        app.upload(created["upload_url"].as_str().unwrap(), "photo.webp", "image/webp", picture("photo.webp")).await;
        app.wait_for_status(created["id"].as_str().unwrap(), "uploaded").await;
    };
    tokio::join!(one(), one(), one(), one(), one(), one(), one(), one());
    let stats = app.get("stats/").await.json();
    assert_eq!((&stats["total_images"], &stats["uploaded_images"]), (&json!(8), &json!(8)));
}
