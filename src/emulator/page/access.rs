//! Who may see the page, and from where it may be told to do something.
//!
//! Any web site that is open in the same browser can send requests to this machine. It can neither read answers nor act:
//!
//! - a name of its own that it points at this machine (DNS rebinding) is not among the [hosts](super::super::host) that are answered;
//! - what changes something has to come from the page itself;
//! - no answer may be read (no CORS), embedded or framed by others.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Account, WRONG_HOST, session};
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
const FOREIGN: &str = "This can be asked for by the page of the emulator only.";
const NO_TRUST: &str = "Present the API token on the page of the emulator first.\n";

/// Whether the emulator is this machine's own.
#[derive(Debug)]
pub(in crate::emulator) struct Access {
    /// Whether it listens to this machine alone, and is not called something else, as behind a tunnel.
    is_local: bool,
}

impl Access {
    pub(in crate::emulator) fn new(address: SocketAddr, public_url: &str) -> Self {
        Self { is_local: address.ip().to_canonical().is_loopback() && is_loopback_url(public_url) }
    }

    /// Whether a request comes from this machine, as far as can be known: others come by proxies, tunnels and forwarded ports alone.
    fn is_local(&self, headers: &HeaderMap) -> bool {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        self.is_local
            && is_loopback_url(&format!("http://{host}"))
            && !FORWARDED.iter().any(|name| headers.contains_key(name))
    }
}

/// Answers what may be asked for.
pub(super) async fn guard(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    let mut response = match check(&account, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => (StatusCode::FORBIDDEN, format!("{problem}\n")).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(value);
    }
    response
}

fn check(account: &Account, method: &Method, headers: &HeaderMap) -> Result<(), &'static str> {
    let host = account.hosts.named_by(headers).ok_or(WRONG_HOST)?;
    let is_safe = matches!(*method, Method::GET | Method::HEAD);
    if is_safe || is_from(&host, headers) { Ok(()) } else { Err(FOREIGN) }
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
    use super::*;

    fn access(address: &str, public_url: &str) -> Access {
        Access::new(address.parse().unwrap(), public_url)
    }

    fn called(host: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))])
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
            assert_eq!(access(address, "http://localhost").is_local(&called("localhost:1")), want, "{address}");
        }
    }

    #[test]
    fn what_a_tunnel_or_proxy_lets_in_is_not_local() {
        assert!(!access("127.0.0.1:1", "https://emu.example.com").is_local(&called("127.0.0.1:1")));
        let local = access("127.0.0.1:1", "http://127.0.0.1:1");
        for name in ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "CF-Connecting-IP"] {
            let mut headers = called("127.0.0.1:1");
            headers.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(""));
            assert!(!local.is_local(&headers), "{name}");
        }
    }

    #[test]
    fn who_calls_this_machine_by_another_name_is_not_local() {
        let local = access("127.0.0.1:1", "http://127.0.0.1:1");
        for host in ["127.0.0.1:1", "localhost:9", "[::1]:1"] {
            assert!(local.is_local(&called(host)), "{host}");
        }
        for host in ["192.0.2.1:1", "0.0.0.0:1", "workstation:1", "host.docker.internal:1", ""] {
            assert!(!local.is_local(&called(host)), "{host}");
        }
        assert!(!local.is_local(&HeaderMap::new()));
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
}
