//! How much waits to be done in the background.

use sqlx::FromRow;

use super::{Database, Error, on};
use crate::domain::Timestamp;

/// What waits for a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct Queue {
    /// How many there are, also those whose turn comes later.
    pub waiting: i64,
    /// When the first of them has its turn, or had it; none where nothing waits.
    pub next_at: Option<Timestamp>,
}

const POLLS: &str = "SELECT count(*) AS waiting, min(next_poll_at) AS next_at FROM cfimages_polls";
const LEFTOVERS: &str = "SELECT count(*) AS waiting, min(next_attempt_at) AS next_at FROM cfimages_pending_deletions";
// Who works on a run holds it until then; the next has its turn when nobody does.
const BULK_RUNS: &str = r"
    SELECT count(*) AS waiting, min(coalesce(claimed_until, created_at)) AS next_at
    FROM cfimages_bulk_runs
    WHERE state IN ('waiting', 'running')";

/// The unfinished images that Cloudflare is asked about.
///
/// # Errors
/// If the database fails.
pub async fn polls(database: &Database) -> Result<Queue, Error> {
    find(database, POLLS).await
}

/// What has to be seen to at Cloudflare after a failure.
///
/// # Errors
/// If the database fails.
pub async fn leftovers(database: &Database) -> Result<Queue, Error> {
    find(database, LEFTOVERS).await
}

/// What staff want to be done with many images.
///
/// # Errors
/// If the database fails.
pub async fn bulk_runs(database: &Database) -> Result<Queue, Error> {
    find(database, BULK_RUNS).await
}

async fn find(database: &Database, statement: &'static str) -> Result<Queue, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as(statement).fetch_one(pool).await)?)
}
