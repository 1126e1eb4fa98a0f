//! `alerting/v3/policies`: who is told of what.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

use super::super::envelope::{self, ApiError, Payload};
use super::message::{Cause, TestAlert};
use super::{Account, IdObject, Subscriptions, change, new_id, not_found, refused, tell};

/// Characters of an id.
const MAX_ID: usize = 32;

/// A policy, also as the API shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Policy {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: String,
    pub(super) alert_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) alert_interval: Option<String>,
    pub(super) enabled: bool,
    pub(super) mechanisms: Mechanisms,
    pub(super) filters: Filters,
    pub(super) created: Timestamp,
    pub(super) modified: Timestamp,
}

/// What a policy is narrowed by: kept, but of no effect, since no filter is about Images.
pub(super) type Filters = BTreeMap<String, Vec<String>>;

/// Who is told. E-mail and pagers are kept, but nothing is sent there.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(super) struct Mechanisms {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) email: Vec<Mechanism>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) pagerduty: Vec<Mechanism>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) webhooks: Vec<Mechanism>,
}

/// One of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Mechanism {
    pub(super) id: String,
}

/// The body of `POST`, and of `PUT`, which may leave out what stays.
#[derive(Debug, Deserialize)]
struct PolicyRequest {
    name: Option<String>,
    description: Option<String>,
    alert_type: Option<String>,
    alert_interval: Option<String>,
    enabled: Option<bool>,
    mechanisms: Option<Mechanisms>,
    filters: Option<Filters>,
}

impl PolicyRequest {
    fn into_policy(self, now: Timestamp) -> Result<Policy, ApiError> {
        let missing = |name: &'static str| {
            let message = format!("{name} is required");
            ApiError::without_code(axum::http::StatusCode::BAD_REQUEST, message)
        };
        Ok(Policy {
            id: new_id(),
            name: self.name.ok_or_else(|| missing("name"))?,
            description: self.description.unwrap_or_default(),
            alert_type: self.alert_type.ok_or_else(|| missing("alert_type"))?,
            alert_interval: self.alert_interval,
            enabled: self.enabled.ok_or_else(|| missing("enabled"))?,
            mechanisms: self.mechanisms.ok_or_else(|| missing("mechanisms"))?,
            filters: self.filters.unwrap_or_default(),
            created: now,
            modified: now,
        })
    }

    fn apply_to(self, policy: &mut Policy, now: Timestamp) {
        set(&mut policy.name, self.name);
        set(&mut policy.description, self.description);
        set(&mut policy.alert_type, self.alert_type);
        set(&mut policy.enabled, self.enabled);
        set(&mut policy.mechanisms, self.mechanisms);
        set(&mut policy.filters, self.filters);
        policy.alert_interval = self.alert_interval.or(policy.alert_interval.take());
        policy.modified = now;
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

impl Policy {
    /// UNCONFIRMED, and chosen here: any word is an alert type, and webhooks must exist.
    fn check(&self, subscriptions: &Subscriptions) -> Result<(), ApiError> {
        let is_word = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if self.name.is_empty() {
            return Err(refused("name must not be empty"));
        }
        if self.alert_type.is_empty() || !is_word(&self.alert_type) {
            return Err(refused("alert_type must be the name of one, such as image_notification"));
        }
        if self.mechanisms.pagerduty.iter().any(|service| service.id.chars().count() > MAX_ID) {
            return Err(refused("mechanisms names a pager by more than 32 characters"));
        }
        if self.mechanisms.webhooks.iter().any(|webhook| subscriptions.webhook(&webhook.id).is_none()) {
            return Err(refused("mechanisms names a webhook that does not exist"));
        }
        Ok(())
    }
}

/// `POST`
pub(in crate::emulator) async fn create(
    State(account): State<Arc<Account>>,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let policy = envelope::parse::<PolicyRequest>(&body)?.into_policy(account.clock.now())?;
    let id = change(&account, |subscriptions| {
        policy.check(subscriptions)?;
        let id = policy.id.clone();
        subscriptions.policies.push(policy);
        Ok(id)
    })
    .await?;
    Ok(envelope::success(IdObject { id }))
}

/// `GET`: all policies, in the order they were made.
pub(in crate::emulator) async fn list(State(account): State<Arc<Account>>) -> Response {
    envelope::success(&account.notifications.subscriptions.get().policies)
}

/// `GET {id}`
pub(in crate::emulator) async fn show(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let subscriptions = account.notifications.subscriptions.get();
    Ok(envelope::success(subscriptions.policy(&id).ok_or_else(no_policy)?))
}

/// `PUT {id}`: changes what the body names.
pub(in crate::emulator) async fn update(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let (request, now) = (envelope::parse::<PolicyRequest>(&body)?, account.clock.now());
    let id = change(&account, move |subscriptions| {
        let mut policy = subscriptions.policy(&id).ok_or_else(no_policy)?.clone();
        request.apply_to(&mut policy, now);
        policy.check(subscriptions)?;
        subscriptions.policies.iter_mut().filter(|other| other.id == id).for_each(|other| *other = policy.clone());
        Ok(id)
    })
    .await?;
    Ok(envelope::success(IdObject { id }))
}

/// `DELETE {id}`
pub(in crate::emulator) async fn delete(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    change(&account, move |subscriptions| {
        subscriptions.policy(&id).ok_or_else(no_policy)?;
        subscriptions.policies.retain(|policy| policy.id != id);
        Ok(())
    })
    .await?;
    Ok(envelope::done())
}

/// `POST {id}/test`: sends a message to everybody whom the policy names, in the background.
pub(in crate::emulator) async fn test(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let alert = if body.is_empty() { TestAlert::default() } else { envelope::parse(&body)? };
    if let Some(problem) = alert.problem() {
        return Err(refused(problem));
    }
    let subscriptions = account.notifications.subscriptions.get();
    let policy = subscriptions.policy(&id).ok_or_else(no_policy)?;
    tell(&account, policy, subscriptions.webhooks_of(policy), &Cause::Test(alert));
    Ok(envelope::done())
}

fn no_policy() -> ApiError {
    not_found("policy")
}
