//! `cfimages openapi`

use std::process::ExitCode;

use clap::Args;

use super::Context;
use super::output::print_line;
use crate::app;
use crate::config::{Purpose, settings};

/// Prints the description of the server's API, in OpenAPI form. It needs no server, no database and no account.
#[derive(Debug, Args)]
#[command(
    after_help = "The document is the one that a server answers with at `api/openapi.json`. It is the same for the same \
    release and prefix, so it can be kept beside a generated client, and compared.\n\n\
    Examples:\n  \
    cfimages openapi > openapi.json\n  \
    cfimages openapi --url-prefix /images | jq -r '.paths | keys[]'"
)]
pub(super) struct OpenapiArgs {
    /// The path that the server has everything below [default: /cloudflare-images, or `CFIMAGES_URL_PREFIX`].
    #[arg(long, value_name = "PATH")]
    url_prefix: Option<String>,
}

impl OpenapiArgs {
    pub(super) fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let flags = self.url_prefix.map(|prefix| (&settings::CFIMAGES_URL_PREFIX, prefix));
        let config = context.loader().overrides(flags).load(Purpose::Database)?;
        print_line(app::openapi(&config.server.url_prefix).to_pretty_json()?)?;
        Ok(ExitCode::SUCCESS)
    }
}
