//! JSON as Django's `JSONField` keeps it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// A JSON value as text, so that numbers of any size and form survive.
///
/// Values read with [`Json::parse`] take the form in which Django writes them (Python's `json.dumps`): `", "` and `": "`
/// between items, non-ASCII characters escaped, the last of repeated keys kept. Values read from the database keep the text
/// they were stored with.
#[derive(Clone)]
pub struct Json(Box<RawValue>);

/// Why a text is not a JSON value that can be stored.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON.
    #[error("{0}")]
    Syntax(#[from] serde_json::Error),
    /// Arrays and objects are nested deeper than [`Json::MAX_DEPTH`].
    #[error("nested deeper than {} levels", Json::MAX_DEPTH)]
    TooDeep,
    /// A string holds U+0000, which PostgreSQL cannot store.
    #[error("null characters are not allowed")]
    NullCharacter,
    /// A whole number has more than [`Json::MAX_DIGITS`] digits.
    #[error("numbers have at most {} digits", Json::MAX_DIGITS)]
    NumberTooLong,
    /// A number is too large for a Python float.
    #[error("out of range float values are not JSON compliant")]
    FloatOutOfRange,
}

impl Json {
    /// How deep arrays and objects may be nested. Every level reads the text below it once more.
    pub const MAX_DEPTH: usize = 32;
    /// The most digits of a whole number: Python reads no more.
    pub const MAX_DIGITS: usize = 4300;

    /// Reads JSON from outside.
    ///
    /// # Errors
    /// If the text is not JSON, nested too deep, or holds what the database cannot store.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        Self::from_raw(serde_json::from_str::<&RawValue>(text)?)
    }

    /// The same as [`Json::parse`] for a part of a larger document.
    ///
    /// # Errors
    /// As [`Json::parse`].
    pub fn from_raw(raw: &RawValue) -> Result<Self, JsonError> {
        let mut out = String::with_capacity(raw.get().len() + 16);
        write_value(raw, &mut out, 0)?;
        Ok(Self::from_trusted(out))
    }

    /// The JSON of a value of our own, in Django's form.
    ///
    /// # Panics
    /// If `T` cannot be JSON (a map whose keys are no strings); types of ours always can.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Self {
        let text = serde_json::to_string(value).expect("our own types are JSON");
        Self::parse(&text).expect("our own types are JSON that can be stored")
    }

    /// The JSON of a value of our own around values of the database, whose text is kept: they may be what [`Json::parse`] refuses.
    ///
    /// # Panics
    /// As [`Json::of`].
    pub fn around<T: Serialize + ?Sized>(value: &T) -> Self {
        Self::from_trusted(serde_json::to_string(value).expect("our own types are JSON"))
    }

    /// Takes a value out of the database, keeping its text.
    ///
    /// # Errors
    /// If the text is not JSON.
    pub fn from_stored(text: String) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text).map(Self)
    }

    /// `{"key": value}`, the form of the data of log rows.
    #[must_use]
    pub fn wrapped(&self, key: &str) -> Self {
        let mut out = String::with_capacity(self.as_str().len() + key.len() + 6);
        out.push('{');
        write_string(key, &mut out);
        out.push_str(": ");
        out.push_str(self.as_str());
        out.push('}');
        Self::from_trusted(out)
    }

    /// This object with the keys of `other` laid over it; `other` alone where one of them is no object.
    #[must_use]
    pub fn merged_with(&self, other: &Self) -> Self {
        let (Some(mut base), Some(over)) = (self.entries(), other.entries()) else { return other.clone() };
        base.extend(over);
        Self::of_entries(base.into_unique().into_iter())
    }

    /// This object without these keys; what is no object stays as it is.
    #[must_use]
    pub fn without(&self, keys: &[String]) -> Self {
        let Some(entries) = self.entries().filter(|_| !keys.is_empty()) else { return self.clone() };
        let kept = entries.into_unique().into_iter().filter(|(key, _)| !keys.iter().any(|out| out == key));
        Self::of_entries(kept)
    }

    fn of_entries<'a>(entries: impl Iterator<Item = (Cow<'a, str>, &'a RawValue)>) -> Self {
        let mut out = String::from("{");
        for (at, (key, value)) in entries.enumerate() {
            push_separator(at, &mut out);
            write_string(&key, &mut out);
            out.push_str(": ");
            out.push_str(value.get());
        }
        out.push('}');
        Self::from_trusted(out)
    }

    /// The text of the value.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The value, for `serde_json` and the database.
    pub fn as_raw(&self) -> &RawValue {
        &self.0
    }

    /// Whether the value is an object.
    pub fn is_object(&self) -> bool {
        self.as_str().starts_with('{')
    }

    /// Whether the value is `[]`, `{}`, `""` or `null`.
    pub fn is_empty(&self) -> bool {
        matches!(self.as_str(), "[]" | "{}" | "\"\"" | "null")
    }

    fn entries(&self) -> Option<Entries<'_>> {
        self.is_object().then(|| serde_json::from_str(self.as_str()).ok()).flatten()
    }

    fn from_trusted(text: String) -> Self {
        Self(RawValue::from_string(text).expect("the writer of this module writes JSON"))
    }
}

