//! Rows of `cloudflare_image_usages`.

use sqlx::{AssertSqlSafe, FromRow};

use super::database::Engine;
use super::image_set::{Pair, in_set};
use super::sql::{Argument, Dialect, Statement, bind_all};
use super::{Database, Error, ImageSet, Transaction, on, selections};
use crate::domain::{
    CloudflareId, ContentType, Image, ImageId, ImageUsage, PageFrom, PageRequest, Timestamp, UsageEntry, UsageOrder,
    UsageQuery, UsageSelection, UsageSlot, UsageSort, User, UserId,
};

/// The columns of an [`ImageUsage`], in a join of usages and their content types.
macro_rules! columns {
    () => {
        "usages.id, usages.cloudflare_id, usages.image_id, types.app_label, types.model, usages.object_id, usages.field_name, \
         usages.created_at, usages.updated_at"
    };
}

/// Usages and their content types.
macro_rules! joined {
    () => {
        r"
    FROM cloudflare_image_usages AS usages
    JOIN django_content_type AS types ON types.id = usages.content_type_id"
    };
}

const LIST_OF_IMAGE: &str = concat!(
    "SELECT ",
    columns!(),
    joined!(),
    r"
    WHERE usages.image_id = $1
    ORDER BY usages.updated_at DESC, usages.id DESC
    LIMIT $2"
);

/// The references to an image, the latest first; `limit` at most.
///
/// # Errors
/// If the database fails.
pub async fn list_of_image(database: &Database, image: ImageId, limit: u32) -> Result<Vec<ImageUsage>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, ImageUsage>(LIST_OF_IMAGE).bind(image).bind(i64::from(limit)).fetch_all(pool).await
    })?)
}

const IS_USED: &str = "SELECT EXISTS (SELECT 1 FROM cloudflare_image_usages WHERE image_id = $1)";

/// Whether content refers to an image.
///
/// # Errors
/// If the database fails.
pub async fn is_used(database: &Database, image: ImageId) -> Result<bool, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_scalar(IS_USED).bind(image).fetch_one(pool).await)?)
}

const COUNT_LINKS: &str = "SELECT count(*) FROM cloudflare_image_usages WHERE image_id = $1";

