//! What staff have done with many images in the background.

use std::time::Duration;

use cfimages::cloudflare::ClientLimits;
use cfimages::domain::{
    BulkRun, BulkSelection, BulkState, ImageFilter, ImageQuery, ImageStatus, MetadataEdit, StaffAction, StaffEdit, User,
};
use cfimages::service::CloudflareService;
use cfimages::store;
use serde_json::json;

use crate::jobs_polling::World;
use crate::support::app::connect_twice;
use crate::support::cloudflare::FakeCloudflare;
use crate::support::eventually;
use crate::support::rows::{ImageRow, insert_images, insert_usage};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};
use crate::usages::service_within;

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("bulk_runs::a_run_whose_instance_was_killed_goes_on_and_counts_each_image_once", killed);
    suite.on_both_engines("bulk_runs::two_instances_do_each_image_once", two_instances);
    suite.on_both_engines(
        "bulk_runs::images_that_leave_the_filter_when_they_are_done_hide_no_others",
        leaving_the_filter,
    );
    suite.on_both_engines("bulk_runs::what_could_not_be_done_is_told_and_can_be_tried_again", failures);
    suite.on_both_engines("bulk_runs::an_image_that_changed_while_it_was_in_hand_is_left_alone", changed_in_hand);
    suite.on_both_engines("bulk_runs::a_cloudflare_that_is_down_makes_no_failures", outage);
    suite.on_both_engines("bulk_runs::an_image_that_never_works_holds_up_no_others", never_works);
    suite.on_both_engines("bulk_runs::a_run_that_cannot_go_on_holds_up_no_others", stuck);
    suite.on_both_engines("bulk_runs::what_a_newer_version_began_is_left_to_it", newer_version);
    suite.on_postgres("bulk_runs::a_run_stays_somebodys_while_the_database_looks_for_its_images", slow_search);
    suite.on_both_engines("bulk_runs::content_that_uses_an_image_while_its_deletion_waits_keeps_it", used_meanwhile);
    suite.on_both_engines("bulk_runs::a_run_that_was_stopped_comes_to_an_end_soon", stopped);
    suite.on_both_engines("bulk_runs::whoever_is_dismissed_has_nothing_done_any_more", dismissed);
    suite.on_both_engines("bulk_runs::images_that_content_uses_are_left_alone_unless_meant", used_images);
    suite.on_both_engines("bulk_runs::keys_of_metadata_are_set_and_removed_and_others_stay", metadata);
    suite.on_both_engines("bulk_runs::runs_are_forgotten_a_month_after_their_end", forgotten);
}

/// Everything with this status.
fn all(status: &str) -> BulkSelection {
    let filter = ImageFilter { status: Some(ImageStatus::from(status.to_owned())), ..ImageFilter::default() };
    BulkSelection { query: ImageQuery { filter, ..ImageQuery::default() }, list: format!("?status={status}") }
}

/// A world in which alice is a member of the staff, with pictures at Cloudflare of which the records know nothing.
async fn world(engine: &Engine, images: u32) -> World {
    let world = World::with(engine, FakeCloudflare::with_latency(Duration::from_millis(2)).await).await;
    sql::execute(world.url(), "UPDATE auth_user SET is_staff = true WHERE username = 'alice'").await;
    insert_images(world.url(), images, "pending").await;
    for number in 1..=images {
        world.cloudflare.has_picture(&format!("img-{number}"));
    }
    world
}

fn alice(world: &World) -> &User {
    &world.fixture.alice
}

async fn start(world: &World, action: &StaffAction, selection: &BulkSelection) -> i64 {
    world.service().start_bulk_run(action, selection, alice(world)).await.unwrap()
}

async fn find(world: &World, run: i64) -> BulkRun {
    world.service().find_bulk_run(run).await.unwrap()
}

/// Works until there is nothing left to do.
async fn work(service: &CloudflareService) {
    while service.work_on_bulk_run(|| false).await.unwrap().is_some() {}
}

#[track_caller]
fn assert_counts(run: &BulkRun, state: BulkState, done: i64, unchanged: i64, failed: i64) {
    assert_eq!((run.state, run.done, run.unchanged, run.failed), (state, done, unchanged, failed), "{run:?}");
}

async fn count(world: &World, condition: &str) -> i64 {
    sql::count(world.url(), &format!("SELECT count(*) FROM cloudflare_images WHERE {condition}")).await
}

