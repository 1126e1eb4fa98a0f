//! What lists have in common: filters and the place in the address, so that they can be kept and passed on, and parts that follow one
//! another.

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use chrono::{Datelike, NaiveDate};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::PageError;
use super::text::visible;
use super::{Admin, cursor};
use crate::domain::{PageFrom, Stretch, Timestamp};
use crate::http::query::Query;
use crate::service::SearchError;

/// Longer values of filters mean nothing.
const MAX_CHARS: usize = 255;
/// How many lines a list has.
pub(super) const LINES: u32 = 50;

const TOO_MANY: &str = "The address has too many parameters.";
pub(super) const BROKEN: &str =
    "The address of this page of the list is not complete, or was changed. Begin again with the first page.";

/// What the address of a page asks for.
#[derive(Debug)]
pub(super) struct Asked(pub(super) Query);

impl FromRequestParts<Admin> for Asked {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &Admin) -> Result<Self, PageError> {
        read_query(&parts.uri).map(Self)
    }
}

/// The parameters of an address.
pub(super) fn read_query(uri: &Uri) -> Result<Query, PageError> {
    Query::parse(uri.query().unwrap_or_default()).map_err(|_| PageError::BadRequest(TOO_MANY))
}

/// A choice among several, for a `<select>` or a list of links.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) label: &'static str,
}

pub(super) const fn choice(value: &'static str, label: &'static str) -> Choice {
    Choice { value, label }
}

/// A filter that is set, as people read it, and the list without it.
pub(super) struct Chip {
    pub(super) label: &'static str,
    pub(super) value: String,
    pub(super) without: String,
}

/// The parameters of the address of a list. Those that say nothing are not there.
#[derive(Debug, Clone, Default)]
pub(super) struct Address {
    parameters: Vec<(&'static str, String)>,
    after: Option<String>,
    before: Option<String>,
}

impl Address {
    /// The parameters with these names, in their order.
    pub(super) fn read(query: &Query, names: impl IntoIterator<Item = &'static str>) -> Self {
        let value = |name: &str| query.get(name).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned);
        let parameters = names.into_iter().filter_map(|name| Some((name, value(name)?))).collect();
        Self { parameters, after: value("after"), before: value("before") }
    }

    /// The value of a parameter; empty where it is not set.
    pub(super) fn get(&self, name: &str) -> &str {
        self.parameters.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.parameters.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether the page is one of those after the first, or was when its address was made.
    pub(super) fn has_place(&self) -> bool {
        self.after.is_some() || self.before.is_some()
    }

    /// The first page of the list with the parameters that stay.
    pub(super) fn link(&self, stays: impl Fn(&str) -> bool) -> String {
        let mut link = "?".to_owned();
        for (name, value) in self.parameters().filter(|(name, _)| stays(name)) {
            push(&mut link, name, value);
        }
        link
    }

    /// The first page of the same list.
    pub(super) fn first_page(&self) -> String {
        self.link(|_| true)
    }

    /// The same page with another parameter.
    pub(super) fn link_with(&self, name: &str, value: &str) -> String {
        let mut link = self.link(|_| true);
        for (direction, place) in [("after", &self.after), ("before", &self.before)] {
            if let Some(place) = place {
                push(&mut link, direction, place);
            }
        }
        push(&mut link, name, value);
        link
    }

    /// The page that begins right after a place of the list, `list`.
    pub(super) fn page_after(&self, list: &str, place: &impl Serialize) -> String {
        self.page("after", list, place)
    }

    /// The page that ends right before a place.
    pub(super) fn page_before(&self, list: &str, place: &impl Serialize) -> String {
        self.page("before", list, place)
    }

    fn page(&self, direction: &str, list: &str, place: &impl Serialize) -> String {
        let mut link = self.link(|_| true);
        push(&mut link, direction, &cursor::encode(list, place));
        link
    }

    /// Where the page begins or ends.
    pub(super) fn from<P: DeserializeOwned>(&self, list: &str) -> Result<PageFrom<P>, PageError> {
        let place = |text: &str| cursor::decode(list, text).ok_or(PageError::BadRequest(BROKEN));
        match (&self.after, &self.before) {
            (Some(text), _) => Ok(PageFrom::After(place(text)?)),
            (None, Some(text)) => Ok(PageFrom::Before(place(text)?)),
            (None, None) => Ok(PageFrom::Start),
        }
    }
}

/// Adds a parameter to a query string.
pub(super) fn push(link: &mut String, name: &str, value: &str) {
    if !link.ends_with('?') {
        link.push('&');
    }
    link.push_str(name);
    link.push('=');
    link.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
}

/// Reads the values of filters, and notes which cannot be read.
pub(super) struct Reader<'a> {
    address: &'a Address,
    label: Box<dyn Fn(&str) -> &'static str + Send>,
    pub(super) problems: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Looks at all `filters` of an address; `label` tells what they are called.
    pub(super) fn new(
        address: &'a Address,
        filters: impl IntoIterator<Item = &'static str>,
        label: impl Fn(&str) -> &'static str + Send + 'static,
    ) -> Self {
        let mut reader = Self { address, label: Box::new(label), problems: Vec::new() };
        for name in filters {
            let value = address.get(name);
            if value.chars().count() > MAX_CHARS || value.contains('\0') {
                reader.refuse(name, "is too long, or holds what no text holds");
            }
        }
        reader
    }

