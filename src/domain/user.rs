//! The users of the application, rows of Django's `auth_user`.

use std::fmt;

use super::Timestamp;

/// The key of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId(pub i64);

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Somebody who may own images.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct User {
    /// The key.
    pub id: UserId,
    /// The name to sign in with.
    pub username: String,
    /// The address for mail; may be empty.
    pub email: String,
    /// Whether the user may sign in and use tokens.
    pub is_active: bool,
    /// Whether the user may enter the admin site.
    pub is_staff: bool,
    /// Whether the user may do everything.
    pub is_superuser: bool,
    /// When the user was created.
    pub date_joined: Timestamp,
}

/// A user to be created.
#[derive(Clone)]
pub struct NewUser {
    /// The name to sign in with: 1 to 150 letters, digits, `@`, `.`, `+`, `-` or `_`.
    pub username: String,
    /// The address for mail; may be empty.
    pub email: String,
    /// The password's hash, in Django's form.
    pub password_hash: String,
    /// Whether the user may enter the admin site.
    pub is_staff: bool,
    /// Whether the user may do everything.
    pub is_superuser: bool,
}
