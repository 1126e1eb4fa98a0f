//! Signing in with a password, and how often that may fail.

use std::net::IpAddr;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::warn;
use unicode_normalization::UnicodeNormalization as _;

use super::Accounts;
use super::hashing::Turn;
use super::passwords::{HashError, PasswordHash};
use crate::domain::{ClientNetwork, Timestamp, User};
use crate::signature::encode_hex;
use crate::store;
use crate::store::sign_in_failures::{self, SignInFailure};
use crate::store::users::UserWithPassword;

/// How long a failure counts.
const WINDOW_MINUTES: i64 = 15;
/// How many may fail with one name from one address.
const MAX_OF_NAME_AND_ADDRESS: usize = 5;
/// How many may fail from one address, whatever the name.
const MAX_OF_ADDRESS: usize = 20;
/// How many may fail with one name, wherever from.
const MAX_OF_NAME: usize = 50;

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// There is no such user, the password is another, or the user may not sign in. Which of them is not told.
    #[error("the user name or the password is wrong")]
    Refused,
    /// Too many attempts failed. The password was not looked at.
    #[error("too many attempts to sign in failed: try again in {} minute(s)", minutes(*wait))]
    Throttled {
        /// How long to wait before the next attempt.
        wait: Duration,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

fn minutes(wait: Duration) -> u64 {
    wait.as_secs().div_ceil(60).max(1)
}

/// Who tries to sign in, as it is kept.
#[derive(Debug)]
struct Attempt {
    /// The SHA-256 of the name, folded.
    username_digest: String,
    address: String,
    /// The key of the user whose name it is.
    user_key: Option<String>,
}

impl Accounts {
    /// The user with this name and password. `client` is where the request came from; `None` on this machine.
    ///
    /// It takes as long whether or not there is such a user. After too many failures within 15 minutes - 5 with one name from one
    /// address, 20 from one address, 50 with one name - attempts are refused. All instances of the service count together. Names that the
    /// database may take for one count as one, and those that nobody has count as well.
    ///
    /// # Errors
    /// [`SignInError::Refused`] if the user may not sign in with this password, [`SignInError::Throttled`] after too many failures.
    pub async fn sign_in(&self, username: &str, password: &str, client: Option<IpAddr>) -> Result<User, SignInError> {
        Ok(self.sign_in_with_hash(username, password, client, is_active).await?.user)
    }

    /// The same for those who `may_enter`, with the hash that the password was found to fit. All others fail, whatever the password.
    pub(super) async fn sign_in_with_hash(
        &self,
        username: &str,
        password: &str,
        client: Option<IpAddr>,
        may_enter: fn(&User) -> bool,
    ) -> Result<UserWithPassword, SignInError> {
        let attempt = self.attempt(username, client).await?;
        self.refuse_throttled(&attempt, None).await?;
        let turn = self.hashing.turn().await;
        self.begin_attempt(&attempt).await?;

        let user = self.verify(turn, username, password, may_enter).await?;
        self.forget_failures(&user.user, &attempt.address).await?;
        Ok(user)
    }

    /// The user with this name and password. For whoever may read the hashes anyway: attempts are neither limited nor counted, and
    /// nothing is written.
    ///
    /// # Errors
    /// [`SignInError::Refused`] if the user may not sign in with this password.
    pub async fn check_password(&self, username: &str, password: &str) -> Result<User, SignInError> {
        let turn = self.hashing.turn().await;
        Ok(self.verify(turn, username, password, is_active).await?.user)
    }

    async fn verify(
        &self,
        turn: Turn,
        username: &str,
        password: &str,
        may_enter: fn(&User) -> bool,
    ) -> Result<UserWithPassword, SignInError> {
        let found = self.find_credentials(username).await?;
        let stored = found.as_ref().and_then(readable_hash);
        let usual = self.usual_hash().await?;
        let may_enter = found.as_ref().is_some_and(|found| may_enter(&found.user));
        let password = password.to_owned();
        let is_right = turn.run(move || check(&password, stored.as_ref(), &usual, may_enter)).await;

        found.filter(|_| is_right == Some(true)).ok_or(SignInError::Refused)
    }

    /// The attempt with the name as its user has it, as the column may take many spellings for it, and with a name that nobody has as it
    /// is given. Both are folded and counted in the same way, so that the limit does not tell them apart.
    async fn attempt(&self, username: &str, client: Option<IpAddr>) -> Result<Attempt, store::Error> {
        let found = self.find_credentials(username).await?;
        let name = found.as_ref().map_or(username, |found| &found.user.username);
        Ok(Attempt { user_key: found.as_ref().map(|found| found.user.id.to_string()), ..Attempt::new(name, client) })
    }

    /// Records the attempt as failed until it has succeeded, so that many at once count as well as one after the other.
    async fn begin_attempt(&self, attempt: &Attempt) -> Result<(), SignInError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        sign_in_failures::delete_old(&mut transaction, now.plus_minutes(-WINDOW_MINUTES)).await?;
        let Attempt { username_digest, address, user_key } = attempt;
        let id = sign_in_failures::insert(&mut transaction, username_digest, address, user_key.as_deref(), now).await?;
        transaction.commit().await?;

        let result = self.refuse_throttled(attempt, Some(id)).await;
        if result.is_err() {
            let mut transaction = self.database.begin().await?;
            sign_in_failures::delete(&mut transaction, id).await?;
            transaction.commit().await?;
        }
        result
    }

    /// Refuses an attempt after too many failures; `own` is its row, which does not count.
    async fn refuse_throttled(&self, attempt: &Attempt, own: Option<i64>) -> Result<(), SignInError> {
        let now = self.clock.now();
        let Attempt { username_digest, address, .. } = attempt;
        let since = now.plus_minutes(-WINDOW_MINUTES);
        let mut failures = sign_in_failures::list(&self.database, username_digest, address, since).await?;
        failures.retain(|failure| Some(failure.id) != own);
        match attempt.wait(&failures, now) {
            Some(wait) => Err(SignInError::Throttled { wait }),
            None => Ok(()),
        }
    }

    /// A success makes up for what failed with the user's name from this address, and not with a like name of another user.
    async fn forget_failures(&self, user: &User, address: &str) -> Result<(), SignInError> {
        let mut transaction = self.database.begin().await?;
        sign_in_failures::delete_of(&mut transaction, &user.id.to_string(), address).await?;
        Ok(transaction.commit().await?)
    }

    async fn find_credentials(&self, username: &str) -> Result<Option<UserWithPassword>, store::Error> {
        if username.contains('\0') {
            return Ok(None);
        }
        store::users::find_by_username_with_password(&self.database, username).await
    }

    /// A hash in the form that users of this site have, to check a password with where there is none to check it with.
    async fn usual_hash(&self) -> Result<PasswordHash, store::Error> {
        let usual = store::users::find_usual_password(&self.database).await?;
        Ok(usual.and_then(|encoded| PasswordHash::parse(&encoded).ok()).unwrap_or_else(PasswordHash::of_nobody))
    }
}

