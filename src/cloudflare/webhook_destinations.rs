//! Where Cloudflare sends notifications.

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::json::{id_in, lenient, or_default};
use super::transport::segment_of;
use super::{Client, Error, Operation};
use crate::domain::Timestamp;

const DESTINATIONS: &str = "alerting/v3/destinations/webhooks";

/// A URL that notifications are posted to.
#[derive(Debug, Clone, Deserialize)]
pub struct WebhookDestination {
    /// Cloudflare's name for it.
    pub id: String,
    /// What the account calls it; empty where that is not told.
    #[serde(default, deserialize_with = "or_default")]
    pub name: String,
    /// The URL, where it is told.
    #[serde(default, deserialize_with = "lenient")]
    pub url: Option<String>,
    /// What Cloudflare takes the other side for, by the URL: `generic`, `slack` and others.
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub kind: Option<String>,
    /// When it was made.
    #[serde(default, deserialize_with = "lenient")]
    pub created_at: Option<Timestamp>,
    /// When the last notification arrived.
    #[serde(default, deserialize_with = "lenient")]
    pub last_success: Option<Timestamp>,
    /// When the last notification was lost.
    #[serde(default, deserialize_with = "lenient")]
    pub last_failure: Option<Timestamp>,
}

/// What a destination is to be like.
#[derive(Debug, Clone, Serialize)]
pub struct WebhookDestinationFields {
    /// What the account calls it.
    pub name: String,
    /// A public address, at port 80 or 443. It has to take Cloudflare's test message.
    pub url: String,
    /// Sent along in `cf-webhook-auth`, and never told again.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub secret: Option<SecretString>,
}

#[expect(clippy::ref_option, reason = "serde passes fields so")]
fn exposed<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

impl Client {
    /// All destinations of the account that can be read. The token needs the permission Notifications Read.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_webhook_destinations(&self) -> Result<Vec<WebhookDestination>, Error> {
        self.list(Operation::ListWebhookDestinations, DESTINATIONS).await
    }

    /// A destination.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is none.
    pub async fn get_webhook_destination(&self, id: &str) -> Result<WebhookDestination, Error> {
        self.read(Operation::GetWebhookDestination, &path(id)?, "it is no webhook destination").await
    }

    /// Makes a destination, and tells its id. The token needs the permission Notifications Write.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_webhook_destination(&self, fields: &WebhookDestinationFields) -> Result<String, Error> {
        let operation = Operation::CreateWebhookDestination;
        id_in(&self.write(operation, Method::POST, DESTINATIONS, fields).await?)
    }

    /// Changes a destination. Whether its secret stays where none is given, Cloudflare does not say.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is none.
    pub async fn update_webhook_destination(&self, id: &str, fields: &WebhookDestinationFields) -> Result<(), Error> {
        let operation = Operation::UpdateWebhookDestination;
        self.change(operation, Method::PUT, &path(id)?, fields).await
    }

    /// Deletes a destination. One that is not there counts as deleted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_webhook_destination(&self, id: &str) -> Result<(), Error> {
        self.delete(Operation::DeleteWebhookDestination, &path(id)?).await
    }
}

fn path(id: &str) -> Result<String, Error> {
    Ok(format!("{DESTINATIONS}/{}", segment_of(id)?))
}
