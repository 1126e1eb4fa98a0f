//! `cfimages logs`.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{cfimages, failure, success, text};
use crate::support::app::migrated_database;
use crate::support::rows::{ImageRow, insert_images, is_sqlite, key, time};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("cli_logs::old_entries_go_but_not_those_that_are_needed", prune);
    suite.on_both_engines("cli_logs::more_entries_than_a_batch_go", batches);
    suite.on_both_engines("cli_logs::batches_are_found_through_the_index", plan);
    suite.test("cli_logs::an_age_without_a_unit_is_refused", age);
}

/// Writes an entry into the log of the image `img-NUMBER`.
async fn log(url: &str, image: u32, event_type: &str, at: &str) {
    let (at, image) = (time(url, at), key(image));
    let entry = format!(
        "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
         VALUES ('{event_type}', '', '{{}}', '{at}', '{image}')"
    );
    sql::execute(url, &entry).await;
}

async fn prune(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    for (number, status) in [(1, "uploaded"), (2, "pending"), (3, "draft")] {
        ImageRow { number, status, ..ImageRow::default() }.insert(url).await;
        log(url, number, "status_checked", "2020-01-01").await;
    }
    log(url, 1, "webhook_received", "2020-01-01").await;
    log(url, 1, "webhook_received", "2099-01-01").await;
    log(url, 1, "image_imported", "2020-01-01").await;
    let run = |arguments: &[&str]| {
        let mut command = cfimages(folder.path(), &["logs", "prune", "--older-than", "90d"]);
        success(command.args(arguments).env("DATABASE_URL", url))
    };
    assert!(run(&["--dry-run"]).starts_with("DRY RUN: would delete 2 entries from before 2"));
    let figures: Value = serde_json::from_str(&run(&["--dry-run", "--json"])).unwrap();
    assert_eq!((&figures["dry_run"], &figures["deleted"]), (&json!(true), &json!(2)));
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_image_logs").await, 6);
    assert!(run(&[]).starts_with("deleted 2 entries from before 2"));
    let left =
        "SELECT event_type || ' ' || substr(CAST(\"timestamp\" AS text), 1, 4) FROM cloudflare_image_logs ORDER BY id";
    let left: Vec<_> = sql::texts(url, left).await.into_iter().flatten().collect();
    assert_eq!(left, ["status_checked 2020", "status_checked 2020", "webhook_received 2099", "image_imported 2020"]);
    let figures: Value = serde_json::from_str(&run(&["--json"])).unwrap();
    assert_eq!((&figures["dry_run"], &figures["deleted"]), (&json!(false), &json!(0)));
}

/// Gives each image an entry at the same time.
async fn log_all(url: &str) {
    let types = if is_sqlite(url) { ["", ""] } else { ["::jsonb", "::timestamptz"] };
    let entries = format!(
        "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
         SELECT 'status_checked', '', '{{}}'{}, '{}'{}, id FROM cloudflare_images",
        types[0],
        time(url, "2020-01-01"),
        types[1]
    );
    sql::execute(url, &entries).await;
}

async fn batches(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    insert_images(url, 1234, "uploaded").await;
    log_all(url).await;
    sql::execute(url, "UPDATE cloudflare_images SET status = 'pending' WHERE cloudflare_id IN ('img-1', 'img-700')")
        .await;
    let mut command = cfimages(folder.path(), &["logs", "prune", "--older-than", "1y"]);
    assert!(success(command.env("DATABASE_URL", url)).starts_with("deleted 1232 entries"));
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_image_logs").await, 2);
}

async fn plan(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    insert_images(url, 2000, "uploaded").await;
    log_all(url).await;
    sql::execute(url, if is_sqlite(url) { "ANALYZE" } else { "ANALYZE cloudflare_image_logs" }).await;
    let at = |text: &str| format!("'{}'{}", time(url, text), if is_sqlite(url) { "" } else { "::timestamptz" });
    let query = cfimages::store::upload_logs::LIST_OLD
        .replace("$1", "'webhook_received'")
        .replace("$2", &at("2024-01-01"))
        .replace("$3", &at("2020-01-01"))
        .replace("$4", "0")
        .replace("$5", "500");
    let explain = if is_sqlite(url) { "EXPLAIN QUERY PLAN" } else { "EXPLAIN (COSTS OFF)" };
    let plan = sql::plan(url, &format!("{explain} {query}")).await;
    assert!(plan.contains("cfimg_log_event_ts_idx"), "{plan}");
}

async fn age() {
    let folder = TempDir::new().unwrap();
    let output = cfimages(folder.path(), &["logs", "prune", "--older-than", "90"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("such as 90d, 12w or 2y"), "{}", text(&output.stderr));
    let missing = cfimages(folder.path(), &["logs", "prune"]).output().unwrap();
    assert!(text(&missing.stderr).contains("--older-than"), "{}", text(&missing.stderr));
    let old = failure(
        cfimages(folder.path(), &["logs", "prune", "--older-than", "90d"])
            .env("DATABASE_URL", format!("sqlite://{}/new.db", folder.path().display())),
    );
    assert!(old.contains("cfimages migrate"), "{old}");
}
