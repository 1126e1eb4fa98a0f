//! `cfimages import`

mod django;
mod folder;
mod list;
mod reports;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::database::open_current;
use super::output::{print_error, print_json_line, print_line, print_rows, print_warning, printable, with_causes};
use super::progress::progress_bar;
use crate::app::{self, SystemClock};
use crate::config::Config;
use crate::service::{
    CloudflareService, ImportError, ImportEvent, ImportFigures, ImportOptions, ImportOutcome, ImportPlace, ImportRow,
    ImportSources, Importer, UsageReconciler,
};
use crate::store::Database;
use crate::store::host_columns::{self, ResolvedFileColumn};

use django::Files;
use reports::{Failures, Mapping};

/// Rows that are read ahead.
const READ_AHEAD: usize = 256;
/// The most pictures that may be under way at once.
const MAX_PARALLEL: i64 = 32;

/// Brings pictures that are elsewhere to Cloudflare, and records them.
#[derive(Debug, Args)]
#[command(
    after_help = "A run that was cut off, even by the power, goes on where it was when the same command is run again: what was \
    done is kept in the database, by where each picture comes from, and nothing is uploaded twice. It may go on beside the server; its \
    calls of Cloudflare's API leave room to those of people.\n\n\
    The exit code is 0 if every picture is at Cloudflare and recorded. --failures writes the others to a list, which can be imported \
    when their reasons are gone.\n\n\
    Examples:\n  \
    cfimages import urls pictures.txt --user alice --dry-run            tell what would be imported, and what refused\n  \
    cfimages import urls pictures.csv --failures failed.csv\n  \
    cfimages import folder ./photos --user alice --mapping images.csv\n  \
    cfimages import django --table shop_product --column photo --media-root /srv/media --write-to photo_id --user shop\n\n\
    docs/import.md tells more."
)]
pub(super) struct ImportArgs {
    #[command(subcommand)]
    from: Source,
}

/// Where the pictures are.
#[derive(Debug, Subcommand)]
enum Source {
    /// A list of URLs, one a line, or of URLs and files, as CSV.
    #[command(
        after_help = "In a list of URLs, empty lines and lines that begin with # are passed over. A list is CSV where its first line \
        names a column `url` or `file`. The others may be left out, and so may their values:\n\n  \
        url       where the picture is; or\n  \
        file      its path, from the folder of the list on\n  \
        id        a custom id for the image, which cannot be private then\n  \
        metadata  what is kept with it: a JSON object\n  \
        creator   Cloudflare's `creator`\n  \
        user      who gets it: a name or a key, in place of --user\n  \
        private   true or false, in place of --private and --public\n  \
        reason    is not looked at: why it failed the last time\n\n\
        URLs are fetched by Cloudflare, so they must be public; with --fetch they are fetched from here.\n\n\
        Examples:\n  \
        cfimages import urls pictures.txt --user alice\n  \
        cfimages import urls pictures.csv --failures failed.csv      then, when the reasons are gone:\n  \
        cfimages import urls failed.csv --failures failed-again.csv\n  \
        find /srv/photos -name '*.jpg' | sed '1i file' | cfimages import urls - --user alice"
    )]
    Urls(UrlsArgs),
    /// All pictures in a folder and the folders within it.
    #[command(
        after_help = "A file is a picture by what is in it, whatever it is called. Other files are passed over, and so are hidden ones \
        and links.\n\n\
        Examples:\n  \
        cfimages import folder ./photos --user alice --public\n  \
        cfimages import folder ./photos --user alice --public --path-as-id    ids such as products/hero.jpg"
    )]
    Folder(FolderArgs),
    /// The pictures of an `ImageField` of Django, whose model is on the same database.
    #[command(
        after_help = "Rows are imported whose path is not empty and, with --write-to, whose other column still is. That column gets the id of \
        the image, as long as the row was not changed meanwhile. Where it is among CFIMAGES_USAGE_SOURCES, usages are brought up to date at the \
        end. Without --write-to, --mapping tells which row has which image.\n\n\
        Examples:\n  \
        cfimages import django --table shop_product --column photo --media-root /srv/media --write-to photo_id --user shop\n  \
        cfimages import django --table shop_product --column photo --base-url https://shop.example/media/ --mapping photos.csv --user shop"
    )]
    Django(DjangoArgs),
}

