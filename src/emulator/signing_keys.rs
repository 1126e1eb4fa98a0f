//! Signing keys in the REST API.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::{Account, envelope};

/// `result` of the answer.
#[derive(Serialize)]
struct KeyList<'a> {
    keys: Vec<KeyObject<'a>>,
}

#[derive(Serialize)]
struct KeyObject<'a> {
    name: &'a str,
    value: &'a str,
}

/// `GET images/v1/keys`. The keys are those of the configuration: they cannot be made or deleted here.
pub(super) async fn list(State(account): State<Arc<Account>>) -> Response {
    let keys = account.signing_keys.iter().map(|(name, value)| KeyObject { name, value }).collect();
    envelope::success(KeyList { keys })
}
