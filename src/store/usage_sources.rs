//! Automatic usages, rebuilt out of columns of the application's own tables.
//!
//! The statements are put together from constants and from names that are quoted and that the catalogue knows. All of them work
//! on a stretch of rows, by key, so that neither locks nor memory grow with the tables.

use sqlx::{AssertSqlSafe, FromRow};

use super::database::Engine;
use super::{Database, Error, ImageSet, Transaction, on, usages};
use crate::domain::{ImageId, TableName, Timestamp, UsageSource, quote_identifier};

/// What is wrong with a source, as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceProblem {
    /// There is no such table, or it cannot be seen.
    #[error("there is no table {0}")]
    NoTable(TableName),
    /// The table has no such column.
    #[error("the table {0} has no column {1}")]
    NoColumn(TableName, String),
    /// The key may be there twice.
    #[error("the column {1} of {0} is neither the primary key nor unique, so it cannot be the key")]
    NotUnique(TableName, String),
    /// The key is of a type whose text in Django is not known.
    #[error("the column {1} of {0} cannot be the key: it is of the type {2}, not a whole number, a UUID or a text")]
    KeyType(TableName, String, String),
    /// The column does not name images.
    #[error(
        "the column {1} of {0} names no images: it is of the type {2}, neither a text nor a foreign key to cloudflare_images"
    )]
    ImageType(TableName, String, String),
}

/// A source as the database has it: its columns are there, and fit.
#[derive(Debug, Clone)]
pub struct ResolvedSource {
    /// The field of the model.
    pub field_name: String,
    /// The table, quoted.
    table: String,
    /// The rows with references: object, image at Cloudflare, image here.
    references: String,
    /// Whether the row of the application named `host` holds a reference for the object of `usages`.
    is_current: String,
    /// `host.key`, quoted.
    key: String,
    key_type: KeyType,
    is_postgres: bool,
}

/// How the key is stored, and thereby what text Django makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    Integer,
    /// `uuid` on PostgreSQL, 32 hexadecimal digits on SQLite.
    Uuid,
    Text,
}

/// A column as the catalogue has it.
#[derive(FromRow)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) type_name: String,
    pub(super) is_text: bool,
    pub(super) is_unique: bool,
    pub(super) is_reference: bool,
}

/// The functions that tell of columns fail for a schema that is not there.
const HAS_SCHEMA_SQLITE: &str = "SELECT $1 IS NULL OR EXISTS (SELECT 1 FROM pragma_database_list WHERE name = $1)";

const COLUMNS_POSTGRES: &str = r"
    SELECT CAST(columns.attname AS text) AS name,
        CAST(types.typname AS text) AS type_name,
        types.typcategory = 'S' AS is_text,
        EXISTS (
            SELECT 1 FROM pg_index AS indexes
            WHERE indexes.indrelid = columns.attrelid AND indexes.indisunique AND indexes.indisvalid
                AND indexes.indpred IS NULL AND indexes.indnkeyatts = 1 AND indexes.indkey[0] = columns.attnum
        ) AS is_unique,
        EXISTS (
            SELECT 1 FROM pg_constraint AS constraints
            WHERE constraints.contype = 'f' AND constraints.conrelid = columns.attrelid
                AND constraints.conkey = ARRAY[columns.attnum]
                AND constraints.confrelid = CAST('cloudflare_images' AS regclass)
        ) AS is_reference
    FROM pg_attribute AS columns
    JOIN pg_type AS declared ON declared.oid = columns.atttypid
    JOIN pg_type AS types ON types.oid = CASE WHEN declared.typtype = 'd' THEN declared.typbasetype ELSE declared.oid END
    WHERE columns.attrelid = to_regclass($1) AND columns.attnum > 0 AND NOT columns.attisdropped";

/// Whatever is no number and no blob is text to SQLite, and so are the columns of Django that hold ids.
const COLUMNS_SQLITE: &str = r#"
    SELECT columns.name AS name,
        lower(columns.type) AS type_name,
        lower(columns.type) LIKE '%char%' OR lower(columns.type) LIKE '%text%' OR lower(columns.type) LIKE '%clob%' AS is_text,
        (columns.pk = 1 AND (SELECT count(*) FROM pragma_table_info($1, $2) AS keys WHERE keys.pk > 0) = 1)
        OR EXISTS (
            SELECT 1 FROM pragma_index_list($1, $2) AS indexes
            WHERE indexes."unique" AND NOT indexes.partial
                AND (SELECT group_concat(parts.name, ',') FROM pragma_index_info(indexes.name, $2) AS parts) = columns.name
        ) AS is_unique,
        EXISTS (
            SELECT 1 FROM pragma_foreign_key_list($1, $2) AS keys
            WHERE keys."from" = columns.name AND lower(keys."table") = 'cloudflare_images'
        ) AS is_reference
    FROM pragma_table_info($1, $2) AS columns"#;

