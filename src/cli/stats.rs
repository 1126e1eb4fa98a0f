//! `cfimages stats`

use std::process::ExitCode;

use clap::Args;

use super::Context;
use super::database::{find_owner, open_records};
use super::output::{print_json, print_rows};
use crate::api::StatsResponse;

/// Shows figures: how many images there are, by status, their size, and what refers to them.
#[derive(Debug, Args)]
#[command(
    after_help = "The figures are those of `GET api/stats/`, of all users or of one. They come from counts that are kept up to date, so \
    they cost the same however many images there are; `cfimages migrate --recount` counts anew.\n\n\
    Examples:\n  \
    cfimages stats\n  \
    cfimages stats --user alice --json | jq .total_file_size"
)]
pub(super) struct StatsArgs {
    /// Only the images of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl StatsArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let records = open_records(&config).await?;
        let owner = match &self.user {
            Some(name) => Some(find_owner(&records, name).await?),
            None => None,
        };
        let stats = StatsResponse::from(records.statistics(owner).await?);
        if self.json {
            print_json(&stats)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = [
            ("images", stats.total_images),
            ("  uploaded", stats.uploaded_images),
            ("  pending", stats.pending_images),
            ("  drafts", stats.draft_images),
            ("  failed", stats.failed_images),
            ("  expired", stats.expired_images),
            ("private", stats.images_with_signed_urls),
            ("without a usage", stats.orphaned_images),
            ("usages", stats.total_usages),
            ("bytes", stats.total_file_size),
        ];
        print_rows(false, &["WHAT", "HOW MANY"], &rows, |(what, count)| vec![(*what).to_owned(), count.to_string()])?;
        Ok(ExitCode::SUCCESS)
    }
}
