//! Validation of the fields of a request, by the rules of DRF's serializers and with their messages.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::Utf8Chunk;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::FieldErrors;
use super::body::{Form, FormValue, RequestData};
use super::python::{self, strip};
use crate::domain::{ImageId, Json, JsonError, Timestamp};

const NULL: &str = "This field may not be null.";
const BLANK: &str = "This field may not be blank.";
const REQUIRED: &str = "This field is required.";
/// The most characters of JSON that are kept, in the form that is stored and answered, which may be six times as long as what was sent. A
/// page of images holds all that its images have.
const MAX_JSON: usize = 32_768;
/// Longer texts are no numbers.
const MAX_NUMBER_CHARS: usize = 1000;

/// The fields of a request. Each is taken once, with its rules; what is wrong is gathered until [`finish`](Fields::finish).
pub struct Fields<'a> {
    source: Source<'a>,
    errors: FieldErrors,
}

enum Source<'a> {
    Json(HashMap<String, &'a RawValue>),
    Form(&'a Form),
}

/// A field as it was sent.
#[derive(Clone, Copy)]
enum Sent<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    File,
}

impl<'a> Fields<'a> {
    /// The fields of the data of a request.
    ///
    /// # Errors
    /// If it is a JSON document that is no object.
    pub fn new(data: &'a RequestData) -> Result<Self, FieldErrors> {
        match data {
            RequestData::Json(document) => Self::of_json(document),
            RequestData::Form(form) => Ok(Self::of_form(form)),
        }
    }

    /// The fields of a form.
    pub fn of_form(form: &'a Form) -> Self {
        Self { source: Source::Form(form), errors: FieldErrors::default() }
    }

    /// The fields of a JSON document.
    ///
    /// # Errors
    /// If the document is no object.
    pub fn of_json(document: &'a RawValue) -> Result<Self, FieldErrors> {
        let no_object = || match python_type(document) {
            "NoneType" => "No data provided".to_owned(),
            kind => format!("Invalid data. Expected a dictionary, but got {kind}."),
        };
        let values: HashMap<AnyString, &RawValue> =
            serde_json::from_str(document.get()).map_err(|_| FieldErrors::of("non_field_errors", &no_object()))?;
        let values = values.into_iter().map(|(AnyString(name), value)| (name, value)).collect();
        Ok(Self { source: Source::Json(values), errors: FieldErrors::default() })
    }

    /// Tells what is wrong, if anything is.
    ///
    /// # Errors
    /// The messages about all fields that were taken.
    pub fn finish(self) -> Result<(), FieldErrors> {
        self.errors.into_result()
    }

