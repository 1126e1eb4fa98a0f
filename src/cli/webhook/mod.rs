//! `cfimages webhook`

mod deliveries;
mod probe;
mod register;
mod samples;

use std::io::Read;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use secrecy::SecretString;

use super::Context;

/// Has Cloudflare send its notifications of uploads, tries whether webhooks arrive, and tells what came.
#[derive(Debug, Args)]
pub(super) struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Debug, Subcommand)]
enum WebhookCommand {
    /// Have Cloudflare send notifications of uploads to a URL.
    Register(register::RegisterArgs),
    /// Send a valid sample of each form to a server, and tell what it answers.
    Test(probe::ProbeArgs),
    /// List the webhooks that came, and why they were accepted or refused.
    Deliveries(deliveries::DeliveriesArgs),
}

impl WebhookArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        match self.command {
            WebhookCommand::Register(args) => args.run(context).await,
            WebhookCommand::Test(args) => args.run(context).await,
            WebhookCommand::Deliveries(args) => args.run(context).await,
        }
    }
}

/// The secret on standard input, without the end of its line.
fn read_secret() -> anyhow::Result<SecretString> {
    let mut secret = String::new();
    std::io::stdin().read_to_string(&mut secret).context("the secret cannot be read from standard input")?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        bail!("there is no secret on standard input");
    }
    Ok(secret.to_owned().into())
}
