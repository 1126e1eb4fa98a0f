//! Listening and answering.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tracing::warn;

use super::Lifecycle;

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

/// Answers requests until the service stops, then gives those in flight `grace` to finish.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    lifecycle: Lifecycle,
    grace: Duration,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            warn!(error = %error, "Cannot switch off Nagle's algorithm: {error}");
        }
    });
    let stopped = {
        let lifecycle = lifecycle.clone();
        async move { lifecycle.stopped().await }
    };
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, service).with_graceful_shutdown(stopped);
    tokio::select! {
        result = server => result,
        () = async { lifecycle.stopped().await; tokio::time::sleep(grace).await } => {
            warn!("Requests were still in flight after {} seconds; they are cut off", grace.as_secs());
            Ok(())
        }
    }
}
