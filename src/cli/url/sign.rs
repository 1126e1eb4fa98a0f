//! `cfimages url sign` and `verify`

use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::json_line;
use super::lines::{Failure, answer_each};
use crate::app::{self, SystemClock};
use crate::cli::Context;
use crate::cli::output::print_warning;
use crate::config::DeliveryConfig;
use crate::config::settings::CLOUDFLARE_IMAGES_SIGNING_KEY;
use crate::delivery::DeliveryUrls;
use crate::domain::{Clock, Timestamp};

/// Ten years.
const MAX_EXPIRY_SECONDS: i64 = 10 * 365 * 24 * 60 * 60;
const NO_KEY: &str = "the account has no signing key at Cloudflare";
const UNCONFIRMED: &str = "Cloudflare does not say that it accepts signatures without an end outside of Workers, and they end with \
    their key only";

/// Signs the delivery URL of a private image. The key is that of the configuration; without one, Cloudflare is asked for the keys
/// of the account.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cfimages url sign https://imagedelivery.net/<account hash>/<image id>/public --expiry 600\n  \
    cfimages url sign --expiry 86400 - <urls.txt >signed.txt")]
pub(super) struct SignArgs {
    /// A delivery URL that ends with the name of a variant; `-` for one a line from standard input.
    url: String,
    /// How many seconds from now the signature is good for.
    #[arg(long, value_name = "SECONDS", default_value_t = 3600,
        value_parser = clap::value_parser!(i64).range(1..=MAX_EXPIRY_SECONDS))]
    expiry: i64,
    /// Sign without an end. Cloudflare documents that for Workers alone.
    #[arg(long, conflicts_with = "expiry")]
    no_expiry: bool,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// Checks the signature of a delivery URL, and says why it is not good. Cloudflare takes any key of the account; here the key of
/// the configuration is the only one that counts, and without one all keys of the account do.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  \
    cfimages url verify 'https://imagedelivery.net/<account hash>/<image id>/public?exp=...&sig=...'")]
pub(super) struct VerifyArgs {
    /// A signed delivery URL; `-` for one a line from standard input.
    url: String,
    /// Print JSON, one object a line, also for URLs that are not good.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Signed {
    url: String,
    expires_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Verified {
    valid: bool,
    /// None also where the signature has no end.
    expires_at: Option<Timestamp>,
    /// Why it is not valid.
    reason: Option<String>,
}

impl SignArgs {
    pub(super) async fn run(
        self,
        context: &Context,
        delivery: &DeliveryConfig,
        urls: &DeliveryUrls,
    ) -> anyhow::Result<ExitCode> {
        let keys = signing_keys(context, delivery).await?;
        let key = keys.first().context(NO_KEY)?.expose_secret();
        if self.no_expiry {
            print_warning(UNCONFIRMED);
        }
        answer_each(&self.url, |url| {
            let expires_at = (!self.no_expiry).then(|| SystemClock.now().as_unix_seconds() + self.expiry);
            let signed = match expires_at {
                Some(expires_at) => urls.sign(url, key, expires_at),
                None => urls.sign_without_expiry(url, key),
            };
            let url = signed.map_err(|error| Failure::new(format_args!("the URL {error}")))?;
            Ok(if self.json { json_line(&Signed { url, expires_at: expires_at.map(time) }) } else { url })
        })
    }
}

impl VerifyArgs {
    pub(super) async fn run(
        self,
        context: &Context,
        delivery: &DeliveryConfig,
        urls: &DeliveryUrls,
    ) -> anyhow::Result<ExitCode> {
        let keys = signing_keys(context, delivery).await?;
        answer_each(&self.url, |url| {
            let keys = keys.iter().map(SecretString::expose_secret);
            let verified = urls.verify(url, keys, SystemClock.now().as_unix_seconds());
            let expires_at = verified.ok().flatten().map(time);
            let reason = verified.err().map(|error| error.to_string());
            let result = Verified { valid: reason.is_none(), expires_at, reason };
            result.answer(self.json)
        })
    }
}

impl Verified {
    fn answer(self, json: bool) -> Result<String, Failure> {
        let line = json.then(|| json_line(&self));
        match (self.reason, line) {
            (Some(reason), Some(line)) => Err(Failure::with_result(reason, line)),
            (Some(reason), None) => Err(Failure::new(reason)),
            (None, Some(line)) => Ok(line),
            (None, None) => Ok(match self.expires_at {
                Some(end) => format!("valid until {end}"),
                None => "valid, without an end".to_owned(),
            }),
        }
    }
}

/// A time in whole seconds.
fn time(unix_seconds: i64) -> Timestamp {
    Timestamp::from_micros(unix_seconds.saturating_mul(1_000_000))
}

/// The key of the configuration, else all that the account has at Cloudflare.
async fn signing_keys(context: &Context, delivery: &DeliveryConfig) -> anyhow::Result<Vec<SecretString>> {
    if let Some(key) = &delivery.signing_key {
        return Ok(vec![key.clone()]);
    }
    let account = context.loader().load_cloudflare().map_err(|errors| {
        let setting = CLOUDFLARE_IMAGES_SIGNING_KEY.name;
        anyhow!("signatures need {setting}, or the account, whose keys Cloudflare is then asked for; {errors}")
    })?;
    let keys = app::cloudflare_client(&account)?.list_signing_keys().await;
    let keys = keys.context("Cloudflare cannot be asked for the signing keys")?;
    if keys.is_empty() {
        bail!(NO_KEY);
    }
    Ok(keys.into_iter().map(|key| key.value).collect())
}
