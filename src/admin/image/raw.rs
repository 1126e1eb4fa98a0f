//! What Cloudflare says of an image at this moment.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};

use super::actions::failure;
use super::{json, read_id, without_upload_url};
use crate::admin::error::PageError;
use crate::admin::page::{Frame, Section, render};
use crate::admin::picture::name;
use crate::admin::{Admin, Staff};

#[derive(Template)]
#[template(path = "admin/image_raw.html")]
struct RawPage {
    frame: Frame,
    id: String,
    name: String,
    cloudflare_id: String,
    /// The answer with a line for each value, or why there is none.
    answer: Result<String, String>,
}

/// Asks Cloudflare, and shows the answer as it is. Nothing is recorded.
pub(in crate::admin) async fn show_raw(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    staff: Staff,
) -> Result<Response, PageError> {
    let (image, _) = admin.service.find_any_image(read_id(&id)?).await?;
    let (status, answer) = match admin.service.ask_about(&image).await {
        Ok(raw) => (axum::http::StatusCode::OK, Ok(json(&without_upload_url(image.upload_url.as_str(), raw.as_str())))),
        Err(error) => {
            let (status, text) = failure(error)?;
            (status, Err(text))
        }
    };
    let page = RawPage {
        frame: Frame::new(&admin, &staff, Section::Images),
        id: image.id.to_string(),
        name: name(&image, 120),
        cloudflare_id: image.cloudflare_id.as_str().to_owned(),
        answer,
    };
    Ok((status, render(&page)).into_response())
}
