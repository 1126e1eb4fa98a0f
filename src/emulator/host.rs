//! The names under which the emulator answers.
//!
//! Any web site that is open in a browser on this machine can point a name of its own at the emulator (DNS rebinding). For the browser
//! its scripts are then of the same origin, and may send whatever they like, with the token that everybody knows. So the API and
//! the page are answered under names alone that no web site can have, and under the one of the public URL. Pictures and upload URLs
//! are for everybody, as at Cloudflare, and under whatever name a site has that is being developed.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use reqwest::Url;

use super::envelope::ApiError;
use super::{Account, auth};

/// What is said under other names.
pub(super) const WRONG_HOST: &str = "The emulator does not answer under this name. Use the address that it printed when it \
                                     started, or tell it the name with --public-url.";

/// Domains that are no part of the public DNS: of this machine, and of private networks such as those of containers.
const PRIVATE_DOMAINS: [&str; 2] = [".localhost", ".internal"];

/// The names of the emulator.
#[derive(Debug)]
pub(super) struct Hosts {
    public: Option<String>,
}

impl Hosts {
    pub(super) fn new(public_url: &str) -> Self {
        let url = Url::parse(public_url).ok();
        Self { public: url.as_ref().and_then(Url::host_str).map(str::to_owned) }
    }

    /// The only `Host` of a request, if the emulator may be called so.
    pub(super) fn named_by(&self, headers: &HeaderMap) -> Option<Authority> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next()?.to_str().ok()?.parse().ok()?;
        (hosts.next().is_none() && self.knows(&host)).then_some(host)
    }

    /// Whether it is an address, a private name or the public one, at any port, since ports may be forwarded.
    fn knows(&self, host: &Authority) -> bool {
        let name = host.host();
        let is_public = || self.public.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(name));
        let is_address = || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        !host.as_str().contains('@') && (is_address() || is_private(name) || is_public())
    }
}

/// Whether a name is one word, as `localhost` and those of containers, or in a domain that is not public.
fn is_private(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_word = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    is_word || PRIVATE_DOMAINS.iter().any(|domain| name.ends_with(domain))
}

/// Lets requests through that call the emulator by a name of its own. Those without a name do not come from a browser.
pub(super) async fn require_own(State(account): State<Arc<Account>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let is_own = !headers.contains_key(header::HOST) || account.hosts.named_by(headers).is_some();
    let checked = is_own.then_some(()).ok_or_else(|| ApiError::new(StatusCode::FORBIDDEN, 10000, WRONG_HOST));
    auth::pass(checked, request, next).await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn knows(host: &str) -> bool {
        host.parse().is_ok_and(|host| Hosts::new("http://emulator.test:8001").knows(&host))
    }

    #[test]
    fn addresses_private_names_and_the_public_one_are_known_at_any_port() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9",
            "192.0.2.1:8001",
            "[::1]:8001",
            "[::ffff:192.0.2.1]",
            "localhost:8001",
            "LOCALHOST",
            "cfimages",
            "cfimages-emulator_1:8001",
            "emulator.localhost",
            "host.docker.internal:8001",
            "Host.Containers.Internal",
            "Emulator.test",
        ] {
            assert!(knows(host), "{host}");
        }
        for host in [
            "evil.test:8001",
            "localhost.evil.test",
            "host.docker.internal.evil.test",
            "evilinternal.test",
            "emulator.test.evil.test",
            "127.0.0.1.evil.test",
            "a@localhost",
            "localhost.",
            "evil.",
            "[evil]",
            ":8001",
        ] {
            assert!(!knows(host), "{host}");
        }
    }

    proptest! {
        #[test]
        fn no_name_of_a_web_site_is_known(name in "[a-z0-9.-]{1,20}\\.[a-z]{2,5}") {
            prop_assert!(!knows(&name));
        }
    }
}
