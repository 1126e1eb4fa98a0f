//! Rows of `cfimages_bulk_runs` and `cfimages_bulk_failures`: what staff have done with many images in the background.
//!
//! Whoever works on a run holds it by a word of their own and prolongs that; when they are gone, somebody else goes on. Images are taken in
//! hand first, and are out of hand in the same transaction in which they are counted, so that each is counted once.

use super::{Database, Error, Transaction, on};
use crate::domain::{
    BrowsePosition, BulkFailure, BulkRun, BulkSelection, BulkState, BulkStep, ImagesInHand, StaffAction, Timestamp,
    User,
};

/// The most failures of a run that are kept.
pub const MAX_FAILURES: u32 = 1000;

macro_rules! columns {
    () => {
        "id, action, selection, user_key, username, created_at, finished_at, state, total, done, unchanged, failed, \
         attempts, after_created_at, after_id, in_hand, last_error, claimed_until"
    };
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types are JSON")
}

const INSERT: &str = r"
    INSERT INTO cfimages_bulk_runs (
        action, selection, user_key, username, created_at, state, total, done, unchanged, failed, in_hand, attempts, last_error, claimed_by
    )
    VALUES ($1, $2, $3, $4, $5, $6, NULL, 0, 0, 0, '[]', 0, '', '')
    RETURNING id";

/// Records a run that somebody is to work on; its number.
///
/// # Errors
/// If the database fails.
pub async fn insert(
    transaction: &mut Transaction,
    action: &StaffAction,
    selection: &BulkSelection,
    staff: &User,
    now: Timestamp,
) -> Result<i64, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_scalar(INSERT)
        .bind(json(action))
        .bind(json(selection))
        .bind(staff.id.to_string())
        .bind(&staff.username)
        .bind(now)
        .bind(BulkState::Waiting.as_str())
        .fetch_one(connection)
        .await)?)
}

const DELETE_OLD_FAILURES: &str = r"
    DELETE FROM cfimages_bulk_failures
    WHERE run_id IN (SELECT id FROM cfimages_bulk_runs WHERE finished_at < $1)";
const DELETE_OLD: &str = "DELETE FROM cfimages_bulk_runs WHERE finished_at < $1";

/// Removes the runs that ended before a time.
///
/// # Errors
/// If the database fails.
pub async fn delete_old(transaction: &mut Transaction, before: Timestamp) -> Result<(), Error> {
    for statement in [DELETE_OLD_FAILURES, DELETE_OLD] {
        on!(transaction.connection(), connection => {
            sqlx::query(statement).bind(before).execute(connection).await.map(drop)
        })?;
    }
    Ok(())
}

const FIND: &str = concat!("SELECT ", columns!(), " FROM cfimages_bulk_runs WHERE id = $1");

/// The run with this number.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, id: i64) -> Result<Option<BulkRun>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, BulkRun>(FIND).bind(id).fetch_optional(pool).await)?)
}

const LIST: &str = concat!("SELECT ", columns!(), " FROM cfimages_bulk_runs WHERE id < $1 ORDER BY id DESC LIMIT $2");

/// The latest runs before one, at most `limit`.
///
/// # Errors
/// If the database fails.
pub async fn list(database: &Database, before: Option<i64>, limit: u32) -> Result<Vec<BulkRun>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, BulkRun>(LIST)
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}

const LIST_FAILURES: &str =
    "SELECT image_id, name, message FROM cfimages_bulk_failures WHERE run_id = $1 ORDER BY name, image_id LIMIT $2";

/// The images that a run could not do, by name: all that are kept, which are [`MAX_FAILURES`] at most.
///
/// # Errors
/// If the database fails.
pub async fn list_failures(database: &Database, run: i64) -> Result<Vec<BulkFailure>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, BulkFailure>(LIST_FAILURES)
        .bind(run)
        .bind(i64::from(MAX_FAILURES))
        .fetch_all(pool)
        .await)?)
}

macro_rules! free {
    () => {
        "state IN ('waiting', 'running') AND (claimed_until IS NULL OR claimed_until <= $1)"
    };
}

const LIST_FREE: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM cfimages_bulk_runs WHERE ",
    free!(),
    " ORDER BY claimed_until IS NOT NULL, claimed_until, id"
);

/// The runs that nobody works on and somebody should; first the one that has waited longest.
///
/// # Errors
/// If the database fails.
pub async fn list_free(database: &Database, now: Timestamp) -> Result<Vec<BulkRun>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, BulkRun>(LIST_FREE).bind(now).fetch_all(pool).await)?)
}

const LAST_CLAIM: &str = "SELECT max(claimed_until) FROM cfimages_bulk_runs";

/// Until when somebody worked on any run, or works on one; none where nobody ever did.
///
/// # Errors
/// If the database fails.
pub async fn last_claim(database: &Database) -> Result<Option<Timestamp>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_scalar(LAST_CLAIM).fetch_one(pool).await)?)
}

const CLAIM: &str = concat!(
    "UPDATE cfimages_bulk_runs SET state = 'running', claimed_by = $2, claimed_until = $3 WHERE id = $4 AND ",
    free!(),
    " RETURNING ",
    columns!()
);

