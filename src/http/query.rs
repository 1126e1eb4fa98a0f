//! Query strings and the bodies of forms, by the rules of Django's `QueryDict`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The most pairs that are read: Django's `DATA_UPLOAD_MAX_NUMBER_FIELDS`.
pub const MAX_FIELDS: usize = 1000;

/// What Python's `quote_plus` leaves as it is; blanks become `+`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// There are more than [`MAX_FIELDS`] pairs, counting empty ones.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_FIELDS} fields")]
pub struct TooManyFields;

/// The parameters of a query, in their order, repeated ones included.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string; what is not UTF-8 is replaced.
    ///
    /// # Errors
    /// If there are too many parameters.
    pub fn parse(query: &str) -> Result<Self, TooManyFields> {
        if query.split('&').nth(MAX_FIELDS).is_some() {
            return Err(TooManyFields);
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        Ok(Self(pairs.map(|(name, value)| (decode(name), decode(value))).collect()))
    }

    /// All values of a parameter, in their order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs().filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The last value of a parameter, as Django's `QueryDict` gives it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All pairs, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Each parameter once, in the order of their first mention, with its last value.
    pub fn last_values(&self) -> impl Iterator<Item = (&str, &str)> {
        let is_first = |(at, (name, _)): &(usize, &(String, String))| !self.0[..*at].iter().any(|(key, _)| key == name);
        self.0.iter().enumerate().filter(is_first).filter_map(|(_, (name, _))| Some((name.as_str(), self.get(name)?)))
    }

    /// The pairs themselves.
    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// The query string with other values for some parameters, `None` for none: sorted by name, repeated ones kept.
    pub fn with(&self, changes: &[(&str, Option<u64>)]) -> String {
        let is_changed = |name: &str| changes.iter().any(|(changed, _)| *changed == name);
        let mut pairs: Vec<(&str, String)> =
            self.pairs().filter(|(name, _)| !is_changed(name)).map(|(name, value)| (name, value.to_owned())).collect();
        pairs.extend(changes.iter().filter_map(|(name, value)| Some((*name, (*value)?.to_string()))));
        pairs.sort_by_key(|(name, _)| *name);
        pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect::<Vec<_>>().join("&")
    }
}

/// Pairs that were read elsewhere, as they are.
impl From<Vec<(String, String)>> for Query {
    fn from(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string().replace("%20", "+")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_of_repeated_parameters_counts() {
        let query = Query::parse("a=1&b=2&a=3&&c&=x&d=%20+%FF").unwrap();
        assert_eq!((query.get("a"), query.get("c"), query.get("e")), (Some("3"), Some(""), None));
        assert_eq!(
            query.last_values().collect::<Vec<_>>(),
            [("a", "3"), ("b", "2"), ("c", ""), ("", "x"), ("d", "  \u{fffd}")]
        );
    }

    #[test]
    fn changed_queries_are_sorted_by_name() {
        let query = Query::parse("z=1&page=9&a=%C3%89&z=0").unwrap();
        assert_eq!(query.with(&[("page", Some(2))]), "a=%C3%89&page=2&z=1&z=0");
        assert_eq!(query.with(&[("page", None)]), "a=%C3%89&z=1&z=0");
    }

    #[test]
    fn there_is_an_end_to_parameters() {
        assert!(Query::parse(&"&a=1".repeat(999)).is_ok() && Query::parse("").is_ok());
        assert_eq!(Query::parse(&"&a=1".repeat(1000)).err(), Some(TooManyFields));
        assert_eq!(Query::parse(&"&".repeat(1000)).err(), Some(TooManyFields));
    }

    proptest! {
        #[test]
        fn no_query_makes_the_reader_panic(query in "\\PC*") {
            let _ = Query::parse(&query).map(|query| query.with(&[("page", Some(1))]));
        }

        #[test]
        fn texts_survive(name in "\\PC+", value in "\\PC*") {
            let query = Query::parse(&format!("{}={}", encode(&name), encode(&value))).unwrap();
            prop_assert_eq!(query.get(&name), Some(value.as_str()));
        }
    }
}
