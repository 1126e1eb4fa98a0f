//! Rows of `authtoken_token`: one API token a user.

use sqlx::FromRow;

use super::{Database, Error, Transaction, on};
use crate::domain::{Timestamp, UserId};

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
    SELECT auth_user.username, substr(authtoken_token.key, 1, 8) AS key_start, authtoken_token.created
    FROM authtoken_token
    JOIN auth_user ON auth_user.id = authtoken_token.user_id
    ORDER BY auth_user.username";

/// All tokens, by the names of their owners.
///
/// # Errors
/// If the database fails.
pub async fn list(database: &Database) -> Result<Vec<TokenSummary>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, TokenSummary>(LIST).fetch_all(pool).await)?)
}

const FIND_OR_INSERT: &str = r"
    INSERT INTO authtoken_token (key, created, user_id)
    VALUES ($1, $2, $3)
    ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
    RETURNING key";

/// The token of a user: the one there is, else `key`.
///
/// # Errors
/// If the database fails.
pub async fn find_or_insert(
    transaction: &mut Transaction,
    user: UserId,
    key: &str,
    now: Timestamp,
) -> Result<String, Error> {
    Ok(on!(transaction.connection(), connection => sqlx::query_scalar(FIND_OR_INSERT)
        .bind(key)
        .bind(now)
        .bind(user)
        .fetch_one(connection)
        .await)?)
}

const DELETE: &str = "DELETE FROM authtoken_token WHERE user_id = $1";

/// Deletes the token of a user; whether there was one.
///
/// # Errors
/// If the database fails.
pub async fn delete(transaction: &mut Transaction, user: UserId) -> Result<bool, Error> {
    let rows = on!(transaction.connection(), connection => {
        sqlx::query(DELETE).bind(user).execute(connection).await.map(|done| done.rows_affected())
    })?;
    Ok(rows > 0)
}
