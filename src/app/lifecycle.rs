//! Stopping in good order.

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Whether the service is running or stopping. All clones know the same.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle {
    stopping: CancellationToken,
}

impl Lifecycle {
    /// Stops on SIGTERM and on Ctrl-C; a second signal ends the process at once.
    ///
    /// # Errors
    /// If the signals cannot be listened for.
    pub fn stop_on_signals(&self) -> std::io::Result<()> {
        let mut signals = Signals::listen()?;
        let stopping = self.stopping.clone();
        tokio::spawn(async move {
            let name = signals.next().await;
            stopping.cancel();
            info!(signal = name, "Received {name}: finishing the requests in flight");
            let name = signals.next().await;
            warn!(signal = name, "Received {name} again: stopping at once");
            std::process::exit(1);
        });
        Ok(())
    }

    /// Begins to stop.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Whether the service is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }

    /// What those who know nothing of the life cycle are told with: it is cancelled when the service begins to stop.
    pub fn token(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// Waits until the service begins to stop.
    pub async fn stopped(&self) {
        self.stopping.cancelled().await;
    }
}

/// Waits for SIGTERM or Ctrl-C, for commands that have something to put in order before they end; its name.
///
/// # Errors
/// If the signals cannot be listened for.
pub async fn stop_signal() -> std::io::Result<&'static str> {
    Ok(Signals::listen()?.next().await)
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    #[expect(clippy::unnecessary_wraps, reason = "the signature is that of Unix")]
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