#[derive(Debug, Args)]
struct UrlsArgs {
    /// The list; - for standard input.
    #[arg(value_name = "FILE")]
    list: PathBuf,
    /// Who gets the pictures: a name or a key.
    #[arg(long)]
    user: Option<String>,
    #[command(flatten)]
    fetch: Fetch,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct FolderArgs {
    /// The folder.
    folder: PathBuf,
    /// Who gets the pictures: a name or a key.
    #[arg(long)]
    user: String,
    /// Make the path of each file in the folder its custom id. Such images cannot be private.
    #[arg(long)]
    path_as_id: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct DjangoArgs {
    #[command(flatten)]
    column: django::HostColumn,
    /// Who gets the pictures: a name or a key.
    #[arg(long)]
    user: String,
    #[command(flatten)]
    fetch: Fetch,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Fetch {
    /// Fetch URLs from here and pass the pictures on, for hosts that Cloudflare cannot reach.
    #[arg(long)]
    fetch: bool,
}

impl Fetch {
    fn sources(&self) -> ImportSources {
        ImportSources { fetch: self.fetch, ..ImportSources::default() }
    }
}

/// What all ways have in common.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    image: ImageArgs,
    /// Tell what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Import pictures again that were imported before, and whose image was deleted since.
    #[arg(long)]
    again: bool,
    /// How many pictures are under way at once.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=MAX_PARALLEL))]
    parallel: u16,
    #[command(flatten)]
    output: Output,
}

/// What the images are like.
#[derive(Debug, Args)]
struct ImageArgs {
    /// Deliver the pictures with signed URLs only, whatever the settings say.
    #[arg(long, conflicts_with = "public")]
    private: bool,
    /// Deliver the pictures to everybody.
    #[arg(long)]
    public: bool,
    /// Cloudflare's `creator`.
    #[arg(long)]
    creator: Option<String>,
    /// What is kept with the images: a JSON object.
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
}

/// What is told.
#[derive(Debug, Args)]
struct Output {
    /// Write the pictures that failed to this file, as CSV that `import urls` reads.
    #[arg(long, value_name = "FILE")]
    failures: Option<PathBuf>,
    /// Write which image each picture has become to this file, as CSV.
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Tell what becomes of each picture.
    #[arg(short, long)]
    verbose: bool,
    /// Print the figures as one JSON object on a line; with -v, a line with an object for each picture before it.
    #[arg(long)]
    json: bool,
}

/// The figures of a run.
#[derive(Serialize)]
struct Summary {
    r#type: &'static str,
    dry_run: bool,
    #[serde(flatten)]
    figures: ImportFigures,
}

/// What rows say where they say nothing themselves.
#[derive(Clone)]
struct Defaults {
    user: String,
    private: &'static str,
    creator: String,
    metadata: String,
}

impl Defaults {
    fn fill(&self, row: ImportRow) -> ImportRow {
        let or = |own: String, default: &str| if own.is_empty() { default.to_owned() } else { own };
        ImportRow {
            user: or(row.user, &self.user),
            private: or(row.private, self.private),
            creator: or(row.creator, &self.creator),
            metadata: or(row.metadata, &self.metadata),
            ..row
        }
    }
}

impl ImportArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        config.cloudflare()?;
        let database = open_current(&config).await?;
        let service = app::build_service(&config, database.clone(), Arc::new(SystemClock))?;
        let outcome = Box::pin(self.from.run(&config, &database, &service)).await;
        service.finish().await;
        database.close().await;
        outcome
    }
}

