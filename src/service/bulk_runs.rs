//! What staff have done with many images in the background.
//!
//! A run is recorded first, and worked on by the job of whichever instance comes first, some images at a time. It survives that the instance
//! is killed: the next one goes on with the images that were in hand, and as each action may be done again, no image is harmed by that.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tracing::{Instrument, debug, info, instrument, warn};
use uuid::Uuid;

use super::staff_actions::StaffOutcome;
use super::{CloudflareService, Error};
use crate::domain::{
    BrowseFrom, BrowseOrder, BulkFailure, BulkRun, BulkSelection, BulkState, BulkStep, ImageFilter, ImageId,
    ImageQuery, ImagesInHand, StaffAction, User,
};
use crate::metrics::JobKind;
use crate::store;

/// How many images are taken in hand in one go.
const IN_HAND: u32 = 20;
/// How many images are done at once.
const AT_ONCE: usize = 4;
/// How long images are begun with before what became of them is recorded.
const STEP: Duration = Duration::from_secs(10);
/// How long a run is somebody's own; after a crash somebody else goes on when it is over.
const CLAIM_SECONDS: i64 = 60;
/// How often that is prolonged, and found out whether somebody stopped the run.
const PROLONG_EVERY: Duration = Duration::from_secs(2);
/// How often in a row nothing may get done, with pauses that grow, until the image that is next counts as one that cannot be done.
const MAX_ATTEMPTS: i32 = 10;
/// How long a run is kept after its end.
const KEEP_DAYS: u32 = 30;
/// How long a run may wait before it is told that no server works on it.
const PATIENCE_SECONDS: i64 = 60;
/// The longest that a server which does jobs leaves all of them alone, after failures.
const PAUSE_MINUTES: i64 = 7;
const TOO_MANY: &str = "The database took too long to find the next images. Begin again with a narrower selection.";
/// How much of a name is kept with a failure.
const MAX_NAME_CHARS: usize = 255;

/// What was done for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkProgress {
    /// The run.
    pub run: i64,
    /// How many images had their turn.
    pub settled: i64,
}

/// What became of one image.
enum Settled {
    Done,
    Unchanged,
    Failed(BulkFailure),
    /// It is to be tried again: the reason has nothing to do with this image.
    Postponed(ImageId, Error),
}

