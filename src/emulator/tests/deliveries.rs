//! Delivered pictures.

use axum::body::Body;
use axum::http::{Method, Request, header};
use image::{DynamicImage, GenericImageView as _, ImageFormat};
use serde_json::json;

use super::pictures::{BLUE, RED, animated_gif, encoded, gif_frames, is_close, oriented_jpeg};
use super::{ACCOUNT, Answer, App, HASH, KEY, Variant};
use crate::delivery::sign;

const FORMATS: [(ImageFormat, &str); 4] = [
    (ImageFormat::Jpeg, "image/jpeg"),
    (ImageFormat::Png, "image/png"),
    (ImageFormat::WebP, "image/webp"),
    (ImageFormat::Gif, "image/gif"),
];

fn decoded(answer: &Answer, format: ImageFormat) -> DynamicImage {
    assert_eq!(image::guess_format(&answer.body).unwrap(), format);
    image::load_from_memory_with_format(&answer.body, format).unwrap()
}

#[tokio::test]
async fn pictures_are_scaled_down_in_their_own_format() {
    let app = App::with(|config| config.variants.push(Variant::scale_down("box", 500, 500)));
    for (format, content_type) in FORMATS {
        let id = app.image(&[], content_type, &encoded(format, 1080, 720)).await;
        for prefix in ["", "/cdn-cgi/imagedelivery"] {
            let answer = app.get(&format!("{prefix}/{HASH}/{id}/box")).await;
            let picture = decoded(&answer, format);
            assert_eq!(picture.dimensions(), (500, 333), "{content_type}");
            assert!(is_close(picture.get_pixel(100, 100), RED), "{content_type}");
            assert!(is_close(picture.get_pixel(400, 300), BLUE), "{content_type}");
            assert_eq!(answer.header("content-type"), content_type);
        }
    }
}

#[tokio::test]
async fn pictures_that_fit_are_delivered_byte_for_byte() {
    let app = App::new();
    for (format, content_type) in FORMATS {
        let original = encoded(format, 300, 200);
        let id = app.image(&[], content_type, &original).await;
        for variant in ["public", "thumbnail"] {
            assert_eq!(app.get(&format!("/{HASH}/{id}/{variant}")).await.body, original, "{content_type}");
        }
    }
}

#[tokio::test]
async fn the_orientation_of_exif_is_applied() {
    let app = App::new();
    for (size, turned) in [((120, 60), (60, 120)), ((1200, 600), (150, 300))] {
        let id = app.image(&[], "image/jpeg", &oriented_jpeg(size.0, size.1, 6)).await;
        let picture = decoded(&app.get(&format!("/{HASH}/{id}/thumbnail")).await, ImageFormat::Jpeg);
        assert_eq!(picture.dimensions(), turned);
        assert!(is_close(picture.get_pixel(turned.0 / 2, 10), RED));
        assert!(is_close(picture.get_pixel(turned.0 / 2, turned.1 - 10), BLUE));
    }
    let mirrored = app.image(&[], "image/jpeg", &oriented_jpeg(120, 60, 2)).await;
    let picture = decoded(&app.get(&format!("/{HASH}/{mirrored}/thumbnail")).await, ImageFormat::Jpeg);
    assert_eq!(picture.dimensions(), (120, 60));
    assert!(is_close(picture.get_pixel(10, 10), BLUE));
}

#[tokio::test]
async fn animations_keep_their_frames_and_times() {
    let app = App::new();
    let id = app.image(&[], "image/gif", &animated_gif(400, 200, &[RED, BLUE, RED])).await;
    let answer = app.get(&format!("/{HASH}/{id}/thumbnail")).await;
    let frames = gif_frames(&answer.body);
    assert_eq!(frames.len(), 3);
    for (frame, colour) in frames.iter().zip([RED, BLUE, RED]) {
        assert_eq!(frame.buffer().dimensions(), (300, 150));
        assert!(is_close(*frame.buffer().get_pixel(150, 75), colour));
        assert_eq!(frame.delay().numer_denom_ms(), (120, 1));
    }
    assert!(answer.body.windows(16).any(|bytes| bytes == b"NETSCAPE2.0\x03\x01\x03\x00\x00"), "it plays three times");
}

