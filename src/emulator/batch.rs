//! `GET images/v1/batch_token`: a token for many calls at once, which are made at a host of their own, here below `/images/`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::domain::Timestamp;

use super::Account;
use super::envelope;

/// How long a token is good for, which is UNCONFIRMED.
const LIFETIME_MINUTES: i64 = 60;

#[derive(Serialize)]
struct BatchToken {
    token: String,
    #[serde(rename = "expiresAt")]
    expires_at: Timestamp,
}

/// Answers a new token; those handed out before stay good.
pub(super) async fn create_token(State(account): State<Arc<Account>>) -> Response {
    let expires_at = account.clock.now().plus_minutes(LIFETIME_MINUTES);
    envelope::success(BatchToken { token: account.tokens.new_batch_token(expires_at), expires_at })
}
