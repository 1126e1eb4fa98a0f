//! The forms of ISO 8601 that Python's `datetime.fromisoformat` reads.

use chrono::{Duration, NaiveDate, NaiveDateTime, NaiveTime, Weekday};

/// Reads a date, alone or with any one character and a time after it, and how far its time zone is ahead of UTC: not at all where
/// no zone is named.
pub(super) fn parse(text: &str) -> Option<(NaiveDateTime, Duration)> {
    let (date_text, rest) = text.split_at_checked(length_of_date(text.as_bytes())?)?;
    let date = date(date_text)?;
    let mut time = rest.chars();
    let (time, offset) = match time.next() {
        None => (NaiveTime::MIN, Duration::zero()),
        Some(_separator) => time_and_offset(time.as_str())?,
    };
    Some((date.and_time(time), offset))
}

fn length_of_date(text: &[u8]) -> Option<usize> {
    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    Some(match (text.get(4)?, text.get(5)?) {
        // The day of the week may be left out, and what follows then looks like one.
        (b'-', b'W') if text.get(8) == Some(&b'-') && !is_digit(10) => 10,
        (b'-', b'W') => 8,
        (b'-', _) => 10,
        (b'W', _) => {
            let digits = (7..text.len()).take_while(|at| is_digit(*at)).count();
            if digits == 1 || (digits > 1 && digits % 2 == 0) { 8 } else { 7 }
        }
        _ => 8,
    })
}

fn date(text: &str) -> Option<NaiveDate> {
    let year = i32::try_from(number(text.get(..4)?, 4)?).ok().filter(|year| *year > 0)?;
    let rest = &text[4..];
    let (is_extended, rest) = rest.strip_prefix('-').map_or((false, rest), |rest| (true, rest));
    if let Some(rest) = rest.strip_prefix('W') {
        let (week, day) = rest.split_at_checked(2)?;
        let day = match (day, is_extended) {
            ("", _) => "1",
            (day, true) => day.strip_prefix('-')?,
            (day, false) => day,
        };
        let day = Weekday::try_from(u8::try_from(number(day, 1)?).ok()?.checked_sub(1)?).ok()?;
        return NaiveDate::from_isoywd_opt(year, number(week, 2)?, day);
    }
    let (month, day) = rest.split_at_checked(2)?;
    let day = if is_extended { day.strip_prefix('-')? } else { day };
    NaiveDate::from_ymd_opt(year, number(month, 2)?, number(day, 2)?)
}

fn time_and_offset(text: &str) -> Option<(NaiveTime, Duration)> {
    let zone = text.find(['+', '-', 'Z']).unwrap_or(text.len());
    let (time, zone) = text.split_at(zone);
    let offset = match zone {
        "" | "Z" => Duration::zero(),
        _ => {
            let ahead = clock(zone.get(1..)?)?.signed_duration_since(NaiveTime::MIN);
            if zone.starts_with('-') { -ahead } else { ahead }
        }
    };
    Some((clock(time)?, offset))
}

/// Hours, minutes, seconds and a fraction, of which all but the hours may be left out; with colons or without any.
fn clock(text: &str) -> Option<NaiveTime> {
    let (hours, mut rest) = text.split_at_checked(2)?;
    let colon = if rest.starts_with(':') { ":" } else { "" };
    let mut parts = [number(hours, 2)?, 0, 0];
    for part in &mut parts[1..] {
        if rest.is_empty() || rest.starts_with(['.', ',']) {
            break;
        }
        let (digits, after) = rest.strip_prefix(colon)?.split_at_checked(2)?;
        (*part, rest) = (number(digits, 2)?, after);
    }
    let micros = match rest.strip_prefix(['.', ',']) {
        Some(fraction) => micros(fraction)?,
        None if rest.is_empty() => 0,
        None => return None,
    };
    NaiveTime::from_hms_micro_opt(parts[0], parts[1], parts[2], micros)
}

/// Digits after the sixth are dropped.
fn micros(fraction: &str) -> Option<u32> {
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{fraction:0<6.6}").parse().ok()
}

fn number(digits: &str, length: usize) -> Option<u32> {
    (digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_that_python_reads_is_read() {
        // Each right-hand side is what `datetime.fromisoformat(left)` is in UTC in Python 3.11.
        for (text, want) in [
            ("20240315", "2024-03-15T00:00:00"),
            ("20240315T100000", "2024-03-15T10:00:00"),
            ("20240315T1030Z", "2024-03-15T10:30:00"),
            ("2024-W11-5", "2024-03-15T00:00:00"),
            ("2024-W11-5T10:30", "2024-03-15T10:30:00"),
            ("2024-W11", "2024-03-11T00:00:00"),
            ("2024-W11-10:30", "2024-03-11T10:30:00"),
            ("2024W11", "2024-03-11T00:00:00"),
            ("2024W115", "2024-03-15T00:00:00"),
            ("2024W11510", "2024-03-11T10:00:00"),
            ("2024W115T10", "2024-03-15T10:00:00"),
            ("2024W115x1030", "2024-03-15T10:30:00"),
            ("2024W1151030", "2024-03-11T10:30:00"),
            ("2024-03-15T10", "2024-03-15T10:00:00"),
            ("2024-03-15x10:30", "2024-03-15T10:30:00"),
            ("2024-03-15✓10:30", "2024-03-15T10:30:00"),
            ("2024-03-15T10:30:05,5", "2024-03-15T10:30:05.500"),
            ("2024-03-15T10.25", "2024-03-15T10:00:00.250"),
            ("2024-03-15T10:00:00+02:00:30", "2024-03-15T07:59:30"),
            ("2024-03-15T10:00:00-0230", "2024-03-15T12:30:00"),
            ("2024-03-15T10:00:00.1234567+00", "2024-03-15T10:00:00.123456"),
        ] {
            let got = parse(text).map(|(time, offset)| time - offset);
            assert_eq!(got, Some(want.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in [
            "",
            "2024",
            "2024-03",
            "2024-3-15",
            "0000-01-01",
            "2024-02-30",
            "2024-W54-1",
            "2024-W11-8",
            "2024-W11-0",
            "2024-075",
            "2024-03-15T",
            "2024-03-15T1",
            "2024-03-15T10:3",
            "2024-03-15T10:3005",
            "2024-03-15T1030:05",
            "2024-03-15T10:00:00z",
            "2024-03-15T10:00:00ZZ",
            "2024-03-15T10:00:00.",
            "2024-03-15T24:00",
            "2024-03-15T10:00:00+24:00",
            "2024-03-15T10:00:00+2",
            "2024-03-15T10:00:00+",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "([0-9W:.,+Z-]|\\PC)*") {
            parse(&text);
        }
    }
}
