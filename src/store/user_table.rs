//! The table of users: Django's own, or that of a custom user model.
//!
//! Statements about users are written for the columns that all of them have here, whatever those of the table are:
//!
//! | placeholder | stands for |
//! | --- | --- |
//! | `{users}` | a subquery with `id`, `username`, `email`, `password`, `is_active`, `is_staff`, `is_superuser`, `date_joined` |
//! | `{table}`, `{key}` | the table itself and the column of its key |

use std::sync::{Arc, OnceLock};

use sqlx::{AssertSqlSafe, FromRow, PgConnection, SqliteConnection};

use super::Error;
use super::database::Engine;
use crate::domain::{TableName, UserKey, quote_identifier};

/// Why a table cannot be used as that of the users.
#[derive(Debug, thiserror::Error)]
pub enum UserTableError {
    /// There is no such table.
    #[error(
        "there is no table {0} of users: CFIMAGES_USER_TABLE names the table of the model that is AUTH_USER_MODEL in Django"
    )]
    Missing(TableName),
    /// The images belong to users of another table.
    #[error("cloudflare_images.user_id refers to {found}, not to {named}: set CFIMAGES_USER_TABLE={found}")]
    OtherTable {
        /// The table that is configured.
        named: TableName,
        /// The table that images refer to.
        found: String,
    },
    /// The key is not one column.
    #[error("the table {0} has no primary key of one column, so it is not that of a Django model")]
    NoKey(TableName),
    /// The key is of another type than the configuration says.
    #[error("the key of {table} is {column} of type {found}: set CFIMAGES_USER_KEY={wanted}")]
    OtherKey {
        /// The table.
        table: TableName,
        /// The column that is its key.
        column: String,
        /// The type of that column.
        found: String,
        /// What the setting must be.
        wanted: UserKey,
    },
    /// The key is of a type that users cannot have here.
    #[error("the key of {table} is {column} of type {found}; integer, bigint and uuid are supported")]
    UnsupportedKey {
        /// The table.
        table: TableName,
        /// The column that is its key.
        column: String,
        /// The type of that column.
        found: String,
    },
    /// The table is not one of users.
    #[error("the table {0} has no column password, so it is not that of a Django user model")]
    NoPassword(TableName),
    /// Users can only be created by those who know the columns.
    #[error("{0} is the table of a custom user model: create users with Django (`manage.py createsuperuser`)")]
    Custom(TableName),
}

/// Which table is that of the users, and what has been found out about it.
pub(super) struct UserSource {
    name: TableName,
    key: UserKey,
    found: OnceLock<Arc<UserTable>>,
}

/// A table of users and what its columns mean.
pub(super) struct UserTable {
    name: TableName,
    /// The column of the key, in quotes.
    key: String,
    /// The subquery with the columns that all statements know.
    users: String,
    /// Whether the columns are those of Django's `AbstractUser`, and the database makes the keys.
    is_plain: bool,
}

#[derive(Debug, Clone, FromRow)]
struct ColumnRow {
    name: String,
    kind: String,
    is_key: bool,
    is_unique: bool,
    is_nullable: bool,
}

/// The columns of Django's `AbstractUser`, by name.
const PLAIN_COLUMNS: &[&str] = &[
    "date_joined",
    "email",
    "first_name",
    "id",
    "is_active",
    "is_staff",
    "is_superuser",
    "last_login",
    "last_name",
    "password",
    "username",
];

const COLUMNS_POSTGRES: &str = r"
    SELECT
        columns.attname::text AS name,
        format_type(columns.atttypid, NULL) AS kind,
        coalesce(bool_or(indexes.indisprimary), false) AS is_key,
        coalesce(bool_or(indexes.indisunique AND indexes.indisvalid AND indexes.indpred IS NULL), false) AS is_unique,
        NOT columns.attnotnull AS is_nullable
    FROM pg_attribute AS columns
    LEFT JOIN pg_index AS indexes
        ON indexes.indrelid = columns.attrelid AND indexes.indnkeyatts = 1 AND indexes.indkey[0] = columns.attnum
    WHERE columns.attrelid = to_regclass($1) AND columns.attnum > 0 AND NOT columns.attisdropped
    GROUP BY columns.attnum, columns.attname, columns.atttypid, columns.attnotnull
    ORDER BY columns.attnum";