/// Finds the columns of a source in the catalogue.
///
/// # Errors
/// What does not fit, or if the database fails.
pub async fn resolve(
    database: &Database,
    source: &UsageSource,
) -> Result<Result<ResolvedSource, SourceProblem>, Error> {
    let columns = list_columns(database, &source.table).await?;
    if columns.is_empty() {
        return Ok(Err(SourceProblem::NoTable(source.table.clone())));
    }
    Ok(ResolvedSource::new(source, &columns, matches!(database.reader(), Engine::Postgres(_))))
}

/// The columns of a table; none where there is no such table.
pub(super) async fn list_columns(database: &Database, table: &TableName) -> Result<Vec<Column>, Error> {
    Ok(match database.reader() {
        Engine::Postgres(pool) => sqlx::query_as(COLUMNS_POSTGRES).bind(table.to_sql()).fetch_all(pool).await?,
        Engine::Sqlite(pool) => {
            let has_schema: bool = sqlx::query_scalar(HAS_SCHEMA_SQLITE).bind(table.schema()).fetch_one(pool).await?;
            if !has_schema {
                return Ok(Vec::new());
            }
            sqlx::query_as(COLUMNS_SQLITE).bind(table.table()).bind(table.schema()).fetch_all(pool).await?
        }
    })
}

/// The column with the key of the content.
pub(super) fn key_column<'a>(
    table: &TableName,
    columns: &'a [Column],
    name: &str,
    is_postgres: bool,
) -> Result<(&'a Column, KeyType), SourceProblem> {
    let key = find_column(table, columns, name)?;
    if !key.is_unique {
        return Err(SourceProblem::NotUnique(table.clone(), key.name.clone()));
    }
    match KeyType::of(&key.type_name, is_postgres) {
        Some(key_type) => Ok((key, key_type)),
        None => Err(SourceProblem::KeyType(table.clone(), key.name.clone(), key.type_name.clone())),
    }
}

/// The column that names images.
pub(super) fn image_column<'a>(
    table: &TableName,
    columns: &'a [Column],
    name: &str,
) -> Result<&'a Column, SourceProblem> {
    let image = find_column(table, columns, name)?;
    if image.is_reference || image.is_text {
        return Ok(image);
    }
    Err(SourceProblem::ImageType(table.clone(), image.name.clone(), image.type_name.clone()))
}

pub(super) fn find_column<'a>(
    table: &TableName,
    columns: &'a [Column],
    name: &str,
) -> Result<&'a Column, SourceProblem> {
    let no_column = || SourceProblem::NoColumn(table.clone(), name.to_owned());
    columns.iter().find(|column| column.name == name).ok_or_else(no_column)
}

impl ResolvedSource {
    fn new(source: &UsageSource, columns: &[Column], is_postgres: bool) -> Result<Self, SourceProblem> {
        let (key, key_type) = key_column(&source.table, columns, &source.key_column, is_postgres)?;
        let image = image_column(&source.table, columns, &source.image_column)?;
        let table = source.table.to_sql();
        let key = format!("host.{}", quote_identifier(&key.name));
        let object_id = key_type.to_text(&key, is_postgres);
        let image_column = format!("host.{}", quote_identifier(&image.name));
        let (from, cloudflare_id) = if image.is_reference {
            let join = format!("{table} AS host JOIN cloudflare_images AS images ON images.id = {image_column}");
            (join, "images.cloudflare_id".to_owned())
        } else {
            let id = format!("CAST({image_column} AS text)");
            (format!("{table} AS host LEFT JOIN cloudflare_images AS images ON images.cloudflare_id = {id}"), id)
        };
        // A longer id is no image's: no record can hold it.
        let names_an_image = format!("{cloudflare_id} <> '' AND length({cloudflare_id}) <= 255");
        let key_of_usage = key_type.of_text("usages.object_id", is_postgres);
        Ok(Self {
            field_name: source.field(image.is_reference).to_owned(),
            references: format!(
                "SELECT {object_id} AS object_id, {cloudflare_id} AS cloudflare_id, images.id AS image_id \
                 FROM {from} WHERE {names_an_image}"
            ),
            is_current: format!(
                "EXISTS (SELECT 1 FROM {from} WHERE {key} = {key_of_usage} AND {object_id} = usages.object_id AND {names_an_image})"
            ),
            table,
            key,
            key_type,
            is_postgres,
        })
    }

