//! What is left at Cloudflare after failures, and gets deleted later.

use cfimages::domain::{CloudflareId, DeletionReason, Image, ImageMarks, Json, NewPendingDeletion, PageFrom};
use cfimages::service::{
    CleanupEvent, CloudflareService, Error, LeftoverOutcome, SourceUrl, UploadDeadlines, UploadRequest,
};
use cfimages::store;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::Instant;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::api_file_uploads::refuse_images;
use crate::cli::{cfimages, environment, text};
use crate::deletions::deleted;
use crate::jobs_polling::World;
use crate::support::cloudflare::FakeCloudflare;
use crate::support::rows::{ImageRow, time};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, sql};
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
    suite.on_both_engines("leftovers::nobody_waits_for_deletions_in_the_background", patient);
    suite.on_both_engines("leftovers::what_somebody_is_at_is_nobody_elses", claims);
    suite.on_both_engines("leftovers::what_is_left_anew_while_somebody_is_at_it_stays", left_anew);
    suite.on_both_engines("leftovers::whoever_lost_a_claim_changes_nothing", lost_claim);
    suite.on_both_engines("leftovers::an_upload_that_nobody_could_look_for_is_deleted_later", lost_upload_later);
    suite.on_both_engines("leftovers::a_picture_that_is_not_the_lost_upload_stays", not_the_lost_upload);
    suite.on_both_engines(
        "leftovers::a_lost_upload_is_not_looked_for_before_its_time_whoever_asks",
        lost_upload_too_early,
    );
    suite.on_both_engines("leftovers::an_id_with_a_lost_upload_can_be_used_anew", reused_lost_upload);
    suite.on_both_engines("leftovers::a_lost_upload_that_is_registered_stays", registered_lost_upload);
    suite.on_both_engines("leftovers::nobody_gets_an_id_under_which_something_is_being_deleted", deletion_at_once);
    suite.on_both_engines("leftovers::what_was_begun_goes_on_when_the_client_goes_away", client_gone);
    suite.on_both_engines("leftovers::a_registration_that_is_refused_is_no_try", refused_registration);
    suite.on_both_engines("leftovers::what_another_version_has_noted_is_left_to_it", other_version);
    suite.on_both_engines("access_changes::a_lost_answer_is_resolved_by_looking", resolved_change);
    suite.on_both_engines("access_changes::a_new_id_that_was_lost_is_found_later", found_later);
    suite.on_both_engines("access_changes::the_next_change_finds_a_new_id_that_was_lost", found_by_next_change);
    suite.on_both_engines("access_changes::of_two_that_look_alike_neither_is_taken", ambiguous_change);
    suite.on_both_engines("access_changes::what_was_not_changed_after_all_is_forgotten", unmade_change);
    suite.on_both_engines("access_changes::a_change_is_not_looked_into_before_its_time_whoever_asks", change_too_early);
    suite.on_both_engines("access_changes::a_search_ends_with_its_time", endless_search);
    suite.on_both_engines("access_changes::an_image_deleted_meanwhile_goes_under_its_new_id_too", deleted_meanwhile);
    suite.on_both_engines("access_changes::an_image_deleted_during_its_change_goes_at_once", deleted_during_change);
    suite.on_both_engines("access_changes::of_two_that_may_be_a_deleted_image_neither_goes", ambiguous_deletion);
    suite.on_both_engines("access_changes::what_is_hardly_known_to_be_a_deleted_image_stays", weak_marks);
    suite.on_both_engines("access_changes::a_deletion_follows_an_image_to_its_new_id", deletion_at_the_same_moment);
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
    for id in ["draft", "foreign", "gone", "picture"] {
        // A service of its own knows nothing of the outage.
        let service = world.fixture.another_service().await;
        let created = service.create_direct_upload_url(&world.fixture.alice, named(id)).await;
        assert!(matches!(created, Err(Error::Cloudflare { .. })), "{created:?}");
    }
    assert_eq!(recorded(world.url()).await.len(), 4);
    assert!(recorded(world.url()).await.iter().all(|row| row.ends_with(": the answer was lost")));
    world.cloudflare.fail_with(None);
    let ours = json!({"draft": true, "meta": {"a": [null], "b": 1.5}, "creator": "shop"});
    world.cloudflare.has("draft", &ours);
    world.cloudflare.has("picture", &json!({"meta": ours["meta"], "creator": "shop"}));
    world.cloudflare.has_draft("foreign");
    world.fixture.clock.advance(3 * 60);
    let mut outcomes = Vec::new();
    while let Some(outcome) = world.service().delete_next_leftover(world.fixture.clock_now()).await.unwrap() {
        outcomes.push(format!("{outcome:?}"));
    }
    outcomes.sort_unstable();
    assert_eq!(
        outcomes,
        [
            "Deleted(CloudflareId(\"draft\"))",
            "Deleted(CloudflareId(\"gone\"))",
            "Kept(CloudflareId(\"foreign\"))",
            "Kept(CloudflareId(\"picture\"))"
        ]
    );
    assert_eq!(world.cloudflare.ids(), ["foreign", "picture"]);
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
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
            leave(&world, id, reason.clone()).await;
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
    let left = store::pending_deletions::list(database, &PageFrom::Start, 10).await.unwrap();
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

    // What nobody has tried yet keeps its time.
    record(url, "early", &DeletionReason::UploadLost).await;
    let later = format!("UPDATE cfimages_pending_deletions SET next_attempt_at = '{}'", time(url, "2099-01-01"));
    sql::execute(url, &later).await;
    let (code, out, err) = run(&["retry"]).await;
    assert_eq!((code, out.as_str()), (Some(1), "deleted 0 at Cloudflare\n"));
    assert!(err.contains("1 of them") && err.contains("2099-01-01T00:00:00Z"), "{err}");
    assert_eq!(recorded(url).await.len(), 1);
}

