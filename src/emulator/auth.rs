//! Who may use the REST API.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::signature::secrets_match;

use super::Account;
use super::envelope::ApiError;

/// Lets requests with the account's token and id through, and writes the rate-limit headers on every answer.
pub(super) async fn guard(
    State(account): State<Arc<Account>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let standing = account.requests.count(account.clock.now(), account.faults.rate_limit());
    let mut response = match standing.check().and_then(|()| check(&account, &uri, request.headers())) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    standing.write(response.headers_mut());
    response
}

/// Lets requests with the account's token through, to what is no part of Cloudflare's API.
pub(super) async fn require_token(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    match check_token(&account, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn check(account: &Account, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    check_token(account, headers)?;
    let account_id = uri.path().strip_prefix("/client/v4/accounts/").and_then(|rest| rest.split('/').next());
    if account_id == Some(&account.id) { Ok(()) } else { Err(no_route(uri)) }
}

fn check_token(account: &Account, headers: &HeaderMap) -> Result<(), ApiError> {
    if bearer_token(headers).is_some_and(|token| secrets_match(&account.api_token, token)) {
        Ok(())
    } else {
        Err(ApiError::new(StatusCode::UNAUTHORIZED, 10000, "Authentication error"))
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

/// The error for paths that are no operation of this account.
pub(super) fn no_route(uri: &Uri) -> ApiError {
    let path = uri.path();
    let message = format!("Could not route to {path}, perhaps your object identifier is invalid?");
    ApiError::new(StatusCode::NOT_FOUND, 7003, message)
}
