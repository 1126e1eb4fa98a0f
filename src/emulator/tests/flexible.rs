//! Options of transformations in delivery URLs, and what answers say of them. Pixels are the business of the pipeline's tests.

use axum::body::Body;
use axum::http::Request;
use image::{GenericImageView as _, ImageFormat, Rgba};

use super::pictures::{BLUE, RED, animated_gif, encoded, gif_frames, is_close};
use super::{Answer, App, HASH, KEY, Variant};
use crate::delivery::{Fit, sign};

async fn app_with_jpeg() -> (App, String) {
    let app = App::new();
    let id = app.image(&[], "image/jpeg", &encoded(ImageFormat::Jpeg, 1080, 720)).await;
    (app, format!("/{HASH}/{id}"))
}

async fn get_with(app: &App, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    app.send(request.body(Body::empty()).unwrap()).await
}

fn size(answer: &Answer) -> (u32, u32) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    image::load_from_memory(&answer.body).unwrap().dimensions()
}

#[tokio::test]
async fn options_take_the_place_of_a_variant() {
    let (app, image) = app_with_jpeg().await;
    for (options, want) in [
        ("w=500,h=500", (500, 333)),
        ("width=500,height=500,fit=cover", (500, 500)),
        ("w%3D500%2Cfit%3Dcover%2Ch%3D400", (500, 400)),
        ("fit=pad,w=1080,h=1080,background=%23ff0000", (1080, 1080)),
        ("w=100,dpr=2", (200, 133)),
        ("rotate=90", (720, 1080)),
    ] {
        for prefix in ["", "/cdn-cgi/imagedelivery"] {
            let answer = app.get(&format!("{prefix}{image}/{options}")).await;
            assert_eq!(size(&answer), want, "{options}");
            assert!(answer.headers.get("warning").is_none(), "{options}: {:?}", answer.headers);
        }
    }
    let padded = app.get(&format!("{image}/fit=pad,w=100,h=100,background=%23ff0000")).await;
    let corner = image::load_from_memory(&padded.body).unwrap().get_pixel(1, 1);
    assert!(is_close(corner, Rgba([255, 0, 0, 255])), "{corner:?}");
}

#[tokio::test]
async fn transformed_pictures_say_so() {
    let (app, image) = app_with_jpeg().await;
    for path in [format!("{image}/w=300"), format!("{image}/thumbnail")] {
        let answer = app.get(&path).await;
        let resized = answer.header("cf-resized");
        assert!(resized.starts_with("internal=ok/m q=0 n="), "{resized}");
        assert!(resized.ends_with(&format!(" l={}", answer.body.len())), "{resized}");
        assert_eq!(answer.header("vary"), "Accept");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none';"));
        assert_eq!(answer.header("cache-control"), "public, max-age=172800, stale-while-revalidate=7200");
        assert_eq!(answer.header("content-type"), "image/jpeg");
    }
    let original = app.get(&format!("{image}/w=5000")).await;
    assert!(original.headers.get("cf-resized").is_none());
    assert!(app.get(&format!("{image}/w=auto")).await.header("vary").contains("Sec-CH-Width"));
}

#[tokio::test]
async fn what_is_wrong_is_ignored_and_warned_of() {
    let (app, image) = app_with_jpeg().await;
    for (options, want, warning) in [
        ("width=abc,h=72", (108, 72), "width must be a whole number"),
        ("w=108,colour=red", (108, 72), "there is no option colour"),
        ("w=108,sharpen", (108, 72), "is not an option of the form name=value"),
        ("w=108,w=200", (108, 72), "width is given more than once"),
        ("w=108,format=png", (108, 72), "format does not take png"),
        ("w=108,format=avif", (108, 72), "AVIF is not made here"),
        ("fit=cover,w=108", (108, 72), "cover fit mode needs both width and height"),
        ("w=108,segment=foreground", (108, 72), "segment is not carried out here"),
        ("w=108,%22%0d%0a\\=1", (108, 72), "there is no option"),
        ("w=108,trim=720;0;0;0", (108, 72), "trim leaves nothing"),
    ] {
        let answer = app.get(&format!("{image}/{options}")).await;
        assert_eq!(size(&answer), want, "{options}");
        let header = answer.header("warning");
        assert!(header.starts_with("cf-images 299 \"") && header.ends_with('"'), "{header}");
        assert!(header.contains(warning) && header.matches('"').count() == 2, "{header}");
        assert_eq!(answer.headers.get_all("warning").iter().count(), 1, "{options}");
    }
    let many = app.get(&format!("{image}/w=108,{}", vec!["x=1"; 50].join(","))).await;
    assert_eq!(many.headers.get_all("warning").iter().count(), 10);
}

#[tokio::test]
async fn what_has_nothing_right_is_refused() {
    let (app, image) = app_with_jpeg().await;
    for options in ["width=abc", "colour=red,shape=round", "=", "w=", "w=400,format=mp4", "f=mp4"] {
        let answer = app.get(&format!("{image}/{options}")).await;
        assert_eq!(answer.status, 400, "{options}");
        assert!(answer.text().starts_with("ERROR 9401: "), "{}", answer.text());
        assert_eq!(answer.header("cf-resized"), "err=9401");
    }
}

