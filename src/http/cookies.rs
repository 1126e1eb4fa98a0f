//! Cookies of requests.

use axum::http::{HeaderMap, header};

/// The cookies of a request.
#[derive(Debug)]
pub struct Cookies(String);

impl Cookies {
    /// The cookies that a client sends along. What is no UTF-8 is replaced.
    pub fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::COOKIE).iter();
        Self(values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(";"))
    }

    /// The value of one of Django's cookies; the last where there are several of one name, as Django has it.
    ///
    /// upstream: `django.http.cookie.parse_cookie`
    pub fn get(&self, name: &str) -> Option<String> {
        self.values(name).next_back()
    }

    /// The value of a cookie; the first where there are several of one name. Browsers send the one with the longest path first, so
    /// one for more of the site cannot take its place.
    pub fn first(&self, name: &str) -> Option<String> {
        self.values(name).next()
    }

    fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = String> {
        let pairs = self.0.split(';').filter_map(|pair| pair.split_once('='));
        pairs.filter(move |(key, _)| key.trim() == name).map(|(_, value)| unquote(value.trim()))
    }
}

/// Takes off double quotes, and undoes the escapes between them: `\"`, and three octal digits.
fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let octal = after.get(..3).filter(|digits| digits.starts_with(['0', '1', '2', '3']));
        if let Some(code) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            text.push(code.into());
            rest = &after[3..];
        } else {
            let mut characters = after.chars();
            text.push(characters.next().unwrap_or('\\'));
            rest = characters.as_str();
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn cookies(header: &[u8]) -> Cookies {
        Cookies::of(&HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(header).unwrap())]))
    }

    #[test]
    fn cookies_are_found_as_django_finds_them() {
        let header = r#"a=1; sessionid = abc ;b="x\"\054\\y";c==d; e; sessionid2=z; f="; a=2; g="\08""#;
        let cookies = cookies(header.as_bytes());
        for (name, want) in [
            ("a", Some("2")),
            ("sessionid", Some("abc")),
            ("b", Some("x\",\\y")),
            ("c", Some("=d")),
            ("e", None),
            ("session", None),
            ("f", Some("\"")),
            ("g", Some("08")),
        ] {
            assert_eq!(cookies.get(name).as_deref(), want, "{name}");
        }
    }

    #[test]
    fn the_first_of_a_name_is_that_of_the_longest_path() {
        let cookies = cookies(b"b=0; a=own; a=of the whole site");
        assert_eq!(cookies.first("a").as_deref(), Some("own"));
        assert_eq!(cookies.first("c"), None);
    }

    #[test]
    fn several_headers_count_as_one() {
        let headers = ["a=1", "b=2"].map(|value| (header::COOKIE, HeaderValue::from_static(value)));
        let cookies = Cookies::of(&HeaderMap::from_iter(headers));
        assert_eq!(cookies.get("b").as_deref(), Some("2"));
    }

    proptest! {
        #[test]
        fn no_header_makes_the_reader_panic(value in "[a=;\"\\\\0-7é]{0,24}") {
            cookies(value.as_bytes()).get("a");
            unquote(&value);
        }
    }
}
