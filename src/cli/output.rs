//! What commands print.

use std::fmt::Display;
use std::io::Write;

use anyhow::Context as _;
use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style;

pub(super) use crate::domain::printable;
use crate::domain::{printable_but, printable_json};

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
    writeln!(std::io::stdout(), "{}", lines(line)).context(CANNOT_BE_PRINTED)
}

/// Text that may have come from outside, which must not steer the terminal.
fn lines(text: impl Display) -> String {
    printable_but(&text.to_string(), &['\n', '\t']).into_owned()
}

/// Prints what went wrong, where anybody can read it.
pub(super) fn print_error(error: impl Display) {
    let _ = writeln!(std::io::stderr(), "error: {}", lines(error));
}

/// Prints what should be known, and keeps nothing from being done.
pub(super) fn print_warning(warning: impl Display) {
    let _ = writeln!(std::io::stderr(), "warning: {}", lines(warning));
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

/// A value as JSON on one line, which does not steer a terminal.
pub(super) fn to_json(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(printable_json(&serde_json::to_string(value)?).into_owned())
}

/// The same on several lines.
pub(super) fn to_pretty_json(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(printable_json(&serde_json::to_string_pretty(value)?).into_owned())
}

/// Prints a value as JSON.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(to_pretty_json(value)?)
}

/// Prints a value as a line of JSON Lines.
pub(super) fn print_json_line(value: &impl Serialize) -> anyhow::Result<()> {
    print_line(to_json(value)?)
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
            text.push_str(&to_json(item)?);
            self.has_items = true;
        }
        std::io::stdout().write_all(text.as_bytes()).context(CANNOT_BE_PRINTED)
    }

    /// Prints the end.
    pub(super) fn end(self) -> anyhow::Result<()> {
        print_line(if self.has_items { "\n]" } else { "[]" })
    }
}

/// Prints rows as JSON, or as a table under these headings, each on a line.
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
        table.push_record(cells(row).iter().map(|cell| printable(cell)));
    }
    print_line(table.build().with(Style::blank()))
}

/// `yes` or `-`.
pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "-" }.to_owned()
}