/// How often content refers to an image.
///
/// # Errors
/// If the database fails.
pub async fn count_links(database: &Database, image: ImageId) -> Result<u64, Error> {
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(COUNT_LINKS).bind(image).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

const COUNT_OF_IMAGE: &str =
    "SELECT count(*) FROM cloudflare_image_usages WHERE image_id = $1 OR (cloudflare_id = $2 AND image_id IS NULL)";

/// How many references there are to an image, those included that were not linked to it yet.
///
/// # Errors
/// If the database fails.
pub async fn count_of_image(transaction: &mut Transaction, image: &Image) -> Result<u64, Error> {
    let count: i64 = on!(transaction.connection(), connection => {
        sqlx::query_scalar(COUNT_OF_IMAGE).bind(image.id).bind(&image.cloudflare_id).fetch_one(connection).await
    })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Adds the usages that a user may see and that are selected.
fn push_selected(statement: &mut Statement, reader: &User, selection: &UsageSelection) {
    statement.push(joined!());
    if reader.is_staff {
        statement.push(" WHERE TRUE");
    } else {
        statement.push(" JOIN cloudflare_images AS images ON images.id = usages.image_id WHERE images.user_id = ");
        statement.bind(Argument::User(reader.id));
    }
    push_content_type(statement, selection.content_type.as_ref());
    if let Some(field_name) = &selection.field_name {
        statement.push(" AND usages.field_name = ").bind(Argument::Text(field_name.clone()));
    }
    if selection.only_unregistered {
        statement.push(" AND usages.image_id IS NULL");
    }
    for term in &selection.terms {
        let columns = ["usages.cloudflare_id", "usages.field_name", "usages.object_id"];
        statement.push(" AND ").any_contains(&columns, term);
    }
}

/// How many of the usages that a user may see are selected.
///
/// # Errors
/// If the database fails.
pub async fn count(database: &Database, reader: &User, selection: &UsageSelection) -> Result<u64, Error> {
    let mut statement = Statement::new(Dialect::of(database), "SELECT count(*)");
    push_selected(&mut statement, reader, selection);
    let Statement { text, arguments, .. } = statement;
    let count: i64 = on!(database.reader(), pool => {
        bind_all!(sqlx::query_scalar(AssertSqlSafe(text)), arguments).fetch_one(pool).await
    })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A page of the usages that a user may see and that are selected; the latest change first where no order is given, ties by
/// number, in the direction of the order.
///
/// # Errors
/// If the database fails.
pub async fn list(
    database: &Database,
    reader: &User,
    selection: &UsageSelection,
    order: &[UsageOrder],
    page: PageRequest,
) -> Result<Vec<ImageUsage>, Error> {
    const LATEST_CHANGE_FIRST: UsageOrder = UsageOrder { by: UsageSort::UpdatedAt, descending: true };
    let order = if order.is_empty() { &[LATEST_CHANGE_FIRST] } else { order };
    let mut statement = Statement::new(Dialect::of(database), concat!("SELECT ", columns!()));
    push_selected(&mut statement, reader, selection);
    statement.push(" ORDER BY ");
    for order in order {
        statement.push(order_text(*order)).push(", ");
    }
    let ties = if order[0].descending { "usages.id DESC" } else { "usages.id ASC" };
    let offset = i64::try_from(page.offset).unwrap_or(i64::MAX);
    statement.push(ties).push(" LIMIT ").bind(Argument::Number(page.size.into()));
    statement.push(" OFFSET ").bind(Argument::Number(offset));
    fetch(database, statement).await
}

/// A usage by its number, where a user may see it and it is selected.
///
/// # Errors
/// If the database fails.
pub async fn find_selected(
    database: &Database,
    reader: &User,
    selection: &UsageSelection,
    id: i64,
) -> Result<Option<ImageUsage>, Error> {
    let mut statement = Statement::new(Dialect::of(database), concat!("SELECT ", columns!()));
    push_selected(&mut statement, reader, selection);
    statement.push(" AND usages.id = ").bind(Argument::Number(id));
    Ok(fetch(database, statement).await?.pop())
}

/// At most `limit` of all usages, the newest rows first.
///
/// # Errors
/// If the database fails.
pub async fn browse(
    database: &Database,
    query: &UsageQuery,
    from: PageFrom<i64>,
    limit: u32,
) -> Result<Vec<UsageEntry>, Error> {
    const ALL: &str = concat!(
        "SELECT ",
        columns!(),
        ", usages.source = 'manual' OR usages.field_name = 'manual' AS is_manual, images.filename, images.original_filename",
        joined!(),
        " LEFT JOIN cloudflare_images AS images ON images.id = usages.image_id WHERE TRUE"
    );
    let mut statement = Statement::new(Dialect::of(database), ALL);
    push_content_type(&mut statement, query.content_type.as_ref());
    match query.is_registered {
        Some(true) => drop(statement.push(" AND usages.image_id IS NOT NULL")),
        Some(false) => drop(statement.push(" AND usages.image_id IS NULL")),
        None => {}
    }
    if let Some((text, image)) = &query.key {
        let text = statement.place(Argument::Text(text.clone()));
        statement.push(&format!(" AND (usages.cloudflare_id = {text} OR usages.object_id = {text}"));
        if let Some(image) = image {
            statement.push(" OR usages.image_id = ").bind(Argument::Image(*image));
        }
        statement.push(")");
    }
    statement.push_page(&["usages.id"], true, &from.map(|id| vec![Argument::Number(id)]), limit);
    selections::fetch_page(database, statement, &from).await
}

const CONTENT_TYPES: &str = r"
    SELECT app_label, model
    FROM django_content_type AS types
    WHERE EXISTS (SELECT 1 FROM cloudflare_image_usages AS usages WHERE usages.content_type_id = types.id)
    ORDER BY app_label, model
    LIMIT 200";

/// The models whose content refers to images.
///
/// # Errors
/// If the database fails.
pub async fn list_content_types(database: &Database) -> Result<Vec<ContentType>, Error> {
    let rows: Vec<(String, String)> =
        on!(database.reader(), pool => sqlx::query_as(CONTENT_TYPES).fetch_all(pool).await)?;
    Ok(rows.into_iter().map(|(app_label, model)| ContentType { app_label, model }).collect())
}

fn push_content_type(statement: &mut Statement, content_type: Option<&ContentType>) {
    if let Some(ContentType { app_label, model }) = content_type {
        statement.push(" AND types.app_label = ").bind(Argument::Text(app_label.clone()));
        statement.push(" AND types.model = ").bind(Argument::Text(model.clone()));
    }
}

async fn fetch(database: &Database, statement: Statement) -> Result<Vec<ImageUsage>, Error> {
    let Statement { text, arguments, .. } = statement;
    Ok(on!(database.reader(), pool => {
        bind_all!(sqlx::query_as::<_, ImageUsage>(AssertSqlSafe(text)), arguments).fetch_all(pool).await
    })?)
}

fn order_text(order: UsageOrder) -> &'static str {
    match (order.by, order.descending) {
        (UsageSort::CreatedAt, false) => "usages.created_at ASC",
        (UsageSort::CreatedAt, true) => "usages.created_at DESC",
        (UsageSort::UpdatedAt, false) => "usages.updated_at ASC",
        (UsageSort::UpdatedAt, true) => "usages.updated_at DESC",
    }
}

/// An image that gains or loses a reference, kept until the transaction ends.
#[derive(Debug, Clone, FromRow)]
pub struct HeldImage {
    /// The image.
    pub id: ImageId,
    /// The image at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// Whose it is.
    pub user_id: Option<UserId>,
}

macro_rules! find_images {
    () => {
        "SELECT id, cloudflare_id, user_id FROM cloudflare_images WHERE cloudflare_id = $1 OR id = $2 ORDER BY id"
    };
}

/// A reference to an image that is gone would fail at the end of the transaction.
const HOLD_IMAGES_POSTGRES: &str = concat!(find_images!(), " FOR NO KEY UPDATE");
/// The transaction of SQLite is the only writer anyway.
const HOLD_IMAGES_SQLITE: &str = find_images!();

/// Finds the image with an id at Cloudflare and another one, and keeps both as they are until the transaction ends.
///
/// Images come before usages, and both in the order of their keys: whoever deletes images has them first, too, and then their
/// usages, so nobody waits in a circle.
///
/// # Errors
/// If the database fails.
pub async fn hold_images(
    transaction: &mut Transaction,
    id: Option<&CloudflareId>,
    other: Option<ImageId>,
) -> Result<Vec<HeldImage>, Error> {
    let sql = match transaction.connection() {
        Engine::Postgres(_) => HOLD_IMAGES_POSTGRES,
        Engine::Sqlite(_) => HOLD_IMAGES_SQLITE,
    };
    Ok(on!(transaction.connection(), connection => {
        sqlx::query_as::<_, HeldImage>(sql).bind(id).bind(other).fetch_all(connection).await
    })?)
}

const HOLD: &str = "SELECT id FROM cloudflare_images WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE";

/// Keeps images as they are until the transaction ends; see [`hold_images`].
pub(super) async fn hold(transaction: &mut Transaction, images: &ImageSet) -> Result<(), Error> {
    // The transaction of SQLite is the only writer anyway.
    if let Engine::Postgres(connection) = transaction.connection() {
        sqlx::query(HOLD).bind(images).execute(connection).await?;
    }
    Ok(())
}

/// The row of a slot.
#[derive(Debug, Clone, FromRow)]
pub struct UsageRow {
    /// Its number.
    pub id: i64,
    /// The image it refers to, where that is recorded.
    pub image_id: Option<ImageId>,
    /// Whether the application recorded it itself; otherwise it follows a field of a Django model.
    pub is_manual: bool,
}

macro_rules! find_slot {
    () => {
        r"
    SELECT usages.id, usages.image_id, usages.source = 'manual' OR usages.field_name = 'manual' AS is_manual
    FROM cloudflare_image_usages AS usages
    JOIN django_content_type AS types ON types.id = usages.content_type_id
    WHERE types.app_label = $1 AND types.model = $2 AND usages.object_id = $3 AND usages.field_name = $4"
    };
}

const LOCK_SLOT_POSTGRES: &str = concat!(find_slot!(), " FOR UPDATE OF usages");
/// The transaction of SQLite is the only writer anyway.
const LOCK_SLOT_SQLITE: &str = find_slot!();

/// Finds the row of a slot.
///
/// # Errors
/// If the database fails.
pub async fn find_slot(transaction: &mut Transaction, slot: &UsageSlot) -> Result<Option<UsageRow>, Error> {
    fetch_slot(transaction, slot, find_slot!()).await
}

/// Finds the row of a slot, and keeps it as it is until the transaction ends.
///
/// The image is not joined: where PostgreSQL has waited for the lock, it would join the image of before.
///
/// # Errors
/// If the database fails.
pub async fn lock_slot(transaction: &mut Transaction, slot: &UsageSlot) -> Result<Option<UsageRow>, Error> {
    let sql = match transaction.connection() {
        Engine::Postgres(_) => LOCK_SLOT_POSTGRES,
        Engine::Sqlite(_) => LOCK_SLOT_SQLITE,
    };
    fetch_slot(transaction, slot, sql).await
}

async fn fetch_slot(
    transaction: &mut Transaction,
    slot: &UsageSlot,
    sql: &'static str,
) -> Result<Option<UsageRow>, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_as::<_, UsageRow>(sql)
        .bind(&slot.content_type.app_label)
        .bind(&slot.content_type.model)
        .bind(&slot.object_id)
        .bind(&slot.field_name)
        .fetch_optional(connection)
        .await)?)
}

