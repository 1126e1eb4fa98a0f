//! Rows of `cfimages_pending_deletions`: what has to be seen to at Cloudflare after a failure.
//!
//! A row is one run's own while it is claimed, and the end of the claim is what the claimant shows: whoever claims a row next does so
//! after that end, so theirs is a later one. Where the same is recorded anew meanwhile, `attempts` begins anew, too; the row then
//! stays when the claimant is done.

use super::image_set::{Pair, in_set};
use super::selections::fetch_page;
use super::sql::{Argument, Dialect, Statement};
use super::{CloudflareIdSet, Database, Error, Transaction, on};
use crate::domain::{
    CloudflareId, DeletionReason, ImageMarks, Json, NewPendingDeletion, PageFrom, PendingDeletion, PendingPlace,
    Timestamp,
};

/// The columns of a [`PendingDeletion`].
macro_rules! columns {
    () => {
        "cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at, claimed_until, marks"
    };
}

const INSERT: &str = concat!(
    "INSERT INTO cfimages_pending_deletions AS kept (",
    columns!(),
    r") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT (cloudflare_id) DO UPDATE SET
        reason = CASE kept.reason WHEN $9 THEN kept.reason ELSE excluded.reason END,
        attempts = CASE WHEN kept.claimed_until > $3 THEN 0 ELSE excluded.attempts END,
        claimed_until = CASE WHEN kept.claimed_until > $3 THEN kept.claimed_until ELSE excluded.claimed_until END,
        last_error = excluded.last_error, next_attempt_at = excluded.next_attempt_at, marks = excluded.marks
    RETURNING ",
    columns!()
);

/// Records that something at Cloudflare has to be seen to. What is known to be ours stays so, whether that is recorded before or after
/// an answer was lost. A claim stays, too.
///
/// # Errors
/// If the database fails.
pub async fn insert(transaction: &mut Transaction, new: &NewPendingDeletion, now: Timestamp) -> Result<(), Error> {
    insert_row(transaction, new, now, 0, None).await.map(drop)
}

/// The same, claimed until a time as if it were tried now; none, and it is only recorded, while it is somebody else's.
///
/// # Errors
/// If the database fails.
pub async fn insert_claimed(
    transaction: &mut Transaction,
    new: &NewPendingDeletion,
    now: Timestamp,
    claimed_until: Timestamp,
) -> Result<Option<PendingDeletion>, Error> {
    let row = insert_row(transaction, new, now, 1, Some(claimed_until)).await?;
    Ok(Some(row).filter(|row| row.attempts > 0))
}

async fn insert_row(
    transaction: &mut Transaction,
    new: &NewPendingDeletion,
    now: Timestamp,
    attempts: i32,
    claimed_until: Option<Timestamp>,
) -> Result<PendingDeletion, Error> {
    let weaker_than = match new.reason {
        DeletionReason::AnswerLost | DeletionReason::UploadLost => DeletionReason::Unrecorded.as_str(),
        _ => "",
    };
    Ok(on!(transaction.connection(), connection => sqlx::query_as::<_, PendingDeletion>(INSERT)
        .bind(&new.cloudflare_id)
        .bind(new.reason.as_str())
        .bind(now)
        .bind(attempts)
        .bind(&new.last_error)
        .bind(new.next_attempt_at)
        .bind(claimed_until)
        .bind(Json::of(&new.marks).as_str())
        .bind(weaker_than)
        .fetch_one(connection)
        .await)?)
}

const COUNT_DUE: &str = "SELECT count(*) FROM cfimages_pending_deletions WHERE next_attempt_at <= $1";

