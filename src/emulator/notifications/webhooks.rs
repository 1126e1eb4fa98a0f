//! `alerting/v3/destinations/webhooks`: where notifications go.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

use super::super::envelope::{self, ApiError, Payload};
use super::{Account, IdObject, change, new_id, not_found, refused, secret_header, test};

/// The services that Cloudflare writes to in their own words, by the end of their host names.
const SERVICES: [(&str, &str); 9] = [
    ("datadoghq.com", "datadog"),
    ("datadoghq.eu", "datadog"),
    ("discord.com", "discord"),
    ("discordapp.com", "discord"),
    ("open.feishu.cn", "feishu"),
    ("chat.googleapis.com", "gchat"),
    ("opsgenie.com", "opsgenie"),
    ("hooks.slack.com", "slack"),
    ("splunkcloud.com", "splunk"),
];

/// A destination. [`Debug`](fmt::Debug) leaves the secret out.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Webhook {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) url: String,
    pub(super) secret: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) last_success: Option<Timestamp>,
    pub(super) last_failure: Option<Timestamp>,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

/// A destination as the API shows it, without its secret.
#[derive(Serialize)]
struct WebhookObject<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    url: &'a str,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<Timestamp>,
}

impl<'a> From<&'a Webhook> for WebhookObject<'a> {
    fn from(webhook: &'a Webhook) -> Self {
        let Webhook { id, name, url, secret: _, created_at, last_success, last_failure } = webhook;
        Self {
            id,
            name,
            kind: kind(url),
            url,
            created_at: *created_at,
            last_success: *last_success,
            last_failure: *last_failure,
        }
    }
}

/// The body of `POST` and `PUT`.
#[derive(Deserialize)]
struct WebhookRequest {
    name: String,
    url: String,
    secret: Option<String>,
}

impl WebhookRequest {
    fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let request: Self = envelope::parse(body)?;
        if request.name.is_empty() {
            return Err(refused("name must not be empty"));
        }
        if !Url::parse(&request.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https")) {
            return Err(refused("url must be one of http or https"));
        }
        if request.secret.as_deref().is_some_and(|secret| secret_header(secret).is_none()) {
            return Err(refused("secret must be able to stand in a header"));
        }
        Ok(request)
    }
}

/// `POST`: makes a destination, if it takes the test message.
///
/// Destinations may be on this machine, without encryption and at any port, which Cloudflare refuses.
pub(in crate::emulator) async fn create(
    State(account): State<Arc<Account>>,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let WebhookRequest { name, url, secret } = WebhookRequest::parse(&body)?;
    let now = account.clock.now();
    let secret = secret.filter(|secret| !secret.is_empty());
    let webhook =
        Webhook { id: new_id(), name, url, secret, created_at: now, last_success: Some(now), last_failure: None };
    test(&account, &webhook).await?;
    let id = webhook.id.clone();
    change(&account, move |subscriptions| {
        subscriptions.webhooks.push(webhook);
        Ok(())
    })
    .await?;
    Ok(envelope::created(IdObject { id }))
}

/// `GET`: all destinations, in the order they were made.
pub(in crate::emulator) async fn list(State(account): State<Arc<Account>>) -> Response {
    let subscriptions = account.notifications.subscriptions.get();
    envelope::success(subscriptions.webhooks.iter().map(WebhookObject::from).collect::<Vec<_>>())
}

/// `GET {id}`
pub(in crate::emulator) async fn show(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let subscriptions = account.notifications.subscriptions.get();
    let webhook = subscriptions.webhook(&id).ok_or_else(no_webhook)?;
    Ok(envelope::success(WebhookObject::from(webhook)))
}

/// `PUT {id}`: takes the place of what was there, if it takes the test message.
///
/// UNCONFIRMED, and chosen here: the test message, and that a secret that is left out stays, since nobody can read it to send it
/// again; an empty one is none.
pub(in crate::emulator) async fn replace(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let request = WebhookRequest::parse(&body)?;
    let mut webhook = account.notifications.subscriptions.get().webhook(&id).ok_or_else(no_webhook)?.clone();
    (webhook.name, webhook.url) = (request.name, request.url);
    webhook.secret = request.secret.or(webhook.secret).filter(|secret| !secret.is_empty());
    test(&account, &webhook).await?;
    webhook.last_success = Some(account.clock.now());
    change(&account, |subscriptions| {
        let same = subscriptions.webhooks.iter_mut().find(|other| other.id == webhook.id);
        *same.ok_or_else(no_webhook)? = webhook;
        Ok(())
    })
    .await?;
    Ok(envelope::success(IdObject { id }))
}

/// `DELETE {id}`: policies go on without it.
pub(in crate::emulator) async fn delete(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    change(&account, move |subscriptions| {
        subscriptions.webhook(&id).ok_or_else(no_webhook)?;
        subscriptions.remove_webhook(&id);
        Ok(())
    })
    .await?;
    Ok(envelope::done())
}

fn no_webhook() -> ApiError {
    not_found("webhook")
}

fn kind(url: &str) -> &'static str {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let is_of =
        |service: &str| host.strip_suffix(service).is_some_and(|front| front.is_empty() || front.ends_with('.'));
    SERVICES.iter().find(|(service, _)| is_of(service)).map_or("generic", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_services_are_told_by_their_host() {
        for (url, want) in [
            ("https://hooks.slack.com/services/a/b", "slack"),
            ("https://http-intake.logs.datadoghq.eu/x", "datadog"),
            ("https://discord.com/api/webhooks/1/a", "discord"),
            ("https://notdiscord.com/api", "generic"),
            ("http://127.0.0.1:8000/hook", "generic"),
        ] {
            assert_eq!(kind(url), want, "{url}");
        }
    }
}