const COLUMNS_SQLITE: &str = r#"
    SELECT
        columns.name,
        lower(columns.type) AS kind,
        columns.pk = 1 AND (SELECT max(pk) FROM pragma_table_info($1, $2)) = 1 AS is_key,
        EXISTS (
            SELECT 1
            FROM pragma_index_list($1, $2) AS indexes
            WHERE indexes."unique" AND NOT indexes.partial
                AND (SELECT group_concat(name) FROM pragma_index_info(indexes.name, $2)) = columns.name
        ) AS is_unique,
        NOT columns."notnull" AND columns.pk = 0 AS is_nullable
    FROM (SELECT 1 WHERE $2 IS NULL OR EXISTS (SELECT 1 FROM pragma_database_list WHERE name = $2))
    CROSS JOIN pragma_table_info($1, $2) AS columns
    ORDER BY columns.cid"#;

/// The table that images refer to, and whether it is the one named.
const OWNERS_POSTGRES: &str = r"
    SELECT references_to.confrelid::regclass::text, coalesce(references_to.confrelid = to_regclass($1), false)
    FROM pg_constraint AS references_to
    JOIN pg_attribute AS columns
        ON columns.attrelid = references_to.conrelid AND references_to.conkey = ARRAY[columns.attnum]
    WHERE references_to.conrelid = to_regclass('cloudflare_images') AND references_to.contype = 'f' AND columns.attname = 'user_id'";
const OWNERS_SQLITE: &str = r#"
    SELECT "table", lower("table") = lower($1)
    FROM pragma_foreign_key_list('cloudflare_images')
    WHERE "from" = 'user_id'"#;

impl UserSource {
    pub(super) fn new(name: TableName, key: UserKey) -> Self {
        Self { name, key, found: OnceLock::new() }
    }

    /// The table.
    pub(super) fn name(&self) -> &TableName {
        &self.name
    }

    /// The type of the keys.
    pub(super) fn key(&self) -> UserKey {
        self.key
    }

    /// Whether Django's own table is meant, with its own keys.
    pub(super) fn is_django_default(&self) -> bool {
        self.name.schema().is_none() && self.name.table() == "auth_user" && self.key == UserKey::Integer
    }

    /// What has been found out, if anything.
    pub(super) fn found(&self) -> Option<Arc<UserTable>> {
        self.found.get().cloned()
    }

    /// Looks at the table. Two that do so at once find the same.
    pub(super) async fn find(
        &self,
        connection: Engine<&mut PgConnection, &mut SqliteConnection>,
    ) -> Result<Arc<UserTable>, Error> {
        let table = Arc::new(self.inspect(connection).await?);
        Ok(Arc::clone(self.found.get_or_init(|| table)))
    }

    async fn inspect(&self, connection: Engine<&mut PgConnection, &mut SqliteConnection>) -> Result<UserTable, Error> {
        let (owners, columns): (Option<(String, bool)>, Vec<ColumnRow>) = match connection {
            Engine::Postgres(connection) => (
                sqlx::query_as(OWNERS_POSTGRES).bind(self.name.to_sql()).fetch_optional(&mut *connection).await?,
                sqlx::query_as(COLUMNS_POSTGRES).bind(self.name.to_sql()).fetch_all(connection).await?,
            ),
            Engine::Sqlite(connection) => (
                sqlx::query_as(OWNERS_SQLITE).bind(self.name.table()).fetch_optional(&mut *connection).await?,
                sqlx::query_as(COLUMNS_SQLITE)
                    .bind(self.name.table())
                    .bind(self.name.schema())
                    .fetch_all(connection)
                    .await?,
            ),
        };
        if let Some((found, false)) = owners {
            return Err(UserTableError::OtherTable { named: self.name.clone(), found }.into());
        }
        Ok(UserTable::new(self.name.clone(), self.key, &columns)?)
    }
}

