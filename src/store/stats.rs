//! Figures, out of the counts that triggers keep.

use sqlx::FromRow;

use super::{Database, Error, Transaction, on};
use crate::domain::{ImageStats, StatusCounts, Timestamp, UserId};

#[derive(FromRow)]
struct UsageRow {
    usages: i64,
    used_images: i64,
}

macro_rules! sum_counts {
    () => {
        r"
    SELECT
        CAST(coalesce(sum(images), 0) AS bigint) AS total,
        CAST(coalesce(sum(images) FILTER (WHERE status = 'uploaded'), 0) AS bigint) AS uploaded,
        CAST(coalesce(sum(images) FILTER (WHERE status = 'pending'), 0) AS bigint) AS pending,
        CAST(coalesce(sum(images) FILTER (WHERE status = 'draft'), 0) AS bigint) AS draft,
        CAST(coalesce(sum(images) FILTER (WHERE status = 'failed'), 0) AS bigint) AS failed,
        CAST(coalesce(sum(images) FILTER (WHERE status = 'expired'), 0) AS bigint) AS expired,
        CAST(coalesce(sum(images) FILTER (WHERE require_signed_urls), 0) AS bigint) AS signed,
        CAST(coalesce(sum(bytes), 0) AS bigint) AS total_file_size
    FROM cfimages_image_counts"
    };
}

const FIND: &str = concat!(sum_counts!(), " WHERE user_key = CAST($1 AS text)");

const FIND_USAGES: &str = r"
    SELECT count(*) AS usages, count(DISTINCT images.id) AS used_images
    FROM cloudflare_image_usages AS usages
    JOIN cloudflare_images AS images ON images.id = usages.image_id
    WHERE images.user_id = $1";

/// The figures of a user. The cost does not grow with the number of images; it does with that of usages.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, owner: UserId) -> Result<ImageStats, Error> {
    let counts: StatusCounts = on!(database.reader(), pool => sqlx::query_as(FIND).bind(owner).fetch_one(pool).await)?;
    let usage: UsageRow =
        on!(database.reader(), pool => sqlx::query_as(FIND_USAGES).bind(owner).fetch_one(pool).await)?;
    Ok(ImageStats { counts, usages: usage.usages, orphaned: (counts.total - usage.used_images).max(0) })
}

const FIND_ALL_USAGES: &str = "SELECT count(*) AS usages, count(DISTINCT image_id) AS used_images FROM cloudflare_image_usages WHERE image_id IS NOT NULL";

/// The figures of all images, whoever owns them. The cost is as that of [`find`].
///
/// # Errors
/// If the database fails.
pub async fn find_all(database: &Database) -> Result<ImageStats, Error> {
    let counts = count_all(database).await?;
    let usage: UsageRow = on!(database.reader(), pool => sqlx::query_as(FIND_ALL_USAGES).fetch_one(pool).await)?;
    Ok(ImageStats { counts, usages: usage.usages, orphaned: (counts.total - usage.used_images).max(0) })
}

/// How many images there are in all. The cost does not grow with their number.
///
/// # Errors
/// If the database fails.
pub async fn count_all(database: &Database) -> Result<StatusCounts, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as(sum_counts!()).fetch_one(pool).await)?)
}

// Both conditions are in an index of Django's, which is all that is read.
const COUNT_UPLOADED: &str =
    "SELECT count(*) FROM cloudflare_images WHERE status = 'uploaded' AND created_at >= $1 AND created_at < $2";

/// How many images were made from one time until before another, and uploaded. The cost grows with their number.
///
/// # Errors
/// If the database fails.
pub async fn count_uploaded(database: &Database, from: Timestamp, before: Timestamp) -> Result<u64, Error> {
    let count: i64 = on!(database.reader(), pool => {
        sqlx::query_scalar(COUNT_UPLOADED).bind(from).bind(before).fetch_one(pool).await
    })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

const LOCK_POSTGRES: &[&str] =
    &["SET LOCAL statement_timeout = 0", "LOCK TABLE cloudflare_images IN SHARE ROW EXCLUSIVE MODE"];
/// The transaction of SQLite is the only writer anyway.
const LOCK_SQLITE: &[&str] = &[];

const RECOUNT: &[&str] = &[
    "DELETE FROM cfimages_image_counts",
    r"
    INSERT INTO cfimages_image_counts (user_key, status, require_signed_urls, slot, images, bytes)
    SELECT coalesce(CAST(user_id AS text), ''), status, require_signed_urls, 0, count(*), coalesce(sum(file_size), 0)
    FROM cloudflare_images
    GROUP BY 1, 2, 3",
];

/// Counts all images anew. Writers wait until the transaction ends.
///
/// # Errors
/// If the database fails.
pub async fn recount(transaction: &mut Transaction) -> Result<(), Error> {
    let lock = match transaction.connection() {
        super::database::Engine::Postgres(_) => LOCK_POSTGRES,
        super::database::Engine::Sqlite(_) => LOCK_SQLITE,
    };
    for statement in lock.iter().chain(RECOUNT) {
        on!(transaction.connection(), connection => sqlx::query(*statement).execute(connection).await.map(drop))?;
    }
    Ok(())
}
