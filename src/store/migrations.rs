//! Making the tables, and knowing whether they are there.

use std::collections::HashSet;

use sqlx::migrate::Migrator;

use super::database::Engine;
use super::{Database, Error, on};

/// Where sqlx keeps what was applied.
const TABLE: &str = "cfimages_migrations";

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

fn migrator(database: &Database) -> Migrator {
    let mut migrator = match database.reader() {
        Engine::Postgres(_) => sqlx::migrate!("migrations/postgres"),
        Engine::Sqlite(_) => sqlx::migrate!("migrations/sqlite"),
    };
    migrator.dangerous_set_table_name(TABLE);
    migrator
}

const TABLE_EXISTS_POSTGRES: &str = "SELECT to_regclass($1) IS NOT NULL";
const TABLE_EXISTS_SQLITE: &str = "SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = $1";
const APPLIED: &str = "SELECT version FROM cfimages_migrations WHERE success";

/// All migrations of this binary, oldest first.
///
/// # Errors
/// If the database fails.
pub async fn status(database: &Database) -> Result<Vec<MigrationStatus>, Error> {
    let table_exists: bool = match database.reader() {
        Engine::Postgres(pool) => sqlx::query_scalar(TABLE_EXISTS_POSTGRES).bind(TABLE).fetch_one(pool).await?,
        Engine::Sqlite(pool) => sqlx::query_scalar(TABLE_EXISTS_SQLITE).bind(TABLE).fetch_one(pool).await?,
    };
    let applied: HashSet<i64> = if table_exists {
        on!(database.reader(), pool => sqlx::query_scalar(APPLIED).fetch_all(pool).await)?.into_iter().collect()
    } else {
        HashSet::new()
    };
    let to_status = |migration: &sqlx::migrate::Migration| MigrationStatus {
        version: migration.version,
        description: migration.description.to_string(),
        is_applied: applied.contains(&migration.version),
    };
    Ok(migrator(database).iter().map(to_status).collect())
}

/// Makes sure that every migration was applied.
///
/// # Errors
/// [`Error::PendingMigrations`] if some were not.
pub async fn check(database: &Database) -> Result<(), Error> {
    match status(database).await?.iter().filter(|migration| !migration.is_applied).count() {
        0 => Ok(()),
        pending => Err(Error::PendingMigrations(pending)),
    }
}

/// Applies the migrations that are pending, each in a transaction of its own; several at once wait for one another.
///
/// # Errors
/// If one fails, or an applied one is not that of this binary.
pub async fn run(database: &Database) -> Result<(), Error> {
    let migrator = migrator(database);
    match database.writer() {
        Engine::Postgres(pool) => {
            let mut connection = pool.acquire().await?;
            // Counting a large table takes longer than a request may.
            sqlx::query("SET statement_timeout = 0").execute(&mut *connection).await?;
            let result = migrator.run(&mut *connection).await;
            connection.close().await?;
            result?;
        }
        Engine::Sqlite(pool) => migrator.run(pool).await?,
    }
    Ok(())
}
