//! Usages: who sees them, and how applications record them.

use std::sync::Arc;
use std::time::Duration;

use cfimages::cloudflare::{Client, ClientLimits, ClientSettings};
use cfimages::domain::{
    Clock, CloudflareId, ImageUsage, ManualClock, NewImage, Page, PageRequest, Timestamp, UploadUrl, UsageOrder,
    UsageSelection, UsageSlot, UsageSort, User,
};
use cfimages::service::{CloudflareService, Error, ServiceSettings, WebhookSettings};
use cfimages::store::{self, Database, ImageSet};

use crate::support::app::{connect, migrated_database};
use crate::support::sql;
use crate::support::suite::{Engine, Suite, TestDatabaseUrl};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("usages::users_see_the_usages_of_their_own_images_and_staff_see_all", visibility);
    suite.on_both_engines("usages::filters_and_search_terms_all_have_to_fit", selections);
    suite.on_both_engines("usages::search_takes_wildcards_literally_and_ignores_case", search);
    suite.on_both_engines("usages::lists_are_ordered_and_cut_into_pages", order);
    suite.on_both_engines("usages::recording_the_same_again_touches_no_image", idempotent);
    suite.on_both_engines("usages::images_that_gain_or_lose_a_reference_start_their_time_anew", clocks);
    suite.on_both_engines("usages::images_of_others_are_neither_taken_nor_given_up", owners);
    suite.on_both_engines("usages::what_django_keeps_is_not_taken_over", automatic);
    suite.on_postgres("usages::images_that_are_being_deleted_are_waited_for_first", beside_deletion);
    suite.on_both_engines("usages::one_row_comes_of_the_same_usage_recorded_at_once", at_once);
}

/// Users, and a service on a clock that is set by hand.
pub(crate) struct Fixture {
    pub(crate) url: TestDatabaseUrl,
    base_url: String,
    pub(crate) service: CloudflareService,
    pub(crate) database: Database,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) alice: User,
    pub(crate) bob: User,
    pub(crate) staff: User,
}

impl Fixture {
    pub(crate) async fn new(engine: &Engine) -> Self {
        Self::with_cloudflare(engine, "http://127.0.0.1:9/client/v4").await
    }

    pub(crate) async fn with_cloudflare(engine: &Engine, base_url: &str) -> Self {
        let url = migrated_database(engine).await;
        let database = connect(url.as_str()).await;
        let clock = Arc::new(ManualClock::new(at("2026-01-01T00:00:00Z")));
        let user = async |name| store::users::find_by_username(&database, name).await.unwrap().unwrap();
        let (alice, bob) = (user("alice").await, user("bob").await);
        let staff = User { is_staff: true, ..user("carol").await };
        let service = service(base_url, database.clone(), clock.clone());
        Self { url, base_url: base_url.to_owned(), service, database, clock, alice, bob, staff }
    }

    /// The same service with a connection of its own.
    pub(crate) async fn another_service(&self) -> CloudflareService {
        service(&self.base_url, connect(self.url.as_str()).await, self.clock.clone())
    }

    /// The time on the clock.
    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Records an image of a user.
    pub(crate) async fn image(&self, owner: &User, cloudflare_id: &str) -> cfimages::domain::Image {
        let image = NewImage {
            cloudflare_id: CloudflareId::new(cloudflare_id),
            user_id: owner.id,
            original_filename: String::new(),
            upload_url: UploadUrl::new("https://upload.example/x"),
            require_signed_urls: false,
            metadata: cfimages::domain::Json::default(),
            expires_at: at("2099-01-01"),
            creator: String::new(),
        };
        let mut transaction = self.database.begin().await.unwrap();
        let image = store::images::insert(&mut transaction, &image, self.clock.now()).await.unwrap();
        transaction.commit().await.unwrap();
        image
    }

    async fn record(&self, user: &User, slot: &UsageSlot, id: &str) -> Result<(ImageUsage, bool), Error> {
        self.service.record_usage(user, slot, &CloudflareId::new(id)).await
    }

    async fn list(&self, reader: &User, selection: &UsageSelection) -> Vec<String> {
        self.ordered(reader, selection, &[]).await
    }

