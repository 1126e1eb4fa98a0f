//! What pages say where something is wrong.

use std::any::Any;

use askama::Template;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response as HttpResponse, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use serde::Serialize;
use tracing::error;

use super::Admin;
use super::page::{Frame, render};
use super::text::visible;
use crate::domain::error_chain;
use crate::http::RequestContext;
use crate::http::access_log::ErrorKind;
use crate::http::rate_limit::Throttled;
use crate::service::{AccountError, SearchError};
use crate::{service, store};

/// Why a page is not shown.
#[derive(Debug)]
pub(super) enum PageError {
    /// Nobody is signed in: the way to the sign-in.
    SignInFirst {
        sign_in: String,
        is_htmx: bool,
    },
    /// Somebody is signed in who may not enter. The text says why.
    Forbidden(&'static str),
    /// A member of the staff is signed in who is no superuser.
    SuperusersOnly,
    /// What was sent makes no sense, in a sentence.
    BadRequest(&'static str),
    NotFound,
    MethodNotAllowed,
    /// There were too many requests.
    Throttled(Throttled),
    /// The time for a request was over.
    TookTooLong,
    /// A search that no index helps with was not done.
    Search(SearchError),
    /// The database fails, and may work a little later or not.
    Store(store::Error),
    /// Anything else that went wrong, which the log tells of.
    Internal,
}

/// What an error page says. An extension of answers, which become pages on their way out.
#[derive(Debug, Clone)]
struct ErrorText {
    title: &'static str,
    text: &'static str,
    /// Whether another account may help.
    offers_sign_in: bool,
}

#[derive(Template)]
#[template(path = "admin/error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    status: u16,
    title: &'a str,
    text: &'a str,
    offers_sign_in: bool,
    /// The name of the request in the log, where that tells more.
    request_id: Option<String>,
}

impl From<store::Error> for PageError {
    fn from(error: store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<Throttled> for PageError {
    fn from(throttled: Throttled) -> Self {
        Self::Throttled(throttled)
    }
}

impl From<SearchError> for PageError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Failed(error) => error.into(),
            error => Self::Search(error),
        }
    }
}

impl From<service::Error> for PageError {
    fn from(error: service::Error) -> Self {
        match error {
            service::Error::NotFound => Self::NotFound,
            service::Error::Store(error) => Self::Store(error),
            error => {
                error!(error = %error_chain(&error), "A page failed: {error}");
                Self::Internal
            }
        }
    }
}

impl From<AccountError> for PageError {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Store(error) => Self::Store(error),
            error => {
                error!(error = %error_chain(&error), "A page failed: {error}");
                Self::Internal
            }
        }
    }
}

/// Why something was not done, as a sentence.
pub(super) fn explain(error: &service::Error) -> String {
    const CUSTOM_ID: &str = "Cloudflare does not allow private images with a custom id. To make this one private, delete it and upload it \
                             again without its id.";
    let text = match error {
        service::Error::CustomIdCannotBecomePrivate => CUSTOM_ID.to_owned(),
        error => visible(&error.to_string()),
    };
    let (first, rest) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
    format!("{}{rest}{}", first.to_uppercase(), if rest.ends_with(['.', '!', '?']) { "" } else { "." })
}

impl From<getrandom::Error> for PageError {
    fn from(error: getrandom::Error) -> Self {
        error!(error = %error, "The system gave no random numbers: {error}");
        Self::Internal
    }
}

impl PageError {
    /// What is wrong, for those who count; none where nothing is.
    fn kind(&self) -> Option<ErrorKind> {
        Some(ErrorKind(match self {
            Self::SignInFirst { .. } => return None,
            Self::Forbidden(_) | Self::SuperusersOnly => "permission_denied",
            Self::BadRequest(_) => "unreadable",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Throttled(_) => "throttled",
            Self::TookTooLong | Self::Search(SearchError::TookTooLong) => "took_too_long",
            Self::Search(SearchError::Busy) => "busy",
            Self::Search(SearchError::Failed(error)) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Internal => "internal",
        }))
    }

