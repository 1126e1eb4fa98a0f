//! One process's part of a run: through Cloudflare's list, then through what was not in it.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use reqwest::StatusCode;
use tracing::{info, warn};

use super::changes::{Plan, Survey, is_settled};
use super::differences::compare;
use super::{
    AccountFinding, AccountFindingKind, AccountReconciler, AccountRunError, AccountRunEvent, AccountRunObserver,
    AccountRunOptions, MissingOutcome, Run,
};
use crate::cloudflare::{
    self, ImageDetails, ImageListFilter, ImagePage, ImagePages, ListedImage, PageToken, UploadOrder,
};
use crate::domain::{AccountFigures, CloudflareId, DeletionReason, Image, ImageKeys, Timestamp, UserId};
use crate::service::Error;
use crate::service::leftovers::fits;
use crate::service::retry::retry;
use crate::store::images::ExpectedImage;
use crate::store::{self, CloudflareIdSet};

/// Images that are changed in one transaction.
const CHUNK: usize = 250;
/// Records that are looked through in one go.
const BATCH: u32 = 2000;
/// How often to wait for a single answer: about an hour.
const MAX_WAITS: u32 = 12;
/// How long to wait for requests where nobody says.
const USUAL_WAIT: Duration = Duration::from_mins(1);
/// The longest wait in one go, however long Cloudflare wants to be left alone.
const LONGEST_WAIT: Duration = Duration::from_mins(10);
/// The most creators whose users are remembered.
const MAX_CREATORS: usize = 10_000;

pub(super) struct Session<'a, 'o> {
    pub(super) reconciler: &'a AccountReconciler,
    pub(super) run: Run,
    creators: HashMap<String, Option<UserId>>,
    pub(super) observer: &'a mut AccountRunObserver<'o>,
}

/// What Cloudflare says of one image.
pub(super) enum Answer {
    /// It has the image.
    Found(Box<ImageDetails>),
    /// It does not have the image.
    Gone,
    /// Nothing that can be used.
    Unclear(Error),
}

impl<'a, 'o> Session<'a, 'o> {
    pub(super) fn new(reconciler: &'a AccountReconciler, run: Run, observer: &'a mut AccountRunObserver<'o>) -> Self {
        Self { reconciler, run, creators: HashMap::new(), observer }
    }

    pub(super) fn into_run(self) -> Run {
        self.run
    }

