//! All SQL, for both engines.
//!
//! Every statement is written once, as a constant beside the function that runs it, in the words that PostgreSQL and SQLite
//! share; the macro `on!` runs it on whichever is open. What differs between the engines is in the types of `types` and in pairs
//! of constants. Reads take the [`Database`], writes a [`Transaction`].

pub mod cleanup;
pub mod content_types;
mod database;
pub mod host_tables;
mod image_set;
pub mod images;
pub mod migrations;
pub mod pending_deletions;
pub mod selections;
pub mod sessions;
pub mod sign_in_failures;
mod sql;
pub mod stats;
pub mod tokens;
mod types;
pub mod upload_logs;
pub mod usage_sources;
pub mod usages;
pub mod users;

pub use database::{Database, DatabaseSettings, Transaction};
pub use image_set::ImageSet;

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
    /// The tables are those of a toolkit that is older than 1.1.6.
    #[error(
        "the table cloudflare_images has no column {0}: it belongs to an older django-cloudflareimages-toolkit. \
         Upgrade the toolkit to 1.1.6 and run `manage.py migrate` first"
    )]
    OlderToolkit(&'static str),
    /// A migration failed, or does not fit what was applied before.
    #[error("the database cannot be migrated")]
    Migrate(#[from] sqlx::migrate::MigrateError),
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
            _ => Self::Database(error),
        }
    }
}

/// Whether a code of the engine means that the same may work a little later.
///
/// PostgreSQL, five characters: the classes 08 (connection), 40 (deadlock, serialization), 53 (resources) and 57 (stopping, starting,
/// cancelled). SQLite, a number whose last byte is the primary code: 5 (busy), 6 (locked), 10 (I/O), 13 (disk full), 14 (cannot open).
fn is_unavailable(code: Option<&str>) -> bool {
    match code {
        Some(code) if code.len() == 5 => ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)),
        Some(code) => code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13 | 14)),
        None => false,
    }
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
    fn none_without_table(self) -> Result<Option<T>, Error>;
}

impl<T> MissingTableExt<T> for Result<Option<T>, sqlx::Error> {
    fn none_without_table(self) -> Result<Option<T>, Error> {
        self.or_else(|error| match error.as_database_error() {
            Some(cause) if is_missing_table(cause.code().as_deref(), cause.message()) => Ok(None),
            _ => Err(error.into()),
        })
    }
}

/// PostgreSQL has a code for it, SQLite the general one and words.
fn is_missing_table(code: Option<&str>, message: &str) -> bool {
    match code {
        Some("42P01") => true,
        Some("1") => message.starts_with("no such table: "),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_pass_are_told_from_those_that_will_not() {
        for code in [
            "08006", "40001", "40P01", "53300", "57P01", "57014", "5", "261", "517", "10", "266", "778", "13", "14",
            "270",
        ] {
            assert!(is_unavailable(Some(code)), "{code}");
        }
        for code in ["23505", "42601", "22003", "1", "19", "787", "2067", ""] {
            assert!(!is_unavailable(Some(code)), "{code}");
        }
        assert!(!is_unavailable(None));
    }
}
