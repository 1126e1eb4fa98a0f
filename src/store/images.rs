//! Rows of `cloudflare_images`.

use super::database::Engine;
use super::image_set::{Pair, in_set};
use super::{CloudflareIdSet, Database, DuplicateExt, Error, ImageSet, Transaction, on, usages};
use crate::domain::{
    CloudflareId, Image, ImageChanges, ImageEdit, ImageId, ImageKeys, ImageStatus, Json, NewImage, RegisteredImage,
    RemoteChanges, Timestamp, Variants,
};

/// The columns of an [`Image`]. Numbers are `integer` on one engine and of any size on the other.
macro_rules! columns {
    () => {
        "id, cloudflare_id, user_id, filename, original_filename, content_type, CAST(file_size AS bigint) AS file_size, \
         upload_url, status, require_signed_urls, metadata, created_at, updated_at, uploaded_at, expires_at, variants, \
         cloudflare_metadata, creator, CAST(width AS bigint) AS width, CAST(height AS bigint) AS height"
    };
}
pub(super) use columns;

const INSERT: &str = concat!(
    r"
    INSERT INTO cloudflare_images (
        id, cloudflare_id, user_id, filename, original_filename, content_type, upload_url, status, require_signed_urls, metadata,
        created_at, updated_at, expires_at, format, variants, cloudflare_metadata, creator
    )
    VALUES ($1, $2, $3, '', $4, '', $5, $6, $7, $8, $9, $9, $10, '', $11, $12, $13)
    RETURNING ",
    columns!()
);

/// Records an image that was just made at Cloudflare, as `pending`, and links references to it that are there already.
///
/// # Errors
/// [`Error::Duplicate`] if the id at Cloudflare is known already.
pub async fn insert(transaction: &mut Transaction, image: &NewImage, now: Timestamp) -> Result<Image, Error> {
    let image = on!(transaction.connection(), connection => sqlx::query_as::<_, Image>(INSERT)
        .bind(ImageId::random())
        .bind(&image.cloudflare_id)
        .bind(image.user_id)
        .bind(&image.original_filename)
        .bind(&image.upload_url)
        .bind(ImageStatus::Pending)
        .bind(image.require_signed_urls)
        .bind(&image.metadata)
        .bind(now)
        .bind(image.expires_at)
        .bind(Variants::none())
        .bind(Json::default())
        .bind(&image.creator)
        .fetch_one(connection)
        .await
        .duplicate_of("cloudflare_id"))?;
    usages::link(transaction, &image, now).await?;
    Ok(image)
}

macro_rules! register {
    ($owner:literal) => {
        concat!(
            r"
    INSERT INTO cloudflare_images (
        id, cloudflare_id, filename, original_filename, content_type, upload_url, status, require_signed_urls, metadata,
        created_at, updated_at, expires_at, format, variants, cloudflare_metadata, creator, user_id
    )
    VALUES ($1, $2, '', '', '', '', $3, $4, $5, $6, $6, $6, '', $7, $8, '', ",
            $owner,
            r")
    ON CONFLICT (cloudflare_id) DO NOTHING
    RETURNING ",
            columns!()
        )
    };
}

const REGISTER: &str = register!("$9");
/// A parameter without a value has no type that fits the keys of all user models.
const REGISTER_UNOWNED: &str = register!("NULL");

/// Records an image whose picture is at Cloudflare, as `uploaded`; none if it is recorded already. Its upload URL has been used,
/// so it ends now.
///
/// # Errors
/// If the database fails.
pub async fn register(
    transaction: &mut Transaction,
    image: &RegisteredImage,
    require_signed_urls: bool,
    now: Timestamp,
) -> Result<Option<Image>, Error> {
    let statement = if image.user_id.is_some() { REGISTER } else { REGISTER_UNOWNED };
    Ok(on!(transaction.connection(), connection => {
        let query = sqlx::query_as::<_, Image>(statement)
            .bind(ImageId::random())
            .bind(&image.cloudflare_id)
            .bind(ImageStatus::Uploaded)
            .bind(image.require_signed_urls.unwrap_or(require_signed_urls))
            .bind(image.metadata.clone().unwrap_or_default())
            .bind(now)
            .bind(Variants::none())
            .bind(Json::default());
        let query = match image.user_id {
            Some(owner) => query.bind(owner),
            None => query,
        };
        query.fetch_optional(connection).await
    })?)
}

const CLAIM: &str = concat!(
    r"
    UPDATE cloudflare_images
    SET user_id = $2,
        require_signed_urls = coalesce($3, require_signed_urls),
        metadata = coalesce($4, metadata)
    WHERE cloudflare_id = $1 AND (user_id IS NULL OR user_id = $2)
    RETURNING ",
    columns!()
);

/// Gives an image that is recorded to its owner; none if it is somebody else's.
///
/// # Errors
/// If the database fails.
pub async fn claim(transaction: &mut Transaction, image: &RegisteredImage) -> Result<Option<Image>, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_as::<_, Image>(CLAIM)
        .bind(&image.cloudflare_id)
        .bind(image.user_id)
        .bind(image.require_signed_urls)
        .bind(&image.metadata)
        .fetch_optional(connection)
        .await)?)
}

