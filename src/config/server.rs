//! Where and how the server answers.

use std::net::SocketAddr;
use std::time::Duration;

use super::allowed_hosts::AllowedHosts;
use super::cors::CorsOrigins;
use super::parse;
use super::settings::{
    CFIMAGES_ALLOWED_HOSTS, CFIMAGES_CORS_ORIGINS, CFIMAGES_LISTEN, CFIMAGES_METRICS_LISTEN,
    CFIMAGES_REQUEST_TIMEOUT_SECONDS, CFIMAGES_SHUTDOWN_DELAY_SECONDS, CFIMAGES_SHUTDOWN_TIMEOUT_SECONDS,
    CFIMAGES_TRUSTED_PROXIES, CFIMAGES_URL_PREFIX,
};
use super::values::Values;
use crate::domain::Networks;

/// Where and how the server answers.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The address to tell Prometheus at what is counted; none for not at all.
    pub metrics_listen: Option<SocketAddr>,
    /// The path below which everything is: with a slash before and none after, or empty for the root.
    pub url_prefix: String,
    /// The proxies that are believed about the client.
    pub trusted_proxies: Networks,
    /// The hosts that requests may name.
    pub allowed_hosts: AllowedHosts,
    /// The origins whose pages may use the API.
    pub cors_origins: CorsOrigins,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long new requests are still answered when the server stops.
    pub shutdown_delay: Duration,
    /// How long requests in flight may still take when the server stops.
    pub shutdown_timeout: Duration,
}

impl ServerConfig {
    /// Whether only this machine can reach the server.
    pub fn is_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let listen = values.read(&CFIMAGES_LISTEN, parse_listen);
        let metrics_listen = values.read(&CFIMAGES_METRICS_LISTEN, parse_listen);
        let url_prefix = values.read(&CFIMAGES_URL_PREFIX, url_prefix);
        let trusted_proxies = values.read(&CFIMAGES_TRUSTED_PROXIES, parse::networks);
        let allowed_hosts = values.read(&CFIMAGES_ALLOWED_HOSTS, AllowedHosts::parse);
        let cors_origins = values.read(&CFIMAGES_CORS_ORIGINS, CorsOrigins::parse);
        let request_timeout = values.read(&CFIMAGES_REQUEST_TIMEOUT_SECONDS, parse::number(1..=3600));
        let shutdown_delay = values.read(&CFIMAGES_SHUTDOWN_DELAY_SECONDS, parse::number(0..=3600));
        let shutdown_timeout = values.read(&CFIMAGES_SHUTDOWN_TIMEOUT_SECONDS, parse::number(0..=3600));
        Some(Self {
            listen: listen?,
            metrics_listen,
            url_prefix: url_prefix?,
            trusted_proxies: trusted_proxies?,
            allowed_hosts: allowed_hosts?,
            cors_origins: cors_origins.unwrap_or_default(),
            request_timeout: Duration::from_secs(request_timeout?),
            shutdown_delay: Duration::from_secs(shutdown_delay?),
            shutdown_timeout: Duration::from_secs(shutdown_timeout?),
        })
    }
}

/// Reads an address to listen on. `localhost` stands for 127.0.0.1; other names would have to be looked up.
///
/// # Errors
/// If it is no IP address and port.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse(),
        None => text.parse(),
    };
    address.map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000".to_owned())
}

fn url_prefix(text: &str) -> Result<String, String> {
    let path = parse::path(text)?;
    Ok(if path.is_empty() { path } else { format!("/{path}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_need_no_look_up() {
        for (text, want) in
            [("0.0.0.0:80", Some("0.0.0.0:80")), ("[::]:0", Some("[::]:0")), ("localhost:1", Some("127.0.0.1:1"))]
        {
            assert_eq!(parse_listen(text).ok().map(|address| address.to_string()).as_deref(), want);
        }
        for text in ["8000", ":8000", "127.0.0.1", "example.com:80", "localhost:", "127.0.0.1:65536", "::1:80:"] {
            assert!(parse_listen(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_prefix_gets_one_slash_before_and_none_after() {
        for (text, want) in [("/images/", "/images"), ("images", "/images"), ("a/b", "/a/b"), ("/", ""), ("", "")] {
            assert_eq!(url_prefix(text).as_deref(), Ok(want));
        }
    }
}