impl Source {
    async fn run(self, config: &Config, database: &Database, service: &CloudflareService) -> anyhow::Result<ExitCode> {
        match self {
            Self::Urls(UrlsArgs { list, user, fetch, common }) => {
                let name = if is_stdin(&list) { "standard input".to_owned() } else { list.display().to_string() };
                let input = Some(list.clone()).filter(|list| !is_stdin(list));
                let import = Import { sources: fetch.sources(), ..Import::new(service, common, user, name) };
                import.run(input.as_deref(), move |take| read_list(&list, take)).await
            }
            Self::Folder(FolderArgs { folder, user, path_as_id, common }) => {
                let sources = ImportSources { skip_others: true, ..ImportSources::default() };
                let import = Import { sources, ..Import::new(service, common, Some(user), String::new()) };
                let read = move |take: Take<'_>| {
                    let root = folder.canonicalize().unwrap_or_else(|_| folder.clone());
                    folder::read_folder(&folder, |mut row| {
                        if path_as_id {
                            row.id = Path::new(&row.file)
                                .strip_prefix(&root)
                                .unwrap_or(&root)
                                .to_string_lossy()
                                .into_owned();
                        }
                        take(row)
                    })
                };
                import.run(None, read).await
            }
            Self::Django(DjangoArgs { column, user, fetch, common }) => {
                let name = column.table().to_string();
                let import = Import { sources: fetch.sources(), ..Import::new(service, common, Some(user), name) };
                import.run_django(config, database, &column).await
            }
        }
    }
}

/// Takes rows as they are read; says whether it wants more.
type Take<'a> = &'a mut dyn FnMut(ImportRow) -> bool;

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

fn read_list(path: &Path, take: Take<'_>) -> anyhow::Result<()> {
    let (input, folder): (Box<dyn Read>, _) = if is_stdin(path) {
        (Box::new(io::stdin().lock()), Path::new(""))
    } else {
        let file = File::open(path).with_context(|| format!("the list {} cannot be read", path.display()))?;
        (Box::new(file), path.parent().unwrap_or(Path::new("")))
    };
    list::read_list(input, folder, take).with_context(|| path.display().to_string())
}

/// An import as it was asked for.
struct Import<'a> {
    service: &'a CloudflareService,
    common: Common,
    defaults: Defaults,
    /// What people call the place of the rows.
    name: String,
    sources: ImportSources,
}

impl<'a> Import<'a> {
    fn new(service: &'a CloudflareService, common: Common, user: Option<String>, name: String) -> Self {
        let ImageArgs { private, public, creator, metadata } = &common.image;
        let defaults = Defaults {
            user: user.unwrap_or_default(),
            private: if *private {
                "true"
            } else if *public {
                "false"
            } else {
                ""
            },
            creator: creator.clone().unwrap_or_default(),
            metadata: metadata.clone().unwrap_or_default(),
        };
        Self { service, common, defaults, name, sources: ImportSources::default() }
    }

    /// Imports what `read` hands over, which is called twice where it is shown how far it has come. `input` is the file that is read.
    async fn run<F>(self, input: Option<&Path>, read: F) -> anyhow::Result<ExitCode>
    where
        F: Fn(Take<'_>) -> anyhow::Result<()> + Send + Sync + 'static,
    {
        let read = Arc::new(read);
        let report = self.report(input, false)?;
        if !report.bar.is_hidden() && (input.is_some() || self.sources.skip_others) {
            let read = Arc::clone(&read);
            let count = tokio::task::spawn_blocking(move || count(read.as_ref()));
            report.bar.set_length(count.await.context("the pictures cannot be counted")??);
        }
        let (sender, rows) = mpsc::channel(READ_AHEAD);
        let defaults = self.defaults.clone();
        let reading =
            tokio::task::spawn_blocking(move || read(&mut |row| sender.blocking_send(defaults.fill(row)).is_ok()));
        let figures = self.import(rows, reading, None, report).await?;
        self.conclude(&figures)
    }

    async fn run_django(
        self,
        config: &Config,
        database: &Database,
        column: &django::HostColumn,
    ) -> anyhow::Result<ExitCode> {
        let files = column.files()?;
        let resolved = column.resolve(database).await?;
        let report = self.report(None, true)?;
        if !report.bar.is_hidden() {
            report.bar.set_length(host_columns::count(database, &resolved).await?);
        }
        let (sender, rows) = mpsc::channel(READ_AHEAD);
        let reading = tokio::spawn(send_rows(database.clone(), resolved.clone(), files, sender, self.defaults.clone()));
        let figures = self.import(rows, reading, Some(resolved), report).await?;
        if let (Some(written), false) = (&column.write_to, self.common.dry_run) {
            reconcile_usages(config, database, column, written).await?;
        }
        self.conclude(&figures)
    }

    fn report(&self, input: Option<&Path>, has_rows: bool) -> anyhow::Result<Report<'_>> {
        let Output { failures, mapping, json, .. } = &self.common.output;
        Ok(Report {
            import: self,
            bar: progress_bar(!json).with_message("pictures"),
            failures: failures.as_deref().map(|path| Failures::create(path, input, has_rows)).transpose()?,
            mapping: mapping.as_deref().map(|path| Mapping::create(path, input)).transpose()?,
            problem: None,
        })
    }

