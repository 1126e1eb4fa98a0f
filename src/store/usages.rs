//! Rows of `cloudflare_image_usages`.

use super::image_set::{Pair, in_set};
use super::{Database, Error, ImageSet, Transaction, on};
use crate::domain::{Image, ImageId, ImageUsage, Timestamp};

/// The columns of an [`ImageUsage`], in a join of usages and their content types.
macro_rules! columns {
    () => {
        "usages.id, usages.cloudflare_id, usages.image_id, types.app_label, types.model, usages.object_id, usages.field_name, \
         usages.created_at, usages.updated_at"
    };
}

const LIST_OF_IMAGE: &str = concat!(
    "SELECT ",
    columns!(),
    r"
    FROM cloudflare_image_usages AS usages
    JOIN django_content_type AS types ON types.id = usages.content_type_id
    WHERE usages.image_id = $1
    ORDER BY usages.updated_at DESC, usages.id DESC"
);

/// The references to an image, the latest first.
///
/// # Errors
/// If the database fails.
pub async fn list_of_image(database: &Database, image: ImageId) -> Result<Vec<ImageUsage>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, ImageUsage>(LIST_OF_IMAGE).bind(image).fetch_all(pool).await
    })?)
}

const LINK: &str = "UPDATE cloudflare_image_usages SET image_id = $1 WHERE cloudflare_id = $2 AND image_id IS NULL";
const MARK_REFERENCED: &str = "UPDATE cloudflare_images SET last_referenced_at = $2 WHERE id = $1";

/// Links references that were recorded before their image was, as the toolkit does whenever an image is saved.
///
/// # Errors
/// If the database fails.
pub(super) async fn link(transaction: &mut Transaction, image: &Image, now: Timestamp) -> Result<(), Error> {
    let linked = on!(transaction.connection(), connection => {
        let done = sqlx::query(LINK).bind(image.id).bind(&image.cloudflare_id).execute(connection).await;
        done.map(|done| done.rows_affected())
    })?;
    if linked > 0 {
        mark_referenced(transaction, image.id, now).await?;
    }
    Ok(())
}

/// Starts the time anew after which an image counts as an orphan.
///
/// # Errors
/// If the database fails.
pub async fn mark_referenced(transaction: &mut Transaction, image: ImageId, now: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(MARK_REFERENCED).bind(image).bind(now).execute(connection).await.map(drop)
    })?;
    Ok(())
}

const UNLINK: Pair = in_set!("UPDATE cloudflare_image_usages SET image_id = NULL WHERE image_id");

/// Keeps the references to images that go, as references to images that are not recorded.
///
/// # Errors
/// If the database fails.
pub async fn unlink(transaction: &mut Transaction, images: &ImageSet) -> Result<(), Error> {
    let connection = transaction.connection();
    let statement = UNLINK.of(&connection);
    on!(connection, connection => sqlx::query(statement).bind(images).execute(connection).await.map(drop))?;
    Ok(())
}
