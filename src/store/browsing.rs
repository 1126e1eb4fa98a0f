//! All images, whoever owns them, page by page: a page costs the same wherever it is, as it is found by the place of its first image.

use sqlx::AssertSqlSafe;

use super::images::columns;
use super::selections::{fetch_page, push_counted, push_filter};
use super::sql::{Argument, Dialect, Statement, bind_all};
use super::{Database, Error, on};
use crate::domain::{BrowseBy, BrowseFrom, BrowseOrder, BrowsePosition, Image, ImageQuery, Timestamp};

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
    for (condition, time) in [(" AND created_at >= ", query.created_from), (" AND created_at < ", query.created_before)]
    {
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