/// Records it as the service does.
async fn leave(world: &World, id: &str, reason: DeletionReason) {
    let now = world.fixture.clock_now();
    let leftover = NewPendingDeletion {
        cloudflare_id: CloudflareId::new(id),
        reason,
        marks: ImageMarks::default(),
        last_error: "why".to_owned(),
        next_attempt_at: now,
    };
    let mut transaction = world.fixture.database.begin().await.unwrap();
    store::pending_deletions::insert(&mut transaction, &leftover, now).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn see_to_next(world: &World) -> Option<LeftoverOutcome> {
    world.service().delete_next_leftover(world.fixture.clock_now()).await.unwrap()
}

/// A job that deletes `left` and waits for Cloudflare.
async fn job_at_work(world: &World) -> tokio::task::JoinHandle<Option<LeftoverOutcome>> {
    let (service, now) = (world.fixture.another_service().await, world.fixture.clock_now());
    world.cloudflare.hold();
    let calls = world.cloudflare.calls().len();
    let job = tokio::spawn(async move { service.delete_next_leftover(now).await.unwrap() });
    world.cloudflare.was_called(calls + 1).await;
    job
}

/// Jobs try once more than people.
async fn patient(engine: Engine) {
    let world = World::new(&engine).await;
    leave(&world, "left", DeletionReason::Unrecorded).await;
    world.cloudflare.fail_with(503);
    let (service, now) = (world.fixture.another_service().await, world.fixture.clock_now());
    let outcome = service.delete_next_leftover(now).await.unwrap();
    assert!(matches!(outcome, Some(LeftoverOutcome::Failed(..))), "{outcome:?}");
    assert_eq!(world.cloudflare.take_calls(), ["DELETE images/v1/left"; 4]);

    ImageRow { number: 1, ..ImageRow::default() }.insert(world.url()).await;
    let before = "2025-01-01".parse().unwrap();
    let mut failed = 0;
    let mut observer =
        |event: CleanupEvent<'_>| failed += u32::from(matches!(event, CleanupEvent::OrphanFailed { .. }));
    let service = world.fixture.another_service().await;
    service.delete_orphans(before, &mut observer).await.unwrap();
    assert_eq!(failed, 1);
    assert_eq!(world.cloudflare.take_calls(), ["DELETE images/v1/img-1"; 4]);
}

async fn claims(engine: Engine) {
    let world = World::new(&engine).await;
    leave(&world, "left", DeletionReason::Unrecorded).await;
    world.cloudflare.has_draft("left");
    let job = job_at_work(&world).await;
    world.service().records().hasten_leftovers().await.unwrap();
    leave(&world, "left", DeletionReason::Unrecorded).await;
    assert!(see_to_next(&world).await.is_none());
    let created = world.service().create_direct_upload_url(&world.fixture.alice, named("left")).await;
    assert!(matches!(&created, Err(Error::BeingCleared(id)) if id.as_str() == "left"), "{created:?}");
    let registered =
        world.service().register_uploaded_image(&world.fixture.staff, CloudflareId::new("left"), None).await;
    assert!(matches!(registered, Err(Error::BeingCleared(_))), "{registered:?}");
    assert_eq!(world.cloudflare.take_calls(), ["DELETE images/v1/left"]);

    world.cloudflare.release();
    assert!(matches!(job.await.unwrap(), Some(LeftoverOutcome::Deleted(_))));
    world.service().create_direct_upload_url(&world.fixture.alice, named("left")).await.unwrap();
}

async fn left_anew(engine: Engine) {
    let world = World::new(&engine).await;
    leave(&world, "left", DeletionReason::Unrecorded).await;
    world.cloudflare.has_draft("left");
    let job = job_at_work(&world).await;
    leave(&world, "left", DeletionReason::Unrecorded).await;
    world.cloudflare.release();
    assert!(matches!(job.await.unwrap(), Some(LeftoverOutcome::Deleted(_))));
    assert_eq!(recorded(world.url()).await, ["left: it could not be recorded"]);

    // A failure does not put off what was left anew, either.
    let job = job_at_work(&world).await;
    leave(&world, "left", DeletionReason::Unrecorded).await;
    world.cloudflare.fail_with(400);
    world.cloudflare.release();
    assert!(matches!(job.await.unwrap(), Some(LeftoverOutcome::Failed(..))));
    world.cloudflare.recover();
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Deleted(_))));
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
}

