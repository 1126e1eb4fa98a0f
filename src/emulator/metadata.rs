//! Metadata of images as what lists are filtered by.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};

use super::Account;
use super::envelope::{self, ApiError};
use super::storage::{Order, StoredImage};

/// Filters a list may have.
const MAX_FILTERS: usize = 5;
/// Levels of objects that a filter goes down, the first included.
const MAX_LEVELS: usize = 5;
/// Characters of a name, the dots of nested ones included.
const MAX_NAME: usize = 100;
/// Values behind `in`.
const MAX_VALUES: usize = 10;
/// Names that are listed.
const MAX_KEYS: usize = 1000;

/// What an image's metadata must be like.
#[derive(Debug, PartialEq)]
struct Filter {
    levels: Vec<String>,
    test: Test,
}

#[derive(Debug, PartialEq)]
enum Test {
    /// The value is one of these.
    OneOf(Vec<Wanted>),
    Greater(f64),
    GreaterOrEqual(f64),
    Less(f64),
    LessOrEqual(f64),
}

#[derive(Debug, PartialEq)]
enum Wanted {
    /// A string, or how a number or a boolean is written: of `eq` and `in` without a type. UNCONFIRMED.
    Any(String),
    Text(String),
    Number(f64),
    Boolean(bool),
}

impl Filter {
    /// Reads `<field>[<operator>]` and the value.
    fn parse(name: &str, value: &str) -> Result<Self, ApiError> {
        let parts = name.strip_suffix(']').and_then(|name| name.split_once('['));
        let (field, operator) = parts.ok_or_else(|| {
            ApiError::bad_request(format!(
                "Metadata filters look like meta.<field>[<operator>], not like 'meta.{name}'"
            ))
        })?;
        let test = Test::parse(operator, value)?;
        let levels: Vec<_> = field.split('.').map(str::to_owned).collect();
        if levels.len() > MAX_LEVELS {
            let count = levels.len();
            let message = format!("Metadata filter nested too deep: {count} levels, maximum {MAX_LEVELS} allowed");
            return Err(ApiError::bad_request(message));
        }
        if !is_filterable(field) {
            return Err(ApiError::bad_request(format!("Invalid metadata field name: '{field}'")));
        }
        Ok(Self { levels, test })
    }

    fn matches(&self, meta: &Map<String, Value>) -> bool {
        let (last, above) = self.levels.split_last().expect("there is always a name");
        let object = above.iter().try_fold(meta, |object, level| object.get(level)?.as_object());
        object.and_then(|object| object.get(last)).is_some_and(|value| self.test.passes(value))
    }
}

impl Test {
    fn parse(operator: &str, value: &str) -> Result<Self, ApiError> {
        let number = || parse_number(value);
        Ok(match operator {
            "eq" | "eq:string" | "eq:number" | "eq:boolean" => Self::OneOf(vec![Wanted::parse(operator, value)?]),
            "in" | "in:string" | "in:number" => {
                let values: Vec<_> = value.split('|').collect();
                if values.len() > MAX_VALUES {
                    let count = values.len();
                    let message = format!("Too many values for 'in': {count} provided, maximum {MAX_VALUES} allowed");
                    return Err(ApiError::bad_request(message));
                }
                Self::OneOf(values.into_iter().map(|value| Wanted::parse(operator, value)).collect::<Result<_, _>>()?)
            }
            "gt" | "gt:number" => Self::Greater(number()?),
            "gte" | "gte:number" => Self::GreaterOrEqual(number()?),
            "lt" | "lt:number" => Self::Less(number()?),
            "lte" | "lte:number" => Self::LessOrEqual(number()?),
            _ => return Err(ApiError::bad_request(format!("Unsupported metadata filter operator: '{operator}'"))),
        })
    }