    /// The references of the rows of a stretch, whose ends are `$1` and `$2`, as a table for a statement.
    fn references(&self, stretch: &Stretch) -> String {
        let after = self.after(stretch.after.as_ref());
        format!("({} AND {after} AND {} <= {}) AS refs", self.references, self.key, self.key_of("$2"))
    }

    /// Whether a row comes after the key `$1`, if there is one. One condition for both cases would lead to a plan that reads the
    /// table from its start each time.
    fn after(&self, key: Option<&String>) -> String {
        match key {
            Some(_) => format!("{} > {}", self.key, self.key_of("$1")),
            None => "CAST($1 AS text) IS NULL".to_owned(),
        }
    }

    fn key_of(&self, parameter: &str) -> String {
        self.key_type.of_stored(parameter, self.is_postgres)
    }
}

impl KeyType {
    fn of(type_name: &str, is_postgres: bool) -> Option<Self> {
        // `varchar(255)`, `integer unsigned`
        let word = type_name.split(['(', ' ']).next().unwrap_or_default();
        match (word, is_postgres) {
            ("int2" | "int4" | "int8", true)
            | ("int" | "integer" | "bigint" | "smallint" | "mediumint" | "tinyint", false) => Some(Self::Integer),
            ("uuid", true) => Some(Self::Uuid),
            ("char", false) if type_name == "char(32)" => Some(Self::Uuid),
            ("varchar" | "text", _) => Some(Self::Text),
            _ => None,
        }
    }

    /// The text of a key, as it is stored, as a key.
    pub(super) fn of_stored(self, parameter: &str, is_postgres: bool) -> String {
        match (self, is_postgres) {
            (Self::Integer, _) => format!("CAST({parameter} AS bigint)"),
            (Self::Uuid, true) => format!("CAST({parameter} AS uuid)"),
            _ => format!("CAST({parameter} AS text)"),
        }
    }

    /// A key as Django's `str` shows it.
    fn to_text(self, key: &str, is_postgres: bool) -> String {
        match (self, is_postgres) {
            (Self::Uuid, false) => format!(
                "lower(substr({key}, 1, 8) || '-' || substr({key}, 9, 4) || '-' || substr({key}, 13, 4) || '-' || \
                 substr({key}, 17, 4) || '-' || substr({key}, 21))"
            ),
            _ => format!("CAST({key} AS text)"),
        }
    }

    /// The key whose text is `text`, so that its index can find it; NULL, or any other, where there is none.
    fn of_text(self, text: &str, is_postgres: bool) -> String {
        match (self, is_postgres) {
            (Self::Integer, true) => format!(
                "CASE WHEN {text} !~ '^-?[0-9]{{1,19}}$' THEN NULL \
                 WHEN CAST({text} AS numeric) NOT BETWEEN -9223372036854775808 AND 9223372036854775807 THEN NULL \
                 ELSE CAST({text} AS bigint) END"
            ),
            (Self::Integer, false) => format!("CAST({text} AS integer)"),
            (Self::Uuid, true) => format!(
                "CASE WHEN {text} ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN CAST({text} AS uuid) END"
            ),
            (Self::Uuid, false) => format!("replace({text}, '-', '')"),
            (Self::Text, _) => text.to_owned(),
        }
    }
}

/// How many rows with a key the application has in the table of a source.
///
/// # Errors
/// If the database fails.
pub async fn count_rows(database: &Database, source: &ResolvedSource) -> Result<u64, Error> {
    let sql = AssertSqlSafe(format!(
        "SELECT count(*) FROM {table} AS host WHERE {key} IS NOT NULL",
        table = source.table,
        key = source.key
    ));
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(sql).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A stretch of the rows of a table of the application, by key. Keys are texts as the database casts them.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// The last key before it; none at the start of the table.
    pub after: Option<String>,
    /// The last key in it.
    pub last: String,
    /// How many rows it has.
    pub rows: u64,
}

