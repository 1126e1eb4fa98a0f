//! The form of rows: Django's, to the byte.

use std::sync::Arc;

use cfimages::domain::{
    CloudflareId, ImageChanges, ImageFilter, ImageStatus, Json, ManualClock, NewImage, PageRequest, Role, Timestamp,
    UploadEvent, UploadUrl, UserId, Variants,
};
use cfimages::service::Accounts;
use cfimages::store::{self, Database};

use crate::support::app::{connect, migrated_database};
use crate::support::sql;
use crate::support::suite::{Engine, Suite, TestDatabaseUrl};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("store::times_have_djangos_form", times);
    suite.on_both_engines("store::ids_json_and_booleans_have_djangos_form", values);
    suite.on_both_engines("store::reports_change_only_what_they_say", reports);
    suite.on_both_engines("store::what_is_not_committed_is_undone", rollback);
    suite.on_both_engines("store::equal_times_are_listed_in_a_stable_order", stable_order);
    suite.on_both_engines("store::accounts_are_those_of_django", accounts);
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

fn image(cloudflare_id: &str, metadata: &str) -> NewImage {
    NewImage {
        cloudflare_id: CloudflareId::new(cloudflare_id),
        user_id: UserId::Number(1),
        original_filename: "Ärger 'quoted'.png".to_owned(),
        upload_url: UploadUrl::new("https://upload.example/x"),
        require_signed_urls: true,
        metadata: Json::parse(metadata).unwrap(),
        expires_at: at("2099-01-01"),
        creator: String::new(),
    }
}

async fn open(engine: &Engine) -> (TestDatabaseUrl, Database) {
    let url = migrated_database(engine).await;
    let database = connect(url.as_str()).await;
    (url, database)
}

async fn insert(database: &Database, image: &NewImage, now: &str) -> cfimages::domain::Image {
    let mut transaction = database.begin().await.unwrap();
    let image = store::images::insert(&mut transaction, image, at(now)).await.unwrap();
    transaction.commit().await.unwrap();
    image
}

/// Django on SQLite finds a time only in exactly this form: six digits of fraction, or none when zero.
async fn times(engine: Engine) {
    let (url, database) = open(&engine).await;
    for (id, fraction) in [("zero", ""), ("micro", ".000001"), ("milli", ".026000"), ("last", ".999999")] {
        let time = format!("2024-03-24T16:01:20{fraction}Z");
        let written = insert(&database, &image(id, "{}"), &time).await;
        assert_eq!(written.created_at.to_string(), time);
        let stored = sql::text(
            url.as_str(),
            &format!("SELECT CAST(created_at AS text) FROM cloudflare_images WHERE cloudflare_id = '{id}'"),
        )
        .await;
        match engine {
            Engine::Sqlite => assert_eq!(stored, format!("2024-03-24 16:01:20{fraction}")),
            Engine::Postgres(_) => {
                assert_eq!(stored, format!("2024-03-24 16:01:20{}+00", fraction.trim_end_matches('0')));
            }
        }
        let filter = ImageFilter { ids: Some(vec![written.id]), ..ImageFilter::default() };
        let found = store::selections::find(&database, UserId::Number(1), &filter).await.unwrap().unwrap();
        assert_eq!(found.created_at.to_string(), time);
    }
    for edge in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"] {
        assert_eq!(insert(&database, &image(edge, "{}"), edge).await.updated_at.to_string(), edge);
    }
}

