//! `cfimages healthcheck`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;

use super::Context;
use super::output::print_line;
use crate::config::{Purpose, parse_listen, settings};

/// Asks a running server whether it is ready. It reads the same settings as `serve` to find it.
#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    /// The address that the server listens on [default: 127.0.0.1:8000, or `CFIMAGES_LISTEN`].
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    listen: Option<SocketAddr>,
    /// Give up after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    timeout: u64,
}

impl HealthcheckArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let flags = self.listen.map(|listen| (&settings::CFIMAGES_LISTEN, listen.to_string()));
        let config = context.loader().overrides(flags).load(Purpose::Database)?;
        let address = reachable(config.server.listen);
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(self.timeout)).build()?;
        let response = http
            .get(format!("http://{address}/readyz"))
            .send()
            .await
            .with_context(|| format!("no answer from {address}"))?;
        let status = response.status();
        let body = response.text().await.unwrap_or_default();
        if !status.is_success() {
            bail!("{address} is not ready: {body}");
        }
        print_line(body)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Where a server that listens on every address of this machine is reached.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_every_address_is_asked_on_loopback() {
        for (listen, want) in [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("10.0.0.1:80", "10.0.0.1:80")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), want);
        }
    }
}
