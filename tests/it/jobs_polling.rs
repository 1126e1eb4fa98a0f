//! Asking Cloudflare about images of whose upload no webhook told.

use std::time::Duration;

use cfimages::domain::{CloudflareId, ImageId};
use cfimages::service::{CloudflareService, Error, IncomingWebhook, Polled, WebhookAnswer, WebhookProofs};
use cfimages::store::polls::{self, Poll};
use serde_json::json;

use crate::support::cloudflare::FakeCloudflare;
use crate::support::rows::{ImageRow, insert_images, is_sqlite};
use crate::support::sql;
use crate::support::suite::{Engine, Suite};
use crate::usages::Fixture;

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("polling::an_unused_upload_url_is_asked_about_at_growing_intervals_and_expires", intervals);
    suite.on_both_engines("polling::what_cloudflare_has_found_ends_the_polling", findings);
    suite.on_both_engines("polling::only_changes_are_written_and_logged", changes_only);
    suite.on_both_engines("polling::an_image_marked_as_expired_is_asked_about_once_more", expired_too_early);
    suite.on_both_engines("polling::images_that_are_finished_young_or_old_are_nobodys_concern", others);
    suite.on_both_engines("polling::old_images_are_not_even_read", many_old_images);
    suite.on_both_engines("polling::images_that_are_gone_keep_no_other_from_its_turn", gone);
    suite.on_both_engines("polling::a_cloudflare_that_fails_is_an_error_and_an_image_that_fails_is_not", failures);
    suite.on_both_engines("polling::an_image_that_always_fails_is_given_up_after_a_week", given_up);
    suite.on_both_engines("polling::a_hint_makes_it_an_images_turn_whatever_goes_on", hastened);
    suite.on_both_engines("polling::a_hint_about_a_draft_is_followed_soon_and_not_for_ever", hint_about_a_draft);
    suite.on_both_engines("polling::two_instances_ask_about_each_image_once", two_instances);
    suite.on_both_engines("polling::what_a_crashed_instance_had_claimed_is_free_after_a_while", crash);
    suite.on_both_engines("polling::who_has_lost_a_claim_changes_nothing", lost_claim);
    suite.on_both_engines("polling::a_webhook_at_the_same_moment_is_recorded_once", beside_webhook);
    suite.on_both_engines("polling::an_image_deleted_at_the_same_moment_stays_deleted", beside_deletion);
    suite.on_both_engines("polling::a_clean_up_at_the_same_moment_does_not_undo_an_upload", beside_cleanup);
}

const DUE: Polled = Polled { due: 1, changed: 0 };
const CHANGED: Polled = Polled { due: 1, changed: 1 };
const NONE: Polled = Polled { due: 0, changed: 0 };

/// A service at the beginning of 2026, and a Cloudflare.
pub(crate) struct World {
    pub(crate) fixture: Fixture,
    pub(crate) cloudflare: FakeCloudflare,
}

impl World {
    pub(crate) async fn new(engine: &Engine) -> Self {
        Self::with(engine, FakeCloudflare::start().await).await
    }

    pub(crate) async fn with(engine: &Engine, cloudflare: FakeCloudflare) -> Self {
        Self { fixture: Fixture::with_cloudflare(engine, &cloudflare.base_url).await, cloudflare }
    }

    pub(crate) fn service(&self) -> &CloudflareService {
        &self.fixture.service
    }

    pub(crate) fn url(&self) -> &str {
        self.fixture.url.as_str()
    }

    /// Writes an image as Django does, created now and with an upload URL for half an hour.
    async fn image(&self, number: u32, status: &str) -> (ImageId, CloudflareId) {
        let row = ImageRow { number, status, created_at: "2026-01-01", expires_at: "2026-01-01T00:30:00Z" };
        row.insert(self.url()).await
    }

    /// Makes it an image's turn, as a webhook does that could not be confirmed.
    async fn hasten(&self, id: ImageId) {
        let mut transaction = self.fixture.database.begin().await.unwrap();
        polls::hasten(&mut transaction, id, self.fixture.clock_now()).await.unwrap();
        transaction.commit().await.unwrap();
    }

