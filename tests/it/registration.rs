//! Images that were uploaded elsewhere, and changes at Cloudflare.

use cfimages::domain::{CloudflareId, Image, ImageFilter, ImageId, Json, User};
use cfimages::service::Error;
use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::cloudflare::FakeCloudflare;
use crate::support::sql;
use crate::support::suite::{Engine, Suite};
use crate::usages::Fixture;

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("registration::an_image_that_was_uploaded_elsewhere_is_recorded", new_image);
    suite.on_both_engines("registration::an_image_that_is_recorded_is_refreshed", known_image);
    suite.on_both_engines("registration::what_is_not_there_or_not_uploaded_is_refused", unusable);
    suite.on_both_engines("registration::images_of_others_are_refused", others);
    suite.on_both_engines("registration::a_name_that_reads_as_the_key_of_another_claims_nothing", numeric_name);
    suite.on_both_engines("registration::one_record_comes_of_the_same_image_registered_at_once", at_once);
    suite.on_both_engines("remote_update::cloudflare_is_changed_first_and_then_the_record", update);
    suite.on_both_engines("remote_update::changes_at_the_same_time_are_laid_over_one_another", updates_at_once);
    suite.on_both_engines("remote_update::the_image_goes_on_under_a_new_id", new_id);
    suite.on_both_engines("remote_update::what_cloudflare_refuses_changes_nothing", refusal);
}

/// A service, and a Cloudflare that says what it is told to.
struct World {
    fixture: Fixture,
    cloudflare: MockServer,
}

impl World {
    async fn new(engine: &Engine) -> Self {
        let cloudflare = MockServer::start().await;
        Self { fixture: Fixture::with_cloudflare(engine, &cloudflare.uri()).await, cloudflare }
    }

    async fn knows(&self, id: &str, details: Value) {
        let mut result = json!({
            "id": id, "filename": "f.jpg", "uploaded": "2025-12-31T00:00:00.250Z", "requireSignedURLs": false,
            "variants": [format!("https://imagedelivery.net/hash/{id}/public")],
        });
        result.as_object_mut().unwrap().extend(details.as_object().unwrap().clone());
        Mock::given(method("GET"))
            .and(path(format!("/accounts/acct-0001/images/v1/{id}")))
            .respond_with(ok(&result))
            .mount(&self.cloudflare)
            .await;
    }

    async fn register(&self, user: &User, id: &str, creator: Option<&str>) -> Result<(Image, bool), Error> {
        let creator = creator.map(str::to_owned);
        self.fixture.service.register_uploaded_image(user, CloudflareId::new(id), creator).await
    }

    async fn logs(&self) -> Vec<Option<String>> {
        let query = "SELECT event_type || ': ' || message FROM cloudflare_image_logs ORDER BY id";
        sql::texts(self.fixture.url.as_str(), query).await
    }

    async fn images(&self) -> i64 {
        sql::count(self.fixture.url.as_str(), "SELECT count(*) FROM cloudflare_images").await
    }
}

fn only(id: ImageId) -> ImageFilter {
    ImageFilter { ids: Some(vec![id]), ..ImageFilter::default() }
}

fn ok(result: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"success": true, "errors": [], "messages": [], "result": result}))
}

fn refused(status: u16, code: u16) -> ResponseTemplate {
    let errors = json!([{"code": code, "message": "refused"}]);
    ResponseTemplate::new(status).set_body_json(json!({"success": false, "errors": errors, "result": null}))
}

