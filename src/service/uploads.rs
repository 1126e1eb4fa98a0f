//! Handing out upload URLs.

use tracing::{info, instrument};

use super::{CloudflareService, Error};
use crate::cloudflare::{self, DirectUpload, DirectUploadRequest, NewImageFields};
use crate::domain::{CloudflareId, Image, ImageStatus, Json, NewImage, UploadEvent, User};
use crate::metrics::UploadStep;
use crate::store;

const OPERATION: &str = "Failed to create upload URL";
/// Cloudflare's limits for the life of an upload URL, in minutes.
const EXPIRY_MINUTES: std::ops::RangeInclusive<i64> = 2..=360;
/// The most characters of an upload URL that the database keeps.
const MAX_UPLOAD_URL_CHARS: usize = 500;

/// A wish for an upload URL or an upload. What is `None` comes from the settings.
#[derive(Debug, Clone, Default)]
pub struct UploadRequest {
    /// An id of the client's own, 1 to 255 characters.
    pub custom_id: Option<CloudflareId>,
    /// Laid over the default metadata: an object.
    pub metadata: Option<Json>,
    /// Whether the picture is private.
    pub require_signed_urls: Option<bool>,
    /// Minutes until the upload URL ends; kept within 2 to 360. Says nothing to an upload through the server.
    pub expiry_minutes: Option<i64>,
    /// The name of the file, for reference.
    pub filename: Option<String>,
    /// Cloudflare's `creator`; empty for none, whatever the default.
    pub creator: Option<String>,
    /// Whether the owner acts as a member of the staff, in the admin site; the image's log then says so.
    pub by_staff: bool,
}

impl CloudflareService {
    /// Gets a one-time upload URL from Cloudflare and records the image as `pending`.
    ///
    /// Cloudflare is asked first, then the image and its log row are written in one transaction. If that fails, or Cloudflare's answer
    /// is lost or makes no sense, the draft at Cloudflare is deleted again, so that its custom id is free for another try; if that
    /// fails, too, it is recorded for later deletion. All of it goes on to its end when the client goes away. A draft without a custom
    /// id whose answer was lost, or that is left by a crash in between, is in no list and expires by itself.
    ///
    /// # Errors
    /// If the custom id is taken, or something is left under it that cannot be deleted yet, Cloudflare refuses or cannot be reached, or
    /// the database fails.
    #[instrument(name = "service.uploads.create", skip_all, fields(user.id = %owner.id))]
    pub async fn create_direct_upload_url(&self, owner: &User, request: UploadRequest) -> Result<Image, Error> {
        self.require_free(request.custom_id.as_ref()).await?;
        let asked = self.with_defaults(&request);
        let (service, owner) = (self.clone(), owner.clone());
        self.run_to_end(async move { service.create_and_record(&owner, request, asked).await }).await
    }

