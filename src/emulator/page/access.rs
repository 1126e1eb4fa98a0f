//! Who may see the page, and from where it may be told to do something.
//!
//! Any web site that is open in the same browser can send requests to this machine. It can neither read answers nor act:
//!
//! - a name of its own that it points at this machine (DNS rebinding) is not among the hosts that are answered;
//! - what changes something has to come from the page itself;
//! - no answer may be read (no CORS), embedded or framed by others.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use reqwest::Url;

use super::{Account, session};
use crate::domain::is_loopback_url;

/// What every answer bears, unless it has something else to say.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // With less, browsers would not say where forms come from.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];
/// What proxies and tunnels say of those whom they speak for.
const FORWARDED: [HeaderName; 4] = [
    header::FORWARDED,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("cf-connecting-ip"),
];
const WRONG_HOST: &str = "The page of the emulator is not answered under this name. Open it at the address that the emulator \
                          printed when it started, or tell it the name with --public-url.\n";
const FOREIGN: &str = "This can be asked for by the page of the emulator only.\n";
const NO_TRUST: &str = "Present the API token on the page of the emulator first.\n";

/// Where the emulator listens and what it is called.
#[derive(Debug)]
pub(in crate::emulator) struct Access {
    address: IpAddr,
    public_host: Option<String>,
    /// Whether it listens to this machine alone, and is not called something else, as behind a tunnel.
    is_local: bool,
}

impl Access {
    pub(in crate::emulator) fn new(address: SocketAddr, public_url: &str) -> Self {
        let url = Url::parse(public_url).ok();
        let public_host = url.as_ref().and_then(Url::host_str).map(str::to_owned);
        let address = address.ip().to_canonical();
        Self { address, public_host, is_local: address.is_loopback() && is_loopback_url(public_url) }
    }

    /// Whether a request comes from this machine, as far as can be known: others come by proxies and tunnels alone.
    fn is_local(&self, headers: &HeaderMap) -> bool {
        self.is_local && !FORWARDED.iter().any(|name| headers.contains_key(name))
    }

    /// Whether a `Host` is a name or an address of the emulator, at any port, since ports may be forwarded.
    fn knows(&self, host: &Authority) -> bool {
        if host.as_str().contains('@') {
            return false;
        }
        let name = host.host();
        let is_public_host = self.public_host.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        is_public_host
            || match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
                Ok(ip) => self.has(ip.to_canonical()),
                Err(_) => name.eq_ignore_ascii_case("localhost"),
            }
    }

    /// Whether this is an address that is listened at; all of them are where none was chosen.
    fn has(&self, ip: IpAddr) -> bool {
        ip.is_loopback() || ip == self.address || self.address.is_unspecified()
    }
}

/// Answers what may be asked for.
pub(super) async fn guard(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    let mut response = match check(&account.page_access, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => (StatusCode::FORBIDDEN, problem).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

fn check(access: &Access, method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
    let host = host(headers).filter(|host| access.knows(host)).ok_or(WRONG_HOST)?;
    let is_safe = matches!(*method, Method::GET | Method::HEAD);
    if is_safe || is_from(&host, headers) { Ok(()) } else { Err(FOREIGN) }
}

/// The only `Host` there is.
fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?.parse().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Whether a browser says that a page of this host asks. What says nothing of it is no browser, and has the API.
fn is_from(host: &Authority, headers: &HeaderMap) -> bool {
    let value = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = value(HeaderName::from_static("sec-fetch-site")).map(|site| site == "same-origin");
    let origin = value(header::ORIGIN).map(|origin| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
    });
    match (site, origin) {
        (None, None) => false,
        (site, origin) => site.unwrap_or(true) && origin.unwrap_or(true),
    }
}

/// Keeps what is guarded by the token from whoever may not have it.
pub(super) async fn require_trust(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    if is_trusted(&account, request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, NO_TRUST).into_response()
    }
}

/// Whether the visitor may know the token: because the request comes from this machine, or because it was presented.
pub(super) fn is_trusted(account: &Account, headers: &HeaderMap) -> bool {
    account.page_access.is_local(headers) || session::is_open(account, headers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn access(address: &str, public_url: &str) -> Access {
        Access::new(address.parse().unwrap(), public_url)
    }

    fn knows(access: &Access, host: &str) -> bool {
        host.parse().is_ok_and(|host| access.knows(&host))
    }

    #[test]
    fn names_and_addresses_of_the_emulator_are_known_at_any_port() {
        let local = access("127.0.0.1:8001", "http://emulator.test:8001");
        for host in
            ["127.0.0.1", "127.0.0.1:9", "127.1.2.3", "[::1]:8001", "localhost:8001", "LOCALHOST", "Emulator.test"]
        {
            assert!(knows(&local, host), "{host}");
        }
        for host in [
            "evil.test:8001",
            "localhost.evil.test",
            "emulator.test.evil.test",
            "192.0.2.1",
            "0.0.0.0",
            "a@localhost",
            "[::2]",
            "2130706433",
            "[::ffff:192.0.2.1]",
            "localhost.",
        ] {
            assert!(!knows(&local, host), "{host}");
        }
        let of_network = access("192.0.2.1:8001", "http://192.0.2.1:8001");
        assert!(knows(&of_network, "192.0.2.1:8001") && !knows(&of_network, "192.0.2.2:8001"));
        // No web site can have an address for its name.
        let everywhere = access("0.0.0.0:8001", "http://0.0.0.0:8001");
        assert!(knows(&everywhere, "192.0.2.2:8001") && !knows(&everywhere, "evil.test"));
    }

    #[test]
    fn only_loopback_is_local() {
        for (address, want) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.0.2.1:1", false),
        ] {
            assert_eq!(access(address, "http://localhost").is_local(&HeaderMap::new()), want, "{address}");
        }
    }

    #[test]
    fn what_a_tunnel_or_proxy_lets_in_is_not_local() {
        assert!(!access("127.0.0.1:1", "https://emu.example.com").is_local(&HeaderMap::new()));
        let local = access("127.0.0.1:1", "http://127.0.0.1:1");
        for name in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "CF-Connecting-IP"] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(""))]);
            assert!(!local.is_local(&headers), "{name}");
        }
    }

    #[test]
    fn only_the_page_itself_may_change_something() {
        let from = |fields: &[(&'static str, &'static str)]| {
            let headers = fields.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            is_from(&"127.0.0.1:8001".parse().unwrap(), &headers.collect())
        };
        let (same, own) = (("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8001"));
        assert!(from(&[same]) && from(&[own]) && from(&[same, own]));
        assert!(!from(&[]));
        for site in ["same-site", "cross-site", "none", ""] {
            assert!(!from(&[("sec-fetch-site", site)]) && !from(&[("sec-fetch-site", site), own]), "{site}");
        }
        for origin in
            ["null", "", "http://127.0.0.1:8000", "http://localhost:8001", "ftp://127.0.0.1:8001", "127.0.0.1:8001"]
        {
            assert!(!from(&[("origin", origin)]) && !from(&[same, ("origin", origin)]), "{origin}");
        }
    }

    proptest! {
        #[test]
        fn no_other_name_is_known(name in "[a-z0-9.-]{1,20}\\.[a-z]{2,5}") {
            prop_assert!(!knows(&access("127.0.0.1:8001", "http://127.0.0.1:8001"), &name));
        }
    }
}
