//! Pictures that are somewhere else, brought to Cloudflare and recorded.
//!
//! Neither the process nor an answer of Cloudflare is sure to survive an upload, and nothing may be uploaded twice. So an upload is recorded
//! before it begins, under a key made of where the picture comes from, and with a mark that goes to Cloudflare in the metadata. What
//! is found recorded without an image is looked for at Cloudflare: by its custom id, or by its mark in the list. Only when it is certain that
//! nothing will come of it any more, by the times that [leftovers](super::leftovers) go by, it is uploaded anew.
//!
//! The image, and that its item is done, are recorded in one transaction. A row of the application is made to name it after that; where that
//! does not come about, the next run does it, without an upload.

mod row;
mod source;
mod worker;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info, instrument};
use uuid::Uuid;

use super::{CloudflareService, Error, PictureProblem, SourceUrlError};
use crate::domain::{CloudflareId, ImageId, Timestamp, User};
use crate::store;
use crate::store::host_columns::ResolvedFileColumn;

use row::Item;
use source::SourceReader;
use worker::{Finished, Progress, Worker};

pub use row::{ImportPlace, ImportRow};

/// How long the import is one process's turn. A process that was killed keeps others out for no longer.
const CLAIM_MINUTES: i64 = 1;
/// How often the turn is prolonged.
const CLAIM_RENEWAL: Duration = Duration::from_secs(20);
/// The most items whose outcome is waited for at the end of a run.
const MAX_LATER: usize = 1000;
/// How often an item's outcome is waited for.
const MAX_TRIES: u32 = 3;
/// How often the clock is looked at while that is waited for.
const LOOK_AT_CLOCK: Duration = Duration::from_millis(100);
/// The most users that are remembered.
const MAX_USERS: usize = 10_000;

/// What to do, and how.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Whether it is only told what would be done.
    pub is_dry_run: bool,
    /// How many pictures are under way at once; at least 1.
    pub parallel: usize,
    /// How pictures are come by.
    pub sources: ImportSources,
    /// Whether to import what was imported before, and whose image was deleted since.
    pub again: bool,
    /// The column of the application whose rows the pictures come from.
    pub column: Option<ResolvedFileColumn>,
    /// When it is cancelled nothing more is begun, and what is under way is finished.
    pub stop: CancellationToken,
}

/// How pictures are come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ImportSources {
    /// Whether URLs are fetched from here, those of private networks too, and not by Cloudflare.
    pub fetch: bool,
    /// Whether files that are no pictures are passed over, not failures.
    pub skip_others: bool,
}

/// What became of the rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct ImportFigures {
    /// All rows.
    pub rows: u64,
    /// Pictures that were uploaded, or would be.
    pub imported: u64,
    /// How many bytes these have, as far as that is known: not for those that Cloudflare fetches.
    pub bytes: u64,
    /// Pictures whose upload another run had begun, found at Cloudflare and recorded.
    pub found: u64,
    /// Pictures that were imported before.
    pub already: u64,
    /// Rows that say the same as another one of this run.
    pub repeated: u64,
    /// Files that are no pictures and were passed over.
    pub skipped: u64,
    /// Rows that could not be done.
    pub failed: u64,
}

/// An image that a row has come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedImage {
    /// Its key here.
    pub id: ImageId,
    /// Its key at Cloudflare.
    pub cloudflare_id: CloudflareId,
}

/// What became of a row.
#[derive(Debug)]
pub enum ImportOutcome {
    /// The picture was uploaded and recorded.
    Imported(ImportedImage),
    /// Another run had begun its upload; it was found at Cloudflare and recorded.
    Found(ImportedImage),
    /// It was imported before; without an image if that was deleted since.
    Already(Option<ImportedImage>),
    /// It would be uploaded.
    Importable,
    /// Another row of this run says the same.
    Repeated,
    /// It is no picture, and was passed over.
    Skipped,
    /// It could not be done.
    Failed(ImportProblem),
}