    async fn receive(&self, body: &str) -> WebhookAnswer {
        let webhook = IncomingWebhook { client: None, proofs: WebhookProofs::default(), body: body.as_bytes() };
        self.service().receive_webhook(&webhook, cfimages::webhook::read_event).await
    }

    async fn poll(&self) -> Polled {
        self.service().poll_due_images(1).await.unwrap()
    }

    async fn status(&self, number: u32) -> String {
        let query = format!("SELECT status FROM cloudflare_images WHERE cloudflare_id = 'img-{number}'");
        sql::text(self.url(), &query).await
    }

    async fn logs(&self) -> Vec<String> {
        let query = "SELECT event_type || ': ' || message FROM cloudflare_image_logs ORDER BY id";
        sql::texts(self.url(), query).await.into_iter().flatten().collect()
    }

    /// How many images have a turn to come.
    async fn polls(&self) -> i64 {
        sql::count(self.url(), "SELECT count(*) FROM cfimages_polls").await
    }

    /// Lets the time pass in steps of half a minute; the seconds at which Cloudflare was asked.
    async fn asked_within(&self, minutes: i64) -> Vec<i64> {
        let mut asked = Vec::new();
        for step in 0..minutes * 2 {
            if self.poll().await.due > 0 {
                asked.push(step * 30);
            }
            self.fixture.clock.advance(30);
        }
        asked
    }
}

async fn intervals(engine: Engine) {
    let world = World::new(&engine).await;
    world.image(1, "pending").await;
    world.cloudflare.has_draft("img-1");
    assert_eq!(world.asked_within(60).await, [90, 210, 450, 930, 35 * 60]);
    assert_eq!(world.cloudflare.calls(), vec!["GET images/v1/img-1"; 5]);
    assert_eq!((world.status(1).await.as_str(), world.polls().await), ("expired", 0));
    assert_eq!(world.logs().await, ["status_checked: Image status checked: draft"]);
}

async fn findings(engine: Engine) {
    let world = World::new(&engine).await;
    for number in 1..=4 {
        world.image(number, "draft").await;
    }
    world.cloudflare.has_picture("img-1");
    world.cloudflare.has("img-2", &json!({"status": "failed"}));
    world.cloudflare.has("img-3", &json!({"uploaded": null}));
    // img-4 is not there: it has not been found yet, or is gone.
    world.fixture.clock.advance(90);
    let polled = world.service().poll_due_images(10).await.unwrap();
    assert_eq!(polled, Polled { due: 4, changed: 2 });
    let statuses = [world.status(1).await, world.status(2).await, world.status(3).await, world.status(4).await];
    assert_eq!(statuses, ["uploaded", "failed", "draft", "draft"]);
    assert_eq!(world.polls().await, 2);
    let uploaded =
        "SELECT uploaded_at FROM cloudflare_images WHERE cloudflare_id = 'img-1' AND uploaded_at IS NOT NULL";
    assert_eq!(sql::count(world.url(), &format!("SELECT count(*) FROM ({uploaded}) AS found")).await, 1);

    world.fixture.clock.advance(35 * 60);
    assert_eq!(world.service().poll_due_images(10).await.unwrap(), Polled { due: 2, changed: 1 });
    // What is there and no draft is not said to have expired, though it says nothing of an upload.
    assert_eq!((world.status(3).await.as_str(), world.status(4).await.as_str()), ("draft", "expired"));
    assert_eq!(world.polls().await, 1);
}

async fn changes_only(engine: Engine) {
    let world = World::new(&engine).await;
    world.image(1, "draft").await;
    world.cloudflare.has_draft("img-1");
    world.fixture.clock.advance(90);
    assert_eq!(world.poll().await, DUE);
    let unchanged = "SELECT count(*) FROM cloudflare_images WHERE updated_at = created_at";
    assert_eq!((sql::count(world.url(), unchanged).await, world.logs().await.len()), (1, 0));
    world.cloudflare.has_picture("img-1");
    world.fixture.clock.advance(120);
    assert_eq!(world.poll().await, CHANGED);
    assert_eq!(world.logs().await, ["status_checked: Image status checked: uploaded"]);
    assert_eq!(sql::count(world.url(), unchanged).await, 0);
}

