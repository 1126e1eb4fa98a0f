//! The hosts that requests may name.

use std::fmt;

use super::parse;

/// The hosts that requests may name, by the rules of Django's `ALLOWED_HOSTS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// Whether a request may name this host, a `Host` header with or without a port.
    ///
    /// What cannot be the name of a host is never allowed, not even by `*`.
    ///
    /// upstream: Django's `validate_host` and `split_domain_port`
    pub fn allows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let Some(domain) = domain(&host) else { return false };
        self.0.iter().any(|pattern| match pattern.strip_prefix('.') {
            _ if pattern == "*" => true,
            Some(parent) => domain == parent || domain.ends_with(pattern.as_str()),
            None => domain == pattern,
        })
    }

    /// Whether every name is allowed that can be one.
    pub(super) fn allow_any(&self) -> bool {
        self.0.iter().any(|pattern| pattern == "*")
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let patterns: Vec<_> = parse::list(text).map(str::to_ascii_lowercase).collect();
        if !patterns.is_empty() && patterns.iter().all(|pattern| is_pattern(pattern)) {
            Ok(Self(patterns))
        } else {
            Err("must be hosts without ports, such as example.com, .example.com, [::1] or *, separated by commas"
                .to_owned())
        }
    }
}

impl fmt::Display for AllowedHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// The host without the port and without the dot that may end it; `None` where it cannot be a host.
fn domain(host: &str) -> Option<&str> {
    let (name, port) = match host.rfind(']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_number);
    let is_host = is_domain(name) || is_ipv6(name);
    (is_port && is_host).then(|| name.strip_suffix('.').unwrap_or(name))
}

fn is_pattern(pattern: &str) -> bool {
    pattern == "*" || is_ipv6(pattern) || is_domain(pattern.strip_prefix('.').unwrap_or(pattern))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_domain(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-');
    !name.is_empty() && name.bytes().all(is_letter)
}

/// Whether this is an address in brackets; a rough look, as the names of hosts are only compared.
fn is_ipv6(name: &str) -> bool {
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_letter = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':');
    address.is_some_and(|address| address.contains(':') && address.bytes().all(is_letter))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hosts(text: &str) -> AllowedHosts {
        AllowedHosts::parse(text).unwrap()
    }

    #[test]
    fn names_are_exact_and_a_dot_before_them_takes_in_subdomains() {
        let hosts = hosts("Example.com, .shop.example ,[::1]");
        for host in
            ["example.com", "EXAMPLE.com:8000", "example.com.", "shop.example", "a.b.shop.example", "[::1]", "[::1]:80"]
        {
            assert!(hosts.allows(host), "{host}");
        }
        for host in ["www.example.com", "notshop.example", "example.com.evil.org", "[::2]", "127.0.0.1", ""] {
            assert!(!hosts.allows(host), "{host}");
        }
    }

    #[test]
    fn a_star_allows_every_host_that_can_be_one() {
        let hosts = hosts("*");
        for host in ["a", "127.0.0.1:8000", "[2001:db8::1]:443", "xn--bcher-kva.example"] {
            assert!(hosts.allows(host), "{host}");
        }
        for host in ["", ":80", "a b", "a/b", "user@a", "a:b", "a:80:90", "a:", "[::1", "::1", "a_b", "[]", "é"] {
            assert!(!hosts.allows(host), "{host}");
        }
    }

    #[test]
    fn patterns_are_hosts_without_scheme_and_port() {
        for text in ["https://example.com", "example.com:80", "*.example.com", "a b", ".", ","] {
            assert!(AllowedHosts::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_the_check_panic(host in "\\PC*", likely in "[a-z.:\\[\\]0-9]*") {
            let hosts = hosts("*, .a, b, [::1]");
            hosts.allows(&host);
            hosts.allows(&likely);
        }
    }
}
