//! Deleting images: at Cloudflare, here, and what the application's tables have to say about it.

use std::sync::Arc;
use std::time::Duration;

use cfimages::app::{self, SystemClock};
use cfimages::config::{Loader, Purpose, settings};
use cfimages::domain::{CloudflareId, Image, User, UserId};
use cfimages::service::{CloudflareService, Error, UploadRequest};
use cfimages::store;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::app::{TestApp, connect, migrated_database};
use crate::support::rows::{ImageRow, insert_images, insert_usage, is_sqlite, key};
use crate::support::suite::{Engine, Suite, TestDatabaseUrl};
use crate::support::{eventually, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("deletions::cloudflare_is_asked_before_any_row_goes", remote_first);
    suite.on_both_engines("deletions::a_failing_cloudflare_leaves_everything_as_it_was", failing_cloudflare);
    suite.on_both_engines("deletions::what_cloudflare_does_not_have_counts_as_deleted", already_gone);
    suite.on_both_engines("deletions::used_images_are_deleted_by_force_only", used_images);
    suite.on_both_engines("deletions::usages_of_fields_and_of_people_stay_without_image", kept_usages);
    suite.on_both_engines("deletions::host_columns_that_may_be_null_are_set_to_null", nullable_columns);
    suite.on_both_engines("deletions::host_rows_that_require_the_image_forbid_its_deletion", required_image);
    suite.on_both_engines("deletions::rows_of_listed_tables_go_with_their_usages", listed_tables);
    suite.on_both_engines("deletions::usages_of_rows_with_uuids_are_found", uuid_keys);
    suite.on_both_engines("deletions::rows_that_refer_to_deleted_rows_follow_the_same_rules", recursion);
    suite.on_both_engines("deletions::rows_that_refer_to_one_another_are_deleted_once", cycles);
    suite.on_both_engines("deletions::what_the_database_deletes_by_itself_is_followed_too", cascades);
    suite.on_both_engines("deletions::names_of_tables_and_columns_may_hold_anything", hostile_names);
    suite.on_both_engines("deletions::keys_to_other_columns_and_of_several_columns_are_followed", other_keys);
    suite.on_postgres("deletions::tables_in_other_schemas_are_named_with_their_schema", other_schemas);
    suite.on_postgres("deletions::partitioned_tables_are_seen_as_one", partitions);
    suite.on_both_engines("deletions::a_table_made_while_the_server_runs_counts", new_table);
    suite.on_both_engines("deletions::what_the_database_would_refuse_is_found_before_cloudflare_is_asked", refusal);
    suite.on_both_engines("deletions::a_row_that_comes_in_between_makes_it_fail_as_a_whole", row_in_between);
    suite.on_both_engines("deletions::a_deletion_goes_on_though_the_client_went_away", client_gone);
    suite.on_both_engines("deletions::the_same_image_may_be_deleted_twice_at_once", twice_at_once);
    suite.on_postgres("deletions::a_deadlock_with_django_is_none_for_the_client", deadlock);
    suite.on_both_engines("deletions::of_many_each_is_deleted_and_reported_once", many);
    suite.on_both_engines("deletions::what_the_time_is_too_short_for_is_reported_and_may_be_sent_again", too_many);
    suite.on_both_engines("deletions::drafts_that_cannot_be_deleted_are_recorded", recorded_drafts);
    suite.on_both_engines("deletions::drafts_are_tried_again_where_the_database_fails_too", retried_drafts);
}

/// A service on a database of its own, with a pool of one connection, and Cloudflare.
struct Fixture {
    url: TestDatabaseUrl,
    service: CloudflareService,
    cloudflare: MockServer,
}

/// A service on a database, with a pool of one connection.
pub(crate) async fn service(url: &str, cloudflare: &str, host_delete_tables: &str) -> CloudflareService {
    let config = Loader::new()
        .overrides([
            (&settings::DATABASE_URL, url.to_owned()),
            (&settings::CFIMAGES_DB_MAX_CONNECTIONS, "1".to_owned()),
            (&settings::CFIMAGES_HOST_DELETE_TABLES, host_delete_tables.to_owned()),
            (&settings::CLOUDFLARE_IMAGES_BASE_URL, cloudflare.to_owned()),
            (&settings::CLOUDFLARE_IMAGES_ACCOUNT_ID, "acct-0001".to_owned()),
            (&settings::CLOUDFLARE_IMAGES_API_TOKEN, "token".to_owned()),
        ])
        .load(Purpose::Serve)
        .unwrap_or_else(|errors| panic!("{errors}"));
    app::build_service(&config, connect(url).await, Arc::new(SystemClock)).unwrap()
}

