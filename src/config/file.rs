//! The configuration file.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as JsonValue;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::layer::{Given, Layer, Origin, Value};
use super::problem::{Problem, suggestion};
use super::setting::{Kind, Setting};
use super::settings::SETTINGS;

/// The tables that a file may have.
const TABLES: [&str; 2] = ["server", "cloudflare"];

/// What a file says.
pub(super) struct File {
    pub(super) layer: Layer,
    /// Whether all of it could be read; if not, what seems to be missing may stand in the rest.
    pub(super) is_whole: bool,
}

/// Reads the text of a configuration file.
///
/// Where it is not TOML, only the mistakes of syntax are reported: what could still be read may be anything, such as a part
/// of a secret in the place of a key.
pub(super) fn parse(path: &Path, text: &str, problems: &mut Vec<Problem>) -> File {
    let (document, mut errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { path: path.into(), text, layer: Layer::default(), problems };
    if errors.is_empty() {
        reader.document(document.get_ref());
    }
    let place = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    errors.sort_by_key(place);
    for error in &errors {
        let origin = reader.origin(place(error));
        // The message alone: the error shown in full quotes the line.
        reader.problems.push(Problem::of(origin, error.message()));
    }
    File { layer: reader.layer, is_whole: errors.is_empty() }
}

struct Reader<'a> {
    path: Arc<Path>,
    text: &'a str,
    layer: Layer,
    problems: &'a mut Vec<Problem>,
}

type Entry<'a, 'i> = (&'a Spanned<Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) {
        for (name, value) in in_order(document) {
            match (TABLES.iter().find(|table| *table == name.get_ref()), value.get_ref()) {
                (Some(table), DeValue::Table(entries)) => {
                    for (key, value) in in_order(entries) {
                        self.entry(table, key, value);
                    }
                }
                (Some(_), _) => self.problem(name, name.get_ref(), "must be a table"),
                (None, DeValue::Table(_)) => {
                    let hint = suggestion(name.get_ref(), TABLES.map(str::to_owned));
                    let message = format!("there is no such table, only [server] and [cloudflare]{hint}");
                    self.problem(name, name.get_ref(), &message);
                }
                (None, _) => self.problem(name, name.get_ref(), &unknown_key(name.get_ref(), None)),
            }
        }
    }

    fn entry(&mut self, table: &str, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let name = format!("{table}.{}", key.get_ref());
        let Some((setting, is_file)) = find_key(table, key.get_ref()) else {
            return self.problem(key, &name, &unknown_key(key.get_ref(), Some(table)));
        };
        match text_of(value.get_ref(), setting) {
            Ok(text) => {
                let origin = self.origin(key.span().start);
                let given = Given { key: name, origin, value: Value::new(&text, is_file) };
                self.layer.insert(setting, given, self.problems);
            }
            Err(message) => self.problem(key, &name, &message),
        }
    }

    fn problem<T>(&mut self, place: &Spanned<T>, key: &str, message: &str) {
        let origin = self.origin(place.span().start);
        self.problems.push(Problem::at(key, origin, message));
    }

    fn origin(&self, at: usize) -> Origin {
        let before = self.text.as_bytes().iter().take(at);
        Origin::File { path: Arc::clone(&self.path), line: 1 + before.filter(|byte| **byte == b'\n').count() }
    }
}

/// The entries of a table as they stand in the file; the parser sorts them by name.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// The setting that a key of a table stands for, and whether it names a file with the value.
fn find_key(table: &str, key: &str) -> Option<(&'static Setting, bool)> {
    SETTINGS.iter().filter(|setting| setting.table() == table).find_map(|setting| {
        let (_, is_file) = setting.keys().find(|(name, _)| name == key)?;
        Some((*setting, is_file))
    })
}

/// What to say about a key that is no setting of this table, or stands in no table.
fn unknown_key(key: &str, table: Option<&str>) -> String {
    for setting in SETTINGS {
        let mut names = setting.keys().zip(setting.variables());
        if let Some(((name, _), _)) = names.find(|((name, _), (variable, _))| name == key || variable == key) {
            return format!("this setting is {name} in the table [{}]", setting.table());
        }
    }
    let siblings = SETTINGS.iter().filter(|setting| table.is_none_or(|table| setting.table() == table));
    let keys = siblings.flat_map(|setting| setting.keys()).map(|(name, _)| name);
    format!("there is no such setting{}", suggestion(key, keys))
}

/// A value in the form it has in the environment.
fn text_of(value: &DeValue<'_>, setting: &Setting) -> Result<String, String> {
    match (value, setting.kind) {
        (DeValue::String(text), _) => Ok(text.to_string()),
        (DeValue::Integer(number), _) => Ok(integer(number).map_or_else(|| number.to_string(), |n| n.to_string())),
        (DeValue::Boolean(flag), _) => Ok(flag.to_string()),
        (DeValue::Array(items), Kind::List | Kind::SecretList) => {
            if items.is_empty() && !setting.empty_is_a_value {
                return Err("must not be empty".to_owned());
            }
            let texts = items.iter().map(|item| item.get_ref().as_str().ok_or("must be an array of strings"));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        (DeValue::Table(_), Kind::Json) => {
            let json =
                to_json(value).ok_or("must not hold dates, times, infinities or numbers of more than 64 bits")?;
            Ok(json.to_string())
        }
        (_, Kind::List | Kind::SecretList) => Err("must be an array of strings".to_owned()),
        (_, Kind::Json) => Err("must be a table".to_owned()),
        (_, Kind::Number) => Err("must be a whole number".to_owned()),
        (_, Kind::Flag) => Err("must be true or false".to_owned()),
        (_, Kind::Text | Kind::Secret | Kind::SecretUrl) => Err("must be a string".to_owned()),
    }
}

/// The value as JSON; `None` where JSON does not have it.
fn to_json(value: &DeValue<'_>) -> Option<JsonValue> {
    match value {
        DeValue::String(text) => Some(JsonValue::from(text.as_ref())),
        DeValue::Integer(number) => integer(number).map(JsonValue::from),
        DeValue::Float(number) => {
            let number: f64 = number.as_str().parse().ok()?;
            serde_json::Number::from_f64(number).map(JsonValue::Number)
        }
        DeValue::Boolean(flag) => Some(JsonValue::from(*flag)),
        DeValue::Datetime(_) => None,
        DeValue::Array(items) => items.iter().map(|item| to_json(item.get_ref())).collect(),
        DeValue::Table(entries) => {
            let entries =
                entries.iter().map(|(key, value)| Some((key.get_ref().to_string(), to_json(value.get_ref())?)));
            entries.collect::<Option<serde_json::Map<_, _>>>().map(JsonValue::Object)
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}
