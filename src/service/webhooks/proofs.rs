//! Whether a webhook is genuine.

use std::borrow::Cow;
use std::net::IpAddr;

use secrecy::ExposeSecret;

use super::{IncomingWebhook, WebhookSettings};
use crate::domain::{Timestamp, WebhookProof};
use crate::signature::{TimestampedSignature, secrets_match, verify_hmac};

/// What a webhook offers to prove that it is genuine, as it stands in the headers. Each proves that the sender knows the secret, so
/// each vouches for a body of any form; how far a body is believed depends on what it is.
#[derive(Default)]
pub struct WebhookProofs<'a> {
    /// The secret itself: Cloudflare's `cf-webhook-auth`.
    pub secret: Option<Cow<'a, [u8]>>,
    /// The HMAC of the body, hexadecimal: the toolkit's `X-Signature`, or else `X-Cloudflare-Signature`.
    pub signature: Option<Cow<'a, [u8]>>,
    /// The HMAC of a time and the body: `Webhook-Signature`.
    pub timestamped: Option<Cow<'a, [u8]>>,
}

/// Why a webhook is not accepted. [`Display`](std::fmt::Display) is what its sender is told, in the toolkit's words where it has
/// some; [`reason`](Self::reason) is for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// It comes from an address that is not allowed to send any.
    #[error("Address not allowed")]
    ForeignAddress(Option<IpAddr>),
    /// There is a secret, and the request offers no proof.
    #[error("Missing signature")]
    MissingProof,
    /// A proof does not fit.
    #[error("Invalid signature")]
    WrongProof(WebhookProof),
    /// The time that it carries is too far from ours.
    #[error("Invalid timestamp")]
    WrongTime {
        /// How old it is, in seconds; negative where it comes from the future.
        age_seconds: i64,
        /// How old it may be, in seconds.
        max_age_seconds: u32,
    },
    /// The body is too long, or did not come to its end.
    #[error("Bad Request")]
    Unread,
    /// The body is not JSON.
    #[error("Invalid JSON")]
    NotJson,
    /// The body is JSON of another form.
    #[error("Invalid payload")]
    NotUnderstood,
    /// It is about an image that is not known here.
    #[error("Image not found")]
    UnknownImage,
}

impl WebhookRefusal {
    /// The status that it is answered with; the toolkit's where it has one.
    pub fn status(&self) -> u16 {
        match self {
            Self::ForeignAddress(_) | Self::MissingProof | Self::WrongProof(_) | Self::WrongTime { .. } => 401,
            Self::Unread | Self::NotJson | Self::NotUnderstood => 400,
            Self::UnknownImage => 404,
        }
    }

