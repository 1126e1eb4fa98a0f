//! `cfimages webhook`

use std::process::{Output, Stdio};

use cfimages::config::settings;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::spawn_blocking;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::cli::{cfimages, text};
use crate::support::app::{API_TOKEN, TestApp, WEBHOOK_SECRET};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("webhook_cli::every_sample_is_taken_and_changes_nothing", samples);
    suite.on_both_engines("webhook_cli::samples_about_an_image_change_it", image_samples);
    suite.test("webhook_cli::what_is_wrong_is_said_with_what_to_do", advice);
    suite.test("webhook_cli::registering_twice_is_as_good_as_once", registration);
    suite.test("webhook_cli::a_server_that_does_not_take_the_test_message_is_not_registered", refused_registration);
    suite.test("webhook_cli::a_token_that_is_not_valid_is_told_from_one_that_lacks_the_permission", refused_token);
    suite.on_both_engines("webhook_cli::what_came_is_listed_with_the_reason", deliveries);
    suite.test("webhook_cli::what_came_does_not_steer_the_terminal", hostile_deliveries);
}

/// Runs the command; exit code, standard output and standard error.
async fn run(arguments: &[&str], environment: &[(&str, &str)], stdin: &str) -> (Option<i32>, String, String) {
    let folder = TempDir::new().unwrap();
    let mut command = cfimages(folder.path(), &[&["webhook"], arguments].concat());
    command.envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), stdin.as_bytes()).unwrap();
    let Output { status, stdout, stderr } = spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    (status.code(), text(&stdout), text(&stderr))
}

fn webhook_url(app: &TestApp) -> String {
    format!("{}/cloudflare-images/api/webhook/", app.origin)
}

fn public() -> crate::support::app::TestAppBuilder {
    TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
}

const SECRET: (&str, &str) = ("CLOUDFLARE_IMAGES_WEBHOOK_SECRET", WEBHOOK_SECRET);

async fn samples(engine: Engine) {
    let app = public().start(&engine).await;
    let url = webhook_url(&app);
    let (code, table, errors) = run(&["test", "--url", &url], &[SECRET], "").await;
    assert_eq!(code, Some(0), "{table}{errors}");
    for (form, status) in
        [("test", "200"), ("notification", "200"), ("signature", "404"), ("event", "404"), ("timestamped", "404")]
    {
        let is_row = |line: &str| line.split_whitespace().take(2).eq([form, status]) && line.contains("accepted");
        assert!(table.lines().any(is_row), "{table}");
    }
    let changed = "SELECT count(*) FROM cloudflare_image_logs";
    assert_eq!(sql::count(app.database_url.as_str(), changed).await, 0);

    let arguments = ["test", "--url", &url, "--secret-stdin", "--form", "timestamped", "--json"];
    let (code, json, errors) = run(&arguments, &[], &format!("{WEBHOOK_SECRET}\n")).await;
    assert_eq!(code, Some(0), "{json}{errors}");
    let rows: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (rows.as_array().unwrap().len(), &rows[0]["form"], &rows[0]["ok"]),
        (1, &json!("timestamped"), &json!(true))
    );
}

async fn image_samples(engine: Engine) {
    let app = public().start(&engine).await;
    let created = app.create_upload(&json!({"custom_id": "hook-a"})).await;
    app.upload(created["upload_url"].as_str().unwrap(), "photo.webp", "image/webp", picture("photo.webp")).await;
    app.wait_for_status(created["id"].as_str().unwrap(), "uploaded").await;
    let url = webhook_url(&app);
    let (code, table, errors) = run(&["test", "--url", &url, "--image", "hook-a"], &[SECRET], "").await;
    assert_eq!((code, table.matches("accepted").count()), (Some(0), 5), "{table}{errors}");
    let forms = "SELECT form || ' ' || proof FROM cfimages_webhook_deliveries WHERE outcome = 'recorded' ORDER BY 1";
    let forms: Vec<String> = sql::texts(app.database_url.as_str(), forms).await.into_iter().flatten().collect();
    // The emulator notified of the upload before.
    let want =
        ["event signature", "notification secret", "notification secret", "report signature", "report timestamped"];
    assert_eq!(forms, want);
    let (code, _, errors) = run(&["test", "--url", &url, "--image", "nobody", "--form", "event"], &[SECRET], "").await;
    assert!(code == Some(1) && errors.contains("no image with this id"), "{errors}");
}

/// A server that gives the same answer to everything.
async fn server(answer: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    server
}

