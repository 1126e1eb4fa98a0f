//! `cfimages reconcile-account`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::{Value, json};

use super::Context;
use super::database::open_current;
use super::output::{print_error, print_json_line, print_line, print_rows, print_warning, printable, with_causes};
use super::progress::progress_bar;
use crate::app::{self, SystemClock};
use crate::domain::{AccountFigures, UserId};
use crate::service::{
    AccountFinding, AccountFindingKind, AccountReconciler, AccountRunError, AccountRunEvent, AccountRunOptions,
    AccountRunStart, AccountTrust, Accounts, FieldDifference, MissingOutcome,
};
use crate::store::Database;

/// A week: whatever is still under way after that is not coming.
const MAX_MIN_AGE_MINUTES: i64 = 7 * 24 * 60;
/// The most characters of a value that are shown.
const SHOWN_CHARS: usize = 100;

/// Compares the records with all images of the account at Cloudflare, tells what differs, and repairs it if told to.
#[derive(Debug, Args)]
#[command(after_help = "What it looks for:\n\n\
    1. Images that Cloudflare has and that are not recorded. With --apply they are recorded; the owner is the user whose key or name \
    is the `creator` at Cloudflare, else the one that --owner names, else nobody.\n\
    2. Records that say something else than Cloudflare: the status, the time of upload, variants, metadata, creator, privacy, the name of \
    the file where there is none. With --apply they say what Cloudflare says.\n\
    3. Records of uploaded images that are gone at Cloudflare. Each that is not in Cloudflare's list is asked about by itself. They stay, \
    unless --delete-missing says otherwise; what content refers to stays in any case.\n\n\
    Without --apply nothing is changed. With it, Cloudflare is first asked about up to 20 records: where it has fewer than half of their \
    images, it looks like another account, and nothing is changed, unless --trust-account says that it is the right one.\n\n\
    A run that was cut off goes on where it was when the same command is run again; it may go on beside the server and Django. Each \
    thousand images take one call of Cloudflare's API, and each that is not in the list, or that is imported, another one.\n\n\
    The exit code is 0 if the run came to its end and nothing failed; with --check, only if nothing differs any more, too.\n\n\
    Examples:\n  \
    cfimages reconcile-account -v                       tell what differs, image by image\n  \
    cfimages reconcile-account --apply --owner alice    repair; alice gets what no user made\n  \
    cfimages reconcile-account --apply --delete-missing delete records whose image is gone, too\n  \
    cfimages reconcile-account --apply --trust-list     the first import of a large account\n  \
    cfimages reconcile-account --check --json           for monitors")]
pub(super) struct ReconcileAccountArgs {
    #[command(flatten)]
    repairs: Repairs,
    /// End with the exit code 1 if something differs still.
    #[arg(long)]
    check: bool,
    /// Begin anew, even if there is a run to go on with.
    #[arg(long)]
    restart: bool,
    #[command(flatten)]
    output: Output,
}

/// What to do about what differs.
#[derive(Debug, Args)]
struct Repairs {
    /// Record what is not recorded, and repair what differs.
    #[arg(long)]
    apply: bool,
    /// With --apply: delete the records of images that are gone and that no content refers to.
    #[arg(long, requires = "apply")]
    delete_missing: bool,
    /// Who gets images whose creator is no user.
    #[arg(long, value_name = "USER")]
    owner: Option<String>,
    /// Leave images alone that were uploaded less than so many minutes ago: they may be about to be recorded.
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u32).range(0..=MAX_MIN_AGE_MINUTES))]
    min_age: u32,
    #[command(flatten)]
    trust: Trust,
}

/// What not to make sure of.
#[derive(Debug, Args)]
struct Trust {
    /// With --apply: take the account for the right one, though Cloudflare has fewer than half of the recorded images that it is asked about.
    #[arg(long = "trust-account", requires = "apply")]
    account: bool,
    /// With --apply: import what Cloudflare lists without asking about each image: for the first import of a large account.
    #[arg(long = "trust-list", requires = "apply")]
    list: bool,
}

/// What to print.
#[derive(Debug, Args)]
struct Output {
    /// List each image that differs.
    #[arg(short, long)]
    verbose: bool,
    /// Print the figures as one JSON object on a line; with -v, a line with an object for each image that differs before it.
    #[arg(long)]
    json: bool,
}

/// What a run found and did.
#[derive(Serialize)]
struct Summary {
    r#type: &'static str,
    applied: bool,
    #[serde(flatten)]
    figures: AccountFigures,
    /// How many images differ still.
    remaining: u64,
}

