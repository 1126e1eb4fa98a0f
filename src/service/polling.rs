//! Asking Cloudflare about images of whose upload no webhook has told.

use tokio::task::JoinSet;
use tracing::{Instrument, info, instrument, warn};

use super::images::record_check;
use super::{CloudflareService, Error};
use crate::cloudflare::{self, ImageDetails};
use crate::domain::{Image, ImageStatus, PageFrom, Stretch, Timestamp, WaitingImage, WaitingPlace};
use crate::metrics::JobKind;
use crate::store::polls::Poll;
use crate::store::{self, Transaction};

const OPERATION: &str = "Failed to check image status";
/// How old an unfinished image is when it is asked about first: most uploads are over by then, and their webhooks have come.
const FIRST_POLL_SECONDS: i64 = 90;
/// Unfinished images that are older are not found any more where nobody has asked about them yet: `cleanup-expired` marks them.
const HORIZON_DAYS: u32 = 7;
/// The first interval; each is twice as long as the one before.
const FIRST_INTERVAL_MINUTES: i64 = 2;
/// The longest interval.
const MAX_INTERVAL_MINUTES: i64 = 24 * 60;
/// How long after the end of its upload URL an image is asked about for the last time: what was begun in time has arrived by then.
const LAST_POLL_MINUTES: i64 = 5;
/// How long a claimed image is one instance's own: longer than a call to Cloudflare may take.
const CLAIM_MINUTES: i64 = 5;
/// How many images are found in one go.
const ENROLMENT: u32 = 1000;

/// How many images Cloudflare was asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Polled {
    /// Images whose turn it was.
    pub due: u32,
    /// Those of them whose status has changed.
    pub changed: u32,
}

impl CloudflareService {
    /// Asks Cloudflare about unfinished images whose turn it is, at most `limit` of them and all at once, and records what has
    /// changed.
    ///
    /// An image is asked about when it is 90 seconds old, then after 2, 4, 8... minutes, and for the last time 5 minutes after its
    /// upload URL has ended; if nothing was uploaded by then, it is `expired`. Several instances may do so at the same time: each image
    /// is claimed by one of them, and free again 5 minutes after a crash. No transaction is open while Cloudflare is asked. Only
    /// a status that changes is written and logged.
    ///
    /// # Errors
    /// The first failure that has nothing to do with the image asked about: Cloudflare or the database is not to be had, and there is
    /// no use in going on at the moment. All images of this call have had their turn then.
    #[instrument(name = "service.polling.poll", skip_all)]
    pub async fn poll_due_images(&self, limit: u32) -> Result<Polled, Error> {
        let mut polls = JoinSet::new();
        for poll in self.claim_polls(limit).await? {
            let service = self.clone();
            polls.spawn(async move { service.poll(&poll).await }.in_current_span());
        }
        let (mut polled, mut failure) = (Polled::default(), None);
        for outcome in polls.join_all().await {
            polled.due += 1;
            let outcome = match outcome {
                Ok(true) => "changed",
                Ok(false) => "unchanged",
                Err(error) => {
                    failure = failure.or(Some(error));
                    "failed"
                }
            };
            polled.changed += u32::from(outcome == "changed");
            self.metrics().count_items(JobKind::Polling, outcome, 1);
        }
        failure.map_or(Ok(polled), Err)
    }