async fn lost_claim(engine: Engine) {
    let world = World::new(&engine).await;
    leave(&world, "left", DeletionReason::Unrecorded).await;
    let (database, clock) = (&world.fixture.database, &world.fixture.clock);
    let claim = async || {
        let now = world.fixture.clock_now();
        let mut transaction = database.begin().await.unwrap();
        let until = now.plus_minutes(5);
        let claimed = store::pending_deletions::claim(&mut transaction, now, now, until).await.unwrap();
        transaction.commit().await.unwrap();
        claimed
    };
    let first = claim().await.unwrap();
    assert!(claim().await.is_none());
    clock.advance(5 * 60);
    leave(&world, "left", DeletionReason::Unrecorded).await;
    // It is tried for the first time again: the number of tries tells nobody from another.
    let second = claim().await.unwrap();
    assert_eq!((first.attempts, second.attempts), (1, 1));
    let mut transaction = database.begin().await.unwrap();
    let later = world.fixture.clock_now().plus_minutes(60);
    assert!(!store::pending_deletions::settle(&mut transaction, &first).await.unwrap());
    assert!(!store::pending_deletions::postpone(&mut transaction, &first, "late", later).await.unwrap());
    let row = store::pending_deletions::claim(&mut transaction, later, world.fixture.clock_now(), later).await.unwrap();
    assert!(row.is_none(), "{row:?}");
    assert!(store::pending_deletions::settle(&mut transaction, &second).await.unwrap());
    transaction.commit().await.unwrap();
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
}

async fn upload(service: &CloudflareService, world: &World, request: UploadRequest) -> Result<Image, Error> {
    let until = Instant::now() + std::time::Duration::from_secs(30);
    let url = SourceUrl::parse("https://example.com/a.jpg").unwrap();
    service.upload_from_url(&world.fixture.alice, request, url, UploadDeadlines::until(until)).await
}

/// How long a lost upload is left alone.
const LOST_UPLOAD_SECONDS: i64 = 6 * 60;

/// An upload whose answer was lost, and that nobody could look for.
async fn lose_upload(world: &World) {
    world.cloudflare.lose_answer_and_fail_with(502);
    // A service of its own knows nothing of the outage.
    let lost = upload(&world.fixture.another_service().await, world, named("mine")).await;
    assert!(matches!(lost, Err(Error::Cloudflare { .. })), "{lost:?}");
    world.cloudflare.recover();
    assert_eq!(recorded(world.url()).await, ["mine: the answer to an upload was lost"]);
    assert_eq!(world.cloudflare.ids(), ["mine"]);
    world.cloudflare.take_calls();
}