    fn answer(self) -> Response {
        let offers_sign_in = matches!(self, Self::Forbidden(_));
        let (status, title, text) = match self {
            Self::SignInFirst { sign_in, is_htmx } => return to_sign_in(&sign_in, is_htmx),
            Self::Forbidden(text) => (StatusCode::FORBIDDEN, "You may not do that", text),
            Self::SuperusersOnly => (StatusCode::FORBIDDEN, "This is for superusers", FOR_SUPERUSERS),
            Self::BadRequest(text) => (StatusCode::BAD_REQUEST, "That cannot be read", text),
            Self::NotFound => {
                (StatusCode::NOT_FOUND, "There is nothing here", "The page does not exist, or what it showed is gone.")
            }
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "That is not how this works", "The page takes no such request.")
            }
            Self::Throttled(throttled) => {
                let response =
                    ([(header::RETRY_AFTER, throttled.seconds())], StatusCode::TOO_MANY_REQUESTS).into_response();
                let text = "There were more requests than this server takes at once. Wait a little, and try again.";
                return with_text(response, ErrorText { title: "Too many requests", text, offers_sign_in });
            }
            Self::TookTooLong => (
                StatusCode::SERVICE_UNAVAILABLE,
                "That took too long",
                "The time for a request was over. What was begun at Cloudflare may still be done: look at it again in a moment.",
            ),
            Self::Search(SearchError::Busy) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many searches are going on",
                "Others are searching at the moment. Try again in a moment.",
            ),
            Self::Search(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "That took too long",
                "The search was given up. Narrow it down by owner, status or days.",
            ),
            Self::Store(error) => {
                error!(error = %error_chain(&error), "The database failed: {error}");
                if error.is_transient() {
                    (
                        StatusCode::SERVICE_UNAVAILABLE,
                        "The database does not answer",
                        "It may work again in a moment. What you asked for last may have been done all the same: look before you ask again.",
                    )
                } else {
                    INTERNAL
                }
            }
            Self::Internal => INTERNAL,
        };
        with_text(status.into_response(), ErrorText { title, text, offers_sign_in })
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let kind = self.kind();
        let mut response = self.answer();
        if let Some(kind) = kind {
            response.extensions_mut().insert(kind);
        }
        response
    }
}

fn with_text(mut response: Response, text: ErrorText) -> Response {
    response.extensions_mut().insert(text);
    response
}

const FOR_SUPERUSERS: &str = "The account that you are signed in with is no superuser. Users, their tokens and the settings of the \
                              server are for superusers alone.";
const INTERNAL: (StatusCode, &str, &str) =
    (StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", "The server's log tells what it was.");

/// Scripts cannot follow a redirect to a page that is to replace the whole of theirs.
fn to_sign_in(sign_in: &str, is_htmx: bool) -> Response {
    let target = HeaderValue::from_str(sign_in).unwrap_or_else(|_| HeaderValue::from_static("/"));
    if is_htmx {
        (StatusCode::UNAUTHORIZED, [(HeaderName::from_static("hx-redirect"), target)]).into_response()
    } else {
        (StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response()
    }
}

/// The answer where a handler panicked.
#[expect(clippy::needless_pass_by_value, reason = "the layer passes it so")]
pub(super) fn panicked(cause: Box<dyn Any + Send>) -> HttpResponse<Body> {
    let text = cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    error!(error = text.unwrap_or("no message"), "A page panicked");
    let mut response = PageError::Internal.into_response();
    response.extensions_mut().insert(ErrorKind::PANIC);
    response
}

/// What scripts are told of an error that people get a page of.
#[derive(Serialize)]
pub(super) struct ErrorJson<'a> {
    pub(super) error: &'a str,
}

/// Writes the page of an error, or for a script its text; other answers stay as they are.
pub(super) fn as_page(admin: &Admin, is_script: bool, response: Response) -> Response {
    let Some(ErrorText { title, text, offers_sign_in }) = response.extensions().get::<ErrorText>().cloned() else {
        return response;
    };
    let kind = response.extensions().get::<ErrorKind>().copied().map(Extension);
    let status = response.status();
    let kept = |name: HeaderName| response.headers().get(&name).cloned().map(|value| (name, value));
    let kept = AppendHeaders([header::ALLOW, header::RETRY_AFTER].into_iter().filter_map(kept));
    if is_script {
        return (status, kind, kept, Json(ErrorJson { error: text })).into_response();
    }
    let request_id = RequestContext::current_id().filter(|_| status.is_server_error()).map(|id| id.to_string());
    let page =
        ErrorPage { frame: Frame::anonymous(admin), status: status.as_u16(), title, text, offers_sign_in, request_id };
    (status, kind, kept, render(&page)).into_response()
}