/// The hash of a user's password, if it is one that can be checked.
fn readable_hash(found: &UserWithPassword) -> Option<PasswordHash> {
    match PasswordHash::parse(&found.password) {
        Ok(hash) => Some(hash),
        Err(HashError::Unusable) => None,
        Err(error) => {
            warn!(user.id = %found.user.id, error = %error, "The password of a user cannot be checked: {error}");
            None
        }
    }
}

fn is_active(user: &User) -> bool {
    user.is_active
}

/// Whether the user may sign in. All refusals take the same time, as far as the algorithm allows.
fn check(password: &str, stored: Option<&PasswordHash>, usual: &PasswordHash, may_enter: bool) -> bool {
    let Some(stored) = stored else {
        std::hint::black_box(usual.verify(password));
        return false;
    };
    let may_sign_in = stored.verify(password) && may_enter;
    if !may_sign_in {
        stored.spend_rest_of(usual, password);
    }
    may_sign_in
}

/// A name without what columns of names may ignore: case, width, marks, blanks and what cannot be seen. Names that a column tells apart
/// may be one here; they share the count of their failures, and nothing else.
fn folded(name: &str) -> String {
    let letters: String = name.nfkd().filter(|c| c.is_alphanumeric() || c.is_ascii_graphic()).collect();
    letters.to_uppercase().to_lowercase()
}

impl Attempt {
    fn new(username: &str, client: Option<IpAddr>) -> Self {
        Self {
            username_digest: encode_hex(&Sha256::digest(folded(username).as_bytes())),
            address: client.map_or_else(|| "local".to_owned(), |client| ClientNetwork::from(client).to_string()),
            user_key: None,
        }
    }

