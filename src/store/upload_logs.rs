//! Rows of `cloudflare_image_logs`.

use super::image_set::{Pair, in_set};
use super::{Database, Error, ImageSet, Transaction, on};
use crate::domain::{ImageId, LogEntry, RecentEvent, Timestamp, UploadEvent};

const INSERT: &str = r#"
    INSERT INTO cloudflare_image_logs (event_type, message, data, "timestamp", image_id)
    VALUES ($1, $2, $3, $4, $5)"#;

/// Adds what happened to the log of an image.
///
/// # Errors
/// If the database fails.
pub async fn insert(
    transaction: &mut Transaction,
    image: ImageId,
    event: &UploadEvent<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(INSERT)
        .bind(event.event_type())
        .bind(event.message())
        .bind(event.data())
        .bind(now)
        .bind(image)
        .execute(connection)
        .await
        .map(drop))?;
    Ok(())
}

macro_rules! list {
    () => {
        r#"
    SELECT id, image_id, event_type, message, data, "timestamp"
    FROM cloudflare_image_logs
    WHERE image_id = $1
    ORDER BY "timestamp" DESC, id DESC"#
    };
}

const LIST: &str = list!();

/// The log of an image, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list(database: &Database, image: ImageId) -> Result<Vec<LogEntry>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, LogEntry>(LIST).bind(image).fetch_all(pool).await)?)
}

const LIST_LATEST_OF_IMAGE: &str = concat!(list!(), " LIMIT $2");

/// The latest entries of the log of an image, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list_latest_of_image(database: &Database, image: ImageId, limit: u32) -> Result<Vec<LogEntry>, Error> {
    Ok(on!(database.reader(), pool => {
        let query = sqlx::query_as::<_, LogEntry>(LIST_LATEST_OF_IMAGE).bind(image).bind(i64::from(limit));
        query.fetch_all(pool).await
    })?)
}

// The keys of rows grow with time, and there is an index on them.
const LIST_LATEST: &str = r#"
    SELECT images.id AS image_id, images.cloudflare_id, images.filename, images.original_filename, logs.event_type, logs."timestamp"
    FROM (SELECT id, image_id, event_type, "timestamp" FROM cloudflare_image_logs ORDER BY id DESC LIMIT $1) AS logs
    JOIN cloudflare_images AS images ON images.id = logs.image_id
    ORDER BY logs.id DESC"#;

/// What happened last to any image, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list_latest(database: &Database, limit: u32) -> Result<Vec<RecentEvent>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, RecentEvent>(LIST_LATEST).bind(i64::from(limit)).fetch_all(pool).await
    })?)
}

const DELETE: Pair = in_set!("DELETE FROM cloudflare_image_logs WHERE image_id");

/// Deletes the logs of images.
///
/// # Errors
/// If the database fails.
pub async fn delete(transaction: &mut Transaction, images: &ImageSet) -> Result<(), Error> {
    let connection = transaction.connection();
    let statement = DELETE.of(&connection);
    on!(connection, connection => sqlx::query(statement).bind(images).execute(connection).await.map(drop))?;
    Ok(())
}
