//! Threads for the work on pixels: never more at a time than the machine has processors, nor than fit into 2 GiB together.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::memory::{MIB, TOTAL};

/// Runs work on pixels away from the threads that answer requests.
#[derive(Debug)]
pub(in crate::emulator) struct Workers {
    /// One a MiB.
    permits: Arc<Semaphore>,
    /// The MiB that every work takes at least: as many as leave no more for others than there are processors.
    least: u32,
}

/// The work panicked, which a decoder may do on hostile input.
#[derive(Debug, thiserror::Error)]
#[error("the work on the picture failed unexpectedly")]
pub(in crate::emulator) struct Panicked;

impl Workers {
    /// One worker a processor, but at most 64.
    pub(in crate::emulator) fn new() -> Self {
        Self::with_count(std::thread::available_parallelism().map_or(1, NonZeroUsize::get))
    }

    fn with_count(count: usize) -> Self {
        let count = u32::try_from(count.clamp(1, 64)).expect("64 is a u32");
        Self { permits: Arc::new(Semaphore::new(all() as usize)), least: all().div_ceil(count) }
    }

    /// Runs `job`, which takes at most `memory` bytes, when its turn has come. It runs to its end even if nobody waits for
    /// it any more, and keeps its place until then.
    pub(in crate::emulator) async fn run<T: Send + 'static>(
        &self,
        memory: u64,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let permits = Arc::clone(&self.permits);
        let permits = permits.acquire_many_owned(self.share(memory)).await.expect("the semaphore is never closed");
        let work = move || {
            let result = job();
            drop(permits);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Panicked)
    }

    /// The permits for so many bytes, at most all there are.
    fn share(&self, memory: u64) -> u32 {
        u32::try_from(memory.div_ceil(MIB)).unwrap_or(u32::MAX).clamp(self.least, all())
    }
}

/// All permits.
fn all() -> u32 {
    u32::try_from(TOTAL / MIB).expect("2048 is a u32")
}

#[cfg(test)]
mod tests {
    use std::future::{Future, ready};
    use std::pin::Pin;
    use std::sync::mpsc;

    use super::super::memory::{OF_HEADER, of_work_on};
    use super::*;

    /// Whether `later` has to wait for work with `memory` bytes that goes on.
    async fn waits(workers: &Workers, memory: u64, later: u64) -> bool {
        let (finish, finished) = mpsc::channel::<()>();
        let mut first = Box::pin(workers.run(memory, move || finished.recv()));
        assert!(!is_ready(first.as_mut()).await);
        let permits = workers.permits.available_permits();
        let waits = permits < workers.share(later) as usize;
        let mut second = Box::pin(workers.run(later, || ()));
        if waits {
            assert!(!is_ready(second.as_mut()).await);
        } else {
            second.as_mut().await.unwrap();
        }
        finish.send(()).unwrap();
        first.await.unwrap().unwrap();
        if waits {
            second.await.unwrap();
        }
        waits
    }

    async fn is_ready<F: Future>(future: Pin<&mut F>) -> bool {
        tokio::select! {
            biased;
            _ = future => true,
            () = ready(()) => false,
        }
    }

    #[tokio::test]
    async fn work_waits_until_its_memory_is_free() {
        let workers = Workers::with_count(8);
        assert!(waits(&workers, of_work_on(300_000_000), of_work_on(100_000_000)).await);
        assert!(waits(&workers, u64::MAX, OF_HEADER).await);
        assert!(!waits(&workers, of_work_on(36_000_000), of_work_on(36_000_000)).await);
        assert!(!waits(&workers, OF_HEADER, OF_HEADER).await);
        assert_eq!(workers.permits.available_permits(), all() as usize);
    }

    #[tokio::test]
    async fn there_are_never_more_workers_than_processors() {
        assert!(waits(&Workers::with_count(1), 0, 0).await);
        assert!(!waits(&Workers::with_count(2), 0, 0).await);
        for count in [0, 1, 2, 3, 7, 64, 1000] {
            let workers = Workers::with_count(count);
            assert!(all() / workers.share(0) <= u32::try_from(count.clamp(1, 64)).unwrap(), "{count}");
        }
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_memory_back() {
        let workers = Workers::with_count(1);
        workers.run(u64::MAX, || panic!("as decoders do")).await.unwrap_err();
        assert_eq!(workers.run(u64::MAX, || 1).await.unwrap(), 1);
    }
}
