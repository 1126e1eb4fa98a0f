//! The database and how it is used.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use super::parse;
use super::settings::{
    CFIMAGES_DB_ACQUIRE_TIMEOUT_SECONDS, CFIMAGES_DB_MAX_CONNECTIONS, CFIMAGES_DB_STATEMENT_TIMEOUT_SECONDS,
    CFIMAGES_HOST_DELETE_TABLES, CFIMAGES_SLOW_QUERY_MS, CFIMAGES_USER_KEY, CFIMAGES_USER_TABLE, DATABASE_URL,
};
use super::values::Values;
use crate::domain::{ParseTableNameError, TableName, UserKey};

/// The database and how it is used.
#[derive(Debug, Clone)]
pub struct DatabaseConfig {
    /// `postgres://…`, `postgresql://…` or `sqlite:…`; secret because of the password it may hold.
    pub url: SecretString,
    /// How many connections are open at most, 1 to 1000.
    pub max_connections: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// How long a statement may run; on PostgreSQL only.
    pub statement_timeout: Duration,
    /// How long a statement may take before it is warned of; none for any time.
    pub slow_query: Option<Duration>,
    /// Tables of the application whose rows are deleted with the image they require: `table` or `schema.table`.
    pub host_delete_tables: Vec<String>,
    /// The table of Django's `AUTH_USER_MODEL`.
    pub user_table: TableName,
    /// The type of the keys of that table.
    pub user_key: UserKey,
}

impl DatabaseConfig {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let url = values.read(&DATABASE_URL, url);
        let max_connections = values.read(&CFIMAGES_DB_MAX_CONNECTIONS, parse::number(1..=1000));
        let acquire_timeout = values.read(&CFIMAGES_DB_ACQUIRE_TIMEOUT_SECONDS, parse::number(1..=3600));
        let statement_timeout = values.read(&CFIMAGES_DB_STATEMENT_TIMEOUT_SECONDS, parse::number(1..=3600));
        let slow_query = values.read(&CFIMAGES_SLOW_QUERY_MS, parse::number(0..=3_600_000));
        let host_delete_tables = values.read(&CFIMAGES_HOST_DELETE_TABLES, Tables::parse);
        let user_table = values.read(&CFIMAGES_USER_TABLE, table_name);
        let user_key = values.read(&CFIMAGES_USER_KEY, user_key);
        Some(Self {
            url: url?.into(),
            max_connections: max_connections?,
            acquire_timeout: Duration::from_secs(acquire_timeout?),
            statement_timeout: Duration::from_secs(statement_timeout?),
            slow_query: Some(slow_query?).filter(|millis| *millis > 0).map(Duration::from_millis),
            host_delete_tables: host_delete_tables.map(|tables| tables.0).unwrap_or_default(),
            user_table: user_table?,
            user_key: user_key?,
        })
    }
}

struct Tables(Vec<String>);

impl Tables {
    fn parse(text: &str) -> Result<Self, String> {
        parse::list(text).map(parse::plain).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

fn table_name(text: &str) -> Result<TableName, String> {
    text.parse().map_err(|error: ParseTableNameError| error.to_string())
}

fn user_key(text: &str) -> Result<UserKey, String> {
    UserKey::from_name(text).ok_or_else(|| "must be integer, bigint or uuid".to_owned())
}

fn url(text: &str) -> Result<String, String> {
    let url = text.trim();
    if ["postgres://", "postgresql://", "sqlite:"].iter().any(|scheme| url.starts_with(scheme)) {
        Ok(url.to_owned())
    } else {
        Err("must begin with postgres://, postgresql:// or sqlite:".to_owned())
    }
}
