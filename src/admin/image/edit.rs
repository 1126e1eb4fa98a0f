//! Changing what is kept with an image.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::actions::{failure, to_image};
use super::subject::Subject;
use super::{Notice, metadata_text, read_id};
use crate::admin::error::PageError;
use crate::admin::forms::ReadForm;
use crate::admin::page::{Frame, Section, render};
use crate::admin::picture::Thumbnail;
use crate::admin::text::visible;
use crate::admin::{Admin, Staff, StaffForm};
use crate::domain::{Image, MetadataEdit, StaffAction, StaffEdit, Timestamp};
use crate::service::{self, EditProblem, StaffOutcome};

#[derive(Template)]
#[template(path = "admin/image_edit.html")]
struct EditorPage {
    frame: Frame,
    csrf: String,
    subject: Subject,
    is_uploaded: bool,
    fields: Fields,
    said: Said,
    /// What somebody else has changed the image to.
    theirs: Vec<Theirs>,
}

/// What the form holds.
struct Fields {
    creator: String,
    original_filename: String,
    /// None where they are too long for a form.
    metadata: Option<String>,
    /// When the image had been changed last that was looked at.
    seen: String,
}

impl Fields {
    fn of(image: &Image) -> Self {
        Self {
            creator: image.creator.clone(),
            original_filename: image.original_filename.clone(),
            metadata: metadata_text::to_text(&image.metadata),
            seen: image.updated_at.to_string(),
        }
    }

    fn read(form: &ReadForm) -> Self {
        let text = |name: &str| form.get(name).to_owned();
        Self {
            creator: text("creator"),
            original_filename: text("original_filename"),
            metadata: form.fields.get("metadata").map(str::to_owned),
            seen: text("seen"),
        }
    }

    /// What is to be changed in the image; fields that are as the browser got them are not.
    fn edit(&self, image: &Image) -> Result<StaffEdit, EditError> {
        let seen = self.seen.parse::<Timestamp>().map_err(|_| EditError::Unreadable)?;
        let metadata =
            self.metadata.as_deref().map(metadata_text::from_text).transpose().map_err(EditError::Metadata)?;
        let changed =
            |typed: &String, current: &str| Some(typed.clone()).filter(|_| as_typed(typed) != as_typed(current));
        Ok(StaffEdit {
            creator: changed(&self.creator, &image.creator),
            original_filename: changed(&self.original_filename, &image.original_filename),
            metadata: metadata.map(MetadataEdit::Replace),
            seen: Some(seen),
        })
    }

    /// The values that are in the record by now, where they are others.
    fn theirs(&self, now: &Self) -> Vec<Theirs> {
        let lines = |fields: &Self| fields.metadata.clone().unwrap_or_default().replace("\r\n", "\n");
        let differs = [
            ("Creator", as_typed(&self.creator) != as_typed(&now.creator), &now.creator),
            (
                "File name",
                as_typed(&self.original_filename) != as_typed(&now.original_filename),
                &now.original_filename,
            ),
            ("Metadata", lines(self) != lines(now), &lines(now)),
        ];
        let others = differs.into_iter().filter(|(_, differs, _)| *differs);
        others.map(|(label, _, current)| Theirs { label, value: visible(current) }).collect()
    }
}

/// What a browser makes of a text in a field of one line, as far as that can be told: it leaves line breaks out, and may other characters
/// that nobody can type.
fn as_typed(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER).collect()
}

enum EditError {
    Unreadable,
    Metadata(String),
}

/// A value that is in the record by now.
struct Theirs {
    label: &'static str,
    value: String,
}

/// What the page says to a form that was sent.
struct Said {
    status: StatusCode,
    notice: Option<Notice>,
    creator: Option<String>,
    original_filename: Option<String>,
    metadata: Option<String>,
    /// Whether somebody else changed the image meanwhile.
    is_conflict: bool,
}

impl Default for Said {
    fn default() -> Self {
        let (notice, creator, original_filename, metadata) = Default::default();
        Self { status: StatusCode::OK, notice, creator, original_filename, metadata, is_conflict: false }
    }
}

