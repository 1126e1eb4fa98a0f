//! Direct uploads, and images in the REST API.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::json;

use super::{ACCOUNT, App, HASH, PUBLIC_URL, TOKEN, form, part, pictures};
use image::ImageFormat;

fn after(app: &App, seconds: i64) -> String {
    (app.now().as_datetime() + chrono::Duration::seconds(seconds)).to_rfc3339()
}

#[tokio::test]
async fn a_draft_is_shown_until_its_picture_comes() {
    let app = App::new();
    let fields = [
        ("metadata", r#" {"b": 1.50, "a": [12345678901234567890123]} "#),
        ("creator", "user-7"),
        ("requireSignedURLs", "true"),
    ];
    let (id, path) = app.draft(&fields).await;
    assert_eq!((id.len(), path), (36, format!("/upload/{HASH}/{id}")));

    let answer = app.api(Method::GET, &format!("v1/{id}")).await;
    let variants = ["public", "thumbnail"].map(|variant| format!("https://imagedelivery.net/{HASH}/{id}/{variant}"));
    assert_eq!(
        answer.text(),
        format!(
            r#"{{"result":{{"id":"{id}","meta":{{"b": 1.50, "a": [12345678901234567890123]}},"creator":"user-7","uploaded":"2026-11-22T10:00:00.123Z","requireSignedURLs":true,"variants":["{}","{}"],"draft":true}},"success":true,"errors":[],"messages":[]}}"#,
            variants[0], variants[1]
        )
    );

    app.clock.advance(60);
    let path = format!("/upload/{HASH}/{id}");
    let uploaded = app.upload(&path, "image/png", &pictures::encoded(ImageFormat::Png, 4, 4)).await.result();
    assert_eq!(uploaded, app.api(Method::GET, &format!("v1/{id}")).await.result());
    assert_eq!(uploaded["uploaded"], "2026-11-22T10:01:00.123Z");
    assert_eq!(uploaded["filename"], "picture");
    assert_eq!(uploaded["creator"], "user-7");
    assert_eq!(uploaded["variants"], json!(variants));
    assert_eq!(uploaded.get("draft"), None);
}

#[tokio::test]
async fn all_fields_are_optional_and_so_is_the_body() {
    let app = App::new();
    let (id, _) = app.draft(&[]).await;
    let result = app.api(Method::GET, &format!("v1/{id}")).await.result();
    let keys: Vec<_> = result.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["draft", "id", "requireSignedURLs", "uploaded", "variants"]);
    assert_eq!(result["requireSignedURLs"], false);

    let empty = app.api(Method::POST, "v2/direct_upload").await.result();
    assert!(empty["uploadURL"].as_str().unwrap().starts_with(PUBLIC_URL));
    let request = Request::post(format!("/client/v4/accounts/{ACCOUNT}/images/v2/direct_upload"))
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=x");
    app.send(request.body(Body::empty()).unwrap()).await.result();
}

#[tokio::test]
async fn the_old_form_answers_the_id_of_the_request_and_not_of_the_image() {
    let app = App::new();
    let create = async |body: &str| app.call(Method::POST, "images/v1/direct_upload", body.to_owned()).await;
    let draft = create("").await.result();
    let request_id = draft["id"].as_str().unwrap();
    assert_eq!(draft["uploadURL"], format!("{PUBLIC_URL}/upload/{HASH}/{request_id}"));
    assert_eq!(app.api(Method::GET, &format!("v1/{request_id}")).await.result()["draft"], true);

    let path = format!("/upload/{HASH}/{request_id}");
    let png = pictures::encoded(ImageFormat::Png, 4, 4);
    app.upload(&path, "image/jpeg", &png).await.error();
    let image = app.upload(&path, "image/png", &png).await.result();
    let id = image["id"].as_str().unwrap();
    assert_ne!(id, request_id);
    assert_eq!(app.api(Method::GET, &format!("v1/{id}")).await.result(), image);
    assert_eq!(app.api(Method::GET, &format!("v1/{request_id}")).await.error(), (404, 5404));
    assert_eq!(app.upload(&path, "image/png", &png).await.error(), (404, 5404));

    let short = create(&json!({"expiry": after(&app, 180)}).to_string()).await.result();
    app.clock.advance(181);
    let path = format!("/upload/{HASH}/{}", short["id"].as_str().unwrap());
    assert_eq!(app.upload(&path, "image/png", &png).await.error(), (404, 5404));
    for body in ["[]", "{", r#"{"expiry": 1}"#, r#"{"expiry": "2016-11-22T10:10:00Z"}"#] {
        assert_eq!(create(body).await.error(), (400, 5400), "{body}");
    }
}

