//! Bodies that are written while they are sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use tokio::sync::mpsc;
use tracing::Instrument;

/// How many pieces may wait for a reader who is slower than the writer.
const MAX_WAITING: usize = 2;

/// What comes to the reader.
enum Part {
    Piece(Bytes),
    /// Without it the body is not whole, whatever became of its writer.
    End,
    Failure(io::Error),
}

/// Where the pieces of a body go.
#[derive(Debug)]
pub struct Pieces(mpsc::Sender<Part>);

impl Pieces {
    /// Sends the next piece, as soon as the reader has taken those before.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] if nobody reads any more.
    pub async fn send(&self, piece: impl Into<Bytes>) -> io::Result<()> {
        self.0.send(Part::Piece(piece.into())).await.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A body that `write` writes at the pace of whoever reads it, with no more in memory than some pieces. Where it fails, the connection is
/// cut, so that what was sent by then is not taken for the whole.
pub fn streamed<F>(write: impl FnOnce(Pieces) -> F) -> Body
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    let writing = write(Pieces(sender.clone()));
    let writing = async move {
        let end = match writing.await {
            Ok(()) => Part::End,
            Err(error) => Part::Failure(error),
        };
        // Who has gone away need not be told.
        let _ = sender.send(end).await;
    };
    tokio::spawn(writing.in_current_span());
    Body::new(StreamedBody { parts: receiver, is_over: false })
}

struct StreamedBody {
    parts: mpsc::Receiver<Part>,
    is_over: bool,
}

impl HttpBody for StreamedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.parts.poll_recv(context).map(|part| {
            let end = match part {
                Some(Part::Piece(piece)) => return Some(Ok(Frame::data(piece))),
                Some(Part::End) => None,
                Some(Part::Failure(error)) => Some(Err(error)),
                // The writer panicked.
                None => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            };
            self.is_over = true;
            end
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;

    use super::*;

    #[tokio::test]
    async fn only_what_was_written_to_its_end_is_whole() {
        let body = |outcome: fn() -> io::Result<()>| {
            streamed(async move |pieces| {
                pieces.send("one ").await?;
                pieces.send("two").await?;
                outcome()
            })
        };
        assert_eq!(to_bytes(body(|| Ok(())), usize::MAX).await.unwrap(), "one two");
        assert!(to_bytes(body(|| Err(io::Error::other("out of ink"))), usize::MAX).await.is_err());
        assert!(to_bytes(body(|| panic!("as a writer must not, and may")), usize::MAX).await.is_err());
    }

    #[tokio::test]
    async fn a_writer_is_told_that_nobody_reads() {
        let (told, was_told) = tokio::sync::oneshot::channel();
        drop(streamed(async move |pieces| {
            while pieces.send("on and on").await.is_ok() {}
            let _ = told.send(());
            Ok(())
        }));
        was_told.await.unwrap();
    }
}
