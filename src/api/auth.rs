//! Who is asking: DRF's token authentication.

use axum::extract::{FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;

use super::ApiError;
use super::view::ViewContext;
use crate::domain::User;
use crate::service::{Accounts, TokenError};
use crate::store;

/// The user who sent the request.
#[derive(Debug, Clone)]
pub struct Principal(pub User);

impl<S: Send + Sync> FromRequestParts<S> for Principal {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let user = parts.extensions.get::<ViewContext>().and_then(|context| context.user.clone());
        user.map(Self).ok_or_else(|| ApiError::not_provided(None))
    }
}

/// The rules by which requests prove who sends them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Authentication {
    accounts: Accounts,
}

/// Who is asking.
pub struct Identity {
    /// The user; nobody where the request does not say.
    pub result: Result<Option<User>, AuthError>,
    /// Whether cookies could have made a difference.
    pub looked_at_cookies: bool,
}

/// Why a request is not let in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// What should prove who is asking does not.
    #[error("{0}")]
    NotAuthenticated(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Identity {
    /// Nobody, where nobody is asked for.
    pub(super) fn nobody(authentication: &Authentication) -> Self {
        Self { result: Ok(None), looked_at_cookies: authentication.challenge().is_none() }
    }
}

impl Authentication {
    /// The rules for the accounts in a database.
    pub fn new(accounts: Accounts) -> Self {
        Self { accounts }
    }

    /// What a client that is not let in is asked for, where that can be said.
    pub fn challenge(&self) -> Option<&'static str> {
        None
    }

    /// Finds out who is asking.
    pub async fn identify(&self, request: Request) -> (Request, Identity) {
        let header = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
        let result = match read_token(&header.unwrap_or_default()) {
            Ok(None) => Ok(None),
            Ok(Some(token)) => match self.accounts.authenticate(token).await {
                Ok(user) => Ok(Some(user)),
                Err(TokenError::Store(error)) => Err(AuthError::Store(error)),
                Err(error) => Err(AuthError::NotAuthenticated(error.to_string())),
            },
            Err(text) => Err(AuthError::NotAuthenticated(text.to_owned())),
        };
        (request, Identity { result, looked_at_cookies: true })
    }
}

/// Takes the token out of `Authorization: Token <key>`.
fn read_token(header: &[u8]) -> Result<Option<&str>, &'static str> {
    let words: Vec<&[u8]> = header.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [keyword, ..] if !keyword.eq_ignore_ascii_case(b"token") => Ok(None),
        [] => Ok(None),
        [_] => Err("Invalid token header. No credentials provided."),
        [_, key] => std::str::from_utf8(key)
            .map(Some)
            .map_err(|_| "Invalid token header. Token string should not contain invalid characters."),
        _ => Err("Invalid token header. Token string should not contain spaces."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_as_drf_reads_it() {
        for header in ["Token abc", "token abc", "TOKEN  abc", "Token\tabc "] {
            assert_eq!(read_token(header.as_bytes()), Ok(Some("abc")), "{header}");
        }
        for header in ["", "Bearer abc", "Basic YTpi", "abc"] {
            assert_eq!(read_token(header.as_bytes()), Ok(None), "{header}");
        }
        assert_eq!(read_token(b"Token"), Err("Invalid token header. No credentials provided."));
        assert_eq!(read_token(b"Token a b"), Err("Invalid token header. Token string should not contain spaces."));
        assert_eq!(
            read_token(b"Token \xff"),
            Err("Invalid token header. Token string should not contain invalid characters.")
        );
    }
}
