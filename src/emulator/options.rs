//! What holds for all pictures of the account: `images/v1/config` in the REST API.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::Account;
use super::envelope::{self, ApiError, Payload};
use super::variants::BROWSER_TTL;

/// Two days.
const DEFAULT_BROWSER_TTL: u32 = 172_800;

/// The options, also as the API shows them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AccountOptions {
    pub(super) flexible_variants: bool,
    /// Seconds that browsers keep pictures.
    pub(super) browser_ttl: u32,
    /// Kept, and of no effect here.
    preserve_content_credentials: bool,
}

impl AccountOptions {
    pub(super) fn new(flexible_variants: bool) -> Self {
        Self { flexible_variants, browser_ttl: DEFAULT_BROWSER_TTL, preserve_content_credentials: false }
    }
}

/// The body of `PATCH`.
#[derive(Deserialize)]
struct Update {
    flexible_variants: Option<bool>,
    browser_ttl: Option<u32>,
    preserve_content_credentials: Option<bool>,
}

/// `PATCH images/v1/config`: what is left out stays. UNCONFIRMED: the answer, which is here all of them.
pub(super) async fn update(State(account): State<Arc<Account>>, Payload(body): Payload) -> Result<Response, ApiError> {
    let update: Update = envelope::parse(&body)?;
    if update.browser_ttl.is_some_and(|seconds| !BROWSER_TTL.contains(&seconds)) {
        return Err(ApiError::bad_request("browser_ttl must be 3600 to 31536000 seconds"));
    }
    let change = move |options: &mut AccountOptions| {
        options.flexible_variants = update.flexible_variants.unwrap_or(options.flexible_variants);
        options.browser_ttl = update.browser_ttl.unwrap_or(options.browser_ttl);
        options.preserve_content_credentials =
            update.preserve_content_credentials.unwrap_or(options.preserve_content_credentials);
        Ok::<_, ApiError>(options.clone())
    };
    Ok(envelope::success(account.options.change(change).await?))
}