pub(crate) fn deleted() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"success": true, "result": {}, "errors": [], "messages": []}))
}

impl Fixture {
    async fn new(engine: &Engine) -> Self {
        Self::with_tables(engine, "").await
    }

    /// With tables whose rows are deleted with their image.
    async fn with_tables(engine: &Engine, host_delete_tables: &str) -> Self {
        let cloudflare = MockServer::start().await;
        Mock::given(method("DELETE")).respond_with(deleted()).mount(&cloudflare).await;
        let url = migrated_database(engine).await;
        let service = service(url.as_str(), &cloudflare.uri(), host_delete_tables).await;
        Self { url, service, cloudflare }
    }

    async fn image(&self, number: u32) -> Image {
        ImageRow { number, ..ImageRow::default() }.insert(self.url.as_str()).await;
        self.find(number).await.unwrap()
    }

    async fn find(&self, number: u32) -> Option<Image> {
        let database = connect(self.url.as_str()).await;
        let id = CloudflareId::new(format!("img-{number}"));
        store::images::find_by_cloudflare_id(&database, &id).await.unwrap()
    }

    /// Runs statements; `@key` is the type of an image's key.
    async fn run(&self, statements: &str) {
        let key_type = if is_sqlite(self.url.as_str()) { "char(32)" } else { "uuid" };
        sql::execute_all(self.url.as_str(), &statements.replace("@key", key_type)).await;
    }

    async fn count(&self, from: &str) -> i64 {
        sql::count(self.url.as_str(), &format!("SELECT count(*) FROM {from}")).await
    }

    /// What the calls to Cloudflare were.
    async fn calls(&self) -> Vec<String> {
        let requests = self.cloudflare.received_requests().await.unwrap();
        requests.iter().map(|request| format!("{} {}", request.method, request.url.path())).collect()
    }

    /// Asserts that rows of a table have forbidden a deletion, and that the message says what to do.
    #[track_caller]
    fn assert_required(outcome: Result<(), Error>, table: &str, rows: u64) {
        let error = outcome.unwrap_err();
        assert!(
            matches!(&error, Error::RequiredByHost { table: found, rows: count } if found == table && *count == rows),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(text.contains(table) && text.contains("CFIMAGES_HOST_DELETE_TABLES"), "{text}");
    }
}

const HOST_TABLES: &str = "
    CREATE TABLE gallery_article (
        id bigint NOT NULL PRIMARY KEY, title varchar(100) NOT NULL,
        cover_id @key REFERENCES cloudflare_images (id) DEFERRABLE INITIALLY DEFERRED
    );
    CREATE TABLE gallery_badge (
        id bigint NOT NULL PRIMARY KEY, label varchar(50) NOT NULL,
        image_id @key NOT NULL REFERENCES cloudflare_images (id) DEFERRABLE INITIALLY DEFERRED
    );";

/// A Cloudflare that is asked, and answers when it is told to.
struct SlowCloudflare(TcpListener);

impl SlowCloudflare {
    async fn start() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    async fn asked(&self) -> TcpStream {
        let (mut connection, _) = self.0.accept().await.unwrap();
        assert!(connection.read(&mut [0; 4000]).await.unwrap() > 0);
        connection
    }

