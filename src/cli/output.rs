//! What commands print.

use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::Style;

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

/// Prints rows as JSON, or as a table under these headings.
pub(super) fn print_rows<T: Serialize>(
    json: bool,
    headings: &[&str],
    rows: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
        return Ok(());
    }
    let mut table = Builder::default();
    table.push_record(headings.iter().copied());
    for row in rows {
        table.push_record(cells(row));
    }
    println!("{}", table.build().with(Style::blank()));
    Ok(())
}

/// `yes` or `-`.
pub(super) fn yes(value: bool) -> String {
    if value { "yes" } else { "-" }.to_owned()
}