/// The next rows behind a key, `size` at most; none at the end of the table. A unique column may be NULL in any number of rows:
/// those are no content that a usage could name.
///
/// # Errors
/// If the database fails.
pub async fn next_stretch(
    database: &Database,
    source: &ResolvedSource,
    after: Option<String>,
    size: u32,
) -> Result<Option<Stretch>, Error> {
    let sql = AssertSqlSafe(format!(
        "SELECT CAST(batch.batch_key AS text), count(*) OVER () \
         FROM (SELECT {key} AS batch_key FROM {table} AS host WHERE {after} AND {key} IS NOT NULL \
              ORDER BY {key} LIMIT $2) AS batch \
         ORDER BY batch.batch_key DESC LIMIT 1",
        key = source.key,
        table = source.table,
        after = source.after(after.as_ref()),
    ));
    let found: Option<(String, i64)> = on!(database.reader(), pool => {
        sqlx::query_as(sql).bind(&after).bind(i64::from(size)).fetch_optional(pool).await
    })?;
    Ok(found.map(|(last, rows)| Stretch { after, last, rows: u64::try_from(rows).unwrap_or(0) }))
}

/// Whether the usage `slot` does not say what its reference says, or does not follow it.
///
/// A manual usage follows nothing, and anybody who may sign in can record one; so it must not stand where a column has a reference:
/// the image of the column would count as an orphan.
const DIFFERS: &str = "(slot.cloudflare_id <> refs.cloudflare_id OR slot.image_id IS DISTINCT FROM refs.image_id \
     OR slot.source <> 'auto')";
/// Whether the usage `slot` is in the place of a reference; manual ones are among them.
const OF_REFERENCE: &str = "slot.content_type_id = $3 AND slot.field_name = $4 AND slot.object_id = refs.object_id";

/// What there is to do in a stretch.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct Survey {
    /// References.
    pub tracked: i64,
    /// Those of them whose usage is missing or says something else.
    pub outdated: i64,
}

/// Compares a stretch with its usages. There are none where the content type is not known yet.
///
/// # Errors
/// If the database fails.
pub async fn survey(
    database: &Database,
    source: &ResolvedSource,
    stretch: &Stretch,
    content_type: Option<i64>,
) -> Result<Survey, Error> {
    let sql = AssertSqlSafe(format!(
        "SELECT count(*) AS tracked, count(*) FILTER (WHERE slot.id IS NULL OR {DIFFERS}) AS outdated \
         FROM {} LEFT JOIN cloudflare_image_usages AS slot ON {OF_REFERENCE}",
        source.references(stretch)
    ));
    Ok(on!(database.reader(), pool => sqlx::query_as(sql)
        .bind(&stretch.after)
        .bind(&stretch.last)
        .bind(content_type)
        .bind(&source.field_name)
        .fetch_one(pool)
        .await)?)
}

/// One reconciliation at a time works on a stretch: two would wait for each other's rows. The first key is "cfim" in ASCII.
const LOCK_POSTGRES: &str = "SELECT pg_advisory_xact_lock(1667656045, -1)";

/// Keeps other reconciliations waiting until the transaction ends. On SQLite every transaction does.
///
/// # Errors
/// If the database fails.
pub async fn lock(transaction: &mut Transaction) -> Result<(), Error> {
    match transaction.connection() {
        Engine::Postgres(connection) => sqlx::query(LOCK_POSTGRES).execute(connection).await.map(drop)?,
        Engine::Sqlite(_) => {}
    }
    Ok(())
}

