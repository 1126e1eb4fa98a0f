//! What came to the webhook, and what became of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CloudflareId, Timestamp};

/// A webhook that was delivered, whether it was accepted or not; a row of `cfimages_webhook_deliveries`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct WebhookDelivery {
    /// When it came.
    pub received_at: Timestamp,
    /// What it is.
    pub form: WebhookForm,
    /// How it proved itself.
    pub proof: WebhookProof,
    /// What became of it.
    pub outcome: WebhookOutcome,
    /// The status of the answer: 200, 400, 401, 404 or 500.
    pub status: i32,
    /// Why, in a sentence; for some refusals also what to do.
    pub reason: String,
    /// The image that it names, where it was read so far.
    pub cloudflare_id: Option<CloudflareId>,
    /// The address that it came from, behind trusted proxies.
    pub client: Option<String>,
    /// How it begins, at most [`WebhookDelivery::MAX_BODY_CHARS`] characters; empty where it was not read. Headers are not kept.
    pub body: String,
}

/// What stands for one delivery: a SHA-256 of what it changes, or random bytes where it changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DeliveryDigest([u8; 32]);

/// The text or the bytes are no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest has 32 bytes, or 64 hexadecimal digits")]
pub struct ParseDigestError;

impl DeliveryDigest {
    /// A digest that no other delivery has.
    pub fn random() -> Self {
        Self::of_halves([Uuid::new_v4(), Uuid::new_v4()])
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn of_halves(halves: [Uuid; 2]) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(halves.map(Uuid::into_bytes).as_flattened());
        Self(bytes)
    }
}

impl From<[u8; 32]> for DeliveryDigest {
    fn from(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }
}

impl TryFrom<Vec<u8>> for DeliveryDigest {
    type Error = ParseDigestError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self).map_err(|_| ParseDigestError)
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for DeliveryDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for DeliveryDigest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_at_checked(32).ok_or(ParseDigestError)?;
        let half = |digits: &str| Uuid::try_parse(digits).ok().filter(|_| digits.len() == 32).ok_or(ParseDigestError);
        Ok(Self::of_halves([half(first)?, half(last)?]))
    }
}

impl From<DeliveryDigest> for String {
    fn from(digest: DeliveryDigest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for DeliveryDigest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A delivery as it is kept.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct KeptDelivery {
    /// What it is known by.
    #[cfg_attr(feature = "server", sqlx(try_from = "Vec<u8>"))]
    pub digest: DeliveryDigest,
    /// The delivery.
    #[cfg_attr(feature = "server", sqlx(flatten))]
    pub delivery: WebhookDelivery,
}

/// The place of a delivery in the list of all, the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryPlace {
    /// When it came.
    pub received_at: Timestamp,
    /// What it is known by, for ties.
    pub digest: DeliveryDigest,
}

impl KeptDelivery {
    /// Its place in the list of all.
    pub fn place(&self) -> DeliveryPlace {
        DeliveryPlace { received_at: self.delivery.received_at, digest: self.digest }
    }
}

/// Which deliveries are wanted: conditions, all of which must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// What became of them.
    pub outcome: Option<WebhookOutcome>,
    /// What they are.
    pub form: Option<WebhookForm>,
}

impl WebhookDelivery {
    /// How much is kept of a body.
    pub const MAX_BODY_CHARS: usize = 2000;
}

/// What a webhook is, by its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "lowercase"))]
pub enum WebhookForm {
    /// It was refused before its body was read, or is not understood.
    Unknown,
    /// Cloudflare tries whether the address works.
    Test,
    /// Cloudflare notifies.
    Notification,
    /// The toolkit's form: the state of an image, as the API would tell it.
    Report,
    /// The form of older releases of the toolkit: something happened to an image.
    Event,
}

/// How a webhook proves that its sender knows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "lowercase"))]
pub enum WebhookProof {
    /// Not at all.
    None,
    /// By the secret itself, in `cf-webhook-auth`.
    Secret,
    /// By a signature of the body, in `X-Signature` or `X-Cloudflare-Signature`.
    Signature,
    /// By a signature of a time and the body, in `Webhook-Signature`.
    Timestamped,
}

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(clap::ValueEnum, sqlx::Type), sqlx(type_name = "text", rename_all = "lowercase"))]
pub enum WebhookOutcome {
    /// The image was changed.
    Recorded,
    /// Cloudflare could not be asked yet whether it is true, and will be.
    Postponed,
    /// The same had come before; nothing was changed again.
    Duplicate,
    /// There was nothing to do.
    Ignored,
    /// It was refused.
    Refused,
    /// It could not be recorded; the sender was asked to send it again.
    Failed,
}

macro_rules! words {
    ($type:ty: $($variant:ident $word:literal),+ $(,)?) => {
        impl $type {
            /// The word in the database.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// What a word of the database stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

words!(WebhookForm: Unknown "unknown", Test "test", Notification "notification", Report "report", Event "event");
words!(WebhookProof: None "none", Secret "secret", Signature "signature", Timestamped "timestamped");
words!(WebhookOutcome: Recorded "recorded", Postponed "postponed", Duplicate "duplicate", Ignored "ignored", Refused "refused", Failed "failed");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_as_they_are_written() {
        let digest = DeliveryDigest::random();
        let text = digest.to_string();
        assert_eq!((text.len(), text.parse(), digest.as_bytes().to_vec().try_into()), (64, Ok(digest), Ok(digest)));
        for other in ["", &text[1..], &format!("{text}0"), &"g".repeat(64), &"é".repeat(32), &text.replace('a', "-")] {
            assert!(other == text || other.parse::<DeliveryDigest>().is_err(), "{other}");
        }
    }
}
