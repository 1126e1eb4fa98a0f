//! What the staff do with images, whoever owns them, and what the logs tell of it.

use cfimages::domain::{Image, ImageFilter, Json, MetadataEdit, StaffAction, StaffEdit, UsageSlot};
use cfimages::service::{EditProblem, Error, StaffOutcome, Unchanged};
use serde_json::{Value, json};

use crate::support::cloudflare::FakeCloudflare;
use crate::support::sql;
use crate::support::suite::{Engine, Suite};
use crate::usages::Fixture;

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("staff_actions::what_was_done_is_logged_with_who_did_it_and_what_changed", done);
    suite.on_both_engines("staff_actions::what_is_as_it_is_to_be_is_left_and_not_logged", unchanged);
    suite.on_both_engines("staff_actions::an_edit_goes_to_cloudflare_where_it_keeps_the_field", edits);
    suite.on_both_engines("staff_actions::an_edit_that_cannot_be_kept_changes_nothing", refused_edits);
    suite.on_both_engines("staff_actions::of_two_edits_of_what_both_have_seen_one_is_refused", edits_at_once);
    suite.on_both_engines("staff_actions::each_entry_of_the_log_tells_of_its_own_change_alone", changes_at_once);
    suite.on_both_engines("staff_actions::a_deletion_is_refused_while_content_uses_the_image", deletions);
    suite.on_both_engines("staff_actions::what_may_have_worked_is_logged_as_a_try", doubts);
    suite.on_both_engines(
        "staff_actions::what_others_change_during_a_check_is_not_told_as_the_staffs",
        check_beside_others,
    );
    suite.on_both_engines("staff_actions::a_deletion_that_ends_at_cloudflare_is_in_the_log", half_a_deletion);
}

/// A service, its Cloudflare, and an image of alice's, which carol of the staff looks after.
struct World {
    fixture: Fixture,
    cloudflare: FakeCloudflare,
    image: Image,
}

impl World {
    async fn new(engine: &Engine, status: &str) -> Self {
        let cloudflare = FakeCloudflare::start().await;
        cloudflare.has_picture("img-1");
        let fixture = Fixture::with_cloudflare(engine, &cloudflare.base_url).await;
        let image = fixture.image(&fixture.alice, "img-1").await;
        sql::execute(fixture.url.as_str(), &format!("UPDATE cloudflare_images SET status = '{status}'")).await;
        fixture.clock.advance(60);
        Self { fixture, cloudflare, image }
    }

    async fn perform(&self, action: StaffAction) -> Result<StaffOutcome, Error> {
        self.fixture.service.perform(&action, self.image.id, &self.fixture.staff).await
    }

    /// Both are at Cloudflare at the same time.
    async fn perform_at_once(&self, actions: [StaffAction; 2]) -> Vec<Result<StaffOutcome, Error>> {
        self.cloudflare.take_calls();
        self.cloudflare.hold();
        let performing = actions.map(|action| {
            let (service, id, staff) = (self.fixture.service.clone(), self.image.id, self.fixture.staff.clone());
            tokio::spawn(async move { service.perform(&action, id, &staff).await })
        });
        self.cloudflare.was_called(2).await;
        self.cloudflare.release();
        let mut outcomes = Vec::new();
        for outcome in performing {
            outcomes.push(outcome.await.unwrap());
        }
        outcomes
    }

    async fn edit(&self, edit: StaffEdit) -> Result<StaffOutcome, Error> {
        self.perform(StaffAction::Edit(edit)).await
    }

    async fn now(&self) -> Image {
        let only = ImageFilter { ids: Some(vec![self.image.id]), ..ImageFilter::default() };
        self.fixture.service.get_image(&self.fixture.alice, &only).await.unwrap()
    }

    /// What the log tells of the staff, the last first.
    async fn log(&self) -> Vec<(String, Value)> {
        let entries = self.fixture.service.list_logs(self.image.id, 100).await.unwrap();
        let by_staff = entries.into_iter().filter(|entry| entry.event_type == "staff_action");
        by_staff.map(|entry| (entry.message, serde_json::from_str(entry.data.as_str()).unwrap())).collect()
    }
}

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn replace(text: &str) -> StaffEdit {
    StaffEdit { metadata: Some(MetadataEdit::Replace(json(text))), ..StaffEdit::default() }
}

