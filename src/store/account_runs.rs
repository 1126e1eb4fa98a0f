//! Rows of `cfimages_account_runs` and `cfimages_account_seen`: how far the reconciliation with the account at Cloudflare has come;
//! and the records that tell whether that account is theirs.

use sqlx::FromRow;

use super::image_set::{Pair, in_set};
use super::{CloudflareIdSet, Database, Error, Transaction, images, on};
use crate::domain::{CloudflareId, Image, ImageId, Timestamp, UploadEvent};

/// A reconciliation with the account at Cloudflare: that of now, or else the last.
#[derive(Debug, Clone, FromRow)]
pub struct AccountRun {
    /// The account.
    pub account_id: String,
    /// What was asked for, as text; a run is gone on with under the same options only.
    pub options: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
    /// Where Cloudflare's list goes on; none at its begin.
    pub continuation_token: Option<String>,
    /// Whether the list is at its end.
    pub is_listed: bool,
    /// The key of the record that is looked at next, once the list is at its end.
    pub checked_from: ImageId,
    /// What was found and done so far, as text.
    pub figures: String,
}

macro_rules! columns {
    () => {
        "account_id, options, started_at, finished_at, continuation_token, is_listed, checked_from, figures"
    };
}

const CLAIM: &str = concat!(
    r"
    INSERT INTO cfimages_account_runs (
        id, account_id, options, started_at, finished_at, is_listed, checked_from, figures, claimed_by, claimed_until
    )
    VALUES (1, '', '', $1, $1, false, $2, '', $3, $4)
    ON CONFLICT (id) DO UPDATE SET claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until
        WHERE cfimages_account_runs.claimed_until <= $1
    RETURNING ",
    columns!()
);

/// Makes the run the claimant's own until `claimed_until`, and tells how far it has come; none while it is somebody else's. Where
/// there was no run, it is told as one that has finished.
///
/// # Errors
/// If the database fails.
pub async fn claim(
    transaction: &mut Transaction,
    claimant: &str,
    now: Timestamp,
    claimed_until: Timestamp,
) -> Result<Option<AccountRun>, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_as::<_, AccountRun>(CLAIM)
        .bind(now)
        .bind(ImageId::first())
        .bind(claimant)
        .bind(claimed_until)
        .fetch_optional(connection)
        .await)?)
}

const CLAIMED_UNTIL: &str = "SELECT claimed_until FROM cfimages_account_runs";

/// Until when the run is somebody's own, unless they prolong that.
///
/// # Errors
/// If the database fails.
pub async fn claimed_until(database: &Database) -> Result<Option<Timestamp>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_scalar(CLAIMED_UNTIL).fetch_optional(pool).await)?)
}

const SAVE: &str = r"
    UPDATE cfimages_account_runs
    SET account_id = $1, options = $2, started_at = $3, finished_at = $4, continuation_token = $5, is_listed = $6,
        checked_from = $7, figures = $8, claimed_until = $9
    WHERE claimed_by = $10";

/// Records how far the run has come, and prolongs the claim; false if it is somebody else's by now.
///
/// # Errors
/// If the database fails.
pub async fn save(
    transaction: &mut Transaction,
    run: &AccountRun,
    claimant: &str,
    claimed_until: Timestamp,
) -> Result<bool, Error> {
    let saved = on!(transaction.connection(), connection => sqlx::query(SAVE)
        .bind(&run.account_id)
        .bind(&run.options)
        .bind(run.started_at)
        .bind(run.finished_at)
        .bind(&run.continuation_token)
        .bind(run.is_listed)
        .bind(run.checked_from)
        .bind(&run.figures)
        .bind(claimed_until)
        .bind(claimant)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(saved > 0)
}

const RELEASE: &str = "UPDATE cfimages_account_runs SET claimed_until = $1 WHERE claimed_by = $2";

/// Lets others have the run.
///
/// # Errors
/// If the database fails.
pub async fn release(transaction: &mut Transaction, claimant: &str, now: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(RELEASE).bind(now).bind(claimant).execute(connection).await.map(drop)
    })?;
    Ok(())
}

const MARK_SEEN: Pair = Pair {
    postgres: "INSERT INTO cfimages_account_seen (cloudflare_id) SELECT unnest($1) ON CONFLICT DO NOTHING",
    sqlite: "INSERT INTO cfimages_account_seen (cloudflare_id) SELECT value FROM json_each($1) WHERE TRUE ON CONFLICT DO NOTHING",
};

/// Records that Cloudflare has these images.
///
/// # Errors
/// If the database fails.
pub async fn mark_seen(transaction: &mut Transaction, ids: &CloudflareIdSet) -> Result<(), Error> {
    let connection = transaction.connection();
    let statement = MARK_SEEN.of(&connection);
    on!(connection, connection => sqlx::query(statement).bind(ids).execute(connection).await.map(drop))?;
    Ok(())
}

const SEEN_AMONG: Pair = in_set!("SELECT cloudflare_id FROM cfimages_account_seen WHERE cloudflare_id");

/// Those of some images that the run has seen.
///
/// # Errors
/// If the database fails.
pub async fn seen_among(database: &Database, ids: &CloudflareIdSet) -> Result<Vec<CloudflareId>, Error> {
    let statement = SEEN_AMONG.of(database.reader());
    Ok(on!(database.reader(), pool => sqlx::query_scalar(statement).bind(ids).fetch_all(pool).await)?)
}

const FORGET_SEEN: &str = r"
    DELETE FROM cfimages_account_seen
    WHERE cloudflare_id IN (SELECT cloudflare_id FROM cfimages_account_seen LIMIT $1)";

/// Forgets so many of the images that the run has seen; how many there were.
///
/// # Errors
/// If the database fails.
pub async fn forget_seen(transaction: &mut Transaction, limit: u32) -> Result<u64, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query(FORGET_SEEN)
        .bind(i64::from(limit))
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?)
}

/// A record that may tell whether an account is that of the records.
#[derive(Debug, Clone, FromRow)]
pub struct SampledImage {
    /// The image.
    #[sqlx(flatten)]
    pub image: Image,
    /// Whether it was recorded because a run found it in an account.
    pub is_imported: bool,
}

// All records are looked at once, and no more than the sample is kept of them.
const SAMPLE: &str = concat!(
    "SELECT ",
    images::columns!(),
    r",
        EXISTS (
            SELECT 1 FROM cloudflare_image_logs AS logs WHERE logs.image_id = cloudflare_images.id AND logs.event_type = $2
        ) AS is_imported
    FROM cloudflare_images
    WHERE status = 'uploaded' AND coalesce(uploaded_at, created_at) < $1
    ORDER BY is_imported, random()
    LIMIT $3"
);

/// Images that were uploaded before a time, drawn by lot: first of those that no run imported, then of the others.
///
/// # Errors
/// If the database fails.
pub async fn sample(database: &Database, before: Timestamp, limit: u32) -> Result<Vec<SampledImage>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, SampledImage>(SAMPLE)
        .bind(before)
        .bind(UploadEvent::IMAGE_IMPORTED)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}
