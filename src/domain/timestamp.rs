//! Points in time as Django stores and prints them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::isoformat;

/// A point in time in UTC, to the microsecond, between the years 1 and 9999: what Python's `datetime` can hold.
///
/// [`Display`](fmt::Display) and [`Serialize`] give the form of the toolkit's JSON, `2024-03-24T16:01:20.123456Z`: six
/// digits of fraction, or none at all when they are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// The point in time, cut to the microsecond and kept within the years 1 to 9999.
    pub fn new(time: DateTime<Utc>) -> Self {
        Self::from_micros(time.timestamp_micros())
    }

    /// The point in time `micros` microseconds after 1970 began, kept within the years 1 to 9999.
    ///
    /// # Panics
    /// Never: chrono's range is wider.
    pub fn from_micros(micros: i64) -> Self {
        const FIRST: i64 = -62_135_596_800_000_000;
        const LAST: i64 = 253_402_300_799_999_999;
        Self(
            DateTime::from_timestamp_micros(micros.clamp(FIRST, LAST))
                .expect("the years 1 to 9999 are within chrono's range"),
        )
    }

    /// Microseconds since 1970 began.
    pub fn as_micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// Seconds since 1970 began, rounded down.
    pub fn as_unix_seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// The same as a `chrono` type.
    pub fn as_datetime(self) -> DateTime<Utc> {
        self.0
    }

    /// `days` of 24 hours earlier.
    #[must_use]
    pub fn minus_days(self, days: u32) -> Self {
        Self::new(self.0 - Duration::days(days.into()))
    }

    /// `minutes` later, or earlier when negative.
    #[must_use]
    pub fn plus_minutes(self, minutes: i64) -> Self {
        Self::new(self.0 + Duration::minutes(minutes))
    }

    /// `seconds` later, or earlier when negative.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::new(self.0 + Duration::seconds(seconds))
    }

    /// The form of Django's `datetime` columns on SQLite: `2024-03-24 16:01:20.123456`, without a fraction when it is zero.
    pub fn to_sqlite(self) -> String {
        format!("{} {}{}", self.0.date_naive(), self.0.format("%H:%M:%S"), self.fraction())
    }

    /// Python's `str()`: `2024-03-24 16:01:20.123456+00:00`, without a fraction when it is zero.
    pub fn to_python(self) -> String {
        format!("{}+00:00", self.to_sqlite())
    }

    /// Python's `isoformat()`: `2024-03-24T16:01:20.123456+00:00`, without a fraction when it is zero.
    pub fn to_isoformat(self) -> String {
        format!("{}T{}{}+00:00", self.0.date_naive(), self.0.format("%H:%M:%S"), self.fraction())
    }

    /// RFC 3339 with milliseconds, as Cloudflare writes times: `2024-03-24T16:01:20.123Z`.
    pub fn to_millis_string(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    fn fraction(self) -> String {
        match self.0.nanosecond() / 1000 {
            0 => String::new(),
            micros => format!(".{micros:06}"),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{}{}Z", self.0.date_naive(), self.0.format("%H:%M:%S"), self.fraction())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is no date and time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a date and time in ISO 8601 form")]
pub struct ParseTimestampError;

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// Reads what Django's `parse_datetime` and DRF's `DateTimeField` read: what Python's `datetime.fromisoformat` does, and less
    /// strictly written dates and times. Without an offset they are in UTC. Digits after the sixth of a fraction are dropped.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (time, offset) = isoformat::parse(text).or_else(|| parse_loosely(text)).ok_or(ParseTimestampError)?;
        let utc = time.checked_sub_signed(offset).ok_or(ParseTimestampError)?.and_utc();
        if (1..=9999).contains(&utc.year()) { Ok(Self::new(utc)) } else { Err(ParseTimestampError) }
    }
}

/// Django's own form: `T` or a blank between date and time, single digits, and blanks before the offset.
fn parse_loosely(text: &str) -> Option<(NaiveDateTime, Duration)> {
    let (date, time) = text.split_once(['T', ' '])?;
    let (time, offset) = split_offset(time)?;
    Some((NaiveDateTime::new(parse_date(date)?, parse_time(time)?), offset))
}

fn parse_date(text: &str) -> Option<NaiveDate> {
    let mut parts = text.split('-');
    let year = i32::try_from(digits(parts.next(), 4, 4)?).ok().filter(|year| *year > 0)?;
    let (month, day) = (digits(parts.next(), 1, 2)?, digits(parts.next(), 1, 2)?);
    if parts.next().is_some() { None } else { NaiveDate::from_ymd_opt(year, month, day) }
}