async fn done(engine: Engine) {
    let world = World::new(&engine, "pending").await;
    let carol = json!({"id": world.fixture.staff.id.to_string(), "username": "carol"});

    assert_eq!(world.perform(StaffAction::MarkExpired).await.unwrap(), StaffOutcome::Done);
    let changes = json!({"status": {"from": "pending", "to": "expired"}});
    let entry = json!({"action": "mark_expired", "user": carol, "changes": changes});
    assert_eq!(world.log().await[0], ("carol marked the upload as expired".to_owned(), entry));
    assert_eq!(world.now().await.status.as_str(), "expired");

    assert_eq!(world.perform(StaffAction::CheckStatus).await.unwrap(), StaffOutcome::Done);
    let changes = json!({"status": {"from": "expired", "to": "uploaded"}});
    let entry = json!({"action": "check_status", "user": carol, "changes": changes});
    assert_eq!(world.log().await[0], ("carol had Cloudflare asked for the status".to_owned(), entry));

    world.cloudflare.give_new_ids();
    assert_eq!(world.perform(StaffAction::MakePrivate).await.unwrap(), StaffOutcome::Done);
    let changes = json!({
        "cloudflare_id": {"from": "img-1", "to": "new-img-1"},
        "require_signed_urls": {"from": false, "to": true},
    });
    let entry = json!({"action": "make_private", "user": carol, "changes": changes});
    assert_eq!(world.log().await[0], ("carol made the image private".to_owned(), entry));
    assert_eq!(world.perform(StaffAction::MakePublic).await.unwrap(), StaffOutcome::Done);
    assert!(!world.now().await.require_signed_urls);
    assert_eq!(world.log().await.len(), 4);
}

async fn unchanged(engine: Engine) {
    let world = World::new(&engine, "uploaded").await;
    let same = StaffEdit { creator: Some(String::new()), ..replace("{ }") };
    for (action, why) in [
        (StaffAction::MarkExpired, Unchanged::NotWaiting),
        (StaffAction::MakePublic, Unchanged::IsPublic),
        (StaffAction::Edit(same), Unchanged::IsSame),
    ] {
        assert_eq!(world.perform(action).await.unwrap(), StaffOutcome::Unchanged(why));
    }
    sql::execute(world.fixture.url.as_str(), "UPDATE cloudflare_images SET status = 'failed'").await;
    let outcome = world.perform(StaffAction::MakePrivate).await.unwrap();
    assert_eq!(outcome, StaffOutcome::Unchanged(Unchanged::NotUploaded));
    assert_eq!(world.now().await.updated_at, world.image.updated_at);
    assert_eq!((world.log().await, world.cloudflare.calls()), (Vec::new(), Vec::new()));
}