async fn killed(engine: Engine) {
    let world = world(&engine, 50).await;
    let run = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    world.cloudflare.hold();
    let crashing = world.fixture.another_service().await;
    let crashing = tokio::spawn(async move { crashing.work_on_bulk_run(|| false).await });
    world.cloudflare.was_called(4).await;
    crashing.abort();
    assert!(crashing.await.unwrap_err().is_cancelled());
    world.cloudflare.release();

    work(world.service()).await;
    assert_counts(&find(&world, run).await, BulkState::Running, 0, 0, 0);
    world.fixture.clock.advance(61);
    work(world.service()).await;
    let run = find(&world, run).await;
    // Those that were at Cloudflare may be done by now, and are no longer what the run is about.
    assert_eq!((run.state, run.done + run.unchanged, run.failed), (BulkState::Done, 50, 0), "{run:?}");
    assert!(run.done >= 46, "{run:?}");
    assert_eq!((run.total, run.in_hand.0.len()), (Some(50), 0));
    assert!(run.finished_at.is_some());
    assert_eq!(count(&world, "status = 'uploaded'").await, 50);
    assert!(world.cloudflare.calls().len() <= 54, "those that were in flight are done again, and no others");
}

async fn two_instances(engine: Engine) {
    let world = world(&engine, 90).await;
    let ids = |from: u128, to: u128| {
        let ids = (from..=to).map(|number| uuid::Uuid::from_u128(number).into()).collect();
        let filter = ImageFilter { ids: Some(ids), ..ImageFilter::default() };
        BulkSelection { query: ImageQuery { filter, ..ImageQuery::default() }, list: String::new() }
    };
    let mut runs = Vec::new();
    for (from, to) in [(1, 30), (31, 60), (61, 90)] {
        runs.push(start(&world, &StaffAction::CheckStatus, &ids(from, to)).await);
    }
    let (one, other) = (world.fixture.another_service().await, world.fixture.another_service().await);
    tokio::join!(work(&one), work(&other));
    // The one that found nothing while the other was at the last one has left.
    work(&one).await;
    for run in runs {
        assert_counts(&find(&world, run).await, BulkState::Done, 30, 0, 0);
    }
    let mut calls = world.cloudflare.calls();
    assert_eq!(calls.len(), 90);
    calls.sort_unstable();
    calls.dedup();
    assert_eq!(calls.len(), 90);
}

/// All were made at the same time, and leave the filter one after the other.
async fn leaving_the_filter(engine: Engine) {
    let world = world(&engine, 73).await;
    let run = start(&world, &StaffAction::MarkExpired, &all("pending")).await;
    work(world.service()).await;
    assert_counts(&find(&world, run).await, BulkState::Done, 73, 0, 0);
    assert_eq!(count(&world, "status = 'expired'").await, 73);
    let logs = "SELECT count(DISTINCT image_id) FROM cloudflare_image_logs WHERE message = 'alice marked the upload as expired'";
    assert_eq!(sql::count(world.url(), logs).await, 73);
    let again = start(&world, &StaffAction::MarkExpired, &all("expired")).await;
    work(world.service()).await;
    assert_counts(&find(&world, again).await, BulkState::Done, 0, 73, 0);
}

async fn failures(engine: Engine) {
    let world = world(&engine, 30).await;
    for lost in ["img-7", "img-25"] {
        world.cloudflare.forget(lost);
    }
    let run = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    assert!(world.service().retry_bulk_failures(run, alice(&world)).await.is_err());
    work(world.service()).await;
    assert_counts(&find(&world, run).await, BulkState::Done, 28, 0, 2);
    let failures = world.service().list_bulk_failures(run).await.unwrap();
    let names: Vec<_> = failures.iter().map(|failure| failure.name.as_str()).collect();
    assert_eq!(names, ["img-25", "img-7"]);
    assert!(failures.iter().all(|failure| failure.message.starts_with("Failed to check image status")), "{failures:?}");

    world.cloudflare.has_picture("img-7");
    let again = world.service().retry_bulk_failures(run, alice(&world)).await.unwrap();
    work(world.service()).await;
    assert_counts(&find(&world, again).await, BulkState::Done, 1, 0, 1);
    assert_eq!(count(&world, "status = 'uploaded'").await, 29);

    // Nobody asked for images that are not pending.
    sql::execute(world.url(), "UPDATE cloudflare_images SET status = 'failed' WHERE cloudflare_id = 'img-25'").await;
    let again = world.service().retry_bulk_failures(again, alice(&world)).await.unwrap();
    work(world.service()).await;
    assert_counts(&find(&world, again).await, BulkState::Done, 0, 0, 0);
}

