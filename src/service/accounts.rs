//! Users, their passwords and their tokens.

use std::sync::Arc;
use tracing::instrument;

use super::hashing::HashingThreads;
use super::passwords::PasswordHash;
use super::random::random_text;
use super::{CloudflareService, Error, SearchError};
use crate::domain::{Account, AccountFilter, AccountPlace, Clock, NewUser, PageFrom, Role, Stretch, User, UserId};
use crate::signature::encode_hex;
use crate::store::{self, Database};

/// The characters of a token, all hexadecimal.
const TOKEN_CHARS: usize = 40;
/// What generated passwords are made of: no characters that look like others.
const PASSWORD_ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const MIN_PASSWORD_CHARS: usize = 8;

/// Users and tokens, in the tables that Django shares. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Accounts {
    pub(super) database: Database,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) hashing: HashingThreads,
}

/// The API token of a user.
pub struct IssuedToken {
    /// The token, whole.
    pub key: String,
    /// Whether it was made just now; otherwise the user had it before.
    pub is_new: bool,
}

/// Why a request with a token is not let in.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody has this token.
    #[error("Invalid token.")]
    Unknown,
    /// The user may not sign in any more.
    #[error("User inactive or deleted.")]
    Inactive,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Why an account cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The name is not one that Django takes.
    #[error("a user name has 1 to 150 letters, digits, and the characters @ . + - _")]
    InvalidUsername,
    /// The name is taken.
    #[error("the user {0} exists already")]
    UsernameTaken(String),
    /// There is no such user.
    #[error("there is no user {0}; `cfimages user list` shows all")]
    UnknownUser(String),
    /// The password is easy to guess.
    #[error("a password has at least {MIN_PASSWORD_CHARS} characters")]
    PasswordTooShort,
    /// The program is stopping.
    #[error("the password was not hashed")]
    NotHashed,
    /// The system gave no random numbers.
    #[error("the system gave no random numbers")]
    Random(#[from] getrandom::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Accounts {
    /// The accounts in a database.
    pub fn new(database: Database, clock: Arc<dyn Clock>) -> Self {
        Self { database, clock, hashing: HashingThreads::new() }
    }

    /// The user to whom a token belongs.
    ///
    /// # Errors
    /// If nobody has it, or its user is not active.
    pub async fn authenticate(&self, token: &str) -> Result<User, TokenError> {
        let user = store::users::find_by_token(&self.database, token).await?.ok_or(TokenError::Unknown)?;
        if user.is_active { Ok(user) } else { Err(TokenError::Inactive) }
    }

    /// The user with a name.
    ///
    /// # Errors
    /// If there is none.
    pub async fn get_user(&self, username: &str) -> Result<User, AccountError> {
        let user = store::users::find_by_username(&self.database, username).await?;
        user.ok_or_else(|| AccountError::UnknownUser(username.to_owned()))
    }

    /// All users, by name.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_users(&self) -> Result<Vec<User>, AccountError> {
        Ok(store::users::list(&self.database).await?)
    }

    /// Creates an active user.
    ///
    /// Takes a good part of a second: the hash is meant to be slow.
    ///
    /// # Errors
    /// If the name is not allowed or taken, or the password too short.
    #[instrument(name = "service.accounts.create_user", skip_all)]
    pub async fn create_user(
        &self,
        username: &str,
        email: &str,
        password: &str,
        role: Role,
    ) -> Result<User, AccountError> {
        if !is_valid_username(username) {
            return Err(AccountError::InvalidUsername);
        }
        let user = NewUser {
            username: username.to_owned(),
            email: email.to_owned(),
            password_hash: self.hash_password(password).await?,
            role,
        };
        let mut transaction = self.database.begin().await?;
        let result = store::users::insert(&mut transaction, &user, self.clock.now()).await;
        let user = result.map_err(|error| match error {
            store::Error::Duplicate(_) => AccountError::UsernameTaken(username.to_owned()),
            error => error.into(),
        })?;
        transaction.commit().await?;
        Ok(user)
    }

    /// Gives a user another password. The user's Django sessions end with it.
    ///
    /// # Errors
    /// If there is no such user, or the password is too short.
    #[instrument(name = "service.accounts.set_password", skip_all)]
    pub async fn set_password(&self, username: &str, password: &str) -> Result<(), AccountError> {
        let user = self.get_user(username).await?;
        let hash = self.hash_password(password).await?;
        let mut transaction = self.database.begin().await?;
        store::users::update_password(&mut transaction, user.id, &hash).await?;
        Ok(transaction.commit().await?)
    }

    /// The API token of a user: the one there is, or a new one. With `rotate` the one there is ends.
    ///
    /// # Errors
    /// If there is no such user.
    pub async fn create_token(&self, username: &str, rotate: bool) -> Result<String, AccountError> {
        let user = self.get_user(username).await?;
        Ok(self.issue_token(user.id, rotate).await?.key)
    }

    /// The same for the user with a key.
    ///
    /// # Errors
    /// If there is no such user, or Django has no tokens.
    #[instrument(name = "service.accounts.issue_token", skip_all, fields(user.id = %user))]
    pub async fn issue_token(&self, user: UserId, rotate: bool) -> Result<IssuedToken, AccountError> {
        let new_key = random_token()?;
        let mut transaction = self.database.begin().await?;
        if rotate {
            store::tokens::delete(&mut transaction, user).await?;
        }
        let key = store::tokens::find_or_insert(&mut transaction, user, &new_key, self.clock.now()).await?;
        transaction.commit().await?;
        Ok(IssuedToken { is_new: key == new_key, key })
    }

    /// Makes sure that there is a superuser with this name, password and API token.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn ensure_admin(&self, username: &str, password: &str, token: &str) -> Result<(), AccountError> {
        match self.authenticate(token).await {
            Ok(user) if user.username == username => return Ok(()),
            Err(TokenError::Store(error)) => return Err(error.into()),
            _ => {}
        }
        let user = match self.get_user(username).await {
            Ok(user) => {
                self.set_password(username, password).await?;
                user
            }
            Err(AccountError::UnknownUser(_)) => self.create_user(username, "", password, Role::Superuser).await?,
            Err(error) => return Err(error),
        };
        let mut transaction = self.database.begin().await?;
        store::tokens::delete(&mut transaction, user.id).await?;
        store::tokens::find_or_insert(&mut transaction, user.id, token, self.clock.now()).await?;
        Ok(transaction.commit().await?)
    }

    /// All tokens, with their first digits only.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_tokens(&self) -> Result<Vec<store::tokens::TokenSummary>, AccountError> {
        Ok(store::tokens::list(&self.database).await?)
    }

    /// Ends the API token of a user; whether there was one.
    ///
    /// # Errors
    /// If there is no such user.
    pub async fn revoke_token(&self, username: &str) -> Result<bool, AccountError> {
        let user = self.get_user(username).await?;
        self.end_token(user.id).await
    }

    /// The same for the user with a key.
    ///
    /// # Errors
    /// If Django has no tokens.
    #[instrument(name = "service.accounts.end_token", skip_all, fields(user.id = %user))]
    pub async fn end_token(&self, user: UserId) -> Result<bool, AccountError> {
        let mut transaction = self.database.begin().await?;
        let had_token = store::tokens::delete(&mut transaction, user).await?;
        transaction.commit().await?;
        Ok(had_token)
    }

    /// The API token of the user with a key, in full.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_token(&self, user: UserId) -> Result<Option<String>, AccountError> {
        Ok(store::tokens::find(&self.database, user).await?)
    }

    /// The user with a key, which comes as text, and what may be shown of the token.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find_account(&self, id: &str) -> Result<Option<Account>, AccountError> {
        let Some(id) = self.database.user_key().read(id) else { return Ok(None) };
        Ok(store::tokens::find_account(&self.database, id).await?)
    }

    async fn hash_password(&self, password: &str) -> Result<String, AccountError> {
        if password.chars().count() < MIN_PASSWORD_CHARS {
            return Err(AccountError::PasswordTooShort);
        }
        let password = password.to_owned();
        let hash = self.hashing.turn().await.run(move || PasswordHash::make(&password)).await;
        Ok(hash.ok_or(AccountError::NotHashed)??)
    }
}

