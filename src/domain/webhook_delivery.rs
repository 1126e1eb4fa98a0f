//! What came to the webhook, and what became of it.

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
        }
    };
}

words!(WebhookForm: Unknown "unknown", Test "test", Notification "notification", Report "report", Event "event");
words!(WebhookProof: None "none", Secret "secret", Signature "signature", Timestamped "timestamped");
words!(WebhookOutcome: Recorded "recorded", Postponed "postponed", Duplicate "duplicate", Ignored "ignored", Refused "refused", Failed "failed");