impl ReconcileAccountArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let account_id = config.cloudflare()?.account_id.clone();
        let database = open_current(&config).await?;
        let options = self.repairs.options(&database).await?;
        let service = app::build_service(&config, database.clone(), Arc::new(SystemClock))?;
        let reconciler = AccountReconciler::new(service, account_id, options);
        let figures = self.reconcile(&reconciler).await;
        database.close().await;
        let figures = figures?;
        self.print(&figures)?;
        let is_success = figures.failed == 0 && !(self.check && figures.remaining() > 0);
        Ok(if is_success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn reconcile(&self, reconciler: &AccountReconciler) -> anyhow::Result<AccountFigures> {
        const GOES_ON: &str = "stopped; what was done is kept, and the same command goes on from there";
        let mut report = Report { output: &self.output, bar: progress_bar(!self.output.json) };
        let mut observer = |event: AccountRunEvent<'_>| report.note(&event);
        let outcome = tokio::select! {
            outcome = Box::pin(reconciler.run(self.restart, &mut observer)) => Some(outcome),
            Ok(_) = app::stop_signal() => None,
        };
        report.bar.finish_and_clear();
        match outcome {
            Some(Err(error @ (AccountRunError::Busy { .. } | AccountRunError::OtherAccount(_)))) => Err(error.into()),
            Some(outcome) => outcome.context(GOES_ON),
            None => {
                reconciler.release().await.context(GOES_ON)?;
                bail!(GOES_ON)
            }
        }
    }

    fn print(&self, figures: &AccountFigures) -> anyhow::Result<()> {
        if self.output.json {
            let (applied, remaining) = (self.repairs.apply, figures.remaining());
            let summary = Summary { r#type: "summary", applied, figures: *figures, remaining };
            return print_json_line(&summary);
        }
        print_rows(false, &["", "IMAGES", ""], &table(figures), |(what, images, done)| {
            vec![(*what).to_owned(), images.to_string(), done.clone()]
        })?;
        for line in self.advice(figures) {
            print_line(line)?;
        }
        Ok(())
    }

    /// What to do next.
    fn advice(&self, figures: &AccountFigures) -> Vec<&'static str> {
        let mut lines = Vec::new();
        if !self.repairs.apply && figures.different + figures.unrecorded > 0 {
            lines.push("Nothing was changed. --apply repairs the records that differ and records the images that are not recorded.");
        }
        if !self.repairs.delete_missing && figures.missing > 0 {
            lines.push(
                "Records whose image is gone stay. --apply --delete-missing deletes those that no content refers to.",
            );
        }
        if figures.kept > 0 {
            lines.push("Records of images that are gone are kept where content refers to them; -v names them.");
        }
        if figures.unsettled > 0 {
            lines.push("Images that are too new, or that were changed or deleted meanwhile, are for the next run.");
        }
        if figures.failed > 0 {
            lines.push("For some images something failed, as was said above. Run it again once that is settled.");
        }
        if figures.remaining() + figures.unsettled + figures.failed == 0 {
            lines.push("Nothing differs.");
        }
        lines
    }
}

impl Repairs {
    async fn options(&self, database: &Database) -> anyhow::Result<AccountRunOptions> {
        let owner = match &self.owner {
            Some(name) => Some(Accounts::new(database.clone(), Arc::new(SystemClock)).get_user(name).await?.id),
            None => None,
        };
        let Self { apply, delete_missing, min_age: min_age_minutes, trust: Trust { account, list }, .. } = *self;
        let trust = AccountTrust { account, list };
        Ok(AccountRunOptions { apply, delete_missing, owner, min_age_minutes, trust })
    }
}

/// What was found, how often, and what was done about it.
fn table(figures: &AccountFigures) -> Vec<(&'static str, u64, String)> {
    let done = |count: u64, word: &str| if count > 0 { format!("{count} {word}") } else { String::new() };
    let of_missing = [done(figures.deleted, "deleted"), done(figures.kept, "kept")];
    let of_missing: Vec<String> = of_missing.into_iter().filter(|text| !text.is_empty()).collect();
    vec![
        ("at Cloudflare", figures.at_cloudflare + figures.unusable, String::new()),
        ("  recorded, and equal", figures.equal, String::new()),
        ("  recorded, and different", figures.different, done(figures.repaired, "repaired")),
        ("  not recorded", figures.unrecorded, done(figures.imported, "imported")),
        ("  not recorded, to be deleted", figures.being_deleted, String::new()),
        ("  not recordable", figures.unusable, String::new()),
        ("recorded, and gone at Cloudflare", figures.missing, of_missing.join(", ")),
        ("too new, or changed meanwhile", figures.unsettled, String::new()),
        ("failed", figures.failed, String::new()),
    ]
}

/// What is told while a run goes on.
struct Report<'a> {
    output: &'a Output,
    bar: ProgressBar,
}

