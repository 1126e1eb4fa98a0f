//! `cfimages reconcile-usage`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::Context;
use super::database::open_current;
use super::output::{print_json, print_line};
use super::progress::progress_bar;
use crate::app::SystemClock;
use crate::config::settings::CFIMAGES_USAGE_SOURCES;
use crate::service::{Reconciled, UsageReconciler};

/// Rebuilds where images are used, out of the columns that `CFIMAGES_USAGE_SOURCES` names.
#[derive(Debug, Args)]
#[command(
    after_help = "Which content uses an image decides whether it may be deleted, and whether it is an orphan. Content that is written past \
    Django's signals (in bulk, by SQL, by other programs) is missed; this command finds it, as Django's `reconcile_image_usage` does.\n\n\
    It looks at the columns that CFIMAGES_USAGE_SOURCES names. References that are missing or outdated are written, those whose \
    content is gone are removed, and all are linked to the images that are recorded by now. A field that is named \
    belongs to its column: what applications recorded themselves in the place of a reference is written over. All else that \
    they recorded is left alone, and so is what belongs to other models and fields. It works in short transactions and may run at \
    any time, beside the server and Django.\n\n\
    Examples:\n  \
    cfimages reconcile-usage --dry-run    tell what would change, and change nothing\n  \
    cfimages reconcile-usage --json       for scripts\n\n\
    Two columns of the model `gallery.article`, one of ids at Cloudflare, one a foreign key to cloudflare_images:\n  \
    CFIMAGES_USAGE_SOURCES=gallery_article:id:hero:gallery.article,gallery_article:id:cover_id:gallery.article"
)]
pub(super) struct ReconcileUsageArgs {
    /// Tell what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    dry_run: bool,
    tracked: u64,
    removed: u64,
    total_usages: i64,
    orphaned_images: i64,
    unregistered_references: i64,
}

impl ReconcileUsageArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let sources = &config.usages.sources;
        if sources.is_empty() {
            let setting = CFIMAGES_USAGE_SOURCES.name;
            bail!("{setting} names no column: set it to TABLE:KEY_COLUMN:IMAGE_COLUMN:APP.MODEL");
        }
        let database = open_current(&config).await?;
        let reconciler = UsageReconciler::new(database.clone(), Arc::new(SystemClock));
        let bar = progress_bar(true).with_message("rows");
        let outcome = reconciler
            .run(sources, self.dry_run, |progress| {
                bar.set_length(progress.of);
                bar.set_position(progress.rows);
            })
            .await;
        bar.finish_and_clear();
        self.print(outcome?)?;
        database.close().await;
        Ok(ExitCode::SUCCESS)
    }

    fn print(&self, reconciled: Reconciled) -> anyhow::Result<()> {
        let Reconciled { tracked, removed, totals } = reconciled;
        if self.json {
            return print_json(&Report {
                dry_run: self.dry_run,
                tracked,
                removed,
                total_usages: totals.usages,
                orphaned_images: totals.orphaned,
                unregistered_references: totals.unregistered,
            });
        }
        let did = if self.dry_run { "DRY RUN: would" } else { "Reconciled:" };
        print_line(format_args!("{did} track {tracked} reference(s), remove {removed} stale row(s)."))?;
        print_line(format_args!("Total usages: {}", totals.usages))?;
        print_line(format_args!("Orphaned images (no usages): {}", totals.orphaned))?;
        print_line(format_args!("Unregistered references (no image record): {}", totals.unregistered))
    }
}
