//! Uploads through the server.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, instrument};

use super::incoming_file::IdentifiedFile;
use super::uploads::duplicate_to_taken;
use super::{CloudflareService, Error, IncomingFile, PictureProblem, SourceUrl, SourceUrlError, UploadRequest};
use crate::cloudflare::{self, ImageDetails, NewImageFields, UploadFile};
use crate::domain::{
    CloudflareId, Image, ImageChanges, ImageStatus, NewImage, Timestamp, UploadEvent, UploadUrl, User,
};
use crate::metrics::UploadStep;
use crate::store::{self, Transaction};

const OPERATION: &str = "Failed to upload image";
/// What a file is called at Cloudflare that has no name.
const UNNAMED: &str = "picture";

/// By when the parts of an upload have to be over, so that whoever waits for it is told in time what became of it.
#[derive(Debug, Clone, Copy)]
pub struct UploadDeadlines {
    /// By when the whole file has to be here.
    pub file: Instant,
    /// By when Cloudflare has to have answered.
    pub(super) answer: Instant,
    /// By when it has to be known what became of an upload whose answer was lost.
    end: Instant,
}

impl UploadDeadlines {
    /// Those of an upload that begins now and has to be over by `end`: a tenth of the time each is kept for Cloudflare's answer to the
    /// last byte, and to find out what became of an upload whose answer was lost.
    pub fn until(end: Instant) -> Self {
        let tenth = end.saturating_duration_since(Instant::now()) / 10;
        Self { file: end - 2 * tenth, answer: end - tenth, end }
    }
}

/// An image that was just made at Cloudflare, on its way into the database.
pub(super) struct Uploaded {
    pub(super) asked: NewImageFields,
    pub(super) original_filename: String,
    pub(super) details: ImageDetails,
    pub(super) content_type: Option<&'static str>,
    pub(super) file_size: Option<u64>,
    pub(super) by_staff: bool,
}

/// Why a file is not at Cloudflare, or may not be.
#[derive(Debug)]
pub(super) enum SendError {
    /// It was not sent to its end, and so there is no image of it.
    NotSent(PictureProblem),
    /// Cloudflare did not make an image of it, or it is not known whether it did.
    Cloudflare(cloudflare::Error),
}

impl CloudflareService {
    /// Uploads a file to Cloudflare as it comes in, and records its image as `uploaded`.
    ///
    /// 1. The first bytes must be those of a picture, whatever the client says that it is. Not a byte goes to Cloudflare before.
    /// 2. The bytes are passed on. Where the file turns out too large or is cut off, so is the upload, and Cloudflare makes no image of
    ///    it. Where Cloudflare does not answer in time, its answer counts as lost.
    /// 3. The image and its log row are written in one transaction. If that fails, the image at Cloudflare is deleted again; if that
    ///    fails, too, it is recorded for later deletion.
    ///
    /// From the last byte on, it goes on to its end when the client goes away. Where Cloudflare's answer is lost, the image is looked
    /// for by its custom id, and where that fails, too, recorded to be looked for and deleted later. Without a custom id, or where the
    /// process crashes before the image is recorded, an image is left there that is unknown here; where the answer was lost, the log
    /// says so.
    ///
    /// # Errors
    /// If the picture is not accepted, the custom id is taken, or something is left under it that cannot be deleted yet, Cloudflare
    /// refuses or cannot be reached, or the database fails.
    #[instrument(name = "service.uploads.file", skip_all, fields(user.id = %owner.id))]
    pub async fn upload_file(
        &self,
        owner: &User,
        request: UploadRequest,
        file: IncomingFile,
        deadlines: UploadDeadlines,
    ) -> Result<Image, Error> {
        self.require_free(request.custom_id.as_ref()).await?;
        let file = file.identify(self.settings.max_file_bytes).await?;
        let asked = self.image_with_defaults(&request);
        let original_filename = request.filename.unwrap_or_else(|| file.name.clone());
        let by_staff = request.by_staff;
        let (service, owner) = (self.clone(), owner.clone());
        self.run_to_end(async move {
            let content_type = Some(file.format.content_type());
            let (details, file_size) = service.send_file(&asked, file, deadlines).await?;
            let file_size = Some(file_size);
            let uploaded = Uploaded { asked, original_filename, details, content_type, file_size, by_staff };
            service.record_or_delete(&owner, uploaded).await
        })
        .await
    }

