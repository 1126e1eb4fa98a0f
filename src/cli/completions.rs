//! `cfimages completions`

use std::process::ExitCode;

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
    pub(super) fn run(&self, command: &mut clap::Command) -> ExitCode {
        clap_complete::generate(self.shell, command, "cfimages", &mut std::io::stdout());
        ExitCode::SUCCESS
    }
}