impl UserTable {
    fn new(name: TableName, key: UserKey, columns: &[ColumnRow]) -> Result<Self, UserTableError> {
        if columns.is_empty() {
            return Err(UserTableError::Missing(name));
        }
        let Some(id) = columns.iter().find(|column| column.is_key) else {
            return Err(UserTableError::NoKey(name));
        };
        check_key(&name, key, id)?;
        if columns.iter().all(|column| column.name != "password") {
            return Err(UserTableError::NoPassword(name));
        }
        let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        names.sort_unstable();
        Ok(Self {
            key: quote_identifier(&id.name),
            users: subquery(&name, id, columns),
            is_plain: names == PLAIN_COLUMNS && key != UserKey::Uuid,
            name,
        })
    }

    /// A statement with its placeholders filled in.
    pub(super) fn sql(&self, statement: &str) -> AssertSqlSafe<String> {
        // Statements are made of constants; what is put into them are names in quotes, which come from the configuration and the catalogue.
        let mut sql = String::with_capacity(statement.len() + self.users.len());
        let mut rest = statement;
        while let Some((before, after)) = rest.split_once('{') {
            sql.push_str(before);
            let (placeholder, after) = after.split_once('}').unwrap_or((after, ""));
            match placeholder {
                "users" => sql.push_str(&self.users),
                "table" => sql.push_str(&self.name.to_sql()),
                "key" => sql.push_str(&self.key),
                other => sql.push_str(other),
            }
            rest = after;
        }
        sql.push_str(rest);
        AssertSqlSafe(sql)
    }

    /// Makes sure that rows can be added without knowing more of the user model than Django's own.
    pub(super) fn require_plain(&self) -> Result<(), UserTableError> {
        if self.is_plain { Ok(()) } else { Err(UserTableError::Custom(self.name.clone())) }
    }
}

fn check_key(table: &TableName, key: UserKey, id: &ColumnRow) -> Result<(), UserTableError> {
    let fitting: &[UserKey] = match id.kind.as_str() {
        "uuid" | "char(32)" => &[UserKey::Uuid],
        // Also what SQLite has for both.
        "integer" => &[UserKey::Integer, UserKey::BigInteger],
        "bigint" => &[UserKey::BigInteger],
        _ => &[],
    };
    let (table, column, found) = (table.clone(), id.name.clone(), id.kind.clone());
    match fitting.first() {
        Some(_) if fitting.contains(&key) => Ok(()),
        Some(&wanted) => Err(UserTableError::OtherKey { table, column, found, wanted }),
        None => Err(UserTableError::UnsupportedKey { table, column, found }),
    }
}

/// The columns that statements know, made of those that the table has.
fn subquery(name: &TableName, id: &ColumnRow, columns: &[ColumnRow]) -> String {
    let find = |name: &str| columns.iter().find(|column| column.name == name);
    let text = |column: &ColumnRow| {
        let name = quote_identifier(&column.name);
        if column.is_nullable { format!("coalesce({name}, '')") } else { name }
    };
    let flag = |name: &str, otherwise: &str| match find(name) {
        Some(column) if column.is_nullable => format!("coalesce({}, false)", quote_identifier(&column.name)),
        Some(column) => quote_identifier(&column.name),
        None => otherwise.to_owned(),
    };
    let key = quote_identifier(&id.name);
    let username = match sign_in_column(columns) {
        Some(column) => text(column),
        None => format!("CAST({key} AS text)"),
    };
    let email = find("email").map_or_else(|| "''".to_owned(), text);
    let date_joined = match find("date_joined") {
        Some(column) => quote_identifier(&column.name),
        None => "CAST(NULL AS timestamptz)".to_owned(),
    };
    format!(
        "(SELECT {key} AS id, {username} AS username, {email} AS email, password, {} AS is_active, {} AS is_staff, \
         {} AS is_superuser, {date_joined} AS date_joined FROM {})",
        flag("is_active", "true"),
        flag("is_staff", "false"),
        flag("is_superuser", "false"),
        name.to_sql()
    )
}

/// What users sign in with: Django wants it unique.
fn sign_in_column(columns: &[ColumnRow]) -> Option<&ColumnRow> {
    let candidates = || ["username", "email"].into_iter().filter_map(|name| columns.iter().find(|c| c.name == name));
    candidates().find(|column| column.is_unique).or_else(|| candidates().next())
}
