//! Columns of the application's own tables that hold the paths of files, as Django's `ImageField` keeps them, and the columns beside them
//! that are to name images.
//!
//! The statements are put together as those of `usage_sources`: from constants and from quoted names that the catalogue knows.

use sqlx::{AssertSqlSafe, FromRow};

use super::database::Engine;
use super::usage_sources::{KeyType, SourceProblem, find_column, image_column, key_column, list_columns};
use super::{Database, Error, Transaction, on};
use crate::domain::{CloudflareId, ImageId, TableName, quote_identifier};

/// A column with paths of files, and what its rows are to name the images by.
#[derive(Debug, Clone)]
pub struct FileColumn {
    /// The table.
    pub table: TableName,
    /// The column with the key of the rows.
    pub key_column: String,
    /// The column with the paths.
    pub file_column: String,
    /// The column that is to name the images: by their ids at Cloudflare, or as foreign keys to `cloudflare_images`. It may be the
    /// column with the paths, whose place the ids take then. None, and rows stay as they are.
    pub image_column: Option<String>,
}

/// What is wrong with a column, as the catalogue has it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileColumnProblem {
    /// What may be wrong with other columns, too.
    #[error(transparent)]
    Source(#[from] SourceProblem),
    /// The column with the paths holds something else.
    #[error("the column {1} of {0} holds no paths of files: it is of the type {2}, not a text")]
    NoText(TableName, String, String),
}

/// A column with paths as the database has it.
#[derive(Debug, Clone)]
pub struct ResolvedFileColumn {
    /// What people call it.
    pub name: String,
    /// The table, quoted.
    table: String,
    /// `host.key`, quoted.
    key: String,
    key_type: KeyType,
    /// The paths as texts.
    path: String,
    /// Whether a row has a path, and names no image yet.
    is_to_do: String,
    image: Option<ImageColumn>,
    is_postgres: bool,
}

#[derive(Debug, Clone)]
struct ImageColumn {
    /// Quoted.
    name: String,
    is_reference: bool,
}

/// A row with a path, that names no image yet.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct FileRow {
    /// The key of the row, as the database casts it to a text.
    pub key: String,
    /// The path.
    pub path: String,
}

/// Finds the columns in the catalogue.
///
/// # Errors
/// What does not fit, or if the database fails.
pub async fn resolve(
    database: &Database,
    column: &FileColumn,
) -> Result<Result<ResolvedFileColumn, FileColumnProblem>, Error> {
    let columns = list_columns(database, &column.table).await?;
    if columns.is_empty() {
        return Ok(Err(SourceProblem::NoTable(column.table.clone()).into()));
    }
    let is_postgres = matches!(database.reader(), Engine::Postgres(_));
    let resolve = || {
        let (key, key_type) = key_column(&column.table, &columns, &column.key_column, is_postgres)?;
        let file = find_column(&column.table, &columns, &column.file_column)?;
        if !file.is_text || file.is_reference {
            let (table, name) = (column.table.clone(), file.name.clone());
            return Err(FileColumnProblem::NoText(table, name, file.type_name.clone()));
        }
        let path = host(&file.name);
        let (image, is_open) = match &column.image_column {
            None => (None, "TRUE".to_owned()),
            Some(name) => {
                let image = image_column(&column.table, &columns, name)?;
                let is_reference = image.is_reference;
                let is_open = match (is_reference, *name == column.file_column) {
                    (true, _) => format!("{} IS NULL", host(name)),
                    (false, true) => format!(
                        "NOT EXISTS (SELECT 1 FROM cloudflare_images AS images WHERE images.cloudflare_id = CAST({path} AS text))"
                    ),
                    (false, false) => format!("coalesce(CAST({} AS text), '') = ''", host(name)),
                };
                (Some(ImageColumn { name: quote_identifier(name), is_reference }), is_open)
            }
        };
        Ok(ResolvedFileColumn {
            name: format!("{}.{}", column.table, column.file_column),
            table: column.table.to_sql(),
            key: host(&key.name),
            key_type,
            is_to_do: format!("CAST({path} AS text) <> '' AND {is_open}"),
            path: format!("CAST({path} AS text)"),
            image,
            is_postgres,
        })
    };
    Ok(resolve())
}

fn host(column: &str) -> String {
    format!("host.{}", quote_identifier(column))
}

/// How many rows have a path, and name no image yet.
///
/// # Errors
/// If the database fails.
pub async fn count(database: &Database, column: &ResolvedFileColumn) -> Result<u64, Error> {
    let ResolvedFileColumn { table, key, is_to_do, .. } = column;
    let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table} AS host WHERE {key} IS NOT NULL AND {is_to_do}"));
    let count: i64 = on!(database.reader(), pool => sqlx::query_scalar(sql).fetch_one(pool).await)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// The next of these rows behind a key, by key, `size` at most; none at the end of the table.
///
/// # Errors
/// If the database fails.
pub async fn next_rows(
    database: &Database,
    column: &ResolvedFileColumn,
    after: Option<&str>,
    size: u32,
) -> Result<Vec<FileRow>, Error> {
    let ResolvedFileColumn { table, key, path, is_to_do, .. } = column;
    // One condition for both cases would lead to a plan that reads the table from its start each time.
    let is_after = match after {
        Some(_) => format!("{key} > {}", column.key_type.of_stored("$1", column.is_postgres)),
        None => format!("CAST($1 AS text) IS NULL AND {key} IS NOT NULL"),
    };
    let sql = AssertSqlSafe(format!(
        "SELECT CAST({key} AS text) AS key, {path} AS path FROM {table} AS host WHERE {is_after} AND {is_to_do} ORDER BY {key} LIMIT $2"
    ));
    Ok(on!(database.reader(), pool => {
        sqlx::query_as(sql).bind(after).bind(i64::from(size)).fetch_all(pool).await
    })?)
}

/// Makes a row name an image, if it still has the path and names none; whether it did. Where there is no column for that, nothing is
/// done.
///
/// # Errors
/// If the database fails, or the column does not take the id.
pub async fn name_image(
    transaction: &mut Transaction,
    column: &ResolvedFileColumn,
    row: &FileRow,
    id: ImageId,
    cloudflare_id: &CloudflareId,
) -> Result<bool, Error> {
    let ResolvedFileColumn { table, key, path, is_to_do, .. } = column;
    let Some(image) = &column.image else { return Ok(true) };
    let row_key = column.key_type.of_stored("$2", column.is_postgres);
    let sql = AssertSqlSafe(format!(
        "UPDATE {table} AS host SET {name} = $1 WHERE {key} = {row_key} AND {path} = $3 AND {is_to_do}",
        name = image.name,
    ));
    let rows = on!(transaction.connection(), connection => {
        let query = sqlx::query(sql);
        let query = if image.is_reference { query.bind(id) } else { query.bind(cloudflare_id) };
        query.bind(&row.key).bind(&row.path).execute(connection).await.map(|done| done.rows_affected())
    })?;
    Ok(rows > 0)
}
