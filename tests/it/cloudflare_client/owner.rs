//! Everything that an owner of images does, one after the other, at the emulator.

use std::sync::Arc;
use std::time::Duration;

use cfimages::app::SystemClock;
use cfimages::cloudflare::{
    Client, ClientSettings, DirectUploadRequest, Error, ImageListFilter, ImageSettingsUpdate, ImageUpdate, Mechanisms,
    MetadataFilter, MetadataTest, NewImageFields, NewNotificationPolicy, NotificationPolicy, NotificationPolicyUpdate,
    PerPage, Reason, UploadFile, Variant, VariantFit, VariantOptions, VariantUpdate, WebhookDestinationFields,
};
use cfimages::domain::{Clock, CloudflareId, Json};
use cfimages::emulator::{Emulator, EmulatorConfig, Sources, StorageKind};
use reqwest::multipart;
use serde_json::Map;
use tokio::net::TcpListener;
use tokio::time::Instant;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::http_client;
use crate::support::emulator::checked_router;
use crate::support::suite::Suite;
use crate::support::{eventually, picture};

pub(crate) fn register(suite: &mut Suite) {
    suite.test("cloudflare_client::an_owner_makes_finds_changes_and_deletes_images", images);
    suite.test("cloudflare_client::an_owner_sets_up_the_account", account);
    suite.test("cloudflare_client::an_owner_is_told_of_uploads", notifications);
    suite.test("cloudflare_client::errors_of_the_emulator_have_a_meaning", errors);
}

const ACCOUNT: &str = "acct-0001";
const TOKEN: &str = "token-of-the-owner";
const ARRIVAL: Duration = Duration::from_secs(10);

fn soon() -> Instant {
    Instant::now() + ARRIVAL
}

/// The address of an emulator, which stops with the runtime of the test.
async fn start_emulator() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let emulator = Emulator::open(EmulatorConfig {
        account_id: ACCOUNT.to_owned(),
        account_hash: "hash-0001".to_owned(),
        api_token: TOKEN.to_owned(),
        limited_tokens: vec![],
        signing_keys: vec![("default".to_owned(), "key".to_owned())],
        public_url: origin.clone(),
        address: listener.local_addr().unwrap(),
        storage: StorageKind::Memory,
        variants: vec![],
        flexible_variants: false,
        sources: Sources::default(),
        cache_bytes: 0,
        notify: None,
        clock: Arc::new(SystemClock),
    })
    .unwrap();
    tokio::spawn(async move { axum::serve(listener, checked_router(&emulator)).await });
    origin
}

fn client_with(origin: &str, account_id: &str, token: &str) -> Client {
    let base_url = format!("{origin}/client/v4");
    let settings = ClientSettings { base_url, account_id: account_id.to_owned(), api_token: token.to_owned().into() };
    Client::new(&settings).unwrap()
}

async fn owner() -> Client {
    client_with(&start_emulator().await, ACCOUNT, TOKEN)
}

fn new_image(custom_id: Option<&str>, metadata: &str) -> NewImageFields {
    NewImageFields {
        custom_id: custom_id.map(CloudflareId::new),
        metadata: Json::parse(metadata).unwrap(),
        require_signed_urls: false,
        creator: "user-7".to_owned(),
    }
}

fn photo() -> UploadFile {
    UploadFile { name: "photo.jpg".to_owned(), content_type: "image/jpeg", bytes: picture("photo.jpg").into() }
}

/// The ids of all images that a filter lets through, of pages of the smallest size.
async fn ids(client: &Client, filter: ImageListFilter) -> Vec<String> {
    let mut pages = client.list_images(ImageListFilter { per_page: PerPage::nearest(10), ..filter }, None);
    let mut ids = Vec::new();
    while let Some(page) = pages.next_page().await.unwrap() {
        assert_eq!(page.unreadable, 0);
        ids.extend(page.images.iter().map(|image| image.id.as_str().to_owned()));
    }
    ids.sort_unstable();
    ids
}

