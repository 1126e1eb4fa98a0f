//! `cfimages openapi`.

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::{cfimages, failure, success};
use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    suite.test("cli_openapi::the_description_is_printed_without_any_setting", printed);
    suite.test("cli_openapi::the_prefix_comes_from_the_flag_or_the_settings", prefix);
}

fn paths(document: &str) -> Vec<String> {
    let document: Value = serde_json::from_str(document).unwrap();
    document["paths"].as_object().unwrap().keys().cloned().collect()
}

async fn printed() {
    let folder = TempDir::new().unwrap();
    let document = success(&mut cfimages(folder.path(), &["openapi"]));
    assert_eq!(document, cfimages::app::openapi("/cloudflare-images").to_pretty_json().unwrap() + "\n");
}

async fn prefix() {
    let folder = TempDir::new().unwrap();
    let mut by_setting = cfimages(folder.path(), &["openapi"]);
    by_setting.env("CFIMAGES_URL_PREFIX", "pictures/");
    assert!(paths(&success(&mut by_setting)).contains(&"/pictures/api/stats/".to_owned()));
    let by_flag = by_setting.args(["--url-prefix", "/"]);
    assert!(paths(&success(by_flag)).contains(&"/api/stats/".to_owned()));
    let wrong = failure(&mut cfimages(folder.path(), &["openapi", "--url-prefix", "a b?"]));
    assert!(wrong.contains("CFIMAGES_URL_PREFIX"), "{wrong}");
}
