//! Rows of `cfimages_sign_in_failures`: attempts to sign in that failed, or have not ended yet.

use sqlx::FromRow;

use super::{Database, Error, Transaction, on};
use crate::domain::Timestamp;

/// An attempt that failed or has not ended.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SignInFailure {
    /// The key of the row.
    pub id: i64,
    /// The SHA-256 of the user name, folded, in hexadecimal digits: people type passwords into the wrong field.
    pub username_digest: String,
    /// The address or network that the attempt came from.
    pub address: String,
    /// When it was made.
    pub failed_at: Timestamp,
}

const LIST: &str = r"
    SELECT id, username_digest, address, failed_at
    FROM cfimages_sign_in_failures
    WHERE failed_at > $3 AND (username_digest = $1 OR address = $2)
    ORDER BY failed_at, id";

/// The attempts with this name or from this address since a point in time, the oldest first.
///
/// # Errors
/// If the database fails.
pub async fn list(
    database: &Database,
    username_digest: &str,
    address: &str,
    since: Timestamp,
) -> Result<Vec<SignInFailure>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, SignInFailure>(LIST)
            .bind(username_digest)
            .bind(address)
            .bind(since)
            .fetch_all(pool)
            .await
    })?)
}

const INSERT: &str = r"
    INSERT INTO cfimages_sign_in_failures (username_digest, address, user_key, failed_at)
    VALUES ($1, $2, $3, $4)
    RETURNING id";

/// Records an attempt; the key of its row. `user_key` is the key of the user whose name it was, if it was one.
///
/// # Errors
/// If the database fails.
pub async fn insert(
    transaction: &mut Transaction,
    username_digest: &str,
    address: &str,
    user_key: Option<&str>,
    now: Timestamp,
) -> Result<i64, Error> {
    Ok(on!(transaction.connection(), connection => {
        sqlx::query_scalar(INSERT)
            .bind(username_digest)
            .bind(address)
            .bind(user_key)
            .bind(now)
            .fetch_one(connection)
            .await
    })?)
}

const DELETE: &str = "DELETE FROM cfimages_sign_in_failures WHERE id = $1";

/// Removes an attempt.
///
/// # Errors
/// If the database fails.
pub async fn delete(transaction: &mut Transaction, id: i64) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(DELETE).bind(id).execute(connection).await.map(drop))?;
    Ok(())
}

const DELETE_OF: &str = "DELETE FROM cfimages_sign_in_failures WHERE user_key = $1 AND address = $2";

/// Removes the attempts with the name of this user from this address.
///
/// # Errors
/// If the database fails.
pub async fn delete_of(transaction: &mut Transaction, user_key: &str, address: &str) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(DELETE_OF).bind(user_key).bind(address).execute(connection).await.map(drop)
    })?;
    Ok(())
}

const DELETE_OLD: &str = "DELETE FROM cfimages_sign_in_failures WHERE failed_at <= $1";

/// Removes the attempts up to a point in time.
///
/// # Errors
/// If the database fails.
pub async fn delete_old(transaction: &mut Transaction, until: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(DELETE_OLD).bind(until).execute(connection).await.map(drop)
    })?;
    Ok(())
}
