//! Notifications about direct creator uploads, as Cloudflare's *Notifications* send them to a webhook destination.

use std::fmt;
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, StatusCode, header};
use reqwest::{Client, redirect};
use serde::Serialize;
use tokio::time::sleep;
use uuid::Uuid;

use crate::domain::Timestamp;

use super::Error;
use super::envelope::ApiError;

/// The name of the policy and of its notifications.
const POLICY_NAME: &str = "Images uploads";
/// The pause after the first try; each of the next is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// How long new tries are made, enough for a destination that is starting.
const PATIENCE: Duration = Duration::from_secs(8);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(5);

/// The webhook that is told of uploads. [`Debug`](fmt::Debug) leaves the secret out.
///
/// It gets `POST`s of Cloudflare's generic notification with `alert_type` `image_notification`. What stands in its `data` is
/// **invented**, since Cloudflare documents nothing:
///
/// ```json
/// {"image_id": "2cdc28f0-...", "status": "uploaded", "uploaded": "2022-01-31T16:39:28.458Z"}
/// {"image_id": "2cdc28f0-...", "status": "failed", "error_code": 9422, "error_message": "Decode error: ..."}
/// ```
///
/// An upload fails for good only by its file: too large, of a wrong type, or not to be decoded. The upload URL stays usable
/// then, so a failure may be followed by a success, and the two may arrive in any order. Where it may help, it is tried again
/// for about ten seconds: without a connection or an answer, and after 408, 429 and 5xx. (Whether Cloudflare tries again is
/// UNCONFIRMED.)
#[derive(Clone, PartialEq, Eq)]
pub struct Destination {
    /// Where notifications are posted to, `http` or `https`.
    pub url: String,
    /// Sent as it is in the header `cf-webhook-auth`; without it there is no such header.
    pub secret: Option<String>,
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What became of an upload.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(super) enum Outcome {
    /// The picture is stored.
    Uploaded { image_id: String, uploaded: String },
    /// The file was refused.
    Failed { image_id: String, error_code: u16, error_message: String },
}

impl Outcome {
    /// The picture was stored at the time `uploaded`.
    pub(super) fn uploaded(image_id: &str, uploaded: Timestamp) -> Self {
        Self::Uploaded { image_id: image_id.to_owned(), uploaded: uploaded.to_millis_string() }
    }

    /// The file was refused for this reason.
    pub(super) fn failed(image_id: &str, error: &ApiError) -> Self {
        let error_message = error.message().to_owned();
        Self::Failed { image_id: image_id.to_owned(), error_code: error.code(), error_message }
    }

    fn text(&self) -> String {
        match self {
            Self::Uploaded { image_id, .. } => format!("The upload of image {image_id} succeeded."),
            Self::Failed { image_id, error_message, .. } => {
                format!("The upload of image {image_id} failed: {error_message}")
            }
        }
    }
}

#[derive(Serialize)]
struct Notification<'a> {
    name: &'a str,
    text: String,
    data: &'a Outcome,
    ts: i64,
    account_id: &'a str,
    policy_id: &'a str,
    policy_name: &'a str,
    alert_type: &'a str,
    alert_correlation_id: String,
    alert_event: &'a str,
}

/// Posts notifications to a destination.
#[derive(Debug)]
pub(super) struct Notifier {
    client: Client,
    url: String,
    secret: Option<HeaderValue>,
    account_id: String,
    policy_id: String,
}

/// A try to notify that came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no answer")]
    NoAnswer(#[source] reqwest::Error),
    #[error("the answer was {0}")]
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

impl Notifier {
    /// A notifier for the account.
    pub(super) fn new(destination: Destination, account_id: &str) -> Result<Self, Error> {
        Ok(Self {
            client: http_client().map_err(Error::HttpClient)?,
            url: destination.url,
            secret: destination.secret.as_deref().map(secret_header).transpose()?,
            account_id: account_id.to_owned(),
            policy_id: Uuid::new_v4().simple().to_string(),
        })
    }

    /// Tells the destination, in several tries where that may help; gives up with a warning.
    pub(super) async fn send(&self, outcome: Outcome, now: Timestamp) {
        let body = self.notification(&outcome, now);
        let started = Instant::now();
        let mut pause = FIRST_PAUSE;
        while let Err(error) = self.post(body.clone()).await {
            if !error.is_worth_another_try() || started.elapsed() + pause > PATIENCE {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(error, "the destination could not be notified of an upload");
                return;
            }
            sleep(pause).await;
            pause *= 2;
        }
    }

    fn notification(&self, outcome: &Outcome, now: Timestamp) -> String {
        let notification = Notification {
            name: POLICY_NAME,
            text: outcome.text(),
            data: outcome,
            ts: now.as_unix_seconds(),
            account_id: &self.account_id,
            policy_id: &self.policy_id,
            policy_name: POLICY_NAME,
            alert_type: "image_notification",
            alert_correlation_id: Uuid::new_v4().simple().to_string(),
            alert_event: "ALERT_STATE_EVENT_START",
        };
        serde_json::to_string(&notification).expect("texts and numbers are JSON")
    }

    async fn post(&self, body: String) -> Result<(), Failure> {
        let mut request = self.client.post(&self.url).header(header::CONTENT_TYPE, "application/json").body(body);
        if let Some(secret) = &self.secret {
            request = request.header("cf-webhook-auth", secret.clone());
        }
        let status = request.send().await.map_err(|error| Failure::NoAnswer(error.without_url()))?.status();
        if status.is_success() { Ok(()) } else { Err(Failure::Refused(status)) }
    }
}

fn http_client() -> reqwest::Result<Client> {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .redirect(redirect::Policy::none())
        // The destination is on this machine or near it, also where the way out leads through a proxy.
        .no_proxy()
        .user_agent(concat!("cfimages-emulator/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Marked as a secret, so that nothing prints it.
fn secret_header(secret: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(secret)
        .map_err(|_| Error::Setting { setting: "notify", problem: "the secret cannot stand in a header" })?;
    value.set_sensitive(true);
    Ok(value)
}