    /// What was read of the fields, which is there unless something is wrong.
    ///
    /// # Errors
    /// As [`finish`](Fields::finish).
    pub fn finish_with<T>(self, value: Option<T>) -> Result<T, FieldErrors> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(self.errors),
        }
    }

    /// Whether nothing is wrong so far.
    pub fn are_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// Adds a message about a field.
    pub fn refuse(&mut self, name: &str, message: &str) {
        self.errors.add(name, message);
    }

    /// Adds a message about a field that has to be there and is not.
    pub fn require(&mut self, name: &str) {
        let is_list = matches!(&self.source, Source::Form(form) if form.list(name).is_some());
        if !is_list && self.sent(name).is_none() {
            self.errors.add(name, REQUIRED);
        }
    }

    /// A text without blanks around it, of 1 to `max_chars` characters. DRF's `CharField`. An empty one in a form is none.
    pub fn text(&mut self, name: &str, max_chars: usize) -> Option<String> {
        let text = self.checked_text(name, max_chars, self.not_empty(name)?)?;
        if text.is_empty() {
            self.errors.add(name, BLANK);
            return None;
        }
        Some(text)
    }

    /// A text that has to be there, of 1 to `max_chars` characters. DRF's `CharField` that is required.
    pub fn required_text(&mut self, name: &str, max_chars: usize) -> Option<String> {
        self.require(name);
        let text = self.text_or_blank(name, max_chars)?;
        if text.is_empty() {
            self.errors.add(name, BLANK);
            return None;
        }
        Some(text)
    }

    /// A text without blanks around it, of at most `max_chars` characters. DRF's `CharField` with `allow_blank`.
    pub fn text_or_blank(&mut self, name: &str, max_chars: usize) -> Option<String> {
        self.checked_text(name, max_chars, self.sent(name)?)
    }

    fn checked_text(&mut self, name: &str, max_chars: usize, sent: Sent<'_>) -> Option<String> {
        match read_text(sent, max_chars) {
            Ok(text) => Some(text),
            Err(messages) => {
                for message in messages {
                    self.errors.add(name, message);
                }
                None
            }
        }
    }

    /// A yes or no, also as a word or as 0 or 1. DRF's `BooleanField`; an empty one in a form is none.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = match self.not_empty(name)? {
            Sent::Text(word) => boolean_word(word),
            Sent::File => None,
            Sent::Json(raw) => match serde_json::from_str(raw.get()) {
                Ok(Value::Null) => return self.none_with(name, NULL),
                Ok(Value::Bool(value)) => Some(value),
                Ok(Value::Number(number)) if number.as_f64() == Some(1.0) => Some(true),
                Ok(Value::Number(number)) if number.as_f64() == Some(0.0) => Some(false),
                Ok(Value::String(word)) => boolean_word(&word),
                _ => None,
            },
        };
        self.or_refuse(name, value, "Must be a valid boolean.")
    }

    /// A whole number, also as a text. DRF's `IntegerField`; an empty one in a form is none.
    pub fn integer(&mut self, name: &str, range: &RangeInclusive<i64>) -> Option<i64> {
        let sent = self.not_empty(name)?;
        if is_null(sent) {
            return self.none_with(name, NULL);
        }
        self.checked_integer(name, range, sent)
    }

    /// The same for a number that may be `null`, or empty in a form: then it is `Some(None)`.
    pub fn integer_or_null(&mut self, name: &str, range: &RangeInclusive<i64>) -> Option<Option<i64>> {
        let sent = self.sent(name)?;
        if is_null(sent) || matches!(sent, Sent::Text("")) {
            return Some(None);
        }
        self.checked_integer(name, range, sent).map(Some)
    }

    fn checked_integer(&mut self, name: &str, range: &RangeInclusive<i64>, sent: Sent<'_>) -> Option<i64> {
        let (text, is_number) = match sent {
            Sent::Text(text) => (text.to_owned(), false),
            Sent::File => (String::new(), false),
            Sent::Json(raw) => (number_text(raw).unwrap_or_default(), !raw.get().starts_with('"')),
        };
        if !is_number && text.chars().count() > MAX_NUMBER_CHARS {
            return self.none_with(name, "String value too large.");
        }
        let value = self.or_refuse(name, python::int(without_zero_fraction(&text)), "A valid integer is required.")?;
        if value < i128::from(*range.start()) {
            return self.none_with(name, &format!("Ensure this value is greater than or equal to {}.", range.start()));
        }
        if value > i128::from(*range.end()) {
            return self.none_with(name, &format!("Ensure this value is less than or equal to {}.", range.end()));
        }
        i64::try_from(value).ok()
    }

    /// Any JSON but `null`; in a form, the text of it. DRF's `JSONField`, but of 32,768 characters at most, as they are answered.
    pub fn json(&mut self, name: &str) -> Option<Json> {
        let json = match self.sent(name)? {
            sent if is_null(sent) => return self.none_with(name, NULL),
            Sent::Json(raw) => Json::from_raw(raw),
            Sent::Text(text) => Json::parse(text),
            Sent::File => Json::parse(""),
        };
        match json {
            Ok(json) if json.as_str().len() > MAX_JSON => {
                self.none_with(name, "Ensure this field has no more than 32768 characters, as it is answered.")
            }
            Ok(json) => Some(json),
            Err(JsonError::NullCharacter) => self.none_with(name, "Null characters are not allowed."),
            Err(_) => self.none_with(name, "Value must be valid JSON."),
        }
    }

    /// A date and time in ISO 8601 form. DRF's `DateTimeField`; an empty one in a form is none.
    pub fn date_time(&mut self, name: &str) -> Option<Timestamp> {
        let value = match self.not_empty(name)? {
            sent if is_null(sent) => return self.none_with(name, NULL),
            Sent::Json(raw) => serde_json::from_str::<String>(raw.get()).ok().and_then(|text| text.parse().ok()),
            Sent::Text(text) => text.parse().ok(),
            Sent::File => None,
        };
        self.or_refuse(name, value, "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].")
    }

    /// One of some words. DRF's `ChoiceField`; an empty one in a form is none.
    pub fn choice(&mut self, name: &str, choices: &[&str]) -> Option<String> {
        let sent = self.not_empty(name)?;
        let word = match sent {
            sent if is_null(sent) => return self.none_with(name, NULL),
            Sent::Text(word) => word.to_owned(),
            Sent::Json(raw) => serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned()),
            Sent::File => String::new(),
        };
        let known = choices.contains(&word.as_str()).then(|| word.clone());
        self.or_refuse(name, known, &format!("\"{word}\" is not a valid choice."))
    }

    /// A list of absolute URLs. DRF's `ListField` of `URLField`.
    pub fn urls(&mut self, name: &str) -> Option<Vec<String>> {
        self.list(name, |item| {
            let url = read_text(item, usize::MAX)
                .and_then(|text| if text.is_empty() { Err(vec![BLANK.to_owned()]) } else { Ok(text) });
            url.and_then(|url| if is_url(&url) { Ok(url) } else { Err(vec![INVALID_URL.to_owned()]) })
        })
    }

    /// A list of texts that are not empty. DRF's `ListField` of `CharField`.
    pub fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        self.list(name, |item| match read_text(item, usize::MAX)? {
            text if text.is_empty() => Err(vec![BLANK.to_owned()]),
            text => Ok(text),
        })
    }

    /// A list of keys of images. DRF's `ListField` of `UUIDField`.
    pub fn image_ids(&mut self, name: &str) -> Option<Vec<ImageId>> {
        self.list(name, |item| {
            if is_null(item) {
                return Err(vec![NULL.to_owned()]);
            }
            read_image_id(item).ok_or_else(|| vec!["Must be a valid UUID.".to_owned()])
        })
    }

    /// A list; what is wrong with its items is told by their places.
    fn list<T>(&mut self, name: &str, read: impl Fn(Sent<'_>) -> Result<T, Vec<String>>) -> Option<Vec<T>> {
        let items = match &self.source {
            Source::Form(form) => form.list(name)?,
            Source::Json(values) => {
                let raw = *values.get(name)?;
                match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
                    Ok(items) => items.into_iter().map(Sent::Json).collect(),
                    Err(_) if raw.get() == "null" => return self.none_with(name, NULL),
                    Err(_) => return self.none_with(name, &not_a_list(raw)),
                }
            }
        };
        let mut values = Vec::with_capacity(items.len());
        let mut errors = BTreeMap::new();
        for (at, item) in items.into_iter().enumerate() {
            match read(item) {
                Ok(value) => values.push(value),
                Err(messages) => _ = errors.insert(at, messages),
            }
        }
        if errors.is_empty() {
            return Some(values);
        }
        self.errors.add_items(name, errors);
        None
    }

    fn sent(&self, name: &str) -> Option<Sent<'a>> {
        match &self.source {
            Source::Json(values) => values.get(name).map(|raw| Sent::Json(raw)),
            Source::Form(form) => form.last(name),
        }
    }

    /// The field, where it is not an empty one of a form: forms have no other way to leave a field out.
    fn not_empty(&self, name: &str) -> Option<Sent<'a>> {
        self.sent(name).filter(|sent| !matches!(sent, Sent::Text("")))
    }

    fn none_with<T>(&mut self, name: &str, message: &str) -> Option<T> {
        self.errors.add(name, message);
        None
    }

    fn or_refuse<T>(&mut self, name: &str, value: Option<T>, message: &str) -> Option<T> {
        if value.is_none() {
            self.errors.add(name, message);
        }
        value
    }
}