async fn edits(engine: Engine) {
    let world = World::new(&engine, "pending").await;
    let name = StaffEdit { original_filename: Some("a.jpg".to_owned()), ..replace(r#"{"a": 1, "b": 2}"#) };
    assert_eq!(world.edit(name).await.unwrap(), StaffOutcome::Done);
    assert!(world.cloudflare.calls().is_empty(), "Cloudflare has no picture to change");
    let (message, entry) = world.log().await.remove(0);
    assert_eq!(message, "carol changed what is kept with the image");
    let changes = json!({
        "metadata": {"from": {}, "to": {"a": 1, "b": 2}},
        "original_filename": {"from": "", "to": "a.jpg"},
    });
    assert_eq!(entry["changes"], changes);

    sql::execute(world.fixture.url.as_str(), "UPDATE cloudflare_images SET status = 'uploaded'").await;
    let edit = StaffEdit {
        creator: Some("studio".to_owned()),
        original_filename: Some("b.jpg".to_owned()),
        ..replace(r#"{"b": 3}"#)
    };
    assert_eq!(world.edit(edit).await.unwrap(), StaffOutcome::Done);
    let image = world.now().await;
    assert_eq!((image.creator.as_str(), image.original_filename.as_str()), ("studio", "b.jpg"));
    assert_eq!(image.metadata.as_str(), r#"{"b": 3}"#, "what is left out is gone");
    let there = world.cloudflare.details("img-1");
    assert_eq!((&there["meta"], &there["creator"]), (&json!({"b": 3}), &json!("studio")));
    let changes = json!({
        "creator": {"from": "", "to": "studio"},
        "metadata": {"from": {"a": 1, "b": 2}, "to": {"b": 3}},
        "original_filename": {"from": "a.jpg", "to": "b.jpg"},
    });
    assert_eq!(world.log().await[0].1["changes"], changes);

    let merge = MetadataEdit::Merge { over: json(r#"{"c": 4}"#), without: Vec::new() };
    let laid_over = StaffEdit { metadata: Some(merge), ..StaffEdit::default() };
    world.edit(laid_over).await.unwrap();
    assert_eq!(world.cloudflare.details("img-1")["meta"], json!({"b": 3, "c": 4}));
    world.cloudflare.take_calls();
    world.edit(StaffEdit { original_filename: Some(String::new()), ..StaffEdit::default() }).await.unwrap();
    assert!(world.cloudflare.calls().is_empty(), "Cloudflare does not keep this name");
}

async fn refused_edits(engine: Engine) {
    let world = World::new(&engine, "uploaded").await;
    let creator = |text: String| StaffEdit { creator: Some(text), ..StaffEdit::default() };
    let long = format!(r#"{{"a": "{}"}}"#, "é".repeat(509));
    for (edit, problem) in [
        (creator("x".repeat(256)), EditProblem::Creator),
        (creator("\0".to_owned()), EditProblem::Creator),
        (StaffEdit { original_filename: Some("x".repeat(256)), ..StaffEdit::default() }, EditProblem::FileName),
        (replace("[1]"), EditProblem::MetadataNoObject),
        (replace(&long), EditProblem::MetadataTooLong { bytes: 1026 }),
        (StaffEdit { seen: Some(world.fixture.clock_now()), ..creator("x".to_owned()) }, EditProblem::ChangedMeanwhile),
    ] {
        assert!(matches!(world.edit(edit).await, Err(Error::Edit(found)) if found == problem), "{problem}");
    }
    world.edit(replace(&long.replacen('é', "", 1))).await.unwrap();
    let seen = StaffEdit { seen: Some(world.now().await.updated_at), ..creator("x".to_owned()) };
    world.edit(seen).await.unwrap();
    assert_eq!(world.log().await.len(), 2);

    sql::execute(world.fixture.url.as_str(), "UPDATE cloudflare_images SET status = 'draft'").await;
    let refused = world.edit(creator("y".to_owned())).await;
    assert!(matches!(refused, Err(Error::Edit(EditProblem::CreatorWithoutPicture))));
}

/// Both have read the same record, and asked Cloudflare, before either is recorded.
async fn edits_at_once(engine: Engine) {
    let world = World::new(&engine, "uploaded").await;
    let seen = Some(world.now().await.updated_at);
    let edit = |text: &str| StaffAction::Edit(StaffEdit { seen, ..replace(text) });
    let outcomes = world.perform_at_once([edit(r#"{"by": 1}"#), edit(r#"{"by": 2}"#)]).await;
    let refused =
        |outcome: &Result<StaffOutcome, Error>| matches!(outcome, Err(Error::Edit(EditProblem::ChangedMeanwhile)));
    assert_eq!(outcomes.iter().filter(|outcome| refused(outcome)).count(), 1, "{outcomes:?}");
    let won = outcomes.iter().position(Result::is_ok).unwrap() + 1;
    let recorded: Value = serde_json::from_str(world.now().await.metadata.as_str()).unwrap();
    assert_eq!((recorded, world.log().await.len()), (json!({"by": won}), 1));
    assert_eq!(world.cloudflare.details("img-1")["meta"], json!({"by": won}), "what is recorded is there, too");
}

async fn changes_at_once(engine: Engine) {
    let world = World::new(&engine, "uploaded").await;
    let edit = StaffAction::Edit(replace(r#"{"a": 1}"#));
    for outcome in world.perform_at_once([StaffAction::MakePrivate, edit]).await {
        outcome.unwrap();
    }
    let changed_by = async |action: &str| -> Vec<String> {
        let entries = world.log().await.into_iter().filter(|(_, entry)| entry["action"] == action);
        entries
            .flat_map(|(_, entry)| entry["changes"].as_object().cloned().unwrap_or_default())
            .map(|(field, _)| field)
            .collect()
    };
    assert_eq!(changed_by("edit").await, ["metadata"]);
    assert_eq!(changed_by("make_private").await, ["require_signed_urls"]);
}

async fn deletions(engine: Engine) {
    let world = World::new(&engine, "uploaded").await;
    use_image(&world).await;
    let refused = world.perform(StaffAction::Delete { force: false }).await;
    assert!(matches!(refused, Err(Error::InUse)));
    assert_eq!((world.log().await, world.cloudflare.calls()), (Vec::new(), Vec::new()));

    assert_eq!(world.perform(StaffAction::Delete { force: true }).await.unwrap(), StaffOutcome::Done);
    assert!(world.cloudflare.ids().is_empty());
    let again = world.perform(StaffAction::Delete { force: true }).await.unwrap();
    assert_eq!(again, StaffOutcome::Unchanged(Unchanged::IsGone));
    assert!(matches!(world.perform(StaffAction::CheckStatus).await, Err(Error::NotFound)));
}

async fn use_image(world: &World) {
    let slot = UsageSlot {
        content_type: "shop.product".parse().unwrap(),
        object_id: "7".to_owned(),
        field_name: "hero".to_owned(),
    };
    world.fixture.service.record_usage(&world.fixture.alice, &slot, &world.image.cloudflare_id).await.unwrap();
}

async fn doubts(engine: Engine) {
    let world = World::new(&engine, "uploaded").await;
    world.cloudflare.fail_with(403);
    assert!(world.perform(StaffAction::MakePrivate).await.is_err());
    assert!(world.perform(StaffAction::Delete { force: false }).await.is_err());
    assert_eq!(world.log().await, [], "Cloudflare refused");

    world.cloudflare.recover();
    world.cloudflare.lose_answer_and_fail_with(500);
    assert!(world.perform(StaffAction::MakePrivate).await.is_err());
    let (message, entry) = world.log().await.remove(0);
    assert!(message.starts_with("carol made the image private, and whether it worked is not known: "), "{message}");
    assert_eq!(entry["action"], "make_private");
}

async fn check_beside_others(engine: Engine) {
    let world = World::new(&engine, "pending").await;
    world.cloudflare.hold();
    let (service, id, staff) = (world.fixture.service.clone(), world.image.id, world.fixture.staff.clone());
    let checking = tokio::spawn(async move { service.perform(&StaffAction::CheckStatus, id, &staff).await });
    world.cloudflare.was_called(1).await;
    let edit = "UPDATE cloudflare_images SET original_filename = 'by alice.jpg'";
    sql::execute(world.fixture.url.as_str(), edit).await;
    world.cloudflare.release();
    checking.await.unwrap().unwrap();
    let (_, entry) = world.log().await.remove(0);
    assert_eq!(entry["changes"], json!({"status": {"from": "pending", "to": "uploaded"}}));
    assert_eq!(world.now().await.original_filename, "by alice.jpg");
}

async fn half_a_deletion(engine: Engine) {
    let world = World::new(&engine, "uploaded").await;
    let url = world.fixture.url.as_str();
    let (key_type, key) = match engine {
        Engine::Sqlite => ("char(32)", world.image.id.as_uuid().simple().to_string()),
        Engine::Postgres(_) => ("uuid", world.image.id.to_string()),
    };
    let table = format!(
        "CREATE TABLE shop_cover (id bigint NOT NULL PRIMARY KEY, \
         image_id {key_type} NOT NULL REFERENCES cloudflare_images (id) DEFERRABLE INITIALLY DEFERRED)"
    );
    sql::execute(url, &table).await;
    world.cloudflare.hold_deletions();
    let (service, id, staff) = (world.fixture.service.clone(), world.image.id, world.fixture.staff.clone());
    let deleting = tokio::spawn(async move { service.perform(&StaffAction::Delete { force: true }, id, &staff).await });
    world.cloudflare.was_called(1).await;
    sql::execute(url, &format!("INSERT INTO shop_cover VALUES (1, '{key}')")).await;
    world.cloudflare.release();
    let refused = deleting.await.unwrap();
    assert!(matches!(refused, Err(Error::RequiredByHost { .. })), "{refused:?}");
    let (message, entry) = world.log().await.remove(0);
    assert!(
        message.contains("Cloudflare did, and the record is still here: 1 row of the table shop_cover"),
        "{message}"
    );
    assert_eq!(entry["action"], "delete");

    world.cloudflare.take_calls();
    assert!(world.perform(StaffAction::Delete { force: true }).await.is_err());
    assert_eq!((world.log().await.len(), world.cloudflare.calls().len()), (1, 0), "Cloudflare was not asked again");
}
