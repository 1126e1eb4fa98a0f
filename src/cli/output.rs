//! What commands print.

use std::fmt::Display;
use std::io::Write;

use anyhow::Context as _;
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style;

const CANNOT_BE_PRINTED: &str = "the result cannot be printed";

/// An error with its causes, on one line; what a cause repeats of the text before it is left out.
pub(super) fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Prints a line; fails, not panics, where nobody can read it.
pub(super) fn print_line(line: impl Display) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context(CANNOT_BE_PRINTED)
}

/// Prints what went wrong, where anybody can read it.
pub(super) fn print_error(error: impl Display) {
    let _ = writeln!(std::io::stderr(), "error: {error}");
}

/// Prints what should be known, and keeps nothing from being done.
pub(super) fn print_warning(warning: impl Display) {
    let _ = writeln!(std::io::stderr(), "warning: {warning}");
}

/// An error and what caused it, without causes that say nothing new.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(serde_json::to_string_pretty(value)?)
}

/// A list in JSON that is printed while it is read.
#[derive(Debug, Default)]
pub(super) struct JsonArray {
    has_items: bool,
}

impl JsonArray {
    /// Prints the next items, each on a line.
    pub(super) fn print<T: Serialize>(&mut self, items: &[T]) -> anyhow::Result<()> {
        let mut text = String::new();
        for item in items {
            text.push_str(if self.has_items { ",\n" } else { "[\n" });
            text.push_str(&serde_json::to_string(item)?);
            self.has_items = true;
        }
        std::io::stdout().write_all(text.as_bytes()).context(CANNOT_BE_PRINTED)
    }

    /// Prints the end.
    pub(super) fn end(self) -> anyhow::Result<()> {
        print_line(if self.has_items { "\n]" } else { "[]" })
    }
}

/// Prints rows as JSON, or as a table under these headings.
pub(super) fn print_rows<T: Serialize>(
    json: bool,
    headings: &[&str],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    if json {
        return print_json(&rows);
    }
    let mut table = Builder::default();
    table.push_record(headings.iter().copied());
    for row in rows {
        table.push_record(cells(row));
    }
    print_line(table.build().with(Style::blank()))
}

/// A text from outside, which may hold anything, also what a terminal would take for a command.
pub(super) fn printable(text: &str) -> String {
    let escape = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escape).collect()
}

/// `yes` or `-`.
pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "-" }.to_owned()
}
