//! Making Cloudflare send its notifications of uploads.

use reqwest::Url;
use secrecy::SecretString;

use crate::cloudflare::{
    self, Client, Mechanisms, NewNotificationPolicy, NotificationPolicy, NotificationPolicyUpdate, Reason,
    WebhookDestination, WebhookDestinationFields,
};

/// What Cloudflare is to send notifications of uploads to.
#[derive(Debug, Clone)]
pub struct WebhookRegistration {
    /// Where they are posted to.
    pub url: Url,
    /// What destination and policy are called.
    pub name: String,
    /// Sent along by Cloudflare as proof.
    pub secret: Option<SecretString>,
    /// Let the destination of this name go to this URL, where it goes to another one so far.
    pub moves: bool,
    /// Send the secret to a destination that is there already: Cloudflare never tells which one it has.
    pub rotates_secret: bool,
}

/// What is, or is to be, at Cloudflare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredPart {
    /// Cloudflare's name for it; none where it is only to be made.
    pub id: Option<String>,
    /// What it is called there.
    pub name: String,
    /// What is done about it.
    pub action: RegistrationAction,
}

/// What is done about something at Cloudflare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationAction {
    /// It is there as it should be.
    Keep,
    /// It is made.
    Create,
    /// It gets another URL, and the secret.
    Move,
    /// It gets the secret.
    RotateSecret,
    /// It is switched on.
    Enable,
    /// It also tells this destination from now on.
    Extend,
}

/// What is needed to have notifications of uploads sent, and what of it is there.
#[derive(Debug)]
pub struct RegistrationPlan {
    registration: WebhookRegistration,
    /// Where notifications go.
    pub destination: RegisteredPart,
    /// What they are about.
    pub policy: RegisteredPart,
    /// Who is told by the policy so far.
    mechanisms: Mechanisms,
    /// How many other destinations have the same URL: each is sent its own notifications.
    pub twins: usize,
}

/// Why nothing can be registered.
#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    /// The name is that of a destination for another URL.
    #[error(
        "the destination {name:?} at Cloudflare is for {url}. To have it go to the new URL, add --move; for another \
         destination beside it, choose another --name"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// The URL that the destination has.
        url: String,
    },
    /// The token is none that Cloudflare knows.
    #[error(
        "{operation}: {cause}. The API token is not valid: let CLOUDFLARE_IMAGES_API_TOKEN be one that is, and has not expired"
    )]
    InvalidToken {
        /// What was tried.
        operation: &'static str,
        /// What Cloudflare says.
        cause: cloudflare::Error,
    },
    /// The token may not see or change notifications.
    #[error(
        "{operation}: {cause}. The API token needs the permission \"Notifications: Edit\" beside the one for images; add it to the \
         token in the dashboard, or let CLOUDFLARE_IMAGES_API_TOKEN be one that has it while this command runs"
    )]
    Forbidden {
        /// What was tried.
        operation: &'static str,
        /// What Cloudflare says.
        cause: cloudflare::Error,
    },
    /// Cloudflare does not take the destination.
    #[error(
        "{operation}: {cause}. Cloudflare sends a test message first, which the server has to accept: it must run with this secret, \
         and be reached from the Internet at this URL, at port 443 or 80. `cfimages webhook test --url URL` tells more"
    )]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// What Cloudflare says.
        cause: cloudflare::Error,
    },
    /// A call failed otherwise.
    #[error("{operation}: {cause}")]
    Cloudflare {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        cause: cloudflare::Error,
    },
}

impl RegistrationError {
    fn of(operation: &'static str) -> impl FnOnce(cloudflare::Error) -> Self {
        move |cause| match cause.reason() {
            Reason::InvalidToken => Self::InvalidToken { operation, cause },
            Reason::MissingPermission => Self::Forbidden { operation, cause },
            _ => Self::Cloudflare { operation, cause },
        }
    }

    fn of_destination(operation: &'static str) -> impl FnOnce(cloudflare::Error) -> Self {
        move |cause| match Self::of(operation)(cause) {
            Self::Cloudflare { cause, .. } if matches!(&cause, cloudflare::Error::Status { status, .. } if status.is_client_error()) => {
                Self::Refused { operation, cause }
            }
            error => error,
        }
    }
}

impl RegistrationPlan {
    /// Looks at what is at Cloudflare and finds out what to do. Nothing is changed.
    ///
    /// # Errors
    /// If Cloudflare does not tell, or the name is taken.
    pub async fn make(client: &Client, registration: WebhookRegistration) -> Result<Self, RegistrationError> {
        let destinations = client
            .list_webhook_destinations()
            .await
            .map_err(RegistrationError::of("Failed to list the destinations of notifications"))?;
        let policies = client
            .list_notification_policies()
            .await
            .map_err(RegistrationError::of("Failed to list the policies of notifications"))?;
        Self::from(registration, &destinations, &policies)
    }