async fn changed_in_hand(engine: Engine) {
    let world = world(&engine, 3).await;
    let run = start(&world, &StaffAction::Delete { force: true }, &all("pending")).await;
    world.cloudflare.fail_with(401);
    work(world.service()).await;
    world.cloudflare.recover();
    sql::execute(world.url(), "UPDATE cloudflare_images SET status = 'uploaded' WHERE cloudflare_id = 'img-2'").await;
    world.fixture.clock.advance(61);
    work(&world.fixture.another_service().await).await;
    assert_counts(&find(&world, run).await, BulkState::Done, 2, 1, 0);
    assert_eq!((count(&world, "status = 'uploaded'").await, world.cloudflare.ids().len()), (1, 1));
}

async fn outage(engine: Engine) {
    let world = world(&engine, 30).await;
    let run = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    world.cloudflare.fail_with(401);
    work(world.service()).await;
    let waiting = find(&world, run).await;
    assert_counts(&waiting, BulkState::Running, 0, 0, 0);
    assert!(!waiting.last_error.is_empty());
    world.fixture.clock.advance(61);
    let other = start(&world, &StaffAction::CheckStatus, &all("draft")).await;
    world.fixture.clock.advance(120);
    let other = find(&world, other).await;
    let is_left_alone = async |run| world.service().is_left_alone(run).await.unwrap();
    assert!(!is_left_alone(&other).await, "a server works, and pauses after a failure");
    world.fixture.clock.advance(10 * 60);
    assert!(is_left_alone(&other).await);
    assert!(!is_left_alone(&waiting).await, "what is wrong is known");
    world.cloudflare.fail_with(None);
    work(&world.fixture.another_service().await).await;
    let run = find(&world, run).await;
    assert_counts(&run, BulkState::Done, 30, 0, 0);
    assert_eq!(run.last_error, "");
}

async fn never_works(engine: Engine) {
    let world = world(&engine, 1).await;
    let run = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    world.cloudflare.fail_with(401);
    let mut tries = 0;
    while find(&world, run).await.failed == 0 {
        tries += 1;
        assert!(tries < 20);
        let progress = world.service().work_on_bulk_run(|| false).await.unwrap();
        assert!(progress.is_some(), "the pauses end after five minutes");
        world.fixture.clock.advance(400);
    }
    assert_eq!(tries, 11);
    work(world.service()).await;
    assert_counts(&find(&world, run).await, BulkState::Done, 0, 0, 1);
}

async fn stuck(engine: Engine) {
    let world = world(&engine, 3).await;
    world.cloudflare.fail_with(401);
    let stuck = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    work(world.service()).await;
    let other = start(&world, &StaffAction::MarkExpired, &all("pending")).await;
    work(world.service()).await;
    assert_counts(&find(&world, other).await, BulkState::Done, 3, 0, 0);
    let run = find(&world, stuck).await;
    assert_eq!((run.attempts, world.cloudflare.calls().len()), (1, 3), "{run:?}");
    assert!(!run.last_error.is_empty());
    world.fixture.clock.advance(1);
    work(world.service()).await;
    assert_eq!(world.cloudflare.calls().len(), 3, "it is left alone for a time");
    world.fixture.clock.advance(2);
    work(world.service()).await;
    assert_eq!(find(&world, stuck).await.state, BulkState::Done, "its images have left the filter");
}

