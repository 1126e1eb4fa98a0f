//! What the API answers with.

use serde::Serialize;
use utoipa::ToSchema;

use super::FieldErrors;
use super::fields::{INVALID_URL, check_urls, is_url};
use crate::domain::{
    Image, ImageId, ImageKey, ImageStats, ImageStatus, ImageUsage, Json, LogEntry, Timestamp, UploadUrl,
};
use crate::service::{self, BulkDeletion, BulkOutcome, ImageLinks, NotTried, PictureUrl};

/// A one-time upload URL and the image it is for.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadUrlResponse {
    /// The key of the image here.
    #[schema(value_type = uuid::Uuid)]
    pub id: ImageId,
    /// The key of the image at Cloudflare.
    #[schema(example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")]
    pub cloudflare_id: String,
    /// Post the file here, as `multipart/form-data` in the part `file`. Good for one upload.
    #[schema(value_type = String, format = "uri", example = "https://upload.imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f")]
    pub upload_url: UploadUrl,
    /// When the upload URL ends.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub expires_at: Timestamp,
    /// `pending`.
    #[schema(value_type = String, example = "pending")]
    pub status: ImageStatus,
    /// What is kept with the image: the request's metadata over the default.
    #[schema(value_type = Object, example = json!({"project": "alpha"}))]
    pub metadata: Json,
    /// Where the picture will be, where the account hash is configured.
    #[schema(
        required,
        format = "uri",
        example = "https://imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f/public"
    )]
    pub public_url: Option<String>,
}

impl UploadUrlResponse {
    /// Describes an image that waits for its upload.
    ///
    /// # Errors
    /// If Cloudflare gave no URL for the upload.
    pub fn new(image: Image, links: &ImageLinks) -> Result<Self, FieldErrors> {
        if !is_url(image.upload_url.as_str()) {
            return Err(FieldErrors::of("upload_url", INVALID_URL));
        }
        Ok(Self {
            public_url: links.future_public_url(&image),
            id: image.id,
            cloudflare_id: image.cloudflare_id.as_str().to_owned(),
            upload_url: image.upload_url,
            expires_at: image.expires_at,
            status: image.status,
            metadata: image.metadata,
        })
    }
}

/// An image.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageResponse {
    /// The key of the image here.
    #[schema(value_type = uuid::Uuid)]
    pub id: ImageId,
    /// The key of the image at Cloudflare.
    #[schema(example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")]
    pub cloudflare_id: String,
    /// The name of the uploaded file; may be empty.
    #[schema(example = "photo.jpg")]
    pub filename: String,
    /// The name that the client gave with the request for the upload URL; may be empty.
    #[schema(example = "photo.jpg")]
    pub original_filename: String,
    /// The MIME type; may be empty.
    #[schema(example = "image/jpeg")]
    pub content_type: String,
    /// The size of the file in bytes, where known.
    #[schema(required, example = 48213)]
    pub file_size: Option<i64>,
    /// The one-time URL for the upload; may be empty.
    #[schema(value_type = String, example = "")]
    pub upload_url: UploadUrl,
    /// `pending`, `draft`, `uploaded`, `failed` or `expired`.
    #[schema(value_type = String, example = "uploaded")]
    pub status: ImageStatus,
    /// Whether the picture is delivered with signed URLs only.
    pub require_signed_urls: bool,
    /// What the client wants kept with the image; any JSON.
    #[schema(value_type = Value, example = json!({"project": "alpha"}))]
    pub metadata: Json,
    /// When the image was recorded.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub created_at: Timestamp,
    /// When the record was last changed.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub updated_at: Timestamp,
    /// When Cloudflare got the picture.
    #[schema(required, value_type = Option<chrono::DateTime<chrono::Utc>>, example = "2026-03-15T10:00:04Z")]
    pub uploaded_at: Option<Timestamp>,
    /// When the upload URL ends.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub expires_at: Timestamp,
    /// The delivery URLs as Cloudflare listed them: an array, in old rows also an object or a string.
    #[schema(value_type = Value, example = json!(["https://imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f/public"]))]
    pub variants: Json,
    /// The metadata as Cloudflare has it; any JSON.
    #[schema(value_type = Value)]
    pub cloudflare_metadata: Json,
    /// Where the picture is, at the configured delivery domain.
    #[schema(
        required,
        example = "https://imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f/public"
    )]
    pub public_url: Option<String>,
    /// Where a preview is.
    #[schema(
        required,
        example = "https://imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f/thumbnail"
    )]
    pub thumbnail_url: Option<String>,
    /// Whether the upload URL has ended.
    pub is_expired: bool,
    /// Whether the picture is at Cloudflare.
    pub is_uploaded: bool,
    /// Where a private picture is for the next hour; only where a signing key is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, format = "uri")]
    pub signed_public_url: Option<PictureUrl>,
    /// Where a preview of a private picture is for the next hour; not where previews are made by options, which cannot be signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false, format = "uri")]
    pub signed_thumbnail_url: Option<PictureUrl>,
    /// When both end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>, nullable = false)]
    pub signed_until: Option<Timestamp>,
}

