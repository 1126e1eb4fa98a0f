//! `cfimages cleanup-expired`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::Context;
use super::database::open_current;
use super::output::{print_error, print_json, print_line, printable, with_causes};
use super::progress::progress_bar;
use crate::app::{self, SystemClock};
use crate::config::Config;
use crate::domain::{Clock, Due, DueImage, Timestamp};
use crate::service::{CleanupEvent, CloudflareService, ImageRecords};
use crate::store::Database;

/// How many images a dry run names.
const NAMED: u32 = 10;
/// A hundred years: more than anybody can mean, and within the years that dates may have.
const MAX_DAYS: i64 = 36_500;

/// Marks images whose upload URL ended unused as expired, and deletes what is not needed any more. Made for cron.
#[derive(Debug, Args)]
#[command(after_help = "What it does, in this order:\n\n\
    1. Pending and draft images whose upload URL has ended are marked as expired.\n\
    2. With --delete, images that expired more than --days ago are deleted here. At Cloudflare, drafts end by themselves.\n\
    3. With --delete-orphans, uploaded images that no content has referred to for --orphan-days are deleted at Cloudflare, then \
    here. That relies on the usages in the database: let `cfimages reconcile-usage` run first where content is changed in bulk.\n\
    4. What was left at Cloudflare after a failure is deleted there, as the server does, too: see `cfimages leftovers`.\n\n\
    Rows of the application that refer to a deleted image are set to null. Where they cannot be, the image is kept and the table \
    named; list the table in CFIMAGES_HOST_DELETE_TABLES to have such rows deleted, too. An image that the database refuses to \
    delete, because a trigger raises or a right is missing, is kept and named as well, and the others are deleted.\n\n\
    All of it goes on in small batches and may run twice at once. The exit code is 0 only if all of it worked. An account at \
    Cloudflare is needed for 3 and 4 only.\n\n\
    Examples:\n  \
    cfimages cleanup-expired --dry-run --delete --delete-orphans   only show what would be done\n  \
    cfimages cleanup-expired --delete --days 30                    keep expired images for a month\n  \
    cfimages cleanup-expired --delete --delete-orphans --json      print the figures as JSON\n\n\
    In a crontab, every night at 3:17, with mail only if something fails:\n  \
    17 3 * * * cfimages --config /etc/cfimages/cfimages.toml cleanup-expired --delete -v 0")]
pub(super) struct CleanupExpiredArgs {
    /// Show what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    deletions: Deletions,
    /// How much to print: 0 errors only, 1 a line for each step, 2 each image, 3 how long the steps took, too.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=3))]
    verbosity: u8,
    /// Print the figures as one JSON object, and no lines.
    #[arg(long)]
    json: bool,
}

/// What to delete.
#[derive(Debug, Args)]
struct Deletions {
    /// Delete images that expired long ago, not only mark them.
    #[arg(long)]
    delete: bool,
    /// With --delete: how long ago an image must have expired.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=MAX_DAYS))]
    days: u32,
    /// Delete uploaded images that no content refers to, at Cloudflare and here.
    #[arg(long)]
    delete_orphans: bool,
    /// With --delete-orphans: for how long nothing must have referred to an image.
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=MAX_DAYS))]
    orphan_days: u32,
}

/// What was done; in a dry run, what would be. `null` where it was not asked for.
#[derive(Debug, Default, Serialize)]
struct Figures {
    dry_run: bool,
    /// Images marked as expired.
    marked: u64,
    /// Images that expired long ago and were deleted.
    deleted: Option<u64>,
    /// Images that expired long ago and were kept, as rows of the application require them, or the database refused.
    kept: Option<u64>,
    /// Images that nothing refers to, deleted at Cloudflare and here.
    orphans_deleted: Option<u64>,
    /// Images that nothing refers to, and that could not be deleted.
    orphans_failed: Option<u64>,
    /// Drafts left behind at Cloudflare that were deleted there.
    leftovers_deleted: u64,
    /// Drafts left behind at Cloudflare that could not be deleted.
    leftovers_failed: u64,
    /// How long it took.
    seconds: f64,
}

impl Figures {
    fn is_success(&self) -> bool {
        self.kept.unwrap_or(0) == 0 && self.orphans_failed.unwrap_or(0) == 0 && self.leftovers_failed == 0
    }
}

