//! Doing something again and again, whatever becomes of it.

use std::pin::Pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info, info_span, warn};

use crate::{metrics, service};

/// The longest pause while nothing works.
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// What a round has done, in words for the log; `None` where there was nothing to do.
pub(super) type Report = Option<String>;

/// A round on its way.
pub(super) type Round = Pin<Box<dyn Future<Output = Result<Report, service::Error>> + Send>>;

/// Something to be done again and again.
pub(super) struct Job {
    /// One word, for the log.
    pub(super) name: &'static str,
    /// How long to wait after each round.
    pub(super) pause: Duration,
    /// Does all that is to be done at the moment, or as much as can be done until the server stops.
    pub(super) round: Box<dyn Fn() -> Round + Send>,
    /// Told of what became of each round.
    pub(super) observe: Box<dyn Fn(metrics::Round) + Send>,
}

/// Repeats a job until the server stops. While it fails, whole rounds are put off, by pauses that grow, and only the first failure
/// of a row and its end are logged.
pub(super) async fn repeat(job: Job, stopping: CancellationToken) {
    let mut failures = 0;
    while !stopping.is_cancelled() {
        let outcome = run(job.name, (job.round)(), failures).await;
        (job.observe)(outcome);
        failures = if outcome == metrics::Round::Worked { 0 } else { failures + 1 };
        tokio::select! {
            () = tokio::time::sleep(pause(job.pause, failures)) => {}
            () = stopping.cancelled() => {}
        }
    }
}

/// Does a round and logs what is new; what became of it. A panic ends the round alone.
async fn run(name: &'static str, round: Round, failures_before: u32) -> metrics::Round {
    let error = match tokio::spawn(round.instrument(info_span!("job", job.name = name))).await {
        Ok(Ok(report)) => {
            if failures_before > 0 {
                info!(job.name = name, "The job {name} works again after {failures_before} failures");
            }
            if let Some(report) = report {
                info!(job.name = name, "The job {name} {report}");
            }
            return metrics::Round::Worked;
        }
        Ok(Err(error)) => error,
        Err(panic) => {
            error!(job.name = name, error = %panic, "The job {name} panicked and goes on: {panic}");
            return metrics::Round::Panicked;
        }
    };
    if failures_before > 0 {
        debug!(job.name = name, error = %error, "The job {name} still fails: {error}");
    } else if error.needs_somebody() {
        error!(job.name = name, error = %error, "The job {name} fails until the token is right, and tries again by then: {error}");
    } else {
        warn!(job.name = name, error = %error, "The job {name} fails, and tries again until it works: {error}");
    }
    metrics::Round::Failed
}

/// How long to wait: twice as long with each failure in a row, and not to the second, so that instances do not march in step.
fn pause(usual: Duration, failures: u32) -> Duration {
    if failures == 0 {
        return usual;
    }
    service::with_jitter(usual.saturating_mul(1 << failures.min(16)).min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::metrics::Round::{Failed, Panicked, Worked};

    #[tokio::test]
    async fn a_job_goes_on_after_errors_and_panics_and_ends_when_the_server_stops() {
        let (stopping, rounds) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let (stop, counter) = (stopping.clone(), Arc::clone(&rounds));
        let round = move || -> Round {
            let (number, stop) = (counter.fetch_add(1, Ordering::Relaxed), stop.clone());
            Box::pin(async move {
                match number {
                    0 => panic!("as it must not, and may"),
                    1 => Err(service::Error::NotFound),
                    2 => Ok(Some("did something".to_owned())),
                    _ => {
                        stop.cancel();
                        Ok(None)
                    }
                }
            })
        };
        let outcomes = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&outcomes);
        let observe = move |outcome| told.lock().unwrap().push(outcome);
        let pause = Duration::from_millis(1);
        let job = Job { name: "test", pause, round: Box::new(round), observe: Box::new(observe) };
        tokio::time::timeout(Duration::from_secs(10), repeat(job, stopping)).await.unwrap();
        assert_eq!(rounds.load(Ordering::Relaxed), 4);
        assert_eq!(*outcomes.lock().unwrap(), [Panicked, Failed, Worked, Worked]);
    }

    #[test]
    fn pauses_grow_while_nothing_works_up_to_five_minutes() {
        let usual = Duration::from_secs(15);
        assert_eq!(pause(usual, 0), usual);
        for (failures, seconds) in [(1, 30), (2, 60), (4, 240), (5, 300), (u32::MAX, 300)] {
            let (pause, expected) = (pause(usual, failures), Duration::from_secs(seconds));
            assert!(pause >= expected.mul_f64(0.75) && pause <= expected.mul_f64(1.25), "{failures}: {pause:?}");
        }
    }
}
