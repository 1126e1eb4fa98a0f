//! What the server logs, and where.

use std::path::{Path, PathBuf};

use cfimages::config::settings;
use reqwest::{Method, StatusCode, multipart};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::cli::{Server, cfimages, free_address, text};
use crate::support::admin::{Browser, PASSWORD, PASSWORD_HASH, make_staff};
use crate::support::app::{ACCOUNT_ID, ALICE, API_TOKEN, Answer, SIGNING_KEY, TestApp, WEBHOOK_SECRET};
use crate::support::sessions::{self, SECRET_KEY};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("logs::no_secret_is_logged_however_much_is", no_secrets);
    suite.test("logs::nobody_learns_from_the_log_where_a_picture_is_waited_for", || waited_for(Engine::Sqlite));
    suite.on_postgres("logs::a_slow_statement_is_warned_of_within_its_request", slow_statement);
    #[cfg(unix)]
    suite.test("logs::a_file_is_followed_where_it_is_moved_and_opened_anew_on_sighup", || rotation(Engine::Sqlite));
    suite.test("logs::a_file_that_cannot_be_written_is_named_at_the_start", unwritable_file);
}

/// A server of its own process, whose logs go into a file.
struct Logging {
    /// Asks this server; its emulator is Cloudflare.
    app: TestApp,
    server: Server,
    log: PathBuf,
    _folder: TempDir,
}

