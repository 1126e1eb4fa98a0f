//! One source of values, such as the environment, and what it says about each setting.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Problem, suggestion};
use super::setting::{CLOUDFLARE_PREFIX, SERVER_PREFIX, Setting};
use super::settings::SETTINGS;

/// The variable that names the configuration file.
pub(super) const CONFIG_VARIABLE: &str = "CFIMAGES_CONFIG";

/// Variables with a prefix of ours that are no settings.
const OTHER_VARIABLES: &[&str] = &[CONFIG_VARIABLE, "CFIMAGES_ADMIN_PASSWORD", "CFIMAGES_ADMIN_PASSWORD_FILE"];

/// What such variables may begin with: those of the tests, and those that Kubernetes and Docker put into every container
/// beside a service called `cfimages`.
const OTHER_PREFIXES: &[&str] = &["CFIMAGES_TEST_", "CFIMAGES_SERVICE_", "CFIMAGES_PORT"];

/// Where a value came from.
#[derive(Clone)]
pub(super) enum Origin {
    /// Nobody gave one.
    Default,
    /// The command has a default of its own.
    Preset,
    /// The configuration file.
    File {
        /// Its path.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// The environment.
    Environment,
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Preset => f.write_str("preset"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// The values of one source.
#[derive(Default)]
pub(super) struct Layer(HashMap<&'static str, Given>);

/// A value as somebody gave it.
#[derive(Clone)]
pub(super) struct Given {
    /// The name it was given under.
    pub(super) key: String,
    pub(super) origin: Origin,
    pub(super) value: Value,
}

/// A value, or where it is.
#[derive(Clone)]
pub(super) enum Value {
    Text(String),
    SecretFile(PathBuf),
}

impl Layer {
    /// The values that a command gives.
    pub(super) fn of(values: Vec<(&'static Setting, String)>, origin: &Origin, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        for (setting, value) in values {
            let given = Given { key: setting.name.to_owned(), origin: origin.clone(), value: Value::Text(value) };
            layer.insert(setting, given, problems);
        }
        layer
    }

    /// The variables of the environment that are settings; others that look like ours are problems.
    pub(super) fn of_environment(environment: &BTreeMap<OsString, OsString>, problems: &mut Vec<Problem>) -> Self {
        let mut layer = Self::default();
        for (name, value) in environment {
            let Some(name) = name.to_str() else { continue };
            match (find_variable(name), value.to_str()) {
                (Some(_), None) => problems.push(Problem::at(name, Origin::Environment, "must be UTF-8")),
                (Some((setting, is_file)), Some(value)) => {
                    let value = Value::new(value, is_file);
                    let given = Given { key: name.to_owned(), origin: Origin::Environment, value };
                    layer.insert(setting, given, problems);
                }
                (None, _) if is_foreign(name) => {}
                (None, _) => {
                    let variables = SETTINGS.iter().flat_map(|setting| setting.variables());
                    let hint = suggestion(name, variables.map(|(name, _)| name));
                    let message = format!("there is no such setting{hint}");
                    problems.push(Problem::at(name, Origin::Environment, message));
                }
            }
        }
        layer
    }

    /// Adds a value, unless it is empty and thereby none.
    pub(super) fn insert(&mut self, setting: &'static Setting, given: Given, problems: &mut Vec<Problem>) {
        if given.value.is_empty() && !setting.empty_is_a_value {
            return;
        }
        match self.0.entry(setting.name) {
            Entry::Occupied(earlier) if earlier.get().key != given.key => {
                let message = format!("only one of this and {} may be set", earlier.get().key);
                problems.push(Problem::at(&given.key, given.origin, message));
            }
            entry => drop(entry.insert_entry(given)),
        }
    }

    pub(super) fn get(&self, setting: &Setting) -> Option<&Given> {
        self.0.get(setting.name)
    }
}

impl Value {
    pub(super) fn new(text: &str, is_file: bool) -> Self {
        if is_file { Self::SecretFile(text.into()) } else { Self::Text(text.to_owned()) }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::SecretFile(path) => path.as_os_str().is_empty(),
        }
    }

    /// The text, without the newline that editors put at the end of a file.
    ///
    /// # Errors
    /// What is the matter with the file.
    pub(super) fn text(&self) -> Result<String, String> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::SecretFile(path) => path,
        };
        let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
        if line.trim().is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(line.to_owned()) }
    }
}

/// The setting that a variable stands for, and whether it names a file with the value.
fn find_variable(variable: &str) -> Option<(&'static Setting, bool)> {
    SETTINGS.iter().find_map(|setting| {
        let (_, is_file) = setting.variables().find(|(name, _)| name == variable)?;
        Some((*setting, is_file))
    })
}

/// Whether a variable that is no setting is none of our business.
fn is_foreign(name: &str) -> bool {
    let is_ours = name.starts_with(CLOUDFLARE_PREFIX) || name.starts_with(SERVER_PREFIX);
    !is_ours || OTHER_VARIABLES.contains(&name) || OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The value of a variable that is no setting; empty is the same as none.
pub(super) fn variable<'a>(environment: &'a BTreeMap<OsString, OsString>, name: &str) -> Option<&'a OsStr> {
    environment.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
}