async fn lost_upload_later(engine: Engine) {
    let world = World::new(&engine).await;
    lose_upload(&world).await;
    // Somebody else may be about to record the same.
    assert!(see_to_next(&world).await.is_none());
    world.fixture.clock.advance(LOST_UPLOAD_SECONDS);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Deleted(_))));
    assert_eq!(world.cloudflare.take_calls(), ["GET images/v1/mine", "DELETE images/v1/mine"]);
    assert!(world.cloudflare.ids().is_empty() && recorded(world.url()).await.is_empty());
}

async fn not_the_lost_upload(engine: Engine) {
    let ours = || json!({"meta": {"a": [null], "b": 1.5}, "creator": "shop"});
    let with = |field: &str, value: Value| {
        let mut details = ours();
        details[field] = value;
        details
    };
    let world = World::new(&engine).await;
    for details in [
        with("creator", json!("another shop")),
        with("meta", json!({})),
        with("uploaded", json!("2025-12-31T23:00:00Z")),
        with("uploaded", json!("2026-01-01T09:00:00Z")),
        with("draft", json!(true)),
    ] {
        lose_upload(&world).await;
        world.cloudflare.has("mine", &details);
        world.fixture.clock.advance(LOST_UPLOAD_SECONDS);
        let outcome = see_to_next(&world).await;
        assert!(matches!(outcome, Some(LeftoverOutcome::Kept(_))), "{details}: {outcome:?}");
        assert_eq!((world.cloudflare.ids(), recorded(world.url()).await), (vec!["mine".to_owned()], Vec::new()));
        world.cloudflare.forget("mine");
        world.fixture.clock.advance(-LOST_UPLOAD_SECONDS);
    }
}

async fn lost_upload_too_early(engine: Engine) {
    let world = World::new(&engine).await;
    lose_upload(&world).await;
    // Cloudflare is still at it.
    let details = world.cloudflare.details("mine");
    world.cloudflare.forget("mine");
    world.fixture.clock.advance(LOST_UPLOAD_SECONDS - 1);
    let uploaded = upload(world.service(), &world, named("mine")).await;
    let created = world.service().create_direct_upload_url(&world.fixture.alice, named("mine")).await;
    for refused in [uploaded, created] {
        let told = refused.unwrap_err().to_string();
        assert!(told.contains("is not certain before 2026-01-01T00:06:00Z"), "{told}");
    }
    world.service().records().hasten_leftovers().await.unwrap();
    assert!(see_to_next(&world).await.is_none());
    assert_eq!(world.cloudflare.take_calls(), Vec::<String>::new());

    world.cloudflare.has("mine", &details);
    world.fixture.clock.advance(1);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Deleted(_))));
    assert!(world.cloudflare.ids().is_empty() && recorded(world.url()).await.is_empty());
}

async fn reused_lost_upload(engine: Engine) {
    let world = World::new(&engine).await;
    lose_upload(&world).await;
    world.fixture.clock.advance(LOST_UPLOAD_SECONDS);
    let image = upload(world.service(), &world, named("mine")).await.unwrap();
    assert_eq!(image.cloudflare_id.as_str(), "mine");
    let calls = ["GET images/v1/mine", "DELETE images/v1/mine", "POST images/v1"];
    assert_eq!(world.cloudflare.take_calls(), calls);
    assert!(see_to_next(&world).await.is_none());
    assert_eq!(world.cloudflare.ids(), ["mine"]);
}

async fn registered_lost_upload(engine: Engine) {
    let world = World::new(&engine).await;
    lose_upload(&world).await;
    let service = world.service();
    let refused = service.register_uploaded_image(&world.fixture.alice, CloudflareId::new("mine"), None).await;
    assert!(matches!(refused, Err(Error::OtherCreator(_))), "{refused:?}");
    assert_eq!(recorded(world.url()).await, ["mine: the answer to an upload was lost"]);
    service.register_uploaded_image(&world.fixture.staff, CloudflareId::new("mine"), None).await.unwrap();
    world.fixture.clock.advance(LOST_UPLOAD_SECONDS);
    assert!(see_to_next(&world).await.is_none());
    assert_eq!((world.cloudflare.ids(), recorded(world.url()).await), (vec!["mine".to_owned()], Vec::new()));
}

