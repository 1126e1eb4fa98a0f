//! Changes of privacy, after which Cloudflare may have an image under another id.
//!
//! The new id is in the answer alone. So that it is not lost with the answer, or with the process that waits for it, a change is noted
//! before it is made, and claimed until its outcome is recorded. What is still noted then is looked into by whoever sees to
//! [leftovers](super::leftovers), by the rules there.

use tracing::{error, info, warn};

use super::leftovers::{CLAIM_MINUTES, fits};
use super::registration::{MAX_CREATOR_CHARS, Update};
use super::retry::retry;
use super::{CloudflareService, Error};
use crate::cloudflare::{ImageDetails, ImageListFilter, ImagePage, ImageUpdate, ListedImage, PageToken};
use crate::domain::{
    CloudflareId, DeletionReason, Image, ImageId, ImageMarks, Json, NewPendingDeletion, PendingDeletion, RemoteChanges,
    Timestamp,
};
use crate::store::{self, CloudflareIdSet};

const OPERATION: &str = "Failed to find image";
/// When a change whose outcome is not known is looked into: Cloudflare is done with it by then.
const LOOK_AGAIN_MINUTES: i64 = 1;
/// How long before the end of its claim a search ends: what it finds has to be recorded by then.
const SEARCH_MARGIN_MINUTES: i64 = 1;

impl CloudflareService {
    /// Notes that an image may get another id. A change before whose outcome is not known yet is looked into first; the image may
    /// have another id by then.
    ///
    /// # Errors
    /// [`Error::BeingCleared`] while somebody else is at it; [`Error::NotCertainYet`] where Cloudflare may still be at the change before;
    /// [`Error::NewIdUnknown`]; otherwise if Cloudflare or the database fails.
    pub(super) async fn begin_access_change(
        &self,
        image: Image,
        asked: &Update,
    ) -> Result<(Image, PendingDeletion), Error> {
        self.clear_leftover(&image.cloudflare_id).await?;
        let image = store::images::find(&self.database, image.id).await?.ok_or(Error::NotFound)?;
        let is_busy = |error: &Error| matches!(error, Error::BeingCleared(_));
        let asked = asked.of(&image);
        let change = retry(is_busy, async || self.note_access_change(&image, &asked).await).await?;
        Ok((image, change))
    }

