//! All SQL, for both engines.
//!
//! Every statement is written once, as a constant beside the function that runs it, in the words that PostgreSQL and SQLite
//! share; the macro `on!` runs it on whichever is open. What differs between the engines is in the types of `types` and in pairs
//! of constants. Reads take the [`Database`], writes a [`Transaction`].

pub mod account_runs;
pub mod admin_sessions;
mod bounded;
pub mod browsing;
pub mod bulk_runs;
pub mod cleanup;
pub mod content_types;
mod database;
pub mod host_columns;
pub mod host_tables;
mod image_set;
pub mod images;
pub mod imports;
pub mod migrations;
pub mod pending_deletions;
pub mod polls;
pub mod queues;
mod rights;
pub mod selections;
pub mod sessions;
pub mod sign_in_failures;
mod sql;
pub mod stats;
pub mod tokens;
mod toolkit_tables;
mod types;
pub mod upload_logs;
pub mod usage_sources;
pub mod usages;
mod user_table;
pub mod users;
pub mod webhook_deliveries;

use std::borrow::Cow;

use sqlx::migrate::MigrateError;

pub use database::{Database, DatabaseSettings, PoolState, Transaction};
pub use image_set::{CloudflareIdSet, ImageSet};
pub use user_table::UserTableError;

/// Runs the body with the pool or connection of the engine that is open.
macro_rules! on {
    ($target:expr, $connection:ident => $body:expr) => {
        match $target {
            crate::store::database::Engine::Postgres($connection) => $body,
            crate::store::database::Engine::Sqlite($connection) => $body,
        }
    };
}
use on;

/// Runs a query that only reads, within the time that the database may take for it, where there is one: see [`Database::within`].
macro_rules! read {
    ($database:expr, $connection:ident => $query:expr) => {
        match crate::store::bounded::Bounded::begin($database).await? {
            None => on!($database.reader(), $connection => $query),
            Some(mut bounded) => {
                let found = on!(bounded.connection(), $connection => $query);
                bounded.end().await?;
                found
            }
        }
    };
}
use read;

/// Why the database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A row with the same value in a unique column is there already.
    #[error("a row with the same {0} exists")]
    Duplicate(&'static str),
    /// The URL names no engine that is supported.
    #[error("the database URL must begin with postgres://, postgresql:// or sqlite:")]
    UnsupportedUrl,
    /// The URL cannot be read; the cause is left out, as it may quote the password.
    #[error("the database URL is not valid")]
    InvalidUrl,
    /// The server is too old.
    #[error("PostgreSQL {found} is too old: version {required} or newer is needed")]
    ServerTooOld {
        /// The version of the server.
        found: String,
        /// The oldest version that is supported.
        required: u32,
    },
    /// Migrations have to be applied first.
    #[error("{0} database migration(s) are pending: run `cfimages migrate`, or start with --migrate")]
    PendingMigrations(usize),
    /// Tables, triggers or indexes of ours were removed.
    #[error("the database lacks {0}: run `cfimages migrate` to put it back")]
    MissingObjects(String),
    /// The table of users is not what the configuration says.
    #[error(transparent)]
    UserTable(#[from] UserTableError),
    /// A name belongs to several users.
    #[error("several users have the name {0}; the user model does not keep names unique")]
    AmbiguousUser(String),
    /// Django has no tokens.
    #[error(
        "there is no table authtoken_token: add rest_framework.authtoken to INSTALLED_APPS of Django and run `manage.py migrate`"
    )]
    NoTokens,
    /// The tables are those of a toolkit that is older than 1.1.6.
    #[error(
        "the tables are those of an older django-cloudflareimages-toolkit: {lacks}, so its migration {migration} was not applied. \
         Upgrade the toolkit to {release} and run `manage.py migrate django_cloudflareimages_toolkit` first",
        release = toolkit_tables::RELEASE
    )]
    OlderToolkit {
        /// What is missing.
        lacks: String,
        /// The migration of the toolkit that would add it.
        migration: &'static str,
    },
    /// A column of the toolkit's tables is of another type than the toolkit makes it.
    #[error(
        "the column {table}.{column} is of type {found}, and {wanted} in the tables of django-cloudflareimages-toolkit {release}: \
         Django did not make it for this engine. Let `manage.py migrate` make the tables and copy the rows into them",
        release = toolkit_tables::RELEASE
    )]
    ForeignColumn {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// Its type.
        found: String,
        /// The type that the toolkit gives it.
        wanted: &'static str,
    },
    /// The tables are for Django to make, as they depend on what is in Django.
    #[error(
        "{0}: add django_cloudflareimages_toolkit to INSTALLED_APPS of Django and run `manage.py migrate` first, and let \
         CFIMAGES_USER_TABLE and CFIMAGES_USER_KEY name the table of AUTH_USER_MODEL and the type of its key"
    )]
    DjangoFirst(&'static str),
    /// The role lacks a right.
    #[error(
        "the role of DATABASE_URL lacks a right: {0}. `cfimages migrate` needs the owner of Django's tables, once; \
         docs/compatibility.md lists the rights that are enough for `cfimages serve`"
    )]
    Forbidden(String),
    /// The role lacks rights that the server will need.
    #[error(
        "the role of DATABASE_URL lacks rights: let the owner of the tables run `{0}`; docs/compatibility.md lists all that are needed"
    )]
    MissingRights(String),
    /// A migration failed, or does not fit what was applied before.
    #[error("the database cannot be migrated")]
    Migrate(#[source] MigrateError),
    /// The database cannot be reached, or every connection is busy.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// Anything else that went wrong in the database.
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
}

