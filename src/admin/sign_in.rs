//! Signing in and out.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};

use super::error::PageError;
use super::forms::{CsrfToken, ReadForm};
use super::page::{Frame, render};
use super::staff::{SESSION_COOKIE, cookie};
use super::{Admin, Staff, StaffForm};
use crate::domain::AdminSession;
use crate::http::query::Query;
use crate::http::rate_limit::{Caller, RequestGroup};
use crate::http::{Cookies, RequestContext};
use crate::service::{AdminSignInError, Browser, SessionToken, SignInError};

/// The cookie that the token of the sign-in form belongs to, as there is no session yet.
const FORM_COOKIE: &str = "cfimages_admin_form";
/// How long the form may stay open, in seconds.
const FORM_SECONDS: i64 = 24 * 60 * 60;

#[derive(Template)]
#[template(path = "admin/sign_in.html")]
struct SignInPage<'a> {
    frame: Frame,
    csrf: CsrfToken,
    next: &'a str,
    username: &'a str,
    problem: Option<String>,
}

/// Shows the form; who is signed in already goes on.
pub(super) async fn show(
    State(admin): State<Admin>,
    Extension(context): Extension<RequestContext>,
    request: Request,
) -> Result<Response, PageError> {
    let query = Query::parse(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let next = next_page(&admin, query.get("next").unwrap_or_default());
    match Staff::find(request.headers(), &admin).await {
        Ok(Some(_)) => return Ok(Redirect::to(&next).into_response()),
        // Somebody whom Django knows, and who is no member of the staff, may be one under another name.
        Ok(None) | Err(PageError::Forbidden(_)) => {}
        Err(error) => return Err(error),
    }
    let secret = match form_secret(&Cookies::of(request.headers())) {
        Some(secret) => secret,
        None => SessionToken::random()?.as_str().to_owned(),
    };
    let page = SignInPage {
        frame: Frame::anonymous(&admin),
        csrf: CsrfToken::of(&secret),
        next: &next,
        username: "",
        problem: None,
    };
    // The same cookie again, for another while.
    let cookie = cookie(&admin, &context, FORM_COOKIE, &secret, FORM_SECONDS);
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), render(&page)).into_response())
}

/// The secret of a browser that has the form, in the form that we gave it.
fn form_secret(cookies: &Cookies) -> Option<String> {
    let is_ours = |secret: &String| secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    cookies.first(FORM_COOKIE).filter(is_ours)
}

/// Takes the form.
pub(super) async fn submit(
    State(admin): State<Admin>,
    Extension(context): Extension<RequestContext>,
    request: Request,
) -> Result<Response, PageError> {
    admin.limits.count(RequestGroup::SignIn, Caller::address(Some(&context)))?;
    let headers = request.headers().clone();
    let cookies = Cookies::of(&headers);
    let form = ReadForm::read(request).await?;
    // Without the cookie there is no secret that anybody could know the token of.
    let secret = form_secret(&cookies).ok_or(PageError::Forbidden(NO_COOKIES))?;
    let csrf = CsrfToken::of(&secret);
    csrf.check(&form)?;
    let (username, next) = (form.get("username"), next_page(&admin, form.get("next")));
    let browser = Browser { client: context.client, user_agent: user_agent(&headers) };

    let error = match admin.accounts.begin_admin_session(username, form.get("password"), browser).await {
        Ok((_, token)) => {
            end_former_session(&admin, &cookies).await?;
            let set = [
                cookie(&admin, &context, SESSION_COOKIE, token.as_str(), AdminSession::MAX_MINUTES * 60),
                cookie(&admin, &context, FORM_COOKIE, "", 0),
            ];
            let set = set.map(|cookie| (header::SET_COOKIE, cookie));
            return Ok((AppendHeaders(set), Redirect::to(&next)).into_response());
        }
        Err(error) => error,
    };
    let (status, problem, wait) = refusal(error)?;
    let page = SignInPage { frame: Frame::anonymous(&admin), csrf, next: &next, username, problem: Some(problem) };
    let wait = wait.map(|wait| (header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1))));
    Ok((status, AppendHeaders(wait), render(&page)).into_response())
}

const NO_COOKIES: &str =
    "The browser did not send the cookie that came with the form. Allow cookies for this site, and reload the form.";
const REFUSED: &str = "The user name or the password is wrong, or the account may not enter.";

/// What the form says to those who are not let in, and how long they have to wait.
fn refusal(error: AdminSignInError) -> Result<(StatusCode, String, Option<Duration>), PageError> {
    match error {
        AdminSignInError::SignIn(SignInError::Refused) => {
            Ok((StatusCode::UNPROCESSABLE_ENTITY, REFUSED.to_owned(), None))
        }
        AdminSignInError::SignIn(SignInError::Throttled { wait }) => {
            let minutes = wait.as_secs().div_ceil(60).max(1);
            let unit = if minutes == 1 { "minute" } else { "minutes" };
            let text = format!("Too many attempts failed. Try again in {minutes} {unit}.");
            Ok((StatusCode::TOO_MANY_REQUESTS, text, Some(wait)))
        }
        AdminSignInError::SignIn(SignInError::Store(error)) => Err(error.into()),
        AdminSignInError::Random(error) => Err(error.into()),
    }
}

/// Every sign-in has a token of its own: the one before ends.
async fn end_former_session(admin: &Admin, cookies: &Cookies) -> Result<(), PageError> {
    if let Some(token) = cookies.first(SESSION_COOKIE)
        && let Some((session, user)) = admin.accounts.find_admin_session(&token).await?
    {
        admin.accounts.end_admin_session(&user, session.id).await?;
    }
    Ok(())
}

/// Ends the session. One of Django's is Django's to end, and where it lets the user in still, a page says so.
pub(super) async fn sign_out(
    State(admin): State<Admin>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    StaffForm { staff, .. }: StaffForm,
) -> Result<Response, PageError> {
    if let Some(session) = staff.own_session() {
        admin.accounts.end_admin_session(&staff.user, session.id).await?;
    }
    let gone = cookie(&admin, &context, SESSION_COOKIE, "", 0);
    let is_let_in = matches!(Staff::find(&headers, &admin).await, Ok(Some(_)));
    let page = if is_let_in { "sessions/?done=signed-out" } else { "sign-in/" };
    Ok((AppendHeaders([(header::SET_COOKIE, gone)]), Redirect::to(&admin.path(page))).into_response())
}

fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default()
}

/// Where to go after the sign-in: a page of the admin site, or its first one.
fn next_page(admin: &Admin, wanted: &str) -> String {
    let home = admin.home();
    let is_page = |path: &str| {
        let escapes = ["..", "%2e", "//", "\\", "%5c"];
        let lower = path.to_ascii_lowercase();
        path.starts_with(&home)
            && !path.starts_with(&admin.path("sign-"))
            && path.bytes().all(|byte| byte.is_ascii_graphic())
            && !escapes.iter().any(|escape| lower.contains(escape))
    };
    let path = wanted.split(['?', '#']).next().unwrap_or_default();
    if is_page(path) && wanted.bytes().all(|byte| byte.is_ascii_graphic()) { wanted.to_owned() } else { home }
}