impl ImageResponse {
    /// Describes an image as of `now`.
    pub fn new(image: Image, links: &ImageLinks, now: Timestamp) -> Self {
        let signed = links.signed(&image, now);
        let signed_until = signed.as_ref().map(|links| links.until);
        let (signed_public_url, signed_thumbnail_url) =
            signed.map_or((None, None), |links| (links.public_url, links.thumbnail_url));
        Self {
            signed_public_url,
            signed_thumbnail_url,
            signed_until,
            public_url: links.public_url(&image),
            thumbnail_url: links.thumbnail_url(&image),
            is_expired: image.is_expired(now),
            is_uploaded: image.is_uploaded(),
            id: image.id,
            cloudflare_id: image.cloudflare_id.as_str().to_owned(),
            filename: image.filename,
            original_filename: image.original_filename,
            content_type: image.content_type,
            file_size: image.file_size,
            upload_url: image.upload_url,
            status: image.status,
            require_signed_urls: image.require_signed_urls,
            metadata: image.metadata,
            created_at: image.created_at,
            updated_at: image.updated_at,
            uploaded_at: image.uploaded_at,
            expires_at: image.expires_at,
            variants: image.variants.as_json().clone(),
            cloudflare_metadata: image.cloudflare_metadata,
        }
    }
}

/// A page of images.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageListResponse {
    /// How many images there are in all.
    pub count: u64,
    /// The next page.
    #[schema(required, format = "uri")]
    pub next: Option<String>,
    /// The page before.
    #[schema(required, format = "uri")]
    pub previous: Option<String>,
    /// The images of this page, newest first.
    pub results: Vec<ImageResponse>,
}

/// How far the upload of an image has come.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageStatusResponse {
    /// The key of the image here.
    #[schema(value_type = uuid::Uuid)]
    pub id: ImageId,
    /// The key of the image at Cloudflare.
    #[schema(example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")]
    pub cloudflare_id: String,
    /// `pending`, `draft`, `uploaded`, `failed` or `expired`.
    #[schema(value_type = String, example = "uploaded")]
    pub status: ImageStatus,
    /// When Cloudflare got the picture.
    #[schema(required, value_type = Option<chrono::DateTime<chrono::Utc>>, example = "2026-03-15T10:00:04Z")]
    pub uploaded_at: Option<Timestamp>,
    /// The delivery URLs as Cloudflare listed them.
    #[schema(value_type = Vec<String>, example = json!(["https://imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f/public"]))]
    pub variants: Json,
    /// Where the picture is, at the configured delivery domain.
    #[schema(
        required,
        format = "uri",
        example = "https://imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f/public"
    )]
    pub public_url: Option<String>,
    /// Where a preview is.
    #[schema(
        required,
        format = "uri",
        example = "https://imagedelivery.net/ZWd9g1K7eljCn_KDTu_MWA/2cdc28f0-017a-49c4-9ed7-87056c83901f/thumbnail"
    )]
    pub thumbnail_url: Option<String>,
    /// Whether the picture is at Cloudflare.
    pub is_uploaded: bool,
    /// Whether the upload URL has ended.
    pub is_expired: bool,
}

impl ImageStatusResponse {
    /// Describes the state of an image as of `now`.
    pub fn new(image: &Image, links: &ImageLinks, now: Timestamp) -> Self {
        Self {
            id: image.id,
            cloudflare_id: image.cloudflare_id.as_str().to_owned(),
            status: image.status.clone(),
            uploaded_at: image.uploaded_at,
            variants: image.variants.as_json().clone(),
            public_url: links.public_url(image),
            thumbnail_url: links.thumbnail_url(image),
            is_uploaded: image.is_uploaded(),
            is_expired: image.is_expired(now),
        }
    }

    /// Makes sure that the variants are a list of absolute URLs: the toolkit checks its own answer, after it was recorded.
    ///
    /// # Errors
    /// If they are not.
    pub fn check(&self) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        check_urls(&mut errors, "variants", self.variants.as_raw());
        for (name, url) in [("public_url", &self.public_url), ("thumbnail_url", &self.thumbnail_url)] {
            if url.as_ref().is_some_and(|url| !is_url(url)) {
                errors.add(name, INVALID_URL);
            }
        }
        errors.into_result()
    }
}

