//! Forms in parts, read part by part, so that files are never here as a whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
        self.held.release();
        Ok(part)
    }

    /// The next piece of a part; none at its end.
    ///
    /// # Errors
    /// [`PartsError`].
    pub async fn chunk(&self, part: &mut Part<'_>) -> Result<Option<Bytes>, PartsError> {
        let chunk = part.chunk().await.map_err(|error| PartsError::of(&error))?;
        self.held.release();
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

/// How many bytes the parser of a form holds at most before it gives any of them away, as the heads of parts that do not end.
#[derive(Debug, Clone, Default)]
struct HeldBytes(Arc<AtomicUsize>);

impl HeldBytes {
    fn release(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) -> Result<(), HeadTooLong> {
        if self.0.fetch_add(bytes, Ordering::Relaxed) > MAX_HELD_BYTES { Err(HeadTooLong) } else { Ok(()) }
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
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| {
            let frame = frame?;
            self.held.add(frame.data_ref().map_or(0, Bytes::len)).map_err(axum::Error::new)?;
            Ok(frame)
        }))
    }
}