/// `cleanup-expired` goes by the time alone: the last upload may have been under way.
async fn expired_too_early(engine: Engine) {
    let world = World::new(&engine).await;
    world.image(1, "pending").await;
    world.image(2, "pending").await;
    for id in ["img-1", "img-2"] {
        world.cloudflare.has_draft(id);
    }
    world.fixture.clock.advance(90);
    world.service().poll_due_images(2).await.unwrap();
    world.fixture.clock.advance(31 * 60);
    assert_eq!(world.service().mark_expired().await.unwrap(), 2);
    world.cloudflare.has_picture("img-1");
    world.fixture.clock.advance(5 * 60);
    assert_eq!(world.service().poll_due_images(10).await.unwrap(), Polled { due: 2, changed: 1 });
    assert_eq!((world.status(1).await.as_str(), world.status(2).await.as_str()), ("uploaded", "expired"));
    assert_eq!(world.polls().await, 0);
}

async fn others(engine: Engine) {
    let world = World::new(&engine).await;
    for (number, status) in [(1, "uploaded"), (2, "failed"), (3, "expired"), (4, "of its own")] {
        world.image(number, status).await;
    }
    world.fixture.clock.advance(89);
    world.image(5, "pending").await;
    let old = ImageRow { number: 6, status: "pending", created_at: "2025-12-25", expires_at: "2025-12-25T06:00:00Z" };
    old.insert(world.url()).await;
    assert_eq!(world.poll().await, NONE);
    assert_eq!((world.polls().await, world.cloudflare.calls().len()), (0, 0));
    // A webhook was quicker: that costs no call.
    world.fixture.clock.advance(1);
    world.cloudflare.has_draft("img-5");
    assert_eq!(world.poll().await, CHANGED);
    sql::execute(world.url(), "UPDATE cloudflare_images SET status = 'uploaded' WHERE cloudflare_id = 'img-5'").await;
    world.fixture.clock.advance(120);
    assert_eq!(world.poll().await, DUE);
    assert_eq!((world.polls().await, world.cloudflare.calls().len()), (0, 1));
}

async fn many_old_images(engine: Engine) {
    let world = World::new(&engine).await;
    insert_images(world.url(), 20_000, "expired").await;
    sql::execute(world.url(), "UPDATE cloudflare_images SET status = 'pending' WHERE cloudflare_id LIKE '%7'").await;
    sql::execute(world.url(), "ANALYZE").await;
    let explain = if is_sqlite(world.url()) { "EXPLAIN QUERY PLAN" } else { "EXPLAIN (COSTS OFF)" };
    let condition = if is_sqlite(world.url()) {
        "created_at > '2025-12-25 00:00:00' AND created_at <= '2026-01-01 00:00:00'"
    } else {
        "created_at > '2025-12-25T00:00:00Z' AND created_at <= '2026-01-01T00:00:00Z'"
    };
    let plan = sql::plan(
        world.url(),
        &format!(
            "{explain} SELECT id FROM cloudflare_images WHERE status IN ('pending', 'draft') AND {condition} \
             AND NOT EXISTS (SELECT 1 FROM cfimages_polls WHERE image_id = cloudflare_images.id) ORDER BY status, created_at LIMIT 1000"
        ),
    )
    .await;
    let is_by_age =
        ["cfimg_status_created_idx", "cfimages_images_created_idx"].iter().any(|index| plan.contains(index));
    assert!(is_by_age, "{plan}");
    assert!(!plan.contains("SCAN cloudflare_images") && !plan.contains("Seq Scan on cloudflare_images"), "{plan}");
    assert_eq!(world.poll().await, NONE);
    assert_eq!(world.polls().await, 0);
}

