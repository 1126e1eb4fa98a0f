//! Bodies that are not wanted.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use tokio::time::{Instant, timeout_at};

use super::timeout::AnswerDeadline;

/// The most bytes that are taken in for nothing: about as many as the largest form has that is taken.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// How long the next piece may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Takes in what a handler left of a body before the answer is sent, as long as the client gets on with it and there is time to answer. A
/// connection that is closed over unread bytes is reset, and browsers and proxies that are still sending then tell of that, in place of the
/// answer.
pub async fn take_rest_of_body(request: Request, next: Next) -> Response {
    // Who waits to be told to go on has sent nothing yet.
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let until = request.extensions().get().map(|AnswerDeadline(until)| *until);
    let (parts, body) = request.into_parts();
    let body = LentBody(Arc::new(Mutex::new(body)));
    let response = next.run(Request::from_parts(parts, Body::new(body.clone()))).await;
    take_rest(body, until, PATIENCE).await;
    response
}

/// Where the client stops or has more to say, the answer must do without.
async fn take_rest(mut body: impl HttpBody<Data = Bytes> + Unpin, until: Option<Instant>, patience: Duration) {
    let mut taken = 0;
    while taken <= MAX_BYTES && !body.is_end_stream() {
        let latest = Instant::now() + patience;
        let next = poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        match timeout_at(until.map_or(latest, |until| until.min(latest)), next).await {
            Ok(Some(Ok(frame))) => taken += frame.data_ref().map_or(0, Bytes::len),
            Ok(Some(Err(_)) | None) | Err(_) => return,
        }
    }
}

/// A body that comes back. One at a time reads it.
#[derive(Clone)]
struct LentBody(Arc<Mutex<Body>>);

impl LentBody {
    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpBody for LentBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::http::streamed::streamed;

    const PATIENCE: Duration = Duration::from_millis(300);

    /// How many of some pieces are taken, of which each comes after a pause.
    async fn taken(pauses: Vec<Duration>, until: Option<Duration>) -> usize {
        let taken = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&taken);
        let body = streamed(|pieces| async move {
            for pause in pauses {
                tokio::time::sleep(pause).await;
                pieces.send("x".to_owned()).await?;
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
        let until = until.map(|time| Instant::now() + time);
        take_rest(body, until, PATIENCE).await;
        taken.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_body_is_taken_in_while_it_comes_and_there_is_time_to_answer() {
        let (short, long) = (PATIENCE / 6, PATIENCE * 10);
        assert_eq!(taken(vec![short; 12], None).await, 12);
        assert_eq!(taken(vec![short, long, short], None).await, 1, "the client has stopped");
        assert!(taken(vec![short; 100], Some(PATIENCE)).await < 100, "the answer has to be sent");
    }
}