impl CleanupExpiredArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        if self.deletions.delete_orphans && !self.dry_run {
            // Told before anything is changed.
            config.cloudflare()?;
        }
        let database = open_current(&config).await?;
        let clock = Arc::new(SystemClock);
        let records = ImageRecords::new(database.clone(), clock.clone(), config.database.host_delete_tables.clone());
        let cleanup = Cleanup { args: &self, config: &config, database: &database, records, clock };
        let mut report = Report::new(&self);
        let started = Instant::now();
        let outcome = cleanup.run(&mut report).await;
        report.figures.seconds = started.elapsed().as_secs_f64();
        report.bar.finish_and_clear();
        database.close().await;
        if self.json {
            print_json(&report.figures)?;
        }
        outcome?;
        Ok(if report.figures.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// One run.
struct Cleanup<'a> {
    args: &'a CleanupExpiredArgs,
    config: &'a Config,
    database: &'a Database,
    records: ImageRecords,
    clock: Arc<SystemClock>,
}

impl Cleanup<'_> {
    async fn run(&self, report: &mut Report) -> anyhow::Result<()> {
        let (args, now) = (self.args, self.clock.now());
        if args.dry_run {
            self.show_expiring(report, now).await?;
        } else {
            self.mark(report, now).await?;
        }
        if args.deletions.delete {
            self.delete(report, now.minus_days(args.deletions.days)).await?;
        }
        if args.deletions.delete_orphans {
            self.delete_orphans(report, now.minus_days(args.deletions.orphan_days)).await?;
        }
        if !args.dry_run {
            self.delete_leftovers(report).await?;
        }
        Ok(())
    }

    async fn show_expiring(&self, report: &mut Report, now: Timestamp) -> anyhow::Result<()> {
        let count = self.records.count_due(Due::Expiring, now).await?;
        report.figures.marked = count;
        if count == 0 {
            return report.line("No expired images found.");
        }
        report.line(format_args!("DRY RUN: Would mark {count} expired images"))?;
        report.name(&self.records.list_due(Due::Expiring, now, NAMED).await?, count, with_time)
    }

    async fn mark(&self, report: &mut Report, now: Timestamp) -> anyhow::Result<()> {
        report.begin("marking", self.count_for_bar(report, Due::Expiring, now).await?);
        let count = self.records.mark_expired(&mut |event| report.note(&event)).await?;
        report.end()?;
        match count {
            0 => report.line("No expired images found."),
            count => report.line(format_args!("Marked {count} images as expired")),
        }
    }

    async fn delete(&self, report: &mut Report, before: Timestamp) -> anyhow::Result<()> {
        let days = self.args.deletions.days;
        let nothing = format!("No old expired images found (older than {days} days)");
        (report.figures.deleted, report.figures.kept) = (Some(0), Some(0));
        if self.args.dry_run {
            let count = self.records.count_due(Due::Old, before).await?;
            report.figures.deleted = Some(count);
            if count == 0 {
                return report.line(nothing);
            }
            let line = format!("DRY RUN: Would delete {count} old expired images (older than {days} days)");
            report.line(line)?;
            return report.name(&self.records.list_due(Due::Old, before, NAMED).await?, count, with_time);
        }
        report.begin("deleting", self.count_for_bar(report, Due::Old, before).await?);
        self.records.delete_expired(before, &mut |event| report.note(&event)).await?;
        report.end()?;
        match (report.figures.deleted.unwrap_or(0), report.figures.kept.unwrap_or(0)) {
            (0, 0) => report.line(nothing),
            (count, _) => report.line(format_args!("Deleted {count} old expired images (older than {days} days)")),
        }
    }

    async fn delete_orphans(&self, report: &mut Report, before: Timestamp) -> anyhow::Result<()> {
        let days = self.args.deletions.orphan_days;
        let count = self.records.count_due(Due::Orphaned, before).await?;
        (report.figures.orphans_deleted, report.figures.orphans_failed) = (Some(0), Some(0));
        if count == 0 {
            return report.line(format_args!("No orphaned images found (older than {days} days)"));
        }
        if self.args.dry_run {
            report.figures.orphans_deleted = Some(count);
            let line = format!("DRY RUN: Would delete {count} orphaned image(s) (older than {days} days)");
            report.line(line)?;
            return report.name(&self.records.list_due(Due::Orphaned, before, NAMED).await?, count, id_alone);
        }
        report.begin("deleting orphans", count);
        self.service()?.delete_orphans(before, &mut |event| report.note(&event)).await?;
        report.end()?;
        let figures = &report.figures;
        let (deleted, failed) = (figures.orphans_deleted.unwrap_or(0), figures.orphans_failed.unwrap_or(0));
        report.line(format_args!("Deleted {deleted} orphaned image(s) from Cloudflare"))?;
        if failed > 0 {
            report.line(format_args!("Failed to delete {failed} orphaned image(s)"))?;
        }
        Ok(())
    }

    async fn delete_leftovers(&self, report: &mut Report) -> anyhow::Result<()> {
        let count = self.records.count_leftovers().await?;
        if count == 0 {
            return Ok(());
        }
        let service = self.service().with_context(|| {
            format!("{count} draft(s) left at Cloudflare are to be deleted, and that needs the account")
        })?;
        report.begin("deleting leftovers at Cloudflare", count);
        service.delete_leftovers(&mut |event| report.note(&event)).await?;
        report.end()
    }

    /// Counting may take as long as the work, so it is done only where somebody sees the bar.
    async fn count_for_bar(&self, report: &Report, due: Due, before: Timestamp) -> anyhow::Result<u64> {
        if report.bar.is_hidden() { Ok(0) } else { Ok(self.records.count_due(due, before).await?) }
    }

    fn service(&self) -> anyhow::Result<CloudflareService> {
        app::build_service(self.config, self.database.clone(), self.clock.clone())
    }
}