async fn deletion_at_once(engine: Engine) {
    let world = World::new(&engine).await;
    let (alice, cloudflare) = (&world.fixture.alice, &world.cloudflare);
    let during_deletion = async |noted: &str| {
        eventually("something is being deleted", async || {
            cloudflare.calls().iter().any(|call| call.starts_with("DELETE")).then_some(())
        })
        .await;
        assert_eq!(recorded(world.url()).await, [noted]);
        let service = world.fixture.another_service().await;
        let created = service.create_direct_upload_url(alice, named("mine")).await;
        assert!(matches!(created, Err(Error::BeingCleared(_))), "{created:?}");
        cloudflare.release();
    };
    cloudflare.hold_deletions();
    cloudflare.lose_answers();
    let losing = world.service().create_direct_upload_url(alice, named("mine"));
    let (lost, ()) = tokio::join!(losing, during_deletion("mine: the answer was lost"));
    assert!(matches!(lost, Err(Error::Cloudflare { .. })), "{lost:?}");
    assert_eq!(
        cloudflare.take_calls(),
        ["POST images/v2/direct_upload", "GET images/v1/mine", "DELETE images/v1/mine"]
    );
    assert!(cloudflare.ids().is_empty() && recorded(world.url()).await.is_empty());

    cloudflare.recover();
    refuse_images(world.url()).await;
    cloudflare.hold_deletions();
    let service = world.fixture.another_service().await;
    let failing = upload(&service, &world, named("mine"));
    let (failed, ()) = tokio::join!(failing, during_deletion("mine: it could not be recorded"));
    assert!(matches!(failed, Err(Error::Store(_))), "{failed:?}");
    assert_eq!(cloudflare.take_calls(), ["POST images/v1", "DELETE images/v1/mine"]);
    assert!(cloudflare.ids().is_empty() && recorded(world.url()).await.is_empty());
}

async fn client_gone(engine: Engine) {
    let world = World::new(&engine).await;
    let (service, alice) = (world.fixture.another_service().await, world.fixture.alice.clone());
    leave(&world, "mine", DeletionReason::Unrecorded).await;
    world.cloudflare.has_draft("mine");
    world.cloudflare.hold();
    let creating = tokio::spawn(async move { service.create_direct_upload_url(&alice, named("mine")).await });
    world.cloudflare.was_called(1).await;
    creating.abort();
    assert!(creating.await.unwrap_err().is_cancelled());
    world.cloudflare.release();
    eventually("what was left is gone", async || recorded(world.url()).await.is_empty().then_some(())).await;
    assert_eq!(world.cloudflare.take_calls(), ["DELETE images/v1/mine"]);

    let (service, staff) = (world.fixture.another_service().await, world.fixture.staff.clone());
    leave(&world, "mine", DeletionReason::Unrecorded).await;
    world.cloudflare.has_picture("mine");
    world.cloudflare.hold();
    let id = CloudflareId::new("mine");
    let registering = tokio::spawn(async move { service.register_uploaded_image(&staff, id, None).await });
    world.cloudflare.was_called(1).await;
    registering.abort();
    assert!(registering.await.unwrap_err().is_cancelled());
    world.cloudflare.release();
    eventually("it is registered", async || recorded(world.url()).await.is_empty().then_some(())).await;
    assert_eq!(sql::count(world.url(), "SELECT count(*) FROM cloudflare_images").await, 1);
}

async fn refused_registration(engine: Engine) {
    let world = World::new(&engine).await;
    leave(&world, "mine", DeletionReason::Unrecorded).await;
    world.cloudflare.has_picture("mine");
    for _ in 0..2 {
        let id = CloudflareId::new("mine");
        let refused = world.service().register_uploaded_image(&world.fixture.alice, id, None).await;
        assert!(matches!(refused, Err(Error::OtherCreator(_))), "{refused:?}");
        let left = store::pending_deletions::list(&world.fixture.database, &PageFrom::Start, 10).await.unwrap();
        assert_eq!((left.len(), left[0].attempts, left[0].claimed_until), (1, 0, None));
    }
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Deleted(_))));
}

