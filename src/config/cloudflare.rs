//! The account at Cloudflare.

use secrecy::SecretString;

use super::parse;
use super::problem::{ConfigErrors, Problem};
use super::setting::Setting;
use super::settings::{CLOUDFLARE_IMAGES_ACCOUNT_ID, CLOUDFLARE_IMAGES_API_TOKEN, CLOUDFLARE_IMAGES_BASE_URL};
use super::values::Values;

/// The account at Cloudflare.
#[derive(Debug, Clone)]
pub struct CloudflareConfig {
    /// The id of the account; letters, digits, `-` and `_`.
    pub account_id: String,
    /// The API token; visible ASCII characters.
    pub api_token: SecretString,
    /// The URL of the API, without a slash at its end.
    pub base_url: String,
}

impl CloudflareConfig {
    /// Reads the account.
    ///
    /// # Errors
    /// What is missing. What is wrong is a problem of the values.
    pub(super) fn read(values: &mut Values) -> Result<Self, ConfigErrors> {
        let account_id = values.read(&CLOUDFLARE_IMAGES_ACCOUNT_ID, parse::identifier);
        let api_token = values.read(&CLOUDFLARE_IMAGES_API_TOKEN, parse::header);
        let base_url = values.read(&CLOUDFLARE_IMAGES_BASE_URL, parse::base_url);
        let required = [&CLOUDFLARE_IMAGES_ACCOUNT_ID, &CLOUDFLARE_IMAGES_API_TOKEN];
        let missing = required.into_iter().filter(|setting| !values.is_set(setting)).map(missing).collect();
        match (account_id, api_token, base_url) {
            (Some(account_id), Some(api_token), Some(base_url)) => {
                Ok(Self { account_id, api_token: api_token.into(), base_url })
            }
            _ => Err(ConfigErrors::new(missing)),
        }
    }
}

fn missing(setting: &'static Setting) -> Problem {
    let file = if setting.is_secret() { format!(" or {}_FILE", setting.name) } else { String::new() };
    let (name, key, table) = (setting.name, setting.key(), setting.table());
    Problem::of(
        name,
        format!("is required: set {name}{file}, or {key} in the table [{table}] of the configuration file"),
    )
}
