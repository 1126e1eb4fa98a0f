//! What is posted to webhooks.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::Timestamp;

use super::super::envelope::ApiError;
use super::new_id;
use super::policies::Policy;

/// The type of policies that are about Images.
pub(super) const IMAGE_NOTIFICATION: &str = "image_notification";

/// What became of an upload.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "lowercase")]
pub(in crate::emulator) enum Outcome {
    /// The picture is stored.
    Uploaded { image_id: String, uploaded: String },
    /// The file was refused.
    Failed { image_id: String, error_code: Option<u16>, error_message: String },
}

impl Outcome {
    /// The picture was stored at the time `uploaded`.
    pub(in crate::emulator) fn uploaded(image_id: &str, uploaded: Timestamp) -> Self {
        Self::Uploaded { image_id: image_id.to_owned(), uploaded: uploaded.to_millis_string() }
    }

    /// The file was refused for this reason.
    pub(in crate::emulator) fn failed(image_id: &str, error: &ApiError) -> Self {
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

/// What a test of a policy is to look like: the body of `POST policies/{id}/test`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct TestAlert {
    severity: Option<u8>,
    source: Option<String>,
    state_correlation_id: Option<String>,
    state_event: Option<u8>,
}

impl TestAlert {
    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<&'static str> {
        if self.severity.is_some_and(|severity| severity > 4) {
            Some("severity must be 0 to 4")
        } else if self.state_event.is_some_and(|event| event > 2) {
            Some("state_event must be 0, 1 or 2")
        } else if self.state_event.is_some() && self.state_correlation_id.is_none() {
            Some("state_correlation_id is required with state_event")
        } else {
            None
        }
    }
}

/// Why a message is sent.
#[derive(Debug)]
pub(super) enum Cause<'a> {
    Upload(&'a Outcome),
    Test(TestAlert),
}

impl Cause<'_> {
    /// What the message says to people.
    pub(super) fn text(&self, policy: &Policy) -> String {
        match self {
            Self::Upload(outcome) => outcome.text(),
            Self::Test(_) => format!("This is a test of the notification policy {}.", policy.name),
        }
    }
}

#[derive(Serialize)]
struct Notification<'a> {
    name: &'a str,
    text: String,
    data: Data<'a>,
    ts: i64,
    account_id: &'a str,
    policy_id: &'a str,
    policy_name: &'a str,
    alert_type: &'a str,
    alert_correlation_id: String,
    alert_event: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Upload(&'a Outcome),
    Test {
        severity: u8,
        #[serde(skip_serializing_if = "Option::is_none")]
        source: Option<&'a str>,
    },
}

/// The message of a policy. UNCONFIRMED, and chosen here: what a test looks like, and that event 2 is the end of an alert.
pub(super) fn notification(account_id: &str, policy: &Policy, cause: &Cause, now: Timestamp) -> String {
    let (data, correlation, has_ended) = match cause {
        Cause::Upload(outcome) => (Data::Upload(outcome), None, false),
        Cause::Test(test) => (
            Data::Test { severity: test.severity.unwrap_or(1), source: test.source.as_deref() },
            test.state_correlation_id.clone(),
            test.state_event == Some(2),
        ),
    };
    let notification = Notification {
        name: &policy.name,
        text: cause.text(policy),
        data,
        ts: now.as_unix_seconds(),
        account_id,
        policy_id: &policy.id,
        policy_name: &policy.name,
        alert_type: &policy.alert_type,
        alert_correlation_id: correlation.unwrap_or_else(new_id),
        alert_event: if has_ended { "ALERT_STATE_EVENT_END" } else { "ALERT_STATE_EVENT_START" },
    };
    serde_json::to_string(&notification).expect("texts and numbers are JSON")
}

/// What is sent to a new destination, and has to be answered with 2xx.
pub(super) fn test_message() -> String {
    json!({
        "text": "Hello World! This is a test message sent from https://cloudflare.com. If you can see this, your webhook is \
                 configured properly."
    })
    .to_string()
}
