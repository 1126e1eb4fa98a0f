//! Images that a clean-up is about.

use serde::{Deserialize, Serialize};

use super::{CloudflareId, ImageId, Timestamp};

/// Which images a clean-up is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Pending and draft images whose upload URL ended before a time.
    Expiring,
    /// Images that expired before a time, those included that will be marked as expired first.
    Old,
    /// Uploaded images to which nothing has referred since a time.
    Orphaned,
}

/// What a clean-up has to know of an image.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct DueImage {
    /// The key here.
    pub id: ImageId,
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// When the upload URL ended, or ends.
    pub expires_at: Timestamp,
}

/// An unfinished image that Cloudflare is asked about again and again.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct WaitingImage {
    /// The key here.
    pub id: ImageId,
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// The name of the file as its owner gave it; may be empty.
    pub original_filename: String,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When its turn comes.
    pub next_poll_at: Timestamp,
    /// How often its turn has come since the intervals began to grow.
    pub attempts: i32,
    /// Why the last answer was none; empty where there was one.
    pub last_error: String,
}

impl WaitingImage {
    /// Its place in the list of all, by their turns.
    pub fn place(&self) -> WaitingPlace {
        WaitingPlace { next_poll_at: self.next_poll_at, id: self.id }
    }
}

/// The place of an image among those that wait for their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingPlace {
    /// When its turn comes.
    pub next_poll_at: Timestamp,
    /// The key, for ties.
    pub id: ImageId,
}
