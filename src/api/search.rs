//! Search terms, by the rules of DRF's `SearchFilter`.

use super::python::{is_space, strip};

/// Splits what a user searches for into terms, all of which must be found: at blanks and commas; quoted phrases stay whole.
pub(super) fn terms(search: &str) -> Vec<String> {
    let mut terms = Vec::new();
    for word in words(search) {
        let word = word.trim_matches(',');
        if let Some(phrase) = unquoted(word) {
            terms.push(phrase);
        } else {
            terms.extend(word.split(',').filter(|part| !part.is_empty()).map(|part| strip(part).to_owned()));
        }
    }
    terms
}

/// Splits at blanks outside of quotes. A quote that is never closed is a character like any other.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() {
        let end = quoted_word(rest).unwrap_or_else(|| rest.find(is_space).unwrap_or(rest.len()));
        words.push(&rest[..end]);
        rest = rest[end..].trim_start_matches(is_space);
    }
    words
}

/// The length of a word with at least one phrase in it: plain characters and closed phrases in turn.
fn quoted_word(text: &str) -> Option<usize> {
    let plain = |from: usize| {
        text[from..].find(|c| is_space(c) || matches!(c, '"' | '\'')).map_or(text.len(), |length| from + length)
    };
    let mut at = plain(0);
    let mut has_phrase = false;
    while let Some(length) = phrase(&text[at..]) {
        has_phrase = true;
        at = plain(at + length);
    }
    has_phrase.then_some(at)
}

/// The length of the quoted phrase that a text begins with; within it, a backslash takes the next character along.
fn phrase(text: &str) -> Option<usize> {
    let mut chars = text.char_indices();
    let (_, quote) = chars.next().filter(|(_, c)| matches!(c, '"' | '\''))?;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => _ = chars.next().filter(|(_, c)| *c != '\n')?,
            c if c == quote => return Some(at + c.len_utf8()),
            _ => {}
        }
    }
    None
}

/// A phrase without its quotes and backslashes.
fn unquoted(word: &str) -> Option<String> {
    let quote = word.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let inner = match word.len() {
        1 => "",
        _ => word[1..].strip_suffix(quote)?,
    };
    Some(inner.replace(&format!("\\{quote}"), &quote.to_string()).replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn terms_are_split_as_drf_splits_them() {
        // Each right-hand side is what `search_smart_split(left)` gives in Django REST framework 3.18.
        for (search, want) in [
            ("", &[][..]),
            ("hero,products", &["hero", "products"]),
            ("  a\tb\u{1f}c ", &["a", "b", "c"]),
            (",,a,,b,", &["a", "b"]),
            ("\"two words\" three", &["two words", "three"]),
            ("'it\\'s' x", &["it's", "x"]),
            ("a\"b c\"d e", &["a\"b c\"d", "e"]),
            ("\"open quote", &["\"open", "quote"]),
            ("\"a\",\"b c\"", &["a\",\"b c"]),
            ("\"", &[""]),
            ("\"a\\\\b\"", &["a\\b"]),
            ("back\\slash", &["back\\slash"]),
            ("it's", &["it's"]),
            ("don't can't", &["don't can't"]),
        ] {
            assert_eq!(terms(search), want, "{search}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_splitter_panic(text in "(\\PC|[\"'\\\\, ])*") {
            terms(&text);
        }
    }
}