    async fn ordered(&self, reader: &User, selection: &UsageSelection, order: &[UsageOrder]) -> Vec<String> {
        let first = |_| Ok::<_, Error>(PageRequest { offset: 0, size: 100 });
        let page: Page<ImageUsage> = self.service.list_usages(reader, selection, order, first).await.unwrap();
        assert_eq!(page.count, page.items.len() as u64);
        page.items.into_iter().map(|usage| usage.object_id).collect()
    }

    /// Holds an image; then unlinks its usages, as a deletion does, as soon as somebody waits for it.
    pub(crate) async fn begin_deletion(&self, cloudflare_id: &str) -> impl Future<Output = ()> {
        let id = CloudflareId::new(cloudflare_id);
        let image = store::images::find_by_cloudflare_id(&self.database, &id).await.unwrap().unwrap();
        let images = ImageSet::from_iter([image.id]);
        let mut deletion = connect(self.url.as_str()).await.begin().await.unwrap();
        store::images::lock(&mut deletion, &images).await.unwrap();
        async move {
            sql::somebody_waits(self.url.as_str()).await;
            store::usages::unlink(&mut deletion, &images).await.unwrap();
            deletion.commit().await.unwrap();
        }
    }

    /// When an image last gained or lost a reference, in seconds since the test began.
    pub(crate) async fn referenced(&self, cloudflare_id: &str) -> Option<i64> {
        let query = format!(
            "SELECT CAST(last_referenced_at AS text) FROM cloudflare_images WHERE cloudflare_id = '{cloudflare_id}'"
        );
        let time = sql::texts(self.url.as_str(), &query).await.remove(0)?;
        let time: Timestamp = time.trim_end_matches("+00").parse().unwrap();
        Some(time.as_unix_seconds() - at("2026-01-01T00:00:00Z").as_unix_seconds())
    }
}

fn service(base_url: &str, database: Database, clock: Arc<ManualClock>) -> CloudflareService {
    // So that nothing waits long where Cloudflare fails.
    let limits = ClientLimits { timeout: Duration::from_secs(4), ..ClientLimits::default() };
    service_within(base_url, &limits, database, clock)
}

/// A service whose client keeps within these limits.
pub(crate) fn service_within(
    base_url: &str,
    limits: &ClientLimits,
    database: Database,
    clock: Arc<ManualClock>,
) -> CloudflareService {
    let settings = ClientSettings {
        base_url: base_url.to_owned(),
        account_id: "acct-0001".to_owned(),
        api_token: "token".to_owned().into(),
    };
    let client = Client::with_limits(&settings, limits);
    let settings = ServiceSettings {
        default_expiry_minutes: 30,
        require_signed_urls: true,
        default_metadata: cfimages::domain::Json::default(),
        default_creator: "shop".to_owned(),
        max_file_bytes: 10_000_000,
        webhook: WebhookSettings::default(),
        signing_key: None,
        host_delete_tables: Vec::new(),
    };
    CloudflareService::new(client.unwrap(), database, clock, settings)
}

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn slot(content_type: &str, object_id: &str, field_name: &str) -> UsageSlot {
    UsageSlot {
        content_type: content_type.parse().unwrap(),
        object_id: object_id.to_owned(),
        field_name: field_name.to_owned(),
    }
}

async fn visibility(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.image(&fixture.alice, "of-alice").await;
    fixture.image(&fixture.bob, "of-bob").await;
    for (user, object, id) in
        [(&fixture.alice, "1", "of-alice"), (&fixture.bob, "2", "of-bob"), (&fixture.bob, "3", "unknown")]
    {
        fixture.record(user, &slot("shop.product", object, "hero"), id).await.unwrap();
    }
    let all = UsageSelection::default();
    let unregistered = UsageSelection { only_unregistered: true, ..all.clone() };
    assert_eq!(fixture.list(&fixture.alice, &all).await, ["1"]);
    assert_eq!(fixture.list(&fixture.bob, &all).await, ["2"]);
    assert_eq!(fixture.list(&fixture.staff, &all).await, ["3", "2", "1"]);
    assert_eq!(fixture.list(&fixture.bob, &unregistered).await, [""; 0]);
    assert_eq!(fixture.list(&fixture.staff, &unregistered).await, ["3"]);

    let get =
        async |reader: &User, selection: &UsageSelection, id| fixture.service.get_usage(reader, selection, id).await;
    let of_bob = fixture.record(&fixture.bob, &slot("shop.product", "2", "hero"), "of-bob").await.unwrap().0;
    assert_eq!(get(&fixture.bob, &all, of_bob.id).await.unwrap().cloudflare_id.as_str(), "of-bob");
    assert_eq!(get(&fixture.staff, &all, of_bob.id).await.unwrap().object_id, "2");
    assert!(matches!(get(&fixture.alice, &all, of_bob.id).await, Err(Error::UsageNotFound)));
    assert!(matches!(get(&fixture.staff, &unregistered, of_bob.id).await, Err(Error::UsageNotFound)));
    assert!(matches!(get(&fixture.staff, &all, i64::MAX).await, Err(Error::UsageNotFound)));
}

