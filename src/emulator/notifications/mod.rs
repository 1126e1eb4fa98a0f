//! Cloudflare's *Notifications*, as far as Images uses them: webhook destinations, policies that say who is told of what, and the
//! messages themselves.

mod message;
pub(super) mod policies;
mod sender;
pub(super) mod webhooks;

pub(super) use message::Outcome;

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::Timestamp;

use super::envelope::ApiError;
use super::storage::{Document, Storage};
use super::{Account, EmulatorConfig, Error};

use message::{Cause, IMAGE_NOTIFICATION};
use policies::{Mechanism, Mechanisms, Policy};
use sender::Sender;
use webhooks::Webhook;

/// The id of the destination that the settings name, and of its policy.
const CONFIGURED_ID: &str = "00000000000000000000000000000001";
/// The name of that policy.
const CONFIGURED_POLICY: &str = "Images uploads";

/// The webhook that is told of uploads from the start. [`Debug`](fmt::Debug) leaves the secret out.
///
/// It is a destination of the account like those that are made through the API, with a policy of its own, but for two things: no
/// test message is sent to it, and it is there again after every start.
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
/// for eight seconds: without a connection or an answer, and after 408, 429 and 5xx. (Whether Cloudflare tries again is
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

/// Who is told of what.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Subscriptions {
    webhooks: Vec<Webhook>,
    policies: Vec<Policy>,
}

impl Subscriptions {
    fn webhook(&self, id: &str) -> Option<&Webhook> {
        self.webhooks.iter().find(|webhook| webhook.id == id)
    }

    fn policy(&self, id: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.id == id)
    }

    /// The destinations of a policy that are webhooks.
    fn webhooks_of(&self, policy: &Policy) -> Vec<Webhook> {
        policy.mechanisms.webhooks.iter().filter_map(|mechanism| self.webhook(&mechanism.id).cloned()).collect()
    }

    fn remove_webhook(&mut self, id: &str) {
        self.webhooks.retain(|webhook| webhook.id != id);
        for policy in &mut self.policies {
            policy.mechanisms.webhooks.retain(|mechanism| mechanism.id != id);
        }
    }

    /// Makes the destination of the settings one of the account's, and takes an earlier one away.
    fn configure(&mut self, destination: Option<Destination>, now: Timestamp) {
        let Some(Destination { url, secret }) = destination else {
            self.remove_webhook(CONFIGURED_ID);
            self.policies.retain(|policy| policy.id != CONFIGURED_ID);
            return;
        };
        match self.webhooks.iter_mut().find(|webhook| webhook.id == CONFIGURED_ID) {
            Some(webhook) => (webhook.url, webhook.secret) = (url, secret),
            None => self.webhooks.push(Webhook {
                id: CONFIGURED_ID.to_owned(),
                name: "cfimages".to_owned(),
                url,
                secret,
                created_at: now,
                last_success: None,
                last_failure: None,
            }),
        }
        if self.policy(CONFIGURED_ID).is_none() {
            self.policies.push(Policy {
                id: CONFIGURED_ID.to_owned(),
                name: CONFIGURED_POLICY.to_owned(),
                description: String::new(),
                alert_type: IMAGE_NOTIFICATION.to_owned(),
                alert_interval: None,
                enabled: true,
                mechanisms: Mechanisms {
                    webhooks: vec![Mechanism { id: CONFIGURED_ID.to_owned() }],
                    ..Mechanisms::default()
                },
                filters: policies::Filters::new(),
                created: now,
                modified: now,
            });
        }
    }
}

/// The notifications of the account.
#[derive(Debug)]
pub(super) struct Notifications {
    subscriptions: Document<Subscriptions>,
    sender: Sender,
}