    async fn say_yes(mut connection: TcpStream) {
        let body = r#"{"success": true, "result": {}}"#;
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
        connection.write_all(answer.as_bytes()).await.unwrap();
    }
}

async fn remote_first(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let image = fixture.image(1).await;
    fixture
        .run(&format!(
            "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
             VALUES ('status_checked', '', '{{}}', '2020-01-01 00:00:00', '{}')",
            key(1)
        ))
        .await;
    let (cloudflare, base_url) = SlowCloudflare::start().await;
    let service = service(fixture.url.as_str(), &base_url, "").await;
    let deleting = tokio::spawn({
        let (service, image) = (service.clone(), image.clone());
        async move { service.delete_image(&image, false).await }
    });
    let connection = cloudflare.asked().await;
    assert!(fixture.find(1).await.is_some());
    assert_eq!(fixture.count("cloudflare_image_logs").await, 1);
    SlowCloudflare::say_yes(connection).await;
    deleting.await.unwrap().unwrap();
    assert!(fixture.find(1).await.is_none());
    assert_eq!(fixture.count("cloudflare_image_logs").await, 0);
    assert_eq!(
        store::stats::find(&connect(fixture.url.as_str()).await, UserId::Number(1)).await.unwrap().counts.total,
        0
    );
}

async fn failing_cloudflare(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.run(HOST_TABLES).await;
    let image = fixture.image(1).await;
    fixture.run(&format!("INSERT INTO gallery_article (id, title, cover_id) VALUES (1, 'a', '{}')", key(1))).await;
    insert_usage(fixture.url.as_str(), 1, "gallery.article", "1", "cover", "auto").await;
    for (status, body, text) in [
        (500, String::new(), "Failed to delete image: 500 Server Error: Internal Server Error"),
        (401, "no".to_owned(), "Failed to delete image: 401 Client Error: Unauthorized"),
        (302, String::new(), "Failed to delete image: 302 Client Error: Found"),
        (200, "{\"success\": tru".to_owned(), "Cloudflare's answer cannot be used"),
        (200, json!({"success": false, "errors": [{"message": "Bad"}]}).to_string(), "Bad"),
    ] {
        fixture.cloudflare.reset().await;
        let answer = ResponseTemplate::new(status).set_body_string(body).insert_header("Location", "/elsewhere");
        Mock::given(method("DELETE")).respond_with(answer).mount(&fixture.cloudflare).await;
        let error = fixture.service.delete_image(&image, true).await.unwrap_err();
        assert!(matches!(error, Error::Cloudflare { .. }) && error.to_string().contains(text), "{error}");
        // What may pass is tried again.
        assert_eq!(fixture.calls().await.len(), if status == 500 { 3 } else { 1 });
        assert!(fixture.find(1).await.is_some());
        assert_eq!(fixture.count("gallery_article WHERE cover_id IS NOT NULL").await, 1);
        assert_eq!(fixture.count("cloudflare_image_usages WHERE image_id IS NOT NULL").await, 1);
    }
}

async fn already_gone(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    for (number, answer) in [
        (1, ResponseTemplate::new(404).set_body_string("ERROR 5404: Image not found")),
        (2, ResponseTemplate::new(200).set_body_json(json!({"success": true}))),
        (3, ResponseTemplate::new(200).set_body_json(json!({"success": true, "result": null}))),
    ] {
        fixture.cloudflare.reset().await;
        Mock::given(method("DELETE")).respond_with(answer).mount(&fixture.cloudflare).await;
        let image = fixture.image(number).await;
        fixture.service.delete_image(&image, false).await.unwrap();
        assert!(fixture.find(number).await.is_none());
        fixture.service.delete_image(&image, false).await.unwrap();
    }
}

async fn used_images(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let image = fixture.image(1).await;
    insert_usage(fixture.url.as_str(), 1, "gallery.article", "3", "hero", "auto").await;
    let error = fixture.service.delete_image(&image, false).await.unwrap_err();
    assert_eq!(error.to_string(), "Image is still referenced by content.");
    assert!(matches!(error, Error::InUse), "{error:?}");
    assert!(fixture.calls().await.is_empty());
    fixture.service.delete_image(&image, true).await.unwrap();
    assert_eq!(fixture.calls().await, ["DELETE /accounts/acct-0001/images/v1/img-1"]);
    assert!(fixture.find(1).await.is_none());
}

async fn kept_usages(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.run(HOST_TABLES).await;
    let image = fixture.image(1).await;
    let url = fixture.url.as_str();
    insert_usage(url, 1, "gallery.article", "3", "hero", "auto").await;
    insert_usage(url, 1, "gallery.article", "4", "cover", "manual").await;
    insert_usage(url, 1, "auth.user", "1", "profile-picture", "manual").await;
    // What Django's registry noted of the foreign key goes, be the row there or not.
    insert_usage(url, 1, "gallery.article", "5", "cover", "auto").await;
    fixture.service.delete_image(&image, true).await.unwrap();
    let kept = "SELECT object_id || ' ' || field_name || ' ' || cloudflare_id FROM cloudflare_image_usages \
                WHERE image_id IS NULL ORDER BY id";
    let kept: Vec<String> = sql::texts(url, kept).await.into_iter().flatten().collect();
    assert_eq!(kept, ["3 hero img-1", "4 cover img-1", "1 profile-picture img-1"]);
    assert_eq!(fixture.count("cloudflare_image_usages").await, 3);
}

async fn nullable_columns(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.run(HOST_TABLES).await;
    let (image, _other) = (fixture.image(1).await, fixture.image(2).await);
    for (id, image) in [(1, 1), (2, 1), (3, 2)] {
        let row = format!("INSERT INTO gallery_article (id, title, cover_id) VALUES ({id}, 'a', '{}')", key(image));
        fixture.run(&row).await;
    }
    fixture.service.delete_image(&image, false).await.unwrap();
    assert!(fixture.find(1).await.is_none());
    assert_eq!(fixture.count("gallery_article").await, 3);
    assert_eq!(fixture.count("gallery_article WHERE cover_id IS NULL").await, 2);
}

async fn required_image(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.run(HOST_TABLES).await;
    let image = fixture.image(1).await;
    for id in [1, 2] {
        let row = format!("INSERT INTO gallery_badge (id, label, image_id) VALUES ({id}, 'a', '{}')", key(1));
        fixture.run(&row).await;
    }
    fixture.run(&format!("INSERT INTO gallery_article (id, title, cover_id) VALUES (1, 'a', '{}')", key(1))).await;
    Fixture::assert_required(fixture.service.delete_image(&image, true).await, "gallery_badge", 2);
    assert!(fixture.calls().await.is_empty());
    assert_eq!(fixture.count("gallery_article WHERE cover_id IS NOT NULL").await, 1);
    fixture.run("DELETE FROM gallery_badge").await;
    fixture.service.delete_image(&image, true).await.unwrap();
    assert!(fixture.find(1).await.is_none());
}

async fn listed_tables(engine: Engine) {
    let fixture = Fixture::with_tables(&engine, "gallery_other, gallery_badge").await;
    let url = fixture.url.as_str();
    fixture.run(HOST_TABLES).await;
    let (image, _other, _third) = (fixture.image(1).await, fixture.image(2).await, fixture.image(3).await);
    for (id, image) in [(7, 1), (8, 2)] {
        let row = format!("INSERT INTO gallery_badge (id, label, image_id) VALUES ({id}, 'a', '{}')", key(image));
        fixture.run(&row).await;
    }
    insert_usage(url, 1, "gallery.badge", "7", "image", "auto").await;
    insert_usage(url, 3, "gallery.badge", "7", "background", "manual").await;
    insert_usage(url, 2, "gallery.badge", "8", "image", "auto").await;
    insert_usage(url, 2, "gallery.article", "7", "hero", "auto").await;
    fixture.service.delete_image(&image, true).await.unwrap();
    assert_eq!(fixture.count("gallery_badge").await, 1);
    let usages = "SELECT object_id || ' ' || field_name FROM cloudflare_image_usages ORDER BY id";
    let usages: Vec<String> = sql::texts(url, usages).await.into_iter().flatten().collect();
    assert_eq!(usages, ["8 image", "7 hero"]);
    // Only the third image has lost a reference.
    let bumped = "SELECT cloudflare_id FROM cloudflare_images WHERE last_referenced_at IS NOT NULL";
    assert_eq!(sql::texts(url, bumped).await, [Some("img-3".to_owned())]);
}

async fn uuid_keys(engine: Engine) {
    let fixture = Fixture::with_tables(&engine, "shop_pin").await;
    let url = fixture.url.as_str();
    fixture
        .run("CREATE TABLE shop_pin (key @key PRIMARY KEY, picture @key NOT NULL REFERENCES cloudflare_images)")
        .await;
    let image = fixture.image(1).await;
    fixture.run(&format!("INSERT INTO shop_pin (key, picture) VALUES ('{}', '{}')", key(0xabc), key(1))).await;
    insert_usage(url, 1, "shop.pin", "00000000-0000-0000-0000-000000000abc", "label", "manual").await;
    fixture.service.delete_image(&image, true).await.unwrap();
    assert_eq!(fixture.count("shop_pin").await + fixture.count("cloudflare_image_usages").await, 0);
}

const DEEPER_TABLES: &str = "
    CREATE TABLE gallery_award (
        id bigint NOT NULL PRIMARY KEY,
        badge_id bigint NOT NULL REFERENCES gallery_badge (id) DEFERRABLE INITIALLY DEFERRED
    );
    CREATE TABLE gallery_note (
        id bigint NOT NULL PRIMARY KEY,
        award_id bigint REFERENCES gallery_award (id) DEFERRABLE INITIALLY DEFERRED
    );";

async fn recursion(engine: Engine) {
    for (tables, refused_by) in [
        ("", Some("gallery_badge")),
        ("gallery_award", Some("gallery_badge")),
        ("gallery_badge", Some("gallery_award")),
        ("gallery_badge,gallery_award", None),
    ] {
        let fixture = Fixture::with_tables(&engine, tables).await;
        fixture.run(HOST_TABLES).await;
        fixture.run(DEEPER_TABLES).await;
        let (image, _other) = (fixture.image(1).await, fixture.image(2).await);
        for statement in [
            &format!("INSERT INTO gallery_badge (id, label, image_id) VALUES (1, 'a', '{}')", key(1)),
            &format!("INSERT INTO gallery_badge (id, label, image_id) VALUES (2, 'b', '{}')", key(2)),
            "INSERT INTO gallery_award (id, badge_id) VALUES (1, 1), (2, 2)",
            "INSERT INTO gallery_note (id, award_id) VALUES (1, 1), (2, 2)",
        ] {
            fixture.run(statement).await;
        }
        let outcome = fixture.service.delete_image(&image, true).await;
        let rows = ["gallery_badge", "gallery_award", "gallery_note WHERE award_id IS NOT NULL", "gallery_note"];
        let mut counts = Vec::new();
        for table in rows {
            counts.push(fixture.count(table).await);
        }
        if let Some(table) = refused_by {
            Fixture::assert_required(outcome, table, 1);
            assert_eq!((fixture.calls().await.len(), counts), (0, vec![2, 2, 2, 2]));
        } else {
            outcome.unwrap();
            assert_eq!((fixture.calls().await.len(), counts), (1, vec![1, 1, 1, 2]));
        }
    }
}

/// The rows 1 and 2 require each other, 3 requires itself, and 4 requires 3.
async fn cycles(engine: Engine) {
    let fixture = Fixture::with_tables(&engine, "shop_ring").await;
    fixture
        .run(
            "CREATE TABLE shop_ring (
                id bigint NOT NULL PRIMARY KEY, next_id bigint NOT NULL REFERENCES shop_ring (id) DEFERRABLE INITIALLY DEFERRED,
                picture @key NOT NULL REFERENCES cloudflare_images (id) DEFERRABLE INITIALLY DEFERRED
            )",
        )
        .await;
    let (image, _other) = (fixture.image(1).await, fixture.image(2).await);
    let rows = [(1, 2, 1), (2, 1, 2), (3, 3, 1), (4, 3, 2), (5, 5, 2)];
    let rows: Vec<String> = rows.iter().map(|(id, next, image)| format!("({id}, {next}, '{}')", key(*image))).collect();
    fixture.run(&format!("INSERT INTO shop_ring (id, next_id, picture) VALUES {}", rows.join(", "))).await;
    fixture.service.delete_image(&image, true).await.unwrap();
    let left = sql::texts(fixture.url.as_str(), "SELECT CAST(id AS text) FROM shop_ring").await;
    assert_eq!(left, [Some("5".to_owned())]);
}

