//! Signing keys: what may sign delivery URLs, and `images/v1/keys` in the REST API.

use std::fmt;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Account;
use super::envelope::{self, ApiError};

/// The name of the key that is made where there would be none.
const DEFAULT: &str = "default";
/// Characters a name may have.
const MAX_NAME: usize = 20;

/// A key, also as the API shows it. [`Debug`](fmt::Debug) leaves the value out.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SigningKey {
    name: String,
    value: String,
}

impl SigningKey {
    pub(super) fn new(name: String, value: String) -> Self {
        Self { name, value }
    }

    /// A key nobody can guess: of a random UUID 122 bits are random.
    fn random(name: String) -> Self {
        let bytes = [Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes).concat();
        Self { name, value: STANDARD.encode(bytes) }
    }

    /// What signatures are made with: its characters, as they are.
    pub(super) fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `result` of every answer.
#[derive(Serialize)]
struct KeyList<'a> {
    keys: &'a [SigningKey],
}

/// `GET images/v1/keys`
pub(super) async fn list(State(account): State<Arc<Account>>) -> Response {
    all(&account)
}

/// `PUT images/v1/keys/{name}`: makes a key. UNCONFIRMED, and chosen here: one that is there stays as it is.
pub(super) async fn create(
    State(account): State<Arc<Account>>,
    Path((_, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(ApiError::bad_request("The names of keys must be 1 to 20 letters and digits"));
    }
    let add = move |keys: &mut Vec<SigningKey>| {
        if !keys.iter().any(|key| key.name == name) {
            keys.push(SigningKey::random(name));
        }
        Ok::<_, ApiError>(())
    };
    account.signing_keys.change(add).await?;
    Ok(all(&account))
}

/// `DELETE images/v1/keys/{name}`: what was signed with the key is signed no more. The last key is followed by a new one. The code
/// for keys that do not exist is UNCONFIRMED.
pub(super) async fn delete(
    State(account): State<Arc<Account>>,
    Path((_, name)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let remove = move |keys: &mut Vec<SigningKey>| {
        let at = keys.iter().position(|key| key.name == name).ok_or_else(not_found)?;
        keys.remove(at);
        if keys.is_empty() {
            keys.push(SigningKey::random(DEFAULT.to_owned()));
        }
        Ok::<_, ApiError>(())
    };
    account.signing_keys.change(remove).await?;
    Ok(all(&account))
}

fn all(account: &Account) -> Response {
    envelope::success(KeyList { keys: &account.signing_keys.get() })
}

fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, 5404, "Signing key not found")
}
