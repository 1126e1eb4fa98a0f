//! Going through the logs of all images.

use serde::{Deserialize, Serialize};

use super::{ImageId, LogEntry, Timestamp};

/// A row of the log of any image, with what is known of the image.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct LoggedEvent {
    /// The row.
    #[cfg_attr(feature = "server", sqlx(flatten))]
    pub entry: LogEntry,
    /// The image at Cloudflare.
    pub cloudflare_id: String,
    /// The name of the uploaded file, as Cloudflare knows it; may be empty.
    pub filename: String,
    /// The name the client gave; may be empty.
    pub original_filename: String,
    /// The one-time upload URL, which is for few eyes while it is good; may be empty.
    pub upload_url: String,
}

impl LoggedEvent {
    /// Its place among all.
    pub fn place(&self) -> LogPlace {
        LogPlace { timestamp: self.entry.timestamp, id: self.entry.id }
    }
}

/// The place of a row in the logs of all images, the latest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPlace {
    /// When it happened.
    pub timestamp: Timestamp,
    /// The row's number, for ties.
    pub id: i64,
}

/// Which rows of all logs are wanted: conditions, all of which must hold.
#[derive(Debug, Clone, Default)]
pub struct LogFilter {
    /// What happened, as words. Each is looked for by itself, as that is what there is an index for.
    pub event_types: Vec<String>,
    /// The image it is about.
    pub image: Option<ImageId>,
    /// It happened at this time or later.
    pub from: Option<Timestamp>,
    /// It happened before this time.
    pub before: Option<Timestamp>,
    /// A part of the message, in any case.
    pub message: Option<String>,
}
