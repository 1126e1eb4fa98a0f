//! `images/{id}/url/`, and the signed URLs in the JSON of images

use std::sync::Arc;
use std::time::Duration;

use cfimages::config::settings;
use cfimages::delivery::{DeliveryShape, DeliveryUrls};
use cfimages::domain::{ManualClock, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::{ACCOUNT_HASH, Answer, BOB, SIGNING_KEY, TestApp};
use crate::support::suite::{Engine, Suite};
use crate::support::{picture, sql};

const KEYS_PATH: &str = "/accounts/acct-0001/images/v1/keys";

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("api_delivery_urls::a_private_picture_is_delivered_by_its_signed_url_alone", private_picture);
    suite.on_both_engines("api_delivery_urls::a_signed_url_stays_the_same_until_it_ends", expiry);
    suite.on_both_engines("api_delivery_urls::a_public_picture_needs_no_signature_and_takes_options", public_picture);
    suite.on_both_engines("api_delivery_urls::a_worker_gets_the_signature_of_the_short_path", worker);
    suite.on_both_engines("api_delivery_urls::a_listed_url_tells_the_account_hash", listed_hash);
    suite.on_both_engines("api_delivery_urls::the_accounts_keys_are_asked_for_once", keys_once);
    suite.on_both_engines("api_delivery_urls::a_failure_to_get_keys_is_told_and_not_kept", failing_keys);
    suite.on_both_engines("api_delivery_urls::parameters_are_refused_by_name", bad_parameters);
    suite.on_both_engines("api_delivery_urls::images_of_others_and_without_a_picture_have_no_url", no_url);
    suite.on_both_engines("api_delivery_urls::private_images_show_signed_urls_where_a_key_is_configured", extra_keys);
    suite.on_both_engines("api_delivery_urls::images_show_no_signed_urls_otherwise", no_extra_keys);
    suite.on_both_engines("api_delivery_urls::previews_by_options_have_no_signed_url", thumbnail_by_options);
}

