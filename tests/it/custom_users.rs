//! Users of another model than Django's own: other tables, keys and columns.

use std::sync::Arc;

use cfimages::app::SystemClock;
use cfimages::cloudflare::ClientLimits;
use cfimages::config::settings;
use cfimages::domain::{ImageFilter, ManualClock, Role, UserId, UserKey};
use cfimages::service::{AccountReconciler, AccountRunOptions, AccountTrust, Accounts};
use cfimages::store::{self, Database};
use reqwest::Method;
use serde_json::json;

use crate::support::app::{Answer, TestApp, connect_with_users};
use crate::support::django::{self, AUTH_USERS, BIGINT_USERS, UUID_USERS, UserModel};
use crate::support::scripted_account::{ScriptedAccount, details};
use crate::support::suite::{Engine, Suite, TestDatabaseUrl};
use crate::support::{picture, sessions, sql};
use crate::usages::service_within;

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("custom_users::keys_of_64_bits_do_the_main_job_with_exact_counts", bigint_keys);
    suite.on_both_engines("custom_users::uuids_as_keys_do_the_main_job_with_exact_counts", uuid_keys);
    suite.on_both_engines("custom_users::images_of_the_account_find_owners_with_uuids", owners_in_account);
    suite.on_both_engines("custom_users::any_name_of_a_table_is_quoted", hostile_names);
    suite.on_postgres("custom_users::a_table_may_be_in_another_schema", other_schema);
    suite.on_both_engines("custom_users::users_without_a_name_go_by_their_address", addresses);
    suite.on_both_engines("custom_users::users_without_name_and_address_go_by_their_key", keys_as_names);
    suite.on_both_engines("custom_users::names_are_taken_from_the_column_that_is_unique", unique_names);
    suite.on_both_engines("custom_users::sessions_with_a_number_are_nobodys_where_keys_are_uuids", numeric_sessions);
    suite.on_both_engines("custom_users::only_users_like_djangos_are_created", creation);
    suite.on_both_engines("custom_users::a_table_that_does_not_fit_is_refused_with_advice", refusals);
}

const ALICE: &str = "616c696365616c696365616c696365616c696365";
const BOB: &str = "626f62626f62626f62626f62626f62626f62626f";
/// Beyond 32 bits.
pub(crate) const BIG: &str = "9007199254740993";
const UUID: &str = "0d5dd4e6-e2f4-4f7f-8f7a-9b2a6e0e3c11";
const OTHER_UUID: &str = "00000000-0000-4000-8000-000000000012";

/// The form in which the database has a key.
fn stored(engine: &Engine, key: &str) -> String {
    if matches!(engine, Engine::Sqlite) { key.replace('-', "") } else { key.to_owned() }
}

/// A database that Django made, with alice and bob and their tokens.
pub(crate) async fn make(engine: &Engine, users: UserModel, keys: [&str; 2]) -> TestDatabaseUrl {
    let url = engine.create_database().await;
    django::migrate_up_to(engine, url.as_str(), users, 8).await;
    for (name, key, token) in [("alice", keys[0], ALICE), ("bob", keys[1], BOB)] {
        let key = stored(engine, key);
        let user = if users.key == UUID_USERS.key {
            format!(
                "INSERT INTO \"{}\" (code, password, email) VALUES ('{key}', '!', '{name}@example.org')",
                users.table
            )
        } else {
            format!(
                "INSERT INTO \"{}\" (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined) \
                 VALUES ({key}, '!', false, '{name}', '', '', '', false, true, '2024-01-01 00:00:00')",
                users.table
            )
        };
        sql::execute(url.as_str(), &user).await;
        let token = format!(
            "INSERT INTO authtoken_token (key, created, user_id) VALUES ('{token}', '2024-01-01 00:00:00', '{key}')"
        );
        sql::execute(url.as_str(), &token).await;
    }
    url
}

async fn open(url: &str, users: UserModel) -> Database {
    connect_with_users(url, &format!("\"{}\"", users.table), users.key).await
}

fn accounts(database: &Database) -> Accounts {
    Accounts::new(database.clone(), Arc::new(SystemClock))
}

async fn bigint_keys(engine: Engine) {
    main_job(&engine, BIGINT_USERS, [BIG, "2"]).await;
}

async fn uuid_keys(engine: Engine) {
    main_job(&engine, UUID_USERS, [UUID, OTHER_UUID]).await;
}

