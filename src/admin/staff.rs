//! Who is signed in.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::error::PageError;
use super::forms::CsrfToken;
use super::{Admin, DjangoSide};
use crate::domain::{AdminSession, User};
use crate::http::access_log::record_user;
use crate::http::rate_limit::{Caller, RequestGroup};
use crate::http::{Cookies, RequestContext};

/// The cookie of a session.
pub(super) const SESSION_COOKIE: &str = "cfimages_admin";
const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");

const NOT_STAFF: &str =
    "The account that you are signed in with on this site is no member of the staff. Sign in with another one.";

/// A member of the staff who is signed in. Without one there is no page.
#[derive(Debug)]
pub(super) struct Staff {
    pub(super) user: User,
    pub(super) csrf: CsrfToken,
    session: SignedInBy,
}

#[derive(Debug)]
enum SignedInBy {
    OwnSession(AdminSession),
    Django,
}

impl Staff {
    /// The session of the admin site; none for those whom Django's session lets in.
    pub(super) fn own_session(&self) -> Option<&AdminSession> {
        match &self.session {
            SignedInBy::OwnSession(session) => Some(session),
            SignedInBy::Django => None,
        }
    }

    /// Finds out who sent a request.
    pub(super) async fn of(parts: &mut Parts, admin: &Admin) -> Result<Self, PageError> {
        let (group, address) = (group(parts, admin), Caller::address(parts.extensions.get()));
        admin.limits.check(group, address)?;
        let staff = Self::find(&parts.headers, admin).await;
        let sender = staff.as_ref().ok().and_then(Option::as_ref).map(|staff| Caller::User(staff.user.id));
        admin.limits.count(group, sender.or(address))?;
        let staff = staff?.ok_or_else(|| PageError::SignInFirst {
            sign_in: sign_in_for(parts, admin),
            is_htmx: parts.headers.contains_key(HX_REQUEST),
        })?;
        record_user(staff.user.id);
        Ok(staff)
    }

    /// Whoever is signed in by our own session, or else by Django's; the former is the later choice.
    pub(super) async fn find(headers: &HeaderMap, admin: &Admin) -> Result<Option<Self>, PageError> {
        let cookies = Cookies::of(headers);
        if let Some(token) = cookies.first(SESSION_COOKIE)
            && let Some((session, user)) = admin.accounts.find_admin_session(&token).await?
        {
            let csrf = CsrfToken::of(&token);
            return Ok(Some(Self { user, csrf, session: SignedInBy::OwnSession(session) }));
        }
        let Some(DjangoSide { sessions, cookie }) = &admin.django else { return Ok(None) };
        let Some(key) = cookies.get(cookie) else { return Ok(None) };
        match sessions.find_user(&key).await? {
            Some(user) if user.is_staff => {
                Ok(Some(Self { user, csrf: CsrfToken::of(&key), session: SignedInBy::Django }))
            }
            Some(_) => Err(PageError::Forbidden(NOT_STAFF)),
            None => Ok(None),
        }
    }
}

/// What a request of the staff is counted as.
fn group(parts: &Parts, admin: &Admin) -> RequestGroup {
    match parts.method {
        Method::GET | Method::HEAD => RequestGroup::Read,
        _ if parts.uri.path().starts_with(&admin.path("upload/")) => RequestGroup::Upload,
        _ => RequestGroup::Write,
    }
}

impl FromRequestParts<Admin> for Staff {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, PageError> {
        Self::of(parts, admin).await
    }
}

/// A superuser who is signed in. Others get a page that says so.
#[derive(Debug)]
pub(super) struct Superuser(pub(super) Staff);

impl Superuser {
    /// Makes sure that a member of the staff is one.
    pub(super) fn require(staff: &Staff) -> Result<(), PageError> {
        if staff.user.is_superuser { Ok(()) } else { Err(PageError::SuperusersOnly) }
    }
}

impl FromRequestParts<Admin> for Superuser {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, admin: &Admin) -> Result<Self, PageError> {
        let staff = Staff::of(parts, admin).await?;
        Self::require(&staff)?;
        Ok(Self(staff))
    }
}

/// The sign-in that leads back to where somebody wanted to go.
fn sign_in_for(parts: &Parts, admin: &Admin) -> String {
    let sign_in = admin.path("sign-in/");
    let wanted = parts.uri.path_and_query().map_or("", |wanted| wanted.as_str());
    if parts.method != Method::GET || wanted == admin.home() || parts.headers.contains_key(HX_REQUEST) {
        return sign_in;
    }
    format!("{sign_in}?next={}", utf8_percent_encode(wanted, NON_ALPHANUMERIC))
}

/// A cookie for the admin site alone, which scripts cannot read. `max_age` is in seconds; 0 takes it away.
pub(super) fn cookie(admin: &Admin, context: &RequestContext, name: &str, value: &str, max_age: i64) -> HeaderValue {
    let secure = if context.origin.starts_with("https:") { "; Secure" } else { "" };
    let path = admin.home();
    let text = format!("{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
