//! `/_cfimages/faults`: the plan of faults, for tests in any language. Two segments are never the path of a picture.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::envelope::{self, ApiError, Payload};
use super::{Account, FaultPlan};

/// The path, at the root of the emulator. It takes the token of the account.
pub(in crate::emulator) const PATH: &str = "/_cfimages/faults";

/// `GET`: what is left of the plan, and how often each operation was called since it was made.
pub(in crate::emulator) async fn show(State(account): State<Arc<Account>>) -> Json<serde_json::Value> {
    Json(account.faults.report())
}

/// `PUT`: a new plan.
pub(in crate::emulator) async fn replace(
    State(account): State<Arc<Account>>,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let plan: FaultPlan = envelope::parse(&body)?;
    account.faults.set(plan).map_err(|error| ApiError::bad_request(error.to_string()))?;
    Ok(envelope::success(account.faults.report()))
}

/// `DELETE`: nothing goes wrong any more.
pub(in crate::emulator) async fn clear(State(account): State<Arc<Account>>) -> StatusCode {
    account.faults.clear();
    StatusCode::NO_CONTENT
}