async fn owners_in_account(engine: Engine) {
    let url = make(&engine, UUID_USERS, [UUID, OTHER_UUID]).await;
    let database = open(url.as_str(), UUID_USERS).await;
    store::migrations::run(&database).await.unwrap();
    let made_by = |id: &str, creator: &str| details(id, &json!({"creator": creator}));
    let images = vec![made_by("a", UUID), made_by("b", "bob@example.org"), made_by("c", "7"), details("d", &json!({}))];
    let account = ScriptedAccount::start(images, 10).await;
    let clock = Arc::new(ManualClock::new("2026-01-01".parse().unwrap()));
    let service = service_within(&account.uri, &ClientLimits::default(), database, clock);
    let trust = AccountTrust::default();
    let options = AccountRunOptions { apply: true, delete_missing: false, owner: None, min_age_minutes: 15, trust };
    let reconciler = AccountReconciler::new(service, "acct-0001".to_owned(), options);
    assert_eq!(Box::pin(reconciler.run(false, &mut |_| {})).await.unwrap().imported, 4);
    let owners = "SELECT CAST(user_id AS text) FROM cloudflare_images ORDER BY cloudflare_id";
    let owner = |key| Some(stored(&engine, key));
    assert_eq!(sql::texts(url.as_str(), owners).await, [owner(UUID), owner(OTHER_UUID), None, None]);
}

