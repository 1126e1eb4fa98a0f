//! Forms in parts, read part by part, so that files are never here as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use multer::{Constraints, Multipart, SizeLimit};

pub use multer::Field as Part;

/// The most bytes that wait in the parser for the end of something.
const MAX_HELD_BYTES: usize = 1024 * 1024;

/// Why a form in parts cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartsError {
    /// It is longer than is allowed.
    #[error("the body is too large")]
    TooLarge,
    /// It is no such form, or not all of it came.
    #[error("the body is cut off or not in multipart form")]
    Unreadable,
}

/// The parts of a form, in their order.
pub struct Parts {
    parts: Multipart<'static>,
    held: HeldBytes,
}

impl Parts {
    /// The parts of a body, of which `max_bytes` are read at most; none where the content type names no boundary.
    pub fn new(content_type: &str, body: Body, max_bytes: u64) -> Option<Self> {
        let boundary = multer::parse_boundary(content_type).ok()?;
        let held = HeldBytes::default();
        let body = Body::new(Counted { body, held: held.clone() });
        let limits = Constraints::new().size_limit(SizeLimit::new().whole_stream(max_bytes));
        Some(Self { parts: Multipart::with_constraints(body.into_data_stream(), boundary, limits), held })
    }

    /// The next part; none after the last. The one before it must not be there any more.
    ///
    /// # Errors
    /// [`PartsError`].
    pub async fn next(&mut self) -> Result<Option<Part<'static>>, PartsError> {
        let part = self.parts.next_field().await.map_err(|error| PartsError::of(&error))?;
        self.held.give_away();
        Ok(part)
    }

    /// The next piece of a part; none at its end.
    ///
    /// # Errors
    /// [`PartsError`].
    pub async fn chunk(&self, part: &mut Part<'_>) -> Result<Option<Bytes>, PartsError> {
        let chunk = part.chunk().await.map_err(|error| PartsError::of(&error))?;
        self.held.give_away();
        Ok(chunk)
    }

    /// Passes over what is left of a part.
    ///
    /// # Errors
    /// [`PartsError`].
    pub async fn skip(&self, part: &mut Part<'_>) -> Result<(), PartsError> {
        while self.chunk(part).await?.is_some() {}
        Ok(())
    }
}

impl PartsError {
    fn of(error: &multer::Error) -> Self {
        if matches!(error, multer::Error::StreamSizeExceeded { .. }) { Self::TooLarge } else { Self::Unreadable }
    }
}

/// What the parser of a form holds. It takes all bytes that there are before it looks at those it has: so it gets each piece of the body
/// only after it has found nothing in those before, or small parts that are looked at slowly would pile up.
#[derive(Debug, Clone, Default)]
struct HeldBytes(Arc<Held>);

#[derive(Debug, Default)]
struct Held {
    /// How many bytes have come since it last gave any away, as the heads of parts that do not end.
    bytes: AtomicUsize,
    /// Whether it may find something in what it has.
    is_unread: AtomicBool,
}

impl HeldBytes {
    fn give_away(&self) {
        self.0.bytes.store(0, Ordering::Relaxed);
        self.0.is_unread.store(true, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) -> Result<(), HeadTooLong> {
        self.0.is_unread.store(true, Ordering::Relaxed);
        if self.0.bytes.fetch_add(bytes, Ordering::Relaxed) > MAX_HELD_BYTES { Err(HeadTooLong) } else { Ok(()) }
    }

    /// Whether the parser is to look at what it has; once.
    fn must_be_read(&self) -> bool {
        self.0.is_unread.swap(false, Ordering::Relaxed)
    }
}

/// The head of a part does not end.
#[derive(Debug, thiserror::Error)]
#[error("the head of a part is too long")]
struct HeadTooLong;

/// A body whose bytes are counted on their way to the parser of a form.
struct Counted {
    body: Body,
    held: HeldBytes,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.held.must_be_read() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            self.held.add(frame.data_ref().map_or(0, Bytes::len)).map_err(axum::Error::new)?;
            Ok(frame)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A body whose pieces are all there at once.
    struct Pieces<I>(I);

    impl<I: Iterator<Item = Vec<u8>> + Unpin> HttpBody for Pieces<I> {
        type Data = Bytes;
        type Error = axum::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
            Poll::Ready(self.0.next().map(|piece| Ok(Frame::data(piece.into()))))
        }
    }

    fn parts(pieces: impl Iterator<Item = Vec<u8>> + Send + Unpin + 'static) -> Parts {
        Parts::new("multipart/form-data; boundary=b", Body::new(Pieces(pieces)), u64::MAX).unwrap()
    }

    #[tokio::test]
    async fn parts_that_are_looked_at_slowly_do_not_pile_up() {
        const PIECES: usize = 100;
        const PARTS_IN_A_PIECE: usize = 50;
        let piece = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n".repeat(PARTS_IN_A_PIECE);
        let sent = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&sent);
        let pieces = (0..PIECES).map(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            piece.clone().into_bytes()
        });
        let mut parts = parts(pieces.chain([b"--b--\r\n".to_vec()]));
        let mut read = 0;
        while let Some(mut part) = parts.next().await.unwrap() {
            assert_eq!(parts.chunk(&mut part).await.unwrap().as_deref(), Some(&b"x"[..]));
            parts.skip(&mut part).await.unwrap();
            read += 1;
            let sent = sent.load(Ordering::Relaxed);
            assert!(sent <= read / PARTS_IN_A_PIECE + 2, "{sent} pieces were taken for {read} parts");
        }
        assert_eq!(read, PIECES * PARTS_IN_A_PIECE);
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_refused() {
        let mut parts = parts([b"--b\r\nA: ".to_vec()].into_iter().chain(std::iter::repeat(vec![b'x'; 64 * 1024])));
        assert_eq!(parts.next().await.err(), Some(PartsError::Unreadable));
    }
}
