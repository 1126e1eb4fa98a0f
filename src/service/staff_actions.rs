//! What the staff do with images in the admin site, whoever owns them. Each image's log tells who did what.

use std::fmt;

use serde::{Deserialize, Serialize};
use tracing::{info, instrument, warn};

use super::deletions::{FailedDeletion, Picture};
use super::registration::Update;
use super::retry::retry;
use super::{CloudflareService, EditProblem, Error};
use crate::domain::{
    FieldChanges, Image, ImageEdit, ImageId, ImageStatus, Json, StaffActed, StaffAction, StaffEdit, Timestamp,
    UploadEvent, User,
};
use crate::store::{self, Transaction};

/// What became of an image that the staff did something with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StaffOutcome {
    /// It was done.
    Done,
    /// Nothing was done.
    Unchanged(Unchanged),
}

/// Why nothing had to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unchanged {
    /// It is private already.
    IsPrivate,
    /// It is public already.
    IsPublic,
    /// There is no picture whose privacy could be changed.
    NotUploaded,
    /// It is not `pending` or `draft`.
    NotWaiting,
    /// All is as it is to be.
    IsSame,
    /// It was deleted before.
    IsGone,
}

impl fmt::Display for Unchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::IsPrivate => "The image is private already.",
            Self::IsPublic => "The image is public already.",
            Self::NotUploaded => "The privacy can be changed when the picture is uploaded.",
            Self::NotWaiting => "Only pending images and drafts can be marked as expired.",
            Self::IsSame => "All is as it is to be already.",
            Self::IsGone => "The image was deleted already.",
        })
    }
}

/// A member of the staff, and what they do.
#[derive(Debug, Clone)]
pub(super) struct ByStaff {
    staff: User,
    action: StaffAction,
}

impl ByStaff {
    /// Writes into the log of an image that it was done.
    pub(super) async fn log(
        &self,
        transaction: &mut Transaction,
        before: &Image,
        after: &Image,
        now: Timestamp,
    ) -> Result<(), Error> {
        let changes = FieldChanges::between(before, after);
        let event =
            UploadEvent::StaffActed(StaffActed { staff: &self.staff, action: &self.action, changes, doubt: None });
        Ok(store::upload_logs::insert(transaction, after.id, &event, now).await?)
    }
}

impl CloudflareService {
    /// Does something with an image for a member of the staff, and logs it with the image: in one transaction with the change. The log of
    /// an image that is deleted goes with it, so this alone is in the server's log instead. Where Cloudflare's answer to a change is lost,
    /// or the record of what it deleted stays, the image's log says that somebody tried.
    ///
    /// It goes on to its end when the client goes away.
    ///
    /// # Errors
    /// [`Error::NotFound`] if the image is gone; [`Error::Edit`]; [`Error::InUse`] and the others of
    /// [`delete_image`](Self::delete_image) and [`update_image`](Self::update_image); otherwise if Cloudflare refuses or cannot be
    /// reached, or the database fails.
    #[instrument(name = "service.staff_actions.perform", skip_all, fields(image.id = %id, action = action.as_str()))]
    pub async fn perform(&self, action: &StaffAction, id: ImageId, staff: &User) -> Result<StaffOutcome, Error> {
        let by = ByStaff { staff: staff.clone(), action: action.clone() };
        let service = self.clone();
        self.run_to_end(async move { service.act(by, id).await }).await
    }

    async fn act(&self, by: ByStaff, id: ImageId) -> Result<StaffOutcome, Error> {
        let image = match (store::images::find(&self.database, id).await?, &by.action) {
            (Some(image), _) => image,
            (None, StaffAction::Delete { .. }) => return Ok(StaffOutcome::Unchanged(Unchanged::IsGone)),
            (None, _) => return Err(Error::NotFound),
        };
        match &by.action {
            StaffAction::CheckStatus => self.check_status(&image, Some(&by)).await.map(|_| StaffOutcome::Done),
            StaffAction::MarkExpired => self.mark_image_expired(id, &by).await,
            StaffAction::MakePrivate => self.set_privacy(image, true, by).await,
            StaffAction::MakePublic => self.set_privacy(image, false, by).await,
            StaffAction::Edit(edit) => self.edit_by_hand(image, edit, &by).await,
            StaffAction::Delete { force } => self.delete_for(&image, *force, &by).await,
        }
    }

