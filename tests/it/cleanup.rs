//! Cleaning up: marking what expired, deleting what is not needed, and what is left at Cloudflare.

use std::process::Command;

use cfimages::app::SystemClock;
use cfimages::domain::{Clock, DueImage};
use cfimages::service::{CleanupEvent, ImageRecords};
use cfimages::store;
use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::cli::{cfimages, text};
use crate::deletions::{deleted, service};
use crate::migrations::{GRANTS, as_role};
use crate::support::app::{connect, migrated_database};
use crate::support::rows::{ImageRow, insert_images, insert_usage, is_sqlite, key, time};
use crate::support::sql;
use crate::support::suite::{Engine, Suite, TestDatabaseUrl};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("cleanup::only_expired_uploads_are_marked_and_nothing_else_changes", marking);
    suite.on_both_engines("cleanup::more_images_than_a_batch_are_marked_and_deleted", batches);
    suite.on_both_engines("cleanup::two_runs_at_once_count_each_image_once", concurrent_runs);
    suite.on_postgres("cleanup::rows_that_others_hold_are_left_to_the_next_run", held_rows);
    suite.on_both_engines("cleanup::the_command_prints_the_toolkits_lines", lines);
    suite.on_both_engines("cleanup::a_dry_run_tells_and_changes_nothing", dry_run);
    suite.on_both_engines("cleanup::days_count_from_the_end_of_the_upload_url", days);
    suite.on_both_engines("cleanup::images_that_host_rows_require_are_kept_and_named", host_rows);
    suite.on_both_engines(
        "cleanup::images_whose_deletion_the_database_refuses_are_kept_and_stop_nothing",
        raising_trigger,
    );
    suite.on_postgres("cleanup::images_in_a_table_that_may_not_be_changed_are_kept_and_stop_nothing", missing_right);
    suite.on_postgres("cleanup::batches_that_take_too_long_become_smaller_and_go_on", slow_database);
    suite.on_both_engines("cleanup::the_time_is_told_though_the_run_failed", failed_run);
    suite.on_both_engines("cleanup::orphans_are_deleted_and_a_failure_stops_nothing", orphans);
    suite.on_both_engines("cleanup::orphans_that_were_used_meanwhile_stay", used_meanwhile);
    suite.on_both_engines("cleanup::drafts_left_at_cloudflare_are_deleted_or_put_off", leftovers);
    suite.on_both_engines("cleanup::an_account_is_asked_for_only_where_it_is_needed", account);
    suite.on_both_engines("cleanup::verbosity_and_json_choose_what_is_printed", verbosity);
    suite.test("cleanup::a_database_that_is_not_up_to_date_is_refused", pending_migrations);
}

/// Images as the command finds them: a few of each kind.
async fn sample(engine: &Engine) -> TestDatabaseUrl {
    let url = migrated_database(engine).await;
    for (number, status, expires_at, created_at) in [
        (1, "pending", "2000-01-01T10:00:00.000001Z", "1999-01-01"),
        (2, "draft", "2000-01-02T00:00:00Z", "1999-01-02"),
        (3, "pending", "2099-01-01", "1999-01-01"),
        (4, "expired", "2000-01-03", "1999-01-03"),
        (5, "expired", "2099-01-01", "1999-01-01"),
        (6, "uploaded", "2000-01-01", "1999-01-06"),
        (7, "failed", "2000-01-01", "1999-01-01"),
    ] {
        ImageRow { number, status, expires_at, created_at }.insert(url.as_str()).await;
    }
    url
}

async fn ids(url: &str, condition: &str) -> Vec<String> {
    let query = format!("SELECT cloudflare_id FROM cloudflare_images WHERE {condition} ORDER BY id");
    sql::texts(url, &query).await.into_iter().flatten().collect()
}

/// What the command printed and how it ended: exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The command on a database, without an account at Cloudflare.
fn command(folder: &TempDir, url: &str, arguments: &[&str]) -> Command {
    let mut command = cfimages(folder.path(), &["cleanup-expired"]);
    command.args(arguments).env("DATABASE_URL", url);
    command
}

