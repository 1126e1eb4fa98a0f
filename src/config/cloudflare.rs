//! The account at Cloudflare.

use std::time::Duration;

use secrecy::SecretString;

use super::parse;
use super::problem::{ConfigErrors, Problem};
use super::setting::Setting;
use super::settings::{
    CFIMAGES_INSTANCES, CLOUDFLARE_IMAGES_ACCOUNT_ID, CLOUDFLARE_IMAGES_ALLOW_EMULATOR, CLOUDFLARE_IMAGES_API_TOKEN,
    CLOUDFLARE_IMAGES_BASE_URL, CLOUDFLARE_IMAGES_MAX_CONCURRENT_REQUESTS,
    CLOUDFLARE_IMAGES_MAX_REQUESTS_PER_5_MINUTES, CLOUDFLARE_IMAGES_SLOW_CALL_MS, CLOUDFLARE_IMAGES_TIMEOUT_SECONDS,
};
use super::values::Values;
use crate::cloudflare::ClientLimits;

/// The account at Cloudflare, and how much may be asked of it.
#[derive(Debug, Clone)]
pub struct CloudflareConfig {
    /// The id of the account; letters, digits, `-` and `_`.
    pub account_id: String,
    /// The API token; visible ASCII characters.
    pub api_token: SecretString,
    /// The URL of the API, without a slash at its end.
    pub base_url: String,
    /// Whether others may reach the server although the API is an emulator.
    pub allow_emulator: bool,
    /// How long a call may take while somebody waits, 1 to 30 seconds.
    pub timeout: Duration,
    /// How many requests all instances together may make in five minutes, 10 to 100000 and at least 4 for each, where somebody says.
    pub max_requests: Option<u32>,
    /// How many calls may be in flight, 2 to 1000.
    pub max_concurrent_requests: usize,
    /// How long a try may take before it is warned of; none for any time.
    pub slow_call: Option<Duration>,
    /// How many instances share the requests, 1 to 100.
    pub instances: u32,
}

impl CloudflareConfig {
    /// Whether the API cannot be Cloudflare's, as it is without TLS.
    pub fn is_emulator(&self) -> bool {
        self.base_url.starts_with("http:")
    }

    /// Reads the account.
    ///
    /// # Errors
    /// What is missing. What is wrong is a problem of the values.
    pub(super) fn read(values: &mut Values) -> Result<Self, ConfigErrors> {
        let account_id = values.read(&CLOUDFLARE_IMAGES_ACCOUNT_ID, parse::identifier);
        let api_token = values.read(&CLOUDFLARE_IMAGES_API_TOKEN, parse::header);
        let base_url = values.read(&CLOUDFLARE_IMAGES_BASE_URL, parse::base_url);
        let allow_emulator = values.read(&CLOUDFLARE_IMAGES_ALLOW_EMULATOR, parse::flag);
        let timeout = values.read(&CLOUDFLARE_IMAGES_TIMEOUT_SECONDS, parse::number(1..=30));
        let max_requests = values.read(&CLOUDFLARE_IMAGES_MAX_REQUESTS_PER_5_MINUTES, parse::number(10..=100_000));
        let max_concurrent_requests = values.read(&CLOUDFLARE_IMAGES_MAX_CONCURRENT_REQUESTS, parse::number(2..=1000));
        let slow_call = values.read(&CLOUDFLARE_IMAGES_SLOW_CALL_MS, parse::number(0..=3_600_000));
        let instances = values.read(&CFIMAGES_INSTANCES, parse::number(1..=100));
        values.problems.extend(too_few_requests(max_requests, instances));
        let required = [&CLOUDFLARE_IMAGES_ACCOUNT_ID, &CLOUDFLARE_IMAGES_API_TOKEN];
        let missing = required.into_iter().filter(|setting| !values.is_set(setting)).map(missing).collect();
        let read = || {
            Some(Self {
                account_id: account_id?,
                api_token: api_token?.into(),
                base_url: base_url?,
                allow_emulator: allow_emulator?,
                timeout: Duration::from_secs(timeout?),
                max_requests,
                max_concurrent_requests: max_concurrent_requests?,
                slow_call: Some(slow_call?).filter(|millis| *millis > 0).map(Duration::from_millis),
                instances: instances?,
            })
        };
        read().ok_or_else(|| ConfigErrors::new(missing))
    }
}

/// Where its share is less than an instance can work with it makes more all the same, and all of them together more than are allowed.
fn too_few_requests(max_requests: Option<u32>, instances: Option<u32>) -> Option<Problem> {
    let (max_requests, instances) = (max_requests?, instances?);
    let fewest = ClientLimits::FEWEST_REQUESTS;
    let message = || {
        let name = CFIMAGES_INSTANCES.name;
        format!("{max_requests} requests are too few for {name}={instances}: each instance needs at least {fewest}")
    };
    (max_requests < fewest * instances)
        .then(|| Problem::of(CLOUDFLARE_IMAGES_MAX_REQUESTS_PER_5_MINUTES.name, message()))
}

fn missing(setting: &'static Setting) -> Problem {
    let file = if setting.is_secret() { format!(" or {}_FILE", setting.name) } else { String::new() };
    let (name, key, table) = (setting.name, setting.key(), setting.table());
    Problem::of(
        name,
        format!("is required: set {name}{file}, or {key} in the table [{table}] of the configuration file"),
    )
}
