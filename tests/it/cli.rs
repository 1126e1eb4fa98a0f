//! The commands, as people run them.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::app::{Answer, http_client};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture};

pub(crate) fn register(suite: &mut Suite) {
    suite.test("cli::dev_does_the_main_job_and_finds_everything_again", dev);
    suite.test("cli::dev_names_the_flag_when_a_port_is_taken", taken_port);
    suite.test("cli::dev_is_for_this_machine_only", not_loopback);
    suite.test("cli::dev_keeps_a_second_one_away_from_its_folder", second_dev);
    #[cfg(target_os = "linux")]
    suite.test("cli::a_log_that_cannot_be_written_stops_nothing", unwritable_log);
    #[cfg(target_os = "linux")]
    suite.test("cli::results_that_cannot_be_written_are_a_failure_and_no_panic", unwritable_results);
    suite.on_both_engines("cli::serve_refuses_pending_migrations_and_names_the_command", pending_migrations);
    suite.test("cli::serve_names_every_missing_setting", missing_settings);
    suite.test("cli::serve_finishes_requests_in_flight_and_logs_json", graceful_stop);
    suite.test("cli::serve_answers_during_the_delay_and_says_that_it_stops", delayed_stop);
    suite.on_both_engines("cli::users_and_tokens_are_made_listed_and_revoked", users_and_tokens);
    suite.test("cli::passwords_never_come_from_arguments", passwords);
    suite.test("cli::a_healthcheck_tells_by_its_exit_code", healthcheck);
    suite.test("cli::completions_and_help_are_printed", completions);
    suite.test("cli::the_database_password_is_in_no_message", no_password_in_messages);
}

