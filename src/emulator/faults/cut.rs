//! Answers that never come to their end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use http_body::{Frame, SizeHint};

/// A body that breaks off; the server then closes the connection.
struct CutBody {
    sent: Option<Bytes>,
    /// Whether the server was given the time to send what there is.
    has_paused: bool,
    size: SizeHint,
}

/// Marks answers whose connection is cut, for whoever records them.
#[derive(Debug, Clone, Copy)]
pub(in crate::emulator) struct Cut;

/// A body that breaks off before its first byte: a server sends nothing at all then, not even the head.
pub(super) fn nothing() -> Body {
    Body::new(CutBody { sent: None, has_paused: true, size: SizeHint::default() })
}

/// The first half of a body, which is said to be whole.
pub(super) fn half_of(whole: &Bytes) -> Body {
    let size = SizeHint::with_exact(whole.len() as u64);
    Body::new(CutBody { sent: Some(whole.slice(..whole.len() / 2)), has_paused: false, size })
}

impl HttpBody for CutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(bytes) = self.sent.take() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if !self.has_paused {
            self.has_paused = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())))
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