impl Form {
    fn last(&self, name: &str) -> Option<Sent<'_>> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.into())
    }

    /// The values of a repeated field, or of the fields `name[0]`, `name[1]` and so on.
    fn list(&self, name: &str) -> Option<Vec<Sent<'_>>> {
        let repeated: Vec<_> =
            self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| Sent::from(value)).collect();
        if !repeated.is_empty() {
            return Some(repeated);
        }
        let place = |key: &str| key.strip_prefix(name)?.strip_prefix('[')?.strip_suffix(']')?.parse::<u32>().ok();
        let numbered: BTreeMap<u32, Sent<'_>> =
            self.0.iter().filter_map(|(key, value)| Some((place(key)?, value.into()))).collect();
        (!numbered.is_empty()).then(|| numbered.into_values().collect())
    }
}

impl<'a> From<&'a FormValue> for Sent<'a> {
    fn from(value: &'a FormValue) -> Self {
        match value {
            FormValue::Text(text) => Self::Text(text),
            FormValue::File => Self::File,
        }
    }
}

/// What is wrong with a value that has to be a list of absolute URLs.
pub(super) fn check_urls(errors: &mut FieldErrors, name: &str, value: &RawValue) {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
        return errors.add(name, not_a_list(value));
    };
    let is_valid = |item: &RawValue| serde_json::from_str::<String>(item.get()).is_ok_and(|url| is_url(strip(&url)));
    let invalid: BTreeMap<_, _> = items
        .iter()
        .enumerate()
        .filter(|(_, item)| !is_valid(item))
        .map(|(at, _)| (at, vec![INVALID_URL.to_owned()]))
        .collect();
    if !invalid.is_empty() {
        errors.add_items(name, invalid);
    }
}

