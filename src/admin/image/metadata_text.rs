//! Metadata as people edit them.

use std::fmt::Write as _;

use crate::admin::picture::indent;
use crate::admin::text::visible;
use crate::domain::Json;

/// The most bytes that a form holds.
const MAX_BYTES: usize = 100_000;

/// The metadata with a line for each value, unless that is more than a form should hold: deep JSON grows with the square of its length.
/// Characters are written as they are, unless nobody would see them: those stay escapes.
pub(super) fn to_text(metadata: &Json) -> Option<String> {
    if metadata.as_str().len() > MAX_BYTES {
        return None;
    }
    // What is stored may be written in many ways; this is the one in which all but ASCII are escapes.
    let canonical = Json::parse(metadata.as_str()).unwrap_or_else(|_| metadata.clone());
    let indented = indent(canonical.as_str(), MAX_BYTES);
    (indented.len() <= MAX_BYTES).then(|| with_characters(&indented))
}

/// JSON with the escapes of visible characters undone.
fn with_characters(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        // An escape of one character: `\n`, `\"`, `\\`.
        let (length, character) = unicode_escape(escape).map_or((2, None), |(length, c)| (length, Some(c)));
        let (escape, after) = escape.split_at(length.min(escape.len()));
        match character.filter(|c| visible(c.encode_utf8(&mut [0; 4])).chars().eq([*c])) {
            Some(c) => out.push(c),
            None => out.push_str(escape),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// The character at the beginning of a text that is written as `\uXXXX`, or as two of these, and how long that is.
fn unicode_escape(text: &str) -> Option<(usize, char)> {
    let unit = |at: usize| {
        let hex = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(hex, 16).ok()
    };
    let first = unit(0)?;
    if let Some(c) = char::from_u32(first.into()) {
        return Some((6, c));
    }
    let pair = [first, unit(6)?];
    char::decode_utf16(pair).next()?.ok().map(|c| (12, c))
}

/// Reads what somebody typed; why it is not JSON that can be kept, with the place where that is known.
pub(super) fn from_text(text: &str) -> Result<Json, String> {
    // Reads all of it at once, so that places are those of the whole.
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let mut why = format!("Line {}, column {}: ", error.line(), error.column());
        _ = write!(why, "{}.", message.strip_suffix(&place).unwrap_or(&message));
        return Err(why);
    }
    Json::parse(text).map_err(|error| format!("This cannot be kept: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_are_written_as_people_read_them_and_read_as_they_were() {
        let stored =
            Json::parse(r#"{"é😀": ["a\nb", "\\u00e9 \" \u202e\u200b"], "n": 12345678901234567890123, "e": {}}"#)
                .unwrap();
        let text = to_text(&stored).unwrap();
        assert_eq!(
            text,
            "{\n  \"é😀\": [\n    \"a\\nb\",\n    \"\\\\u00e9 \\\" \\u202e\\u200b\"\n  ],\n  \"n\": 12345678901234567890123,\n  \"e\": {}\n}"
        );
        assert_eq!(from_text(&text).unwrap(), stored);
    }

    #[test]
    fn what_would_be_too_long_is_not_written() {
        let deep =
            |depth: usize| Json::parse(&format!("{{\"a\": {}{}}}", "[".repeat(depth), "]".repeat(depth))).unwrap();
        assert!(to_text(&deep(Json::MAX_DEPTH - 2)).is_some());
        let wide = |items: usize| Json::parse(&format!("{{\"a\": [{}1]}}", "1,".repeat(items))).unwrap();
        assert!(to_text(&wide(10_000)).is_some());
        assert!(to_text(&wide(20_000)).is_none());
        assert!(to_text(&Json::parse(&format!("{{\"a\": \"{}\"}}", "x".repeat(MAX_BYTES))).unwrap()).is_none());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, why) in [
            ("{\r\n  \"a\": 1,\r\n}", "Line 3, column 1: trailing comma."),
            ("{\"a\": tru}", "Line 1, column 10: expected ident."),
            ("", "Line 1, column 0: EOF while parsing a value."),
            ("{\"a\": \"\\ud800\"}", "Line 1, column 14: unexpected end of hex escape."),
            ("{\"a\": \"\\u0000\"}", "This cannot be kept: null characters are not allowed."),
        ] {
            assert_eq!(from_text(text).unwrap_err(), why, "{text}");
        }
    }
}
