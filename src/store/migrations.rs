//! Making the tables, knowing whether everything of ours is there, and taking it away again.

use std::collections::HashSet;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr, SqlitePool};

use super::database::Engine;
use super::{Database, Error, on, rights, toolkit_tables};

/// Where sqlx keeps what was applied.
const TABLE: &str = "cfimages_migrations";
/// The first migration makes the tables that are Django's; what is ours comes after it.
const DJANGO_TABLES: i64 = 20_261_122_000_001;

/// How long another process gets to finish its migration.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// A migration, and whether the database has it.
#[derive(Debug, Clone)]
pub struct MigrationStatus {
    /// The number, which is the time it was written.
    pub version: i64,
    /// What it does.
    pub description: String,
    /// Whether the database has it.
    pub is_applied: bool,
}

/// What of ours is beside Django's tables on PostgreSQL, by kind and name, in an order in which it can be dropped.
const OBJECTS_POSTGRES: &[(&str, &str)] = &[
    ("TRIGGER", "cfimages_count_added"),
    ("TRIGGER", "cfimages_count_changed"),
    ("TRIGGER", "cfimages_count_none"),
    ("TRIGGER", "cfimages_count_removed"),
    ("FUNCTION", "cfimages_count_added_images"),
    ("FUNCTION", "cfimages_count_changed_images"),
    ("FUNCTION", "cfimages_count_no_images"),
    ("FUNCTION", "cfimages_count_removed_images"),
    ("FUNCTION", "cfimages_claim_slot"),
    ("INDEX", "cfimages_images_created_idx"),
    ("INDEX", "cfimages_images_owner_idx"),
    ("TABLE", "cfimages_account_runs"),
    ("TABLE", "cfimages_account_seen"),
    ("TABLE", "cfimages_admin_sessions"),
    ("TABLE", "cfimages_bulk_failures"),
    ("TABLE", "cfimages_bulk_runs"),
    ("INDEX", "cfimages_polls_next_poll_at_idx"),
    ("TABLE", "cfimages_image_counts"),
    ("TABLE", "cfimages_import_items"),
    ("TABLE", "cfimages_import_runs"),
    ("TABLE", "cfimages_pending_deletions"),
    ("TABLE", "cfimages_polls"),
    ("SEQUENCE", "cfimages_slots"),
    ("TABLE", "cfimages_sign_in_failures"),
    ("TABLE", "cfimages_webhook_deliveries"),
];

/// The same on SQLite.
const OBJECTS_SQLITE: &[(&str, &str)] = &[
    ("TRIGGER", "cfimages_count_added"),
    ("TRIGGER", "cfimages_count_changed"),
    ("TRIGGER", "cfimages_count_removed"),
    ("INDEX", "cfimages_images_created_idx"),
    ("INDEX", "cfimages_images_owner_idx"),
    ("TABLE", "cfimages_account_runs"),
    ("TABLE", "cfimages_account_seen"),
    ("TABLE", "cfimages_admin_sessions"),
    ("TABLE", "cfimages_bulk_failures"),
    ("TABLE", "cfimages_bulk_runs"),
    ("INDEX", "cfimages_polls_next_poll_at_idx"),
    ("TABLE", "cfimages_image_counts"),
    ("TABLE", "cfimages_import_items"),
    ("TABLE", "cfimages_import_runs"),
    ("TABLE", "cfimages_pending_deletions"),
    ("TABLE", "cfimages_polls"),
    ("TABLE", "cfimages_sign_in_failures"),
    ("TABLE", "cfimages_webhook_deliveries"),
];

/// Indexes are where their tables are, which may be in another schema than ours.
const NAMES_POSTGRES: &str = r"
    SELECT relname::text FROM pg_class WHERE relname LIKE 'cfimages\_%'
        AND relnamespace IN (
            current_schema()::regnamespace, (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('cloudflare_images'))
        )
    UNION SELECT proname::text FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'cfimages\_%'
    UNION SELECT tgname::text FROM pg_trigger
        WHERE tgrelid = to_regclass('cloudflare_images') AND tgname LIKE 'cfimages\_%' AND tgenabled <> 'D'";
const NAMES_SQLITE: &str = r"SELECT name FROM sqlite_master WHERE name LIKE 'cfimages\_%' ESCAPE '\'";

const APPLIED: &str = "SELECT version FROM cfimages_migrations WHERE success";

