//! Making and adopting databases.

use std::path::PathBuf;
use std::sync::Arc;

use cfimages::app::SystemClock;
use cfimages::config::settings;
use cfimages::domain::{NewUser, Role};
use cfimages::service::{Accounts, SignInError};
use cfimages::store;
use serde_json::json;

use crate::support::app::{TestApp, connect, connect_with_users, migrated_database};
use crate::support::rows::time;
use crate::support::suite::{Engine, Suite};
use crate::support::{django, picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("migrations::an_empty_database_gets_djangos_tables", django_tables);
    suite.on_both_engines("migrations::a_database_that_django_made_is_adopted_as_it_is", adoption);
    suite.on_both_engines("migrations::pending_migrations_are_known_and_applied_once", pending);
    suite.on_both_engines("migrations::everything_of_ours_can_be_taken_away_and_put_back", removal);
    suite.on_both_engines("migrations::the_tables_of_an_older_toolkit_are_refused_with_advice", older_toolkit);
    suite.on_both_engines("migrations::rows_that_an_older_toolkit_left_are_refused_with_advice", older_rows);
    suite.on_both_engines("migrations::columns_of_another_type_are_refused_with_advice", foreign_columns);
    suite.on_both_engines("migrations::the_tables_of_apps_that_django_lacks_are_not_made", missing_apps);
    suite.on_both_engines(
        "migrations::django_without_the_toolkit_gets_the_tables_of_the_toolkit_alone",
        django_without_toolkit,
    );
    suite.on_both_engines("migrations::what_only_django_can_make_is_left_to_it", left_to_django);
    suite.on_both_engines("migrations::whatever_of_ours_is_dropped_is_missed_and_put_back", dropped_objects);
    suite.on_both_engines("migrations::what_is_kept_survives_that_something_is_put_back", kept_rows);
    suite.on_postgres("migrations::a_schema_before_that_of_django_holds_what_is_ours", schema_before_djangos);
    suite.on_postgres("migrations::a_role_with_few_rights_serves_and_is_told_that_it_cannot_migrate", few_rights);
    suite.on_postgres("migrations::rights_that_are_missing_are_told_with_what_gives_them", missing_rights);
    suite.on_both_engines("migrations::a_new_database_is_opened_by_several_at_once", opening_at_once);
    suite.on_both_engines("migrations::several_at_once_wait_for_one_another", several_at_once);
    suite.test("migrations::both_engines_have_the_same_migrations", same_names);
}

async fn migrate(url: &str) {
    let database = connect(url).await;
    store::migrations::run(&database).await.unwrap();
    database.close().await;
}

/// Columns with their types, collations and defaults.
const COLUMNS: &str = "SELECT tables.relname || '.' || columns.attname || ' ' || columns.attnum || ' ' || format_type(columns.atttypid, columns.atttypmod) \
    || ' ' || columns.attnotnull || ' ' || columns.attidentity::text || ' ' || columns.attgenerated::text || ' ' || columns.attcollation::regcollation \
    || ' ' || coalesce(pg_get_expr(defaults.adbin, defaults.adrelid), '') || ' ' || coalesce(pg_get_serial_sequence(tables.relname, columns.attname), '') \
    FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid \
    LEFT JOIN pg_attrdef AS defaults ON defaults.adrelid = tables.oid AND defaults.adnum = columns.attnum \
    WHERE tables.relnamespace = 'public'::regnamespace AND tables.relkind = 'r' AND columns.attnum > 0 AND NOT columns.attisdropped \
    AND tables.relname NOT LIKE 'cfimages%' ORDER BY 1";
/// Relations of every kind, with how they are stored.
const RELATIONS: &str = "SELECT relname || ' ' || relkind::text || ' ' || relpersistence::text || ' ' || coalesce(array_to_string(reloptions, ','), '') || ' ' \
    || coalesce((SELECT amname FROM pg_am WHERE pg_am.oid = relam), '') \
    FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'cfimages%' ORDER BY 1";
const SEQUENCES: &str = "SELECT seqrelid::regclass || ' ' || seqtypid::regtype || ' ' || seqstart || ' ' || seqincrement || ' ' || seqmin || ' ' || seqmax \
    || ' ' || seqcache || ' ' || seqcycle FROM pg_sequence JOIN pg_class ON pg_class.oid = seqrelid \
    WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'cfimages%' ORDER BY 1";
