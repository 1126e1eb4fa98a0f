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
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::Lifecycle;

/// How long a client may take to send the head of a request, the wait for it on an open connection included: longer than proxies
/// keep a connection that nobody uses.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);
/// Connections beyond these wait to be taken.
const MAX_CONNECTIONS: usize = 10_000;

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

/// Answers requests until the service stops, then gives those in flight `grace` to finish and cuts off the rest.
pub async fn serve(mut listener: TcpListener, router: Router, lifecycle: Lifecycle, grace: Duration) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (Listener::accept(&mut listener).await, place)
        };
        let ((stream, peer), place) = tokio::select! {
            next = next => next,
            () = lifecycle.stopped() => break,
        };
        let connection = graceful.watch(connection(stream, peer, router.clone()));
        connections.spawn(async move {
            if let Err(error) = connection.await {
                debug!(client.address = %peer.ip(), error = %error, "A connection broke: {error}");
            }
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        warn!("Requests were still in flight after {} seconds; they are cut off", grace.as_secs());
    }
    connections.shutdown().await;
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
