//! Rows of `cfimages_admin_sessions`.

use sqlx::FromRow;

use super::{Database, Error, Transaction, on};
use crate::domain::{AdminSession, Timestamp};

macro_rules! columns {
    () => {
        "id, user_key, created_at, last_seen_at, expires_at, client, user_agent"
    };
}

/// A session with what it was signed in with.
#[derive(Debug, Clone, FromRow)]
pub struct StoredSession {
    /// The session.
    #[sqlx(flatten)]
    pub session: AdminSession,
    /// The SHA-256 of the hash that the password had.
    pub password_digest: Vec<u8>,
}

/// A session to be kept.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// The SHA-256 of its token.
    pub token_digest: &'a [u8],
    /// The key of the user, as text.
    pub user_key: &'a str,
    /// The SHA-256 of the hash of the password.
    pub password_digest: &'a [u8],
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// The address of the browser.
    pub client: Option<String>,
    /// The browser as it names itself.
    pub user_agent: &'a str,
}

const INSERT: &str = r"
    INSERT INTO cfimages_admin_sessions (
        token_digest, user_key, password_digest, created_at, last_seen_at, expires_at, client, user_agent
    )
    VALUES ($1, $2, $3, $4, $4, $5, $6, $7)";

/// Keeps a session that begins now.
///
/// # Errors
/// If the database fails.
pub async fn insert(transaction: &mut Transaction, session: &NewSession<'_>, now: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => sqlx::query(INSERT)
        .bind(session.token_digest)
        .bind(session.user_key)
        .bind(session.password_digest)
        .bind(now)
        .bind(session.expires_at)
        .bind(&session.client)
        .bind(session.user_agent)
        .execute(connection)
        .await
        .map(drop))?;
    Ok(())
}

const FIND: &str = concat!(
    "SELECT ",
    columns!(),
    ", password_digest FROM cfimages_admin_sessions WHERE token_digest = $1 AND expires_at > $2 AND last_seen_at > $3"
);

/// The session with a token, unless it has ended or nothing came since `seen_after`.
///
/// # Errors
/// If the database fails.
pub async fn find(
    database: &Database,
    token_digest: &[u8],
    now: Timestamp,
    seen_after: Timestamp,
) -> Result<Option<StoredSession>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, StoredSession>(FIND)
        .bind(token_digest)
        .bind(now)
        .bind(seen_after)
        .fetch_optional(pool)
        .await)?)
}

const LIST: &str = concat!(
    "SELECT ",
    columns!(),
    r"
    FROM cfimages_admin_sessions
    WHERE user_key = $1 AND expires_at > $2 AND last_seen_at > $3
    ORDER BY last_seen_at DESC, id DESC
    LIMIT $4"
);

/// The sessions of a user that have not ended, the last used first.
///
/// # Errors
/// If the database fails.
pub async fn list(
    database: &Database,
    user_key: &str,
    now: Timestamp,
    seen_after: Timestamp,
    limit: u32,
) -> Result<Vec<AdminSession>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, AdminSession>(LIST)
        .bind(user_key)
        .bind(now)
        .bind(seen_after)
        .bind(i64::from(limit))
        .fetch_all(pool)
        .await)?)
}

const TOUCH: &str = "UPDATE cfimages_admin_sessions SET last_seen_at = $2 WHERE id = $1 AND last_seen_at < $2";

/// Notes that a request came.
///
/// # Errors
/// If the database fails.
pub async fn touch(transaction: &mut Transaction, id: i64, now: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(TOUCH).bind(id).bind(now).execute(connection).await.map(drop)
    })?;
    Ok(())
}

const DELETE: &str = "DELETE FROM cfimages_admin_sessions WHERE id = $1 AND user_key = $2";

/// Ends a session of a user; whether there was one.
///
/// # Errors
/// If the database fails.
pub async fn delete(transaction: &mut Transaction, id: i64, user_key: &str) -> Result<bool, Error> {
    Ok(on!(transaction.connection(), connection => {
        sqlx::query(DELETE).bind(id).bind(user_key).execute(connection).await.map(|done| done.rows_affected() > 0)
    })?)
}

const DELETE_OTHERS: &str = "DELETE FROM cfimages_admin_sessions WHERE user_key = $1 AND ($2 IS NULL OR id <> $2)";

/// Ends the sessions of a user but for one, or all.
///
/// # Errors
/// If the database fails.
pub async fn delete_others(transaction: &mut Transaction, user_key: &str, keep: Option<i64>) -> Result<u64, Error> {
    Ok(on!(transaction.connection(), connection => {
        let done = sqlx::query(DELETE_OTHERS).bind(user_key).bind(keep).execute(connection).await;
        done.map(|done| done.rows_affected())
    })?)
}

const DELETE_ENDED: &str = "DELETE FROM cfimages_admin_sessions WHERE expires_at <= $1 OR last_seen_at <= $2";

/// Removes the sessions that have ended, or that nothing came from since `seen_after`.
///
/// # Errors
/// If the database fails.
pub async fn delete_ended(transaction: &mut Transaction, now: Timestamp, seen_after: Timestamp) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(DELETE_ENDED).bind(now).bind(seen_after).execute(connection).await.map(drop)
    })?;
    Ok(())
}
