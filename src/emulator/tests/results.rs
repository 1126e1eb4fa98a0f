//! Pictures that were made are kept.

use image::ImageFormat;
use tempfile::TempDir;

use super::pictures::encoded;
use super::{Answer, App, HASH, StorageKind};

fn was_kept(answer: &Answer) -> bool {
    let resized = answer.header("cf-resized");
    assert!(resized.starts_with("internal=ok/"), "{resized}");
    resized.starts_with("internal=ok/h")
}

#[tokio::test]
async fn what_was_made_is_made_once() {
    let app = App::new();
    let id = app.image(&[], "image/jpeg", &encoded(ImageFormat::Jpeg, 400, 200)).await;
    let path = format!("/{HASH}/{id}/w=100");
    let (first, second) = (app.get(&path).await, app.get(&path).await);
    assert_eq!((was_kept(&first), was_kept(&second)), (false, true));
    assert_eq!((&first.body, first.header("content-type")), (&second.body, second.header("content-type")));
    assert!(!was_kept(&app.get(&format!("/{HASH}/{id}/w=101")).await));
    let same = app.image(&[], "image/jpeg", &encoded(ImageFormat::Jpeg, 400, 200)).await;
    assert!(was_kept(&app.get(&format!("/{HASH}/{same}/fit=scale-down,width=100")).await), "the same picture");
}

#[tokio::test]
async fn what_several_ask_for_at_once_is_made_once() {
    let app = App::with(|config| config.cache_bytes = 0);
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 400, 200)).await;
    let path = format!("/{HASH}/{id}/w=100");
    let (first, second) = tokio::join!(app.get(&path), app.get(&path));
    // What the work took is the same only if it was the same work.
    assert_eq!((first.header("cf-resized"), &first.body), (second.header("cf-resized"), &second.body));
    assert!(!was_kept(&app.get(&path).await), "nothing is kept");
}

#[tokio::test]
async fn what_was_made_survives_a_restart_and_a_broken_file() {
    let folder = TempDir::new().unwrap();
    let start = || App::with(|config| config.storage = StorageKind::Folder(folder.path().to_owned()));
    let app = start();
    let id = app.image(&[], "image/png", &encoded(ImageFormat::Png, 400, 200)).await;
    let path = format!("/{HASH}/{id}/w=100");
    let first = app.get(&path).await;
    drop(app);
    let app = start();
    let second = app.get(&path).await;
    assert_eq!((was_kept(&first), was_kept(&second)), (false, true));
    let results: Vec<_> = std::fs::read_dir(folder.path().join("cache")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(results.len(), 1);
    std::fs::write(&results[0], b"broken").unwrap();
    let third = app.get(&path).await;
    assert_eq!((was_kept(&third), &third.body), (false, &first.body));
    assert!(was_kept(&app.get(&path).await));
}