/// Brings the usages of a stretch up to date, manual ones in the places of its references too, and starts the time of every image anew that gained or lost a reference by it.
///
/// # Errors
/// If the database fails.
pub async fn bring_up_to_date(
    transaction: &mut Transaction,
    source: &ResolvedSource,
    stretch: &Stretch,
    content_type: i64,
    now: Timestamp,
) -> Result<(), Error> {
    let references = source.references(stretch);
    let changed = format!(
        "SELECT slot.image_id, refs.image_id FROM {references} LEFT JOIN cloudflare_image_usages AS slot ON {OF_REFERENCE} \
         WHERE slot.image_id IS DISTINCT FROM refs.image_id"
    );
    let update = format!(
        "UPDATE cloudflare_image_usages AS slot \
         SET cloudflare_id = refs.cloudflare_id, image_id = refs.image_id, source = 'auto', updated_at = $5 \
         FROM {references} WHERE {OF_REFERENCE} AND {DIFFERS}"
    );
    let insert = format!(
        "INSERT INTO cloudflare_image_usages \
             (object_id, field_name, cloudflare_id, created_at, updated_at, content_type_id, image_id, source) \
         SELECT refs.object_id, $4, refs.cloudflare_id, $5, $5, $3, refs.image_id, 'auto' FROM {references} \
         WHERE NOT EXISTS (SELECT 1 FROM cloudflare_image_usages AS slot WHERE {OF_REFERENCE}) \
         ON CONFLICT (content_type_id, object_id, field_name) DO NOTHING"
    );
    macro_rules! bind {
        ($query:expr) => {
            $query.bind(&stretch.after).bind(&stretch.last).bind(content_type).bind(&source.field_name)
        };
    }
    let changed: Vec<(Option<ImageId>, Option<ImageId>)> = on!(transaction.connection(), connection => {
        bind!(sqlx::query_as(AssertSqlSafe(changed))).fetch_all(connection).await
    })?;
    let images: ImageSet = changed.into_iter().flat_map(|(old, new)| [old, new]).flatten().collect();
    usages::hold(transaction, &images).await?;
    on!(transaction.connection(), connection => {
        bind!(sqlx::query(AssertSqlSafe(update))).bind(now).execute(connection).await.map(drop)
    })?;
    on!(transaction.connection(), connection => {
        bind!(sqlx::query(AssertSqlSafe(insert))).bind(now).execute(connection).await.map(drop)
    })?;
    usages::mark_referenced(transaction, &images, now).await
}

/// A stretch of automatic usages of one field, by number.
#[derive(Debug, Clone, Copy)]
pub struct UsageStretch {
    /// The last number before it.
    pub after: i64,
    /// The last number in it.
    pub last: i64,
}

const NEXT_USAGES: &str = r"
    SELECT CAST(max(id) AS bigint)
    FROM (
        SELECT id FROM cloudflare_image_usages
        WHERE id > $1 AND content_type_id = $2 AND field_name = $3 AND source <> 'manual'
        ORDER BY id
        LIMIT $4
    ) AS batch";

/// The next automatic usages of a field behind a number, `size` at most; none at their end.
///
/// # Errors
/// If the database fails.
pub async fn next_usages(
    database: &Database,
    source: &ResolvedSource,
    content_type: i64,
    after: i64,
    size: u32,
) -> Result<Option<UsageStretch>, Error> {
    let last: Option<i64> = on!(database.reader(), pool => sqlx::query_scalar(NEXT_USAGES)
        .bind(after)
        .bind(content_type)
        .bind(&source.field_name)
        .bind(i64::from(size))
        .fetch_one(pool)
        .await)?;
    Ok(last.map(|last| UsageStretch { after, last }))
}

/// The automatic usages of a stretch whose content refers to nothing any more, as the end of a statement.
fn stale(source: &ResolvedSource) -> String {
    format!(
        "FROM cloudflare_image_usages AS usages \
         WHERE usages.id > $1 AND usages.id <= $2 AND usages.content_type_id = $3 AND usages.field_name = $4 \
             AND usages.source <> 'manual' AND NOT {}",
        source.is_current
    )
}