/// What became of several images that were to be deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkDeleteResponse {
    /// In the order in which they were named, those by their keys here first.
    pub results: Vec<DeletionResult>,
}

/// What became of an image that was to be deleted.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeletionResult {
    /// The key of the image here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>, nullable = false)]
    pub id: Option<ImageId>,
    /// The key of the image at Cloudflare.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cloudflare_id: Option<String>,
    /// `deleted`, `in_use`, `error` or `not_found`.
    #[schema(example = "deleted")]
    pub status: &'static str,
    /// How often content refers to an image that is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub usage_count: Option<usize>,
    /// What was tried and why it failed, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

impl DeletionResult {
    /// Of an image that is known by one of its keys alone.
    fn named(key: ImageKey, status: &'static str, error: Option<String>) -> Self {
        let (id, cloudflare_id) = match key {
            ImageKey::Id(id) => (Some(id), None),
            ImageKey::CloudflareId(id) => (None, Some(id.as_str().to_owned())),
        };
        Self { id, cloudflare_id, status, usage_count: None, error }
    }
}

const NOT_IN_TIME: &str = "Not tried, the time for the request was over; send it again.";
const NOT_LOOKED_UP: &str = "Not tried, the image could not be looked up; send it again.";
const INTERRUPTED: &str = "The time for the request was over meanwhile; send it again.";

impl From<BulkDeletion> for DeletionResult {
    fn from(deletion: BulkDeletion) -> Self {
        let (image, outcome) = match deletion {
            BulkDeletion::Unknown(key) => return Self::named(key, "not_found", None),
            BulkDeletion::NotTried(key, why) => {
                let error = match why {
                    NotTried::TimeOver => NOT_IN_TIME,
                    NotTried::LookupFailed => NOT_LOOKED_UP,
                };
                return Self::named(key, "error", Some(error.to_owned()));
            }
            BulkDeletion::Tried { image, outcome } => (image, outcome),
        };
        let (status, usage_count, error) = match outcome {
            BulkOutcome::Deleted => ("deleted", None, None),
            BulkOutcome::InUse(usages) => ("in_use", Some(usages), None),
            BulkOutcome::Failed(error) => ("error", None, Some(super::error::text_of(&error))),
            BulkOutcome::Interrupted => ("error", None, Some(INTERRUPTED.to_owned())),
        };
        Self {
            id: Some(image.id),
            cloudflare_id: Some(image.cloudflare_id.as_str().to_owned()),
            status,
            usage_count,
            error,
        }
    }
}

impl From<Vec<BulkDeletion>> for BulkDeleteResponse {
    fn from(deletions: Vec<BulkDeletion>) -> Self {
        Self { results: deletions.into_iter().map(DeletionResult::from).collect() }
    }
}

/// How many images were marked as expired.
#[derive(Debug, Serialize, ToSchema)]
pub struct CleanupResponse {
    /// What was done, for people.
    #[schema(example = "Marked 17 expired images")]
    pub message: String,
    /// How many images there were.
    pub expired_count: u64,
}

/// The states of several images.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkStatusResponse {
    /// The newest image first.
    pub results: Vec<CheckResult>,
}

/// The state of an image, or why Cloudflare did not tell it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum CheckResult {
    /// Cloudflare told it.
    Checked(Box<ImageStatusResponse>),
    /// Cloudflare did not tell it.
    Failed {
        /// The key of the image here.
        #[schema(value_type = uuid::Uuid)]
        id: ImageId,
        /// The key of the image at Cloudflare.
        #[schema(example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")]
        cloudflare_id: String,
        /// What was tried and why it failed, for people.
        error: String,
    },
}

impl BulkStatusResponse {
    /// Describes the results as of `now`.
    pub fn new(results: Vec<(Image, Result<Image, service::Error>)>, links: &ImageLinks, now: Timestamp) -> Self {
        let to_result = |(image, result): (Image, Result<Image, service::Error>)| match result {
            Ok(image) => CheckResult::Checked(Box::new(ImageStatusResponse::new(&image, links, now))),
            Err(error) => CheckResult::Failed {
                id: image.id,
                cloudflare_id: image.cloudflare_id.as_str().to_owned(),
                error: super::error::text_of(&error),
            },
        };
        Self { results: results.into_iter().map(to_result).collect() }
    }
}

