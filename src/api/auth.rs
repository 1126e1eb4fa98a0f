//! Who is asking: DRF's token authentication.

use axum::extract::{FromRef, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;

use super::ApiError;
use crate::domain::User;
use crate::http::access_log;
use crate::service::Accounts;

/// The user who sent the request.
#[derive(Debug, Clone)]
pub struct Principal(pub User);

impl<S> FromRequestParts<S> for Principal
where
    Accounts: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let header = parts.headers.get(header::AUTHORIZATION).map(axum::http::HeaderValue::as_bytes);
        let token =
            read_token(header.unwrap_or_default()).map_err(|text| ApiError::NotAuthenticated(text.to_owned()))?;
        let user = Accounts::from_ref(state).authenticate(token).await?;
        access_log::record_user(user.id);
        Ok(Self(user))
    }
}

/// Takes the token out of `Authorization: Token <key>`.
fn read_token(header: &[u8]) -> Result<&str, &'static str> {
    const NOT_PROVIDED: &str = "Authentication credentials were not provided.";
    let words: Vec<&[u8]> = header.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [keyword, ..] if !keyword.eq_ignore_ascii_case(b"token") => Err(NOT_PROVIDED),
        [] => Err(NOT_PROVIDED),
        [_] => Err("Invalid token header. No credentials provided."),
        [_, key] => std::str::from_utf8(key)
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
            assert_eq!(read_token(header.as_bytes()), Ok("abc"), "{header}");
        }
        for header in ["", "Bearer abc", "Basic YTpi", "abc"] {
            assert_eq!(read_token(header.as_bytes()), Err("Authentication credentials were not provided."), "{header}");
        }
        assert_eq!(read_token(b"Token"), Err("Invalid token header. No credentials provided."));
        assert_eq!(read_token(b"Token a b"), Err("Invalid token header. Token string should not contain spaces."));
        assert_eq!(
            read_token(b"Token \xff"),
            Err("Invalid token header. Token string should not contain invalid characters.")
        );
    }
}
