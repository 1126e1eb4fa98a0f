//! The one list of deliberate differences, `tests/fixtures/django/differences.toml`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Deserialize;

use super::compare::{self, Difference};
use super::json::Json;
use super::placeholders::Placeholders;
use super::recording::{Scenario, fixtures, scenario_names};

/// The list, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    difference: Vec<Entry>,
}

/// Exchanges that are answered differently for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// How the row of `docs/compatibility.md` begins that tells users.
    row: String,
    /// Why, in a sentence.
    reason: String,
    /// `SCENARIO/EXCHANGE`; a `*` at the end stands for any.
    exchanges: Vec<String>,
    /// Where it is so; everywhere if absent.
    engine: Option<EngineName>,
    /// What ours is, by place; `*` stands for any one part of a path.
    ours: BTreeMap<String, Expected>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineName {
    Sqlite,
    Postgres,
}

/// What ours is in a place.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Expected {
    Number(i64),
    Text(String),
    Other(OtherExpected),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum OtherExpected {
    /// This JSON value.
    Json(String),
    /// The recorded text up to this.
    EndsBefore(String),
    /// A text, or JSON, that holds this.
    Contains(String),
    /// Nothing (false), or anything where nothing was recorded (true).
    Present(bool),
}

impl Expected {
    fn is_met(&self, difference: &Difference, placeholders: &mut Placeholders) -> bool {
        let Difference { recorded, ours, .. } = difference;
        let Some(ours) = ours else { return matches!(self, Self::Other(OtherExpected::Present(false))) };
        match self {
            Self::Number(number) => *ours == Json::Number(number.to_string()),
            Self::Text(text) => compare::is_same(&Json::Text(text.clone()), ours, placeholders),
            Self::Other(OtherExpected::Json(text)) => {
                let expected = Json::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
                compare::is_same(&expected, ours, placeholders)
            }
            Self::Other(OtherExpected::EndsBefore(end)) => {
                let recorded = recorded.as_ref().and_then(Json::as_text).and_then(|text| text.split_once(end.as_str()));
                recorded.map(|(start, _)| start) == ours.as_text()
            }
            Self::Other(OtherExpected::Contains(part)) => {
                ours.as_text().map_or_else(|| ours.to_string(), str::to_owned).contains(part.as_str())
            }
            Self::Other(OtherExpected::Present(is_present)) => *is_present && recorded.is_none(),
        }
    }
}

/// The deliberate differences of one scenario on one engine, and which of them have been seen.
pub(crate) struct Differences {
    scenario: String,
    entries: Vec<Entry>,
    /// Entry, place and exchange.
    seen: RefCell<BTreeSet<(usize, String, String)>>,
}

impl Differences {
    pub(crate) fn of(scenario: &str, engine: EngineName) -> Self {
        Self::in_list(read(), scenario, engine)
    }

    fn in_list(list: List, scenario: &str, engine: EngineName) -> Self {
        let mut entries = list.difference;
        entries.retain(|entry| entry.engine.is_none_or(|name| name == engine));
        for entry in &mut entries {
            entry.exchanges.retain(|pattern| pattern.split_once('/').is_some_and(|(name, _)| name == scenario));
        }
        entries.retain(|entry| !entry.exchanges.is_empty());
        Self { scenario: scenario.to_owned(), entries, seen: RefCell::default() }
    }

    /// Whether ours is listed for this place of an exchange.
    pub(crate) fn has(&self, exchange: &str, place: &str) -> bool {
        self.rules(exchange).any(|(_, pattern, _)| is_place(pattern, place))
    }

    /// What is wrong with a difference; `None` where it is listed, and as listed.
    pub(crate) fn judge(
        &self,
        exchange: &str,
        difference: &Difference,
        placeholders: &mut Placeholders,
    ) -> Option<String> {
        let mut wanted = Vec::new();
        for (index, pattern, expected) in self.rules(exchange) {
            if is_place(pattern, &difference.place) {
                self.seen.borrow_mut().insert((index, pattern.to_owned(), exchange.to_owned()));
                if expected.is_met(difference, placeholders) {
                    return None;
                }
                wanted.push(format!(" (listed as {expected:?})"));
            }
        }
        Some(format!("{difference}{}", wanted.concat()))
    }

    /// What is listed and was not seen, but for exchanges that failed, where other things hide it.
    pub(crate) fn unneeded(&self, failed: &BTreeSet<&str>) -> Vec<String> {
        let seen = self.seen.borrow();
        let mut unneeded = Vec::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let places = |pattern| entry.ours.keys().map(move |place| (pattern, place));
            for (pattern, place) in entry.exchanges.iter().flat_map(places) {
                let is_meant = |name: &str| is_exchange(pattern, &self.scenario, name);
                let is_seen = seen.iter().any(|(entry, at, name)| *entry == index && at == place && is_meant(name));
                let is_undecided = failed.iter().any(|name| is_meant(name));
                if !is_seen && !is_undecided {
                    unneeded.push(format!("{pattern} is listed, but not different: {place} ({})", entry.row));
                }
            }
        }
        unneeded
    }

    fn rules<'a>(&'a self, exchange: &'a str) -> impl Iterator<Item = (usize, &'a str, &'a Expected)> {
        let is_meant = |entry: &Entry| entry.exchanges.iter().any(|one| is_exchange(one, &self.scenario, exchange));
        let entries = self.entries.iter().enumerate().filter(move |(_, entry)| is_meant(entry));
        entries.flat_map(|(index, entry)| entry.ours.iter().map(move |(place, ours)| (index, place.as_str(), ours)))
    }
}

