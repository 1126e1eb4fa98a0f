//! Rows of `cloudflare_image_logs`.

use sqlx::AssertSqlSafe;

use super::image_set::{Pair, in_set};
use super::selections::fetch_page;
use super::sql::{Argument, Dialect, Statement, bind_all};
use super::{Database, Error, ImageSet, Transaction, on};
use crate::domain::{
    ImageId, LogEntry, LogFilter, LogPlace, LoggedEvent, PageFrom, RecentEvent, Timestamp, UploadEvent,
};

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

const LIST_OF_IMAGE: &str = r#"
    SELECT id, image_id, event_type, message, data, "timestamp"
    FROM cloudflare_image_logs
    WHERE image_id = $1
    ORDER BY "timestamp" DESC, id DESC
    LIMIT $2"#;

/// The log of an image, newest first; the latest `limit` entries at most.
///
/// # Errors
/// If the database fails.
pub async fn list_of_image(database: &Database, image: ImageId, limit: u32) -> Result<Vec<LogEntry>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, LogEntry>(LIST_OF_IMAGE).bind(image).bind(i64::from(limit)).fetch_all(pool).await
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

const EVENT_TYPES: &str = r"
    WITH RECURSIVE types (word) AS (
        SELECT min(event_type) FROM cloudflare_image_logs
        UNION ALL
        SELECT (SELECT min(event_type) FROM cloudflare_image_logs WHERE event_type > word) FROM types WHERE word IS NOT NULL
    )
    SELECT word FROM types WHERE word IS NOT NULL LIMIT 200";

/// The words for events that there are in any log: few, as they are words of programs. Each costs a look into an index.
///
/// # Errors
/// If the database fails.
pub async fn list_event_types(database: &Database) -> Result<Vec<String>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_scalar(EVENT_TYPES).fetch_all(pool).await)?)
}

/// At most `limit` rows of the logs of all images, the latest first.
///
/// The index of Django is by event and time, so that the latest of each event are looked for, and the latest of these taken.
///
/// # Errors
/// If the database fails.
pub async fn browse(
    database: &Database,
    filter: &LogFilter,
    from: PageFrom<LogPlace>,
    limit: u32,
) -> Result<Vec<LoggedEvent>, Error> {
    const FOUND: &str = r#"
    SELECT logs.id, logs.image_id, logs.event_type, logs.message, logs.data, logs."timestamp",
        images.cloudflare_id, images.filename, images.original_filename, images.upload_url
    FROM ("#;
    const JOINED: &str = ") AS logs JOIN cloudflare_images AS images ON images.id = logs.image_id WHERE TRUE";
    if filter.event_types.is_empty() {
        return Ok(Vec::new());
    }
    let place = from.map(|place| vec![Argument::Time(place.timestamp), Argument::Number(place.id)]);
    let mut statement = Statement::new(Dialect::of(database), FOUND);
    for (at, event_type) in filter.event_types.iter().enumerate() {
        statement.push(if at == 0 { "SELECT * FROM (" } else { " UNION ALL SELECT * FROM (" });
        push_matching(&mut statement, event_type, filter);
        statement.push_page(&[r#""timestamp""#, "id"], true, &place, limit).push(") AS latest");
    }
    statement.push(JOINED).push_page(&[r#"logs."timestamp""#, "logs.id"], true, &place, limit);
    fetch_page(database, statement, &from).await
}

/// Adds the rows with an event that meet the other conditions.
fn push_matching(statement: &mut Statement, event_type: &str, filter: &LogFilter) {
    const ROWS: &str =
        r#"SELECT id, image_id, event_type, message, data, "timestamp" FROM cloudflare_image_logs WHERE event_type = "#;
    statement.push(ROWS).bind(Argument::Text(event_type.to_owned()));
    if let Some(image) = filter.image {
        statement.push(" AND image_id = ").bind(Argument::Image(image));
    }
    if let Some(from) = filter.from {
        statement.push(r#" AND "timestamp" >= "#).bind(Argument::Time(from));
    }
    if let Some(before) = filter.before {
        statement.push(r#" AND "timestamp" < "#).bind(Argument::Time(before));
    }
    if let Some(part) = &filter.message {
        statement.push(" AND ").any_contains(&["message"], part);
    }
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

/// What makes an entry of an event `$1` old enough to go: it is from before `$2`, and its image is not on its way any more, so that
/// nobody waits to read it.
macro_rules! old {
    () => {
        r#"
    FROM cloudflare_image_logs AS logs
    JOIN cloudflare_images AS images ON images.id = logs.image_id
    WHERE logs.event_type = $1 AND logs."timestamp" < $2 AND images.status NOT IN ('pending', 'draft')"#
    };
}

const COUNT_OLD: &str = concat!("SELECT count(*)", old!());

/// How many entries of an event are from before a time, but for those of images that are pending or drafts.
///
/// # Errors
/// If the database fails.
pub async fn count_old(database: &Database, event_type: &str, before: Timestamp) -> Result<u64, Error> {
    let count: i64 = on!(database.reader(), pool => {
        sqlx::query_scalar(COUNT_OLD).bind(event_type).bind(before).fetch_one(pool).await
    })?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The statement of [`list_old`], in the order of Django's index by event and time. What has to stay is passed over once, not with each
/// batch.
pub const LIST_OLD: &str = concat!(
    r#"SELECT logs.id, logs."timestamp""#,
    old!(),
    r#" AND (logs."timestamp", logs.id) > ($3, $4)
    ORDER BY logs."timestamp", logs.id
    LIMIT $5"#
);

/// The places of the first entries that [`count_old`] counts, the oldest first, after a place.
///
/// # Errors
/// If the database fails.
pub async fn list_old(
    database: &Database,
    event_type: &str,
    before: Timestamp,
    after: LogPlace,
    limit: u32,
) -> Result<Vec<LogPlace>, Error> {
    let places: Vec<(i64, Timestamp)> = on!(database.reader(), pool => {
        let query = sqlx::query_as(LIST_OLD).bind(event_type).bind(before).bind(after.timestamp).bind(after.id);
        query.bind(i64::from(limit)).fetch_all(pool).await
    })?;
    Ok(places.into_iter().map(|(id, timestamp)| LogPlace { timestamp, id }).collect())
}

/// Deletes entries by their numbers; how many there were.
///
/// # Errors
/// If the database fails.
pub async fn delete_entries(transaction: &mut Transaction, ids: impl IntoIterator<Item = i64>) -> Result<u64, Error> {
    let connection = transaction.connection();
    let dialect = match &connection {
        super::database::Engine::Postgres(_) => Dialect::Postgres,
        super::database::Engine::Sqlite(_) => Dialect::Sqlite,
    };
    let mut statement = Statement::new(dialect, "DELETE FROM cloudflare_image_logs WHERE id");
    statement.bind_in(ids.into_iter().map(Argument::Number));
    let Statement { text, arguments, .. } = statement;
    Ok(on!(connection, connection => {
        let query = bind_all!(sqlx::query(AssertSqlSafe(text)), arguments);
        query.execute(connection).await.map(|done| done.rows_affected())
    })?)
}
