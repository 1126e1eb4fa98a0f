//! Images of an owner that meet conditions.

use std::cmp::Reverse;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, FromRow};

use super::images::columns;
use super::sql::{Argument, Dialect, Statement, bind_all};
use super::{Database, Error, on, read};
use crate::domain::{
    Image, ImageFilter, ImageKey, ImageKeys, ImageOrder, ImageSort, MetadataMatch, PageFrom, PageRequest, UserId,
};

/// Paths into metadata that are longer lead nowhere: nothing nested deeper is ever stored.
const MAX_PATH: usize = crate::domain::Json::MAX_DEPTH;
/// The most keys of one statement.
pub const MAX_KEYS: usize = 500;

const FROM_OWNED: &str = " FROM cloudflare_images WHERE user_id = ";

/// A page of the images of `owner` that meet the conditions, in this order; ties, and all where no order is given, newest first.
///
/// # Errors
/// If the database fails.
pub async fn list(
    database: &Database,
    owner: UserId,
    filter: &ImageFilter,
    order: &[ImageOrder],
    page: PageRequest,
) -> Result<Vec<Image>, Error> {
    let mut statement = select_owned(database, columns!(), owner, filter);
    statement.push(" ORDER BY ");
    for order in order {
        statement.push(order_text(*order)).push(", ");
    }
    let offset = i64::try_from(page.offset).unwrap_or(i64::MAX);
    statement.push("created_at DESC, id DESC LIMIT ").bind(Argument::Number(page.size.into()));
    statement.push(" OFFSET ").bind(Argument::Number(offset));
    fetch(database, statement).await
}

/// The images of `owner` that have one of the keys of the filter, of either kind, newest first; however many keys there are.
///
/// # Errors
/// If the database fails.
pub async fn list_by_keys(database: &Database, owner: UserId, filter: &ImageFilter) -> Result<Vec<Image>, Error> {
    let mut images = Vec::new();
    let others = || ImageFilter { ids: None, cloudflare_ids: None, ..filter.clone() };
    let chunks = filter.ids.iter().flat_map(|ids| ids.chunks(MAX_KEYS));
    let chunks = chunks.map(|ids| ImageFilter { ids: Some(ids.to_vec()), ..others() });
    let cloudflare_chunks = filter.cloudflare_ids.iter().flat_map(|ids| ids.chunks(MAX_KEYS));
    let cloudflare_chunks = cloudflare_chunks.map(|ids| ImageFilter { cloudflare_ids: Some(ids.to_vec()), ..others() });
    for chunk in chunks.chain(cloudflare_chunks) {
        images.extend(fetch(database, select_owned(database, columns!(), owner, &chunk)).await?);
    }
    images.sort_by_key(|image: &Image| Reverse((image.created_at, image.id)));
    images.dedup_by_key(|image| image.id);
    Ok(images)
}

/// The keys of the images of `owner` that meet the conditions and have one of these keys, in any order; however many keys there are.
///
/// # Errors
/// If the database fails.
pub async fn list_keys(
    database: &Database,
    owner: UserId,
    filter: &ImageFilter,
    keys: &[ImageKey],
) -> Result<Vec<ImageKeys>, Error> {
    let mut found = Vec::new();
    for chunk in keys.chunks(MAX_KEYS) {
        let (mut ids, mut cloudflare_ids) = (Vec::new(), Vec::new());
        for key in chunk {
            match key {
                ImageKey::Id(id) => ids.push(*id),
                ImageKey::CloudflareId(id) => cloudflare_ids.push(id.clone()),
            }
        }
        if !ids.is_empty() {
            let by_id = ImageFilter { ids: Some(ids), cloudflare_ids: None, ..filter.clone() };
            found.extend(fetch(database, select_owned(database, KEYS, owner, &by_id)).await?);
        }
        if !cloudflare_ids.is_empty() {
            let by_id = ImageFilter { ids: None, cloudflare_ids: Some(cloudflare_ids), ..filter.clone() };
            found.extend(fetch(database, select_owned(database, KEYS, owner, &by_id)).await?);
        }
    }
    Ok(found)
}