impl Default for Json {
    /// The empty object.
    fn default() -> Self {
        Self::from_trusted("{}".to_owned())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({})", self.as_str())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    /// Takes the text as it is, see [`from_stored`](Self::from_stored).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

fn write_value(raw: &RawValue, out: &mut String, depth: usize) -> Result<(), JsonError> {
    if depth > Json::MAX_DEPTH {
        return Err(JsonError::TooDeep);
    }
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            out.push('{');
            for (at, (key, value)) in serde_json::from_str::<Entries<'_>>(text)?.into_unique().iter().enumerate() {
                push_separator(at, out);
                write_checked_string(key, out)?;
                out.push_str(": ");
                write_value(value, out, depth + 1)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            out.push('[');
            for (at, item) in serde_json::from_str::<Vec<&RawValue>>(text)?.iter().enumerate() {
                push_separator(at, out);
                write_value(item, out, depth + 1)?;
            }
            out.push(']');
        }
        Some(b'"') => write_checked_string(&serde_json::from_str::<Cow<'_, str>>(text)?, out)?,
        Some(b'-' | b'0'..=b'9') => write_number(text, out)?,
        _ => out.push_str(text),
    }
    Ok(())
}

fn push_separator(at: usize, out: &mut String) {
    if at > 0 {
        out.push_str(", ");
    }
}

fn write_checked_string(text: &str, out: &mut String) -> Result<(), JsonError> {
    if text.contains('\0') {
        return Err(JsonError::NullCharacter);
    }
    write_string(text, out);
    Ok(())
}

fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
}