const CHANGE: &str = r"
    UPDATE cloudflare_images
    SET cloudflare_id = $2,
        metadata = coalesce($3, metadata),
        require_signed_urls = coalesce($4, require_signed_urls),
        creator = coalesce($5, creator)
    WHERE id = $1";

/// Records what was changed in an image at Cloudflare; [`apply`] records the rest of the answer.
///
/// # Errors
/// [`Error::Duplicate`] if the new id at Cloudflare is known already.
pub async fn change(transaction: &mut Transaction, id: ImageId, changes: &RemoteChanges) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(CHANGE)
        .bind(id)
        .bind(&changes.cloudflare_id)
        .bind(&changes.metadata)
        .bind(changes.require_signed_urls)
        .bind(&changes.creator)
        .execute(connection)
        .await
        .map(drop)
        .duplicate_of("cloudflare_id"))
}

const FIND: &str = concat!("SELECT ", columns!(), " FROM cloudflare_images WHERE id = $1");

/// The image with a key, whoever owns it.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, id: ImageId) -> Result<Option<Image>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, Image>(FIND).bind(id).fetch_optional(pool).await)?)
}

const LIST_EXPIRING: &str = concat!(
    "SELECT ",
    columns!(),
    r"
    FROM cloudflare_images
    WHERE expires_at > $1 AND expires_at <= $2 AND status IN ('pending', 'draft')
    ORDER BY expires_at, id
    LIMIT $3"
);

/// Unfinished images whose upload URL ends between two times, the first to end first.
///
/// # Errors
/// If the database fails.
pub async fn list_expiring(
    database: &Database,
    after: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Image>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, Image>(LIST_EXPIRING)
        .bind(after)
        .bind(until)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}

const FIND_BY_CLOUDFLARE_ID: &str = concat!("SELECT ", columns!(), " FROM cloudflare_images WHERE cloudflare_id = $1");

/// The image with this id at Cloudflare, whoever owns it.
///
/// # Errors
/// If the database fails.
pub async fn find_by_cloudflare_id(database: &Database, id: &CloudflareId) -> Result<Option<Image>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, Image>(FIND_BY_CLOUDFLARE_ID).bind(id).fetch_optional(pool).await
    })?)
}

const LIST: Pair = in_set!(concat!("SELECT ", columns!(), " FROM cloudflare_images WHERE id"));

/// Images by their keys, whoever owns them, in any order.
///
/// # Errors
/// If the database fails.
pub async fn list(transaction: &mut Transaction, images: &ImageSet) -> Result<Vec<Image>, Error> {
    let connection = transaction.connection();
    let statement = LIST.of(&connection);
    Ok(on!(connection, connection => {
        sqlx::query_as::<_, Image>(statement).bind(images).fetch_all(connection).await
    })?)
}

const FIND_BY_CLOUDFLARE_IDS: Pair =
    in_set!(concat!("SELECT ", columns!(), " FROM cloudflare_images WHERE cloudflare_id"));

/// The images with these ids at Cloudflare, whoever owns them, in any order.
///
/// # Errors
/// If the database fails.
pub async fn find_by_cloudflare_ids(database: &Database, ids: &CloudflareIdSet) -> Result<Vec<Image>, Error> {
    let statement = FIND_BY_CLOUDFLARE_IDS.of(database.reader());
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, Image>(statement).bind(ids).fetch_all(pool).await)?)
}

macro_rules! lock_by_cloudflare_ids {
    ($after:literal) => {
        in_set!(concat!("SELECT ", columns!(), " FROM cloudflare_images WHERE cloudflare_id"), $after)
    };
}

const LOCK_BY_CLOUDFLARE_IDS: Pair = Pair {
    postgres: lock_by_cloudflare_ids!(" ORDER BY id FOR UPDATE").postgres,
    // The transaction of SQLite is the only writer anyway.
    sqlite: lock_by_cloudflare_ids!(" ORDER BY id").sqlite,
};