/// Makes a run the claimant's own until `claimed_until`; none where somebody was faster.
///
/// # Errors
/// If the database fails.
pub async fn claim(
    transaction: &mut Transaction,
    run: i64,
    claimant: &str,
    now: Timestamp,
    claimed_until: Timestamp,
) -> Result<Option<BulkRun>, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_as::<_, BulkRun>(CLAIM)
        .bind(now)
        .bind(claimant)
        .bind(claimed_until)
        .bind(run)
        .fetch_optional(connection)
        .await)?)
}

const PROLONG: &str =
    "UPDATE cfimages_bulk_runs SET claimed_until = $3 WHERE id = $1 AND claimed_by = $2 AND state = 'running'";

/// Prolongs a claim; false where it was lost, or the run was stopped.
///
/// # Errors
/// If the database fails.
pub async fn prolong(
    transaction: &mut Transaction,
    run: i64,
    claimant: &str,
    claimed_until: Timestamp,
) -> Result<bool, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query(PROLONG)
        .bind(run)
        .bind(claimant)
        .bind(claimed_until)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() > 0))?)
}

const SET_TOTAL: &str = "UPDATE cfimages_bulk_runs SET total = $3 WHERE id = $1 AND claimed_by = $2";

/// Records how many images there are.
///
/// # Errors
/// If the database fails.
pub async fn set_total(transaction: &mut Transaction, run: i64, claimant: &str, total: i64) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(SET_TOTAL).bind(run).bind(claimant).bind(total).execute(connection).await.map(drop)
    })?;
    Ok(())
}

const TAKE: &str = r"
    UPDATE cfimages_bulk_runs
    SET in_hand = $3, after_created_at = $4, after_id = $5
    WHERE id = $1 AND claimed_by = $2 AND state = 'running'";

/// Takes images in hand, the last of which is at `position`; false, and nothing is changed, where the claim was lost or the run stopped.
///
/// # Errors
/// If the database fails.
pub async fn take(
    transaction: &mut Transaction,
    run: i64,
    claimant: &str,
    images: &ImagesInHand,
    position: BrowsePosition,
) -> Result<bool, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query(TAKE)
        .bind(run)
        .bind(claimant)
        .bind(json(images))
        .bind(Timestamp::from_micros(position.value))
        .bind(position.id)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() > 0))?)
}

const RECORD: &str = r"
    UPDATE cfimages_bulk_runs
    SET done = done + $3, unchanged = unchanged + $4, failed = failed + $5, in_hand = $6, claimed_by = '', claimed_until = $8,
        last_error = CASE state WHEN 'running' THEN $7 ELSE last_error END,
        attempts = CASE WHEN $3 + $4 + $5 > 0 OR $7 = '' THEN 0 ELSE attempts + 1 END
    WHERE id = $1 AND claimed_by = $2
    RETURNING CAST(failed - $5 AS bigint)";

/// Counts what became of the images in hand, and gives the run back, to be left alone until `next`; false, and nothing is changed, where the
/// claim was lost.
///
/// # Errors
/// If the database fails.
pub async fn record(
    transaction: &mut Transaction,
    run: i64,
    claimant: &str,
    step: &BulkStep,
    next: Timestamp,
) -> Result<bool, Error> {
    let failed = i64::try_from(step.failures.len()).unwrap_or(i64::MAX);
    let failed_before: Option<i64> = on!(transaction.connection(), connection => sqlx::query_scalar(RECORD)
        .bind(run)
        .bind(claimant)
        .bind(step.done)
        .bind(step.unchanged)
        .bind(failed)
        .bind(json(&step.in_hand))
        .bind(&step.last_error)
        .bind(next)
        .fetch_optional(connection)
        .await)?;
    let Some(failed_before) = failed_before else { return Ok(false) };
    let places = usize::try_from(i64::from(MAX_FAILURES) - failed_before).unwrap_or(0);
    for failure in step.failures.iter().take(places) {
        insert_failure(transaction, run, failure).await?;
    }
    Ok(true)
}

const INSERT_FAILURE: &str = r"
    INSERT INTO cfimages_bulk_failures (run_id, image_id, name, message)
    VALUES ($1, $2, $3, $4)
    ON CONFLICT (run_id, image_id) DO NOTHING";

async fn insert_failure(transaction: &mut Transaction, run: i64, failure: &BulkFailure) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(INSERT_FAILURE)
        .bind(run)
        .bind(failure.image_id)
        .bind(&failure.name)
        .bind(&failure.message)
        .execute(connection)
        .await
        .map(drop))?;
    Ok(())
}

const END: &str = r"
    UPDATE cfimages_bulk_runs
    SET state = $2, finished_at = $3, last_error = $4
    WHERE id = $1 AND state IN ('waiting', 'running') AND (CAST($5 AS text) IS NULL OR claimed_by = $5)";

/// Ends a run that is open, with a reason where that is not obvious; whether it was open, and the claimant's own where there is one. What is
/// in hand is still counted.
///
/// # Errors
/// If the database fails.
pub async fn end(
    transaction: &mut Transaction,
    run: i64,
    claimant: Option<&str>,
    state: BulkState,
    reason: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query(END)
        .bind(run)
        .bind(state.as_str())
        .bind(now)
        .bind(reason)
        .bind(claimant)
        .execute(connection)
        .await
        .map(|done| done.rows_affected() > 0))?)
}
