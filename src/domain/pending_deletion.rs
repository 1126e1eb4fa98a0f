//! What has to be seen to at Cloudflare after a failure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{CloudflareId, ImageId, Json, Timestamp};

/// An image or draft at Cloudflare that has to be deleted or, where its id may have changed, found.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct PendingDeletion {
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// Why it has to be seen to.
    #[cfg_attr(feature = "server", sqlx(try_from = "String"))]
    pub reason: DeletionReason,
    /// When that was found.
    pub created_at: Timestamp,
    /// How often it was tried since it was found last; a claim counts as a try.
    pub attempts: i32,
    /// Why it could not be done the last time.
    pub last_error: String,
    /// When it is tried next. The first try is not made before, as Cloudflare may still be at it; further tries may be.
    pub next_attempt_at: Timestamp,
    /// Until when it is somebody's own.
    pub claimed_until: Option<Timestamp>,
    /// What the image is known by.
    #[cfg_attr(feature = "server", sqlx(try_from = "String"))]
    pub marks: ImageMarks,
}

/// The place of something in the list of all that has to be seen to, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPlace {
    /// When it was found.
    pub created_at: Timestamp,
    /// The key at Cloudflare, for ties.
    pub cloudflare_id: String,
}

impl PendingDeletion {
    /// Its place in the list of all.
    pub fn place(&self) -> PendingPlace {
        PendingPlace { created_at: self.created_at, cloudflare_id: self.cloudflare_id.as_str().to_owned() }
    }
}

/// What is to be recorded as a [`PendingDeletion`].
#[derive(Debug, Clone)]
pub struct NewPendingDeletion {
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// Why it has to be seen to.
    pub reason: DeletionReason,
    /// What the image is known by.
    pub marks: ImageMarks,
    /// Why it could not be done at once.
    pub last_error: String,
    /// When it may be tried first: when what is found at Cloudflare is certain.
    pub next_attempt_at: Timestamp,
}

/// Why something at Cloudflare has to be seen to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionReason {
    /// It was made there, and could not be recorded here.
    Unrecorded,
    /// A draft was asked for, and the answer was lost. It may be there or not; only a draft is ours to delete.
    AnswerLost,
    /// A picture was uploaded, and the answer was lost. It may be there or not; whoever uploaded it was told that it failed.
    UploadLost,
    /// The privacy of a recorded image was to change, which may give it another id. It is to be found, not deleted.
    IdUnsure,
    /// A reason of another version.
    Other(String),
}

impl DeletionReason {
    /// The words in the database, for people too.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unrecorded => "it could not be recorded",
            Self::AnswerLost => "the answer was lost",
            Self::UploadLost => "the answer to an upload was lost",
            Self::IdUnsure => "its id may have changed",
            Self::Other(words) => words,
        }
    }

    /// Whether it is to be deleted, as far as this version knows.
    pub fn is_to_delete(&self) -> bool {
        matches!(self, Self::Unrecorded | Self::AnswerLost | Self::UploadLost)
    }
}

impl From<String> for DeletionReason {
    fn from(words: String) -> Self {
        [Self::Unrecorded, Self::AnswerLost, Self::UploadLost, Self::IdUnsure]
            .into_iter()
            .find(|reason| reason.as_str() == words)
            .unwrap_or(Self::Other(words))
    }
}

impl fmt::Display for DeletionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an image is known by where its id does not tell enough. What is `None` is not known, and any image may have it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageMarks {
    /// The record that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<ImageId>,
    /// The metadata, whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// Cloudflare's `creator`; empty for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// Whether the picture is delivered with signed URLs only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_signed_urls: Option<bool>,
    /// The name of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// It was uploaded at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_from: Option<Timestamp>,
    /// It was uploaded at this time or before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_until: Option<Timestamp>,
}

impl TryFrom<String> for ImageMarks {
    type Error = serde_json::Error;

    /// Reads what the database keeps, which is JSON.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        serde_json::from_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_survive_being_kept() {
        let marks = ImageMarks {
            record: Some(ImageId::random()),
            metadata: Some(Json::parse(r#"{"a": 1.50, "b": [1e300]}"#).unwrap()),
            creator: Some(String::new()),
            require_signed_urls: Some(true),
            filename: Some("é.jpg".to_owned()),
            uploaded_from: Some(Timestamp::from_micros(1)),
            uploaded_until: None,
        };
        let kept = Json::of(&marks).as_str().to_owned();
        assert_eq!(ImageMarks::try_from(kept).unwrap(), marks);
        assert_eq!(ImageMarks::try_from("{}".to_owned()).unwrap(), ImageMarks::default());
        assert_eq!(Json::of(&ImageMarks::default()).as_str(), "{}");
    }
}
