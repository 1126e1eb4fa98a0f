//! `docs/commands.md`, which is what the commands say of themselves.

use std::fmt::Write as _;

use clap::{Command, CommandFactory};

use super::Cli;

const HEAD: &str = "# Commands

What each command says with `--help`, which it is made from: `WRITE_DOCS=1 cargo test --lib reference` writes it anew.
Results go to standard output, all else to standard error; the exit code is 0 only if it worked. `cfimages completions SHELL` prints completions.
";
const WIDTH: usize = 110;

fn reference() -> String {
    let mut command = Cli::command();
    command.build();
    let mut text = format!("{HEAD}\n| command | does |\n| --- | --- |\n");
    let all: Vec<&Command> = command.get_subcommands().filter(|sub| sub.get_name() != "help").collect();
    for sub in &all {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        let name = sub.get_name();
        let _ = writeln!(text, "| [`{name}`](#cfimages-{name}) | {about} |");
    }
    for sub in all {
        describe(sub, 2, &mut text);
    }
    text
}

/// A command and those below it.
fn describe(command: &Command, level: usize, text: &mut String) {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    let help = command.clone().term_width(WIDTH).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let _ = write!(text, "\n{} `{name}`\n\n```text\n{}\n```\n", "#".repeat(level), lines.join("\n").trim_end());
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        describe(sub, level + 1, text);
    }
}

#[test]
fn the_reference_of_all_commands_is_what_they_say() {
    let written = reference();
    if std::env::var_os("WRITE_DOCS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md"), &written).unwrap();
        return;
    }
    let kept = include_str!("../../docs/commands.md");
    let first = written.lines().zip(kept.lines()).find(|(new, old)| new != old);
    assert!(written == kept, "docs/commands.md is stale: WRITE_DOCS=1 cargo test --lib reference\n{first:#?}");
}
