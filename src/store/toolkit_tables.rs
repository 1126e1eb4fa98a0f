//! Whether the tables of the toolkit are those of the release that this program works with.

use std::collections::{HashMap, HashSet};

use super::database::Engine;
use super::{Database, Error, on};

/// The release whose tables these are.
pub(super) const RELEASE: &str = "1.1.6";

/// The types that columns have on PostgreSQL and, without their lengths, on SQLite.
type Kind = (&'static str, &'static str);
const UUID: Kind = ("uuid", "char");
const VARCHAR: Kind = ("character varying", "varchar");
const TEXT: Kind = ("text", "text");
const BOOLEAN: Kind = ("boolean", "bool");
const COUNT: Kind = ("integer", "integer unsigned");
const JSON: Kind = ("jsonb", "text");
const TIME: Kind = ("timestamp with time zone", "datetime");
const SERIAL: Kind = ("bigint", "integer");
const INTEGER: Kind = ("integer", "integer");

/// The columns that we read and write, and the migrations of the toolkit that add them.
///
/// `user_id` has the type of the user table's key, which is looked at there.
const COLUMNS: &[(&str, &str, Option<Kind>, &str)] = &[
    ("cloudflare_images", "id", Some(UUID), INITIAL),
    ("cloudflare_images", "cloudflare_id", Some(VARCHAR), INITIAL),
    ("cloudflare_images", "filename", Some(VARCHAR), INITIAL),
    ("cloudflare_images", "original_filename", Some(VARCHAR), INITIAL),
    ("cloudflare_images", "content_type", Some(VARCHAR), INITIAL),
    ("cloudflare_images", "file_size", Some(COUNT), INITIAL),
    ("cloudflare_images", "upload_url", Some(VARCHAR), INITIAL),
    ("cloudflare_images", "status", Some(VARCHAR), INITIAL),
    ("cloudflare_images", "require_signed_urls", Some(BOOLEAN), INITIAL),
    ("cloudflare_images", "metadata", Some(JSON), INITIAL),
    ("cloudflare_images", "created_at", Some(TIME), INITIAL),
    ("cloudflare_images", "updated_at", Some(TIME), INITIAL),
    ("cloudflare_images", "uploaded_at", Some(TIME), INITIAL),
    ("cloudflare_images", "expires_at", Some(TIME), INITIAL),
    ("cloudflare_images", "width", Some(COUNT), INITIAL),
    ("cloudflare_images", "height", Some(COUNT), INITIAL),
    ("cloudflare_images", "format", Some(VARCHAR), INITIAL),
    ("cloudflare_images", "variants", Some(JSON), INITIAL),
    ("cloudflare_images", "cloudflare_metadata", Some(JSON), INITIAL),
    ("cloudflare_image_logs", "id", Some(SERIAL), INITIAL),
    ("cloudflare_image_logs", "event_type", Some(VARCHAR), INITIAL),
    ("cloudflare_image_logs", "message", Some(TEXT), INITIAL),
    ("cloudflare_image_logs", "data", Some(JSON), INITIAL),
    ("cloudflare_image_logs", "timestamp", Some(TIME), INITIAL),
    ("cloudflare_image_logs", "image_id", Some(UUID), INITIAL),
    ("cloudflare_images", "creator", Some(VARCHAR), "0002_cloudflareimage_creator"),
    ("cloudflare_image_usages", "id", Some(SERIAL), USAGES),
    ("cloudflare_image_usages", "object_id", Some(VARCHAR), USAGES),
    ("cloudflare_image_usages", "field_name", Some(VARCHAR), USAGES),
    ("cloudflare_image_usages", "cloudflare_id", Some(VARCHAR), USAGES),
    ("cloudflare_image_usages", "created_at", Some(TIME), USAGES),
    ("cloudflare_image_usages", "updated_at", Some(TIME), USAGES),
    ("cloudflare_image_usages", "content_type_id", Some(INTEGER), USAGES),
    ("cloudflare_image_usages", "image_id", Some(UUID), USAGES),
    ("cloudflare_images", "last_referenced_at", Some(TIME), REFERENCES),
    ("cloudflare_image_usages", "source", Some(VARCHAR), REFERENCES),
    ("cloudflare_images", "user_id", None, "0007_cloudflareimage_user"),
];
const INITIAL: &str = "0001_initial";
const USAGES: &str = "0003_imageusage";
const REFERENCES: &str = "0004_imageusage_source_and_image_last_referenced";

