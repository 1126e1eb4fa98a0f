//! Whom to call and how; the calls are in the files of what they are about.

use std::sync::Arc;

use secrecy::SecretString;

use super::transport::Transport;
use super::{ClientLimits, Health};
use crate::metrics::Metrics;

/// Where Cloudflare's API is, and on whose behalf to call it.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The address of the API, without a slash at the end: `https://api.cloudflare.com/client/v4`.
    pub base_url: String,
    /// The account whose images these are.
    pub account_id: String,
    /// A token that may read and write the account's images.
    pub api_token: SecretString,
}

/// The client of Cloudflare's REST API. Cheap to clone; all clones share the connections.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) transport: Transport,
}

impl Client {
    /// A client for one account, with the usual limits.
    ///
    /// # Errors
    /// If the token cannot be sent in a header, or TLS cannot be set up.
    pub fn new(settings: &ClientSettings) -> Result<Self, ClientSetupError> {
        Self::with_limits(settings, &ClientLimits::default())
    }

    /// A client for one account.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_limits(settings: &ClientSettings, limits: &ClientLimits) -> Result<Self, ClientSetupError> {
        Ok(Self { transport: Transport::new(settings, limits)? })
    }

    /// The same client for jobs, for which nobody waits: its calls take more time and more tries, and leave requests and places in
    /// flight to those of people.
    #[must_use]
    pub fn patient(&self) -> Self {
        Self { transport: self.transport.patient() }
    }

    /// Where calls are counted, by this client and its clones.
    pub fn metrics(&self) -> &Arc<Metrics> {
        self.transport.metrics()
    }

    /// How Cloudflare is, as far as this client and its clones know. Asks nobody.
    pub fn health(&self) -> Health {
        self.transport.health()
    }

    /// The origin that upload URLs lead to: Cloudflare's own, or that of what stands in for its API.
    pub fn upload_origin(&self) -> String {
        const API: &str = "https://api.cloudflare.com";
        const UPLOADS: &str = "https://upload.imagedelivery.net";
        let origin = self.transport.origin();
        if origin == API { UPLOADS.to_owned() } else { origin }
    }

    /// Whether the API is on this machine: an emulator.
    pub fn is_local(&self) -> bool {
        self.transport.is_local()
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientSetupError {
    /// The token holds characters that no header may hold.
    #[error("the API token holds characters that cannot be sent")]
    Token,
    /// TLS could not be set up.
    #[error("the HTTP client cannot be set up")]
    Http(#[from] reqwest::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        let settings = ClientSettings {
            base_url: "https://api.example/client/v4/".to_owned(),
            account_id: "acct/../1".to_owned(),
            api_token: "secret-token".to_owned().into(),
        };
        Client::new(&settings).unwrap()
    }

    #[test]
    fn the_token_is_not_in_the_debug_output() {
        assert!(!format!("{:?}", client()).contains("secret-token"));
    }

    #[test]
    fn a_token_that_no_header_can_hold_is_refused() {
        let settings =
            ClientSettings { base_url: String::new(), account_id: String::new(), api_token: "a\nb".to_owned().into() };
        assert!(matches!(Client::new(&settings), Err(ClientSetupError::Token)));
    }
}
