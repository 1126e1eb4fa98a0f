//! `cfimages logs`

use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Context;
use super::database::open_records;
use super::output::{print_json, print_line};
use super::progress::progress_bar;
use crate::app::SystemClock;
use crate::domain::{Clock, Timestamp};

/// Keeps the logs of images short.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    #[command(subcommand)]
    command: LogsCommand,
}

#[derive(Debug, Subcommand)]
enum LogsCommand {
    /// Delete old entries of the logs of all images.
    #[command(
        after_help = "Every step of an upload, every webhook and every check of a status is an entry, and nothing deletes them while \
        their image is there. Two kinds stay, however old: those of images that are pending or drafts, and those by which \
        `cfimages reconcile-account` knows that it found an image in the account.\n\n\
        It goes on in small batches and may run beside the server; what was deleted stays deleted where it is stopped.\n\n\
        Examples:\n  \
        cfimages logs prune --older-than 90d --dry-run    only tell how many there are\n  \
        cfimages logs prune --older-than 52w --json\n\n\
        In a crontab, every Sunday at 4:23:\n  \
        23 4 * * 0 cfimages --config /etc/cfimages/cfimages.toml logs prune --older-than 90d"
    )]
    Prune {
        /// How old entries are that go: days (`90d`), weeks (`12w`) or years of 365 days (`2y`).
        #[arg(long, value_name = "AGE")]
        older_than: Age,
        /// Tell how many entries would go, and delete none.
        #[arg(long)]
        dry_run: bool,
        /// Print the figures as one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// A number of days, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Age {
    days: u32,
}

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // More than anybody can mean, and within the years that dates may have.
        const MAX_DAYS: u32 = 36_500;
        let wrong =
            || format!("must be a number of days, weeks or years from 1d to {MAX_DAYS}d, such as 90d, 12w or 2y");
        let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
        let days_of_unit = match unit {
            "d" => 1,
            "w" => 7,
            "y" => 365,
            _ => return Err(wrong()),
        };
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { number.parse::<u32>().ok() } else { None };
        let days = number.and_then(|number| number.checked_mul(days_of_unit));
        days.filter(|days| (1..=MAX_DAYS).contains(days)).map(|days| Self { days }).ok_or_else(wrong)
    }
}

#[derive(Serialize)]
struct Figures {
    dry_run: bool,
    /// Entries from before this time go.
    before: Timestamp,
    /// Entries that were deleted; in a dry run, those that would be.
    deleted: u64,
}

impl LogsArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let LogsCommand::Prune { older_than, dry_run, json } = self.command;
        let config = context.database_config()?;
        let records = open_records(&config).await?;
        let before = SystemClock.now().minus_days(older_than.days);
        let deleted = if dry_run {
            records.count_old_logs(before).await?
        } else {
            let bar = progress_bar(!json);
            if !bar.is_hidden() {
                bar.set_length(records.count_old_logs(before).await?);
                bar.set_message("deleting");
            }
            let deleted = records.prune_logs(before, |deleted| bar.inc(deleted)).await;
            bar.finish_and_clear();
            deleted?
        };
        if json {
            print_json(&Figures { dry_run, before, deleted })?;
        } else if dry_run {
            print_line(format_args!("DRY RUN: would delete {deleted} entries from before {before}"))?;
        } else {
            print_line(format_args!("deleted {deleted} entries from before {before}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_number_with_its_unit() {
        for (text, days) in [("1d", 1), ("90d", 90), ("12w", 84), ("2y", 730), ("36500d", 36_500)] {
            assert_eq!(text.parse(), Ok(Age { days }), "{text}");
        }
        for text in ["", "d", "90", "0d", "-1d", "+1d", "1.5d", "90 d", "36501d", "101y", "9999999999d", "3m", "1é"] {
            assert!(text.parse::<Age>().unwrap_err().contains("such as 90d"), "{text}");
        }
    }
}