/// Why a row could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ImportProblem {
    /// It could not be read where it is written.
    #[error("{0}")]
    Unreadable(String),
    /// It does not say where the picture is.
    #[error("it names neither a `url` nor a `file`")]
    NoSource,
    /// It says so twice.
    #[error("it names a `url` and a `file`, and only one of them can be imported")]
    TwoSources,
    /// Its URL is none that can be fetched.
    #[error("`url`: {0}")]
    Url(SourceUrlError),
    /// Its URL leads into a private network, where Cloudflare fetches nothing.
    #[error("`url`: Cloudflare fetches from public addresses only. --fetch has it fetched from here")]
    PrivateUrl,
    /// A value of it cannot be used.
    #[error("`{field}`: {problem}")]
    Value {
        /// The column.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Nobody gets the picture.
    #[error("nobody is named who gets the picture: fill its `user`, or pass --user")]
    NoUser,
    /// There is no such user, or several have the name.
    #[error("there is no user {0}, or several have this name")]
    UnknownUser(String),
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(std::io::Error),
    /// The path leads to something else than a file.
    #[error("this is no file")]
    NoFile,
    /// The picture could not be fetched from here.
    #[error("it could not be fetched: {0}")]
    NotFetched(String),
    /// Nobody knows what became of its upload yet.
    #[error("Cloudflare's answers to its upload were lost. Run the import again later: it finds out what became of it")]
    Unclear,
    /// Its image is recorded, and the row of the application says something else by now.
    #[error("its image is {0}, and the row was changed meanwhile, so that it does not name it")]
    RowChanged(CloudflareId),
    /// Its image is recorded, and the row of the application does not take its id.
    #[error("its image is {id}, and the row does not take it: {cause}")]
    RowRefused {
        /// The image.
        id: CloudflareId,
        /// Why.
        cause: Box<store::Error>,
    },
    /// Cloudflare, the database or the file does not allow it.
    #[error(transparent)]
    Upload(#[from] Error),
}

impl From<PictureProblem> for ImportProblem {
    fn from(problem: PictureProblem) -> Self {
        Self::Upload(problem.into())
    }
}

/// What a run tells while it goes on.
#[derive(Debug)]
pub enum ImportEvent<'a> {
    /// This became of a row.
    Done {
        /// The row.
        row: &'a ImportRow,
        /// What became of it; it is committed.
        outcome: &'a ImportOutcome,
    },
    /// It is not certain before then what became of the uploads of some rows, which is waited for.
    Waiting {
        /// How many rows.
        rows: usize,
        /// When it is certain for the first of them.
        until: Timestamp,
    },
}

/// Told of what a run does.
pub type ImportObserver<'a> = dyn FnMut(ImportEvent<'_>) + Send + 'a;

