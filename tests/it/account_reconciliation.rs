//! The records, compared with all images of the account at Cloudflare.

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use cfimages::cloudflare::ClientLimits;
use cfimages::domain::{AccountFigures, CloudflareId, DeletionReason, ImageMarks, NewPendingDeletion};
use cfimages::service::{
    AccountDoubt, AccountFinding, AccountFindingKind, AccountReconciler, AccountRunError, AccountRunEvent,
    AccountRunOptions, AccountRunStart, AccountTrust, MissingOutcome,
};
use cfimages::store;
use serde_json::{Value, json};

use crate::cli;
use crate::support::app::{API_TOKEN, TestApp, connect};
use crate::support::rows::{ImageRow, insert_images, insert_usage, time};
use crate::support::scripted_account::{ScriptedAccount, details};
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture, sql};
use crate::usages::{Fixture, service_within};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("account::without_apply_all_is_told_and_nothing_changed", dry_run);
    suite.on_both_engines("account::what_differs_is_repaired_and_then_equal", apply);
    suite.on_both_engines("account::images_become_records_as_if_registered", import);
    suite.on_both_engines("account::records_whose_image_is_gone_are_deleted_if_nothing_needs_them", delete_missing);
    suite.on_both_engines("account::an_image_whose_id_may_have_changed_is_left_alone", id_unsure);
    suite.on_both_engines("account::another_account_changes_nothing", other_account);
    suite.on_both_engines("account::images_that_came_out_of_an_account_do_not_vouch_for_it", foreign_imports);
    suite.on_both_engines("account::records_that_all_came_out_of_an_account_vouch_for_it", only_imports);
    suite.on_both_engines("account::an_account_with_copies_of_the_images_is_another_one", copies);
    suite.on_both_engines("account::half_of_the_images_are_enough_and_new_ones_do_not_count", enough);
    suite.on_both_engines("account::what_is_listed_and_gone_is_not_imported", stale_list);
    suite.on_both_engines("account::a_list_that_is_trusted_is_imported_without_questions", trusted_list);
    suite.on_both_engines("account::a_run_that_fails_says_why_even_if_it_cannot_be_released", unreleased);
    suite.on_both_engines("account::a_run_that_was_cut_off_goes_on_where_it_was", resume);
    suite.on_both_engines("account::a_list_whose_place_is_lost_is_read_again", lost_place);
    suite.on_both_engines("account::a_list_that_never_goes_on_is_an_error", endless_list);
    suite.on_both_engines("account::images_that_are_listed_twice_or_not_at_all_count_once", unstable_list);
    suite.on_both_engines("account::a_run_waits_where_the_requests_are_used_up", rate_limit);
    suite.on_both_engines("account::one_run_is_at_work_at_a_time", one_at_a_time);
    suite.on_both_engines("account::a_run_that_was_not_heard_of_changes_nothing_any_more", taken_over);
    suite.on_both_engines("account::a_run_for_something_else_begins_anew", other_options);
    suite.on_both_engines("account::an_image_that_the_database_refuses_does_not_stop_the_others", refused_image);
    suite.on_both_engines("account::what_is_changed_meanwhile_is_left_alone", changed_meanwhile);
    suite.on_both_engines("account::answers_about_one_image_that_make_no_sense_stop_nothing", broken_answers);
    suite.on_both_engines("account::the_command_tells_what_it_found_and_what_to_do", command);
    suite.on_both_engines("account::the_emulator_and_its_records_become_the_same", emulator);
    suite.on_both_engines("account::a_command_that_is_stopped_lets_another_go_on_at_once", stopped);
    suite.on_both_engines("account::a_command_that_is_killed_anywhere_ends_with_the_same_result", killed);
}

/// A service, and an account at Cloudflare.
struct World {
    fixture: Fixture,
    account: ScriptedAccount,
}

const REPORT: AccountRunOptions =
    AccountRunOptions { apply: false, delete_missing: false, owner: None, min_age_minutes: 15, trust: ASK };
const ASK: AccountTrust = AccountTrust { account: false, list: false };
const ANY_ACCOUNT: AccountTrust = AccountTrust { account: true, ..ASK };
const LIST: AccountTrust = AccountTrust { list: true, ..ASK };
const APPLY: AccountRunOptions = AccountRunOptions { apply: true, ..REPORT };
const DELETE: AccountRunOptions = AccountRunOptions { delete_missing: true, ..APPLY };

impl World {
    async fn new(engine: &Engine, images: Vec<Value>, page_size: usize) -> Self {
        let account = ScriptedAccount::start(images, page_size).await;
        Self { fixture: Fixture::with_cloudflare(engine, &account.uri).await, account }
    }

    fn url(&self) -> &str {
        self.fixture.url.as_str()
    }

    fn reconciler(&self, options: AccountRunOptions) -> AccountReconciler {
        AccountReconciler::new(self.fixture.service.clone(), "acct-0001".to_owned(), options)
    }

    async fn run(&self, options: AccountRunOptions) -> Result<Outcome, AccountRunError> {
        observe(&self.reconciler(options), false).await
    }

    /// All that a run may change but its own state.
    async fn records(&self) -> Vec<Option<String>> {
        let images = "SELECT cloudflare_id || ' ' || status || ' ' || coalesce(CAST(user_id AS text), '-') || ' ' || creator || ' ' || filename
            || ' ' || CAST(metadata AS text) || ' ' || CAST(cloudflare_metadata AS text) || ' ' || CAST(variants AS text)
            || ' ' || CAST(require_signed_urls AS text) || ' ' || coalesce(CAST(uploaded_at AS text), '-') || ' ' || CAST(updated_at AS text)
            FROM cloudflare_images ORDER BY cloudflare_id";
        let mut all = sql::texts(self.url(), images).await;
        all.extend(sql::texts(self.url(), LOGS).await);
        all
    }

