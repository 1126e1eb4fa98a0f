//! Making and adopting databases.

use std::path::PathBuf;

use cfimages::store;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use crate::support::app::connect;
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("migrations::an_empty_database_gets_djangos_tables", django_tables);
    suite.on_both_engines("migrations::a_database_that_django_made_is_adopted_as_it_is", adoption);
    suite.on_both_engines("migrations::pending_migrations_are_known_and_applied_once", pending);
    suite.on_both_engines("migrations::everything_of_ours_can_be_taken_away_and_put_back", removal);
    suite.on_both_engines("migrations::the_tables_of_an_older_toolkit_are_refused_with_advice", older_toolkit);
    suite.on_both_engines("migrations::several_at_once_wait_for_one_another", several_at_once);
    suite.test("migrations::both_engines_have_the_same_migrations", same_names);
}

async fn migrate(url: &str) {
    let database = connect(url).await;
    store::migrations::run(&database).await.unwrap();
    database.close().await;
}

/// Runs the statements of Django's own schema.
async fn make_as_django(engine: &Engine, url: &str) {
    let name = if matches!(engine, Engine::Sqlite) { "schema-sqlite.sql" } else { "schema.sql" };
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/django").join(name);
    let schema = std::fs::read_to_string(path).unwrap();
    match engine {
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            connection.execute(AssertSqlSafe(schema)).await.unwrap();
            connection.close().await.unwrap();
        }
        Engine::Postgres(_) => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            connection.execute(AssertSqlSafe(schema)).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}

const COLUMNS: &str = "SELECT table_name || '.' || column_name || ' ' || data_type || coalesce(character_maximum_length::text, '') || ' ' || is_nullable || ' ' \
    || coalesce(column_default, '') || ' ' || is_identity || ' ' || coalesce(identity_generation, '') || ' ' || ordinal_position \
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'cfimages%' ORDER BY 1";
const CONSTRAINTS: &str = "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint \
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'cfimages%' ORDER BY 1";
const INDEXES: &str =
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE 'cfimages%' ORDER BY 1";
const SQLITE_SCHEMA: &str = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master \
    WHERE tbl_name NOT LIKE 'cfimages%' AND name NOT LIKE 'cfimages%' AND name NOT LIKE 'sqlite_%' ORDER BY 1";

async fn schema(engine: &Engine, url: &str) -> Vec<Option<String>> {
    let queries: &[&str] = match engine {
        Engine::Sqlite => &[SQLITE_SCHEMA],
        Engine::Postgres(_) => &[COLUMNS, CONSTRAINTS, INDEXES],
    };
    let mut lines = Vec::new();
    for query in queries {
        lines.extend(sql::texts(url, query).await);
    }
    lines
}

async fn django_tables(engine: Engine) {
    let (ours, theirs) = (engine.create_database().await, engine.create_database().await);
    migrate(ours.as_str()).await;
    make_as_django(&engine, theirs.as_str()).await;
    let theirs = schema(&engine, theirs.as_str()).await;
    assert!(theirs.len() > 15, "{theirs:?}");
    assert_eq!(schema(&engine, ours.as_str()).await, theirs);
}

async fn adoption(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    make_as_django(&engine, url).await;
    let before = schema(&engine, url).await;
    for row in [
        "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined) \
         VALUES (7, '!', false, 'zoe', '', '', '', false, true, '2024-01-01 00:00:00')",
        "INSERT INTO cloudflare_images (id, cloudflare_id, filename, original_filename, content_type, file_size, upload_url, status, require_signed_urls, metadata, \
         created_at, updated_at, expires_at, format, variants, cloudflare_metadata, creator, user_id) \
         VALUES ('0123456789abcdef0123456789abcdef', 'old', '', '', '', 5, '', 'uploaded', true, '{\"a\": 1}', '2024-01-01 00:00:00', '2024-01-01 00:00:00', '2024-01-01 00:00:00', '', '[]', '{}', '', 7)",
        "INSERT INTO django_content_type (id, app_label, model) VALUES (1, 'shop', 'product')",
        "INSERT INTO cloudflare_image_usages (object_id, field_name, cloudflare_id, created_at, updated_at, content_type_id, image_id, source) \
         VALUES ('1', 'hero', 'old', '2024-01-01 00:00:00', '2024-01-01 00:00:00', 1, '0123456789abcdef0123456789abcdef', 'auto')",
    ] {
        sql::execute(url, row).await;
    }
    migrate(url).await;
    migrate(url).await;
    assert_eq!(schema(&engine, url).await, before);

    let database = connect(url).await;
    let stats = store::stats::find(&database, cfimages::domain::UserId(7)).await.unwrap();
    assert_eq!(
        (stats.total, stats.uploaded, stats.signed, stats.total_file_size, stats.usages, stats.orphaned),
        (1, 1, 1, 5, 1, 0)
    );
}

async fn pending(engine: Engine) {
    let url = engine.create_database().await;
    let database = connect(url.as_str()).await;
    let all = store::migrations::status(&database).await.unwrap();
    assert!(all.len() >= 3 && all.iter().all(|migration| !migration.is_applied));
    let error = store::migrations::check(&database).await.unwrap_err().to_string();
    assert!(error.contains("cfimages migrate"), "{error}");
    store::migrations::run(&database).await.unwrap();
    store::migrations::check(&database).await.unwrap();
    store::migrations::run(&database).await.unwrap();
    assert!(store::migrations::status(&database).await.unwrap().iter().all(|migration| migration.is_applied));
}

const OURS: &str = "SELECT relname::text FROM pg_class WHERE relname LIKE 'cfimages%' UNION ALL SELECT proname::text FROM pg_proc WHERE proname LIKE 'cfimages%' \
    UNION ALL SELECT tgname::text FROM pg_trigger WHERE tgname LIKE 'cfimages%'";
const OURS_ON_SQLITE: &str = "SELECT name FROM sqlite_master WHERE name LIKE 'cfimages%' OR sql LIKE '%cfimages%'";

async fn removal(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    let ours = async || sql::texts(url, if matches!(engine, Engine::Sqlite) { OURS_ON_SQLITE } else { OURS }).await;
    make_as_django(&engine, url).await;
    let before = schema(&engine, url).await;
    migrate(url).await;
    assert!(ours().await.len() >= 5);
    let database = connect(url).await;
    store::migrations::remove(&database).await.unwrap();
    assert_eq!(ours().await, []);
    assert_eq!(schema(&engine, url).await, before);
    store::migrations::remove(&database).await.unwrap();
    store::migrations::run(&database).await.unwrap();
    store::migrations::check(&database).await.unwrap();
}

async fn older_toolkit(engine: Engine) {
    let url = engine.create_database().await;
    sql::execute(
        url.as_str(),
        "CREATE TABLE cloudflare_images (id integer, cloudflare_id varchar(255), creator varchar(255))",
    )
    .await;
    let database = connect(url.as_str()).await;
    let error = store::migrations::run(&database).await.unwrap_err().to_string();
    assert!(error.contains("older django-cloudflareimages-toolkit") && error.contains("1.1.6"), "{error}");
    assert_eq!(
        sql::texts(url.as_str(), if matches!(engine, Engine::Sqlite) { OURS_ON_SQLITE } else { OURS }).await,
        []
    );
}

async fn several_at_once(engine: Engine) {
    let url = engine.create_database().await;
    let one = async || migrate(url.as_str()).await;
    tokio::join!(one(), one(), one(), one());
    store::migrations::check(&connect(url.as_str()).await).await.unwrap();
}

async fn same_names() {
    let names = |engine: &str| {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("migrations").join(engine);
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("postgres"), names("sqlite"));
}