async fn advice() {
    for (answer, wanted) in [
        (ResponseTemplate::new(401).set_body_string("Invalid signature"), "another CLOUDFLARE_IMAGES_WEBHOOK_SECRET"),
        (ResponseTemplate::new(308).insert_header("Location", "https://a.example/b/"), "Use https://a.example/b/"),
        (ResponseTemplate::new(200).set_body_string("<h1>Welcome\u{1b}[31m</h1>"), "Something else answers there"),
        (ResponseTemplate::new(502), "is it running?"),
    ] {
        let server = server(answer).await;
        let (code, table, errors) = run(&["test", "--url", &server.uri()], &[SECRET], "").await;
        assert_eq!(code, Some(1), "{table}{errors}");
        assert!(errors.contains(wanted) && !table.contains('\u{1b}'), "{table}{errors}");
        assert!(!table.contains(WEBHOOK_SECRET) && !errors.contains(WEBHOOK_SECRET), "{table}{errors}");
    }
    let (code, table, errors) = run(&["test", "--url", "http://127.0.0.1:1/"], &[SECRET], "").await;
    assert!(code == Some(1) && errors.contains("is the server running"), "{table}{errors}");
    let (code, _, errors) = run(&["test", "--url", "http://127.0.0.1:1/"], &[], "").await;
    assert!(code == Some(1) && errors.contains("CLOUDFLARE_IMAGES_WEBHOOK_SECRET"), "{errors}");
}

/// The settings by which a command finds an emulator.
fn account(base_url: &str) -> [(&str, &str); 4] {
    [
        ("CLOUDFLARE_IMAGES_BASE_URL", base_url),
        ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "acct-0001"),
        ("CLOUDFLARE_IMAGES_API_TOKEN", API_TOKEN),
        SECRET,
    ]
}

/// Registers and tells what was done about destination and policy. The emulator has a destination `cfimages` of its own.
async fn registered(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let common = ["register", "--json", "--name", name];
    let (code, json, errors) = run(&[&common, arguments].concat(), environment, "").await;
    assert_eq!(code, Some(0), "{json}{errors}");
    serde_json::from_str(&json).unwrap()
}

fn actions(report: &Value) -> (&str, &str) {
    (report["destination"]["action"].as_str().unwrap(), report["policy"]["action"].as_str().unwrap())
}

async fn registration() {
    let account_of = public().start(&Engine::Sqlite).await;
    let app = public().start(&Engine::Sqlite).await;
    let base_url = format!("{}/client/v4", account_of.emulator);
    let (environment, url) = (account(&base_url), webhook_url(&app));

    let planned = registered("mine", &["--url", &url, "--dry-run"], &environment).await;
    assert_eq!((actions(&planned), &planned["destination"]["id"]), (("create", "create"), &Value::Null));
    let made = registered("mine", &["--url", &url], &environment).await;
    assert_eq!(actions(&made), ("create", "create"), "nothing was made before");
    let again = registered("another", &["--url", &url], &environment).await;
    assert_eq!(actions(&again), ("keep", "keep"));
    for part in ["destination", "policy"] {
        assert!(made[part]["id"].is_string() && again[part]["id"] == made[part]["id"], "{again}");
    }

    // An upload there is told here.
    let created = account_of.create_upload(&json!({})).await;
    let upload_url = created["upload_url"].as_str().unwrap();
    account_of.upload(upload_url, "photo.webp", "image/webp", picture("photo.webp")).await;
    let told = "SELECT count(*) FROM cfimages_webhook_deliveries WHERE form = 'notification' AND proof = 'secret'";
    eventually("the upload is told", async || (sql::count(app.database_url.as_str(), told).await == 1).then_some(()))
        .await;

    let rotated = registered("mine", &["--url", &url, "--rotate-secret"], &environment).await;
    assert_eq!(actions(&rotated), ("rotate_secret", "keep"));
    let moved_to = format!("{url}?moved=1");
    let (code, _, errors) = run(&["register", "--name", "mine", "--url", &moved_to], &environment, "").await;
    assert!(code == Some(1) && errors.contains("--move") && errors.contains(&url), "{errors}");
    let moved = registered("mine", &["--url", &moved_to, "--move"], &environment).await;
    assert_eq!((actions(&moved), &moved["destination"]["id"]), (("move", "keep"), &made["destination"]["id"]));
    let beside = registered("beside", &["--url", &url], &environment).await;
    assert_eq!(actions(&beside), ("create", "create"));

    let (code, table, errors) = run(&["register", "--url", &url], &environment, "").await;
    assert_eq!(code, Some(0), "{errors}");
    assert!(table.contains("is there as it should be") && errors.contains("--rotate-secret"), "{table}{errors}");
    assert!(!table.contains(WEBHOOK_SECRET) && !errors.contains(WEBHOOK_SECRET), "{table}{errors}");
    let (code, _, errors) = run(&["register", "--url", &url], &environment[..3], "").await;
    assert!(code == Some(1) && errors.contains("CLOUDFLARE_IMAGES_WEBHOOK_SECRET is not set"), "{errors}");
}