    /// Why it was refused, in one word, for those who count.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ForeignAddress(_) => "foreign_address",
            Self::MissingProof => "missing_proof",
            Self::WrongProof(_) => "wrong_proof",
            Self::WrongTime { .. } => "wrong_time",
            Self::Unread => "unread",
            Self::NotJson => "not_json",
            Self::NotUnderstood => "not_understood",
            Self::UnknownImage => "unknown_image",
        }
    }

    /// Why it was refused, and what to do, in sentences for the operator.
    pub fn reason(&self) -> String {
        match self {
            Self::ForeignAddress(Some(client)) => format!(
                "{client} is not in CLOUDFLARE_IMAGES_WEBHOOK_ALLOWED_IPS. If it is a proxy of yours, add it to CFIMAGES_TRUSTED_PROXIES."
            ),
            Self::ForeignAddress(None) => "The address that it came from is not known.".to_owned(),
            Self::MissingProof => "It has no header cf-webhook-auth, X-Signature or Webhook-Signature: no secret is set at \
                the sender, or a proxy removes the header."
                .to_owned(),
            Self::WrongProof(WebhookProof::Secret | WebhookProof::None) => {
                "cf-webhook-auth is not CLOUDFLARE_IMAGES_WEBHOOK_SECRET: the sender has another secret.".to_owned()
            }
            Self::WrongProof(WebhookProof::Signature) => "X-Signature is not that of the body: the sender has another secret \
                than CLOUDFLARE_IMAGES_WEBHOOK_SECRET, or something changed the body on its way."
                .to_owned(),
            Self::WrongProof(WebhookProof::Timestamped) => "Webhook-Signature is not time=...,sig1=... or not that of its time \
                and the body: the sender has another secret than CLOUDFLARE_IMAGES_WEBHOOK_SECRET, or something changed the \
                body on its way."
                .to_owned(),
            Self::WrongTime { age_seconds, max_age_seconds } => {
                let (distance, side) = (age_seconds.unsigned_abs(), if *age_seconds < 0 { "after" } else { "before" });
                format!(
                    "Its time is {distance} seconds {side} ours, and CLOUDFLARE_IMAGES_WEBHOOK_MAX_AGE_SECONDS allows \
                     {max_age_seconds}: it was delivered late or once more, or a clock is wrong."
                )
            }
            Self::Unread => "The body is longer than 2.5 MB, or did not come to its end.".to_owned(),
            Self::NotJson => "The body is not JSON.".to_owned(),
            Self::NotUnderstood => "The body has none of the forms that are understood, or a value that does not fit.".to_owned(),
            Self::UnknownImage => "No image with this id is recorded here.".to_owned(),
        }
    }
}

/// Makes sure that a webhook is genuine, where there is a secret; the strongest of its proofs.
///
/// All proofs that are offered have to be right. If one were enough, an old `Webhook-Signature` would pass beside a header that
/// knows of no time; and nobody who is genuine sends a wrong one.
pub(super) fn check_proofs(
    settings: &WebhookSettings,
    webhook: &IncomingWebhook<'_>,
    now: Timestamp,
) -> Result<WebhookProof, WebhookRefusal> {
    let Some(secret) = &settings.secret else { return Ok(WebhookProof::None) };
    let (secret, body) = (secret.expose_secret(), webhook.body);
    let WebhookProofs { secret: auth, signature, timestamped } = &webhook.proofs;
    let mut proof = Err(WebhookRefusal::MissingProof);
    if let Some(auth) = auth {
        proof = require(secrets_match(secret, auth), WebhookProof::Secret);
        proof.as_ref().map_err(Clone::clone)?;
    }
    if let Some(signature) = signature {
        proof = require(verify_hmac(secret, body, text(signature)), WebhookProof::Signature);
        proof.as_ref().map_err(Clone::clone)?;
    }
    if let Some(header) = timestamped {
        let signature = TimestampedSignature::parse(text(header)).filter(|signature| signature.verify(secret, body));
        let signature = signature.ok_or(WebhookRefusal::WrongProof(WebhookProof::Timestamped))?;
        check_time(settings, signature.unix_seconds(), now)?;
        proof = Ok(WebhookProof::Timestamped);
    }
    proof
}

fn require(is_right: bool, proof: WebhookProof) -> Result<WebhookProof, WebhookRefusal> {
    if is_right { Ok(proof) } else { Err(WebhookRefusal::WrongProof(proof)) }
}

/// Nothing that is no text can be right.
fn text(header: &[u8]) -> &str {
    std::str::from_utf8(header).unwrap_or_default()
}

