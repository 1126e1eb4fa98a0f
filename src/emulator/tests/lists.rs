//! Lists of images.

use std::collections::BTreeSet;

use axum::http::Method;
use image::ImageFormat;
use serde_json::{Value, json};

use super::super::direct_upload::parse_metadata;
use super::super::storage::{ImageState, StoredImage, Upload};
use super::super::transform::{Content, Format, read_header, read_picture};
use super::pictures::encoded;
use super::{ACCOUNT, Answer, App, HASH, StorageKind, TOKEN};

impl App {
    /// Puts an image straight into the storage, one second after the last.
    fn store(&self, id: &str, creator: Option<&str>, meta: Option<&Value>) {
        self.clock.advance(1);
        self.store_at_once(id, creator, meta);
    }

    fn store_at_once(&self, id: &str, creator: Option<&str>, meta: Option<&Value>) {
        let now = self.now();
        let draft = StoredImage {
            id: id.to_owned(),
            creator: creator.map(str::to_owned),
            meta: meta.map(|meta| parse_metadata(&meta.to_string()).unwrap()),
            require_signed_urls: false,
            uploaded: now,
            state: ImageState::Draft { expires_at: now.plus_minutes(30), is_request: false },
        };
        let bytes = encoded(ImageFormat::Png, 1, 1);
        let header = read_header(Format::Png, &bytes).unwrap();
        let picture = read_picture(&header, &bytes).unwrap();
        let upload = Upload { filename: "a.png".to_owned(), content: Content::Pixels(picture), bytes: bytes.into() };
        self.emulator.account.storage.insert_image(draft, upload, now).unwrap();
    }

    async fn list(&self, query: &str) -> Answer {
        self.api(Method::GET, query).await
    }

    /// The ids of a list, and the token for the next page.
    async fn ids(&self, query: &str) -> (Vec<String>, Option<String>) {
        let result = self.list(query).await.result();
        let ids = result["images"].as_array().unwrap().iter().map(|image| image["id"].as_str().unwrap().to_owned());
        (ids.collect(), result["continuation_token"].as_str().map(str::to_owned))
    }

    /// The ids of all pages.
    async fn all_ids(&self, query: &str) -> Vec<String> {
        let (mut all, mut token) = self.ids(query).await;
        while let Some(given) = token {
            let (ids, next) = self.ids(&format!("{query}&continuation_token={given}")).await;
            assert!(!ids.is_empty());
            all.extend(ids);
            token = next;
        }
        all
    }
}

fn names(range: impl Iterator<Item = usize>) -> Vec<String> {
    range.map(|at| format!("i{at:03}")).collect()
}

/// An app with images of the names.
fn filled(count: usize) -> App {
    let app = App::new();
    for name in names(0..count) {
        app.store(&name, None, None);
    }
    app
}

#[tokio::test]
async fn images_are_listed_newest_first_and_drafts_not_at_all() {
    let app = App::new();
    assert_eq!(app.list("v2").await.result(), json!({"images": [], "continuation_token": null}));
    assert_eq!(app.list("v1").await.result(), json!({"images": []}));
    let png = encoded(ImageFormat::Png, 4, 4);
    let first = app.image(&[("metadata", r#"{"a":1}"#), ("creator", "me")], "image/png", &png).await;
    let (_, upload) = app.draft(&[]).await;
    app.clock.advance(1);
    let second = app.image(&[], "image/png", &png).await;
    let variants = ["public", "thumbnail"].map(|name| format!("https://imagedelivery.net/{HASH}/{first}/{name}"));
    let want = json!({
        "id": first, "filename": "picture", "meta": {"a": 1}, "creator": "me", "uploaded": "2026-11-22T10:00:00.123Z",
        "requireSignedURLs": false,
        "variants": variants,
    });
    for list in ["v1", "v2"] {
        let images = app.list(list).await.result()["images"].take();
        assert_eq!(
            (images.as_array().unwrap().len(), &images[0]["id"], &images[1]),
            (2, &json!(second), &want),
            "{list}"
        );
    }
    let stats = app.list("v1/stats").await.result();
    assert_eq!(stats, json!({"count": {"allowed": 100_000, "current": 2}}));

    app.clock.advance(1);
    let third = app.upload(&upload, "image/png", &png).await.result()["id"].take();
    app.api(Method::DELETE, &format!("v1/{second}")).await.result();
    assert_eq!(app.ids("v2").await, (vec![third.as_str().unwrap().to_owned(), first], None));
}

#[tokio::test]
async fn pages_follow_each_other_in_either_order() {
    let app = filled(35);
    let newest_first: Vec<_> = names((0..35).rev());
    assert_eq!(app.all_ids("v2?per_page=10").await, newest_first);
    assert_eq!(app.all_ids("v2?per_page=10&sort_order=desc").await, newest_first);
    assert_eq!(app.all_ids("v2?per_page=10&sort_order=asc").await, names(0..35));
    assert_eq!(app.ids("v2?per_page=35").await, (newest_first.clone(), None));
    assert_eq!(app.ids("v2?per_page=34").await.0.len(), 34);
    assert_eq!(app.ids("v2?per_page=10&continuation_token=").await.0, newest_first[..10]);
    for (page, want) in
        [("1", &newest_first[..10]), ("4", &newest_first[30..]), ("5", &[]), ("18446744073709551615", &[])]
    {
        assert_eq!(app.ids(&format!("v1?per_page=10&page={page}")).await.0, want, "{page}");
    }
}

#[tokio::test]
async fn images_that_came_at_once_are_listed_once() {
    let app = App::new();
    for name in names(0..2500) {
        app.store_at_once(&name, None, None);
    }
    for query in ["v2?per_page=999", "v2?per_page=999&sort_order=asc"] {
        let all = app.all_ids(query).await;
        assert_eq!(all.len(), 2500);
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), names(0..2500).into_iter().collect());
    }
}

#[tokio::test]
async fn tokens_stay_right_while_images_come_and_go() {
    let app = filled(40);
    let (first, token) = app.ids("v2?per_page=10").await;
    assert_eq!(first, names((30..40).rev()));
    for gone in ["i030", "i029", "i028", "i035"] {
        app.api(Method::DELETE, &format!("v1/{gone}")).await.result();
    }
    app.store("new", None, None);
    let token = token.unwrap();
    assert!(token.len() == 43 && !token.contains("i030"), "{token}");
    let query = format!("v2?per_page=10&continuation_token={token}");
    assert_eq!(app.ids(&query).await.0, names((18..28).rev()));
}

#[tokio::test]
async fn tokens_and_order_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || App::with(|config| config.storage = StorageKind::Folder(folder.path().to_owned()));
    let app = open();
    for name in names(0..12) {
        app.store(&name, None, None);
    }
    let token = app.ids("v2?per_page=10").await.1.unwrap();
    drop(app);
    let app = open();
    assert_eq!(app.ids(&format!("v2?continuation_token={token}")).await, (names((0..2).rev()), None));
}