async fn cascades(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture
        .run(
            "CREATE TABLE shop_frame (
                id bigint NOT NULL PRIMARY KEY, picture @key NOT NULL REFERENCES cloudflare_images (id) ON DELETE CASCADE
            );
            CREATE TABLE shop_nail (
                id bigint NOT NULL PRIMARY KEY, frame_id bigint NOT NULL REFERENCES shop_frame (id)
            );
            CREATE TABLE shop_wall (
                id bigint NOT NULL PRIMARY KEY, picture @key REFERENCES cloudflare_images (id) ON DELETE SET NULL
            );",
        )
        .await;
    let image = fixture.image(1).await;
    fixture.run(&format!("INSERT INTO shop_frame (id, picture) VALUES (1, '{}')", key(1))).await;
    fixture.run(&format!("INSERT INTO shop_wall (id, picture) VALUES (1, '{}')", key(1))).await;
    insert_usage(fixture.url.as_str(), 1, "shop.frame", "1", "caption", "manual").await;
    fixture.run("INSERT INTO shop_nail (id, frame_id) VALUES (1, 1), (2, 1), (3, 1)").await;
    Fixture::assert_required(fixture.service.delete_image(&image, true).await, "shop_nail", 3);
    assert!(fixture.calls().await.is_empty());
    fixture.run("DELETE FROM shop_nail").await;
    fixture.service.delete_image(&image, true).await.unwrap();
    assert_eq!(fixture.count("shop_frame").await + fixture.count("cloudflare_image_usages").await, 0);
    assert_eq!(fixture.count("shop_wall WHERE picture IS NULL").await, 1);
}

