//! What a server tells Prometheus, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use super::app::{Answer, TestApp};

/// The answer to one scrape.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    /// By name, in the form of the comments `HELP` and `TYPE`.
    pub(crate) families: BTreeMap<String, Family>,
    /// The value of each series: a name with its labels, as they are written.
    pub(crate) series: BTreeMap<String, f64>,
}

#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) labels: BTreeSet<String>,
}

impl Scrape {
    pub(crate) async fn of(app: &TestApp) -> Self {
        let answer = Answer::of(app.http.get(format!("{}/metrics", app.metrics))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        Self::read(&answer.text)
    }

    pub(crate) fn read(text: &str) -> Self {
        let mut scrape = Self::default();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (keyword, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                let family = scrape.families.entry(name.to_owned()).or_default();
                match keyword {
                    "HELP" => rest.clone_into(&mut family.help),
                    "TYPE" => rest.clone_into(&mut family.kind),
                    other => panic!("{other}: {line}"),
                }
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let family = scrape.families.get_mut(family_of(name)).unwrap_or_else(|| panic!("no TYPE before {line}"));
            family.labels.extend(label_names(labels));
            let twice = scrape.series.insert(series.to_owned(), value.parse().unwrap());
            assert_eq!(twice, None, "{line}");
        }
        scrape
    }

    /// The value of a series, zero where it is not there.
    pub(crate) fn get(&self, series: &str) -> f64 {
        self.series.get(series).copied().unwrap_or(0.0)
    }

    /// Makes sure that a series is there, with this value.
    #[track_caller]
    pub(crate) fn assert_is(&self, series: &str, value: f64) {
        assert_eq!(self.series.get(series), Some(&value), "{series}");
    }

    /// The names that series have.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        self.series.keys().map(|series| series.split('{').next().unwrap()).collect()
    }

    /// By how much counters have grown since another scrape.
    pub(crate) fn grown_since(&self, before: &Self) -> BTreeMap<&str, f64> {
        let is_counter = |series: &str| {
            let name = series.split('{').next().unwrap();
            self.families[family_of(name)].kind == "counter" && name.starts_with("cfimages_")
        };
        let grown = self.series.iter().filter(|(series, _)| is_counter(series));
        grown
            .map(|(series, value)| (series.as_str(), value - before.get(series)))
            .filter(|(_, more)| *more != 0.0)
            .collect()
    }
}

/// The family that a series of this name belongs to.
pub(crate) fn family_of(name: &str) -> &str {
    ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// The names of the labels in `a="b",c="d"}`; values hold no quotes here.
fn label_names(labels: &str) -> impl Iterator<Item = String> {
    labels.split('"').step_by(2).filter_map(|part| part.trim_start_matches(',').strip_suffix('=').map(str::to_owned))
}
