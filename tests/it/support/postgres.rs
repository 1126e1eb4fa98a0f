//! The PostgreSQL server of a test run: the one that `TEST_DATABASE_URL` names, or a throwaway cluster started from the
//! binaries on this machine.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::Url;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::runtime;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Names an existing server to test on; any database of it, and a role that may create others.
pub(crate) const SERVER_VARIABLE: &str = "TEST_DATABASE_URL";

/// A server that takes longer than this is as good as none.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Starts a cluster, says `ready FOLDER`, holds it until standard input closes, and leaves nothing behind.
const CLUSTER_SCRIPT: &str = include_str!("cluster.sh");

/// A server on which each test gets a database of its own.
pub(crate) struct PostgresServer {
    /// Any database of the server; the URLs of the others differ from it in the path only.
    url: Url,
    /// Begins the name of every database of this run, which may share the server with other runs.
    prefix: String,
    created: AtomicU32,
    templates: Mutex<HashMap<&'static str, String>>,
    /// Held for as long as the server is in use.
    _cluster: Option<Cluster>,
}

impl PostgresServer {
    /// Connects to the named server, else starts a cluster.
    ///
    /// # Errors
    ///
    /// When the named server does not answer, when no server is installed, or when it does not start.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (url, cluster) = if let Some(url) = named_server() {
            (url, None)
        } else {
            let cluster = Cluster::start(&find_binaries()?)?;
            (cluster.url.clone(), Some(cluster))
        };
        let server = Self {
            url: Url::parse(&url).with_context(|| format!("{SERVER_VARIABLE} is not a URL"))?,
            prefix: format!("cfimages_test_{}_{}", std::process::id(), &Uuid::new_v4().simple().to_string()[..8]),
            created: AtomicU32::new(0),
            templates: Mutex::default(),
            _cluster: cluster,
        };
        server.execute_blocking("SELECT 1").context("the PostgreSQL server does not answer")?;
        Ok(server)
    }

    /// Creates an empty database.
    pub(crate) async fn create_database(self: &Arc<Self>) -> anyhow::Result<PostgresDatabase> {
        Ok(PostgresDatabase { server: Arc::clone(self), name: self.create("").await? })
    }

    /// Creates a copy of the database that `prepare`, given its URL, fills once in a run.
    pub(crate) async fn create_database_from(
        self: &Arc<Self>,
        template: &'static str,
        prepare: impl AsyncFnOnce(&str),
    ) -> anyhow::Result<PostgresDatabase> {
        let source = self.template(template, prepare).await?;
        let name = self.create(&format!(r#"TEMPLATE "{source}""#)).await?;
        Ok(PostgresDatabase { server: Arc::clone(self), name })
    }

    /// The name of the prepared database; the first caller prepares it while the others wait.
    async fn template(
        self: &Arc<Self>,
        template: &'static str,
        prepare: impl AsyncFnOnce(&str),
    ) -> anyhow::Result<String> {
        let mut templates = self.templates.lock().await;
        if let Some(name) = templates.get(template) {
            return Ok(name.clone());
        }
        let name = self.create("").await?;
        prepare(&self.url_of(&name)).await;
        templates.insert(template, name.clone());
        Ok(name)
    }

    /// Creates a database under the next free name, and answers that.
    async fn create(&self, options: &str) -> anyhow::Result<String> {
        let name = format!("{}_{}", self.prefix, self.created.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!(r#"CREATE DATABASE "{name}" {options}"#)).await?;
        Ok(name)
    }

    fn url_of(&self, database: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(database);
        url.into()
    }

    /// Runs one statement on a connection of its own: a kept one would belong to the runtime of one test.
    async fn execute(&self, statement: &str) -> anyhow::Result<()> {
        let work = async {
            let mut connection = PgConnection::connect(self.url.as_str()).await?;
            connection.execute(AssertSqlSafe(statement)).await?;
            connection.close().await
        };
        let done = tokio::time::timeout(ANSWER_WITHIN, work).await;
        done.map_err(|_| anyhow!("no answer within {ANSWER_WITHIN:?}"))?.with_context(|| statement.to_owned())
    }

    /// Does the same outside of any runtime, and inside of one where nothing can be awaited.
    fn execute_blocking(&self, statement: &str) -> anyhow::Result<()> {
        let work = || runtime::Builder::new_current_thread().enable_all().build()?.block_on(self.execute(statement));
        thread::scope(|scope| scope.spawn(work).join().map_err(|_| anyhow!("the statement panicked"))?)
    }

    /// Drops a database whoever is still connected to it. A failure costs disk space, not the truth of a test.
    fn drop_database(&self, name: &str) {
        if let Err(error) = self.execute_blocking(&format!(r#"DROP DATABASE IF EXISTS "{name}" WITH (FORCE)"#)) {
            note(&format!("could not drop the database {name}: {error:#}"));
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let templates = std::mem::take(self.templates.get_mut());
        for name in templates.values() {
            self.drop_database(name);
        }
    }
}

/// A database that is dropped with its handle.
pub(crate) struct PostgresDatabase {
    server: Arc<PostgresServer>,
    name: String,
}

impl PostgresDatabase {
    /// Where to connect to.
    pub(crate) fn url(&self) -> String {
        self.server.url_of(&self.name)
    }
}

impl Drop for PostgresDatabase {
    fn drop(&mut self) {
        self.server.drop_database(&self.name);
    }
}

/// The value of `TEST_DATABASE_URL`, where it names a server.
pub(crate) fn named_server() -> Option<String> {
    env::var(SERVER_VARIABLE).ok().filter(|url| !url.is_empty())
}

/// Tells the person who runs the tests what no single test can.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "note: {text}");
}

/// A throwaway cluster, held by a script that removes it as soon as the pipe to it closes.
struct Cluster {
    url: String,
    script: Child,
    pipe: Option<ChildStdin>,
}

impl Cluster {
    fn start(binaries: &Path) -> anyhow::Result<Self> {
        let mut script = Command::new("sh")
            .args(["-c", CLUSTER_SCRIPT, "cluster"])
            .arg(binaries)
            .current_dir("/") // The server's owner may not be allowed into ours.
            .process_group(0) // A Ctrl-C must not stop it before it has cleaned up.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not run sh")?;
        let pipe = script.stdin.take();
        let mut output = BufReader::new(script.stdout.take().context("sh has no output")?);
        let mut answer = String::new();
        output.read_line(&mut answer)?;
        if let Some(folder) = answer.trim_end().strip_prefix("ready ") {
            // The port is part of the socket's name, and may not come from the environment.
            let url = format!("postgres://postgres@localhost:5432/postgres?host={folder}");
            return Ok(Self { url, script, pipe });
        }
        output.read_to_string(&mut answer)?;
        script.wait()?;
        bail!("PostgreSQL in {} did not start:\n{}", binaries.display(), answer.trim_end())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.pipe.take());
        if let Err(error) = self.script.wait() {
            note(&format!("could not wait for the PostgreSQL cluster to stop: {error}"));
        }
    }
}

/// Looks for a server in `PATH`, then in Debian's folders with the newest first, then where `pg_config` says.
fn find_binaries() -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(debian_folders())
        .chain(configured_folder())
        .find(|folder| ["initdb", "pg_ctl", "postgres"].iter().all(|program| folder.join(program).is_file()))
        .ok_or_else(|| anyhow!("no PostgreSQL server is installed (initdb, pg_ctl and postgres in one folder)"))
}

fn debian_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<u32> = versions.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable_by(|left, right| right.cmp(left));
    versions.iter().map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"))).collect()
}

fn configured_folder() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output().ok()?;
    let folder = output.stdout.trim_ascii_end().to_vec();
    output.status.success().then(|| PathBuf::from(OsString::from_vec(folder)))
}
