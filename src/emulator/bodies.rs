//! Room in memory for files that are on their way: what comes in waits until the files before it have been dealt with.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What room is counted in.
const KIB: usize = 1024;
/// KiB for all files together.
const TOTAL: usize = 256 * 1024;

/// The room that there is.
#[derive(Debug)]
pub(super) struct Bodies(Arc<Semaphore>);

/// The room for a file, until it is dropped.
#[derive(Debug)]
pub(super) struct Room(#[expect(dead_code, reason = "held for its end")] OwnedSemaphorePermit);

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TOTAL)))
    }
}

impl Bodies {
    /// Waits for the room that a file needs which may have so many bytes: while it comes it is there up to twice.
    pub(super) async fn room_for(&self, bytes: usize) -> Room {
        let permits = (2 * bytes.div_ceil(KIB)).clamp(1, TOTAL);
        let permits = u32::try_from(permits).expect("at most all there are");
        Room(Arc::clone(&self.0).acquire_many_owned(permits).await.expect("the semaphore is never closed"))
    }
}
