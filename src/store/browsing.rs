//! All images, whoever owns them, page by page: a page costs the same wherever it is, as it is found by the place of its first image.

use sqlx::AssertSqlSafe;

use super::images::columns;
use super::selections::{fetch_page, push_counted, push_filter};
use super::sql::{Argument, Dialect, Statement, bind_all};
use super::{Database, Error, on, read};
use crate::domain::{BrowseBy, BrowseFrom, BrowseOrder, BrowsePosition, Image, ImageQuery, ImageStatus, Timestamp};

/// At most `limit` images that meet the conditions, in this order, from a place on or up to one.
///
/// # Errors
/// If the database fails.
pub async fn list(
    database: &Database,
    query: &ImageQuery,
    order: BrowseOrder,
    from: BrowseFrom,
    limit: u32,
) -> Result<Vec<Image>, Error> {
    let mut statement =
        Statement::new(Dialect::of(database), concat!("SELECT ", columns!(), " FROM cloudflare_images WHERE TRUE"));
    push_query(&mut statement, query);
    let value = value(&mut statement, order.by);
    let place = from.map(|position| vec![argument(order.by, position), Argument::Image(position.id)]);
    statement.push_page(&[&value, "id"], order.descending, &place, limit);
    fetch_page(database, statement, &from).await
}

const FIRST_AND_LAST: &str = "SELECT \
    (SELECT created_at FROM cloudflare_images ORDER BY created_at, id LIMIT 1), \
    (SELECT created_at FROM cloudflare_images ORDER BY created_at DESC, id DESC LIMIT 1)";

/// When the first and the last of all images were made; none where there is no image.
///
/// # Errors
/// If the database fails.
pub async fn first_and_last(database: &Database) -> Result<Option<(Timestamp, Timestamp)>, Error> {
    let (first, last): (Option<Timestamp>, Option<Timestamp>) =
        on!(database.reader(), pool => sqlx::query_as(FIRST_AND_LAST).fetch_one(pool).await)?;
    Ok(first.zip(last))
}

/// Which of some times, each from its beginning up to its end, have images that were made in them: their places among them. One look
/// into the index for each.
///
/// # Errors
/// If the database fails.
pub async fn times_with_images(database: &Database, times: &[(Timestamp, Timestamp)]) -> Result<Vec<usize>, Error> {
    let mut statement = Statement::new(Dialect::of(database), "");
    for (place, (from, until)) in times.iter().enumerate() {
        let head = if place == 0 { "SELECT CAST(" } else { " UNION ALL SELECT CAST(" };
        statement.push(head).push(&place.to_string()).push(" AS bigint)");
        statement
            .push(" WHERE EXISTS (SELECT 1 FROM cloudflare_images WHERE created_at >= ")
            .bind(Argument::Time(*from));
        statement.push(" AND created_at < ").bind(Argument::Time(*until)).push(")");
    }
    if times.is_empty() {
        return Ok(Vec::new());
    }
    let Statement { text, arguments, .. } = statement;
    let places: Vec<i64> = on!(database.reader(), pool => {
        bind_all!(sqlx::query_scalar(AssertSqlSafe(text)), arguments).fetch_all(pool).await
    })?;
    let mut places: Vec<_> = places.into_iter().filter_map(|place| usize::try_from(place).ok()).collect();
    places.sort_unstable();
    Ok(places)
}

/// How many images meet the conditions, where that is known without looking at them.
///
/// # Errors
/// If the database fails.
pub async fn count(database: &Database, query: &ImageQuery) -> Result<Option<u64>, Error> {
    const TEXT: &str = "SELECT CAST(coalesce(sum(images), 0) AS bigint) FROM cfimages_image_counts WHERE TRUE";
    if !query.depends_on_counts_only() {
        return Ok(None);
    }
    let mut statement = Statement::new(Dialect::of(database), TEXT);
    if let Some(owner) = query.owner {
        statement.push(" AND user_key = CAST(").bind(Argument::User(owner)).push(" AS text)");
    }
    push_counted(&mut statement, &query.filter);
    let Statement { text, arguments, .. } = statement;
    let count: i64 = on!(database.reader(), pool => {
        bind_all!(sqlx::query_scalar(AssertSqlSafe(text)), arguments).fetch_one(pool).await
    })?;
    Ok(Some(u64::try_from(count).unwrap_or(0)))
}

/// How many images meet the conditions, by looking at them; no more than `limit` are counted.
///
/// # Errors
/// If the database fails.
pub async fn count_up_to(database: &Database, query: &ImageQuery, limit: u64) -> Result<u64, Error> {
    let mut statement =
        Statement::new(Dialect::of(database), "SELECT count(*) FROM (SELECT 1 FROM cloudflare_images WHERE TRUE");
    push_query(&mut statement, query);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.push(" LIMIT ").bind(Argument::Number(limit)).push(") AS found");
    let Statement { text, arguments, .. } = statement;
    let count: i64 = read!(database, connection => {
        bind_all!(sqlx::query_scalar(AssertSqlSafe(text)), arguments).fetch_one(connection).await
    })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

fn push_query(statement: &mut Statement, query: &ImageQuery) {
    if let Some(owner) = query.owner {
        statement.push(" AND user_id = ").bind(Argument::User(owner));
    }
    if let Some((id, cloudflare_id)) = &query.key {
        statement.push(" AND (id = ").bind(Argument::Image(*id));
        statement.push(" OR cloudflare_id = ").bind(Argument::CloudflareId(cloudflare_id.clone())).push(")");
    }
    push_filter(statement, &query.filter);
    if query.is_used {
        statement.push(USED);
    }
    if query.is_unfinished {
        statement.push(" AND status").bind_in([ImageStatus::Pending, ImageStatus::Draft].map(Argument::Status));
    }
    for (condition, time) in [
        (" AND created_at >= ", query.created_from),
        (" AND created_at < ", query.created_before),
        (" AND uploaded_at >= ", query.uploaded_from),
        (" AND uploaded_at < ", query.uploaded_before),
        (" AND expires_at >= ", query.expires_from),
        (" AND expires_at < ", query.expires_before),
    ] {
        if let Some(time) = time {
            statement.push(condition).bind(Argument::Time(time));
        }
    }
    for (condition, bytes) in [(" AND file_size >= ", query.min_bytes), (" AND file_size <= ", query.max_bytes)] {
        if let Some(bytes) = bytes {
            statement.push(condition).bind(Argument::Number(bytes));
        }
    }
}

const USED: &str =
    " AND EXISTS (SELECT 1 FROM cloudflare_image_usages AS usages WHERE usages.image_id = cloudflare_images.id)";

/// What is compared, never NULL.
fn value(statement: &mut Statement, by: BrowseBy) -> String {
    match by {
        BrowseBy::CreatedAt => "created_at".to_owned(),
        BrowseBy::UploadedAt => {
            format!("coalesce(uploaded_at, {})", statement.place(Argument::Time(BrowsePosition::never())))
        }
        BrowseBy::FileSize => {
            format!("coalesce(file_size, {})", statement.place(Argument::Number(BrowsePosition::UNKNOWN_SIZE)))
        }
    }
}

fn argument(by: BrowseBy, position: BrowsePosition) -> Argument {
    match by {
        BrowseBy::CreatedAt | BrowseBy::UploadedAt => Argument::Time(Timestamp::from_micros(position.value)),
        BrowseBy::FileSize => Argument::Number(position.value),
    }
}