/// All migrations of the toolkit up to that release; some change rows only.
const MIGRATIONS: &[&str] = &[
    INITIAL,
    "0002_cloudflareimage_creator",
    USAGES,
    REFERENCES,
    "0005_backfill_last_referenced_at",
    "0006_pin_index_names",
    "0007_cloudflareimage_user",
    "0008_wrap_string_variants",
];

const FOUND_POSTGRES: &str = r"
    SELECT tables.name, columns.attname::text, format_type(columns.atttypid, NULL)
    FROM (VALUES ('cloudflare_images'), ('cloudflare_image_logs'), ('cloudflare_image_usages')) AS tables (name)
    JOIN pg_attribute AS columns ON columns.attrelid = to_regclass(tables.name)
    WHERE columns.attnum > 0 AND NOT columns.attisdropped";
const FOUND_SQLITE: &str = r"
    SELECT tables.name, columns.name, lower(columns.type)
    FROM sqlite_master AS tables
    JOIN pragma_table_info(tables.name) AS columns
    WHERE tables.name IN ('cloudflare_images', 'cloudflare_image_logs', 'cloudflare_image_usages')";

/// Makes sure that the tables have the columns of the release. Upgrading them is for the toolkit to do: it knows what its older rows
/// mean.
///
/// # Errors
/// [`Error::OlderToolkit`] or [`Error::ForeignColumn`] if not.
pub(super) async fn check_columns(database: &Database) -> Result<(), Error> {
    let rows: Vec<(String, String, String)> = match database.reader() {
        Engine::Postgres(pool) => sqlx::query_as(FOUND_POSTGRES).fetch_all(pool).await?,
        Engine::Sqlite(pool) => sqlx::query_as(FOUND_SQLITE).fetch_all(pool).await?,
    };
    let found: HashMap<(&str, &str), &str> =
        rows.iter().map(|(table, column, kind)| ((table.as_str(), column.as_str()), kind.as_str())).collect();
    if let Some((table, column, _, migration)) = COLUMNS.iter().find(|(t, c, ..)| !found.contains_key(&(t, c))) {
        return Err(Error::OlderToolkit { lacks: format!("there is no column {table}.{column}"), migration });
    }
    for (table, column, kind, _) in COLUMNS {
        let Some((postgres, sqlite)) = kind else { continue };
        let (found, wanted) = match database.reader() {
            Engine::Postgres(_) => (found[&(*table, *column)], *postgres),
            Engine::Sqlite(_) => (without_length(found[&(*table, *column)]), *sqlite),
        };
        if found != wanted {
            return Err(Error::ForeignColumn { table, column, found: found.to_owned(), wanted });
        }
    }
    Ok(())
}

fn without_length(kind: &str) -> &str {
    kind.split('(').next().unwrap_or(kind)
}

const APPLIED: &str = "SELECT name FROM django_migrations WHERE app = 'django_cloudflareimages_toolkit'";

/// Makes sure that the toolkit has made the changes of rows, too, that came with its releases; `django_migrations` tells where it is
/// kept.
///
/// # Errors
/// [`Error::OlderToolkit`] if not.
pub(super) async fn check_migrations(database: &Database) -> Result<(), Error> {
    let names: Vec<String> = on!(database.reader(), pool => sqlx::query_scalar(APPLIED).fetch_all(pool).await)?;
    let applied: HashSet<&str> = names.iter().map(String::as_str).collect();
    match MIGRATIONS.iter().find(|name| !applied.is_empty() && !applied.contains(*name)) {
        Some(migration) => Err(Error::OlderToolkit { lacks: "its rows have an older form".to_owned(), migration }),
        None => Ok(()),
    }
}

const OWNED_POSTGRES: &str = r"
    SELECT tables.relname::text
    FROM (VALUES ('cloudflare_images'), ('cloudflare_image_logs'), ('cloudflare_image_usages')) AS names (name)
    JOIN pg_class AS tables ON tables.oid = to_regclass(names.name)
    WHERE NOT pg_has_role(tables.relowner, 'USAGE')";

/// Makes sure that indexes and triggers can be added, before a part of what is ours belongs to a role that cannot make the rest.
///
/// # Errors
/// [`Error::Forbidden`] if not.
pub(super) async fn check_owner(database: &Database) -> Result<(), Error> {
    let Engine::Postgres(pool) = database.reader() else { return Ok(()) };
    let foreign: Option<String> = sqlx::query_scalar(OWNED_POSTGRES).fetch_optional(pool).await?;
    match foreign {
        Some(table) => Err(Error::Forbidden(format!("must be owner of table {table}"))),
        None => Ok(()),
    }
}