    fn from(
        registration: WebhookRegistration,
        destinations: &[WebhookDestination],
        policies: &[NotificationPolicy],
    ) -> Result<Self, RegistrationError> {
        let same_url: Vec<_> =
            destinations.iter().filter(|destination| goes_to(destination, &registration.url)).collect();
        // Of several, the one that is told already.
        let is_told = |destination: &WebhookDestination| policies.iter().any(|policy| tells(policy, &destination.id));
        let found = same_url.iter().find(|destination| is_told(destination)).or_else(|| same_url.first()).copied();
        let destination = plan_destination(&registration, found, destinations)?;
        let (policy, mechanisms) = plan_policy(&registration.name, destination.id.as_deref(), policies);
        Ok(Self { destination, policy, mechanisms, twins: same_url.len().saturating_sub(1), registration })
    }

    /// Does what is to be done; the plan then names all that is there. To do it twice is as good as once.
    ///
    /// # Errors
    /// If Cloudflare refuses; what was done before stays, and is found the next time.
    pub async fn carry_out(mut self, client: &Client) -> Result<Self, RegistrationError> {
        let destination_id = self.carry_out_destination(client).await?;
        self.destination.id = Some(destination_id.clone());
        let mut mechanisms = std::mem::take(&mut self.mechanisms);
        if !mechanisms.webhooks.contains(&destination_id) {
            mechanisms.webhooks.push(destination_id);
        }
        let change = NotificationPolicyUpdate {
            enabled: Some(true),
            mechanisms: Some(mechanisms.clone()),
            ..NotificationPolicyUpdate::default()
        };
        match (self.policy.action, &self.policy.id) {
            (RegistrationAction::Keep, _) => {}
            (_, Some(id)) => client
                .update_notification_policy(id, &change)
                .await
                .map_err(RegistrationError::of("Failed to change the policy"))?,
            (_, None) => {
                let policy = NewNotificationPolicy {
                    name: self.policy.name.clone(),
                    description: "Tells cfimages of direct creator uploads.".to_owned(),
                    alert_type: NotificationPolicy::IMAGES.to_owned(),
                    enabled: true,
                    mechanisms,
                };
                let made = client.create_notification_policy(&policy).await;
                self.policy.id = Some(made.map_err(RegistrationError::of("Failed to make the policy"))?);
            }
        }
        Ok(self)
    }

    async fn carry_out_destination(&self, client: &Client) -> Result<String, RegistrationError> {
        let RegisteredPart { id, name, action } = &self.destination;
        let fields = WebhookDestinationFields {
            name: name.clone(),
            url: self.registration.url.to_string(),
            secret: self.registration.secret.clone(),
        };
        match (action, id) {
            (RegistrationAction::Keep, Some(id)) => Ok(id.clone()),
            (_, Some(id)) => {
                let changed = client.update_webhook_destination(id, &fields).await;
                changed.map_err(RegistrationError::of_destination("Failed to change the destination"))?;
                Ok(id.clone())
            }
            (_, None) => {
                let made = client.create_webhook_destination(&fields).await;
                made.map_err(RegistrationError::of_destination("Failed to make the destination"))
            }
        }
    }
}

fn plan_destination(
    registration: &WebhookRegistration,
    found: Option<&WebhookDestination>,
    destinations: &[WebhookDestination],
) -> Result<RegisteredPart, RegistrationError> {
    let part = |destination: &WebhookDestination, action| RegisteredPart {
        id: Some(destination.id.clone()),
        name: destination.name.clone(),
        action,
    };
    if let Some(destination) = found {
        let action =
            if registration.rotates_secret { RegistrationAction::RotateSecret } else { RegistrationAction::Keep };
        return Ok(part(destination, action));
    }
    match destinations.iter().find(|destination| destination.name == registration.name) {
        Some(destination) if registration.moves => Ok(part(destination, RegistrationAction::Move)),
        // It may be that of another server, which would not be told any more.
        Some(destination) => Err(RegistrationError::NameTaken {
            name: destination.name.clone(),
            url: destination.url.clone().unwrap_or_else(|| "another URL".to_owned()),
        }),
        None => Ok(RegisteredPart { id: None, name: registration.name.clone(), action: RegistrationAction::Create }),
    }
}