    /// How long to wait after these failures, the oldest first, until there are few enough again.
    fn wait(&self, failures: &[SignInFailure], now: Timestamp) -> Option<Duration> {
        let of_name = |failure: &&SignInFailure| failure.username_digest == self.username_digest;
        let of_address = |failure: &&SignInFailure| failure.address == self.address;
        let until = [
            failures.iter().filter(of_name).filter(of_address).rev().nth(MAX_OF_NAME_AND_ADDRESS - 1),
            failures.iter().filter(of_address).rev().nth(MAX_OF_ADDRESS - 1),
            failures.iter().filter(of_name).rev().nth(MAX_OF_NAME - 1),
        ];
        let until = until.into_iter().flatten().map(|failure| failure.failed_at.plus_minutes(WINDOW_MINUTES)).max()?;
        Some(Duration::from_micros(until.as_micros().saturating_sub(now.as_micros()).try_into().unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn attempt(name: &str, address: &str) -> Attempt {
        Attempt::new(name, Some(address.parse().unwrap()))
    }

    /// Failures of an attempt, one a minute, the last a minute ago.
    fn failures(attempts: impl IntoIterator<Item = Attempt>) -> Vec<SignInFailure> {
        let attempts: Vec<_> = attempts.into_iter().collect();
        let count = i64::try_from(attempts.len()).unwrap();
        let failure = |(id, attempt): (i64, Attempt)| SignInFailure {
            id,
            username_digest: attempt.username_digest,
            address: attempt.address,
            failed_at: now().plus_minutes(id - count),
        };
        (0..).zip(attempts).map(failure).collect()
    }

    fn wait_minutes(failures: &[SignInFailure], attempt: &Attempt) -> Option<u64> {
        attempt.wait(failures, now()).map(|wait| wait.as_secs() / 60)
    }

    #[test]
    fn five_failures_of_a_name_from_an_address_are_enough() {
        let alice = || attempt("alice", "192.0.2.1");
        assert_eq!(wait_minutes(&failures((0..4).map(|_| alice())), &alice()), None);
        let five = failures((0..5).map(|_| alice()));
        assert_eq!(wait_minutes(&five, &alice()), Some(10));
        assert_eq!(wait_minutes(&failures((0..8).map(|_| alice())), &alice()), Some(10));
        assert_eq!(wait_minutes(&five, &attempt("bob", "192.0.2.1")), None);
        assert_eq!(wait_minutes(&five, &attempt("alice", "192.0.2.2")), None);
    }

    #[test]
    fn many_names_from_an_address_and_many_addresses_of_a_name_are_enough_too() {
        let names = |count| failures((0..count).map(|n| attempt(&n.to_string(), "192.0.2.1")));
        assert_eq!(wait_minutes(&names(19), &attempt("alice", "192.0.2.1")), None);
        assert!(wait_minutes(&names(20), &attempt("alice", "192.0.2.1")).is_some());
        let addresses = |count| failures((0..count).map(|n| attempt("alice", &format!("192.0.2.{n}"))));
        assert_eq!(wait_minutes(&addresses(49), &attempt("alice", "198.51.100.1")), None);
        assert!(wait_minutes(&addresses(50), &attempt("alice", "198.51.100.1")).is_some());
    }

    #[test]
    fn names_that_a_column_may_take_for_one_count_as_one() {
        for name in ["alice", "ALICE", " Alice ", "Álice", "\u{ff41}lice", "al\u{200d}ice", "a\u{301}li\u{9b}ce"] {
            assert_eq!(folded(name), "alice", "{name:?}");
        }
        assert_eq!(folded("STRASSE"), folded("straße"));
        assert_ne!(folded("a.b@example.com"), folded("ab@example.com"));
    }

    #[test]
    fn an_address_of_ipv6_is_its_network_and_names_are_not_kept() {
        assert_eq!(attempt("alice", "2001:db8:1:2:3:4:5:6").address, "2001:db8:1:2::/64");
        assert_eq!(attempt("alice", "::ffff:192.0.2.1").address, "192.0.2.1");
        assert!(!format!("{:?}", attempt("hunter2", "::1")).contains("hunter2"));
    }

    #[test]
    fn an_inactive_user_and_an_unknown_one_are_refused_with_the_right_password_too() {
        let hash = PasswordHash::parse("pbkdf2_sha1$3$aWMF1VB5WUxZFQ9FChEo3X$Fp8vgprUL5und6ARE5S+6dOvsAE=").unwrap();
        assert!(check("pässwörd ✓", Some(&hash), &hash, true));
        assert!(!check("pässwörd ✓", Some(&hash), &hash, false));
        assert!(!check("pässwörd ✓", None, &hash, true));
        assert!(!check("wrong", Some(&hash), &hash, true));
    }

    #[test]
    fn the_time_to_wait_is_told_in_minutes() {
        let text = |seconds| SignInError::Throttled { wait: Duration::from_secs(seconds) }.to_string();
        assert!(text(1).ends_with("in 1 minute(s)") && text(61).ends_with("in 2 minute(s)"));
    }
}