#[tokio::test]
async fn a_direct_upload_that_is_no_form_is_refused() {
    let app = App::new();
    let post = || {
        Request::post(format!("/client/v4/accounts/{ACCOUNT}/images/v2/direct_upload"))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
    };
    for content_type in ["application/json", "application/x-www-form-urlencoded", "multipart/mixed; boundary=x"] {
        let request = post().header(header::CONTENT_TYPE, content_type).body(Body::from("{}")).unwrap();
        assert_eq!(app.send(request).await.error(), (415, 5415), "{content_type}");
    }
    assert_eq!(app.send(post().body(Body::from("{}")).unwrap()).await.error(), (415, 5415));
    for broken in ["multipart/form-data", "multipart/form-data; boundary=x"] {
        let request = post().header(header::CONTENT_TYPE, broken).body(Body::from("--y--")).unwrap();
        assert_eq!(app.send(request).await.error(), (400, 5400), "{broken}");
    }
    let request = form(post(), [part("metadata", None, None, &vec![b' '; 100_000])]);
    assert_eq!(app.send(request).await.error(), (413, 7011));
}

#[tokio::test]
async fn fields_out_of_their_range_are_refused() {
    let app = App::new();
    let large = format!(r#"{{"a": "{}"}}"#, "x".repeat(1024));
    let deep = format!(r#"{{"a": {}{}}}"#, "[".repeat(200), "]".repeat(200));
    let long = "x".repeat(1025);
    let (early, late) = (after(&app, 100), after(&app, 6 * 3600 + 60));
    for (field, value) in [
        ("metadata", "[1]"),
        ("metadata", "null"),
        ("metadata", "{"),
        ("metadata", ""),
        ("metadata", &large),
        ("metadata", &deep),
        ("creator", &long),
        ("requireSignedURLs", "yes"),
        ("requireSignedURLs", ""),
        ("expiry", "soon"),
        ("expiry", "2026-11-22"),
        ("expiry", "2016-11-22T10:10:00Z"),
        ("expiry", &early),
        ("expiry", &late),
    ] {
        assert_eq!(app.direct_upload(&[(field, value)]).await.error(), (400, 5400), "{field}={value}");
    }
    for seconds in [118, 120, 1800, 6 * 3600, 6 * 3600 + 2] {
        app.direct_upload(&[("expiry", &after(&app, seconds))]).await.result();
    }
    let not_utf8 = [part("creator", None, None, b"\xFF")];
    let request = Request::post(format!("/client/v4/accounts/{ACCOUNT}/images/v2/direct_upload"))
        .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    assert_eq!(app.send(form(request, not_utf8)).await.error(), (400, 5400));
}

#[tokio::test]
async fn custom_ids_are_checked_and_cannot_be_private_or_taken_twice() {
    let app = App::new();
    assert_eq!(app.direct_upload(&[("id", "a/b.txt")]).await.error(), (400, 5411));
    let private = [("id", "a/b"), ("requireSignedURLs", "true")];
    assert_eq!(app.direct_upload(&private).await.error(), (400, 5410));
    let (id, _) = app.draft(&[("id", "a/b"), ("requireSignedURLs", "false")]).await;
    assert_eq!(id, "a/b");
    assert_eq!(app.direct_upload(&[("id", "a/b")]).await.error(), (409, 5409));
    app.clock.advance(31 * 60);
    app.draft(&[("id", "a/b")]).await;
}

#[tokio::test]
async fn hostile_ids_work_from_end_to_end() {
    let app = App::new();
    let png = pictures::encoded(ImageFormat::Png, 4, 4);
    for id in [
        "products/42/hero.png",
        "50%25 off%",
        "a?b=c&d#e",
        "日本/🦀 é",
        "..%2f..%2fetc%2fpasswd",
        "\"<>'\\`|^{}[];:,@+$!*()",
        "v1",
        "a//b",
    ] {
        assert_eq!(app.image(&[("id", id)], "image/png", &png).await, id);
        let segment = super::super::path::encode_segment(id);
        let result = app.api(Method::GET, &format!("v1/{segment}")).await.result();
        assert_eq!(result["id"], id);
        let url = result["variants"][0].as_str().unwrap();
        let literal = url.strip_prefix("https://imagedelivery.net").unwrap();
        for path in [literal, &format!("/{HASH}/{segment}/public"), &format!("/cdn-cgi/imagedelivery{literal}")] {
            assert_eq!(app.get(path).await.body, png, "{path}");
        }
        assert_eq!(app.api(Method::DELETE, &format!("v1/{segment}")).await.result(), json!({}));
    }
}

#[tokio::test]
async fn deleted_images_and_drafts_are_gone() {
    let app = App::new();
    let (draft, path) = app.draft(&[]).await;
    let image = app.image(&[], "image/png", &pictures::encoded(ImageFormat::Png, 4, 4)).await;
    for id in [&draft, &image] {
        assert_eq!(app.api(Method::DELETE, &format!("v1/{id}")).await.result(), json!({}));
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(app.api(method, &format!("v1/{id}")).await.error(), (404, 5404));
        }
    }
    assert_eq!(app.upload(&path, "image/png", b"").await.error(), (404, 5404));
    assert_eq!(app.get(&format!("/{HASH}/{image}/public")).await.status, 404);
}

#[tokio::test]
async fn the_token_is_asked_for_before_anything_else() {
    let app = App::new();
    let paths = [format!("/client/v4/accounts/{ACCOUNT}/images/v1/x"), "/client/v4/nothing".to_owned()];
    for path in &paths {
        for authorization in [None, Some("Bearer wrong"), Some("Basic dGhl"), Some("Bearer"), Some(TOKEN)] {
            let mut request = Request::get(path);
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            let answer = app.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.error(), (401, 10000), "{authorization:?}");
            assert_eq!(answer.json()["errors"][0]["message"], "Authentication error");
        }
    }
}

