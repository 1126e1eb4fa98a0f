//! The users of the application, rows of Django's user table.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::Timestamp;

/// The key of a user, in the form that the user table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserId {
    /// A number, as Django counts users by default.
    Number(i64),
    /// A UUID, as some custom user models have it.
    Uuid(Uuid),
}

impl From<i64> for UserId {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<Uuid> for UserId {
    fn from(uuid: Uuid) -> Self {
        Self::Uuid(uuid)
    }
}

/// Digits, or a UUID with hyphens: what Python's `str` makes of the key.
impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Uuid(uuid) => serializer.collect_str(uuid),
        }
    }
}

impl<'de> Deserialize<'de> for UserId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Key {
            Number(i64),
            Text(String),
        }
        match Key::deserialize(deserializer)? {
            Key::Number(number) => Ok(Self::Number(number)),
            Key::Text(text) => Uuid::try_parse(&text).map(Self::Uuid).map_err(serde::de::Error::custom),
        }
    }
}

/// Of what type the keys of all users are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UserKey {
    /// 32 bits, Django's `AutoField`: that of `auth_user`.
    #[default]
    Integer,
    /// 64 bits, Django's `BigAutoField`.
    BigInteger,
    /// Django's `UUIDField`.
    Uuid,
}

impl UserKey {
    /// All types, under the names they have in settings.
    const NAMES: [(&'static str, Self); 3] =
        [("integer", Self::Integer), ("bigint", Self::BigInteger), ("uuid", Self::Uuid)];

    /// The type with this name: `integer`, `bigint` or `uuid`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, key)| key)
    }

    /// Reads a key as Python's `str` writes it, and as Django keeps it in sessions.
    pub fn read(self, text: &str) -> Option<UserId> {
        match self {
            Self::Integer => text.parse::<i32>().ok().map(|number| UserId::Number(number.into())),
            Self::BigInteger => text.parse().ok().map(UserId::Number),
            Self::Uuid => Uuid::try_parse(text).ok().map(UserId::Uuid),
        }
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.into_iter().find(|(_, key)| key == self).map(|(name, _)| name);
        f.write_str(name.unwrap_or_default())
    }
}

/// Somebody who may own images.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct User {
    /// The key.
    pub id: UserId,
    /// The name to sign in with; the address for mail where users have no other name.
    pub username: String,
    /// The address for mail; may be empty.
    pub email: String,
    /// Whether the user may sign in and use tokens.
    pub is_active: bool,
    /// Whether the user may enter the admin site.
    pub is_staff: bool,
    /// Whether the user may do everything.
    pub is_superuser: bool,
    /// When the user was created, where the user table says.
    pub date_joined: Option<Timestamp>,
}

/// A user, and what may be shown of the API token.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct Account {
    /// The user.
    #[cfg_attr(feature = "server", sqlx(flatten))]
    pub user: User,
    /// The first eight of the forty digits of the token; none where there is no token.
    pub key_start: Option<String>,
    /// When the token was made.
    pub token_created: Option<Timestamp>,
}

impl Account {
    /// Its place in the list of all, by name.
    pub fn place(&self) -> AccountPlace {
        AccountPlace { username: self.user.username.clone(), id: self.user.id.to_string() }
    }
}

/// The place of an account in the list of all, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountPlace {
    /// The name to sign in with.
    pub username: String,
    /// The key as text, for ties.
    pub id: String,
}

/// Which accounts are wanted: conditions, all of which must hold.
#[derive(Debug, Clone, Default)]
pub struct AccountFilter {
    /// Whether only those are wanted who are staff or have a token.
    pub only_staff_and_owners: bool,
    /// A part of the name or the address, in any case.
    pub term: Option<String>,
}

/// What somebody may do beside having images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    User,
    /// Entering the admin site.
    Staff,
    /// The same, and seeing tokens and settings there; in Django, everything.
    Superuser,
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
    /// What the user may do.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_python_writes_them() {
        let uuid = "0d5dd4e6-e2f4-4f7f-8f7a-9b2a6e0e3c11";
        for (key, text, wanted) in [
            (UserKey::Integer, "7", Some("7")),
            (UserKey::Integer, "2147483648", None),
            (UserKey::BigInteger, "9223372036854775807", Some("9223372036854775807")),
            (UserKey::BigInteger, "9223372036854775808", None),
            (UserKey::BigInteger, uuid, None),
            (UserKey::Uuid, uuid, Some(uuid)),
            (UserKey::Uuid, "0d5dd4e6e2f44f7f8f7a9b2a6e0e3c11", Some(uuid)),
            (UserKey::Uuid, "7", None),
        ] {
            assert_eq!(key.read(text).map(|id| id.to_string()).as_deref(), wanted, "{key} {text}");
        }
    }

    #[test]
    fn types_of_keys_have_names() {
        for name in ["integer", "bigint", "uuid"] {
            assert_eq!(UserKey::from_name(name).unwrap().to_string(), name);
        }
        assert_eq!(UserKey::from_name("text"), None);
    }
}
