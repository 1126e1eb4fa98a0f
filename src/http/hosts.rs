//! The names under which the service answers.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// The hosts that requests may name: exact names, `.example.com` for a domain and all below it, or `*`. Django's
/// `ALLOWED_HOSTS`.
#[derive(Debug, Clone)]
pub struct AllowedHosts(Arc<[String]>);

impl AllowedHosts {
    /// Answers to these names.
    pub fn new(patterns: Vec<String>) -> Self {
        Self(patterns.into_iter().map(|pattern| pattern.to_ascii_lowercase()).collect())
    }

    fn allow(&self, host: &str) -> bool {
        let host = without_port(host).trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|pattern| match pattern.strip_prefix('.') {
            Some(domain) => host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
            None => pattern == "*" || *pattern == host,
        })
    }
}

/// Refuses requests for other hosts.
pub async fn require_allowed_host(State(allowed): State<AllowedHosts>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    match host.or_else(|| request.uri().host()) {
        Some(host) if !allowed.allow(host) => {
            (StatusCode::BAD_REQUEST, "This host is not served here.").into_response()
        }
        _ => next.run(request).await,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_matched_as_django_matches_them() {
        let hosts =
            AllowedHosts::new(vec!["www.example.com".to_owned(), ".example.org".to_owned(), "[::1]".to_owned()]);
        for host in [
            "www.example.com",
            "WWW.Example.com:8000",
            "www.example.com.",
            "example.org",
            "a.b.example.org:1",
            "[::1]:8000",
        ] {
            assert!(hosts.allow(host), "{host}");
        }
        for host in ["example.com", "badexample.org", "www.example.com.evil.net", "", "[::2]:8000"] {
            assert!(!hosts.allow(host), "{host}");
        }
        assert!(AllowedHosts::new(vec!["*".to_owned()]).allow("anything"));
    }
}
