//! The origins whose pages may read what the API answers.

use std::fmt;

use reqwest::Url;

use super::parse;

/// The origins whose pages may read what the API answers, beside the API's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All of them, but never with cookies.
    Any,
    /// These, with cookies too; none by default. Each as browsers write it: `https://www.example.com`.
    Listed(Vec<String>),
}

impl Default for CorsOrigins {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

impl CorsOrigins {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let items: Vec<_> = parse::list(text).collect();
        match items.as_slice() {
            ["*"] => Ok(Self::Any),
            items if items.contains(&"*") => Err("must be * alone, or origins without *".to_owned()),
            items => items.iter().map(|item| origin(item)).collect::<Result<_, _>>().map(Self::Listed),
        }
    }
}

impl fmt::Display for CorsOrigins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Listed(origins) => f.write_str(&origins.join(", ")),
        }
    }
}

/// An origin as browsers write it: the host in small letters and punycode, the port only where it is not the usual one.
fn origin(text: &str) -> Result<String, String> {
    let rule =
        || "must be * or origins such as https://www.example.com or http://localhost:3000, without a path".to_owned();
    let url = Url::parse(text).map_err(|_| rule())?;
    let is_bare = url.username().is_empty() && url.password().is_none() && !text.ends_with('/') && !text.contains('*');
    let has_nothing_more = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if matches!(url.scheme(), "http" | "https") && is_bare && has_nothing_more {
        Ok(url.origin().ascii_serialization())
    } else {
        Err(rule())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        for (text, want) in [
            ("*", "*"),
            ("", ""),
            ("https://www.example.com", "https://www.example.com"),
            ("HTTPS://WWW.Example.COM:443, http://a:80", "https://www.example.com, http://a"),
            ("http://localhost:3000,https://[::1]:8443", "http://localhost:3000, https://[::1]:8443"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            assert_eq!(CorsOrigins::parse(text).map(|origins| origins.to_string()).as_deref(), Ok(want), "{text}");
        }
        for text in [
            "null",
            "example.com",
            "https://a.example/",
            "https://a.example/b",
            "https://*.example.com",
            "https://u@a.example",
            "ftp://a.example",
            "file:///a",
            "*, https://a.example",
            "https://a.example?",
            "https://",
        ] {
            assert!(CorsOrigins::parse(text).is_err(), "{text}");
        }
    }
}