async fn gone(engine: Engine) {
    let world = World::new(&engine).await;
    for number in 1..=3 {
        world.image(number, "pending").await;
        world.cloudflare.has_draft(&format!("img-{number}"));
    }
    world.fixture.clock.advance(90);
    assert_eq!(world.service().poll_due_images(3).await.unwrap().due, 3);
    world.fixture.clock.advance(5 * 60);
    sql::execute(world.url(), "DELETE FROM cloudflare_image_logs").await;
    sql::execute(world.url(), "DELETE FROM cloudflare_images WHERE cloudflare_id IN ('img-1', 'img-2')").await;
    assert_eq!(world.service().poll_due_images(1).await.unwrap().due, 1);
    assert_eq!(world.polls().await, 1);
}

async fn failures(engine: Engine) {
    let world = World::new(&engine).await;
    world.image(1, "pending").await;
    world.image(2, "pending").await;
    world.cloudflare.has_picture("img-2");
    world.fixture.clock.advance(90);
    for status in [500, 503, 429, 401, 403] {
        world.cloudflare.fail_with(status);
        let error = world.fixture.another_service().await.poll_due_images(1).await.unwrap_err();
        assert!(matches!(error, Error::Cloudflare { .. }), "{error}");
        world.fixture.clock.advance(60 * 60);
    }
    let reasons = "SELECT last_error FROM cfimages_polls WHERE last_error <> '' LIMIT 1";
    assert!(sql::text(world.url(), reasons).await.contains(" Error: "));
    // It recovers by itself.
    world.cloudflare.fail_with(None);
    world.fixture.clock.advance(60 * 60);
    let polled = world.service().poll_due_images(10).await.unwrap();
    assert_eq!(polled, Polled { due: 2, changed: 2 });

    world.image(3, "pending").await;
    world.fixture.clock.advance(1);
    world.cloudflare.fail_with(400);
    assert_eq!(world.service().poll_due_images(10).await.unwrap(), DUE);
    assert_eq!(sql::text(world.url(), reasons).await, "400 Client Error: Bad Request");
}

async fn given_up(engine: Engine) {
    let world = World::new(&engine).await;
    world.image(1, "pending").await;
    world.cloudflare.fail_with(400);
    world.fixture.clock.advance(90);
    let mut turns = 0;
    while world.polls().await > 0 || turns == 0 {
        turns += world.poll().await.due;
        world.fixture.clock.advance(60 * 60);
        assert!(turns < 30);
    }
    assert!(turns >= 10, "{turns}");
    assert_eq!((world.status(1).await.as_str(), world.poll().await), ("pending", NONE));
}

async fn hastened(engine: Engine) {
    let world = World::new(&engine).await;
    let (id, _) = world.image(1, "failed").await;
    world.cloudflare.has_picture("img-1");
    world.hasten(id).await;
    assert_eq!(world.poll().await, CHANGED);
    assert_eq!((world.status(1).await.as_str(), world.polls().await), ("uploaded", 0));

    // The intervals grow anew, as the answer may be late only by a little.
    let (id, _) = world.image(2, "pending").await;
    world.cloudflare.has_draft("img-2");
    world.fixture.clock.advance(16 * 60);
    for _ in 0..2 {
        world.hasten(id).await;
        world.poll().await;
    }
    world.fixture.clock.advance(120);
    assert_eq!(world.poll().await, DUE);

    // Said while Cloudflare is asked, it is not forgotten.
    world.fixture.clock.advance(240);
    world.cloudflare.take_calls();
    world.cloudflare.hold();
    let service = world.service().clone();
    let polling = tokio::spawn(async move { service.poll_due_images(1).await.unwrap() });
    world.cloudflare.was_called(1).await;
    world.hasten(id).await;
    world.cloudflare.release();
    assert_eq!(polling.await.unwrap(), DUE);
    assert_eq!((world.poll().await, world.poll().await), (DUE, NONE));

    // An image that is gone has no turn any more.
    world.hasten(ImageId::random()).await;
    assert_eq!((world.polls().await, world.poll().await, world.polls().await), (2, NONE, 1));
}

const HINT: &str = r#"{"alert_type": "image_notification", "data": {"image_id": "img-1"}}"#;

