//! `cfimages images` and `cfimages stats`.

use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::cli::{cfimages, failure, success, text};
use crate::deletions::deleted;
use crate::support::app::migrated_database;
use crate::support::rows::{ImageRow, insert_images, insert_usage, key, time};
use crate::support::sql;
use crate::support::suite::{Engine, Suite, TestDatabaseUrl};

pub(crate) fn register(suite: &mut Suite) {
    suite.on_both_engines("cli_images::images_are_listed_by_all_conditions_the_newest_first", filters);
    suite.on_both_engines("cli_images::a_list_ends_at_its_limit_and_says_so", limit);
    suite.on_both_engines("cli_images::all_images_are_listed_while_they_are_read", all);
    suite.on_both_engines("cli_images::an_image_is_shown_whole_by_either_of_its_keys", show);
    suite.on_both_engines("cli_images::what_a_terminal_would_take_for_a_command_is_escaped", escapes);
    suite.on_both_engines("cli_images::images_are_deleted_at_cloudflare_and_here_but_not_while_used", delete);
    suite.on_both_engines("cli_images::nothing_is_deleted_where_nobody_can_be_asked", unasked);
    suite.on_both_engines("cli_images::figures_are_those_of_all_or_of_one_user", stats);
}

/// A database with an image of each kind: `img-1` is the oldest.
async fn sample(engine: &Engine) -> TestDatabaseUrl {
    let url = migrated_database(engine).await;
    let rows = [(1, "uploaded", "2024-01-01"), (2, "pending", "2024-01-02"), (3, "failed", "2024-01-03")];
    for (number, status, created_at) in rows {
        ImageRow { number, status, created_at, ..ImageRow::default() }.insert(url.as_str()).await;
    }
    let changes = "UPDATE cloudflare_images SET creator = 'shop', require_signed_urls = false, file_size = 7, \
        original_filename = 'hero.jpg', user_id = 2 WHERE cloudflare_id = 'img-1'";
    sql::execute(url.as_str(), changes).await;
    url
}

fn command(folder: &TempDir, url: &str, arguments: &[&str]) -> Command {
    let mut command = cfimages(folder.path(), arguments);
    command.env("DATABASE_URL", url).env("CFIMAGES_LOG", "off");
    command
}

fn json_of(command: &mut Command) -> Value {
    serde_json::from_str(&success(command)).unwrap()
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|image| image["cloudflare_id"].as_str().unwrap()).collect()
}

async fn filters(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    let owner = sql::text(url, "SELECT username FROM auth_user WHERE id = 2").await;
    for (arguments, want) in [
        (&[][..], &["img-3", "img-2", "img-1"][..]),
        (&["--status", "pending"], &["img-2"]),
        (&["--user", &owner], &["img-1"]),
        (&["--creator", "shop"], &["img-1"]),
        (&["--creator", "none"], &[]),
        (&["--private"], &["img-3", "img-2"]),
        (&["--created-after", "2024-01-02"], &["img-3", "img-2"]),
        (&["--created-before", "2024-01-02T00:00:00Z"], &["img-1"]),
        (&["--created-after", "2024-01-02", "--status", "failed"], &["img-3"]),
    ] {
        let list = json_of(command(&folder, url, &["images", "list", "--json"]).args(arguments));
        assert_eq!(names(&list), want, "{arguments:?}");
    }
    let list = json_of(&mut command(&folder, url, &["images", "list", "--json", "--user", &owner]));
    let want = json!([{
        "id": "00000000-0000-0000-0000-000000000001", "cloudflare_id": "img-1", "status": "uploaded", "user": owner,
        "creator": "shop", "filename": "hero.jpg", "file_size": 7, "require_signed_urls": false,
        "created_at": "2024-01-01T00:00:00Z", "uploaded_at": null,
    }]);
    assert_eq!(list, want);
    let table = success(&mut command(&folder, url, &["images", "list"]));
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0].first(), Some(&"ID"));
    let oldest = [
        "00000000-0000-0000-0000-000000000001",
        "img-1",
        "uploaded",
        &owner,
        "hero.jpg",
        "7",
        "-",
        "2024-01-01T00:00:00Z",
    ];
    assert_eq!(rows[3], oldest);
    let wrong = failure(&mut command(&folder, url, &["images", "list", "--user", "nobody"]));
    assert!(wrong.contains("no user nobody") && wrong.contains("cfimages user list"), "{wrong}");
    let wrong = command(&folder, url, &["images", "list", "--created-after", "yesterday"]).output().unwrap();
    assert!(text(&wrong.stderr).contains("2026-03-15"), "{}", text(&wrong.stderr));
}

async fn limit(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let output = command(&folder, url.as_str(), &["images", "list", "--limit", "2", "--json"]).output().unwrap();
    assert_eq!(names(&serde_json::from_slice(&output.stdout).unwrap()), ["img-3", "img-2"]);
    assert!(text(&output.stderr).contains("newest 2; there are more"), "{}", text(&output.stderr));
    let output = command(&folder, url.as_str(), &["images", "list", "--limit", "3", "--json"]).output().unwrap();
    assert_eq!(text(&output.stderr), "");
}

async fn all(engine: Engine) {
    let (url, folder) = (migrated_database(&engine).await, TempDir::new().unwrap());
    let arguments = ["images", "list", "--all", "--json"];
    assert_eq!(success(&mut command(&folder, url.as_str(), &arguments)), "[]\n");
    insert_images(url.as_str(), 1201, "expired").await;
    let list = json_of(&mut command(&folder, url.as_str(), &arguments));
    let mut names = names(&list);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 1201);
}

