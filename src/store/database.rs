//! Opening the database, and transactions on either engine.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::LevelFilter;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, PgConnection, Postgres, Sqlite, SqliteConnection};

use super::user_table::{UserSource, UserTable};
use super::{Error, on};
use crate::domain::{TableName, UserKey};

/// The oldest version of PostgreSQL that is supported.
const POSTGRES_VERSION: u32 = 13;
/// How long to leave a file of SQLite alone that another process has locked.
const LOCKED_PAUSE: Duration = Duration::from_millis(10);

/// One of the two engines' pools or connections.
pub(super) enum Engine<P, S> {
    Postgres(P),
    Sqlite(S),
}

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// The most connections to hold open; at least 1. SQLite adds one for the writer.
    pub max_connections: u32,
    /// How long to wait for a free connection, and for the writer of SQLite.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL may work on one statement.
    pub statement_timeout: Duration,
    /// How long a statement may take before it is warned of; none for any time.
    pub slow_query: Option<Duration>,
    /// The table of Django's `AUTH_USER_MODEL`.
    pub user_table: TableName,
    /// The type of the keys of that table.
    pub user_key: UserKey,
}

/// The database of the service. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Database {
    read: PoolEngine,
    write: PoolEngine,
    users: Arc<UserSource>,
    /// When what is read by [`read!`](super::read) has to be there.
    deadline: Option<Instant>,
}

/// The connections of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// What they are for: `all` on PostgreSQL, `read` and `write` on SQLite.
    pub name: &'static str,
    /// How many there may be.
    pub most: u32,
    /// How many there are.
    pub open: u32,
    /// How many of these nobody uses.
    pub idle: u32,
}

impl PoolState {
    /// How many are in use.
    pub fn used(&self) -> u32 {
        self.open.saturating_sub(self.idle)
    }
}

type PoolEngine = Engine<PgPool, SqlitePool>;

impl<P: Clone, S: Clone> Clone for Engine<P, S> {
    fn clone(&self) -> Self {
        match self {
            Self::Postgres(postgres) => Self::Postgres(postgres.clone()),
            Self::Sqlite(sqlite) => Self::Sqlite(sqlite.clone()),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(&self.engine_name()).finish()
    }
}

impl Database {
    /// Opens the database at `url`: `postgres://...` or `sqlite:...`, whose file is created where it is missing.
    ///
    /// # Errors
    /// If the URL is not valid, the server cannot be reached or is older than PostgreSQL 13.
    pub async fn connect(url: &str, settings: &DatabaseSettings) -> Result<Self, Error> {
        let (read, write) = if url.starts_with("sqlite:") {
            open_sqlite(url, settings).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            connect_postgres(url, settings).await?
        } else {
            return Err(Error::UnsupportedUrl);
        };
        let users = Arc::new(UserSource::new(settings.user_table.clone(), settings.user_key));
        Ok(Self { read, write, users, deadline: None })
    }

    /// The same database, for searches that may have to look at all rows: they are cancelled when the time is over, with an error that
    /// [is told apart](Error::is_statement_timeout).
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        Self { deadline: Some(Instant::now() + time), ..self.clone() }
    }

    /// When searches are cancelled.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The pool for statements that only read.
    pub(super) fn reader(&self) -> &PoolEngine {
        &self.read
    }

    /// The pool for statements that write without a transaction.
    pub(super) fn writer(&self) -> &PoolEngine {
        &self.write
    }

    /// The name of the engine, for people.
    pub fn engine_name(&self) -> &'static str {
        match self.read {
            Engine::Postgres(_) => "PostgreSQL",
            Engine::Sqlite(_) => "SQLite",
        }
    }

    /// The version of the engine: `15.3`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn version(&self) -> Result<String, Error> {
        Ok(match &self.read {
            Engine::Postgres(pool) => {
                sqlx::query_scalar("SELECT current_setting('server_version')").fetch_one(pool).await?
            }
            Engine::Sqlite(pool) => sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?,
        })
    }

    /// The connections that are open. Asks nobody.
    pub fn pools(&self) -> Vec<PoolState> {
        let state = |name, engine: &PoolEngine| {
            on!(engine, pool => PoolState {
                name,
                most: pool.options().get_max_connections(),
                open: pool.size(),
                idle: u32::try_from(pool.num_idle()).unwrap_or(u32::MAX),
            })
        };
        match &self.read {
            Engine::Postgres(_) => vec![state("all", &self.read)],
            Engine::Sqlite(_) => vec![state("read", &self.read), state("write", &self.write)],
        }
    }

    /// The table of the users, which is looked at once.
    pub(super) async fn users(&self) -> Result<Arc<UserTable>, Error> {
        if let Some(table) = self.users.found() {
            return Ok(table);
        }
        match &self.read {
            Engine::Postgres(pool) => self.users.find(Engine::Postgres(&mut *pool.acquire().await?)).await,
            Engine::Sqlite(pool) => self.users.find(Engine::Sqlite(&mut *pool.acquire().await?)).await,
        }
    }

    /// The table of users, as it is configured.
    pub(super) fn user_table_name(&self) -> &TableName {
        self.users.name()
    }

    /// The type of the keys of users, by which those that come as text are read.
    pub fn user_key(&self) -> UserKey {
        self.users.key()
    }

    /// Whether users are in the table that Django makes where no other is asked for.
    pub(super) fn has_django_users(&self) -> bool {
        self.users.is_django_default()
    }

    /// Begins a transaction that may write.
    ///
    /// # Errors
    /// If there is no connection to be had.
    pub async fn begin(&self) -> Result<Transaction, Error> {
        let begun = match &self.write {
            Engine::Postgres(pool) => Engine::Postgres(pool.begin().await?),
            // A deferred transaction that turns into a writer fails whatever the busy timeout.
            Engine::Sqlite(pool) => Engine::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
        };
        Ok(Transaction { begun, users: Arc::clone(&self.users) })
    }

    /// Closes all connections, after those in use have come back.
    pub async fn close(&self) {
        on!(self.reader(), pool => pool.close().await);
        on!(self.writer(), pool => pool.close().await);
    }
}