    pub(super) fn database(&self) -> &'a store::Database {
        &self.reconciler.service.database
    }

    /// Compares all images of Cloudflare's list with their records, from where the run has come to.
    ///
    /// Where Cloudflare does not go on with its list, as the place in it is too old, it is read from its beginning again, as long
    /// as that brings images that were not seen before.
    pub(super) async fn read_list(&mut self) -> Result<(), AccountRunError> {
        let records = store::images::count(self.database()).await?;
        let mut pages = self.pages();
        let mut brings_new = true;
        while !self.run.row.is_listed {
            let asked_at = self.reconciler.now();
            match self.ask(async || pages.next_page().await).await? {
                Ok(Some(page)) => {
                    let before = self.run.figures.at_cloudflare;
                    self.read_page(page, asked_at, records).await?;
                    brings_new |= self.run.figures.at_cloudflare > before;
                }
                Ok(None) => self.turn_page(None, 0).await?,
                Err(cause) if brings_new && self.run.row.continuation_token.is_some() && is_about_place(&cause) => {
                    warn!(error = %cause, "Cloudflare does not go on with its list, which is read again: {cause}");
                    (self.observer)(AccountRunEvent::ListBrokeOff(&cause));
                    brings_new = false;
                    self.run.row.continuation_token = None;
                    pages = self.pages();
                }
                Err(cause) => return Err(AccountRunError::Cloudflare { operation: "Failed to list images", cause }),
            }
        }
        Ok(())
    }

    /// Asks Cloudflare. Where the requests of these minutes are used up, it waits: so large an account takes more of them.
    async fn ask<T>(
        &mut self,
        mut call: impl AsyncFnMut() -> Result<T, cloudflare::Error>,
    ) -> Result<Result<T, cloudflare::Error>, AccountRunError> {
        for _ in 0..MAX_WAITS {
            let answer = self.reconciler.holding(&self.run, Box::pin(call())).await?;
            let Some(wait) = answer.as_ref().err().and_then(|error| self.wait_after(error)) else { return Ok(answer) };
            info!(wait.seconds = wait.as_secs(), "Waiting for requests to Cloudflare: {} s", wait.as_secs());
            (self.observer)(AccountRunEvent::Waiting(wait));
            self.reconciler.holding(&self.run, tokio::time::sleep(wait)).await?;
        }
        self.reconciler.holding(&self.run, Box::pin(call())).await
    }

    /// Asks Cloudflare for one image. What goes wrong for other images likely, too, is an error.
    pub(super) async fn ask_for(&mut self, id: &CloudflareId) -> Result<Answer, AccountRunError> {
        const OPERATION: &str = "Failed to get image";
        let client = &self.reconciler.client;
        match self.ask(async || client.get_image(id).await).await? {
            Ok(details) => Ok(Answer::Found(Box::new(details))),
            Err(cause) if cause.is_not_found() => Ok(Answer::Gone),
            Err(cause) if is_about_image(&cause) => {
                Ok(Answer::Unclear(Error::Cloudflare { operation: OPERATION, cause }))
            }
            Err(cause) => Err(AccountRunError::Cloudflare { operation: OPERATION, cause }),
        }
    }

    /// How long to wait where there were too many requests.
    fn wait_after(&self, error: &cloudflare::Error) -> Option<Duration> {
        match error {
            cloudflare::Error::RateLimited { wait } => Some((*wait).min(LONGEST_WAIT)),
            cloudflare::Error::Status { status: StatusCode::TOO_MANY_REQUESTS, .. } => {
                Some(self.reconciler.client.health().paused_for).filter(|wait| !wait.is_zero()).or(Some(USUAL_WAIT))
            }
            _ => None,
        }
    }

    fn pages(&self) -> ImagePages {
        // What is uploaded meanwhile then comes last.
        let filter = ImageListFilter { order: UploadOrder::OldestFirst, ..ImageListFilter::default() };
        let start = self.run.row.continuation_token.clone().map(PageToken::new);
        self.reconciler.client.list_images(filter, start)
    }

    async fn read_page(
        &mut self,
        page: ImagePage<PageToken>,
        asked_at: Timestamp,
        records: u64,
    ) -> Result<(), AccountRunError> {
        let (usable, unusable): (Vec<_>, Vec<_>) = page.images.iter().partition(|image| image.id.is_storable());
        for chunk in usable.chunks(CHUNK) {
            self.reconcile(chunk, asked_at).await?;
            let images = self.run.figures.at_cloudflare;
            (self.observer)(AccountRunEvent::Listed { images, of: records.max(images) });
        }
        self.turn_page(page.next, page.unreadable + unusable.len()).await?;
        for image in unusable {
            self.tell(&image.id, AccountFindingKind::Unusable);
        }
        Ok(())
    }

    /// Records that a page is done.
    async fn turn_page(&mut self, next: Option<PageToken>, unusable: usize) -> Result<(), AccountRunError> {
        let row = &mut self.run.row;
        row.is_listed = next.is_none();
        row.continuation_token = next.map(|token| token.as_str().to_owned());
        self.run.figures.unusable += u64::try_from(unusable).unwrap_or(u64::MAX);
        self.reconciler.save(&self.run).await
    }

    /// Compares images with their records, and does what is to be done.
    async fn reconcile(&mut self, images: &[&ListedImage], asked_at: Timestamp) -> Result<(), AccountRunError> {
        let images = self.reconciler.unseen(images).await?;
        if images.is_empty() {
            return Ok(());
        }
        let surveys = self.survey(&images, asked_at).await?;
        let AccountRunOptions { apply, trust, .. } = self.reconciler.options;
        let (imports, others): (Vec<_>, Vec<_>) =
            surveys.into_iter().partition(|survey| apply && !trust.list && matches!(survey.plan, Plan::Import { .. }));
        if !others.is_empty() {
            self.record(&others).await?;
        }
        for import in imports {
            self.import_confirmed(import.image).await?;
        }
        Ok(())
    }

    /// Imports an image if Cloudflare, asked for it at this very moment, has it: its list may be behind by minutes, and what has just
    /// been deleted, here and there, must not come back as a record without a picture.
    async fn import_confirmed(&mut self, image: &ListedImage) -> Result<(), AccountRunError> {
        let plan = match self.ask_for(&image.id).await? {
            Answer::Found(details) if !self.is_too_new(&details, self.reconciler.now()) => {
                let owner = self.owner_of(&details).await?;
                Plan::Import { owner, confirmed: Some(details) }
            }
            Answer::Found(_) | Answer::Gone => Plan::Wait,
            Answer::Unclear(error) => {
                self.run.figures.at_cloudflare += 1;
                return self.fail(&image.id, error).await;
            }
        };
        self.record(&[Survey { image, plan }]).await
    }

    /// Does what is planned for some images.
    async fn record(&mut self, surveys: &[Survey<'_>]) -> Result<(), AccountRunError> {
        let (reconciler, run) = (self.reconciler, &self.run);
        match retry(AccountRunError::may_pass, || reconciler.record(run, surveys)).await {
            Ok(recorded) => self.note(recorded),
            Err(AccountRunError::Images(error)) if !error.is_transient() => self.record_one_by_one(surveys).await?,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Finds out which images the database does not take, and goes on with the others.
    async fn record_one_by_one(&mut self, surveys: &[Survey<'_>]) -> Result<(), AccountRunError> {
        for survey in surveys {
            let (reconciler, run) = (self.reconciler, &self.run);
            match retry(AccountRunError::may_pass, || reconciler.record(run, std::slice::from_ref(survey))).await {
                Ok(recorded) => self.note(recorded),
                Err(AccountRunError::Images(error)) if !error.is_transient() => {
                    self.run.figures.at_cloudflare += 1;
                    self.fail(&survey.image.id, error).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Plans what is to be done about images. Reads only.
    async fn survey<'i>(
        &mut self,
        images: &[&'i ListedImage],
        asked_at: Timestamp,
    ) -> Result<Vec<Survey<'i>>, AccountRunError> {
        let now = self.reconciler.now();
        let ids = images.iter().map(|image| &image.id).collect::<CloudflareIdSet>();
        let records = store::images::find_by_cloudflare_ids(self.database(), &ids).await?;
        let mut records: HashMap<CloudflareId, Image> =
            records.into_iter().map(|record| (record.cloudflare_id.clone(), record)).collect();
        let leaving = store::pending_deletions::among(self.database(), &ids).await?;
        let renamed = store::pending_deletions::list_marks(self.database(), &DeletionReason::IdUnsure).await?;
        let mut surveys = Vec::with_capacity(images.len());
        for &image in images {
            let plan = match records.remove(&image.id) {
                Some(record) => plan_for(record, image, asked_at, now),
                None if leaving.contains(&image.id) => Plan::LeaveToDeletion,
                // It may be a recorded image under an id that it has got just now.
                None if renamed.iter().any(|marks| marks.uploaded_from.is_some() && fits(marks, &image.details)) => {
                    Plan::Wait
                }
                None if self.is_too_new(&image.details, now) => Plan::Wait,
                None => Plan::Import { owner: self.owner_of(&image.details).await?, confirmed: None },
            };
            surveys.push(Survey { image, plan });
        }
        Ok(surveys)
    }

    fn is_too_new(&self, details: &ImageDetails, now: Timestamp) -> bool {
        let newest = now.plus_minutes(-i64::from(self.reconciler.options.min_age_minutes));
        details.is_draft || details.uploaded.is_some_and(|uploaded| uploaded > newest)
    }

    /// The user that the creator of an image is, or else who gets what nobody made.
    async fn owner_of(&mut self, details: &ImageDetails) -> Result<Option<UserId>, AccountRunError> {
        let otherwise = self.reconciler.options.owner;
        let Some(creator) = &details.creator else { return Ok(otherwise) };
        if let Some(known) = self.creators.get(creator) {
            return Ok(known.or(otherwise));
        }
        let found = self.reconciler.service.find_creator(creator).await?.map(|user| user.id);
        if self.creators.len() >= MAX_CREATORS {
            self.creators.clear();
        }
        self.creators.insert(creator.clone(), found);
        Ok(found.or(otherwise))
    }

    /// Asks Cloudflare about the uploaded images that were not in its list.
    pub(super) async fn ask_about_unlisted(&mut self) -> Result<(), AccountRunError> {
        let before = self.settled_before();
        let of = self.run.figures.asked + self.count_unlisted(before).await?;
        loop {
            let batch = store::images::list_expected(self.database(), before, self.run.row.checked_from, BATCH).await?;
            for keys in self.unlisted(&batch).await? {
                self.ask_about(keys).await?;
                (self.observer)(AccountRunEvent::Asked { records: self.run.figures.asked, of });
            }
            let Some(next) = batch.last().and_then(|last| last.keys.id.following()) else { return Ok(()) };
            self.run.row.checked_from = next;
            self.reconciler.save(&self.run).await?;
        }
    }

    /// What was uploaded before then ought to be found at Cloudflare everywhere.
    pub(super) fn settled_before(&self) -> Timestamp {
        self.run.row.started_at.plus_minutes(-i64::from(self.reconciler.options.min_age_minutes))
    }

    async fn count_unlisted(&self, before: Timestamp) -> Result<u64, AccountRunError> {
        let (mut count, mut from) = (0, Some(self.run.row.checked_from));
        while let Some(start) = from {
            let batch = store::images::list_expected(self.database(), before, start, BATCH).await?;
            count += self.unlisted(&batch).await?.len();
            from = batch.last().and_then(|last| last.keys.id.following());
        }
        Ok(u64::try_from(count).unwrap_or(u64::MAX))
    }

    /// Those of a batch that ought to be at Cloudflare, and were not in its list.
    async fn unlisted<'k>(&self, batch: &'k [ExpectedImage]) -> Result<Vec<&'k ImageKeys>, AccountRunError> {
        let expected = || batch.iter().filter(|image| image.is_expected).map(|image| &image.keys);
        let ids = expected().map(|keys| &keys.cloudflare_id).collect::<CloudflareIdSet>();
        let listed: HashSet<CloudflareId> =
            store::account_runs::seen_among(self.database(), &ids).await?.into_iter().collect();
        Ok(expected().filter(|keys| !listed.contains(&keys.cloudflare_id)).collect())
    }

    async fn ask_about(&mut self, keys: &ImageKeys) -> Result<(), AccountRunError> {
        let asked_at = self.reconciler.now();
        let answer = self.ask_for(&keys.cloudflare_id).await?;
        self.run.figures.asked += 1;
        self.run.row.checked_from = keys.id.following().unwrap_or(keys.id);
        match answer {
            Answer::Found(details) => {
                let image = ListedImage { id: keys.cloudflare_id.clone(), details: *details };
                self.reconcile(&[&image], asked_at).await
            }
            Answer::Gone => self.settle_missing(keys, asked_at).await,
            Answer::Unclear(error) => self.fail(&keys.cloudflare_id, error).await,
        }
    }

    /// Tells that an image is gone, and deletes its record where that was asked for.
    async fn settle_missing(&mut self, keys: &ImageKeys, asked_at: Timestamp) -> Result<(), AccountRunError> {
        let ids = CloudflareIdSet::from_iter([&keys.cloudflare_id]);
        let is_looked_for = !store::pending_deletions::among(self.database(), &ids).await?.is_empty();
        let outcome = if is_looked_for {
            None
        } else if self.reconciler.options.delete_missing {
            let mut deleted = self.run.clone();
            deleted.figures.missing += 1;
            deleted.figures.deleted += 1;
            let reconciler = self.reconciler;
            retry(AccountRunError::may_pass, || reconciler.delete_missing(&deleted, keys, asked_at)).await?
        } else {
            // An image may get another id when its privacy changes.
            let record = store::images::find_by_cloudflare_id(self.database(), &keys.cloudflare_id).await?;
            record.filter(|record| is_settled(record, asked_at)).map(|_| MissingOutcome::Left)
        };
        let figures = &mut self.run.figures;
        match &outcome {
            None => figures.unsettled += 1,
            Some(MissingOutcome::Left) => figures.missing += 1,
            Some(MissingOutcome::Deleted) => {
                figures.missing += 1;
                figures.deleted += 1;
            }
            Some(MissingOutcome::InUse(_)) => {
                figures.missing += 1;
                figures.kept += 1;
            }
            Some(MissingOutcome::Refused(_)) => {
                figures.missing += 1;
                figures.failed += 1;
            }
        }
        if !matches!(outcome, Some(MissingOutcome::Deleted)) {
            self.reconciler.save(&self.run).await?;
        }
        if let Some(outcome) = outcome {
            self.tell(&keys.cloudflare_id, AccountFindingKind::Missing(outcome));
        }
        Ok(())
    }

    /// Takes over what is committed, and tells of it.
    fn note(&mut self, (figures, findings): (AccountFigures, Vec<AccountFinding>)) {
        self.run.figures = figures;
        for finding in &findings {
            (self.observer)(AccountRunEvent::Found(finding));
        }
    }

    async fn fail(&mut self, id: &CloudflareId, error: Error) -> Result<(), AccountRunError> {
        self.run.figures = self.reconciler.record_failure(&self.run, id).await?;
        self.tell(id, AccountFindingKind::Failed(error));
        Ok(())
    }

    fn tell(&mut self, id: &CloudflareId, kind: AccountFindingKind) {
        (self.observer)(AccountRunEvent::Found(&AccountFinding { cloudflare_id: id.clone(), kind }));
    }
}

fn plan_for(record: Image, image: &ListedImage, asked_at: Timestamp, now: Timestamp) -> Plan {
    if image.details.is_draft || record.updated_at > asked_at {
        return Plan::Wait;
    }
    match compare(&record, &image.details, now) {
        Some(differences) => Plan::Repair(Box::new((record, differences))),
        None => Plan::Nothing,
    }
}

/// Whether Cloudflare has something against the place in the list, or the list makes no sense from there on.
fn is_about_place(error: &cloudflare::Error) -> bool {
    matches!(error, cloudflare::Error::Malformed(_) | cloudflare::Error::Unsuccessful { .. }) || is_about_request(error)
}

/// Whether an error says nothing of other images.
fn is_about_image(error: &cloudflare::Error) -> bool {
    matches!(error, cloudflare::Error::UnusableId) || error.is_malformed() || is_about_request(error)
}

/// Whether Cloudflare refuses what it was asked for, and not who asks, or how often.
fn is_about_request(error: &cloudflare::Error) -> bool {
    let cloudflare::Error::Status { status, .. } = error else { return false };
    let is_about_caller =
        [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS]
            .contains(status);
    status.is_client_error() && !is_about_caller
}
