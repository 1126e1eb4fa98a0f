//! Rows of `authtoken_token`: one API token a user. Django has the table where `rest_framework.authtoken` is installed.

use sqlx::FromRow;

use super::{Database, Error, Transaction, is_missing_table, on};
use crate::domain::{Timestamp, UserId};

pub(super) const TABLE: &str = "authtoken_token";

/// A token without its secret part.
#[derive(Debug, FromRow)]
pub struct TokenSummary {
    /// The owner's name.
    pub username: String,
    /// The first eight of forty digits.
    pub key_start: String,
    /// When the token was made.
    pub created: Timestamp,
}

const LIST: &str = r"
    SELECT users.username, substr(authtoken_token.key, 1, 8) AS key_start, authtoken_token.created
    FROM authtoken_token
    JOIN {users} AS users ON users.id = authtoken_token.user_id
    ORDER BY users.username, users.id";

/// All tokens, by the names of their owners.
///
/// # Errors
/// [`Error::NoTokens`] if Django has no tokens.
pub async fn list(database: &Database) -> Result<Vec<TokenSummary>, Error> {
    let statement = database.users().await?.sql(LIST);
    on!(database.reader(), pool => sqlx::query_as::<_, TokenSummary>(statement).fetch_all(pool).await).map_err(explain)
}

const FIND_OR_INSERT: &str = r"
    INSERT INTO authtoken_token (key, created, user_id)
    VALUES ($1, $2, $3)
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
    RETURNING key";

/// The token of a user: the one there is, else `key`.
///
/// # Errors
/// [`Error::NoTokens`] if Django has no tokens.
pub async fn find_or_insert(
    transaction: &mut Transaction,
    user: UserId,
    key: &str,
    now: Timestamp,
) -> Result<String, Error> {
    on!(transaction.connection(), connection => sqlx::query_scalar(FIND_OR_INSERT)
        .bind(key)
        .bind(now)
        .bind(user)
        .fetch_one(connection)
        .await)
    .map_err(explain)
}

const DELETE: &str = "DELETE FROM authtoken_token WHERE user_id = $1";

/// Deletes the token of a user; whether there was one.
///
/// # Errors
/// [`Error::NoTokens`] if Django has no tokens.
pub async fn delete(transaction: &mut Transaction, user: UserId) -> Result<bool, Error> {
    let rows = on!(transaction.connection(), connection => {
        sqlx::query(DELETE).bind(user).execute(connection).await.map(|done| done.rows_affected())
    })
    .map_err(explain)?;
    Ok(rows > 0)
}

/// A site without tokens is not broken; it lacks something.
fn explain(error: sqlx::Error) -> Error {
    if is_missing_table(&error, TABLE) { Error::NoTokens } else { error.into() }
}
