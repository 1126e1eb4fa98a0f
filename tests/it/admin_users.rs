//! The admin's pages for superusers: users, their tokens, and the settings.

use cfimages::config::settings;
use reqwest::StatusCode;

use crate::custom_users::{BIG, make, start};
use crate::support::admin::{Browser, PASSWORD, PASSWORD_HASH, leads_to};
use crate::support::app::{ALICE, API_TOKEN, Answer, BOB, SIGNING_KEY, TestApp, WEBHOOK_SECRET, connect_with_users};
use crate::support::django::BIGINT_USERS;
use crate::support::sql;
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("admin_users::staff_and_owners_of_tokens_are_listed_and_anybody_is_found", listing);
    suite.on_both_engines("admin_users::users_follow_one_another_by_name", pages);
    suite.on_both_engines("admin_users::a_token_is_shown_rotated_revoked_and_made_anew", tokens);
    suite.on_both_engines("admin_users::who_is_no_superuser_sees_and_changes_nothing", staff_only);
    suite.on_both_engines("admin_users::nothing_changes_without_the_token_of_a_page", forgeries);
    suite.on_both_engines("admin_users::users_of_another_model_have_pages_too", custom_users);
    suite.on_both_engines("admin_users::a_site_without_tokens_says_what_it_lacks", no_tokens);
    suite.on_both_engines("admin_users::settings_are_shown_with_their_origin_and_without_secrets", effective_settings);
}

fn names(html: &str) -> Vec<String> {
    let lines = html.split("class=\"line-title\"").skip(1);
    lines.map(|line| line.split_once("<bdi>").unwrap().1.split('<').next().unwrap().to_owned()).collect()
}

async fn insert_user(url: &str, name: &str, email: &str) {
    let user = format!(
        "INSERT INTO auth_user (password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined) \
         VALUES ('!', false, '{name}', '', '', '{email}', false, true, '2024-01-01 00:00:00')"
    );
    sql::execute(url, &user).await;
}

/// The token that the API takes for a user, if any.
async fn key_of(url: &str, user: i64) -> Option<String> {
    sql::texts(url, &format!("SELECT key FROM authtoken_token WHERE user_id = {user}")).await.pop().flatten()
}

