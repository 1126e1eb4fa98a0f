//! `html/`

use cfimages::config::settings;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{ACCOUNT_HASH, Answer, BOB, SIGNING_KEY, TestApp};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_html::an_image_of_ones_own_is_shown_with_what_is_known_of_it", own_image);
    suite.on_both_engines("api_html::what_the_client_has_is_not_sent_again", not_modified);
    suite.on_both_engines("api_html::all_that_is_wrong_is_told_at_once", wrong_parameters);
    suite.on_both_engines("api_html::images_of_others_do_not_exist", foreign_images);
    suite.on_both_engines("api_html::what_cannot_be_shown_is_refused_with_the_reason", not_shown);
    suite.on_both_engines("api_html::a_private_image_is_shown_by_its_signed_url", private_image);
    suite.on_both_engines("api_html::a_gallery_shows_the_newest_or_those_that_are_named", gallery);
    suite.test("api_html::each_kind_of_fragment_is_html", || kinds(Engine::Sqlite));
    suite.test("api_html::an_upload_form_is_kept_nowhere", || upload_form(Engine::Sqlite));
}

const URL: &str = "https://imagedelivery.net/hash-0001/id/public";

/// An image that is uploaded; its key, and its key at Cloudflare.
async fn uploaded(app: &TestApp, body: &Value) -> (String, String) {
    let created = app.create_upload(body).await;
    let (id, cloudflare_id) = (created["id"].as_str().unwrap(), created["cloudflare_id"].as_str().unwrap());
    let variants = format!("[\"https://imagedelivery.net/{ACCOUNT_HASH}/{cloudflare_id}/public\"]");
    let update = format!(
        "UPDATE cloudflare_images SET status = 'uploaded', variants = '{variants}', width = 1200, height = 800 \
         WHERE cloudflare_id = '{cloudflare_id}'"
    );
    sql::execute(app.database_url.as_str(), &update).await;
    (id.to_owned(), cloudflare_id.to_owned())
}

#[track_caller]
fn assert_holds(answer: &Answer, parts: &[&str]) {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    for part in parts {
        assert!(answer.text.contains(part), "no {part} in {}", answer.text);
    }
}