    async fn mark_image_expired(&self, id: ImageId, by: &ByStaff) -> Result<StaffOutcome, Error> {
        retry(Error::is_conflict, async || {
            let now = self.clock.now();
            let mut transaction = self.database.begin().await?;
            let before = store::images::hold(&mut transaction, id).await?.ok_or(Error::NotFound)?;
            if !store::images::mark_expired(&mut transaction, id).await? {
                transaction.rollback().await?;
                return Ok(StaffOutcome::Unchanged(Unchanged::NotWaiting));
            }
            let after = Image { status: ImageStatus::Expired, ..before.clone() };
            by.log(&mut transaction, &before, &after, now).await?;
            transaction.commit().await?;
            self.count_end(Some(&before.status), &after.status);
            Ok(StaffOutcome::Done)
        })
        .await
    }

    async fn set_privacy(&self, image: Image, is_private: bool, by: ByStaff) -> Result<StaffOutcome, Error> {
        if !image.is_uploaded() {
            return Ok(StaffOutcome::Unchanged(Unchanged::NotUploaded));
        }
        if image.require_signed_urls == is_private {
            let why = if is_private { Unchanged::IsPrivate } else { Unchanged::IsPublic };
            return Ok(StaffOutcome::Unchanged(why));
        }
        self.update_for(image, Update { require_signed_urls: Some(is_private), by: Some(by), ..Update::default() })
            .await
    }

    async fn edit_by_hand(&self, image: Image, edit: &StaffEdit, by: &ByStaff) -> Result<StaffOutcome, Error> {
        let wanted = Wanted::of(edit, &image)?;
        if wanted.is_nothing() {
            return Ok(StaffOutcome::Unchanged(Unchanged::IsSame));
        }
        let Wanted { creator, original_filename, metadata } = wanted;
        if !image.is_uploaded() && creator.is_some() {
            return Err(EditProblem::CreatorWithoutPicture.into());
        }
        if image.is_uploaded() && (creator.is_some() || metadata.is_some()) {
            let metadata = metadata.and(edit.metadata.clone());
            let update = Update {
                metadata,
                require_signed_urls: None,
                creator,
                original_filename,
                by: Some(by.clone()),
                unless_changed: edit.seen.is_some(),
            };
            return self.update_for(image, update).await;
        }
        self.edit_here(&image, &ImageEdit { original_filename, metadata, ..ImageEdit::default() }, by).await
    }

    /// Changes the record alone, if it is as it was when it was looked at.
    async fn edit_here(&self, image: &Image, edit: &ImageEdit, by: &ByStaff) -> Result<StaffOutcome, Error> {
        retry(Error::is_conflict, async || {
            let now = self.clock.now();
            let mut transaction = self.database.begin().await?;
            let before = store::images::hold(&mut transaction, image.id).await?.ok_or(Error::NotFound)?;
            if before.updated_at != image.updated_at {
                transaction.rollback().await?;
                return Err(EditProblem::ChangedMeanwhile.into());
            }
            let after = store::images::edit(&mut transaction, &before, edit, now).await?.ok_or(Error::NotFound)?;
            by.log(&mut transaction, &before, &after, now).await?;
            transaction.commit().await?;
            Ok(StaffOutcome::Done)
        })
        .await
    }

    async fn update_for(&self, image: Image, update: Update) -> Result<StaffOutcome, Error> {
        let id = image.id;
        match self.update(image, &update).await {
            Ok(_) => Ok(StaffOutcome::Done),
            Err(error) => {
                if let Some(by) = update.by.as_ref().filter(|_| may_have_worked(&error)) {
                    self.log_doubt(by, id, error.to_string()).await;
                }
                Err(error)
            }
        }
    }