async fn main_job(engine: &Engine, users: UserModel, keys: [&str; 2]) {
    let url = make(engine, users, keys).await;
    let database = open(url.as_str(), users).await;
    store::migrations::run(&database).await.unwrap();
    store::migrations::check(&database).await.unwrap();
    let app = start(url, users.table, users.key).await;

    let upload = app.create_upload(&json!({"metadata": {"a": 1}})).await;
    let sent =
        app.upload(upload["upload_url"].as_str().unwrap(), "photo.jpg", "image/jpeg", picture("photo.jpg")).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    app.wait_for_status(upload["id"].as_str().unwrap(), "uploaded").await;
    app.create_upload(&json!({})).await;
    assert_eq!(app.get("images/").await.json()["count"], 2);
    let stats = app.get("stats/").await.json();
    assert_eq!((&stats["total_images"], &stats["uploaded_images"]), (&json!(2), &json!(1)), "{stats}");

    let others = app.anonymous(Method::GET, "images/").header("Authorization", format!("Token {BOB}"));
    assert_eq!(Answer::of(others).await.json()["count"], 0);
    let url = app.database_url.as_str();
    let owners = sql::texts(url, "SELECT DISTINCT CAST(user_id AS text) FROM cloudflare_images").await;
    assert_eq!(owners, [Some(stored(engine, keys[0]))]);
    assert_eq!(sql::texts(url, KEPT).await, sql::texts(url, COUNTED).await);

    let id = database.user_key().read(keys[0]).unwrap();
    assert_eq!(id.to_string(), keys[0]);
    assert_eq!(store::selections::count(&database, id, &ImageFilter::default()).await.unwrap(), 2);
    let mut transaction = database.begin().await.unwrap();
    store::stats::recount(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(store::stats::find(&database, id).await.unwrap().counts.total, 2);
}

const KEPT: &str = "SELECT user_key || ' ' || status || ' ' || CAST(sum(images) AS text) FROM cfimages_image_counts \
    GROUP BY user_key, status HAVING sum(images) <> 0 ORDER BY 1";
const COUNTED: &str = "SELECT CAST(user_id AS text) || ' ' || status || ' ' || CAST(count(*) AS text) FROM cloudflare_images \
    GROUP BY user_id, status ORDER BY 1";

pub(crate) async fn start(url: TestDatabaseUrl, table: &str, key: &str) -> TestApp {
    TestApp::builder()
        .set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false")
        .set(&settings::CFIMAGES_USER_TABLE, table)
        .set(&settings::CFIMAGES_USER_KEY, key)
        .start_on(url)
        .await
}

async fn hostile_names(engine: Engine) {
    let url = make(&engine, BIGINT_USERS, ["1", "2"]).await;
    let name = r#""it's ""x"". {key}; DROP TABLE cloudflare_images --""#;
    sql::execute(url.as_str(), &format!("ALTER TABLE accounts_member RENAME TO {name}")).await;
    sql::execute(url.as_str(), &format!(r#"ALTER TABLE {name} RENAME COLUMN id TO "the ""key"" {{users}}""#)).await;
    let database = connect_with_users(url.as_str(), name, "bigint").await;
    store::migrations::run(&database).await.unwrap();
    accounts(&database).set_password("bob", "correct horse").await.unwrap();
    let changed = format!("SELECT username FROM {name} WHERE password LIKE 'pbkdf2%'");
    assert_eq!(sql::text(url.as_str(), &changed).await, "bob");
    let app = start(url, name, "bigint").await;
    app.create_upload(&json!({})).await;
    assert_eq!(app.get("images/").await.json()["count"], 1);
}

async fn other_schema(engine: Engine) {
    let url = make(&engine, BIGINT_USERS, ["1", "2"]).await;
    sql::execute_all(url.as_str(), "CREATE SCHEMA \"C R M\"; ALTER TABLE accounts_member SET SCHEMA \"C R M\"").await;
    let database = connect_with_users(url.as_str(), "C R M.accounts_member", "bigint").await;
    store::migrations::run(&database).await.unwrap();
    let app = start(url, "C R M.accounts_member", "bigint").await;
    app.create_upload(&json!({})).await;
    assert_eq!(app.get("images/").await.json()["count"], 1);
}

async fn numeric_sessions(engine: Engine) {
    let url = make(&engine, UUID_USERS, [UUID, OTHER_UUID]).await;
    store::migrations::run(&open(url.as_str(), UUID_USERS).await).await.unwrap();
    let app = TestApp::builder()
        .set(&settings::CFIMAGES_USER_TABLE, UUID_USERS.table)
        .set(&settings::CFIMAGES_USER_KEY, UUID_USERS.key)
        .set(&settings::CFIMAGES_DJANGO_SECRET_KEY, sessions::SECRET_KEY)
        .start_on(url)
        .await;
    let table = "CREATE TABLE django_session (session_key varchar(40) PRIMARY KEY, session_data text NOT NULL, expire_date timestamp with time zone NOT NULL)";
    sql::execute(app.database_url.as_str(), table).await;
    let data = sessions::sign(sessions::SECRET_KEY, &sessions::signed_in(sessions::SECRET_KEY, &json!(1)));
    sessions::insert(app.database_url.as_str(), "number", &data).await;
    let answer = Answer::of(app.anonymous(Method::GET, "images/").header("Cookie", "sessionid=number")).await;
    answer.assert_is(403, &json!({"detail": "Authentication credentials were not provided."}));
}

async fn addresses(engine: Engine) {
    let url = make(&engine, UUID_USERS, [UUID, OTHER_UUID]).await;
    let url = url.as_str();
    let database = open(url, UUID_USERS).await;
    store::migrations::run(&database).await.unwrap();
    let alice = store::users::find_by_token(&database, ALICE).await.unwrap().unwrap();
    assert_eq!((alice.username.as_str(), alice.email.as_str()), ("alice@example.org", "alice@example.org"));
    assert_eq!(alice.id, UserKey::Uuid.read(UUID).unwrap());
    assert!(alice.is_active && !alice.is_staff && !alice.is_superuser && alice.date_joined.is_none());
    let accounts = accounts(&database);
    assert_eq!(accounts.create_token("bob@example.org", false).await.unwrap(), BOB);
    let names: Vec<String> = accounts.list_tokens().await.unwrap().into_iter().map(|token| token.username).collect();
    assert_eq!(names, ["alice@example.org", "bob@example.org"]);
    accounts.set_password("alice@example.org", "correct horse").await.unwrap();
    let signed_in = accounts.sign_in("alice@example.org", "correct horse", None).await.unwrap();
    assert_eq!(signed_in.id, alice.id);
    assert!(accounts.sign_in("alice@example.org", "wrong", None).await.is_err());
    let changed = "SELECT email FROM \"Shop People\" WHERE password LIKE 'pbkdf2%'";
    assert_eq!(sql::texts(url, changed).await, [Some("alice@example.org".to_owned())]);

    sql::execute(url, "ALTER TABLE \"Shop People\" ADD COLUMN is_active boolean").await;
    sql::execute(url, "ALTER TABLE \"Shop People\" ADD COLUMN is_staff boolean").await;
    sql::execute(url, "UPDATE \"Shop People\" SET is_staff = true WHERE email LIKE 'bob%'").await;
    let database = open(url, UUID_USERS).await;
    let bob = store::users::find_by_token(&database, BOB).await.unwrap().unwrap();
    assert!(!bob.is_active && bob.is_staff);
}

async fn keys_as_names(engine: Engine) {
    let url = make(&engine, UUID_USERS, [UUID, OTHER_UUID]).await;
    sql::execute(url.as_str(), "ALTER TABLE \"Shop People\" RENAME COLUMN email TO phone").await;
    let database = open(url.as_str(), UUID_USERS).await;
    store::migrations::run(&database).await.unwrap();
    let names: Vec<String> =
        accounts(&database).list_users().await.unwrap().into_iter().map(|user| user.username).collect();
    assert_eq!(names, [OTHER_UUID, UUID].map(|key| stored(&engine, key)));
    assert_eq!(accounts(&database).create_token(&stored(&engine, UUID), false).await.unwrap(), ALICE);
}

async fn unique_names(engine: Engine) {
    let url = make(&engine, UUID_USERS, [UUID, OTHER_UUID]).await;
    let url = url.as_str();
    sql::execute(url, "ALTER TABLE \"Shop People\" ADD COLUMN username varchar(150)").await;
    sql::execute(url, "UPDATE \"Shop People\" SET username = 'same'").await;
    let database = open(url, UUID_USERS).await;
    store::migrations::run(&database).await.unwrap();
    assert_eq!(accounts(&database).create_token("alice@example.org", false).await.unwrap(), ALICE);

    sql::execute(url, "ALTER TABLE \"Shop People\" RENAME COLUMN email TO phone").await;
    let database = open(url, UUID_USERS).await;
    let error = accounts(&database).create_token("same", false).await.unwrap_err().to_string();
    assert!(error.contains("several users have the name same"), "{error}");
    sql::execute(url, "UPDATE \"Shop People\" SET username = NULL").await;
    let bob = store::users::find_by_token(&database, BOB).await.unwrap().unwrap();
    assert_eq!(bob.username, "");
}

async fn creation(engine: Engine) {
    let url = make(&engine, BIGINT_USERS, ["7", BIG]).await;
    let url = url.as_str();
    let database = open(url, BIGINT_USERS).await;
    store::migrations::run(&database).await.unwrap();
    let user = accounts(&database).create_user("carol", "c@example.org", "correct horse", Role::Staff).await.unwrap();
    assert!(matches!(user.id, UserId::Number(_)) && user.is_staff && !user.is_superuser && user.date_joined.is_some());

    sql::execute(url, "ALTER TABLE accounts_member ADD COLUMN plan varchar(20)").await;
    let database = open(url, BIGINT_USERS).await;
    let error = accounts(&database).create_user("dave", "", "correct horse", Role::User).await.unwrap_err().to_string();
    assert!(error.contains("accounts_member") && error.contains("manage.py createsuperuser"), "{error}");

    let url = make(&engine, UUID_USERS, [UUID, OTHER_UUID]).await;
    let database = open(url.as_str(), UUID_USERS).await;
    let error = accounts(&database).create_user("dave", "", "correct horse", Role::User).await.unwrap_err().to_string();
    assert!(error.contains("manage.py createsuperuser"), "{error}");
}

async fn refusals(engine: Engine) {
    let url = make(&engine, BIGINT_USERS, ["1", "2"]).await;
    let url = url.as_str();
    let refusal = async |table: &str, key: &str| {
        let database = connect_with_users(url, table, key).await;
        let error = store::migrations::run(&database).await.unwrap_err().to_string();
        assert_eq!(store::users::list(&database).await.unwrap_err().to_string(), error);
        error
    };
    let error = refusal(AUTH_USERS.table, AUTH_USERS.key).await;
    assert!(error.contains("set CFIMAGES_USER_TABLE=accounts_member"), "{error}");
    sql::execute(url, "CREATE TABLE auth_user (id integer PRIMARY KEY, password varchar(128), username varchar(150))")
        .await;
    let error = refusal(AUTH_USERS.table, AUTH_USERS.key).await;
    assert!(error.contains("refers to accounts_member, not to auth_user"), "{error}");
    let error = refusal(BIGINT_USERS.table, "uuid").await;
    assert!(
        error.contains("set CFIMAGES_USER_KEY=bigint") || error.contains("set CFIMAGES_USER_KEY=integer"),
        "{error}"
    );
    sql::execute(url, "ALTER TABLE accounts_member RENAME COLUMN password TO pass").await;
    let error = refusal(BIGINT_USERS.table, BIGINT_USERS.key).await;
    assert!(error.contains("no column password"), "{error}");

    for (table, words) in [
        ("nowhere", "there is no table nowhere"),
        ("nowhere.users", "there is no table nowhere.users"),
        ("keyless", "no primary key of one column"),
        ("pairs", "no primary key of one column"),
        ("named", "is name of type"),
    ] {
        let url = engine.create_database().await;
        let url = url.as_str();
        for statement in [
            "CREATE TABLE keyless (id integer, password varchar(128))",
            "CREATE TABLE pairs (id integer, other integer, password varchar(128), PRIMARY KEY (id, other))",
            "CREATE TABLE named (name varchar(20) PRIMARY KEY, password varchar(128))",
        ] {
            sql::execute(url, statement).await;
        }
        let database = connect_with_users(url, table, "integer").await;
        let error = store::users::list(&database).await.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
