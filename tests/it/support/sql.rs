//! A look into a database from beside the service, as Django would have it.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::eventually;

/// Runs a statement.
pub(crate) async fn execute(url: &str, statement: &str) {
    let statement = statement.to_owned();
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// Runs several statements on one connection.
pub(crate) async fn execute_all(url: &str, statements: &str) {
    let statements = AssertSqlSafe(statements.to_owned());
    if url.starts_with("sqlite") {
        SqliteConnection::connect(url).await.unwrap().execute(statements).await.unwrap();
    } else {
        PgConnection::connect(url).await.unwrap().execute(statements).await.unwrap();
    }
}

/// The texts in the first column of the rows of a query.
pub(crate) async fn texts(url: &str, query: &str) -> Vec<Option<String>> {
    let query = query.to_owned();
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap()
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap()
    }
}

/// The text in the first column of the only row of a query.
pub(crate) async fn text(url: &str, query: &str) -> String {
    let mut texts = texts(url, query).await;
    assert_eq!(texts.len(), 1, "{query}");
    texts.remove(0).unwrap_or_else(|| panic!("NULL: {query}"))
}

/// The number that a query counts.
pub(crate) async fn count(url: &str, query: &str) -> i64 {
    text(url, &format!("SELECT CAST(({query}) AS text)")).await.parse().unwrap()
}

/// Returns when somebody waits for a row; PostgreSQL only.
pub(crate) async fn somebody_waits(url: &str) {
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("somebody waits for a row", async || (count(url, waiting).await > 0).then_some(())).await;
}

/// How the engine will go about a query, which begins with the engine's words for that question.
pub(crate) async fn plan(url: &str, query: &str) -> String {
    use sqlx::Row;

    let query = AssertSqlSafe(query.to_owned());
    let lines: Vec<String> = if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await.unwrap();
        let rows = sqlx::query(query).fetch_all(&mut connection).await.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap()
    };
    lines.join("\n")
}