impl Error {
    /// Whether the same may work a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether another transaction got in the way, and PostgreSQL undid this one: a deadlock, or a failure of serialization. The
    /// whole transaction may work at once when it is done again.
    pub fn is_conflict(&self) -> bool {
        let Self::Unavailable(sqlx::Error::Database(cause)) = self else { return false };
        matches!(cause.code().as_deref(), Some("40001" | "40P01"))
    }

    /// Whether a statement was cancelled because it took too long: less work in one go may get through.
    pub fn is_statement_timeout(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Database(cause)) => {
                let code = cause.code();
                code.as_deref() == Some(QUERY_CANCELED) || sqlite_code(code.as_deref()) == Some(SQLITE_INTERRUPT)
            }
            _ => false,
        }
    }

    /// Its kind in one word, for those who count and watch.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(sqlx::Error::PoolTimedOut) => "database_busy",
            Self::Unavailable(_) => "database_unavailable",
            _ => "database_error",
        }
    }

    /// Whether another connection holds what was needed of a SQLite file.
    fn is_locked(&self) -> bool {
        match self {
            Self::Unavailable(sqlx::Error::Database(cause)) => {
                sqlite_code(cause.code().as_deref()) == Some(SQLITE_BUSY)
            }
            _ => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            sqlx::Error::Database(cause) if is_unavailable(cause.code().as_deref()) => Self::Unavailable(error),
            sqlx::Error::Database(cause) if cause.code().as_deref() == Some(INSUFFICIENT_PRIVILEGE) => {
                Self::Forbidden(cause.message().to_owned())
            }
            _ => Self::Database(error),
        }
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        let code = |cause: &sqlx::Error| cause.as_database_error().and_then(|cause| cause.code().map(Cow::into_owned));
        match error {
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)
                if code(&cause).as_deref() == Some(INSUFFICIENT_PRIVILEGE) =>
            {
                cause.into()
            }
            error => Self::Migrate(error),
        }
    }
}

/// PostgreSQL's code where a statement was cancelled.
const QUERY_CANCELED: &str = "57014";
/// PostgreSQL's code where a role may not do what it tries.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// SQLite's code where another connection holds the file.
const SQLITE_BUSY: u32 = 5;
/// SQLite's code where a statement was cancelled.
const SQLITE_INTERRUPT: u32 = 9;

/// Whether a code of the engine means that the same may work a little later.
///
/// PostgreSQL, five characters: the classes 08 (connection), 40 (deadlock, serialization), 53 (resources) and 57 (stopping, starting,
/// cancelled). SQLite, a number whose last byte is the primary code: 5 (busy), 6 (locked), 9 (cancelled), 10 (I/O), 13 (disk full), 14 (cannot
/// open).
fn is_unavailable(code: Option<&str>) -> bool {
    match code {
        Some(code) if code.len() == 5 => ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)),
        _ => matches!(sqlite_code(code), Some(SQLITE_BUSY | 6 | SQLITE_INTERRUPT | 10 | 13 | 14)),
    }
}

/// The primary code in a code of SQLite.
fn sqlite_code(code: Option<&str>) -> Option<u32> {
    Some(code?.parse::<u32>().ok()? & 0xff)
}

/// Whether a statement failed because the database has no such table.
fn is_missing_table(error: &sqlx::Error, table: &str) -> bool {
    let Some(cause) = error.as_database_error() else { return false };
    let is_missing = cause.code().as_deref() == Some("42P01") || cause.message().starts_with("no such table");
    is_missing && cause.message().contains(table)
}

/// Turns the violation of a unique constraint into [`Error::Duplicate`].
trait DuplicateExt<T> {
    fn duplicate_of(self, column: &'static str) -> Result<T, Error>;
}

impl<T> DuplicateExt<T> for Result<T, sqlx::Error> {
    fn duplicate_of(self, column: &'static str) -> Result<T, Error> {
        self.map_err(|error| match error.as_database_error() {
            Some(cause) if cause.is_unique_violation() => Error::Duplicate(column),
            _ => error.into(),
        })
    }
}

/// Takes a table that is not there for one without rows: not every site has all of Django's applications.
trait MissingTableExt<T> {
    fn none_without_table(self, table: &str) -> Result<Option<T>, Error>;
}

impl<T> MissingTableExt<T> for Result<Option<T>, sqlx::Error> {
    fn none_without_table(self, table: &str) -> Result<Option<T>, Error> {
        match self {
            Err(error) if is_missing_table(&error, table) => Ok(None),
            found => Ok(found?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_pass_are_told_from_those_that_will_not() {
        for code in [
            "08006", "40001", "40P01", "53300", "57P01", "57014", "5", "261", "517", "9", "10", "266", "778", "13",
            "14", "270",
        ] {
            assert!(is_unavailable(Some(code)), "{code}");
        }
        for code in ["23505", "42601", "22003", "1", "19", "787", "2067", ""] {
            assert!(!is_unavailable(Some(code)), "{code}");
        }
        assert!(!is_unavailable(None));
    }
}
