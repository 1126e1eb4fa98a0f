//! Validation of the fields of a request, by the rules of DRF's serializers and with their messages.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::{Json, JsonError, Timestamp};

/// What is wrong with the fields of a request: messages by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"expiry_minutes": ["A valid integer is required."]}))]
pub struct FieldErrors(BTreeMap<String, Messages>);

/// What is wrong with a field, or with items of a list by their places.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
enum Messages {
    Field(Vec<String>),
    Items(BTreeMap<usize, Vec<String>>),
}

impl FieldErrors {
    /// One message about one field.
    pub fn of(name: &str, message: &str) -> Self {
        let mut errors = Self::default();
        errors.add(name, message);
        errors
    }

    /// Adds a message about a field.
    pub(super) fn add(&mut self, name: &str, message: impl Into<String>) {
        match self.0.entry(name.to_owned()).or_insert_with(|| Messages::Field(Vec::new())) {
            Messages::Field(messages) => messages.push(message.into()),
            Messages::Items(_) => {}
        }
    }

    /// Adds what is wrong with a value that has to be a list of absolute URLs. DRF's `ListField` of `URLField`.
    pub(super) fn check_urls(&mut self, name: &str, value: &RawValue) {
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
            return self.add(name, format!("Expected a list of items but got type \"{}\".", python_type(value)));
        };
        let is_valid = |item: &RawValue| serde_json::from_str::<String>(item.get()).is_ok_and(|url| is_url(url.trim()));
        let invalid: BTreeMap<_, _> = items
            .iter()
            .enumerate()
            .filter(|(_, item)| !is_valid(item))
            .map(|(at, _)| (at, vec!["Enter a valid URL.".to_owned()]))
            .collect();
        if !invalid.is_empty() {
            self.0.insert(name.to_owned(), Messages::Items(invalid));
        }
    }

    /// Fails if anything is wrong.
    pub(super) fn into_result(self) -> Result<(), Self> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }
}

/// The fields of a request. Each is taken once, with its rules; what is wrong is gathered until [`finish`](Fields::finish).
pub struct Fields<'a> {
    values: HashMap<String, &'a RawValue>,
    errors: FieldErrors,
}

impl<'a> Fields<'a> {
    /// The fields of a JSON document.
    ///
    /// # Errors
    /// If the document is no object.
    pub fn new(document: &'a RawValue) -> Result<Self, FieldErrors> {
        let not_an_object = || {
            FieldErrors::of(
                "non_field_errors",
                &format!("Invalid data. Expected a dictionary, but got {}.", python_type(document)),
            )
        };
        let values = serde_json::from_str(document.get()).map_err(|_| not_an_object())?;
        Ok(Self { values, errors: FieldErrors::default() })
    }

    /// Tells what is wrong, if anything is.
    ///
    /// # Errors
    /// The messages about all fields that were taken.
    pub fn finish(self) -> Result<(), FieldErrors> {
        self.errors.into_result()
    }

    /// Whether a field was sent.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Adds a message about a field.
    pub fn refuse(&mut self, name: &str, message: &str) {
        self.errors.add(name, message);
    }

    /// A text without blanks around it, of 1 to `max_chars` characters. DRF's `CharField`.
    pub fn text(&mut self, name: &str, max_chars: usize) -> Option<String> {
        let text = self.text_or_blank(name, max_chars)?;
        if text.is_empty() {
            self.errors.add(name, "This field may not be blank.");
            return None;
        }
        Some(text)
    }

    /// A text without blanks around it, of at most `max_chars` characters. DRF's `CharField` with `allow_blank`.
    pub fn text_or_blank(&mut self, name: &str, max_chars: usize) -> Option<String> {
        let text = match self.take(name)? {
            Value::String(text) => text,
            // Python's `str` of a number is its JSON in Django's form.
            Value::Number(_) => self.json(name)?.as_str().to_owned(),
            _ => {
                self.errors.add(name, "Not a valid string.");
                return None;
            }
        };
        let text = text.trim().to_owned();
        let before = self.errors.0.len();
        if text.chars().count() > max_chars {
            self.errors.add(name, format!("Ensure this field has no more than {max_chars} characters."));
        }
        if text.contains('\0') {
            self.errors.add(name, "Null characters are not allowed.");
        }
        (self.errors.0.len() == before).then_some(text)
    }

    /// A yes or no, also as a word or as 0 or 1. DRF's `BooleanField`.
    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = match self.take(name)? {
            Value::Bool(value) => Some(value),
            Value::Number(number) if number.as_f64() == Some(1.0) => Some(true),
            Value::Number(number) if number.as_f64() == Some(0.0) => Some(false),
            Value::String(word) => match word.to_lowercase().as_str() {
                "t" | "y" | "yes" | "true" | "on" | "1" => Some(true),
                "f" | "n" | "no" | "false" | "off" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        };
        self.or_refuse(name, value, "Must be a valid boolean.")
    }