fn with_account(mut command: Command, cloudflare: &str) -> Command {
    command.envs([
        ("CFIMAGES_LOG", "off"),
        ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "acct-0001"),
        ("CLOUDFLARE_IMAGES_API_TOKEN", "secret-token"),
        ("CLOUDFLARE_IMAGES_BASE_URL", cloudflare),
    ]);
    command
}

async fn marking(engine: Engine) {
    let url = sample(&engine).await;
    let url = url.as_str();
    sql::execute(url, "UPDATE cloudflare_images SET user_id = 2 WHERE cloudflare_id = 'img-1'").await;
    sql::execute(url, "UPDATE cloudflare_images SET user_id = NULL WHERE cloudflare_id = 'img-2'").await;
    let service = service(url, "http://127.0.0.1:9", "").await;
    assert_eq!(service.mark_expired().await.unwrap(), 2);
    assert_eq!(service.mark_expired().await.unwrap(), 0);
    assert_eq!(ids(url, "status = 'expired'").await, ["img-1", "img-2", "img-4", "img-5"]);
    assert_eq!(ids(url, "status = 'pending'").await, ["img-3"]);
    assert_eq!(ids(url, "updated_at <> created_at").await.len(), 0);
}

async fn batches(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    insert_images(url, 2345, "pending").await;
    let first = "UPDATE cloudflare_images SET id = '00000000000000000000000000000000' WHERE cloudflare_id = 'img-7'";
    sql::execute(url, first).await;
    let last = "UPDATE cloudflare_images SET id = 'ffffffffffffffffffffffffffffffff' WHERE cloudflare_id = 'img-8'";
    sql::execute(url, last).await;
    let service = service(url, "http://127.0.0.1:9", "").await;
    assert_eq!(service.mark_expired().await.unwrap(), 2345);
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_images WHERE status = 'expired'").await, 2345);
    let mut deleted = 0;
    let mut observer = |event: CleanupEvent<'_>| deleted += i32::from(matches!(event, CleanupEvent::Deleted(_)));
    service.records().delete_expired(SystemClock.now(), &mut observer).await.unwrap();
    assert_eq!((deleted, sql::count(url, "SELECT count(*) FROM cloudflare_images").await), (2345, 0));
}

fn records(database: store::Database) -> ImageRecords {
    ImageRecords::new(database, std::sync::Arc::new(SystemClock), Vec::new())
}

async fn concurrent_runs(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    insert_images(url, 3000, "pending").await;
    let run = async || {
        let records = records(connect(url).await);
        let mut seen = Vec::new();
        let mut observer = |event: CleanupEvent<'_>| {
            if let CleanupEvent::Marked(image) | CleanupEvent::Deleted(image) = event {
                seen.push(DueImage::clone(image).cloudflare_id.to_string());
            }
        };
        records.mark_expired(&mut observer).await.unwrap();
        records.delete_expired(SystemClock.now(), &mut observer).await.unwrap();
        seen
    };
    let (one, two, three) = tokio::join!(run(), run(), run());
    let mut all = [one, two, three].concat();
    assert_eq!(all.len(), 6000);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3000);
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_images").await, 0);
}

async fn held_rows(engine: Engine) {
    use sqlx::{Connection, Executor, PgConnection};

    let url = migrated_database(&engine).await;
    let url = url.as_str();
    insert_images(url, 10, "pending").await;
    let mut other = PgConnection::connect(url).await.unwrap();
    other.execute("BEGIN; UPDATE cloudflare_images SET filename = 'x' WHERE cloudflare_id = 'img-3'").await.unwrap();
    let records = records(connect(url).await);
    assert_eq!(records.mark_expired(&mut |_| {}).await.unwrap(), 9);
    other.execute("COMMIT").await.unwrap();
    assert_eq!(records.mark_expired(&mut |_| {}).await.unwrap(), 1);
}