    async fn delete_for(&self, image: &Image, force: bool, by: &ByStaff) -> Result<StaffOutcome, Error> {
        let Err(FailedDeletion { error, picture }) = self.delete_by_keys(image.id, &image.cloudflare_id, force).await
        else {
            let (user, id) = (&by.staff, image.cloudflare_id.as_str());
            info!(user.id = %user.id, user.name = ?user.username, image.id = %image.id, image.cloudflare_id = ?id, force,
                "{:?} of the staff deleted image {id:?}", user.username);
            return Ok(StaffOutcome::Done);
        };
        match picture {
            Picture::Kept => {}
            Picture::Unsure => self.log_doubt(by, image.id, error.to_string()).await,
            Picture::Gone => {
                self.log_doubt(by, image.id, format!("Cloudflare did, and the record is still here: {error}")).await;
            }
        }
        Err(error)
    }

    /// Writes into the log of an image that somebody tried what may have worked.
    async fn log_doubt(&self, by: &ByStaff, id: ImageId, doubt: String) {
        if let Err(failure) = self.try_to_log_doubt(by, id, doubt).await {
            warn!(user.id = %by.staff.id, image.id = %id, error = %failure, "Could not log that {:?} tried to change an image: {failure}",
                by.staff.username);
        }
    }

    async fn try_to_log_doubt(&self, by: &ByStaff, id: ImageId, doubt: String) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        if store::images::hold(&mut transaction, id).await?.is_none() {
            return Ok(transaction.rollback().await?);
        }
        let (changes, doubt) = (FieldChanges::default(), Some(doubt));
        let event = UploadEvent::StaffActed(StaffActed { staff: &by.staff, action: &by.action, changes, doubt });
        store::upload_logs::insert(&mut transaction, id, &event, self.clock.now()).await?;
        Ok(transaction.commit().await?)
    }
}

/// Whether Cloudflare may have done what failed.
fn may_have_worked(error: &Error) -> bool {
    match error {
        Error::Cloudflare { cause, .. } => cause.may_have_taken_effect(),
        Error::Store(_) | Error::NewIdUnknown(_) => true,
        _ => false,
    }
}

/// What becomes different in an image by an edit.
struct Wanted {
    creator: Option<String>,
    original_filename: Option<String>,
    metadata: Option<Json>,
}

impl Wanted {
    fn of(edit: &StaffEdit, image: &Image) -> Result<Self, EditProblem> {
        if edit.seen.is_some_and(|seen| seen != image.updated_at) {
            return Err(EditProblem::ChangedMeanwhile);
        }
        let new = |text: &Option<String>, current: &str| text.clone().filter(|text| text != current);
        let (creator, original_filename) =
            (new(&edit.creator, &image.creator), new(&edit.original_filename, &image.original_filename));
        if !creator.as_deref().is_none_or(is_storable) {
            return Err(EditProblem::Creator);
        }
        if !original_filename.as_deref().is_none_or(is_storable) {
            return Err(EditProblem::FileName);
        }
        let metadata = edit.metadata.as_ref().map(|metadata| metadata.applied_to(&image.metadata));
        let metadata = metadata.filter(|metadata| !is_same(metadata, &image.metadata));
        metadata.as_ref().map_or(Ok(()), check_metadata)?;
        Ok(Self { creator, original_filename, metadata })
    }

    fn is_nothing(&self) -> bool {
        self.creator.is_none() && self.original_filename.is_none() && self.metadata.is_none()
    }
}

fn is_storable(text: &str) -> bool {
    text.chars().count() <= StaffEdit::MAX_CHARS && !text.contains('\0')
}

/// Whether two values are written alike but for spaces and escapes.
fn is_same(one: &Json, other: &Json) -> bool {
    let canonical = |json: &Json| Json::parse(json.as_str()).unwrap_or_else(|_| json.clone());
    canonical(one) == canonical(other)
}

/// What Cloudflare would refuse anyway, in words. It counts the bytes as it writes them itself, which is in the shortest form at best.
pub(super) fn check_metadata(metadata: &Json) -> Result<(), EditProblem> {
    if !metadata.is_object() {
        return Err(EditProblem::MetadataNoObject);
    }
    let shortest = serde_json::from_str::<serde_json::Value>(metadata.as_str()).map(|value| value.to_string());
    match shortest.map_or(0, |text| text.len()) {
        bytes if bytes > StaffEdit::MAX_METADATA_BYTES => Err(EditProblem::MetadataTooLong { bytes }),
        _ => Ok(()),
    }
}
