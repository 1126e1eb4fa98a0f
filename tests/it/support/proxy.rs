//! A connection that can be cut: stands between the server and PostgreSQL.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::{AbortHandle, JoinSet};

/// Passes bytes on until it is cut.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    target: Target,
    running: AbortHandle,
}

/// Where the bytes go.
#[derive(Clone)]
pub(crate) enum Target {
    Tcp(String),
    Socket(String),
}

impl Proxy {
    pub(crate) async fn start(target: Target) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let running = tokio::spawn(pass_on(listener, target.clone())).abort_handle();
        Self { address, target, running }
    }

    /// Drops all connections and refuses new ones.
    pub(crate) async fn cut(&self) {
        self.running.abort();
        super::eventually("the proxy refuses connections", async || TcpStream::connect(self.address).await.err()).await;
    }

    /// Passes bytes on again, at the same address.
    pub(crate) async fn restore(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.running = tokio::spawn(pass_on(listener, self.target.clone())).abort_handle();
    }
}

async fn pass_on(listener: TcpListener, target: Target) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let target = target.clone();
        connections.spawn(async move {
            let _ = match target {
                Target::Tcp(address) => {
                    tokio::io::copy_bidirectional(&mut client, &mut TcpStream::connect(address).await?).await
                }
                Target::Socket(path) => {
                    tokio::io::copy_bidirectional(&mut client, &mut UnixStream::connect(path).await?).await
                }
            };
            std::io::Result::Ok(())
        });
    }
}