async fn selections(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    for (content_type, object, field, id) in [
        ("shop.product", "1", "hero", "red/shoe"),
        ("shop.product", "2", "cover", "red/hat"),
        ("blog.product", "3", "hero", "blue/hat"),
        ("shop.article", "4", "hero", "hero-shot"),
    ] {
        fixture.record(&fixture.alice, &slot(content_type, object, field), id).await.unwrap();
        fixture.clock.advance(1);
    }
    let of_type = |text: &str| UsageSelection {
        content_type: cfimages::domain::ContentType::split(text),
        ..UsageSelection::default()
    };
    let searching = |terms: &[&str]| UsageSelection {
        terms: terms.iter().map(|term| (*term).to_owned()).collect(),
        ..UsageSelection::default()
    };
    let of_field = UsageSelection { field_name: Some("hero".to_owned()), ..of_type("shop.product") };
    for (selection, want) in [
        (of_type("shop.product"), &["2", "1"][..]),
        (of_type("shop.Product"), &[]),
        (of_type("shop.product.x"), &[]),
        (of_type("none"), &["4", "3", "2", "1"]),
        (of_field, &["1"]),
        (searching(&["hat"]), &["3", "2"]),
        (searching(&["hero"]), &["4", "3", "1"]),
        (searching(&["hero", "RED"]), &["1"]),
        (searching(&["4"]), &["4"]),
        (searching(&["hat", "nothing"]), &[]),
    ] {
        assert_eq!(fixture.list(&fixture.staff, &selection).await, want, "{selection:?}");
    }
}

async fn search(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    for (object, id) in [("1", r"100%_\real"), ("2", "100 is real"), ("3", "ÄPFEL 'quoted'"), ("4", "apple")] {
        fixture.record(&fixture.alice, &slot("shop.product", object, "f"), id).await.unwrap();
        fixture.clock.advance(1);
    }
    let found = async |term: &str| {
        let selection = UsageSelection { terms: vec![term.to_owned()], ..UsageSelection::default() };
        fixture.list(&fixture.staff, &selection).await
    };
    assert_eq!(found(r"%_\R").await, ["1"]);
    assert_eq!(found("0%r").await, [""; 0]);
    assert_eq!(found("_").await, ["1"]);
    assert_eq!(found("APPLE").await, ["4"]);
    assert_eq!(found("'QUOTED'").await, ["3"]);
    assert_eq!(found("Äp").await, ["3"]);
    // SQLite knows upper and lower case of ASCII only, in Django too.
    match engine {
        Engine::Postgres(_) => assert_eq!(found("äp").await, ["3"]),
        Engine::Sqlite => assert_eq!(found("äp").await, [""; 0]),
    }
}

async fn order(engine: Engine) {
    use UsageSort::{CreatedAt, UpdatedAt};

    let fixture = Fixture::new(&engine).await;
    for object in ["1", "2", "3"] {
        fixture.record(&fixture.alice, &slot("shop.product", object, "f"), "x").await.unwrap();
        fixture.clock.advance(1);
    }
    fixture.record(&fixture.alice, &slot("shop.product", "1", "f"), "x").await.unwrap();
    fixture.record(&fixture.alice, &slot("shop.product", "4", "f"), "x").await.unwrap();
    let ordered = async |order: &[(UsageSort, bool)]| {
        let order: Vec<_> = order.iter().map(|&(by, descending)| UsageOrder { by, descending }).collect();
        fixture.ordered(&fixture.staff, &UsageSelection::default(), &order).await
    };
    assert_eq!(ordered(&[]).await, ["4", "1", "3", "2"]);
    assert_eq!(ordered(&[(CreatedAt, true)]).await, ["4", "3", "2", "1"]);
    assert_eq!(ordered(&[(CreatedAt, false)]).await, ["1", "2", "3", "4"]);
    assert_eq!(ordered(&[(UpdatedAt, false)]).await, ["2", "3", "1", "4"]);
    assert_eq!(ordered(&[(UpdatedAt, true), (CreatedAt, false)]).await, ["1", "4", "3", "2"]);

    let second = |count| {
        assert_eq!(count, 4);
        Ok::<_, Error>(PageRequest { offset: 3, size: 3 })
    };
    let page = fixture.service.list_usages(&fixture.staff, &UsageSelection::default(), &[], second).await.unwrap();
    assert_eq!(page.items.iter().map(|usage| usage.object_id.as_str()).collect::<Vec<_>>(), ["2"]);
}