pub(super) const INVALID_URL: &str = "Enter a valid URL.";

/// Whether DRF's `URLField` takes the text: an absolute URL with a host and without blanks.
pub(super) fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https" | "ftp" | "ftps")
        && !host.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn not_a_list(value: &RawValue) -> String {
    format!("Expected a list of items but got type \"{}\".", python_type(value))
}

fn is_null(sent: Sent<'_>) -> bool {
    matches!(sent, Sent::Json(raw) if raw.get() == "null")
}

/// A text of DRF's `CharField`, or all that is wrong with it.
fn read_text(sent: Sent<'_>, max_chars: usize) -> Result<String, Vec<String>> {
    let no_text = || vec!["Not a valid string.".to_owned()];
    let mut surrogate = None;
    let text = match sent {
        Sent::Text(text) => text.to_owned(),
        Sent::Json(raw) if raw.get() == "null" => return Err(vec![NULL.to_owned()]),
        Sent::Json(raw) if raw.get().starts_with('"') => serde_json::from_str(raw.get()).or_else(|_| {
            surrogate = lone_surrogate(raw.get());
            serde_json::from_str(raw.get()).map(|AnyString(text)| text).map_err(|_| no_text())
        })?,
        Sent::Json(raw) => number_text(raw).ok_or_else(no_text)?,
        Sent::File => return Err(no_text()),
    };
    let text = strip(&text).to_owned();
    let mut messages = Vec::new();
    if text.chars().count() > max_chars {
        messages.push(format!("Ensure this field has no more than {max_chars} characters."));
    }
    if text.contains('\0') {
        messages.push("Null characters are not allowed.".to_owned());
    }
    messages.extend(surrogate);
    if messages.is_empty() { Ok(text) } else { Err(messages) }
}

