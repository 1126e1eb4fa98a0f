//! Why a text is no JSON, in the words of Python's parser, which clients of the toolkit get to see.

use super::python::MAX_DIGITS;

/// How deep arrays and objects are followed.
const MAX_DEPTH: usize = 1000;

/// Why a text is no JSON.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonSyntaxError {
    /// The text breaks a rule of the syntax; the place is counted in characters.
    #[error("{rule}: line {line} column {column} (char {at})")]
    Syntax {
        /// The rule that is broken.
        rule: &'static str,
        /// The line, from 1.
        line: usize,
        /// The character in the line, from 1.
        column: usize,
        /// The character in the text, from 0.
        at: usize,
    },
    /// It is one of the numbers that Python reads and JSON does not have.
    #[error("Out of range float values are not JSON compliant: '{0}'")]
    Constant(&'static str),
    /// A whole number is too long.
    #[error(
        "Exceeds the limit ({MAX_DIGITS} digits) for integer string conversion: value has {0} digits; \
         use sys.set_int_max_str_digits() to increase the limit"
    )]
    LongInteger(usize),
    /// It is beyond what our own parser takes, though Python would read it.
    #[error("nested too deeply, or not to be read for another reason")]
    Unsupported,
}

/// What Python has against a text that is JSON.
///
/// # Errors
/// If the text holds a whole number of too many digits.
pub(super) fn check(text: &str) -> Result<(), JsonSyntaxError> {
    if !text.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).any(|run| run.len() > MAX_DIGITS) {
        return Ok(());
    }
    match explain(text) {
        JsonSyntaxError::Unsupported => Ok(()),
        error => Err(error),
    }
}

/// Describes why `text`, which is no JSON, is none.
pub fn explain(text: &str) -> JsonSyntaxError {
    let chars: Vec<char> = text.chars().collect();
    let mut scanner = Scanner { chars: &chars, depth: 0 };
    match scanner.document() {
        Err(Stop::At(rule, at)) => located(&chars, rule, at),
        Err(Stop::Constant(name)) => JsonSyntaxError::Constant(name),
        Err(Stop::LongInteger(digits)) => JsonSyntaxError::LongInteger(digits),
        Ok(()) | Err(Stop::TooDeep) => JsonSyntaxError::Unsupported,
    }
}

fn located(chars: &[char], rule: &'static str, at: usize) -> JsonSyntaxError {
    let before = &chars[..at.min(chars.len())];
    let line = 1 + before.iter().filter(|c| **c == '\n').count();
    let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
    JsonSyntaxError::Syntax { rule, line, column, at }
}

enum Stop {
    At(&'static str, usize),
    Constant(&'static str),
    LongInteger(usize),
    TooDeep,
}

/// Each function takes the place where its part begins and gives the place after it.
struct Scanner<'a> {
    chars: &'a [char],
    depth: usize,
}

impl Scanner<'_> {
    fn get(&self, at: usize) -> Option<char> {
        self.chars.get(at).copied()
    }

    fn skip_blanks(&self, mut at: usize) -> usize {
        while matches!(self.get(at), Some(' ' | '\t' | '\n' | '\r')) {
            at += 1;
        }
        at
    }

    fn document(&mut self) -> Result<(), Stop> {
        if self.get(0) == Some('\u{feff}') {
            return Err(Stop::At("Unexpected UTF-8 BOM (decode using utf-8-sig)", 0));
        }
        let end = self.value(self.skip_blanks(0))?;
        let end = self.skip_blanks(end);
        if end == self.chars.len() { Ok(()) } else { Err(Stop::At("Extra data", end)) }
    }

    fn value(&mut self, at: usize) -> Result<usize, Stop> {
        match self.get(at) {
            Some('"') => self.string(at),
            Some('{') => self.nested(at, Self::object),
            Some('[') => self.nested(at, Self::array),
            _ => self.word(at),
        }
    }

