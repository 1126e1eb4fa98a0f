//! What staff have done with many images in the background.
//!
//! A run is recorded first, and worked on by the job of whichever instance comes first, some images at a time. It survives that the instance
//! is killed: the next one goes on with the images that were in hand, and as each action may be done again, no image is harmed by that.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at};
use tracing::{Instrument, debug, error, info, instrument, warn};
use uuid::Uuid;

use super::staff_actions::StaffOutcome;
use super::{CloudflareService, Error, SearchError, with_jitter};
use crate::domain::{
    BrowseFrom, BrowseOrder, BulkFailure, BulkRun, BulkSelection, BulkState, BulkStep, Image, ImageFilter, ImageId,
    ImageQuery, ImagesInHand, StaffAction, User,
};
use crate::metrics::JobKind;
use crate::store::{self, Database};

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
/// How long a run is left alone after its first failure, and after many of them.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_mins(5));
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

/// What a run would be about.
#[derive(Debug)]
pub struct BulkPreview {
    /// How many images there are, as far as they were counted.
    pub images: u64,
    /// How many of them content uses, as far as they were counted.
    pub used: u64,
    /// The newest of them.
    pub newest: Vec<Image>,
}

/// A run that is somebody's own.
struct Claim {
    run: BulkRun,
    action: StaffAction,
    query: ImageQuery,
    /// What it is held by.
    word: String,
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
    /// What a run would be about: how many images meet the conditions, how many of them content uses, where `counts_used`, both counted up
    /// to `limit`, and the newest `size` of them.
    ///
    /// # Errors
    /// [`SearchError`]
    pub async fn preview_bulk_run(
        &self,
        query: &ImageQuery,
        counts_used: bool,
        limit: u64,
        size: u32,
    ) -> Result<BulkPreview, SearchError> {
        let looking = async |database: Database| {
            let images = store::browsing::count_up_to(&database, query, limit).await?;
            let of_content = ImageQuery { is_used: true, ..query.clone() };
            let used = if counts_used { store::browsing::count_up_to(&database, &of_content, limit).await? } else { 0 };
            let (order, from) = (BrowseOrder::NEWEST_FIRST, BrowseFrom::Start);
            let newest = store::browsing::list(&database, query, order, from, size).await?;
            Ok::<_, Error>(BulkPreview { images, used, newest })
        };
        // Those that were chosen one by one are found by their keys.
        if query.filter.ids.is_some() { Ok(looking(self.database.clone()).await?) } else { self.search(looking).await }
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
        if !run.is_open()
            || run.task().is_none()
            || !run.last_error.is_empty()
            || now < since.plus_seconds(PATIENCE_SECONDS)
        {
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
    /// [`Error::NotFound`] if there is no such run, it has not ended, nothing failed, or another version of cfimages began it.
    #[instrument(name = "service.bulk_runs.retry", skip_all, fields(run))]
    pub async fn retry_bulk_failures(&self, run: i64, staff: &User) -> Result<i64, Error> {
        let run = self.find_bulk_run(run).await?;
        let failures = self.list_bulk_failures(run.id).await?;
        if run.is_open() || failures.is_empty() {
            return Err(Error::NotFound);
        }
        let (action, selection) = run.task().ok_or(Error::NotFound)?;
        let query = only(&selection.query, failures.iter().map(|failure| failure.image_id).collect());
        self.start_bulk_run(action, &BulkSelection { query, list: String::new() }, staff).await
    }

    /// Works on a run that nobody is at, the one that has waited longest: on some images, or until `is_stopping`. None where there is
    /// nothing to do. Several instances may do so at the same time. Nobody waits for it.
    ///
    /// Where something fails that has nothing to do with an image, as Cloudflare is not to be had, the run is left alone for a time that
    /// grows, and others have their turn. The images that are concerned will be tried again.
    ///
    /// # Errors
    /// If the database fails.
    #[instrument(name = "service.bulk_runs.work", skip_all)]
    pub async fn work_on_bulk_run(&self, is_stopping: impl Fn() -> bool) -> Result<Option<BulkProgress>, Error> {
        let Some(claim) = self.claim_run().await? else { return Ok(None) };
        let nothing = Ok(Some(BulkProgress { run: claim.run.id, settled: 0 }));
        let Some(staff) = self.find_actor(&claim.run).await? else {
            let reason = format!("{} is no member of the staff any more.", claim.run.username);
            self.end_run(claim.run.id, Some(&claim.word), BulkState::Stopped, &reason).await?;
            return nothing;
        };
        let images = match self.while_ours(&claim, Box::pin(self.take_in_hand(&claim))).await {
            None | Some(Ok(None)) => return nothing,
            Some(Ok(Some(images))) => images,
            Some(Err(Error::Store(error))) if error.is_transient() && !error.is_statement_timeout() => {
                return Err(error.into());
            }
            // It would be the same the next time.
            Some(Err(error)) => {
                let is_too_slow = matches!(&error, Error::Store(error) if error.is_statement_timeout());
                let reason = if is_too_slow { TOO_MANY.to_owned() } else { error.to_string() };
                self.end_run(claim.run.id, Some(&claim.word), BulkState::Stopped, &reason).await?;
                return nothing;
            }
        };
        let step = self.do_images(&claim, images, &staff, is_stopping).await;
        self.record_step(&claim, &step).await?;
        Ok(Some(BulkProgress { run: claim.run.id, settled: step.settled() }))
    }

    /// Makes the run its own that has waited longest; what another version of cfimages began is left to it.
    async fn claim_run(&self) -> Result<Option<Claim>, Error> {
        let (now, word) = (self.clock.now(), Uuid::new_v4().simple().to_string());
        for free in store::bulk_runs::list_free(&self.database, now).await? {
            if free.task().is_none() {
                continue;
            }
            let mut transaction = self.database.begin().await?;
            let claimed_until = now.plus_seconds(CLAIM_SECONDS);
            let run = store::bulk_runs::claim(&mut transaction, free.id, &word, now, claimed_until).await?;
            transaction.commit().await?;
            if let Some(run) = run
                && let Some((action, selection)) = run.task()
            {
                let (action, query) = (action.clone(), selection.query.clone());
                return Ok(Some(Claim { run, action, query, word }));
            }
        }
        Ok(None)
    }

    /// Does what may take the database long, and keeps the run meanwhile; none where it was lost or stopped.
    async fn while_ours<T>(&self, claim: &Claim, work: impl Future<Output = T>) -> Option<T> {
        let mut prolonging = interval_at(Instant::now() + PROLONG_EVERY, PROLONG_EVERY);
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Some(done),
                _ = prolonging.tick() => {
                    if !self.prolong_claim(claim).await {
                        return None;
                    }
                }
            }
        }
    }