async fn own_image(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let (id, cloudflare_id) = uploaded(&app, &json!({"filename": "red_shoes.jpg"})).await;
    let answer = app.get(&format!("html/img/?image={id}&widths=400,2400&sizes=50vw&class=wide&priority=true")).await;
    let at = |width| format!("/{cloudflare_id}/fit=scale-down,format=auto,quality=85,width={width}");
    assert_holds(
        &answer,
        &[
            &format!("{} 400w", at(400)),
            &format!("{} 1200w", at(1200)),
            "src=\"http://127.0.0.1:",
            r#"sizes="50vw""#,
            r#"class="wide""#,
            r#"width="1200" height="800""#,
            r#"alt="red shoes""#,
            r#"loading="eager" fetchpriority="high""#,
        ],
    );
    assert_holds(&app.get(&format!("html/img/?image={id}&alt=")).await, &[r#"alt="""#]);

    let (id, _) = uploaded(&app, &json!({"metadata": {"alt": "<b>\"Shoes\""}})).await;
    assert_holds(&app.get(&format!("html/avatar/?image={id}")).await, &[r#"alt="&#60;b&#62;&#34;Shoes&#34;""#]);
}

async fn not_modified(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let path = format!("html/img/?url={URL}");
    let first = app.get(&path).await;
    assert_holds(&first, &["<img "]);
    let tag = first.headers["etag"].clone();
    assert_eq!(
        (&first.headers["cache-control"], &first.headers["vary"]),
        (&"private, no-cache".parse().unwrap(), &"Accept, Cookie".parse().unwrap())
    );
    let again = Answer::of(app.api(Method::GET, &path).header("If-None-Match", &tag)).await;
    assert_eq!((again.status.as_u16(), again.text.as_str(), &again.headers["etag"]), (304, "", &tag));
    assert!(again.headers.contains_key("vary") && again.headers.contains_key("cache-control"));
    let other = Answer::of(app.api(Method::GET, &format!("{path}&alt=x")).header("If-None-Match", &tag)).await;
    assert_eq!(other.status, 200);
    assert_ne!(other.headers["etag"], tag);
    let head = Answer::of(app.api(Method::HEAD, &path)).await;
    assert_eq!((head.status.as_u16(), head.text.as_str(), &head.headers["etag"]), (200, "", &tag));
}

async fn wrong_parameters(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let answer =
        app.get("html/img/?url=javascript:alert(1)&widths=1,x&quality=101&width=0&height=1&priority=perhaps").await;
    answer.assert_is(
        400,
        &json!({
            "url": ["Must be an http:// or https:// URL, or a path."],
            "widths": ["Must be whole numbers from 1 to 12000 with commas, such as 320,640,1024."],
            "quality": ["Ensure this value is less than or equal to 100."],
            "width": ["Ensure this value is greater than or equal to 1."],
            "priority": ["Must be a valid boolean."],
        }),
    );
    let either = json!(["Give either url or image."]);
    for (query, field, messages) in [
        ("avatar/", "url", &either),
        ("avatar/?url=&image=", "url", &either),
        ("avatar/?url=/a.jpg&image=00000000-0000-4000-8000-00000000dead", "image", &either),
        ("avatar/?image=7", "image", &json!(["Must be a valid UUID."])),
        ("avatar/?url=/a.jpg&width=7", "height", &json!(["Give both width and height, or neither."])),
        ("avatar/?url=/a.jpg&size=1.5", "size", &json!(["A valid integer is required."])),
        (
            "picture/?url=/a.jpg&tablet_width=12001",
            "tablet_width",
            &json!(["Ensure this value is less than or equal to 12000."]),
        ),
        ("gallery/?columns=13", "columns", &json!(["Ensure this value is less than or equal to 12."])),
        ("gallery/?images=1,2", "images", &json!(["Must be valid UUIDs with commas between them."])),
        (
            "thumbnail/?url=https://imagedelivery.net/x",
            "url",
            &json!(["Must name an image: /<account hash>/<image id>/<variant>."]),
        ),
    ] {
        app.get(&format!("html/{query}")).await.assert_is(400, &json!({field: messages}));
    }
    let nobody = Answer::of(app.anonymous(Method::GET, "html/img/?url=/a.jpg")).await;
    nobody.assert_is(403, &json!({"detail": "Authentication credentials were not provided."}));
    Answer::of(app.api(Method::POST, "html/img/"))
        .await
        .assert_is(405, &json!({"detail": "Method \"POST\" not allowed."}));
}

async fn foreign_images(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let (id, _) = uploaded(&app, &json!({})).await;
    let not_found = json!({"detail": "No CloudflareImage matches the given query."});
    for path in [format!("html/img/?image={id}"), format!("html/gallery/?images={id}")] {
        assert_eq!(app.get(&path).await.status, 200);
        let request = app.anonymous(Method::GET, &path).header("Authorization", format!("Token {BOB}"));
        Answer::of(request).await.assert_is(404, &not_found);
        app.get(&path.replace(&id, "00000000-0000-4000-8000-00000000dead")).await.assert_is(404, &not_found);
    }
    let others = app.anonymous(Method::GET, "html/gallery/").header("Authorization", format!("Token {BOB}"));
    assert_holds(&Answer::of(others).await, &["No images yet."]);
}

async fn not_shown(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let pending = app.create_upload(&json!({})).await;
    let id = pending["id"].as_str().unwrap();
    let reason = "The image has no picture that could be shown: its status is pending.";
    app.get(&format!("html/img/?image={id}")).await.assert_is(400, &json!({"image": [reason]}));
    app.get(&format!("html/gallery/?images={id}")).await.assert_is(400, &json!({"images": [reason]}));

    let (id, _) = uploaded(&app, &json!({"require_signed_urls": true})).await;
    let reason = "The image is private: its picture is delivered by signed URLs of named variants only, and CLOUDFLARE_IMAGES_SIGNING_KEY is not set.";
    app.get(&format!("html/img/?image={id}")).await.assert_is(400, &json!({"image": [reason]}));
    assert_holds(&app.get("html/gallery/").await, &["No images yet."]);
}

async fn private_image(engine: Engine) {
    let app = TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, SIGNING_KEY).start(&engine).await;
    let (id, cloudflare_id) = uploaded(&app, &json!({"require_signed_urls": true})).await;
    let answer = app.get(&format!("html/img/?image={id}")).await;
    assert_holds(&answer, &[&format!("/{cloudflare_id}/public?exp="), "&#38;sig="]);
    assert!(!answer.text.contains("srcset") && !answer.text.contains("width=3"), "{}", answer.text);
    for gallery in [format!("html/gallery/?images={id}"), "html/gallery/".to_owned()] {
        assert_holds(&app.get(&gallery).await, &["<a href=\"http://127.0.0.1:", "/public?exp="]);
    }
}

async fn gallery(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let (first, _) = uploaded(&app, &json!({"filename": "first.jpg"})).await;
    let (second, second_key) = uploaded(&app, &json!({"filename": "second.jpg"})).await;
    app.create_upload(&json!({"filename": "pending.jpg"})).await;
    let places =
        |answer: &Answer| ["first", "second", "pending"].map(|name| answer.text.find(&format!("alt=\"{name}\"")));

    let newest = app.get("html/gallery/?columns=4&size=200&class=mine").await;
    let large = format!("/{second_key}/fit=scale-down,format=auto,quality=85,width=1600\"");
    assert_holds(&newest, &[r#"<ul class="cf-gallery cf-columns-4 mine" role="list">"#, r#"width="200""#, &large]);
    let [Some(at_first), Some(at_second), None] = places(&newest) else { panic!("{}", newest.text) };
    assert!(at_second < at_first);
    let [None, Some(_), None] = places(&app.get("html/gallery/?limit=1").await) else { panic!("one image") };

    let named = app.get(&format!("html/gallery/?images={first},{second}")).await;
    let [Some(at_first), Some(at_second), None] = places(&named) else { panic!("{}", named.text) };
    assert!(at_first < at_second);
}

async fn kinds(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for (query, part) in [
        (format!("img/?url={URL}"), "<img loading=\"lazy\""),
        (format!("picture/?url={URL}&mobile_width=300"), "<picture><source media=\"(max-width: 300px)\""),
        (format!("avatar/?url={URL}&size=64&class=big"), "<img class=\"cf-avatar big\""),
        (format!("thumbnail/?url={URL}"), "<img class=\"cf-thumbnail\""),
        ("gallery/?images=".to_owned(), "<p class=\"cf-gallery-empty\">"),
        ("upload-form/".to_owned(), "<form id=\"cf-upload-form\""),
    ] {
        let path = format!("html/{query}");
        for accept in ["*/*", "text/html", "text/html, */*;q=0.1", "application/json"] {
            let answer = Answer::of(app.api(Method::GET, &path).header("Accept", accept)).await;
            assert_holds(&answer, &[part]);
        }
        let answer = Answer::of(app.api(Method::GET, &path).header("Accept", "image/png")).await;
        answer.assert_is(406, &json!({"detail": "Could not satisfy the request Accept header."}));
        let options = Answer::of(app.api(Method::OPTIONS, &path)).await;
        assert_eq!((options.status.as_u16(), &options.headers["allow"]), (200, &"GET, HEAD, OPTIONS".parse().unwrap()));
    }
}

async fn upload_form(engine: Engine) {
    let app = TestApp::builder().set(&settings::CFIMAGES_URL_PREFIX, "/pictures").start(&engine).await;
    let get = |query: &str, cookie: &'static str| {
        let url = format!("{}/pictures/api/html/upload-form/{query}", app.origin);
        let token = crate::support::app::ALICE;
        Answer::of(app.http.get(url).header("Authorization", format!("Token {token}")).header("Cookie", cookie))
    };
    let form = get("?button_text=Send%20%3Cb%3E&next=/done", "csrftoken=abcdefghijklmnopqrstuvwxyz012345").await;
    assert_holds(
        &form,
        &[
            r#"action="/pictures/api/images/upload/""#,
            r#"endpoint="/pictures/api/upload-url/""#,
            r#"src="/pictures/static/cfimages-upload.js""#,
            r#"name="next" value="/done""#,
            "Send &#60;b&#62;</button>",
        ],
    );
    for next in ["https://evil.example/", "//evil.example/", "done"] {
        let refusal =
            json!({"next": ["This must be a path on this host, such as /gallery/, or a URL of a trusted origin."]});
        get(&format!("?next={next}"), "").await.assert_is(400, &refusal);
    }
    assert_eq!(form.headers["cache-control"], "no-store");
    assert!(!form.headers.contains_key("etag"));
    // The token is masked anew each time, so that compression does not give it away.
    let token_of = |answer: &Answer| {
        let (_, rest) = answer.text.split_once(r#"name="csrfmiddlewaretoken" value=""#)?;
        Some(rest.split('"').next()?.to_owned())
    };
    let token = token_of(&form).unwrap();
    assert_eq!(token.len(), 64);
    assert_ne!(token_of(&get("", "csrftoken=abcdefghijklmnopqrstuvwxyz012345").await).unwrap(), token);
    for unusable in ["", "csrftoken=short", "csrftoken=abcdefghijklmnopqrstuvwxyz01234-"] {
        assert_eq!(token_of(&get("", unusable).await), None, "{unusable}");
    }
}