/// Uploads a picture; the image as the API shows it then.
async fn uploaded(app: &TestApp, request: &Value) -> Value {
    let created = app.create_upload(request).await;
    let upload_url = created["upload_url"].as_str().unwrap();
    let stored = app.upload(upload_url, "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    assert_eq!(stored.status, 200, "{}", stored.text);
    app.wait_for_status(created["id"].as_str().unwrap(), "uploaded").await
}

async fn ask(app: &TestApp, image: &Value, query: &str) -> Answer {
    app.get(&format!("images/{}/url/{query}", image["id"].as_str().unwrap())).await
}

/// The answer, checked to be a success.
async fn url_of(app: &TestApp, image: &Value, query: &str) -> Value {
    let answer = ask(app, image, query).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// The width of the picture behind a URL, or the status where it is refused.
async fn width(app: &TestApp, url: &str) -> Result<u32, u16> {
    let response = app.http.get(url).send().await.unwrap();
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    Ok(image::load_from_memory(&response.bytes().await.unwrap()).unwrap().width())
}

fn seconds(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<Timestamp>().unwrap().as_unix_seconds()
}

async fn private_picture(engine: Engine) {
    // Without a key of its own: the service asks the emulator for it.
    let app = TestApp::builder().start(&engine).await;
    let image = uploaded(&app, &json!({})).await;
    let answer = url_of(&app, &image, "").await;
    assert_eq!((&answer["variant"], &answer["signed"]), (&json!("public"), &json!(true)));
    let life = seconds(&answer["expires_at"]) - seconds(&image["uploaded_at"]);
    assert!(seconds(&answer["expires_at"]) % 300 == 0 && (3600..=3960).contains(&life), "{answer}");

    let url = answer["url"].as_str().unwrap();
    let public_url = image["public_url"].as_str().unwrap();
    assert!(url.starts_with(&format!("{public_url}?exp={}&sig=", seconds(&answer["expires_at"]))), "{url}");
    assert_eq!(width(&app, url).await, Ok(1152));
    assert_eq!(width(&app, public_url).await, Err(403));
    let last = if url.ends_with('0') { "1" } else { "0" };
    for tampered in [
        url.replace("/public?", "/thumbnail?"),
        url.replace("?exp=", "?exp=1"),
        url.replace("&sig=", "&a=1&sig="),
        format!("{}{last}", &url[..url.len() - 1]),
    ] {
        assert_eq!(width(&app, &tampered).await, Err(403), "{tampered}");
    }

    let thumbnail = url_of(&app, &image, "?variant=thumbnail&expiry=31536000").await;
    assert_eq!(width(&app, thumbnail["url"].as_str().unwrap()).await, Ok(300));
}

async fn expiry(engine: Engine) {
    let clock = Arc::new(ManualClock::new("2026-01-01T00:00:10Z".parse().unwrap()));
    let app = TestApp::builder().clock(Arc::<ManualClock>::clone(&clock)).start(&engine).await;
    let image = uploaded(&app, &json!({})).await;
    let first = url_of(&app, &image, "?expiry=60").await;
    assert_eq!(first["expires_at"], "2026-01-01T00:05:00Z");
    clock.advance(230);
    assert_eq!(url_of(&app, &image, "?expiry=60").await, first);
    clock.advance(60);
    assert_eq!(width(&app, first["url"].as_str().unwrap()).await, Ok(1152));
    let second = url_of(&app, &image, "?expiry=60").await;
    assert_eq!(second["expires_at"], "2026-01-01T00:10:00Z");
    clock.advance(1);
    assert_eq!(width(&app, first["url"].as_str().unwrap()).await, Err(403));
    assert_eq!(width(&app, second["url"].as_str().unwrap()).await, Ok(1152));
}

async fn public_picture(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let image = uploaded(&app, &json!({"custom_id": "shop/é 1"})).await;
    let answer = url_of(&app, &image, "?expiry=60").await;
    let want = json!({"url": image["public_url"], "variant": "public", "signed": false, "expires_at": null});
    assert_eq!(answer, want);
    assert_eq!(width(&app, answer["url"].as_str().unwrap()).await, Ok(1152));

    let with_options = url_of(&app, &image, "?variant=width=300,fit=cover").await;
    let options = with_options["variant"].as_str().unwrap();
    assert_eq!(options.parse::<cfimages::delivery::Transform>(), "w=300,fit=cover".parse());
    let base = image["public_url"].as_str().unwrap().strip_suffix("/public").unwrap();
    assert_eq!(with_options["url"], json!(format!("{base}/{options}")));
}

async fn worker(engine: Engine) {
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_DELIVERY_URL, "https://img.example.org")
        .set(&settings::CLOUDFLARE_IMAGES_DELIVERY_PATH_PREFIX, "")
        .set(&settings::CLOUDFLARE_IMAGES_DELIVERY_INCLUDE_ACCOUNT_HASH, "false")
        .start(&engine)
        .await;
    let image = uploaded(&app, &json!({})).await;
    let answer = url_of(&app, &image, "").await;
    let id = image["cloudflare_id"].as_str().unwrap();
    let url = answer["url"].as_str().unwrap();
    assert!(url.starts_with(&format!("https://img.example.org/{id}/public?exp=")), "{url}");
    let shape = DeliveryShape {
        delivery_url: Some("img.example.org".to_owned()),
        path_prefix: String::new(),
        include_account_hash: false,
    };
    let end = seconds(&answer["expires_at"]);
    let urls = DeliveryUrls::new(Some(ACCOUNT_HASH.to_owned()), &shape);
    assert_eq!(urls.verify(url, [SIGNING_KEY], end), Ok(Some(end)));

    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_DELIVERY_URL, "https://img.example.org")
        .set(&settings::CLOUDFLARE_IMAGES_DELIVERY_PATH_PREFIX, "")
        .set(&settings::CLOUDFLARE_IMAGES_DELIVERY_INCLUDE_ACCOUNT_HASH, "false")
        .unset(&settings::CLOUDFLARE_IMAGES_ACCOUNT_HASH)
        .start(&engine)
        .await;
    let image = uploaded(&app, &json!({})).await;
    let refused = ask(&app, &image, "").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json()["error"], "The account hash is not known. Set CLOUDFLARE_IMAGES_ACCOUNT_HASH.");
}

async fn listed_hash(engine: Engine) {
    let app = TestApp::builder()
        .unset(&settings::CLOUDFLARE_IMAGES_DELIVERY_URL)
        .unset(&settings::CLOUDFLARE_IMAGES_ACCOUNT_HASH)
        .start(&engine)
        .await;
    let image = uploaded(&app, &json!({})).await;
    let answer = url_of(&app, &image, "?variant=hero").await;
    let end = seconds(&answer["expires_at"]);
    let url = answer["url"].as_str().unwrap();
    let id = image["cloudflare_id"].as_str().unwrap();
    assert!(url.starts_with(&format!("https://imagedelivery.net/{ACCOUNT_HASH}/{id}/hero?exp=")), "{url}");
    assert_eq!(DeliveryUrls::default().verify(url, [SIGNING_KEY], end), Ok(Some(end)));
}

