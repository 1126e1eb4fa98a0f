//! Who may use the REST API.

use std::sync::Arc;

use axum::extract::{OriginalUri, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::signature::secrets_match;

use super::envelope::ApiError;
use super::permissions::Permission;
use super::upload::drain;
use super::{Account, path};

/// Lets requests through that have a token of the account, its id, and the permission; writes the rate-limit headers on every answer.
pub(super) async fn guard(
    State(account): State<Arc<Account>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let standing = account.requests.count(account.clock.now(), account.faults.rate_limit());
    let checked = standing.check().and_then(|()| check(&account, request.method(), &uri, request.headers()));
    let mut response = pass(checked, request, next).await;
    standing.write(response.headers_mut());
    response
}

/// Lets requests through that have a batch token, to what batch tokens are for. They are not counted.
pub(super) async fn guard_batch(
    State(account): State<Arc<Account>>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let token = bearer_token(request.headers());
    let is_known = token.is_some_and(|token| account.tokens.is_batch_token(token, account.clock.now()));
    let checked = if is_known { check_encoding(&uri) } else { Err(authentication_error(StatusCode::UNAUTHORIZED)) };
    pass(checked, request, next).await
}

/// Goes on, or refuses. A client that is still sending a file gets to read why.
pub(super) async fn pass(checked: Result<(), ApiError>, request: Request, next: Next) -> Response {
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => {
            drain(request.into_body()).await;
            error.into_response()
        }
    }
}

/// Lets requests with the account's token through, to what is no part of Cloudflare's API.
pub(super) async fn require_token(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    if bearer_token(request.headers()).is_some_and(|token| secrets_match(&account.api_token, token)) {
        next.run(request).await
    } else {
        authentication_error(StatusCode::UNAUTHORIZED).into_response()
    }
}

fn check(account: &Account, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let allows = permissions(account, headers).ok_or_else(|| authentication_error(StatusCode::UNAUTHORIZED))?;
    let path = uri.path().strip_prefix("/client/v4/accounts/").and_then(|rest| rest.split_once('/'));
    let (_, path) = path.filter(|(id, _)| *id == account.id).ok_or_else(|| no_route(uri))?;
    check_encoding(uri)?;
    match Permission::needed(method, path) {
        Some(needed) if !allows(needed) => Err(authentication_error(StatusCode::FORBIDDEN)),
        _ => Ok(()),
    }
}

/// What the token of a request is good for; `None` where it is no token of the account.
fn permissions<'a>(account: &'a Account, headers: &HeaderMap) -> Option<impl Fn(Permission) -> bool + 'a> {
    let token = bearer_token(headers)?;
    let is_full = secrets_match(&account.api_token, token);
    let limited = account.limited_tokens.iter().find(|limited| secrets_match(&limited.token, token));
    (is_full || limited.is_some()).then_some(move |needed| is_full || limited.is_some_and(|token| token.allows(needed)))
}

fn bearer_token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token.trim_ascii())
}

/// Unknown tokens are 401, those without the permission 403.
fn authentication_error(status: StatusCode) -> ApiError {
    ApiError::new(status, 10000, "Authentication error")
}

/// A path that is not UTF-8 names nothing.
fn check_encoding(uri: &Uri) -> Result<(), ApiError> {
    path::decode(uri.path()).map(drop).ok_or_else(|| no_route(uri))
}

/// The error for paths that are no operation of this account.
pub(super) fn no_route(uri: &Uri) -> ApiError {
    let path = uri.path();
    let message = format!("Could not route to {path}, perhaps your object identifier is invalid?");
    ApiError::new(StatusCode::NOT_FOUND, 7003, message)
}