/// Where the part of the first migration begins that makes the toolkit's tables; before it are those of Django and its other apps.
const TOOLKIT_TABLES_POSTGRES: &str = "CREATE TABLE IF NOT EXISTS cloudflare_images (";
const TOOLKIT_TABLES_SQLITE: &str = "CREATE TABLE IF NOT EXISTS \"cloudflare_images\" (";

const FOUND_POSTGRES: &str = r"
    SELECT name
    FROM (VALUES ('cloudflare_images'), ('auth_user'), ('django_migrations')) AS tables (name)
    WHERE to_regclass(name) IS NOT NULL";
const FOUND_SQLITE: &str =
    "SELECT name FROM sqlite_master WHERE name IN ('cloudflare_images', 'auth_user', 'django_migrations')";

fn migrator(database: &Database) -> Migrator {
    let mut migrator = match database.reader() {
        Engine::Postgres(_) => sqlx::migrate!("migrations/postgres"),
        Engine::Sqlite(_) => sqlx::migrate!("migrations/sqlite"),
    };
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

fn objects(database: &Database) -> &'static [(&'static str, &'static str)] {
    match database.reader() {
        Engine::Postgres(_) => OBJECTS_POSTGRES,
        Engine::Sqlite(_) => OBJECTS_SQLITE,
    }
}

/// The names in the database that begin with `cfimages_`.
async fn names(database: &Database) -> Result<HashSet<String>, Error> {
    let names: Vec<String> = match database.reader() {
        Engine::Postgres(pool) => sqlx::query_scalar(NAMES_POSTGRES).fetch_all(pool).await?,
        Engine::Sqlite(pool) => sqlx::query_scalar(NAMES_SQLITE).fetch_all(pool).await?,
    };
    Ok(names.into_iter().collect())
}

/// All migrations of this binary, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn status(database: &Database) -> Result<Vec<MigrationStatus>, Error> {
    let applied: HashSet<i64> = if names(database).await?.contains(TABLE) {
        on!(database.reader(), pool => sqlx::query_scalar(APPLIED).fetch_all(pool).await)?.into_iter().collect()
    } else {
        HashSet::new()
    };
    let to_status = |migration: &Migration| MigrationStatus {
        version: migration.version,
        description: migration.description.to_string(),
        is_applied: applied.contains(&migration.version),
    };
    Ok(migrator(database).iter().map(to_status).collect())
}

/// What of ours the migrations made and somebody removed: on SQLite, Django does so when it rebuilds a table.
///
/// # Errors
/// If the database fails.
pub async fn missing_objects(database: &Database) -> Result<Vec<&'static str>, Error> {
    let names = names(database).await?;
    Ok(objects(database).iter().map(|(_, name)| *name).filter(|name| !names.contains(*name)).collect())
}

/// Makes sure that every migration was applied, all that it made is there, the users are where the configuration says, and the role may
/// use it all.
///
/// # Errors
/// [`Error::PendingMigrations`], [`Error::MissingObjects`], [`Error::UserTable`] or [`Error::MissingRights`] if not.
pub async fn check(database: &Database) -> Result<(), Error> {
    let pending = status(database).await?.iter().filter(|migration| !migration.is_applied).count();
    if pending > 0 {
        return Err(Error::PendingMigrations(pending));
    }
    let missing = missing_objects(database).await?;
    if !missing.is_empty() {
        return Err(Error::MissingObjects(missing.join(", ")));
    }
    database.users().await?;
    rights::check(database).await
}

/// Applies the migrations that are pending, each in a transaction of its own, and puts back what is missing; several at once wait
/// for one another.
///
/// Of Django's tables only those are made that Django did not: none where it has made the toolkit's, the toolkit's where it has made
/// its own.
///
/// # Errors
/// If one fails, an applied one is not that of this binary, the tables are those of an older toolkit, or they are for Django to make.
pub async fn run(database: &Database) -> Result<(), Error> {
    let migrator = fit_to_django(database, migrator(database)).await?;
    match database.writer() {
        Engine::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            // Counting a large table takes longer than a request may.
            sqlx::query("SET statement_timeout = 0").execute(&mut *connection).await?;
            let result = migrator.run(&mut *connection).await;
            connection.close().await?;
            result?;
        }
        Engine::Sqlite(pool) => run_on_sqlite(&migrator, pool).await?,
    }
    if !missing_objects(database).await?.is_empty() {
        restore(database, &migrator).await?;
    }
    Ok(())
}