/// How many deletions are to be tried by now, claimed ones included.
///
/// # Errors
/// If the database fails.
pub async fn count_due(database: &Database, now: Timestamp) -> Result<u64, Error> {
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(COUNT_DUE).bind(now).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

const AMONG: Pair = in_set!("SELECT cloudflare_id FROM cfimages_pending_deletions WHERE cloudflare_id");

/// Those of some images that have to be seen to.
///
/// # Errors
/// If the database fails.
pub async fn among(database: &Database, ids: &CloudflareIdSet) -> Result<Vec<CloudflareId>, Error> {
    let statement = AMONG.of(database.reader());
    Ok(on!(database.reader(), pool => sqlx::query_scalar(statement).bind(ids).fetch_all(pool).await)?)
}

const MARKS: &str = "SELECT marks FROM cfimages_pending_deletions WHERE reason = $1";

#[derive(sqlx::FromRow)]
struct MarksRow {
    #[sqlx(try_from = "String")]
    marks: ImageMarks,
}

/// What the images are known by that have to be seen to for a reason.
///
/// # Errors
/// If the database fails.
pub async fn list_marks(database: &Database, reason: &DeletionReason) -> Result<Vec<ImageMarks>, Error> {
    let rows = on!(database.reader(), pool => {
        sqlx::query_as::<_, MarksRow>(MARKS).bind(reason.as_str()).fetch_all(pool).await
    })?;
    Ok(rows.into_iter().map(|row| row.marks).collect())
}

macro_rules! claim {
    ($lock:literal) => {
        concat!(
            r"
    UPDATE cfimages_pending_deletions
    SET attempts = attempts + 1, claimed_until = $3
    WHERE cloudflare_id = (
        SELECT cloudflare_id
        FROM cfimages_pending_deletions
        WHERE next_attempt_at <= $1 AND (claimed_until IS NULL OR claimed_until <= $2)
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

/// Takes what was due by a time and has waited longest; nobody else gets it before `claimed_until`.
///
/// # Errors
/// If the database fails.
pub async fn claim(
    transaction: &mut Transaction,
    due: Timestamp,
    now: Timestamp,
    claimed_until: Timestamp,
) -> Result<Option<PendingDeletion>, Error> {
    let connection = transaction.connection();
    let statement = CLAIM.of(&connection);
    Ok(on!(connection, connection => sqlx::query_as::<_, PendingDeletion>(statement)
        .bind(due)
        .bind(now)
        .bind(claimed_until)
        .fetch_optional(connection)
        .await)?)
}

const CLAIM_ONE: &str = concat!(
    r"
    UPDATE cfimages_pending_deletions
    SET attempts = attempts + 1, claimed_until = $3
    WHERE cloudflare_id = $1 AND (claimed_until IS NULL OR claimed_until <= $2)
    RETURNING ",
    columns!()
);

/// Takes this one whatever its time; none where there is none, or it is somebody else's.
///
/// # Errors
/// If the database fails.
pub async fn claim_one(
    transaction: &mut Transaction,
    id: &CloudflareId,
    now: Timestamp,
    claimed_until: Timestamp,
) -> Result<Option<PendingDeletion>, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_as::<_, PendingDeletion>(CLAIM_ONE)
        .bind(id)
        .bind(now)
        .bind(claimed_until)
        .fetch_optional(connection)
        .await)?)
}

/// At most `limit` from a place on or up to one, the oldest first.
///
/// # Errors
/// If the database fails.
pub async fn list(
    database: &Database,
    from: &PageFrom<PendingPlace>,
    limit: u32,
) -> Result<Vec<PendingDeletion>, Error> {
    const ALL: &str = concat!("SELECT ", columns!(), " FROM cfimages_pending_deletions WHERE TRUE");
    let mut statement = Statement::new(Dialect::of(database), ALL);
    let place = from.clone().map(|place| vec![Argument::Time(place.created_at), Argument::Text(place.cloudflare_id)]);
    statement.push_page(&["created_at", "cloudflare_id"], false, &place, limit);
    fetch_page(database, statement, from).await
}

const FIND: &str = concat!("SELECT ", columns!(), " FROM cfimages_pending_deletions WHERE cloudflare_id = $1");

/// What has to be seen to under an id.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, id: &CloudflareId) -> Result<Option<PendingDeletion>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, PendingDeletion>(FIND).bind(id).fetch_optional(pool).await
    })?)
}