/// Whole numbers stay as they are, at any length; others become the shortest text that Python's `repr` gives the same float.
fn write_number(text: &str, out: &mut String) -> Result<(), JsonError> {
    if !text.contains(['.', 'e', 'E']) {
        if text.trim_start_matches('-').len() > Json::MAX_DIGITS {
            return Err(JsonError::NumberTooLong);
        }
        out.push_str(if text == "-0" { "0" } else { text });
        return Ok(());
    }
    let number: f64 = text.parse().map_err(|_| JsonError::FloatOutOfRange)?;
    if !number.is_finite() {
        return Err(JsonError::FloatOutOfRange);
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..16).contains(&exponent) {
        let _ = write!(out, "{number:?}");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
    Ok(())
}

/// The entries of an object in their order, repeated keys included.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Entries<'a> {
    fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Each key once, in the place of its first mention, with its last value, as in a Python `dict`.
    fn into_unique(self) -> Vec<(Cow<'a, str>, &'a RawValue)> {
        let mut places = HashMap::with_capacity(self.0.len());
        let mut unique: Vec<(Cow<'a, str>, &'a RawValue)> = Vec::with_capacity(self.0.len());
        for (key, value) in self.0 {
            if let Some(&place) = places.get(&key) {
                let entry: &mut (Cow<'a, str>, &'a RawValue) = &mut unique[place];
                entry.1 = value;
            } else {
                places.insert(key.clone(), unique.len());
                unique.push((key, value));
            }
        }
        unique
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dumps(text: &str) -> String {
        Json::parse(text).unwrap().as_str().to_owned()
    }

    #[test]
    fn values_take_the_form_of_pythons_json_dumps() {
        // Each right-hand side is what `json.dumps(json.loads(left))` gives in Python 3.11.
        let cases = [
            (r#"{"b":1,"a":"é"}"#, r#"{"b": 1, "a": "\u00e9"}"#),
            (r#"[1,2.5,null,true,"x"]"#, r#"[1, 2.5, null, true, "x"]"#),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a": 3, "b": 2}"#),
            (r#""😀 \u2713 \/ \" \\ \n \u0001 \u007f""#, r#""\ud83d\ude00 \u2713 / \" \\ \n \u0001 \u007f""#),
            ("12345678901234567890123", "12345678901234567890123"),
            ("-0", "0"),
            ("-0.0", "-0.0"),
            ("1.0", "1.0"),
            ("1E2", "100.0"),
            ("1e100", "1e+100"),
            ("1e16", "1e+16"),
            ("1e15", "1000000000000000.0"),
            ("123456789012345678.5", "1.2345678901234568e+17"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e-7", "1.5e-07"),
            ("5e-324", "5e-324"),
            (" { } ", "{}"),
        ];
        for (text, want) in cases {
            assert_eq!(dumps(text), want, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_stored_is_refused() {
        assert!(matches!(Json::parse(r#"{"a":"\u0000"}"#), Err(JsonError::NullCharacter)));
        assert!(matches!(Json::parse(r#"{"\u0000":1}"#), Err(JsonError::NullCharacter)));
        assert!(matches!(Json::parse(r#""\ud800""#), Err(JsonError::Syntax(_))));
        assert!(matches!(Json::parse("1e400"), Err(JsonError::FloatOutOfRange)));
        assert!(Json::parse(&"9".repeat(4300)).is_ok());
        assert!(matches!(Json::parse(&format!("-{}", "9".repeat(4301))), Err(JsonError::NumberTooLong)));
        assert!(matches!(Json::parse(&"[".repeat(100_000)), Err(JsonError::Syntax(_))));
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(matches!(Json::parse(&deep), Err(JsonError::TooDeep)));
    }

    #[test]
    fn merging_lays_the_second_object_over_the_first() {
        let base = Json::parse(r#"{"a":1,"b":2}"#).unwrap();
        let over = Json::parse(r#"{"b":3,"c":4}"#).unwrap();
        assert_eq!(base.merged_with(&over).as_str(), r#"{"a": 1, "b": 3, "c": 4}"#);
    }

    #[test]
    fn wrapping_gives_an_object_with_one_key() {
        assert_eq!(Json::parse("[1]").unwrap().wrapped("response").as_str(), r#"{"response": [1]}"#);
    }

    proptest! {
        #[test]
        fn the_form_is_stable_and_keeps_the_value(text in "\\PC*", number in any::<f64>(), whole in any::<i64>()) {
            let value = serde_json::json!({ "text": text.replace('\0', ""), "number": number, "list": [whole, null, {}] });
            let json = Json::of(&value);
            prop_assert_eq!(&dumps(json.as_str()), json.as_str());
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(json.as_str()).unwrap(), value);
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[\\[\\]{}\":,0-9eE.+\\-a-z\\\\ ]*") {
            let _ = Json::parse(&text);
        }
    }
}
