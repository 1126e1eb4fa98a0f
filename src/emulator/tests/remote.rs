//! Pictures of other hosts at `/cdn-cgi/image/`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use image::{GenericImageView as _, ImageFormat};

use super::pictures::{encoded, png_with_header};
use super::{Answer, App, HASH, Sources};

/// A site with pictures, which ends with its test.
struct Site {
    url: String,
    asked: Arc<AtomicUsize>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Site {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let router = Router::new()
            .route("/redirect/{*to}", get(async |Path(to): Path<String>| Redirect::temporary(&to)))
            .route("/status/{status}", get(async |Path(status): Path<u16>| StatusCode::from_u16(status).unwrap()))
            .route("/{file}", get(file))
            .layer(axum::middleware::map_request(move |request: Request<Body>| {
                count.fetch_add(1, Ordering::Relaxed);
                std::future::ready(request)
            }));
        let server = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Self { url, asked, server }
    }

    fn port(&self) -> &str {
        self.url.rsplit(':').next().unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn file(Path(name): Path<String>) -> Response {
    let (content_type, bytes) = match name.as_str() {
        "photo.jpg" => ("image/jpeg", encoded(ImageFormat::Jpeg, 400, 200)),
        "kept.jpg" => {
            let headers = [("content-type", "image/jpeg"), ("cache-control", "max-age=60")];
            return (headers, encoded(ImageFormat::Jpeg, 400, 200)).into_response();
        }
        "graphic.png" => ("", encoded(ImageFormat::Png, 400, 200)),
        "drawing.svg" => ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>".to_vec()),
        "page.html" => ("text/html", b"<!DOCTYPE html><title>a</title>".to_vec()),
        "photo.tiff" => ("image/tiff", b"II*\0".to_vec()),
        "broken.png" => ("image/png", encoded(ImageFormat::Png, 40, 40)[..60].to_vec()),
        "bomb.png" => ("image/png", png_with_header(60_000, 60_000)),
        "lost.jpg" => return Redirect::temporary("http://").into_response(),
        "loop.jpg" => return Redirect::temporary("/loop.jpg").into_response(),
        "made.jpg" => {
            let headers = [("content-type", "image/jpeg"), ("cf-resized", "internal=ok/m")];
            return (headers, encoded(ImageFormat::Jpeg, 4, 4)).into_response();
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([(header::CONTENT_TYPE, content_type)], bytes).into_response()
}

/// An emulator that takes pictures of 127.0.0.1, and paths of the site.
fn app(site: &Site) -> App {
    App::with(|config| {
        config.sources = Sources { hosts: vec!["127.0.0.1".to_owned()], origin: Some(site.url.clone()) };
    })
}

fn size(answer: &Answer) -> (u32, u32) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    image::load_from_memory(&answer.body).unwrap().dimensions()
}

#[tokio::test]
async fn pictures_of_allowed_hosts_are_transformed() {
    let site = Site::start().await;
    let app = app(&site);
    let encoded_url = format!("{}/photo.jpg", site.url).replace(':', "%3A").replace('/', "%2F");
    for (path, content_type, want) in [
        (format!("w=100/{}/photo.jpg", site.url), "image/jpeg", (100, 50)),
        (format!("w=100/{}/photo.jpg?v=1", site.url), "image/jpeg", (100, 50)),
        (format!("w=100/{encoded_url}"), "image/jpeg", (100, 50)),
        ("w%3D100/photo.jpg".to_owned(), "image/jpeg", (100, 50)),
        ("fit=cover,w=60,h=60//graphic.png".to_owned(), "image/png", (60, 60)),
        ("w=5000/photo.jpg".to_owned(), "image/jpeg", (400, 200)),
        (format!("w=100/redirect/{}/photo.jpg", site.url), "image/jpeg", (100, 50)),
        ("w=100,format=webp/photo.jpg".to_owned(), "image/webp", (100, 50)),
    ] {
        let answer = app.get(&format!("/cdn-cgi/image/{path}")).await;
        assert_eq!(size(&answer), want, "{path}");
        assert_eq!(answer.header("content-type"), content_type, "{path}");
        assert_eq!(answer.header("vary"), "Accept");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("etag").starts_with("\"cf-"));
        let is_made = !path.starts_with("w=5000");
        assert_eq!(answer.header("cf-resized").starts_with("internal=ok/"), is_made, "{path}");
    }
    let answer = app.get("/cdn-cgi/image/w=100,colour=red/photo.jpg").await;
    assert!(answer.header("warning").contains("there is no option colour"));
    let json = app.get("/cdn-cgi/image/w=100,format=json/photo.jpg").await.json();
    assert_eq!((&json["width"], &json["original"]["width"]), (&100.into(), &400.into()));
    let drawing = app.get("/cdn-cgi/image/w=100/drawing.svg").await;
    assert_eq!(drawing.header("content-type"), "image/svg+xml");
    assert!(!drawing.text().contains("script"));
}

#[tokio::test]
async fn browsers_keep_them_as_long_as_the_source_says_and_ask_whether_they_changed() {
    let site = Site::start().await;
    let app = app(&site);
    assert_eq!(app.get("/cdn-cgi/image/w=9/kept.jpg").await.header("cache-control"), "max-age=60");
    let answer = app.get("/cdn-cgi/image/w=9/photo.jpg").await;
    assert_eq!(answer.header("cache-control"), "public, max-age=3600, stale-while-revalidate=7200");
    let request = Request::get("/cdn-cgi/image/w=9/photo.jpg").header("if-none-match", answer.header("etag"));
    assert_eq!(app.send(request.body(Body::empty()).unwrap()).await.status, 304);
}

#[tokio::test]
async fn the_format_is_the_sources_unless_another_is_asked_for() {
    let site = Site::start().await;
    let app = app(&site);
    for (options, want) in [("w=9", "image/png"), ("w=9,format=auto", "image/webp")] {
        let request = Request::get(format!("/cdn-cgi/image/{options}/graphic.png")).header("accept", "image/webp,*/*");
        let answer = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.header("content-type"), want, "{options}");
    }
}

#[tokio::test]
async fn hosts_that_are_not_allowed_are_never_asked() {
    let site = Site::start().await;
    let elsewhere = format!("http://localhost:{}", site.port());
    for (app, path) in [
        (App::new(), format!("w=9/{}/photo.jpg", site.url)),
        (app(&site), format!("w=9/{elsewhere}/photo.jpg")),
        (app(&site), format!("w=9/redirect/{elsewhere}/photo.jpg")),
    ] {
        let before = site.asked();
        let answer = app.get(&format!("/cdn-cgi/image/{path}")).await;
        assert_eq!(answer.status, 403, "{path}");
        let text = answer.text();
        assert!(text.starts_with("ERROR 9401: Transformation origin is not in allowed origins list"), "{text}");
        assert!(text.contains("--allow-source"), "{text}");
        assert_eq!(answer.header("cf-resized"), "err=9401");
        // Of the last one, the answer that leads elsewhere.
        assert_eq!(site.asked() - before, usize::from(path.contains("redirect")), "{path}");
    }
}

#[tokio::test]
async fn what_goes_wrong_has_cloudflares_codes() {
    let site = Site::start().await;
    let app = app(&site);
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (path, status, code) in [
        ("w=9".to_owned(), 400, 9401),
        ("w=9/".to_owned(), 400, 9401),
        ("photo.jpg/photo.jpg".to_owned(), 400, 9401),
        ("w=9,format=mp4/photo.jpg".to_owned(), 400, 9401),
        ("w=9/http://[/photo.jpg".to_owned(), 403, 9406),
        ("w=9/cdn-cgi/image/w=9/photo.jpg".to_owned(), 508, 9403),
        ("w=9/made.jpg".to_owned(), 508, 9403),
        ("w=9/nothing.jpg".to_owned(), 404, 9404),
        ("w=9/status/401".to_owned(), 401, 9408),
        ("w=9/status/500".to_owned(), 502, 9509),
        (format!("w=9/http://{gone}/photo.jpg"), 502, 9505),
        ("w=9/lost.jpg".to_owned(), 400, 9420),
        ("w=9/loop.jpg".to_owned(), 400, 9421),
        ("w=9/page.html".to_owned(), 415, 9412),
        ("w=9/photo.tiff".to_owned(), 415, 9420),
        ("w=9/bomb.png".to_owned(), 403, 9413),
        ("w=9/broken.png".to_owned(), 422, 9516),
    ] {
        let answer = app.get(&format!("/cdn-cgi/image/{path}")).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().starts_with(&format!("ERROR {code}: ")), "{path}: {}", answer.text());
        assert_eq!(answer.header("cf-resized"), format!("err={code}"), "{path}");
    }
    let alone = App::new().get("/cdn-cgi/image/w=9/photo.jpg").await;
    assert_eq!(alone.status, 403);
    assert!(alone.text().starts_with("ERROR 9406: ") && alone.text().contains("--origin"), "{}", alone.text());
}

