//! The sessions of a Django beside us. They are read, never written.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;
use serde::Deserialize;

use super::signing::SecretKeys;
use crate::domain::{Clock, User, UserId};
use crate::store::{self, Database};

/// What Django signs the data of sessions for, in the engines `db` and `cached_db`.
const DATA_SALT: &str = "django.contrib.sessions.SessionStore";
/// What it signs the password's hash for.
const PASSWORD_SALT: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";
/// Django takes no shorter keys.
const MIN_KEY_CHARS: usize = 8;

/// The sessions in `django_session` that are signed with the site's secret key. Cheap to clone.
#[derive(Clone)]
pub struct DjangoSessions {
    database: Database,
    clock: Arc<dyn Clock>,
    keys: Arc<SecretKeys>,
}

impl fmt::Debug for DjangoSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoSessions").field("database", &self.database).finish_non_exhaustive()
    }
}

/// What Django's sign-in left in a session.
#[derive(Deserialize)]
struct SessionData {
    #[serde(rename = "_auth_user_id")]
    user: SessionUser,
    /// Which backend it was does not matter, as long as it was one.
    #[serde(rename = "_auth_user_backend")]
    _backend: String,
    #[serde(rename = "_auth_user_hash")]
    password_hash: String,
}

/// The key of a user, as Django or as other code of the site wrote it.
#[derive(Deserialize)]
#[serde(untagged)]
enum SessionUser {
    Text(String),
    Number(i64),
}

impl DjangoSessions {
    /// The sessions of a site with this `SECRET_KEY` and these `SECRET_KEY_FALLBACKS`.
    pub fn new(
        database: Database,
        clock: Arc<dyn Clock>,
        key: SecretString,
        fallbacks: impl IntoIterator<Item = SecretString>,
    ) -> Self {
        Self { database, clock, keys: Arc::new(SecretKeys::new(key, fallbacks)) }
    }

    /// The user who is signed in with a session; nobody where the session is unknown, expired or forged, where the user is gone or
    /// inactive, and where the password was changed since.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_user(&self, session_key: &str) -> Result<Option<User>, store::Error> {
        if session_key.chars().count() < MIN_KEY_CHARS || session_key.contains('\0') {
            return Ok(None);
        }
        let stored = store::sessions::find(&self.database, session_key, self.clock.now()).await?;
        let Some((id, session)) = stored.and_then(|signed| self.read(&signed)) else { return Ok(None) };
        let found = store::users::find_with_password(&self.database, id).await?;
        let is_current = |password: &str| self.keys.verify_hex(PASSWORD_SALT, password, &session.password_hash);
        Ok(found.filter(|found| found.user.is_active && is_current(&found.password)).map(|found| found.user))
    }

    fn read(&self, signed: &str) -> Option<(UserId, SessionData)> {
        let session: SessionData = serde_json::from_slice(&self.keys.loads(signed, DATA_SALT)?).ok()?;
        let key = self.database.user_key();
        let id = match &session.user {
            SessionUser::Text(text) => key.read(text.trim())?,
            SessionUser::Number(number) => key.read(&number.to_string())?,
        };
        Some((id, session))
    }
}