/// The columns of [`ImageKeys`].
const KEYS: &str = "id, cloudflare_id";

/// The image of `owner` that meets the conditions; there is one at most where the conditions name a key.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, owner: UserId, filter: &ImageFilter) -> Result<Option<Image>, Error> {
    let mut statement = select_owned(database, columns!(), owner, filter);
    statement.push(" LIMIT 1");
    Ok(fetch(database, statement).await?.pop())
}

/// How many images of `owner` meet the conditions. The cost does not grow with their number where only status and privacy matter.
///
/// # Errors
/// If the database fails.
pub async fn count(database: &Database, owner: UserId, filter: &ImageFilter) -> Result<u64, Error> {
    let statement = if filter.depends_on_counts_only() {
        sum_counts(database, owner, filter)
    } else {
        select_owned(database, "count(*)", owner, filter)
    };
    let Statement { text, arguments, .. } = statement;
    let count: i64 = on!(database.reader(), pool => {
        bind_all!(sqlx::query_scalar(AssertSqlSafe(text)), arguments).fetch_one(pool).await
    })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

pub(super) async fn fetch<T>(database: &Database, statement: Statement) -> Result<Vec<T>, Error>
where
    T: Send + Unpin + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow>,
{
    let Statement { text, arguments, .. } = statement;
    Ok(read!(database, connection => {
        bind_all!(sqlx::query_as::<_, T>(AssertSqlSafe(text)), arguments).fetch_all(connection).await
    })?)
}

/// The rows of a part of a list, in its order: those before a place were looked for against it.
pub(super) async fn fetch_page<T, P>(
    database: &Database,
    statement: Statement,
    from: &PageFrom<P>,
) -> Result<Vec<T>, Error>
where
    T: Send + Unpin + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow>,
{
    let mut rows = fetch(database, statement).await?;
    if from.is_backward() {
        rows.reverse();
    }
    Ok(rows)
}

fn sum_counts(database: &Database, owner: UserId, filter: &ImageFilter) -> Statement {
    const TEXT: &str =
        "SELECT CAST(coalesce(sum(images), 0) AS bigint) FROM cfimages_image_counts WHERE user_key = CAST(";
    let mut statement = Statement::new(Dialect::of(database), TEXT);
    statement.bind(Argument::User(owner)).push(" AS text)");
    push_counted(&mut statement, filter);
    statement
}

pub(super) fn push_counted(statement: &mut Statement, filter: &ImageFilter) {
    if let Some(status) = &filter.status {
        statement.push(" AND status = ").bind(Argument::Status(status.clone()));
    }
    if let Some(flag) = filter.require_signed_urls {
        statement.push(" AND require_signed_urls = ").bind(Argument::Flag(flag));
    }
}

fn select_owned(database: &Database, what: &str, owner: UserId, filter: &ImageFilter) -> Statement {
    let mut statement = Statement::new(Dialect::of(database), "SELECT ");
    statement.push(what).push(FROM_OWNED).bind(Argument::User(owner));
    push_filter(&mut statement, filter);
    statement
}

pub(super) fn push_filter(statement: &mut Statement, filter: &ImageFilter) {
    push_counted(statement, filter);
    if let Some(time) = filter.uploaded_after {
        statement.push(" AND uploaded_at >= ").bind(Argument::Time(time));
    }
    if let Some(time) = filter.uploaded_before {
        statement.push(" AND uploaded_at <= ").bind(Argument::Time(time));
    }
    match filter.has_variants {
        Some(true) => _ = statement.push(" AND CAST(variants AS text) <> '[]'"),
        Some(false) => _ = statement.push(" AND CAST(variants AS text) = '[]'"),
        None => {}
    }
    if let Some(part) = &filter.filename {
        statement.push(" AND ").any_contains(&["filename", "original_filename"], part);
    }
    if let Some(creator) = &filter.creator {
        statement.push(" AND creator = ").bind(Argument::Text(creator.clone()));
    }
    if filter.orphaned {
        statement.push(ORPHANED);
    }
    for place in &filter.metadata {
        push_metadata(statement.push(" AND "), place);
    }
    for term in &filter.terms {
        statement.push(" AND ").any_contains(&["cloudflare_id", "filename", "original_filename", "creator"], term);
    }
    if let Some(ids) = &filter.ids {
        statement.push(" AND id").bind_in(ids.iter().copied().map(Argument::Image));
    }
    if let Some(ids) = &filter.cloudflare_ids {
        statement.push(" AND cloudflare_id").bind_in(ids.iter().cloned().map(Argument::CloudflareId));
    }
}

const ORPHANED: &str =
    " AND NOT EXISTS (SELECT 1 FROM cloudflare_image_usages AS usages WHERE usages.image_id = cloudflare_images.id)";

fn order_text(order: ImageOrder) -> &'static str {
    match (order.by, order.descending) {
        (ImageSort::CreatedAt, false) => "created_at ASC",
        (ImageSort::CreatedAt, true) => "created_at DESC",
        (ImageSort::UploadedAt, false) => "uploaded_at ASC NULLS LAST",
        (ImageSort::UploadedAt, true) => "uploaded_at DESC NULLS FIRST",
        (ImageSort::ExpiresAt, false) => "expires_at ASC",
        (ImageSort::ExpiresAt, true) => "expires_at DESC",
        (ImageSort::FileSize, false) => "file_size ASC NULLS LAST",
        (ImageSort::FileSize, true) => "file_size DESC NULLS FIRST",
    }
}