async fn idempotent(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let image = fixture.image(&fixture.alice, "a").await;
    let hero = slot("Shop.Product", "7", "hero");
    let (first, is_new) = fixture.record(&fixture.alice, &hero, "a").await.unwrap();
    assert!(is_new);
    assert_eq!((first.content_type().as_str(), first.object_id.as_str()), ("Shop.product", "7"));
    assert_eq!((first.field_name.as_str(), first.image_id), ("hero", Some(image.id)));
    assert_eq!(fixture.referenced("a").await, Some(0));

    fixture.clock.advance(5);
    let (again, is_new) = fixture.record(&fixture.alice, &hero, "a").await.unwrap();
    assert!(!is_new);
    assert_eq!((again.id, again.created_at), (first.id, first.created_at));
    assert_eq!(again.updated_at.as_unix_seconds() - first.updated_at.as_unix_seconds(), 5);
    assert_eq!(fixture.referenced("a").await, Some(0));
    let sources = sql::texts(fixture.url.as_str(), "SELECT source FROM cloudflare_image_usages").await;
    assert_eq!(sources, [Some("manual".to_owned())]);
    assert_eq!(sql::count(fixture.url.as_str(), "SELECT count(*) FROM django_content_type").await, 1);
}

async fn clocks(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.image(&fixture.alice, "a").await;
    fixture.image(&fixture.alice, "b").await;
    let hero = slot("shop.product", "7", "hero");
    fixture.record(&fixture.alice, &hero, "a").await.unwrap();
    assert_eq!((fixture.referenced("a").await, fixture.referenced("b").await), (Some(0), None));
    fixture.clock.advance(1);
    let (usage, is_new) = fixture.record(&fixture.alice, &hero, "b").await.unwrap();
    assert!(!is_new && usage.cloudflare_id.as_str() == "b");
    assert_eq!((fixture.referenced("a").await, fixture.referenced("b").await), (Some(1), Some(1)));
    fixture.clock.advance(1);
    let (usage, _) = fixture.record(&fixture.alice, &hero, "not-recorded").await.unwrap();
    assert!(usage.is_unregistered());
    assert_eq!((fixture.referenced("a").await, fixture.referenced("b").await), (Some(1), Some(2)));
    fixture.clock.advance(1);
    fixture.record(&fixture.alice, &hero, "a").await.unwrap();
    assert_eq!(fixture.referenced("a").await, Some(3));

    fixture.clock.advance(1);
    fixture.service.remove_usage(&fixture.alice, &hero).await.unwrap();
    assert_eq!(fixture.referenced("a").await, Some(4));
    assert_eq!(fixture.list(&fixture.staff, &UsageSelection::default()).await, [""; 0]);
    fixture.clock.advance(1);
    fixture.service.remove_usage(&fixture.alice, &hero).await.unwrap();
    fixture.service.remove_usage(&fixture.alice, &slot("no.such", "1", "x")).await.unwrap();
    assert_eq!(fixture.referenced("a").await, Some(4));
    assert_eq!(sql::count(fixture.url.as_str(), "SELECT count(*) FROM django_content_type").await, 1);
}