/// A policy that tells the destination is good, whatever it is called; otherwise it is the one of the name, or a new one.
fn plan_policy(name: &str, destination: Option<&str>, policies: &[NotificationPolicy]) -> (RegisteredPart, Mechanisms) {
    let about_images = || policies.iter().filter(|policy| policy.alert_type == NotificationPolicy::IMAGES);
    let telling = || about_images().filter(|policy| destination.is_some_and(|id| tells(policy, id)));
    let found = telling()
        .find(|policy| policy.enabled)
        .map(|policy| (policy, RegistrationAction::Keep))
        .or_else(|| telling().next().map(|policy| (policy, RegistrationAction::Enable)))
        .or_else(|| {
            about_images().find(|policy| policy.name == name).map(|policy| (policy, RegistrationAction::Extend))
        });
    found.map_or_else(
        || {
            let part = RegisteredPart { id: None, name: name.to_owned(), action: RegistrationAction::Create };
            (part, Mechanisms::default())
        },
        |(policy, action)| {
            let part = RegisteredPart { id: Some(policy.id.clone()), name: policy.name.clone(), action };
            (part, policy.mechanisms.clone())
        },
    )
}

fn goes_to(destination: &WebhookDestination, url: &Url) -> bool {
    destination.url.as_deref().is_some_and(|other| Url::parse(other).is_ok_and(|other| other == *url))
}

fn tells(policy: &NotificationPolicy, destination: &str) -> bool {
    policy.mechanisms.webhooks.iter().any(|id| id == destination)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const URL: &str = "https://images.example.com/cloudflare-images/api/webhook/";

    fn registration() -> WebhookRegistration {
        WebhookRegistration {
            url: URL.parse().unwrap(),
            name: "cfimages".to_owned(),
            secret: None,
            moves: false,
            rotates_secret: false,
        }
    }

    fn destination(id: &str, name: &str, url: &str) -> WebhookDestination {
        serde_json::from_value(json!({"id": id, "name": name, "url": url})).unwrap()
    }

    fn policy(id: &str, name: &str, enabled: bool, destinations: &[&str]) -> NotificationPolicy {
        serde_json::from_value(json!({"id": id, "name": name, "enabled": enabled, "alert_type": "image_notification",
            "mechanisms": {"webhooks": destinations}}))
        .unwrap()
    }

    fn actions(
        registration: WebhookRegistration,
        destinations: &[WebhookDestination],
        policies: &[NotificationPolicy],
    ) -> (RegistrationAction, RegistrationAction) {
        let plan = RegistrationPlan::from(registration, destinations, policies).unwrap();
        (plan.destination.action, plan.policy.action)
    }

    #[test]
    fn what_is_there_under_any_name_is_kept() {
        use RegistrationAction::{Create, Enable, Extend, Keep};
        let there = [destination("d1", "mine", URL)];
        for (policies, want) in [
            (vec![policy("p1", "any", true, &["d0", "d1"])], Keep),
            (vec![policy("p1", "any", false, &["d1"]), policy("p2", "any", true, &["d1"])], Keep),
            (vec![policy("p1", "any", false, &["d1"])], Enable),
            (vec![policy("p1", "cfimages", true, &["d0"])], Extend),
            (vec![policy("p1", "any", true, &["d0"])], Create),
            (vec![], Create),
        ] {
            assert_eq!(actions(registration(), &there, &policies), (Keep, want), "{policies:?}");
        }
        assert_eq!(actions(registration(), &[], &[policy("p1", "cfimages", true, &[])]), (Create, Extend));
        let about_money =
            serde_json::from_value(json!({"id": "p", "name": "cfimages", "alert_type": "billing_usage_alert",
            "mechanisms": {"webhooks": ["d1"]}}))
            .unwrap();
        assert_eq!(actions(registration(), &there, &[about_money]), (Keep, Create));
    }

    #[test]
    fn the_same_url_is_known_in_any_spelling() {
        let shouted = destination("d1", "mine", &URL.replace("images.example.com", "Images.Example.com:443"));
        assert_eq!(actions(registration(), &[shouted], &[]).0, RegistrationAction::Keep);
    }

    #[test]
    fn another_servers_destination_is_moved_only_on_request() {
        let other = [destination("d1", "cfimages", "https://old.example.com/")];
        let error = RegistrationPlan::from(registration(), &other, &[]).unwrap_err().to_string();
        assert!(error.contains("https://old.example.com/") && error.contains("--move"), "{error}");
        let moving = WebhookRegistration { moves: true, ..registration() };
        let told = [policy("p1", "any", true, &["d1"])];
        assert_eq!(actions(moving, &other, &told), (RegistrationAction::Move, RegistrationAction::Keep));
    }

    #[test]
    fn of_two_destinations_with_the_url_the_one_that_is_told_is_kept() {
        let twins = [destination("d1", "a", URL), destination("d2", "b", URL)];
        let plan = RegistrationPlan::from(registration(), &twins, &[policy("p1", "any", true, &["d2"])]).unwrap();
        assert_eq!((plan.destination.id.as_deref(), plan.twins), (Some("d2"), 1));
        assert_eq!(plan.policy.action, RegistrationAction::Keep);
    }
}
