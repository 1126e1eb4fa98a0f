//! The time that a client may let an answer wait.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection on which writing fails with [`io::ErrorKind::TimedOut`] where the other side has taken nothing for a time. However slow,
/// who takes something gets it all; who is not written to may be silent for as long as they like.
#[derive(Debug)]
pub struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    /// A connection whose other side may take nothing for less than `limit`.
    pub fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, stalled: None }
    }

    /// The outcome of a write, unless it has waited for too long.
    fn limit<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stalled = None;
            return outcome;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        stalled.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

/// Flushing and closing a socket wait for nobody, and have no limit.
impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.limit(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.limit(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);
    const ALMOST: Duration = Duration::from_secs(29);

    /// A server's side of a connection that holds 10 bytes, and the client's.
    fn connection() -> (WriteTimeout<DuplexStream>, DuplexStream) {
        let (server, client) = duplex(10);
        (WriteTimeout::new(server, LIMIT), client)
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_given_up() {
        let (mut server, _client) = connection();
        let start = Instant::now();
        server.write_all(&[0; 10]).await.unwrap();
        let error = server.write_all(&[0; 1]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
        assert_eq!(server.write(&[0]).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "and stays so");
    }

    #[tokio::test(start_paused = true)]
    async fn parts_of_a_vectored_write_are_limited_too() {
        let (mut server, _client) = connection();
        let parts = [io::IoSlice::new(&[0; 8]), io::IoSlice::new(&[0; 8])];
        while server.write_vectored(&parts).await.is_ok_and(|written| written > 0) {}
        assert_eq!(server.write_vectored(&parts).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_gets_it_all() {
        let (mut server, mut client) = connection();
        let writing = async {
            server.write_all(&[7; 100]).await.unwrap();
            drop(server);
        };
        let reading = async {
            let mut received = Vec::new();
            while timeout(LIMIT, client.read_buf(&mut received)).await.unwrap().unwrap() > 0 {
                sleep(ALMOST).await;
            }
            received
        };
        let start = Instant::now();
        assert_eq!(tokio::join!(writing, reading).1, [7; 100]);
        assert!(start.elapsed() > 5 * LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_without_anything_to_write_is_not_counted() {
        let (mut server, mut client) = connection();
        // A write that waited, so that the time had begun to run.
        let writing = server.write_all(&[7; 11]);
        let reading = async {
            sleep(ALMOST).await;
            client.read_exact(&mut [0; 10]).await.unwrap();
        };
        tokio::join!(writing, reading).0.unwrap();
        assert!(timeout(100 * LIMIT, server.read_u8()).await.is_err(), "nothing to read, and no error");
        server.write_all(&[7; 9]).await.unwrap();
        let start = Instant::now();
        assert_eq!(server.write_all(&[7]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), LIMIT);
    }
}