#[tokio::test]
async fn other_accounts_routes_and_methods_are_refused() {
    let app = App::new();
    let send = async |method: Method, path: &str| {
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, format!("bearer {TOKEN}"));
        app.send(request.body(Body::empty()).unwrap()).await
    };
    for path in [
        "/client/v4/accounts/other/images/v1/x",
        "/client/v4/accounts/other/images/v2/direct_upload",
        "/client/v4",
        "/client/v4/zones",
        &format!("/client/v4/accounts/{ACCOUNT}/images/v1/"),
        &format!("/client/v4/accounts/{ACCOUNT}/images/v1/a/b"),
        &format!("/client/v4/accounts/{ACCOUNT}/images/v9/x"),
    ] {
        let answer = send(Method::GET, path).await;
        assert_eq!(answer.error(), (404, 7003), "{path}");
        let message = format!("Could not route to {path}, perhaps your object identifier is invalid?");
        assert_eq!(answer.json()["errors"][0]["message"], message);
    }
    for (method, path, allowed) in
        [(Method::GET, "v2/direct_upload", "POST"), (Method::PUT, "v1/x", "GET,HEAD,PATCH,DELETE")]
    {
        let answer = app.api(method, path).await;
        assert_eq!(answer.error(), (405, 7001));
        assert_eq!(answer.header("allow"), allowed);
    }
    for path in ["v1/%FF", "v1/variants/%FF", "v1/keys/%FF"] {
        assert_eq!(app.api(Method::DELETE, path).await.error(), (404, 7003), "{path}");
    }
}

#[tokio::test]
async fn every_answer_of_the_api_has_rate_limit_headers() {
    let app = App::new();
    let answers = [
        app.direct_upload(&[]).await,
        app.api(Method::GET, "v1/x").await,
        app.api(Method::PUT, "v1/x").await,
        app.api(Method::GET, "nothing").await,
        app.get("/client/v4/x").await,
    ];
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!(answer.header("ratelimit"), format!("\"default\";r={};t=300", 1199 - at));
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=1200;w=300");
    }
}