#[tokio::test]
async fn accounts_without_flexible_variants_refuse_them() {
    let app = App::with(|config| config.flexible_variants = false);
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    for options in ["w=400,sharpen=3", "w%3D400"] {
        let answer = app.get(&format!("/{HASH}/{id}/{options}")).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().starts_with("ERROR 9429: "), "{}", answer.text());
    }
    assert_eq!(app.get(&format!("/{HASH}/{id}/thumbnail")).await.status, 200);
}

#[tokio::test]
async fn private_pictures_have_no_flexible_variants_not_even_signed_ones() {
    let app = App::new();
    let id = app.image(&[("requireSignedURLs", "true")], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    let path = format!("/{HASH}/{id}/w=2");
    for path in [path.clone(), sign(KEY, &path, app.now().as_unix_seconds() + 60)] {
        let answer = app.get(&path).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().starts_with("ERROR 9425: Image access denied: "), "{}", answer.text());
    }
}

#[tokio::test]
async fn the_format_follows_the_browser_and_each_has_an_etag_of_its_own() {
    let app = App::new();
    let png = app.image(&[], "image/png", &encoded(ImageFormat::Png, 400, 400)).await;
    let path = format!("/{HASH}/{png}/w=100");
    let (plain, modern) = (app.get(&path).await, get_with(&app, &path, &[("accept", "image/webp,*/*")]).await);
    assert_eq!((plain.header("content-type"), modern.header("content-type")), ("image/png", "image/webp"));
    assert_eq!((size(&plain), size(&modern)), ((100, 100), (100, 100)));
    assert_ne!(plain.header("etag"), modern.header("etag"));
    let again = get_with(&app, &path, &[("if-none-match", plain.header("etag"))]).await;
    assert_eq!(again.status, 304);
    let other = get_with(&app, &path, &[("accept", "image/webp"), ("if-none-match", plain.header("etag"))]).await;
    assert_eq!(other.status, 200);

    let (app, image) = app_with_jpeg().await;
    for variant in ["w=100", "thumbnail", "public", "w=5000", "w=100,format=auto"] {
        let modern = get_with(&app, &format!("{image}/{variant}"), &[("accept", "image/avif,image/webp,*/*")]).await;
        let plain = get_with(&app, &format!("{image}/{variant}"), &[("accept", "*/*")]).await;
        assert_eq!(modern.header("content-type"), "image/webp", "{variant}");
        assert_eq!(plain.header("content-type"), "image/jpeg", "{variant}");
        assert_eq!((modern.header("vary"), plain.header("vary")), ("Accept", "Accept"));
        assert_eq!(size(&modern), size(&plain));
    }
    let fixed = get_with(&app, &format!("{image}/w=100,format=jpeg"), &[("accept", "image/webp")]).await;
    assert_eq!(fixed.header("content-type"), "image/jpeg");
    let narrow = get_with(&app, &format!("{image}/w=auto"), &[("sec-ch-width", "300")]).await;
    assert_eq!(size(&narrow), (320, 213));
}

#[tokio::test]
async fn json_tells_the_sizes() {
    let jpeg = encoded(ImageFormat::Jpeg, 1080, 720);
    let (app, image) = app_with_jpeg().await;
    let answer = app.get(&format!("{image}/w=500,h=500,format=json")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let original = serde_json::json!({"file_size": jpeg.len(), "width": 1080, "height": 720, "format": "image/jpeg"});
    assert_eq!(answer.json(), serde_json::json!({"width": 500, "height": 333, "original": original}));
}

#[tokio::test]
async fn animations_stay_animations_unless_they_must_not() {
    let app = App::new();
    let id = app.image(&[], "image/gif", &animated_gif(40, 20, &[RED, BLUE])).await;
    let frames = |answer: &Answer| gif_frames(&answer.body).len();
    assert_eq!(frames(&app.get(&format!("/{HASH}/{id}/w=20")).await), 2);
    assert_eq!(frames(&app.get(&format!("/{HASH}/{id}/w=20,anim=false")).await), 1);
}

#[tokio::test]
async fn named_variants_have_the_fits_of_the_account() {
    let app = App::with(|config| {
        let of = |name: &str, fit| Variant::new(name, fit, 500, 500);
        let fits = [("contain", Fit::Contain), ("cover", Fit::Cover), ("crop", Fit::Crop), ("pad", Fit::Pad)];
        config.variants.extend(fits.map(|(name, fit)| of(name, fit)));
    });
    let large = app.image(&[], "image/png", &encoded(ImageFormat::Png, 1080, 720)).await;
    let small = app.image(&[], "image/png", &encoded(ImageFormat::Png, 108, 72)).await;
    for (variant, of_large, of_small) in [
        ("thumbnail", (300, 200), (108, 72)),
        ("contain", (500, 333), (500, 333)),
        ("cover", (500, 500), (500, 500)),
        ("crop", (500, 500), (108, 72)),
        ("pad", (500, 500), (500, 500)),
    ] {
        assert_eq!(size(&app.get(&format!("/{HASH}/{large}/{variant}")).await), of_large, "{variant}");
        assert_eq!(size(&app.get(&format!("/{HASH}/{small}/{variant}")).await), of_small, "{variant}");
    }
}