async fn owners(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.image(&fixture.alice, "of-alice").await;
    fixture.image(&fixture.bob, "of-bob").await;
    fixture.image(&fixture.bob, "of-nobody").await;
    sql::execute(fixture.url.as_str(), "UPDATE cloudflare_images SET user_id = NULL WHERE cloudflare_id = 'of-nobody'")
        .await;
    let (one, two) = (slot("shop.product", "1", "hero"), slot("shop.product", "2", "hero"));
    let is_refused = |result: Result<(ImageUsage, bool), Error>| matches!(result, Err(Error::UsageOfOtherOwner));

    assert!(is_refused(fixture.record(&fixture.bob, &one, "of-alice").await));
    assert!(is_refused(fixture.record(&fixture.bob, &one, "of-nobody").await));
    assert_eq!(sql::count(fixture.url.as_str(), "SELECT count(*) FROM cloudflare_image_usages").await, 0);
    fixture.record(&fixture.alice, &one, "of-alice").await.unwrap();
    assert!(is_refused(fixture.record(&fixture.bob, &one, "of-bob").await));
    assert!(matches!(fixture.service.remove_usage(&fixture.bob, &one).await, Err(Error::UsageOfOtherOwner)));
    assert_eq!(fixture.list(&fixture.alice, &UsageSelection::default()).await, ["1"]);

    fixture.record(&fixture.alice, &two, "not-recorded").await.unwrap();
    fixture.record(&fixture.bob, &two, "of-bob").await.unwrap();
    fixture.record(&fixture.staff, &one, "of-nobody").await.unwrap();
    fixture.record(&fixture.staff, &one, "of-bob").await.unwrap();
    fixture.service.remove_usage(&fixture.staff, &one).await.unwrap();
    fixture.service.remove_usage(&fixture.bob, &two).await.unwrap();
}

async fn automatic(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let (hero, label) = (slot("shop.product", "1", "hero"), slot("shop.product", "1", "manual"));
    for slot in [&hero, &label] {
        fixture.record(&fixture.alice, slot, "a").await.unwrap();
    }
    sql::execute(fixture.url.as_str(), "UPDATE cloudflare_image_usages SET source = 'auto'").await;
    assert!(matches!(fixture.record(&fixture.alice, &hero, "b").await, Err(Error::AutomaticUsage)));
    assert!(matches!(fixture.record(&fixture.staff, &hero, "a").await, Err(Error::AutomaticUsage)));
    assert!(matches!(fixture.service.remove_usage(&fixture.staff, &hero).await, Err(Error::AutomaticUsage)));
    // Rows of old releases have no mark but this label.
    fixture.record(&fixture.alice, &label, "b").await.unwrap();
    let rows = sql::texts(
        fixture.url.as_str(),
        "SELECT field_name || ' ' || cloudflare_id || ' ' || source FROM cloudflare_image_usages ORDER BY id",
    )
    .await;
    assert_eq!(rows, [Some("hero a auto".to_owned()), Some("manual b manual".to_owned())]);
}

/// Neither waits in a circle: PostgreSQL would end one of the two.
async fn beside_deletion(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.image(&fixture.alice, "a").await;
    fixture.image(&fixture.alice, "b").await;
    let hero = slot("shop.product", "1", "hero");
    fixture.record(&fixture.alice, &hero, "a").await.unwrap();
    let deletion = fixture.begin_deletion("a").await;
    let (recorded, ()) = tokio::join!(fixture.record(&fixture.alice, &hero, "b"), deletion);
    assert_eq!(recorded.unwrap().0.cloudflare_id.as_str(), "b");

    fixture.record(&fixture.alice, &hero, "a").await.unwrap();
    let deletion = fixture.begin_deletion("a").await;
    let (removed, ()) = tokio::join!(fixture.service.remove_usage(&fixture.alice, &hero), deletion);
    removed.unwrap();
    assert_eq!(fixture.list(&fixture.staff, &UsageSelection::default()).await, [""; 0]);
}

/// Each has a connection of its own.
async fn at_once(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.image(&fixture.alice, "a").await;
    fixture.image(&fixture.alice, "b").await;
    let mut recordings = tokio::task::JoinSet::new();
    for at in 0..8 {
        let (service, alice) = (fixture.another_service().await, fixture.alice.clone());
        let id = CloudflareId::new(if at % 2 == 0 { "a" } else { "b" });
        recordings.spawn(async move { service.record_usage(&alice, &slot("shop.product", "1", "hero"), &id).await });
    }
    let results = recordings.join_all().await;
    let made: Vec<bool> = results.into_iter().map(|result| result.unwrap().1).collect();
    assert_eq!(made.iter().filter(|is_new| **is_new).count(), 1);
    assert_eq!(fixture.list(&fixture.staff, &UsageSelection::default()).await, ["1"]);
    assert_eq!(sql::count(fixture.url.as_str(), "SELECT count(*) FROM django_content_type").await, 1);
}