async fn images() {
    let (client, web) = (owner().await, MockServer::start().await);
    let served = ResponseTemplate::new(200).set_body_raw(picture("photo.jpg"), "image/jpeg");
    Mock::given(method("GET")).and(path("/photo.jpg")).respond_with(served).mount(&web).await;

    let expiry = SystemClock.now().plus_minutes(30);
    let draft = DirectUploadRequest { image: new_image(None, r#"{"kind": "draft"}"#), expiry };
    let draft = client.create_direct_upload(&draft).await.unwrap();
    assert!(client.get_image(&draft.id).await.unwrap().is_draft);
    let part = multipart::Part::bytes(picture("photo.jpg")).file_name("photo.jpg").mime_str("image/jpeg").unwrap();
    let form = multipart::Form::new().part("file", part);
    let uploaded =
        http_client().post(draft.upload_url.as_ref().unwrap().as_str()).multipart(form).send().await.unwrap();
    assert_eq!(uploaded.status(), 200);
    assert!(!client.get_image(&draft.id).await.unwrap().is_draft);

    let from_file = new_image(Some("albums/1"), r#"{"kind": "file"}"#);
    let from_file = client.upload_file(&from_file, photo(), soon()).await.unwrap().id.unwrap();
    assert_eq!(from_file.as_str(), "albums/1");
    let url = format!("{}/photo.jpg", web.uri());
    let from_url = client.upload_from_url(&new_image(None, r#"{"kind": "url"}"#), &url, soon()).await.unwrap();
    let from_url = from_url.id.unwrap();

    let mut all = [draft.id.as_str(), from_file.as_str(), from_url.as_str()];
    all.sort_unstable();
    assert_eq!(ids(&client, ImageListFilter::default()).await, all);
    let of_creator =
        |creator: &str| ImageListFilter { creator: Some(creator.to_owned()), ..ImageListFilter::default() };
    assert_eq!(ids(&client, of_creator("user-7")).await, all);
    assert_eq!(ids(&client, of_creator("")).await, [""; 0]);
    let is_file = MetadataFilter::new("kind", MetadataTest::IsText("file".to_owned())).unwrap();
    let filter = ImageListFilter { metadata: vec![is_file], ..ImageListFilter::default() };
    assert_eq!(ids(&client, filter).await, ["albums/1"]);
    let numbered = client.list_images_by_number(None, 1).next_page().await.unwrap().unwrap();
    assert_eq!(numbered.images.len(), 3);
    assert_eq!(client.image_stats().await.unwrap().current, 3);

    let mut original = client.download_image(&from_file, ARRIVAL).await.unwrap();
    assert_eq!(original.content_type(), Some("image/jpeg"));
    let mut bytes = Vec::new();
    while let Some(chunk) = original.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert_eq!(bytes, picture("photo.jpg"));

    let metadata = Some(Json::parse(r#"{"kind": "changed"}"#).unwrap());
    let update = ImageUpdate { metadata, ..ImageUpdate::default() };
    let changed = client.update_image(&from_file, &update).await.unwrap();
    assert_eq!(changed.metadata.unwrap().as_str(), r#"{"kind": "changed"}"#);

    for id in [&draft.id, &from_file, &from_url] {
        client.delete_image(id).await.unwrap();
        assert!(client.get_image(id).await.unwrap_err().is_not_found());
        client.delete_image(id).await.unwrap();
    }
    assert_eq!(client.image_stats().await.unwrap().current, 0);
}

async fn account() {
    let client = owner().await;

    let key = client.create_signing_key("second").await.unwrap();
    let names =
        async || -> Vec<String> { client.list_signing_keys().await.unwrap().into_iter().map(|key| key.name).collect() };
    assert_eq!((key.name.as_str(), names().await), ("second", vec!["default".to_owned(), "second".to_owned()]));
    client.delete_signing_key("second").await.unwrap();
    assert_eq!(names().await, ["default"]);

    let size = VariantOptions { width: Some(400), height: Some(300), ..VariantOptions::default() };
    let card = Variant { id: "card".to_owned(), options: size, never_require_signed_urls: true };
    assert_eq!(client.create_variant(&card).await.unwrap().id, "card");
    assert_eq!(client.get_variant("card").await.unwrap(), card);
    let options = VariantOptions { fit: VariantFit::Cover, ..card.options };
    let update = VariantUpdate { options, never_require_signed_urls: None };
    let changed = client.update_variant("card", &update).await.unwrap();
    assert_eq!((changed.options.fit, changed.never_require_signed_urls), (VariantFit::Cover, true));
    let names: Vec<_> = client.list_variants().await.unwrap().into_iter().map(|variant| variant.id).collect();
    assert_eq!(names, ["card", "public"]);
    client.delete_variant("card").await.unwrap();
    assert!(client.get_variant("card").await.unwrap_err().is_not_found());

    let update = ImageSettingsUpdate { flexible_variants: Some(true), ..ImageSettingsUpdate::default() };
    client.update_image_settings(&update).await.unwrap();
}

async fn notifications() {
    let (client, hooks) = (owner().await, MockServer::start().await);
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&hooks).await;
    let fields = |name: &str| WebhookDestinationFields {
        name: name.to_owned(),
        url: hooks.uri(),
        secret: Some("whsec".to_owned().into()),
    };

    let destination = client.create_webhook_destination(&fields("app")).await.unwrap();
    client.update_webhook_destination(&destination, &fields("renamed")).await.unwrap();
    assert_eq!(client.get_webhook_destination(&destination).await.unwrap().name, "renamed");
    assert_eq!(client.list_webhook_destinations().await.unwrap().len(), 1);

    let policy = NewNotificationPolicy {
        name: "uploads".to_owned(),
        description: String::new(),
        alert_type: NotificationPolicy::IMAGES.to_owned(),
        enabled: true,
        mechanisms: Mechanisms { webhooks: vec![destination.clone()], others: Map::new() },
    };
    let policy = client.create_notification_policy(&policy).await.unwrap();
    let tests = hooks.received_requests().await.unwrap().len();
    client.test_notification_policy(&policy).await.unwrap();
    eventually("the alert arrives", async || {
        let requests = hooks.received_requests().await.unwrap();
        (requests.len() > tests && requests.iter().all(|request| request.headers["cf-webhook-auth"] == "whsec"))
            .then_some(())
    })
    .await;
    let update = NotificationPolicyUpdate { enabled: Some(false), ..NotificationPolicyUpdate::default() };
    client.update_notification_policy(&policy, &update).await.unwrap();
    let shown = client.get_notification_policy(&policy).await.unwrap();
    assert_eq!((shown.enabled, shown.mechanisms.webhooks), (false, vec![destination.clone()]));
    assert_eq!(client.list_notification_policies().await.unwrap().len(), 1);

    client.delete_notification_policy(&policy).await.unwrap();
    assert!(client.get_notification_policy(&policy).await.unwrap_err().is_not_found());
    client.delete_webhook_destination(&destination).await.unwrap();
    assert!(client.get_webhook_destination(&destination).await.unwrap_err().is_not_found());
    client.delete_webhook_destination(&destination).await.unwrap();
}

async fn errors() {
    let origin = start_emulator().await;
    let id = CloudflareId::new("none");
    let reason = |answer: Result<(), Error>| answer.unwrap_err().reason();

    let owner = client_with(&origin, ACCOUNT, TOKEN);
    assert_eq!(reason(owner.get_image(&id).await.map(drop)), Reason::NotFound);
    let (taken, none) = (new_image(Some("taken"), "{}"), "{}");
    owner.upload_file(&taken, photo(), soon()).await.unwrap();
    assert_eq!(reason(owner.upload_file(&taken, photo(), soon()).await.map(drop)), Reason::Taken);
    let private = NewImageFields { require_signed_urls: true, ..new_image(Some("private"), none) };
    let refusal = owner.upload_file(&private, photo(), soon()).await.unwrap_err();
    assert_eq!(refusal.reason(), Reason::Refused);
    assert!(refusal.has_code(Error::CUSTOM_ID_CANNOT_BE_PRIVATE));

    let stranger = client_with(&origin, ACCOUNT, "another token");
    assert_eq!(reason(stranger.get_image(&id).await.map(drop)), Reason::InvalidToken);
    let elsewhere = client_with(&origin, "acct-0002", TOKEN);
    assert_eq!(reason(elsewhere.delete_image(&id).await), Reason::NoAccount);
}
