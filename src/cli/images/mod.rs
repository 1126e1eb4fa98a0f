//! `cfimages images`

mod delete;
mod list;
mod show;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Context;

/// Lists images, shows all that is known of one, and deletes some.
#[derive(Debug, Args)]
#[command(after_help = "An image is named by its key here or by its key at Cloudflare.\n\n\
    Examples:\n  \
    cfimages images list --status failed --user alice\n  \
    cfimages images show 2cdc28f0-017a-49c4-9ed7-87056c83901f\n  \
    cfimages images delete products/42/hero")]
pub(super) struct ImagesArgs {
    #[command(subcommand)]
    command: ImagesCommand,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    /// List images, the newest first.
    List(list::ListArgs),
    /// Show all fields of an image, what happened to it, and what refers to it.
    Show(show::ShowArgs),
    /// Delete images, at Cloudflare and here.
    Delete(delete::DeleteArgs),
}

impl ImagesArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.command {
            ImagesCommand::List(args) => args.run(context).await,
            ImagesCommand::Show(args) => args.run(context).await,
            ImagesCommand::Delete(args) => args.run(context).await,
        }
    }
}