async fn lines(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let run = |arguments: &[&str]| outcome(&mut command(&folder, url.as_str(), arguments));
    let ok = |lines: &str| (Some(0), lines.to_owned(), String::new());
    assert_eq!(run(&[]), ok("Marked 2 images as expired\n"));
    assert_eq!(run(&[]), ok("No expired images found.\n"));
    assert_eq!(run(&["--delete"]), ok("No expired images found.\nDeleted 3 old expired images (older than 7 days)\n"));
    assert_eq!(
        run(&["--delete", "--days", "9"]),
        ok("No expired images found.\nNo old expired images found (older than 9 days)\n")
    );
    assert_eq!(ids(url.as_str(), "true").await, ["img-3", "img-5", "img-6", "img-7"]);

    let cloudflare = MockServer::start().await;
    Mock::given(method("DELETE")).respond_with(deleted()).expect(1).mount(&cloudflare).await;
    let orphans =
        |arguments: &[&str]| outcome(&mut with_account(command(&folder, url.as_str(), arguments), &cloudflare.uri()));
    assert_eq!(
        orphans(&["--delete-orphans"]),
        ok("No expired images found.\nDeleted 1 orphaned image(s) from Cloudflare\n")
    );
    assert_eq!(
        orphans(&["--delete-orphans", "--orphan-days", "5"]),
        ok("No expired images found.\nNo orphaned images found (older than 5 days)\n")
    );
}