/// A command in an empty environment and folder.
pub(crate) fn cfimages(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cfimages"));
    command.args(arguments).current_dir(folder).env_clear();
    // Coverage is written where the variable says, or into the folder.
    for name in ["PATH", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[track_caller]
pub(crate) fn success(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// Standard error of a command that must fail.
#[track_caller]
pub(crate) fn failure(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    assert_eq!((status.code(), text(&stdout).as_str()), (Some(1), ""), "{}", text(&stderr));
    text(&stderr)
}

/// A server that is ended with its test.
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Waits until it is ready. Panics with its log where it ends instead.
    pub(crate) async fn ready(mut self, address: &str) -> Self {
        let http = http_client();
        eventually(&format!("{address} is ready"), async || {
            if let Some(status) = self.0.try_wait().unwrap() {
                panic!("the server ended with {status}: {}", self.log());
            }
            is_ready(&http, address).await
        })
        .await;
        self
    }

    fn log(&mut self) -> String {
        let mut log = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Sends SIGTERM and waits; exit code and log.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let log = self.log();
        (self.0.wait().unwrap().code(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An address for a server of a process of its own. No test gets it twice, and its port is below those that the system chooses, so that
/// it stays free until the server listens, and while it starts again.
pub(crate) fn free_address() -> String {
    const PORTS: Range<u32> = 20_000..32_000;
    static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(std::process::id().wrapping_mul(97)));
    loop {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        let address = format!("127.0.0.1:{port}");
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
}

async fn is_ready(http: &reqwest::Client, address: &str) -> Option<()> {
    let answer = http.get(format!("http://{address}/readyz")).send().await.ok()?;
    answer.status().is_success().then_some(())
}

async fn dev() {
    let folder = TempDir::new().unwrap();
    let (listen, emulator) = (free_address(), free_address());
    let arguments = ["dev", "--data", "my %20 data?", "--listen", &listen, "--emulator-listen", &emulator];
    let api = format!("http://{listen}/cloudflare-images/api");
    let http = http_client();

    // Its database is its own, whatever the one at work is like.
    let first =
        Server::start(cfimages(folder.path(), &arguments).env("CFIMAGES_USER_TABLE", "nowhere")).ready(&listen).await;
    let file = folder.path().join("my %20 data?/credentials.json");
    let credentials: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions()) & 0o777,
        0o600
    );
    let token = credentials["token"].as_str().unwrap();
    assert!(token.len() == 40 && token.bytes().all(|b| b.is_ascii_hexdigit()));
    let authorization = format!("Token {token}");
    let created =
        Answer::of(http.post(format!("{api}/upload-url/")).header("Authorization", &authorization)).await.json();
    let part =
        reqwest::multipart::Part::bytes(picture("photo.jpg")).file_name("photo.jpg").mime_str("image/jpeg").unwrap();
    let form = reqwest::multipart::Form::new().part("file", part);
    assert_eq!(Answer::of(http.post(created["upload_url"].as_str().unwrap()).multipart(form)).await.status, 200);
    let detail = format!("{api}/images/{}/", created["id"].as_str().unwrap());
    let image = eventually("the image is uploaded", async || {
        let image = Answer::of(http.get(&detail).header("Authorization", &authorization)).await.json();
        (image["status"] == "uploaded").then_some(image)
    })
    .await;
    let (code, log) = first.stop();
    assert_eq!(code, Some(0), "{log}");
    for secret in [
        token,
        credentials["password"].as_str().unwrap(),
        credentials["api_token"].as_str().unwrap(),
        credentials["webhook_secret"].as_str().unwrap(),
        created["upload_url"].as_str().unwrap(),
    ] {
        assert!(!log.contains(secret), "{log}");
    }

    let started = Instant::now();
    let second = Server::start(&mut cfimages(folder.path(), &arguments)).ready(&listen).await;
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(serde_json::from_slice::<Value>(&std::fs::read(&file).unwrap()).unwrap(), credentials);
    let again = Answer::of(http.get(&detail).header("Authorization", &authorization)).await.json();
    assert_eq!(again, image);
    assert_eq!(http.get(image["thumbnail_url"].as_str().unwrap()).send().await.unwrap().status(), 200);
    assert_eq!(second.stop().0, Some(0));
}

async fn taken_port() {
    let folder = TempDir::new().unwrap();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let (taken, free) = (holder.local_addr().unwrap().to_string(), free_address());
    for (listen, emulator, flag) in [(&taken, &free, "--listen"), (&free, &taken, "--emulator-listen")] {
        let message =
            failure(&mut cfimages(folder.path(), &["dev", "--listen", listen, "--emulator-listen", emulator]));
        assert!(message.lines().count() == 1 && message.contains(&taken) && message.contains(flag), "{message}");
    }
}

async fn not_loopback() {
    let folder = TempDir::new().unwrap();
    let message = failure(&mut cfimages(folder.path(), &["dev", "--listen", "0.0.0.0:0"]));
    assert!(message.contains("--listen") && message.contains("this machine only"), "{message}");
}

async fn second_dev() {
    let folder = TempDir::new().unwrap();
    let (listen, emulator) = (free_address(), free_address());
    let first =
        Server::start(&mut cfimages(folder.path(), &["dev", "--listen", &listen, "--emulator-listen", &emulator]))
            .ready(&listen)
            .await;
    let message =
        failure(&mut cfimages(folder.path(), &["dev", "--listen", "localhost:0", "--emulator-listen", "[::1]:0"]));
    assert!(message.contains("another `cfimages dev`") && message.contains("--data"), "{message}");
    assert_eq!(first.stop().0, Some(0));
}

/// A full disk, that is.
#[cfg(target_os = "linux")]
async fn unwritable_log() {
    let folder = TempDir::new().unwrap();
    let listen = free_address();
    let database = format!("sqlite://{}", folder.path().join("a.db").display());
    let mut command = cfimages(folder.path(), &["serve", "--migrate", "--listen", &listen]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut server = command.envs(environment(&database)).stdout(Stdio::null()).stderr(full).spawn().unwrap();
    let http = http_client();
    eventually("the server is ready", async || is_ready(&http, &listen).await).await;
    for _ in 0..3 {
        let answer = Answer::of(http_client().get(format!("http://{listen}/nope"))).await;
        assert_eq!(answer.status, 404);
    }
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    let code = eventually("the server stops", async || server.try_wait().unwrap()).await;
    assert_eq!(code.code(), Some(0));
}

#[cfg(target_os = "linux")]
async fn unwritable_results() {
    let folder = TempDir::new().unwrap();
    success(&mut cfimages(folder.path(), &["migrate"]));
    for arguments in [&["migrate"][..], &["user", "list"], &["completions", "zsh"], &["config", "example"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = cfimages(folder.path(), arguments).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(!text(&output.stderr).contains("panicked"), "{}", text(&output.stderr));
    }
}

/// The environment of a server with a database.
pub(crate) fn environment(database: &str) -> Vec<(&'static str, OsString)> {
    vec![
        ("DATABASE_URL", database.into()),
        ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "acct-0001".into()),
        ("CLOUDFLARE_IMAGES_API_TOKEN", "secret-token".into()),
        ("CLOUDFLARE_IMAGES_BASE_URL", "http://127.0.0.1:9/client/v4".into()),
    ]
}

async fn pending_migrations(engine: Engine) {
    let folder = TempDir::new().unwrap();
    let database = engine.create_database().await;
    let listen = free_address();
    let run = |arguments: &[&str]| {
        let mut command = cfimages(folder.path(), arguments);
        command.envs(environment(database.as_str()));
        command
    };
    for arguments in [&["serve", "--listen", &listen][..], &["user", "list"], &["token", "list"]] {
        let message = failure(&mut run(arguments));
        assert!(message.contains("cfimages migrate"), "{message}");
    }
    let status = run(&["migrate", "--status"]).output().unwrap();
    assert!(status.status.code() == Some(1) && text(&status.stdout).contains("pending"), "{}", text(&status.stdout));
    assert!(success(&mut run(&["migrate"])).contains("is up to date"));
    assert!(success(&mut run(&["migrate", "--recount"])).contains("anew"));
    let status: Value = serde_json::from_str(&success(&mut run(&["migrate", "--status", "--json"]))).unwrap();
    assert!(status.as_array().unwrap().iter().all(|migration| migration["applied"] == true), "{status}");

    let server = Server::start(&mut run(&["serve", "--listen", &listen])).ready(&listen).await;
    assert_eq!(server.stop().0, Some(0));

    let other = engine.create_database().await;
    let mut command = cfimages(folder.path(), &["serve", "--listen", &listen, "--migrate"]);
    let server = Server::start(command.envs(environment(other.as_str()))).ready(&listen).await;
    assert_eq!(server.stop().0, Some(0));
}

async fn missing_settings() {
    let folder = TempDir::new().unwrap();
    let message =
        failure(cfimages(folder.path(), &["serve"]).env("CFIMAGES_LISTEN", "nonsense").env("CFIMAGES_LISTENN", "x"));
    for name in ["CLOUDFLARE_IMAGES_ACCOUNT_ID", "CLOUDFLARE_IMAGES_API_TOKEN", "CFIMAGES_LISTEN", "CFIMAGES_LISTENN"] {
        assert!(message.contains(name), "{name}: {message}");
    }
}

/// The request is asking a Cloudflare that answers only after the signal.
async fn graceful_stop() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let folder = TempDir::new().unwrap();
    let database = format!("sqlite://{}", folder.path().join("a.db").display());
    let cloudflare = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/client/v4", cloudflare.local_addr().unwrap());
    let listen = free_address();
    let run = |arguments: &[&str]| {
        let mut command = cfimages(folder.path(), arguments);
        command.envs(environment(&database)).env("CLOUDFLARE_IMAGES_BASE_URL", &base_url);
        command
    };
    success(&mut run(&["migrate"]));
    success(run(&["user", "create", "alice"]).env("CFIMAGES_ADMIN_PASSWORD", "long enough"));
    let token = success(&mut run(&["token", "create", "alice"]));
    let server = Server::start(&mut run(&["serve", "--listen", &listen])).ready(&listen).await;

    let request = http_client()
        .post(format!("http://{listen}/cloudflare-images/api/upload-url/"))
        .header("Authorization", format!("Token {}", token.trim()));
    let request = tokio::spawn(Answer::of(request));
    let (mut connection, _) = cloudflare.accept().await.unwrap();
    assert!(connection.read(&mut [0; 1000]).await.unwrap() > 0);
    let stopping = tokio::task::spawn_blocking(move || server.stop());
    eventually("new connections are refused", async || tokio::net::TcpStream::connect(&listen).await.err()).await;
    let answer = json!({"success": true, "result": {"id": "late", "uploadURL": "https://u/late"}}).to_string();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    );
    connection.write_all(response.as_bytes()).await.unwrap();

    let answer = request.await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.json()["cloudflare_id"]), (201, &json!("late")));
    let (code, log) = stopping.await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    let events: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    let answered: Vec<&Value> = events
        .iter()
        .filter(|event| event["message"] == "http.server.response" && event["http.response.status_code"] == 201)
        .collect();
    assert_eq!(answered.len(), 1, "{log}");
    let span = &answered[0]["spans"][0];
    assert_eq!(
        (&span["http.route"], &span["request.id"]),
        (&json!("/cloudflare-images/api/upload-url/"), &json!(answer.headers["x-request-id"].to_str().unwrap()))
    );
    assert!(!log.contains("secret-token") && !log.contains(token.trim()) && !log.contains("https://u/late"), "{log}");
}

async fn delayed_stop() {
    let folder = TempDir::new().unwrap();
    let database = format!("sqlite://{}", folder.path().join("a.db").display());
    let listen = free_address();
    let mut command = cfimages(folder.path(), &["serve", "--migrate", "--listen", &listen]);
    command.envs(environment(&database)).env("CFIMAGES_SHUTDOWN_DELAY_SECONDS", "3600");
    let server = Server::start(&mut command).ready(&listen).await;
    server.signal("TERM");

    eventually("load balancers are told", async || {
        let answer = Answer::of(http_client().get(format!("http://{listen}/readyz"))).await;
        (answer.status.as_u16() == 503).then(|| assert_eq!(answer.json()["checks"]["lifecycle"], "stopping"))
    })
    .await;
    let answer = Answer::of(http_client().get(format!("http://{listen}/healthz")).header("Connection", "close")).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(server.stop().0, Some(1), "a second signal ends it at once");
}

async fn users_and_tokens(engine: Engine) {
    let folder = TempDir::new().unwrap();
    let database = engine.create_database().await;
    let run = |arguments: &[&str]| {
        let mut command = cfimages(folder.path(), arguments);
        command.env("DATABASE_URL", database.as_str());
        command
    };
    success(&mut run(&["migrate"]));
    let created = success(
        run(&["user", "create", "alice", "--staff", "--email", "a@example.org"])
            .env("CFIMAGES_ADMIN_PASSWORD", "long enough"),
    );
    assert_eq!(created, "created user alice\n");
    success(run(&["user", "create", "root", "--superuser"]).env("CFIMAGES_ADMIN_PASSWORD", "long enough"));
    success(run(&["user", "create", "visitor"]).env("CFIMAGES_ADMIN_PASSWORD", "long enough"));
    let users: Value = serde_json::from_str(&success(&mut run(&["user", "list", "--json"]))).unwrap();
    let roles: Vec<_> = users
        .as_array()
        .unwrap()
        .iter()
        .map(|user| json!([user["username"], user["staff"], user["superuser"]]))
        .collect();
    assert_eq!(roles, [json!(["alice", true, false]), json!(["root", true, true]), json!(["visitor", false, false])]);
    assert_eq!(users[0]["email"], "a@example.org");
    let list = success(&mut run(&["user", "list"]));
    assert!(list.lines().next().unwrap().contains("SUPERUSER"), "{list}");
    assert!(
        failure(run(&["user", "create", "alice"]).env("CFIMAGES_ADMIN_PASSWORD", "long enough"))
            .contains("exists already")
    );
    assert!(
        failure(run(&["user", "create", "a b"]).env("CFIMAGES_ADMIN_PASSWORD", "long enough")).contains("user name")
    );

    let token = success(&mut run(&["token", "create", "alice"]));
    assert_eq!(token.trim().len(), 40);
    assert_eq!(success(&mut run(&["token", "create", "alice"])), token);
    assert_ne!(success(&mut run(&["token", "create", "alice", "--rotate"])), token);
    let list = success(&mut run(&["token", "list"]));
    assert!(list.contains("alice") && !list.contains(token.trim()), "{list}");
    assert_eq!(success(&mut run(&["token", "revoke", "alice"])), "revoked the token of alice\n");
    assert!(failure(&mut run(&["token", "revoke", "alice"])).contains("has no token"));
    assert!(failure(&mut run(&["token", "create", "bob"])).contains("there is no user bob"));
}

async fn passwords() {
    let folder = TempDir::new().unwrap();
    let run = |arguments: &[&str]| cfimages(folder.path(), arguments);
    success(&mut run(&["migrate"]));
    let message = failure(run(&["user", "create", "alice"]).stdin(Stdio::null()));
    assert!(message.contains("--password-stdin"), "{message}");
    assert!(
        failure(run(&["user", "create", "alice"]).env("CFIMAGES_ADMIN_PASSWORD", "short"))
            .contains("at least 8 characters")
    );

    let mut child = run(&["user", "create", "alice", "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"from a pipe\n").unwrap();
    assert!(child.wait().unwrap().success());
    std::fs::write(folder.path().join("password"), "from a file\n").unwrap();
    let changed = success(run(&["user", "set-password", "alice"]).env("CFIMAGES_ADMIN_PASSWORD_FILE", "password"));
    assert_eq!(changed, "changed the password of alice\n");
    let check =
        |password: &str| run(&["user", "check-password", "alice"]).env("CFIMAGES_ADMIN_PASSWORD", password).output();
    let right = check("from a file").unwrap();
    assert_eq!((right.status.code(), text(&right.stdout).as_str()), (Some(0), "the password is right\n"));
    for _ in 0..5 {
        let wrong = check("from a pipe").unwrap();
        let printed = text(&wrong.stdout);
        assert!(wrong.status.code() == Some(1) && printed.contains("password is wrong"), "{printed}");
    }
    assert!(check("from a file").unwrap().status.success());
    assert!(
        failure(run(&["user", "check-password", "bob"]).env("CFIMAGES_ADMIN_PASSWORD", "x")).contains("no user bob")
    );
}

async fn healthcheck() {
    let folder = TempDir::new().unwrap();
    let listen = free_address();
    assert!(failure(&mut cfimages(folder.path(), &["healthcheck", "--listen", &listen])).contains(&listen));
    let database = format!("sqlite://{}", folder.path().join("a.db").display());
    let mut serve = cfimages(folder.path(), &["serve", "--migrate", "--listen", &listen]);
    let server = Server::start(serve.envs(environment(&database))).ready(&listen).await;
    let ready = success(cfimages(folder.path(), &["healthcheck"]).env("CFIMAGES_LISTEN", &listen));
    assert_eq!(serde_json::from_str::<Value>(&ready).unwrap()["status"], "ready");
    drop(server);
}

async fn completions() {
    let folder = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(success(&mut cfimages(folder.path(), &["completions", shell])).contains("cfimages"), "{shell}");
    }
    for command in [
        "dev",
        "serve",
        "migrate",
        "cleanup-expired",
        "leftovers",
        "user",
        "token",
        "url",
        "config",
        "healthcheck",
        "completions",
    ] {
        assert!(success(&mut cfimages(folder.path(), &[command, "--help"])).contains("Usage: cfimages"), "{command}");
    }
    assert_eq!(
        success(&mut cfimages(folder.path(), &["--version"])),
        format!("cfimages {}\n", env!("CARGO_PKG_VERSION"))
    );
}

async fn no_password_in_messages() {
    let folder = TempDir::new().unwrap();
    for url in [
        "postgres://user:hunter22@127.0.0.1:9/db?connect_timeout=1",
        "postgres://user:hunter22@[/db",
        "mysql://user:hunter22@h/db",
    ] {
        for arguments in [&["migrate"][..], &["user", "list"], &["config", "show"]] {
            let output = cfimages(folder.path(), arguments)
                .env("DATABASE_URL", url)
                .env("CFIMAGES_DB_ACQUIRE_TIMEOUT_SECONDS", "1")
                .output()
                .unwrap();
            let printed = text(&output.stdout) + &text(&output.stderr);
            assert!(!printed.contains("hunter22"), "{printed}");
            assert!(!printed.is_empty());
        }
    }
}
