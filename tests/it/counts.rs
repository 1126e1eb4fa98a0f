//! The counts that triggers keep are what counting gives, whoever wrote and however.

use cfimages::store;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::app::{connect, migrated_database};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("counts::any_mix_of_writes_leaves_exact_counts", any_mix);
    suite.on_both_engines("counts::writers_at_the_same_time_leave_exact_counts", concurrent);
    suite.on_both_engines("counts::counting_anew_repairs_what_was_lost", repair);
    suite.on_postgres("counts::open_transactions_do_not_wait_for_one_another", open_transactions);
    suite.on_postgres("counts::other_roles_schemas_and_isolation_levels_count_too", other_writers);
    suite.on_both_engines("counts::djangos_way_of_changing_a_table_works_and_is_repaired", rebuilt_table);
}

const KEPT: &str = "SELECT user_key || ' ' || status || ' ' || CAST(require_signed_urls AS text) || ' ' || CAST(sum(images) AS text) || ' ' \
    || CAST(sum(bytes) AS text) FROM cfimages_image_counts GROUP BY user_key, status, require_signed_urls \
    HAVING sum(images) <> 0 OR sum(bytes) <> 0 ORDER BY 1";
const COUNTED: &str = "SELECT coalesce(CAST(user_id AS text), '') || ' ' || status || ' ' || CAST(require_signed_urls AS text) || ' ' \
    || CAST(count(*) AS text) || ' ' || CAST(coalesce(sum(file_size), 0) AS text) \
    FROM cloudflare_images GROUP BY user_id, status, require_signed_urls ORDER BY 1";

async fn assert_exact(url: &str) {
    assert_eq!(sql::texts(url, KEPT).await, sql::texts(url, COUNTED).await);
}

fn insert_image(number: u32, user: &str, size: &str) -> String {
    format!(
        "INSERT INTO cloudflare_images (id, cloudflare_id, filename, original_filename, content_type, file_size, upload_url, status, \
         require_signed_urls, metadata, created_at, updated_at, expires_at, format, variants, cloudflare_metadata, creator, user_id) \
         VALUES ('{}', 'cf-{number}', '', '', '', {size}, '', 'pending', true, '{{}}', '2024-01-01 00:00:00', '2024-01-01 00:00:00', \
         '2024-01-01 00:00:00', '', '[]', '{{}}', '', {user})",
        key(number)
    )
}

fn key(number: u32) -> String {
    format!("{number:032x}")
}

async fn any_mix(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    for number in 0..8 {
        let user = ["1", "2", "NULL"][number as usize % 3];
        sql::execute(url, &insert_image(number, user, if number == 3 { "NULL" } else { "10" })).await;
    }
    assert_exact(url).await;
    assert_eq!(sql::texts(url, KEPT).await.len(), 3);
    for statement in [
        "UPDATE cloudflare_images SET status = 'uploaded' WHERE user_id = 1",
        "UPDATE cloudflare_images SET filename = 'unchanged otherwise'",
        "UPDATE cloudflare_images SET file_size = coalesce(file_size, 0) + 7, require_signed_urls = false WHERE user_id = 2 OR user_id IS NULL",
        "UPDATE cloudflare_images SET user_id = 2 WHERE user_id = 1",
        "UPDATE cloudflare_images SET user_id = NULL, file_size = NULL WHERE cloudflare_id = 'cf-1'",
        "UPDATE cloudflare_images SET status = 'odd'",
        "DELETE FROM cloudflare_images WHERE cloudflare_id = 'cf-0'",
        "DELETE FROM cloudflare_images WHERE user_id IS NULL",
        "DELETE FROM cloudflare_images",
    ] {
        sql::execute(url, statement).await;
        assert_exact(url).await;
    }
    if matches!(engine, Engine::Postgres(_)) {
        sql::execute(url, &insert_image(1, "1", "10")).await;
        sql::execute(url, "TRUNCATE cloudflare_images, cloudflare_image_logs, cloudflare_image_usages").await;
        assert_exact(url).await;
    }
}

async fn concurrent(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    let writer = async |start: u32| {
        for number in start..start + 10 {
            sql::execute(url, &insert_image(number, "1", "10")).await;
            let change = format!("UPDATE cloudflare_images SET status = 'uploaded' WHERE id = '{}'", key(number));
            sql::execute(url, &change).await;
        }
    };
    tokio::join!(writer(0), writer(100), writer(200), writer(300));
    assert_exact(url).await;
    let stats = store::stats::find(&connect(url).await, cfimages::domain::UserId::Number(1)).await.unwrap();
    assert_eq!((stats.counts.total, stats.counts.uploaded, stats.counts.total_file_size), (40, 40, 400));
}