/// The pools to read and to write with.
async fn connect_postgres(url: &str, settings: &DatabaseSettings) -> Result<(PoolEngine, PoolEngine), Error> {
    let timeout = settings.statement_timeout.as_millis().to_string();
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| Error::InvalidUrl)?
        .application_name("cfimages")
        // Notices tell what there was nothing to do for.
        .options([("statement_timeout", timeout.as_str()), ("timezone", "UTC"), ("client_min_messages", "warning")]);
    let options = warn_of_slow_statements(options, settings);
    check_postgres(&options, settings.acquire_timeout).await?;
    let pool = PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .connect_lazy_with(options);
    Ok((Engine::Postgres(pool.clone()), Engine::Postgres(pool)))
}

/// Slow statements are logged as they are written, with placeholders for the values, and within the span of their request.
fn warn_of_slow_statements<O: ConnectOptions>(options: O, settings: &DatabaseSettings) -> O {
    options.log_slow_statements(LevelFilter::Warn, settings.slow_query.unwrap_or(Duration::MAX))
}

/// One connection writes, the others read: SQLite has a single writer anyway, and a queue here is fairer than its locks.
async fn open_sqlite(url: &str, settings: &DatabaseSettings) -> Result<(PoolEngine, PoolEngine), Error> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|_| Error::InvalidUrl)?
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(settings.acquire_timeout);
    let options = warn_of_slow_statements(options, settings);
    let write = open_sqlite_pool(1, &options, settings.acquire_timeout).await?;
    let read_only = options.pragma("query_only", "1");
    let read = open_sqlite_pool(settings.max_connections, &read_only, settings.acquire_timeout).await?;
    Ok((Engine::Sqlite(read), Engine::Sqlite(write)))
}

/// Opens a pool, and waits for other processes that do so. The busy timeout of SQLite does not: of several that turn a new file into one
/// with a write-ahead log, all but one are told at once that it is locked.
async fn open_sqlite_pool(
    max_connections: u32,
    options: &SqliteConnectOptions,
    timeout: Duration,
) -> Result<SqlitePool, Error> {
    let started = Instant::now();
    loop {
        let pool = SqlitePoolOptions::new().max_connections(max_connections).acquire_timeout(timeout);
        match pool.connect_with(options.clone()).await.map_err(Error::from) {
            Err(error) if error.is_locked() && started.elapsed() < timeout => tokio::time::sleep(LOCKED_PAUSE).await,
            opened => return opened,
        }
    }
}

/// Makes sure that the server answers and is new enough. A connection of its own tells why it cannot be reached, a pool would only
/// tell that it waited in vain.
async fn check_postgres(options: &PgConnectOptions, timeout: Duration) -> Result<(), Error> {
    let connecting = PgConnection::connect_with(options);
    let mut connection = tokio::time::timeout(timeout, connecting).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    let (number, name): (i32, String) =
        sqlx::query_as("SELECT current_setting('server_version_num')::integer, current_setting('server_version')")
            .fetch_one(&mut connection)
            .await?;
    if number < i32::try_from(POSTGRES_VERSION * 10_000).unwrap_or(i32::MAX) {
        return Err(Error::ServerTooOld { found: name, required: POSTGRES_VERSION });
    }
    connection.close().await?;
    Ok(())
}

/// Writes that are kept together or not at all; without [`commit`](Transaction::commit) they are undone.
pub struct Transaction {
    begun: Engine<sqlx::Transaction<'static, Postgres>, sqlx::Transaction<'static, Sqlite>>,
    users: Arc<UserSource>,
}

impl Transaction {
    /// The connection, for the statements of the store.
    pub(super) fn connection(&mut self) -> Engine<&mut PgConnection, &mut SqliteConnection> {
        match &mut self.begun {
            Engine::Postgres(transaction) => Engine::Postgres(transaction),
            Engine::Sqlite(transaction) => Engine::Sqlite(transaction),
        }
    }

    /// Undoes the writes, and lets go of everything at once. Dropping a transaction does the same a little later.
    ///
    /// # Errors
    /// If the database did not confirm it; the writes are undone in any case.
    pub async fn rollback(self) -> Result<(), Error> {
        match self.begun {
            Engine::Postgres(transaction) => transaction.rollback().await?,
            Engine::Sqlite(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }

    /// The table of the users. Where nobody has looked at it yet, this connection does: another may not be had.
    pub(super) async fn users(&mut self) -> Result<Arc<UserTable>, Error> {
        match self.users.found() {
            Some(table) => Ok(table),
            None => Arc::clone(&self.users).find(self.connection()).await,
        }
    }

    /// Makes the writes last.
    ///
    /// # Errors
    /// If the database did not confirm it; whether the writes were kept is then unknown.
    pub async fn commit(self) -> Result<(), Error> {
        match self.begun {
            Engine::Postgres(transaction) => transaction.commit().await?,
            Engine::Sqlite(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}