    /// A whole number, also as a text. DRF's `IntegerField`.
    pub fn integer(&mut self, name: &str, range: &RangeInclusive<i64>) -> Option<i64> {
        let text = match self.take(name)? {
            Value::String(text) => text,
            Value::Number(_) => self.json(name)?.as_str().to_owned(),
            _ => String::new(),
        };
        let value = self.or_refuse(name, parse_integer(&text), "A valid integer is required.")?;
        if value < i128::from(*range.start()) {
            self.errors.add(name, format!("Ensure this value is greater than or equal to {}.", range.start()));
            return None;
        }
        if value > i128::from(*range.end()) {
            self.errors.add(name, format!("Ensure this value is less than or equal to {}.", range.end()));
            return None;
        }
        i64::try_from(value).ok()
    }

    /// Any JSON but `null`. DRF's `JSONField`.
    pub fn json(&mut self, name: &str) -> Option<Json> {
        let raw = *self.values.get(name)?;
        if raw.get() == "null" {
            self.errors.add(name, "This field may not be null.");
            return None;
        }
        match Json::from_raw(raw) {
            Ok(json) => Some(json),
            Err(JsonError::NullCharacter) => {
                self.errors.add(name, "Null characters are not allowed.");
                None
            }
            Err(_) => {
                self.errors.add(name, "Value must be valid JSON.");
                None
            }
        }
    }

    /// A date and time in ISO 8601 form. DRF's `DateTimeField`.
    pub fn date_time(&mut self, name: &str) -> Option<Timestamp> {
        let value = match self.take(name)? {
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        self.or_refuse(name, value, "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].")
    }

    /// A list of absolute URLs. DRF's `ListField` of `URLField`.
    pub fn urls(&mut self, name: &str) -> Option<Vec<String>> {
        self.take(name)?;
        let value = *self.values.get(name)?;
        self.errors.check_urls(name, value);
        let urls: Vec<String> = serde_json::from_str(value.get()).ok()?;
        Some(urls.iter().map(|url| url.trim().to_owned()).collect())
    }

    /// The value of a field that may not be `null`.
    fn take(&mut self, name: &str) -> Option<Value> {
        let raw = self.values.get(name)?;
        match serde_json::from_str(raw.get()) {
            Ok(Value::Null) => {
                self.errors.add(name, "This field may not be null.");
                None
            }
            Ok(value) => Some(value),
            // A number beyond what a float holds, or text with half a surrogate pair.
            Err(_) => self.or_refuse(name, None, "Value must be valid JSON."),
        }
    }

    fn or_refuse<T>(&mut self, name: &str, value: Option<T>, message: &str) -> Option<T> {
        if value.is_none() {
            self.errors.add(name, message);
        }
        value
    }
}

/// Whether DRF's `URLField` takes the text: an absolute URL with a host and without blanks.
pub(super) fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https" | "ftp" | "ftps")
        && !host.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// A whole number as Python's `int` reads it, a fraction of zeros allowed; within 128 bits.
fn parse_integer(text: &str) -> Option<i128> {
    let text = text.trim();
    let whole = match text.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b == b'0') => whole,
        Some(_) => return None,
        None => text,
    };
    let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
    (!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())).then(|| whole.parse().ok()).flatten()
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
        let mut fields = Fields::new(serde_json::from_str(document).unwrap()).ok().unwrap();
        take(&mut fields);
        fields.finish().map_or_else(|errors| serde_json::to_string(&errors).unwrap(), |()| "fine".to_owned())
    }

    fn value_of<T>(document: &str, take: impl FnOnce(&mut Fields<'_>) -> Option<T>) -> Option<T> {
        take(&mut Fields::new(serde_json::from_str(document).unwrap()).ok().unwrap())
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
        for (value, want) in [("30", 30), ("30.0", 30), ("\" 30 \"", 30), ("\"+30.00\"", 30), ("3e1", 30)] {
            assert_eq!(value_of(&format!(r#"{{"x":{value}}}"#), |f| f.integer("x", &range)), Some(want), "{value}");
        }
        for value in ["\"soon\"", "[30]", "\"\"", "true", "\"1e2\"", "30.5", "\"\u{662}\""] {
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
        for (document, kind) in [
            ("[]", "list"),
            ("\"text\"", "str"),
            ("5", "int"),
            ("false", "bool"),
            ("null", "NoneType"),
            ("1.5", "float"),
        ] {
            let errors = Fields::new(serde_json::from_str(document).unwrap()).err().unwrap();
            assert_eq!(
                errors,
                FieldErrors::of("non_field_errors", &format!("Invalid data. Expected a dictionary, but got {kind}."))
            );
        }
    }

    #[test]
    fn items_of_lists_are_refused_by_their_places() {
        let refused = |document: &str| errors_of(document, |f| drop(f.urls("x")));
        assert_eq!(
            refused(r#"{"x":["https://h/a","no","https://h/b",1]}"#),
            r#"{"x":{"1":["Enter a valid URL."],"3":["Enter a valid URL."]}}"#
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

    proptest! {
        #[test]
        fn no_document_makes_the_reader_panic(value in "[\\[\\]{}\":,a-z0-9.e+\\- ]*") {
            let document = format!(r#"{{"x":{value}}}"#);
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&document) && let Ok(mut fields) = Fields::new(raw) {
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