    /// Who has a run done, as they are now: they may have been dismissed since.
    async fn find_actor(&self, run: &BulkRun) -> Result<Option<User>, Error> {
        let Some(id) = self.database.user_key().read(&run.user_key) else { return Ok(None) };
        let user = store::users::find(&self.database, id).await?;
        Ok(user.filter(|user| user.is_active && user.is_staff))
    }

    /// The images that are to be done next: those that somebody had in hand and did not come to an end with, or else the next ones. None
    /// where all had their turn; the run has come to its end then.
    async fn take_in_hand(&self, claim: &Claim) -> Result<Option<Vec<ImageId>>, Error> {
        let Claim { run, query, word, .. } = claim;
        if !run.in_hand.0.is_empty() {
            return Ok(Some(run.in_hand.0.clone()));
        }
        if run.total.is_none() && run.position().is_none() {
            self.count_total(claim).await?;
        }
        let from = run.position().map_or(BrowseFrom::Start, BrowseFrom::After);
        let images = store::browsing::list(&self.database, query, BrowseOrder::OLDEST_FIRST, from, IN_HAND).await?;
        let Some(last) = images.last() else {
            if self.end_run(run.id, Some(word), BulkState::Done, "").await? {
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
        let is_ours = store::bulk_runs::take(&mut transaction, run.id, word, &in_hand, position).await?;
        transaction.commit().await?;
        Ok(is_ours.then_some(in_hand.0))
    }

    /// Counts the images of a run, so that people see how far it is. Where that takes the database too long, they do not.
    async fn count_total(&self, claim: &Claim) -> Result<(), Error> {
        let total = match store::browsing::count_up_to(&self.database, &claim.query, u64::MAX).await {
            Err(error) if error.is_statement_timeout() => return Ok(()),
            total => i64::try_from(total?).unwrap_or(i64::MAX),
        };
        let mut transaction = self.database.begin().await?;
        store::bulk_runs::set_total(&mut transaction, claim.run.id, &claim.word, total).await?;
        Ok(transaction.commit().await?)
    }

    /// Does images, some at once, until all are done, the time for it is over, the run was stopped or something fails that has nothing to
    /// do with them.
    async fn do_images(
        &self,
        claim: &Claim,
        images: Vec<ImageId>,
        staff: &User,
        is_stopping: impl Fn() -> bool,
    ) -> BulkStep {
        let run = &claim.run;
        let begun = Instant::now();
        let mut prolonging = interval_at(begun + PROLONG_EVERY, PROLONG_EVERY);
        let (mut waiting, mut running) = (images.into_iter(), JoinSet::new());
        let (mut step, mut postponed, mut failure, mut is_lost) = (BulkStep::default(), Vec::new(), None, false);
        loop {
            let may_begin = || begun.elapsed() < STEP && !is_stopping();
            while running.len() < AT_ONCE && failure.is_none() && !is_lost && may_begin() {
                let Some(image) = waiting.next() else { break };
                let (service, action, staff) = (self.patient(), claim.action.clone(), staff.clone());
                let query = only(&claim.query, vec![image]);
                let is_last_try = run.attempts >= MAX_ATTEMPTS && running.is_empty() && step.settled() == 0;
                let doing = async move { service.settle(&action, &query, image, &staff, is_last_try).await };
                running.spawn(doing.in_current_span());
            }
            let settled = tokio::select! {
                settled = running.join_next() => settled,
                _ = prolonging.tick() => {
                    is_lost |= !self.prolong_claim(claim).await;
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
        if let Some(failure) = failure {
            tell_of(run, &failure);
            step.last_error = failure.to_string();
        }
        // Others have their turn before those that did not work.
        step.in_hand = ImagesInHand(waiting.chain(postponed).collect());
        step
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
        let performed = match store::browsing::count_up_to(&self.database, query, 1).await {
            Ok(0) => return Settled::Unchanged,
            Ok(_) => self.perform(action, id, staff).await,
            Err(error) => Err(error.into()),
        };
        match performed {
            Ok(StaffOutcome::Done) => Settled::Done,
            // Content uses it since it was taken, or somebody deleted it.
            Ok(StaffOutcome::Unchanged(_)) | Err(Error::InUse | Error::NotFound) => Settled::Unchanged,
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
    async fn prolong_claim(&self, claim: &Claim) -> bool {
        let run = claim.run.id;
        let prolong = async || {
            let mut transaction = self.database.begin().await?;
            let claimed_until = self.clock.now().plus_seconds(CLAIM_SECONDS);
            let is_ours = store::bulk_runs::prolong(&mut transaction, run, &claim.word, claimed_until).await?;
            transaction.commit().await?;
            Ok::<_, store::Error>(is_ours)
        };
        prolong().await.unwrap_or_else(|error| {
            debug!(run, error = %error, "A claim could not be prolonged: {error}");
            true
        })
    }

    async fn record_step(&self, claim: &Claim, step: &BulkStep) -> Result<(), Error> {
        let run = &claim.run;
        let pause = if step.last_error.is_empty() { Duration::ZERO } else { pause_after(run.attempts) };
        let next = self.clock.now().plus_seconds(pause.as_secs().cast_signed());
        let mut transaction = self.database.begin().await?;
        let is_ours = store::bulk_runs::record(&mut transaction, run.id, &claim.word, step, next).await?;
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

/// How long a run is left alone that failed so often before: not to the second, so that runs do not march in step.
fn pause_after(attempts: i32) -> Duration {
    let (first, longest) = PAUSES;
    with_jitter(first.saturating_mul(1 << attempts.clamp(0, 16)).min(longest))
}

/// Logs why a run does not get on, the first time of a row.
fn tell_of(run: &BulkRun, error: &Error) {
    if run.attempts > 0 {
        debug!(run = run.id, error = %error, "Run {} still does not get on: {error}", run.id);
    } else if error.needs_somebody() {
        error!(run = run.id, error = %error, "Run {} waits until the token is right: {error}", run.id);
    } else {
        warn!(run = run.id, error = %error, "Run {} does not get on, and is tried again until it does: {error}", run.id);
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
