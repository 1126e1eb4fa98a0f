//! Batch tokens, and what they are for.

use axum::body::Body;
use axum::http::{Method, Request, header};
use image::ImageFormat;

use super::pictures::encoded;
use super::{Answer, App, TOKEN, form, part};

impl App {
    pub(super) async fn batch_token(&self) -> String {
        self.api(Method::GET, "v1/batch_token").await.result()["token"].as_str().unwrap().to_owned()
    }

    /// The answer of the host for batches.
    async fn batch(&self, token: &str, method: Method, path: &str, body: &str) -> Answer {
        let request = Request::builder().method(method).uri(format!("/images/{path}"));
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }
}

#[tokio::test]
async fn a_batch_token_is_good_for_all_that_is_done_to_images() {
    let app = App::new();
    let token = app.batch_token().await;
    let request = || Request::post("/images/v1").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let png = encoded(ImageFormat::Png, 4, 4);
    let parts = [part("id", None, None, b"a/b"), part("file", Some("a.png"), Some("image/png"), &png)];
    let image = app.send(form(request(), parts)).await.result();
    assert_eq!(image["id"], "a/b");
    assert_eq!(app.send(form(request(), [])).await.error(), (400, 5400));

    assert_eq!(app.batch(&token, Method::GET, "v1/a%2Fb", "").await.result(), image);
    assert_eq!(app.batch(&token, Method::PATCH, "v1/a%2Fb", r#"{"creator":"me"}"#).await.result()["creator"], "me");
    assert_eq!(app.batch(&token, Method::GET, "v2?creator=me", "").await.result()["images"][0]["id"], "a/b");
    let draft = app.batch(&token, Method::POST, "v2/direct_upload", "").await.result();
    assert!(draft["uploadURL"].as_str().unwrap().ends_with(draft["id"].as_str().unwrap()));
    app.batch(&token, Method::DELETE, "v1/a%2Fb", "").await.result();
    assert_eq!(app.api(Method::GET, "v1/a%2Fb").await.error(), (404, 5404));
}

#[tokio::test]
async fn a_batch_token_is_good_for_nothing_else() {
    let app = App::new();
    let token = app.batch_token().await;
    for path in ["v1/keys/x", "v2/metadata/keys", "v1/x/blob", "v9", "v1/%FF"] {
        assert_eq!(app.batch(&token, Method::GET, path, "").await.error(), (404, 7003), "{path}");
    }
    assert_eq!(app.batch(&token, Method::GET, "v1", "").await.error(), (405, 7001));
    assert_eq!(app.get_with(&token, "images/v1/stats").await.error(), (401, 10000));
}

#[tokio::test]
async fn batch_tokens_end_by_themselves_and_not_by_one_another() {
    let app = App::new();
    let answer = app.api(Method::GET, "v1/batch_token").await.result();
    assert_eq!(answer["expiresAt"], "2026-11-22T11:00:00.123456Z");
    let first = answer["token"].as_str().unwrap();
    let second = app.batch_token().await;
    for wrong in [TOKEN, "", "x", &first[1..]] {
        assert_eq!(app.batch(wrong, Method::GET, "v2", "").await.error(), (401, 10000), "{wrong}");
    }
    app.clock.advance(3599);
    for token in [first, &second] {
        app.batch(token, Method::GET, "v2", "").await.result();
    }
    app.clock.advance(1);
    assert_eq!(app.batch(first, Method::GET, "v2", "").await.error(), (401, 10000));
}

#[tokio::test]
async fn batches_are_not_counted() {
    let app = App::new();
    let token = app.batch_token().await;
    let before = app.api(Method::GET, "v1/stats").await;
    app.batch(&token, Method::GET, "v2", "").await.result();
    let after = app.api(Method::GET, "v1/stats").await;
    assert_eq!(
        (before.header("ratelimit"), after.header("ratelimit")),
        ("\"default\";r=1198;t=300", "\"default\";r=1197;t=300")
    );
}