    /// Has Cloudflare fetch a picture from a URL, and records its image as `uploaded`, in the order of
    /// [`upload_file`](Self::upload_file). It goes on to its end when the client goes away.
    ///
    /// # Errors
    /// If Cloudflare cannot fetch the picture or does not take it, the custom id is taken, or something is left under it that cannot be
    /// deleted yet, Cloudflare cannot be reached, or the database fails.
    #[instrument(name = "service.uploads.url", skip_all, fields(user.id = %owner.id))]
    pub async fn upload_from_url(
        &self,
        owner: &User,
        request: UploadRequest,
        url: SourceUrl,
        deadlines: UploadDeadlines,
    ) -> Result<Image, Error> {
        self.require_free(request.custom_id.as_ref()).await?;
        let asked = self.image_with_defaults(&request);
        let original_filename = request.filename.unwrap_or_default();
        let by_staff = request.by_staff;
        let (service, owner, begun) = (self.clone(), owner.clone(), self.clock.now());
        self.run_to_end(async move {
            let uploading = service.client.upload_from_url(&asked, url.as_str(), deadlines.answer);
            let details = match uploading.await {
                Ok(details) => details,
                Err(cause) => service.resolve_upload(cause, &asked, begun, deadlines.end).await?,
            };
            let (content_type, file_size) = (None, None);
            let uploaded = Uploaded { asked, original_filename, details, content_type, file_size, by_staff };
            service.record_or_delete(&owner, uploaded).await
        })
        .await
    }

    /// Makes sure that a picture may be fetched from a URL: from the public Internet, but for an emulator on this machine, which
    /// fetches from wherever its developer likes.
    ///
    /// # Errors
    /// [`SourceUrlError::Private`].
    pub async fn require_fetchable(&self, url: &SourceUrl) -> Result<(), SourceUrlError> {
        if self.client.is_local() { Ok(()) } else { url.require_public().await }
    }

    /// Sends a file to Cloudflare; what became of it there, and its size in bytes.
    async fn send_file(
        &self,
        asked: &NewImageFields,
        file: IdentifiedFile,
        deadlines: UploadDeadlines,
    ) -> Result<(ImageDetails, u64), Error> {
        let (begun, progress) = (self.clock.now(), Arc::clone(&file.progress));
        let details = match self.send_once(asked, file, deadlines.answer).await {
            Ok(details) => details,
            Err(SendError::NotSent(problem)) => return Err(problem.into()),
            Err(SendError::Cloudflare(cause)) => self.resolve_upload(cause, asked, begun, deadlines.end).await?,
        };
        Ok((details, progress.bytes()))
    }

    /// Sends a file to Cloudflare, and has its answer by a time.
    pub(super) async fn send_once(
        &self,
        asked: &NewImageFields,
        file: IdentifiedFile,
        answer: Instant,
    ) -> Result<ImageDetails, SendError> {
        let IdentifiedFile { name, format, bytes, progress } = file;
        let name = if name.is_empty() { UNNAMED.to_owned() } else { name };
        let upload = UploadFile { name, content_type: format.content_type(), bytes: reqwest::Body::wrap(bytes) };
        match (self.client.upload_file(asked, upload, answer).await, progress.problem()) {
            (Ok(details), _) => Ok(details),
            (Err(_), Some(problem)) => Err(SendError::NotSent(problem)),
            (Err(cause), None) => Err(SendError::Cloudflare(cause)),
        }
    }

    /// What became of an upload that has failed for us: the image, where Cloudflare has made it all the same.
    async fn resolve_upload(
        &self,
        cause: cloudflare::Error,
        asked: &NewImageFields,
        begun: Timestamp,
        end: Instant,
    ) -> Result<ImageDetails, Error> {
        let found = if cause.may_have_taken_effect() { self.find_lost_upload(asked, begun, end).await } else { None };
        found.ok_or_else(|| refusal(cause, asked))
    }

