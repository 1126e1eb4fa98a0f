//! What values of settings may look like. Each function gives the value, or says what it must be.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use reqwest::Url;

use crate::domain::{Networks, ParseNetworksError};

/// `true`, `yes`, `on` or `1`, or the opposite, in upper or lower case.
pub(super) fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

/// A whole number in a range.
pub(super) fn number<T>(range: RangeInclusive<T>) -> impl FnOnce(&str) -> Result<T, String>
where
    T: FromStr + PartialOrd + Display,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// The parts of a list, without the spaces around them; empty parts do not count.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Networks and addresses.
pub(super) fn networks(text: &str) -> Result<Networks, String> {
    text.parse().map_err(|error: ParseNetworksError| error.to_string())
}

/// Any text that people could have typed.
pub(super) fn plain(text: &str) -> Result<String, String> {
    if text.contains(char::is_control) {
        Err("must not hold control characters".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A text for the header of a request.
pub(super) fn header(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err("must consist of visible ASCII characters, without spaces".to_owned())
    }
}

/// An id of Cloudflare's, which becomes a part of a path.
pub(super) fn identifier(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
        Ok(text.to_owned())
    } else {
        Err("must consist of letters, digits, '-' and '_'".to_owned())
    }
}

/// A path without the slashes around it; empty for the root.
pub(super) fn path(text: &str) -> Result<String, String> {
    let path = text.trim_matches('/');
    let is_segment = |segment: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain)
    };
    if path.is_empty() || path.split('/').all(is_segment) {
        Ok(path.to_owned())
    } else {
        Err("must be a path of letters, digits, '-', '.', '_', '~' and single slashes".to_owned())
    }
}

/// An `http` or `https` URL without the slash at its end, and without what has no place in a base of other URLs.
pub(super) fn base_url(text: &str) -> Result<String, String> {
    let rule = || "must be an http:// or https:// URL without user, query and fragment".to_owned();
    let url = Url::parse(text).map_err(|_| rule())?;
    let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if matches!(url.scheme(), "http" | "https") && is_bare && url.fragment().is_none() {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    } else {
        Err(rule())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_understood_in_every_usual_form() {
        for text in ["true", "TRUE", "Yes", "on", "1"] {
            assert_eq!(flag(text), Ok(true), "{text}");
        }
        for text in ["false", "False", "NO", "off", "0"] {
            assert_eq!(flag(text), Ok(false), "{text}");
        }
        for text in ["", "2", "t", "enabled", "true "] {
            assert!(flag(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_end_where_their_range_ends() {
        for (text, want) in [("1", Some(1)), ("10", Some(10)), ("0", None), ("11", None), ("-1", None), ("1.0", None)] {
            assert_eq!(number(1..=10_u32)(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn paths_lose_the_slashes_around_them_and_keep_to_plain_segments() {
        for (text, want) in [("", ""), ("/", ""), ("a", "a"), ("/a/b-c/", "a/b-c"), ("//a", "a")] {
            assert_eq!(path(text).as_deref(), Ok(want), "{text}");
        }
        for text in ["a//b", "a b", "..", "a/../b", "./a", "{a}", "a?b", "a#b", "a%2Fb", "é"] {
            assert!(path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn base_urls_are_http_and_bare() {
        for (text, want) in [
            ("https://api.cloudflare.com/client/v4", "https://api.cloudflare.com/client/v4"),
            ("http://127.0.0.1:8001/", "http://127.0.0.1:8001"),
            ("HTTPS://Example.com//", "https://example.com"),
        ] {
            assert_eq!(base_url(text).as_deref(), Ok(want));
        }
        for text in
            ["", "example.com", "ftp://a", "https://", "https://u@a", "https://:p@a", "https://a?b", "https://a#b"]
        {
            assert!(base_url(text).is_err(), "{text}");
        }
    }
}