/// Why a run did not come to its end. What was done before stays done, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Another run is at work.
    #[error("another import is at work on this database. If it was killed, try again in {seconds_left} seconds")]
    Busy {
        /// When it counts as ended unless it is heard of again.
        seconds_left: i64,
    },
    /// Another run took over, as this one was not heard of for too long.
    #[error("another import has taken over, as this one was not heard of for {CLAIM_MINUTES} minute(s)")]
    TakenOver,
    /// It was stopped.
    #[error("stopped; what was done is kept, and the same command goes on from there")]
    Stopped,
    /// Something fails for all pictures.
    #[error("stopped; what was done is kept, and the same command goes on from there: {0}")]
    Failed(#[from] Error),
    /// The client to fetch with cannot be made.
    #[error("the HTTP client cannot be set up")]
    Http(#[from] reqwest::Error),
}

impl From<store::Error> for ImportError {
    fn from(error: store::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Brings pictures to Cloudflare and records them. One run at a time; it may go on beside everything else.
#[derive(Debug)]
pub struct Importer {
    service: CloudflareService,
    options: Arc<ImportOptions>,
    /// The name of this process among those that might want their turn.
    claimant: String,
}

impl Importer {
    /// An importer for the account that the service works on. Requests of people go before its own.
    pub fn new(service: &CloudflareService, options: ImportOptions) -> Self {
        Self { service: service.patient(), options: Arc::new(options), claimant: Uuid::new_v4().to_string() }
    }

    /// Makes sure that there is a user with this key or name.
    ///
    /// # Errors
    /// [`ImportProblem::UnknownUser`], or if the database fails.
    pub async fn require_user(&self, user: &str) -> Result<(), ImportProblem> {
        match self.service.find_creator(user).await.map_err(Error::from)? {
            Some(_) => Ok(()),
            None => Err(ImportProblem::UnknownUser(user.to_owned())),
        }
    }

    /// Does the rows as they come; what became of them.
    ///
    /// # Errors
    /// See [`ImportError`].
    #[instrument(name = "service.imports.run", skip_all)]
    pub async fn run(
        &self,
        rows: &mut mpsc::Receiver<ImportRow>,
        observer: &mut ImportObserver<'_>,
    ) -> Result<ImportFigures, ImportError> {
        let reader = SourceReader::new(self.options.sources.fetch)?;
        let worker = Worker::new(self.service.clone(), Arc::clone(&self.options), reader);
        if !self.options.is_dry_run {
            self.claim().await?;
        }
        let mut session = Session::new(self, worker, observer);
        let outcome = Box::pin(session.go_through(rows)).await;
        let figures = session.figures;
        let released = if self.options.is_dry_run { Ok(()) } else { self.release().await };
        // Why a run failed says more than that others have to wait for a minute.
        outcome?;
        released?;
        info!(?figures, "Imported pictures");
        Ok(figures)
    }

    fn now(&self) -> Timestamp {
        self.service.clock.now()
    }

    async fn claim(&self) -> Result<(), ImportError> {
        let now = self.now();
        let mut transaction = self.service.database.begin().await?;
        let claimed_until = now.plus_minutes(CLAIM_MINUTES);
        let is_ours = store::imports::claim(&mut transaction, &self.claimant, now, claimed_until).await?;
        transaction.commit().await?;
        if is_ours {
            return Ok(());
        }
        let until = store::imports::claimed_until(&self.service.database).await?.unwrap_or(now);
        let seconds_left = (until.as_unix_seconds() - now.as_unix_seconds() + 1).max(1);
        Err(ImportError::Busy { seconds_left })
    }

    async fn prolong(&self) -> Result<(), ImportError> {
        let is_ours = self.set_end(self.now().plus_minutes(CLAIM_MINUTES)).await?;
        if is_ours { Ok(()) } else { Err(ImportError::TakenOver) }
    }

    async fn release(&self) -> Result<(), ImportError> {
        Ok(self.set_end(self.now()).await.map(drop)?)
    }

    async fn set_end(&self, claimed_until: Timestamp) -> Result<bool, store::Error> {
        let mut transaction = self.service.database.begin().await?;
        let is_ours = store::imports::prolong(&mut transaction, &self.claimant, claimed_until).await?;
        transaction.commit().await?;
        Ok(is_ours)
    }
}

/// A run.
struct Session<'a, 'o> {
    importer: &'a Importer,
    worker: Worker,
    observer: &'a mut ImportObserver<'o>,
    figures: ImportFigures,
    users: HashMap<String, Option<User>>,
    renewal: Interval,
    under_way: JoinSet<Finished>,
    /// Items whose outcome is not certain before a time.
    later: Vec<(Timestamp, Item)>,
    /// Why the run ends before its time.
    end: Option<ImportError>,
}

impl<'a, 'o> Session<'a, 'o> {
    fn new(importer: &'a Importer, worker: Worker, observer: &'a mut ImportObserver<'o>) -> Self {
        let mut renewal = interval(CLAIM_RENEWAL);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            importer,
            worker,
            observer,
            figures: ImportFigures::default(),
            users: HashMap::new(),
            renewal,
            under_way: JoinSet::new(),
            later: Vec::new(),
            end: None,
        }
    }

    /// Does the rows as they come, then those whose outcome was not certain. What is under way is always finished.
    async fn go_through(&mut self, rows: &mut mpsc::Receiver<ImportRow>) -> Result<(), ImportError> {
        while let Some(Some(row)) = self.wait_for(rows.recv()).await {
            self.take(row).await;
            self.make_room().await;
        }
        loop {
            self.finish(0).await;
            let Some(until) = self.later.iter().map(|(until, _)| *until).min().filter(|_| self.end.is_none()) else {
                break;
            };
            (self.observer)(ImportEvent::Waiting { rows: self.later.len(), until });
            let clock = Arc::clone(&self.importer.service.clock);
            let certain = self.wait_for(async move {
                while clock.now() < until {
                    tokio::time::sleep(LOOK_AT_CLOCK).await;
                }
            });
            if certain.await.is_some() {
                self.take_certain().await;
            }
        }
        self.end.take().map_or(Ok(()), Err)
    }

    /// Waits for something while what is under way goes on; none where the run is to end before it comes.
    async fn wait_for<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        let stop = self.importer.options.stop.clone();
        let mut what = pin!(what);
        while self.end.is_none() {
            tokio::select! {
                biased;
                () = stop.cancelled() => self.end = Some(ImportError::Stopped),
                _ = self.renewal.tick() => self.renew().await,
                Some(finished) = self.under_way.join_next() => self.note(finished),
                arrived = &mut what => return Some(arrived),
            }
        }
        None
    }

    /// Waits until another item may be begun.
    async fn make_room(&mut self) {
        self.finish(self.importer.options.parallel.max(1) - 1).await;
    }

    /// Waits until no more than so many items are under way.
    async fn finish(&mut self, most: usize) {
        while self.under_way.len() > most {
            tokio::select! {
                biased;
                _ = self.renewal.tick() => self.renew().await,
                Some(finished) = self.under_way.join_next() => self.note(finished),
            }
        }
    }

    async fn renew(&mut self) {
        if self.importer.options.is_dry_run {
            return;
        }
        if let Err(error) = self.importer.prolong().await {
            self.end.get_or_insert(error);
        }
    }

    async fn take(&mut self, row: ImportRow) {
        self.figures.rows += 1;
        let owner = match self.owner_of(&row).await {
            Ok(owner) => owner,
            Err(Error::Store(error)) if error.is_transient() => {
                self.end.get_or_insert(error.into());
                return;
            }
            Err(error) => return self.tell(&row, &ImportOutcome::Failed(error.into())),
        };
        match self.worker.read(&row, owner) {
            Ok(item) => self.begin(item),
            Err(problem) => self.tell(&row, &ImportOutcome::Failed(problem)),
        }
    }

    /// The user that a row names, if there is one.
    async fn owner_of(&mut self, row: &ImportRow) -> Result<Option<User>, Error> {
        if row.user.is_empty() {
            return Ok(None);
        }
        if let Some(known) = self.users.get(&row.user) {
            return Ok(known.clone());
        }
        let found = self.importer.service.find_creator(&row.user).await?;
        if self.users.len() >= MAX_USERS {
            self.users.clear();
        }
        self.users.insert(row.user.clone(), found.clone());
        Ok(found)
    }

    fn begin(&mut self, item: Item) {
        let worker = self.worker.clone();
        self.under_way.spawn(async move { worker.import(item).await }.in_current_span());
    }

    /// Takes up the items whose outcome is certain by now.
    async fn take_certain(&mut self) {
        let now = self.importer.now();
        let all = std::mem::take(&mut self.later);
        let (certain, later): (Vec<_>, Vec<_>) = all.into_iter().partition(|(until, _)| *until <= now);
        self.later = later;
        for (_, item) in certain {
            self.begin(item);
            self.make_room().await;
        }
    }

    fn note(&mut self, finished: Result<Finished, JoinError>) {
        let Finished { mut item, progress } = match finished {
            Ok(finished) => finished,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return,
            },
        };
        match progress {
            Progress::Done { outcome, bytes } => {
                self.figures.bytes += bytes;
                self.tell(&item.row, &outcome);
            }
            Progress::Later(_) if item.tries >= MAX_TRIES || self.later.len() >= MAX_LATER => {
                self.tell(&item.row, &ImportOutcome::Failed(ImportProblem::Unclear));
            }
            Progress::Later(until) => {
                item.tries += 1;
                self.later.push((until, item));
            }
            Progress::End(error) => {
                self.end.get_or_insert(error.into());
            }
        }
    }

    fn tell(&mut self, row: &ImportRow, outcome: &ImportOutcome) {
        let figures = &mut self.figures;
        let count = match outcome {
            ImportOutcome::Imported(_) | ImportOutcome::Importable => &mut figures.imported,
            ImportOutcome::Found(_) => &mut figures.found,
            ImportOutcome::Already(_) => &mut figures.already,
            ImportOutcome::Repeated => &mut figures.repeated,
            ImportOutcome::Skipped => &mut figures.skipped,
            ImportOutcome::Failed(_) => &mut figures.failed,
        };
        *count += 1;
        (self.observer)(ImportEvent::Done { row, outcome });
    }
}