impl CloudflareService {
    /// How many images meet the conditions, by looking at them; no more than `limit` are counted.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn count_images_up_to(&self, query: &ImageQuery, limit: u64) -> Result<u64, Error> {
        Ok(store::browsing::count_up_to(&self.database, query, limit).await?)
    }

    /// Has an action done with all images of a selection in the background; the number of the run. Runs that ended a month ago are
    /// forgotten.
    ///
    /// # Errors
    /// If the database fails.
    #[instrument(name = "service.bulk_runs.start", skip_all)]
    pub async fn start_bulk_run(
        &self,
        action: &StaffAction,
        selection: &BulkSelection,
        staff: &User,
    ) -> Result<i64, Error> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        store::bulk_runs::delete_old(&mut transaction, now.minus_days(KEEP_DAYS)).await?;
        let run = store::bulk_runs::insert(&mut transaction, action, selection, staff, now).await?;
        transaction.commit().await?;
        info!(user.name = ?staff.username, run, action = action.as_str(), "{:?} of the staff began run {run}: {}",
            staff.username, action.as_str());
        Ok(run)
    }

    /// A run.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn find_bulk_run(&self, run: i64) -> Result<BulkRun, Error> {
        store::bulk_runs::find(&self.database, run).await?.ok_or(Error::NotFound)
    }

    /// The latest runs before one, at most `limit`.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_bulk_runs(&self, before: Option<i64>, limit: u32) -> Result<Vec<BulkRun>, Error> {
        Ok(store::bulk_runs::list(&self.database, before, limit).await?)
    }

    /// The images that a run could not do, by name: the first thousand that failed.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_bulk_failures(&self, run: i64) -> Result<Vec<BulkFailure>, Error> {
        Ok(store::bulk_runs::list_failures(&self.database, run).await?)
    }

    /// Whether a run waits though nothing is wrong with it, and nobody works on any other: no server does jobs.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn is_left_alone(&self, run: &BulkRun) -> Result<bool, Error> {
        let now = self.clock.now();
        let since = run.claimed_until.unwrap_or(run.created_at);
        if !run.is_open() || !run.last_error.is_empty() || now < since.plus_seconds(PATIENCE_SECONDS) {
            return Ok(false);
        }
        let last_claim = store::bulk_runs::last_claim(&self.database).await?;
        Ok(last_claim.is_none_or(|claim| claim.plus_minutes(PAUSE_MINUTES) < now))
    }

    /// Stops a run; what was begun with is still done and counted. One that has ended stays as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such run.
    #[instrument(name = "service.bulk_runs.stop", skip_all, fields(run))]
    pub async fn stop_bulk_run(&self, run: i64, staff: &User) -> Result<(), Error> {
        self.find_bulk_run(run).await?;
        let reason = format!("{} stopped it.", staff.username);
        if self.end_run(run, None, BulkState::Stopped, &reason).await? {
            info!(user.name = ?staff.username, run, "{:?} of the staff stopped run {run}", staff.username);
        }
        Ok(())
    }

    /// Has the images tried again that a run could not do, as many as are known, and as far as they meet its conditions still; the number of
    /// the new run.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such run, it has not ended, or nothing failed.
    #[instrument(name = "service.bulk_runs.retry", skip_all, fields(run))]
    pub async fn retry_bulk_failures(&self, run: i64, staff: &User) -> Result<i64, Error> {
        let run = self.find_bulk_run(run).await?;
        let failures = self.list_bulk_failures(run.id).await?;
        if run.is_open() || failures.is_empty() {
            return Err(Error::NotFound);
        }
        let query = only(&run.selection.query, failures.iter().map(|failure| failure.image_id).collect());
        self.start_bulk_run(&run.action, &BulkSelection { query, list: String::new() }, staff).await
    }

    /// Works on a run that nobody is at, the one that has waited longest: on some images, or until `is_stopping`. None where there is
    /// nothing to do. Several instances may do so at the same time. Nobody waits for it.
    ///
    /// # Errors
    /// The first failure that has nothing to do with an image: Cloudflare or the database is not to be had. The images that are concerned
    /// will be tried again.
    #[instrument(name = "service.bulk_runs.work", skip_all)]
    pub async fn work_on_bulk_run(&self, is_stopping: impl Fn() -> bool) -> Result<Option<BulkProgress>, Error> {
        if !store::bulk_runs::is_any_free(&self.database, self.clock.now()).await? {
            return Ok(None);
        }
        let claimant = Uuid::new_v4().simple().to_string();
        let Some(run) = self.claim_run(&claimant).await? else { return Ok(None) };
        let Some(staff) = self.find_actor(&run).await? else {
            let reason = format!("{} is no member of the staff any more.", run.username);
            self.end_run(run.id, Some(&claimant), BulkState::Stopped, &reason).await?;
            return Ok(Some(BulkProgress { run: run.id, settled: 0 }));
        };
        let images = match self.take_in_hand(&run, &claimant).await {
            Ok(images) => images.unwrap_or_default(),
            // It would take as long the next time, and nobody else's run would have its turn.
            Err(Error::Store(error)) if error.is_statement_timeout() => {
                self.end_run(run.id, Some(&claimant), BulkState::Stopped, TOO_MANY).await?;
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        if images.is_empty() {
            return Ok(Some(BulkProgress { run: run.id, settled: 0 }));
        }
        let (step, failure) = self.do_images(&run, &claimant, images, &staff, is_stopping).await;
        let settled = step.settled();
        self.record_step(&run, &claimant, &step).await?;
        failure.map_or(Ok(Some(BulkProgress { run: run.id, settled })), Err)
    }

    async fn claim_run(&self, claimant: &str) -> Result<Option<BulkRun>, Error> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let claimed_until = now.plus_seconds(CLAIM_SECONDS);
        let run = store::bulk_runs::claim(&mut transaction, claimant, now, claimed_until).await?;
        transaction.commit().await?;
        Ok(run)
    }

    /// Who has a run done, as they are now: they may have been dismissed since.
    async fn find_actor(&self, run: &BulkRun) -> Result<Option<User>, Error> {
        let Some(id) = self.database.user_key().read(&run.user_key) else { return Ok(None) };
        let user = store::users::find(&self.database, id).await?;
        Ok(user.filter(|user| user.is_active && user.is_staff))
    }

    /// The images that are to be done next: those that somebody had in hand and did not come to an end with, or else the next ones. None
    /// where all had their turn; the run has come to its end then.
    async fn take_in_hand(&self, run: &BulkRun, claimant: &str) -> Result<Option<Vec<ImageId>>, Error> {
        if !run.in_hand.0.is_empty() {
            return Ok(Some(run.in_hand.0.clone()));
        }
        if run.total.is_none() && run.position().is_none() {
            self.count_total(run, claimant).await?;
        }
        let from = run.position().map_or(BrowseFrom::Start, BrowseFrom::After);
        let query = &run.selection.query;
        let images = store::browsing::list(&self.database, query, BrowseOrder::OLDEST_FIRST, from, IN_HAND).await?;
        let Some(last) = images.last() else {
            if self.end_run(run.id, Some(claimant), BulkState::Done, "").await? {
                info!(
                    run = run.id,
                    "Run {} has come to its end: {} done, {} unchanged, {} failed",
                    run.id,
                    run.done,
                    run.unchanged,
                    run.failed
                );
            }
            return Ok(None);
        };
        let position = BrowseOrder::OLDEST_FIRST.position(last);
        let in_hand = ImagesInHand(images.iter().map(|image| image.id).collect());
        let mut transaction = self.database.begin().await?;
        let is_ours = store::bulk_runs::take(&mut transaction, run.id, claimant, &in_hand, position).await?;
        transaction.commit().await?;
        Ok(is_ours.then_some(in_hand.0))
    }

    /// Counts the images of a run, so that people see how far it is. Where that takes the database too long, they do not.
    async fn count_total(&self, run: &BulkRun, claimant: &str) -> Result<(), Error> {
        let total = match store::browsing::count_up_to(&self.database, &run.selection.query, u64::MAX).await {
            Err(error) if error.is_statement_timeout() => return Ok(()),
            total => i64::try_from(total?).unwrap_or(i64::MAX),
        };
        let mut transaction = self.database.begin().await?;
        store::bulk_runs::set_total(&mut transaction, run.id, claimant, total).await?;
        Ok(transaction.commit().await?)
    }

    /// Does images, some at once, until all are done, the time for it is over, the run was stopped or something fails that has nothing to
    /// do with them. What became of them, and the failure.
    async fn do_images(
        &self,
        run: &BulkRun,
        claimant: &str,
        images: Vec<ImageId>,
        staff: &User,
        is_stopping: impl Fn() -> bool,
    ) -> (BulkStep, Option<Error>) {
        let begun = Instant::now();
        let mut prolonging = interval_at(begun + PROLONG_EVERY, PROLONG_EVERY);
        let (mut waiting, mut running) = (images.into_iter(), JoinSet::new());
        let (mut step, mut postponed, mut failure, mut is_lost) = (BulkStep::default(), Vec::new(), None, false);
        loop {
            let may_begin = || begun.elapsed() < STEP && !is_stopping();
            while running.len() < AT_ONCE && failure.is_none() && !is_lost && may_begin() {
                let Some(image) = waiting.next() else { break };
                let (service, action, staff) = (self.patient(), run.action.clone(), staff.clone());
                let query = only(&run.selection.query, vec![image]);
                let is_last_try = run.attempts >= MAX_ATTEMPTS && running.is_empty() && step.settled() == 0;
                let doing = async move { service.settle(&action, &query, image, &staff, is_last_try).await };
                running.spawn(doing.in_current_span());
            }
            let settled = tokio::select! {
                settled = running.join_next() => settled,
                _ = prolonging.tick() => {
                    is_lost |= !self.prolong_claim(run.id, claimant).await;
                    continue;
                }
            };
            match settled {
                None => break,
                Some(Ok(Settled::Done)) => step.done += 1,
                Some(Ok(Settled::Unchanged)) => step.unchanged += 1,
                Some(Ok(Settled::Failed(failed))) => step.failures.push(failed),
                Some(Ok(Settled::Postponed(image, error))) => {
                    postponed.push(image);
                    failure = failure.or(Some(error));
                }
                Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            }
        }
        step.last_error = failure.as_ref().map(Error::to_string).unwrap_or_default();
        // Others have their turn before those that did not work.
        step.in_hand = ImagesInHand(waiting.chain(postponed).collect());
        (step, failure)
    }

    /// Does one image, if it meets the conditions still: it may have been in hand for long.
    async fn settle(
        &self,
        action: &StaffAction,
        query: &ImageQuery,
        id: ImageId,
        staff: &User,
        is_last_try: bool,
    ) -> Settled {
        let performed = match self.count_images_up_to(query, 1).await {
            Ok(0) => return Settled::Unchanged,
            Ok(_) => self.perform(action, id, staff).await,
            Err(error) => Err(error),
        };
        match performed {
            Ok(StaffOutcome::Done) => Settled::Done,
            // Content uses it since it was taken, or somebody deleted it.
            Ok(StaffOutcome::Unchanged(_)) | Err(Error::InUse(_) | Error::NotFound) => Settled::Unchanged,
            Err(error) if is_last_try || is_about_the_image(&error) => Settled::Failed(self.failure(id, &error).await),
            Err(error) => Settled::Postponed(id, error),
        }
    }

    async fn failure(&self, id: ImageId, error: &Error) -> BulkFailure {
        let name = match store::images::find(&self.database, id).await {
            Ok(Some(image)) => image.name().to_owned(),
            _ => id.to_string(),
        };
        BulkFailure { image_id: id, name: name.chars().take(MAX_NAME_CHARS).collect(), message: error.to_string() }
    }

    /// Whether the run is ours still and is to go on. While the database fails nobody else can take it, either.
    async fn prolong_claim(&self, run: i64, claimant: &str) -> bool {
        let prolong = async || {
            let mut transaction = self.database.begin().await?;
            let claimed_until = self.clock.now().plus_seconds(CLAIM_SECONDS);
            let is_ours = store::bulk_runs::prolong(&mut transaction, run, claimant, claimed_until).await?;
            transaction.commit().await?;
            Ok::<_, store::Error>(is_ours)
        };
        prolong().await.unwrap_or_else(|error| {
            debug!(run, error = %error, "A claim could not be prolonged: {error}");
            true
        })
    }

    async fn record_step(&self, run: &BulkRun, claimant: &str, step: &BulkStep) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        let is_ours = store::bulk_runs::record(&mut transaction, run.id, claimant, step, self.clock.now()).await?;
        if !is_ours {
            warn!(run = run.id, "Somebody else has gone on with run {}: what was done is counted there", run.id);
            return Ok(transaction.rollback().await?);
        }
        transaction.commit().await?;
        self.count_step(step);
        Ok(())
    }

    fn count_step(&self, step: &BulkStep) {
        for (outcome, count) in [
            ("done", u64::try_from(step.done).unwrap_or(0)),
            ("unchanged", u64::try_from(step.unchanged).unwrap_or(0)),
            ("failed", step.failures.len() as u64),
        ] {
            self.metrics().count_items(JobKind::Bulk, outcome, count);
        }
    }

    async fn end_run(&self, run: i64, claimant: Option<&str>, state: BulkState, reason: &str) -> Result<bool, Error> {
        let mut transaction = self.database.begin().await?;
        let has_ended = store::bulk_runs::end(&mut transaction, run, claimant, state, reason, self.clock.now()).await?;
        transaction.commit().await?;
        Ok(has_ended)
    }
}

/// The same conditions for these images alone.
fn only(query: &ImageQuery, ids: Vec<ImageId>) -> ImageQuery {
    ImageQuery { filter: ImageFilter { ids: Some(ids), ..query.filter.clone() }, ..query.clone() }
}

/// Whether another image may work where this one does not.
fn is_about_the_image(error: &Error) -> bool {
    match error {
        // A constraint or a trigger of the database is, and what takes it too long; an outage of it is not.
        Error::Store(error) => !error.is_transient() || error.is_statement_timeout(),
        error => error.concerns_one_image(),
    }
}
