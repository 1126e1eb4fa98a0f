//! Who is signed in to the admin site.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::instrument;

use super::Accounts;
use super::sign_in::SignInError;
use crate::domain::{AdminSession, Timestamp, User};
use crate::signature::encode_hex;
use crate::store::admin_sessions::{self, NewSession};
use crate::store::users::UserWithPassword;
use crate::store::{self};

/// A session is noted as used at most once in so many seconds.
const TOUCH_SECONDS: i64 = 60;
/// The most sessions of one user that are listed.
const MAX_LISTED: u32 = 100;

/// What a browser shows to be signed in: 256 random bits. [`Debug`](fmt::Debug) leaves them out.
#[derive(Clone)]
pub struct SessionToken(String);

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionToken(***)")
    }
}

impl SessionToken {
    /// A new token.
    ///
    /// # Errors
    /// If the system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(encode_hex(&bytes)))
    }

    /// The token as cookies carry it: 64 hexadecimal digits; not to be logged.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a browser is, and how it names itself.
#[derive(Debug, Clone, Copy)]
pub struct Browser<'a> {
    /// Its address, behind trusted proxies.
    pub client: Option<IpAddr>,
    /// Its name, of any length.
    pub user_agent: &'a str,
}

/// Why nobody is signed in to the admin site.
#[derive(Debug, thiserror::Error)]
pub enum AdminSignInError {
    /// As for every sign-in.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Random(#[from] getrandom::Error),
}

impl From<store::Error> for AdminSignInError {
    fn from(error: store::Error) -> Self {
        SignInError::from(error).into()
    }
}

impl Accounts {
    /// Signs a member of the staff in to the admin site. Sessions that have ended are removed on the way.
    ///
    /// # Errors
    /// As [`Accounts::sign_in`]; whoever is no member of the staff may not sign in here.
    #[instrument(name = "service.admin_sessions.begin", skip_all)]
    pub async fn begin_admin_session(
        &self,
        username: &str,
        password: &str,
        browser: Browser<'_>,
    ) -> Result<(User, SessionToken), AdminSignInError> {
        let may_enter = |user: &User| user.is_active && user.is_staff;
        let UserWithPassword { user, password } =
            self.sign_in_with_hash(username, password, browser.client, may_enter).await?;
        let (token, now) = (SessionToken::random()?, self.clock.now());
        let session = NewSession {
            token_digest: &digest(token.as_str()),
            user_key: &user.id.to_string(),
            password_digest: &digest(&password),
            expires_at: now.plus_minutes(AdminSession::MAX_MINUTES),
            client: browser.client.map(|client| client.to_string()),
            user_agent: &cut(browser.user_agent),
        };
        let mut transaction = self.database.begin().await?;
        admin_sessions::delete_ended(&mut transaction, now, seen_after(now)).await?;
        admin_sessions::insert(&mut transaction, &session, now).await?;
        transaction.commit().await?;
        Ok((user, token))
    }

    /// The session with a token and its user; nobody where it has ended. It ends where the user is gone, inactive or no member of the
    /// staff any more, and where the password was changed since.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_admin_session(&self, token: &str) -> Result<Option<(AdminSession, User)>, store::Error> {
        let now = self.clock.now();
        let found = admin_sessions::find(&self.database, &digest(token), now, seen_after(now)).await?;
        let Some(stored) = found else { return Ok(None) };
        let Some(id) = self.database.user_key().read(&stored.session.user_key) else { return Ok(None) };
        let is_current = |found: &UserWithPassword| {
            found.user.is_active
                && found.user.is_staff
                && bool::from(digest(&found.password).as_slice().ct_eq(&stored.password_digest))
        };
        let found = store::users::find_with_password(&self.database, id).await?;
        let Some(UserWithPassword { user, .. }) = found.filter(is_current) else {
            // Whoever gets their rights back has to sign in again.
            let mut transaction = self.database.begin().await?;
            admin_sessions::delete(&mut transaction, stored.session.id, &stored.session.user_key).await?;
            transaction.commit().await?;
            return Ok(None);
        };
        self.touch_admin_session(&stored.session, now).await?;
        Ok(Some((stored.session, user)))
    }

    async fn touch_admin_session(&self, session: &AdminSession, now: Timestamp) -> Result<(), store::Error> {
        if session.last_seen_at.plus_seconds(TOUCH_SECONDS) > now {
            return Ok(());
        }
        let mut transaction = self.database.begin().await?;
        admin_sessions::touch(&mut transaction, session.id, now).await?;
        transaction.commit().await
    }

    /// The sessions of a user, the last used first; a hundred at most.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_admin_sessions(&self, user: &User) -> Result<Vec<AdminSession>, store::Error> {
        let now = self.clock.now();
        admin_sessions::list(&self.database, &user.id.to_string(), now, seen_after(now), MAX_LISTED).await
    }

    /// Ends a session of a user; whether there was one.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_admin_session(&self, user: &User, id: i64) -> Result<bool, store::Error> {
        let mut transaction = self.database.begin().await?;
        let was_there = admin_sessions::delete(&mut transaction, id, &user.id.to_string()).await?;
        transaction.commit().await?;
        Ok(was_there)
    }

    /// Ends the sessions of a user but for one, or all; how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn end_other_admin_sessions(&self, user: &User, keep: Option<i64>) -> Result<u64, store::Error> {
        let mut transaction = self.database.begin().await?;
        let ended = admin_sessions::delete_others(&mut transaction, &user.id.to_string(), keep).await?;
        transaction.commit().await?;
        Ok(ended)
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// Sessions that nothing came from since then have ended.
fn seen_after(now: Timestamp) -> Timestamp {
    now.plus_minutes(-AdminSession::MAX_IDLE_MINUTES)
}

fn cut(user_agent: &str) -> String {
    user_agent.chars().filter(|c| *c != '\0').take(AdminSession::MAX_AGENT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_differ_and_are_not_shown() {
        let (one, other) = (SessionToken::random().unwrap(), SessionToken::random().unwrap());
        assert_eq!(one.as_str().len(), 64);
        assert_ne!(one.as_str(), other.as_str());
        assert!(!format!("{one:?}").contains(one.as_str()));
    }

    #[test]
    fn names_of_browsers_are_cut() {
        assert_eq!(cut(&"é".repeat(1000)).chars().count(), AdminSession::MAX_AGENT_CHARS);
        assert_eq!(cut("a\0b"), "ab");
    }
}
