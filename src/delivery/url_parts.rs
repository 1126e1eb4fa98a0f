//! Taking URLs apart without checking more than their shape.

use std::borrow::Cow;

use memchr::{memchr2, memchr3};
use percent_encoding::percent_decode_str;

/// The parts of a URL, each as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UrlParts<'a> {
    /// `https`; none for paths and for URLs that start with `//`.
    pub(super) scheme: Option<&'a str>,
    /// What stands between `//` and the path, a port included; none for paths.
    pub(super) host: Option<&'a str>,
    /// From the first slash after the host; the whole text before the query where there is no host.
    pub(super) path: &'a str,
    /// The query and the fragment, from their first character.
    pub(super) suffix: &'a str,
}

impl<'a> UrlParts<'a> {
    /// Takes a URL apart; what has no host is a path.
    pub(super) fn of(url: &'a str) -> Self {
        let (scheme, rest) = if let Some(rest) = url.strip_prefix("//") {
            (None, rest)
        } else {
            // A scheme ends at the first colon, which in a path comes after a slash.
            let (scheme, rest) = url
                .split_at(url.bytes().position(|byte| matches!(byte, b':' | b'/' | b'?' | b'#')).unwrap_or(url.len()));
            match rest.strip_prefix("://") {
                Some(rest) if is_scheme(scheme) => (Some(scheme), rest),
                _ => return Self::without_host(url),
            }
        };
        let (host, rest) = rest.split_at(memchr3(b'/', b'?', b'#', rest.as_bytes()).unwrap_or(rest.len()));
        Self { scheme, host: Some(host), ..Self::without_host(rest) }
    }

    /// The same, for a URL whose scheme may be missing: `imagedelivery.net/hash/id/public`.
    pub(super) fn of_host_first(url: &'a str) -> Self {
        let parts = Self::of(url);
        if parts.host.is_some() || url.starts_with('/') {
            return parts;
        }
        let (host, rest) = url.split_at(memchr3(b'/', b'?', b'#', url.as_bytes()).unwrap_or(url.len()));
        Self { host: Some(host), ..Self::without_host(rest) }
    }

    fn without_host(text: &'a str) -> Self {
        let (path, suffix) = text.split_at(memchr2(b'?', b'#', text.as_bytes()).unwrap_or(text.len()));
        Self { scheme: None, host: None, path, suffix }
    }

    /// Where the path starts in the URL these are the parts of.
    pub(super) fn path_start(&self, url: &str) -> usize {
        url.len() - self.suffix.len() - self.path.len()
    }

    /// The query, without its question mark; empty where there is none.
    pub(super) fn query(&self) -> &'a str {
        let query = self.suffix.strip_prefix('?').unwrap_or_default();
        query.split_once('#').map_or(query, |(query, _)| query)
    }

    /// The fragment with its `#`; empty where there is none.
    pub(super) fn fragment(&self) -> &'a str {
        self.suffix.find('#').map_or("", |start| &self.suffix[start..])
    }
}

/// Whether a text can be the scheme of a URL.
pub(super) fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// Whether a scheme is one of the web.
pub(super) fn is_web_scheme(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

/// The name of a parameter as the receiver reads it: `%65xp` is `exp`, too.
pub(super) fn name_of(pair: &str) -> Cow<'_, str> {
    percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> (Option<&str>, Option<&str>, &str, &str) {
        let parts = UrlParts::of(url);
        (parts.scheme, parts.host, parts.path, parts.suffix)
    }

    #[test]
    fn urls_come_apart_at_host_path_and_query() {
        assert_eq!(parts("https://a.b:8/x/y?q#f"), (Some("https"), Some("a.b:8"), "/x/y", "?q#f"));
        assert_eq!(parts("//a.b/x"), (None, Some("a.b"), "/x", ""));
        assert_eq!(parts("https://a.b?q"), (Some("https"), Some("a.b"), "", "?q"));
        assert_eq!(parts("/x/https://a"), (None, None, "/x/https://a", ""));
        assert_eq!(parts("x.jpg#f?g"), (None, None, "x.jpg", "#f?g"));
        let bare = UrlParts::of_host_first("a.b/x?q");
        assert_eq!((bare.host, bare.path, bare.suffix), (Some("a.b"), "/x", "?q"));
        assert_eq!(UrlParts::of_host_first("/x").host, None);
    }

    #[test]
    fn query_and_fragment_are_told_apart() {
        for (url, query, fragment) in
            [("/x?q=1#f", "q=1", "#f"), ("/x#f?q", "", "#f?q"), ("/x?", "", ""), ("/x", "", "")]
        {
            let parts = UrlParts::of(url);
            assert_eq!((parts.query(), parts.fragment()), (query, fragment), "{url}");
        }
    }
}
