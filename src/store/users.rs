//! Rows of `auth_user`.

use std::fmt;

use sqlx::FromRow;

use super::{Database, DuplicateExt, Error, MissingTableExt, Transaction, on};
use crate::domain::{NewUser, Timestamp, User, UserId};

macro_rules! columns {
    () => {
        "auth_user.id, username, email, is_active, is_staff, is_superuser, date_joined"
    };
}

const FIND_BY_TOKEN: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM authtoken_token JOIN auth_user ON auth_user.id = authtoken_token.user_id WHERE authtoken_token.key = $1"
);

/// The user to whom a token belongs, active or not. A site without tokens has none.
///
/// # Errors
/// If the database fails.
pub async fn find_by_token(database: &Database, key: &str) -> Result<Option<User>, Error> {
    on!(database.reader(), pool => {
        sqlx::query_as::<_, User>(FIND_BY_TOKEN).bind(key).fetch_optional(pool).await.none_without_table()
    })
}

const FIND_BY_USERNAME: &str = concat!("SELECT ", columns!(), " FROM auth_user WHERE username = $1");

/// The user with this name.
///
/// # Errors
/// If the database fails.
pub async fn find_by_username(database: &Database, username: &str) -> Result<Option<User>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, User>(FIND_BY_USERNAME).bind(username).fetch_optional(pool).await
    })?)
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

const FIND_WITH_PASSWORD: &str = concat!("SELECT ", columns!(), ", password FROM auth_user WHERE id = $1");

/// The user with this key, and the hash of the password.
///
/// # Errors
/// If the database fails.
pub async fn find_with_password(database: &Database, id: UserId) -> Result<Option<UserWithPassword>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, UserWithPassword>(FIND_WITH_PASSWORD).bind(id).fetch_optional(pool).await
    })?)
}

const FIND_BY_USERNAME_WITH_PASSWORD: &str =
    concat!("SELECT ", columns!(), ", password FROM auth_user WHERE username = $1");

/// The user with this name, and the hash of the password.
///
/// # Errors
/// If the database fails.
pub async fn find_by_username_with_password(
    database: &Database,
    username: &str,
) -> Result<Option<UserWithPassword>, Error> {
    Ok(on!(database.reader(), pool => {
        sqlx::query_as::<_, UserWithPassword>(FIND_BY_USERNAME_WITH_PASSWORD)
            .bind(username)
            .fetch_optional(pool)
            .await
    })?)
}

// A site where others check passwords may have any number of users without one.
const FIND_USUAL_PASSWORD: &str = r"
    SELECT password
    FROM (SELECT id, password FROM auth_user ORDER BY id DESC LIMIT 100) AS newest
    WHERE password NOT LIKE '!%' AND password <> ''
    ORDER BY id DESC
    LIMIT 1";

/// The hash of the newest user who has a password, which is in the form that the site hashes passwords in.
///
/// # Errors
/// If the database fails.
pub async fn find_usual_password(database: &Database) -> Result<Option<String>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_scalar(FIND_USUAL_PASSWORD).fetch_optional(pool).await)?)
}

const LIST: &str = concat!("SELECT ", columns!(), " FROM auth_user ORDER BY username");

/// All users, by name.
///
/// # Errors
/// If the database fails.
pub async fn list(database: &Database) -> Result<Vec<User>, Error> {
    Ok(on!(database.reader(), pool => sqlx::query_as::<_, User>(LIST).fetch_all(pool).await)?)
}

const INSERT: &str = concat!(
    r"
    INSERT INTO auth_user (
        password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined
    )
    VALUES ($1, $2, $3, '', '', $4, $5, $6, $7)
    RETURNING ",
    columns!()
);

/// Creates an active user.
///
/// # Errors
/// [`Error::Duplicate`] if the name is taken.
pub async fn insert(transaction: &mut Transaction, user: &NewUser, now: Timestamp) -> Result<User, Error> {
    on!(transaction.connection(), connection => sqlx::query_as::<_, User>(INSERT)
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

const UPDATE_PASSWORD: &str = "UPDATE auth_user SET password = $2 WHERE id = $1";

/// Replaces the hash of a user's password.
///
/// # Errors
/// If the database fails.
pub async fn update_password(transaction: &mut Transaction, user: UserId, hash: &str) -> Result<(), Error> {
    on!(transaction.connection(), connection => {
        sqlx::query(UPDATE_PASSWORD).bind(user).bind(hash).execute(connection).await.map(drop)
    })?;
    Ok(())
}
