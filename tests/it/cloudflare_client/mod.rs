//! The client of Cloudflare's API, against answers in Cloudflare's forms.

mod lists;
mod notifications;

use cfimages::cloudflare::{Client, ClientSettings};
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Match, Mock, MockServer, Request, ResponseTemplate};

use crate::support::suite::Suite;

pub(crate) fn register(suite: &mut Suite) {
    lists::register(suite);
    notifications::register(suite);
}

const TOKEN: &str = "token-of-the-client-tests";

struct Cloudflare {
    server: MockServer,
    client: Client,
}

impl Cloudflare {
    async fn start() -> Self {
        let server = MockServer::start().await;
        let client = Client::new(&ClientSettings {
            base_url: server.uri(),
            account_id: "acct".to_owned(),
            api_token: TOKEN.to_owned().into(),
        })
        .unwrap();
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

fn envelope(result: &Value) -> Value {
    json!({"result": result, "success": true, "errors": [], "messages": []})
}

/// All of the conditions.
fn all<const N: usize>(matchers: [Box<dyn Match>; N]) -> impl Match {
    move |request: &Request| matchers.iter().all(|matcher| matcher.matches(request))
}