#[tokio::test]
async fn hosts_without_an_address_are_told_from_those_that_are_down() {
    let app = App::with(|config| config.sources.hosts = vec!["*.invalid".to_owned()]);
    let answer = app.get("/cdn-cgi/image/w=9/http://nowhere.invalid/photo.jpg").await;
    assert_eq!(answer.status, 523);
    assert!(answer.text().starts_with("ERROR 9407: "), "{}", answer.text());
}

#[tokio::test]
async fn a_picture_is_not_made_of_itself() {
    let site = Site::start().await;
    let app = app(&site);
    let request = Request::get("/cdn-cgi/image/w=9/photo.jpg").header("via", "1.1 image-resizing");
    assert_eq!(app.send(request.body(Body::empty()).unwrap()).await.status, 508);
}

#[tokio::test]
async fn browsers_are_sent_to_the_source_of_the_same_site_where_they_ask_for_it() {
    let site = Site::start().await;
    let app = app(&site);
    let answer = app.get("/cdn-cgi/image/w=9,onerror=redirect/page.html").await;
    assert_eq!(answer.status, 307);
    assert_eq!(answer.header("location"), format!("{}/page.html", site.url));
    let other = App::with(|config| config.sources.hosts = vec!["127.0.0.1".to_owned()]);
    let answer = other.get(&format!("/cdn-cgi/image/w=9,onerror=redirect/{}/page.html", site.url)).await;
    assert_eq!(answer.status, 415);
    let answer = other.get(&format!("/cdn-cgi/image/w=9,onerror=redirect/{}/photo.jpg", site.url)).await;
    assert!(answer.header("warning").contains("onerror=redirect"));
    assert_eq!(app.get("/cdn-cgi/image/w=x,onerror=redirect/page.html").await.status, 307);
}

#[tokio::test]
async fn files_above_the_bound_are_refused_before_they_have_come() {
    let site = Site::start().await;
    let fetcher = super::super::fetch::Fetcher::new().unwrap();
    let url: reqwest::Url = format!("{}/photo.jpg", site.url).parse().unwrap();
    let fetch = async |max| fetcher.fetch(url.clone(), |_| true, max, &super::super::bodies::Bodies::default()).await;
    let length = fetch(1_000_000).await.unwrap().bytes.len();
    assert!(fetch(length).await.is_ok());
    assert!(matches!(fetch(length - 1).await, Err(super::super::fetch::FetchError::TooLarge(_))));
}

#[tokio::test]
async fn pictures_of_the_account_are_no_sources_of_it() {
    let app = App::new();
    assert_eq!(app.get(&format!("/cdn-cgi/image/w=9/{HASH}/id/public")).await.status, 403);
}