    /// At most `size` unfinished images that Cloudflare is asked about again, from a place on, the next turn first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list_waiting_images(
        &self,
        from: PageFrom<WaitingPlace>,
        size: u32,
    ) -> Result<Stretch<WaitingImage, WaitingPlace>, Error> {
        let found = store::polls::list(&self.database, &from, size.saturating_add(1)).await?;
        Ok(Stretch::cut(found, size, &from, WaitingImage::place))
    }

    async fn claim_polls(&self, limit: u32) -> Result<Vec<Poll>, Error> {
        let now = self.clock.now();
        let (since, until) = (now.minus_days(HORIZON_DAYS), now.plus_seconds(-FIRST_POLL_SECONDS));
        let mut transaction = self.database.begin().await?;
        store::polls::enrol(&mut transaction, since, until, now, ENROLMENT).await?;
        let polls = store::polls::claim(&mut transaction, now, now.plus_minutes(CLAIM_MINUTES), limit).await?;
        transaction.commit().await?;
        Ok(polls)
    }

    /// Asks about one image; whether its status has changed.
    async fn poll(&self, poll: &Poll) -> Result<bool, Error> {
        if poll.image.is_uploaded() {
            self.finish_poll(poll).await?;
            return Ok(false);
        }
        match self.client.patient().get_image(&poll.image.cloudflare_id).await {
            Ok(details) => self.record_poll(poll, Some(&details)).await,
            Err(cause) if cause.is_not_found() => self.record_poll(poll, None).await,
            Err(cause) => {
                self.postpone_poll(poll, &cause).await?;
                if cause.concerns_one_image() { Ok(false) } else { Err(Error::cloudflare(OPERATION)(cause)) }
            }
        }
    }

    /// Records what Cloudflare says, `None` where it does not know the image; whether the status has changed. Nothing is recorded where
    /// the claim was lost while Cloudflare was asked: whoever has the image since knows more.
    async fn record_poll(&self, poll: &Poll, details: Option<&ImageDetails>) -> Result<bool, Error> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let Some(image) = store::images::hold(&mut transaction, poll.image.id).await? else {
            store::polls::finish(&mut transaction, poll, now).await?;
            transaction.commit().await?;
            return Ok(false);
        };
        let is_over = now >= last_poll_at(&image) && details.is_none_or(|details| details.is_draft);
        let status = record_change(&mut transaction, &image, details, is_over, now).await?;
        let is_ours = if is_over || is_final(&status) {
            store::polls::finish(&mut transaction, poll, now).await?
        } else {
            let next = next_poll_at(&image, poll.attempts, now);
            store::polls::postpone(&mut transaction, poll, next, "").await?
        };
        if !is_ours {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        let is_changed = status != image.status;
        if is_changed {
            self.count_end(Some(&image.status), &status);
            info!(image.cloudflare_id = ?image.cloudflare_id.as_str(), image.status = %status,
                "Found the status of image {:?}: {status}", image.cloudflare_id.as_str());
        }
        Ok(is_changed)
    }

    async fn finish_poll(&self, poll: &Poll) -> Result<(), Error> {
        let mut transaction = self.database.begin().await?;
        store::polls::finish(&mut transaction, poll, self.clock.now()).await?;
        Ok(transaction.commit().await?)
    }

    /// Puts an image off about which Cloudflare could not be asked. A week after its upload URL has ended it is given up.
    async fn postpone_poll(&self, poll: &Poll, cause: &cloudflare::Error) -> Result<(), Error> {
        let (image, now) = (&poll.image, self.clock.now());
        let id = image.cloudflare_id.as_str();
        let mut transaction = self.database.begin().await?;
        if image.expires_at < now.minus_days(HORIZON_DAYS) {
            warn!(image.cloudflare_id = ?id, error = %cause, "Gave up finding the status of image {id:?}: {cause}");
            store::polls::finish(&mut transaction, poll, now).await?;
        } else {
            if cause.concerns_one_image() {
                warn!(image.cloudflare_id = ?id, error = %cause, "Could not find the status of image {id:?}: {cause}");
            }
            let next = next_poll_at(image, poll.attempts, now);
            store::polls::postpone(&mut transaction, poll, next, &cause.to_string()).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Writes what is new about an image, which is held; the status that it has then. `is_over` says that no picture will come any more.
async fn record_change(
    transaction: &mut Transaction,
    image: &Image,
    details: Option<&ImageDetails>,
    is_over: bool,
    now: Timestamp,
) -> Result<ImageStatus, Error> {
    use ImageStatus::{Draft, Expired, Failed, Pending, Uploaded};

    let found = details.and_then(|details| details.changes(now).status);
    match (&image.status, details, found) {
        (before, Some(details), Some(found @ (Uploaded | Failed))) if *before != Uploaded && *before != found => {
            record_check(transaction, image.id, details, now).await?;
            Ok(found)
        }
        (Pending | Draft, ..) if is_over => {
            store::images::mark_expired(transaction, image.id).await?;
            Ok(Expired)
        }
        (Pending, Some(details), Some(Draft)) => {
            record_check(transaction, image.id, details, now).await?;
            Ok(Draft)
        }
        // Somebody was quicker, or there is nothing new.
        (before, ..) => Ok(before.clone()),
    }
}

/// Whether an image with this status need not be asked about again. One that was marked as expired still has its last turn.
fn is_final(status: &ImageStatus) -> bool {
    !matches!(status, ImageStatus::Pending | ImageStatus::Draft | ImageStatus::Expired)
}

fn last_poll_at(image: &Image) -> Timestamp {
    image.expires_at.plus_minutes(LAST_POLL_MINUTES)
}

/// The next turn of an image that has just had one: after an interval that has grown, or else after the end of its upload URL.
fn next_poll_at(image: &Image, attempts: i32, now: Timestamp) -> Timestamp {
    let doublings = attempts.saturating_sub(1).clamp(0, 10).unsigned_abs();
    let interval = (FIRST_INTERVAL_MINUTES << doublings).min(MAX_INTERVAL_MINUTES);
    let (next, last) = (now.plus_minutes(interval), last_poll_at(image));
    if now < last && next > image.expires_at { last } else { next }
}
