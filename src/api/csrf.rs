//! Whether a request with a session was sent by a page of the site: Django's protection against forgeries.
//!
//! upstream: `django.middleware.csrf`

use std::net::Ipv6Addr;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use subtle::ConstantTimeEq;

use super::upload_body::{TakesFile, UploadBody};
use super::{ApiError, AuthError, RequestData};
use crate::config::{TrustedOrigin, TrustedOrigins};
use crate::http::{Cookies, RequestContext};
use crate::service::random_text;

/// The field of forms that carries the token.
const FIELD: &str = "csrfmiddlewaretoken";
const SECRET_CHARS: usize = 32;
/// A mask, then the secret under it.
const TOKEN_CHARS: usize = 2 * SECRET_CHARS;
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// What a request with a session must show before it may change anything.
#[derive(Debug)]
pub(super) struct CsrfRules {
    cookie: String,
    header: HeaderName,
    trusted: TrustedOrigins,
}

/// Where a token was found, as messages name it.
type Source = String;

impl CsrfRules {
    pub(super) fn new(cookie: String, header: HeaderName, trusted: TrustedOrigins) -> Self {
        Self { cookie, header, trusted }
    }

    /// A token for a form, made of the one in the cookie and masked anew; none where there is no usable cookie.
    pub(super) fn token_for_form(&self, headers: &HeaderMap) -> Option<String> {
        let secret = self.secret(headers).ok()?;
        mask(&secret, &random_text(ALPHABET, SECRET_CHARS).ok()?)
    }

    /// Checks a request, and gives it back. Where the token may be in a form, the body is read.
    pub(super) async fn check(&self, request: Request) -> (Request, Result<(), AuthError>) {
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE) {
            return (request, Ok(()));
        }
        let refuse = |request, reason| (request, Err(AuthError::Csrf(format!("CSRF Failed: {reason}"))));
        let context = request.extensions().get::<RequestContext>();
        let site = context.map_or("http://localhost", |context| context.origin.as_str());
        let secret = self.check_origin(request.headers(), site).and_then(|()| self.secret(request.headers()));
        let secret = match secret {
            Ok(secret) => secret,
            Err(reason) => return refuse(request, reason),
        };
        let (request, form_token) = match form_token(request).await {
            (request, Ok(token)) => (request, token),
            (request, Err(error)) => return (request, Err(AuthError::Unreadable(error))),
        };
        match self.check_token(request.headers(), &form_token, &secret) {
            Ok(()) => (request, Ok(())),
            Err(reason) => refuse(request, reason),
        }
    }

    /// Checks that the page that sent the request is one of the site, as far as the browser tells.
    fn check_origin(&self, headers: &HeaderMap, site: &str) -> Result<(), String> {
        if let Some(origin) = text(headers, &header::ORIGIN) {
            return if self.is_trusted_origin(&origin, site) {
                Ok(())
            } else {
                Err(format!("Origin checking failed - {origin} does not match any trusted origins."))
            };
        }
        match site.strip_prefix("https://") {
            Some(host) => self.check_referer(text(headers, &header::REFERER), host),
            None => Ok(()),
        }
    }

    /// The header that may carry the token.
    pub(super) fn header(&self) -> &HeaderName {
        &self.header
    }

    /// Whether an origin is the site's own, or one that is trusted.
    pub(super) fn is_trusted_origin(&self, origin: &str, site: &str) -> bool {
        let is_exact = |trusted: &TrustedOrigin| {
            !trusted.is_domain() && origin == format!("{}://{}", trusted.scheme, trusted.host)
        };
        if origin == site || self.trusted.iter().any(is_exact) {
            return true;
        }
        let Some(url) = SplitUrl::parse(origin) else { return false };
        let domains = self.trusted.iter().filter(|trusted| trusted.is_domain() && trusted.scheme == url.scheme);
        domains.into_iter().any(|trusted| is_same_domain(&url.host, &trusted.host))
    }

    /// Whoever is between browser and server can send forms from a page without TLS, and knows the cookie: on a site with TLS the
    /// page must have it too.
    fn check_referer(&self, referer: Option<String>, host: &str) -> Result<(), String> {
        let referer = referer.ok_or("Referer checking failed - no Referer.")?;
        let url = SplitUrl::parse(&referer).filter(|url| !url.scheme.is_empty() && !url.host.is_empty());
        let url = url.ok_or("Referer checking failed - Referer is malformed.")?;
        if url.scheme != "https" {
            return Err("Referer checking failed - Referer is insecure while host is secure.".to_owned());
        }
        let is_trusted = self.trusted.iter().any(|trusted| is_same_domain(&url.host, &trusted.host));
        if is_trusted || is_same_domain(&url.host, &host.to_lowercase()) {
            return Ok(());
        }
        Err(format!("Referer checking failed - {} does not match any trusted origins.", url.unsplit()))
    }

    /// The secret in the cookie.
    fn secret(&self, headers: &HeaderMap) -> Result<String, String> {
        let cookie = Cookies::of(headers).get(&self.cookie).ok_or("CSRF cookie not set.")?;
        check_format(&cookie).map_err(|reason| format!("CSRF cookie {reason}."))?;
        Ok(unmask(&cookie))
    }

    /// Checks that whoever made the request knows the secret.
    fn check_token(&self, headers: &HeaderMap, form_token: &str, secret: &str) -> Result<(), String> {
        let (token, source) = self.token(headers, form_token)?;
        let wrong = |reason: &str| format!("CSRF token from {source} {reason}.");
        check_format(&token).map_err(wrong)?;
        if unmask(&token).as_bytes().ct_eq(secret.as_bytes()).into() { Ok(()) } else { Err(wrong("incorrect")) }
    }

    fn token(&self, headers: &HeaderMap, form_token: &str) -> Result<(String, Source), String> {
        if !form_token.is_empty() {
            return Ok((form_token.to_owned(), "POST".to_owned()));
        }
        let token = text(headers, &self.header).ok_or("CSRF token missing.")?;
        Ok((token, format!("the '{}' HTTP header", title_case(self.header.as_str()))))
    }
}

