//! URLs that pictures are fetched from.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::incoming_file::base_name;

/// How long to wait for the addresses of a host.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// The endings of names that never are on the Internet.
const PRIVATE_DOMAINS: [&str; 5] = ["localhost", "local", "internal", "localdomain", "home.arpa"];

/// A URL that Cloudflare is to fetch a picture from. It may hold a password, so [`Debug`](fmt::Debug) leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl(Url);

/// Why a picture is not fetched from a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceUrlError {
    /// It is no URL. The text is DRF's.
    #[error("Enter a valid URL.")]
    Invalid,
    /// Its scheme is another.
    #[error("Only http and https URLs are fetched.")]
    Scheme,
    /// Its host is on a private network, or no host of the Internet at all.
    #[error("Only public addresses are fetched.")]
    Private,
}

impl SourceUrl {
    /// Reads a URL. Whether its host may be fetched from is another question.
    ///
    /// # Errors
    /// If it is no URL of http or https.
    pub fn parse(text: &str) -> Result<Self, SourceUrlError> {
        let url = Url::parse(text).map_err(|_| SourceUrlError::Invalid)?;
        if matches!(url.scheme(), "http" | "https") { Ok(Self(url)) } else { Err(SourceUrlError::Scheme) }
    }

    /// The URL; not to be logged.
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The name of the file, by the last part of the path; may be empty.
    pub(super) fn file_name(&self) -> String {
        base_name(&percent_decode_str(self.0.path()).decode_utf8_lossy())
    }

    /// Makes sure that the host is not one of a private network, by its name or its addresses.
    ///
    /// It is Cloudflare that fetches the picture, from its own network, where this machine's neighbours cannot be reached anyway; so
    /// this tells people of a mistake, and protects whatever stands in for Cloudflare. A name without addresses here may have some
    /// there, and passes; and the addresses may be others by then.
    ///
    /// # Errors
    /// [`SourceUrlError::Private`].
    pub(super) async fn require_public(&self) -> Result<(), SourceUrlError> {
        let host = self.0.host_str().ok_or(SourceUrlError::Invalid)?;
        let is_public = match host.trim_matches(['[', ']']).parse() {
            Ok(address) => is_public(address),
            Err(_) => is_public_name(host) && self.has_public_addresses(host).await,
        };
        if is_public { Ok(()) } else { Err(SourceUrlError::Private) }
    }

    async fn has_public_addresses(&self, name: &str) -> bool {
        let port = self.0.port_or_known_default().unwrap_or_default();
        match tokio::time::timeout(LOOK_UP_TIMEOUT, tokio::net::lookup_host((name, port))).await {
            Ok(Ok(mut addresses)) => addresses.all(|address| is_public(address.ip())),
            Ok(Err(_)) | Err(_) => true,
        }
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceUrl(***)")
    }
}

/// Whether a name, in lower case, may be one of the Internet.
fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_below =
        |domain: &&str| name.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    name.contains('.') && !PRIVATE_DOMAINS.iter().any(is_below)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether an address is none of those that IANA lists as special.
fn is_public_v4(address: Ipv4Addr) -> bool {
    const SPECIAL: [(Ipv4Addr, u8); 15] = [
        (Ipv4Addr::UNSPECIFIED, 8),
        (Ipv4Addr::new(10, 0, 0, 0), 8),
        (Ipv4Addr::new(100, 64, 0, 0), 10),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(192, 0, 0, 0), 24),
        (Ipv4Addr::new(192, 0, 2, 0), 24),
        (Ipv4Addr::new(192, 88, 99, 0), 24),
        (Ipv4Addr::new(192, 168, 0, 0), 16),
        (Ipv4Addr::new(198, 18, 0, 0), 15),
        (Ipv4Addr::new(198, 51, 100, 0), 24),
        (Ipv4Addr::new(203, 0, 113, 0), 24),
        (Ipv4Addr::new(224, 0, 0, 0), 4),
        (Ipv4Addr::new(240, 0, 0, 0), 4),
    ];
    !SPECIAL.iter().any(|(network, length)| Ipv4Net::new_assert(*network, *length).contains(&address))
}

