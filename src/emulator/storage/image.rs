//! Images as they are stored.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::Timestamp;

use super::super::transform::Content;

/// An image or a draft of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::emulator) struct StoredImage {
    pub(in crate::emulator) id: String,
    pub(in crate::emulator) creator: Option<String>,
    /// A JSON object, as it was sent.
    pub(in crate::emulator) meta: Option<Box<RawValue>>,
    pub(in crate::emulator) require_signed_urls: bool,
    /// When the picture came, or, of a draft, when the draft was made.
    pub(in crate::emulator) uploaded: Timestamp,
    pub(in crate::emulator) state: ImageState,
}

/// How far an image has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::emulator) enum ImageState {
    /// The upload URL was handed out.
    Draft {
        /// When the draft and its upload URL vanish.
        expires_at: Timestamp,
        /// Whether the id is only the request's, and the image gets another.
        #[serde(default)]
        is_request: bool,
    },
    /// The picture is here.
    Uploaded(Original),
}

/// An uploaded file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(in crate::emulator) struct Original {
    pub(in crate::emulator) filename: String,
    /// Of the bytes, in hexadecimal digits.
    pub(in crate::emulator) sha256: String,
    #[serde(rename = "picture")]
    pub(in crate::emulator) content: Content,
    /// What the bytes are stored under: 32 hexadecimal digits, chosen anew for every upload.
    pub(super) key: String,
}

/// A file that is about to be stored.
#[derive(Debug)]
pub(in crate::emulator) struct Upload {
    pub(in crate::emulator) filename: String,
    pub(in crate::emulator) content: Content,
    pub(in crate::emulator) bytes: Bytes,
}

impl ImageState {
    /// The same draft, but of a request whose id the image will not have.
    pub(in crate::emulator) fn of_request(self) -> Self {
        match self {
            Self::Draft { expires_at, .. } => Self::Draft { expires_at, is_request: true },
            uploaded @ Self::Uploaded(_) => uploaded,
        }
    }
}

impl StoredImage {
    /// Whether the picture has not come yet.
    pub(in crate::emulator) fn is_draft(&self) -> bool {
        matches!(self.state, ImageState::Draft { .. })
    }

    /// The id of the image that a draft becomes.
    pub(super) fn final_id(&self) -> String {
        match self.state {
            ImageState::Draft { is_request: true, .. } => Uuid::new_v4().to_string(),
            _ => self.id.clone(),
        }
    }

    /// The uploaded file; drafts have none.
    pub(in crate::emulator) fn original(&self) -> Option<&Original> {
        match &self.state {
            ImageState::Draft { .. } => None,
            ImageState::Uploaded(original) => Some(original),
        }
    }

    /// When the draft vanishes; images do not.
    pub(super) fn draft_end(&self) -> Option<Timestamp> {
        match self.state {
            ImageState::Draft { expires_at, .. } => Some(expires_at),
            ImageState::Uploaded(_) => None,
        }
    }

    /// Whether this is a draft that has vanished.
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        self.draft_end().is_some_and(|end| end < now)
    }
}