    pub(super) fn refuse(&mut self, name: &str, why: &str) {
        self.problems.push(format!("“{}” {why}.", (self.label)(name)));
    }

    /// The value of a filter, where it is set; what cannot be read is noted.
    pub(super) fn read<T>(&mut self, name: &str, why: &str, read: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let value = self.address.get(name);
        if value.is_empty() {
            return None;
        }
        let read = read(value);
        if read.is_none() {
            self.refuse(name, why);
        }
        read
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        Some(self.address.get(name)).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    pub(super) fn one_of(&mut self, name: &str, choices: &'static [Choice]) -> Option<&'static str> {
        self.read(name, "is none of those that there are", |value| {
            choices.iter().map(|choice| choice.value).find(|known| *known == value)
        })
    }

    /// The beginning of a day, in UTC.
    pub(super) fn day(&mut self, name: &str) -> Option<Timestamp> {
        self.read(name, "must be a day, such as 2026-03-24", |value| {
            let day = NaiveDate::parse_from_str(value, "%Y-%m-%d").ok()?;
            let is_kept = (1..=9998).contains(&day.year());
            is_kept.then(|| day.and_hms_opt(0, 0, 0).map(|time| Timestamp::new(time.and_utc()))).flatten()
        })
    }

    /// The end of a day, in UTC: the beginning of the next.
    pub(super) fn end_of_day(&mut self, name: &str) -> Option<Timestamp> {
        self.day(name).map(|day| day.plus_minutes(24 * 60))
    }

    /// What was read of all filters, or what is wrong with them.
    pub(super) fn finish<T>(self, read: T) -> Result<T, Vec<String>> {
        if self.problems.is_empty() { Ok(read) } else { Err(self.problems) }
    }
}

/// A filter of a list; one without choices takes any text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) choices: &'static [Choice],
}

/// What is asked of a list that has filters and one order.
pub(super) struct Selection {
    pub(super) address: Address,
    /// The name of the list, for places in it.
    list: &'static str,
    filters: &'static [Filter],
}

impl Selection {
    pub(super) fn read(query: &Query, list: &'static str, filters: &'static [Filter]) -> Self {
        Self { address: Address::read(query, filters.iter().map(|filter| filter.name)), list, filters }
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.address.get(name)
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.address.parameters().next().is_some()
    }

    /// The choices of a filter.
    pub(super) fn choices(&self, name: &str) -> &'static [Choice] {
        self.filter(name).map_or(&[], |filter| filter.choices)
    }

    fn filter(&self, name: &str) -> Option<&'static Filter> {
        self.filters.iter().find(|filter| filter.name == name)
    }

    /// The filters that are set.
    pub(super) fn chips(&self) -> Vec<Chip> {
        let chip = |(name, value): (&'static str, &str)| {
            let known = self.choices(name).iter().find(|choice| choice.value == value);
            Chip {
                label: self.filter(name).map_or("", |filter| filter.label),
                value: known.map_or_else(|| visible(value), |choice| choice.label.to_owned()),
                without: self.address.link(|other| other != name),
            }
        };
        self.address.parameters().map(chip).collect()
    }

    /// The list without any filter.
    pub(super) fn without_filters(&self) -> String {
        self.address.link(|_| false)
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        let filters = self.filters;
        let label = |name: &str| filters.iter().find(|filter| filter.name == name).map_or("", |filter| filter.label);
        Reader::new(&self.address, filters.iter().map(|filter| filter.name), label)
    }

    /// Where the page begins or ends.
    pub(super) fn from<P: DeserializeOwned>(&self) -> Result<PageFrom<P>, PageError> {
        self.address.from(self.list)
    }

    /// A part of the list as its page shows it; `noun` is what there is one of and several.
    pub(super) fn show<T, P: Serialize, L>(
        &self,
        part: &Stretch<T, P>,
        noun: (&str, &str),
        line: impl FnMut(&T) -> L,
    ) -> Shown<L> {
        Shown {
            problems: Vec::new(),
            count: match part.items.len() {
                _ if part.previous.is_some() || part.next.is_some() => format!("Many {}", noun.1),
                1 => format!("1 {}", noun.0),
                count => format!("{count} {}", noun.1),
            },
            lines: part.items.iter().map(line).collect(),
            previous: part.previous.as_ref().map(|place| self.address.page_before(self.list, place)),
            next: part.next.as_ref().map(|place| self.address.page_after(self.list, place)),
        }
    }
}

/// A part of a list on its page.
#[derive(Debug)]
pub(super) struct Shown<L> {
    /// What is wrong with the filters; there are no lines then.
    pub(super) problems: Vec<String>,
    /// How many there are, or as much as is known of it.
    pub(super) count: String,
    pub(super) lines: Vec<L>,
    pub(super) previous: Option<String>,
    pub(super) next: Option<String>,
}

/// What a page says of a search that found nothing to show; `advice` is what may be quicker.
pub(super) fn refusal(error: SearchError, advice: &str) -> Result<Vec<String>, PageError> {
    match error {
        SearchError::TookTooLong => Ok(vec![format!("{error} {advice}")]),
        SearchError::Busy => Ok(vec![error.to_string()]),
        SearchError::Failed(error) => Err(error.into()),
    }
}

impl<L> Shown<L> {
    /// Nothing, as the filters cannot be used.
    pub(super) fn refused(problems: Vec<String>) -> Self {
        Self { problems, count: String::new(), lines: Vec::new(), previous: None, next: None }
    }
}