    /// The ids at Cloudflare of all records, in order.
    async fn ids(&self) -> Vec<String> {
        let ids = "SELECT cloudflare_id FROM cloudflare_images ORDER BY 1";
        sql::texts(self.url(), ids).await.into_iter().flatten().collect()
    }

    /// Runs, and changes nothing, as this is another account.
    async fn refuse(&self, options: AccountRunOptions) -> AccountDoubt {
        let before = self.records().await;
        let error = self.run(options).await.map(|_| ()).unwrap_err();
        let AccountRunError::OtherAccount(doubt) = error else { panic!("{error}") };
        assert!(self.account.take_calls().iter().all(|call| call.starts_with("get")));
        assert_eq!(self.records().await, before);
        doubt
    }
}

const LOGS: &str =
    "SELECT images.cloudflare_id || ' ' || event_type || ': ' || message FROM cloudflare_image_logs AS logs
    JOIN cloudflare_images AS images ON images.id = logs.image_id ORDER BY images.cloudflare_id, logs.id";

struct Outcome {
    figures: AccountFigures,
    start: AccountRunStart,
    findings: Vec<String>,
    doubts: Vec<AccountDoubt>,
    broke_off: usize,
    waits: usize,
}

async fn observe(reconciler: &AccountReconciler, restart: bool) -> Result<Outcome, AccountRunError> {
    let (mut start, mut findings, mut doubts, mut broke_off, mut waits) = (None, Vec::new(), Vec::new(), 0, 0);
    let mut observer = |event: AccountRunEvent<'_>| match event {
        AccountRunEvent::Begun(how) => start = Some(how),
        AccountRunEvent::Found(finding) => findings.push(line(finding)),
        AccountRunEvent::Doubted(doubt) => doubts.push(doubt),
        AccountRunEvent::ListBrokeOff(_) => broke_off += 1,
        AccountRunEvent::Waiting(wait) => {
            assert!(wait <= Duration::from_secs(1));
            waits += 1;
        }
        AccountRunEvent::Listed { images, of } => assert!(images <= of),
        AccountRunEvent::Asked { records, of } => assert!(records <= of),
    };
    let figures = Box::pin(reconciler.run(restart, &mut observer)).await?;
    Ok(Outcome { figures, start: start.unwrap(), findings, doubts, broke_off, waits })
}

fn line(finding: &AccountFinding) -> String {
    let what = match &finding.kind {
        AccountFindingKind::Unrecorded { creator, owner, is_imported } => {
            let owner = owner.map_or("nobody".to_owned(), |owner| owner.to_string());
            format!("unrecorded, creator {creator:?}, owner {owner}, imported {is_imported}")
        }
        AccountFindingKind::BeingDeleted => "being deleted".to_owned(),
        AccountFindingKind::Unusable => "unusable".to_owned(),
        AccountFindingKind::Different { fields, is_repaired } => {
            let fields: Vec<&str> = fields.iter().map(|field| field.field).collect();
            format!("different in {}, repaired {is_repaired}", fields.join(" "))
        }
        AccountFindingKind::Missing(MissingOutcome::Refused(error)) | AccountFindingKind::Failed(error) => {
            format!("failed: {error}")
        }
        AccountFindingKind::Missing(outcome) => format!("missing, {outcome:?}"),
    };
    let id: String = finding.cloudflare_id.as_str().chars().take(12).collect();
    format!("{id}: {what}")
}

/// Six records, one of which is equal, and an account with these and others.
async fn sample(engine: &Engine) -> World {
    let images = vec![
        details("img-1", &json!({})),
        details("img-2", &json!({"meta": {"b": 1.0, "a": "é"}, "creator": "1", "requireSignedURLs": false})),
        details("by-key", &json!({"creator": "1", "meta": {"n": 1}})),
        details("by-name", &json!({"creator": "bob"})),
        details("by-stranger", &json!({"creator": "zoe", "requireSignedURLs": false})),
        details("by-nobody", &json!({})),
        details("fresh", &json!({"uploaded": "2025-12-31T23:50:00Z"})),
        details("leaving", &json!({})),
        details(&"long".repeat(64), &json!({})),
        details("img-5", &json!({"filename": null})),
    ];
    let world = World::new(engine, images, 3).await;
    world.account.script().unlisted.insert("img-5".to_owned());
    let url = world.url();
    for (number, status) in
        [(1, "uploaded"), (2, "pending"), (3, "uploaded"), (4, "pending"), (5, "uploaded"), (6, "expired")]
    {
        ImageRow { number, status, ..ImageRow::default() }.insert(url).await;
    }
    let uploaded_at = time(url, "2025-06-01T00:00:00.250Z");
    for id in ["img-1", "img-5"] {
        let update = format!(
            "UPDATE cloudflare_images SET filename = 'f.jpg', uploaded_at = '{uploaded_at}', \
             variants = '[\"https://imagedelivery.net/hash/{id}/public\"]' WHERE cloudflare_id = '{id}'"
        );
        sql::execute(url, &update).await;
    }
    sql::execute(url, "UPDATE cloudflare_images SET require_signed_urls = false WHERE cloudflare_id = 'img-5'").await;
    let now = time(url, "2025-01-01");
    let leaving = format!(
        "INSERT INTO cfimages_pending_deletions (cloudflare_id, reason, created_at, attempts, last_error, next_attempt_at) \
         VALUES ('leaving', 'test', '{now}', 0, '', '{now}')"
    );
    sql::execute(url, &leaving).await;
    world
}

const SAMPLE: AccountFigures = AccountFigures {
    at_cloudflare: 9,
    equal: 1,
    different: 2,
    repaired: 0,
    unrecorded: 4,
    imported: 0,
    being_deleted: 1,
    unsettled: 1,
    unusable: 1,
    asked: 2,
    missing: 1,
    deleted: 0,
    kept: 0,
    failed: 0,
};