impl Notifications {
    /// Reads who is told of what, and adds the destination of the settings.
    pub(super) fn open(storage: &Storage, config: &EmulatorConfig) -> Result<Self, Error> {
        if config
            .notify
            .as_ref()
            .and_then(|to| to.secret.as_deref())
            .is_some_and(|secret| secret_header(secret).is_none())
        {
            return Err(Error::Setting { setting: "notify", problem: "the secret cannot stand in a header" });
        }
        let subscriptions = storage
            .document("notifications.json", Subscriptions::default())
            .map_err(|source| Error::storage(&config.storage, source))?;
        subscriptions.note(|subscriptions| subscriptions.configure(config.notify.clone(), config.clock.now()));
        Ok(Self { subscriptions, sender: Sender::new().map_err(Error::HttpClient)? })
    }
}

/// Tells everybody who wants to know what became of a direct creator upload, in the background.
pub(super) fn announce(account: &Arc<Account>, outcome: &Outcome) {
    let subscriptions = account.notifications.subscriptions.get();
    let is_meant = |policy: &&Policy| policy.enabled && policy.alert_type == IMAGE_NOTIFICATION;
    for policy in subscriptions.policies.iter().filter(is_meant) {
        tell(account, policy, subscriptions.webhooks_of(policy), &Cause::Upload(outcome));
    }
}

/// Sends a message of a policy to its destinations, in the background.
fn tell(account: &Arc<Account>, policy: &Policy, webhooks: Vec<Webhook>, cause: &Cause) {
    let now = account.clock.now();
    let body = message::notification(&account.id, policy, cause, now);
    for webhook in webhooks {
        let (account, body) = (Arc::clone(account), body.clone());
        let stopped = account.stopped.clone();
        let number = account.activity.notify(now, &webhook.name, &webhook.url, cause.text(policy));
        account.tasks.clone().spawn(async move {
            let sending = account.notifications.sender.send(&webhook, body);
            if let Some((tries, result)) = stopped.run_until_cancelled(sending).await {
                note_attempt(&account, &webhook.id, result.is_ok());
                account.activity.notified(number, tries, result.map_err(|failure| failure.to_string()));
            }
        });
    }
}

fn note_attempt(account: &Account, webhook_id: &str, is_delivered: bool) {
    let now = account.clock.now();
    account.notifications.subscriptions.note(|subscriptions| {
        if let Some(webhook) = subscriptions.webhooks.iter_mut().find(|webhook| webhook.id == webhook_id) {
            *(if is_delivered { &mut webhook.last_success } else { &mut webhook.last_failure }) = Some(now);
        }
    });
}

/// Sends the test message, which has to be taken before a destination is. That the API does so, and not only the dashboard, is
/// UNCONFIRMED.
async fn test(account: &Account, webhook: &Webhook) -> Result<(), ApiError> {
    let text = "The test message for a new or changed webhook.".to_owned();
    let number = account.activity.notify(account.clock.now(), &webhook.name, &webhook.url, text);
    let result = account.notifications.sender.post(webhook, message::test_message()).await;
    let result = result.map_err(|failure| failure.to_string());
    account.activity.notified(number, 1, result.clone());
    result.map_err(|failure| {
        let message = format!("The test message was not accepted by the webhook: {failure}");
        ApiError::without_code(StatusCode::BAD_REQUEST, message)
    })
}

/// Changes who is told of what, unless `change` refuses.
async fn change<T: Send + 'static>(
    account: &Account,
    change: impl FnOnce(&mut Subscriptions) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    account.notifications.subscriptions.change(change).await
}

/// An id of a destination or a policy: 32 hexadecimal digits.
fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// What an answer says of a new or changed thing.
#[derive(Debug, Serialize)]
struct IdObject {
    id: String,
}

fn refused(problem: &'static str) -> ApiError {
    ApiError::without_code(StatusCode::BAD_REQUEST, problem)
}

fn not_found(what: &str) -> ApiError {
    ApiError::without_code(StatusCode::NOT_FOUND, format!("There is no {what} with this id"))
}

/// Marked as a secret, so that nothing prints it.
fn secret_header(secret: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret).ok()?;
    value.set_sensitive(true);
    Some(value)
}