#[tokio::test]
async fn lists_are_narrowed_by_creator_and_metadata() {
    let app = App::new();
    for at in 0..30 {
        let meta = json!({"n": at, "kind": if at % 2 == 0 { "even" } else { "odd" }, "shop": {"id": at % 3}});
        app.store(&format!("i{at:03}"), (at % 10 != 0).then_some("user 1"), Some(&meta));
    }
    app.store("bare", Some("user+2"), None);
    let ids = |numbers: &[usize]| names(numbers.iter().copied());
    for (query, want) in [
        ("creator=", ids(&[20, 10, 0])),
        ("creator=user+2", vec![]),
        ("creator=user%2B2", vec!["bare".to_owned()]),
        ("meta.n[gte]=28", ids(&[29, 28])),
        ("meta.n%5Bgt%5D=3&meta.n%5Blt:number%5D=6", ids(&[5, 4])),
        ("meta.kind[eq]=odd&meta.shop.id[eq:number]=0&meta.n[lt]=10", ids(&[9, 3])),
        ("meta.n[in]=1%7C2|3&creator=user%201", ids(&[3, 2, 1])),
        ("meta.n[gt]=5&meta.n[lt]=3", vec![]),
    ] {
        assert_eq!(app.all_ids(&format!("v2?{query}")).await, want, "{query}");
    }
    // A page ends where the next image that is asked for begins, not at those between.
    let (even, token) = app.ids("v2?per_page=10&meta.kind[eq]=even").await;
    assert_eq!(even, names((10..30).rev().step_by(2).map(|at| at - 1)));
    assert!(token.is_some());
    assert_eq!(app.all_ids("v2?per_page=10&meta.kind[eq]=even").await.len(), 15);
    assert_eq!(app.ids("v2?per_page=15&meta.kind[eq]=even").await.1, None);
    assert_eq!(app.ids("v1?creator=&page=1&per_page=10").await.0, ids(&[20, 10, 0]));
}

#[tokio::test]
async fn metadata_can_be_asked_for_by_the_keys_that_are_listed() {
    let app = App::new();
    let keys = async || app.list("v2/metadata/keys").await.result();
    assert_eq!(keys().await, json!({"keys": [], "truncated": false}));
    let meta =
        json!({"status": "ok", "region": {"name": "a", "x": {"y": {"z": {"deep": 1}}}}, "not-a-name": 1, "list": [1]});
    app.store("a", None, Some(&meta));
    app.store("b", None, Some(&json!({"flag": true, "status": 3, "none": null})));
    app.draft(&[("metadata", r#"{"draft": 1}"#)]).await;
    let want = ["flag", "region.name", "region.x.y.z.deep", "status"];
    assert_eq!(keys().await, json!({"keys": want, "truncated": false}));
    for at in 0..25 {
        let meta: serde_json::Map<_, _> = (0..40).map(|key| (format!("k{at}x{key}"), json!(1))).collect();
        app.store(&format!("many{at}"), None, Some(&meta.into()));
    }
    let keys = keys().await;
    assert_eq!((keys["keys"].as_array().unwrap().len(), &keys["truncated"]), (1000, &json!(true)));
}

#[tokio::test]
async fn lists_that_cannot_be_made_are_refused() {
    let app = filled(1);
    for query in [
        "v2?per_page=9",
        "v2?per_page=10001",
        "v2?per_page=many",
        "v2?sort_order=up",
        "v2?continuation_token=1000",
        "v2?continuation_token=iD0bxlWFSVUWsDHbzIqvDkgBW4otifAAuGXLz1n8BQA",
        "v2?meta.a=1",
        "v2?meta.a[eq:date]=1",
        "v2?meta.a[gt]=x",
        "v1?page=0",
        "v1?page=-1",
        "v1?per_page=5",
    ] {
        assert_eq!(app.list(query).await.error(), (400, 5400), "{query}");
    }
    for query in ["v2?per_page=10000&other=1", "v1?per_page=10000&meta.a[not-eq]=1", "v2?meta=1"] {
        assert_eq!(app.ids(query).await.0.len(), 1, "{query}");
    }
    let request = axum::http::Request::get(format!("/client/v4/accounts/{ACCOUNT}/images/v2"));
    let answer = app.send(request.body(axum::body::Body::empty()).unwrap()).await;
    assert_eq!(answer.error(), (401, 10000), "{TOKEN} is asked for");
}
