//! `cfimages leftovers`

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use super::database::open_current;
use super::output::{print_error, print_line, print_rows, print_warning, printable};
use crate::app::{self, SystemClock};
use crate::domain::{Clock, CloudflareId, PageFrom, PendingDeletion};
use crate::service::{CleanupEvent, ImageRecords};

/// The most that are listed.
const LISTED: u32 = 1000;

/// Shows what is left at Cloudflare after failures and has to be deleted or found there, and what to do about it.
#[derive(Debug, Args)]
#[command(
    after_help = "The server sees to leftovers by itself, at intervals that grow with each failure, and so does `cfimages \
    cleanup-expired`. All are deleted, but for recorded images whose id may have changed with their privacy: those are looked for.\n\n\
    Examples:\n  \
    cfimages leftovers list\n  \
    cfimages leftovers retry              after Cloudflare or the token works again\n  \
    cfimages leftovers forget img-42      leave it at Cloudflare"
)]
pub(super) struct LeftoversArgs {
    #[command(subcommand)]
    command: LeftoversCommand,
}

#[derive(Debug, Subcommand)]
enum LeftoversCommand {
    /// List what has to be deleted or found, the oldest first.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try now to delete or find all of it, but for what Cloudflare may still be at. The exit code is 0 only if nothing is left.
    Retry,
    /// Leave something at Cloudflare, and forget that it was to be deleted or found.
    Forget {
        /// The ids at Cloudflare.
        #[arg(required = true)]
        ids: Vec<String>,
    },
}

#[derive(Serialize)]
struct Row {
    cloudflare_id: String,
    reason: String,
    created_at: String,
    attempts: i32,
    last_error: String,
    next_attempt_at: String,
}

impl From<PendingDeletion> for Row {
    fn from(deletion: PendingDeletion) -> Self {
        Self {
            cloudflare_id: deletion.cloudflare_id.to_string(),
            reason: deletion.reason.to_string(),
            created_at: deletion.created_at.to_string(),
            attempts: deletion.attempts,
            last_error: deletion.last_error,
            next_attempt_at: deletion.next_attempt_at.to_string(),
        }
    }
}

impl LeftoversArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let (database, clock) = (open_current(&config).await?, Arc::new(SystemClock));
        let records = ImageRecords::new(database.clone(), clock.clone(), config.database.host_delete_tables.clone());
        match self.command {
            LeftoversCommand::List { json } => list(&records, json).await,
            LeftoversCommand::Retry => {
                let service = app::build_service(&config, database, clock)?;
                records.hasten_leftovers().await?;
                let (mut deleted, mut failed) = (0, 0_u64);
                let mut observer = |event: CleanupEvent<'_>| match event {
                    CleanupEvent::LeftoverFailed { id, error } => {
                        failed += 1;
                        print_error(format_args!("{}: {error}", printable(id.as_str())));
                    }
                    _ => deleted += 1,
                };
                service.delete_leftovers(&mut observer).await?;
                print_line(format_args!("deleted {deleted} at Cloudflare"))?;
                let claimed = records.count_leftovers().await?;
                if claimed > 0 {
                    print_warning(format_args!("the server is at {claimed} of them; list them again in a few minutes"));
                }
                let is_early = print_early(&records).await?;
                Ok(if failed + claimed == 0 && !is_early { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            LeftoversCommand::Forget { ids } => forget(&records, ids).await,
        }
    }
}

/// Tells of what was not tried because its time has not come; whether there is such a thing.
async fn print_early(records: &ImageRecords) -> anyhow::Result<bool> {
    let leftovers = records.list_leftovers(PageFrom::Start, LISTED).await?.items;
    let (now, untried) = (SystemClock.now(), leftovers.iter().filter(|leftover| leftover.attempts == 0));
    let early = untried.map(|leftover| leftover.next_attempt_at).filter(|first_try| *first_try > now);
    let (count, last) = (early.clone().count(), early.max());
    if let Some(last) = last {
        print_warning(format_args!(
            "Cloudflare may still be at {count} of them; they are tried by themselves, the last at {last}"
        ));
    }
    Ok(last.is_some())
}

async fn list(records: &ImageRecords, json: bool) -> anyhow::Result<ExitCode> {
    let part = records.list_leftovers(PageFrom::Start, LISTED).await?;
    let has_more = part.next.is_some();
    let rows: Vec<Row> = part.items.into_iter().map(Row::from).collect();
    let headings = ["ID AT CLOUDFLARE", "WHY", "SINCE", "TRIED", "NEXT", "LAST ERROR"];
    print_rows(json, &headings, &rows, |row| {
        vec![
            row.cloudflare_id.clone(),
            row.reason.clone(),
            row.created_at.clone(),
            row.attempts.to_string(),
            row.next_attempt_at.clone(),
            row.last_error.clone(),
        ]
    })?;
    if has_more {
        print_warning(format_args!("these are the oldest {LISTED}; there are more"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn forget(records: &ImageRecords, ids: Vec<String>) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        if records.forget_leftover(&CloudflareId::new(id.as_str())).await? {
            print_line(format_args!("forgot {}", printable(&id)))?;
        } else {
            print_error(format_args!("there is nothing to delete with the id {}", printable(&id)));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
