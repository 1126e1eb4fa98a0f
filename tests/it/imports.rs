//! Pictures that are somewhere else, brought to Cloudflare and recorded.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cfimages::app::{self, Lifecycle};
use cfimages::domain::{CloudflareId, RegisteredImage};
use cfimages::emulator::{Emulator, EmulatorConfig, Fault, FaultPlan, Faults, Operation};
use cfimages::service::{
    ImportError, ImportEvent, ImportFigures, ImportOptions, ImportOutcome, ImportRow, ImportSources, Importer,
};
use cfimages::store;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::app::{API_TOKEN, TestApp, emulator_config};
use crate::support::emulator::checked_router;
use crate::support::raw_server::{RawServer, Reply};
use crate::support::rows::time;
use crate::support::suite::{Engine, Suite};
use crate::support::{eventually, picture, sql};
use crate::usages::Fixture;

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("imports::each_picture_is_uploaded_and_recorded_once", once);
    suite.on_both_engines("imports::a_lost_answer_makes_no_second_image", lost_answers);
    suite.on_both_engines("imports::an_answer_that_cannot_be_looked_for_is_waited_for", unclear);
    suite.on_both_engines("imports::a_run_that_was_cut_off_anywhere_goes_on", cut_off);
    suite.on_both_engines("imports::what_is_in_hand_is_not_uploaded_again_before_it_is_certain", in_hand);
    suite.on_both_engines("imports::an_image_that_was_recorded_meanwhile_is_taken_over", recorded_meanwhile);
    suite.on_both_engines("imports::rows_that_cannot_be_used_say_why", refusals);
    suite.on_both_engines("imports::what_was_deleted_comes_back_only_if_asked_for", again);
    suite.on_both_engines("imports::a_dry_run_tells_the_same_and_changes_nothing", dry_run);
    suite.on_both_engines("imports::one_import_is_at_work_at_a_time", one_at_a_time);
    suite.on_both_engines("imports::a_run_waits_where_requests_are_used_up", rate_limit);
    suite.on_both_engines("imports::a_run_ends_at_once_where_nothing_can_be_done", forbidden);
    suite.on_both_engines("imports::urls_are_fetched_from_here_if_asked_for", fetch);
    suite.on_both_engines("imports::failures_can_be_imported_again", failures);
    suite.on_both_engines("imports::a_folder_is_imported_by_content", folder);
    suite.on_both_engines("imports::rows_of_django_name_their_images", django);
    suite.on_both_engines("imports::rows_of_django_may_have_foreign_keys_or_keep_ids_in_place", django_columns);
    suite.on_both_engines("imports::the_commands_of_the_guide_work", guide);
    suite.on_both_engines("imports::the_command_says_what_is_wrong", command_problems);
    suite.on_both_engines("imports::a_command_that_is_stopped_finishes_what_is_under_way", stopped);
    suite.on_both_engines("imports::a_command_that_is_killed_anywhere_ends_with_one_image_each", killed);
}

/// A picture of one pixel.
const PIXEL: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";

/// A service, an emulator whose faults are at hand, and a folder.
struct World {
    fixture: Fixture,
    faults: Faults,
    api: String,
    folder: TempDir,
    lifecycle: Lifecycle,
}

impl Drop for World {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

impl World {
    async fn new(engine: &Engine) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let fixture = Fixture::with_cloudflare(engine, &format!("{origin}/client/v4")).await;
        let config = EmulatorConfig {
            api_token: "token".to_owned(),
            notify: None,
            ..emulator_config(&origin, &origin, fixture.clock.clone())
        };
        let emulator = Emulator::open(config).unwrap();
        let (faults, lifecycle) = (emulator.faults(), Lifecycle::default());
        tokio::spawn(app::serve(listener, checked_router(&emulator), lifecycle.clone(), Duration::from_secs(1)));
        let api = format!("{origin}/client/v4/accounts/acct-0001/images");
        Self { fixture, faults, api, folder: TempDir::new().unwrap(), lifecycle }
    }

    fn url(&self) -> &str {
        self.fixture.url.as_str()
    }

    /// Writes a file; its row.
    fn file(&self, name: &str, bytes: &[u8]) -> ImportRow {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        ImportRow { file: path.to_str().unwrap().to_owned(), user: "alice".to_owned(), ..ImportRow::default() }
    }

    fn pictures(&self, count: usize) -> Vec<ImportRow> {
        (0..count).map(|number| self.file(&format!("{number}.gif"), PIXEL)).collect()
    }

    /// Imports rows with the usual options; the clock goes on to where something is waited for.
    async fn import(&self, rows: &[ImportRow]) -> Result<Outcome, ImportError> {
        self.import_with(rows, options()).await
    }

