//! What is left at Cloudflare after failures, and gets deleted later.

use cfimages::domain::{CloudflareId, DeletionReason, Json};
use cfimages::service::{Error, LeftoverOutcome, SourceUrl, UploadDeadlines, UploadRequest};
use cfimages::store;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::cli::{cfimages, environment, text};
use crate::deletions::deleted;
use crate::jobs_polling::World;
use crate::support::cloudflare::FakeCloudflare;
use crate::support::rows::time;
use crate::support::sql;
use crate::support::suite::{Engine, Suite};
use crate::usages::Fixture;

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("leftovers::a_draft_without_an_upload_url_is_deleted", no_upload_url);
    suite.on_both_engines("leftovers::a_draft_whose_answer_was_lost_is_deleted_at_once", lost_draft);
    suite.on_both_engines("leftovers::a_lost_draft_is_looked_for_later_and_no_picture_is_touched", lost_draft_later);
    suite.on_both_engines("leftovers::an_upload_whose_answer_was_lost_is_found_by_its_custom_id", lost_upload);
    suite.on_both_engines("leftovers::a_custom_id_with_a_leftover_can_be_used_anew", reused_id);
    suite.on_both_engines("leftovers::what_is_known_to_be_ours_is_deleted_whatever_was_lost", known_to_be_ours);
    suite.on_both_engines("leftovers::a_deletion_that_fails_is_put_off_longer_each_time", backoff);
    suite.on_both_engines("leftovers::an_operator_sees_retries_and_forgets_them", operator);
}

pub(crate) async fn record(url: &str, id: &str, reason: &DeletionReason) {
    let past = time(url, "2020-01-01");
    let row = format!(
        "INSERT INTO cfimages_pending_deletions (cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at) \
         VALUES ('{id}', '{reason}', '{past}', 0, 'why', '{past}')"
    );
    sql::execute(url, &row).await;
}

/// The deletions that are recorded, with their reasons.
pub(crate) async fn recorded(url: &str) -> Vec<String> {
    let query = "SELECT cloudflare_id || ': ' || reason FROM cfimages_pending_deletions ORDER BY 1";
    sql::texts(url, query).await.into_iter().flatten().collect()
}

