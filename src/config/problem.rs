//! What is wrong with a configuration.

use std::fmt;

use crate::domain::printable;

/// Everything that is wrong with a configuration.
///
/// Shown as one line for each problem. The values of secrets are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<Problem>);

/// One thing that is wrong: which setting, where it came from, what is the matter and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl ConfigErrors {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self(problems)
    }

    /// The problems, in the order of the sources they come from.
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration is not valid:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigErrors {}

impl Problem {
    /// A problem with what stands under `key` at `origin`.
    pub(super) fn at(key: &str, origin: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self(printable(&format!("{key} ({origin}): {message}")))
    }

    /// A problem with `subject`, which is a place of its own, or nowhere.
    pub(super) fn of(subject: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self(printable(&format!("{subject}: {message}")))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value for a message, in quotes, and cut off where it is long.
pub(super) fn quoted(value: &str) -> String {
    const SHOWN: usize = 80;
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}…\"", &value[..end]),
        None => format!("\"{value}\""),
    }
}

/// `; did you mean "…"?` with the candidate that a mistyped name most likely stands for, if there is one.
pub(super) fn suggestion(name: &str, candidates: impl IntoIterator<Item = String>) -> String {
    const MOST_MISTAKES: usize = 2;
    let similar = candidates.into_iter().filter(|candidate| candidate.len().abs_diff(name.len()) <= MOST_MISTAKES);
    let closest = similar.map(|candidate| (edit_distance(name, &candidate), candidate)).min();
    match closest {
        Some((distance, candidate)) if distance <= MOST_MISTAKES => format!("; did you mean \"{candidate}\"?"),
        _ => String::new(),
    }
}

/// How many bytes must be inserted, deleted or replaced to make one text the other (Levenshtein).
fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, b) in right.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested_and_strange_ones_are_not() {
        let suggest = |name| suggestion(name, ["listen", "log", "log_format"].map(str::to_owned));
        assert_eq!(suggest("listn"), "; did you mean \"listen\"?");
        assert_eq!(suggest("lisetn"), "; did you mean \"listen\"?");
        assert_eq!(suggest("logformat"), "; did you mean \"log_format\"?");
        assert_eq!(suggest("workers"), "");
        assert_eq!(suggest(&"listen".repeat(100_000)), "");
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        for (left, right, want) in [("", "", 0), ("", "abc", 3), ("kitten", "sitting", 3), ("flaw", "lawn", 2)] {
            assert_eq!(edit_distance(left, right), want);
            assert_eq!(edit_distance(right, left), want);
        }
    }

    #[test]
    fn a_problem_is_one_line_whatever_it_quotes() {
        let problem = Problem::at("a\nb", "file", quoted("\u{1b}[31m\r\n")).to_string();
        assert_eq!(problem, r#"a\nb (file): "\u{1b}[31m\r\n""#);
        assert_eq!(quoted(&"é".repeat(81)), format!("\"{}…\"", "é".repeat(80)));
    }
}