/// A JSON string, with something else in the place of each half of a surrogate pair.
#[derive(PartialEq, Eq, Hash)]
struct AnyString(String);

impl<'de> Deserialize<'de> for AnyString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyStringVisitor;
        impl Visitor<'_> for AnyStringVisitor {
            type Value = AnyString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<AnyString, E> {
                // A half is written in three bytes, of which none is UTF-8 and only the first is 0xed.
                let halves = |chunk: &Utf8Chunk<'_>| chunk.invalid().contains(&0xed).then_some('\u{fffd}');
                let text = bytes.utf8_chunks().flat_map(|chunk| chunk.valid().chars().chain(halves(&chunk)));
                Ok(AnyString(text.collect()))
            }
        }
        deserializer.deserialize_bytes(AnyStringVisitor)
    }
}

/// What to say of a string that is JSON and still no text: it holds half of a surrogate pair.
fn lone_surrogate(literal: &str) -> Option<String> {
    let units = literal.match_indices("\\u").filter_map(|(at, _)| {
        let is_escaped = literal[..at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1;
        if is_escaped {
            None
        } else {
            u16::from_str_radix(literal.get(at + 2..at + 6)?, 16).ok().map(|unit| (at, unit))
        }
    });
    let units: Vec<(usize, u16)> = units.collect();
    let is_half = |place: usize| {
        let (at, unit) = units[place];
        let follows = |low: &(usize, u16)| low.0 == at + 6 && (0xdc00..0xe000).contains(&low.1);
        let precedes = |high: &(usize, u16)| high.0 + 6 == at && (0xd800..0xdc00).contains(&high.1);
        match unit {
            0xd800..0xdc00 => !units.get(place + 1).is_some_and(follows),
            0xdc00..0xe000 => !place.checked_sub(1).and_then(|before| units.get(before)).is_some_and(precedes),
            _ => false,
        }
    };
    let place = (0..units.len()).find(|place| is_half(*place))?;
    Some(format!("Surrogate characters are not allowed: U+{:X}.", units[place].1))
}

/// Python's `str` of a JSON number.
fn number_text(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'-' | b'0'..=b'9' => match Json::from_raw(raw) {
            Ok(json) => Some(json.as_str().to_owned()),
            Err(_) => infinity(raw.get()).map(str::to_owned),
        },
        _ => None,
    }
}

/// What Python makes of a number beyond its range.
fn infinity(number: &str) -> Option<&'static str> {
    match number.parse::<f64>().ok()? {
        f64::INFINITY => Some("inf"),
        f64::NEG_INFINITY => Some("-inf"),
        _ => None,
    }
}

/// DRF drops a fraction of zeros before it reads a whole number.
fn without_zero_fraction(text: &str) -> &str {
    let end = text.trim_end_matches(python::is_space);
    end.trim_end_matches('0').strip_suffix('.').unwrap_or(text)
}

