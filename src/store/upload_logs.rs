//! Rows of `cloudflare_image_logs`.

use super::image_set::{Pair, in_set};
use super::{Database, Error, ImageSet, Transaction, on};
use crate::domain::{ImageId, LogEntry, Timestamp, UploadEvent};

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

const LIST: &str = r#"
    SELECT id, image_id, event_type, message, data, "timestamp"
    FROM cloudflare_image_logs
    WHERE image_id = $1
    ORDER BY "timestamp" DESC, id DESC"#;

/// The log of an image, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list(database: &Database, image: ImageId) -> Result<Vec<LogEntry>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, LogEntry>(LIST).bind(image).fetch_all(pool).await)?)
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