async fn repair(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    sql::execute(url, &insert_image(1, "1", "10")).await;
    sql::execute(url, "UPDATE cfimages_image_counts SET images = 99").await;
    let database = connect(url).await;
    let mut transaction = database.begin().await.unwrap();
    store::stats::recount(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_exact(url).await;
}

/// Each changes images of the same user and stays open; the order in which they touch statuses is opposite.
async fn open_transactions(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    for number in 0..80 {
        sql::execute(url, &insert_image(number, "1", "10")).await;
    }
    let mut open = Vec::new();
    for number in 0..40 {
        let mut connection = PgConnection::connect(url).await.unwrap();
        connection.execute("BEGIN; SET LOCAL lock_timeout = '2s'").await.unwrap();
        let statuses = if number % 2 == 0 { ["uploaded", "failed"] } else { ["failed", "uploaded"] };
        for (image, status) in [number, number + 40].into_iter().zip(statuses) {
            let change = format!("UPDATE cloudflare_images SET status = '{status}' WHERE id = '{}'", key(image));
            connection.execute(sqlx::AssertSqlSafe(change)).await.unwrap();
        }
        open.push(connection);
    }
    for (at, mut connection) in open.into_iter().enumerate() {
        connection.execute(if at % 3 == 0 { "ROLLBACK" } else { "COMMIT" }).await.unwrap();
    }
    assert_exact(url).await;
}

/// Django may connect as somebody who knows nothing of our tables, and restores run with an empty search path.
async fn other_writers(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    let mut connection = PgConnection::connect(url).await.unwrap();
    let database: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&mut connection).await.unwrap();
    let role = format!("{database}_django");
    for statement in [
        format!("CREATE ROLE {role}"),
        format!("GRANT ALL ON cloudflare_images, auth_user TO {role}"),
        format!("SET ROLE {role}"),
        insert_image(1, "1", "10"),
        "UPDATE cloudflare_images SET status = 'uploaded'".to_owned(),
        "RESET ROLE; SET search_path = ''".to_owned(),
        insert_image(2, "1", "10").replace("INTO cloudflare_images", "INTO public.cloudflare_images"),
        "DELETE FROM public.cloudflare_images WHERE cloudflare_id = 'cf-1'".to_owned(),
        "RESET search_path".to_owned(),
    ] {
        connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
    }
    assert_exact(url).await;

    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM cloudflare_images").await.unwrap();
    sql::execute(url, &insert_image(3, "1", "10")).await;
    connection.execute(sqlx::AssertSqlSafe(insert_image(4, "1", "10"))).await.unwrap();
    connection.execute("COMMIT").await.unwrap();
    assert_exact(url).await;
    connection.execute(sqlx::AssertSqlSafe(format!("DROP OWNED BY {role}; DROP ROLE {role}"))).await.unwrap();
}

/// On SQLite Django makes a new table, copies, drops the old one and renames.
async fn rebuilt_table(engine: Engine) {
    let url = migrated_database(&engine).await;
    let url = url.as_str();
    sql::execute(url, &insert_image(1, "1", "10")).await;
    match engine {
        Engine::Sqlite => {
            rebuild(url, "cloudflare_images").await;
            rebuild(url, "cloudflare_image_usages").await;
        }
        Engine::Postgres(_) => {
            sql::execute(url, "ALTER TABLE cloudflare_images ADD COLUMN later integer").await;
            sql::execute(url, "ALTER TABLE cloudflare_images ALTER COLUMN format TYPE varchar(20)").await;
            sql::execute(url, "DROP TRIGGER cfimages_count_added ON cloudflare_images").await;
        }
    }
    let database = connect(url).await;
    let missing = store::migrations::check(&database).await.unwrap_err().to_string();
    assert!(missing.contains("cfimages_count_added") && missing.contains("cfimages migrate"), "{missing}");
    sql::execute(url, &insert_image(2, "1", "10")).await;
    store::migrations::run(&database).await.unwrap();
    store::migrations::check(&database).await.unwrap();
    assert_exact(url).await;
    sql::execute(url, &insert_image(3, "1", "10")).await;
    assert_exact(url).await;
}

async fn rebuild(url: &str, table: &str) {
    let definition = sql::text(url, &format!("SELECT sql FROM sqlite_master WHERE name = '{table}'")).await;
    let definition = definition.replacen(table, &format!("new__{table}"), 1);
    let steps = format!(
        "PRAGMA foreign_keys = OFF; BEGIN; {definition}; INSERT INTO new__{table} SELECT * FROM {table}; \
         DROP TABLE {table}; ALTER TABLE new__{table} RENAME TO {table}; COMMIT"
    );
    sql::execute_all(url, &steps).await;
}
