//! What Cloudflare sends notifications of, and to whom.

use reqwest::Method;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::json::{id_in, lenient, or_default};
use super::transport::segment_of;
use super::{Client, Error, Operation};
use crate::domain::Timestamp;

const POLICIES: &str = "alerting/v3/policies";

/// What is told, and to whom.
#[derive(Debug, Clone, Deserialize)]
pub struct NotificationPolicy {
    /// Cloudflare's name for it.
    pub id: String,
    /// What the account calls it; empty where that is not told.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// What the account says of it.
    #[serde(default, deserialize_with = "lenient")]
    pub description: Option<String>,
    /// What is told, such as [`IMAGES`](Self::IMAGES); empty where Cloudflare does not say.
    #[serde(default, deserialize_with = "or_default")]
    pub alert_type: String,
    /// Whether it is told; yes where Cloudflare does not say.
    #[serde(default = "yes", deserialize_with = "or_yes")]
    pub enabled: bool,
    /// Who is told.
    #[serde(default, deserialize_with = "or_default")]
    pub mechanisms: Mechanisms,
    /// When it was made.
    #[serde(default, deserialize_with = "lenient")]
    pub created: Option<Timestamp>,
    /// When it was changed.
    #[serde(default, deserialize_with = "lenient")]
    pub modified: Option<Timestamp>,
}

impl NotificationPolicy {
    /// The type of alerts on direct creator uploads.
    pub const IMAGES: &str = "image_notification";
}

fn yes() -> bool {
    true
}

fn or_yes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(lenient(deserializer)?.unwrap_or_else(yes))
}

/// Who is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Mechanisms {
    /// The ids of webhook destinations.
    #[serde(default, skip_serializing_if = "Vec::is_empty", serialize_with = "as_objects", deserialize_with = "ids")]
    pub webhooks: Vec<String>,
    /// The others, such as `email`, as Cloudflare told them.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

fn as_objects<S: Serializer>(ids: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Mechanism<'a> {
        id: &'a str,
    }
    serializer.collect_seq(ids.iter().map(|id| Mechanism { id }))
}

/// Reads ids that stand in objects or for themselves.
fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let entries: Option<Vec<Value>> = Option::deserialize(deserializer)?;
    let id = |entry: &Value| entry.get("id").unwrap_or(entry).as_str().map(str::to_owned);
    Ok(entries.unwrap_or_default().iter().filter_map(id).collect())
}

/// What a new policy is to be like.
#[derive(Debug, Clone, Serialize)]
pub struct NewNotificationPolicy {
    /// What the account calls it.
    pub name: String,
    /// What the account says of it.
    pub description: String,
    /// What is told, such as [`NotificationPolicy::IMAGES`].
    pub alert_type: String,
    /// Whether it is told.
    pub enabled: bool,
    /// Who is told.
    pub mechanisms: Mechanisms,
}

/// What is to be changed in a policy; what is `None` stays as it is.
#[derive(Debug, Clone, Default, Serialize)]
pub struct NotificationPolicyUpdate {
    /// What the account calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the account says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Everybody who is told from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mechanisms: Option<Mechanisms>,
}

impl Client {
    /// All policies of the account that can be read. The token needs the permission Notifications Read.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_notification_policies(&self) -> Result<Vec<NotificationPolicy>, Error> {
        self.list(Operation::ListNotificationPolicies, POLICIES).await
    }

    /// A policy.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is none.
    pub async fn get_notification_policy(&self, id: &str) -> Result<NotificationPolicy, Error> {
        self.read(Operation::GetNotificationPolicy, &path(id)?, "it is no notification policy").await
    }

    /// Makes a policy, and tells its id. The token needs the permission Notifications Write.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_notification_policy(&self, policy: &NewNotificationPolicy) -> Result<String, Error> {
        id_in(&self.write(Operation::CreateNotificationPolicy, Method::POST, POLICIES, policy).await?)
    }

    /// Changes a policy.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is none.
    pub async fn update_notification_policy(&self, id: &str, update: &NotificationPolicyUpdate) -> Result<(), Error> {
        self.change(Operation::UpdateNotificationPolicy, Method::PUT, &path(id)?, update).await
    }

    /// Deletes a policy. One that is not there counts as deleted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_notification_policy(&self, id: &str) -> Result<(), Error> {
        self.delete(Operation::DeleteNotificationPolicy, &path(id)?).await
    }

    /// Has Cloudflare send a test alert to everybody whom the policy names.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is none.
    pub async fn test_notification_policy(&self, id: &str) -> Result<(), Error> {
        let path = format!("{}/test", path(id)?);
        self.transport.send(Operation::TestNotificationPolicy, |account| account.post(&path)).await.map(drop)
    }
}

fn path(id: &str) -> Result<String, Error> {
    Ok(format!("{POLICIES}/{}", segment_of(id)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn mechanisms_are_sent_as_objects_and_read_in_any_form() {
        let mechanisms = Mechanisms { webhooks: vec!["w1".to_owned()], others: Map::new() };
        assert_eq!(serde_json::to_value(&mechanisms).unwrap(), json!({"webhooks": [{"id": "w1"}]}));
        for (answer, webhooks) in [
            (json!({"webhooks": [{"id": "w1"}, "w2", 3]}), vec!["w1", "w2"]),
            (json!({"webhooks": null}), vec![]),
            (json!({}), vec![]),
        ] {
            assert_eq!(serde_json::from_value::<Mechanisms>(answer).unwrap().webhooks, webhooks);
        }
    }

    #[test]
    fn mechanisms_that_are_not_understood_stay_as_they_are() {
        let answer = json!({"email": [{"id": "me@example.com"}], "new": {"a": 1}, "webhooks": [{"id": "w1"}]});
        let mechanisms: Mechanisms = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!(serde_json::to_value(&mechanisms).unwrap(), answer);
    }

    #[test]
    fn updates_name_only_what_changes() {
        let update = NotificationPolicyUpdate { enabled: Some(true), ..NotificationPolicyUpdate::default() };
        assert_eq!(serde_json::to_value(&update).unwrap(), json!({"enabled": true}));
    }
}