impl CloudflareService {
    /// At most `size` users by name, with what may be shown of their tokens; nobody is at a place that cannot be. All users may have to be
    /// looked at, as no index tells who is staff.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn search_accounts(
        &self,
        filter: &AccountFilter,
        from: PageFrom<AccountPlace>,
        size: u32,
    ) -> Result<Stretch<Account, AccountPlace>, SearchError> {
        let read = |place: AccountPlace| {
            let id = self.database.user_key().read(&place.id);
            id.map(|id| (place.username, id))
        };
        let place = match from.clone().map(read) {
            PageFrom::After(Some(place)) => PageFrom::After(place),
            PageFrom::Before(Some(place)) => PageFrom::Before(place),
            PageFrom::Start => PageFrom::Start,
            _ => return Ok(Stretch { items: Vec::new(), previous: None, next: None }),
        };
        let looking = async |database: Database| {
            Ok::<_, Error>(store::tokens::list_accounts(&database, filter, &place, size.saturating_add(1)).await?)
        };
        let found = self.search(looking).await?;
        Ok(Stretch::cut(found, size, &from, Account::place))
    }
}

/// A new API token: 40 hexadecimal digits, as DRF makes them.
///
/// # Errors
/// If the system gives no random numbers.
pub fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0; TOKEN_CHARS / 2];
    getrandom::fill(&mut bytes)?;
    Ok(encode_hex(&bytes))
}

/// A new password of 20 characters, more than 110 bits.
///
/// # Errors
/// If the system gives no random numbers.
pub fn random_password() -> Result<String, getrandom::Error> {
    random_text(PASSWORD_ALPHABET, 20)
}

/// Django's rule: `^[\w.@+-]+\Z`, where `\w` is any letter or digit of Unicode.
fn is_valid_username(name: &str) -> bool {
    (1..=150).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || "_.@+-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_forty_hexadecimal_digits() {
        let token = random_token().unwrap();
        assert_eq!(token.len(), 40);
        assert!(token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert_ne!(token, random_token().unwrap());
    }

    #[test]
    fn generated_passwords_differ_and_are_long() {
        let password = random_password().unwrap();
        assert_eq!(password.len(), 20);
        assert_ne!(password, random_password().unwrap());
    }

    #[test]
    fn user_names_follow_djangos_rule() {
        for name in ["alice", "a.b@c+d-e_f", "zoë"] {
            assert!(is_valid_username(name), "{name}");
        }
        for name in ["", "two words", "a/b", "x\0", &"x".repeat(151)] {
            assert!(!is_valid_username(name), "{name}");
        }
    }
}