const INSERT: &str = r"
    INSERT INTO cloudflare_image_usages (
        object_id, field_name, cloudflare_id, created_at, updated_at, content_type_id, image_id, source
    )
    VALUES ($1, $2, $3, $4, $4, $5, $6, 'manual')
    ON CONFLICT (content_type_id, object_id, field_name) DO NOTHING
    RETURNING id";

/// Fills a slot by hand; none if somebody has filled it already. The content type must be that of the slot.
///
/// # Errors
/// If the database fails.
pub async fn insert(
    transaction: &mut Transaction,
    content_type: i64,
    slot: &UsageSlot,
    reference: &Reference<'_>,
    now: Timestamp,
) -> Result<Option<i64>, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_scalar(INSERT)
        .bind(&slot.object_id)
        .bind(&slot.field_name)
        .bind(reference.cloudflare_id)
        .bind(now)
        .bind(content_type)
        .bind(reference.image)
        .fetch_optional(connection)
        .await)?)
}

/// What a slot refers to.
#[derive(Debug, Clone, Copy)]
pub struct Reference<'a> {
    /// The image at Cloudflare.
    pub cloudflare_id: &'a CloudflareId,
    /// Its record, where there is one.
    pub image: Option<ImageId>,
}

const UPDATE: &str = r"
    UPDATE cloudflare_image_usages
    SET cloudflare_id = $2, image_id = $3, source = 'manual', updated_at = $4
    WHERE id = $1";