impl Said {
    fn of_whole(notice: Notice) -> Self {
        Self { notice: Some(notice), ..Self::default() }
    }

    fn of_metadata(why: String) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, metadata: Some(why), ..Self::default() }
    }

    /// Puts a refusal where it belongs.
    fn of_refusal(error: service::Error) -> Result<Self, PageError> {
        const CONFLICT: &str = "Somebody changed the image while you had this page open. What you typed is still here. Save it again to \
                                put it in the place of theirs.";
        let problem = if let service::Error::Edit(problem) = &error { Some(*problem) } else { None };
        let (status, text) = failure(error)?;
        let mut said = Self { status, ..Self::default() };
        match problem {
            Some(EditProblem::Creator | EditProblem::CreatorWithoutPicture) => said.creator = Some(text),
            Some(EditProblem::FileName) => said.original_filename = Some(text),
            Some(EditProblem::MetadataNoObject | EditProblem::MetadataTooLong { .. }) => said.metadata = Some(text),
            Some(EditProblem::ChangedMeanwhile) => {
                said.is_conflict = true;
                said.notice = Some(Notice::bad(CONFLICT.to_owned()));
            }
            None => said.notice = Some(Notice::bad(text)),
        }
        Ok(said)
    }
}

/// Shows the form.
pub(in crate::admin) async fn show_editor(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    staff: Staff,
) -> Result<Response, PageError> {
    let (image, subject) = Subject::find(&admin, &id).await?;
    let fields = Fields::of(&image);
    Ok(render(&EditorPage::new(&admin, &staff, &image, subject, fields)))
}

/// Saves what was typed, or, where that is what was asked for, shows the metadata in order.
pub(in crate::admin) async fn edit(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    const TOO_LONG: &str = "This is too long to be put in order.";
    let mut fields = Fields::read(&form);
    let (image, _) = Subject::find(&admin, &id).await?;
    let said = match fields.edit(&image) {
        Err(EditError::Unreadable) => return Err(PageError::BadRequest("The form is not complete. Open it anew.")),
        Err(EditError::Metadata(why)) => Said::of_metadata(why),
        Ok(StaffEdit { metadata: Some(MetadataEdit::Replace(metadata)), .. }) if form.get("do") == "format" => {
            match metadata_text::to_text(&metadata) {
                Some(text) => {
                    fields.metadata = Some(text);
                    Said::default()
                }
                None => Said::of_metadata(TOO_LONG.to_owned()),
            }
        }
        Ok(edit) => {
            let id = read_id(&id)?;
            match admin.service.perform(&StaffAction::Edit(edit), id, &staff.user).await {
                Ok(StaffOutcome::Done) => return Ok(to_image(&admin, id, "edited")),
                Ok(StaffOutcome::Unchanged(why)) => Said::of_whole(Notice { tone: "", text: why.to_string() }),
                Err(error) => Said::of_refusal(error)?,
            }
        }
    };
    let (image, subject) = Subject::find(&admin, &id).await?;
    // The answer to the button that puts the text in order is a part of the page for scripts, which take no failure as one.
    let status = if form.get("do") == "format" { StatusCode::OK } else { said.status };
    let mut page = EditorPage::new(&admin, &staff, &image, subject, fields);
    if said.is_conflict {
        // Whoever sends the form again has seen what it is now.
        let now = Fields::of(&image);
        page.theirs = page.fields.theirs(&now);
        page.fields.seen = now.seen;
    }
    page.said = said;
    Ok((status, render(&page)).into_response())
}

impl EditorPage {
    fn new(admin: &Admin, staff: &Staff, image: &Image, subject: Subject, fields: Fields) -> Self {
        Self {
            frame: Frame::new(admin, staff, Section::Images),
            csrf: staff.csrf.to_string(),
            subject,
            is_uploaded: image.is_uploaded(),
            fields,
            said: Said::default(),
            theirs: Vec::new(),
        }
    }
}
