//! The list of tests, and the engines that they run on.

use std::collections::HashSet;
use std::env;
use std::fmt::{self, Debug};
use std::fs::File;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::runtime;

use super::postgres::{self, PostgresDatabase, PostgresServer, note};

/// Set to `1` where a run without PostgreSQL must fail instead of ignoring its tests.
const REQUIRE_POSTGRES: &str = "CFIMAGES_TEST_REQUIRE_POSTGRES";

/// Ends the name of each test that needs PostgreSQL.
const POSTGRES_SUFFIX: &str = "::postgres";

/// A test still running after this long hangs.
const TEST_DEADLINE: Duration = Duration::from_mins(2);

/// Collects tests and runs them. Each has a runtime of its own, and a panic fails it alone.
pub(crate) struct Suite {
    trials: Vec<Trial>,
    /// Filled before the tests start; empty where they have to do without.
    postgres: Arc<OnceLock<Arc<PostgresServer>>>,
}

impl Suite {
    /// A suite that holds the tests of its own engines.
    pub(crate) fn new() -> Self {
        let mut suite = Self { trials: Vec::new(), postgres: Arc::default() };
        suite.on_both_engines("suite::a_new_database_is_empty_and_shared_with_no_other_test", new_database);
        suite.on_both_engines("suite::a_copied_database_changes_without_its_template", copied_database);
        suite.on_both_engines("suite::a_database_is_gone_after_its_test", dropped_database);
        suite.test("suite::a_test_that_returns_an_error_fails", failing_test);
        suite
    }

    /// Adds a test that needs no database, or always the same one.
    pub(crate) fn test<T, F>(&mut self, name: &str, test: T)
    where
        T: FnOnce() -> F + Send + 'static,
        F: Future<Output: Outcome>,
    {
        self.trials.push(Trial::test(name, move || run_to_end(test())));
    }

    /// Adds a test twice, as `NAME::sqlite` and `NAME::postgres`.
    pub(crate) fn on_both_engines<T, F>(&mut self, name: &str, test: T)
    where
        T: Fn(Engine) -> F + Clone + Send + 'static,
        F: Future<Output: Outcome>,
    {
        let on_sqlite = test.clone();
        self.test(&format!("{name}::sqlite"), move || on_sqlite(Engine::Sqlite));
        self.on_postgres(name, test);
    }

    /// Adds a test of what only PostgreSQL has, as `NAME::postgres`.
    pub(crate) fn on_postgres<T, F>(&mut self, name: &str, test: T)
    where
        T: Fn(Engine) -> F + Send + 'static,
        F: Future<Output: Outcome>,
    {
        let postgres = Arc::clone(&self.postgres);
        let on_postgres = move || match postgres.get() {
            Some(server) => run_to_end(test(Engine::Postgres(Arc::clone(server)))).map(|()| Completion::Completed),
            None => Ok(Completion::ignored_with("no PostgreSQL")),
        };
        self.trials.push(Trial::ignorable_test(format!("{name}{POSTGRES_SUFFIX}"), on_postgres));
    }

    /// Runs the tests that the command line chooses, in the manner of `cargo test`.
    pub(crate) fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        arguments.test_threads.get_or_insert_with(default_threads);
        let mut names = HashSet::new();
        if let Some(twice) = self.trials.iter().find(|trial| !names.insert(trial.name())) {
            note(&format!("two tests have the name {}", twice.name()));
            return ExitCode::FAILURE;
        }
        if self.needs_postgres(&arguments) {
            match PostgresServer::start() {
                Ok(server) => drop(self.postgres.set(Arc::new(server))),
                Err(error) if is_postgres_required() => {
                    note(&format!("PostgreSQL is required and not to be had: {error:#}"));
                    return ExitCode::FAILURE;
                }
                Err(error) => note(&format!(
                    "the tests on PostgreSQL are ignored: {error:#}\n\
                     Install a PostgreSQL server (Debian: apt-get install postgresql), or name one in {}.",
                    postgres::SERVER_VARIABLE
                )),
            }
        }
        libtest_mimic::run(&arguments, self.trials).exit_code()
    }

    fn needs_postgres(&self, arguments: &Arguments) -> bool {
        let will_run = |trial: &&Trial| !arguments.is_filtered_out(trial) && !arguments.is_ignored(trial);
        !arguments.list && self.trials.iter().filter(will_run).any(|trial| trial.name().ends_with(POSTGRES_SUFFIX))
    }
}

/// Twice as many as there are processors: a third of the time, a test waits for another process or for a moment to come.
fn default_threads() -> usize {
    thread::available_parallelism().map_or(1, |processors| processors.get() * 2)
}

/// Who names a server means to use it.
fn is_postgres_required() -> bool {
    env::var(REQUIRE_POSTGRES).is_ok_and(|value| value == "1") || postgres::named_server().is_some()
}