async fn hint_about_a_draft(engine: Engine) {
    let world = World::new(&engine).await;
    world.image(1, "pending").await;
    world.cloudflare.has_draft("img-1");
    assert_eq!(world.receive(HINT).await, WebhookAnswer::Accepted);
    assert_eq!((world.status(1).await.as_str(), world.logs().await.len()), ("pending", 0));
    assert_eq!(world.asked_within(60).await, [0, 120, 360, 840, 30 * 60, 35 * 60]);
    assert_eq!((world.status(1).await.as_str(), world.polls().await), ("expired", 0));

    // Where the intervals have grown, they begin anew.
    let world = World::new(&engine).await;
    world.image(1, "pending").await;
    world.cloudflare.has_draft("img-1");
    world.asked_within(10).await;
    assert_eq!(world.poll().await, NONE);
    assert_eq!(world.receive(HINT).await, WebhookAnswer::Accepted);
    world.cloudflare.has_picture("img-1");
    assert_eq!(world.poll().await, CHANGED);
    assert_eq!((world.status(1).await.as_str(), world.polls().await), ("uploaded", 0));
}

/// How often Cloudflare was asked about each image, at most.
fn most_calls(calls: &[String]) -> usize {
    let count = |call: &String| calls.iter().filter(|other| *other == call).count();
    calls.iter().map(count).max().unwrap_or(0)
}

async fn two_instances(engine: Engine) {
    let world = World::with(&engine, FakeCloudflare::with_latency(Duration::from_millis(5)).await).await;
    for number in 1..=40 {
        world.image(number, "pending").await;
        world.cloudflare.has_picture(&format!("img-{number}"));
    }
    world.fixture.clock.advance(90);
    let run = async |service: CloudflareService| {
        let mut all = NONE;
        loop {
            let polled = service.poll_due_images(4).await.unwrap();
            if polled == NONE {
                return all;
            }
            all = Polled { due: all.due + polled.due, changed: all.changed + polled.changed };
        }
    };
    let another = world.fixture.another_service().await;
    let (one, other) = tokio::join!(run(world.service().clone()), run(another));
    assert_eq!((one.due + other.due, one.changed + other.changed), (40, 40));
    let calls = world.cloudflare.calls();
    assert_eq!((calls.len(), most_calls(&calls), world.logs().await.len()), (40, 1, 40));
}

async fn crash(engine: Engine) {
    let world = World::new(&engine).await;
    world.image(1, "pending").await;
    world.cloudflare.has_picture("img-1");
    world.fixture.clock.advance(90);
    world.cloudflare.hold();
    let crashing = world.fixture.another_service().await;
    let crashing = tokio::spawn(async move { crashing.poll_due_images(1).await });
    world.cloudflare.was_called(1).await;
    crashing.abort();
    assert!(crashing.await.unwrap_err().is_cancelled());
    world.cloudflare.release();
    assert_eq!(world.poll().await, NONE);
    world.fixture.clock.advance(299);
    assert_eq!(world.poll().await, NONE);
    world.fixture.clock.advance(1);
    assert_eq!(world.poll().await, CHANGED);
}

async fn claim_one(world: &World) -> Poll {
    let now = world.fixture.clock_now();
    let mut transaction = world.fixture.database.begin().await.unwrap();
    let mut polls = polls::claim(&mut transaction, now, now.plus_minutes(5), 1).await.unwrap();
    transaction.commit().await.unwrap();
    polls.pop().unwrap()
}

