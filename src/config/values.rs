//! The values that win, one setting after the other.

use std::collections::HashMap;
use std::fmt;

use super::layer::{Given, Layer, Origin, Value};
use super::problem::{Problem, quoted};
use super::setting::Setting;
use super::settings::SETTINGS;
use crate::domain::printable;

/// The value that a setting has in effect, for people to read.
#[derive(Debug, Clone)]
pub struct EffectiveValue {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value, `***` for secrets; `None` where it has none.
    pub value: Option<String>,
    /// Where the value came from; `None` where it has none.
    pub origin: Option<String>,
}

/// All layers, and what has been found out about them.
pub(super) struct Values {
    /// The strongest first.
    layers: Vec<Layer>,
    effective: HashMap<&'static str, EffectiveValue>,
    pub(super) problems: Vec<Problem>,
}

impl Values {
    pub(super) fn new(layers: Vec<Layer>, problems: Vec<Problem>) -> Self {
        Self { layers, effective: HashMap::new(), problems }
    }

    /// The value of a setting in its type; `None` where there is none, or where it is wrong, which is then a problem.
    ///
    /// `parse` gives the value, or says what it must be. The value is shown to people as it shows itself, not as it was
    /// given, so that they see what it was understood to be.
    pub(super) fn read<T: fmt::Display>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.find(setting)?;
        let text = match given.value.text() {
            Ok(text) => text,
            Err(message) => {
                self.problems.push(Problem::at(&given.key, &given.origin, message));
                return None;
            }
        };
        let text = if setting.is_secret() { text.as_str() } else { text.trim() };
        let parsed = parse(text);
        let shown = parsed.as_ref().map_or_else(|_| text.to_owned(), T::to_string);
        self.effective.insert(setting.name, EffectiveValue::new(setting, &given, &shown));
        parsed.map_err(|rule| self.problems.push(wrong_value(setting, &given, text, &rule))).ok()
    }

    /// Whether the setting has a value, be it right or wrong.
    pub(super) fn is_set(&self, setting: &'static Setting) -> bool {
        self.find(setting).is_some()
    }

    /// Secrets that are still the texts of the example file, which everybody knows.
    pub(super) fn placeholders(&self) -> Vec<Problem> {
        let secrets = SETTINGS.iter().filter(|setting| setting.is_secret() && setting.default.is_none());
        let placeholders = secrets.filter_map(|setting| {
            let given = self.find(setting)?;
            let is_example = given.value.text().is_ok_and(|text| text.trim() == setting.example);
            let message = "is still the text of the example; put your own in its place";
            is_example.then(|| Problem::at(&given.key, &given.origin, message))
        });
        placeholders.collect()
    }

    /// The values that have been read, in the order of the settings.
    pub(super) fn effective(mut self) -> Vec<EffectiveValue> {
        let mut take = |setting: &'static Setting| self.effective.remove(setting.name);
        SETTINGS.iter().map(|setting| take(setting).unwrap_or_else(|| EffectiveValue::none(setting))).collect()
    }

    fn find(&self, setting: &'static Setting) -> Option<Given> {
        let default = || {
            let value = Value::Text(setting.default?.to_owned());
            Some(Given { key: setting.name.to_owned(), origin: Origin::Default, value })
        };
        self.layers.iter().find_map(|layer| layer.get(setting)).cloned().or_else(default)
    }
}

impl EffectiveValue {
    fn new(setting: &'static Setting, given: &Given, value: &str) -> Self {
        let origin = match &given.value {
            Value::Text(_) => given.origin.to_string(),
            Value::SecretFile(path) => format!("{} ({})", given.origin, path.display()),
        };
        Self { setting, value: Some(printable(&setting.redact(value))), origin: Some(printable(&origin)) }
    }

    fn none(setting: &'static Setting) -> Self {
        Self { setting, value: None, origin: None }
    }
}

fn wrong_value(setting: &Setting, given: &Given, value: &str, rule: &str) -> Problem {
    if setting.is_secret() {
        Problem::at(&given.key, &given.origin, rule)
    } else {
        Problem::at(&given.key, &given.origin, format!("{rule}, but is {}", quoted(&setting.redact(value))))
    }
}