/// A Cloudflare that hands out upload URLs and nothing else yet.
async fn cloudflare() -> MockServer {
    let cloudflare = MockServer::start().await;
    let upload = json!({"id": "img-1", "uploadURL": "https://upload.imagedelivery.net/hash-0001/img-1"});
    Mock::given(method("POST"))
        .and(path("/accounts/acct-0001/images/v2/direct_upload"))
        .respond_with(success(&upload))
        .mount(&cloudflare)
        .await;
    cloudflare
}

fn success(result: &Value) -> ResponseTemplate {
    let envelope = json!({"success": true, "errors": [], "messages": [], "result": result});
    ResponseTemplate::new(200).set_body_json(envelope)
}

fn keys() -> ResponseTemplate {
    success(&json!({"keys": [{"name": "default", "value": SIGNING_KEY}, {"name": "other", "value": "unused"}]}))
}

/// A private image whose picture was uploaded, as the records have it.
async fn recorded(app: &TestApp) -> Value {
    let image = app.create_upload(&json!({})).await;
    sql::execute(app.database_url.as_str(), "UPDATE cloudflare_images SET status = 'uploaded'").await;
    image
}

async fn keys_once(engine: Engine) {
    let cloudflare = cloudflare().await;
    Mock::given(method("GET"))
        .and(path(KEYS_PATH))
        .respond_with(keys().set_delay(Duration::from_millis(200)))
        .expect(1)
        .mount(&cloudflare)
        .await;
    let clock = Arc::new(ManualClock::new("2026-01-01".parse().unwrap()));
    let app = TestApp::builder().cloudflare(cloudflare.uri()).clock(clock).start(&engine).await;
    let image = recorded(&app).await;
    let one = || url_of(&app, &image, "");
    let (a, b, c, d) = tokio::join!(one(), one(), one(), one());
    assert!(a == b && a == c && a == d && a == one().await, "{a} {b} {c} {d}");
    let query = cfimages::delivery::sign(SIGNING_KEY, "/hash-0001/img-1/public", seconds(&a["expires_at"]));
    let url = a["url"].as_str().unwrap();
    assert_eq!(url.split_once('?').unwrap().1, query.split_once('?').unwrap().1);
}

async fn failing_keys(engine: Engine) {
    let cloudflare = cloudflare().await;
    let denied =
        json!({"success": false, "errors": [{"code": 10000, "message": "Authentication error"}], "result": null});
    for (failure, why) in [
        (ResponseTemplate::new(403).set_body_json(denied), "403 Client Error: Forbidden"),
        (success(&json!({"keys": []})), "Cloudflare's answer cannot be used: it has no signing key"),
        (
            success(&json!({"keys": [{"name": "k", "value": 12}]})),
            "Cloudflare's answer cannot be used: it has no list of signing keys",
        ),
    ] {
        let app = TestApp::builder().cloudflare(cloudflare.uri()).start(&engine).await;
        let image = recorded(&app).await;
        let answer_with = async |answer: ResponseTemplate| {
            Mock::given(method("GET")).and(path(KEYS_PATH)).respond_with(answer).mount_as_scoped(&cloudflare).await
        };
        let failing = answer_with(failure).await;
        let refused = ask(&app, &image, "").await;
        assert_eq!(refused.status, 503, "{}", refused.text);
        let want = format!(
            "There is no key to sign the URL with. Set CLOUDFLARE_IMAGES_SIGNING_KEY. Asking Cloudflare for the account's keys \
             failed: {why}"
        );
        assert_eq!(refused.json()["error"], want);
        drop(failing);
        let _working = answer_with(keys()).await;
        assert_eq!(url_of(&app, &image, "").await["signed"], true);
    }
}

