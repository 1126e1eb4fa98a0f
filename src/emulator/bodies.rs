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
        let permits = bytes.div_ceil(KIB).saturating_mul(2).clamp(1, TOTAL);
        let permits = u32::try_from(permits).expect("at most all there are");
        Room(Arc::clone(&self.0).acquire_many_owned(permits).await.expect("the semaphore is never closed"))
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn files_wait_until_there_is_room_for_them() {
        let bodies = Bodies::default();
        let first = bodies.room_for(100_000_000).await;
        let _small = bodies.room_for(10_000_000).await;
        let mut second = Box::pin(bodies.room_for(100_000_000));
        let is_here = tokio::select! {
            biased;
            _ = second.as_mut() => true,
            () = ready(()) => false,
        };
        assert!(!is_here);
        drop(first);
        drop(second.await);
    }

    #[tokio::test]
    async fn a_file_of_any_size_finds_room_in_the_end_and_gives_it_back() {
        let bodies = Bodies::default();
        for bytes in [usize::MAX / 4, 0, 1, 10_000_000] {
            drop(bodies.room_for(bytes).await);
            assert_eq!(bodies.0.available_permits(), TOTAL);
        }
    }
}