async fn dry_run(engine: Engine) {
    let world = sample(&engine).await;
    let before = world.records().await;
    let Outcome { figures, start, mut findings, .. } = world.run(REPORT).await.unwrap();
    assert_eq!((figures, start), (SAMPLE, AccountRunStart::New));
    assert_eq!(figures.remaining(), 7);
    findings.sort();
    assert_eq!(
        findings,
        [
            "by-key: unrecorded, creator Some(\"1\"), owner 1, imported false",
            "by-name: unrecorded, creator Some(\"bob\"), owner 2, imported false",
            "by-nobody: unrecorded, creator None, owner nobody, imported false",
            "by-stranger: unrecorded, creator Some(\"zoe\"), owner nobody, imported false",
            "img-2: different in status uploaded_at variants cloudflare_metadata creator filename require_signed_urls metadata, repaired false",
            "img-3: missing, Left",
            "img-5: different in require_signed_urls, repaired false",
            "leaving: being deleted",
            "longlonglong: unusable",
        ]
    );
    assert_eq!(world.records().await, before);
    assert_eq!(sql::count(world.url(), "SELECT count(*) FROM cfimages_account_seen").await, 0);
    // Nothing is asked about that has never been uploaded.
    assert_eq!(
        world.account.take_calls(),
        ["get img-1", "get img-3", "get img-5", "list", "list 0-3", "list 0-6", "list 0-9", "get img-3", "get img-5"]
    );
}

async fn apply(engine: Engine) {
    let world = sample(&engine).await;
    let Outcome { figures, .. } = world.run(APPLY).await.unwrap();
    assert_eq!(figures, AccountFigures { repaired: 2, imported: 4, ..SAMPLE });
    assert_eq!(figures.remaining(), 1);
    let img_2 = "SELECT status || ' ' || creator || ' ' || filename || ' ' || CAST(require_signed_urls AS text) || ' ' || CAST(variants AS text)
        FROM cloudflare_images WHERE cloudflare_id = 'img-2'";
    let private = if matches!(engine, Engine::Sqlite) { "0" } else { "false" };
    let public_url = "https://imagedelivery.net/hash/img-2/public";
    assert_eq!(sql::text(world.url(), img_2).await, format!("uploaded 1 f.jpg {private} [\"{public_url}\"]"));
    assert_eq!(
        sql::texts(world.url(), LOGS).await.into_iter().flatten().collect::<Vec<_>>(),
        [
            "by-key image_imported: Image imported from Cloudflare",
            "by-name image_imported: Image imported from Cloudflare",
            "by-nobody image_imported: Image imported from Cloudflare",
            "by-stranger image_imported: Image imported from Cloudflare",
            "img-2 status_checked: Image status checked: uploaded",
            "img-5 status_checked: Image status checked: uploaded",
        ]
    );

    let repaired = world.records().await;
    world.fixture.clock.advance(1);
    let again = world.run(APPLY).await.unwrap();
    let rest = AccountFigures { equal: 7, different: 0, repaired: 0, unrecorded: 0, imported: 0, ..SAMPLE };
    assert_eq!((again.figures, again.start), (rest, AccountRunStart::New));
    assert_eq!(world.records().await, repaired);
    // What was too new is old by then.
    world.fixture.clock.advance(3600);
    assert_eq!(world.run(APPLY).await.unwrap().figures.imported, 1);
}

async fn import(engine: Engine) {
    let world = World::new(
        &engine,
        vec![
            details("listed", &json!({"creator": "alice", "meta": {"a": 1.5}, "requireSignedURLs": "?"})),
            details("by-hand", &json!({"creator": "alice", "meta": {"a": 1.5}, "requireSignedURLs": "?"})),
            details("anybodys", &json!({"creator": "zoe"})),
        ],
        10,
    )
    .await;
    let url = world.url();
    sql::execute_all(
        url,
        "INSERT INTO django_content_type (app_label, model) VALUES ('shop', 'product');
         INSERT INTO cloudflare_image_usages (object_id, field_name, cloudflare_id, created_at, updated_at, image_id, source, content_type_id)
             SELECT '7', 'hero', 'listed', '2020-01-01 00:00:00', '2020-01-01 00:00:00', NULL, 'auto', id FROM django_content_type",
    )
    .await;
    let fixture = &world.fixture;
    fixture.service.register_uploaded_image(&fixture.alice, CloudflareId::new("by-hand"), None).await.unwrap();
    let figures = world.run(AccountRunOptions { owner: Some(fixture.bob.id), ..APPLY }).await.unwrap().figures;
    assert_eq!((figures.imported, figures.equal), (2, 1));
    let records: Vec<String> = world.records().await.into_iter().flatten().collect();
    let of = |id: &str| -> Vec<String> {
        let of_id = records.iter().filter(|line| line.starts_with(&format!("{id} ")));
        of_id.map(|line| line.replace(id, "ID")).collect()
    };
    assert_eq!(of("listed")[0], of("by-hand")[0]);
    assert_eq!(of("listed")[1..], ["ID image_imported: Image imported from Cloudflare"]);
    assert!(of("anybodys")[0].starts_with("ID uploaded 2 zoe "), "{records:?}");
    // References that were there before lead to it.
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_image_usages WHERE image_id IS NOT NULL").await, 1);
}

