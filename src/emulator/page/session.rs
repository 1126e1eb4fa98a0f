//! Letting in whoever presents the token, where others than this machine may reach the emulator. What a browser keeps is derived
//! from the token, so that nothing is kept here, and another token ends it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use crate::signature::{secrets_match, sign_hmac};

use super::query::parameters;
use super::{Account, problem};

/// Bytes of the form.
pub(super) const MAX_BODY: usize = 16 * 1024;

const COOKIE: &str = "cfimages_emulator";

/// `POST /_cfimages/session` with `token`.
pub(super) async fn create(State(account): State<Arc<Account>>, body: Bytes) -> Response {
    let form = String::from_utf8_lossy(&body);
    let token = parameters(&form).find(|(name, _)| name == "token").map(|(_, token)| token);
    if !token.is_some_and(|token| secrets_match(&account.api_token, token.trim().as_bytes())) {
        return problem(
            StatusCode::FORBIDDEN,
            "That is not the token",
            "The emulator printed its API token when it started.",
        );
    }
    let cookie = format!("{COOKIE}={}; Path=/; HttpOnly; SameSite=Strict", value(&account));
    ([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response()
}

/// Whether the browser has presented the token.
pub(super) fn is_open(account: &Account, headers: &HeaderMap) -> bool {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut own = cookies.flat_map(|all| all.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
    own.any(|(name, given)| name == COOKIE && secrets_match(&value(account), given.as_bytes()))
}

fn value(account: &Account) -> String {
    sign_hmac(&account.api_token, b"the page of the emulator")
}