/// The token in the form that a POST carries; empty where there is none. What the body says is kept for the handler. Of a form with a
/// file that is passed on as it comes, only what stands before the file is read.
///
/// upstream: `rest_framework.request.Request.POST`
///
/// # Errors
/// If the body cannot be read: that is told whatever the token, and nothing is done.
async fn form_token(request: Request) -> (Request, Result<String, ApiError>) {
    if request.method() != Method::POST {
        return (request, Ok(String::new()));
    }
    let takes_file = request.extensions().get::<TakesFile>().is_some();
    let (parts, body) = request.into_parts();
    let sent = Request::from_parts(parts.clone(), body);
    let mut request = Request::from_parts(parts, Body::empty());
    let token = if takes_file {
        UploadBody::from_request(sent, &()).await.map(|body| {
            let token = token_in(&body.data);
            request.extensions_mut().insert(body.kept());
            token
        })
    } else {
        RequestData::from_request(sent, &()).await.map(|data| {
            let token = token_in(&data);
            request.extensions_mut().insert(data);
            token
        })
    };
    (request, token)
}

fn token_in(data: &RequestData) -> String {
    data.form().and_then(|form| form.text(FIELD)).unwrap_or_default().to_owned()
}

/// A header as Python's servers read it: each byte a character.
fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(HeaderValue::as_bytes).map(|bytes| bytes.iter().map(|byte| char::from(*byte)).collect())
}

/// The name of a header with a capital after everything that is no letter, as Django shows it.
fn title_case(name: &str) -> String {
    let mut after_letter = false;
    name.chars()
        .map(|c| {
            let cased = if after_letter { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() };
            after_letter = c.is_ascii_alphabetic();
            cased
        })
        .collect()
}