    fn nested(&mut self, at: usize, read: fn(&mut Self, usize) -> Result<usize, Stop>) -> Result<usize, Stop> {
        if self.depth == MAX_DEPTH {
            return Err(Stop::TooDeep);
        }
        self.depth += 1;
        let end = read(self, at + 1)?;
        self.depth -= 1;
        Ok(end)
    }

    fn object(&mut self, at: usize) -> Result<usize, Stop> {
        let mut at = self.skip_blanks(at);
        if self.get(at) == Some('}') {
            return Ok(at + 1);
        }
        loop {
            if self.get(at) != Some('"') {
                return Err(Stop::At("Expecting property name enclosed in double quotes", at));
            }
            at = self.string(at)?;
            at = self.skip_blanks(at);
            if self.get(at) != Some(':') {
                return Err(Stop::At("Expecting ':' delimiter", at));
            }
            at = self.value(self.skip_blanks(at + 1))?;
            at = self.skip_blanks(at);
            match self.get(at) {
                Some('}') => return Ok(at + 1),
                Some(',') => at = self.skip_blanks(at + 1),
                _ => return Err(Stop::At("Expecting ',' delimiter", at)),
            }
        }
    }

    fn array(&mut self, at: usize) -> Result<usize, Stop> {
        let mut at = self.skip_blanks(at);
        if self.get(at) == Some(']') {
            return Ok(at + 1);
        }
        loop {
            at = self.value(at)?;
            at = self.skip_blanks(at);
            match self.get(at) {
                Some(']') => return Ok(at + 1),
                Some(',') => at = self.skip_blanks(at + 1),
                _ => return Err(Stop::At("Expecting ',' delimiter", at)),
            }
        }
    }

    fn string(&self, start: usize) -> Result<usize, Stop> {
        let unterminated = Stop::At("Unterminated string starting at", start);
        let mut at = start + 1;
        loop {
            match self.get(at) {
                None => return Err(unterminated),
                Some('"') => return Ok(at + 1),
                Some('\\') => match self.get(at + 1) {
                    None => return Err(unterminated),
                    Some('u') => at = self.escaped_unit(at)?,
                    Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => at += 2,
                    Some(_) => return Err(Stop::At("Invalid \\escape", at)),
                },
                Some(c) if c < ' ' => return Err(Stop::At("Invalid control character at", at)),
                Some(_) => at += 1,
            }
        }
    }

    /// `\u` and four digits; Python wants a character after them, too.
    fn escaped_unit(&self, at: usize) -> Result<usize, Stop> {
        let end = at + 6;
        let is_complete = end < self.chars.len() && self.chars[at + 2..end].iter().all(char::is_ascii_hexdigit);
        if is_complete { Ok(end) } else { Err(Stop::At("Invalid \\uXXXX escape", at + 1)) }
    }

    fn word(&self, at: usize) -> Result<usize, Stop> {
        for word in ["null", "true", "false"] {
            if self.starts_with(at, word) {
                return Ok(at + word.len());
            }
        }
        for constant in ["NaN", "Infinity", "-Infinity"] {
            if self.starts_with(at, constant) {
                return Err(Stop::Constant(constant));
            }
        }
        self.number(at)
    }

    fn starts_with(&self, at: usize, word: &str) -> bool {
        word.chars().enumerate().all(|(offset, c)| self.get(at + offset) == Some(c))
    }

    fn number(&self, start: usize) -> Result<usize, Stop> {
        let first = if self.get(start) == Some('-') { start + 1 } else { start };
        let whole = match self.get(first) {
            Some('0') => first + 1,
            Some('1'..='9') => self.skip_digits(first),
            _ => return Err(Stop::At("Expecting value", start)),
        };
        let mut at = whole;
        if self.get(at) == Some('.') && self.is_digit(at + 1) {
            at = self.skip_digits(at + 1);
        }
        if matches!(self.get(at), Some('e' | 'E')) {
            let digits = if matches!(self.get(at + 1), Some('+' | '-')) { at + 2 } else { at + 1 };
            if self.is_digit(digits) {
                at = self.skip_digits(digits);
            }
        }
        if at == whole && whole - first > MAX_DIGITS {
            return Err(Stop::LongInteger(whole - first));
        }
        Ok(at)
    }

