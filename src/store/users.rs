//! Rows of the user table, which is `auth_user` unless Django has a model of its own for users. `user_table`
//! explains the placeholders.

use super::{Database, DuplicateExt, Error, Transaction, is_missing_table, on, tokens};
use crate::domain::{NewUser, Timestamp, User, UserId};

macro_rules! columns {
    () => {
        "id, username, email, is_active, is_staff, is_superuser, date_joined"
    };
}

const FIND_BY_TOKEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM authtoken_token JOIN {users} AS users ON users.id = authtoken_token.user_id WHERE authtoken_token.key = $1"
);

/// The user to whom a token belongs, active or not. Where Django has no tokens, nobody has one.
///
/// # Errors
/// If the database fails.
pub async fn find_by_token(database: &Database, key: &str) -> Result<Option<User>, Error> {
    let statement = database.users().await?.sql(FIND_BY_TOKEN);
    let found = on!(database.reader(), pool => {
        sqlx::query_as::<_, User>(statement).bind(key).fetch_optional(pool).await
    });
    match found {
        Err(error) if is_missing_table(&error, tokens::TABLE) => Ok(None),
        found => Ok(found?),
    }
}

const FIND_BY_USERNAME: &str = concat!("SELECT ", columns!(), " FROM {users} AS users WHERE username = $1 LIMIT 2");

/// The user with this name.
///
/// # Errors
/// [`Error::AmbiguousUser`] if several have it, which a custom user model may allow.
pub async fn find_by_username(database: &Database, username: &str) -> Result<Option<User>, Error> {
    let statement = database.users().await?.sql(FIND_BY_USERNAME);
    let mut found = on!(database.reader(), pool => {
        sqlx::query_as::<_, User>(statement).bind(username).fetch_all(pool).await
    })?;
    if found.len() > 1 { Err(Error::AmbiguousUser(username.to_owned())) } else { Ok(found.pop()) }
}

const LIST: &str = concat!("SELECT ", columns!(), " FROM {users} AS users ORDER BY username, id");

/// All users, by name.
///
/// # Errors
/// If the database fails.
pub async fn list(database: &Database) -> Result<Vec<User>, Error> {
    let statement = database.users().await?.sql(LIST);
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, User>(statement).fetch_all(pool).await)?)
}

const INSERT: &str = concat!(
    r"
    INSERT INTO {table} (
        password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined
    )
    VALUES ($1, $2, $3, '', '', $4, $5, $6, $7)
    RETURNING ",
    columns!()
);

/// Creates an active user.
///
/// # Errors
/// [`Error::Duplicate`] if the name is taken, [`Error::UserTable`] if the user model is not like Django's own.
pub async fn insert(transaction: &mut Transaction, user: &NewUser, now: Timestamp) -> Result<User, Error> {
    let users = transaction.users().await?;
    users.require_plain()?;
    on!(transaction.connection(), connection => sqlx::query_as::<_, User>(users.sql(INSERT))
        .bind(&user.password_hash)
        .bind(user.is_superuser)
        .bind(&user.username)
        .bind(&user.email)
        .bind(user.is_staff)
        .bind(true)
        .bind(now)
        .fetch_one(connection)
        .await
        .duplicate_of("username"))
}

const UPDATE_PASSWORD: &str = "UPDATE {table} SET password = $2 WHERE {key} = $1";

/// Replaces the hash of a user's password.
///
/// # Errors
/// If the database fails.
pub async fn update_password(transaction: &mut Transaction, user: UserId, hash: &str) -> Result<(), Error> {
    let statement = transaction.users().await?.sql(UPDATE_PASSWORD);
    on!(transaction.connection(), connection => {
        sqlx::query(statement).bind(user).bind(hash).execute(connection).await.map(drop)
    })?;
    Ok(())
}