async fn dry_run(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    let before = sql::texts(url, "SELECT cloudflare_id || status FROM cloudflare_images ORDER BY id").await;
    let (code, out, err) = outcome(&mut command(&folder, url, &["--dry-run", "--delete", "--delete-orphans"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "DRY RUN: Would mark 2 expired images\n  \
           - img-2 (expired: 2000-01-02 00:00:00+00:00)\n  \
           - img-1 (expired: 2000-01-01 10:00:00.000001+00:00)\n\
         DRY RUN: Would delete 3 old expired images (older than 7 days)\n  \
           - img-4 (expired: 2000-01-03 00:00:00+00:00)\n  \
           - img-2 (expired: 2000-01-02 00:00:00+00:00)\n  \
           - img-1 (expired: 2000-01-01 10:00:00.000001+00:00)\n\
         DRY RUN: Would delete 1 orphaned image(s) (older than 30 days)\n  \
           - img-6\n"
    );
    assert_eq!(sql::texts(url, "SELECT cloudflare_id || status FROM cloudflare_images ORDER BY id").await, before);

    sql::execute(url, "DELETE FROM cloudflare_images").await;
    insert_images(url, 12, "draft").await;
    let (_, out, _) = outcome(&mut command(&folder, url, &["--dry-run"]));
    assert_eq!(out.lines().count(), 12);
    assert!(
        out.starts_with("DRY RUN: Would mark 12 expired images\n  - img-12 (") && out.ends_with("  ... and 2 more\n")
    );

    sql::execute(url, "DELETE FROM cloudflare_images").await;
    let (_, out, _) = outcome(&mut command(&folder, url, &["--dry-run", "--delete", "--delete-orphans"]));
    assert_eq!(
        out,
        "No expired images found.\nNo old expired images found (older than 7 days)\n\
         No orphaned images found (older than 30 days)\n"
    );
}

async fn days(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    let now = SystemClock.now();
    for (number, age) in [(1, 6), (2, 8)] {
        let expires_at = now.minus_days(age).to_string();
        ImageRow { number, status: "expired", expires_at: &expires_at, created_at: "1999-01-01" }.insert(url).await;
    }
    // A row that was just written is old all the same.
    let now = time(url, &now.to_string());
    sql::execute(url, &format!("UPDATE cloudflare_images SET updated_at = '{now}'")).await;
    let (_, out, _) = outcome(&mut command(&folder, url, &["--delete"]));
    assert!(out.contains("Deleted 1 old expired images (older than 7 days)"), "{out}");
    assert_eq!(ids(url, "true").await, ["img-1"]);
    let (_, out, _) = outcome(&mut command(&folder, url, &["--delete", "--days", "0"]));
    assert!(out.contains("Deleted 1 old expired images (older than 0 days)"), "{out}");
}

async fn host_rows(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    insert_images(url, 1100, "pending").await;
    let key_type = if is_sqlite(url) { "char(32)" } else { "uuid" };
    sql::execute_all(
        url,
        &format!(
            "CREATE TABLE shop_badge (id integer PRIMARY KEY, picture {key_type} NOT NULL REFERENCES cloudflare_images (id));
             CREATE TABLE shop_cover (id integer PRIMARY KEY, picture {key_type} REFERENCES cloudflare_images (id));
             INSERT INTO shop_badge (id, picture) VALUES (1, '{}'), (2, '{}');
             INSERT INTO shop_cover (id, picture) VALUES (1, '{}')",
            key(3),
            key(3),
            key(1050)
        ),
    )
    .await;
    let (code, out, err) = outcome(&mut command(&folder, url, &["--delete"]));
    assert_eq!(code, Some(1));
    assert_eq!(out, "Marked 1100 images as expired\nDeleted 1099 old expired images (older than 7 days)\n");
    assert!(err.lines().count() == 1 && err.contains("kept img-3: 2 rows of the table shop_badge"), "{err}");
    assert!(err.contains("CFIMAGES_HOST_DELETE_TABLES"), "{err}");
    assert_eq!(ids(url, "true").await, ["img-3"]);
    assert_eq!(sql::count(url, "SELECT count(*) FROM shop_cover WHERE picture IS NULL").await, 1);

    let mut listed = command(&folder, url, &["--delete"]);
    let (code, out, err) = outcome(listed.env("CFIMAGES_HOST_DELETE_TABLES", "shop_badge"));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("Deleted 1 old"), "{out}");
    assert_eq!(sql::count(url, "SELECT count(*) FROM shop_badge").await, 0);
}

/// A table of the application with a row that refers to `img-3`, and a trigger that lets nobody change it.
async fn guarded_table(url: &str) {
    let (key_type, trigger) = if is_sqlite(url) {
        (
            "char(32)",
            "CREATE TRIGGER shop_guard BEFORE UPDATE ON shop_cover BEGIN SELECT raise(ABORT, 'the shop is closed'); END",
        )
    } else {
        (
            "uuid",
            "CREATE FUNCTION shop_guard() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'the shop is closed'; END $$;
             CREATE TRIGGER shop_guard BEFORE UPDATE ON shop_cover FOR EACH ROW EXECUTE FUNCTION shop_guard()",
        )
    };
    let statements = format!(
        "CREATE TABLE shop_cover (id integer PRIMARY KEY, picture {key_type} REFERENCES cloudflare_images (id));
         INSERT INTO shop_cover (id, picture) VALUES (1, '{}');
         {trigger}",
        key(3)
    );
    sql::execute_all(url, &statements).await;
}

async fn raising_trigger(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    insert_images(url, 1100, "expired").await;
    guarded_table(url).await;
    let (code, out, err) = outcome(&mut command(&folder, url, &["--delete"]));
    assert_eq!(code, Some(1));
    assert!(out.contains("Deleted 1099 old expired images (older than 7 days)\n"), "{out} {err}");
    assert!(err.starts_with("error: kept img-3: the database refused a statement: "), "{err}");
    assert_eq!((err.lines().count(), err.matches("the shop is closed").count()), (1, 1), "{err}");
    assert_eq!(ids(url, "true").await, ["img-3"]);

    let (code, out, _) = outcome(&mut command(&folder, url, &["--delete", "--json"]));
    let figures: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &figures["deleted"], &figures["kept"]), (Some(1), &json!(0), &json!(1)));

    sql::execute(url, "DELETE FROM shop_cover").await;
    assert_eq!(outcome(&mut command(&folder, url, &["--delete"])).0, Some(0));
    assert_eq!(ids(url, "true").await.len(), 0);
}

