//! Where and how the server answers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use super::allowed_hosts::AllowedHosts;
use super::parse;
use super::settings::{
    CFIMAGES_ALLOWED_HOSTS, CFIMAGES_LISTEN, CFIMAGES_REQUEST_TIMEOUT_SECONDS, CFIMAGES_SHUTDOWN_TIMEOUT_SECONDS,
    CFIMAGES_TRUSTED_PROXIES, CFIMAGES_URL_PREFIX,
};
use super::values::Values;

/// Where and how the server answers.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The path below which everything is: with a slash before and none after, or empty for the root.
    pub url_prefix: String,
    /// The proxies that are believed about the client.
    pub trusted_proxies: TrustedProxies,
    /// The hosts that requests may name.
    pub allowed_hosts: AllowedHosts,
    /// How long a request may take.
    pub request_timeout: Duration,
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
        let url_prefix = values.read(&CFIMAGES_URL_PREFIX, url_prefix);
        let trusted_proxies = values.read(&CFIMAGES_TRUSTED_PROXIES, TrustedProxies::parse);
        let allowed_hosts = values.read(&CFIMAGES_ALLOWED_HOSTS, AllowedHosts::parse);
        let request_timeout = values.read(&CFIMAGES_REQUEST_TIMEOUT_SECONDS, parse::number(1..=3600));
        let shutdown_timeout = values.read(&CFIMAGES_SHUTDOWN_TIMEOUT_SECONDS, parse::number(0..=3600));
        Some(Self {
            listen: listen?,
            url_prefix: url_prefix?,
            trusted_proxies: trusted_proxies?,
            allowed_hosts: allowed_hosts?,
            request_timeout: Duration::from_secs(request_timeout?),
            shutdown_timeout: Duration::from_secs(shutdown_timeout?),
        })
    }
}

/// The networks of the proxies that are believed about the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Whether what comes from this address is believed. IPv4 addresses in IPv6 form are the same as in their own.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    fn parse(text: &str) -> Result<Self, String> {
        parse::list(text).map(network).collect::<Option<_>>().map(Self).ok_or_else(|| {
            "must be IP addresses and networks, such as 10.0.0.0/8 or ::1, separated by commas".to_owned()
        })
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// A network, or an address as the network of that address alone.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(|address| address.to_canonical().into())).ok()?;
    Some(IpNet::trunc(&network))
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
    fn proxies_are_addresses_and_networks_of_either_family() {
        let proxies = TrustedProxies::parse("10.1.2.3/8, ::1,192.0.2.7 ,").unwrap();
        assert_eq!(proxies.to_string(), "10.0.0.0/8, ::1/128, 192.0.2.7/32");
        for (address, want) in [
            ("10.200.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::1", true),
            ("::2", false),
        ] {
            assert_eq!(proxies.contains(address.parse().unwrap()), want, "{address}");
        }
        assert!(!TrustedProxies::parse("").unwrap().contains("127.0.0.1".parse().unwrap()));
        for text in ["10.0.0.0/33", "example.com", "10.0.0.1:80", "*"] {
            assert!(TrustedProxies::parse(text).is_err(), "{text}");
        }
    }

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