    async fn import_with(&self, rows: &[ImportRow], options: ImportOptions) -> Result<Outcome, ImportError> {
        let (sender, mut receiver) = mpsc::channel(rows.len().max(1));
        for row in rows {
            sender.try_send(row.clone()).unwrap();
        }
        drop(sender);
        let (mut lines, mut waits) = (Vec::new(), 0);
        let mut observer = |event: ImportEvent<'_>| match event {
            ImportEvent::Done { row, outcome } => lines.push(line(row, outcome)),
            ImportEvent::Waiting { until, .. } => {
                waits += 1;
                let now = self.fixture.clock_now();
                self.fixture.clock.advance(until.as_unix_seconds() - now.as_unix_seconds() + 1);
            }
        };
        let importer = Importer::new(&self.fixture.service, options);
        let figures = Box::pin(importer.run(&mut receiver, &mut observer)).await?;
        lines.sort();
        Ok(Outcome { figures, lines, waits })
    }

    /// Waits until nothing arrives at the emulator any more.
    async fn expect_quiet(&self) {
        const LOOKS: usize = 20;
        let seen = Mutex::new(Vec::new());
        eventually("nothing arrives any more", async || {
            let images = self.at_emulator().await.len();
            let mut seen = seen.lock().unwrap();
            seen.push(images);
            (seen.len() >= LOOKS && seen[seen.len() - LOOKS..].iter().all(|count| *count == images)).then_some(())
        })
        .await;
    }

    /// The ids at the emulator, in order.
    async fn at_emulator(&self) -> Vec<String> {
        at_emulator(&self.api, "token")
            .await
            .into_iter()
            .map(|image| image["id"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Makes sure that there is one image for each of so many pictures, here and there, and nothing in hand.
    async fn expect_one_image_each(&self, pictures: usize) {
        expect_one_image_each(self.url(), &self.api, "token", pictures).await;
    }
}

struct Outcome {
    figures: ImportFigures,
    lines: Vec<String>,
    waits: usize,
}

fn options() -> ImportOptions {
    ImportOptions {
        is_dry_run: false,
        parallel: 3,
        sources: ImportSources::default(),
        again: false,
        column: None,
        stop: CancellationToken::new(),
    }
}

/// The name of the file and what became of it.
fn line(row: &ImportRow, outcome: &ImportOutcome) -> String {
    let what = match outcome {
        ImportOutcome::Imported(_) => "imported".to_owned(),
        ImportOutcome::Found(_) => "found".to_owned(),
        ImportOutcome::Already(image) => format!("already {}", image.is_some()),
        ImportOutcome::Importable => "importable".to_owned(),
        ImportOutcome::Repeated => "repeated".to_owned(),
        ImportOutcome::Skipped => "skipped".to_owned(),
        ImportOutcome::Failed(problem) => problem.to_string(),
    };
    let name = if row.file.is_empty() { &row.url } else { &row.file };
    format!("{}: {what}", name.rsplit('/').next().unwrap())
}

async fn at_emulator(api: &str, token: &str) -> Vec<Value> {
    let list = crate::support::app::http_client().get(format!("{api}/v2?per_page=1000")).bearer_auth(token);
    let answer: Value = serde_json::from_str(&list.send().await.unwrap().text().await.unwrap()).unwrap();
    answer["result"]["images"].as_array().unwrap().clone()
}

async fn expect_one_image_each(url: &str, api: &str, token: &str, pictures: usize) {
    let images = at_emulator(api, token).await;
    let mut there: Vec<String> = images.iter().map(|image| image["id"].as_str().unwrap().to_owned()).collect();
    there.sort();
    let ids = "SELECT cloudflare_id FROM cloudflare_images AS images \
        JOIN cfimages_import_items AS items ON items.image_id = images.id WHERE status = 'uploaded'";
    let mut here: Vec<String> = sql::texts(url, ids).await.into_iter().flatten().collect();
    here.sort();
    assert_eq!((there.len(), here.len()), (pictures, pictures), "{there:?} {here:?}");
    assert_eq!(there, here);
    assert_eq!(sql::count(url, "SELECT count(*) FROM cfimages_import_items").await, i64::try_from(pictures).unwrap());
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_images").await, i64::try_from(pictures).unwrap());
}

async fn once(engine: Engine) {
    let world = World::new(&engine).await;
    let mut rows = world.pictures(7);
    rows[1] = ImportRow {
        id: "products/1".to_owned(),
        private: "false".to_owned(),
        metadata: r#"{"n": 1.50}"#.to_owned(),
        creator: "alice".to_owned(),
        user: "bob".to_owned(),
        ..rows[1].clone()
    };
    rows[2].file.clear();
    let server = RawServer::start(|_, _| async { Reply::answer(200, &["Content-Type: image/gif"], PIXEL) }).await;
    rows[2].url = format!("{}/media/a%20b.gif?x=1", server.url);
    let Outcome { figures, .. } = world.import(&rows).await.unwrap();
    let bytes = 6 * PIXEL.len() as u64;
    assert_eq!(figures, ImportFigures { rows: 7, imported: 7, bytes, ..ImportFigures::default() });
    world.expect_one_image_each(7).await;

    let record = |id: &str| {
        format!(
            "SELECT CAST(user_id AS text) || ' ' || creator || ' ' || original_filename || ' ' || content_type || ' ' \
             || coalesce(CAST(file_size AS text), '-') || ' ' || CAST(metadata = cloudflare_metadata AS text) || ' ' || CAST(metadata AS text) \
             FROM cloudflare_images WHERE {id}"
        )
    };
    let custom = sql::text(world.url(), &record("cloudflare_id = 'products/1'")).await;
    let (yes, size) = (if matches!(engine, Engine::Sqlite) { "1" } else { "true" }, PIXEL.len());
    assert!(custom.starts_with(&format!("2 alice 1.gif image/gif {size} {yes} {{")), "{custom}");
    assert!(custom.contains(r#""n": 1.5"#) && custom.contains(r#""cfimages_import": ""#), "{custom}");
    let fetched = sql::text(world.url(), &record("original_filename = 'a b.gif'")).await;
    assert!(fetched.starts_with(&format!("1 shop a b.gif  - {yes} {{")), "{fetched}");
    let logged = "SELECT count(*) FROM cloudflare_image_logs WHERE event_type = 'image_uploaded'";
    assert_eq!(sql::count(world.url(), logged).await, 7);

    // The same again, with one more, and one of them twice.
    let before = world.at_emulator().await;
    rows.push(world.file("new.gif", PIXEL));
    rows.push(rows[7].clone());
    let Outcome { figures, .. } = world.import(&rows).await.unwrap();
    assert_eq!((figures.already + figures.repeated, figures.imported), (8, 1));
    assert_eq!(world.at_emulator().await.len(), before.len() + 1);
    world.expect_one_image_each(8).await;
}

/// What may happen to a call that uploads.
fn losses() -> Vec<Fault> {
    vec![
        Fault::cut(),
        Fault::cut().after_effect(),
        Fault::cut_body(),
        Fault::malformed_body(),
        Fault::error(500).after_effect(),
        Fault::error(500),
    ]
}

async fn lost_answers(engine: Engine) {
    let world = World::new(&engine).await;
    let mut rows = Vec::new();
    for (number, fault) in losses().into_iter().enumerate() {
        for custom in [false, true] {
            let mut row = world.file(&format!("{number}-{custom}.gif"), PIXEL);
            if custom {
                (row.id, row.private) = (format!("custom/{number}"), "no".to_owned());
            }
            rows.push(row.clone());
            world.faults.add(fault.clone().on(Operation::UploadImage)).unwrap();
            let Outcome { figures, lines, .. } = world.import(&[row]).await.unwrap();
            assert_eq!((figures.imported + figures.found, figures.failed), (1, 0), "{fault:?}: {lines:?}");
            assert!(world.faults.plan().faults.is_empty());
            // So that nothing is down for the next.
            tokio::time::sleep(Duration::from_millis(250)).await;
            world.import(&rows).await.unwrap();
        }
    }
    world.expect_one_image_each(rows.len()).await;
}

async fn unclear(engine: Engine) {
    let world = World::new(&engine).await;
    let rows = world.pictures(2);
    // The answer is lost, and so are those to the questions after it.
    world.faults.add(Fault::malformed_body().on(Operation::UploadImage)).unwrap();
    world.faults.add(Fault::malformed_body().on(Operation::ListImagesV2)).unwrap();
    let Outcome { figures, lines, waits } = world.import(&rows).await.unwrap();
    assert_eq!((figures.imported, figures.found, waits), (1, 1, 1), "{lines:?}");
    world.expect_one_image_each(2).await;

    // It never becomes clear: nothing is uploaded twice, and the next run finds it.
    let row = world.file("unclear.gif", PIXEL);
    world.faults.add(Fault::malformed_body().on(Operation::UploadImage)).unwrap();
    world
        .faults
        .add(Fault::error_with(400, cfimages::emulator::ErrorBody::Json).on(Operation::ListImagesV2).always())
        .unwrap();
    let Outcome { figures, lines, .. } = world.import(std::slice::from_ref(&row)).await.unwrap();
    assert_eq!(figures.failed, 1, "{lines:?}");
    world.faults.clear();
    let Outcome { figures, .. } = world.import(&[row]).await.unwrap();
    assert_eq!(figures.found, 1);
    world.expect_one_image_each(3).await;
}

/// Runs that are dropped as a killed process drops all it does, after each number of events.
async fn cut_off(engine: Engine) {
    let world = World::new(&engine).await;
    let rows = world.pictures(12);
    let slow = Fault::slow(Duration::from_millis(20)).on(Operation::UploadImage).always();
    world.faults.set(FaultPlan { faults: vec![slow], ..FaultPlan::default() }).unwrap();
    for calls in 1..8 {
        world.faults.set(FaultPlan { faults: world.faults.plan().faults, ..FaultPlan::default() }).unwrap();
        tokio::select! {
            _ = world.import(&rows) => {}
            () = eventually("so many pictures are sent", async || {
                (world.faults.calls(Operation::UploadImage) >= calls).then_some(())
            }) => {}
        }
        // The clock goes on by minutes in no time, and what is under way arrives in its own.
        world.expect_quiet().await;
        // A minute later, it is nobody's turn.
        world.fixture.clock.advance(61);
    }
    let Outcome { figures, .. } = world.import(&rows).await.unwrap();
    assert_eq!(figures.imported + figures.found + figures.already, 12);
    world.expect_one_image_each(12).await;
}

async fn in_hand(engine: Engine) {
    let world = World::new(&engine).await;
    let rows = world.pictures(1);
    // Cloudflare takes its time, and the process is gone meanwhile.
    world.faults.add(Fault::slow(Duration::from_millis(400)).on(Operation::UploadImage)).unwrap();
    let sent = || world.faults.calls(Operation::UploadImage) > 0;
    tokio::select! {
        _ = world.import(&rows) => panic!("it was slow"),
        () = eventually("the picture is sent", async || sent().then_some(())) => {}
    }
    world.fixture.clock.advance(61);
    world.faults.clear();
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send(rows[0].clone()).unwrap();
    drop(sender);
    let events = Arc::new(Mutex::new(Vec::new()));
    let mut observer = |event: ImportEvent<'_>| {
        if let ImportEvent::Waiting { rows, .. } = event {
            events.lock().unwrap().push(rows);
        }
    };
    let importer = Importer::new(&world.fixture.service, options());
    let mut running = Box::pin(importer.run(&mut receiver, &mut observer));
    tokio::select! {
        outcome = &mut running => assert_eq!(outcome.unwrap().found, 1),
        () = eventually("it is waited for", async || (!events.lock().unwrap().is_empty()).then_some(())) => {
            // It was not there yet, and nobody has sent it a second time.
            assert_eq!(world.faults.calls(Operation::UploadImage), 0);
            world.fixture.clock.advance(660);
            let figures = running.await.unwrap();
            assert_eq!(figures.found + figures.imported, 1);
        }
    }
    world.expect_one_image_each(1).await;
}

async fn recorded_meanwhile(engine: Engine) {
    for (owner, is_taken) in [("nobody", true), ("bob", false)] {
        let world = World::new(&engine).await;
        let rows = world.pictures(1);
        world.faults.add(Fault::malformed_body().on(Operation::UploadImage)).unwrap();
        world.faults.add(Fault::error(400).on(Operation::ListImagesV2).times(2)).unwrap();
        world.import(&rows).await.unwrap();
        // `reconcile-account` has found it.
        let id = world.at_emulator().await.remove(0);
        let registered = RegisteredImage {
            cloudflare_id: CloudflareId::new(id.as_str()),
            user_id: (owner == "bob").then_some(world.fixture.bob.id),
            require_signed_urls: None,
            metadata: None,
        };
        let mut transaction = world.fixture.database.begin().await.unwrap();
        let now = world.fixture.clock_now();
        store::images::register(&mut transaction, &registered, true, now).await.unwrap().unwrap();
        transaction.commit().await.unwrap();
        let Outcome { figures, lines, .. } = world.import(&rows).await.unwrap();
        if is_taken {
            assert_eq!(figures.found, 1, "{lines:?}");
            assert_eq!(sql::text(world.url(), "SELECT CAST(user_id AS text) FROM cloudflare_images").await, "1");
            world.expect_one_image_each(1).await;
        } else {
            assert_eq!(lines, [format!("0.gif: Image {id} is already registered to another user")]);
            assert_eq!(world.at_emulator().await.len(), 1);
        }
    }
}

async fn refusals(engine: Engine) {
    let world = World::new(&engine).await;
    let row = |name: &str, change: fn(&mut ImportRow)| {
        let mut row = world.file(name, PIXEL);
        change(&mut row);
        row
    };
    let rows = [
        world.file("empty.gif", b""),
        world.file("text.gif", b"text"),
        world.file("large.gif", &[PIXEL, &vec![0; 10_000_000]].concat()),
        world.file("truncated.jpg", &picture("truncated.jpg")),
        row("gone.gif", |row| fs::remove_file(&row.file).unwrap()),
        row("no-user.gif", |row| row.user.clear()),
        row("zoe.gif", |row| row.user = "zoe".into()),
        row("both.gif", |row| row.url = "https://a.example/x.gif".into()),
        row("metadata.gif", |row| row.metadata = "[1]".into()),
        row("long.gif", |row| row.metadata = json!({"a": "x".repeat(1000)}).to_string()),
        row("private.gif", |row| row.private = "maybe".into()),
        row("private-id.gif", |row| row.id = "private/id".into()),
        row("id.gif", |row| row.id = "keys".into()),
        row("unreadable.gif", |row| row.problem = Some("the row is torn".to_owned())),
        ImportRow { url: "ftp://a.example/url.gif".to_owned(), user: "1".to_owned(), ..ImportRow::default() },
        ImportRow { url: "http://127.0.0.1:9/nowhere.gif".to_owned(), user: "1".to_owned(), ..ImportRow::default() },
        ImportRow { user: "1".to_owned(), ..ImportRow::default() },
    ];
    let Outcome { figures, lines, .. } = world.import(&rows).await.unwrap();
    assert_eq!((figures.rows, figures.failed), (17, 17));
    assert_eq!(
        lines,
        [
            ": it names neither a `url` nor a `file`",
            "both.gif: it names a `url` and a `file`, and only one of them can be imported",
            "empty.gif: The submitted file is empty.",
            "gone.gif: the file cannot be read: No such file or directory (os error 2)",
            "id.gif: `id`: it cannot be used in a URL",
            "large.gif: The file is too large. The most are 10 MB.",
            "long.gif: `metadata`: with the mark of the import: The metadata have 1061 bytes. Cloudflare keeps at most 1024.",
            "metadata.gif: `metadata`: The metadata are to be an object: {...}.",
            "no-user.gif: nobody is named who gets the picture: fill its `user`, or pass --user",
            "nowhere.gif: Cloudflare could not fetch a picture from this URL.",
            "private-id.gif: images with a custom ID cannot be private",
            "private.gif: `private`: it is true or false",
            "text.gif: Upload a picture: a JPEG, PNG, WebP, GIF, HEIC, AVIF or SVG file.",
            "truncated.jpg: Upload a valid image. The file is damaged, or of a kind that cannot be read.",
            "unreadable.gif: the row is torn",
            "url.gif: `url`: Only http and https URLs are fetched.",
            "zoe.gif: there is no user zoe, or several have this name",
        ]
    );
    world.expect_one_image_each(0).await;
}

async fn again(engine: Engine) {
    let world = World::new(&engine).await;
    let rows = world.pictures(2);
    world.import(&rows).await.unwrap();
    let id =
        sql::text(world.url(), "SELECT cloudflare_id FROM cloudflare_images WHERE original_filename = '0.gif'").await;
    let id = CloudflareId::new(id);
    let image = store::images::find_by_cloudflare_id(&world.fixture.database, &id).await.unwrap().unwrap();
    world.fixture.service.delete_image(&image, false).await.unwrap();
    let Outcome { lines, .. } = world.import(&rows).await.unwrap();
    assert_eq!(lines, ["0.gif: already false", "1.gif: already true"]);
    let Outcome { lines, .. } = world.import_with(&rows, ImportOptions { again: true, ..options() }).await.unwrap();
    assert_eq!(lines, ["0.gif: imported", "1.gif: already true"]);
    world.expect_one_image_each(2).await;
}

async fn dry_run(engine: Engine) {
    let world = World::new(&engine).await;
    let mut rows = world.pictures(2);
    world.import(&rows[..1]).await.unwrap();
    rows.push(world.file("text.gif", b"text"));
    let dry = ImportOptions { is_dry_run: true, ..options() };
    let Outcome { figures, lines, .. } = world.import_with(&rows, dry.clone()).await.unwrap();
    assert_eq!(
        lines,
        [
            "0.gif: already true",
            "1.gif: importable",
            "text.gif: Upload a picture: a JPEG, PNG, WebP, GIF, HEIC, AVIF or SVG file."
        ]
    );
    assert_eq!((figures.imported, figures.bytes), (1, PIXEL.len() as u64));
    world.expect_one_image_each(1).await;
    let skip = ImportOptions { sources: ImportSources { skip_others: true, fetch: false }, ..dry };
    assert_eq!(world.import_with(&rows, skip).await.unwrap().figures.skipped, 1);
}

async fn one_at_a_time(engine: Engine) {
    let world = World::new(&engine).await;
    let (sender, mut receiver) = mpsc::channel(1);
    let first = Importer::new(&world.fixture.service, options());
    let mut observer = |_: ImportEvent<'_>| {};
    let mut running = Box::pin(first.run(&mut receiver, &mut observer));
    let busy = tokio::select! {
        _ = &mut running => panic!("its rows are not at their end"),
        error = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            world.import(&[]).await.map(|_| ()).unwrap_err()
        } => error.to_string(),
    };
    assert!(busy.starts_with("another import is at work on this database."), "{busy}");
    drop(sender);
    running.await.unwrap();
    world.import(&[]).await.unwrap();
}

async fn rate_limit(engine: Engine) {
    let world = World::new(&engine).await;
    let rows = world.pictures(4);
    world.faults.add(Fault::too_many_requests(Some(1)).on(Operation::UploadImage).times(2)).unwrap();
    let Outcome { figures, lines, .. } = world.import(&rows).await.unwrap();
    assert_eq!(figures.imported, 4, "{lines:?}");
    world.expect_one_image_each(4).await;
}

async fn forbidden(engine: Engine) {
    let world = World::new(&engine).await;
    let rows = world.pictures(8);
    world.faults.add(Fault::error(403).on(Operation::UploadImage).skip(2).always()).unwrap();
    let error = world.import(&rows).await.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        error,
        "stopped; what was done is kept, and the same command goes on from there: Failed to upload image: 403 Client Error: Forbidden"
    );
    assert!(world.faults.calls(Operation::UploadImage) < 8);
    world.expect_one_image_each(2).await;
    world.faults.clear();
    world.import(&rows).await.unwrap();
    world.expect_one_image_each(8).await;
}

async fn fetch(engine: Engine) {
    let world = World::new(&engine).await;
    let server = RawServer::start(|_, request| async move {
        match request.path.as_str() {
            "/large" => Reply::answer(200, &[], vec![b'x'; 10_000_001]),
            "/elsewhere" => Reply::answer(302, &["Location: http://127.0.0.1:9/x"], ""),
            "/moved" => Reply::answer(302, &["Location: /a.gif"], ""),
            "/gone" => Reply::answer(404, &[], ""),
            "/cut" => Reply::answer(200, &[], picture("photo.jpg")).cut(-10),
            _ => Reply::answer(200, &[], PIXEL),
        }
    })
    .await;
    let rows: Vec<ImportRow> = ["a.gif", "moved", "elsewhere", "large", "gone", "cut"]
        .iter()
        .map(|path| ImportRow {
            url: format!("{}/{path}", server.url).replace("//127", "//u:hush@127"),
            user: "alice".to_owned(),
            ..ImportRow::default()
        })
        .collect();
    let Outcome { lines, .. } = world
        .import_with(&rows, ImportOptions { sources: ImportSources { fetch: true, skip_others: false }, ..options() })
        .await
        .unwrap();
    assert!(lines.iter().all(|line| !line.contains("hush")), "{lines:?}");
    assert_eq!(
        lines,
        [
            "a.gif: imported",
            "cut: The upload was cut off. Send the file again.",
            "elsewhere: it could not be fetched: error following redirect: it is redirected to another host",
            "gone: it could not be fetched: the answer is 404 Not Found",
            "large: The file is too large. The most are 10 MB.",
            "moved: imported",
        ]
    );
    world.expect_one_image_each(2).await;
}

/// The command on the database and the emulator of a service.
fn cfimages(app: &TestApp, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = crate::cli::cfimages(folder, &["import"]);
    command
        .args(arguments)
        .env("DATABASE_URL", app.database_url.as_str())
        .env("CLOUDFLARE_IMAGES_BASE_URL", format!("{}/client/v4", app.emulator))
        .env("CLOUDFLARE_IMAGES_ACCOUNT_ID", "acct-0001")
        .env("CLOUDFLARE_IMAGES_API_TOKEN", API_TOKEN)
        .env("CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS", "false")
        .env("CFIMAGES_LOG", "off");
    command
}

async fn output(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The figures that a command printed last.
fn summary(out: &str) -> Value {
    serde_json::from_str(out.lines().last().unwrap_or_default()).unwrap_or_else(|error| panic!("{error}: {out}"))
}

fn api(app: &TestApp) -> String {
    format!("{}/client/v4/accounts/acct-0001/images", app.emulator)
}

async fn failures(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("lists")).unwrap();
    fs::write(folder.path().join("lists/a b.gif"), PIXEL).unwrap();
    let list = "\u{feff}file,id,metadata,user,private\r\na b.gif,,\"{\"\"a\"\": \"\"x\n,\"\"}\",bob,\r\n\"later, maybe.gif\",shop/1,,,false\r\n\r\n\"a b.gif\",,{\r\na b.gif\r\n";
    fs::write(folder.path().join("lists/pictures.csv"), list).unwrap();
    let arguments = ["urls", "lists/pictures.csv", "--user", "alice", "--failures", "failed.csv", "--json"];
    let (code, out, err) = output(cfimages(&app, folder.path(), &arguments)).await;
    assert_eq!(code, Some(1), "{err}");
    let lines: Vec<&str> = err.lines().collect();
    // A raw line end is no JSON.
    for part in [
        "lists/pictures.csv, line 2: `metadata`",
        "line 4: the file cannot be read",
        "line 6: the row has 3 value(s)",
        "line 7: the row has 1 value(s)",
    ] {
        assert!(lines.iter().any(|line| line.contains(part)), "{part}: {err}");
    }
    assert_eq!(
        summary(&out),
        json!({"type": "summary", "dry_run": false, "rows": 4, "imported": 0, "bytes": 0, "found": 0, "already": 0, "repeated": 0, "skipped": 0, "failed": 4})
    );
    let failed = fs::read_to_string(folder.path().join("failed.csv")).unwrap();
    assert!(failed.starts_with("url,file,id,metadata,creator,user,private,reason\n"), "{failed}");

    // What was wrong is repaired, in the list of failures itself and beside it.
    fs::write(folder.path().join("lists/later, maybe.gif"), PIXEL).unwrap();
    let mut rows: Vec<&str> = failed.split_inclusive('\n').collect();
    rows.retain(|row| !row.contains("value(s)"));
    fs::write(folder.path().join("failed.csv"), rows.concat().replace("x\n,", "x,")).unwrap();
    let same = ["urls", "failed.csv", "--failures", "./failed.csv"];
    let (code, _, err) = output(cfimages(&app, folder.path(), &same)).await;
    assert_eq!(
        (code, err.as_str()),
        (Some(1), "error: ./failed.csv is the list that is read: name another file to write to\n")
    );
    let again = ["urls", "failed.csv", "--failures", "again.csv", "--mapping", "images.csv", "--json"];
    let (code, out, err) = output(cfimages(&app, folder.path(), &again)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert_eq!(summary(&out)["imported"], 2);
    expect_one_image_each(app.database_url.as_str(), &api(&app), API_TOKEN, 2).await;
    let owners = "SELECT CAST(user_id AS text) FROM cloudflare_images ORDER BY 1";
    assert_eq!(sql::texts(app.database_url.as_str(), owners).await, [Some("1".to_owned()), Some("2".to_owned())]);
    assert_eq!(fs::read_to_string(folder.path().join("again.csv")).unwrap().lines().count(), 1);
    let mapping = fs::read_to_string(folder.path().join("images.csv")).unwrap();
    assert!(mapping.lines().count() == 3 && mapping.contains("later, maybe.gif\",shop/1,"), "{mapping}");

    // From standard input, where everything is there already.
    let mut command = cfimages(&app, folder.path(), &["urls", "-", "--json", "-v"]);
    command.stdin(fs::File::open(folder.path().join("failed.csv")).unwrap());
    let (code, out, _) = output(command).await;
    assert_eq!((code, &summary(&out)["already"]), (Some(0), &json!(2)), "{out}");
    assert!(out.lines().next().unwrap().contains("\"outcome\":\"already\""), "{out}");
}

async fn folder(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let folder = TempDir::new().unwrap();
    for (path, bytes) in [
        ("photos/a", PIXEL.to_vec()),
        ("photos/shop/b.jpg", picture("photo.jpg")),
        ("photos/readme.gif", b"text".to_vec()),
        ("photos/.hidden.gif", PIXEL.to_vec()),
    ] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let dry = ["folder", "photos", "--user", "alice", "--path-as-id", "--dry-run"];
    let (code, out, err) = output(cfimages(&app, folder.path(), &dry)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("would be imported") && out.contains("no pictures"), "{out}");
    expect_one_image_each(app.database_url.as_str(), &api(&app), API_TOKEN, 0).await;
    let (code, out, err) = output(cfimages(&app, folder.path(), &dry[..5])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    expect_one_image_each(app.database_url.as_str(), &api(&app), API_TOKEN, 2).await;
    let ids = "SELECT cloudflare_id FROM cloudflare_images ORDER BY 1";
    let ids: Vec<String> = sql::texts(app.database_url.as_str(), ids).await.into_iter().flatten().collect();
    assert_eq!(ids, ["a", "shop/b.jpg"].map(str::to_owned));
}

/// A table of products, as Django makes them, with pictures of three.
async fn products(engine: &Engine, app: &TestApp, folder: &Path) {
    let (uuid, key) = match engine {
        Engine::Postgres(_) => ("uuid", "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"),
        Engine::Sqlite => ("char(32)", "integer NOT NULL PRIMARY KEY AUTOINCREMENT"),
    };
    sql::execute_all(
        app.database_url.as_str(),
        &format!(
            "CREATE TABLE shop_product (
                id {key}, photo varchar(100) NOT NULL, hero varchar(255) NULL,
                cover_id {uuid} NULL REFERENCES cloudflare_images (id) DEFERRABLE INITIALLY DEFERRED
            );
            INSERT INTO shop_product (id, photo, hero) VALUES
                (1, 'p/a.gif', NULL), (2, '', NULL), (3, 'p/é b.gif', ''), (4, 'p/gone.gif', NULL), (5, '../secret.gif', NULL),
                (6, 'p/a.gif', 'has one')"
        ),
    )
    .await;
    fs::create_dir_all(folder.join("media/p")).unwrap();
    for name in ["media/p/a.gif", "media/p/é b.gif", "secret.gif"] {
        fs::write(folder.join(name), PIXEL).unwrap();
    }
}

const DJANGO: [&str; 9] =
    ["django", "--table", "shop_product", "--column", "photo", "--media-root", "media", "--user", "alice"];

async fn django(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let folder = TempDir::new().unwrap();
    products(&engine, &app, folder.path()).await;
    let url = app.database_url.as_str();
    let run = async |more: &[&str]| {
        let mut command = cfimages(&app, folder.path(), &[&DJANGO[..], more].concat());
        command.env("CFIMAGES_USAGE_SOURCES", "shop_product:id:hero:shop.product");
        output(command).await
    };
    let heroes = async || {
        let heroes = "SELECT id || ' ' || coalesce((SELECT 'image ' || original_filename FROM cloudflare_images WHERE cloudflare_id = hero), hero, '-')
            FROM shop_product ORDER BY id";
        sql::texts(url, heroes).await.into_iter().flatten().collect::<Vec<_>>()
    };
    let write = ["--write-to", "hero", "--failures", "failed.csv", "--json"];
    let (code, out, err) = run(&write).await;
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(summary(&out)["imported"], 2, "{out}");
    for part in [
        "shop_product 4 (p/gone.gif): the file cannot be read",
        "shop_product 5 (../secret.gif): the path leads out of the folder of the files",
    ] {
        assert!(err.contains(part), "{err}");
    }
    assert_eq!(heroes().await, ["1 image a.gif", "2 -", "3 image é b.gif", "4 -", "5 -", "6 has one"]);
    let usages =
        "SELECT object_id || ' ' || field_name FROM cloudflare_image_usages WHERE image_id IS NOT NULL ORDER BY 1";
    let usages: Vec<String> = sql::texts(url, usages).await.into_iter().flatten().collect();
    assert_eq!(usages, ["1 hero", "3 hero"]);
    let failed = fs::read_to_string(folder.path().join("failed.csv")).unwrap();
    assert!(failed.starts_with("row,url,file,") && failed.lines().any(|line| line.starts_with("4,,")), "{failed}");
    let (_, _, err) = output(cfimages(&app, folder.path(), &["urls", "failed.csv"])).await;
    assert!(err.contains("the column `row` is that of rows of `cfimages import django`"), "{err}");

    // A row that was not written to gets its image without another upload; one whose path has changed gets another.
    fs::write(folder.path().join("media/p/new.gif"), PIXEL).unwrap();
    sql::execute_all(
        url,
        "UPDATE shop_product SET hero = NULL WHERE id = 1; UPDATE shop_product SET hero = NULL, photo = 'p/new.gif' WHERE id = 3;
         DELETE FROM shop_product WHERE id IN (4, 5)",
    )
    .await;
    let (code, out, err) = run(&write).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert_eq!((&summary(&out)["imported"], &summary(&out)["already"]), (&json!(1), &json!(1)));
    assert_eq!(heroes().await, ["1 image a.gif", "2 -", "3 image new.gif", "6 has one"]);
    expect_one_image_each(url, &api(&app), API_TOKEN, 3).await;

    // Without a column to write to, a file tells of the images; those of all rows are there.
    let (code, _, err) = run(&["--mapping", "images.csv", "--parallel", "1"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let mapping = fs::read_to_string(folder.path().join("images.csv")).unwrap();
    let rows: Vec<&str> = mapping.lines().filter_map(|line| line.split(',').next()).collect();
    assert_eq!(rows, ["row", "1", "3", "6"], "{mapping}");
}

async fn django_columns(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let folder = TempDir::new().unwrap();
    products(&engine, &app, folder.path()).await;
    let url = app.database_url.as_str();
    sql::execute(url, "DELETE FROM shop_product WHERE id IN (4, 5)").await;
    let (code, _, err) =
        output(cfimages(&app, folder.path(), &[&DJANGO[..], &["--write-to", "cover_id"]].concat())).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let covers = "SELECT shop_product.id || ' ' || original_filename FROM shop_product JOIN cloudflare_images AS images ON images.id = cover_id ORDER BY 1";
    let covers: Vec<String> = sql::texts(url, covers).await.into_iter().flatten().collect();
    assert_eq!(covers, ["1 a.gif", "3 é b.gif", "6 a.gif"]);

    // The ids take the place of the paths, and are no paths for the next run.
    let media = RawServer::start(|_, request| async move {
        match request.path.as_str() {
            "/media/p/a.gif" | "/media/p/%C3%A9%20b.gif" => Reply::answer(200, &[], PIXEL),
            _ => Reply::answer(404, &[], ""),
        }
    })
    .await;
    let base = format!("{}/media", media.url);
    let in_place = [
        "django",
        "--table",
        "shop_product",
        "--column",
        "photo",
        "--base-url",
        &base,
        "--user",
        "1",
        "--write-to",
        "photo",
    ];
    for fetch in [&["--fetch", "--json"][..], &["--json"]] {
        let (code, out, err) = output(cfimages(&app, folder.path(), &[&in_place[..], fetch].concat())).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    }
    let photos = "SELECT count(*) FROM shop_product JOIN cloudflare_images AS images ON images.cloudflare_id = photo";
    assert_eq!(sql::count(url, photos).await, 3);
    expect_one_image_each(url, &api(&app), API_TOKEN, 3).await;
}

/// Does what docs/import.md says, in its order.
async fn guide(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let folder = TempDir::new().unwrap();
    let media = RawServer::start(|_, _| async { Reply::answer(200, &["Content-Type: image/gif"], PIXEL) }).await;
    products(&engine, &app, folder.path()).await;
    sql::execute_all(
        app.database_url.as_str(),
        "DELETE FROM shop_product WHERE id IN (4, 5); ALTER TABLE shop_product ADD COLUMN photo_id varchar(255) NOT NULL DEFAULT ''",
    )
    .await;
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/import.md")).unwrap();
    let blocks: Vec<&str> = guide.split("```").skip(1).step_by(2).collect();
    let list =
        |start: &str| blocks.iter().find_map(|block| block.strip_prefix('\n').filter(|text| text.starts_with(start)));
    let urls = list("# The old site").unwrap().replace("https://old.example.com", &media.url);
    fs::write(folder.path().join("pictures.txt"), urls).unwrap();
    fs::write(folder.path().join("pictures.csv"), list("file,id").unwrap()).unwrap();
    for path in ["photos/lake.jpg", "photos/hills.jpg", "products/shop/hero.gif"] {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, PIXEL).unwrap();
    }
    let root = folder.path().join("media");
    let mut commands = 0;
    for line in blocks.iter().filter_map(|block| block.strip_prefix("sh\n")).flat_map(str::lines) {
        let line = line.replace("/srv/shop/media", root.to_str().unwrap());
        let arguments: Vec<&str> = line.strip_prefix("cfimages import ").unwrap().split(' ').collect();
        let (code, out, err) = output(cfimages(&app, folder.path(), &arguments)).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{line}: {out}");
        commands += 1;
    }
    assert_eq!(commands, 9);
    // Two URLs, two files with a row each, one of them in the folder, too, a product, and three rows of which all have one.
    let named = "SELECT count(*) FROM shop_product JOIN cloudflare_images ON cloudflare_id = photo_id";
    assert_eq!(sql::count(app.database_url.as_str(), named).await, 3);
    expect_one_image_each(app.database_url.as_str(), &api(&app), API_TOKEN, 9).await;
}

async fn command_problems(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let folder = TempDir::new().unwrap();
    products(&engine, &app, folder.path()).await;
    fs::write(
        folder.path().join("urls.txt"),
        "# some\nhttp://192.168.0.1/a.png\nhttp://u:hush@10.0.0.1/b.png\nnot a url\n",
    )
    .unwrap();
    let mut torn = b"url,id\nhttp://127.0.0.1:9/a.png,1\nx,\"".to_vec();
    torn.resize(10_000_000, b'x');
    fs::write(folder.path().join("torn.csv"), torn).unwrap();
    let run = async |arguments: &[&str]| {
        let mut command = cfimages(&app, folder.path(), arguments);
        // Nothing is sent there by a dry run.
        command.env("CLOUDFLARE_IMAGES_BASE_URL", "https://api.cloudflare.invalid/client/v4");
        output(command).await
    };
    let (code, out, err) = run(&["urls", "urls.txt", "--user", "alice", "--dry-run"]).await;
    assert_eq!(code, Some(1), "{out}");
    let mut lines: Vec<&str> = err.lines().collect();
    lines.sort_unstable();
    let private = "`url`: Cloudflare fetches from public addresses only. --fetch has it fetched from here";
    assert_eq!(
        lines,
        [
            format!("error: urls.txt, line 2: {private}"),
            format!("error: urls.txt, line 3: {private}"),
            "error: urls.txt, line 4: `url`: Enter a valid URL.".to_owned()
        ]
    );
    let django = |more: &[&'static str]| [&DJANGO[..], more].concat();
    for (arguments, problem) in [
        (vec!["urls", "torn.csv", "--user", "alice", "--dry-run"], "torn.csv: the list cannot be read on from line 3"),
        (vec!["urls", "nothing.csv"], "the list nothing.csv cannot be read"),
        (vec!["urls", "urls.txt", "--user", "zoe"], "there is no user zoe"),
        (vec!["folder", "nothing", "--user", "alice"], "the folder nothing cannot be read"),
        (vec!["folder", "media"], "--user"),
        (django(&[]), "--write-to"),
        (django(&["--write-to", "gone"]), "the table shop_product has no column gone"),
        (django(&["--write-to", "id"]), "the column id of shop_product names no images"),
        (django(&["--write-to", "hero", "--key", "photo"]), "neither the primary key nor unique"),
        (django(&["--write-to", "hero", "--base-url", "https://a.example/"]), "cannot be used with"),
        (
            vec![
                "django",
                "--table",
                "gone",
                "--column",
                "photo",
                "--media-root",
                "media",
                "--user",
                "1",
                "--write-to",
                "x",
            ],
            "there is no table gone",
        ),
        (
            vec![
                "django",
                "--table",
                "shop_product",
                "--column",
                "id",
                "--media-root",
                "media",
                "--user",
                "1",
                "--mapping",
                "m",
            ],
            "holds no paths of files",
        ),
        (
            vec![
                "django",
                "--table",
                "shop_product",
                "--column",
                "photo",
                "--base-url",
                "ftp://x",
                "--user",
                "1",
                "--mapping",
                "m",
            ],
            "--base-url",
        ),
    ] {
        let (code, _, err) = run(&arguments).await;
        assert!(code != Some(0) && err.contains(problem), "{arguments:?}: {problem}: {err}");
    }
    expect_one_image_each(app.database_url.as_str(), &api(&app), API_TOKEN, 0).await;
}

/// Makes the emulator take its time with every upload.
async fn slow_uploads(app: &TestApp, milliseconds: u64) {
    let plan = json!({"faults": [{"operation": "upload_image", "times": null, "delay_ms": milliseconds}]});
    let request = app.http.put(format!("{}/_cfimages/faults", app.emulator)).bearer_auth(API_TOKEN);
    let answer = request.header("Content-Type", "application/json").body(plan.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
}

/// How many uploads came to the emulator since the plan was made.
async fn uploads(app: &TestApp) -> u64 {
    let request = app.http.get(format!("{}/_cfimages/faults", app.emulator)).bearer_auth(API_TOKEN);
    let report: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
    report["calls"]["upload_image"].as_u64().unwrap_or(0)
}

/// A command that is killed with its handle.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn write_pictures(folder: &Path, count: usize) {
    fs::create_dir(folder.join("photos")).unwrap();
    for number in 0..count {
        fs::write(folder.join(format!("photos/{number}.gif")), PIXEL).unwrap();
    }
}

async fn stopped(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let folder = TempDir::new().unwrap();
    write_pictures(folder.path(), 30);
    slow_uploads(&app, 100).await;
    let arguments = ["folder", "photos", "--user", "alice", "--json"];
    let mut running = Running::start(cfimages(&app, folder.path(), &arguments));
    eventually("some are sent", async || (uploads(&app).await > 3).then_some(())).await;
    assert!(Command::new("kill").args(["-TERM", &running.0.id().to_string()]).status().unwrap().success());
    let code = tokio::task::spawn_blocking(move || {
        let mut told = String::new();
        std::io::Read::read_to_string(&mut running.0.stderr.take().unwrap(), &mut told).unwrap();
        (running.0.wait().unwrap().code(), told)
    });
    let (code, told) = code.await.unwrap();
    assert_eq!(
        (code, told.as_str()),
        (
            Some(1),
            "warning: stopping as soon as what is under way is done; a second signal ends it at once\n\
             error: stopped; what was done is kept, and the same command goes on from there\n"
        )
    );
    let sent = usize::try_from(uploads(&app).await).unwrap();
    assert!(sent < 30);
    // Nothing is in hand, and it is nobody's turn.
    expect_one_image_each(app.database_url.as_str(), &api(&app), API_TOKEN, sent).await;
    slow_uploads(&app, 0).await;
    let (code, out, err) = output(cfimages(&app, folder.path(), &arguments)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(summary(&out)["already"], sent);
    expect_one_image_each(app.database_url.as_str(), &api(&app), API_TOKEN, 30).await;
}

/// A connection that keeps all others from recording images.
enum Held {
    Sqlite { _connection: SqliteConnection },
    Postgres { _connection: PgConnection },
}

impl Held {
    async fn take(url: &str) -> Self {
        if url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            connection.execute("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE").await.unwrap();
            return Self::Sqlite { _connection: connection };
        }
        let mut connection = PgConnection::connect(url).await.unwrap();
        connection.execute("BEGIN; LOCK TABLE cloudflare_images IN SHARE MODE").await.unwrap();
        Self::Postgres { _connection: connection }
    }
}

async fn killed(engine: Engine) {
    const PICTURES: usize = 40;
    let app = TestApp::start(&engine).await;
    let (url, api) = (app.database_url.as_str(), api(&app));
    let folder = TempDir::new().unwrap();
    write_pictures(folder.path(), PICTURES);
    let arguments = ["folder", "photos", "--user", "alice", "--json"];
    let in_hand = "SELECT count(*) FROM cfimages_import_items WHERE image_id IS NULL";
    for (calls, has_answer) in [(1, false), (1, true), (5, false), (7, true), (6, false), (3, true)] {
        // So slow that the lock is there before the answers.
        slow_uploads(&app, if has_answer { 500 } else { 50 }).await;
        let running = Running::start(cfimages(&app, folder.path(), &arguments));
        eventually("so many are sent", async || (uploads(&app).await >= calls).then_some(())).await;
        if has_answer {
            // Cloudflare has made images, and nobody can record them.
            let before = at_emulator(&api, API_TOKEN).await.len();
            let held = Held::take(url).await;
            eventually("another is there", async || (at_emulator(&api, API_TOKEN).await.len() > before).then_some(()))
                .await;
            drop(running);
            drop(held);
        } else {
            drop(running);
        }
        // A minute later, it is nobody's turn.
        let past = time(url, "2020-01-01");
        sql::execute(url, &format!("UPDATE cfimages_import_runs SET claimed_until = '{past}'")).await;
    }
    assert!(sql::count(url, in_hand).await > 0);
    // Whatever the emulator is still at is there a little later, and it is certain then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let past = time(url, "2020-01-01");
    sql::execute(url, &format!("UPDATE cfimages_import_items SET certain_at = '{past}' WHERE image_id IS NULL")).await;
    slow_uploads(&app, 0).await;
    let (code, out, err) = output(cfimages(&app, folder.path(), &arguments)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let figures = summary(&out);
    let of = |name: &str| figures[name].as_u64().unwrap();
    assert_eq!(of("imported") + of("found") + of("already"), PICTURES as u64, "{out}");
    assert!(of("imported") > 0 && of("found") > 0, "{out}");
    expect_one_image_each(url, &api, API_TOKEN, PICTURES).await;
}
