//! The names under which the emulator is answered.

use axum::body::Body;
use axum::http::{Method, Request, header};
use image::ImageFormat;

use super::pictures::encoded;
use super::{ACCOUNT, Answer, App, HASH, TOKEN, form, part};

/// What a site wants of the emulator whose name was pointed at it.
const WANTED: [(Method, &str, &str); 6] = [
    (Method::GET, "/client/v4/accounts/{account}/images/v1", ""),
    (Method::POST, "/client/v4/accounts/{account}/images/v2/direct_upload", ""),
    (
        Method::POST,
        "/client/v4/accounts/{account}/alerting/v3/destinations/webhooks",
        r#"{"name":"a","url":"http://a.test"}"#,
    ),
    (Method::GET, "/images/v2", ""),
    (Method::GET, "/_cfimages/faults", ""),
    (Method::GET, "/client/v4/nope", ""),
];

impl App {
    /// The answer to a request with a token, under the name of `host`.
    async fn call_at(&self, host: &str, method: &Method, path: &str, body: &'static str) -> Answer {
        let token = if path.starts_with("/images/") { self.batch_token().await } else { TOKEN.to_owned() };
        let request = Request::builder()
            .method(method)
            .uri(path.replace("{account}", ACCOUNT))
            .header(header::HOST, host)
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::from(body)).unwrap()).await
    }
}

#[tokio::test]
async fn a_name_that_a_web_site_may_have_gets_nothing_of_the_api() {
    let app = App::new();
    for (method, path, body) in WANTED {
        for host in ["evil.test", "evil.test:8001", "127.0.0.1.evil.test", "a@127.0.0.1", ""] {
            let answer = app.call_at(host, &method, path, body).await;
            let message = answer.json()["errors"][0]["message"].to_string();
            assert!(answer.error() == (403, 10000) && message.contains("--public-url"), "{host} {path}: {answer:?}");
        }
    }
    assert_eq!(app.api(Method::GET, "v1/stats").await.result()["count"]["current"], 0);
    assert!(app.part_of_page("requests").await.contains("403"), "who develops a client sees what happened");
}

#[tokio::test]
async fn the_api_is_answered_by_address_in_private_and_under_its_public_name() {
    let app = App::with(|config| config.public_url = "https://emulator.test".to_owned());
    for host in [
        "127.0.0.1:8001",
        "192.0.2.1:8001",
        "[::1]:8001",
        "localhost:9000",
        "cfimages:8001",
        "host.docker.internal:8001",
        "Emulator.test",
    ] {
        for (method, path, body) in &WANTED[..2] {
            assert_eq!(app.call_at(host, method, path, body).await.status, 200, "{host} {path}");
        }
        for (method, path, body) in &WANTED[3..5] {
            assert_eq!(app.call_at(host, method, path, body).await.status, 200, "{host} {path}");
        }
    }
    assert_eq!(app.call_at("evil.test", &Method::GET, "/_cfimages/faults", "").await.status, 403);
}

#[tokio::test]
async fn upload_urls_and_pictures_are_for_everybody_under_any_name() {
    let app = App::new();
    let (id, path) = app.draft(&[]).await;
    let png = encoded(ImageFormat::Png, 4, 4);
    let request = Request::post(&path).header(header::HOST, "shop.test");
    app.send(form(request, [part("file", Some("a.png"), Some("image/png"), &png)])).await.result();
    let picture = Request::get(format!("/{HASH}/{id}/public")).header(header::HOST, "shop.test");
    assert_eq!(app.send(picture.body(Body::empty()).unwrap()).await.status, 200);
}