/// What is told of a run, and where.
struct Report {
    verbosity: u8,
    figures: Figures,
    bar: ProgressBar,
    step: &'static str,
    step_started: Instant,
}

impl Report {
    fn new(args: &CleanupExpiredArgs) -> Self {
        Self {
            verbosity: if args.json { 0 } else { args.verbosity },
            figures: Figures { dry_run: args.dry_run, ..Figures::default() },
            bar: progress_bar(args.verbosity > 0 && !args.dry_run),
            step: "",
            step_started: Instant::now(),
        }
    }

    fn begin(&mut self, step: &'static str, expected: u64) {
        (self.step, self.step_started) = (step, Instant::now());
        self.bar.reset();
        self.bar.set_length(expected);
        self.bar.set_message(step);
    }

    fn end(&mut self) -> anyhow::Result<()> {
        self.bar.finish_and_clear();
        if self.verbosity >= 3 {
            print_line(format_args!("  {} took {:.3} s", self.step, self.step_started.elapsed().as_secs_f64()))?;
        }
        Ok(())
    }

    /// Counts what was done, and names the image where that is wanted.
    fn note(&mut self, event: &CleanupEvent<'_>) {
        let figures = &mut self.figures;
        match event {
            CleanupEvent::Marked(image) => {
                figures.marked += 1;
                self.detail(with_time(image));
            }
            CleanupEvent::Deleted(image) => {
                *figures.deleted.get_or_insert(0) += 1;
                self.detail(with_time(image));
            }
            CleanupEvent::Kept { image, reason } => {
                *figures.kept.get_or_insert(0) += 1;
                self.error(format_args!("kept {}: {}", printable(image.cloudflare_id.as_str()), with_causes(reason)));
            }
            CleanupEvent::OrphanDeleted(image) => {
                *figures.orphans_deleted.get_or_insert(0) += 1;
                self.detail(id_alone(image));
            }
            CleanupEvent::OrphanFailed { image, error } => {
                *figures.orphans_failed.get_or_insert(0) += 1;
                self.error(format_args!("{}: {}", printable(image.cloudflare_id.as_str()), with_causes(error)));
            }
            CleanupEvent::LeftoverDeleted(id) => {
                figures.leftovers_deleted += 1;
                self.detail(format!("  - {} (left at Cloudflare)", printable(id.as_str())));
            }
            CleanupEvent::LeftoverFailed { id, error } => {
                figures.leftovers_failed += 1;
                self.error(format_args!("{} (left at Cloudflare): {error}", printable(id.as_str())));
            }
        }
        self.bar.inc(1);
    }

    fn line(&self, line: impl std::fmt::Display) -> anyhow::Result<()> {
        if self.verbosity > 0 { print_line(line) } else { Ok(()) }
    }

    fn name(&self, images: &[DueImage], count: u64, line: fn(&DueImage) -> String) -> anyhow::Result<()> {
        for image in images {
            self.line(line(image))?;
        }
        if count > u64::from(NAMED) {
            self.line(format_args!("  ... and {} more", count - u64::from(NAMED)))?;
        }
        Ok(())
    }

    /// What cannot be printed here is not worth stopping for: the work is done.
    fn detail(&self, line: String) {
        if self.verbosity >= 2 {
            self.bar.suspend(|| drop(print_line(line)));
        }
    }

    fn error(&self, error: std::fmt::Arguments<'_>) {
        self.bar.suspend(|| print_error(error));
    }
}

/// `TIME` as Python prints it.
fn with_time(image: &DueImage) -> String {
    format!("  - {} (expired: {})", printable(image.cloudflare_id.as_str()), image.expires_at.to_python())
}

fn id_alone(image: &DueImage) -> String {
    format!("  - {}", printable(image.cloudflare_id.as_str()))
}
