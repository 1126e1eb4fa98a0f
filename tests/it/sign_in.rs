//! Passwords, and how often a wrong one may be tried.

use std::net::IpAddr;
use std::sync::Arc;

use cfimages::domain::{ManualClock, User};
use cfimages::service::{Accounts, SignInError};
use cfimages::store::Database;

use crate::support::app::{connect, migrated_database};
use crate::support::sql;
use crate::support::suite::{Engine, Suite, TestDatabaseUrl};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("sign_in::users_sign_in_with_the_password_that_django_hashed", right);
    suite.on_both_engines("sign_in::all_others_are_refused_in_the_same_words", refused);
    suite.on_both_engines("sign_in::too_many_failures_make_wait", throttled);
    suite.on_both_engines("sign_in::many_attempts_at_once_count_as_well", at_once);
    suite.on_both_engines("sign_in::checking_a_password_neither_counts_nor_forgives_failures", checked);
    suite.on_both_engines("sign_in::a_success_makes_up_for_failures", forgiven);
}

/// Made by Django 5.2's hasher for [`PASSWORD`], with few rounds.
const HASH: &str = "pbkdf2_sha256$7$9UqsiyVvkiyLWLmLEOTIv3$MmUhP7o5cPXCyppep7ewsmRiGec0/cbybycXPmdqRM0=";
const PASSWORD: &str = "pässwörd ✓";

struct Fixture {
    url: TestDatabaseUrl,
    database: Database,
    clock: Arc<ManualClock>,
}

impl Fixture {
    async fn new(engine: &Engine) -> Self {
        let url = migrated_database(engine).await;
        sql::execute(url.as_str(), &format!("UPDATE auth_user SET password = '{HASH}' WHERE username <> 'bob'")).await;
        let database = connect(url.as_str()).await;
        let clock = Arc::new(ManualClock::new("2024-01-01".parse().unwrap()));
        Self { url, database, clock }
    }

    /// The accounts as another instance of the service, or the same after a restart, has them.
    fn accounts(&self) -> Accounts {
        Accounts::new(self.database.clone(), Arc::<ManualClock>::clone(&self.clock))
    }

    async fn sign_in(&self, username: &str, password: &str, client: &str) -> Result<User, SignInError> {
        let client: IpAddr = client.parse().unwrap();
        self.accounts().sign_in(username, password, Some(client)).await
    }

    async fn fail(&self, username: &str, client: &str) {
        let result = self.sign_in(username, "wrong", client).await;
        assert!(matches!(result, Err(SignInError::Refused)), "{username} from {client}: {result:?}");
    }

    async fn seconds_to_wait(&self, username: &str, client: &str) -> Option<u64> {
        match self.sign_in(username, PASSWORD, client).await {
            Err(SignInError::Throttled { wait }) => Some(wait.as_secs()),
            Ok(_) | Err(SignInError::Refused) => None,
            Err(error) => panic!("{error}"),
        }
    }

    async fn rows(&self) -> i64 {
        sql::count(self.url.as_str(), "SELECT count(*) FROM cfimages_sign_in_failures").await
    }
}

async fn right(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let user = fixture.sign_in("alice", PASSWORD, "192.0.2.1").await.unwrap();
    assert_eq!(user.username, "alice");
    assert_eq!(fixture.accounts().sign_in("alice", PASSWORD, None).await.unwrap().id, user.id);
    let hash = sql::text(fixture.url.as_str(), "SELECT password FROM auth_user WHERE username = 'alice'").await;
    assert_eq!(hash, HASH);
    assert_eq!(fixture.rows().await, 0);
}