fn named(id: &str) -> UploadRequest {
    UploadRequest {
        custom_id: Some(CloudflareId::new(id)),
        metadata: Some(Json::parse(r#"{"b": 1.5, "a": [null]}"#).unwrap()),
        require_signed_urls: Some(false),
        creator: Some("shop".to_owned()),
        ..UploadRequest::default()
    }
}

async fn no_upload_url(engine: Engine) {
    for result in [
        json!({"id": "half"}),
        json!({"id": "half", "uploadURL": null}),
        json!({"id": "half", "uploadURL": "https://u/half", "x": "\u{0}"}),
    ] {
        let cloudflare = MockServer::start().await;
        let answer = ResponseTemplate::new(200).set_body_json(json!({"success": true, "result": result}));
        Mock::given(method("POST")).respond_with(answer).mount(&cloudflare).await;
        let drafts = path("/accounts/acct-0001/images/v1/half");
        Mock::given(method("DELETE")).and(drafts).respond_with(deleted()).expect(1).mount(&cloudflare).await;
        let fixture = Fixture::with_cloudflare(&engine, &cloudflare.uri()).await;
        let created = fixture.service.create_direct_upload_url(&fixture.alice, UploadRequest::default()).await;
        assert!(matches!(&created, Err(Error::Cloudflare { cause, .. }) if cause.is_malformed()), "{created:?}");
        assert_eq!(sql::count(fixture.url.as_str(), "SELECT count(*) FROM cloudflare_images").await, 0);
    }
}

async fn lost_draft(engine: Engine) {
    let world = World::new(&engine).await;
    world.cloudflare.lose_answers();
    let created = world.service().create_direct_upload_url(&world.fixture.alice, named("mine")).await;
    assert!(matches!(created, Err(Error::Cloudflare { .. })), "{created:?}");
    assert_eq!(
        world.cloudflare.take_calls(),
        ["POST images/v2/direct_upload", "GET images/v1/mine", "DELETE images/v1/mine"]
    );
    assert!(world.cloudflare.ids().is_empty() && recorded(world.url()).await.is_empty());

    // Drafts of others, and those without a custom id, are not ours to look for.
    world.cloudflare.has("theirs", &json!({"draft": true, "meta": {"a": 2}}));
    let created = world.service().create_direct_upload_url(&world.fixture.alice, UploadRequest::default()).await;
    assert!(matches!(created, Err(Error::Cloudflare { .. })), "{created:?}");
    assert_eq!(world.cloudflare.take_calls(), ["POST images/v2/direct_upload"; 3]);
    assert_eq!(world.cloudflare.ids().len(), 4);
}

async fn lost_draft_later(engine: Engine) {
    let world = World::new(&engine).await;
    world.cloudflare.fail_with(502);
    for id in ["draft", "gone", "picture"] {
        // A service of its own knows nothing of the outage.
        let service = world.fixture.another_service().await;
        let created = service.create_direct_upload_url(&world.fixture.alice, named(id)).await;
        assert!(matches!(created, Err(Error::Cloudflare { .. })), "{created:?}");
    }
    let lost = ["draft: the answer was lost", "gone: the answer was lost", "picture: the answer was lost"];
    assert_eq!(recorded(world.url()).await, lost);
    world.cloudflare.fail_with(None);
    world.cloudflare.has_draft("draft");
    world.cloudflare.has_picture("picture");
    let mut outcomes = Vec::new();
    while let Some(outcome) = world.service().delete_next_leftover(world.fixture.clock_now()).await.unwrap() {
        outcomes.push(format!("{outcome:?}"));
    }
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        ["Deleted(CloudflareId(\"draft\"))", "Deleted(CloudflareId(\"gone\"))", "Kept(CloudflareId(\"picture\"))"]
    );
    assert_eq!((world.cloudflare.ids(), recorded(world.url()).await), (vec!["picture".to_owned()], Vec::new()));
}

async fn lost_upload(engine: Engine) {
    let world = World::new(&engine).await;
    world.cloudflare.lose_answers();
    let (service, alice) = (world.service(), &world.fixture.alice);
    let deadlines = UploadDeadlines::until(Instant::now() + std::time::Duration::from_secs(30));
    let upload = async |request| {
        service.upload_from_url(alice, request, SourceUrl::parse("https://example.com/a.jpg").unwrap(), deadlines).await
    };
    let image = upload(named("mine")).await.unwrap();
    assert_eq!((image.cloudflare_id.as_str(), image.status.as_str()), ("mine", "uploaded"));
    assert_eq!(world.cloudflare.take_calls(), ["POST images/v1", "GET images/v1/mine"]);

    let lost = upload(UploadRequest { custom_id: None, ..named("") }).await;
    assert!(matches!(lost, Err(Error::Cloudflare { .. })), "{lost:?}");
    assert_eq!(world.cloudflare.take_calls(), ["POST images/v1"]);

    // A picture that was there before is not what we have just made.
    let details = json!({"uploaded": "2025-12-31T00:00:00Z", "meta": {"a": [null], "b": 1.5}, "creator": "shop"});
    world.cloudflare.has("older", &details);
    let older = upload(named("older")).await;
    assert!(matches!(older, Err(Error::Cloudflare { .. })), "{older:?}");
    assert_eq!(sql::count(world.url(), "SELECT count(*) FROM cloudflare_images").await, 1);
}

async fn reused_id(engine: Engine) {
    let world = World::new(&engine).await;
    world.cloudflare.has_draft("mine");
    record(world.url(), "mine", &DeletionReason::Unrecorded).await;
    let image = world.service().create_direct_upload_url(&world.fixture.alice, named("mine")).await.unwrap();
    assert_eq!((image.cloudflare_id.as_str(), recorded(world.url()).await.len()), ("mine", 0));
    // What is recorded is nobody's leftover any more.
    record(world.url(), "mine", &DeletionReason::Unrecorded).await;
    let kept = world.service().delete_next_leftover(world.fixture.clock_now()).await.unwrap();
    assert!(matches!(kept, Some(LeftoverOutcome::Kept(_))), "{kept:?}");
    assert_eq!(world.cloudflare.ids(), ["mine"]);
}

async fn known_to_be_ours(engine: Engine) {
    let world = World::new(&engine).await;
    for (id, reasons) in [
        ("lost-first", [DeletionReason::AnswerLost, DeletionReason::Unrecorded]),
        ("lost-last", [DeletionReason::Unrecorded, DeletionReason::AnswerLost]),
    ] {
        world.cloudflare.has_picture(id);
        for reason in &reasons {
            let (id, now) = (CloudflareId::new(id), world.fixture.clock_now());
            let mut transaction = world.fixture.database.begin().await.unwrap();
            store::pending_deletions::insert(&mut transaction, &id, reason, "why", now).await.unwrap();
            transaction.commit().await.unwrap();
        }
        let outcome = world.service().delete_next_leftover(world.fixture.clock_now()).await.unwrap();
        assert!(matches!(outcome, Some(LeftoverOutcome::Deleted(_))), "{id}: {outcome:?}");
    }
    assert!(world.cloudflare.ids().is_empty());
}

async fn backoff(engine: Engine) {
    let world = World::new(&engine).await;
    record(world.url(), "left", &DeletionReason::Unrecorded).await;
    world.cloudflare.fail_with(400);
    let due = async || world.service().delete_next_leftover(world.fixture.clock_now()).await.unwrap();
    for minutes in [2, 4, 8] {
        assert!(matches!(due().await, Some(LeftoverOutcome::Failed(..))));
        world.fixture.clock.advance(minutes * 60 * 3 / 4 - 1);
        assert!(due().await.is_none());
        world.fixture.clock.advance(minutes * 60 / 2 + 1);
    }
    let database = &world.fixture.database;
    let left = store::pending_deletions::list(database, 10).await.unwrap();
    assert_eq!((left.len(), left[0].attempts, &left[0].reason), (1, 3, &DeletionReason::Unrecorded));
    assert_eq!(left[0].last_error, "400 Client Error: Bad Request");
    world.cloudflare.fail_with(None);
    assert!(matches!(due().await, Some(LeftoverOutcome::Deleted(_))));
    assert!(recorded(world.url()).await.is_empty());
}

async fn operator(engine: Engine) {
    let (world, folder) = (World::with(&engine, FakeCloudflare::start().await).await, TempDir::new().unwrap());
    let url = world.url();
    for id in ["left", "other"] {
        record(url, id, &DeletionReason::Unrecorded).await;
        world.cloudflare.has_draft(id);
    }
    let run = async |arguments: &[&str]| {
        let mut command = cfimages(folder.path(), &["leftovers"]);
        command.args(arguments).envs(environment(url)).env("CLOUDFLARE_IMAGES_BASE_URL", &world.cloudflare.base_url);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, _) = run(&["list"]).await;
    assert!(code == Some(0) && out.contains("left") && out.contains("it could not be recorded"), "{out}");
    let (_, out, _) = run(&["list", "--json"]).await;
    let rows: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&rows[0]["cloudflare_id"], &rows[1]["last_error"]), (&json!("left"), &json!("why")));
    assert_eq!(run(&["forget", "other"]).await, (Some(0), "forgot other\n".to_owned(), String::new()));
    let (code, _, err) = run(&["forget", "other"]).await;
    assert_eq!((code, err.as_str()), (Some(1), "error: there is nothing to delete with the id other\n"));

    world.cloudflare.fail_with(500);
    let (code, out, err) = run(&["retry"]).await;
    assert_eq!((code, out.as_str()), (Some(1), "deleted 0 at Cloudflare\n"));
    let last = err.lines().last();
    assert_eq!(last, Some("error: left: Failed to delete image: 500 Server Error: Internal Server Error"));
    world.cloudflare.fail_with(None);
    assert_eq!(run(&["retry"]).await, (Some(0), "deleted 1 at Cloudflare\n".to_owned(), String::new()));
    assert_eq!((world.cloudflare.ids(), recorded(url).await.len()), (vec!["other".to_owned()], 0));
}