impl Report<'_> {
    fn note(&mut self, event: &AccountRunEvent<'_>) {
        match event {
            AccountRunEvent::Begun(AccountRunStart::New) => {}
            AccountRunEvent::Begun(AccountRunStart::Resumed(since)) => {
                self.hint(format_args!("going on with the run of {since}; what differed before was told then"));
            }
            AccountRunEvent::Begun(AccountRunStart::Anew) => {
                self.hint(format_args!("a run that was cut off is given up: this one begins anew"));
            }
            AccountRunEvent::Doubted(doubt) => self.bar.suspend(|| {
                print_warning(format_args!(
                    "{doubt}. Check CLOUDFLARE_IMAGES_ACCOUNT_ID and the API token; --apply would be refused"
                ));
            }),
            AccountRunEvent::Listed { images, of } => self.advance("listed", *images, *of),
            AccountRunEvent::Asked { records, of } => self.advance("asked about", *records, *of),
            AccountRunEvent::Waiting(_) => self.bar.set_message("waiting for requests that Cloudflare allows"),
            AccountRunEvent::ListBrokeOff(error) => self.bar.suspend(|| {
                print_warning(format_args!("Cloudflare does not go on with its list, which is read again: {error}"));
            }),
            AccountRunEvent::Found(finding) => self.find(finding),
        }
    }

    fn hint(&self, text: std::fmt::Arguments<'_>) {
        if !self.output.json {
            self.bar.suspend(|| drop(print_line(text)));
        }
    }

    fn advance(&self, what: &'static str, done: u64, of: u64) {
        self.bar.set_message(what);
        self.bar.set_length(of);
        self.bar.set_position(done);
    }

    /// What cannot be printed here is not worth stopping for: the work is done.
    fn find(&self, finding: &AccountFinding) {
        if let AccountFindingKind::Failed(error) | AccountFindingKind::Missing(MissingOutcome::Refused(error)) =
            &finding.kind
        {
            let id = printable(finding.cloudflare_id.as_str());
            self.bar.suspend(|| print_error(format_args!("{id}: {}", with_causes(error))));
        }
        if self.output.verbose {
            self.bar.suspend(|| {
                drop(if self.output.json { print_json_line(&to_json(finding)) } else { print_line(to_text(finding)) });
            });
        }
    }
}

fn to_json(finding: &AccountFinding) -> Value {
    let key = |id: &Option<UserId>| id.map(|id| id.to_string());
    let mut object = match &finding.kind {
        AccountFindingKind::Unrecorded { creator, owner, is_imported } => {
            json!({"finding": "unrecorded", "creator": creator, "owner": key(owner), "imported": is_imported})
        }
        AccountFindingKind::BeingDeleted => json!({"finding": "being_deleted"}),
        AccountFindingKind::Unusable => json!({"finding": "unusable"}),
        AccountFindingKind::Different { fields, is_repaired } => {
            let fields: serde_json::Map<String, Value> = fields
                .iter()
                .map(|field| {
                    let values = json!({"here": field.here, "at_cloudflare": field.at_cloudflare});
                    (field.field.to_owned(), values)
                })
                .collect();
            json!({"finding": "different", "fields": fields, "repaired": is_repaired})
        }
        AccountFindingKind::Missing(outcome) => {
            let (outcome, usages, reason) = match outcome {
                MissingOutcome::Left => ("left", None, None),
                MissingOutcome::Deleted => ("deleted", None, None),
                MissingOutcome::InUse(usages) => ("in_use", Some(*usages), None),
                MissingOutcome::Refused(error) => ("refused", None, Some(with_causes(error))),
            };
            json!({"finding": "missing", "outcome": outcome, "usages": usages, "reason": reason})
        }
        AccountFindingKind::Failed(error) => json!({"finding": "failed", "reason": with_causes(error)}),
    };
    object["type"] = "finding".into();
    object["cloudflare_id"] = finding.cloudflare_id.as_str().into();
    object
}

fn to_text(finding: &AccountFinding) -> String {
    let id = printable(finding.cloudflare_id.as_str());
    match &finding.kind {
        AccountFindingKind::Unrecorded { creator, owner, is_imported } => {
            let creator = creator.as_deref().map_or("none".to_owned(), printable);
            let owner = owner.map_or("nobody".to_owned(), |owner| format!("user {owner}"));
            let did = if *is_imported { "imported for" } else { "would go to" };
            format!("not recorded  {id} (creator: {creator}), {did} {owner}")
        }
        AccountFindingKind::BeingDeleted => format!("to be deleted {id}"),
        AccountFindingKind::Unusable => format!("not usable    {}", cut(&id)),
        AccountFindingKind::Different { fields, is_repaired } => {
            let line = |field: &FieldDifference| {
                let (here, there) = (cut(field.here.as_str()), cut(field.at_cloudflare.as_str()));
                format!("\n  {}: {here} here, {there} at Cloudflare", field.field)
            };
            let fields: String = fields.iter().map(line).collect();
            format!("different     {id}{}{fields}", if *is_repaired { ", repaired" } else { "" })
        }
        AccountFindingKind::Missing(outcome) => {
            let outcome = match outcome {
                MissingOutcome::Left => "left".to_owned(),
                MissingOutcome::Deleted => "deleted".to_owned(),
                MissingOutcome::InUse(usages) => format!("kept: content refers to it {usages} time(s)"),
                MissingOutcome::Refused(_) => "kept: the database does not let it go".to_owned(),
            };
            format!("gone          {id}, {outcome}")
        }
        AccountFindingKind::Failed(_) => format!("failed        {id}"),
    }
}

/// The begin of what is too long for a line.
fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", printable(&text[..end])),
        None => printable(text),
    }
}