    /// Imports rows as they are read.
    async fn import(
        &self,
        mut rows: mpsc::Receiver<ImportRow>,
        reading: JoinHandle<anyhow::Result<()>>,
        column: Option<ResolvedFileColumn>,
        mut report: Report<'_>,
    ) -> anyhow::Result<ImportFigures> {
        let stop = CancellationToken::new();
        let options = ImportOptions {
            is_dry_run: self.common.dry_run,
            parallel: self.common.parallel.into(),
            sources: self.sources,
            again: self.common.again,
            column,
            stop: stop.clone(),
        };
        let importer = Importer::new(self.service, options);
        if !self.defaults.user.is_empty() {
            importer.require_user(&self.defaults.user).await?;
        }
        let mut observer = |event: ImportEvent<'_>| report.note(&event);
        let outcome = {
            let mut running = std::pin::pin!(importer.run(&mut rows, &mut observer));
            tokio::select! {
                outcome = &mut running => outcome,
                Ok(_) = app::stop_signal() => {
                    print_warning("stopping as soon as what is under way is done; a second signal ends it at once");
                    stop.cancel();
                    tokio::select! {
                        outcome = &mut running => outcome,
                        Ok(_) = app::stop_signal() => Err(ImportError::Stopped),
                    }
                }
            }
        };
        report.bar.finish_and_clear();
        drop(rows);
        let figures = outcome?;
        let read = reading.await.context("the pictures cannot be read")?;
        if let Err(problem) = read.and(report.problem.take().map_or(Ok(()), Err)) {
            // What was read is done.
            self.print(&figures)?;
            return Err(problem);
        }
        Ok(figures)
    }