async fn listing(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    insert_user(url, "dave", "dave@example.org").await;
    sql::execute(url, "DELETE FROM authtoken_token WHERE user_id = 1").await;
    let mut browser = Browser::of_superuser(&app, "alice").await;
    let html = browser.page("users/").await;
    assert_eq!(names(&html), ["alice", "bob", "carol"]);
    for shown in ["Superuser", "626f6262…", "Not active", "No token", "3 users"] {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    assert!(!html.contains(BOB), "tokens are masked");
    for (filter, found) in [
        ("who=all", &["alice", "bob", "carol", "dave"][..]),
        ("q=BO", &["bob"]),
        ("q=dave", &[]),
        ("q=example.org&who=all", &["dave"]),
        ("q=%25", &[]),
    ] {
        assert_eq!(names(&browser.page(&format!("users/?{filter}")).await), found, "{filter}");
    }
    assert!(browser.page("users/?who=x").await.contains("“Who” is none of those that there are."));
    for place in ["after=x", "after=WyJsb2dzIiwxXQ"] {
        assert_eq!(browser.get(&format!("users/?{place}")).await.status, StatusCode::BAD_REQUEST, "{place}");
    }
    // ["users",{"username":"a","id":"x"}] and the same with a character that no text holds.
    for place in
        ["WyJ1c2VycyIseyJ1c2VybmFtZSI6ImEiLCJpZCI6IngifV0", "WyJ1c2VycyIseyJ1c2VybmFtZSI6IlxcdTAwMDAiLCJpZCI6IjEifV0"]
    {
        assert_ne!(browser.get(&format!("users/?after={place}")).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}

async fn pages(engine: Engine) {
    let app = TestApp::start(&engine).await;
    for number in 0..102 {
        insert_user(app.database_url.as_str(), &format!("user-{number:03}"), "").await;
    }
    let mut browser = Browser::of_superuser(&app, "alice").await;
    let pages = browser.walk("users/", "?q=user&who=all", names).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [50, 50, 2]);
    assert!(pages.concat().is_sorted());
}

async fn tokens(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::of_superuser(&app, "alice").await;
    let page = "users/2/";
    let html = browser.page(page).await;
    assert!(html.contains("626f6262…") && !html.contains(BOB), "{html}");
    let shown = browser.submit(page, "users/2/reveal-token/", &[]).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert!(shown.text.contains(BOB) && shown.headers["cache-control"] == "no-store", "{}", shown.text);
    assert!(!browser.page(page).await.contains(BOB), "it is shown once");

    assert!(browser.page("users/2/rotate-token/").await.contains("Rotate this token?"));
    assert_eq!(key_of(url, 2).await.as_deref(), Some(BOB), "to ask changes nothing");
    let answer = browser.submit("users/2/rotate-token/", "users/2/rotate-token/", &[]).await;
    assert_eq!(leads_to(&answer), "users/2/?done=rotated");
    let rotated = key_of(url, 2).await.unwrap();
    assert!(rotated != BOB && rotated.len() == 40, "{rotated}");
    assert!(browser.page("users/2/?done=rotated").await.contains("There is a new token"));
    let with = async |key: &str| {
        Answer::of(app.anonymous(reqwest::Method::GET, "images/").header("Authorization", format!("Token {key}")))
            .await
            .status
    };
    assert_eq!((with(BOB).await, with(&rotated).await), (StatusCode::FORBIDDEN, StatusCode::OK));

    assert!(browser.page("users/2/revoke-token/").await.contains("Revoke this token?"));
    let answer = browser.submit("users/2/revoke-token/", "users/2/revoke-token/", &[]).await;
    assert_eq!((leads_to(&answer), key_of(url, 2).await), ("users/2/?done=revoked", None));
    assert_eq!(with(&rotated).await, StatusCode::FORBIDDEN);
    let late = browser.submit(page, "users/2/reveal-token/", &[]).await;
    assert!(late.text.contains("The token has ended meanwhile."), "{}", late.text);

    assert!(browser.page(page).await.contains("Create a token"));
    let answer = browser.submit(page, "users/2/create-token/", &[]).await;
    assert_eq!(leads_to(&answer), "users/2/?done=created");
    let created = key_of(url, 2).await.unwrap();
    let answer = browser.submit(page, "users/2/create-token/", &[]).await;
    assert_eq!((leads_to(&answer), key_of(url, 2).await), ("users/2/?done=had", Some(created)));
    assert!(browser.page("users/2/?done=had").await.contains("The user had a token already"));
    for missing in ["users/99/", "users/x/", "users/%00/", "users/99/rotate-token/", "users/9999999999999999999/"] {
        assert_eq!(browser.get(missing).await.status, StatusCode::NOT_FOUND, "{missing}");
    }
}

const WRITES: [&str; 4] =
    ["users/2/create-token/", "users/2/reveal-token/", "users/2/rotate-token/", "users/2/revoke-token/"];

async fn staff_only(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let url = app.database_url.as_str();
    let mut browser = Browser::signed_in(&app, "alice").await;
    let home = browser.page("").await;
    assert!(!home.contains("Users and tokens") && !home.contains("admin/settings/"), "{home}");
    for page in ["users/", "users/2/", "users/99/", "users/2/rotate-token/", "users/2/revoke-token/", "settings/"] {
        let answer = browser.get(page).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{page}");
        assert!(answer.text.contains("This is for superusers") && !answer.text.contains("626f6262"), "{}", answer.text);
        assert!(!answer.text.contains(">Sign in<"), "to sign in again does not help");
    }
    for page in WRITES {
        // The token of the page is good.
        let answer = browser.submit("sessions/", page, &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{page}");
        assert!(!answer.text.contains(BOB), "{page}");
    }
    assert_eq!(key_of(url, 2).await.as_deref(), Some(BOB));
    // With the rights come the pages, and they go with them.
    sql::execute(url, "UPDATE auth_user SET is_superuser = true WHERE id = 1").await;
    assert!(browser.page("").await.contains("Users and tokens"));
    browser.page("users/2/").await;
    sql::execute(url, "UPDATE auth_user SET is_superuser = false WHERE id = 1").await;
    assert_eq!(browser.get("users/2/").await.status, StatusCode::FORBIDDEN);
    let mut stranger = Browser::new(&app);
    for page in ["users/", "settings/"] {
        assert!(leads_to(&stranger.get(page).await).starts_with("sign-in/"), "{page}");
    }
}

async fn forgeries(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::of_superuser(&app, "alice").await;
    for page in WRITES {
        for forged in ["", "x"] {
            let answer = browser.post(page, &[("csrf", forged)]).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{page}");
            assert!(!answer.text.contains(BOB), "{page}");
        }
    }
    assert_eq!(key_of(app.database_url.as_str(), 2).await.as_deref(), Some(BOB));
    for page in ["users/2/create-token/", "users/2/reveal-token/"] {
        assert_eq!(browser.get(page).await.status, StatusCode::METHOD_NOT_ALLOWED, "{page}");
    }
}

async fn custom_users(engine: Engine) {
    let url = make(&engine, BIGINT_USERS, [BIG, "2"]).await;
    let database = connect_with_users(url.as_str(), BIGINT_USERS.table, BIGINT_USERS.key).await;
    cfimages::store::migrations::run(&database).await.unwrap();
    let update = format!(
        "UPDATE accounts_member SET is_staff = true, is_superuser = true, password = '{PASSWORD_HASH}' WHERE id = {BIG}"
    );
    sql::execute(url.as_str(), &update).await;
    let app = start(url, BIGINT_USERS.table, BIGINT_USERS.key).await;
    let mut browser = Browser::new(&app);
    leads_to(&browser.sign_in("alice", PASSWORD, "").await);
    assert_eq!(names(&browser.page("users/").await), ["alice", "bob"]);
    let shown = browser.submit(&format!("users/{BIG}/"), &format!("users/{BIG}/reveal-token/"), &[]).await;
    assert!(shown.text.contains(ALICE), "{}", shown.text);
    let answer = browser.submit("users/2/revoke-token/", "users/2/revoke-token/", &[]).await;
    assert_eq!(leads_to(&answer), "users/2/?done=revoked");
}

async fn no_tokens(engine: Engine) {
    let app = TestApp::start(&engine).await;
    let mut browser = Browser::of_superuser(&app, "alice").await;
    sql::execute(app.database_url.as_str(), "DROP TABLE authtoken_token").await;
    assert_eq!(names(&browser.page("users/").await), ["alice"]);
    let answer = browser.submit("users/1/", "users/1/create-token/", &[]).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.text.contains("rest_framework.authtoken"), "{}", answer.text);
}

async fn effective_settings(engine: Engine) {
    let app = TestApp::builder().set(&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, SIGNING_KEY).start(&engine).await;
    let mut browser = Browser::of_superuser(&app, "alice").await;
    let html = browser.page("settings/").await;
    for shown in [
        env!("CARGO_PKG_VERSION"),
        if matches!(engine, Engine::Sqlite) { "SQLite" } else { "PostgreSQL" },
        "CFIMAGES_TRUSTED_PROXIES",
        "127.0.0.0/8",
        ">default<",
        ">flag<",
        ">not set<",
        "<bdi>***</bdi>",
        "<code>X-Forwarded-For</code>",
    ] {
        assert!(html.contains(shown), "{shown} is missing in {html}");
    }
    for setting in settings::SETTINGS {
        assert!(html.contains(setting.name), "{} is missing", setting.name);
    }
    for secret in [API_TOKEN, WEBHOOK_SECRET, SIGNING_KEY] {
        assert!(!html.contains(secret), "{secret} is shown");
    }
}
