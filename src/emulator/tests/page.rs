//! The page at the root.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, header};
use image::ImageFormat;
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use super::super::path::encode_segment;
use super::super::{Fault, Operation};
use super::notifications::destination;
use super::pictures::encoded;
use super::{ACCOUNT, Answer, App, Destination, HASH, KEY, TOKEN, form, part};
use crate::delivery::sign;

const HOST: &str = "127.0.0.1:8001";

impl App {
    /// What a browser gets of the page, with these headers besides.
    async fn page(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path).header(header::HOST, HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The part of the page with this id, up to the end of its section.
    pub(super) async fn part_of_page(&self, id: &str) -> String {
        let page = self.page("/", &[]).await;
        let (_, rest) = page.text().split_once(&format!("id=\"{id}\"")).unwrap();
        rest.split("</section>").next().unwrap().to_owned()
    }

    /// Uploads a file as the form of the page does.
    async fn upload_on_page(&self, bytes: &[u8], headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post("/_cfimages/upload").header(header::HOST, HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(form(request, [part("file", Some("a.png"), Some("image/png"), bytes)])).await
    }

    async fn count(&self) -> u64 {
        self.api(Method::GET, "v1/stats").await.result()["count"]["current"].as_u64().unwrap()
    }
}

fn png() -> Vec<u8> {
    encoded(ImageFormat::Png, 40, 30)
}

#[tokio::test]
async fn an_empty_page_tells_how_to_begin_and_how_to_connect() {
    let app = App::new();
    let page = app.page("/", &[]).await;
    assert_eq!((page.status.as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
    for text in [
        "Nothing is stored yet.",
        &format!(
            "curl -H 'Authorization: Bearer {TOKEN}' -F file=@photo.jpg http://{HOST}/client/v4/accounts/{ACCOUNT}"
        ),
        &format!("base_url=\"http://{HOST}/client/v4\""),
        &format!("baseURL: \"http://{HOST}/client/v4\""),
        &format!("option.WithBaseURL(\"http://{HOST}/client/v4\")"),
        &format!("CLOUDFLARE_IMAGES_BASE_URL=http://{HOST}/client/v4\n"),
        &format!("CLOUDFLARE_IMAGES_API_TOKEN={TOKEN}\n"),
    ] {
        assert!(page.text().contains(text), "{text}");
    }
}

#[tokio::test]
async fn pictures_and_drafts_are_shown_apart_and_names_stay_text() {
    let app = App::new();
    let fields = [("metadata", r#"{"<b>": "<i>"}"#), ("creator", "<u>")];
    let (id, path) = app.draft(&fields).await;
    app.send(form(Request::post(&path), [part("file", Some("<s>.png"), Some("image/png"), &png())])).await.result();
    app.clock.advance(1);
    let private = app.image(&[("requireSignedURLs", "true")], "image/png", &png()).await;
    let (draft, _) = app.draft(&[("id", "a/<b>\u{e9}")]).await;

    let pictures = app.part_of_page("pictures").await;
    assert!(pictures.find(&private).unwrap() < pictures.find(&id).unwrap(), "the newest is first");
    assert!(pictures.contains("&#60;s&#62;.png") && pictures.contains("40 × 30 PNG"), "{pictures}");
    assert_eq!(pictures.matches("Private").count(), 1);
    assert!(!pictures.contains("a/&#60;b"));
    let drafts = app.part_of_page("drafts").await;
    assert!(drafts.contains("a/&#60;b&#62;\u{e9}") && !drafts.contains(&id), "{drafts}");

    let details = app.page(&format!("/_cfimages/image?id={id}"), &[]).await;
    for text in ["&#60;b&#62;", "&#34;&#60;i&#62;&#34;", "&#60;u&#62;", &format!("http://{HOST}/{HASH}/{id}/thumbnail")]
    {
        assert!(details.text().contains(text), "{text}: {}", details.text());
    }
    for page in [app.page("/", &[]).await, details] {
        assert!(!["<b>", "<i>", "<s>", "<u>"].iter().any(|tag| page.text().contains(tag)), "{}", page.text());
    }
    let of_draft = app.page(&format!("/_cfimages/image?id={}", encode_segment(&draft)), &[]).await;
    assert!(of_draft.text().contains(&format!("http://{HOST}/upload/{HASH}/a%2F%3Cb%3E%C3%A9")));
    assert_eq!(app.page("/_cfimages/image?id=none", &[]).await.status, 404);
}

#[tokio::test]
async fn older_pictures_are_on_further_pages() {
    let app = App::new();
    let mut ids = Vec::new();
    for _ in 0..25 {
        app.clock.advance(1);
        ids.push(app.image(&[], "image/png", &png()).await);
    }
    let has = |page: &Answer, id: &str| page.text().contains(&format!("id=\"image-{id}\""));
    let (first, second) = (app.page("/", &[]).await, app.page("/?page=2", &[]).await);
    assert!(has(&first, &ids[24]) && has(&first, &ids[1]) && !has(&first, &ids[0]));
    assert!(has(&second, &ids[0]) && !has(&second, &ids[1]) && second.text().contains("Page 2 of 2"));
}

#[tokio::test]
async fn signed_urls_of_private_pictures_are_made_here() {
    let app = App::new();
    let id = app.image(&[("requireSignedURLs", "true")], "image/png", &png()).await;
    let details = app.page(&format!("/_cfimages/image?id={id}"), &[]).await;
    let start = format!("http://{HOST}/{HASH}/{id}/public?exp=");
    let (_, rest) = details.text().split_once(&format!("<a href=\"{start}")).unwrap();
    let query = rest.split('"').next().unwrap().replace("&#38;", "&");
    assert_eq!(app.get(&format!("/{HASH}/{id}/public?exp={query}")).await.body, png());

    let picture = app.page(&format!("/_cfimages/picture?id={id}"), &[]).await;
    assert_eq!((picture.body.as_ref(), picture.header("cache-control")), (png().as_slice(), "private, no-cache"));
    assert_eq!(app.page("/_cfimages/picture?id=none", &[]).await.status, 404);
}

#[tokio::test]
async fn pictures_on_the_page_are_small_and_leave_faults_and_records_alone() {
    let app = App::new();
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 1200, 600)).await;
    app.emulator.faults().add(Fault::error(503).on(Operation::Deliver)).unwrap();
    let picture = app.page(&format!("/_cfimages/picture?id={id}"), &[]).await;
    assert_eq!(image::load_from_memory(&picture.body).unwrap().width(), 480);
    assert!(!app.part_of_page("requests").await.contains("picture"));
    assert_eq!(app.get(&format!("/{HASH}/{id}/public")).await.status, 503);
}

#[tokio::test]
async fn every_answer_is_for_this_page_alone() {
    let app = App::new();
    let id = app.image(&[], "image/png", &png()).await;
    let paths = [
        "/",
        "/_cfimages/page.js",
        "/_cfimages/page.css",
        "/_cfimages/cfimages.css",
        "/_cfimages/logo.svg",
        "/_cfimages/image",
    ];
    for path in paths
        .map(str::to_owned)
        .into_iter()
        .chain([format!("/_cfimages/picture?id={id}"), "/_cfimages/upload".to_owned()])
    {
        let answer = app.page(&path, &[("origin", "http://evil.test")]).await;
        assert!(answer.header("content-security-policy").starts_with("default-src 'none';"), "{path}");
        assert!(!answer.header("content-security-policy").contains("unsafe"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")), "{path}");
    }
    let page = app.page("/", &[]).await;
    assert!(page.header("content-security-policy").ends_with("base-uri 'none'; frame-ancestors 'none'"));
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(!page.text().contains(" style=") && !page.text().contains("<style") && !page.text().contains("<script>"));
}

#[tokio::test]
async fn everything_that_the_page_loads_is_there() {
    let app = App::new();
    let page = app.page("/", &[]).await;
    let named = page.text().split('"').filter(|text| text.starts_with("/_cfimages/") && text.contains('.'));
    let mut paths: Vec<_> = named.map(str::to_owned).collect();
    assert!(paths.len() >= 4, "{paths:?}");
    while let Some(path) = paths.pop() {
        let answer = app.page(&path, &[]).await;
        assert_eq!(answer.status, 200, "{path}");
        let imports = answer.text().split("@import url(\"").skip(1);
        paths.extend(imports.filter_map(|rest| Some(format!("/_cfimages/{}", rest.split_once('"')?.0))));
    }
}

#[tokio::test]
async fn other_names_are_not_answered() {
    let app = App::new();
    let id = app.image(&[], "image/png", &png()).await;
    for host in ["evil.test", "evil.test:8001", "127.0.0.1.evil.test", "a@127.0.0.1", ""] {
        for path in
            ["/", &format!("/_cfimages/image?id={id}"), &format!("/_cfimages/picture?id={id}"), "/_cfimages/page.js"]
        {
            let answer = app.send(Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, 403, "{host} {path}");
            assert!(!answer.text().contains(&id) && answer.text().contains("--public-url"), "{}", answer.text());
        }
    }
    assert_eq!(app.get("/").await.status, 403, "without a name");
    let twice = Request::get("/").header(header::HOST, HOST).header(header::HOST, "evil.test");
    assert_eq!(app.send(twice.body(Body::empty()).unwrap()).await.status, 403);
    for host in ["localhost:9000", "[::1]:8001"] {
        let answer = app.send(Request::get("/").header(header::HOST, host).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{host}");
        assert!(answer.text().contains(TOKEN), "{host}");
    }
    for host in ["192.0.2.1:8001", "emulator:8001"] {
        let answer = app.send(Request::get("/").header(header::HOST, host).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{host}");
        assert!(!answer.text().contains(TOKEN), "{host}: others come by a port that is forwarded");
    }
}

#[tokio::test]
async fn only_the_page_may_upload_by_its_form() {
    let app = App::new();
    let origin = format!("http://{HOST}");
    for foreign in [
        &[][..],
        &[("origin", "http://evil.test")],
        &[("origin", "null")],
        &[("origin", "http://127.0.0.1:3000")],
        &[("sec-fetch-site", "cross-site"), ("origin", &origin)],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
    ] {
        let answer = app.upload_on_page(&png(), foreign).await;
        assert_eq!(answer.status, 403, "{foreign:?}");
        assert_eq!(app.count().await, 0, "{foreign:?}");
    }
    let answer = app.upload_on_page(&png(), &[("origin", &origin)]).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"));
    let script = [("sec-fetch-site", "same-origin"), ("origin", &origin), ("accept", "application/json")];
    assert_eq!(app.upload_on_page(&png(), &script).await.result()["filename"], "a.png");
    assert_eq!(app.count().await, 2);
}

#[tokio::test]
async fn what_is_wrong_with_an_upload_is_said() {
    let app = App::new();
    let form = app.upload_on_page(b"text", &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!(form.status, 400);
    assert!(
        form.text().contains("The picture was not taken") && form.text().contains("Decode error"),
        "{}",
        form.text()
    );
    let script =
        app.upload_on_page(b"text", &[("sec-fetch-site", "same-origin"), ("accept", "application/json")]).await;
    assert_eq!(script.error(), (400, 9422));
}

#[tokio::test]
async fn requests_are_listed_without_anything_secret() {
    let app = App::new();
    let (id, path) = app.draft(&[]).await;
    app.upload(&path, "image/png", &png()).await.result();
    let signed = sign(KEY, &format!("/{HASH}/{id}/public"), app.now().as_unix_seconds() + 60);
    app.get(&signed).await;
    app.api(Method::GET, "v2?per_page=10&continuation_token=").await;
    app.get(&format!("/client/v4/accounts/{ACCOUNT}/images/v1?token={TOKEN}")).await;
    app.emulator.faults().add(Fault::cut()).unwrap();
    // Its body breaks off.
    let call = Request::get(format!("/client/v4/accounts/{ACCOUNT}/images/v1/keys"));
    let call = call.header(header::AUTHORIZATION, format!("Bearer {TOKEN}")).body(Body::empty()).unwrap();
    app.router.clone().oneshot(call).await.unwrap();

    let requests = app.part_of_page("requests").await;
    let signature = signed.split_once("sig=").unwrap().1;
    for secret in [TOKEN, KEY, signature, &path, "Bearer"] {
        assert!(!requests.contains(secret), "{secret} is in {requests}");
    }
    let text: String = requests.split('<').filter_map(|tag| tag.split_once('>')).map(|(_, text)| text).collect();
    for line in [
        "GET /client/v4/…/images/v1/keys connection cut",
        "GET /client/v4/…/images/v1?token=… 401 Unauthorized",
        "GET /client/v4/…/images/v2?per_page=10&#38;continuation_token=… 200 OK",
        &format!("GET /{HASH}/{id}/public?exp={}&#38;sig=… 200 OK", app.now().as_unix_seconds() + 60),
        &format!("POST /upload/{HASH}/… 200 OK"),
        "POST /client/v4/…/images/v2/direct_upload 200 OK",
    ] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn requests_in_progress_and_those_given_up_are_listed_as_such() {
    let app = App::new();
    app.emulator.faults().add(Fault::slow(Duration::from_hours(1))).unwrap();
    let mut call = Box::pin(app.api(Method::GET, "v1/stats"));
    tokio::select! {
        biased;
        _ = &mut call => panic!("it waits for an hour"),
        () = tokio::task::yield_now() => {}
    }
    assert!(app.part_of_page("requests").await.contains("in progress"));
    drop(call);
    assert!(app.part_of_page("requests").await.contains("client went away"));
}

#[tokio::test]
async fn notifications_are_listed_with_destination_outcome_and_tries() {
    let server = destination(&[503, 200, 400]).await;
    let url = format!("{}/hook?key=hush", server.uri());
    let app = App::with(|config| config.notify = Some(Destination { url, secret: Some("secret".to_owned()) }));
    let id = app.image(&[], "image/png", &png()).await;
    app.emulator.finish().await;
    let notifications = app.part_of_page("notifications").await;
    let hook = format!("{}/hook?…", server.uri());
    for text in [&format!("The upload of image {id} succeeded."), &hook, "delivered", "2 tries"] {
        assert!(notifications.contains(text), "{text}: {notifications}");
    }
    assert!(!notifications.contains("hush") && !notifications.contains("secret"));

    let policy = app.call(Method::GET, "alerting/v3/policies", "").await.result()[0]["id"].clone();
    let path = format!("alerting/v3/policies/{}/test", policy.as_str().unwrap());
    app.call(Method::POST, &path, json!({}).to_string()).await;
    app.emulator.finish().await;
    let notifications = app.part_of_page("notifications").await;
    assert!(notifications.contains("failed: the answer is 400 Bad Request") && notifications.contains("1 try"));
}

#[tokio::test]
async fn others_than_this_machine_have_to_present_the_token() {
    let app = App::with(|config| {
        config.address = "0.0.0.0:8001".parse().unwrap();
    });
    let (id, _) = app.draft(&[]).await;
    let private = app.image(&[("requireSignedURLs", "true")], "image/png", &png()).await;
    let page = app.page("/", &[]).await;
    assert_eq!(page.status, 200);
    for secret in [TOKEN, KEY, "unused", &id, &private] {
        assert!(!page.text().contains(secret), "{secret}: {}", page.text());
    }
    assert!(page.text().contains(&format!("http://{HOST}/client/v4")));
    assert!(page.text().contains("It printed the token when it started."), "{}", page.text());
    for path in [format!("/_cfimages/image?id={private}"), format!("/_cfimages/picture?id={private}")] {
        assert_eq!(app.page(&path, &[]).await.status, 403, "{path}");
    }
    let same_site = [("sec-fetch-site", "same-origin")];
    assert_eq!(app.upload_on_page(&png(), &same_site).await.status, 403);
    assert_eq!(app.count().await, 1);

    let present = async |token: &str, site: &str| {
        let request = Request::post("/_cfimages/session").header(header::HOST, HOST).header("sec-fetch-site", site);
        app.send(request.body(Body::from(format!("account={ACCOUNT}&token={token}"))).unwrap()).await
    };
    assert_eq!(present("wrong", "same-origin").await.status, 403);
    assert_eq!(present(TOKEN, "cross-site").await.status, 403);
    let answer = present(TOKEN, "same-origin").await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, "/"));
    let (cookie, attributes) = answer.header("set-cookie").split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Strict");
    assert!(!cookie.contains(TOKEN));
    let page = app.page("/", &[("cookie", &format!("a=b; {cookie}"))]).await;
    assert!(page.text().contains(TOKEN) && page.text().contains(&private));
    for forged in [format!("{}x", &cookie[..cookie.len() - 1]), "cfimages_emulator=".to_owned()] {
        assert!(!app.page("/", &[("cookie", &forged)]).await.text().contains(TOKEN));
    }
}

#[tokio::test]
async fn a_real_connection_is_answered_by_its_address() {
    let app = App::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, app.router.clone()).into_future());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
    assert_eq!(client.get(&url).header("host", "evil.test").send().await.unwrap().status(), 403);
}
