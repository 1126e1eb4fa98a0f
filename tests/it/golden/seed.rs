//! The database that every scenario starts from: Django's tables and the rows of the dump, then our migrations.
//!
//! The dump is PostgreSQL's. For SQLite its rows are put into the form in which Django would have written them there.

use std::collections::BTreeMap;

use cfimages::store;

use super::recording::fixtures;
use crate::support::app::connect;
use crate::support::sql;
use crate::support::suite::{Engine, TestDatabaseUrl};

/// The tables of the host application, as Django makes them on SQLite.
const HOST_TABLES_ON_SQLITE: &str = r#"
CREATE TABLE "gallery_article" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "title" varchar(100) NOT NULL,
    "hero" varchar(255) NULL, "cover_id" char(32) NULL REFERENCES "cloudflare_images" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE "gallery_badge" ("id" integer NOT NULL PRIMARY KEY AUTOINCREMENT, "label" varchar(50) NOT NULL,
    "image_id" char(32) NOT NULL REFERENCES "cloudflare_images" ("id") DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX "gallery_article_cover_id_3fe0fce2" ON "gallery_article" ("cover_id");
CREATE INDEX "gallery_badge_image_id_3f8f3faf" ON "gallery_badge" ("image_id");
"#;

/// A database of its own, with all rows.
pub(crate) async fn seeded_database(engine: &Engine) -> TestDatabaseUrl {
    let is_sqlite = matches!(engine, Engine::Sqlite);
    engine
        .create_database_from("golden", async |url| {
            for statements in if is_sqlite { sqlite_statements() } else { postgres_statements() } {
                sql::execute_all(url, &statements).await;
            }
            let database = connect(url).await;
            store::migrations::run(&database).await.unwrap();
            database.close().await;
        })
        .await
}

fn fixture(name: &str) -> String {
    std::fs::read_to_string(fixtures().join(name)).unwrap()
}

/// Foreign keys are checked when a transaction ends, so the rows come in one.
fn postgres_statements() -> Vec<String> {
    vec![fixture("schema.sql"), format!("BEGIN; {} COMMIT;", fixture("seed.sql")), fixture("host-tables.sql")]
}

fn sqlite_statements() -> Vec<String> {
    let (seed, host) = (fixture("seed.sql"), fixture("host-tables.sql"));
    let types = column_types(&[&fixture("schema.sql"), &host]);
    let rows: Vec<String> = statements(&seed)
        .into_iter()
        .chain(statements(&host))
        .filter_map(|statement| translate_insert(&statement, &types))
        .collect();
    assert!(rows.len() > 300, "{} rows are not the dump's", rows.len());
    vec![
        fixture("schema-sqlite.sql"),
        HOST_TABLES_ON_SQLITE.to_owned(),
        format!("BEGIN; {}; COMMIT;", rows.join(";\n")),
    ]
}

/// The statements of a dump, without its comments.
fn statements(dump: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut is_quoted = false;
    for line in dump.split_inclusive('\n').filter(|line| !line.starts_with("--")) {
        for character in line.chars() {
            is_quoted ^= character == '\'';
            match statements.last_mut() {
                Some(statement) if character != ';' || is_quoted => statement.push(character),
                _ => statements.push(String::new()),
            }
        }
    }
    statements.into_iter().map(|statement| statement.trim().to_owned()).collect()
}

/// The types of all columns, by table and column.
fn column_types(schemas: &[&str]) -> BTreeMap<(String, String), String> {
    let mut types = BTreeMap::new();
    for statement in schemas.iter().flat_map(|schema| statements(schema)) {
        let Some(table) = statement.strip_prefix("CREATE TABLE public.") else { continue };
        let (table, columns) = table.split_once(" (\n").unwrap();
        for column in columns.lines() {
            let (name, kind) = column.trim().split_once(' ').unwrap_or((column, ""));
            types.insert((table.to_owned(), name.trim_matches('"').to_owned()), kind.to_owned());
        }
    }
    types
}

/// An INSERT of the dump for SQLite; `None` for other statements.
fn translate_insert(statement: &str, types: &BTreeMap<(String, String), String>) -> Option<String> {
    let (table, rest) = statement.strip_prefix("INSERT INTO public.")?.split_once(" (")?;
    let (columns, values) = rest.split_once(") VALUES (")?;
    let values = split_values(values.strip_suffix(')')?);
    let values: Vec<String> = columns
        .split(", ")
        .zip(values)
        .map(|(column, value)| translate(value, &types[&(table.to_owned(), column.trim_matches('"').to_owned())]))
        .collect();
    Some(format!("INSERT INTO {table} ({columns}) VALUES ({})", values.join(", ")))
}

/// The values of an INSERT, quotes included.
fn split_values(values: &str) -> Vec<&str> {
    let mut is_quoted = false;
    values
        .split(|character| {
            is_quoted ^= character == '\'';
            character == ',' && !is_quoted
        })
        .map(str::trim)
        .collect()
}

/// A value as Django writes it on SQLite.
fn translate(value: &str, kind: &str) -> String {
    if value == "NULL" {
        value.to_owned()
    } else if kind.starts_with("uuid") {
        value.replace('-', "")
    } else if kind.starts_with("boolean") {
        u8::from(value == "true").to_string()
    } else if kind.starts_with("timestamp with time zone") {
        let time = value.trim_matches('\'').strip_suffix("+00").expect("the dump is in UTC");
        match time.split_once('.') {
            Some((seconds, fraction)) => format!("'{seconds}.{fraction:0<6}'"),
            None => format!("'{time}'"),
        }
    } else {
        value.to_owned()
    }
}

/// Rows of the dump read the same on both engines where Django reads them.
pub(crate) async fn is_in_djangos_form(engine: Engine) {
    let url = seeded_database(&engine).await;
    let image = "SELECT id || ' ' || created_at || ' ' || expires_at || ' ' || require_signed_urls || ' ' || metadata \
                 FROM cloudflare_images WHERE cloudflare_id = 'dots.in.name.json'";
    let (uuid, created_at, expires_at, flag) = match engine {
        Engine::Sqlite => {
            ("95a762fb539252f1bd971805f5a6e3a5", "2024-03-02 19:00:05.005017", "2099-01-01 00:05:00", "1")
        }
        Engine::Postgres(_) => {
            let uuid = "95a762fb-5392-52f1-bd97-1805f5a6e3a5";
            (uuid, "2024-03-02 19:00:05.005017+00", "2099-01-01 00:05:00+00", "true")
        }
    };
    let row = sql::text(url.as_str(), image).await;
    let want = format!("{uuid} {created_at} {expires_at} {flag} {{\"big\": 12345678901234567890, \"exp\": 1");
    assert!(row.starts_with(&want), "{row}");
    assert_eq!(sql::count(url.as_str(), "SELECT count(*) FROM gallery_article").await, 6);
    assert_eq!(
        sql::count(
            url.as_str(),
            "SELECT count(*) FROM gallery_article a JOIN cloudflare_images i ON i.id = a.cover_id"
        )
        .await,
        5
    );
}