fn run_to_end(test: impl Future<Output: Outcome>) -> Result<(), Failed> {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let test = Box::pin(test); // The state of a long test is too large for a thread's stack.
    match runtime.block_on(async { tokio::time::timeout(TEST_DEADLINE, test).await }) {
        Ok(outcome) => outcome.into_result(),
        Err(_) => Err(format!("still running after {TEST_DEADLINE:?}").into()),
    }
}

/// What a test may return: nothing, or a result whose error fails it.
pub(crate) trait Outcome {
    /// The same in the words of the test runner.
    fn into_result(self) -> Result<(), Failed>;
}

impl Outcome for () {
    fn into_result(self) -> Result<(), Failed> {
        Ok(())
    }
}

impl<E: Debug> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), Failed> {
        self.map_err(|error| format!("{error:?}").into())
    }
}

/// A database engine that the service runs on.
#[derive(Clone)]
pub(crate) enum Engine {
    /// Files.
    Sqlite,
    /// A running server.
    Postgres(Arc<PostgresServer>),
}

impl Engine {
    /// Creates an empty database, which lives as long as the answer.
    pub(crate) async fn create_database(&self) -> TestDatabaseUrl {
        match self {
            Self::Sqlite => TestDatabaseUrl::new_sqlite(),
            Self::Postgres(server) => {
                let database = server.create_database().await;
                TestDatabaseUrl::of_postgres(database.expect("PostgreSQL creates a database"))
            }
        }
    }

    /// Creates a database as `prepare` leaves it, given its URL. On PostgreSQL it runs once for each `template`, whose
    /// copies are cheap, and must close its connections; on SQLite, where all is cheap, it runs each time.
    pub(crate) async fn create_database_from(
        &self,
        template: &'static str,
        prepare: impl AsyncFnOnce(&str),
    ) -> TestDatabaseUrl {
        match self {
            Self::Sqlite => {
                let database = TestDatabaseUrl::new_sqlite();
                prepare(database.as_str()).await;
                database
            }
            Self::Postgres(server) => {
                let database = server.create_database_from(template, prepare).await;
                TestDatabaseUrl::of_postgres(database.expect("PostgreSQL copies a database"))
            }
        }
    }
}

/// The URL of a test's own database, which goes with it.
pub(crate) struct TestDatabaseUrl {
    url: String,
    _storage: Storage,
}

/// What is removed with the URL.
enum Storage {
    Folder { _folder: TempDir },
    Database { _database: PostgresDatabase },
}

impl TestDatabaseUrl {
    fn new_sqlite() -> Self {
        let folder = TempDir::with_prefix("cfimages-sqlite-").expect("the temporary folder is writable");
        let path = folder.path().join("cfimages.db");
        File::create(&path).expect("the temporary folder is writable");
        Self { url: format!("sqlite://{}", path.display()), _storage: Storage::Folder { _folder: folder } }
    }

    fn of_postgres(database: PostgresDatabase) -> Self {
        Self { url: database.url(), _storage: Storage::Database { _database: database } }
    }

    /// As `DATABASE_URL` takes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.url
    }
}

impl fmt::Display for TestDatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.url)
    }
}

async fn new_database(engine: Engine) -> sqlx::Result<()> {
    let (one, other) = (engine.create_database().await, engine.create_database().await);
    execute(one.as_str(), "CREATE TABLE notes (id integer)").await?;
    execute(one.as_str(), "SELECT id FROM notes").await?;
    assert!(execute(other.as_str(), "SELECT id FROM notes").await.is_err(), "the table is in {other} too");
    Ok(())
}

async fn copied_database(engine: Engine) -> sqlx::Result<()> {
    let create = || {
        engine.create_database_from("suite", async |url| {
            execute(url, "CREATE TABLE notes (id integer)").await.expect("the template is empty");
        })
    };
    let (one, other) = (create().await, create().await);
    execute(one.as_str(), "ALTER TABLE notes RENAME TO changed").await?;
    execute(other.as_str(), "SELECT id FROM notes").await
}

async fn dropped_database(engine: Engine) -> sqlx::Result<()> {
    let database = engine.create_database().await;
    execute(database.as_str(), "SELECT 1").await?;
    let url = database.to_string();
    drop(database);
    assert!(execute(&url, "SELECT 1").await.is_err(), "{url} still answers");
    Ok(())
}

async fn failing_test() {
    let failed = async { Err::<(), _>("out of film") }.await.into_result();
    assert_eq!(failed.expect_err("an error is a failure").message(), Some("\"out of film\""));
}

async fn execute(url: &str, statement: &str) -> sqlx::Result<()> {
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(url).await?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await
    } else {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
        connection.close().await
    }
}