async fn show(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    insert_usage(url, 1, "shop.product", "7", "hero", "auto").await;
    sql::execute(
        url,
        &format!(
            "INSERT INTO cloudflare_image_logs (event_type, message, data, \"timestamp\", image_id) \
             VALUES ('uploaded', 'It arrived', '{{\"a\": 1}}', '{}', '{}')",
            time(url, "2024-01-02"),
            key(1)
        ),
    )
    .await;
    let by_cloudflare_id = json_of(&mut command(&folder, url, &["images", "show", "img-1", "--json"]));
    let by_id = json_of(&mut command(&folder, url, &["images", "show", &key(1), "--json"]));
    assert_eq!(by_cloudflare_id, by_id);
    assert_eq!(
        (&by_id["creator"], &by_id["status"], &by_id["file_size"]),
        (&json!("shop"), &json!("uploaded"), &json!(7))
    );
    assert_eq!(by_id["logs"][0]["message"], "It arrived");
    assert_eq!((&by_id["usages"][0]["object_id"], &by_id["usages"][0]["field_name"]), (&json!("7"), &json!("hero")));
    let table = success(&mut command(&folder, url, &["images", "show", "img-1"]));
    for part in ["original_filename", "hero.jpg", "It arrived", "shop.product"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let missing = failure(&mut command(&folder, url, &["images", "show", "img-9"]));
    assert!(missing.contains("no image img-9") && missing.contains("cfimages images list"), "{missing}");
}

async fn escapes(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let odd = "UPDATE cloudflare_images SET original_filename = '\u{1b}[2J\n' WHERE cloudflare_id = 'img-1'";
    sql::execute(url.as_str(), odd).await;
    for arguments in [&["images", "list"][..], &["images", "show", "img-1"]] {
        let table = success(&mut command(&folder, url.as_str(), arguments));
        assert!(table.contains("\\u{1b}[2J\\n") && !table.contains('\u{1b}'), "{table}");
    }
}

fn with_account(mut command: Command, cloudflare: &str) -> Command {
    command.envs([
        ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "acct-0001"),
        ("CLOUDFLARE_IMAGES_API_TOKEN", "secret-token"),
        ("CLOUDFLARE_IMAGES_BASE_URL", cloudflare),
    ]);
    command
}

async fn delete(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    insert_usage(url, 1, "shop.product", "7", "hero", "auto").await;
    let cloudflare = MockServer::start().await;
    for (id, answer) in [("img-1", deleted()), ("img-2", deleted()), ("img-3", ResponseTemplate::new(400))] {
        let path = path(format!("/accounts/acct-0001/images/v1/{id}"));
        Mock::given(method("DELETE")).and(path).respond_with(answer).expect(1).mount(&cloudflare).await;
    }
    let run = |arguments: &[&str]| {
        let command = command(&folder, url, &["images", "delete", "--yes"]);
        let output = with_account(command, &cloudflare.uri()).args(arguments).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let (code, out, err) = run(&["img-1", &key(2), "img-3", "img-4"]);
    assert_eq!((code, out), (Some(1), format!("deleted {}\n", key(2))));
    let errors: Vec<&str> = err.lines().collect();
    assert!(
        errors[0].starts_with("error: img-1: content refers to it: shop.product 7 (hero).")
            && errors[0].contains("--force"),
        "{err}"
    );
    assert!(errors[1].starts_with("error: img-3: Failed to delete image: 400"), "{err}");
    assert!(errors[2].starts_with("error: img-4: there is no image"), "{err}");
    let left = "SELECT cloudflare_id FROM cloudflare_images ORDER BY id";
    assert_eq!(sql::texts(url, left).await.into_iter().flatten().collect::<Vec<_>>(), ["img-1", "img-3"]);
    let (code, out, _) = run(&["img-1", "--force", "--json"]);
    assert_eq!(code, Some(0));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), json!([{ "id": "img-1", "is_deleted": true }]));
    assert_eq!(sql::count(url, "SELECT count(*) FROM cloudflare_image_usages WHERE image_id IS NULL").await, 1);
}

async fn unasked(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let mut without_account = command(&folder, url.as_str(), &["images", "delete", "img-1"]);
    let err = failure(&mut without_account);
    assert!(err.contains("CLOUDFLARE_IMAGES_ACCOUNT_ID"), "{err}");
    let mut command = with_account(without_account, "http://127.0.0.1:9");
    let err = failure(command.stdin(std::process::Stdio::null()));
    assert!(err.contains("--yes"), "{err}");
    assert_eq!(sql::count(url.as_str(), "SELECT count(*) FROM cloudflare_images").await, 3);
}

async fn stats(engine: Engine) {
    let (url, folder) = (sample(&engine).await, TempDir::new().unwrap());
    let url = url.as_str();
    insert_usage(url, 1, "shop.product", "7", "hero", "auto").await;
    let owner = sql::text(url, "SELECT username FROM auth_user WHERE id = 2").await;
    let all = json_of(&mut command(&folder, url, &["stats", "--json"]));
    let figures = |stats: &Value| {
        ["total_images", "pending_images", "total_file_size", "orphaned_images", "total_usages"]
            .map(|name| stats[name].as_i64().unwrap())
    };
    assert_eq!(figures(&all), [3, 1, 7, 2, 1]);
    let own = json_of(&mut command(&folder, url, &["stats", "--json", "--user", &owner]));
    assert_eq!(figures(&own), [1, 0, 7, 0, 1]);
    let table = success(&mut command(&folder, url, &["stats"]));
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["images", "3"]) && rows.contains(&vec!["bytes", "7"]), "{table}");
    assert!(failure(&mut command(&folder, url, &["stats", "--user", "nobody"])).contains("no user nobody"));
}
