//! The way from years to months to days, above the list.

use chrono::{Datelike, Months, NaiveDate};

use super::selection::Selection;
use crate::admin::Admin;
use crate::domain::Timestamp;
use crate::service;

/// The most years that are looked at; what is older is found by the filter.
const MAX_YEARS: i32 = 40;

/// The days that are chosen, as steps that lead back, and those to choose from.
#[derive(Default)]
pub(super) struct Dates {
    /// From all days to what is chosen, which is the last.
    pub(super) path: Vec<Step>,
    /// Years, months or days with images.
    pub(super) choices: Vec<Step>,
}

pub(super) struct Step {
    pub(super) label: String,
    pub(super) link: String,
}

/// A year, a month or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Period {
    Year(i32),
    Month(NaiveDate),
    Day(NaiveDate),
}

impl Dates {
    /// What can be chosen where the list is of these days. Nothing is counted: each year, month or day is one look into an index.
    pub(super) async fn of(admin: &Admin, selection: &Selection) -> Result<Self, service::Error> {
        let Some((first, last)) = admin.service.first_and_last_created().await? else { return Ok(Self::default()) };
        let (first, last) = (first.as_datetime().date_naive(), last.as_datetime().date_naive());
        let chosen = Period::between(selection.get("from"), selection.get("to"));
        let candidates: Vec<Period> = match chosen {
            None => {
                let years = first.year().max(last.year() - MAX_YEARS + 1)..=last.year();
                years.map(Period::Year).collect()
            }
            Some(chosen) => chosen.parts(),
        };
        let times: Vec<_> = candidates.iter().map(|period| period.times()).collect();
        let found = admin.service.times_with_images(&times).await?;
        let step = |label: String, days| Step { label, link: selection.of_days(days) };
        let path = chosen.map_or(Vec::new(), |chosen| {
            let steps = chosen.path().into_iter().map(|period| step(period.label(), Some(period.days())));
            std::iter::once(step("All days".to_owned(), None)).chain(steps).collect()
        });
        let choices = found.into_iter().filter_map(|place| candidates.get(place));
        Ok(Self { path, choices: choices.map(|period| step(period.short_label(), Some(period.days()))).collect() })
    }
}

impl Period {
    /// The period that begins and ends with these days; none where they are no days, or of no single period.
    fn between(from: &str, to: &str) -> Option<Self> {
        let (from, to): (NaiveDate, NaiveDate) = (from.parse().ok()?, to.parse().ok()?);
        let periods = [Self::Day(from), Self::Month(from), Self::Year(from.year())];
        periods.into_iter().find(|period| period.days() == (from, to))
    }

    /// The first and the last day.
    fn days(self) -> (NaiveDate, NaiveDate) {
        match self {
            Self::Day(day) => (day, day),
            Self::Month(day) => {
                let first = day.with_day(1).unwrap_or(day);
                (first, (first + Months::new(1)).pred_opt().unwrap_or(first))
            }
            Self::Year(year) => {
                let day = |month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap_or_default();
                (day(1, 1), day(12, 31))
            }
        }
    }

    /// The beginning of the first day and the end of the last.
    fn times(self) -> (Timestamp, Timestamp) {
        let (first, last) = self.days();
        let midnight = |day: NaiveDate| Timestamp::new(day.and_time(chrono::NaiveTime::MIN).and_utc());
        (midnight(first), midnight(last).plus_minutes(24 * 60))
    }

    /// The months of a year, the days of a month.
    fn parts(self) -> Vec<Self> {
        let (first, last) = self.days();
        match self {
            Self::Year(_) => (0..12).map(|month| Self::Month(first + Months::new(month))).collect(),
            Self::Month(_) => first.iter_days().take_while(|day| *day <= last).map(Self::Day).collect(),
            Self::Day(_) => Vec::new(),
        }
    }

    /// What it is a part of, and itself.
    fn path(self) -> Vec<Self> {
        match self {
            Self::Year(_) => vec![self],
            Self::Month(day) => vec![Self::Year(day.year()), self],
            Self::Day(day) => vec![Self::Year(day.year()), Self::Month(day), self],
        }
    }

    fn label(self) -> String {
        match self {
            Self::Year(year) => year.to_string(),
            Self::Month(day) => day.format("%B").to_string(),
            Self::Day(day) => day.format("%-d").to_string(),
        }
    }

    fn short_label(self) -> String {
        match self {
            Self::Month(day) => day.format("%b").to_string(),
            other => other.label(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_are_a_period_are_known_as_one() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        for (from, to, period) in [
            ("2026-01-01", "2026-12-31", Some(Period::Year(2026))),
            ("2024-02-01", "2024-02-29", Some(Period::Month(day("2024-02-01")))),
            ("2026-12-01", "2026-12-31", Some(Period::Month(day("2026-12-01")))),
            ("2026-03-24", "2026-03-24", Some(Period::Day(day("2026-03-24")))),
            ("2024-02-01", "2024-02-28", None),
            ("2026-03-24", "2026-03-25", None),
            ("", "2026-03-25", None),
            ("x", "x", None),
        ] {
            assert_eq!(Period::between(from, to), period, "{from} {to}");
        }
        assert_eq!(Period::Month(day("2024-02-01")).parts().len(), 29);
        assert_eq!(Period::Year(2026).parts().len(), 12);
        let (from, until) = Period::Day(day("2026-03-24")).times();
        assert_eq!(
            (from.to_string(), until.to_string()),
            ("2026-03-24T00:00:00Z".to_owned(), "2026-03-25T00:00:00Z".to_owned())
        );
    }

    #[test]
    fn the_first_and_the_last_years_do_no_harm() {
        for text in ["0001-01-01", "9998-12-31", "9999-12-31", "+262142-12-31", "-262143-01-01"] {
            if let Some(period) = Period::between(text, text) {
                let _ = (period.times(), period.path());
            }
        }
    }
}