async fn lost_claim(engine: Engine) {
    for answer in ["picture", "draft", "error"] {
        let world = World::new(&engine).await;
        let (id, _) = world.image(1, "pending").await;
        match answer {
            "picture" => world.cloudflare.has_picture("img-1"),
            "draft" => world.cloudflare.has_draft("img-1"),
            _ => world.cloudflare.fail_with(400),
        }
        world.fixture.clock.advance(90);
        world.cloudflare.hold();
        let service = world.fixture.another_service().await;
        let polling = tokio::spawn(async move { service.poll_due_images(1).await.unwrap() });
        world.cloudflare.was_called(1).await;
        // The hint makes the next claim the first one, as the claim that is lost was.
        world.fixture.clock.advance(300);
        world.hasten(id).await;
        let claim = claim_one(&world).await;
        let rows =
            "SELECT concat(attempts, ' ', claimed_until, ' ', next_poll_at, ' ', last_error) FROM cfimages_polls";
        let row = sql::text(world.url(), rows).await;

        world.cloudflare.release();
        assert_eq!(polling.await.unwrap(), DUE, "{answer}");
        assert_eq!(sql::text(world.url(), rows).await, row, "{answer}");
        assert_eq!((world.status(1).await.as_str(), world.logs().await.len()), ("pending", 0), "{answer}");

        let mut transaction = world.fixture.database.begin().await.unwrap();
        assert!(polls::finish(&mut transaction, &claim, world.fixture.clock_now()).await.unwrap());
        assert!(!polls::finish(&mut transaction, &claim, world.fixture.clock_now()).await.unwrap());
        transaction.commit().await.unwrap();
        assert_eq!(world.polls().await, 0);
    }
}

async fn beside_webhook(engine: Engine) {
    for (webhook, logs) in [("uploaded", 1), ("failed", 2)] {
        let world = World::new(&engine).await;
        world.image(1, "draft").await;
        world.cloudflare.has_picture("img-1");
        world.fixture.clock.advance(90);
        world.cloudflare.hold();
        let service = world.service().clone();
        let polling = tokio::spawn(async move { service.poll_due_images(1).await.unwrap() });
        world.cloudflare.was_called(1).await;
        let report = match webhook {
            "uploaded" => r#"{"id": "img-1", "uploaded": "2026-01-01T00:01:00Z"}"#,
            _ => r#"{"id": "img-1", "status": "failed"}"#,
        };
        assert_eq!(world.receive(report).await, WebhookAnswer::Accepted);
        world.cloudflare.release();
        let changed = u32::from(webhook != "uploaded");
        assert_eq!(polling.await.unwrap(), Polled { due: 1, changed });
        assert_eq!((world.status(1).await.as_str(), world.polls().await), ("uploaded", 0));
        assert_eq!(world.logs().await.len(), logs, "{webhook}");
    }
}

async fn beside_deletion(engine: Engine) {
    for picture in [true, false] {
        let world = World::new(&engine).await;
        world.image(1, "draft").await;
        if picture {
            world.cloudflare.has_picture("img-1");
        }
        world.fixture.clock.advance(40 * 60);
        world.cloudflare.hold();
        let service = world.service().clone();
        let polling = tokio::spawn(async move { service.poll_due_images(1).await.unwrap() });
        world.cloudflare.was_called(1).await;
        sql::execute(world.url(), "DELETE FROM cloudflare_images").await;
        world.cloudflare.release();
        assert_eq!(polling.await.unwrap(), DUE);
        let left = "SELECT (SELECT count(*) FROM cloudflare_images) + (SELECT count(*) FROM cloudflare_image_logs)";
        assert_eq!((sql::count(world.url(), left).await, world.polls().await), (0, 0));
    }
}

async fn beside_cleanup(engine: Engine) {
    let world = World::new(&engine).await;
    world.image(1, "draft").await;
    world.image(2, "draft").await;
    world.cloudflare.has_picture("img-1");
    world.fixture.clock.advance(40 * 60);
    world.cloudflare.hold();
    let service = world.service().clone();
    let polling = tokio::spawn(async move { service.poll_due_images(2).await.unwrap() });
    world.cloudflare.was_called(2).await;
    assert_eq!(world.fixture.another_service().await.mark_expired().await.unwrap(), 2);
    world.cloudflare.release();
    assert_eq!(polling.await.unwrap(), Polled { due: 2, changed: 1 });
    assert_eq!((world.status(1).await.as_str(), world.status(2).await.as_str()), ("uploaded", "expired"));
    assert_eq!((world.polls().await, world.logs().await.len()), (0, 1));
}
