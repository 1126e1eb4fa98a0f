//! Where somebody is signed in, and ending that.

use askama::Template;
use axum::extract::State;
use axum::http::Uri;
use axum::response::{IntoResponse, Redirect, Response};

use super::error::PageError;
use super::page::{Frame, Section, render};
use super::text::{Moment, browser_name, visible};
use super::{Admin, Staff, StaffForm};

#[derive(Template)]
#[template(path = "admin/sessions.html")]
struct SessionsPage {
    frame: Frame,
    csrf: String,
    sessions: Vec<SessionLine>,
    has_others: bool,
    is_by_django: bool,
    /// Whether a session here was just ended, and that of the site goes on.
    is_signed_out: bool,
}

struct SessionLine {
    id: i64,
    browser: String,
    user_agent: String,
    client: String,
    signed_in: Moment,
    last_seen: Moment,
    expires: Moment,
    is_this: bool,
}

/// Lists where the user is signed in.
pub(super) async fn list(State(admin): State<Admin>, staff: Staff, uri: Uri) -> Result<Response, PageError> {
    let this = staff.own_session().map(|session| session.id);
    let now = admin.service.clock().now();
    let sessions = admin.accounts.list_admin_sessions(&staff.user).await?;
    let sessions: Vec<_> = sessions
        .into_iter()
        .map(|session| SessionLine {
            id: session.id,
            browser: browser_name(&session.user_agent),
            user_agent: visible(&session.user_agent),
            client: session.client.unwrap_or_else(|| "unknown address".to_owned()),
            signed_in: Moment::new(session.created_at, now),
            last_seen: Moment::new(session.last_seen_at, now),
            expires: Moment::new(session.expires_at, now),
            is_this: Some(session.id) == this,
        })
        .collect();
    let page = SessionsPage {
        csrf: staff.csrf.to_string(),
        has_others: sessions.iter().any(|session| !session.is_this),
        is_by_django: this.is_none(),
        is_signed_out: this.is_none() && uri.query() == Some("done=signed-out"),
        sessions,
        frame: Frame::new(&admin, &staff, Section::Sessions),
    };
    Ok(render(&page))
}

/// Ends one of the user's sessions. One that has ended meanwhile is as it should be.
pub(super) async fn end(
    State(admin): State<Admin>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let id = form.get("session").parse().map_err(|_| PageError::BadRequest("The form names no session."))?;
    admin.accounts.end_admin_session(&staff.user, id).await?;
    Ok(Redirect::to(&admin.path("sessions/")).into_response())
}

/// Ends all sessions of the user but this one.
pub(super) async fn end_others(
    State(admin): State<Admin>,
    StaffForm { staff, .. }: StaffForm,
) -> Result<Response, PageError> {
    let this = staff.own_session().map(|session| session.id);
    admin.accounts.end_other_admin_sessions(&staff.user, this).await?;
    Ok(Redirect::to(&admin.path("sessions/")).into_response())
}
