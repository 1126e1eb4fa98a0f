//! How requests prove who sends them.

use std::collections::HashSet;
use std::fmt;

use axum::http::HeaderName;
use secrecy::SecretString;

use super::parse;
use super::settings::{
    CFIMAGES_AUTH_ORDER, CFIMAGES_CSRF_TRUSTED_ORIGINS, CFIMAGES_DJANGO_CSRF_COOKIE, CFIMAGES_DJANGO_CSRF_HEADER,
    CFIMAGES_DJANGO_SECRET_KEY, CFIMAGES_DJANGO_SECRET_KEY_FALLBACKS, CFIMAGES_DJANGO_SESSION_COOKIE,
};
use super::values::Values;

/// How requests prove who sends them.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// The proofs that are looked at, in order.
    pub order: AuthOrder,
    /// Django's `SECRET_KEY`; without it no session is accepted.
    pub secret_key: Option<SecretString>,
    /// Django's `SECRET_KEY_FALLBACKS`.
    pub secret_key_fallbacks: Vec<SecretString>,
    /// The cookie that names the session.
    pub session_cookie: String,
    /// The cookie with the secret that forms and headers must know.
    pub csrf_cookie: String,
    /// The header that may carry the token.
    pub csrf_header: HeaderName,
    /// Other origins whose pages may send requests with a session.
    pub csrf_trusted_origins: TrustedOrigins,
}

/// A kind of proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthMethod {
    /// A session of Django's.
    Session,
    /// A token of DRF's.
    Token,
}

/// The proofs that are looked at, in order: one or both, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthOrder(Vec<AuthMethod>);

/// Origins as Django's `CSRF_TRUSTED_ORIGINS` takes them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedOrigins(Vec<TrustedOrigin>);

/// `https://www.example.com`, or `https://*.example.com` for a domain and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedOrigin {
    /// `https`
    pub scheme: String,
    /// Host and port; with a dot before it, where all below it are meant too.
    pub host: String,
}

impl AuthConfig {
    /// Whether nobody could prove anything, because there is no key to check sessions with.
    pub(super) fn lacks_secret_key(&self) -> bool {
        self.secret_key.is_none() && self.order.methods() == [AuthMethod::Session]
    }

    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let order = values.read(&CFIMAGES_AUTH_ORDER, AuthOrder::parse);
        let secret_key = values.read(&CFIMAGES_DJANGO_SECRET_KEY, parse::plain);
        let fallbacks = values.read(&CFIMAGES_DJANGO_SECRET_KEY_FALLBACKS, parse::plain).unwrap_or_default();
        let session_cookie = values.read(&CFIMAGES_DJANGO_SESSION_COOKIE, token);
        let csrf_cookie = values.read(&CFIMAGES_DJANGO_CSRF_COOKIE, token);
        let csrf_header = values.read(&CFIMAGES_DJANGO_CSRF_HEADER, header_name);
        let origins = values.read(&CFIMAGES_CSRF_TRUSTED_ORIGINS, TrustedOrigins::parse);
        Some(Self {
            order: order?,
            secret_key: secret_key.map(SecretString::from),
            secret_key_fallbacks: parse::list(&fallbacks).map(SecretString::from).collect(),
            session_cookie: session_cookie?,
            csrf_cookie: csrf_cookie?,
            csrf_header: csrf_header?,
            csrf_trusted_origins: origins.unwrap_or_default(),
        })
    }
}

impl AuthOrder {
    /// The proofs, the one that counts first at the beginning.
    pub fn methods(&self) -> &[AuthMethod] {
        &self.0
    }

    fn parse(text: &str) -> Result<Self, String> {
        let method = |name: &str| match name {
            "session" => Some(AuthMethod::Session),
            "token" => Some(AuthMethod::Token),
            _ => None,
        };
        let methods: Option<Vec<_>> = parse::list(text).map(method).collect();
        let is_set =
            |methods: &Vec<_>| !methods.is_empty() && methods.iter().collect::<HashSet<_>>().len() == methods.len();
        methods
            .filter(is_set)
            .map(Self)
            .ok_or_else(|| "must be session,token or token,session, or one of the two".to_owned())
    }
}

impl fmt::Display for AuthOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |method: &AuthMethod| match method {
            AuthMethod::Session => "session",
            AuthMethod::Token => "token",
        };
        f.write_str(&self.0.iter().map(name).collect::<Vec<_>>().join(", "))
    }
}

impl TrustedOrigins {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &TrustedOrigin> {
        self.0.iter()
    }

    fn parse(text: &str) -> Result<Self, String> {
        parse::list(text).map(TrustedOrigin::parse).collect::<Option<_>>().map(Self).ok_or_else(|| {
            "must be origins, such as https://example.com:8443 or https://*.example.com, separated by commas".to_owned()
        })
    }
}

impl TrustedOrigin {
    /// Whether all below the host are meant too.
    pub fn is_domain(&self) -> bool {
        self.host.starts_with('.')
    }

    /// The origin of browsers, in lower case: what browsers would never send has no sense here.
    fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let (scheme, host) = text.split_once("://")?;
        let name = host.strip_prefix("*.").unwrap_or(host);
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
        let is_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_origin = scheme.starts_with(|first: char| first.is_ascii_lowercase())
            && scheme.bytes().all(is_scheme)
            && name.bytes().all(is_plain)
            && !name.is_empty()
            && !name.starts_with('.');
        let host = if host.starts_with('*') { format!(".{name}") } else { name.to_owned() };
        is_origin.then(|| Self { scheme: scheme.to_owned(), host })
    }
}

impl fmt::Display for TrustedOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = |origin: &TrustedOrigin| {
            let star = if origin.is_domain() { "*" } else { "" };
            format!("{}://{star}{}", origin.scheme, origin.host)
        };
        f.write_str(&self.0.iter().map(origin).collect::<Vec<_>>().join(", "))
    }
}

/// A word of letters, digits and the signs that the names of cookies and headers may have.
fn token(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err("must be a name of letters, digits, '-' and '_'".to_owned())
    }
}

fn header_name(text: &str) -> Result<HeaderName, String> {
    HeaderName::try_from(token(text)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_have_each_method_once_at_most() {
        for (text, want) in [
            ("session,token", Some("session, token")),
            ("token, session", Some("token, session")),
            ("token", Some("token")),
            ("session", Some("session")),
            ("", None),
            ("token,token", None),
            ("basic", None),
            ("session,token,session", None),
        ] {
            assert_eq!(AuthOrder::parse(text).ok().map(|order| order.to_string()).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn origins_are_a_scheme_and_a_host_or_a_domain() {
        let origins = TrustedOrigins::parse("https://Example.com:8443, http://*.shop.example,https://[::1]").unwrap();
        assert_eq!(origins.to_string(), "https://example.com:8443, http://*.shop.example, https://[::1]");
        let domains: Vec<_> = origins.iter().map(TrustedOrigin::is_domain).collect();
        assert_eq!(domains, [false, true, false]);
        for text in [
            "example.com",
            "https://",
            "https://*",
            "https://*.",
            "https://a*.example.com",
            "https://example.com/",
            "https://user@example.com",
            "://example.com",
        ] {
            assert!(TrustedOrigins::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_cookies_and_headers_are_single_words() {
        assert_eq!(token("__Host-sessionid").as_deref(), Ok("__Host-sessionid"));
        assert_eq!(header_name("X-CSRFToken").unwrap(), "x-csrftoken");
        for text in ["a b", "a;b", "a=b", "é", "a:"] {
            assert!(token(text).is_err() && header_name(text).is_err(), "{text}");
        }
    }
}
