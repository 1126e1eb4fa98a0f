//! What the recordings leave open: addresses, times, and ids that the server makes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

/// How far the clock may be off; the recorded time is that of the request, ours that of the row.
const TOLERANCE: TimeDelta = TimeDelta::seconds(2);

/// What the placeholders of a scenario stand for.
pub(crate) struct Placeholders {
    /// Scheme, host and port that requests are sent to.
    pub(crate) base: String,
    /// When the scenario began.
    since: DateTime<Utc>,
    uuids: BTreeMap<String, String>,
}

/// A placeholder in a recorded text.
#[derive(Debug, PartialEq, Eq)]
enum Placeholder<'a> {
    Base,
    HttpsBase,
    Uuid(&'a str),
    Time { minutes: i64, form: TimeForm },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimeForm {
    /// `2024-03-24T16:01:20.123456Z`, without a fraction where it is zero.
    Api,
    /// `2024-03-24T16:01:20.123456+00:00`.
    SixDigitsAndOffset,
}

impl Placeholders {
    pub(crate) fn new(base: String) -> Self {
        Self { base, since: now(), uuids: BTreeMap::new() }
    }

    /// Whether `ours` is what was recorded.
    pub(crate) fn accept(&mut self, recorded: &str, ours: &str) -> bool {
        let (mut recorded, mut ours) = (recorded, ours);
        while let Some((literal, placeholder, rest)) = split_at_placeholder(recorded) {
            let Some(after) = ours.strip_prefix(literal).and_then(|ours| self.strip(&placeholder, ours)) else {
                return false;
            };
            (recorded, ours) = (rest, after);
        }
        recorded == ours
    }

    /// What follows the value of a placeholder at the beginning of a text; `None` where it is not there.
    fn strip<'t>(&mut self, placeholder: &Placeholder<'_>, text: &'t str) -> Option<&'t str> {
        match placeholder {
            Placeholder::Base => text.strip_prefix(&self.base),
            Placeholder::HttpsBase => text.strip_prefix(&self.base.replacen("http://", "https://", 1)),
            Placeholder::Uuid(number) => {
                let (uuid, rest) = text.split_at_checked(36)?;
                self.is_uuid(number, uuid).then_some(rest)
            }
            Placeholder::Time { minutes, form } => {
                let (time, rest) = split_after_time(text, *form)?;
                let now = time - TimeDelta::minutes(*minutes);
                (self.since - TOLERANCE..=self::now() + TOLERANCE).contains(&now).then_some(rest)
            }
        }
    }

    /// Whether this is the UUID of that number: the one seen before, or else a new one.
    fn is_uuid(&mut self, number: &str, uuid: &str) -> bool {
        if let Some(known) = self.uuids.get(number) {
            return known == uuid;
        }
        let is_new = self.uuids.values().all(|known| known != uuid);
        let is_canonical = uuid::Uuid::parse_str(uuid).is_ok_and(|parsed| parsed.to_string() == uuid);
        if is_new && is_canonical {
            self.uuids.insert(number.to_owned(), uuid.to_owned());
        }
        is_new && is_canonical
    }
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

/// The text before the first placeholder, the placeholder, and the text behind it.
fn split_at_placeholder(text: &str) -> Option<(&str, Placeholder<'_>, &str)> {
    text.match_indices('<').find_map(|(start, _)| {
        let (name, mut rest) = text[start + 1..].split_once('>')?;
        let placeholder = match name {
            "base" => Placeholder::Base,
            "https-base" => Placeholder::HttpsBase,
            _ if name.starts_with("datetime") => {
                let minutes = match name.strip_prefix("datetime")? {
                    "" => 0,
                    minutes => minutes.strip_prefix('+')?.strip_suffix('m')?.parse().ok()?,
                };
                let offset = rest.strip_prefix("[6+00:00]");
                rest = offset.unwrap_or(rest);
                let form = if offset.is_some() { TimeForm::SixDigitsAndOffset } else { TimeForm::Api };
                Placeholder::Time { minutes, form }
            }
            _ => Placeholder::Uuid(
                name.strip_prefix("uuid").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?,
            ),
        };
        Some((&text[..start], placeholder, rest))
    })
}

/// The time at the beginning of a text, if it is in the form asked for, and what follows it.
fn split_after_time(text: &str, form: TimeForm) -> Option<(DateTime<Utc>, &str)> {
    let (seconds, rest) = text.split_at_checked(19)?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(digits) => digits.split_at_checked(6)?,
        None => ("", rest),
    };
    let fraction_is_right = match form {
        TimeForm::Api => fraction != "000000",
        TimeForm::SixDigitsAndOffset => !fraction.is_empty(),
    };
    let rest = rest.strip_prefix(if form == TimeForm::Api { "Z" } else { "+00:00" })?;
    let micros: i64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let time = NaiveDateTime::parse_from_str(seconds, "%Y-%m-%dT%H:%M:%S").ok()?;
    fraction_is_right.then_some((time.and_utc() + TimeDelta::microseconds(micros), rest))
}

/// The placeholders tell what fits from what does not.
pub(crate) async fn accept_what_they_stand_for() {
    let base = "http://127.0.0.1:1";
    let one = "0b6f1c3e-5b6a-4d5e-8f0a-1b2c3d4e5f60";
    let other = "1b6f1c3e-5b6a-4d5e-8f0a-1b2c3d4e5f60";
    let at = |minutes, form: &str| (now() + TimeDelta::minutes(minutes)).format(form).to_string();
    let api = "%Y-%m-%dT%H:%M:%S.%6fZ";
    let isoformat = "%Y-%m-%dT%H:%M:%S.%6f+00:00";
    let mut placeholders = Placeholders::new(base.to_owned());
    for (recorded, ours, fits) in [
        ("<base>/x", "http://127.0.0.1:1/x".to_owned(), true),
        ("<base>/x", "http://127.0.0.1:2/x".to_owned(), false),
        ("<https-base>/x", "https://127.0.0.1:1/x".to_owned(), true),
        ("quote'\"<b>&lt;", "quote'\"<b>&lt;".to_owned(), true),
        ("<uuid1>", "not-a-uuid-of-thirty-six-characters!".to_owned(), false),
        ("<uuid1>", one.to_uppercase(), false),
        ("a <uuid1> b", format!("a {one} b"), true),
        ("<uuid1>", one.to_owned(), true),
        ("<uuid1>", other.to_owned(), false),
        ("<uuid2>", one.to_owned(), false),
        ("<uuid2> <uuid1>", format!("{other} {one}"), true),
        ("<datetime>", at(0, api), true),
        ("<datetime>", at(0, "%Y-%m-%dT%H:%M:%SZ"), true),
        ("<datetime>", at(0, "%Y-%m-%dT%H:%M:%S.000000Z"), false),
        ("<datetime>", at(0, "%Y-%m-%dT%H:%M:%S.%3fZ"), false),
        ("<datetime>", at(0, isoformat), false),
        ("<datetime>", at(-1, api), false),
        ("<datetime+30m>", at(30, api), true),
        ("<datetime+30m>", at(31, api), false),
        ("<datetime+30m>[6+00:00]", at(30, isoformat), true),
        ("<datetime+30m>[6+00:00]", at(30, "%Y-%m-%dT%H:%M:%S+00:00"), false),
    ] {
        assert_eq!(placeholders.accept(recorded, &ours), fits, "{recorded} {ours}");
    }
}
