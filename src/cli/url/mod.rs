//! `cfimages url`

mod help;
mod lines;
mod parse;
mod sign;
mod transform;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use crate::delivery::DeliveryUrls;

/// Makes delivery URLs, signs them and takes them apart. The delivery settings of the configuration decide where pictures are;
/// none is needed for URLs of imagedelivery.net.
#[derive(Debug, Args)]
pub(super) struct UrlArgs {
    #[command(subcommand)]
    command: UrlCommand,
}

#[derive(Debug, Subcommand)]
enum UrlCommand {
    /// Print the URL of a transformed picture.
    Build(transform::BuildArgs),
    /// Print the URL of a picture for a common use: a thumbnail, a banner and so on.
    Preset(transform::PresetArgs),
    /// Print the attribute `srcset` of a picture in several sizes.
    Srcset(transform::SrcsetArgs),
    /// Sign the delivery URL of a private image.
    Sign(sign::SignArgs),
    /// Check the signature of a delivery URL.
    Verify(sign::VerifyArgs),
    /// Take a URL apart into the picture and what is done to it.
    Parse(parse::ParseArgs),
}

impl UrlArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let delivery = context.loader().load_delivery()?;
        let urls = DeliveryUrls::new(delivery.account_hash.clone(), &delivery.shape);
        match self.command {
            UrlCommand::Build(args) => args.run(&urls),
            UrlCommand::Preset(args) => args.run(&urls),
            UrlCommand::Srcset(args) => args.run(&urls),
            UrlCommand::Sign(args) => args.run(context, &delivery, &urls).await,
            UrlCommand::Verify(args) => args.run(context, &delivery, &urls).await,
            UrlCommand::Parse(args) => args.run(&urls),
        }
    }
}

/// A result as JSON on one line.
fn json_line(result: &impl Serialize) -> String {
    super::output::to_json(result).expect("results are texts and finite numbers")
}
