//! Rows of `cfimages_pending_deletions`: what is left at Cloudflare though nobody knows of it here, and has to go.

use super::image_set::{Pair, in_set};
use super::{CloudflareIdSet, Database, Error, Transaction, on};
use crate::domain::{CloudflareId, DeletionReason, PendingDeletion, Timestamp};

/// The columns of a [`PendingDeletion`].
macro_rules! columns {
    () => {
        "cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO cfimages_pending_deletions (",
    columns!(),
    r") VALUES ($1, $2, $3, 0, $4, $3)
    ON CONFLICT (cloudflare_id) DO UPDATE SET reason = CASE WHEN excluded.reason = $5
            THEN cfimages_pending_deletions.reason ELSE excluded.reason END,
        last_error = excluded.last_error, next_attempt_at = excluded.next_attempt_at"
);

/// Records that something at Cloudflare has to be deleted, and why the last try failed. Where it is known to be ours, that holds,
/// whether it is recorded before or after an answer was lost.
///
/// # Errors
/// If the database fails.
pub async fn insert(
    transaction: &mut Transaction,
    id: &CloudflareId,
    reason: &DeletionReason,
    last_error: &str,
    now: Timestamp,
) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(INSERT)
        .bind(id)
        .bind(reason.as_str())
        .bind(now)
        .bind(last_error)
        .bind(DeletionReason::AnswerLost.as_str())
        .execute(connection)
        .await
        .map(drop))?;
    Ok(())
}

const COUNT_DUE: &str = "SELECT count(*) FROM cfimages_pending_deletions WHERE next_attempt_at <= $1";

/// How many deletions are to be tried by now.
///
/// # Errors
/// If the database fails.
pub async fn count_due(database: &Database, now: Timestamp) -> Result<u64, Error> {
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(COUNT_DUE).bind(now).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

const AMONG: Pair = in_set!("SELECT cloudflare_id FROM cfimages_pending_deletions WHERE cloudflare_id");

/// Those of some images that have to be deleted.
///
/// # Errors
/// If the database fails.
pub async fn among(database: &Database, ids: &CloudflareIdSet) -> Result<Vec<CloudflareId>, Error> {
    let statement = AMONG.of(database.reader());
    Ok(on!(database.reader(), pool => sqlx::query_scalar(statement).bind(ids).fetch_all(pool).await)?)
}

macro_rules! claim {
    ($lock:literal) => {
        concat!(
            r"
    UPDATE cfimages_pending_deletions
    SET attempts = attempts + 1, next_attempt_at = $2
    WHERE cloudflare_id = (
        SELECT cloudflare_id
        FROM cfimages_pending_deletions
        WHERE next_attempt_at <= $1
        ORDER BY next_attempt_at, cloudflare_id
        LIMIT 1",
            $lock,
            r"
    )
    RETURNING ",
            columns!()
        )
    };
}

const CLAIM: Pair = Pair { postgres: claim!(" FOR UPDATE SKIP LOCKED"), sqlite: claim!("") };

/// Takes the deletion that has waited longest; nobody else gets it before `claimed_until`.
///
/// # Errors
/// If the database fails.
pub async fn claim(
    transaction: &mut Transaction,
    now: Timestamp,
    claimed_until: Timestamp,
) -> Result<Option<PendingDeletion>, Error> {
    let connection = transaction.connection();
    let statement = CLAIM.of(&connection);
    Ok(on!(connection, connection => sqlx::query_as::<_, PendingDeletion>(statement)
        .bind(now)
        .bind(claimed_until)
        .fetch_optional(connection)
        .await)?)
}

const CLAIM_ONE: &str = concat!(
    r"
    UPDATE cfimages_pending_deletions
    SET attempts = attempts + 1, next_attempt_at = $2
    WHERE cloudflare_id = $1
    RETURNING ",
    columns!()
);

/// Takes this deletion whatever its time, if there is one.
///
/// # Errors
/// If the database fails.
pub async fn claim_one(
    transaction: &mut Transaction,
    id: &CloudflareId,
    claimed_until: Timestamp,
) -> Result<Option<PendingDeletion>, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_as::<_, PendingDeletion>(CLAIM_ONE)
        .bind(id)
        .bind(claimed_until)
        .fetch_optional(connection)
        .await)?)
}

const LIST: &str =
    concat!("SELECT ", columns!(), " FROM cfimages_pending_deletions ORDER BY created_at, cloudflare_id LIMIT $1");

/// The oldest deletions, at most `limit`.
///
/// # Errors
/// If the database fails.
pub async fn list(database: &Database, limit: u32) -> Result<Vec<PendingDeletion>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, PendingDeletion>(LIST).bind(i64::from(limit)).fetch_all(pool).await
    })?)
}

const HASTEN_ALL: &str = "UPDATE cfimages_pending_deletions SET next_attempt_at = $1 WHERE next_attempt_at > $1";

/// Makes it the turn of all deletions.
///
/// # Errors
/// If the database fails.
pub async fn hasten_all(transaction: &mut Transaction, now: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(HASTEN_ALL).bind(now).execute(connection).await.map(drop)
    })?;
    Ok(())
}

const POSTPONE: &str =
    "UPDATE cfimages_pending_deletions SET last_error = $2, next_attempt_at = $3 WHERE cloudflare_id = $1";

/// Puts a deletion off that failed once more.
///
/// # Errors
/// If the database fails.
pub async fn postpone(
    transaction: &mut Transaction,
    id: &CloudflareId,
    last_error: &str,
    next_attempt_at: Timestamp,
) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(POSTPONE)
        .bind(id)
        .bind(last_error)
        .bind(next_attempt_at)
        .execute(connection)
        .await
        .map(drop))?;
    Ok(())
}

const DELETE: &str = "DELETE FROM cfimages_pending_deletions WHERE cloudflare_id = $1";

/// Forgets a deletion that is done, or not wanted any more; whether there was one.
///
/// # Errors
/// If the database fails.
pub async fn delete(transaction: &mut Transaction, id: &CloudflareId) -> Result<bool, Error> {
    let deleted = on!(transaction.connection(), connection => {
        sqlx::query(DELETE).bind(id).execute(connection).await.map(|done| done.rows_affected())
    })?;
    Ok(deleted > 0)
}
