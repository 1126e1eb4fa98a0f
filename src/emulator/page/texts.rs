//! Times, sizes and numbers as people read them.

use std::time::Duration;

use crate::domain::Timestamp;

use super::super::transform::Content;

/// A point in time: the form for programs and the one for people, whom the script of the page shows their own time.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    pub(super) iso: String,
    pub(super) time: String,
    pub(super) date: String,
}

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        let utc = at.as_datetime();
        Self {
            iso: at.to_millis_string(),
            time: utc.format("%H:%M:%S UTC").to_string(),
            date: utc.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
        }
    }
}

/// `3.2 ms`, `120 ms`, `1.5 s`
pub(super) fn duration(duration: Duration) -> String {
    let millis = duration.as_secs_f64() * 1000.0;
    match millis {
        ..10.0 => format!("{millis:.1} ms"),
        ..1000.0 => format!("{millis:.0} ms"),
        _ => format!("{:.1} s", millis / 1000.0),
    }
}

/// `812 bytes`, `48.2 kB`, `3.1 MB`
pub(super) fn bytes(bytes: usize) -> String {
    match u32::try_from(bytes).unwrap_or(u32::MAX) {
        bytes @ ..1000 => format!("{bytes} bytes"),
        bytes @ ..1_000_000 => format!("{:.1} kB", f64::from(bytes) / 1e3),
        bytes => format!("{:.1} MB", f64::from(bytes) / 1e6),
    }
}

/// `JPEG`, `PNG`
pub(super) fn format_name(content: &Content) -> String {
    content.content_type().trim_start_matches("image/").trim_end_matches("+xml").to_uppercase()
}

/// The text, or its beginning and `…`.
pub(super) fn shorten(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let micros = [0, 3240, 120_400, 1_540_000].map(|micros| duration(Duration::from_micros(micros)));
        assert_eq!(micros, ["0.0 ms", "3.2 ms", "120 ms", "1.5 s"]);
        assert_eq!([812, 48_200, 3_100_000].map(bytes), ["812 bytes", "48.2 kB", "3.1 MB"]);
        assert_eq!([shorten("äöü", 3), shorten("äöü", 2)], ["äöü", "äö…"]);
    }
}