async fn delete_missing(engine: Engine) {
    let images = [1, 6, 7, 8].map(|number| details(&format!("img-{number}"), &json!({})));
    let world = World::new(&engine, images.into(), 10).await;
    let url = world.url();
    insert_images(url, 8, "uploaded").await;
    insert_usage(url, 3, "shop.product", "7", "hero", "auto").await;
    let key = if matches!(engine, Engine::Sqlite) { "char(32)" } else { "uuid" };
    sql::execute_all(
        url,
        &format!(
            "CREATE TABLE shop_badge (id integer PRIMARY KEY, picture_id {key} NOT NULL REFERENCES cloudflare_images (id));
             INSERT INTO shop_badge (id, picture_id) SELECT 1, id FROM cloudflare_images WHERE cloudflare_id = 'img-4';"
        ),
    )
    .await;
    let Outcome { figures, findings, .. } = world.run(DELETE).await.unwrap();
    assert_eq!((figures.missing, figures.deleted, figures.kept, figures.failed), (4, 2, 1, 1));
    assert_eq!(
        findings[4..],
        [
            "img-2: missing, Deleted",
            "img-3: missing, InUse(1)",
            "img-4: failed: 1 row of the table shop_badge requires this image. Change or delete it first, or list the \
             table in CFIMAGES_HOST_DELETE_TABLES, so that such rows are deleted with their image.",
            "img-5: missing, Deleted",
        ]
    );
    assert_eq!(world.ids().await, ["img-1", "img-3", "img-4", "img-6", "img-7", "img-8"]);
}

async fn id_unsure(engine: Engine) {
    let world = World::new(&engine, vec![details("new-1", &json!({})), details("img-2", &json!({}))], 10).await;
    insert_images(world.url(), 2, "uploaded").await;
    let uploaded = "2025-06-01T00:00:00.250Z".parse().ok();
    let change = NewPendingDeletion {
        cloudflare_id: CloudflareId::new("img-1"),
        reason: DeletionReason::IdUnsure,
        marks: ImageMarks { uploaded_from: uploaded, uploaded_until: uploaded, ..ImageMarks::default() },
        last_error: String::new(),
        next_attempt_at: world.fixture.clock_now(),
    };
    let mut transaction = world.fixture.database.begin().await.unwrap();
    store::pending_deletions::insert(&mut transaction, &change, world.fixture.clock_now()).await.unwrap();
    transaction.commit().await.unwrap();
    let Outcome { figures, findings, .. } = world.run(DELETE).await.unwrap();
    assert_eq!((figures.unsettled, figures.imported, figures.missing, figures.deleted), (2, 0, 0, 0));
    assert_eq!(findings.len(), 1, "{findings:?}");

    world.fixture.service.records().forget_leftover(&change.cloudflare_id).await.unwrap();
    let Outcome { figures, .. } = world.run(DELETE).await.unwrap();
    assert_eq!((figures.unsettled, figures.imported, figures.missing, figures.deleted), (0, 1, 1, 1));
}

async fn other_account(engine: Engine) {
    let world = World::new(&engine, vec![details("foreign", &json!({}))], 10).await;
    insert_images(world.url(), 3, "uploaded").await;
    let doubt = AccountDoubt { asked: 3, found: 0 };
    assert_eq!(world.refuse(APPLY).await, doubt);
    assert_eq!(world.refuse(DELETE).await, doubt);
    let Outcome { figures, doubts, .. } = world.run(REPORT).await.unwrap();
    assert_eq!((figures.missing, figures.unrecorded, doubts), (3, 1, vec![doubt]));

    let (code, out, err) = output(cfimages(&world, &["--apply"])).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "error: this looks like another account: of 3 recorded image(s) that were looked for, it has 0. Nothing was \
         changed. Check CLOUDFLARE_IMAGES_ACCOUNT_ID and the API token, and look at a run without --apply. If it is the \
         right account all the same, pass --trust-account\n"
    );
    let (code, out, again) = output(cfimages(&world, &["--apply"])).await;
    assert_eq!((code, out.as_str(), again), (Some(1), "", err));
    let (code, _, err) = output(cfimages(&world, &["--json"])).await;
    assert_eq!(code, Some(0));
    assert!(err.starts_with("warning: this looks like another account: of 3 recorded image(s)"), "{err}");

    let (code, out, err) = output(cfimages(&world, &["--apply", "--delete-missing", "--trust-account"])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert_eq!(world.ids().await, ["foreign"]);
}

async fn foreign_imports(engine: Engine) {
    let world = World::new(&engine, many(30), 50).await;
    insert_images(world.url(), 3, "uploaded").await;
    // Somebody took this account for the right one.
    assert_eq!(world.run(AccountRunOptions { trust: ANY_ACCOUNT, ..APPLY }).await.unwrap().figures.imported, 30);
    world.account.take_calls();
    world.fixture.clock.advance(3600);
    let doubt = AccountDoubt { asked: 3, found: 0 };
    assert_eq!(world.refuse(DELETE).await, doubt);
    assert_eq!(world.refuse(APPLY).await, doubt);
    // The right account lacks what was imported, and has the others.
    world.account.script().images = (1..=3).map(|number| details(&format!("img-{number}"), &json!({}))).collect();
    assert_eq!(world.run(DELETE).await.unwrap().figures.deleted, 30);
    assert_eq!(world.ids().await, ["img-1", "img-2", "img-3"]);
}

async fn only_imports(engine: Engine) {
    let world = World::new(&engine, many(4), 10).await;
    assert_eq!(world.run(APPLY).await.unwrap().figures.imported, 4);
    world.account.script().images.truncate(2);
    assert_eq!(world.run(DELETE).await.unwrap().figures.deleted, 2);
    world.account.script().images = vec![details("foreign", &json!({}))];
    world.account.take_calls();
    assert_eq!(world.refuse(APPLY).await, AccountDoubt { asked: 2, found: 0 });
    assert_eq!(world.ids().await, ["new-0000", "new-0001"]);
}

async fn copies(engine: Engine) {
    let images = (1..=3).map(|number| details(&format!("img-{number}"), &json!({}))).collect();
    let world = World::new(&engine, images, 10).await;
    insert_images(world.url(), 4, "uploaded").await;
    let deliver_from = async |account: &str| {
        let variants = format!("'[\"https://imagedelivery.net/{account}/' || cloudflare_id || '/public\"]'");
        let cast = if matches!(engine, Engine::Sqlite) { "text" } else { "jsonb" };
        let update = format!("UPDATE cloudflare_images SET variants = CAST({variants} AS {cast})");
        sql::execute(world.url(), &update).await;
    };
    deliver_from("another").await;
    assert_eq!(world.refuse(DELETE).await, AccountDoubt { asked: 4, found: 0 });
    deliver_from("hash").await;
    let figures = world.run(DELETE).await.unwrap().figures;
    assert_eq!((figures.at_cloudflare, figures.deleted), (3, 1));
}

