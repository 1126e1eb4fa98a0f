//! Rows of the user table, which is `auth_user` unless Django has a model of its own for users. `user_table`
//! explains the placeholders.

use std::fmt;

use sqlx::FromRow;

use super::sql::{Argument, Dialect, Statement, bind_all};
use super::{Database, DuplicateExt, Error, MissingTableExt, Transaction, on, tokens};
use crate::domain::{NewUser, Role, Timestamp, User, UserId};

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
    on!(database.reader(), pool => {
        let found = sqlx::query_as::<_, User>(statement).bind(key).fetch_optional(pool).await;
        found.none_without_table(tokens::TABLE)
    })
}

const FIND: &str = concat!("SELECT ", columns!(), " FROM {users} AS users WHERE id = $1");

/// The user with this key.
///
/// # Errors
/// If the database fails.
pub async fn find(database: &Database, id: UserId) -> Result<Option<User>, Error> {
    let statement = database.users().await?.sql(FIND);
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, User>(statement).bind(id).fetch_optional(pool).await)?)
}

const FIND_BY_USERNAME: &str = concat!("SELECT ", columns!(), " FROM {users} AS users WHERE username = $1 LIMIT 2");

/// The user with this name.
///
/// # Errors
/// [`Error::AmbiguousUser`] if several have it, which a custom user model may allow.
pub async fn find_by_username(database: &Database, username: &str) -> Result<Option<User>, Error> {
    let statement = database.users().await?.sql(FIND_BY_USERNAME);
    let found = on!(database.reader(), pool => {
        sqlx::query_as::<_, User>(statement).bind(username).fetch_all(pool).await
    })?;
    only_one(found, username)
}

fn only_one<T>(mut found: Vec<T>, username: &str) -> Result<Option<T>, Error> {
    if found.len() > 1 { Err(Error::AmbiguousUser(username.to_owned())) } else { Ok(found.pop()) }
}

/// A user with the hash of the password, which is shown to nobody.
#[derive(Clone, FromRow)]
pub struct UserWithPassword {
    /// The user.
    #[sqlx(flatten)]
    pub user: User,
    /// The hash, in Django's form.
    pub password: String,
}

impl fmt::Debug for UserWithPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserWithPassword").field("user", &self.user).finish_non_exhaustive()
    }
}

const FIND_WITH_PASSWORD: &str = concat!("SELECT ", columns!(), ", password FROM {users} AS users WHERE id = $1");

/// The user with this key, and the hash of the password.
///
/// # Errors
/// If the database fails.
pub async fn find_with_password(database: &Database, id: UserId) -> Result<Option<UserWithPassword>, Error> {
    let statement = database.users().await?.sql(FIND_WITH_PASSWORD);
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, UserWithPassword>(statement).bind(id).fetch_optional(pool).await
    })?)
}

const FIND_BY_USERNAME_WITH_PASSWORD: &str =
    concat!("SELECT ", columns!(), ", password FROM {users} AS users WHERE username = $1 LIMIT 2");

/// The user with this name, and the hash of the password.
///
/// # Errors
/// [`Error::AmbiguousUser`] if several have it, which a custom user model may allow.
pub async fn find_by_username_with_password(
    database: &Database,
    username: &str,
) -> Result<Option<UserWithPassword>, Error> {
    let statement = database.users().await?.sql(FIND_BY_USERNAME_WITH_PASSWORD);
    let found = on!(database.reader(), pool => {
        sqlx::query_as::<_, UserWithPassword>(statement).bind(username).fetch_all(pool).await
    })?;
    only_one(found, username)
}

// A site where others check passwords may have any number of users without one.
const FIND_USUAL_PASSWORD: &str = r"
    SELECT password
    FROM (SELECT id, password FROM {users} AS users ORDER BY id DESC LIMIT 100) AS newest
    WHERE password NOT LIKE '!%' AND password <> ''
    ORDER BY id DESC
    LIMIT 1";

/// The hash of the newest user who has a password, which is in the form that the site hashes passwords in.
///
/// # Errors
/// If the database fails.
pub async fn find_usual_password(database: &Database) -> Result<Option<String>, Error> {
    let statement = database.users().await?.sql(FIND_USUAL_PASSWORD);
    Ok(on!(database.reader(), pool => sqlx::query_scalar(statement).fetch_optional(pool).await)?)
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

/// The names of users by their keys; of those who are gone there is none.
///
/// # Errors
/// If the database fails.
pub async fn list_names(database: &Database, ids: &[UserId]) -> Result<Vec<(UserId, String)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut statement = Statement::new(Dialect::of(database), "SELECT id, username FROM {users} AS users WHERE id");
    statement.bind_in(ids.iter().copied().map(Argument::User));
    let Statement { text, arguments, .. } = statement;
    let text = database.users().await?.sql(&text);
    Ok(on!(database.reader(), pool => {
        bind_all!(sqlx::query_as::<_, (UserId, String)>(text), arguments).fetch_all(pool).await
    })?)
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
        .bind(user.role == Role::Superuser)
        .bind(&user.username)
        .bind(&user.email)
        .bind(user.role != Role::User)
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