    /// Values of another type than the filter's are none of those that are asked for.
    fn passes(&self, value: &Value) -> bool {
        let compare =
            |is_right: fn(&f64, &f64) -> bool, limit| value.as_f64().is_some_and(|number| is_right(&number, limit));
        match self {
            Self::OneOf(wanted) => wanted.iter().any(|wanted| wanted.is(value)),
            Self::Greater(limit) => compare(f64::gt, limit),
            Self::GreaterOrEqual(limit) => compare(f64::ge, limit),
            Self::Less(limit) => compare(f64::lt, limit),
            Self::LessOrEqual(limit) => compare(f64::le, limit),
        }
    }
}

impl Wanted {
    fn parse(operator: &str, value: &str) -> Result<Self, ApiError> {
        Ok(match operator.split_once(':') {
            Some((_, "number")) => Self::Number(parse_number(value)?),
            Some((_, "boolean")) => {
                Self::Boolean(value.parse().map_err(|_| {
                    ApiError::bad_request(format!("Invalid boolean value in metadata filter: '{value}'"))
                })?)
            }
            Some(_) => Self::Text(value.to_owned()),
            None => Self::Any(value.to_owned()),
        })
    }

    fn is(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Any(wanted) | Self::Text(wanted), Value::String(text)) => text == wanted,
            (Self::Any(wanted), Value::Number(_)) => {
                parse_number(wanted).is_ok_and(|wanted| Some(wanted) == value.as_f64())
            }
            (Self::Any(wanted), Value::Bool(boolean)) => wanted.parse() == Ok(*boolean),
            (Self::Number(wanted), Value::Number(_)) => value.as_f64() == Some(*wanted),
            (Self::Boolean(wanted), Value::Bool(boolean)) => boolean == wanted,
            _ => false,
        }
    }
}

fn parse_number(text: &str) -> Result<f64, ApiError> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| ApiError::bad_request(format!("Invalid number value in metadata filter: '{text}'")))
}

/// Whether a name, nested ones with dots, can be asked for.
fn is_filterable(name: &str) -> bool {
    let is_word = |level: &str| !level.is_empty() && level.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    name.len() <= MAX_NAME && name.split('.').all(is_word)
}

/// All filters of a list.
#[derive(Debug, Default)]
pub(super) struct Filters(Vec<Filter>);

impl Filters {
    /// Reads those among the parameters of a query, which begin with `meta.`.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Self, ApiError> {
        let filters: Vec<_> =
            parameters.iter().filter_map(|(name, value)| Some((name.strip_prefix("meta.")?, value))).collect();
        if filters.len() > MAX_FILTERS {
            let count = filters.len();
            let message = format!("Too many metadata filters: {count} provided, maximum {MAX_FILTERS} allowed");
            return Err(ApiError::bad_request(message));
        }
        filters.into_iter().map(|(name, value)| Filter::parse(name, value)).collect::<Result<_, _>>().map(Self)
    }

    /// Whether all of them match.
    pub(super) fn match_image(&self, image: &StoredImage) -> bool {
        self.0.is_empty() || {
            let meta = parse(image);
            self.0.iter().all(|filter| filter.matches(&meta))
        }
    }
}

fn parse(image: &StoredImage) -> Map<String, Value> {
    image.meta.as_ref().and_then(|meta| serde_json::from_str(meta.get()).ok()).unwrap_or_default()
}

#[derive(Serialize)]
struct KeyList {
    keys: BTreeSet<String>,
    truncated: bool,
}

/// `GET images/v2/metadata/keys`: the names that lists can be filtered by, those of nested objects with dots. UNCONFIRMED: the
/// dots, and which are left out of more than 1000, which are here those of the oldest images.
pub(super) async fn list_keys(State(account): State<Arc<Account>>) -> Response {
    let list = account.on_storage(|storage| {
        let mut keys = BTreeSet::new();
        for image in storage.images(None, Order::NewestFirst) {
            collect_keys(&parse(&image), "", 1, &mut keys);
            if keys.len() > MAX_KEYS {
                break;
            }
        }
        let truncated = keys.len() > MAX_KEYS;
        KeyList { keys: keys.into_iter().take(MAX_KEYS).collect(), truncated }
    });
    envelope::success(list.await)
}

