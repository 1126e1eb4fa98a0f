//! Answering one URL, or one on each line of standard input.

use std::fmt::Display;
use std::io::{self, BufRead, Read};
use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::output::{print_error, print_line, printable};

/// What stands for standard input.
const STDIN: &str = "-";
/// Longer lines are no URLs, and must not fill the memory.
const MAX_LINE_BYTES: u64 = 64 * 1024;

/// Why a URL is not answered.
#[derive(Debug)]
pub(super) struct Failure {
    reason: String,
    /// What is printed as a result all the same.
    result: Option<String>,
}

impl Failure {
    /// The reason may hold parts of the URL, which must not steer the terminal.
    pub(super) fn new(reason: impl Display) -> Self {
        Self { reason: printable(&reason.to_string()), result: None }
    }

    /// A failure that is also a result.
    pub(super) fn with_result(reason: impl Display, result: String) -> Self {
        Self { result: Some(result), ..Self::new(reason) }
    }
}

/// Prints the answer to a URL, or to each line of standard input where that is `-`. A failure is told, with the number of its
/// line, and does not keep the others from being answered.
///
/// # Errors
/// If standard input cannot be read, or nobody can read the answers.
pub(super) fn answer_each(
    url: &str,
    mut answer: impl FnMut(&str) -> Result<String, Failure>,
) -> anyhow::Result<ExitCode> {
    let mut all_answered = true;
    if url == STDIN {
        let mut lines = Lines::new(io::stdin().lock());
        while let Some(line) = lines.next().context("standard input cannot be read")? {
            let answer = line.and_then(&mut answer);
            all_answered &= print(answer, format_args!("line {}: ", lines.number))?;
        }
    } else {
        all_answered = print(answer(url), "")?;
    }
    Ok(if all_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints an answer, at once; whether it is no failure.
fn print(answer: Result<String, Failure>, place: impl Display) -> anyhow::Result<bool> {
    match answer {
        Ok(result) => print_line(result).map(|()| true),
        Err(Failure { reason, result }) => {
            result.map_or(Ok(()), print_line)?;
            print_error(format_args!("{place}{reason}"));
            Ok(false)
        }
    }
}

/// The lines of a text that are not blank, one in memory at a time.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
    /// That of the last line, from 1.
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(input: R) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    /// The next line without blanks around it, or why it is none; `None` at the end.
    fn next(&mut self) -> io::Result<Option<Result<&str, Failure>>> {
        loop {
            self.line.clear();
            if (&mut self.input).take(MAX_LINE_BYTES).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.len() as u64 == MAX_LINE_BYTES && !self.line.ends_with(b"\n") {
                self.input.skip_until(b'\n')?;
                return Ok(Some(Err(Failure::new("the line is too long for a URL"))));
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(std::str::from_utf8(&self.line).map(str::trim).map_err(|_| Failure::new("the line is not UTF-8"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_and_told_from_what_is_none() {
        let long = "x".repeat(70_000);
        let text = [b"/a\n\n  \r\n /b \r\n\xff\n", long.as_bytes(), b"\n/c"].concat();
        let mut lines = Lines::new(text.as_slice());
        let mut got = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let line = line.map(str::to_owned).map_err(|failure| failure.reason);
            got.push((line, lines.number));
        }
        let failure = |reason: &str| Err(reason.to_owned());
        assert_eq!(
            got,
            [
                (Ok("/a".to_owned()), 1),
                (Ok("/b".to_owned()), 4),
                (failure("the line is not UTF-8"), 5),
                (failure("the line is too long for a URL"), 6),
                (Ok("/c".to_owned()), 7),
            ]
        );
    }
}