async fn bad_parameters(engine: Engine) {
    let app = TestApp::builder().start(&engine).await;
    let private = uploaded(&app, &json!({})).await;
    let public = uploaded(&app, &json!({"require_signed_urls": false})).await;
    let no_variant =
        "Must be the name of a variant, at most 99 letters and digits, or options such as w=300,fit=cover.";
    let flexible = "The URL has options for a variant, and private pictures are delivered in named variants only: make a \
                    variant at Cloudflare.";
    let long = "a".repeat(100);
    let long_query = format!("variant={long}");
    for (image, query, errors) in [
        (&private, "variant=w=300", json!({"variant": [flexible]})),
        (&private, "variant=w%3D300,fit%3Dcover", json!({"variant": [flexible]})),
        (&public, "variant=../x", json!({"variant": [no_variant]})),
        (&public, "variant=public%3Fa", json!({"variant": [no_variant]})),
        (&private, "variant=h%C3%A9ro", json!({"variant": [no_variant]})),
        (&public, long_query.as_str(), json!({"variant": [no_variant]})),
        (&public, "variant=a%00", json!({"variant": ["Null characters are not allowed."]})),
        (&public, "variant=w=0", json!({"variant": ["width must be a whole number from 1 to 12000, or auto."]})),
        (&public, "variant=w=1,w=2", json!({"variant": ["width is given more than once."]})),
        (&public, "variant=rotate=0", json!({"variant": ["there is no option that changes the picture."]})),
        (&private, "variant=rotate=360", json!({"variant": ["there is no option that changes the picture."]})),
        (
            &public,
            "variant=onerror=redirect",
            json!({"variant": ["onerror is for pictures of a zone only, not for those kept in Cloudflare Images."]}),
        ),
        (&public, "variant=w=300,x", json!({"variant": ["\"x\" is not an option of the form name=value."]})),
        (&private, "expiry=soon", json!({"expiry": ["A valid integer is required."]})),
        (&private, "expiry=59", json!({"expiry": ["Ensure this value is greater than or equal to 60."]})),
        (&public, "expiry=31536001", json!({"expiry": ["Ensure this value is less than or equal to 31536000."]})),
        (
            &private,
            "expiry=1.5&variant=/",
            json!({"expiry": ["A valid integer is required."], "variant": [no_variant]}),
        ),
    ] {
        let answer = ask(&app, image, &format!("?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (400, errors), "{query}");
    }
    assert_eq!(url_of(&app, &private, "?variant=&expiry=").await["variant"], "public");
}

async fn no_url(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let created = app.create_upload(&json!({"custom_id": "pending"})).await;
    let path = format!("images/{}/url/", created["id"].as_str().unwrap());
    let waiting = json!({"error": "Image pending is still a draft (upload not completed)"});
    app.get(&path).await.assert_is(409, &waiting);

    let not_found = json!({"detail": "No CloudflareImage matches the given query."});
    let foreign = app.anonymous(Method::GET, &path).header("Authorization", format!("Token {BOB}"));
    Answer::of(foreign).await.assert_is(404, &not_found);
    app.get("images/00000000-0000-4000-8000-00000000dead/url/").await.assert_is(404, &not_found);
    assert_eq!(Answer::of(app.anonymous(Method::GET, &path)).await.status, 403);
    assert_eq!(app.post(&path, &json!({})).await.status, 405);
}

async fn extra_keys(engine: Engine) {
    let app = TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, SIGNING_KEY).start(&engine).await;
    let image = uploaded(&app, &json!({})).await;
    let (public_url, thumbnail_url) = (&image["signed_public_url"], &image["signed_thumbnail_url"]);
    assert_eq!(width(&app, public_url.as_str().unwrap()).await, Ok(1152));
    assert_eq!(width(&app, thumbnail_url.as_str().unwrap()).await, Ok(300));
    assert_eq!(width(&app, image["public_url"].as_str().unwrap()).await, Err(403));
    let life = seconds(&image["signed_until"]) - seconds(&image["uploaded_at"]);
    assert!(seconds(&image["signed_until"]) % 300 == 0 && (3600..=3960).contains(&life), "{image}");

    let listed = &app.get("images/").await.json()["results"][0];
    for key in ["signed_public_url", "signed_thumbnail_url"] {
        assert!(width(&app, listed[key].as_str().unwrap()).await.is_ok(), "{key}");
    }
    assert_eq!(url_of(&app, &image, "").await["signed"], true);
}

async fn no_extra_keys(engine: Engine) {
    let with_key = TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, SIGNING_KEY).start(&engine).await;
    let public = uploaded(&with_key, &json!({"require_signed_urls": false})).await;
    let pending = with_key.create_upload(&json!({})).await;
    let pending = with_key.get(&format!("images/{}/", pending["id"].as_str().unwrap())).await.json();
    let without_key = TestApp::builder().start(&engine).await;
    let private = uploaded(&without_key, &json!({})).await;
    for image in [public, pending, private] {
        let keys: Vec<_> = image.as_object().unwrap().keys().filter(|key| key.starts_with("signed_")).collect();
        assert!(keys.is_empty(), "{image}");
    }
}

async fn thumbnail_by_options(engine: Engine) {
    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, SIGNING_KEY)
        .set(&settings::CLOUDFLARE_IMAGES_THUMBNAIL_VARIANT, "w=300,fit=cover")
        .start(&engine)
        .await;
    let image = uploaded(&app, &json!({})).await;
    assert!(image["thumbnail_url"].as_str().unwrap().ends_with("/w=300,fit=cover"), "{image}");
    assert_eq!(image.get("signed_thumbnail_url"), None);
    assert_eq!(width(&app, image["signed_public_url"].as_str().unwrap()).await, Ok(1152));
}
