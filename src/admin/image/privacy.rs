//! Making an image private or public, after asking.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::actions::{failure, to_image};
use super::subject::Subject;
use crate::admin::error::PageError;
use crate::admin::page::{Frame, Section, render};
use crate::admin::picture::Thumbnail;
use crate::admin::{Admin, Staff, StaffForm};
use crate::domain::StaffAction;
use crate::service::StaffOutcome;

#[derive(Template)]
#[template(path = "admin/image_privacy.html")]
struct PrivacyPage {
    frame: Frame,
    csrf: String,
    subject: Subject,
    is_uploaded: bool,
    problem: Option<String>,
}

/// Says what will happen, and asks.
pub(in crate::admin) async fn ask_to_change_privacy(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    staff: Staff,
) -> Result<Response, PageError> {
    Ok(render(&page(&admin, &staff, &id, None).await?))
}

/// Makes the image what the form says: `private` or `public`.
pub(in crate::admin) async fn change_privacy(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let (action, done) = match form.get("privacy") {
        "private" => (StaffAction::MakePrivate, "private"),
        "public" => (StaffAction::MakePublic, "public"),
        _ => return Err(PageError::BadRequest("The form does not say whether the image is to be private or public.")),
    };
    let key = super::read_id(&id)?;
    let (status, problem) = match admin.service.perform(&action, key, &staff.user).await {
        Ok(StaffOutcome::Done) => return Ok(to_image(&admin, key, done)),
        Ok(StaffOutcome::Unchanged(why)) => (StatusCode::CONFLICT, why.to_string()),
        Err(error) => failure(error)?,
    };
    Ok((status, render(&page(&admin, &staff, &id, Some(problem)).await?)).into_response())
}

async fn page(admin: &Admin, staff: &Staff, id: &str, problem: Option<String>) -> Result<PrivacyPage, PageError> {
    let (image, subject) = Subject::find(admin, id).await?;
    let frame = Frame::new(admin, staff, Section::Images);
    Ok(PrivacyPage { frame, csrf: staff.csrf.to_string(), subject, is_uploaded: image.is_uploaded(), problem })
}
