//! How pictures are delivered.

use reqwest::Url;
use secrecy::SecretString;

use super::parse;
use super::settings::{
    CLOUDFLARE_IMAGES_ACCOUNT_HASH, CLOUDFLARE_IMAGES_DELIVERY_INCLUDE_ACCOUNT_HASH,
    CLOUDFLARE_IMAGES_DELIVERY_PATH_PREFIX, CLOUDFLARE_IMAGES_DELIVERY_URL, CLOUDFLARE_IMAGES_SIGNING_KEY,
};
use super::values::Values;
use crate::delivery::DeliveryShape;

/// How pictures are delivered.
#[derive(Debug, Clone)]
pub struct DeliveryConfig {
    /// The account hash, without which delivery URLs can be rewritten but not built.
    pub account_hash: Option<String>,
    /// The key that URLs of private images are signed with.
    pub signing_key: Option<SecretString>,
    /// The form of delivery URLs.
    pub shape: DeliveryShape,
}

impl DeliveryConfig {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let account_hash = values.read(&CLOUDFLARE_IMAGES_ACCOUNT_HASH, parse::identifier);
        let signing_key = values.read(&CLOUDFLARE_IMAGES_SIGNING_KEY, parse::plain);
        let delivery_url = values.read(&CLOUDFLARE_IMAGES_DELIVERY_URL, domain);
        let path_prefix = values.read(&CLOUDFLARE_IMAGES_DELIVERY_PATH_PREFIX, parse::path);
        let include_account_hash = values.read(&CLOUDFLARE_IMAGES_DELIVERY_INCLUDE_ACCOUNT_HASH, parse::flag);
        Some(Self {
            account_hash,
            signing_key: signing_key.map(SecretString::from),
            shape: DeliveryShape {
                delivery_url,
                path_prefix: path_prefix?,
                include_account_hash: include_account_hash?,
            },
        })
    }
}

/// A domain as the base of URLs, `https` where it does not say.
fn domain(text: &str) -> Result<String, String> {
    let rule =
        || "must be a domain, such as images.example.com or https://images.example.com, without a path".to_owned();
    let url = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let url = parse::base_url(&url).map_err(|_| rule())?;
    let is_domain = Url::parse(&url).is_ok_and(|url| url.path() == "/");
    if is_domain { Ok(url) } else { Err(rule()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_comes_with_or_without_a_scheme_but_without_a_path() {
        for (text, want) in [
            ("images.example.com", "https://images.example.com"),
            ("images.example.com/", "https://images.example.com"),
            ("http://127.0.0.1:8001/", "http://127.0.0.1:8001"),
            ("localhost:8001", "https://localhost:8001"),
        ] {
            assert_eq!(domain(text).as_deref(), Ok(want));
        }
        for text in ["a.example/path", "https://a.example/path", "ftp://a.example", "a b", "u@a.example", "a?b", "/"] {
            assert!(domain(text).is_err(), "{text}");
        }
    }
}
