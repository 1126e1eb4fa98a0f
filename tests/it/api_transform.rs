//! `transform/`

use reqwest::Method;
use serde_json::json;

use crate::support::app::{ACCOUNT_HASH, Answer, BOB, TestApp};
use crate::support::suite::{Engine, Suite};
use crate::support::{picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_transform::any_picture_gets_a_url_with_options", urls);
    suite.on_both_engines("api_transform::format_is_an_option_and_not_the_form_of_the_answer", formats);
    suite.on_both_engines("api_transform::all_that_is_wrong_is_told_by_name", mistakes);
    suite.on_both_engines("api_transform::images_of_the_user_are_named_by_their_key", images);
    suite.on_both_engines("api_transform::images_that_cannot_be_transformed_are_refused_with_the_reason", refusals);
}

async fn urls(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let emulator = app.get("transform/?url=https://imagedelivery.net/hash-0001/a/b/public").await.json();
    let emulator = emulator["url"].as_str().unwrap().trim_end_matches("/a/b/public").to_owned();
    let hosted = app.get("transform/?url=https://imagedelivery.net/hash-0001/a/b/public&w=300&q=high&dpr=2").await;
    hosted.assert_is(
        200,
        &json!({
            "url": format!("{emulator}/a/b/dpr=2.0,quality=high,width=300"),
            "options": {"dpr": 2.0, "quality": "high", "width": 300},
        }),
    );
    assert_eq!(hosted.headers["allow"], "GET, HEAD, OPTIONS");
    for (query, want) in [
        ("url=/media/cat.jpg&width=9", "/cdn-cgi/image/width=9/media/cat.jpg"),
        ("url=/media/cat.jpg&width=9&zone=example.com", "https://example.com/cdn-cgi/image/width=9/media/cat.jpg"),
        (
            "url=https%3A%2F%2Fexample.org%2Fa%3Fb%3D1&background=%23ff8800",
            "https://example.org/cdn-cgi/image/background=%23ff8800/a?b=1",
        ),
        (
            "url=/a&preset=avatar&sizes=64&quality=50",
            "/cdn-cgi/image/fit=cover,gravity=auto,height=64,quality=50,width=64/a",
        ),
    ] {
        let answer = app.get(&format!("transform/?{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["url"]), (200, &json!(want)), "{query}");
    }

    let anonymous = Answer::of(app.anonymous(Method::GET, "transform/?url=/a")).await;
    assert_eq!(anonymous.status, 403);
    assert_eq!(Answer::of(app.api(Method::POST, "transform/?url=/a")).await.status, 405);
}

async fn formats(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for format in ["webp", "json", "auto", "baseline-jpeg"] {
        for name in ["format", "f"] {
            let answer = app.get(&format!("transform/?url=/a&{name}={format}")).await;
            assert_eq!(answer.status, 200, "{name}={format}");
            assert_eq!(
                answer.json(),
                json!({"url": format!("/cdn-cgi/image/format={format}/a"), "options": {"format": format}})
            );
        }
    }
    let options = Answer::of(app.api(Method::OPTIONS, "transform/?format=webp")).await;
    assert_eq!((options.status.as_u16(), &options.json()["name"]), (200, &json!("Transform")));
    let refused = app.get("transform/?url=/a&format=xml").await;
    assert_eq!(refused.status, 400);
    assert!(refused.json()["format"][0].as_str().unwrap().starts_with("Must be one of: auto, avif, "));
    // Elsewhere it is DRF's.
    assert_eq!(app.get("images/?format=webp").await.status, 404);
    let unacceptable = Answer::of(app.api(Method::GET, "transform/?url=/a").header("Accept", "image/webp")).await;
    assert_eq!(unacceptable.status, 406);
}

async fn mistakes(engine: Engine) {
    let app = TestApp::start(&engine).await;
    app.get("transform/?url=/a&width=0&rotate=45&q=1&quality=2&zone=a/b").await.assert_is(
        400,
        &json!({
            "width": ["Must be a whole number from 1 to 12000, or auto."],
            "rotate": ["Must be one of: 0, 90, 180, 270, 360."],
            "quality": ["Is given more than once."],
            "zone": ["Must be a domain, such as example.com, without a path."],
        }),
    );
    let nope = app.get("transform/?url=/a&nope=1").await;
    assert_eq!(nope.status, 400);
    assert!(nope.json()["nope"][0].as_str().unwrap().starts_with("Is not an option; there are: anim, "));
    let either = json!({"non_field_errors": ["Give either url or image."]});
    app.get("transform/").await.assert_is(400, &either);
    app.get("transform/?url=/a&image=00000000-0000-0000-0000-000000000000").await.assert_is(400, &either);
    app.get("transform/?image=cat").await.assert_is(400, &json!({"image": ["Must be a valid UUID."]}));
    app.get("transform/?url=/a&zoom=0.5").await.assert_is(400, &json!({"zoom": ["This option needs gravity=face."]}));
}

async fn images(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let upload = app.create_upload(&json!({})).await;
    let id = upload["id"].as_str().unwrap();
    assert_eq!(
        app.upload(upload["upload_url"].as_str().unwrap(), "a.jpg", "image/jpeg", picture("photo.jpg")).await.status,
        200
    );
    app.wait_for_status(id, "uploaded").await;

    let answer = app.get(&format!("transform/?image={id}&width=20&format=jpeg")).await.json();
    let url = answer["url"].as_str().unwrap();
    let cloudflare_id = upload["cloudflare_id"].as_str().unwrap();
    assert!(url.ends_with(&format!("/{ACCOUNT_HASH}/{cloudflare_id}/format=jpeg,width=20")), "{url}");
    assert_eq!(answer["options"], json!({"format": "jpeg", "width": 20}));
    let plain = app.get(&format!("transform/?image={id}")).await.json();
    assert_eq!(plain["options"], json!({}));
    let plain = plain["url"].as_str().unwrap();
    assert!(plain.ends_with("/public"));
    assert_eq!(app.http.get(plain).send().await.unwrap().status(), 200);

    let not_found = json!({"detail": "No CloudflareImage matches the given query."});
    let bobs =
        app.anonymous(Method::GET, &format!("transform/?image={id}")).header("Authorization", format!("Token {BOB}"));
    Answer::of(bobs).await.assert_is(404, &not_found);
    app.get("transform/?image=00000000-0000-0000-0000-000000000000&width=0").await.assert_is(404, &not_found);
}

async fn refusals(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let upload = app.create_upload(&json!({})).await;
    let id = upload["id"].as_str().unwrap();
    app.get(&format!("transform/?image={id}&width=0")).await.assert_is(
        400,
        &json!({
            "image": ["The image has no picture that could be transformed: its status is pending."],
            "width": ["Must be a whole number from 1 to 12000, or auto."],
        }),
    );
    let private = "UPDATE cloudflare_images SET status = 'uploaded', require_signed_urls = true";
    sql::execute(app.database_url.as_str(), private).await;
    let answer = app.get(&format!("transform/?image={id}&width=1")).await;
    assert_eq!(answer.status, 400);
    assert!(answer.json()["image"][0].as_str().unwrap().starts_with("The image is private, "));
    let public = "UPDATE cloudflare_images SET require_signed_urls = false";
    sql::execute(app.database_url.as_str(), public).await;
    // Nothing has said yet which variants there are, and the configuration is enough.
    let answer = app.get(&format!("transform/?image={id}&width=1")).await.json();
    assert!(answer["url"].as_str().unwrap().ends_with("/width=1"), "{answer}");
}
