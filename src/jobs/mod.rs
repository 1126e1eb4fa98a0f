//! What the server does beside answering requests.
//!
//! A job calls the service again and again, as the API and the commands do on behalf of somebody. Every instance of the server runs
//! all jobs; that each piece of work is done once is seen to where it is claimed. To add a job, write its round and list it in [`run`].

mod repeat;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::repeat::{Job, Report, Round, repeat};
use crate::metrics::JobKind;
use crate::service::{CloudflareService, Error, LeftoverOutcome, Polled};

/// How often images are looked for that Cloudflare has to be asked about.
const POLLING_PAUSE: Duration = Duration::from_secs(15);
/// How many images Cloudflare is asked about at once.
const POLLED_AT_ONCE: u32 = 4;

/// How often it is looked for what has to be seen to at Cloudflare.
const COMPENSATION_PAUSE: Duration = Duration::from_mins(1);

/// How often it is looked for what staff want to be done with many images.
const BULK_PAUSE: Duration = Duration::from_secs(1);

/// Does all jobs until the server stops; each then ends with the step at hand.
pub async fn run(service: CloudflareService, stopping: CancellationToken) {
    let job = |kind: JobKind, pause, round: fn(CloudflareService, CancellationToken) -> Round| {
        let (watched, stopping) = (service.clone(), stopping.clone());
        let observe = move |outcome| watched.metrics().count_round(kind, outcome, watched.clock().now());
        let service = service.clone();
        let round = move || round(service.clone(), stopping.clone());
        Job { name: kind.as_str(), pause, round: Box::new(round), observe: Box::new(observe) }
    };
    let jobs = [
        job(JobKind::Polling, POLLING_PAUSE, |service, stopping| Box::pin(poll(service, stopping))),
        job(JobKind::Compensation, COMPENSATION_PAUSE, |service, stopping| Box::pin(compensate(service, stopping))),
        job(JobKind::Bulk, BULK_PAUSE, |service, stopping| Box::pin(work_on_bulk_runs(service, stopping))),
    ];
    let mut running = JoinSet::new();
    for job in jobs {
        running.spawn(repeat(job, stopping.clone()));
    }
    running.join_all().await;
}

/// Asks about all unfinished images whose turn it is. About the first alone: where that fails, there is no use in asking on.
async fn poll(service: CloudflareService, stopping: CancellationToken) -> Result<Report, Error> {
    let (mut all, mut limit) = (Polled::default(), 1);
    while !stopping.is_cancelled() {
        let polled = service.poll_due_images(limit).await?;
        all.due += polled.due;
        all.changed += polled.changed;
        if polled.due == 0 {
            break;
        }
        limit = POLLED_AT_ONCE;
    }
    Ok((all.due > 0)
        .then(|| format!("asked Cloudflare about {} unfinished images; {} have changed", all.due, all.changed)))
}

/// Deletes at Cloudflare what could not be deleted when it should have been, and looks for images whose id may have changed, one after
/// the other.
async fn compensate(service: CloudflareService, stopping: CancellationToken) -> Result<Report, Error> {
    let begun = service.clock().now();
    let (mut deleted, mut failed) = (0, 0);
    while !stopping.is_cancelled() {
        match service.delete_next_leftover(begun).await? {
            None => break,
            Some(LeftoverOutcome::Deleted(_)) => deleted += 1,
            Some(LeftoverOutcome::Kept(_)) => {}
            // That is logged where it is found.
            Some(LeftoverOutcome::Failed(_, Error::NewIdUnknown(_))) => failed += 1,
            Some(LeftoverOutcome::Failed(id, error)) if error.concerns_one_image() => {
                failed += 1;
                warn!(image.cloudflare_id = ?id.as_str(), error = %error, "Could not see to {:?} at Cloudflare: {error}", id.as_str());
            }
            Some(LeftoverOutcome::Failed(_, error)) => return Err(error),
        }
    }
    Ok((deleted + failed > 0)
        .then(|| format!("deleted {deleted} leftovers at Cloudflare; {failed} could not be seen to")))
}

/// Does what staff want to be done with many images, some images of each run in turn.
async fn work_on_bulk_runs(service: CloudflareService, stopping: CancellationToken) -> Result<Report, Error> {
    let mut settled = 0;
    while !stopping.is_cancelled() {
        match service.work_on_bulk_run(|| stopping.is_cancelled()).await? {
            None => break,
            Some(progress) => settled += progress.settled,
        }
    }
    Ok((settled > 0).then(|| format!("saw to {settled} images for the staff")))
}