    fn conclude(&self, figures: &ImportFigures) -> anyhow::Result<ExitCode> {
        self.print(figures)?;
        Ok(if figures.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, figures: &ImportFigures) -> anyhow::Result<()> {
        let is_dry_run = self.common.dry_run;
        if self.common.output.json {
            let summary = Summary { r#type: "summary", dry_run: is_dry_run, figures: *figures };
            return print_json_line(&summary);
        }
        let imported = if is_dry_run { "would be imported" } else { "imported" };
        let table = [
            (imported, figures.imported, megabytes(figures.bytes)),
            ("found at Cloudflare, of a run that was cut off", figures.found, String::new()),
            ("imported before", figures.already, String::new()),
            ("named twice", figures.repeated, String::new()),
            ("no pictures", figures.skipped, String::new()),
            (if is_dry_run { "would fail" } else { "failed" }, figures.failed, String::new()),
        ];
        print_rows(false, &["", "PICTURES", ""], &table, |(what, count, more)| {
            vec![(*what).to_owned(), count.to_string(), more.clone()]
        })?;
        match (&self.common.output.failures, figures.failed) {
            (_, 0) => Ok(()),
            (Some(path), _) => print_line(format_args!("Those that failed are in {}.", path.display())),
            (None, _) => print_line("--failures FILE writes those that failed to a list."),
        }
    }
}

async fn send_rows(
    database: Database,
    column: ResolvedFileColumn,
    files: Files,
    rows: mpsc::Sender<ImportRow>,
    defaults: Defaults,
) -> anyhow::Result<()> {
    django::send_rows(&database, &column, &files, &rows, |row| defaults.fill(row)).await
}

/// Brings the usages up to date that follow the column which was written to.
async fn reconcile_usages(
    config: &Config,
    database: &Database,
    column: &django::HostColumn,
    written: &str,
) -> anyhow::Result<()> {
    let is_written =
        |source: &&crate::domain::UsageSource| source.table == *column.table() && source.image_column == *written;
    let sources: Vec<_> = config.usages.sources.iter().filter(is_written).cloned().collect();
    if !sources.is_empty() {
        UsageReconciler::new(database.clone(), Arc::new(SystemClock)).run(&sources, false, |_| {}).await?;
    }
    Ok(())
}

fn count(read: &dyn Fn(Take<'_>) -> anyhow::Result<()>) -> anyhow::Result<u64> {
    let mut count = 0;
    read(&mut |_| {
        count += 1;
        true
    })?;
    Ok(count)
}

fn megabytes(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        1..100_000 => format!("{bytes} bytes"),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

/// What is told while an import goes on.
struct Report<'a> {
    import: &'a Import<'a>,
    bar: ProgressBar,
    failures: Option<Failures>,
    mapping: Option<Mapping>,
    /// Why a file could not be written; the import goes on to its end.
    problem: Option<anyhow::Error>,
}

impl Report<'_> {
    fn note(&mut self, event: &ImportEvent<'_>) {
        match event {
            ImportEvent::Waiting { rows, until } => self.bar.suspend(|| {
                print_warning(format_args!(
                    "what became of the upload of {rows} picture(s) is not certain before {until}, which is waited for"
                ));
            }),
            ImportEvent::Done { row, outcome } => {
                self.bar.inc(1);
                self.tell(row, outcome);
                if let Err(problem) = self.write(row, outcome) {
                    self.problem.get_or_insert(problem);
                }
            }
        }
    }

    fn write(&mut self, row: &ImportRow, outcome: &ImportOutcome) -> anyhow::Result<()> {
        match (outcome, &mut self.failures, &mut self.mapping) {
            (ImportOutcome::Failed(problem), Some(failures), _) => failures.write(row, &with_causes(problem)),
            (
                ImportOutcome::Imported(image) | ImportOutcome::Found(image) | ImportOutcome::Already(Some(image)),
                _,
                Some(mapping),
            ) => mapping.write(row, image),
            _ => Ok(()),
        }
    }

    /// What cannot be printed here is not worth stopping for: the work is done.
    fn tell(&self, row: &ImportRow, outcome: &ImportOutcome) {
        let Output { verbose, json, .. } = self.import.common.output;
        let place = self.place_of(row);
        let (word, image) = match outcome {
            ImportOutcome::Imported(image) => ("imported", Some(image)),
            ImportOutcome::Found(image) => ("found", Some(image)),
            ImportOutcome::Already(image) => ("already", image.as_ref()),
            ImportOutcome::Importable => ("importable", None),
            ImportOutcome::Repeated => ("repeated", None),
            ImportOutcome::Skipped => ("skipped", None),
            ImportOutcome::Failed(problem) => {
                self.bar.suspend(|| print_error(format_args!("{place}: {}", with_causes(problem))));
                ("failed", None)
            }
        };
        if verbose {
            let id = image.map(|image| image.cloudflare_id.as_str());
            let print = || {
                if json {
                    let line = json!({"type": "picture", "outcome": word, "place": place, "cloudflare_id": id});
                    return print_json_line(&line);
                }
                let became = id.map(|id| format!(" -> {}", printable(id))).unwrap_or_default();
                print_line(format_args!("{word:<10} {place}{became}"))
            };
            self.bar.suspend(|| drop(print()));
        }
    }

    /// Where a row is written. URLs are left out, as they may hold passwords.
    fn place_of(&self, row: &ImportRow) -> String {
        let name = &self.import.name;
        match &row.place {
            ImportPlace::Line(line) => format!("{name}, line {line}"),
            ImportPlace::Folder => printable(&row.file),
            ImportPlace::Row(host) => format!("{name} {} ({})", printable(&host.key), printable(&host.path)),
        }
    }
}