/// The names end a string, a quoted identifier and a statement, and look like a parameter.
async fn hostile_names(engine: Engine) {
    let table = r#""Odd ""Table""; DROP TABLE cloudflare_images; --'$1""#;
    let fixture = Fixture::with_tables(&engine, r#"Child "of" it"#).await;
    fixture
        .run(&format!(
            r#"CREATE TABLE {table} ("the ""Key""" bigint NOT NULL PRIMARY KEY, "select" @key REFERENCES cloudflare_images (id));
               CREATE TABLE "Child ""of"" it" (id bigint NOT NULL PRIMARY KEY, "$1" @key NOT NULL REFERENCES cloudflare_images (id))"#
        ))
        .await;
    let image = fixture.image(1).await;
    fixture.run(&format!("INSERT INTO {table} VALUES (1, '{}')", key(1))).await;
    fixture.run(&format!(r#"INSERT INTO "Child ""of"" it" VALUES (1, '{}')"#, key(1))).await;
    fixture.service.delete_image(&image, true).await.unwrap();
    assert!(fixture.find(1).await.is_none());
    assert_eq!(fixture.count(&format!(r#"{table} WHERE "select" IS NULL"#)).await, 1);
    assert_eq!(fixture.count(r#""Child ""of"" it""#).await, 0);
}

async fn other_keys(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture
        .run(
            "CREATE UNIQUE INDEX images_pair ON cloudflare_images (id, cloudflare_id);
             CREATE TABLE shop_name (
                id bigint NOT NULL PRIMARY KEY, picture varchar(255) REFERENCES cloudflare_images (cloudflare_id)
             );
             CREATE TABLE shop_pair (
                id bigint NOT NULL PRIMARY KEY, picture @key NOT NULL, name varchar(255),
                FOREIGN KEY (picture, name) REFERENCES cloudflare_images (id, cloudflare_id)
             );",
        )
        .await;
    let image = fixture.image(1).await;
    fixture.run("INSERT INTO shop_name (id, picture) VALUES (1, 'img-1')").await;
    fixture.run(&format!("INSERT INTO shop_pair (id, picture, name) VALUES (1, '{}', 'img-1')", key(1))).await;
    fixture.service.delete_image(&image, true).await.unwrap();
    assert_eq!(fixture.count("shop_name WHERE picture IS NULL").await, 1);
    assert_eq!(fixture.count("shop_pair WHERE name IS NULL AND picture IS NOT NULL").await, 1);
}

async fn other_schemas(engine: Engine) {
    for (tables, is_listed) in [("", false), ("badge", false), ("Other Shop.badge", true)] {
        let fixture = Fixture::with_tables(&engine, tables).await;
        fixture
            .run(
                r#"CREATE SCHEMA "Other Shop";
                   CREATE TABLE "Other Shop".badge (id bigint PRIMARY KEY, picture uuid NOT NULL REFERENCES cloudflare_images)"#,
            )
            .await;
        let image = fixture.image(1).await;
        fixture.run(&format!(r#"INSERT INTO "Other Shop".badge VALUES (1, '{}')"#, key(1))).await;
        let outcome = fixture.service.delete_image(&image, true).await;
        if is_listed {
            outcome.unwrap();
            assert_eq!(fixture.count(r#""Other Shop".badge"#).await, 0);
        } else {
            Fixture::assert_required(outcome, "Other Shop.badge", 1);
        }
    }
}

async fn partitions(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture
        .run(
            "CREATE TABLE shop_view (id bigint, picture uuid NOT NULL REFERENCES cloudflare_images) PARTITION BY RANGE (id);
             CREATE TABLE shop_view_1 PARTITION OF shop_view FOR VALUES FROM (0) TO (10);
             CREATE TABLE shop_view_2 PARTITION OF shop_view FOR VALUES FROM (10) TO (20)",
        )
        .await;
    let image = fixture.image(1).await;
    fixture.run(&format!("INSERT INTO shop_view VALUES (1, '{0}'), (11, '{0}')", key(1))).await;
    Fixture::assert_required(fixture.service.delete_image(&image, true).await, "shop_view", 2);
}

async fn new_table(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let (first, second) = (fixture.image(1).await, fixture.image(2).await);
    fixture.service.delete_image(&first, true).await.unwrap();
    fixture.run(HOST_TABLES).await;
    fixture.run(&format!("INSERT INTO gallery_badge (id, label, image_id) VALUES (1, 'a', '{}')", key(2))).await;
    Fixture::assert_required(fixture.service.delete_image(&second, true).await, "gallery_badge", 1);
    assert_eq!(fixture.calls().await.len(), 1);
}

/// The column may be null, but another rule says that it may not.
async fn refusal(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture
        .run(
            "CREATE TABLE shop_strict (
                id bigint NOT NULL PRIMARY KEY, picture @key REFERENCES cloudflare_images (id),
                CHECK (picture IS NOT NULL)
            )",
        )
        .await;
    let image = fixture.image(1).await;
    fixture.run(&format!("INSERT INTO shop_strict (id, picture) VALUES (1, '{}')", key(1))).await;
    let error = fixture.service.delete_image(&image, true).await.unwrap_err();
    assert!(matches!(error, Error::Store(store::Error::Database(_))), "{error:?}");
    assert!(fixture.calls().await.is_empty());
    assert!(fixture.find(1).await.is_some());
}

async fn row_in_between(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.run(HOST_TABLES).await;
    let image = fixture.image(1).await;
    fixture.run(&format!("INSERT INTO gallery_article (id, title, cover_id) VALUES (1, 'a', '{}')", key(1))).await;
    let (cloudflare, base_url) = SlowCloudflare::start().await;
    let slow = service(fixture.url.as_str(), &base_url, "").await;
    let deleting = tokio::spawn({
        let image = image.clone();
        async move { slow.delete_image(&image, true).await }
    });
    let connection = cloudflare.asked().await;
    fixture.run(&format!("INSERT INTO gallery_badge (id, label, image_id) VALUES (1, 'a', '{}')", key(1))).await;
    fixture.run(&format!("INSERT INTO gallery_article (id, title, cover_id) VALUES (2, 'b', '{}')", key(1))).await;
    SlowCloudflare::say_yes(connection).await;
    Fixture::assert_required(deleting.await.unwrap(), "gallery_badge", 1);
    assert!(fixture.find(1).await.is_some());
    assert_eq!(fixture.count("gallery_article WHERE cover_id IS NOT NULL").await, 2);
    fixture.run("DELETE FROM gallery_badge").await;
    fixture.service.delete_image(&image, true).await.unwrap();
    assert_eq!(fixture.count("gallery_article WHERE cover_id IS NULL").await, 2);
}

async fn client_gone(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let image = fixture.image(1).await;
    let (cloudflare, base_url) = SlowCloudflare::start().await;
    let service = service(fixture.url.as_str(), &base_url, "").await;
    let connection = {
        let deleting = service.delete_image(&image, false);
        tokio::select! {
            outcome = deleting => panic!("{outcome:?}"),
            connection = cloudflare.asked() => connection,
        }
    };
    SlowCloudflare::say_yes(connection).await;
    service.finish().await;
    assert!(fixture.find(1).await.is_none());
}

async fn twice_at_once(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    fixture.run(HOST_TABLES).await;
    let image = fixture.image(1).await;
    fixture.run(&format!("INSERT INTO gallery_article (id, title, cover_id) VALUES (1, 'a', '{}')", key(1))).await;
    let other = service(fixture.url.as_str(), &fixture.cloudflare.uri(), "").await;
    let (one, two) = tokio::join!(fixture.service.delete_image(&image, false), other.delete_image(&image, false));
    one.unwrap();
    two.unwrap();
    assert!(fixture.find(1).await.is_none());
}

/// Django holds a log row and then wants its image, a deletion of ours the other way round: PostgreSQL ends ours.
async fn deadlock(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let image = fixture.image(1).await;
    let log = format!(
        "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
         VALUES ('status_checked', '', '{{}}', '2020-01-01 00:00:00', '{}')",
        key(1)
    );
    fixture.run(&log).await;
    let mut django = PgConnection::connect(fixture.url.as_str()).await.unwrap();
    django
        .execute("SET deadlock_timeout = '1min'; BEGIN; SELECT * FROM cloudflare_image_logs FOR UPDATE")
        .await
        .unwrap();
    let cross = async {
        sql::somebody_waits(fixture.url.as_str()).await;
        django.execute("SELECT * FROM cloudflare_images FOR UPDATE; COMMIT").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(fixture.service.delete_image(&image, false), cross);
    outcome.unwrap();
    assert_eq!(fixture.count("cloudflare_images").await + fixture.count("cloudflare_image_logs").await, 0);
    assert_eq!(fixture.calls().await.len(), 1, "Cloudflare is asked once");
}

/// What became of images: `KEY STATUS`, and the text of an error.
async fn delete_in_bulk(app: &TestApp, body: &Value) -> Vec<String> {
    let answer = app.post("images/bulk_delete/", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |result: &Value| {
        let key = result.get("cloudflare_id").unwrap_or(&result["id"]);
        format!("{} {} {}", text(key), text(&result["status"]), text(&result["error"])).trim_end().to_owned()
    };
    answer.json()["results"].as_array().unwrap().iter().map(line).collect()
}

async fn many(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    insert_images(url, 2, "expired").await;
    insert_usage(url, 2, "shop.product", "1", "hero", "auto").await;
    let id = |number: u32| format!("00000000-0000-0000-0000-{number:012x}");
    let ids: Vec<_> = [1].into_iter().chain(1000..2200).chain([1, 2]).map(id).collect();
    let results = delete_in_bulk(&app, &json!({"ids": ids, "cloudflare_ids": ["img-1", "img-2", "img-3"]})).await;
    assert_eq!(results.len(), 1203);
    assert_eq!(results[..2], ["img-1 deleted".to_owned(), format!("{} not_found", id(1000))]);
    assert_eq!(results[1201..], ["img-2 in_use", "img-3 not_found"]);
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_images").await, 1);
}

async fn too_many(engine: Engine) {
    let cloudflare = MockServer::start().await;
    let slow = deleted().set_delay(Duration::from_millis(500));
    Mock::given(method("DELETE")).respond_with(slow).mount(&cloudflare).await;
    let app = TestApp::builder()
        .set(&settings::CFIMAGES_REQUEST_TIMEOUT_SECONDS, "2")
        .cloudflare(cloudflare.uri())
        .start(&engine)
        .await;
    let url = app.database_url.as_str();
    insert_images(url, 600, "expired").await;
    let named: Vec<_> = (1..=600).map(|number| format!("img-{number}")).collect();
    let results = delete_in_bulk(&app, &json!({"cloudflare_ids": named})).await;
    assert_eq!(results.len(), 600);

    let deleted = results.iter().take_while(|result| result.ends_with(" deleted")).count();
    assert!((1..=4).contains(&deleted), "{deleted}");
    let rest = &results[deleted..];
    let interrupted =
        usize::from(rest[0].ends_with(" error The time for the request was over meanwhile; send it again."));
    for (result, id) in rest.iter().zip(&named[deleted..]).skip(interrupted) {
        assert_eq!(*result, format!("{id} error Not tried, the time for the request was over; send it again."));
    }
    let left = i64::try_from(rest.len() - interrupted).unwrap();
    eventually("what Cloudflare was asked for goes on to its end", async || {
        (sql::count(url, "SELECT count(*) FROM cloudflare_images").await == left).then_some(())
    })
    .await;

    let again = delete_in_bulk(&app, &json!({"cloudflare_ids": [named[0], named[599]]})).await;
    assert_eq!(again, ["img-1 not_found", "img-600 deleted"]);
}

async fn unrecordable_drafts(cloudflare: &MockServer) {
    let result = json!({"id": "left", "uploadURL": format!("https://u/{}", "x".repeat(500))});
    let answer = ResponseTemplate::new(200).set_body_json(json!({"success": true, "result": result}));
    Mock::given(method("POST")).respond_with(answer).mount(cloudflare).await;
}

async fn alice(fixture: &Fixture) -> User {
    store::users::find_by_username(&connect(fixture.url.as_str()).await, "alice").await.unwrap().unwrap()
}

async fn recorded_drafts(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let alice = alice(&fixture).await;
    unrecordable_drafts(&fixture.cloudflare).await;
    fixture.service.create_direct_upload_url(&alice, UploadRequest::default()).await.unwrap_err();
    assert_eq!(fixture.count("cfimages_pending_deletions").await, 0);
    assert_eq!(fixture.calls().await[1], "DELETE /accounts/acct-0001/images/v1/left");

    fixture.cloudflare.reset().await;
    unrecordable_drafts(&fixture.cloudflare).await;
    let broken = ResponseTemplate::new(500);
    Mock::given(method("DELETE")).respond_with(broken).mount(&fixture.cloudflare).await;
    for _ in 0..2 {
        fixture.service.create_direct_upload_url(&alice, UploadRequest::default()).await.unwrap_err();
        let row = "SELECT cloudflare_id || ' ' || CAST(attempts AS text) || ' ' || last_error FROM cfimages_pending_deletions";
        assert_eq!(
            sql::texts(fixture.url.as_str(), row).await,
            [Some("left 1 500 Server Error: Internal Server Error".to_owned())]
        );
    }
}

async fn retried_drafts(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let alice = alice(&fixture).await;
    fixture.cloudflare.reset().await;
    unrecordable_drafts(&fixture.cloudflare).await;
    let broken = ResponseTemplate::new(400);
    Mock::given(method("DELETE")).respond_with(broken).up_to_n_times(1).mount(&fixture.cloudflare).await;
    Mock::given(method("DELETE")).respond_with(deleted()).mount(&fixture.cloudflare).await;
    fixture.run("ALTER TABLE cfimages_pending_deletions RENAME TO away").await;
    fixture.service.create_direct_upload_url(&alice, UploadRequest::default()).await.unwrap_err();
    eventually("the draft is deleted", async || (fixture.calls().await.len() == 3).then_some(())).await;
    fixture.run("ALTER TABLE away RENAME TO cfimages_pending_deletions").await;
    fixture.service.finish().await;
    assert_eq!(fixture.count("cfimages_pending_deletions").await, 0);
    assert_eq!(fixture.calls().await.len(), 3);
}
