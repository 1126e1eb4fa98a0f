//! Rows of `cfimages_import_runs` and `cfimages_import_items`: whose turn an import is, and what became of each of its items.

use sqlx::FromRow;

use super::{Database, Error, Transaction, on};
use crate::domain::{CloudflareId, ImageId, ImageMarks, Json, Timestamp};

const CLAIM: &str = r"
    INSERT INTO cfimages_import_runs (id, claimed_by, claimed_until)
    VALUES (1, $2, $3)
    ON CONFLICT (id) DO UPDATE SET claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until
        WHERE cfimages_import_runs.claimed_until <= $1";

/// Makes it the claimant's turn until `claimed_until`; false while it is somebody else's.
///
/// # Errors
/// If the database fails.
pub async fn claim(
    transaction: &mut Transaction,
    claimant: &str,
    now: Timestamp,
    claimed_until: Timestamp,
) -> Result<bool, Error> {
    let claimed = on!(transaction.connection(), connection => sqlx::query(CLAIM)
        .bind(now)
        .bind(claimant)
        .bind(claimed_until)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(claimed > 0)
}

const CLAIMED_UNTIL: &str = "SELECT claimed_until FROM cfimages_import_runs";

/// Until when it is somebody's turn, unless they prolong that.
///
/// # Errors
/// If the database fails.
pub async fn claimed_until(database: &Database) -> Result<Option<Timestamp>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_scalar(CLAIMED_UNTIL).fetch_optional(pool).await)?)
}

const PROLONG: &str = "UPDATE cfimages_import_runs SET claimed_until = $1 WHERE claimed_by = $2";

/// Makes the claimant's turn end at another time; false if it is somebody else's by now.
///
/// # Errors
/// If the database fails.
pub async fn prolong(transaction: &mut Transaction, claimant: &str, claimed_until: Timestamp) -> Result<bool, Error> {
    let prolonged = on!(transaction.connection(), connection => sqlx::query(PROLONG)
        .bind(claimed_until)
        .bind(claimant)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(prolonged > 0)
}

/// An item whose upload was begun.
#[derive(Debug, Clone, FromRow)]
pub struct ImportItem {
    /// What the metadata of the image have, and no others.
    pub mark: String,
    /// What else the image is known by.
    #[sqlx(try_from = "String")]
    pub marks: ImageMarks,
    /// When the latest upload was begun.
    pub begun_at: Timestamp,
    /// From when on what is found at Cloudflare is all that there will be of it.
    pub certain_at: Timestamp,
    /// The image, once it is recorded.
    pub image_id: Option<ImageId>,
    /// The key of the image at Cloudflare; none if it was deleted since.
    pub cloudflare_id: Option<CloudflareId>,
}

const FIND: &str = r"
    SELECT items.mark, items.marks, items.begun_at, items.certain_at, items.image_id, images.cloudflare_id
    FROM cfimages_import_items AS items
    LEFT JOIN cloudflare_images AS images ON images.id = items.image_id
    WHERE items.item = $1";

/// What is known of an item; none if its upload was never begun.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, item: &str) -> Result<Option<ImportItem>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, ImportItem>(FIND).bind(item).fetch_optional(pool).await
    })?)
}

const BEGIN: &str = r"
    INSERT INTO cfimages_import_items (item, mark, marks, begun_at, certain_at)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (item) DO NOTHING";

/// Records that the upload of an item begins; false if that is recorded already.
///
/// # Errors
/// If the database fails.
pub async fn begin(transaction: &mut Transaction, item: &str, begun: &ImportItem) -> Result<bool, Error> {
    let rows = on!(transaction.connection(), connection => sqlx::query(BEGIN)
        .bind(item)
        .bind(&begun.mark)
        .bind(Json::of(&begun.marks).as_str())
        .bind(begun.begun_at)
        .bind(begun.certain_at)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows > 0)
}

const BEGIN_ANEW: &str = r"
    UPDATE cfimages_import_items
    SET mark = $2, marks = $3, begun_at = $4, certain_at = $5
    WHERE item = $1 AND begun_at = $6 AND image_id IS NULL";

/// Records that another upload of an item begins, as nothing came of the one that was begun at `before`; false if somebody else has seen
/// to that.
///
/// # Errors
/// If the database fails.
pub async fn begin_anew(
    transaction: &mut Transaction,
    item: &str,
    begun: &ImportItem,
    before: Timestamp,
) -> Result<bool, Error> {
    let rows = on!(transaction.connection(), connection => sqlx::query(BEGIN_ANEW)
        .bind(item)
        .bind(&begun.mark)
        .bind(Json::of(&begun.marks).as_str())
        .bind(begun.begun_at)
        .bind(begun.certain_at)
        .bind(before)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows > 0)
}

const FINISH: &str = r"
    UPDATE cfimages_import_items
    SET image_id = $2
    WHERE item = $1 AND begun_at = $3 AND image_id IS NULL";

/// Records which image the upload of an item, begun at that time, has come to; false if somebody else has seen to it.
///
/// # Errors
/// If the database fails.
pub async fn finish(
    transaction: &mut Transaction,
    item: &str,
    image: ImageId,
    begun_at: Timestamp,
) -> Result<bool, Error> {
    let rows = on!(transaction.connection(), connection => sqlx::query(FINISH)
        .bind(item)
        .bind(image)
        .bind(begun_at)
        .execute(connection)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows > 0)
}

const IS_IMAGE_OF: &str = "SELECT count(*) FROM cfimages_import_items WHERE item = $1 AND image_id = $2";

/// Whether an item is known to have come to this image.
///
/// # Errors
/// If the database fails.
pub async fn is_image_of(transaction: &mut Transaction, item: &str, image: ImageId) -> Result<bool, Error> {
    let count: i64 = on!(transaction.connection(), connection => {
        sqlx::query_scalar(IS_IMAGE_OF).bind(item).bind(image).fetch_one(connection).await
    })?;
    Ok(count > 0)
}

const FORGET: &str = "DELETE FROM cfimages_import_items WHERE item = $1 AND begun_at = $2";

/// Forgets the upload of an item that was begun at that time: nothing came of it, or its image was deleted.
///
/// # Errors
/// If the database fails.
pub async fn forget(transaction: &mut Transaction, item: &str, begun_at: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(FORGET).bind(item).bind(begun_at).execute(connection).await.map(drop)
    })?;
    Ok(())
}