    fn is_digit(&self, at: usize) -> bool {
        self.get(at).is_some_and(|c| c.is_ascii_digit())
    }

    fn skip_digits(&self, mut at: usize) -> usize {
        while self.is_digit(at) {
            at += 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn mistakes_are_told_as_python_tells_them() {
        // Each right-hand side is what `json.loads(left)` says in Python 3.11.
        for (text, want) in [
            ("", "Expecting value: line 1 column 1 (char 0)"),
            ("  \n ", "Expecting value: line 2 column 2 (char 4)"),
            ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
            ("{'a': 1}", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
            ("{\"a\": 1,}", "Expecting property name enclosed in double quotes: line 1 column 9 (char 8)"),
            ("{\"a\" 1}", "Expecting ':' delimiter: line 1 column 6 (char 5)"),
            ("{\"a\": }", "Expecting value: line 1 column 7 (char 6)"),
            ("{\"a\": 1 \"b\"", "Expecting ',' delimiter: line 1 column 9 (char 8)"),
            ("[1, 2", "Expecting ',' delimiter: line 1 column 6 (char 5)"),
            ("[1,]", "Expecting value: line 1 column 4 (char 3)"),
            ("[", "Expecting value: line 1 column 2 (char 1)"),
            ("{} x", "Extra data: line 1 column 4 (char 3)"),
            ("01", "Extra data: line 1 column 2 (char 1)"),
            ("1.", "Extra data: line 1 column 2 (char 1)"),
            ("-", "Expecting value: line 1 column 1 (char 0)"),
            ("tru", "Expecting value: line 1 column 1 (char 0)"),
            ("\"é", "Unterminated string starting at: line 1 column 1 (char 0)"),
            ("\"a\\", "Unterminated string starting at: line 1 column 1 (char 0)"),
            ("{\n\"é\": \"a\nb\"}", "Invalid control character at: line 2 column 8 (char 9)"),
            ("\"\\x\"", "Invalid \\escape: line 1 column 2 (char 1)"),
            ("\"\\u12\"", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"),
            ("\"\\u123g\"", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"),
            ("\u{feff}{}", "Unexpected UTF-8 BOM (decode using utf-8-sig): line 1 column 1 (char 0)"),
            ("{\"a\": NaN}", "Out of range float values are not JSON compliant: 'NaN'"),
            ("[-Infinity]", "Out of range float values are not JSON compliant: '-Infinity'"),
        ] {
            assert_eq!(explain(text).to_string(), want, "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_an_end() {
        let nines = "9".repeat(4300);
        for text in [format!("-{nines}"), format!("{nines}9.5"), format!("{nines}9e1"), format!("\"{nines}9\"")] {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        assert_eq!(
            check(&format!("{{\"a\": [1, -{nines}9]}}")).unwrap_err().to_string(),
            "Exceeds the limit (4300 digits) for integer string conversion: value has 4301 digits; use \
             sys.set_int_max_str_digits() to increase the limit"
        );
    }

    #[test]
    fn deep_nesting_is_not_followed_for_ever() {
        assert_eq!(explain(&"[".repeat(1_000_000)), JsonSyntaxError::Unsupported);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_scanner_panic(text in "[\\[\\]{}\":,a-zN0-9.eE+\\-\\\\ \n]*") {
            explain(&text);
        }

        #[test]
        fn what_is_json_is_not_faulted(value in "(null|-?[1-9][0-9]*(\\.[0-9]+)?([eE][+-]?[0-9]+)?|\"[a-z]*\"|\\[(\\{\\}|\"x\", ?1|)\\])") {
            prop_assume!(serde_json::from_str::<&serde_json::value::RawValue>(&value).is_ok());
            prop_assert_eq!(explain(&value), JsonSyntaxError::Unsupported);
        }
    }
}
