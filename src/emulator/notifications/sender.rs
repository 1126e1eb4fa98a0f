//! Posting messages to webhooks.

use std::time::{Duration, Instant};

use axum::http::{StatusCode, header};
use reqwest::{Client, redirect};
use tokio::time::sleep;

use super::secret_header;
use super::webhooks::Webhook;

/// The pause after the first try; each of the next is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long new tries are begun, enough for a destination that is starting.
const PATIENCE: Duration = Duration::from_secs(8);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Posts messages.
#[derive(Debug)]
pub(super) struct Sender(Client);

/// A try that came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("there is no answer")]
    NoAnswer(#[source] reqwest::Error),
    #[error("the answer is {0}")]
    Refused(StatusCode),
}

impl Failure {
    fn is_worth_another_try(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused(status) => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
        }
    }
}

impl Sender {
    pub(super) fn new() -> reqwest::Result<Self> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(redirect::Policy::none())
            // The destination is on this machine or near it, also where the way out leads through a proxy.
            .no_proxy()
            .user_agent(concat!("cfimages-emulator/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    /// Sends a message, in several tries where that may help; gives up with a warning. Answers how many tries there were, and
    /// what became of the last.
    pub(super) async fn send(&self, webhook: &Webhook, body: String) -> (u32, Result<(), Failure>) {
        let started = Instant::now();
        let (mut tries, mut pause) = (1, FIRST_PAUSE);
        while let Err(failure) = self.post(webhook, body.clone()).await {
            let left = PATIENCE.saturating_sub(started.elapsed());
            if !failure.is_worth_another_try() || left.is_zero() {
                let error: &(dyn std::error::Error + 'static) = &failure;
                tracing::warn!(error, webhook.id, "a webhook could not be notified");
                return (tries, Err(failure));
            }
            sleep(pause.min(left)).await;
            pause *= 2;
            tries += 1;
        }
        (tries, Ok(()))
    }

    /// Tries once.
    pub(super) async fn post(&self, webhook: &Webhook, body: String) -> Result<(), Failure> {
        let mut request = self.0.post(&webhook.url).header(header::CONTENT_TYPE, "application/json").body(body);
        if let Some(secret) = webhook.secret.as_deref().and_then(secret_header) {
            request = request.header("cf-webhook-auth", secret);
        }
        let status = request.send().await.map_err(|error| Failure::NoAnswer(error.without_url()))?.status();
        if status.is_success() { Ok(()) } else { Err(Failure::Refused(status)) }
    }
}