fn collect_keys(object: &Map<String, Value>, prefix: &str, level: usize, keys: &mut BTreeSet<String>) {
    for (name, value) in object {
        let name = format!("{prefix}{name}");
        match value {
            Value::Object(object) if level < MAX_LEVELS => collect_keys(object, &format!("{name}."), level + 1, keys),
            Value::String(_) | Value::Number(_) | Value::Bool(_) if is_filterable(&name) => drop(keys.insert(name)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn matches(filter: &str, value: &str, meta: &Value) -> bool {
        Filter::parse(filter, value).unwrap().matches(meta.as_object().unwrap())
    }

    #[test]
    fn every_operator_asks_for_values_of_its_type() {
        let meta = json!({
            "text": "5", "number": 5, "float": 1.5, "flag": true, "null": null, "list": [5], "a": {"b": {"c": {"d": {"e": "deep"}}}}
        });
        for (filter, value) in [
            ("text[eq]", "5"),
            ("text[eq:string]", "5"),
            ("number[eq]", "5.0"),
            ("number[eq:number]", "5"),
            ("flag[eq]", "true"),
            ("flag[eq:boolean]", "true"),
            ("float[gt]", "1"),
            ("float[gte:number]", "1.5"),
            ("float[lt]", "2"),
            ("float[lte]", "1.5"),
            ("text[in]", "4|5"),
            ("text[in:string]", "5"),
            ("number[in:number]", "4|5"),
            ("number[in]", "4|5"),
            ("a.b.c.d.e[eq]", "deep"),
        ] {
            assert!(matches(filter, value, &meta), "{filter}={value}");
        }
        for (filter, value) in [
            ("text[eq:number]", "5"),
            ("text[gt]", "4"),
            ("number[eq:string]", "5"),
            ("number[in:string]", "5"),
            ("number[gt]", "5"),
            ("number[lt:number]", "5"),
            ("flag[eq:boolean]", "false"),
            ("flag[eq]", "1"),
            ("null[eq]", "null"),
            ("list[eq]", "5"),
            ("a[eq]", "deep"),
            ("a.b.c.d[eq]", "deep"),
            ("text.b[eq]", "5"),
            ("missing[eq]", ""),
        ] {
            assert!(!matches(filter, value, &meta), "{filter}={value}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let message = |name: &str, value: &str| Filter::parse(name, value).unwrap_err().message().to_owned();
        assert_eq!(message("a[not-eq]", "1"), "Unsupported metadata filter operator: 'not-eq'");
        for (name, value) in [
            ("a", "1"),
            ("a[eq", "1"),
            ("[eq]", "1"),
            ("a.[eq]", "1"),
            ("a-b[eq]", "1"),
            ("a.b.c.d.e.f[eq]", "1"),
            ("a[]", "1"),
            ("a[eq:number]", "x"),
            ("a[gt]", "NaN"),
            ("a[in:number]", "1|x"),
            ("a[eq:boolean]", "yes"),
            ("a[in]", "1|2|3|4|5|6|7|8|9|10|11"),
            (&format!("{}[eq]", "x".repeat(101)), "1"),
        ] {
            assert_eq!(Filter::parse(name, value).unwrap_err().code(), Some(5400), "{name}={value}");
        }
    }

    #[test]
    fn more_than_five_filters_are_too_many() {
        let filters = |count: usize| {
            let all: Vec<_> = (0..count).map(|at| (format!("meta.a{at}[eq]"), "1".to_owned())).collect();
            Filters::parse(&all)
        };
        assert_eq!(filters(5).unwrap().0.len(), 5);
        assert_eq!(filters(6).unwrap_err().message(), "Too many metadata filters: 6 provided, maximum 5 allowed");
    }

    proptest! {
        #[test]
        fn no_filter_makes_the_parser_panic(name in "\\PC*", value in "\\PC*") {
            let _ = Filter::parse(&name, &value);
            let _ = Filter::parse(&format!("a[{name}]"), &value);
        }
    }
}
