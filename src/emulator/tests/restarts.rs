//! Images in a folder, across restarts and crashes.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Method;
use image::ImageFormat;

use super::super::StorageKind;
use super::pictures::encoded;
use super::{App, HASH};

fn open(folder: &Path) -> App {
    App::with(|config| config.storage = StorageKind::Folder(folder.to_owned()))
}

fn reopened(app: App, folder: &Path) -> App {
    let clock = Arc::clone(&app.clock);
    drop(app);
    App::with_clock(clock, |config| config.storage = StorageKind::Folder(folder.to_owned()))
}

fn names(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn images_and_drafts_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let nested = folder.path().join("a/b");
    let app = open(&nested);
    let png = encoded(ImageFormat::Png, 400, 400);
    let fields = [("metadata", r#"{"n": 1.50}"#), ("creator", "me"), ("id", "a/b")];
    let id = app.image(&fields, "image/png", &png).await;
    let (draft, path) = app.draft(&[("requireSignedURLs", "true")]).await;
    let before = app.api(Method::GET, "v1/a%2Fb").await.body;
    let thumbnail = app.get(&format!("/{HASH}/{id}/thumbnail")).await.without_cost();

    let app = reopened(app, &nested);
    assert_eq!(app.api(Method::GET, "v1/a%2Fb").await.body, before);
    let again = app.get(&format!("/{HASH}/{id}/thumbnail")).await.without_cost();
    assert_eq!((again.body, &again.headers), (thumbnail.body, &thumbnail.headers));
    app.upload(&path, "image/png", &png).await.result();
    assert_eq!(app.upload(&path, "image/png", &png).await.error(), (409, 5409));

    let app = reopened(app, &nested);
    assert_eq!(app.api(Method::GET, &format!("v1/{draft}")).await.result()["requireSignedURLs"], true);
    assert_eq!(app.upload(&path, "image/png", &png).await.error(), (409, 5409));
}

#[tokio::test]
async fn what_is_deleted_or_expired_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path());
    let png = encoded(ImageFormat::Png, 4, 4);
    let id = app.image(&[], "image/png", &png).await;
    let (_, path) = app.draft(&[]).await;
    assert_eq!(names(folder.path()).len(), 3);
    app.api(Method::DELETE, &format!("v1/{id}")).await.result();
    assert_eq!(app.upload(&path, "image/png", &png[..20]).await.error(), (400, 9422));
    assert_eq!(names(folder.path()).len(), 1);
    app.clock.advance(31 * 60);
    let (draft, _) = app.draft(&[]).await;
    assert_eq!(names(folder.path()).len(), 1);
    app.clock.advance(31 * 60);
    let app = reopened(app, folder.path());
    assert_eq!(names(folder.path()).len(), 0);
    assert_eq!(app.api(Method::GET, &format!("v1/{draft}")).await.error(), (404, 5404));
}

#[tokio::test]
async fn what_a_crash_left_behind_is_removed_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path());
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    let kept = names(folder.path());
    let (record, original) = ("a".repeat(64), "b".repeat(32));
    for leftover in [format!("{record}.json.tmp"), format!("{original}.img.tmp"), format!("{original}.img")] {
        fs::write(folder.path().join(leftover), b"{\"id\":").unwrap();
    }
    let foreign = ["notes.txt", "holiday.img", "x.tmp", "README"];
    for name in foreign {
        fs::write(folder.path().join(name), b"mine").unwrap();
    }
    let app = reopened(app, folder.path());
    let mut want: Vec<_> = kept.into_iter().chain(foreign.map(str::to_owned)).collect();
    let mut found = names(folder.path());
    want.sort();
    found.sort();
    assert_eq!(found, want);
    app.api(Method::GET, &format!("v1/{id}")).await.result();
}

#[tokio::test]
async fn records_that_cannot_be_read_are_ignored_and_kept_with_their_originals() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path());
    let png = encoded(ImageFormat::Png, 4, 4);
    let (broken, whole) =
        (app.image(&[("id", "broken")], "image/png", &png).await, app.image(&[], "image/png", &png).await);
    let record = super::super::storage::record_name("broken");
    let other = format!("{}.json", "c".repeat(64));
    fs::copy(folder.path().join(&record), folder.path().join(&other)).unwrap();
    fs::write(folder.path().join(&record), b"{\"id\": \"brok").unwrap();
    let before = names(folder.path()).len();
    let app = reopened(app, folder.path());
    assert_eq!(names(folder.path()).len(), before);
    assert_eq!(app.api(Method::GET, &format!("v1/{broken}")).await.error(), (404, 5404));
    app.api(Method::GET, &format!("v1/{whole}")).await.result();
}

#[tokio::test]
async fn an_image_whose_files_are_missing_can_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path());
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    for name in names(folder.path()) {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    app.api(Method::DELETE, &format!("v1/{id}")).await.result();
    assert_eq!(app.api(Method::GET, &format!("v1/{id}")).await.error(), (404, 5404));
}

#[tokio::test]
async fn an_image_whose_original_is_missing_is_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path());
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 4, 4)).await;
    let original = names(folder.path()).into_iter().find(|name| name.split_once('.').unwrap().1 == "img").unwrap();
    fs::remove_file(folder.path().join(original)).unwrap();
    assert_eq!(app.get(&format!("/{HASH}/{id}/public")).await.status, 404);
    let app = reopened(app, folder.path());
    assert_eq!(app.api(Method::GET, &format!("v1/{id}")).await.error(), (404, 5404));
}

#[tokio::test]
async fn a_thousand_images_are_read_back_quickly() {
    let folder = tempfile::tempdir().unwrap();
    let app = open(folder.path());
    for _ in 0..1000 {
        app.draft(&[]).await;
    }
    let start = Instant::now();
    let app = reopened(app, folder.path());
    let took = start.elapsed();
    assert!(took < Duration::from_millis(500), "{took:?}");
    drop(app);
    assert_eq!(names(folder.path()).len(), 1000);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let mut config = super::config(Arc::new(crate::domain::ManualClock::new("2026-11-22".parse().unwrap())));
    config.storage = StorageKind::Folder(file.join("below"));
    assert!(super::Emulator::open(config).unwrap_err().to_string().contains("file/below"));
}
