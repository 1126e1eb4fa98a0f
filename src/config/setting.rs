//! What is known about one setting.

use super::redact::redact_url;

/// One setting: its names, its form, its default and what it is for.
///
/// The environment variable is the name; the configuration file has it under [`Setting::key`] in [`Setting::table`].
#[derive(Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// The heading it has in the example file.
    pub(super) group: &'static str,
    /// What it is for, in lines as they are written in the source.
    pub(super) doc: &'static [&'static str],
    pub(super) kind: Kind,
    /// The value where nobody gives one, in the form it has in the environment.
    pub(super) default: Option<&'static str>,
    /// The value in the example file, in the form it has in the environment.
    pub(super) example: &'static str,
    /// Whether an empty text is a value of its own; elsewhere it is the same as none.
    pub(super) empty_is_a_value: bool,
}

/// The form of a setting: how files write it, and how much of it may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Flag,
    List,
    Json,
    /// Never shown.
    Secret,
    /// Texts that are never shown.
    SecretList,
    /// Shown without the password it may hold.
    SecretUrl,
}

impl Setting {
    /// The table of the configuration file it belongs in.
    pub fn table(&self) -> &'static str {
        if self.name.starts_with(CLOUDFLARE_PREFIX) { "cloudflare" } else { "server" }
    }

    /// Its key in that table.
    pub fn key(&self) -> String {
        let name = self.name;
        let short = name.strip_prefix(CLOUDFLARE_PREFIX).or_else(|| name.strip_prefix(SERVER_PREFIX)).unwrap_or(name);
        short.to_ascii_lowercase()
    }

    /// The heading it has among all settings.
    pub fn group(&self) -> &'static str {
        self.group
    }

    /// What it is for, as a paragraph with code in backticks.
    pub fn purpose(&self) -> String {
        self.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
    }

    /// Whether the value is kept out of logs and messages, and may be given as the name of a file that holds it.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Secret | Kind::SecretList | Kind::SecretUrl)
    }

    /// The variables it may be given by, and whether the value is then the name of a file.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, bool)> {
        self.with_file(self.name.to_owned(), "_FILE")
    }

    /// The keys it may be given by in its table, and whether the value is then the name of a file.
    pub(super) fn keys(&self) -> impl Iterator<Item = (String, bool)> {
        self.with_file(self.key(), "_file")
    }

    fn with_file(&self, name: String, suffix: &str) -> impl Iterator<Item = (String, bool)> + use<> {
        let file = self.is_secret().then(|| (format!("{name}{suffix}"), true));
        [(name, false)].into_iter().chain(file)
    }

    /// The value as far as it may be shown.
    pub(super) fn redact(&self, value: &str) -> String {
        match self.kind {
            Kind::Secret | Kind::SecretList => "***".to_owned(),
            Kind::SecretUrl => redact_url(value),
            // Whoever puts a password into another URL is told that it does not belong there, but not shown it.
            Kind::Text if value.contains("://") => redact_url(value),
            Kind::Text | Kind::Number | Kind::Flag | Kind::List | Kind::Json => value.to_owned(),
        }
    }

    /// Keeps the empty text apart from no value.
    pub(super) const fn or_empty(self) -> Self {
        Self { empty_is_a_value: true, ..self }
    }

    const fn new(kind: Kind, default: Option<&'static str>, example: &'static str) -> Self {
        Self { name: "", group: "", doc: &[], kind, default, example, empty_is_a_value: false }
    }
}

/// What the variables of the table `[cloudflare]` begin with.
pub(super) const CLOUDFLARE_PREFIX: &str = "CLOUDFLARE_IMAGES_";
/// What the variables of the table `[server]` begin with, all but `DATABASE_URL`.
pub(super) const SERVER_PREFIX: &str = "CFIMAGES_";

/// A text with a default.
pub(super) const fn text(default: &'static str) -> Setting {
    Setting::new(Kind::Text, Some(default), default)
}

/// A text that need not be set.
pub(super) const fn optional_text(example: &'static str) -> Setting {
    Setting::new(Kind::Text, None, example)
}

/// A whole number.
pub(super) const fn number(default: &'static str) -> Setting {
    Setting::new(Kind::Number, Some(default), default)
}

/// A whole number that need not be set.
pub(super) const fn optional_number(example: &'static str) -> Setting {
    Setting::new(Kind::Number, None, example)
}

/// Yes or no.
pub(super) const fn flag(default: &'static str) -> Setting {
    Setting::new(Kind::Flag, Some(default), default)
}

/// Texts, separated by commas in the environment.
pub(super) const fn list(default: &'static str) -> Setting {
    Setting::new(Kind::List, Some(default), default)
}

/// Texts, separated by commas in the environment, that need not be set.
pub(super) const fn optional_list(example: &'static str) -> Setting {
    Setting::new(Kind::List, None, example)
}

/// A JSON object.
pub(super) const fn json(default: &'static str) -> Setting {
    Setting::new(Kind::Json, Some(default), default)
}

/// A secret that need not be set.
pub(super) const fn secret(example: &'static str) -> Setting {
    Setting::new(Kind::Secret, None, example)
}

/// Secrets, separated by commas in the environment and in a file of them, that need not be set.
pub(super) const fn secret_list(example: &'static str) -> Setting {
    Setting::new(Kind::SecretList, None, example)
}

/// The URL of a database, which may hold a password.
pub(super) const fn secret_url(default: &'static str) -> Setting {
    Setting::new(Kind::SecretUrl, Some(default), default)
}
