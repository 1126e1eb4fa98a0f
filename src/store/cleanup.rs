//! Images whose time is over. Batches go by key, so that each costs the same and holds few rows.

use super::image_set::Pair;
use super::{Database, Error, Transaction, on};
use crate::domain::{Due, DueImage, ImageId, Timestamp};

/// What makes an image expire: its upload URL ended by the time `$1` and nothing was uploaded.
macro_rules! expiring {
    () => {
        "status IN ('pending', 'draft') AND expires_at < $1"
    };
}

/// What makes an image that is, or is about to be, `expired` so old that it goes: it expired before `$1`.
macro_rules! old {
    () => {
        "status IN ('expired', 'pending', 'draft') AND expires_at < $1"
    };
}

/// What makes an image an orphan: nothing has referred to it since `$1`.
macro_rules! orphaned {
    () => {
        "status = 'uploaded' AND coalesce(last_referenced_at, created_at) < $1 \
         AND NOT EXISTS (SELECT 1 FROM cloudflare_image_usages AS usages WHERE usages.image_id = cloudflare_images.id)"
    };
}

const COUNT_EXPIRING: &str = concat!("SELECT count(*) FROM cloudflare_images WHERE ", expiring!());
const COUNT_OLD: &str = concat!("SELECT count(*) FROM cloudflare_images WHERE ", old!());
const COUNT_ORPHANED: &str = concat!("SELECT count(*) FROM cloudflare_images WHERE ", orphaned!());

/// How many images are due, given the time.
///
/// # Errors
/// If the database fails.
pub async fn count(database: &Database, due: Due, before: Timestamp) -> Result<u64, Error> {
    let statement = match due {
        Due::Expiring => COUNT_EXPIRING,
        Due::Old => COUNT_OLD,
        Due::Orphaned => COUNT_ORPHANED,
    };
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(statement).bind(before).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

macro_rules! list_newest {
    ($condition:expr) => {
        concat!(
            "SELECT id, cloudflare_id, expires_at FROM cloudflare_images WHERE ",
            $condition,
            " ORDER BY created_at DESC, id DESC LIMIT $2"
        )
    };
}

const LIST_NEWEST_EXPIRING: &str = list_newest!(expiring!());
const LIST_NEWEST_OLD: &str = list_newest!(old!());
const LIST_NEWEST_ORPHANED: &str = list_newest!(orphaned!());

/// The first images that are due, given the time, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list_newest(database: &Database, due: Due, before: Timestamp, limit: u32) -> Result<Vec<DueImage>, Error> {
    let statement = match due {
        Due::Expiring => LIST_NEWEST_EXPIRING,
        Due::Old => LIST_NEWEST_OLD,
        Due::Orphaned => LIST_NEWEST_ORPHANED,
    };
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, DueImage>(statement)
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}

macro_rules! mark_expired {
    ($lock:literal) => {
        concat!(
            r"
    WITH due AS MATERIALIZED (
        SELECT id AS due_id
        FROM cloudflare_images
        WHERE ",
            expiring!(),
            r" AND id >= $2
        ORDER BY id
        LIMIT $3",
            $lock,
            r"
    )
    UPDATE cloudflare_images
    SET status = 'expired'
    FROM due
    WHERE id = due_id
    RETURNING id, cloudflare_id, expires_at"
        )
    };
}

const MARK_EXPIRED: Pair = Pair { postgres: mark_expired!(" FOR UPDATE SKIP LOCKED"), sqlite: mark_expired!("") };

/// Marks a batch of images as expired, from a key on; those marked, in any order. `updated_at` stays, as with the toolkit.
///
/// Rows that somebody else is changing at the moment are left out.
///
/// # Errors
/// If the database fails.
pub async fn mark_expired(
    transaction: &mut Transaction,
    now: Timestamp,
    from: ImageId,
    limit: u32,
) -> Result<Vec<DueImage>, Error> {
    let connection = transaction.connection();
    let statement = MARK_EXPIRED.of(&connection);
    Ok(on!(connection, connection => sqlx::query_as::<_, DueImage>(statement)
        .bind(now)
        .bind(from)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await)?)
}

macro_rules! list_expired {
    ($lock:literal) => {
        concat!(
            r"
    SELECT id, cloudflare_id, expires_at
    FROM cloudflare_images
    WHERE status = 'expired' AND expires_at < $1 AND id >= $2
    ORDER BY id
    LIMIT $3",
            $lock
        )
    };
}

const LIST_EXPIRED: Pair = Pair { postgres: list_expired!(" FOR UPDATE SKIP LOCKED"), sqlite: list_expired!("") };

/// A batch of images that are `expired` since before a time, from a key on, by key. They are locked; rows that somebody else is
/// changing at the moment are left out.
///
/// # Errors
/// If the database fails.
pub async fn list_expired(
    transaction: &mut Transaction,
    before: Timestamp,
    from: ImageId,
    limit: u32,
) -> Result<Vec<DueImage>, Error> {
    let connection = transaction.connection();
    let statement = LIST_EXPIRED.of(&connection);
    Ok(on!(connection, connection => sqlx::query_as::<_, DueImage>(statement)
        .bind(before)
        .bind(from)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await)?)
}

const LIST_ORPHANS: &str = concat!(
    "SELECT id, cloudflare_id, expires_at FROM cloudflare_images WHERE ",
    orphaned!(),
    " AND id >= $2 ORDER BY id LIMIT $3"
);

/// A batch of images to which nothing has referred since a time, from a key on, by key.
///
/// # Errors
/// If the database fails.
pub async fn list_orphans(
    database: &Database,
    before: Timestamp,
    from: ImageId,
    limit: u32,
) -> Result<Vec<DueImage>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, DueImage>(LIST_ORPHANS)
        .bind(before)
        .bind(from)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}

const IS_ORPHAN: &str = concat!("SELECT count(*) FROM cloudflare_images WHERE ", orphaned!(), " AND id = $2");

/// Whether an image is there, and nothing has referred to it since a time.
///
/// # Errors
/// If the database fails.
pub async fn is_orphan(database: &Database, id: ImageId, before: Timestamp) -> Result<bool, Error> {
    let count: i64 = on!(database.reader(), pool => {
        sqlx::query_scalar(IS_ORPHAN).bind(before).bind(id).fetch_one(pool).await
    })?;
    Ok(count > 0)
}
