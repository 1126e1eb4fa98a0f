//! What all pages have around them.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use tracing::error;

use super::forms::CsrfToken;
use super::text::visible;
use super::{Admin, Staff};

/// The frame of a page: style sheets, scripts, and who is signed in.
#[derive(Debug)]
pub(super) struct Frame {
    /// The path of the admin site, with a slash at its end.
    pub(super) base: String,
    pub(super) tokens_css: String,
    pub(super) admin_css: String,
    pub(super) htmx_js: String,
    pub(super) admin_js: String,
    pub(super) logo: String,
    /// Which entry of the navigation leads here.
    pub(super) section: Section,
    /// Who looks at the page; `None` before the sign-in, and where something went wrong.
    pub(super) member: Option<Member>,
}

/// A member of the staff, as pages show one.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) csrf: CsrfToken,
    /// Whether pages for superusers are open.
    pub(super) is_superuser: bool,
    /// Whether the sign-in was ours, so that the sign-out can be.
    pub(super) has_own_session: bool,
}

/// An entry of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// None of them.
    Elsewhere,
    Dashboard,
    Images,
    Upload,
    Workbench,
    Logs,
    Usages,
    Webhooks,
    Repairs,
    Runs,
    Users,
    Settings,
    Sessions,
}

/// What a page says at its top of what was done, or was not.
#[derive(Debug)]
pub(super) struct Notice {
    /// The class that colours it.
    pub(super) tone: &'static str,
    pub(super) text: String,
}

impl Notice {
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { tone: "good", text: text.into() }
    }

    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { tone: "bad", text: text.into() }
    }
}

impl Frame {
    /// The frame of a page for a member of the staff.
    pub(super) fn new(admin: &Admin, staff: &Staff, section: Section) -> Self {
        let member = Member {
            name: visible(&staff.user.username),
            csrf: staff.csrf.clone(),
            is_superuser: staff.user.is_superuser,
            has_own_session: staff.own_session().is_some(),
        };
        Self { member: Some(member), section, ..Self::anonymous(admin) }
    }

    /// The frame of a page for anybody.
    pub(super) fn anonymous(admin: &Admin) -> Self {
        Self {
            base: admin.path(""),
            tokens_css: admin.asset("tokens.css"),
            admin_css: admin.asset("admin.css"),
            htmx_js: admin.asset("vendor/htmx-2.0.11.min.js"),
            admin_js: admin.asset("admin.js"),
            logo: admin.asset("logo.svg"),
            section: Section::Elsewhere,
            member: None,
        }
    }

    /// What marks the entry of the navigation that leads here.
    pub(super) fn current(&self, section: Section) -> &'static str {
        if self.section == section { "page" } else { "false" }
    }
}

/// Writes a page.
pub(super) fn render(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => Html(html).into_response(),
        Err(cause) => {
            error!(error = %cause, "A page cannot be written: {cause}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
