//! Who is asking: Django's sessions and DRF's tokens, in the order of the configuration.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::ApiError;
use super::csrf::CsrfRules;
use super::view::ViewContext;
use crate::config::{AuthConfig, AuthMethod};
use crate::domain::User;
use crate::http::Cookies;
use crate::service::{Accounts, DjangoSessions, TokenError};
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
#[derive(Clone)]
pub struct Authentication(Arc<Rules>);

struct Rules {
    order: Vec<AuthMethod>,
    accounts: Accounts,
    /// Without the secret key of Django no session counts.
    sessions: Option<DjangoSessions>,
    session_cookie: String,
    csrf: CsrfRules,
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Authentication").field(&self.0.order).finish()
    }
}

/// What is known about the sender of a request.
#[derive(Debug)]
pub struct Identity {
    /// The sender; `None` where nothing was shown that proves who it is.
    pub result: Result<Option<User>, AuthError>,
    /// Whether the answer depends on cookies, so that `Vary` has to say so.
    pub looked_at_cookies: bool,
}

/// Why a request goes no further than to the question who sent it.
#[derive(Debug)]
pub enum AuthError {
    /// The token is not accepted: 401 with a challenge where tokens come first, else 403.
    NotAuthenticated(String),
    /// A page of another site may have sent it: 403.
    Csrf(String),
    /// The body, which may hold the token against forgeries, cannot be read.
    Unreadable(ApiError),
    /// The database failed.
    Store(store::Error),
}

impl From<store::Error> for AuthError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl Identity {
    /// Nobody, where nobody is asked for.
    pub(super) fn nobody(authentication: &Authentication) -> Self {
        Self { result: Ok(None), looked_at_cookies: authentication.challenge().is_none() }
    }
}

impl Authentication {
    /// The rules of a configuration. `sessions` are those of Django, where it shares its secret key.
    pub fn new(config: &AuthConfig, accounts: Accounts, sessions: Option<DjangoSessions>) -> Self {
        let csrf =
            CsrfRules::new(config.csrf_cookie.clone(), config.csrf_header.clone(), config.csrf_trusted_origins.clone());
        Self(Arc::new(Rules {
            order: config.order.methods().to_vec(),
            accounts,
            sessions,
            session_cookie: config.session_cookie.clone(),
            csrf,
        }))
    }

    /// Finds out who sent a request, and gives it back. Where the body had to be read, what it says is kept for
    /// [`RequestData`](super::RequestData).
    ///
    /// The first proof that is shown decides: a session that does not count is none, a token that does not count is an error.
    ///
    /// upstream: `rest_framework.request.Request._authenticate`
    pub async fn identify(&self, mut request: Request) -> (Request, Identity) {
        let mut looked_at_cookies = false;
        for method in &self.0.order {
            let result = match method {
                AuthMethod::Token => self.user_of_token(authorization(request.headers())).await,
                AuthMethod::Session => {
                    looked_at_cookies = true;
                    let result;
                    (request, result) = self.user_of_session(request).await;
                    result
                }
            };
            if !matches!(result, Ok(None)) {
                return (request, Identity { result, looked_at_cookies });
            }
        }
        (request, Identity { result: Ok(None), looked_at_cookies })
    }

    /// The header that may carry the token against forged requests.
    pub fn csrf_header(&self) -> &HeaderName {
        self.0.csrf.header()
    }

    /// Whether the pages of an origin belong to the site: `site` is its own origin.
    pub(super) fn is_trusted_origin(&self, origin: &str, site: &str) -> bool {
        self.0.csrf.is_trusted_origin(origin, site)
    }

    /// What `WWW-Authenticate` says to those who are not signed in; `None` where they get 403 without it.
    ///
    /// upstream: `rest_framework.views.APIView.get_authenticate_header`
    pub fn challenge(&self) -> Option<&'static str> {
        match self.0.order.first() {
            Some(AuthMethod::Token) => Some("Token"),
            Some(AuthMethod::Session) | None => None,
        }
    }

    /// A token against forged requests for a form of the page that asks; none where it has no cookie with one.
    pub fn token_for_form(&self, headers: &HeaderMap) -> Option<String> {
        self.0.csrf.token_for_form(headers)
    }

    async fn user_of_token(&self, header: Vec<u8>) -> Result<Option<User>, AuthError> {
        let refuse = |text: &str| AuthError::NotAuthenticated(text.to_owned());
        let Some(token) = read_token(&header).map_err(refuse)? else { return Ok(None) };
        match self.0.accounts.authenticate(token).await {
            Ok(user) => Ok(Some(user)),
            Err(TokenError::Store(error)) => Err(error.into()),
            Err(error) => Err(refuse(&error.to_string())),
        }
    }

    async fn user_of_session(&self, request: Request) -> (Request, Result<Option<User>, AuthError>) {
        let key = Cookies::of(request.headers()).get(&self.0.session_cookie);
        let (Some(sessions), Some(key)) = (&self.0.sessions, key) else { return (request, Ok(None)) };
        let user = match sessions.find_user(&key).await {
            Ok(Some(user)) => user,
            Ok(None) => return (request, Ok(None)),
            Err(error) => return (request, Err(error.into())),
        };
        let (request, checked) = self.0.csrf.check(request).await;
        (request, checked.map(|()| Some(user)))
    }
}

/// The header `Authorization`. Where it is repeated, it is one list to WSGI, and no proof.
fn authorization(headers: &HeaderMap) -> Vec<u8> {
    let values: Vec<&[u8]> = headers.get_all(header::AUTHORIZATION).iter().map(HeaderValue::as_bytes).collect();
    values.join(&b',')
}

/// Takes the token out of `Authorization: Token <key>`; `None` where the header is about something else.
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
    fn a_repeated_header_is_one_list() {
        let headers = ["Token a", "Token b"].map(|value| (header::AUTHORIZATION, HeaderValue::from_static(value)));
        assert_eq!(authorization(&headers.into_iter().collect()), b"Token a,Token b");
        assert_eq!(authorization(&HeaderMap::new()), b"");
    }

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
