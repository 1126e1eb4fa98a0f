//! Threads for the work on pixels: never more at a time than the machine has processors.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Semaphore;

/// Pictures above this many pixels are worked on alone, so that memory is bounded whatever is asked for.
const LARGE: u64 = 25_000_000;

/// Runs work on pixels away from the threads that answer requests.
#[derive(Debug)]
pub(in crate::emulator) struct Workers {
    permits: Arc<Semaphore>,
    count: u32,
}

/// The work panicked, which a decoder may do on hostile input.
#[derive(Debug, thiserror::Error)]
#[error("the work on the picture failed unexpectedly")]
pub(in crate::emulator) struct Panicked;

impl Workers {
    /// One worker a processor, but at most 64.
    pub(in crate::emulator) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let count = u32::try_from(processors.min(64)).expect("64 is a u32");
        Self { permits: Arc::new(Semaphore::new(count as usize)), count }
    }

    /// Runs `job`, which works on a picture of so many pixels, when its turn has come. It runs to its end even if nobody
    /// waits for it any more, and keeps its place until then.
    pub(in crate::emulator) async fn run<T: Send + 'static>(
        &self,
        pixels: u64,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let share = if pixels > LARGE { self.count } else { 1 };
        let permits = Arc::clone(&self.permits).acquire_many_owned(share).await.expect("the semaphore is never closed");
        let work = move || {
            let result = job();
            drop(permits);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Panicked)
    }
}
