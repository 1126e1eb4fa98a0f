//! The client of Cloudflare's API, against answers in Cloudflare's forms.

mod account;
mod lists;
mod notifications;
mod originals;
mod owner;

use cfimages::cloudflare::{Client, ClientSettings};
use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Match, Mock, MockServer, Request, ResponseTemplate};

use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    account::register(suite);
    lists::register(suite);
    notifications::register(suite);
    originals::register(suite);
    owner::register(suite);
}

const TOKEN: &str = "token-of-the-client-tests";

struct Cloudflare {
    server: MockServer,
    client: Client,
}

impl Cloudflare {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let client = client_of(server.uri());
        Self { server, client }
    }

    /// Answers requests with what `result` is, as often as they come.
    async fn on(&self, matcher: impl Match + 'static, result: Value) {
        self.answer(matcher, ResponseTemplate::new(200).set_body_json(envelope(&result))).await;
    }

    async fn answer(&self, matcher: impl Match + 'static, answer: ResponseTemplate) {
        Mock::given(header("Authorization", format!("Bearer {TOKEN}").as_str()))
            .and(matcher)
            .respond_with(answer)
            .mount(&self.server)
            .await;
    }

    async fn requests(&self) -> Vec<Request> {
        self.server.received_requests().await.unwrap()
    }
}

fn client_of(base_url: String) -> Client {
    let settings = ClientSettings { base_url, account_id: "acct".to_owned(), api_token: TOKEN.to_owned().into() };
    Client::new(&settings).unwrap()
}

fn envelope(result: &Value) -> Value {
    json!({"result": result, "success": true, "errors": [], "messages": []})
}

/// All of the conditions.
fn all<const N: usize>(matchers: [Box<dyn Match>; N]) -> impl Match {
    move |request: &Request| matchers.iter().all(|matcher| matcher.matches(request))
}

/// Requests with a method for a path.
fn on(verb: &'static str, at: &str) -> impl Match + use<> {
    all([Box::new(method(verb)), Box::new(path(at))])
}

fn with_body(verb: &'static str, at: &str, body: &Value) -> impl Match + use<> {
    all([Box::new(on(verb, at)), Box::new(body_json(body))])
}