async fn other_version(engine: Engine) {
    let world = World::new(&engine).await;
    leave(&world, "mine", DeletionReason::Other("it is too large".to_owned())).await;
    world.cloudflare.has_picture("mine");
    let outcome = see_to_next(&world).await;
    assert!(matches!(&outcome, Some(LeftoverOutcome::Failed(_, Error::NotedByOtherVersion(_)))), "{outcome:?}");
    let created = world.service().create_direct_upload_url(&world.fixture.alice, named("mine")).await;
    assert!(matches!(created, Err(Error::NotedByOtherVersion(_))), "{created:?}");
    assert_eq!(world.cloudflare.take_calls(), Vec::<String>::new());
    world.service().register_uploaded_image(&world.fixture.staff, CloudflareId::new("mine"), None).await.unwrap();
    assert_eq!(recorded(world.url()).await, ["mine: it is too large"]);
}

/// An uploaded image here and at Cloudflare, which gives new ids.
async fn public_image(world: &World) -> Image {
    let image = upload(world.service(), world, UploadRequest { custom_id: None, ..named("") }).await.unwrap();
    world.cloudflare.give_new_ids();
    world.cloudflare.take_calls();
    image
}

async fn make_private(service: &CloudflareService, image: &Image) -> Result<Image, Error> {
    service.update_image(image, Some(Json::parse(r#"{"c": 1}"#).unwrap()), Some(true), None).await
}

/// The same, and the answer gets lost.
async fn lose_new_id(world: &World, image: &Image) {
    world.cloudflare.lose_answer_and_fail_with(502);
    let lost = make_private(&world.fixture.another_service().await, image).await;
    assert!(matches!(lost, Err(Error::Cloudflare { .. })), "{lost:?}");
    world.cloudflare.recover();
    assert_eq!(recorded(world.url()).await, ["made-1: its id may have changed"]);
    assert_eq!(world.cloudflare.ids(), ["new-made-1"]);
    let calls = world.cloudflare.take_calls();
    assert_eq!(calls.iter().filter(|call| call.starts_with("PATCH")).count(), 1, "{calls:?}");
}

/// What is recorded of the one image.
async fn record_of_image(world: &World) -> String {
    let query = "SELECT cloudflare_id || ' ' || CAST(require_signed_urls AS text) || ' ' || CAST(metadata AS text) FROM cloudflare_images";
    sql::text(world.url(), query).await.replace("true", "1").replace("false", "0")
}

async fn resolved_change(engine: Engine) {
    let world = World::new(&engine).await;
    let image = upload(world.service(), &world, UploadRequest { custom_id: None, ..named("") }).await.unwrap();
    world.cloudflare.take_calls();
    world.cloudflare.lose_answers();
    let image = make_private(world.service(), &image).await.unwrap();
    assert_eq!((image.cloudflare_id.as_str(), image.require_signed_urls), ("made-1", true));
    assert_eq!(world.cloudflare.take_calls(), ["PATCH images/v1/made-1", "GET images/v1/made-1"]);
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
}

async fn found_later(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    lose_new_id(&world, &image).await;
    // What others have is not taken for it.
    for (id, field, value) in [
        ("other-time", "uploaded", json!("2026-01-01T00:00:00.001Z")),
        ("other-privacy", "requireSignedURLs", json!(false)),
        ("other-metadata", "meta", json!({})),
    ] {
        let mut details = world.cloudflare.details("new-made-1");
        (details["id"], details[field]) = (id.into(), value);
        world.cloudflare.has(id, &details);
    }
    assert!(see_to_next(&world).await.is_none());
    world.fixture.clock.advance(60);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Kept(_))));
    let calls = ["GET images/v1/made-1", "GET images/v2", "GET images/v1/new-made-1"];
    assert_eq!(world.cloudflare.take_calls(), calls);
    let record = record_of_image(&world).await;
    assert!(record.starts_with("new-made-1 1 ") && record.contains(r#""c": 1"#), "{record}");
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
}

async fn found_by_next_change(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    lose_new_id(&world, &image).await;
    world.fixture.clock.advance(60);
    let image = make_private(world.service(), &image).await.unwrap();
    assert_eq!((image.cloudflare_id.as_str(), image.require_signed_urls), ("new-made-1", true));
    assert_eq!((world.cloudflare.ids(), recorded(world.url()).await), (vec!["new-made-1".to_owned()], Vec::new()));
}

async fn ambiguous_change(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    lose_new_id(&world, &image).await;
    let mut twin = world.cloudflare.details("new-made-1");
    twin["id"] = "twin".into();
    world.cloudflare.has("twin", &twin);
    world.fixture.clock.advance(60);
    let outcome = see_to_next(&world).await;
    assert!(matches!(&outcome, Some(LeftoverOutcome::Failed(_, Error::NewIdUnknown(_)))), "{outcome:?}");
    assert!(record_of_image(&world).await.starts_with("made-1 0 "));
    let change = make_private(world.service(), &image).await;
    assert!(matches!(change, Err(Error::NewIdUnknown(_))), "{change:?}");

    // The twin turns out to be somebody's own.
    let (staff, twin) = (&world.fixture.staff, CloudflareId::new("twin"));
    world.service().register_uploaded_image(staff, twin.clone(), None).await.unwrap();
    world.fixture.clock.advance(60 * 60);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Kept(_))));
    let found = "SELECT count(*) FROM cloudflare_images WHERE cloudflare_id IN ('new-made-1', 'twin')";
    assert_eq!(sql::count(world.url(), found).await, 2);
}