async fn enough(engine: Engine) {
    let world = World::new(&engine, many(2), 1).await;
    let url = world.url();
    for number in [1, 2] {
        ImageRow { number, created_at: "2025-12-31T23:50:00Z", ..ImageRow::default() }.insert(url).await;
    }
    assert_eq!(world.run(APPLY).await.unwrap().figures.imported, 2);
    world.account.take_calls();

    world.fixture.clock.advance(3600);
    assert_eq!(world.refuse(APPLY).await, AccountDoubt { asked: 2, found: 0 });
    world.account.script().images.push(details("img-1", &json!({})));
    world.account.script().list_answers.extend([None, Some((403, String::new()))]);
    world.run(DELETE).await.map(|_| ()).unwrap_err();
    assert_eq!(world.account.take_calls(), ["get img-1", "get img-2", "list", "list 0-1"]);
    // What has begun goes on.
    assert_eq!(world.run(DELETE).await.unwrap().figures.deleted, 1);
    assert_eq!(world.account.take_calls(), ["list 0-1", "list 0-2", "get img-2"]);
}

async fn stale_list(engine: Engine) {
    let world = World::new(&engine, many(5), 10).await;
    let gone =
        "{\"success\": false, \"result\": null, \"errors\": [{\"code\": 5404, \"message\": \"Image not found\"}]}";
    let found = |fields: Value| json!({"success": true, "result": details("new-0002", &fields)}).to_string();
    world.account.script().image_answers = vec![
        ("new-0001".to_owned(), 404, gone.to_owned()),
        // It was uploaded anew under the same id.
        ("new-0002".to_owned(), 200, found(json!({"uploaded": "2025-12-31T23:50:00Z"}))),
        ("new-0003".to_owned(), 400, String::new()),
        ("new-0004".to_owned(), 403, String::new()),
    ];
    let error = world.run(APPLY).await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "Failed to get image: 403 Client Error: Forbidden");
    assert_eq!(world.ids().await, ["new-0000"]);
    let asked: Vec<String> = (0..5).map(|number| format!("get new-{number:04}")).collect();
    assert_eq!(world.account.take_calls()[1..], asked);

    let newest = json!({"success": true, "result": details("new-0004", &json!({"creator": "bob"}))}).to_string();
    world.account.script().image_answers = vec![("new-0004".to_owned(), 200, newest)];
    let Outcome { figures, findings, .. } = world.run(APPLY).await.unwrap();
    let expected = AccountFigures {
        at_cloudflare: 5,
        unrecorded: 2,
        imported: 2,
        unsettled: 2,
        failed: 1,
        ..AccountFigures::default()
    };
    assert_eq!(figures, expected);
    assert_eq!(findings, ["new-0004: unrecorded, creator Some(\"bob\"), owner 2, imported true"]);
    assert_eq!(world.account.take_calls(), ["list", "get new-0004"]);
    world.fixture.clock.advance(3600);
    assert_eq!(world.run(APPLY).await.unwrap().figures.imported, 3);
}

async fn trusted_list(engine: Engine) {
    let world = World::new(&engine, many(5), 3).await;
    let figures = world.run(AccountRunOptions { trust: LIST, ..APPLY }).await.unwrap().figures;
    assert_eq!((figures.imported, world.account.take_calls()), (5, vec!["list".to_owned(), "list 0-3".to_owned()]));
}

async fn unreleased(engine: Engine) {
    let world = World::new(&engine, many(1), 1).await;
    world.account.script().list_answers.push_back(Some((403, String::new())));
    let when = "BEFORE UPDATE ON cfimages_account_runs";
    let trigger = match engine {
        Engine::Sqlite => format!(
            "CREATE TRIGGER keep {when} WHEN new.claimed_until < old.claimed_until BEGIN SELECT raise(ABORT, 'kept'); END"
        ),
        Engine::Postgres(_) => format!(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'kept'; END $$;
             CREATE TRIGGER keep {when} FOR EACH ROW WHEN (new.claimed_until < old.claimed_until) EXECUTE FUNCTION keep()"
        ),
    };
    sql::execute_all(world.url(), &trigger).await;
    let error = world.run(REPORT).await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "Failed to list images: 403 Client Error: Forbidden");
    world.fixture.clock.advance(61);
    let error = world.run(REPORT).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, AccountRunError::Store(_)), "{error}");
}

fn many(count: usize) -> Vec<Value> {
    (0..count).map(|number| details(&format!("new-{number:04}"), &json!({}))).collect()
}

async fn resume(engine: Engine) {
    let world = World::new(&engine, many(9), 3).await;
    insert_images(world.url(), 3, "uploaded").await;
    let options = AccountRunOptions { trust: AccountTrust { account: true, list: true }, ..APPLY };
    world.account.script().list_answers.extend([None, None, Some((403, String::new()))]);
    let error = world.run(options).await.map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "Failed to list images: 403 Client Error: Forbidden");
    assert_eq!(world.account.take_calls(), ["list", "list 0-3", "list 0-6"]);
    assert_eq!(sql::count(world.url(), "SELECT count(*) FROM cloudflare_images").await, 9);

    for status in [403, 401] {
        world.account.script().image_answers = vec![("img-2".to_owned(), status, String::new())];
        let error = world.run(options).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().starts_with("Failed to get image: 4"), "{error}");
    }
    assert_eq!(world.account.take_calls(), ["list 0-6", "get img-1", "get img-2", "get img-2"]);

    world.account.script().image_answers.clear();
    let Outcome { figures, start, findings, .. } = world.run(options).await.unwrap();
    assert_eq!(world.account.take_calls(), ["get img-2", "get img-3"]);
    assert!(matches!(start, AccountRunStart::Resumed(_)));
    assert_eq!(findings, ["img-2: missing, Left", "img-3: missing, Left"]);
    let expected = AccountFigures {
        at_cloudflare: 9,
        unrecorded: 9,
        imported: 9,
        asked: 3,
        missing: 3,
        ..AccountFigures::default()
    };
    assert_eq!(figures, expected);
}