#[tokio::test]
async fn public_pictures_may_be_kept_and_are_checked_by_etag() {
    let app = App::new();
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 400, 400)).await;
    let path = format!("/{HASH}/{id}/thumbnail");
    let answer = app.get(&path).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=172800, stale-while-revalidate=7200");
    assert_eq!(answer.header("vary"), "Accept");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    let etag = answer.header("etag").to_owned();
    assert!(etag.starts_with("\"cf-") && etag.ends_with('"'), "{etag}");
    assert_ne!(app.get(&format!("/{HASH}/{id}/public")).await.header("etag"), etag);

    for (given, status) in
        [(etag.clone(), 304), (format!("\"x\", W/{etag}"), 304), ("*".to_owned(), 304), ("\"x\"".to_owned(), 200)]
    {
        let request = Request::get(&path).header(header::IF_NONE_MATCH, &given).body(Body::empty()).unwrap();
        let answer = app.send(request).await;
        assert_eq!(answer.status, status, "{given}");
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.body.is_empty(), status == 304);
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_no_body() {
    let app = App::new();
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 400, 400)).await;
    let path = format!("/{HASH}/{id}/thumbnail");
    let head = app.send(Request::head(&path).body(Body::empty()).unwrap()).await.without_cost();
    let get = app.get(&path).await.without_cost();
    assert_eq!(head.headers, get.headers);
    assert_eq!(get.header("content-length"), get.body.len().to_string());
    assert!(head.body.is_empty());
    let post = app.send(Request::post(&path).body(Body::empty()).unwrap()).await;
    assert_eq!((post.status.as_u16(), post.header("allow")), (405, "GET,HEAD"));
}

#[tokio::test]
async fn private_pictures_take_a_signature() {
    let app = App::with(|config| {
        config.variants.push(Variant::scale_down("open", 300, 300).never_require_signed_urls());
    });
    let png = encoded(ImageFormat::Png, 4, 4);
    let id = app.image(&[("requireSignedURLs", "true")], "image/png", &png).await;
    let path = format!("/{HASH}/{id}/public");
    let now = app.now().as_unix_seconds();
    for refused in [
        path.clone(),
        format!("/cdn-cgi/imagedelivery{path}"),
        format!("{path}?exp={}&sig={}", now + 60, "0".repeat(64)),
        sign(KEY, &path, now - 1),
        sign("not a key", &path, now + 60),
        sign(KEY, &format!("/cdn-cgi/imagedelivery{path}"), now + 60),
        sign(KEY, &path, now + 60).replace("/public", "/thumbnail"),
        format!("{}&w=1", sign(KEY, &path, now + 60)),
    ] {
        let answer = app.get(&refused).await;
        assert_eq!(answer.status, 403, "{refused}");
        assert!(answer.text().starts_with("ERROR 9425: Image access denied: "), "{}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let signed = sign(KEY, &path, now + 60);
    for accepted in [signed.clone(), format!("/cdn-cgi/imagedelivery{signed}")] {
        let answer = app.get(&accepted).await;
        assert_eq!(answer.body, png, "{accepted}");
        assert_eq!(answer.header("cache-control"), "private");
    }
    let open = app.get(&format!("/{HASH}/{id}/open")).await;
    assert_eq!((open.body.as_ref(), open.header("cache-control").starts_with("public")), (png.as_slice(), true));

    let public = app.image(&[], "image/png", &png).await;
    assert_eq!(app.get(&sign(KEY, &format!("/{HASH}/{public}/public"), now + 60)).await.body, png);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_refused_as_text() {
    let app = App::new();
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    let (draft, _) = app.draft(&[]).await;
    let not_found = "ERROR 9404: Could not fetch the image — the server returned HTTP error 404 Not Found";
    let no_variant = "ERROR 9425: Image access denied: This account doesn't have variant with this name";
    for (path, status, text) in [
        (format!("/{HASH}/unknown/public"), 404, not_found),
        (format!("/{HASH}/{draft}/public"), 404, not_found),
        (format!("/{HASH}/{id}/hero"), 403, no_variant),
        (format!("/{HASH}/{id}/Public"), 403, no_variant),
        (format!("/other/{id}/public"), 403, "ERROR 9427: "),
        ("/_cfimages".to_owned(), 403, "ERROR 9426: "),
        (format!("/{HASH}/{id}"), 403, "ERROR 9426: "),
        (format!("/{HASH}/{id}/public/"), 403, "ERROR 9426: "),
        (format!("/{HASH}/%FF/public"), 403, "ERROR 9426: "),
        (format!("/cdn-cgi/imagedelivery/{HASH}"), 403, "ERROR 9426: "),
        (format!("/{HASH}/unknown/w=400"), 404, not_found),
    ] {
        let answer = app.get(&path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.text().starts_with(text), "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    assert_eq!(app.api(Method::GET, &format!("v1/{draft}")).await.result()["draft"], true);
}

#[tokio::test]
async fn the_keys_for_signed_urls_are_told_to_whoever_has_the_token() {
    let app = App::new();
    let keys = json!({"keys": [{"name": "other", "value": "unused"}, {"name": "default", "value": KEY}]});
    assert_eq!(app.api(Method::GET, "v1/keys").await.result(), keys);
    let unauthorised = app.get(&format!("/client/v4/accounts/{ACCOUNT}/images/v1/keys")).await;
    assert_eq!(unauthorised.error(), (401, 10000));
}