fn parse_time(text: &str) -> Option<NaiveTime> {
    let (clock, fraction) = match text.split_once(['.', ',']) {
        Some((clock, fraction)) => (clock, Some(fraction)),
        None => (text, None),
    };
    let mut parts = clock.split(':');
    let (hour, minute) = (digits(parts.next(), 1, 2)?, digits(parts.next(), 1, 2)?);
    let second = match parts.next() {
        Some(second) => digits(Some(second), 1, 2)?,
        None if fraction.is_some() => return None,
        None => 0,
    };
    if parts.next().is_some() {
        return None;
    }
    NaiveTime::from_hms_micro_opt(hour, minute, second, fraction.map_or(Some(0), parse_fraction)?)
}

fn parse_fraction(text: &str) -> Option<u32> {
    digits(Some(text.get(..6).unwrap_or(text)), 1, 6)?;
    digits(Some(text.get(6..).unwrap_or_default()), 0, 6)?;
    format!("{text:0<6.6}").parse().ok()
}

fn split_offset(text: &str) -> Option<(&str, Duration)> {
    if let Some(time) = text.strip_suffix('Z') {
        return Some((time.trim_end(), Duration::zero()));
    }
    let Some(at) = text.find(['+', '-']) else { return Some((text.trim_end(), Duration::zero())) };
    let (time, offset) = text.split_at(at);
    let (hours, minutes) = offset[1..].split_at_checked(2)?;
    let minutes = if minutes.is_empty() { "00" } else { minutes.strip_prefix(':').unwrap_or(minutes) };
    let (hours, minutes) = (digits(Some(hours), 2, 2)?, digits(Some(minutes), 2, 2)?);
    let ahead = Duration::seconds(NaiveTime::from_hms_opt(hours, minutes, 0)?.num_seconds_from_midnight().into());
    Some((time.trim_end(), if offset.starts_with('-') { -ahead } else { ahead }))
}

fn digits(text: Option<&str>, min: usize, max: usize) -> Option<u32> {
    let text = text?;
    if !(min..=max).contains(&text.len()) || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if text.is_empty() { Some(0) } else { text.parse().ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Option<String> {
        text.parse::<Timestamp>().ok().map(|t| t.to_string())
    }

    #[test]
    fn fractions_have_six_digits_or_none() {
        for (micros, fraction) in [(0, ""), (1, ".000001"), (26_000, ".026000"), (999_999, ".999999")] {
            let time = Timestamp::from_micros(1_711_296_080_000_000 + micros);
            assert_eq!(time.to_string(), format!("2024-03-24T16:01:20{fraction}Z"));
            assert_eq!(time.to_sqlite(), format!("2024-03-24 16:01:20{fraction}"));
            assert_eq!(time.to_python(), format!("2024-03-24 16:01:20{fraction}+00:00"));
            assert_eq!(time.to_isoformat(), format!("2024-03-24T16:01:20{fraction}+00:00"));
        }
    }

    #[test]
    fn the_forms_django_reads_are_read() {
        let cases = [
            ("2024-06-01", "2024-06-01T00:00:00Z"),
            ("2024-06-01T10:00:00", "2024-06-01T10:00:00Z"),
            ("2024-06-01 10:00", "2024-06-01T10:00:00Z"),
            ("2024-06-01 10:00:00.5Z", "2024-06-01T10:00:00.500000Z"),
            ("2024-06-01T10:00:00+0230", "2024-06-01T07:30:00Z"),
            ("2024-06-01T10:00:00-02", "2024-06-01T12:00:00Z"),
            ("2024-6-1T1:2:3 Z", "2024-06-01T01:02:03Z"),
            ("2024-6-01 10:00:00.5 +02:30", "2024-06-01T07:30:00.500000Z"),
            ("20240601T10", "2024-06-01T10:00:00Z"),
            ("2024-05-05T05:05:05.123456789Z", "2024-05-05T05:05:05.123456Z"),
        ];
        for (text, want) in cases {
            assert_eq!(parse(text).as_deref(), Some(want), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "soon",
            "yesterday!",
            "2024-13-01",
            "2024-02-30T00:00:00Z",
            "2024-06-01T25:00:00Z",
            "2024-6-1",
            "2024-6-1T10",
            "2024-6-1T10:00:00z",
            "2024-6-1T10:00:00.1234567890123",
            "2024-06-01T10:00:00.Z",
            "２０２４-06-01",
            "2024-06-01T10:00:00+25:61",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_survives_being_printed(micros in -62_135_596_800_000_000_i64..=253_402_300_799_999_999) {
            let time = Timestamp::from_micros(micros);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
            prop_assert_eq!(time.to_sqlite().parse(), Ok(time));
            prop_assert_eq!(time.to_isoformat().parse(), Ok(time));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC*") {
            let _ = text.parse::<Timestamp>();
        }

        #[test]
        fn nothing_like_a_time_makes_the_parser_panic(text in "2024-[0-9]{1,2}-1[T ]([0-9:.,+Z -]|\\PC)*") {
            let _ = text.parse::<Timestamp>();
        }
    }
}