async fn lost_place(engine: Engine) {
    let world = World::new(&engine, many(9), 3).await;
    world.account.script().list_answers.extend([None, None, Some((403, String::new()))]);
    world.run(REPORT).await.map(|_| ()).unwrap_err();
    world.account.take_calls();
    world.account.script().epoch = 1;
    let Outcome { figures, broke_off, findings, .. } = world.run(REPORT).await.unwrap();
    assert_eq!(world.account.take_calls(), ["list 0-6", "list", "list 1-3", "list 1-6"]);
    assert_eq!((figures.unrecorded, figures.at_cloudflare, findings.len(), broke_off), (9, 9, 3, 1));
}

async fn endless_list(engine: Engine) {
    let world = World::new(&engine, many(9), 3).await;
    let cut = Some((200, "{\"success\": true, \"result\": {\"images\": [{\"id\": \"new".to_owned()));
    // It breaks off at the same place twice.
    world.account.script().list_answers.extend([None, None, cut.clone(), None, None, cut]);
    let error = world.run(REPORT).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().starts_with("Failed to list images: Cloudflare's answer cannot be used"), "{error}");
    assert_eq!(world.account.take_calls(), ["list", "list 0-3", "list 0-6", "list", "list 0-3", "list 0-6"]);
    assert_eq!(world.run(REPORT).await.unwrap().figures.unrecorded, 9);
}

async fn unstable_list(engine: Engine) {
    let world = World::new(&engine, many(8), 3).await;
    assert_eq!(world.run(APPLY).await.unwrap().figures.imported, 8);
    world.fixture.clock.advance(3600);
    world.account.take_calls();
    let more = vec![details("twice", &json!({})), details("twice", &json!({}))];
    {
        let mut script = world.account.script();
        script.images.extend(more);
        script.repeated = 2;
        script.unlisted.extend(["new-0001".to_owned(), "new-0007".to_owned()]);
    }
    let figures = world.run(DELETE).await.unwrap().figures;
    let expected = AccountFigures {
        at_cloudflare: 9,
        equal: 8,
        unrecorded: 1,
        imported: 1,
        asked: 2,
        ..AccountFigures::default()
    };
    assert_eq!(figures, expected);
    let calls = world.account.take_calls();
    let asked = calls.rsplit(|call| call.starts_with("list")).next().unwrap();
    assert_eq!(asked.len(), 2, "{calls:?}");
}

async fn rate_limit(engine: Engine) {
    let world = World::new(&engine, many(2), 1).await;
    let limits = ClientLimits { timeout: Duration::from_millis(300), ..ClientLimits::default() };
    let database = connect(world.url()).await;
    let service = service_within(&world.account.uri, &limits, database, world.fixture.clock.clone());
    let reconciler = AccountReconciler::new(service, "acct-0001".to_owned(), REPORT);
    // No call may take as long as Cloudflare wants to be left alone for.
    world.account.script().list_answers.extend([None, Some((429, String::new()))]);
    let Outcome { figures, waits, .. } = observe(&reconciler, false).await.unwrap();
    assert_eq!((figures.unrecorded, waits), (2, 1));
    assert_eq!(world.account.take_calls(), ["list", "list 0-1", "list 0-1"]);
}

/// Begins a run that waits for Cloudflare's answer.
async fn waiting(world: &World, reconciler: &AccountReconciler) -> Result<Outcome, AccountRunError> {
    world.account.close();
    observe(reconciler, false).await
}

async fn until_waiting(world: &World) {
    let is_list = |call: &String| call.starts_with("list");
    eventually("Cloudflare is asked", async || world.account.script().calls.iter().any(is_list).then_some(())).await;
}

async fn one_at_a_time(engine: Engine) {
    let world = World::new(&engine, many(2), 1).await;
    let first = world.reconciler(APPLY);
    let second = async {
        until_waiting(&world).await;
        let busy = world.run(REPORT).await.map(|_| ()).unwrap_err();
        world.account.gate.add_permits(10);
        busy
    };
    let (outcome, busy) = tokio::join!(waiting(&world, &first), second);
    assert_eq!(outcome.unwrap().figures.imported, 2);
    assert_eq!(busy.to_string(), "another run is at work on this database. If it was killed, try again in 61 seconds");
    // Once it has ended there is nothing to wait for.
    assert_eq!(world.run(REPORT).await.unwrap().figures.equal, 2);
}

async fn taken_over(engine: Engine) {
    let world = World::new(&engine, many(2), 1).await;
    let first = world.reconciler(APPLY);
    let second = async {
        until_waiting(&world).await;
        world.fixture.clock.advance(61);
        // The second waits for the list, too, and holds the run meanwhile.
        let reconciler = world.reconciler(REPORT);
        let waiting = observe(&reconciler, false);
        let release = async {
            eventually("both wait", async || (world.account.script().calls.len() > 1).then_some(())).await;
            world.account.gate.add_permits(10);
        };
        tokio::join!(waiting, release).0
    };
    let (first, second) = tokio::join!(waiting(&world, &first), second);
    let first = first.map(|_| ()).unwrap_err();
    assert!(matches!(first, AccountRunError::TakenOver), "{first}");
    let second = second.unwrap();
    // The first had found nothing that could have gone on.
    assert_eq!((second.figures.unrecorded, second.start), (2, AccountRunStart::New));
    assert_eq!(sql::count(world.url(), "SELECT count(*) FROM cloudflare_images").await, 0);
}