const CONSTRAINTS: &str = "SELECT conrelid::regclass || ' ' || conname || ' ' || condeferrable || ' ' || condeferred || ' ' || convalidated || ' ' \
    || pg_get_constraintdef(oid) FROM pg_constraint \
    WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE 'cfimages%' ORDER BY 1";
const INDEXES: &str =
    "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE 'cfimages%' ORDER BY 1";
const SQLITE_SCHEMA: &str = "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') FROM sqlite_master \
    WHERE tbl_name NOT LIKE 'cfimages%' AND name NOT LIKE 'cfimages%' ORDER BY 1";

async fn schema(engine: &Engine, url: &str) -> Vec<Option<String>> {
    let queries: &[&str] = match engine {
        Engine::Sqlite => &[SQLITE_SCHEMA],
        Engine::Postgres(_) => &[COLUMNS, RELATIONS, SEQUENCES, CONSTRAINTS, INDEXES],
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
    django::make_all(&engine, theirs.as_str()).await;
    let theirs = schema(&engine, theirs.as_str()).await;
    assert!(theirs.len() > 15, "{theirs:?}");
    assert_eq!(schema(&engine, ours.as_str()).await, theirs);
}

async fn adoption(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    django::make_all(&engine, url).await;
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
    let stats = store::stats::find(&database, cfimages::domain::UserId::Number(7)).await.unwrap();
    assert_eq!(
        (
            stats.counts.total,
            stats.counts.uploaded,
            stats.counts.signed,
            stats.counts.total_file_size,
            stats.usages,
            stats.orphaned
        ),
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
    django::make_all(&engine, url).await;
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

/// Why a database is refused; nothing of ours may be in it afterwards.
async fn refusal(engine: &Engine, url: &str) -> String {
    let before = schema(engine, url).await;
    let database = connect(url).await;
    let error = store::migrations::run(&database).await.unwrap_err().to_string();
    assert_eq!(schema(engine, url).await, before);
    assert_eq!(sql::texts(url, if matches!(engine, Engine::Sqlite) { OURS_ON_SQLITE } else { OURS }).await, []);
    error
}

async fn older_toolkit(engine: Engine) {
    for (last, lacks) in [(1, 2), (2, 3), (3, 4), (4, 7), (5, 7), (6, 7)] {
        let url = engine.create_database().await;
        django::migrate_up_to(&engine, url.as_str(), django::AUTH_USERS, last).await;
        let error = refusal(&engine, url.as_str()).await;
        for words in [django::TOOLKIT[lacks - 1], "Upgrade the toolkit to 1.1.6", "manage.py migrate"] {
            assert!(error.contains(words), "{last}: {error}");
        }
    }
    let url = engine.create_database().await;
    django::migrate_up_to(&engine, url.as_str(), django::AUTH_USERS, 7).await;
    migrate(url.as_str()).await;
}

/// A database that was made by the first release of the toolkit has the columns before their migration.
async fn older_rows(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    django::migrate_up_to(&engine, url, django::AUTH_USERS, 8).await;
    sql::execute(url, "CREATE TABLE django_migrations (app varchar(255) NOT NULL, name varchar(255) NOT NULL)").await;
    let record = async |name: &str| {
        let insert = format!("INSERT INTO django_migrations VALUES ('django_cloudflareimages_toolkit', '{name}')");
        sql::execute(url, &insert).await;
    };
    record(django::TOOLKIT[0]).await;
    for (last, next) in django::TOOLKIT.into_iter().zip(&django::TOOLKIT[1..]) {
        let error = refusal(&engine, url).await;
        assert!(error.contains(next) && error.contains("1.1.6"), "after {last}: {error}");
        record(next).await;
    }
    migrate(url).await;
    record("9999_of_a_later_release").await;
    migrate(url).await;
}

async fn foreign_columns(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    django::make_all(&engine, url).await;
    sql::execute(url, "ALTER TABLE cloudflare_images DROP COLUMN height").await;
    sql::execute(url, "ALTER TABLE cloudflare_images ADD COLUMN height text").await;
    let error = refusal(&engine, url).await;
    assert!(error.contains("cloudflare_images.height is of type text, and integer"), "{error}");
}

const TABLES: &str = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";
const TABLES_ON_SQLITE: &str =
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1";

/// The tables that are not ours.
async fn tables(engine: &Engine, url: &str) -> Vec<String> {
    let names = sql::texts(url, if matches!(engine, Engine::Sqlite) { TABLES_ON_SQLITE } else { TABLES }).await;
    names.into_iter().flatten().filter(|name| !name.starts_with("cfimages")).collect()
}

/// `manage.py migrate` makes the tables of an app when it is installed, and fails where they are there.
async fn missing_apps(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    for step in ["contenttypes", "users"].iter().chain(&django::TOOLKIT) {
        django::migrate(&engine, url, django::AUTH_USERS, step).await;
    }
    let before = schema(&engine, url).await;
    migrate(url).await;
    assert_eq!(schema(&engine, url).await, before);

    let database = connect(url).await;
    let mut transaction = database.begin().await.unwrap();
    let user =
        NewUser { username: "alice".to_owned(), email: String::new(), password_hash: "!".to_owned(), role: Role::User };
    store::users::insert(&mut transaction, &user, "2024-01-01".parse().unwrap()).await.unwrap();
    transaction.commit().await.unwrap();
    assert!(store::users::find_by_token(&database, "nobody's").await.unwrap().is_none());
    let accounts = Accounts::new(database.clone(), Arc::new(SystemClock));
    for error in [
        accounts.create_token("alice", false).await.unwrap_err(),
        accounts.revoke_token("alice").await.unwrap_err(),
        accounts.list_tokens().await.unwrap_err(),
    ] {
        let error = error.to_string();
        assert!(error.contains("rest_framework.authtoken") && error.contains("manage.py migrate"), "{error}");
    }

    django::migrate(&engine, url, django::AUTH_USERS, "tokens").await;
    let token = accounts.create_token("alice", false).await.unwrap();
    assert_eq!(store::users::find_by_token(&database, &token).await.unwrap().unwrap().username, "alice");
}

async fn django_without_toolkit(engine: Engine) {
    let (ours, theirs) = (engine.create_database().await, engine.create_database().await);
    let (ours, theirs) = (ours.as_str(), theirs.as_str());
    for step in ["contenttypes", "users"] {
        django::migrate(&engine, ours, django::AUTH_USERS, step).await;
    }
    let own = tables(&engine, ours).await;
    migrate(ours).await;
    migrate(ours).await;
    let added = ["cloudflare_image_logs", "cloudflare_image_usages", "cloudflare_images"].map(str::to_owned);
    let mut wanted = [own, added.to_vec()].concat();
    wanted.sort();
    assert_eq!(tables(&engine, ours).await, wanted);

    django::make_all(&engine, theirs).await;
    let of_toolkit = async |url: &str| {
        let lines = schema(&engine, url).await.into_iter().flatten();
        lines.filter(|line| line.contains("cloudflare_image")).collect::<Vec<_>>()
    };
    assert_eq!(of_toolkit(ours).await, of_toolkit(theirs).await);
}

async fn left_to_django(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    let database = connect_with_users(url, "accounts_member", "bigint").await;
    let error = store::migrations::run(&database).await.unwrap_err().to_string();
    assert!(error.contains("manage.py migrate") && error.contains("CFIMAGES_USER_TABLE"), "{error}");
    sql::execute(url, "CREATE TABLE django_migrations (app varchar(255) NOT NULL, name varchar(255) NOT NULL)").await;
    let error = refusal(&engine, url).await;
    assert!(error.contains("manage.py migrate") && error.contains("CFIMAGES_USER_TABLE"), "{error}");
    assert_eq!(tables(&engine, url).await, ["django_migrations"]);
}

/// What is ours and stands for itself: not the parts of a table that go and come with it.
const DROPS: &str = "SELECT 'DROP TRIGGER ' || tgname || ' ON ' || tgrelid::regclass FROM pg_trigger WHERE tgname LIKE 'cfimages%' \
    UNION ALL SELECT 'DROP FUNCTION ' || oid::regprocedure || ' CASCADE' FROM pg_proc WHERE proname LIKE 'cfimages%' \
    UNION ALL SELECT CASE relkind WHEN 'r' THEN 'DROP TABLE ' WHEN 'i' THEN 'DROP INDEX ' ELSE 'DROP SEQUENCE ' END || oid::regclass \
    FROM pg_class WHERE relname LIKE 'cfimages%' AND relname <> 'cfimages_migrations' \
    AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = pg_class.oid) \
    AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype IN ('a', 'i') AND relkind = 'S') \
    AND relkind IN ('r', 'i', 'S')";
const DROPS_ON_SQLITE: &str = "SELECT 'DROP ' || upper(type) || ' ' || name FROM sqlite_master \
    WHERE name LIKE 'cfimages%' AND name <> 'cfimages_migrations'";

async fn dropped_objects(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    migrate(url).await;
    let drops = sql::texts(url, if matches!(engine, Engine::Sqlite) { DROPS_ON_SQLITE } else { DROPS }).await;
    assert!(drops.len() >= 5, "{drops:?}");
    let database = connect(url).await;
    for drop in drops.into_iter().flatten() {
        sql::execute(url, &drop).await;
        let name = drop.split(' ').nth(2).unwrap().trim_end_matches("()");
        let missed = store::migrations::missing_objects(&database).await.unwrap();
        assert!(missed.contains(&name), "{drop}: {missed:?}");
        store::migrations::run(&database).await.unwrap();
        store::migrations::check(&database).await.unwrap();
    }
}

async fn kept_rows(engine: Engine) {
    let url = engine.create_database().await;
    let url = url.as_str();
    migrate(url).await;
    let time = time(url, "2026-01-01T00:00:00.25Z");
    let row = format!(
        "INSERT INTO cfimages_pending_deletions (cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at, claimed_until, marks) \
         VALUES ('left', 'test', '{time}', 3, 'why', '{time}', '{time}', '{{\"creator\": \"c\"}}')"
    );
    sql::execute(url, &row).await;
    let rows = "SELECT cloudflare_id || reason || created_at || attempts || last_error || next_attempt_at || claimed_until || marks \
         FROM cfimages_pending_deletions";
    let before = sql::texts(url, rows).await;
    assert!(before[0].is_some());
    sql::execute(url, "DROP TABLE cfimages_polls").await;
    store::migrations::run(&connect(url).await).await.unwrap();
    assert_eq!(sql::texts(url, rows).await, before);
}

/// A role may have a schema of its own, which PostgreSQL looks at before `public`.
async fn schema_before_djangos(engine: Engine) {
    let url = engine.create_database().await;
    django::make_all(&engine, url.as_str()).await;
    sql::execute(url.as_str(), "CREATE SCHEMA own").await;
    let before = schema(&engine, url.as_str()).await;
    let mark = if url.as_str().contains('?') { '&' } else { '?' };
    let database = connect(&format!("{url}{mark}options[search_path]=own,public")).await;
    store::migrations::run(&database).await.unwrap();
    store::migrations::run(&database).await.unwrap();
    store::migrations::check(&database).await.unwrap();
    assert_eq!(schema(&engine, url.as_str()).await, before);

    let insert = "INSERT INTO cloudflare_images SELECT '0123456789abcdef0123456789abcdef', 'old', '', '', '', 5, '', 'uploaded', true, '{}', \
        now(), now(), now(), now(), 1, 1, '', '[]', '{}', ''";
    sql::execute(url.as_str(), insert).await;
    assert_eq!(sql::count(url.as_str(), "SELECT sum(images) FROM own.cfimages_image_counts").await, 1);
    sql::execute(url.as_str(), "DROP INDEX cfimages_images_owner_idx").await;
    assert_eq!(store::migrations::missing_objects(&database).await.unwrap(), ["cfimages_images_owner_idx"]);
    store::migrations::run(&database).await.unwrap();
    store::migrations::remove(&database).await.unwrap();
    assert_eq!(sql::texts(url.as_str(), OURS).await, []);
}

/// What `serve` may do, and no more.
pub(crate) const GRANTS: &str = "GRANT SELECT, INSERT, UPDATE, DELETE ON cloudflare_images, cloudflare_image_logs, cloudflare_image_usages TO {role}; \
    GRANT SELECT, INSERT ON django_content_type TO {role}; \
    GRANT SELECT ON auth_user, authtoken_token, django_session, cfimages_migrations, cfimages_image_counts TO {role}; \
    GRANT SELECT, INSERT, UPDATE, DELETE ON cfimages_pending_deletions, cfimages_polls, cfimages_sign_in_failures, cfimages_webhook_deliveries TO {role}; \
    GRANT SELECT, INSERT, UPDATE, DELETE ON cfimages_account_runs, cfimages_account_seen, cfimages_admin_sessions, cfimages_bulk_runs, cfimages_bulk_failures, \
    cfimages_import_runs, cfimages_import_items TO {role}";

/// The same database for somebody who may do what the role may.
pub(crate) fn as_role(url: &str, role: &str) -> String {
    format!("{url}{}options[role]={role}", if url.contains('?') { '&' } else { '?' })
}

async fn few_rights(engine: Engine) {
    let database_url = migrated_database(&engine).await;
    let url = database_url.as_str();
    let name = sql::text(url, "SELECT current_database()::text").await;
    let role = format!("{name}_serve");
    sql::execute_all(url, &format!("CREATE ROLE {role}; GRANT USAGE ON SCHEMA public TO {role}")).await;
    sql::execute_all(url, &GRANTS.replace("{role}", &role)).await;
    let limited = as_role(url, &role);

    let app = TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .set(&settings::DATABASE_URL, &limited)
        .start_on(database_url)
        .await;
    let upload = app.create_upload(&json!({"custom_id": "few-rights"})).await;
    let sent =
        app.upload(upload["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    app.wait_for_status(upload["id"].as_str().unwrap(), "uploaded").await;
    assert_eq!(app.get("images/").await.json()["count"], 1);
    assert_eq!(app.get("stats/").await.json()["uploaded_images"], 1);
    assert_eq!(app.anonymous(reqwest::Method::GET, "../../readyz").send().await.unwrap().status(), 200);

    let url = app.database_url.as_str();
    let database = connect(&limited).await;
    store::migrations::check(&database).await.unwrap();
    let accounts = Accounts::new(database.clone(), Arc::new(SystemClock));
    let refused = accounts.sign_in("alice", "wrong", None).await;
    assert!(matches!(refused, Err(SignInError::Refused)), "{refused:?}");
    assert_eq!(sql::count(url, "SELECT count(*) FROM cfimages_sign_in_failures").await, 1);
    let own = connect(url).await;
    store::migrations::remove(&own).await.unwrap();
    let error = store::migrations::run(&database).await.unwrap_err().to_string();
    assert!(error.contains("must be owner of table") && error.contains("the owner of Django's tables"), "{error}");
    assert_eq!(sql::texts(url, OURS).await, []);
    let empty = engine.create_database().await;
    let nowhere = connect(&as_role(empty.as_str(), &role)).await;
    let error = store::migrations::run(&nowhere).await.unwrap_err().to_string();
    assert!(error.contains("permission denied for schema public"), "{error}");
    store::migrations::run(&own).await.unwrap();
    let error = store::migrations::check(&database).await.unwrap_err().to_string();
    assert!(error.contains("permission denied for table cfimages_migrations"), "{error}");
    for database in [database, own, nowhere] {
        database.close().await;
    }
    sql::execute_all(url, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

async fn missing_rights(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let role = format!("{}_serve", sql::text(url, "SELECT current_database()::text").await);
    sql::execute_all(url, &format!("CREATE ROLE {role}; GRANT USAGE ON SCHEMA public TO {role}")).await;
    sql::execute_all(url, &GRANTS.replace("{role}", &role)).await;
    let database = connect(&as_role(url, &role)).await;
    let missing = async || match store::migrations::check(&database).await {
        Ok(()) => String::new(),
        Err(store::Error::MissingRights(grants)) => grants,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(missing().await, "");

    for (revoked, told) in [
        ("UPDATE, INSERT ON cfimages_polls", "GRANT INSERT, UPDATE ON cfimages_polls TO {role}"),
        ("DELETE ON cloudflare_images", "GRANT DELETE ON cloudflare_images TO {role}"),
        (
            "SELECT ON auth_user, cloudflare_image_logs",
            "GRANT SELECT ON cloudflare_image_logs TO {role}; GRANT SELECT ON auth_user TO {role}",
        ),
    ] {
        sql::execute_all(url, &format!("REVOKE {revoked} FROM {role}")).await;
        let grants = missing().await;
        assert_eq!(grants, told.replace("{role}", &role));
        sql::execute_all(url, &grants).await;
        assert_eq!(missing().await, "", "{revoked}");
    }

    // Who hides columns, and who has no use for a part of the service, is not bothered.
    let columns = "id, username, email, password, is_active, is_staff, is_superuser, date_joined";
    sql::execute_all(
        url,
        &format!("REVOKE SELECT ON auth_user FROM {role}; GRANT SELECT ({columns}) ON auth_user TO {role}"),
    )
    .await;
    sql::execute_all(url, &format!("REVOKE ALL ON cfimages_import_runs, cfimages_admin_sessions FROM {role}")).await;
    sql::execute_all(url, "DROP TABLE authtoken_token").await;
    assert_eq!(missing().await, "");
    database.close().await;
    sql::execute_all(url, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

async fn opening_at_once(engine: Engine) {
    for _ in 0..20 {
        let url = engine.create_database().await;
        let mut opening = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let url = url.as_str().to_owned();
            opening.spawn(async move { connect(&url).await.close().await });
        }
        opening.join_all().await;
    }
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