/// The images with these ids at Cloudflare, as they are, by key; others are kept from changing them, and from referring to them
/// anew, until the transaction ends.
///
/// # Errors
/// If the database fails.
pub async fn lock_by_cloudflare_ids(transaction: &mut Transaction, ids: &CloudflareIdSet) -> Result<Vec<Image>, Error> {
    let connection = transaction.connection();
    let statement = LOCK_BY_CLOUDFLARE_IDS.of(&connection);
    Ok(on!(connection, connection => sqlx::query_as::<_, Image>(statement).bind(ids).fetch_all(connection).await)?)
}

/// An image, and whether it is to be found at Cloudflare.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ExpectedImage {
    /// The keys of the image.
    #[sqlx(flatten)]
    pub keys: ImageKeys,
    /// Whether it was uploaded, and before the time in question.
    pub is_expected: bool,
}

// A condition would tempt the engines to take another index, and to sort all images for every batch.
const LIST_EXPECTED: &str = r"
    SELECT id, cloudflare_id, status = 'uploaded' AND coalesce(uploaded_at, created_at) < $1 AS is_expected
    FROM cloudflare_images
    WHERE id >= $2
    ORDER BY id
    LIMIT $3";

/// A batch of all images, from a key on, by key, and of each whether it was uploaded before a time.
///
/// # Errors
/// If the database fails.
pub async fn list_expected(
    database: &Database,
    before: Timestamp,
    from: ImageId,
    limit: u32,
) -> Result<Vec<ExpectedImage>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, ExpectedImage>(LIST_EXPECTED)
        .bind(before)
        .bind(from)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}

const COUNT: &str = "SELECT count(*) FROM cloudflare_images";