async fn newer_version(engine: Engine) {
    let world = world(&engine, 2).await;
    let newer = [
        ("action", r#"{"rotate":{"degrees":90}}"#),
        ("action", r#"{"delete":{"force":false,"unless":"starred"}}"#),
        ("selection", r#"{"query":{"filter":{"starred":true}},"list":""}"#),
    ];
    let mut runs = Vec::new();
    for (column, text) in newer {
        let run = start(&world, &StaffAction::Delete { force: true }, &all("pending")).await;
        sql::execute(world.url(), &format!("UPDATE cfimages_bulk_runs SET {column} = '{text}' WHERE id = {run}")).await;
        runs.push(run);
    }
    let ours = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    work(world.service()).await;
    assert_counts(&find(&world, ours).await, BulkState::Done, 2, 0, 0);
    assert_eq!(world.service().list_bulk_runs(None, 10).await.unwrap().len(), 4);
    for run in runs {
        assert_counts(&find(&world, run).await, BulkState::Waiting, 0, 0, 0);
        sql::execute(world.url(), &format!("UPDATE cfimages_bulk_runs SET state = 'resting' WHERE id = {run}")).await;
        assert_counts(&find(&world, run).await, BulkState::Other, 0, 0, 0);
    }
    assert_eq!(count(&world, "true").await, 2);
}

async fn slow_search(engine: Engine) {
    use sqlx::{Connection, Executor, PgConnection};

    let world = world(&engine, 2).await;
    let run = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    let mut lock = PgConnection::connect(world.url()).await.unwrap();
    lock.execute("BEGIN; LOCK TABLE cloudflare_images IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let limits = ClientLimits::default();
    let database = connect_twice(world.url()).await;
    let service = service_within(&world.cloudflare.base_url, &limits, database, world.fixture.clock.clone());
    let working = tokio::spawn(async move { service.work_on_bulk_run(|| false).await });
    sql::somebody_waits(world.url()).await;
    world.fixture.clock.advance(50);
    let now = world.fixture.clock_now();
    let is_prolonged = async || (find(&world, run).await.claimed_until? > now.plus_seconds(50)).then_some(());
    eventually("the claim is prolonged", is_prolonged).await;
    world.fixture.clock.advance(50);
    assert!(world.service().work_on_bulk_run(|| false).await.unwrap().is_none());
    lock.execute("COMMIT").await.unwrap();
    working.await.unwrap().unwrap();
    work(world.service()).await;
    assert_counts(&find(&world, run).await, BulkState::Done, 2, 0, 0);
}

async fn used_meanwhile(engine: Engine) {
    let world = world(&engine, 3).await;
    // Two calls may be in flight, one of them for jobs.
    let limits = ClientLimits { max_concurrent_requests: 2, ..ClientLimits::default() };
    let service = service_within(
        &world.cloudflare.base_url,
        &limits,
        world.fixture.database.clone(),
        world.fixture.clock.clone(),
    );
    let first = ImageFilter { ids: Some(vec![uuid::Uuid::from_u128(1).into()]), ..ImageFilter::default() };
    let first = BulkSelection { query: ImageQuery { filter: first, ..ImageQuery::default() }, list: String::new() };
    let run = start(&world, &StaffAction::Delete { force: false }, &first).await;
    world.cloudflare.hold();
    let mut asking = tokio::task::JoinSet::new();
    for number in [2, 3] {
        let (image, _) = service.find_any_image(uuid::Uuid::from_u128(number).into()).await.unwrap();
        let service = service.clone();
        asking.spawn(async move { service.ask_about(&image).await });
    }
    world.cloudflare.was_called(2).await;
    let mut working = std::pin::pin!(service.work_on_bulk_run(|| false));
    // It waits for a place until the others have left; that cannot be seen from outside.
    let waiting = tokio::time::timeout(Duration::from_millis(500), &mut working).await;
    assert!(waiting.is_err());
    insert_usage(world.url(), 1, "shop.product", "7", "hero", "field").await;
    world.cloudflare.release();
    working.await.unwrap();
    asking.join_all().await;
    work(world.service()).await;
    assert_counts(&find(&world, run).await, BulkState::Done, 0, 1, 0);
    assert_eq!((count(&world, "true").await, world.cloudflare.ids().len()), (3, 3));
}

async fn stopped(engine: Engine) {
    let world = world(&engine, 50).await;
    let unbegun = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    world.service().stop_bulk_run(unbegun, alice(&world)).await.unwrap();
    assert!(world.service().work_on_bulk_run(|| false).await.unwrap().is_none());
    assert_counts(&find(&world, unbegun).await, BulkState::Stopped, 0, 0, 0);

    let run = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    world.cloudflare.hold();
    let working = world.fixture.another_service().await;
    let working = tokio::spawn(async move { working.work_on_bulk_run(|| false).await });
    world.cloudflare.was_called(4).await;
    world.service().stop_bulk_run(run, alice(&world)).await.unwrap();
    world.cloudflare.release();
    working.await.unwrap().unwrap();
    work(world.service()).await;
    let run = find(&world, run).await;
    assert_eq!((run.state, run.last_error.as_str()), (BulkState::Stopped, "alice stopped it."));
    assert_eq!(run.done, count(&world, "status = 'uploaded'").await, "what was done is counted");
    assert!((4..=20).contains(&run.done), "{run:?}");
    assert!(world.service().stop_bulk_run(999, alice(&world)).await.is_err());
}

async fn dismissed(engine: Engine) {
    let world = world(&engine, 30).await;
    let run = start(&world, &StaffAction::CheckStatus, &all("pending")).await;
    world.service().work_on_bulk_run(|| false).await.unwrap();
    sql::execute(world.url(), "UPDATE auth_user SET is_staff = false WHERE username = 'alice'").await;
    work(world.service()).await;
    let run = find(&world, run).await;
    assert_counts(&run, BulkState::Stopped, 20, 0, 0);
    assert_eq!(run.last_error, "alice is no member of the staff any more.");
    assert_eq!(world.cloudflare.calls().len(), 20);
}

async fn used_images(engine: Engine) {
    let world = world(&engine, 3).await;
    insert_usage(world.url(), 2, "shop.product", "7", "hero", "field").await;
    let everything = BulkSelection::default();
    for (force, left) in [(false, 1), (true, 0)] {
        let run = start(&world, &StaffAction::Delete { force }, &everything).await;
        work(world.service()).await;
        let run = find(&world, run).await;
        assert_counts(&run, BulkState::Done, if force { 1 } else { 2 }, i64::from(!force), 0);
        assert_eq!(count(&world, "true").await, left);
        assert_eq!(world.cloudflare.ids().len(), usize::try_from(left).unwrap());
    }
}

async fn metadata(engine: Engine) {
    let world = world(&engine, 2).await;
    work_through_status(&world).await;
    let cast = if matches!(engine, Engine::Sqlite) { "" } else { "::jsonb" };
    let before = format!(
        "UPDATE cloudflare_images SET metadata = '{{\"album\": \"old\", \"note\": 1.50, \"rating\": 5}}'{cast}"
    );
    sql::execute(world.url(), &before).await;
    let over = cfimages::domain::Json::parse(r#"{"album": "holidays", "new": [1]}"#).unwrap();
    let merge = MetadataEdit::Merge { over, without: vec!["rating".to_owned(), "missing".to_owned()] };
    let edit = StaffAction::Edit(StaffEdit { metadata: Some(merge), ..StaffEdit::default() });
    let run = start(&world, &edit, &BulkSelection::default()).await;
    work(world.service()).await;
    assert_counts(&find(&world, run).await, BulkState::Done, 2, 0, 0);
    for number in 1..=2 {
        let meta = world.cloudflare.details(&format!("img-{number}"))["meta"].clone();
        assert_eq!(meta, json!({"album": "holidays", "note": 1.5, "new": [1]}));
    }
    let again = start(&world, &edit, &BulkSelection::default()).await;
    work(world.service()).await;
    assert_counts(&find(&world, again).await, BulkState::Done, 0, 2, 0);
}

async fn work_through_status(world: &World) {
    start(world, &StaffAction::CheckStatus, &BulkSelection::default()).await;
    work(world.service()).await;
}

async fn forgotten(engine: Engine) {
    let world = world(&engine, 1).await;
    world.cloudflare.forget("img-1");
    let old = start(&world, &StaffAction::CheckStatus, &BulkSelection::default()).await;
    work(world.service()).await;
    ImageRow { number: 2, ..ImageRow::default() }.insert(world.url()).await;
    for (days, left) in [(29, 1), (2, 0)] {
        world.fixture.clock.advance(days * 24 * 60 * 60);
        start(&world, &StaffAction::MarkExpired, &all("draft")).await;
        assert_eq!(i64::from(world.service().find_bulk_run(old).await.is_ok()), left);
        assert_eq!(sql::count(world.url(), "SELECT count(*) FROM cfimages_bulk_failures").await, left);
    }
    let runs = store::bulk_runs::list(&world.fixture.database, None, 10).await.unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!(world.service().list_bulk_runs(Some(runs[0].id), 10).await.unwrap().len(), 1);
}
