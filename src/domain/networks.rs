//! Addresses that stand together for somebody.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

/// Networks, of which an address may be a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Whether an address is in one of the networks. IPv4 addresses in IPv6 form are the same as in their own.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether every address of a family is in them.
    pub fn hold_everybody(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }

    /// Whether there is no address but of this machine in them.
    pub fn are_loopback(&self) -> bool {
        self.0.iter().all(|network| network.network().is_loopback() && network.broadcast().is_loopback())
    }
}

/// What counts as one client: an address, or of IPv6 the network of 64 bits, as anybody who has one address has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(IpAddr);

impl From<IpAddr> for ClientNetwork {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
            address @ IpAddr::V4(_) => address,
        })
    }
}

/// An address, or `2001:db8::/64`.
impl fmt::Display for ClientNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// A text is no list of networks.
#[derive(Debug, thiserror::Error)]
#[error("must be IP addresses and networks, such as 10.0.0.0/8 or ::1, separated by commas")]
pub struct ParseNetworksError;

impl FromStr for Networks {
    type Err = ParseNetworksError;

    fn from_str(text: &str) -> Result<Self, ParseNetworksError> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(network).collect::<Option<_>>().map(Self).ok_or(ParseNetworksError)
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(IpNet::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// A network, or an address as the network of that address alone.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(|address| address.to_canonical().into())).ok()?;
    Some(IpNet::trunc(&network))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_addresses_and_prefixes_of_either_family() {
        let networks = "10.1.2.3/8, ::1,192.0.2.7 ,2001:db8::/32".parse::<Networks>().unwrap();
        assert_eq!(networks.to_string(), "10.0.0.0/8, ::1/128, 192.0.2.7/32, 2001:db8::/32");
        for (address, want) in [
            ("10.200.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::1", true),
            ("::2", false),
            ("2001:db8:1::7", true),
            ("2001:db9::7", false),
        ] {
            assert_eq!(networks.contains(address.parse().unwrap()), want, "{address}");
        }
        for (text, everybody, loopback) in [
            ("", false, true),
            ("127.0.0.0/8, ::1", false, true),
            ("127.0.0.0/7", false, false),
            ("127.0.0.1, 10.0.0.1", false, false),
            ("10.0.0.1, 0.0.0.0/0", true, false),
            ("::/0", true, false),
        ] {
            let networks = text.parse::<Networks>().unwrap();
            assert_eq!((networks.hold_everybody(), networks.are_loopback()), (everybody, loopback), "{text}");
        }
        assert!(!"".parse::<Networks>().unwrap().contains("127.0.0.1".parse().unwrap()));
        for text in ["10.0.0.0/33", "example.com", "10.0.0.1:80", "*"] {
            assert!(text.parse::<Networks>().is_err(), "{text}");
        }
    }
}
