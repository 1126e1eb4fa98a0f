//! Ids in the paths of URLs. Paths are read as they came, since the slash of an id and the slash between segments differ only
//! before they are decoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything in a segment that could mean something to somebody.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The text that a piece of a path stands for; `None` where it is not UTF-8.
pub(super) fn decode(raw: &str) -> Option<String> {
    percent_decode_str(raw).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The text as one segment of a path.
pub(super) fn encode_segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The last segment of a path, decoded.
pub(super) fn last_segment(path: &str) -> Option<String> {
    decode(path.rsplit('/').next()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_utf8_has_no_text() {
        assert_eq!(decode("%ff"), None);
        assert_eq!(last_segment("/a/b%2Fc%25"), Some("b/c%".to_owned()));
    }

    proptest! {
        #[test]
        fn every_text_survives_as_one_segment(text in "\\PC*") {
            let segment = encode_segment(&text);
            prop_assert!(!segment.contains(['/', '?', '#']));
            prop_assert_eq!(last_segment(&format!("/x/{segment}")), Some(text));
        }
    }
}