fn boolean_word(word: &str) -> Option<bool> {
    match word.to_lowercase().as_str() {
        "t" | "y" | "yes" | "true" | "on" | "1" => Some(true),
        "f" | "n" | "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A UUID as a text in any form that Python reads, or as a number.
fn read_image_id(sent: Sent<'_>) -> Option<ImageId> {
    let raw = match sent {
        Sent::Text(text) => return text.parse().ok(),
        Sent::File => return None,
        Sent::Json(raw) => raw.get(),
    };
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(raw).ok()?.parse().ok(),
        // For Python, these are numbers too.
        b't' => Some(Uuid::from_u128(1).into()),
        b'f' => Some(Uuid::nil().into()),
        _ => raw.parse::<u128>().ok().map(|number| Uuid::from_u128(number).into()),
    }
}

/// The name of the type that Python reads a document as.
fn python_type(document: &RawValue) -> &'static str {
    let text = document.get();
    match text.as_bytes().first() {
        Some(b'[') => "list",
        Some(b'{') => "dict",
        Some(b'"') => "str",
        Some(b't' | b'f') => "bool",
        Some(b'n') => "NoneType",
        _ if text.contains(['.', 'e', 'E']) => "float",
        _ => "int",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn errors_of(document: &str, take: impl FnOnce(&mut Fields<'_>)) -> String {
        let mut fields = Fields::of_json(serde_json::from_str(document).unwrap()).ok().unwrap();
        take(&mut fields);
        fields.finish().map_or_else(|errors| serde_json::to_string(&errors).unwrap(), |()| "fine".to_owned())
    }

    fn value_of<T>(document: &str, take: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> Option<T> {
        take(&mut Fields::of_json(serde_json::from_str(document).unwrap()).ok().unwrap())
    }

    #[test]
    fn texts_are_refused_in_drfs_words() {
        let long = format!(r#"{{"x":"{}"}}"#, "y".repeat(256));
        for (document, message) in [
            (r#"{"x":null}"#, "This field may not be null."),
            (r#"{"x":"  "}"#, "This field may not be blank."),
            (r#"{"x":["a"]}"#, "Not a valid string."),
            (r#"{"x":{}}"#, "Not a valid string."),
            (r#"{"x":true}"#, "Not a valid string."),
            (r#"{"x":"a\u0000"}"#, "Null characters are not allowed."),
            (&long, "Ensure this field has no more than 255 characters."),
        ] {
            assert_eq!(
                errors_of(document, |f| drop(f.text("x", 255))),
                format!(r#"{{"x":["{message}"]}}"#),
                "{document}"
            );
        }
        assert_eq!(value_of(r#"{"x":" a b "}"#, |f| f.text("x", 9)).as_deref(), Some("a b"));
        assert_eq!(value_of(r#"{"x":1.50}"#, |f| f.text("x", 9)).as_deref(), Some("1.5"));
        assert_eq!(value_of(r#"{"x":" "}"#, |f| f.text_or_blank("x", 9)).as_deref(), Some(""));
        assert_eq!(errors_of("{}", |f| drop(f.text("x", 9))), "fine");
    }

    #[test]
    fn booleans_are_read_in_every_form_that_drf_takes() {
        for (value, want) in [
            ("true", true),
            ("\"YES\"", true),
            ("1", true),
            ("1.0", true),
            ("\"off\"", false),
            ("0", false),
            ("false", false),
        ] {
            assert_eq!(value_of(&format!(r#"{{"x":{value}}}"#), |f| f.boolean("x")), Some(want), "{value}");
        }
        for value in ["\"maybe\"", "[true]", "\"\"", "2"] {
            assert_eq!(
                errors_of(&format!(r#"{{"x":{value}}}"#), |f| _ = f.boolean("x")),
                r#"{"x":["Must be a valid boolean."]}"#,
                "{value}"
            );
        }
    }

    #[test]
    fn integers_are_read_in_every_form_that_drf_takes() {
        let range = 2..=360;
        for (value, want) in
            [("30", 30), ("30.0", 30), ("\" 30 \"", 30), ("\"+30.00 \"", 30), ("3e1", 30), ("\"٣_0\"", 30)]
        {
            assert_eq!(value_of(&format!(r#"{{"x":{value}}}"#), |f| f.integer("x", &range)), Some(want), "{value}");
        }
        for value in ["\"soon\"", "[30]", "\"\"", "true", "\"1e2\"", "30.5", "\"3 0\"", "1e16"] {
            assert_eq!(
                errors_of(&format!(r#"{{"x":{value}}}"#), |f| _ = f.integer("x", &range)),
                r#"{"x":["A valid integer is required."]}"#,
                "{value}"
            );
        }
        assert_eq!(
            errors_of(r#"{"x":361}"#, |f| _ = f.integer("x", &range)),
            r#"{"x":["Ensure this value is less than or equal to 360."]}"#
        );
        assert_eq!(
            errors_of(r#"{"x":-5}"#, |f| _ = f.integer("x", &range)),
            r#"{"x":["Ensure this value is greater than or equal to 2."]}"#
        );
    }

    #[test]
    fn documents_that_are_no_objects_are_named_by_their_python_type() {
        for (document, kind) in [("[]", "list"), ("\"text\"", "str"), ("5", "int"), ("false", "bool"), ("1.5", "float")]
        {
            let errors = Fields::of_json(serde_json::from_str(document).unwrap()).err().unwrap();
            assert_eq!(
                errors,
                FieldErrors::of("non_field_errors", &format!("Invalid data. Expected a dictionary, but got {kind}."))
            );
        }
        let errors = Fields::of_json(serde_json::from_str("null").unwrap()).err().unwrap();
        assert_eq!(errors, FieldErrors::of("non_field_errors", "No data provided"));
    }

    #[test]
    fn items_of_lists_are_refused_by_their_places() {
        let refused = |document: &str| errors_of(document, |f| drop(f.urls("x")));
        assert_eq!(
            refused(r#"{"x":["https://h/a","no","https://h/b",1]}"#),
            r#"{"x":{"1":["Enter a valid URL."],"3":["Enter a valid URL."]}}"#
        );
        assert_eq!(
            errors_of(r#"{"x":[null,"12",5,1.5,"096e7a30-2ee5-5aee-941a-0b75559e4768",{}]}"#, |f| drop(
                f.image_ids("x")
            )),
            r#"{"x":{"0":["This field may not be null."],"1":["Must be a valid UUID."],"3":["Must be a valid UUID."],"5":["Must be a valid UUID."]}}"#
        );
        assert_eq!(
            errors_of(r#"{"x":[" ",["a"],"b"]}"#, |f| drop(f.texts("x"))),
            r#"{"x":{"0":["This field may not be blank."],"1":["Not a valid string."]}}"#
        );
        assert_eq!(
            refused(r#"{"x":{"a":"https://h/a"}}"#),
            r#"{"x":["Expected a list of items but got type \"dict\"."]}"#
        );
        assert_eq!(value_of(r#"{"x":[" https://h/a "]}"#, |f| f.urls("x")).unwrap(), ["https://h/a"]);
    }

    #[test]
    fn only_absolute_urls_are_urls() {
        for url in ["https://imagedelivery.net/h/i/public", "http://127.0.0.1:8001/upload/x", "https://h/a//b"] {
            assert!(is_url(url), "{url}");
        }
        for text in ["/relative/public", "not a url", "https:///x", "https://h/with space", "javascript:alert(1)", ""] {
            assert!(!is_url(text), "{text}");
        }
    }

    #[test]
    fn fields_of_forms_are_texts_and_empty_ones_are_none() {
        let form = Form::from(
            crate::http::query::Query::parse(
                "n=&n=7&b=&t=&m=%7B%22a%22%3A1%7D&e=&ids[1]=b&ids[0]=a&list=x&list=y&size=",
            )
            .unwrap(),
        );
        let mut fields = Fields::of_form(&form);
        assert_eq!(fields.integer("n", &(0..=9)), Some(7));
        assert_eq!((fields.boolean("b"), fields.text("t", 9), fields.integer("e", &(0..=9))), (None, None, None));
        assert_eq!(fields.text_or_blank("t", 9).as_deref(), Some(""));
        assert_eq!(fields.integer_or_null("size", &(0..=9)), Some(None));
        assert_eq!(fields.json("m").unwrap().as_str(), r#"{"a": 1}"#);
        fields.require("ids");
        assert_eq!(fields.texts("ids").unwrap(), ["a", "b"]);
        assert_eq!(fields.texts("list").unwrap(), ["x", "y"]);
        assert_eq!(fields.texts("none"), None);
        assert!(fields.are_valid());
        assert_eq!(fields.json("e").map(drop), None);
        assert_eq!(fields.finish().unwrap_err(), FieldErrors::of("e", "Value must be valid JSON."));
    }

    #[test]
    fn json_is_measured_as_it_is_answered() {
        // In quotes, and with six characters for each.
        let deleted = |count: usize| format!(r#"{{"m": "{}"}}"#, "\u{7f}".repeat(count));
        assert_eq!(errors_of(&deleted((MAX_JSON - 2) / 6), |f| drop(f.json("m"))), "fine");
        let error = r#"{"m":["Ensure this field has no more than 32768 characters, as it is answered."]}"#;
        assert_eq!(errors_of(&deleted((MAX_JSON - 2) / 6 + 1), |f| drop(f.json("m"))), error);
    }

    #[test]
    fn everything_that_is_wrong_with_a_text_is_told_at_once() {
        let long = "x".repeat(9);
        assert_eq!(
            errors_of(&format!(r#"{{"x":"{long}\u0000\ud800"}}"#), |f| drop(f.text("x", 10))),
            r#"{"x":["Ensure this field has no more than 10 characters.","Null characters are not allowed.","Surrogate characters are not allowed: U+D800."]}"#
        );
    }

    #[test]
    fn names_of_other_fields_may_be_any_string() {
        assert_eq!(value_of(r#"{"\ud800": 1, "\u0078": "y"}"#, |f| f.text("x", 9)).as_deref(), Some("y"));
    }

    #[test]
    fn numbers_beyond_the_range_are_infinite_texts_and_no_whole_numbers() {
        assert_eq!(value_of(r#"{"x":1e400}"#, |f| f.text("x", 9)).as_deref(), Some("inf"));
        assert_eq!(value_of(r#"{"x":-1e400}"#, |f| f.text("x", 9)).as_deref(), Some("-inf"));
        assert_eq!(
            errors_of(r#"{"x":1e400}"#, |f| _ = f.integer("x", &(2..=360))),
            r#"{"x":["A valid integer is required."]}"#
        );
    }

    #[test]
    fn only_texts_can_be_too_long_for_numbers() {
        let nines = "9".repeat(1001);
        assert_eq!(
            errors_of(&format!(r#"{{"x":{nines}}}"#), |f| _ = f.integer("x", &(2..=360))),
            r#"{"x":["Ensure this value is less than or equal to 360."]}"#
        );
        assert_eq!(
            errors_of(&format!(r#"{{"x":"{nines}"}}"#), |f| _ = f.integer("x", &(2..=360))),
            r#"{"x":["String value too large."]}"#
        );
    }

    #[test]
    fn half_a_surrogate_pair_is_named() {
        for (document, unit) in [
            (r#"{"x":"a\ud800"}"#, "D800"),
            (r#"{"x":"\ud83d\ude00\udc00"}"#, "DC00"),
            (r#"{"x":"\\ud800 \udbff\u0041"}"#, "DBFF"),
        ] {
            assert_eq!(
                errors_of(document, |f| drop(f.text("x", 99))),
                format!(r#"{{"x":["Surrogate characters are not allowed: U+{unit}."]}}"#)
            );
        }
    }

    proptest! {
        #[test]
        fn no_document_makes_the_reader_panic(value in "[\\[\\]{}\":,a-z0-9.e+\\- ]*") {
            let document = format!(r#"{{"x":{value}}}"#);
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&document) && let Ok(mut fields) = Fields::of_json(raw) {
                fields.text("x", 10);
                fields.boolean("x");
                fields.integer("x", &(2..=360));
                fields.json("x");
                fields.date_time("x");
                fields.urls("x");
            }
        }
    }
}