/// Checks that this is a secret, masked or not.
fn check_format(token: &str) -> Result<(), &'static str> {
    if !matches!(token.chars().count(), SECRET_CHARS | TOKEN_CHARS) {
        return Err("has incorrect length");
    }
    if token.bytes().all(|byte| byte.is_ascii_alphanumeric()) { Ok(()) } else { Err("has invalid characters") }
}

/// The secret in a token, which is in the format. Pages mask it anew each time, so that compression does not give it away.
fn unmask(token: &str) -> String {
    let Some((mask, masked)) = token.split_at_checked(SECRET_CHARS).filter(|(_, masked)| !masked.is_empty()) else {
        return token.to_owned();
    };
    let index = |byte: u8| ALPHABET.iter().position(|letter| *letter == byte).unwrap_or_default();
    let pairs = masked.bytes().zip(mask.bytes());
    pairs
        .map(|(masked, mask)| char::from(ALPHABET[(index(masked) + ALPHABET.len() - index(mask)) % ALPHABET.len()]))
        .collect()
}

/// The token that [`unmask`] makes a secret of; none where the secret has characters of its own.
fn mask(secret: &str, mask: &str) -> Option<String> {
    let index = |byte: u8| ALPHABET.iter().position(|letter| *letter == byte);
    let pairs = secret.bytes().zip(mask.bytes());
    let masked =
        pairs.map(|(secret, mask)| Some(char::from(ALPHABET[(index(secret)? + index(mask)?) % ALPHABET.len()])));
    Some(mask.to_owned() + &masked.collect::<Option<String>>()?)
}

/// Whether a host is the one of a pattern or, where that begins with a dot, one below it.
fn is_same_domain(host: &str, pattern: &str) -> bool {
    match pattern.strip_prefix('.') {
        Some(domain) => host == domain || host.ends_with(pattern),
        None => !pattern.is_empty() && host == pattern,
    }
}

/// The parts of a URL as Python sees them, which is not as browsers do.
///
/// upstream: `urllib.parse.urlsplit`
#[derive(Debug, PartialEq, Eq)]
struct SplitUrl {
    scheme: String,
    /// With user and port.
    host: String,
    path: String,
    query: String,
    fragment: String,
}

impl SplitUrl {
    /// Reads a URL; `None` where the brackets of its host are wrong.
    fn parse(url: &str) -> Option<Self> {
        let url: String =
            url.trim_start_matches(|c| c <= ' ').chars().filter(|c| !matches!(c, '\t' | '\r' | '\n')).collect();
        let is_scheme = |scheme: &str| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        };
        let (scheme, rest) = match url.split_once(':') {
            Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
            _ => (String::new(), url.as_str()),
        };
        let (host, rest) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        has_sound_brackets(host).then(|| Self {
            scheme,
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            fragment: fragment.to_owned(),
        })
    }

    /// The URL again, without empty parts; it has scheme and host.
    fn unsplit(&self) -> String {
        let part = |sign: &str, text: &str| if text.is_empty() { String::new() } else { format!("{sign}{text}") };
        let Self { scheme, host, path, query, fragment } = self;
        format!("{scheme}://{host}{path}{}{}", part("?", query), part("#", fragment))
    }
}