async fn other_options(engine: Engine) {
    let world = World::new(&engine, many(4), 2).await;
    let interrupt = || world.account.script().list_answers.extend([None, Some((403, String::new()))]);
    interrupt();
    world.run(REPORT).await.map(|_| ()).unwrap_err();
    interrupt();
    world.run(APPLY).await.map(|_| ()).unwrap_err();
    world.account.take_calls();
    let Outcome { figures, start, .. } = observe(&world.reconciler(APPLY), true).await.unwrap();
    assert_eq!((figures.equal, figures.imported, start), (2, 2, AccountRunStart::Anew));
    let calls = world.account.take_calls();
    assert!(calls.contains(&"list".to_owned()) && calls.contains(&"list 0-2".to_owned()), "{calls:?}");
}

async fn refused_image(engine: Engine) {
    for trust in [ASK, LIST] {
        refuse_image(&engine, AccountRunOptions { trust, ..APPLY }).await;
    }
}

async fn refuse_image(engine: &Engine, options: AccountRunOptions) {
    let world = World::new(engine, many(5), 10).await;
    let trigger = match engine {
        Engine::Sqlite => {
            "CREATE TRIGGER refuse BEFORE INSERT ON cloudflare_images WHEN new.cloudflare_id = 'new-0002' \
             BEGIN SELECT raise(ABORT, 'not this one'); END"
        }
        Engine::Postgres(_) => {
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$;
             CREATE TRIGGER refuse BEFORE INSERT ON cloudflare_images FOR EACH ROW WHEN (new.cloudflare_id = 'new-0002') EXECUTE FUNCTION refuse()"
        }
    };
    sql::execute_all(world.url(), trigger).await;
    let Outcome { figures, findings, .. } = world.run(options).await.unwrap();
    assert_eq!((figures.imported, figures.failed, figures.at_cloudflare), (4, 1, 5));
    assert!(findings.contains(&"new-0002: failed: the database refused a statement".to_owned()), "{findings:?}");
}

async fn changed_meanwhile(engine: Engine) {
    let world = World::new(&engine, vec![details("img-1", &json!({}))], 10).await;
    insert_images(world.url(), 1, "uploaded").await;
    let reconciler = world.reconciler(APPLY);
    let change = async {
        until_waiting(&world).await;
        let later = time(world.url(), "2026-01-01T00:00:01Z");
        let update = format!("UPDATE cloudflare_images SET filename = 'own', updated_at = '{later}'");
        sql::execute(world.url(), &update).await;
        world.account.gate.add_permits(1);
    };
    let (outcome, ()) = tokio::join!(waiting(&world, &reconciler), change);
    let figures = outcome.unwrap().figures;
    assert_eq!((figures.unsettled, figures.different), (1, 0));
    assert_eq!(sql::text(world.url(), "SELECT filename || status FROM cloudflare_images").await, "ownuploaded");
}

async fn broken_answers(engine: Engine) {
    let world = World::new(&engine, vec![details("img-1", &json!({})), json!({"id": 7}), json!("?")], 10).await;
    insert_images(world.url(), 4, "uploaded").await;
    world.account.script().image_answers = vec![
        ("img-2".to_owned(), 200, "{\"success\": true, \"result\": [".to_owned()),
        ("img-3".to_owned(), 400, String::new()),
    ];
    let Outcome { figures, .. } = world.run(REPORT).await.unwrap();
    let expected = AccountFigures {
        at_cloudflare: 1,
        different: 1,
        unusable: 2,
        asked: 3,
        missing: 1,
        failed: 2,
        ..AccountFigures::default()
    };
    assert_eq!(figures, expected);
}

fn cfimages(world: &World, arguments: &[&str]) -> Command {
    cfimages_on(world.url(), &world.account.uri, arguments)
}

fn cfimages_on(database_url: &str, cloudflare: &str, arguments: &[&str]) -> Command {
    let mut command = cli::cfimages(&std::env::temp_dir(), &[&["reconcile-account"], arguments].concat());
    command
        .env("DATABASE_URL", database_url)
        .env("CLOUDFLARE_IMAGES_BASE_URL", cloudflare)
        .env("CLOUDFLARE_IMAGES_ACCOUNT_ID", "acct-0001")
        .env("CLOUDFLARE_IMAGES_API_TOKEN", API_TOKEN)
        .env("CFIMAGES_LOG", "off");
    command
}