async fn refused(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    for (username, password) in [
        ("alice", "wrong"),
        ("alice", ""),
        ("ALICE", PASSWORD),
        ("bob", PASSWORD),
        ("bob", "!"),
        ("carol", PASSWORD),
        ("nobody", PASSWORD),
        ("nul\0", PASSWORD),
        ("", ""),
    ] {
        let error = fixture.sign_in(username, password, "192.0.2.1").await.unwrap_err();
        assert_eq!(error.to_string(), "the user name or the password is wrong", "{username:?}");
    }
    let hostile =
        "UPDATE auth_user SET password = 'pbkdf2_sha256$4294967295$a$U42MnIRRs5hd2hFNYY7Bjl7MegeBx5rqgoDzslCu2uQ='";
    sql::execute(fixture.url.as_str(), hostile).await;
    assert!(matches!(fixture.sign_in("carol", PASSWORD, "192.0.2.1").await, Err(SignInError::Refused)));
}

async fn throttled(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    for _ in 0..5 {
        fixture.fail("alice", "192.0.2.1").await;
        fixture.clock.advance(60);
    }
    assert_eq!(fixture.seconds_to_wait("alice", "192.0.2.1").await, Some(600));
    assert_eq!(fixture.rows().await, 5);
    assert_eq!(fixture.seconds_to_wait("alice", "192.0.2.2").await, None);
    assert_eq!(fixture.seconds_to_wait("carol", "192.0.2.1").await, None);
    fixture.clock.advance(599);
    assert_eq!(fixture.seconds_to_wait("alice", "192.0.2.1").await, Some(1));
    fixture.clock.advance(1);
    assert_eq!(fixture.seconds_to_wait("alice", "192.0.2.1").await, None);

    for name in 0..20 {
        fixture.fail(&format!("name-{name}"), "2001:db8::1").await;
    }
    assert!(fixture.seconds_to_wait("alice", "2001:db8::2").await.is_some());
    assert!(fixture.seconds_to_wait("alice", "2001:db8:0:1::2").await.is_none());
    fixture.clock.advance(901);
    fixture.fail("alice", "192.0.2.1").await;
    assert_eq!(fixture.rows().await, 1);
}

async fn at_once(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let accounts = fixture.accounts();
    let attempts: Vec<_> = (0..12)
        .map(|_| {
            let accounts = accounts.clone();
            tokio::spawn(async move { accounts.sign_in("alice", "wrong", None).await })
        })
        .collect();
    let mut hashed = 0;
    for attempt in attempts {
        match attempt.await.unwrap().unwrap_err() {
            SignInError::Refused => hashed += 1,
            SignInError::Throttled { .. } => {}
            SignInError::Store(error) => panic!("{error}"),
        }
    }
    assert!((1..=5).contains(&hashed), "{hashed}");
    assert_eq!(fixture.rows().await, hashed);
}

async fn forgiven(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    for _ in 0..3 {
        for _ in 0..4 {
            fixture.fail("alice", "192.0.2.1").await;
        }
        fixture.fail("alice", "192.0.2.2").await;
        fixture.sign_in("alice", PASSWORD, "192.0.2.1").await.unwrap();
    }
    assert_eq!(fixture.rows().await, 3);
}

async fn checked(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    let accounts = fixture.accounts();
    for _ in 0..4 {
        assert!(matches!(accounts.sign_in("alice", "wrong", None).await, Err(SignInError::Refused)));
    }
    for _ in 0..6 {
        assert!(matches!(accounts.check_password("alice", "wrong").await, Err(SignInError::Refused)));
    }
    assert_eq!(accounts.check_password("alice", PASSWORD).await.unwrap().username, "alice");
    assert!(matches!(accounts.check_password("carol", PASSWORD).await, Err(SignInError::Refused)));
    assert_eq!(fixture.rows().await, 4);

    assert!(matches!(accounts.sign_in("alice", "wrong", None).await, Err(SignInError::Refused)));
    assert!(matches!(accounts.sign_in("alice", PASSWORD, None).await, Err(SignInError::Throttled { .. })));
    assert_eq!(accounts.check_password("alice", PASSWORD).await.unwrap().username, "alice");
}