/// Makes sure that a time that somebody vouches for is near enough to ours, on either side.
pub(super) fn check_time(settings: &WebhookSettings, unix_seconds: i64, now: Timestamp) -> Result<(), WebhookRefusal> {
    let Some(max_age_seconds) = settings.max_age_seconds else { return Ok(()) };
    let age_seconds = now.as_unix_seconds().saturating_sub(unix_seconds);
    if age_seconds.unsigned_abs() <= max_age_seconds.into() {
        Ok(())
    } else {
        Err(WebhookRefusal::WrongTime { age_seconds, max_age_seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{sign_hmac, sign_timestamped};

    const BODY: &[u8] = br#"{"id":"a"}"#;
    const NOW: u32 = 1_700_000_000;

    fn check(secret: Option<&str>, signature: Option<&str>, timestamped: Option<&str>) -> Result<WebhookProof, String> {
        let bytes = |text: Option<&'static str>| text.map(|text| Cow::Borrowed(text.as_bytes()));
        let leak = |text: Option<&str>| text.map(|text| &*String::leak(text.to_owned()));
        let proofs = WebhookProofs {
            secret: bytes(leak(secret)),
            signature: bytes(leak(signature)),
            timestamped: bytes(leak(timestamped)),
        };
        let settings =
            WebhookSettings { secret: Some("key".to_owned().into()), max_age_seconds: Some(300), allowed_ips: None };
        let webhook = IncomingWebhook { client: None, proofs, body: BODY };
        let now = Timestamp::from_micros(i64::from(NOW) * 1_000_000);
        check_proofs(&settings, &webhook, now).map_err(|refusal| refusal.to_string())
    }

    fn at(seconds: u32) -> String {
        sign_timestamped("key", seconds, BODY)
    }

    #[test]
    fn every_proof_is_enough_alone() {
        let signature = sign_hmac("key", BODY);
        assert_eq!(check(Some("key"), None, None), Ok(WebhookProof::Secret));
        assert_eq!(check(None, Some(&signature), None), Ok(WebhookProof::Signature));
        assert_eq!(check(None, None, Some(&at(NOW))), Ok(WebhookProof::Timestamped));
        assert_eq!(check(Some("key"), Some(&signature), Some(&at(NOW))), Ok(WebhookProof::Timestamped));
    }

    #[test]
    fn no_right_proof_makes_up_for_a_wrong_one() {
        let (right, stale) = (sign_hmac("key", BODY), at(NOW - 301));
        let invalid = Err("Invalid signature".to_owned());
        assert_eq!(check(Some("wrong"), Some(&right), None), invalid);
        assert_eq!(check(Some("key"), Some("wrong"), None), invalid);
        assert_eq!(check(Some("key"), Some(&right), Some("time=1,sig1=0")), invalid);
        assert_eq!(check(Some("key"), Some(&right), Some(&stale)), Err("Invalid timestamp".to_owned()));
        assert_eq!(check(None, None, None), Err("Missing signature".to_owned()));
    }

    #[test]
    fn times_count_on_either_side_of_ours() {
        for (time, is_fresh) in
            [(NOW - 300, true), (NOW - 301, false), (NOW + 300, true), (NOW + 301, false), (0, false)]
        {
            assert_eq!(check(None, None, Some(&at(time))).is_ok(), is_fresh, "{time}");
        }
        let any = WebhookSettings::default();
        assert_eq!(check_time(&any, i64::MIN, Timestamp::from_micros(0)), Ok(()));
        let strict = WebhookSettings { max_age_seconds: Some(1), ..any };
        for time in [i64::MIN, i64::MAX] {
            assert!(check_time(&strict, time, Timestamp::from_micros(0)).is_err());
        }
    }

    #[test]
    fn no_reason_tells_a_secret() {
        let wrong = check(Some("almost-the-key"), None, None).unwrap_err();
        assert!(!wrong.contains("almost-the-key"));
        for proof in [WebhookProof::Secret, WebhookProof::Signature, WebhookProof::Timestamped] {
            let reason = WebhookRefusal::WrongProof(proof).reason();
            assert!(reason.contains("CLOUDFLARE_IMAGES_WEBHOOK_SECRET"), "{reason}");
        }
        let late = WebhookRefusal::WrongTime { age_seconds: -400, max_age_seconds: 300 };
        assert!(late.reason().starts_with("Its time is 400 seconds after ours"), "{}", late.reason());
    }
}