async fn missing_right(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    insert_images(url, 10, "expired").await;
    guarded_table(url).await;
    let role = format!("{}_cleanup", sql::text(url, "SELECT current_database()::text").await);
    sql::execute_all(url, &format!("CREATE ROLE {role}; GRANT USAGE ON SCHEMA public TO {role}")).await;
    sql::execute_all(url, &GRANTS.replace("{role}", &role)).await;
    sql::execute_all(url, &format!("GRANT SELECT ON shop_cover TO {role}")).await;
    let (code, _, err) = outcome(&mut command(&folder, &as_role(url, &role), &["--delete"]));
    assert_eq!(code, Some(1));
    assert!(err.starts_with("error: kept img-3: ") && err.contains("shop_cover"), "{err}");
    assert_eq!(ids(url, "true").await, ["img-3"]);
    sql::execute_all(url, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

async fn failed_run(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    sql::execute_all(
        url,
        if is_sqlite(url) {
            "CREATE TRIGGER shop_guard BEFORE UPDATE ON cloudflare_images BEGIN SELECT raise(ABORT, 'closed'); END"
        } else {
            "CREATE FUNCTION shop_guard() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'closed'; END $$;
         CREATE TRIGGER shop_guard BEFORE UPDATE ON cloudflare_images FOR EACH ROW EXECUTE FUNCTION shop_guard()"
        },
    )
    .await;
    let (code, out, err) = outcome(&mut command(&folder, url, &["--json"]));
    assert!(code == Some(1) && err.contains("closed"), "{err}");
    let figures: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(figures["marked"], json!(0));
    assert!(figures["seconds"].as_f64().unwrap() > 0.0, "{out}");
}

async fn orphans(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    for number in 1..=6 {
        ImageRow { number, ..ImageRow::default() }.insert(url).await;
    }
    insert_usage(url, 4, "shop.product", "1", "hero", "auto").await;
    let recently = time(url, &SystemClock.now().minus_days(29).to_string());
    let changed =
        format!("UPDATE cloudflare_images SET last_referenced_at = '{recently}' WHERE cloudflare_id = 'img-5'");
    sql::execute(url, &changed).await;
    let long_ago = time(url, &SystemClock.now().minus_days(31).to_string());
    let now = time(url, &SystemClock.now().to_string());
    let changed = format!(
        "UPDATE cloudflare_images SET last_referenced_at = '{long_ago}', created_at = '{now}' WHERE cloudflare_id = 'img-6'"
    );
    sql::execute(url, &changed).await;
    let cloudflare = MockServer::start().await;
    let broken = ResponseTemplate::new(400);
    let first = "/accounts/acct-0001/images/v1/img-1";
    Mock::given(path(first)).respond_with(broken).up_to_n_times(1).mount(&cloudflare).await;
    Mock::given(path("/accounts/acct-0001/images/v1/img-2")).respond_with(missing()).mount(&cloudflare).await;
    Mock::given(method("DELETE")).respond_with(deleted()).mount(&cloudflare).await;
    let run = || outcome(&mut with_account(command(&folder, url, &["--delete-orphans"]), &cloudflare.uri()));

    let (code, out, err) = run();
    assert_eq!(code, Some(1));
    assert_eq!(
        out,
        "No expired images found.\nDeleted 3 orphaned image(s) from Cloudflare\nFailed to delete 1 orphaned image(s)\n"
    );
    assert_eq!(err, "error: img-1: Failed to delete image: 400 Client Error: Bad Request\n");
    assert_eq!(ids(url, "true").await, ["img-1", "img-4", "img-5"]);
    let (code, out, _) = run();
    assert_eq!((code, out.lines().last()), (Some(0), Some("Deleted 1 orphaned image(s) from Cloudflare")));
    assert_eq!(ids(url, "true").await, ["img-4", "img-5"]);
    let requests = cloudflare.received_requests().await.unwrap();
    let paths: Vec<&str> = requests.iter().map(|request| request.url.path()).collect();
    let id = |number: u32| format!("/accounts/acct-0001/images/v1/img-{number}");
    assert_eq!(paths, [id(1), id(2), id(3), id(6), id(1)]);
}

/// The second orphan is used as soon as the first is deleted.
async fn used_meanwhile(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    for number in 1..=2 {
        ImageRow { number, ..ImageRow::default() }.insert(url).await;
    }
    let cloudflare = MockServer::start().await;
    Mock::given(method("DELETE")).respond_with(deleted()).mount(&cloudflare).await;
    let service = service(url, &cloudflare.uri(), "").await;
    let runtime = tokio::runtime::Handle::current();
    let mut deleted = Vec::new();
    let mut observer = |event: CleanupEvent<'_>| {
        if let CleanupEvent::OrphanDeleted(image) = event {
            deleted.push(image.cloudflare_id.to_string());
            let usage = insert_usage(url, 2, "shop.product", "1", "hero", "auto");
            tokio::task::block_in_place(|| runtime.block_on(usage));
        }
    };
    service.delete_orphans(SystemClock.now(), &mut observer).await.unwrap();
    assert_eq!(deleted, ["img-1"]);
    assert_eq!(ids(url, "true").await, ["img-2"]);
}

fn missing() -> ResponseTemplate {
    ResponseTemplate::new(404).set_body_string("ERROR 5404: Image not found")
}

async fn leftovers(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    ImageRow { number: 9, ..ImageRow::default() }.insert(url).await;
    let past = time(url, "2020-01-01");
    for (id, due) in
        [("gone", &past), ("left", &past), ("broken", &past), ("img-9", &past), ("later", &time(url, "2099-01-01"))]
    {
        let row = format!(
            "INSERT INTO cfimages_pending_deletions (cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at) \
             VALUES ('{id}', 'it could not be recorded', '{past}', 3, '', '{due}')"
        );
        sql::execute(url, &row).await;
    }
    let cloudflare = MockServer::start().await;
    for (id, answer) in [("gone", missing()), ("left", deleted()), ("broken", ResponseTemplate::new(400))] {
        let path = path(format!("/accounts/acct-0001/images/v1/{id}"));
        Mock::given(method("DELETE")).and(path).respond_with(answer).expect(1).mount(&cloudflare).await;
    }
    let run = |arguments: &[&str]| outcome(&mut with_account(command(&folder, url, arguments), &cloudflare.uri()));
    let (code, out, _) = run(&["--dry-run"]);
    assert_eq!((code, out.as_str()), (Some(0), "No expired images found.\n"));
    let (code, out, err) = run(&["-v", "2"]);
    assert_eq!(code, Some(1));
    assert!(
        out.contains("  - left (left at Cloudflare)\n") && out.contains("  - gone (left at Cloudflare)\n"),
        "{out}"
    );
    assert_eq!(err, "error: broken (left at Cloudflare): Failed to delete image: 400 Client Error: Bad Request\n");
    let left = "SELECT cloudflare_id || ' ' || CAST(attempts AS text) || ' ' || last_error FROM cfimages_pending_deletions ORDER BY 1";
    let left: Vec<String> = sql::texts(url, left).await.into_iter().flatten().collect();
    assert_eq!(left, ["broken 4 400 Client Error: Bad Request", "later 3 "]);
    // It is not tried again before its time, and what was recorded meanwhile is nobody's leftover.
    assert_eq!(run(&[]).0, Some(0));
    assert_eq!(ids(url, "true").await, ["img-9"]);
}

async fn account(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    let (code, out, err) = outcome(&mut command(&folder, url, &["--delete-orphans"]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("CLOUDFLARE_IMAGES_ACCOUNT_ID") && err.contains("CLOUDFLARE_IMAGES_API_TOKEN"), "{err}");
    let row = format!(
        "INSERT INTO cfimages_pending_deletions (cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at) \
         VALUES ('left', 'it could not be recorded', '{0}', 0, '', '{0}')",
        time(url, "2020-01-01")
    );
    sql::execute(url, &row).await;
    let (code, out, err) = outcome(&mut command(&folder, url, &["--delete"]));
    assert_eq!(code, Some(1));
    assert!(out.contains("Marked 2") && out.contains("Deleted 3"), "{out}");
    assert!(err.contains("1 draft(s)") && err.contains("CLOUDFLARE_IMAGES_ACCOUNT_ID"), "{err}");
}

async fn verbosity(engine: Engine) {
    let folder = TempDir::new().unwrap();
    let run = async |arguments: &[&str]| {
        let url = sample(&engine).await;
        // What a terminal would take for a command.
        let odd = "UPDATE cloudflare_images SET cloudflare_id = '\u{1b}[2J\n' WHERE cloudflare_id = 'img-2'";
        sql::execute(url.as_str(), odd).await;
        let (code, out, err) = outcome(&mut command(&folder, url.as_str(), arguments));
        assert_eq!((code, err.as_str()), (Some(0), ""));
        out
    };
    assert_eq!(run(&["--delete", "-v", "0"]).await, "");
    let out = run(&["--delete", "-v", "2"]).await;
    assert!(out.contains("  - img-1 (expired: 2000-01-01 10:00:00.000001+00:00)\n"), "{out}");
    assert!(
        out.contains("  - \\u{1b}[2J\\n (expired: 2000-01-02 00:00:00+00:00)\n") && !out.contains('\u{1b}'),
        "{out}"
    );
    assert!(out.contains("img-4") && !out.contains("took"), "{out}");
    let out = run(&["--delete", "--verbosity", "3"]).await;
    assert!(out.contains("  marking took 0.") && out.contains("  deleting took 0."), "{out}");
    let figures: Value = serde_json::from_str(&run(&["--delete", "--json", "-v", "3"]).await).unwrap();
    assert!(figures["seconds"].as_f64().unwrap() > 0.0);
    let expected = [
        ("dry_run", json!(false)),
        ("marked", json!(2)),
        ("deleted", json!(3)),
        ("kept", json!(0)),
        ("orphans_deleted", json!(null)),
    ];
    for (name, value) in expected {
        assert_eq!(figures[name], value, "{name}");
    }
    let figures: Value =
        serde_json::from_str(&run(&["--dry-run", "--delete", "--delete-orphans", "--json"]).await).unwrap();
    assert_eq!(
        (&figures["marked"], &figures["deleted"], &figures["orphans_deleted"]),
        (&json!(2), &json!(3), &json!(1))
    );
    for arguments in [&["-v", "4"][..], &["--days", "-1"], &["--days", "x"], &["--orphan-days", "99999"]] {
        assert_eq!(outcome(&mut command(&folder, "sqlite://unused.db", arguments)).0, Some(2), "{arguments:?}");
    }
}

async fn pending_migrations() {
    let folder = TempDir::new().unwrap();
    let (code, _, err) = outcome(&mut command(&folder, "sqlite://new.db", &[]));
    assert!(code == Some(1) && err.contains("cfimages migrate"), "{err}");
}

/// A trigger of the application takes its time with each row, and with one of them for ever.
async fn slow_database(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    insert_images(url, 60, "expired").await;
    sql::execute_all(
        url,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             PERFORM pg_sleep(CASE OLD.cloudflare_id WHEN 'img-50' THEN 60 ELSE 0.02 END); RETURN OLD; END $$; \
         CREATE TRIGGER slow BEFORE DELETE ON cloudflare_images FOR EACH ROW EXECUTE FUNCTION slow()",
    )
    .await;
    let mut command = command(&folder, url, &["--delete"]);
    command.envs([("CFIMAGES_DB_STATEMENT_TIMEOUT_SECONDS", "1"), ("CFIMAGES_LOG", "error")]);
    let (code, out, err) = outcome(&mut command);
    assert!(out.contains("Deleted 59 old"), "{out}{err}");
    assert_eq!((code, err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.starts_with("error: kept img-50: "), "{err}");
    assert_eq!(ids(url, "true").await, ["img-50"]);
}