/// A reference of some content to an image.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageResponse {
    /// The number of the reference.
    pub id: i64,
    /// The key at Cloudflare of the image that the content names.
    #[schema(example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")]
    pub cloudflare_id: String,
    /// The key of the image here; none where it is not recorded.
    #[schema(required, value_type = Option<uuid::Uuid>)]
    pub image: Option<ImageId>,
    /// The model of the content.
    #[schema(example = "shop.product")]
    pub content_type: String,
    /// The key of the content.
    #[schema(example = "7")]
    pub object_id: String,
    /// Always `null`: what Django calls an object is known in Python alone.
    #[schema(required)]
    pub content_object: Option<String>,
    /// The field of the content that names the image.
    #[schema(example = "hero")]
    pub field_name: String,
    /// Whether the content names an image that is not recorded here.
    pub is_unregistered: bool,
    /// When the reference was recorded.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub created_at: Timestamp,
    /// When the reference was last recorded anew.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub updated_at: Timestamp,
}

impl From<ImageUsage> for UsageResponse {
    fn from(usage: ImageUsage) -> Self {
        Self {
            content_type: usage.content_type(),
            is_unregistered: usage.is_unregistered(),
            id: usage.id,
            cloudflare_id: usage.cloudflare_id.as_str().to_owned(),
            image: usage.image_id,
            object_id: usage.object_id,
            content_object: None,
            field_name: usage.field_name,
            created_at: usage.created_at,
            updated_at: usage.updated_at,
        }
    }
}

/// A page of usages.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsageListResponse {
    /// How many usages there are in all.
    pub count: u64,
    /// The next page.
    #[schema(required, format = "uri")]
    pub next: Option<String>,
    /// The page before.
    #[schema(required, format = "uri")]
    pub previous: Option<String>,
    /// The usages of this page.
    pub results: Vec<UsageResponse>,
}

/// An entry of an image's log.
#[derive(Debug, Serialize, ToSchema)]
pub struct LogResponse {
    /// The number of the entry.
    pub id: i64,
    /// What happened, as a word.
    #[schema(example = "status_checked")]
    pub event_type: String,
    /// What happened, as a sentence.
    #[schema(example = "Image status checked: uploaded")]
    pub message: String,
    /// What Cloudflare said; any JSON.
    #[schema(value_type = Value)]
    pub data: Json,
    /// When it happened.
    #[schema(value_type = chrono::DateTime<chrono::Utc>)]
    pub timestamp: Timestamp,
}

impl From<LogEntry> for LogResponse {
    fn from(entry: LogEntry) -> Self {
        Self {
            id: entry.id,
            event_type: entry.event_type,
            message: entry.message,
            data: entry.data,
            timestamp: entry.timestamp,
        }
    }
}

/// The figures of the user's images.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsResponse {
    /// All images.
    pub total_images: i64,
    /// Images whose picture is at Cloudflare.
    pub uploaded_images: i64,
    /// Images whose upload URL was handed out.
    pub pending_images: i64,
    /// Images that Cloudflare reported as drafts.
    pub draft_images: i64,
    /// Images whose upload failed.
    pub failed_images: i64,
    /// Images whose upload URL expired unused.
    pub expired_images: i64,
    /// The sum of the known file sizes, in bytes.
    pub total_file_size: i64,
    /// Images that are delivered with signed URLs only.
    pub images_with_signed_urls: i64,
    /// References of content to the images.
    pub total_usages: i64,
    /// Images that no content refers to.
    pub orphaned_images: i64,
    /// The same as `total_images`, for clients of older releases.
    pub total_uploads: i64,
    /// The same as `uploaded_images`, for clients of older releases.
    pub successful_uploads: i64,
    /// The same as `failed_images`, for clients of older releases.
    pub failed_uploads: i64,
    /// The same as `pending_images`, for clients of older releases.
    pub pending_uploads: i64,
    /// Uploaded images in percent of all, to two decimals.
    #[schema(example = 97.5)]
    pub success_rate: f64,
}

impl From<ImageStats> for StatsResponse {
    fn from(ImageStats { counts, usages, orphaned }: ImageStats) -> Self {
        Self {
            total_images: counts.total,
            uploaded_images: counts.uploaded,
            pending_images: counts.pending,
            draft_images: counts.draft,
            failed_images: counts.failed,
            expired_images: counts.expired,
            total_file_size: counts.total_file_size,
            images_with_signed_urls: counts.signed,
            total_usages: usages,
            orphaned_images: orphaned,
            total_uploads: counts.total,
            successful_uploads: counts.uploaded,
            failed_uploads: counts.failed,
            pending_uploads: counts.pending,
            success_rate: counts.success_rate(),
        }
    }
}
