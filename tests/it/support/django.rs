//! Databases as Django leaves them, step by step.

use std::path::PathBuf;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::suite::Engine;

/// A user model: where its statements are, and how the service is told of it.
#[derive(Clone, Copy)]
pub(crate) struct UserModel {
    file: &'static str,
    pub(crate) table: &'static str,
    pub(crate) key: &'static str,
}

/// Django's own.
pub(crate) const AUTH_USERS: UserModel = UserModel { file: "migrations", table: "auth_user", key: "integer" };
/// An `AbstractUser` in an application whose keys have 64 bits.
pub(crate) const BIGINT_USERS: UserModel = UserModel { file: "users-bigint", table: "accounts_member", key: "bigint" };
/// An `AbstractBaseUser` with a UUID, in the column `code`, and an address; it has nothing else.
pub(crate) const UUID_USERS: UserModel = UserModel { file: "users-uuid", table: "Shop People", key: "uuid" };

/// The migrations of the toolkit.
pub(crate) const TOOLKIT: [&str; 8] = [
    "0001_initial",
    "0002_cloudflareimage_creator",
    "0003_imageusage",
    "0004_imageusage_source_and_image_last_referenced",
    "0005_backfill_last_referenced_at",
    "0006_pin_index_names",
    "0007_cloudflareimage_user",
    "0008_wrap_string_variants",
];

fn fixture(engine: &Engine, name: &str) -> String {
    let suffix = if matches!(engine, Engine::Sqlite) { "-sqlite" } else { "" };
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/django").join(format!("{name}{suffix}.sql"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Makes the tables of the newest toolkit beside Django's own.
pub(crate) async fn make_all(engine: &Engine, url: &str) {
    execute(engine, url, fixture(engine, "schema")).await;
}

/// Does a step of Django's `migrate`: `contenttypes`, `users`, `tokens`, or a migration of the toolkit.
pub(crate) async fn migrate(engine: &Engine, url: &str, users: UserModel, step: &str) {
    let is_own = matches!(step, "users" | "tokens" | "0007_cloudflareimage_user");
    let statements = fixture(engine, if is_own { users.file } else { AUTH_USERS.file });
    let section = statements.split("-- ").find_map(|section| section.strip_prefix(&format!("{step}\n")));
    execute(engine, url, section.unwrap_or_else(|| panic!("no step {step}")).to_owned()).await;
}

/// Makes a database of Django with this user model and tokens, and the toolkit's tables up to a migration.
pub(crate) async fn migrate_up_to(engine: &Engine, url: &str, users: UserModel, last: usize) {
    for step in ["contenttypes", "users", "tokens"].iter().chain(&TOOLKIT[..last]) {
        migrate(engine, url, users, step).await;
    }
}

async fn execute(engine: &Engine, url: &str, statements: String) {
    match engine {
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            // As Django does before it rebuilds tables.
            connection.execute("PRAGMA foreign_keys = OFF; PRAGMA legacy_alter_table = ON").await.unwrap();
            connection.execute(AssertSqlSafe(statements)).await.unwrap();
            connection.close().await.unwrap();
        }
        Engine::Postgres(_) => {
            let mut connection = PgConnection::connect(url).await.unwrap();
            connection.execute(AssertSqlSafe(statements)).await.unwrap();
            connection.close().await.unwrap();
        }
    }
}