async fn unmade_change(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    world.cloudflare.fail_with(500);
    let failed = make_private(&world.fixture.another_service().await, &image).await;
    assert!(matches!(failed, Err(Error::Cloudflare { .. })), "{failed:?}");
    world.cloudflare.recover();
    assert_eq!(recorded(world.url()).await, ["made-1: its id may have changed"]);
    world.fixture.clock.advance(60);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Kept(_))));
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
    assert!(record_of_image(&world).await.starts_with("made-1 0 "));

    // What Cloudflare refuses, or has never got, leaves nothing to look into.
    world.cloudflare.fail_with(403);
    make_private(&world.fixture.another_service().await, &image).await.unwrap_err();
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
}

/// Cloudflare gives the image its new id late, after it was asked to.
async fn change_too_early(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    world.cloudflare.fail_with(500);
    make_private(&world.fixture.another_service().await, &image).await.unwrap_err();
    world.cloudflare.recover();
    world.cloudflare.take_calls();
    world.fixture.clock.advance(59);
    let told = make_private(world.service(), &image).await.unwrap_err().to_string();
    assert!(told.contains("is not certain before 2026-01-01T00:01:00Z"), "{told}");
    world.service().records().hasten_leftovers().await.unwrap();
    assert!(see_to_next(&world).await.is_none());
    assert_eq!(world.cloudflare.take_calls(), Vec::<String>::new());

    world.cloudflare.rename("made-1", &json!({"requireSignedURLs": true, "meta": {"a": [null], "b": 1.5, "c": 1}}));
    world.fixture.clock.advance(1);
    let image = make_private(world.service(), &image).await.unwrap();
    assert_eq!((image.cloudflare_id.as_str(), image.require_signed_urls), ("new-made-1", true));
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
}

async fn endless_search(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    lose_new_id(&world, &image).await;
    for id in ["a", "b"] {
        world.cloudflare.has_picture(id);
    }
    world.cloudflare.list_one_by_one();
    world.fixture.clock.advance(60);
    let job = job_at_work(&world).await;
    // The claim is about to end.
    world.fixture.clock.advance(4 * 60);
    world.cloudflare.release();
    let outcome = job.await.unwrap();
    assert!(matches!(&outcome, Some(LeftoverOutcome::Failed(_, Error::NewIdUnknown(_)))), "{outcome:?}");
    assert_eq!(world.cloudflare.take_calls(), ["GET images/v1/made-1"]);
    assert_eq!(recorded(world.url()).await, ["made-1: its id may have changed"]);

    world.fixture.clock.advance(60 * 60);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Kept(_))));
    assert!(record_of_image(&world).await.starts_with("new-made-1 1 "));
}

