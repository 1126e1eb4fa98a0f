//! One-time upload URLs.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use image::ImageFormat;

use super::pictures::{encoded, png_with_depth, png_with_header};
use super::{ACCOUNT, App, HASH, PUBLIC_URL, form, part};

#[tokio::test]
async fn a_used_url_is_refused_and_keeps_its_picture() {
    let app = App::new();
    let png = encoded(ImageFormat::Png, 4, 4);
    let (id, path) = app.draft(&[]).await;
    app.upload(&path, "image/png", &png).await.result();
    let answer = app.upload(&path, "image/png", &encoded(ImageFormat::Png, 5, 5)).await;
    assert_eq!(answer.error(), (409, 5409));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(app.get(&format!("/{HASH}/{id}/public")).await.body, png);
}

#[tokio::test]
async fn of_two_uploads_at_once_one_succeeds() {
    let app = App::new();
    let (_, path) = app.draft(&[]).await;
    let png = encoded(ImageFormat::Png, 64, 64);
    let (left, right) = tokio::join!(app.upload(&path, "image/png", &png), app.upload(&path, "image/png", &png));
    let mut statuses = [left.status.as_u16(), right.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
}

#[tokio::test]
async fn unknown_and_expired_urls_are_not_found() {
    let app = App::new();
    let (id, path) = app.draft(&[]).await;
    let png = encoded(ImageFormat::Png, 4, 4);
    for unknown in [format!("/upload/{HASH}/x"), format!("/upload/other/{id}"), format!("/upload/{HASH}/%FF")] {
        assert_eq!(app.upload(&unknown, "image/png", &png).await.error(), (404, 5404), "{unknown}");
    }
    app.clock.advance(30 * 60 + 1);
    assert_eq!(app.upload(&path, "image/png", &png).await.error(), (404, 5404));
    assert_eq!(app.api(Method::GET, &format!("v1/{id}")).await.error(), (404, 5404));
}

#[tokio::test]
async fn files_that_are_no_pictures_are_refused_and_leave_the_url_usable() {
    let app = App::new();
    let (_, path) = app.draft(&[]).await;
    let [jpeg, png, webp, gif] = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif]
        .map(|format| encoded(format, 64, 48));
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let cases = [
        ("image/png", Vec::new(), (400, 9422)),
        ("image/png", b"just some text".to_vec(), (400, 9422)),
        ("image/jpeg", half(&jpeg), (400, 9422)),
        ("image/png", half(&png), (400, 9422)),
        ("image/webp", half(&webp), (400, 9422)),
        ("image/gif", half(&gif), (400, 9422)),
        ("image/jpeg", jpeg[..20].to_vec(), (400, 9422)),
        ("image/png", png[..8].to_vec(), (400, 9422)),
        ("image/png", jpeg.clone(), (415, 5455)),
        ("image/jpeg", png.clone(), (415, 5455)),
        ("image/png", b"BM bitmap".to_vec(), (415, 5455)),
        ("image/svg+xml", png.clone(), (415, 5455)),
        ("image/gif", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), (400, 9422)),
        ("image/avif", png.clone(), (415, 5455)),
        ("application/octet-stream", png.clone(), (415, 5455)),
        ("text/plain", png.clone(), (415, 5455)),
        ("image/png", png_with_header(50_000, 50_000), (413, 5413)),
        ("image/png", png_with_header(12_001, 1), (413, 5413)),
        ("image/png", png_with_header(11_000, 11_000), (413, 5413)),
        ("image/png", png_with_depth(10_000, 10_000, 16), (413, 5413)),
        ("image/png", png_with_header(0, 1), (400, 9422)),
    ];
    for (content_type, bytes, want) in cases {
        let answer = app.upload(&path, content_type, &bytes).await;
        assert_eq!(answer.error(), want, "{content_type} {} {}", bytes.len(), answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
    app.upload(&path, "IMAGE/PNG; charset=x", &png).await.result();
}

#[tokio::test]
async fn files_above_ten_megabytes_are_refused() {
    let app = App::new();
    let (_, path) = app.draft(&[]).await;
    for (size, want) in [(10_000_000, (400, 9422)), (10_000_001, (413, 5413)), (11_000_000, (413, 5413))] {
        assert_eq!(app.upload(&path, "image/png", &vec![b'x'; size]).await.error(), want, "{size}");
    }
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_the_refusal() {
    let app = App::new();
    let (_, path) = app.draft(&[]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(axum::serve(listener, app.router.clone()).into_future());
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    let api = format!("/client/v4/accounts/{ACCOUNT}/images/v1");
    for (path, status) in [(path.as_str(), 413), ("/upload/other/x", 404), (&api, 401), ("/images/v1", 401)] {
        let file =
            reqwest::multipart::Part::bytes(vec![0; 20_000_000]).file_name("x.png").mime_str("image/png").unwrap();
        let form = reqwest::multipart::Form::new().part("file", file);
        let response = client.post(format!("{url}{path}")).multipart(form).send().await.unwrap();
        assert_eq!(response.status(), status);
    }
    server.abort();
}

#[tokio::test]
async fn forms_without_exactly_one_file_are_refused() {
    let app = App::new();
    let (_, path) = app.draft(&[]).await;
    let png = encoded(ImageFormat::Png, 4, 4);
    let file = |name: &str, filename: Option<&str>| part(name, filename, Some("image/png"), &png);
    let cases = [
        vec![],
        vec![file("File", Some("x.png"))],
        vec![file("files", Some("x.png"))],
        vec![file("file", None)],
        vec![file("file", Some(""))],
        vec![file("file", Some("folder/"))],
        vec![file("file", Some("x.png")), file("file", Some("y.png"))],
    ];
    for parts in cases {
        let request = form(Request::post(&path), parts.clone());
        assert_eq!(app.send(request).await.error(), (400, 5400), "{} parts", parts.len());
    }
    let mut cut = file("file", Some("x.png"));
    cut.truncate(cut.len() - 10);
    let request = Request::post(&path).header(header::CONTENT_TYPE, "multipart/form-data; boundary=the-boundary");
    assert_eq!(app.send(request.body(Body::from(cut)).unwrap()).await.error(), (400, 5450));
    let request = Request::post(&path).header(header::CONTENT_TYPE, "image/png").body(Body::from(png.clone()));
    assert_eq!(app.send(request.unwrap()).await.error(), (415, 5415));

    let parts = [part("other", None, None, b"ignored"), file("file", Some("../../folder\\hero \u{fc}.png"))];
    let result = app.send(form(Request::post(&path), parts)).await.result();
    assert_eq!(result["filename"], "hero \u{fc}.png");
}

#[tokio::test]
async fn browsers_of_any_origin_may_post_a_form() {
    let app = App::new();
    let (_, path) = app.draft(&[]).await;
    let preflight = |path: &str| Request::options(path).header("access-control-request-method", "POST");
    let answer = app.send(preflight(&path).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    assert_eq!(answer.header("access-control-allow-headers"), "");

    let custom = preflight(&path).header("access-control-request-headers", "content-type");
    let answer = app.send(custom.body(Body::empty()).unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (403, ""));

    let answer = app.get(&path).await;
    assert_eq!(answer.error(), (405, 7001));
    assert_eq!(answer.header("allow"), "POST,OPTIONS");
}

#[tokio::test]
async fn the_upload_url_is_at_the_public_url() {
    let app = App::with(|config| config.public_url = "http://localhost:9/".to_owned());
    let result = app.direct_upload(&[("id", "a/b c%")]).await.result();
    assert_eq!(result["uploadURL"], format!("http://localhost:9/upload/{HASH}/a%2Fb%20c%25"));
    assert_ne!(PUBLIC_URL, "http://localhost:9/");
}