/// How many images are recorded. Takes longer the more there are.
///
/// # Errors
/// If the database fails.
pub async fn count(database: &Database) -> Result<u64, Error> {
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(COUNT).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

macro_rules! apply {
    ($key:literal) => {
        concat!(
            r"
    UPDATE cloudflare_images
    SET status = CASE WHEN status = 'uploaded' AND $2 IN ('draft', 'failed') THEN status ELSE coalesce($2, status) END,
        uploaded_at = coalesce($3, uploaded_at, $4),
        variants = coalesce($5, variants),
        cloudflare_metadata = coalesce($6, cloudflare_metadata),
        creator = coalesce($7, creator),
        filename = coalesce($8, filename),
        width = coalesce($9, width),
        height = coalesce($10, height),
        format = coalesce($11, format),
        content_type = coalesce($12, content_type),
        file_size = coalesce($13, file_size),
        updated_at = $14
    WHERE ",
            $key,
            " = $1
    RETURNING ",
            columns!()
        )
    };
}

/// Binds what changes to a statement of `apply!`, runs it, and links references to the image.
macro_rules! run_apply {
    ($transaction:ident, $statement:ident, $key:ident, $changes:ident, $now:ident) => {{
        let image = on!($transaction.connection(), connection => sqlx::query_as::<_, Image>($statement)
            .bind($key)
            .bind(&$changes.status)
            .bind($changes.uploaded_at)
            .bind($changes.uploaded_at_fallback)
            .bind(&$changes.variants)
            .bind(&$changes.cloudflare_metadata)
            .bind(&$changes.creator)
            .bind(&$changes.filename)
            .bind($changes.width)
            .bind($changes.height)
            .bind(&$changes.format)
            .bind(&$changes.content_type)
            .bind($changes.file_size)
            .bind($now)
            .fetch_optional(connection)
            .await)?;
        if let Some(image) = &image {
            usages::link($transaction, image, $now).await?;
        }
        Ok(image)
    }};
}

const APPLY: &str = apply!("id");

/// Applies what Cloudflare reported; `None` if the image is gone.
///
/// Reports may overtake one another: an answer from before the upload must not make a draft of an uploaded image. A picture that is
/// at Cloudflare stays there until it is deleted, so an uploaded image stays uploaded.
///
/// # Errors
/// If the database fails.
pub async fn apply(
    transaction: &mut Transaction,
    id: ImageId,
    changes: &ImageChanges,
    now: Timestamp,
) -> Result<Option<Image>, Error> {
    run_apply!(transaction, APPLY, id, changes, now)
}

const APPLY_BY_CLOUDFLARE_ID: &str = apply!("cloudflare_id");

/// The same for the image with an id at Cloudflare; `None` if there is none.
///
/// # Errors
/// If the database fails.
pub async fn apply_by_cloudflare_id(
    transaction: &mut Transaction,
    id: &CloudflareId,
    changes: &ImageChanges,
    now: Timestamp,
) -> Result<Option<Image>, Error> {
    run_apply!(transaction, APPLY_BY_CLOUDFLARE_ID, id, changes, now)
}

const HOLD: Pair = Pair {
    postgres: concat!("SELECT ", columns!(), " FROM cloudflare_images WHERE id = $1 FOR NO KEY UPDATE"),
    sqlite: concat!("SELECT ", columns!(), " FROM cloudflare_images WHERE id = $1"),
};

/// An image as it is, which nobody else changes until the transaction ends; `None` if it is gone.
///
/// # Errors
/// If the database fails.
pub async fn hold(transaction: &mut Transaction, id: ImageId) -> Result<Option<Image>, Error> {
    let connection = transaction.connection();
    let statement = HOLD.of(&connection);
    Ok(on!(connection, connection => sqlx::query_as::<_, Image>(statement).bind(id).fetch_optional(connection).await)?)
}

const MARK_EXPIRED: &str =
    "UPDATE cloudflare_images SET status = 'expired' WHERE id = $1 AND status IN ('pending', 'draft')";

/// Marks an unfinished image as expired; whether it was unfinished. `updated_at` stays, as with the toolkit.
///
/// # Errors
/// If the database fails.
pub async fn mark_expired(transaction: &mut Transaction, id: ImageId) -> Result<bool, Error> {
    let marked = on!(transaction.connection(), connection => {
        sqlx::query(MARK_EXPIRED).bind(id).execute(connection).await.map(|done| done.rows_affected())
    })?;
    Ok(marked > 0)
}

const EDIT: &str = concat!(
    r"
    UPDATE cloudflare_images
    SET filename = coalesce($2, filename),
        original_filename = coalesce($3, original_filename),
        content_type = coalesce($4, content_type),
        file_size = CASE WHEN $5 THEN $6 ELSE file_size END,
        require_signed_urls = coalesce($7, require_signed_urls),
        metadata = coalesce($8, metadata),
        variants = coalesce($9, variants),
        updated_at = $10
    WHERE id = $1
    RETURNING ",
    columns!()
);

/// Changes what clients may change; `None` if the image is gone.
///
/// A single URL among `image`'s variants, as older rows have it, becomes a list: the toolkit does so on every save.
///
/// # Errors
/// If the database fails.
pub async fn edit(
    transaction: &mut Transaction,
    image: &Image,
    edit: &ImageEdit,
    now: Timestamp,
) -> Result<Option<Image>, Error> {
    let changed = on!(transaction.connection(), connection => sqlx::query_as::<_, Image>(EDIT)
        .bind(image.id)
        .bind(&edit.filename)
        .bind(&edit.original_filename)
        .bind(&edit.content_type)
        .bind(edit.file_size.is_some())
        .bind(edit.file_size.flatten())
        .bind(edit.require_signed_urls)
        .bind(&edit.metadata)
        .bind(image.variants.wrapped())
        .bind(now)
        .fetch_optional(connection)
        .await)?;
    if let Some(changed) = &changed {
        usages::link(transaction, changed, now).await?;
    }
    Ok(changed)
}

const LOCK: &str = "SELECT id FROM cloudflare_images WHERE id = ANY($1) ORDER BY id FOR UPDATE";

/// Keeps others from changing images, and from referring to them anew, until the transaction ends.
///
/// # Errors
/// If the database fails.
pub async fn lock(transaction: &mut Transaction, images: &ImageSet) -> Result<(), Error> {
    // The transaction of SQLite is the only writer anyway.
    if let Engine::Postgres(connection) = transaction.connection() {
        sqlx::query(LOCK).bind(images).execute(connection).await?;
    }
    Ok(())
}

const DELETE: Pair = in_set!("DELETE FROM cloudflare_images WHERE id");

/// Deletes images that nothing refers to any more; how many there were.
///
/// # Errors
/// If the database fails, or something refers to one of them: some references are looked at by [`check_references`] only.
pub async fn delete(transaction: &mut Transaction, images: &ImageSet) -> Result<u64, Error> {
    let connection = transaction.connection();
    let statement = DELETE.of(&connection);
    let deleted = on!(connection, connection => {
        sqlx::query(statement).bind(images).execute(connection).await.map(|done| done.rows_affected())
    })?;
    Ok(deleted)
}

/// Looks at once at what PostgreSQL would look at only on committing; SQLite knows no such command.
///
/// # Errors
/// If a reference leads nowhere, or the database fails.
pub async fn check_references(transaction: &mut Transaction) -> Result<(), Error> {
    if let Engine::Postgres(connection) = transaction.connection() {
        sqlx::query("SET CONSTRAINTS ALL IMMEDIATE").execute(connection).await?;
    }
    Ok(())
}
