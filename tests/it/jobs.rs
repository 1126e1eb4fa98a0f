//! What the server does beside answering requests.

use std::collections::BTreeSet;
use std::time::Duration;

use cfimages::app::SystemClock;
use cfimages::domain::{Clock, DeletionReason};
use cfimages::jobs;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::cli::{Server, cfimages, environment, free_address};
use crate::jobs_leftovers::{record, recorded};
use crate::jobs_polling::World;
use crate::support::app::migrated_database;
use crate::support::cloudflare::FakeCloudflare;
use crate::support::rows::ImageRow;
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, sql};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("jobs::the_server_does_them_until_it_stops_unless_they_are_off", served);
    suite.on_both_engines("jobs::two_instances_do_each_piece_of_work_once", two_instances);
    suite.on_both_engines("jobs::a_cloudflare_that_is_down_is_left_alone_until_it_is_back", outage);
}

async fn served(engine: Engine) {
    let (url, folder, cloudflare) =
        (migrated_database(&engine).await, TempDir::new().unwrap(), FakeCloudflare::start().await);
    let yesterday = SystemClock.now().minus_days(1).to_string();
    let expired = ImageRow { number: 1, status: "pending", created_at: &yesterday, expires_at: &yesterday };
    expired.insert(url.as_str()).await;
    cloudflare.has_picture("img-1");
    let listen = free_address();
    let start = |jobs: &str| {
        let mut command = cfimages(folder.path(), &["serve", "--listen", &listen]);
        command.envs(environment(url.as_str())).env("CFIMAGES_JOBS", jobs);
        Server::start(command.env("CLOUDFLARE_IMAGES_BASE_URL", &cloudflare.base_url))
    };
    let server = start("false").ready(&listen).await;
    let (code, log) = server.stop();
    assert!(code == Some(0) && !log.contains("The job "), "{code:?} {log}");
    assert!(log.contains("CFIMAGES_JOBS is false: unless another instance"), "{log}");
    assert!(cloudflare.calls().is_empty());

    let server = start("true").ready(&listen).await;
    let uploaded = "SELECT count(*) FROM cloudflare_images WHERE status = 'uploaded'";
    eventually("the image is uploaded", async || (sql::count(url.as_str(), uploaded).await == 1).then_some(())).await;
    let (code, log) = tokio::task::spawn_blocking(move || server.stop()).await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("asked Cloudflare about 1 unfinished images; 1 have changed"), "{log}");
    assert!(!log.contains("CFIMAGES_JOBS"), "{log}");
    assert_eq!(cloudflare.calls(), ["GET images/v1/img-1"]);
}

/// How many images wait, and how many drafts are to be deleted.
const EACH: u32 = 60;

/// Images that wait for their poll, and drafts that are to be deleted, of all of which something was claimed by an instance that is
/// no more.
async fn two_instances(engine: Engine) {
    let world = World::with(&engine, FakeCloudflare::with_latency(Duration::from_millis(5)).await).await;
    for number in 1..=EACH {
        let row = ImageRow { number, status: "pending", created_at: "2026-01-01", expires_at: "2026-01-01T00:30:00Z" };
        row.insert(world.url()).await;
        world.cloudflare.has_picture(&format!("img-{number}"));
        record(world.url(), &format!("left-{number}"), &DeletionReason::Unrecorded).await;
        world.cloudflare.has_draft(&format!("left-{number}"));
    }
    world.fixture.clock.advance(90);
    world.cloudflare.hold();
    let crashing = world.fixture.another_service().await;
    let crashing = tokio::spawn(async move {
        let now = crashing.clock().now();
        tokio::join!(crashing.poll_due_images(4), crashing.delete_next_leftover(now))
    });
    world.cloudflare.was_called(5).await;
    crashing.abort();
    assert!(crashing.await.unwrap_err().is_cancelled());
    world.cloudflare.take_calls();
    world.cloudflare.release();

    let run = async || {
        let stopping = CancellationToken::new();
        let services = [world.fixture.another_service().await, world.fixture.another_service().await];
        let running = services.map(|service| tokio::spawn(jobs::run(service, stopping.clone())));
        (stopping, running)
    };
    let (stopping, running) = run().await;
    let all = usize::try_from(2 * EACH).unwrap();
    world.cloudflare.was_called(all - 5).await;
    stopping.cancel();
    for jobs in running {
        jobs.await.unwrap();
    }
    let uploaded = "SELECT count(*) FROM cloudflare_images WHERE status = 'uploaded'";
    assert_eq!(sql::count(world.url(), uploaded).await, i64::from(EACH) - 4);
    assert_eq!(recorded(world.url()).await.len(), 1);

    world.fixture.clock.advance(5 * 60);
    let (stopping, running) = run().await;
    world.cloudflare.was_called(all).await;
    stopping.cancel();
    for jobs in running {
        jobs.await.unwrap();
    }
    let mut calls = world.cloudflare.calls();
    assert_eq!(calls.len(), all);
    calls.sort_unstable();
    calls.dedup();
    assert_eq!(calls.len(), all);
    assert_eq!(sql::count(world.url(), uploaded).await, i64::from(EACH));
    let logs = "SELECT count(*) FROM cloudflare_image_logs";
    assert_eq!(sql::count(world.url(), logs).await, i64::from(EACH));
    assert!(recorded(world.url()).await.is_empty());
    assert!(world.cloudflare.ids().iter().all(|id| id.starts_with("img-")));
}

/// Of all that waits, each job tries one and leaves the rest in peace.
async fn outage(engine: Engine) {
    let world = World::new(&engine).await;
    for number in 1..=10 {
        let row = ImageRow { number, status: "pending", created_at: "2026-01-01", expires_at: "2026-01-01T00:30:00Z" };
        row.insert(world.url()).await;
        world.cloudflare.has_picture(&format!("img-{number}"));
        record(world.url(), &format!("left-{number}"), &DeletionReason::Unrecorded).await;
    }
    world.fixture.clock.advance(90);
    let run = async |calls: usize| {
        let stopping = CancellationToken::new();
        // A service of its own knows nothing of the outage before.
        let running = tokio::spawn(jobs::run(world.fixture.another_service().await, stopping.clone()));
        world.cloudflare.was_called(calls).await;
        stopping.cancel();
        running.await.unwrap();
        world.cloudflare.take_calls().into_iter().collect::<BTreeSet<_>>().len()
    };
    for status in [503, 429, 401] {
        world.cloudflare.fail_with(status);
        assert!(run(2).await <= 2, "{status}");
    }
    world.cloudflare.fail_with(None);
    world.fixture.clock.advance(60 * 60);
    assert_eq!(run(20).await, 20);
    assert_eq!(sql::count(world.url(), "SELECT count(*) FROM cloudflare_images WHERE status <> 'uploaded'").await, 0);
    assert!(recorded(world.url()).await.is_empty());
}
