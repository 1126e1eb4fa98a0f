//! Uploads by the account itself.

use axum::Router;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use image::ImageFormat;
use serde_json::json;

use super::pictures::encoded;
use super::{ACCOUNT, Answer, App, HASH, TOKEN, form, part};

impl App {
    async fn api_upload(&self, parts: impl IntoIterator<Item = Vec<u8>>) -> Answer {
        let request = Request::post(format!("/client/v4/accounts/{ACCOUNT}/images/v1"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        self.send(form(request, parts)).await
    }

    async fn upload_url(&self, url: &str) -> Answer {
        self.api_upload([field("url", url)]).await
    }
}

fn field(name: &str, value: &str) -> Vec<u8> {
    part(name, None, None, value.as_bytes())
}

fn file(name: &str, content_type: &str, bytes: &[u8]) -> Vec<u8> {
    part("file", Some(name), Some(content_type), bytes)
}

/// A site with pictures; its address.
async fn site() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let picture = |content_type: &'static str, bytes: Vec<u8>| {
        get(async move || ([(header::CONTENT_TYPE, content_type)], bytes.clone()).into_response())
    };
    let png = encoded(ImageFormat::Png, 6, 4);
    let router = Router::new()
        .route("/a/red%20lake.png", picture("image/png", png.clone()))
        .route("/page", picture("text/html", png.clone()))
        .route("/locked.png", get(async move |headers: HeaderMap| unlock(&headers, png.clone())))
        .route("/huge.png", picture("image/png", vec![0; 10_000_001]))
        .route("/moved", get(async || Redirect::temporary("/a/red%20lake.png")))
        .route("/round", get(async || Redirect::temporary("/round")))
        .route("/to-a-file", get(async || Redirect::temporary("file:///etc/passwd")));
    tokio::spawn(axum::serve(listener, router).into_future());
    address
}

/// The picture for whoever comes as `user` with the password `password`.
fn unlock(headers: &HeaderMap, png: Vec<u8>) -> Response {
    match headers.get(header::AUTHORIZATION) {
        Some(value) if value == "Basic dXNlcjpwYXNzd29yZA==" => {
            ([(header::CONTENT_TYPE, "image/png")], png).into_response()
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[tokio::test]
async fn the_url_of_a_picture_may_hold_a_password() {
    let (app, site) = (App::new(), site().await);
    let locked = format!("{site}/locked.png");
    assert_eq!(app.upload_url(&locked).await.error(), (400, 5454));
    let image = app.upload_url(&locked.replace("://", "://user:password@")).await.result();
    assert_eq!(image["filename"], "locked.png");
}

#[tokio::test]
async fn a_file_becomes_an_image_at_once() {
    let app = App::new();
    let png = encoded(ImageFormat::Png, 6, 4);
    let parts = [
        field("metadata", r#"{"a": 1.0}"#),
        field("creator", "user-7"),
        field("id", "a/b.png"),
        file("folder/lake.png", "image/png", &png),
    ];
    let image = app.api_upload(parts).await.result();
    let variants = ["public", "thumbnail"].map(|variant| format!("https://imagedelivery.net/{HASH}/a/b.png/{variant}"));
    assert_eq!(
        image,
        json!({"id": "a/b.png", "filename": "lake.png", "meta": {"a": 1.0}, "creator": "user-7",
            "uploaded": "2026-11-22T10:00:00.123Z", "requireSignedURLs": false, "variants": variants})
    );
    assert_eq!(app.api(Method::GET, "v1/a%2Fb.png").await.result(), image);
    assert_eq!(app.get(&format!("/{HASH}/a/b.png/public")).await.body, png);

    let taken = [field("id", "a/b.png"), file("x.png", "image/png", &png)];
    assert_eq!(app.api_upload(taken).await.error(), (409, 5409));
    let (draft, _) = app.draft(&[("id", "draft")]).await;
    assert_eq!(app.api_upload([field("id", &draft), file("x.png", "image/png", &png)]).await.error(), (409, 5409));
}

#[tokio::test]
async fn uploads_are_refused_for_the_same_reasons_as_direct_ones() {
    let app = App::new();
    let png = encoded(ImageFormat::Png, 6, 4);
    let good = || file("x.png", "image/png", &png);
    for (parts, error) in [
        (vec![field("id", "/a"), good()], (400, 5411)),
        (vec![field("id", "a"), field("requireSignedURLs", "true"), good()], (400, 5410)),
        (vec![field("metadata", "[]"), good()], (400, 5400)),
        (vec![field("creator", &"x".repeat(1025)), good()], (400, 5400)),
        (vec![], (400, 5400)),
        (vec![good(), field("url", "http://127.0.0.1/x")], (400, 5400)),
        (vec![good(), good()], (400, 5400)),
        (vec![file("x.png", "text/plain", &png)], (415, 5455)),
        (vec![file("x.png", "image/jpeg", &png)], (415, 5455)),
        (vec![file("x.png", "image/png", &png[..png.len() / 2])], (400, 9422)),
        (vec![file("x.png", "image/png", &vec![0; 10_000_001])], (413, 5413)),
    ] {
        assert_eq!(app.api_upload(parts).await.error(), error, "{error:?}");
    }
    assert_eq!(app.api(Method::GET, "v1/a").await.error(), (404, 5404));
    assert_eq!(app.api(Method::POST, "v1").await.error(), (415, 5415));
}

#[tokio::test]
async fn a_picture_elsewhere_is_fetched() {
    let (app, site) = (App::new(), site().await);
    for path in ["/a/red%20lake.png", "/moved"] {
        let image = app.upload_url(&format!("{site}{path}")).await.result();
        assert_eq!(image["filename"], "red lake.png");
        let path = format!("/{HASH}/{}/public", image["id"].as_str().unwrap());
        assert_eq!(app.get(&path).await.body, encoded(ImageFormat::Png, 6, 4));
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_is_told() {
    let (app, site) = (App::new(), site().await);
    for path in ["/nothing", "/huge.png", "/round", "/to-a-file"] {
        assert_eq!(app.upload_url(&format!("{site}{path}")).await.error(), (400, 5454), "{path}");
    }
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for url in
        ["", "lake.png", "file:///etc/passwd", "https://imagedelivery.net/h/i/public", &format!("http://{closed}/")]
    {
        assert_eq!(app.upload_url(url).await.error(), (400, 5454), "{url}");
    }
    assert_eq!(app.upload_url(&format!("{site}/page")).await.error(), (415, 5455));
}