async fn deleted_meanwhile(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    lose_new_id(&world, &image).await;
    world.service().delete_image(&image, false).await.unwrap();
    world.fixture.clock.advance(60);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Kept(_))));
    // It is deleted as all else is, and may be registered until then.
    assert_eq!(recorded(world.url()).await, ["new-made-1: it could not be recorded"]);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Deleted(_))));
    assert!(world.cloudflare.ids().is_empty() && recorded(world.url()).await.is_empty());
}

async fn deleted_during_change(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    world.cloudflare.hold();
    let deleting = async {
        world.cloudflare.was_called(1).await;
        sql::execute_all(world.url(), "DELETE FROM cloudflare_image_logs; DELETE FROM cloudflare_images;").await;
        world.cloudflare.release();
    };
    let service = world.fixture.another_service().await;
    let (changed, ()) = tokio::join!(service.update_image(&image, None, Some(true), None), deleting);
    assert!(matches!(changed, Err(Error::NotFound)), "{changed:?}");
    assert_eq!(world.cloudflare.take_calls(), ["PATCH images/v1/made-1", "DELETE images/v1/new-made-1"]);
    assert!(world.cloudflare.ids().is_empty());
    world.fixture.clock.advance(60);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Kept(_))));
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
}

async fn ambiguous_deletion(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    lose_new_id(&world, &image).await;
    let mut twin = world.cloudflare.details("new-made-1");
    twin["id"] = "twin".into();
    world.cloudflare.has("twin", &twin);
    world.service().delete_image(&image, false).await.unwrap();
    world.fixture.clock.advance(60);
    let outcome = see_to_next(&world).await;
    assert!(matches!(&outcome, Some(LeftoverOutcome::Failed(_, Error::NewIdUnknown(_)))), "{outcome:?}");
    assert_eq!(world.cloudflare.ids(), ["new-made-1", "twin"]);
    assert_eq!(recorded(world.url()).await, ["made-1: its id may have changed"]);

    // Where there is none, it went with its record.
    for id in ["new-made-1", "twin"] {
        world.cloudflare.forget(id);
    }
    world.fixture.clock.advance(60 * 60);
    assert!(matches!(see_to_next(&world).await, Some(LeftoverOutcome::Kept(_))));
    assert_eq!(recorded(world.url()).await, Vec::<String>::new());
}

async fn weak_marks(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    world.cloudflare.lose_answer_and_fail_with(502);
    let service = world.fixture.another_service().await;
    service.update_image(&image, None, Some(true), None).await.unwrap_err();
    world.cloudflare.recover();
    world.service().delete_image(&image, false).await.unwrap();
    world.fixture.clock.advance(60);
    let outcome = see_to_next(&world).await;
    assert!(
        matches!(&outcome, Some(LeftoverOutcome::Failed(_, Error::NewIdUncertain { candidate, .. })) if candidate.as_str() == "new-made-1"),
        "{outcome:?}"
    );
    assert_eq!(world.cloudflare.ids(), ["new-made-1"]);
    let left = store::pending_deletions::list(&world.fixture.database, &PageFrom::Start, 10).await.unwrap();
    assert!(left[0].last_error.contains("new-made-1"), "{}", left[0].last_error);
}

async fn deletion_at_the_same_moment(engine: Engine) {
    let world = World::new(&engine).await;
    let image = public_image(&world).await;
    world.cloudflare.hold();
    let service = world.fixture.another_service().await;
    let changing = async {
        world.cloudflare.was_called(1).await;
        world.cloudflare.rename("made-1", &json!({}));
        sql::execute(world.url(), "UPDATE cloudflare_images SET cloudflare_id = 'new-made-1'").await;
        world.cloudflare.release();
    };
    let (deleted, ()) = tokio::join!(service.delete_image(&image, false), changing);
    deleted.unwrap();
    assert_eq!(world.cloudflare.take_calls(), ["DELETE images/v1/made-1", "DELETE images/v1/new-made-1"]);
    assert!(world.cloudflare.ids().is_empty());
    assert_eq!(sql::count(world.url(), "SELECT count(*) FROM cloudflare_images").await, 0);
}
