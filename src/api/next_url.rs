//! Where a browser goes after a form was sent.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use reqwest::Url;

use super::Authentication;

/// What is wrong with others.
pub(super) const NOT_ALLOWED: &str =
    "This must be a path on this host, such as /gallery/, or a URL of a trusted origin.";
/// The most characters.
pub(super) const MAX_CHARS: usize = 2048;
const NON_ALPHANUMERIC_BUT_DASHES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

/// A page of the site, or of an origin that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NextUrl {
    url: Url,
    /// Whether it is on the same host, so that a path will do.
    is_own: bool,
}

impl NextUrl {
    /// Reads a path, `/gallery/?page=2`, or a URL; `here` is the URL of the request. None where it leads to other sites, or might.
    pub(super) fn parse(text: &str, here: &str, authentication: &Authentication) -> Option<Self> {
        Self::parse_with(text, here, |origin, site| authentication.is_trusted_origin(origin, site))
    }

    fn parse_with(text: &str, here: &str, is_trusted: impl Fn(&str, &str) -> bool) -> Option<Self> {
        // Browsers take a backslash for a slash, and leave out what is no character.
        if text.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace()) {
            return None;
        }
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let here = Url::parse(here).ok()?;
        let url = if is_path { here.join(text) } else { Url::parse(text) }.ok()?;
        let (origin, site) = (url.origin().ascii_serialization(), here.origin().ascii_serialization());
        let is_plain =
            matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
        // A path such as `/.//example.com` becomes one that is a host to browsers.
        let is_own = origin == site && !url.path().starts_with("//");
        let is_allowed = is_plain && (is_own || (origin != site && is_trusted(&origin, &site)));
        is_allowed.then_some(Self { url, is_own })
    }

    /// The address for the browser, with the image in the parameter `image`.
    pub(super) fn with_image(mut self, image: &str) -> String {
        // The others stay as they are, to the letter: they may be signed.
        let name_of = |pair: &str| percent_decode_str(pair.split('=').next().unwrap_or_default()).collect::<Vec<u8>>();
        let query = self.url.query().unwrap_or_default();
        let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty() && name_of(pair) != b"image").collect();
        let image = format!("image={}", utf8_percent_encode(image, NON_ALPHANUMERIC_BUT_DASHES));
        pairs.push(&image);
        let query = pairs.join("&");
        self.url.set_query(Some(&query));
        if !self.is_own {
            return self.url.into();
        }
        let fragment = self.url.fragment().map_or_else(String::new, |fragment| format!("#{fragment}"));
        format!("{}?{}{fragment}", self.url.path(), self.url.query().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: &str = "https://shop.example/cloudflare-images/api/images/upload/";

    fn next(text: &str) -> Option<String> {
        let is_trusted = |origin: &str, site: &str| {
            assert_eq!(site, "https://shop.example");
            origin == "https://www.example.com:8443"
        };
        NextUrl::parse_with(text, HERE, is_trusted).map(|next| next.with_image("7"))
    }

    #[test]
    fn pages_of_the_site_are_gone_to_with_the_image() {
        for (text, want) in [
            ("/", "/?image=7"),
            ("/gallery/?page=2#top", "/gallery/?page=2&image=7#top"),
            ("/gallery/?image=1&page=2&image=3", "/gallery/?page=2&image=7"),
            ("/caf\u{e9}/?q=\u{e9}", "/caf%C3%A9/?q=%C3%A9&image=7"),
            ("/a/../b", "/b?image=7"),
            ("/g/?a&b=%FF+c%20d&im%61ge=1#x", "/g/?a&b=%FF+c%20d&image=7#x"),
            ("/a//b", "/a//b?image=7"),
            ("/@evil.example", "/@evil.example?image=7"),
            ("https://shop.example/x", "/x?image=7"),
            ("HTTPS://SHOP.EXAMPLE:443/x", "/x?image=7"),
            ("https://www.example.com:8443/x", "https://www.example.com:8443/x?image=7"),
        ] {
            assert_eq!(next(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn other_sites_are_not_gone_to() {
        for text in [
            "",
            "gallery/",
            "?page=2",
            "//evil.example/x",
            "///evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "/\t/evil.example",
            " /x",
            "/x\r\nSet-Cookie: a=b",
            "/.//evil.example",
            "/a/..//evil.example",
            "/%2e//evil.example",
            "https://evil.example/",
            "https://shop.example.evil.example/",
            "https://shop.example@evil.example/",
            "https://user@shop.example/",
            "http://shop.example/",
            "https://shop.example:8443/",
            "https://shop.example//evil.example",
            "https:/evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://www.example.com/",
            "/x\u{2028}y",
        ] {
            assert_eq!(next(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_stays_on_the_site(text in "[/\\\\a-z.:@?#%\\t 0-9]{0,12}") {
            if let Some(next) = next(&text) {
                prop_assert!(next.starts_with('/') && !next.starts_with("//"), "{text} -> {next}");
                let there = Url::parse(HERE).unwrap().join(&next).unwrap();
                prop_assert_eq!(there.host_str(), Some("shop.example"));
            }
        }
    }
}