/// Makes a row refer to an image by hand, be it the same or another.
///
/// # Errors
/// If the database fails.
pub async fn update(
    transaction: &mut Transaction,
    id: i64,
    reference: &Reference<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(UPDATE)
        .bind(id)
        .bind(reference.cloudflare_id)
        .bind(reference.image)
        .bind(now)
        .execute(connection)
        .await
        .map(drop))?;
    Ok(())
}

const DELETE: &str = "DELETE FROM cloudflare_image_usages WHERE id = $1";

/// Removes a row.
///
/// # Errors
/// If the database fails.
pub async fn delete(transaction: &mut Transaction, id: i64) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(DELETE).bind(id).execute(connection).await.map(drop))?;
    Ok(())
}

const FIND: &str = concat!("SELECT ", columns!(), joined!(), " WHERE usages.id = $1");

/// A usage by its number, as the transaction has it.
///
/// # Errors
/// If there is none, or the database fails.
pub async fn find(transaction: &mut Transaction, id: i64) -> Result<ImageUsage, Error> {
    Ok(on!(transaction.connection(), connection => {
        sqlx::query_as::<_, ImageUsage>(FIND).bind(id).fetch_one(connection).await
    })?)
}

const LINK: &str = "UPDATE cloudflare_image_usages SET image_id = $1 WHERE cloudflare_id = $2 AND image_id IS NULL";

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
        mark_referenced(transaction, &ImageSet::from_iter([image.id]), now).await?;
    }
    Ok(())
}

const MARK_REFERENCED: Pair = in_set!("UPDATE cloudflare_images SET last_referenced_at = $2 WHERE id");

/// Starts the time anew after which images count as orphans. More than one must be held before: their rows are changed in any order.
///
/// # Errors
/// If the database fails.
pub async fn mark_referenced(transaction: &mut Transaction, images: &ImageSet, now: Timestamp) -> Result<(), Error> {
    let connection = transaction.connection();
    let statement = MARK_REFERENCED.of(&connection);
    on!(connection, connection => sqlx::query(statement).bind(images).bind(now).execute(connection).await.map(drop))?;
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