async fn values(engine: Engine) {
    let (url, database) = open(&engine).await;
    let metadata = r#"{"ü":"✓","n":[1,2.50,1e100,12345678901234567890,null,true],"n2":-0.0}"#;
    let written = insert(&database, &image("values", metadata), "2024-01-01").await;
    let column = async |expression: &str| {
        sql::text(url.as_str(), &format!("SELECT CAST({expression} AS text) FROM cloudflare_images")).await
    };
    match engine {
        Engine::Sqlite => {
            assert_eq!(column("id").await, written.id.as_uuid().simple().to_string());
            assert_eq!(
                column("typeof(id) || typeof(created_at) || typeof(require_signed_urls) || typeof(metadata)").await,
                "texttextintegertext"
            );
            assert_eq!(column("require_signed_urls").await, "1");
            assert_eq!(
                column("metadata").await,
                r#"{"\u00fc": "\u2713", "n": [1, 2.5, 1e+100, 12345678901234567890, null, true], "n2": -0.0}"#
            );
            assert_eq!(column("variants || cloudflare_metadata").await, "[]{}");
        }
        Engine::Postgres(_) => {
            assert_eq!(column("id").await, written.id.to_string());
            assert_eq!(column("require_signed_urls").await, "true");
            assert_eq!(column("metadata ->> 'ü'").await, "✓");
            assert_eq!(
                column("metadata -> 'n'").await,
                format!("[1, 2.5, 1{}, 12345678901234567890, null, true]", "0".repeat(100))
            );
            assert_eq!(column("jsonb_typeof(variants) || jsonb_typeof(cloudflare_metadata)").await, "arrayobject");
        }
    }
    assert_eq!(column("original_filename").await, "Ärger 'quoted'.png");
    assert_eq!(sql::texts(url.as_str(), "SELECT CAST(uploaded_at AS text) FROM cloudflare_images").await, [None]);

    let mut transaction = database.begin().await.unwrap();
    let response = Json::parse(r#"{"id":"é"}"#).unwrap();
    store::upload_logs::insert(
        &mut transaction,
        written.id,
        &UploadEvent::UploadUrlCreated { response: &response },
        at("2024-01-01T00:00:00.5Z"),
    )
    .await
    .unwrap();
    transaction.commit().await.unwrap();
    let data = sql::text(url.as_str(), "SELECT CAST(data AS text) FROM cloudflare_image_logs").await;
    let expected = if matches!(engine, Engine::Sqlite) {
        r#"{"response": {"id": "\u00e9"}}"#
    } else {
        r#"{"response": {"id": "é"}}"#
    };
    assert_eq!(data, expected);
}

async fn reports(engine: Engine) {
    let (_url, database) = open(&engine).await;
    let written = insert(&database, &image("reports", r#"{"a": 1}"#), "2024-01-01").await;
    let apply = async |changes: ImageChanges| {
        let mut transaction = database.begin().await.unwrap();
        let image =
            store::images::apply(&mut transaction, written.id, &changes, at("2024-02-02")).await.unwrap().unwrap();
        transaction.commit().await.unwrap();
        image
    };
    let image = apply(ImageChanges::default()).await;
    assert_eq!((image.status, image.uploaded_at, image.updated_at), (ImageStatus::Pending, None, at("2024-02-02")));
    let fallback = at("2024-03-03");
    let image = apply(ImageChanges {
        status: Some(ImageStatus::Uploaded),
        uploaded_at_fallback: Some(fallback),
        ..ImageChanges::default()
    })
    .await;
    assert_eq!((image.status, image.uploaded_at), (ImageStatus::Uploaded, Some(fallback)));
    let variants = Variants::from_answer(&Json::parse(r#"["https://d/public"]"#).unwrap());
    let image = apply(ImageChanges {
        uploaded_at_fallback: Some(at("2024-04-04")),
        variants: Some(variants.clone()),
        filename: Some("f".to_owned()),
        ..ImageChanges::default()
    })
    .await;
    assert_eq!(
        (image.uploaded_at, &image.variants, image.filename.as_str(), image.metadata.as_str()),
        (Some(fallback), &variants, "f", r#"{"a": 1}"#)
    );
}

async fn rollback(engine: Engine) {
    let (url, database) = open(&engine).await;
    let mut transaction = database.begin().await.unwrap();
    store::images::insert(&mut transaction, &image("gone", "{}"), at("2024-01-01")).await.unwrap();
    drop(transaction);
    insert(&database, &image("kept", "{}"), "2024-01-01").await;
    let mut transaction = database.begin().await.unwrap();
    let again = store::images::insert(&mut transaction, &image("kept", "{}"), at("2024-01-01")).await;
    assert!(matches!(again, Err(store::Error::Duplicate("cloudflare_id"))));
    drop(transaction);
    assert_eq!(
        sql::texts(url.as_str(), "SELECT cloudflare_id FROM cloudflare_images").await,
        [Some("kept".to_owned())]
    );
    assert_eq!(store::selections::count(&database, UserId::Number(1), &ImageFilter::default()).await.unwrap(), 1);
}

async fn stable_order(engine: Engine) {
    let (_url, database) = open(&engine).await;
    for number in 0..10 {
        insert(&database, &image(&number.to_string(), "{}"), "2024-01-01").await;
    }
    let mut seen = Vec::new();
    for offset in [0, 3, 6, 9] {
        let page = PageRequest { offset, size: 3 };
        let images =
            store::selections::list(&database, UserId::Number(1), &ImageFilter::default(), &[], page).await.unwrap();
        seen.extend(images.into_iter().map(|image| image.id));
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (10, &sorted));
}

async fn accounts(engine: Engine) {
    let (url, database) = open(&engine).await;
    let accounts = Accounts::new(database, Arc::new(ManualClock::new(at("2024-01-01"))));
    let user =
        accounts.create_user("dora", "dora@example.org", "correct horse battery", Role::Superuser).await.unwrap();
    assert!(user.is_staff && user.is_superuser && user.is_active);
    let password = async || sql::text(url.as_str(), "SELECT password FROM auth_user WHERE username = 'dora'").await;
    let first = password().await;
    assert!(first.starts_with("pbkdf2_sha256$"), "{first}");
    assert_eq!(accounts.sign_in("dora", "correct horse battery", None).await.unwrap().id, user.id);
    assert!(
        accounts
            .create_user("dora", "", "another password", Role::User)
            .await
            .unwrap_err()
            .to_string()
            .contains("exists already")
    );

    let token = accounts.create_token("dora", false).await.unwrap();
    assert_eq!(accounts.create_token("dora", false).await.unwrap(), token);
    assert_eq!(accounts.authenticate(&token).await.unwrap().username, "dora");
    let rotated = accounts.create_token("dora", true).await.unwrap();
    assert_ne!(rotated, token);
    assert!(accounts.authenticate(&token).await.is_err());
    assert!(accounts.revoke_token("dora").await.unwrap() && !accounts.revoke_token("dora").await.unwrap());
    assert!(accounts.authenticate(&rotated).await.is_err());

    accounts.set_password("dora", "a new password").await.unwrap();
    assert_ne!(password().await, first);
    assert!(
        accounts.set_password("nobody", "a new password").await.unwrap_err().to_string().contains("no user nobody")
    );
}
