//! The hosts whose pictures may be transformed.

use reqwest::Url;

/// Whose pictures `/cdn-cgi/image/` transforms, besides those of the account. Nobody's by default.
///
/// # Examples
/// ```
/// use cfimages::emulator::Sources;
///
/// let sources = Sources {
///     hosts: vec!["example.com".to_owned(), "*.example.com".to_owned()],
///     origin: Some("http://127.0.0.1:3000".to_owned()),
/// };
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Names of hosts, on any port: `example.com`; `*.example.com` are its subdomains, at any depth.
    pub hosts: Vec<String>,
    /// The site that sources without a host are on, as an `http` or `https` URL; its host is allowed, too.
    pub origin: Option<String>,
}

impl Sources {
    /// Whether all of it can be used.
    pub(in super::super) fn check(&self) -> Result<(), &'static str> {
        let is_host = |host: &String| {
            let name = host.strip_prefix("*.").unwrap_or(host);
            let url = Url::parse(&format!("http://{name}/"));
            !name.contains('*') && url.is_ok_and(|url| url.host_str() == Some(&name.to_ascii_lowercase()))
        };
        if !self.hosts.iter().all(is_host) {
            return Err("must be names of hosts without a port: example.com, *.example.com, 127.0.0.1");
        }
        let is_site = |origin: &String| Url::parse(origin).is_ok_and(|url| is_web(&url) && url.has_host());
        if !self.origin.iter().all(is_site) {
            return Err("the origin must be an http or https URL");
        }
        Ok(())
    }

    /// Whether pictures of this URL's host may be transformed.
    pub(super) fn allow(&self, url: &Url) -> bool {
        let Some(host) = url.host_str().filter(|_| is_web(url)) else { return false };
        self.is_at_origin(url) || self.hosts.iter().any(|pattern| matches(pattern, host))
    }

    /// Whether the URL is one of the site that sources without a host are on.
    pub(super) fn is_at_origin(&self, url: &Url) -> bool {
        let origin = self.origin.as_deref().and_then(|origin| Url::parse(origin).ok());
        origin.is_some_and(|origin| origin.origin() == url.origin())
    }

    /// The URL of a path on that site.
    pub(super) fn at_origin(&self, path: &str) -> Option<Url> {
        let origin = self.origin.as_deref()?.trim_end_matches('/');
        Url::parse(&format!("{origin}/{}", path.trim_start_matches('/'))).ok()
    }
}

fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

fn matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        // What is left starts with the dot.
        Some(domain) => host.len() > domain.len() && host.to_ascii_lowercase().ends_with(&domain.to_ascii_lowercase()),
        None => host.eq_ignore_ascii_case(pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(hosts: &[&str], origin: Option<&str>) -> Sources {
        let hosts = hosts.iter().copied().map(str::to_owned).collect();
        Sources { hosts, origin: origin.map(str::to_owned) }
    }

    #[test]
    fn hosts_are_allowed_by_name_and_subdomains_by_a_star() {
        let sources = sources(&["a.example", "*.B.example", "127.0.0.1", "[::1]"], Some("http://localhost:3000/shop"));
        for (url, want) in [
            ("https://a.example/x", true),
            ("http://A.example:8080/x", true),
            ("https://x.a.example/x", false),
            ("https://b.example/x", false),
            ("https://x.b.example/x", true),
            ("https://y.x.b.example/x", true),
            ("https://xb.example/x", false),
            ("https://a.example.evil/x", false),
            ("https://a.example@evil.example/x", false),
            ("http://127.0.0.1:9/x", true),
            ("http://[::1]:9/x", true),
            ("http://localhost:3000/elsewhere", true),
            ("http://localhost:3001/", false),
            ("ftp://a.example/x", false),
            ("file:///x", false),
        ] {
            assert_eq!(sources.allow(&Url::parse(url).unwrap()), want, "{url}");
        }
        assert_eq!(sources.at_origin("/a b.jpg?v=1").unwrap().as_str(), "http://localhost:3000/shop/a%20b.jpg?v=1");
        assert!(!Sources::default().allow(&Url::parse("http://localhost/").unwrap()));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for host in ["", "*", "*.", "a.example:80", "https://a.example", "a.example/x", "user@a.example", "a*.example"]
        {
            assert!(sources(&[host], None).check().is_err(), "{host}");
        }
        assert!(sources(&["a.example", "*.a.example", "127.0.0.1", "[::1]", "localhost"], None).check().is_ok());
        for (origin, is_good) in
            [("http://localhost:3000", true), ("localhost:3000", false), ("ftp://a.example", false)]
        {
            assert_eq!(sources(&[], Some(origin)).check().is_ok(), is_good, "{origin}");
        }
    }
}