async fn refused_registration() {
    let app = public().start(&Engine::Sqlite).await;
    let base_url = format!("{}/client/v4", app.emulator);
    let server = server(ResponseTemplate::new(401)).await;
    let (code, table, errors) =
        run(&["register", "--name", "mine", "--url", &server.uri()], &account(&base_url), "").await;
    assert_eq!((code, table.as_str()), (Some(1), ""), "{errors}");
    assert!(errors.contains("Cloudflare sends a test message first"), "{errors}");
    let planned = registered("mine", &["--url", &server.uri(), "--dry-run"], &account(&base_url)).await;
    assert_eq!(actions(&planned), ("create", "create"));
}

async fn refused_token() {
    let answer = json!({"result": null, "success": false, "messages": [],
        "errors": [{"code": 10000, "message": "Authentication error"}]});
    for (status, advice, other) in [(401, "not expired", "Notifications"), (403, "Notifications: Edit", "not expired")]
    {
        let cloudflare = MockServer::start().await;
        Mock::given(path("/accounts/acct-0001/alerting/v3/destinations/webhooks"))
            .and(header("authorization", format!("Bearer {API_TOKEN}").as_str()))
            .respond_with(ResponseTemplate::new(status).set_body_json(&answer))
            .mount(&cloudflare)
            .await;
        let arguments = ["register", "--url", "https://images.example.com/cloudflare-images/api/webhook/"];
        let (code, _, errors) = run(&arguments, &account(&cloudflare.uri()), "").await;
        assert!(code == Some(1) && errors.contains(advice) && !errors.contains(other), "{errors}");
        assert!(!errors.contains(API_TOKEN), "{errors}");
    }
}

async fn deliveries(engine: Engine) {
    let app = public().start(&engine).await;
    let url = webhook_url(&app);
    let wrong = ("CLOUDFLARE_IMAGES_WEBHOOK_SECRET", "another");
    assert_eq!(run(&["test", "--url", &url, "--form", "event"], &[wrong], "").await.0, Some(1));
    assert_eq!(run(&["test", "--url", &url, "--form", "test"], &[SECRET], "").await.0, Some(0));
    let database = ("DATABASE_URL", app.database_url.as_str());
    let table = eventually("both are kept", async || {
        let (code, table, errors) = run(&["deliveries"], &[database], "").await;
        assert_eq!(code, Some(0), "{errors}");
        (table.lines().count() == 3).then_some(table)
    })
    .await;
    assert!(
        table.contains("It is a test message.") && table.contains("X-Signature is not that of the body"),
        "{table}"
    );
    let arguments = ["deliveries", "--outcome", "refused", "--json"];
    let rows: Value = serde_json::from_str(&run(&arguments, &[database], "").await.1).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
    assert!(rows[0]["body"].as_str().unwrap().contains("image.uploaded"), "{rows}");
}

async fn hostile_deliveries() {
    const HOSTILE: &str = "a\u{9b}31m\u{7f}\u{202e}gpj\u{e0041}";
    let app = public().start(&Engine::Sqlite).await;
    let body = format!("{{\"id\": \"{HOSTILE}\"}}");
    let sent =
        app.anonymous(Method::POST, "webhook/").header("cf-webhook-auth", "wrong").body(body.clone()).send().await;
    assert!(sent.unwrap().status().is_client_error());
    let url = app.database_url.as_str();
    eventually("it is kept", async || {
        (sql::count(url, "SELECT count(*) FROM cfimages_webhook_deliveries").await == 1).then_some(())
    })
    .await;
    sql::execute(url, &format!("UPDATE cfimages_webhook_deliveries SET reason = '{HOSTILE}'")).await;
    let is_safe = |text: &str| !text.contains(['\u{9b}', '\u{7f}', '\u{202e}', '\u{e0041}']);
    let (_, json, _) = run(&["deliveries", "--json"], &[("DATABASE_URL", url)], "").await;
    assert!(is_safe(&json) && json.contains(r"a\u009b31m\u007f\u202egpj\udb40\udc41"), "{json:?}");
    let rows: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&rows[0]["body"], &rows[0]["reason"]), (&json!(body), &json!(HOSTILE)));
    let (_, table, _) = run(&["deliveries"], &[("DATABASE_URL", url)], "").await;
    assert!(is_safe(&table) && table.contains(r"a\u{9b}31m\u{7f}\u{202e}gpj\u{e0041}"), "{table:?}");
}