const HASTEN_ALL: &str =
    "UPDATE cfimages_pending_deletions SET next_attempt_at = $1 WHERE next_attempt_at > $1 AND attempts > 0";

/// Makes it the turn of all that was tried before. Claims stay.
///
/// # Errors
/// If the database fails.
pub async fn hasten_all(transaction: &mut Transaction, now: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(HASTEN_ALL).bind(now).execute(connection).await.map(drop)
    })?;
    Ok(())
}

const GIVE_BACK: &str = r"
    UPDATE cfimages_pending_deletions
    SET claimed_until = NULL, last_error = $4, next_attempt_at = CASE attempts WHEN $3 THEN $5 ELSE next_attempt_at END,
        attempts = CASE attempts WHEN $3 THEN $6 ELSE attempts END
    WHERE cloudflare_id = $1 AND claimed_until = $2";

/// Gives back what is claimed until its next turn, or until now where it was recorded anew meanwhile; false, and nothing is changed,
/// where the claim was lost.
///
/// # Errors
/// If the database fails.
pub async fn postpone(
    transaction: &mut Transaction,
    claimed: &PendingDeletion,
    last_error: &str,
    next_attempt_at: Timestamp,
) -> Result<bool, Error> {
    give_back(transaction, claimed, last_error, next_attempt_at, claimed.attempts).await
}

/// The same for what was claimed and not tried after all, so that it does not count as a try.
///
/// # Errors
/// If the database fails.
pub async fn give_back_untried(
    transaction: &mut Transaction,
    claimed: &PendingDeletion,
    last_error: &str,
    next_attempt_at: Timestamp,
) -> Result<bool, Error> {
    give_back(transaction, claimed, last_error, next_attempt_at, claimed.attempts - 1).await
}

async fn give_back(
    transaction: &mut Transaction,
    claimed: &PendingDeletion,
    last_error: &str,
    next_attempt_at: Timestamp,
    attempts: i32,
) -> Result<bool, Error> {
    let given_back = on!(transaction.connection(), connection => sqlx::query(GIVE_BACK)
        .bind(&claimed.cloudflare_id)
        .bind(claimed.claimed_until)
        .bind(claimed.attempts)
        .bind(last_error)
        .bind(next_attempt_at)
        .bind(attempts)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(given_back > 0)
}

const SETTLE: &str =
    "DELETE FROM cfimages_pending_deletions WHERE cloudflare_id = $1 AND claimed_until = $2 AND attempts = $3";

/// Forgets what is claimed and done; where it was recorded anew meanwhile, it is its turn once more. False, and nothing is changed,
/// where the claim was lost.
///
/// # Errors
/// If the database fails.
pub async fn settle(transaction: &mut Transaction, claimed: &PendingDeletion) -> Result<bool, Error> {
    let settled = on!(transaction.connection(), connection => sqlx::query(SETTLE)
        .bind(&claimed.cloudflare_id)
        .bind(claimed.claimed_until)
        .bind(claimed.attempts)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(settled > 0 || postpone(transaction, claimed, &claimed.last_error, claimed.next_attempt_at).await?)
}

const DELETE: &str = "DELETE FROM cfimages_pending_deletions WHERE cloudflare_id = $1 AND (claimed_until IS NULL OR claimed_until <= $2)";

/// Forgets what nobody wants to be seen to any more, unless somebody is at it; whether that was so.
///
/// # Errors
/// If the database fails.
pub async fn delete(transaction: &mut Transaction, id: &CloudflareId, now: Timestamp) -> Result<bool, Error> {
    let deleted = on!(transaction.connection(), connection => {
        sqlx::query(DELETE).bind(id).bind(now).execute(connection).await.map(|done| done.rows_affected())
    })?;
    Ok(deleted > 0)
}