    async fn record_or_delete(&self, owner: &User, uploaded: Uploaded) -> Result<Image, Error> {
        let id = uploaded.details.id.clone().ok_or_else(|| malformed("it has no id"))?;
        let is_custom = uploaded.asked.custom_id.is_some();
        let image = match self.record_uploaded(owner, &id, uploaded).await {
            Ok(image) => image,
            // Whoever recorded the id meanwhile has the same image.
            Err(Error::CustomIdTaken) => return Err(Error::CustomIdTaken),
            Err(error) => {
                self.delete_unrecorded(&id, is_custom).await;
                return Err(error);
            }
        };
        self.metrics().count_uploads(UploadStep::Uploaded, 1);
        info!(image.id = %image.id, image.cloudflare_id = ?image.cloudflare_id.as_str(), "Uploaded image {:?}", image.cloudflare_id.as_str());
        Ok(image)
    }

    async fn record_uploaded(&self, owner: &User, id: &CloudflareId, uploaded: Uploaded) -> Result<Image, Error> {
        let mut transaction = self.database.begin().await?;
        let image = self.insert_uploaded(&mut transaction, owner, id, uploaded).await?;
        transaction.commit().await?;
        Ok(image)
    }

    /// Records an image that is at Cloudflare, and in its log what Cloudflare said.
    ///
    /// # Errors
    /// [`Error::CustomIdTaken`] if it is recorded already, or if the id cannot be kept, or the database fails.
    pub(super) async fn insert_uploaded(
        &self,
        transaction: &mut Transaction,
        owner: &User,
        id: &CloudflareId,
        uploaded: Uploaded,
    ) -> Result<Image, Error> {
        let Uploaded { asked, original_filename, details, content_type, file_size, by_staff } = uploaded;
        if id.as_str().is_empty() || id.as_str().chars().count() > CloudflareId::MAX_CHARS {
            return Err(malformed("its id is empty or too long"));
        }
        let now = self.clock.now();
        let image = NewImage {
            cloudflare_id: id.clone(),
            user_id: owner.id,
            original_filename,
            upload_url: UploadUrl::new(""),
            require_signed_urls: details.require_signed_urls.unwrap_or(asked.require_signed_urls),
            metadata: asked.metadata,
            // As with images that were uploaded elsewhere, there is no URL that could be used any more.
            expires_at: now,
            creator: asked.creator,
        };
        let changes = ImageChanges {
            status: Some(ImageStatus::Uploaded),
            uploaded_at_fallback: Some(now),
            content_type: content_type.map(str::to_owned),
            file_size: file_size.and_then(|bytes| i32::try_from(bytes).ok()),
            ..details.changes(now)
        };
        let image = store::images::insert(transaction, &image, now).await.map_err(duplicate_to_taken)?;
        let image = store::images::apply(transaction, image.id, &changes, now).await?.ok_or(Error::NotFound)?;
        let event = UploadEvent::ImageUploaded { response: &details.raw };
        store::upload_logs::insert(transaction, image.id, &event, now).await?;
        if by_staff {
            let event = UploadEvent::StaffUpload { staff: owner, is_done: true };
            store::upload_logs::insert(transaction, image.id, &event, now).await?;
        }
        Ok(image)
    }
}

/// Why Cloudflare did not make an image.
pub(super) fn refusal(cause: cloudflare::Error, asked: &NewImageFields) -> Error {
    use cloudflare::Error as Cause;

    if cause.has_code(Cause::CUSTOM_ID_TAKEN) && asked.custom_id.is_some() {
        return Error::CustomIdTaken;
    }
    if cause.has_code(Cause::CUSTOM_ID_CANNOT_BE_PRIVATE) && asked.custom_id.is_some() {
        return Error::CustomIdCannotBePrivate;
    }
    if let Some(text) = cause.message_of(Cause::CUSTOM_ID_INVALID) {
        return Error::CustomIdRefused(text.to_owned());
    }
    let problems = [
        (Cause::NOT_FETCHED, PictureProblem::NotFetched),
        (Cause::WRONG_TYPE, PictureProblem::WrongType),
        (Cause::UNREADABLE, PictureProblem::Unreadable),
    ];
    let too_large = Cause::TOO_LARGE.map(|code| (code, PictureProblem::TooLargeForCloudflare));
    let known = problems.into_iter().chain(too_large).find(|(code, _)| cause.has_code(*code));
    match known {
        Some((_, problem)) => problem.into(),
        None => Error::Cloudflare { operation: OPERATION, cause },
    }
}

pub(super) fn malformed(why: &'static str) -> Error {
    Error::Cloudflare { operation: OPERATION, cause: cloudflare::Error::Malformed(why) }
}
