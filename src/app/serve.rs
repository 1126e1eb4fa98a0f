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

/// How long a client may take to send the head of a request, the wait for it on an open connection included: longer than proxies
/// keep a connection that nobody uses.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
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
        let connection = graceful.watch(connection(stream, peer, router.clone()));
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
) -> http1::Connection<
    TokioIo<TcpStream>,
    impl hyper::service::HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send>,
> {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(error = %error, "Cannot switch off Nagle's algorithm: {error}");
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
        .serve_connection(TokioIo::new(stream), service_fn(answer))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

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
}
