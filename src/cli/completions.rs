//! `cfimages completions`

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use clap_complete::Shell;

/// Prints the completions of a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cfimages completions bash > /etc/bash_completion.d/cfimages")]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(&self, command: &mut clap::Command) -> anyhow::Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, command, "cfimages", &mut script);
        std::io::stdout().write_all(&script).context("the completions cannot be printed")?;
        Ok(ExitCode::SUCCESS)
    }
}