fn read() -> List {
    let text = std::fs::read_to_string(fixtures().join("differences.toml")).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("differences.toml: {error}"))
}

fn is_exchange(pattern: &str, scenario: &str, exchange: &str) -> bool {
    let Some((of, name)) = pattern.split_once('/') else { return false };
    of == scenario && name.strip_suffix('*').map_or(name == exchange, |start| exchange.starts_with(start))
}

fn is_place(pattern: &str, place: &str) -> bool {
    let (mut pattern, mut place) = (pattern.split('/'), place.split('/'));
    loop {
        match (pattern.next(), place.next()) {
            (None, None) => return true,
            (Some(wanted), Some(part)) if wanted == "*" || wanted == part => {}
            _ => return false,
        }
    }
}

/// Each entry names exchanges that exist, and a row that explains it to users.
pub(crate) async fn are_explained_to_users() {
    let scenarios: Vec<Scenario> = scenario_names().iter().map(|name| Scenario::read(name)).collect();
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/compatibility.md");
    let document = std::fs::read_to_string(path).unwrap();
    let rows: Vec<&str> =
        document.lines().filter_map(|line| line.strip_prefix("| ").or_else(|| line.strip_prefix("- "))).collect();
    for entry in read().difference {
        assert!(
            entry.reason.ends_with('.') && entry.reason.len() > 20,
            "{}: {:?} is no reason",
            entry.row,
            entry.reason
        );
        let explaining = rows.iter().filter(|row| !entry.row.is_empty() && row.starts_with(&entry.row)).count();
        assert_eq!(explaining, 1, "rows of docs/compatibility.md that begin with {:?}", entry.row);
        for pattern in &entry.exchanges {
            let exists = scenarios.iter().any(|scenario| {
                let mut exchanges = scenario.exchanges.iter();
                exchanges.any(|exchange| is_exchange(pattern, &scenario.name, &exchange.name))
            });
            assert!(exists, "no exchange is called {pattern} ({})", entry.row);
        }
    }
}

/// Only what is listed is excused, and only as it is listed.
pub(crate) async fn excuse_nothing_else() {
    let list = r#"
        [[difference]]
        row = "the row"
        reason = "the reason"
        exchanges = ["s/one", "s/err-*", "t/two"]
        ours.status = 502
        ours."json/*/error" = { ends_before = " for url" }

        [[difference]]
        row = "the other row"
        reason = "the other reason"
        exchanges = ["s/one"]
        engine = "sqlite"
        ours."json/added" = { present = true }
        ours."headers/allow" = { present = false }
    "#;
    let differences = |engine| Differences::in_list(toml::from_str(list).unwrap(), "s", engine);
    let judge = |differences: &Differences, exchange: &str, place: &str, recorded: &str, ours: &str| {
        let (recorded, ours) = (Json::parse(recorded).ok(), Json::parse(ours).ok());
        let difference = Difference { place: place.to_owned(), recorded, ours };
        differences.judge(exchange, &difference, &mut Placeholders::new(String::new())).is_none()
    };
    let sqlite = differences(EngineName::Sqlite);
    assert!(!judge(&sqlite, "two", "status", "400", "502"));
    assert!(!judge(&sqlite, "one", "body", "400", "502"));
    assert!(!judge(&sqlite, "one", "status", "400", "500"));
    assert!(!judge(&sqlite, "one", "json/0/error", "\"404 for url: x\"", "\"403\""));
    assert!(!judge(&sqlite, "one", "json/added", "1", "2"));
    assert!(judge(&sqlite, "one", "status", "400", "502"));
    assert!(judge(&sqlite, "one", "json/added", "", "2"));
    assert!(judge(&sqlite, "one", "json/2/error", "\"404 for url: x\"", "\"404\""));
    assert!(judge(&sqlite, "err-5", "json/0/error", "\"404 for url: x\"", "\"404\""));
    assert!(!judge(&differences(EngineName::Postgres), "one", "json/added", "", "2"));

    assert_eq!(
        sqlite.unneeded(&BTreeSet::new()),
        [
            "s/err-* is listed, but not different: status (the row)",
            "s/one is listed, but not different: headers/allow (the other row)",
        ]
    );
    assert_eq!(sqlite.unneeded(&BTreeSet::from(["one", "err-5"])), [""; 0]);
}
