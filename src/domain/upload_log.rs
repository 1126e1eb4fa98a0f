//! What happened to an image.

use serde_json::json;

use super::{ImageId, ImageStatus, Json, StaffActed, Timestamp, User};

/// A row of an image's log.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct LogEntry {
    /// The row's number.
    pub id: i64,
    /// The image it is about.
    pub image_id: ImageId,
    /// What happened, as a word: `status_checked`.
    pub event_type: String,
    /// What happened, as a sentence.
    pub message: String,
    /// What Cloudflare said.
    pub data: Json,
    /// When it happened.
    pub timestamp: Timestamp,
}

/// A row of the log of any image, with what its image is called.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct RecentEvent {
    /// The image it is about.
    pub image_id: ImageId,
    /// The image at Cloudflare.
    pub cloudflare_id: String,
    /// The name of the uploaded file, as Cloudflare knows it; may be empty.
    pub filename: String,
    /// The name the client gave; may be empty.
    pub original_filename: String,
    /// What happened, as a word.
    pub event_type: String,
    /// When it happened.
    pub timestamp: Timestamp,
}

/// An event that leaves a row in an image's log. Words, sentences and data are the toolkit's, but for what it does not know.
#[derive(Debug, Clone)]
pub enum UploadEvent<'a> {
    /// Cloudflare handed out an upload URL.
    UploadUrlCreated {
        /// `result` of Cloudflare's answer.
        response: &'a Json,
    },
    /// Cloudflare was asked for the state of the image.
    StatusChecked {
        /// The status of the image after the check.
        status: &'a ImageStatus,
        /// `result` of Cloudflare's answer.
        response: &'a Json,
    },
    /// The image, uploaded elsewhere, was looked up at Cloudflare and recorded.
    ImageRegistered {
        /// Whether the record is new.
        is_new: bool,
        /// `result` of Cloudflare's answer.
        response: &'a Json,
    },
    /// The image was found in the account at Cloudflare, and recorded.
    ImageImported {
        /// `result` of Cloudflare's answer, or the entry of its list.
        response: &'a Json,
    },
    /// The picture was uploaded through the server.
    ImageUploaded {
        /// `result` of Cloudflare's answer.
        response: &'a Json,
    },
    /// A webhook reported on the image.
    WebhookReceived {
        /// The body of the webhook.
        payload: &'a Json,
    },
    /// A member of the staff did something in the admin site.
    StaffActed(StaffActed<'a>),
    /// A member of the staff uploads the picture in the admin site.
    StaffUpload {
        /// Who does it.
        staff: &'a User,
        /// Whether the picture is there; otherwise there is a URL to upload it to.
        is_done: bool,
    },
}

impl UploadEvent<'_> {
    /// The word for an image that was found in the account: what tells such records from those that the account was used for.
    pub const IMAGE_IMPORTED: &'static str = "image_imported";

    /// The word for the event.
    pub fn event_type(&self) -> &'static str {
        match self {
            Self::UploadUrlCreated { .. } => "upload_url_created",
            Self::StatusChecked { .. } => "status_checked",
            Self::ImageRegistered { .. } => "image_registered",
            Self::ImageImported { .. } => Self::IMAGE_IMPORTED,
            Self::ImageUploaded { .. } => "image_uploaded",
            Self::WebhookReceived { .. } => "webhook_received",
            Self::StaffActed(_) | Self::StaffUpload { .. } => "staff_action",
        }
    }

    /// The sentence for the event.
    pub fn message(&self) -> String {
        match self {
            Self::UploadUrlCreated { .. } => "Direct upload URL created successfully".to_owned(),
            Self::StatusChecked { status, .. } => format!("Image status checked: {status}"),
            Self::ImageRegistered { is_new: true, .. } => "Image registered from Cloudflare".to_owned(),
            Self::ImageRegistered { .. } => "Existing image refreshed during registration".to_owned(),
            Self::ImageImported { .. } => "Image imported from Cloudflare".to_owned(),
            Self::ImageUploaded { .. } => "Image uploaded through the server".to_owned(),
            Self::WebhookReceived { .. } => "Webhook processed successfully".to_owned(),
            Self::StaffActed(acted) => acted.message(),
            Self::StaffUpload { staff, is_done: true } => format!("{} uploaded the picture", staff.username),
            Self::StaffUpload { staff, .. } => format!("{} asked for an upload URL", staff.username),
        }
    }

    /// The data kept with the event.
    pub fn data(&self) -> Json {
        match self {
            Self::UploadUrlCreated { response }
            | Self::StatusChecked { response, .. }
            | Self::ImageRegistered { response, .. }
            | Self::ImageImported { response }
            | Self::ImageUploaded { response } => response.wrapped("response"),
            Self::WebhookReceived { payload } => payload.wrapped("payload"),
            Self::StaffActed(acted) => acted.data(),
            Self::StaffUpload { staff, is_done } => Json::of(&json!({
                "action": if *is_done { "upload" } else { "request_upload" },
                "user": {"id": staff.id.to_string(), "username": staff.username},
            })),
        }
    }
}