/// Whether there are no brackets, or some with an address of IPv6 or of a later kind between them.
fn has_sound_brackets(host: &str) -> bool {
    if !host.contains('[') || !host.contains(']') {
        return !host.contains(['[', ']']);
    }
    let after = host.split_once('[').map_or("", |(_, after)| after);
    let address = after.split_once(']').map_or(after, |(address, _)| address);
    if let Some(future) = address.strip_prefix('v') {
        return future.split_once('.').is_some_and(|(version, rest)| {
            !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_hexdigit()) && !rest.is_empty()
        });
    }
    let (address, zone) = address.split_once('%').unwrap_or((address, "0"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && !zone.contains('%')
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[test]
    fn what_is_masked_is_unmasked_to_the_same_secret() {
        let secret = random_text(ALPHABET, SECRET_CHARS).unwrap();
        let masks = [random_text(ALPHABET, SECRET_CHARS).unwrap(), "a".repeat(32), "9".repeat(32)];
        for pad in masks {
            let token = mask(&secret, &pad).unwrap();
            assert!(check_format(&token).is_ok());
            assert_eq!(unmask(&token), secret);
        }
        assert_eq!(mask("é", "aa"), None);
    }
    use crate::config::{Loader, Purpose, settings};

    /// A request, and what Django REST framework says to it; `None` where it lets it pass. See the README beside the file.
    #[derive(Debug, Deserialize)]
    struct Case {
        method: String,
        https: bool,
        headers: std::collections::BTreeMap<String, String>,
        #[serde(default)]
        body: String,
        refused: Option<String>,
    }

    const CASES: &str = include_str!("../../tests/fixtures/django/csrf.json");

    fn rules() -> CsrfRules {
        let origins = "https://exact.example:8443, https://*.trusted.example, http://*.plain.example:8080";
        let overrides = [(&settings::CFIMAGES_CSRF_TRUSTED_ORIGINS, origins.to_owned())];
        let auth = Loader::new().overrides(overrides).load(Purpose::Database).unwrap().auth;
        CsrfRules::new(auth.csrf_cookie, auth.csrf_header, auth.csrf_trusted_origins)
    }

    fn request(case: &Case) -> Request {
        let length = case.body.len().to_string();
        let mut request =
            Request::builder().method(case.method.as_str()).uri("/x").header(header::CONTENT_LENGTH, length);
        for (name, value) in &case.headers {
            let bytes: Vec<u8> = value.chars().map(|c| u8::try_from(c).unwrap()).collect();
            request = request.header(name, HeaderValue::from_bytes(&bytes).unwrap());
        }
        let mut request = request.body(Body::from(case.body.clone())).unwrap();
        let origin = format!("{}://example.com", if case.https { "https" } else { "http" });
        request.extensions_mut().insert(RequestContext { id: Arc::from("1"), client: None, is_proxy: false, origin });
        request
    }

    async fn refusal(rules: &CsrfRules, case: &Case) -> Option<String> {
        match rules.check(request(case)).await.1.err()? {
            AuthError::Csrf(text) | AuthError::Unreadable(ApiError::Unreadable(text)) => Some(text),
            AuthError::Unreadable(ApiError::UnsupportedMediaType(kind)) => {
                Some(format!("Unsupported media type \"{kind}\" in request."))
            }
            other => panic!("{case:?}: {other:?}"),
        }
    }

    #[tokio::test]
    async fn requests_are_refused_exactly_where_django_refuses_them_and_in_its_words() {
        let cases: Vec<Case> = serde_json::from_str(CASES).unwrap();
        assert!(cases.len() > 300);
        let rules = rules();
        for case in cases {
            assert_eq!(refusal(&rules, &case).await, case.refused, "{case:?}");
        }
    }

    #[test]
    fn headers_are_named_as_django_names_them() {
        for (name, want) in [("x-csrftoken", "X-Csrftoken"), ("x-2fa-token", "X-2Fa-Token"), ("x_a", "X_A")] {
            assert_eq!(title_case(name), want);
        }
    }

    proptest! {
        #[test]
        fn no_url_or_token_makes_the_readers_panic(
            url in "\\PC*",
            likely in "[a-z]{0,2}:?/{0,3}[\\[\\]a-z:@v.%?#0-9]{0,12}",
            token in "[a-zA-Z0-9é]{0,70}",
        ) {
            for url in [url, likely] {
                SplitUrl::parse(&url).map(|url| url.unsplit());
            }
            let _ = check_format(&token);
            unmask(&token);
        }
    }
}