    async fn note_access_change(&self, image: &Image, asked: &ImageUpdate) -> Result<PendingDeletion, Error> {
        let now = self.clock.now();
        let change = NewPendingDeletion {
            marks: marks_of(image, asked),
            ..self.leftover(&image.cloudflare_id, DeletionReason::IdUnsure)
        };
        let claimed_until = now.plus_minutes(CLAIM_MINUTES);
        let mut transaction = self.database.begin().await?;
        let noted = store::pending_deletions::insert_claimed(&mut transaction, &change, now, claimed_until).await?;
        if noted.is_some() {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        noted.ok_or(Error::BeingCleared(change.cloudflare_id))
    }

    /// Forgets a change that is recorded or was not made, and leaves any other to be looked into.
    pub(super) async fn end_access_change(&self, change: &PendingDeletion, outcome: &Result<Image, Error>) {
        let ended = match outcome {
            Err(error) if leaves_doubt(error) => {
                let next = self.clock.now().plus_minutes(LOOK_AGAIN_MINUTES);
                self.records.give_back_leftover(change, &error.to_string(), next).await
            }
            _ => self.records.settle_leftover(change).await,
        };
        if let Err(error) = ended {
            let id = change.cloudflare_id.as_str();
            warn!(image.cloudflare_id = ?id, error = %error, "A change of privacy is looked into later: {error}");
        }
    }

    /// What a change whose answer was lost has come to: the image, where it has its id still and is as it was to be.
    pub(super) async fn find_changed(&self, id: &CloudflareId, update: &ImageUpdate) -> Option<ImageDetails> {
        let asked = ImageMarks {
            metadata: update.metadata.clone(),
            creator: update.creator.clone(),
            require_signed_urls: update.require_signed_urls,
            ..ImageMarks::default()
        };
        self.client.get_image(id).await.ok().filter(|details| fits(&asked, details))
    }

    /// Finds out what a change of privacy has come to, and records it. Where the record is gone by now, its image is to go, too, and
    /// noted to be deleted. Nothing is deleted here.
    pub(super) async fn follow_access_change(&self, change: &PendingDeletion) -> Result<(), Error> {
        let id = &change.cloudflare_id;
        let record = match change.marks.record {
            Some(record) => store::images::find(&self.database, record).await?,
            None => None,
        };
        if record.as_ref().is_some_and(|record| record.cloudflare_id != *id) {
            return Ok(());
        }
        match (self.client.get_image(id).await, record) {
            (Ok(details), Some(record)) if fits(&asked_in(&change.marks), &details) => {
                self.adopt(change, record.id, id, &details).await?;
            }
            // It was not made, or nobody is left to whom it matters.
            (Ok(_), _) => {}
            (Err(cause), record) if cause.is_not_found() => match (self.find_new_id(change).await?, record) {
                (Some((new_id, details)), Some(record)) => self.adopt(change, record.id, &new_id, &details).await?,
                (Some((new_id, _)), None) => self.leave_to_deletion(change, new_id).await?,
                (None, Some(_)) => return Err(tell_of_lost_id(change)),
                // It went with its record.
                (None, None) => {}
            },
            (Err(cause), _) => return Err(Error::cloudflare(OPERATION)(cause)),
        }
        Ok(())
    }

    /// Notes that an image whose record is gone is to be deleted under its new id, where it is certain that it is that image.
    async fn leave_to_deletion(&self, change: &PendingDeletion, new_id: CloudflareId) -> Result<(), Error> {
        if !are_telling(&change.marks) {
            return Err(Error::NewIdUncertain { id: change.cloudflare_id.clone(), candidate: new_id });
        }
        Ok(self.records.note_leftover(&self.leftover(&new_id, DeletionReason::Unrecorded)).await?)
    }

    /// The one image of Cloudflare's list that is not recorded and known by all marks of the change, as it is now; none if there is none.
    ///
    /// # Errors
    /// [`Error::NewIdUnknown`] if that cannot be told.
    async fn find_new_id(&self, change: &PendingDeletion) -> Result<Option<(CloudflareId, ImageDetails)>, Error> {
        let candidates = self.list_like(change).await?;
        let ids = candidates.iter().collect::<CloudflareIdSet>();
        let recorded = store::images::find_by_cloudflare_ids(&self.database, &ids).await?;
        let is_recorded = |id: &CloudflareId| recorded.iter().any(|image| image.cloudflare_id == *id);
        let mut unrecorded = candidates.into_iter().filter(|id| *id != change.cloudflare_id && !is_recorded(id));
        let id = match (unrecorded.next(), unrecorded.next()) {
            (None, _) => return Ok(None),
            (Some(id), None) => id,
            (Some(_), Some(_)) => return Err(tell_of_lost_id(change)),
        };
        match self.client.get_image(&id).await {
            Ok(details) => Ok(Some((id, details)).filter(|(_, details)| fits(&change.marks, details))),
            Err(cause) if cause.is_not_found() => Ok(None),
            Err(cause) => Err(Error::cloudflare(OPERATION)(cause)),
        }
    }

    /// All images of Cloudflare's list that are known by the marks of a change; the newest come first there.
    ///
    /// # Errors
    /// [`Error::NewIdUnknown`] if they are not found in the time of the claim, or it is not known where to stop.
    async fn list_like(&self, change: &PendingDeletion) -> Result<Vec<CloudflareId>, Error> {
        let (marks, claimed_until) = (&change.marks, change.claimed_until);
        let Some(uploaded) = marks.uploaded_from else { return Err(tell_of_lost_id(change)) };
        let is_over = || claimed_until.is_none_or(|end| self.clock.now() >= end.plus_minutes(-SEARCH_MARGIN_MINUTES));
        let mut pages = self.client.list_images(ImageListFilter::default(), None);
        let mut found = Vec::new();
        while !is_over() {
            let Some(page) = pages.next_page().await.map_err(Error::cloudflare(OPERATION))? else { return Ok(found) };
            let is_last = is_older(&page, uploaded);
            let is_like = |image: &ListedImage| image.id.is_storable() && fits(marks, &image.details);
            found.extend(page.images.into_iter().filter(is_like).map(|image| image.id));
            if is_last {
                return Ok(found);
            }
        }
        Err(tell_of_lost_id(change))
    }

    /// Records under which id an image goes on, and what it is like.
    async fn adopt(
        &self,
        change: &PendingDeletion,
        record: ImageId,
        new_id: &CloudflareId,
        details: &ImageDetails,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let is_ours = store::pending_deletions::settle(&mut transaction, change).await?;
        let current = store::images::hold(&mut transaction, record).await?;
        if !is_ours || current.is_none_or(|current| current.cloudflare_id != change.cloudflare_id) {
            return Ok(transaction.rollback().await?);
        }
        let ImageMarks { metadata, creator, require_signed_urls, .. } = change.marks.clone();
        let creator = creator.map(|creator| creator.chars().take(MAX_CREATOR_CHARS).collect());
        let changes = RemoteChanges { cloudflare_id: new_id.clone(), metadata, require_signed_urls, creator };
        store::images::change(&mut transaction, record, &changes).await?;
        store::images::apply(&mut transaction, record, &details.changes(now), now).await?;
        transaction.commit().await?;
        info!(image.id = %record, image.cloudflare_id = ?new_id.as_str(), "Found what a change of privacy has come to: image {:?} is {:?} now",
            change.cloudflare_id.as_str(), new_id.as_str());
        Ok(())
    }
}

/// What an image is known by whose privacy is to change. Cloudflare keeps the time of its upload to the millisecond.
fn marks_of(image: &Image, asked: &ImageUpdate) -> ImageMarks {
    ImageMarks {
        record: Some(image.id),
        metadata: asked.metadata.clone(),
        creator: asked.creator.clone(),
        require_signed_urls: asked.require_signed_urls,
        filename: Some(image.filename.clone()).filter(|filename| !filename.is_empty()),
        uploaded_from: image.uploaded_at,
        uploaded_until: image.uploaded_at,
    }
}

/// What was asked for, without what the image was known by before: under its old id, that is certain.
fn asked_in(marks: &ImageMarks) -> ImageMarks {
    ImageMarks { filename: None, uploaded_from: None, uploaded_until: None, ..marks.clone() }
}

/// Whether marks tell an image from all others so well that it may be deleted for them: others may have been uploaded within the same
/// millisecond, with the same privacy and the same name, but not with the same metadata, too.
fn are_telling(marks: &ImageMarks) -> bool {
    marks.metadata.as_ref().is_some_and(|metadata| *metadata != Json::default())
}

/// Says once what an operator can do about an image whose new id is not found.
fn tell_of_lost_id(change: &PendingDeletion) -> Error {
    let id = &change.cloudflare_id;
    let error = Error::NewIdUnknown(id.clone());
    if change.last_error != error.to_string() {
        error!(image.cloudflare_id = ?id.as_str(), "Image {:?} got another id at Cloudflare when its privacy changed, and that id was not \
            found. It is looked for again. If it is not found by tomorrow: `cfimages reconcile-account -v` lists \
            the images that are not recorded, and `cfimages leftovers forget` ends the search", id.as_str());
    }
    error
}

/// Whether a change may have been made, though it is not recorded.
fn leaves_doubt(error: &Error) -> bool {
    match error {
        Error::Cloudflare { cause, .. } => cause.may_have_taken_effect(),
        Error::CustomIdCannotBecomePrivate => false,
        _ => true,
    }
}

/// Whether all that comes after a page, the newest being first, was uploaded before a time.
fn is_older(page: &ImagePage<PageToken>, time: Timestamp) -> bool {
    let uploaded = |image: &ListedImage| image.details.uploaded;
    page.images.last().and_then(uploaded).is_some_and(|uploaded| uploaded < time)
}