async fn new_image(engine: Engine) {
    let world = World::new(&engine).await;
    let alice = &world.fixture.alice;
    world.knows("img", json!({"meta": {"a": 1.5}, "requireSignedURLs": true, "creator": "alice"})).await;
    let (image, is_new) = world.register(alice, "img", None).await.unwrap();
    assert!(is_new);
    assert_eq!((image.user_id, image.status.as_str(), image.filename.as_str()), (Some(alice.id), "uploaded", "f.jpg"));
    assert_eq!((image.upload_url.as_str(), image.require_signed_urls), ("", true));
    assert_eq!((image.metadata.as_str(), image.cloudflare_metadata.as_str()), (r#"{"a": 1.5}"#, r#"{"a": 1.5}"#));
    assert_eq!(image.uploaded_at.unwrap().to_string(), "2025-12-31T00:00:00.250000Z");
    assert_eq!(image.expires_at.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(image.variants.url_of("public").as_deref(), Some("https://imagedelivery.net/hash/img/public"));
    assert_eq!(world.logs().await, [Some("image_registered: Image registered from Cloudflare".to_owned())]);
    assert_eq!(world.fixture.service.get_image(alice, &only(image.id)).await.unwrap().cloudflare_id.as_str(), "img");

    world.knows("plain", json!({"requireSignedURLs": "?", "creator": alice.id.to_string()})).await;
    let (image, _) = world.register(alice, "plain", None).await.unwrap();
    assert_eq!((image.require_signed_urls, image.metadata.as_str()), (true, "{}"));
}

async fn known_image(engine: Engine) {
    let world = World::new(&engine).await;
    let (alice, bob) = (&world.fixture.alice, &world.fixture.bob);
    let before = world.fixture.image(alice, "img").await;
    world.knows("img", json!({"meta": {"b": 2}, "requireSignedURLs": true})).await;
    world.fixture.clock.advance(9);
    let (image, is_new) = world.register(alice, "img", None).await.unwrap();
    assert!(!is_new && image.id == before.id);
    assert_eq!((image.status.as_str(), image.metadata.as_str()), ("uploaded", r#"{"b": 2}"#));
    assert!(image.require_signed_urls);
    assert_eq!((image.expires_at, image.upload_url), (before.expires_at, before.upload_url));
    assert_eq!(world.logs().await, [Some("image_registered: Existing image refreshed during registration".to_owned())]);

    world.fixture.image(bob, "orphan").await;
    let nobodys = "UPDATE cloudflare_images SET user_id = NULL, metadata = '{\"a\": 1}' WHERE cloudflare_id = 'orphan'";
    sql::execute(world.fixture.url.as_str(), nobodys).await;
    world.knows("orphan", json!({"meta": {}, "creator": "alice"})).await;
    let (image, is_new) = world.register(alice, "orphan", None).await.unwrap();
    assert_eq!((is_new, image.user_id, image.metadata.as_str()), (false, Some(alice.id), r#"{"a": 1}"#));
}

async fn unusable(engine: Engine) {
    let world = World::new(&engine).await;
    let alice = &world.fixture.alice;
    let refusal = async |id: &str| world.register(alice, id, None).await.unwrap_err();
    assert_eq!(refusal(&"é".repeat(256)).await.to_string(), "cloudflare_id exceeds 255 characters");
    Mock::given(method("GET"))
        .and(path("/accounts/acct-0001/images/v1/gone"))
        .respond_with(ResponseTemplate::new(404).set_body_string("ERROR 5404: Image not found"))
        .mount(&world.cloudflare)
        .await;
    assert_eq!(refusal("gone").await.to_string(), "Image gone not found in Cloudflare");
    world.knows("draft", json!({"draft": true})).await;
    assert_eq!(refusal("draft").await.to_string(), "Image draft is still a draft (upload not completed)");
    Mock::given(method("GET"))
        .and(path("/accounts/acct-0001/images/v1/broken"))
        .respond_with(ResponseTemplate::new(503))
        .mount(&world.cloudflare)
        .await;
    assert_eq!(refusal("broken").await.to_string(), "Failed to get image: 503 Server Error: Service Unavailable");
    assert!(matches!(refusal("..").await, Error::Cloudflare { .. }));
    assert_eq!((world.images().await, world.logs().await.len()), (0, 0));
}

async fn others(engine: Engine) {
    let world = World::new(&engine).await;
    let (alice, bob, staff) = (&world.fixture.alice, &world.fixture.bob, &world.fixture.staff);
    let of_another = "does not belong to the expected creator";
    let refusal = async |user: &User, id: &str, creator: Option<&str>| {
        let refused = world.register(user, id, creator).await.unwrap_err().to_string();
        refused.strip_prefix(&format!("Image {id} ")).unwrap().to_owned()
    };
    world.fixture.image(bob, "of-bob").await;
    world.knows("of-bob", json!({})).await;
    assert_eq!(refusal(alice, "of-bob", None).await, "is already registered to another user");
    assert_eq!(refusal(staff, "of-bob", None).await, "is already registered to another user");

    world.knows("made-by-bob", json!({"creator": "bob"})).await;
    assert_eq!(refusal(alice, "made-by-bob", None).await, of_another);
    assert_eq!(refusal(alice, "made-by-bob", Some("alice")).await, of_another);
    assert_eq!(refusal(staff, "made-by-bob", Some("alice")).await, of_another);
    world.knows("made-by-nobody", json!({})).await;
    world.knows("made-elsewhere", json!({"creator": "user-17"})).await;
    for expected in [None, Some("alice"), Some("")] {
        assert_eq!(refusal(alice, "made-by-nobody", expected).await, of_another);
        assert_eq!(refusal(alice, "made-elsewhere", expected).await, of_another);
    }
    assert_eq!(refusal(alice, "made-elsewhere", Some("user-17")).await, of_another);
    assert_eq!((world.images().await, world.logs().await.len()), (1, 0));

    world.register(bob, "made-by-bob", Some("bob")).await.unwrap();
    world.knows("made-by-2", json!({"creator": bob.id.to_string()})).await;
    world.register(bob, "made-by-2", None).await.unwrap();
    world.register(staff, "made-elsewhere", Some("user-17")).await.unwrap();
    world.register(staff, "made-by-nobody", None).await.unwrap();
}

async fn numeric_name(engine: Engine) {
    let world = World::new(&engine).await;
    let (alice, bob) = (&world.fixture.alice, &world.fixture.bob);
    let pretender = User { username: bob.id.to_string(), ..alice.clone() };
    world.knows("img", json!({"creator": bob.id.to_string()})).await;
    assert!(matches!(world.register(&pretender, "img", None).await.unwrap_err(), Error::OtherCreator(_)));
    world.register(bob, "img", None).await.unwrap();
}

/// Each has a connection of its own.
async fn at_once(engine: Engine) {
    let world = World::new(&engine).await;
    world.knows("img", json!({"creator": "alice"})).await;
    let mut registrations = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (service, alice) = (world.fixture.another_service().await, world.fixture.alice.clone());
        registrations
            .spawn(async move { service.register_uploaded_image(&alice, CloudflareId::new("img"), None).await });
    }
    let made: Vec<bool> = registrations.join_all().await.into_iter().map(|result| result.unwrap().1).collect();
    assert_eq!(made.iter().filter(|is_new| **is_new).count(), 1);
    assert_eq!((world.images().await, world.logs().await.len()), (1, 6));
}

async fn update(engine: Engine) {
    let world = World::new(&engine).await;
    let image = world.fixture.image(&world.fixture.alice, "a/b c").await;
    let old = "UPDATE cloudflare_images SET metadata = '{\"keep\": 1, \"change\": 1}'";
    sql::execute(world.fixture.url.as_str(), old).await;
    let image = world.fixture.service.get_image(&world.fixture.alice, &only(image.id)).await.unwrap();
    let whole = json!({"metadata": {"keep": 1, "change": 2, "new": 3}, "requireSignedURLs": false, "creator": "me"});
    Mock::given(method("PATCH"))
        .and(path("/accounts/acct-0001/images/v1/a%2Fb%20c"))
        .and(header("content-type", "application/json"))
        .and(body_json(whole))
        .respond_with(ok(&json!({"id": "a/b c", "meta": {"keep": 1}, "requireSignedURLs": false, "creator": "me"})))
        .expect(1)
        .mount(&world.cloudflare)
        .await;
    world.fixture.clock.advance(60);
    let metadata = Json::parse(r#"{"change":2,"new":3}"#).unwrap();
    let service = &world.fixture.service;
    let image = service.update_image(&image, Some(metadata), Some(false), Some("me".to_owned())).await.unwrap();
    let metadata: Value = serde_json::from_str(image.metadata.as_str()).unwrap();
    assert_eq!(metadata, json!({"keep": 1, "change": 2, "new": 3}));
    assert_eq!((image.require_signed_urls, image.creator.as_str()), (false, "me"));
    assert_eq!(image.cloudflare_metadata.as_str(), r#"{"keep": 1}"#);
    assert_eq!(image.updated_at.to_string(), "2026-01-01T00:01:00Z");
    assert_eq!(world.logs().await, []);
}

async fn new_id(engine: Engine) {
    let world = World::new(&engine).await;
    let (alice, service) = (&world.fixture.alice, &world.fixture.service);
    let image = world.fixture.image(alice, "old").await;
    world.fixture.image(alice, "taken").await;
    let answer = async |from: &str, to: &str| {
        Mock::given(method("PATCH"))
            .and(path(format!("/accounts/acct-0001/images/v1/{from}")))
            .and(body_json(json!({"requireSignedURLs": true})))
            .respond_with(ok(&json!({"id": to, "variants": [format!("https://d/{to}/public")]})))
            .mount(&world.cloudflare)
            .await;
    };
    answer("old", "new").await;
    let image = service.update_image(&image, None, Some(true), None).await.unwrap();
    assert_eq!((image.cloudflare_id.as_str(), image.require_signed_urls), ("new", true));
    assert_eq!(image.variants.url_of("public").as_deref(), Some("https://d/new/public"));
    assert_eq!(service.get_image(alice, &only(image.id)).await.unwrap().cloudflare_id.as_str(), "new");

    answer("new", "taken").await;
    assert!(service.update_image(&image, None, Some(true), None).await.is_err());
    assert_eq!(service.get_image(alice, &only(image.id)).await.unwrap().cloudflare_id.as_str(), "new");
}

async fn refusal(engine: Engine) {
    let world = World::new(&engine).await;
    let (alice, service) = (&world.fixture.alice, &world.fixture.service);
    let image = world.fixture.image(alice, "img").await;
    let refuse = async |response: ResponseTemplate| {
        world.cloudflare.reset().await;
        Mock::given(method("PATCH")).respond_with(response).mount(&world.cloudflare).await;
        service.update_image(&image, Some(Json::parse(r#"{"a":1}"#).unwrap()), Some(true), None).await.unwrap_err()
    };
    assert!(matches!(refuse(refused(400, 5410)).await, Error::CustomIdCannotBecomePrivate));
    assert_eq!(refuse(refused(404, 5404)).await.to_string(), "Failed to update image: 404 Client Error: Not Found");
    assert!(matches!(refuse(ok(&json!({"id": ""}))).await, Error::Cloudflare { .. }));
    let after = service.get_image(alice, &only(image.id)).await.unwrap();
    assert_eq!((after.metadata.as_str(), after.require_signed_urls), ("{}", false));
    assert_eq!(after.updated_at, image.updated_at);
}

/// All of them have read the same record.
async fn updates_at_once(engine: Engine) {
    let cloudflare = FakeCloudflare::start().await;
    let fixture = Fixture::with_cloudflare(&engine, &cloudflare.base_url).await;
    let image = fixture.image(&fixture.alice, "img").await;
    cloudflare.has_picture("img");
    cloudflare.hold();
    let mut updating = Vec::new();
    for (name, creator) in [("a", "first"), ("b", "second"), ("c", "third")] {
        let (service, image) = (fixture.another_service().await, image.clone());
        let metadata = Json::parse(&format!(r#"{{"{name}": 1}}"#)).unwrap();
        updating.push(tokio::spawn(async move {
            service.update_image(&image, Some(metadata), None, Some(creator.to_owned())).await.unwrap()
        }));
    }
    cloudflare.was_called(3).await;
    cloudflare.release();
    for update in updating {
        update.await.unwrap();
    }
    let row = fixture.service.get_image(&fixture.alice, &only(image.id)).await.unwrap();
    let metadata: Value = serde_json::from_str(row.metadata.as_str()).unwrap();
    assert_eq!(metadata, json!({"a": 1, "b": 1, "c": 1}));
    let there = cloudflare.details("img");
    assert_eq!((&there["meta"], there["creator"].as_str()), (&metadata, Some(row.creator.as_str())));
}
