//! What is left at Cloudflare though nobody knows of it here, and has to go.

use std::fmt;

use super::{CloudflareId, Timestamp};

/// An image or draft at Cloudflare that has to be deleted.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct PendingDeletion {
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// Why it has to go.
    #[cfg_attr(feature = "server", sqlx(try_from = "String"))]
    pub reason: DeletionReason,
    /// When that was found.
    pub created_at: Timestamp,
    /// How often it was tried since then.
    pub attempts: i32,
    /// Why it could not be done the last time.
    pub last_error: String,
    /// When it is tried next.
    pub next_attempt_at: Timestamp,
}

/// Why something at Cloudflare has to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionReason {
    /// It was made there, and could not be recorded here.
    Unrecorded,
    /// It was asked for, and the answer was lost. It may be there or not; only a draft is ours to delete.
    AnswerLost,
    /// A reason of another version.
    Other(String),
}

impl DeletionReason {
    /// The words in the database, for people too.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Unrecorded => "it could not be recorded",
            Self::AnswerLost => "the answer was lost",
            Self::Other(words) => words,
        }
    }
}

impl From<String> for DeletionReason {
    fn from(words: String) -> Self {
        [Self::Unrecorded, Self::AnswerLost]
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