async fn output(mut command: Command) -> (Option<i32>, String, String) {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let Output { status, stdout, stderr } = output;
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

async fn command(engine: Engine) {
    let world = sample(&engine).await;
    let run = async |arguments: &[&str]| output(cfimages(&world, arguments)).await;
    let (code, out, err) = run(&["--check", "--json", "-v"]).await;
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let found = |id: &str| lines.iter().find(|line| line["cloudflare_id"] == id).unwrap().clone();
    assert_eq!(
        found("by-name"),
        json!({"type": "finding", "finding": "unrecorded", "cloudflare_id": "by-name", "creator": "bob", "owner": "2", "imported": false})
    );
    assert_eq!(
        found("img-5"),
        json!({"type": "finding", "finding": "different", "cloudflare_id": "img-5", "repaired": false,
            "fields": {"require_signed_urls": {"here": false, "at_cloudflare": true}}})
    );
    let summary = lines.last().unwrap();
    // By the clock of today nothing is too new any more.
    assert_eq!(
        (&summary["type"], &summary["applied"], &summary["remaining"]),
        (&json!("summary"), &json!(false), &json!(8))
    );

    let (code, out, err) = run(&["--apply", "--owner", "carol", "-v"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    for part in [
        "not recorded  by-stranger (creator: zoe), imported for user 3\n",
        "different     img-5, repaired\n  require_signed_urls: false here, true at Cloudflare\n",
        "gone          img-3, left\n",
        "to be deleted leaving\n",
        "recorded, and different",
        "2 repaired",
        "5 imported",
        "Records whose image is gone stay. --apply --delete-missing deletes those that no content refers to.\n",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }

    let (code, out, err) = run(&["--apply", "--delete-missing", "--check"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("1 deleted") && out.ends_with("Nothing differs.\n"), "{out}");

    world.account.script().list_answers.extend([None, Some((403, String::new()))]);
    let (code, out, err) = run(&[]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "error: stopped; what was done is kept, and the same command goes on from there: Failed to list images: \
         403 Client Error: Forbidden\n"
    );
    let (code, out, _) = run(&[]).await;
    assert!(code == Some(0) && out.starts_with("going on with the run of "), "{out}");
    for (arguments, problem) in [
        (&["--delete-missing"][..], "--apply"),
        (&["--trust-account"], "--apply"),
        (&["--trust-list"], "--apply"),
        (&["--owner", "zoe"], "there is no user zoe"),
        (&["--min-age", "10081"], "10080"),
    ] {
        let (code, _, err) = run(arguments).await;
        assert!(code != Some(0) && err.contains(problem), "{err}");
    }
}

async fn emulator(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    for id in ["kept", "forgotten", "gone"] {
        let upload = app.create_upload(&json!({"custom_id": id, "creator": "alice", "metadata": {"a": 1.5}})).await;
        let bytes = picture("photo.jpg");
        app.upload(upload["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", bytes).await;
        app.wait_for_status(upload["id"].as_str().unwrap(), "uploaded").await;
    }
    let draft = app.create_upload(&json!({"custom_id": "draft"})).await;
    let record = "SELECT status || ' ' || creator || ' ' || filename || ' ' || CAST(metadata AS text) || CAST(cloudflare_metadata AS text)
        || ' ' || CAST(variants AS text) || CAST(user_id AS text) FROM cloudflare_images WHERE cloudflare_id = 'forgotten'";
    let before = sql::text(url, record).await;
    sql::execute_all(
        url,
        "DELETE FROM cloudflare_image_logs WHERE image_id IN (SELECT id FROM cloudflare_images WHERE cloudflare_id = 'forgotten');
         DELETE FROM cloudflare_images WHERE cloudflare_id = 'forgotten';",
    )
    .await;
    let api = format!("{}/client/v4", app.emulator);
    let gone = app.http.delete(format!("{api}/accounts/acct-0001/images/v1/gone")).bearer_auth(API_TOKEN);
    assert_eq!(gone.send().await.unwrap().status(), 200);

    let arguments = ["--apply", "--delete-missing", "--min-age", "0", "--json", "--check"];
    let (code, out, err) = output(cfimages_on(url, &api, &arguments)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let summary: Value = serde_json::from_str(&out).unwrap();
    let figures = ["at_cloudflare", "imported", "asked", "deleted"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!(figures, [2, 1, 1, 1], "{out}");
    assert_eq!(sql::text(url, record).await, before);
    assert_eq!(app.get(&format!("images/{}/", draft["id"].as_str().unwrap())).await.json()["status"], "pending");
    let (_, out, _) = output(cfimages_on(url, &api, &arguments)).await;
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&summary["equal"], &summary["at_cloudflare"]), (&json!(2), &json!(2)), "{out}");
}

/// A command that ends with its handle.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn stopped(engine: Engine) {
    let world = World::new(&engine, many(4), 2).await;
    world.account.close();
    world.account.gate.add_permits(1);
    let mut command = cfimages(&world, &[]);
    let mut running = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    eventually("the second page is asked for", async || (world.account.script().calls.len() > 1).then_some(())).await;
    assert!(Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap().success());
    let code = tokio::task::spawn_blocking(move || {
        let mut told = String::new();
        running.0.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        (running.0.wait().unwrap().code(), told)
    });
    let told = "error: stopped; what was done is kept, and the same command goes on from there\n".to_owned();
    assert_eq!(code.await.unwrap(), (Some(1), told));
    world.account.gate.add_permits(10);
    world.account.take_calls();
    let (code, out, err) = output(cfimages(&world, &[])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("going on with the run of "), "{out}");
    assert_eq!(world.account.take_calls(), ["list 0-2"]);
}

async fn killed(engine: Engine) {
    const IMAGES: usize = 600;
    let world = World::new(&engine, many(IMAGES), 50).await;
    let url = world.url();
    insert_images(url, 40, "uploaded").await;
    {
        let mut script = world.account.script();
        script.images.extend((1..=30).map(|number| details(&format!("img-{number}"), &json!({}))));
        script.unlisted.extend((21..=30).map(|number| format!("img-{number}")));
    }
    let arguments = ["--apply", "--delete-missing", "--json"];
    for calls in [1, 20, 22, 60, 150, 300, 500, 640] {
        let mut command = cfimages(&world, &arguments);
        let running = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let so_far = || world.account.script().calls.len();
        eventually("the command has come so far", async || (so_far() >= calls).then_some(())).await;
        drop(running);
        // A minute later the run is nobody's any more.
        let past = time(url, "2020-01-01");
        sql::execute(url, &format!("UPDATE cfimages_account_runs SET claimed_until = '{past}'")).await;
    }
    let (code, out, err) = output(cfimages(&world, &arguments)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        summary,
        json!({"type": "summary", "applied": true, "at_cloudflare": IMAGES + 30, "equal": 0, "different": 30, "repaired": 30,
            "unrecorded": IMAGES, "imported": IMAGES, "being_deleted": 0, "unsettled": 0, "unusable": 0, "asked": 20,
            "missing": 10, "deleted": 10, "kept": 0, "failed": 0, "remaining": 0})
    );
    let logged = "SELECT count(*) FROM cloudflare_image_logs WHERE event_type = ";
    let imported = i64::try_from(IMAGES).unwrap();
    assert_eq!(sql::count(url, &format!("{logged}'image_imported'")).await, imported);
    assert_eq!(sql::count(url, &format!("{logged}'status_checked'")).await, 30);
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_images").await, imported + 30);
}
