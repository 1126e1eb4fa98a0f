//! `cfimages emulator`, as other applications use it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use reqwest::{Method, RequestBuilder, StatusCode, multipart};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cli::{cfimages, text};
use crate::support::app::{Answer, http_client};
use crate::support::conformance::Exchange;
use crate::support::emulator::expect_conformance;
use crate::support::picture;
use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    suite.test("emulator::it_does_what_the_settings_that_it_prints_are_for", main_job);
    suite.test("emulator::its_page_is_at_the_printed_address_and_keeps_secrets_from_the_network", page);
    suite.test("emulator::what_is_kept_in_a_folder_is_found_again", restart);
    suite.test("emulator::faults_are_switched_by_flags_a_file_and_requests", faults);
    suite.test("emulator::it_refuses_what_it_cannot_do", refusals);
    suite.test("emulator::pictures_of_other_hosts_are_transformed_where_a_flag_allows_it", sources);
}

/// A running emulator, which ends with its test.
pub(crate) struct Emulator {
    process: Child,
    /// What it printed up to the settings.
    settings: Vec<(String, String)>,
}

impl Emulator {
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        let listen: &[&str] = if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        let arguments = [&["emulator"], listen, arguments].concat();
        let mut process = cfimages(folder, &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let setting = |line: String| {
            let (name, value) = line.strip_prefix("  ")?.split_once("  ")?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        let lines = lines.map(Result::unwrap).take_while(|line| line != "Try it:");
        Self { settings: lines.filter_map(setting).collect(), process }
    }

    pub(crate) fn setting(&self, name: &str) -> &str {
        &self.settings.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/accounts/{}/images/{path}", self.setting("API base URL"), self.setting("Account id"));
        http_client().request(method, url).bearer_auth(self.setting("API token"))
    }

    /// The answer to a request without a body, checked against Cloudflare's description.
    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, self.request(Method::GET, path), path).await
    }

    async fn send(&self, method: Method, request: RequestBuilder, path: &str) -> Answer {
        let answer = Answer::of(request).await;
        expect_conformance(Exchange {
            method: method.as_str(),
            path: &format!("/client/v4/accounts/{}/images/{path}", self.setting("Account id")),
            status: answer.status.as_u16(),
            content_type: answer.headers["content-type"].to_str().unwrap(),
            body: answer.text.as_bytes(),
        });
        answer
    }

    async fn upload(&self) -> Value {
        let part = multipart::Part::bytes(picture("photo.jpg")).file_name("photo.jpg").mime_str("image/jpeg").unwrap();
        let form = multipart::Form::new().part("file", part).text("id", "photo");
        let answer = self.send(Method::POST, self.request(Method::POST, "v1").multipart(form), "v1").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["result"].take()
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    fn stop(&mut self) {
        assert!(Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn main_job() {
    let folder = TempDir::new().unwrap();
    let mut emulator = Emulator::start(
        folder.path(),
        &["--memory", "--account-hash", "my-hash", "--api-token", "mine", "--token", "reader==images-read"],
    );
    assert_eq!(emulator.setting("API token"), "mine");
    let image = emulator.upload().await;
    assert_eq!(image["variants"][0], "https://imagedelivery.net/my-hash/photo/public");
    let delivery = emulator.setting("Delivery").replace("IMAGE_ID", "photo").replace("VARIANT", "thumbnail");
    assert_eq!(http_client().get(delivery).send().await.unwrap().status(), 200);
    let list = emulator.get("v2").await.json();
    assert_eq!(list["result"]["images"], json!([image]));
    for (method, status) in [(Method::GET, 200), (Method::DELETE, 403)] {
        let url =
            format!("{}/accounts/{}/images/v1/photo", emulator.setting("API base URL"), emulator.setting("Account id"));
        let request = http_client().request(method, url).bearer_auth("reader=");
        assert_eq!(request.send().await.unwrap().status(), status);
    }
    emulator.stop();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

async fn page() {
    let folder = TempDir::new().unwrap();
    for (listen, is_open) in [("127.0.0.1:0", true), ("0.0.0.0:0", false)] {
        let emulator = Emulator::start(folder.path(), &["--memory", "--listen", listen, "--api-token", "my-token"]);
        let url = emulator.setting("Page").replace("0.0.0.0", "127.0.0.1");
        let page = Answer::of(http_client().get(&url)).await;
        assert_eq!(page.status, StatusCode::OK, "{listen}");
        assert!(page.text.contains("<h1>Images emulator</h1>") && page.text.contains(emulator.setting("API base URL")));
        for secret in ["my-token", "emulator-signing-key"] {
            assert_eq!(page.text.contains(secret), is_open, "{listen}: {secret}");
        }
        let foreign = Answer::of(http_client().get(&url).header("host", "evil.test")).await;
        assert_eq!(foreign.status, StatusCode::FORBIDDEN, "{listen}");
    }
}

async fn restart() {
    let folder = TempDir::new().unwrap();
    let mut first = Emulator::start(folder.path(), &["--data", "mine"]);
    let image = first.upload().await;
    let output = cfimages(folder.path(), &["emulator", "--listen", "127.0.0.1:0", "--data", "mine"]).output().unwrap();
    assert!(text(&output.stderr).contains("another `cfimages emulator`"), "{}", text(&output.stderr));
    first.stop();
    let second = Emulator::start(folder.path(), &["--data", "mine"]);
    assert_eq!(second.get("v1/photo").await.json()["result"], image);
}

async fn faults() {
    let folder = TempDir::new().unwrap();
    let plan = r#"{"faults": [{"operation": "get_stats", "kind": {"error": {"status": 503}}}], "seed": 1}"#;
    std::fs::write(folder.path().join("plan.json"), plan).unwrap();
    let arguments =
        ["--memory", "--faults", "plan.json", "--error-rate", "1", "--rate-limit", "3", "--plain-text-errors"];
    let emulator = Emulator::start(folder.path(), &arguments);
    let stats = async || Answer::of(emulator.request(Method::GET, "v1/stats")).await;
    assert_eq!(stats().await.text, "ERROR 5503: Server unavailable");
    assert_eq!(stats().await.text, "ERROR 5500: Internal server error");
    let control = |method| http_client().request(method, emulator.setting("Faults")).bearer_auth("emulator-token");
    let report = Answer::of(control(Method::GET)).await.json();
    assert_eq!(report["calls"], json!({"get_stats": 2}));
    assert_eq!(report["rate_limit"], json!({"requests": 3, "seconds": 300}));
    assert_eq!(Answer::of(control(Method::DELETE)).await.status, 204);
    assert_eq!(stats().await.status, 200);
}

async fn refusals() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("plan.json"), r#"{"fault": []}"#).unwrap();
    for (arguments, problem) in [
        (&["--listen", "0.0.0.0:0"][..], "--api-token"),
        (&["--faults", "nothing.json"], "nothing.json cannot be read"),
        (&["--faults", "plan.json"], "plan.json is no plan of faults"),
        (&["--error-rate", "2"], "rate must be 0 to 1"),
        (&["--account-hash", "a/b"], "account_hash"),
        (&["--allow-source", "https://example.com"], "sources: must be names of hosts"),
        (&["--origin", "example.com"], "sources: the origin must be"),
    ] {
        let mut command = cfimages(folder.path(), &["emulator", "--memory"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let output = command.args(arguments).output().unwrap();
        let message = text(&output.stderr);
        assert_eq!((output.status.code(), message.lines().count()), (Some(1), 1), "{message}");
        assert!(message.contains(problem), "{message}");
    }
}

async fn sources() {
    let folder = TempDir::new().unwrap();
    let source = Emulator::start(folder.path(), &["--memory"]);
    source.upload().await;
    let site = source.setting("API base URL").trim_end_matches("/client/v4");
    let allowed = Emulator::start(folder.path(), &["--memory", "--allow-source", "127.0.0.1", "--origin", site]);
    let path = format!("/{}/photo/w=5000", source.setting("Account hash"));
    for (emulator, picture, status) in [
        (&allowed, format!("{site}{path}"), 200),
        (&allowed, path.clone(), 200),
        (&source, format!("{site}{path}"), 403),
        (&source, path.clone(), 403),
    ] {
        let base = emulator.setting("API base URL").trim_end_matches("/client/v4");
        let url = format!("{base}/cdn-cgi/image/width=20/{}", picture.trim_start_matches('/'));
        let response = http_client().get(&url).send().await.unwrap();
        assert_eq!(response.status(), status, "{url}");
        assert_eq!(response.headers()["cf-resized"].to_str().unwrap().starts_with("internal=ok/"), status == 200);
    }
}