/// A key of the path may be the place of an item in a list, counted from the end where it is negative.
fn push_metadata(statement: &mut Statement, place: &MetadataMatch) {
    if place.path.is_empty() || place.path.len() > MAX_PATH {
        statement.push("FALSE");
        return;
    }
    match statement.dialect {
        Dialect::Postgres => push_metadata_on_postgres(statement, place),
        Dialect::Sqlite => push_metadata_on_sqlite(statement, place),
    }
}

fn push_metadata_on_postgres(statement: &mut Statement, place: &MetadataMatch) {
    statement.push("metadata #> ARRAY[");
    for (at, key) in place.path.iter().enumerate() {
        statement.push(if at == 0 { "" } else { ", " }).bind(Argument::Text(key.clone()));
    }
    statement.push("]::text[] = to_jsonb(").bind(Argument::Text(place.value.clone())).push("::text)");
    if place.is_place_only {
        statement.push(" AND jsonb_typeof(metadata) = 'array'");
    }
}

/// Goes from level to level with `json_each`, which takes keys as they are; what is called a path there has a syntax of its own.
fn push_metadata_on_sqlite(statement: &mut Statement, place: &MetadataMatch) {
    statement.push("EXISTS (SELECT 1 FROM json_each(metadata) AS level0");
    for level in 1..place.path.len() {
        let outer = level - 1;
        statement.push(&format!(
            ", json_each(CASE WHEN level{outer}.type IN ('object', 'array') THEN level{outer}.value END) AS level{level}"
        ));
    }
    statement.push(" WHERE ");
    for (level, key) in place.path.iter().enumerate() {
        let (parent, kind) = match level.checked_sub(1) {
            None => ("metadata".to_owned(), "json_type(metadata)".to_owned()),
            Some(outer) => (format!("level{outer}.value"), format!("level{outer}.type")),
        };
        if let Ok(index) = key.trim_start().parse::<i64>() {
            statement.push(&format!("CASE {kind} WHEN 'array' THEN level{level}.key = "));
            if index < 0 {
                statement.push(&format!("json_array_length({parent}) + "));
            }
            statement.bind(Argument::Number(index)).push(&format!(" ELSE level{level}.key = "));
            statement.bind(Argument::Text(key.clone())).push(" END AND ");
        } else {
            statement.push(&format!("level{level}.key = ")).bind(Argument::Text(key.clone())).push(" AND ");
        }
    }
    let last = place.path.len() - 1;
    statement.push(&format!("level{last}.type = 'text' AND level{last}.value = "));
    statement.bind(Argument::Text(place.value.clone()));
    if place.is_place_only {
        statement.push(" AND json_type(metadata) = 'array'");
    }
    statement.push(")");
}
