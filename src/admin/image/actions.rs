//! What is done with an image at the press of a button.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::{Notice, page, read_id};
use crate::admin::error::{PageError, explain};
use crate::admin::page::render;
use crate::admin::{Admin, Staff, StaffForm};
use crate::domain::{ImageId, StaffAction};
use crate::service::{self, EditProblem, StaffOutcome};

/// Asks Cloudflare about the image.
pub(in crate::admin) async fn check_status(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    StaffForm { staff, .. }: StaffForm,
) -> Result<Response, PageError> {
    press(&admin, &staff, read_id(&id)?, &StaffAction::CheckStatus, "checked").await
}

/// Marks the upload as expired.
pub(in crate::admin) async fn mark_expired(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    StaffForm { staff, .. }: StaffForm,
) -> Result<Response, PageError> {
    press(&admin, &staff, read_id(&id)?, &StaffAction::MarkExpired, "expired").await
}

/// Does it, and goes back to the image, or shows there why it was not done.
async fn press(
    admin: &Admin,
    staff: &Staff,
    id: ImageId,
    action: &StaffAction,
    done: &str,
) -> Result<Response, PageError> {
    let (status, notice) = match admin.service.perform(action, id, &staff.user).await {
        Ok(StaffOutcome::Done) => return Ok(to_image(admin, id, done)),
        Ok(StaffOutcome::Unchanged(why)) => (StatusCode::CONFLICT, Notice { tone: "", text: why.to_string() }),
        Err(error) => {
            let (status, text) = failure(error)?;
            (status, Notice::bad(text))
        }
    };
    let (image, owner) = admin.service.find_any_image(id).await?;
    Ok((status, render(&page(admin, staff, &image, owner.as_ref(), Some(notice)).await?)).into_response())
}

/// The page of an image, which tells what was done.
pub(super) fn to_image(admin: &Admin, id: ImageId, done: &str) -> Response {
    Redirect::to(&admin.path(&format!("images/{id}/?done={done}"))).into_response()
}

/// Why an action failed, where its own page can say so.
pub(super) fn failure(error: service::Error) -> Result<(StatusCode, String), PageError> {
    let status = match &error {
        service::Error::NotFound | service::Error::Store(_) => return Err(error.into()),
        service::Error::Cloudflare { .. } => StatusCode::BAD_GATEWAY,
        service::Error::Edit(EditProblem::ChangedMeanwhile) => StatusCode::CONFLICT,
        service::Error::Edit(_) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    };
    Ok((status, explain(&error)))
}