/// sqlx knows no lock for SQLite: where another process applied a migration first, ours is undone, and we go on after it.
async fn run_on_sqlite(migrator: &Migrator, pool: &SqlitePool) -> Result<(), Error> {
    let mut tries_left = 4 * migrator.iter().count();
    loop {
        match migrator.run(pool).await {
            Ok(()) => return Ok(()),
            Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)) if tries_left > 0 => tries_left -= 1,
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// The scripts of what is ours may run again.
async fn restore(database: &Database, migrator: &Migrator) -> Result<(), Error> {
    let mut transaction = database.begin().await?;
    if let Engine::Postgres(connection) = transaction.connection() {
        connection.execute("SET LOCAL statement_timeout = 0").await?;
    }
    for migration in migrator.iter().filter(|migration| migration.version > DJANGO_TABLES) {
        on!(transaction.connection(), connection => connection.execute(migration.sql.clone()).await.map(drop))?;
    }
    transaction.commit().await
}

/// Takes away everything of ours. Django's tables stay as they are, rows included.
///
/// # Errors
/// If the database fails.
pub async fn remove(database: &Database) -> Result<(), Error> {
    let mut transaction = database.begin().await?;
    for (kind, name) in objects(database).iter().chain(&[("TABLE", TABLE)]) {
        let on_table = match (*kind, transaction.connection()) {
            ("TRIGGER", Engine::Postgres(_)) => " ON cloudflare_images",
            _ => "",
        };
        // Kinds and names are constants of this file.
        let statement = format!("DROP {kind} IF EXISTS {name}{on_table}");
        on!(transaction.connection(), connection => connection.execute(AssertSqlSafe(statement)).await.map(drop))?;
    }
    transaction.commit().await
}

/// Leaves out of the first migration what Django has made already, or will make when one of its apps is installed: it would fail on
/// tables that are there.
async fn fit_to_django(database: &Database, mut migrator: Migrator) -> Result<Migrator, Error> {
    let found: Vec<String> = match database.reader() {
        Engine::Postgres(pool) => sqlx::query_scalar(FOUND_POSTGRES).fetch_all(pool).await?,
        Engine::Sqlite(pool) => sqlx::query_scalar(FOUND_SQLITE).fetch_all(pool).await?,
    };
    let is_there = |name: &str| found.iter().any(|found| found == name);
    if is_there("cloudflare_images") {
        check_adoption(database, is_there("django_migrations")).await?;
        return Ok(with_first_script(&migrator, |_| ""));
    }
    if !database.has_django_users() {
        return Err(Error::DjangoFirst(
            "the tables of a custom user model, and those that refer to it, are Django's to make",
        ));
    }
    if is_there("auth_user") {
        database.users().await?;
        let marker = match database.reader() {
            Engine::Postgres(_) => TOOLKIT_TABLES_POSTGRES,
            Engine::Sqlite(_) => TOOLKIT_TABLES_SQLITE,
        };
        migrator = with_first_script(&migrator, |script| &script[script.find(marker).unwrap_or(0)..]);
    } else if is_there("django_migrations") {
        return Err(Error::DjangoFirst("Django made this database, without a table auth_user"));
    }
    Ok(migrator)
}

/// Makes sure that the tables that are there can be worked with.
async fn check_adoption(database: &Database, has_django_migrations: bool) -> Result<(), Error> {
    toolkit_tables::check_columns(database).await?;
    let status = status(database).await?;
    if has_django_migrations && status.iter().all(|migration| !migration.is_applied) {
        toolkit_tables::check_migrations(database).await?;
    }
    if status.iter().any(|migration| !migration.is_applied) {
        toolkit_tables::check_owner(database).await?;
    }
    database.users().await.map(drop)
}

/// The same migrations, with another script for the first. It counts as the first all the same.
fn with_first_script(migrator: &Migrator, change: impl Fn(&str) -> &str) -> Migrator {
    let changed = migrator.iter().cloned().map(|mut migration| {
        if migration.version == DJANGO_TABLES {
            let script = change(migration.sql.as_str()).to_owned();
            migration.sql = AssertSqlSafe(script).into_sql_str();
        }
        migration
    });
    let mut migrator = Migrator::with_migrations(changed.collect());
    migrator.dangerous_set_table_name(TABLE);
    migrator
}
