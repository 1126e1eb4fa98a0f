//! The description of the API.

use serde_json::Value;

use crate::support::app::{Answer, TestApp};
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.test("openapi::the_document_is_the_one_that_was_reviewed", document);
    suite.test("openapi::the_server_hands_out_the_document", served);
}

async fn document() {
    insta::assert_snapshot!("openapi", cfimages::app::openapi("/cloudflare-images").to_pretty_json().unwrap());
}

async fn served() {
    let app = TestApp::start(&Engine::Sqlite).await;
    let answer = Answer::of(app.http.get(format!("{}/cloudflare-images/api/openapi.json", app.origin))).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let expected: Value =
        serde_json::from_str(&cfimages::app::openapi("/cloudflare-images").to_json().unwrap()).unwrap();
    assert_eq!(answer.json(), expected);
}
