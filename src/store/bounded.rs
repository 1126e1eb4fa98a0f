//! Reading within a time: what takes longer is cancelled.

use std::time::Instant;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, Postgres, Sqlite, SqliteConnection};

use super::database::Engine;
use super::{Database, Error};

/// After how many of its steps SQLite looks at the clock.
const STEPS: i32 = 10_000;
const LIMIT_TIME: &str = "SELECT set_config('statement_timeout', $1, true)";

/// A connection whose statements come to an end in time.
pub(super) struct Bounded(Engine<sqlx::Transaction<'static, Postgres>, Watched>);

impl Bounded {
    /// Takes a connection of its own, where the database has a time to keep; none where it has not.
    pub(super) async fn begin(database: &Database) -> Result<Option<Self>, Error> {
        let Some(deadline) = database.deadline() else { return Ok(None) };
        Ok(Some(Self(match database.reader() {
            Engine::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let left = deadline.saturating_duration_since(Instant::now()).as_millis().max(1);
                sqlx::query(LIMIT_TIME).bind(left.to_string()).execute(&mut *transaction).await?;
                Engine::Postgres(transaction)
            }
            Engine::Sqlite(pool) => {
                let mut connection = pool.acquire().await?;
                connection.lock_handle().await?.set_progress_handler(STEPS, move || Instant::now() < deadline);
                Engine::Sqlite(Watched(Some(connection)))
            }
        })))
    }

    pub(super) fn connection(&mut self) -> Engine<&mut PgConnection, &mut SqliteConnection> {
        match &mut self.0 {
            Engine::Postgres(transaction) => Engine::Postgres(transaction),
            Engine::Sqlite(watched) => Engine::Sqlite(watched.0.as_mut().expect("it is there until the end")),
        }
    }

    /// Gives the connection back as it was.
    pub(super) async fn end(self) -> Result<(), Error> {
        match self.0 {
            Engine::Postgres(transaction) => transaction.rollback().await?,
            Engine::Sqlite(mut watched) => {
                if let Some(mut connection) = watched.0.take() {
                    connection.lock_handle().await?.remove_progress_handler();
                }
            }
        }
        Ok(())
    }
}

/// A connection whose statements are cancelled from a time on. One that nobody gave back as it was is closed: its statement, for which
/// nobody waits any more, may still run until then, and others would be cancelled at once.
struct Watched(Option<PoolConnection<Sqlite>>);

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}
