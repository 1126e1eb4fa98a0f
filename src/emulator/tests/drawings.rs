//! SVG: taken, and delivered as it is, but for what could harm.

use super::{App, HASH};

const DRAWING: &str = r#"<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9" onload="alert(1)"><script>alert(2)</script><circle r="3"/></svg>"#;

#[tokio::test]
async fn drawings_are_delivered_without_what_runs_and_never_resized() {
    let app = App::new();
    let id = app.image(&[], "image/svg+xml; charset=utf-8", DRAWING.as_bytes()).await;
    for variant in ["public", "thumbnail", "w=20,h=20,fit=cover,format=webp", "f=json"] {
        let answer = app.get(&format!("/{HASH}/{id}/{variant}")).await;
        assert_eq!(answer.header("content-type"), "image/svg+xml");
        let start = r#"<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" "#;
        assert_eq!(answer.text(), format!(r#"{start}viewBox="0 0 9 9"><circle r="3"></circle></svg>"#), "{variant}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none';") && policy.ends_with("sandbox"), "{policy}");
        assert_eq!((answer.header("x-content-type-options"), answer.header("cf-resized")), ("nosniff", ""));
        assert!(answer.header("cache-control").starts_with("public"));
    }
    let blob = app.api(axum::http::Method::GET, &format!("v1/{id}/blob")).await;
    assert_eq!((blob.header("content-type"), blob.body.as_ref()), ("image/svg+xml", DRAWING.as_bytes()));
}

#[tokio::test]
async fn what_is_no_drawing_is_refused() {
    let app = App::new();
    let (_, path) = app.draft(&[]).await;
    let gif = super::pictures::animated_gif(4, 4, &[super::pictures::RED]);
    let deep = format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{}", "<g>".repeat(1_000_000));
    for (content, want) in [
        (&b"<svg><g></svg>"[..], (400, 9422)),
        (b"<html></html>", (400, 9422)),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>&x;</svg>", (400, 9422)),
        (deep.as_bytes(), (400, 9422)),
        (b"", (400, 9422)),
        (&gif, (415, 5455)),
    ] {
        assert_eq!(app.upload(&path, "image/svg+xml", content).await.error(), want);
    }
    assert_eq!(app.upload(&path, "image/png", DRAWING.as_bytes()).await.error(), (400, 9422));
    app.upload(&path, "image/svg+xml", DRAWING.as_bytes()).await.result();
}
