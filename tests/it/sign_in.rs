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
    suite.on_both_engines("sign_in::all_ways_to_write_a_name_that_the_column_takes_for_one_are_one", any_case);
    suite.on_both_engines("sign_in::the_limit_does_not_tell_whether_a_name_exists", nothing_told);
    suite.on_both_engines("sign_in::a_success_does_not_make_up_for_failures_of_a_user_of_a_like_name", twins);
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

/// Lets the names of users ignore case, as with Django's `db_collation`.
async fn ignore_case(engine: &Engine, url: &str) {
    let statements = match engine {
        Engine::Sqlite => {
            let definition = "SELECT sql FROM sqlite_master WHERE name = 'auth_user'";
            let anew = sql::text(url, definition)
                .await
                .replace("\"auth_user\"", "auth_user_anew")
                .replace("\"username\" varchar(150)", "\"username\" varchar(150) COLLATE NOCASE");
            format!(
                "PRAGMA foreign_keys = OFF; {anew}; INSERT INTO auth_user_anew SELECT * FROM auth_user; DROP TABLE auth_user; \
                 ALTER TABLE auth_user_anew RENAME TO auth_user"
            )
        }
        Engine::Postgres(_) => {
            "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false); \
             DROP INDEX auth_user_username_6821ab7c_like; \
             ALTER TABLE auth_user ALTER COLUMN username TYPE varchar(150) COLLATE any_case"
                .to_owned()
        }
    };
    sql::execute_all(url, &statements).await;
}

/// A name with its letters in a case each that the bits say.
fn in_case(name: &str, bits: u32) -> String {
    let letter = |(at, c): (usize, char)| if bits >> at & 1 == 1 { c.to_ascii_uppercase() } else { c };
    name.chars().enumerate().map(letter).collect()
}

async fn any_case(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    ignore_case(&engine, fixture.url.as_str()).await;
    assert_eq!(fixture.sign_in("ALICE", PASSWORD, "192.0.2.1").await.unwrap().username, "alice");
    for name in ["alice", "nobody"] {
        for bits in 0..5 {
            fixture.fail(&in_case(name, bits), "192.0.2.1").await;
        }
        for bits in 0..20 {
            assert!(fixture.seconds_to_wait(&in_case(name, bits), "192.0.2.1").await.is_some(), "{name} {bits}");
        }
        for address in 2..11 {
            for bits in 0..5 {
                fixture.fail(&in_case(name, bits + address), &format!("192.0.2.{address}")).await;
            }
        }
        assert!(fixture.seconds_to_wait(&in_case(name, 17), "192.0.2.99").await.is_some(), "{name}");
        fixture.clock.advance(901);
    }
    for bits in 0..4 {
        fixture.fail(&in_case("alice", bits), "192.0.2.1").await;
    }
    fixture.sign_in("aliCE", PASSWORD, "192.0.2.1").await.unwrap();
    assert_eq!(fixture.rows().await, 0);
}

async fn nothing_told(engine: Engine) {
    for ignores_case in [false, true] {
        let fixture = Fixture::new(&engine).await;
        if ignores_case {
            ignore_case(&engine, fixture.url.as_str()).await;
        }
        let mut answers = Vec::new();
        for name in ["alice", "alibi"] {
            let mut answers_of_name = Vec::new();
            for bits in [0, 1, 0, 2, 3, 0, 1, 4, 0] {
                let answer = fixture.sign_in(&in_case(name, bits), "wrong", "192.0.2.1").await;
                answers_of_name.push(answer.unwrap_err().to_string());
            }
            for spelling in [format!(" {name}"), name.replace('i', "\u{131}"), name.replace('a', "\u{e1}")] {
                let answer = fixture.sign_in(&spelling, "wrong", "192.0.2.1").await;
                answers_of_name.push(answer.unwrap_err().to_string());
            }
            answers.push(answers_of_name);
        }
        assert_eq!(answers[0], answers[1], "the case is ignored: {ignores_case}");
        assert!(answers[0][4].ends_with("is wrong") && answers[0][5].starts_with("too many"), "{answers:?}");
    }
}

async fn twins(engine: Engine) {
    let fixture = Fixture::new(&engine).await;
    sql::execute(
        fixture.url.as_str(),
        "UPDATE auth_user SET username = 'ALICE', is_active = true WHERE username = 'carol'",
    )
    .await;
    for _ in 0..4 {
        fixture.fail("alice", "192.0.2.1").await;
    }
    assert_eq!(fixture.sign_in("ALICE", PASSWORD, "192.0.2.1").await.unwrap().username, "ALICE");
    fixture.fail("alice", "192.0.2.1").await;
    assert!(fixture.seconds_to_wait("alice", "192.0.2.1").await.is_some());
}