/// How many usages of a stretch are stale.
///
/// # Errors
/// If the database fails.
pub async fn count_stale(
    database: &Database,
    source: &ResolvedSource,
    content_type: i64,
    stretch: UsageStretch,
) -> Result<u64, Error> {
    let sql = AssertSqlSafe(format!("SELECT count(*) {}", stale(source)));
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(sql)
        .bind(stretch.after)
        .bind(stretch.last)
        .bind(content_type)
        .bind(&source.field_name)
        .fetch_one(pool)
        .await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Removes the stale usages of a stretch, and starts the time of their images anew; how many there were.
///
/// # Errors
/// If the database fails.
pub async fn remove_stale(
    transaction: &mut Transaction,
    source: &ResolvedSource,
    content_type: i64,
    stretch: UsageStretch,
    now: Timestamp,
) -> Result<u64, Error> {
    macro_rules! bind {
        ($query:expr) => {
            $query.bind(stretch.after).bind(stretch.last).bind(content_type).bind(&source.field_name)
        };
    }
    let find = AssertSqlSafe(format!("SELECT image_id {}", stale(source)));
    let found: Vec<Option<ImageId>> = on!(transaction.connection(), connection => {
        bind!(sqlx::query_scalar(find)).fetch_all(connection).await
    })?;
    usages::hold(transaction, &found.into_iter().flatten().collect()).await?;
    let delete = AssertSqlSafe(format!("DELETE {} RETURNING image_id", stale(source)));
    let removed: Vec<Option<ImageId>> = on!(transaction.connection(), connection => {
        bind!(sqlx::query_scalar(delete)).fetch_all(connection).await
    })?;
    let count = removed.len() as u64;
    usages::mark_referenced(transaction, &removed.into_iter().flatten().collect(), now).await?;
    Ok(count)
}

const NEXT_UNLINKED: &str = r"
    SELECT CAST(max(id) AS bigint)
    FROM (
        SELECT usages.id
        FROM cloudflare_image_usages AS usages
        JOIN cloudflare_images AS images ON images.cloudflare_id = usages.cloudflare_id
        WHERE usages.image_id IS NULL AND usages.id > $1
        ORDER BY usages.id
        LIMIT $2
    ) AS batch";

/// The next usages behind a number whose image is recorded by now but not linked, `size` at most; none at their end.
///
/// # Errors
/// If the database fails.
pub async fn next_unlinked(database: &Database, after: i64, size: u32) -> Result<Option<UsageStretch>, Error> {
    let last: Option<i64> = on!(database.reader(), pool => {
        sqlx::query_scalar(NEXT_UNLINKED).bind(after).bind(i64::from(size)).fetch_one(pool).await
    })?;
    Ok(last.map(|last| UsageStretch { after, last }))
}

const LINKABLE: &str = r"
    SELECT DISTINCT images.id
    FROM cloudflare_image_usages AS usages
    JOIN cloudflare_images AS images ON images.cloudflare_id = usages.cloudflare_id
    WHERE usages.id > $1 AND usages.id <= $2 AND usages.image_id IS NULL";

const LINK: &str = r"
    UPDATE cloudflare_image_usages AS usages
    SET image_id = images.id
    FROM cloudflare_images AS images
    WHERE usages.id > $1 AND usages.id <= $2 AND usages.image_id IS NULL AND images.cloudflare_id = usages.cloudflare_id";

/// Links the usages of a stretch to their images.
///
/// # Errors
/// If the database fails.
pub async fn link(transaction: &mut Transaction, stretch: UsageStretch) -> Result<(), Error> {
    let images: Vec<ImageId> = on!(transaction.connection(), connection => {
        sqlx::query_scalar(LINKABLE).bind(stretch.after).bind(stretch.last).fetch_all(connection).await
    })?;
    usages::hold(transaction, &images.into_iter().collect()).await?;
    on!(transaction.connection(), connection => {
        sqlx::query(LINK).bind(stretch.after).bind(stretch.last).execute(connection).await.map(drop)
    })?;
    Ok(())
}

/// Figures of all usages and images.
#[derive(Debug, Clone, Copy, FromRow)]
pub struct UsageTotals {
    /// Usages, automatic and manual.
    pub usages: i64,
    /// Images without usages, whatever their status.
    pub orphaned: i64,
    /// Usages of images that are not recorded.
    pub unregistered: i64,
}

const TOTALS: &str = r"
    SELECT
        (SELECT count(*) FROM cloudflare_image_usages) AS usages,
        (
            SELECT count(*) FROM cloudflare_images AS images
            WHERE NOT EXISTS (SELECT 1 FROM cloudflare_image_usages AS usages WHERE usages.image_id = images.id)
        ) AS orphaned,
        (SELECT count(*) FROM cloudflare_image_usages WHERE image_id IS NULL) AS unregistered";

/// Counts all usages, orphans and unregistered references.
///
/// # Errors
/// If the database fails.
pub async fn totals(database: &Database) -> Result<UsageTotals, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as(TOTALS).fetch_one(pool).await)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_that_django_makes() {
        for (type_name, is_postgres, want) in [
            ("int8", true, Some(KeyType::Integer)),
            ("integer unsigned", false, Some(KeyType::Integer)),
            ("uuid", true, Some(KeyType::Uuid)),
            ("char(32)", false, Some(KeyType::Uuid)),
            ("varchar", true, Some(KeyType::Text)),
            ("varchar(32)", false, Some(KeyType::Text)),
            ("bpchar", true, None),
            ("char(31)", false, None),
            ("interval", true, None),
            ("datetime", false, None),
        ] {
            assert_eq!(KeyType::of(type_name, is_postgres), want, "{type_name}");
        }
    }
}