impl Logging {
    async fn start(engine: &Engine, variables: &[(&str, &str)]) -> Self {
        let builder = TestApp::builder().set(&settings::CFIMAGES_DJANGO_SECRET_KEY, SECRET_KEY);
        let mut app = builder.start(engine).await;
        let (folder, listen) = (TempDir::new().unwrap(), free_address());
        let log = folder.path().join("cfimages.log");
        let mut command = cfimages(folder.path(), &["serve", "--listen", &listen]);
        command
            .env("CFIMAGES_LOG_FILE", &log)
            .env("DATABASE_URL", app.database_url.as_str())
            .env("CFIMAGES_DJANGO_SECRET_KEY", SECRET_KEY)
            .env("CLOUDFLARE_IMAGES_ACCOUNT_ID", ACCOUNT_ID)
            .env("CLOUDFLARE_IMAGES_ACCOUNT_HASH", crate::support::app::ACCOUNT_HASH)
            .env("CLOUDFLARE_IMAGES_API_TOKEN", API_TOKEN)
            .env("CLOUDFLARE_IMAGES_BASE_URL", format!("{}/client/v4", app.emulator))
            .env("CLOUDFLARE_IMAGES_SIGNING_KEY", SIGNING_KEY)
            .env("CLOUDFLARE_IMAGES_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .envs(variables.iter().copied());
        let server = Server::start(&mut command).ready(&listen).await;
        app.origin = format!("http://{listen}");
        Self { app, server, log, _folder: folder }
    }

    /// Ends the server; what it logged, and its events.
    fn stop(self) -> (String, Vec<Value>) {
        let (code, stderr) = self.server.stop();
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        let log = std::fs::read_to_string(&self.log).unwrap();
        let events = log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
        (log, events)
    }
}

async fn no_secrets(engine: Engine) {
    const DJANGO_SESSION: &str = "0123456789abcdefghijklmnopqrstuv";
    const GUESSES: [&str; 2] = ["a-token-that-is-guessed", "a-password-that-is-guessed"];
    let logging = Logging::start(&engine, &[("CFIMAGES_LOG", "trace")]).await;
    let app = &logging.app;

    let created = app.create_upload(&json!({"filename": "photo.jpg", "metadata": {"secret": "of-the-metadata"}})).await;
    let (id, upload_url) = (created["id"].as_str().unwrap(), created["upload_url"].as_str().unwrap());
    let cloudflare_id = created["cloudflare_id"].as_str().unwrap();
    assert_eq!(app.upload(upload_url, "photo.jpg", "image/jpeg", picture("photo.jpg")).await.status, StatusCode::OK);
    let report = json!({"id": cloudflare_id, "status": "uploaded"}).to_string();
    let webhook = app.anonymous(Method::POST, "webhook/").header("cf-webhook-auth", WEBHOOK_SECRET).body(report);
    assert_eq!(Answer::of(webhook).await.status, StatusCode::OK);
    let image = app.wait_for_status(id, "uploaded").await;
    assert_eq!(app.post(&format!("images/{id}/check_status/"), &json!({})).await.status, StatusCode::OK);
    let signed = app.get(&format!("images/{id}/url/?variant=public")).await.json();
    let part = multipart::Part::bytes(picture("graphic.png")).file_name("graphic.png");
    let file = app.api(Method::POST, "images/upload/").multipart(multipart::Form::new().part("file", part));
    assert_eq!(Answer::of(file).await.status, StatusCode::CREATED);
    let guess = app.anonymous(Method::GET, "images/").header("Authorization", format!("Token {}", GUESSES[0]));
    assert_eq!(Answer::of(guess).await.status, StatusCode::FORBIDDEN);

    make_staff(app, "alice").await;
    sessions::insert(app.database_url.as_str(), DJANGO_SESSION, "not-signed").await;
    let with_session = app.anonymous(Method::GET, "images/").header("Cookie", format!("sessionid={DJANGO_SESSION}"));
    assert_eq!(Answer::of(with_session).await.status, StatusCode::FORBIDDEN);
    let mut browser = Browser::new(app);
    assert_eq!(browser.sign_in("alice", GUESSES[1], "").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let form_cookie = browser.cookie("cfimages_admin_form").unwrap().to_owned();
    assert_eq!(browser.sign_in("alice", PASSWORD, "").await.status, StatusCode::SEE_OTHER);
    let admin_cookie = browser.cookie("cfimages_admin").unwrap().to_owned();
    browser.page(&format!("images/{id}/")).await;
    let deletion = Answer::of(app.api(Method::DELETE, &format!("images/{id}/"))).await;
    assert_eq!(deletion.status, StatusCode::NO_CONTENT, "{}", deletion.text);

    let mut secrets = vec![API_TOKEN, WEBHOOK_SECRET, SIGNING_KEY, SECRET_KEY, ALICE, PASSWORD, PASSWORD_HASH];
    secrets.extend([upload_url, DJANGO_SESSION, &form_cookie, &admin_cookie, "of-the-metadata", "not-signed"]);
    secrets.extend(GUESSES);
    for url in [&image["signed_public_url"], &image["signed_thumbnail_url"], &signed["url"]] {
        let url = url.as_str().unwrap();
        secrets.extend([url, url.split_once("sig=").unwrap().1]);
    }
    let secrets: Vec<String> = secrets.into_iter().map(str::to_owned).collect();
    let (log, events) = logging.stop();
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is logged");
    }
    // All that could have told them was heard.
    for message in [
        "http.server.request",
        "http.server.answer",
        "http.server.response",
        "cloudflare.request",
        "cloudflare.response",
    ] {
        assert!(events.iter().any(|event| event["message"] == message), "{message}");
    }
    assert!(events.iter().any(|event| event["target"] == "sqlx::query"));
    assert!(events.iter().any(|event| event["level"] == "TRACE"));
    let call = events.iter().find(|event| event["message"] == "cloudflare.request").unwrap();
    let spans: Vec<_> = call["spans"].as_array().unwrap().iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert_eq!(spans, ["http.request", "service.uploads.create", "cloudflare.call"]);
    assert_eq!(call["url.path"], "images/v2/direct_upload");
    let headers = call["http.request.headers"].as_str().unwrap();
    assert!(headers.contains("authorization") || headers.contains("content-type"), "{headers}");
}

/// The rest of an upload URL is in every delivery URL.
async fn waited_for(engine: Engine) {
    let logging = Logging::start(&engine, &[("CFIMAGES_LOG", "trace")]).await;
    let created = logging.app.create_upload(&json!({})).await;
    let (log, events) = logging.stop();
    let is_told = |event: &&Value| {
        event["message"].as_str().is_some_and(|message| message.starts_with("Created direct upload URL"))
    };
    let told = events.iter().find(is_told);
    assert_eq!(told.unwrap()["image.id"], created["id"]);
    let line = log.lines().find(|line| line.contains(created["cloudflare_id"].as_str().unwrap()));
    assert_eq!(line, None);
}

async fn slow_statement(engine: Engine) {
    let logging = Logging::start(&engine, &[("CFIMAGES_SLOW_QUERY_MS", "1")]).await;
    let (app, url) = (&logging.app, logging.app.database_url.as_str());
    let mut other = PgConnection::connect(url).await.unwrap();
    let mut lock = other.begin().await.unwrap();
    lock.execute("LOCK TABLE cloudflare_images IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let request =
        tokio::spawn(Answer::of(app.api(Method::GET, "images/?search=a-value").header("X-Request-Id", "slow-1")));
    sql::somebody_waits(url).await;
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    lock.rollback().await.unwrap();
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
    other.close().await.unwrap();

    let (_, events) = logging.stop();
    let is_slow = |event: &&Value| event["target"] == "sqlx::query" && event["level"] == "WARN";
    let is_of_list = |event: &&Value| event["db.statement"].as_str().unwrap().contains("FROM cloudflare_images");
    let mut slow = events.iter().filter(is_slow).filter(is_of_list);
    let slow = slow.find(|event| event["spans"][0]["request.id"] == "slow-1");
    let slow = slow.unwrap_or_else(|| panic!("{events:#?}"));
    assert_eq!(slow["message"], "slow statement: execution time exceeded alert threshold");
    assert!(slow["elapsed_secs"].as_f64().unwrap() >= 0.001, "{slow}");
    assert!(!slow.to_string().contains("a-value"), "{slow}");
}

#[cfg(unix)]
async fn rotation(engine: Engine) {
    let logging = Logging::start(&engine, &[]).await;
    let moved = logging.log.with_extension("log.1");
    let is_logged = |file: &Path, text: &str| std::fs::read_to_string(file).is_ok_and(|log| log.contains(text));
    assert!(is_logged(&logging.log, "Listening on"));

    std::fs::rename(&logging.log, &moved).unwrap();
    logging.server.signal("HUP");
    eventually("the file is opened anew", async || {
        is_logged(&logging.log, "Received SIGHUP: the log file was opened anew").then_some(())
    })
    .await;
    std::fs::remove_file(&logging.log).unwrap();
    logging.app.get("images/").await;
    eventually("requests are logged in a new file", async || {
        is_logged(&logging.log, "http.server.response").then_some(())
    })
    .await;
    assert!(!is_logged(&moved, "SIGHUP"));
    logging.stop();
}

async fn unwritable_file() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("nowhere/cfimages.log");
    for arguments in [&["migrate"][..], &["serve", "--migrate", "--listen", "127.0.0.1:0"]] {
        let output = cfimages(folder.path(), arguments)
            .env("CFIMAGES_LOG_FILE", &log)
            .env("CLOUDFLARE_IMAGES_ACCOUNT_ID", "account")
            .env("CLOUDFLARE_IMAGES_API_TOKEN", "token")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let (stderr, name) = (text(&output.stderr), log.display());
        assert!(stderr.contains(&format!("the log file {name} (CFIMAGES_LOG_FILE) cannot be written")), "{stderr}");
        assert!(stderr.contains("No such file or directory"), "{stderr}");
    }
}