/// Whether an address is one of the Internet, or stands for one of IPv4 that is.
fn is_public_v6(address: Ipv6Addr) -> bool {
    const SPECIAL: [(Ipv6Addr, u8); 3] = [
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    ];
    let [first, second, third, .., seventh, eighth] = address.segments();
    let embedded = |high: u16, low: u16| is_public_v4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match address.segments() {
        // Mapped, compatible and translated addresses (NAT64).
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => embedded(seventh, eighth),
        // 6to4.
        [0x2002, ..] => embedded(second, third),
        _ => {
            (0x2000..0x4000).contains(&first)
                && !SPECIAL.iter().any(|(network, length)| Ipv6Net::new_assert(*network, *length).contains(&address))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn check(url: &str) -> Result<(), SourceUrlError> {
        SourceUrl::parse(url)?.require_public().await
    }

    #[tokio::test]
    async fn private_addresses_are_refused_however_they_are_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "127。0。0。1",
            "0.0.0.0",
            "0",
            "10.1.2.3",
            "100.64.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.0.1",
            "198.19.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::192.168.0.1]",
            "[64:ff9b:1::1]",
            "[2002:7f00:1::]",
            "[2001:0:1::1]",
            "[2001:db8::1]",
            "[3fff::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[100::1]",
            "localhost",
            "LOCALHOST.",
            "a.localhost",
            "printer.local",
            "metadata.google.internal",
            "router.home.arpa",
            "intranet",
            "l%6fcalhost",
        ] {
            assert_eq!(check(&format!("http://{host}/x.png")).await, Err(SourceUrlError::Private), "{host}");
            assert_eq!(check(&format!("https://u:p@{host}:8443")).await, Err(SourceUrlError::Private), "{host}");
        }
    }

    #[tokio::test]
    async fn public_addresses_are_fetched() {
        for host in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "[2606:4700::1111]",
            "[::ffff:1.1.1.1]",
            "[64:ff9b::1.1.1.1]",
            "[2002:101:101::]",
        ] {
            assert_eq!(check(&format!("https://{host}/x.png")).await, Ok(()), "{host}");
        }
        // Reserved for names that have no addresses.
        assert_eq!(check("https://picture.invalid/x.png").await, Ok(()));
        assert!(
            is_public_name("images.example.com")
                && is_public_name("mylocal.example")
                && is_public_name("local.example.")
        );
    }

    #[tokio::test]
    async fn only_urls_of_the_web_are_fetched() {
        for url in ["file:///etc/passwd", "ftp://example.com/x", "data:image/png;base64,", "gopher://example.com"] {
            assert_eq!(check(url).await, Err(SourceUrlError::Scheme), "{url}");
        }
        for url in ["", "x.png", "/x.png", "//example.com/x.png", "http://", "http://[::1", "https://a b/"] {
            assert_eq!(check(url).await, Err(SourceUrlError::Invalid), "{url}");
        }
    }

    #[test]
    fn passwords_are_not_in_the_debug_output() {
        let url = SourceUrl::parse("https://user:hush@example.com/x.png").unwrap();
        assert_eq!(format!("{url:?}"), "SourceUrl(***)");
        assert_eq!(url.as_str(), "https://user:hush@example.com/x.png");
    }

    proptest! {
        #[test]
        fn addresses_of_ipv4_are_judged_alike_in_every_form(bits in any::<u32>()) {
            let address = Ipv4Addr::from(bits);
            let translated = Ipv6Addr::from((0x0064_ff9b_u128 << 96) | u128::from(bits));
            let (high, low) = ((bits >> 16) as u16, (bits & 0xffff) as u16);
            let six_to_four = Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1);
            for other in [address.to_ipv6_mapped(), translated, six_to_four] {
                prop_assert_eq!(is_public_v6(other), is_public_v4(address));
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*", host in "[a-z0-9.\\[\\]:x%]{0,20}") {
            let _ = SourceUrl::parse(&text);
            let _ = SourceUrl::parse(&format!("http://{host}/"));
        }
    }
}