    /// Whether there is an image with this id, whoever owns it.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_taken(&self, id: &CloudflareId) -> Result<bool, Error> {
        Ok(store::images::find_by_cloudflare_id(&self.database, id).await?.is_some())
    }

    async fn create_and_record(
        &self,
        owner: &User,
        request: UploadRequest,
        asked: DirectUploadRequest,
    ) -> Result<Image, Error> {
        let upload = match self.client.create_direct_upload(&asked).await {
            Ok(upload) => upload,
            Err(cause) => {
                // Somebody may have taken the id since it was looked up: the draft is theirs then.
                self.require_unknown(asked.image.custom_id.as_ref()).await?;
                if cause.may_have_taken_effect() {
                    self.delete_lost_draft(&asked.image).await;
                }
                return Err(to_error(cause, &asked.image));
            }
        };
        let is_custom = asked.image.custom_id.is_some();
        let image = match self.record_upload(owner, request, asked, &upload).await {
            Ok(image) => image,
            // Whoever took the id meanwhile has the same draft.
            Err(Error::CustomIdTaken) => return Err(Error::CustomIdTaken),
            Err(error) => {
                self.delete_unrecorded(&upload.id, is_custom).await;
                return Err(error);
            }
        };
        self.metrics().count_uploads(UploadStep::Created, 1);
        // Not the id at Cloudflare, which is all of an upload URL that is not known to everybody.
        info!(image.id = %image.id, "Created direct upload URL for image {}", image.id);
        Ok(image)
    }

    /// Counts that an upload has come to its end, where that is news.
    pub(super) fn count_end(&self, before: Option<&ImageStatus>, after: &ImageStatus) {
        let step = match after {
            ImageStatus::Uploaded => UploadStep::Uploaded,
            ImageStatus::Failed => UploadStep::Failed,
            ImageStatus::Expired => UploadStep::Expired,
            _ => return,
        };
        if before != Some(after) {
            self.metrics().count_uploads(step, 1);
        }
    }

    pub(super) async fn require_unknown(&self, custom_id: Option<&CloudflareId>) -> Result<(), Error> {
        match custom_id {
            Some(id) if self.is_taken(id).await? => Err(Error::CustomIdTaken),
            _ => Ok(()),
        }
    }

    /// Makes sure that a custom id is free here, and that nothing of ours is left under it at Cloudflare.
    pub(super) async fn require_free(&self, custom_id: Option<&CloudflareId>) -> Result<(), Error> {
        self.require_unknown(custom_id).await?;
        match custom_id {
            Some(id) => self.clear_leftover(id).await,
            None => Ok(()),
        }
    }

    fn with_defaults(&self, request: &UploadRequest) -> DirectUploadRequest {
        let minutes = request.expiry_minutes.unwrap_or(self.settings.default_expiry_minutes);
        DirectUploadRequest {
            image: self.image_with_defaults(request),
            expiry: self.clock.now().plus_minutes(minutes.clamp(*EXPIRY_MINUTES.start(), *EXPIRY_MINUTES.end())),
        }
    }

    /// What the image of a request is to be like.
    pub(super) fn image_with_defaults(&self, request: &UploadRequest) -> NewImageFields {
        let settings = &self.settings;
        let default_metadata = &settings.default_metadata;
        NewImageFields {
            custom_id: request.custom_id.clone(),
            metadata: request
                .metadata
                .as_ref()
                .map_or_else(|| default_metadata.clone(), |own| default_metadata.merged_with(own)),
            require_signed_urls: request.require_signed_urls.unwrap_or(settings.require_signed_urls),
            creator: request.creator.clone().unwrap_or_else(|| settings.default_creator.clone()),
        }
    }

    async fn record_upload(
        &self,
        owner: &User,
        request: UploadRequest,
        asked: DirectUploadRequest,
        upload: &DirectUpload,
    ) -> Result<Image, Error> {
        let unfit = |what| Error::Cloudflare { operation: OPERATION, cause: cloudflare::Error::Malformed(what) };
        let upload_url = upload.upload_url.clone().ok_or_else(|| unfit("it has no upload URL"))?;
        let response = upload.result.as_ref().ok_or_else(|| unfit("it cannot be stored"))?;
        let now = self.clock.now();
        let image = NewImage {
            cloudflare_id: upload.id.clone(),
            user_id: owner.id,
            original_filename: request.filename.unwrap_or_default(),
            upload_url,
            require_signed_urls: asked.image.require_signed_urls,
            metadata: asked.image.metadata,
            expires_at: asked.expiry,
            creator: asked.image.creator,
        };
        require_storable(&image)?;
        let mut transaction = self.database.begin().await?;
        let image = store::images::insert(&mut transaction, &image, now).await.map_err(duplicate_to_taken)?;
        let event = UploadEvent::UploadUrlCreated { response };
        store::upload_logs::insert(&mut transaction, image.id, &event, now).await?;
        if request.by_staff {
            let event = UploadEvent::StaffUpload { staff: owner, is_done: false };
            store::upload_logs::insert(&mut transaction, image.id, &event, now).await?;
        }
        transaction.commit().await?;
        Ok(image)
    }
}

fn to_error(cause: cloudflare::Error, asked: &NewImageFields) -> Error {
    if asked.custom_id.is_some() && cause.has_code(cloudflare::Error::CUSTOM_ID_CANNOT_BE_PRIVATE) {
        return Error::CustomIdCannotBePrivate;
    }
    Error::Cloudflare { operation: OPERATION, cause }
}

/// Tells that somebody else took the custom id.
pub(super) fn duplicate_to_taken(error: store::Error) -> Error {
    match error {
        store::Error::Duplicate(_) => Error::CustomIdTaken,
        error => error.into(),
    }
}

/// Makes sure that what Cloudflare answered fits the columns.
fn require_storable(image: &NewImage) -> Result<(), Error> {
    let unfit = |what| Error::Cloudflare { operation: OPERATION, cause: cloudflare::Error::Malformed(what) };
    if image.cloudflare_id.as_str().is_empty() || image.cloudflare_id.as_str().chars().count() > CloudflareId::MAX_CHARS
    {
        return Err(unfit("its id is empty or too long"));
    }
    if image.upload_url.as_str().chars().count() > MAX_UPLOAD_URL_CHARS {
        return Err(unfit("its upload URL is too long"));
    }
    Ok(())
}
