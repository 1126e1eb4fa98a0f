//! `/healthz` and `/readyz`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Lifecycle;
use crate::store::{self, Database};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says that the process runs; touches nothing else.
pub(super) async fn healthz() -> &'static str {
    "ok"
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    version: &'static str,
    checks: Checks,
}

#[derive(Serialize)]
struct Checks {
    database: &'static str,
    migrations: &'static str,
    lifecycle: &'static str,
}

/// Says whether requests can be answered: 200, or 503 where a check does not say `ok`.
pub(super) async fn readyz(State(database): State<Database>, State(lifecycle): State<Lifecycle>) -> Response {
    let (database, migrations) = check_database(&database).await;
    let checks = Checks { database, migrations, lifecycle: if lifecycle.is_stopping() { "stopping" } else { "ok" } };
    let is_ready = [checks.database, checks.migrations, checks.lifecycle].iter().all(|check| *check == "ok");
    let (code, status) =
        if is_ready { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (code, Json(Readiness { status, version: env!("CARGO_PKG_VERSION"), checks })).into_response()
}

async fn check_database(database: &Database) -> (&'static str, &'static str) {
    match tokio::time::timeout(PATIENCE, store::migrations::check(database)).await {
        Ok(Ok(())) => ("ok", "ok"),
        Ok(Err(store::Error::PendingMigrations(_))) => ("ok", "pending"),
        Ok(Err(store::Error::MissingObjects(_))) => ("ok", "objects missing"),
        Ok(Err(store::Error::UserTable(_))) => ("ok", "user table not usable"),
        Ok(Err(store::Error::Forbidden(_))) => ("rights missing", "unknown"),
        Ok(Err(_)) => ("unavailable", "unknown"),
        Err(_) => ("no answer within 1 s", "unknown"),
    }
}
