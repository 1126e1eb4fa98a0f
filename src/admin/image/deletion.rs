//! Deleting an image, after asking.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::actions::failure;
use super::subject::Subject;
use crate::admin::error::PageError;
use crate::admin::page::{Frame, Section, render};
use crate::admin::picture::Thumbnail;
use crate::admin::{Admin, Staff, StaffForm};
use crate::domain::StaffAction;
use crate::service;

#[derive(Template)]
#[template(path = "admin/image_delete.html")]
struct DeletionPage {
    frame: Frame,
    csrf: String,
    subject: Subject,
    problem: Option<String>,
}

/// Says what will happen, and asks.
pub(in crate::admin) async fn ask_to_delete(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    staff: Staff,
) -> Result<Response, PageError> {
    let (_, subject) = Subject::find(&admin, &id).await?;
    Ok(render(&page(&admin, &staff, subject, None)))
}

/// Deletes the image. `force` says that content may use it.
pub(in crate::admin) async fn delete(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let action = StaffAction::Delete { force: form.get("force") == "on" };
    let deleted = admin.service.perform(&action, super::read_id(&id)?, &staff.user).await;
    // What was deleted before is as it was to be.
    let Err(error) = deleted else { return Ok(Redirect::to(&admin.path("images/?done=deleted")).into_response()) };
    let (status, problem) = match error {
        // The page lists the content.
        service::Error::InUse => {
            let problem = "Content uses the image. Say that you want to delete it all the same, or keep it.";
            (StatusCode::CONFLICT, problem.to_owned())
        }
        error => failure(error)?,
    };
    let (_, subject) = Subject::find(&admin, &id).await?;
    Ok((status, render(&page(&admin, &staff, subject, Some(problem)))).into_response())
}

fn page(admin: &Admin, staff: &Staff, subject: Subject, problem: Option<String>) -> DeletionPage {
    let frame = Frame::new(admin, staff, Section::Images);
    DeletionPage { frame, csrf: staff.csrf.to_string(), subject, problem }
}
