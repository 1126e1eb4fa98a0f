//! Texts for people.

use std::fmt::{self, Write as _};

use crate::domain::{Timestamp, is_unprintable};

/// A text as it is shown, with unprintable characters named in their places.
pub(super) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if is_unprintable(c) => _ = write!(out, "⟨U+{:04X}⟩", u32::from(c)),
            c => out.push(c),
        }
    }
    out
}

/// The beginning of a text, with an ellipsis where it is longer.
pub(super) fn shortened(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", visible(&text[..end])),
        None => visible(text),
    }
}

/// A point in time: exactly, for machines, and as people say it.
#[derive(Debug)]
pub(super) struct Moment {
    /// `2024-03-24T16:01:20Z`
    pub(super) machine: String,
    /// `24 Mar 2024, 16:01 UTC`
    pub(super) exact: String,
    /// `3 minutes ago`, `in 2 hours`
    pub(super) relative: String,
}

impl Moment {
    pub(super) fn new(time: Timestamp, now: Timestamp) -> Self {
        let exact = time.as_datetime().format("%-d %b %Y, %H:%M UTC").to_string();
        let machine = time.as_datetime().format("%Y-%m-%dT%H:%M:%SZ").to_string();
        Self { machine, exact, relative: relative(time.as_unix_seconds() - now.as_unix_seconds()) }
    }
}

/// A distance in time in the largest unit that fits.
fn relative(seconds: i64) -> String {
    const UNITS: [(i64, &str); 6] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let distance = seconds.abs();
    if distance < 5 {
        return "just now".to_owned();
    }
    let (size, unit) = UNITS.into_iter().find(|(size, _)| distance >= *size).unwrap_or((1, "second"));
    let count = distance / size;
    let plural = if count == 1 { "" } else { "s" };
    if seconds < 0 { format!("{count} {unit}{plural} ago") } else { format!("in {count} {unit}{plural}") }
}

/// A browser and its system, as far as they can be told from how it names itself.
pub(super) fn browser_name(user_agent: &str) -> String {
    // Whoever names several names itself first here: all others claim to be Safari or Chrome.
    const BROWSERS: [(&str, &str); 7] = [
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("CriOS/", "Chrome"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ];
    const SYSTEMS: [(&str, &str); 6] = [
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let find = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (find(&BROWSERS), find(&SYSTEMS)) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) if user_agent.is_empty() => "An unnamed browser".to_owned(),
        (None, None) => shortened(user_agent, 40),
    }
}

/// A number with its thousands apart: `1,234,567`.
pub(super) struct Grouped(pub(super) i64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.unsigned_abs().to_string();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A size in the largest unit that fits, in powers of 1000 as Cloudflare counts: `1.5 MB`.
pub(super) fn size(bytes: i64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes.abs() < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut size = bytes as f64;
    let mut unit = "B";
    for larger in UNITS {
        if size.abs() < 999.95 {
            break;
        }
        (size, unit) = (size / 1000.0, larger);
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_named() {
        assert_eq!(visible("photo\u{202e}gpj.exe"), "photo⟨U+202E⟩gpj.exe");
        assert_eq!(visible("a\u{200b}b\0c\u{e0041}"), "a⟨U+200B⟩b⟨U+0000⟩c⟨U+E0041⟩");
        assert_eq!(visible("é <b> 👩\u{200d}👧\n\t"), "é <b> 👩\u{200d}👧\n\t");
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(shortened("äö", 2), "äö");
    }

    #[test]
    fn distances_have_one_unit() {
        for (seconds, want) in [
            (0, "just now"),
            (-59, "59 seconds ago"),
            (-60, "1 minute ago"),
            (7200, "in 2 hours"),
            (-86_400 * 45, "1 month ago"),
            (86_400 * 800, "in 2 years"),
        ] {
            assert_eq!(relative(seconds), want);
        }
    }

    #[test]
    fn numbers_and_sizes_are_easy_to_read() {
        let grouped: Vec<_> = [0, 999, 1000, 1_234_567, -1234].map(|number| Grouped(number).to_string()).into();
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567", "-1,234"]);
        for (bytes, want) in
            [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_960, "1.0 MB"), (7_000_000_000, "7.0 GB")]
        {
            assert_eq!(size(bytes), want);
        }
    }

    #[test]
    fn browsers_are_told_apart() {
        for (agent, want) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0",
                "Edge on Windows",
            ),
            ("curl/8.0", "curl/8.0"),
            ("", "An unnamed browser"),
        ] {
            assert_eq!(browser_name(agent), want);
        }
    }
}
