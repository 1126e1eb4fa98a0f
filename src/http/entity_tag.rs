//! Names of what is answered with, by which clients ask whether they have it already.

use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

/// A strong entity tag: the same for the same bytes, and for no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityTag(String);

impl EntityTag {
    /// The tag of some content.
    pub fn of(content: &[u8]) -> Self {
        Self::of_sha256(&Sha256::digest(content).into())
    }

    /// The same, where its SHA-256 sum is known.
    pub fn of_sha256(sum: &[u8; 32]) -> Self {
        let mut tag = String::with_capacity(34);
        tag.push('"');
        for byte in &sum[..16] {
            let _ = write!(tag, "{byte:02x}");
        }
        Self(tag + "\"")
    }

    /// The tag for a content that is sent in several codings.
    ///
    /// # Panics
    /// Never: a tag is made of digits and quotes.
    pub fn weak(&self) -> HeaderValue {
        HeaderValue::from_str(&format!("W/{}", self.0)).expect("a tag is made of digits and quotes")
    }

    /// Whether the client says that it has what bears this tag.
    pub fn is_known(&self, headers: &HeaderMap) -> bool {
        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
        tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.0)
    }
}

impl From<EntityTag> for HeaderValue {
    fn from(tag: EntityTag) -> Self {
        Self::from_str(&tag.0).expect("a tag is made of digits and quotes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_alone_in_a_list_weak_or_as_any() {
        let tag = EntityTag::of(b"x");
        let value = HeaderValue::from(tag.clone());
        let text = value.to_str().unwrap();
        assert_eq!((text.len(), &text[..3]), (34, "\"2d"));
        let is_known = |values: &[&str]| {
            tag.is_known(&values.iter().map(|value| (header::IF_NONE_MATCH, value.parse().unwrap())).collect())
        };
        for values in [&[text][..], &["*"], &[&format!("W/{text}")], &[&format!("\"a\" , {text}")], &["\"a\"", text]] {
            assert!(is_known(values), "{values:?}");
        }
        for values in [&[][..], &[""], &["\"a\""], &[text.trim_matches('"')], &[&format!("{text}x")]] {
            assert!(!is_known(values), "{values:?}");
        }
        assert_ne!(EntityTag::of(b"y"), tag);
    }
}
