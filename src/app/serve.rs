//! Listening and answering.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::Lifecycle;
use crate::http::write_timeout::WriteTimeout;

/// How long a client may take to send the head of a request, the wait for it on an open connection included: longer than proxies
/// keep a connection that nobody uses.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// How long a client may take nothing of an answer that waits.
const WRITE_TIMEOUT: Duration = Duration::from_mins(1);
/// Bytes of an answer that wait in the system to be sent. By itself it takes some megabytes, and tells that there is room again
/// when most of them are gone: to the write timeout, a client on a slow line would seem to take nothing.
#[cfg(target_os = "linux")]
const MAX_UNSENT: u32 = 128 * 1024;
/// Bytes of the head of a request, its line and all headers; also what is read of a body in advance.
const MAX_HEAD: usize = 64 * 1024;
/// Connections beyond these wait to be taken.
const MAX_CONNECTIONS: usize = 10_000;
/// How long clients whose connection was made before the stop may take to send their request, which is on its way.
const ARRIVAL_TIMEOUT: Duration = Duration::from_millis(200);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}; choose another address with {flag}")]
pub struct BindError {
    address: SocketAddr,
    flag: &'static str,
    cause: std::io::Error,
}

/// Takes hold of an address; `flag` is how the user may choose another.
///
/// # Errors
/// If the address is taken or not one of this machine's.
pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|cause| BindError { address, flag, cause })
}

/// Answers requests until the service stops, then gives those in flight `grace` to finish and cuts off the rest. Requests of clients
/// that were connected when it stopped, whether their connection was taken yet or not, are in flight.
pub async fn serve(mut listener: TcpListener, router: Router, lifecycle: Lifecycle, grace: Duration) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let answer = |connections: &mut JoinSet<()>, stream, peer: SocketAddr, place: Option<OwnedSemaphorePermit>| {
        let connection = graceful.watch(connection(stream, peer, router.clone(), WRITE_TIMEOUT));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                debug!(client.address = %peer.ip(), error = %error, "A connection broke: {error}");
            }
            drop(place);
        });
    };
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (Listener::accept(&mut listener).await, place.ok())
        };
        let ((stream, peer), place) = tokio::select! {
            next = next => next,
            () = lifecycle.stopped() => break,
        };
        answer(&mut connections, stream, peer, place);
        while connections.try_join_next().is_some() {}
    }
    for (stream, peer) in take_waiting(listener) {
        answer(&mut connections, stream, peer, None);
    }
    // hyper closes connections on which nothing was read yet.
    tokio::time::sleep(ARRIVAL_TIMEOUT).await;
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        warn!("Requests were still in flight after {} seconds; they are cut off", grace.as_secs());
    }
    connections.shutdown().await;
}

/// Stops listening; the connections that were made and not taken yet.
fn take_waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    let taken = std::iter::from_fn(|| listener.accept().ok()).take(MAX_CONNECTIONS);
    taken
        .filter_map(|(stream, peer)| {
            stream.set_nonblocking(true).ok()?;
            Some((TcpStream::from_std(stream).ok()?, peer))
        })
        .collect()
}

/// The answers to one client.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    write_timeout: Duration,
) -> http1::Connection<
    TokioIo<WriteTimeout<TcpStream>>,
    impl hyper::service::HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send>,
> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(error = %error, "Cannot switch off Nagle's algorithm: {error}");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT) {
        debug!(error = %error, "Cannot limit what waits to be sent: {error}");
    }
    let answer = move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move { Ok::<Response, Infallible>(router.oneshot(request).await.unwrap_or_else(|never| match never {})) }
    };
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(WriteTimeout::new(stream, write_timeout)), service_fn(answer))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::http::streamed::streamed;

    #[tokio::test]
    async fn clients_that_were_connected_before_the_stop_are_answered() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), "").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            clients.push(client);
        }
        let lifecycle = Lifecycle::default();
        lifecycle.stop();
        let router = Router::new().route("/", axum::routing::get(async || "answered"));
        serve(listener, router, lifecycle, Duration::from_secs(10)).await;
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("answered"), "{answer:?}");
        }
        assert!(TcpStream::connect(address).await.is_err());
    }

    /// A connection to `router`, with its server's side, on which an answer may wait for `write_timeout`.
    async fn connect(
        router: Router,
        write_timeout: Duration,
    ) -> (TcpStream, impl Future<Output = hyper::Result<()>> + Send + 'static) {
        let listener = bind("127.0.0.1:0".parse().unwrap(), "").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        (client, connection(stream, peer, router, write_timeout))
    }

    #[tokio::test]
    async fn who_never_reads_the_answer_is_given_up() {
        let router = Router::new().route("/", axum::routing::get(async || vec![b'x'; 32 * 1024 * 1024]));
        let (mut client, answers) = connect(router, Duration::from_millis(50)).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), answers).await;
        let error = ended.expect("the connection is open still").unwrap_err();
        assert!(format!("{error:?}").contains("TimedOut"), "{error:?}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn little_of_an_answer_waits_in_the_system() {
        const PIECE: usize = 16 * 1024;
        let pieces = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&pieces);
        let endless = async move || {
            streamed(|pieces| async move {
                loop {
                    pieces.send(vec![b'x'; PIECE]).await?;
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let router = Router::new().route("/", axum::routing::get(endless));
        let (mut client, answers) = connect(router, Duration::from_millis(50)).await;
        client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        assert!(answers.await.is_err());
        let written = pieces.load(Ordering::Relaxed) * PIECE;
        assert!(written < 1024 * 1024, "{written} bytes were taken from the handler, and none by the client");
    }

    #[tokio::test]
    async fn heads_are_taken_up_to_their_limit() {
        let head = |size: usize| format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}", "x".repeat(size));
        let answer_to = async |sent: String| {
            let router = Router::new().route("/", axum::routing::get(async || "answered"));
            let (mut client, answers) = connect(router, WRITE_TIMEOUT).await;
            tokio::spawn(answers);
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = vec![0; 1024];
            let read = tokio::time::timeout(Duration::from_secs(10), client.read(&mut answer)).await;
            let read = read.expect("the rest of the head is waited for").unwrap();
            String::from_utf8_lossy(&answer[..read]).into_owned()
        };
        assert!(answer_to(head(60_000) + "\r\n\r\n").await.starts_with("HTTP/1.1 200 OK"));
        assert!(answer_to(head(MAX_HEAD)).await.starts_with("HTTP/1.1 431 "), "without its end");
    }
}
