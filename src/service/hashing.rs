//! Threads for the hashes of passwords.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most hashes at once, each of which may take hundreds of megabytes.
const MAX_AT_ONCE: usize = 4;

/// Runs what is meant to be slow beside the threads that answer requests, a few at once; others wait their turn.
#[derive(Debug, Clone)]
pub(super) struct HashingThreads(Arc<Semaphore>);

/// The right to run one.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>);

impl HashingThreads {
    pub(super) fn new() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Semaphore::new(processors.min(MAX_AT_ONCE))))
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Turn {
        // Nobody closes the semaphore.
        Turn(Arc::clone(&self.0).acquire_owned().await.ok())
    }
}

impl Turn {
    /// Runs `work`; `None` where it panicked, or the program is stopping.
    ///
    /// It goes on where nobody waits for it any more, and the turn ends with it: clients that go away make no room.
    pub(super) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let task = move || {
            let result = work();
            drop(self);
            result
        };
        tokio::task::spawn_blocking(task).await.ok()
    }
}
