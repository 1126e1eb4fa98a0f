//! What an emulator is told when it is opened.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::Clock;

use super::{Destination, Error, LimitedToken, Sources, Variant};

/// The settings of an emulator. [`Debug`](fmt::Debug) leaves the secrets out.
///
/// Signing keys, variants and flexible variants are those of a new account: where the API changed one of them, what it became is
/// kept beside the images, and holds.
#[derive(Clone)]
pub struct EmulatorConfig {
    /// The account in the paths of the REST API, at Cloudflare 32 hexadecimal digits.
    pub account_id: String,
    /// The account in upload and delivery URLs: letters, digits, `-` and `_`.
    pub account_hash: String,
    /// The bearer token of the REST API, which is good for everything.
    pub api_token: String,
    /// More tokens, each good for less.
    pub limited_tokens: Vec<LimitedToken>,
    /// The keys for signed delivery URLs, by name; any of them may have signed a URL.
    pub signing_keys: Vec<(String, String)>,
    /// Where the emulator is reached, `http://127.0.0.1:8001`: the start of the upload URLs it hands out, and a name under which the
    /// API and the page are answered, beside addresses and private names. See also `address`.
    pub public_url: String,
    /// Where the router is served. Unless this, the host of `public_url` and that of a request are of this machine alone, and no proxy
    /// says that it passes the request on, whoever comes to the page at the root has to present the token to see more than how clients
    /// are set up.
    pub address: SocketAddr,
    /// Where images are kept.
    pub storage: StorageKind,
    /// The variants of the account. `public` is added where it is missing, as [`Variant::public`].
    pub variants: Vec<Variant>,
    /// Whether delivery URLs may have options of transformations in place of a variant, `w=400,sharpen=3`. Off in new accounts at
    /// Cloudflare.
    pub flexible_variants: bool,
    /// Whose pictures `/cdn-cgi/image/` transforms.
    pub sources: Sources,
    /// Bytes of transformed pictures that are kept, in the folder of the images or, at most 32 MiB, in memory; 0 keeps none.
    pub cache_bytes: u64,
    /// Who is told of uploads; nobody where it is `None`.
    pub notify: Option<Destination>,
    /// The time for expiry, signatures and dates.
    pub clock: Arc<dyn Clock>,
}

/// What the first segment of a delivery URL cannot be, since other paths begin so.
const RESERVED: [&str; 4] = ["cdn-cgi", "client", "images", "upload"];

/// Where images are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageKind {
    /// In memory, until the emulator ends.
    Memory,
    /// In a folder, made where it is missing; images and drafts survive restarts and crashes. It must be the emulator's own, and
    /// of one emulator at a time.
    Folder(PathBuf),
}

impl EmulatorConfig {
    /// Checks what can be checked without the outside world; the variants check themselves.
    pub(super) fn check(&self) -> Result<(), Error> {
        let is_url_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let checks = [
            (is_word(&self.account_id, is_url_safe), "account_id", "must be letters, digits, - and _"),
            (is_word(&self.account_hash, is_url_safe), "account_hash", "must be letters, digits, - and _"),
            (!RESERVED.contains(&self.account_hash.as_str()), "account_hash", "is the beginning of other paths"),
            (!self.api_token.is_empty(), "api_token", "must not be empty"),
            (self.has_distinct_tokens(), "limited_tokens", "must not be empty, and differ from all others"),
            (self.signing_keys.iter().all(|(_, value)| !value.is_empty()), "signing_keys", "must not be empty"),
            (is_http_url(&self.public_url), "public_url", "must be an http or https URL"),
            (self.notify.as_ref().is_none_or(|to| is_http_url(&to.url)), "notify", "must be an http or https URL"),
        ];
        self.sources.check().map_err(|problem| Error::Setting { setting: "sources", problem })?;
        match checks.into_iter().find(|(is_good, ..)| !is_good) {
            Some((_, setting, problem)) => Err(Error::Setting { setting, problem }),
            None => Ok(()),
        }
    }

    fn has_distinct_tokens(&self) -> bool {
        let tokens: Vec<_> = self.limited_tokens.iter().map(|limited| &limited.token).collect();
        let is_new = |(at, token): (usize, &&String)| **token != self.api_token && !tokens[..at].contains(token);
        tokens.iter().enumerate().all(is_new) && tokens.iter().all(|token| !token.is_empty())
    }
}

fn is_word(text: &str, is_allowed: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(is_allowed)
}

fn is_http_url(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

impl fmt::Debug for EmulatorConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key_names: Vec<_> = self.signing_keys.iter().map(|(name, _)| name).collect();
        f.debug_struct("EmulatorConfig")
            .field("account_id", &self.account_id)
            .field("account_hash", &self.account_hash)
            .field("limited_tokens", &self.limited_tokens)
            .field("signing_keys", &key_names)
            .field("public_url", &self.public_url)
            .field("address", &self.address)
            .field("storage", &self.storage)
            .field("variants", &self.variants)
            .field("flexible_variants", &self.flexible_variants)
            .field("sources", &self.sources)
            .field("cache_bytes", &self.cache_bytes)
            .field("notify", &self.notify)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
