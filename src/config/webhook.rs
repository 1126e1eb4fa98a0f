//! Which webhooks are believed.

use secrecy::SecretString;

use super::parse;
use super::settings::{
    CLOUDFLARE_IMAGES_WEBHOOK_ALLOW_UNSIGNED, CLOUDFLARE_IMAGES_WEBHOOK_ALLOWED_IPS,
    CLOUDFLARE_IMAGES_WEBHOOK_MAX_AGE_SECONDS, CLOUDFLARE_IMAGES_WEBHOOK_SECRET,
};
use super::values::Values;
use crate::domain::Networks;

/// Which webhooks are believed.
#[derive(Debug, Clone)]
pub struct WebhookConfig {
    /// The secret that webhooks prove themselves with.
    pub secret: Option<SecretString>,
    /// Whether the lack of a secret is on purpose on an address that others can reach.
    pub allow_unsigned: bool,
    /// How far the time that a webhook carries may be from ours, in seconds; none for any time.
    pub max_age_seconds: Option<u32>,
    /// Where webhooks may come from; none for anywhere.
    pub allowed_ips: Option<Networks>,
}

impl WebhookConfig {
    /// Whether every well-formed webhook is believed, which deserves a warning when the server starts.
    pub fn accepts_unsigned(&self) -> bool {
        self.secret.is_none()
    }

    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let secret = values.read(&CLOUDFLARE_IMAGES_WEBHOOK_SECRET, parse::plain);
        let allow_unsigned = values.read(&CLOUDFLARE_IMAGES_WEBHOOK_ALLOW_UNSIGNED, parse::flag);
        let max_age = values.read(&CLOUDFLARE_IMAGES_WEBHOOK_MAX_AGE_SECONDS, parse::number(0..=86_400));
        let allowed_ips = values.read(&CLOUDFLARE_IMAGES_WEBHOOK_ALLOWED_IPS, parse::networks);
        Some(Self {
            secret: secret.map(SecretString::from),
            allow_unsigned: allow_unsigned?,
            max_age_seconds: Some(max_age?).filter(|seconds| *seconds > 0),
            allowed_ips,
        })
    }
}
