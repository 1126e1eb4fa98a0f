//! `/healthz` and `/readyz`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Lifecycle;
use crate::store::{self, Database, Error};

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a check says where nothing is wrong.
const OK: &str = "ok";
/// What a check says that could not be made, because of another that says what is wrong.
const UNKNOWN: &str = "unknown";

/// Says that the process runs; touches nothing else.
pub(super) async fn healthz() -> &'static str {
    OK
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    version: &'static str,
    checks: Checks,
}

/// Words of a fixed choice: nothing here helps those who have no business with the server.
#[derive(Serialize)]
struct Checks {
    /// Whether the database answers, lets us in, and gives the rights that are needed.
    database: &'static str,
    /// Whether all migrations are applied.
    migrations: &'static str,
    /// Whether the tables, triggers and indexes are there that are ours.
    objects: &'static str,
    /// Whether the table of users is what the settings say.
    user_table: &'static str,
    /// Whether the service is running, or stopping.
    lifecycle: &'static str,
}

/// Says whether requests can be answered: 200, or 503 where a check does not say `ok`.
pub(super) async fn readyz(State(database): State<Database>, State(lifecycle): State<Lifecycle>) -> Response {
    let found = tokio::time::timeout(PATIENCE, store::migrations::check(&database)).await;
    let checks = Checks::of(found.ok().as_ref(), lifecycle.is_stopping());
    let (code, status) =
        if checks.are_ok() { (StatusCode::OK, "ready") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready") };
    (code, Json(Readiness { status, version: env!("CARGO_PKG_VERSION"), checks })).into_response()
}

impl Checks {
    /// `found`: what is wrong with the database, which is looked at in the order of the checks; none where it did not answer in time.
    fn of(found: Option<&Result<(), Error>>, is_stopping: bool) -> Self {
        let lifecycle = if is_stopping { "stopping" } else { OK };
        let checks = |[database, migrations, objects, user_table]: [&'static str; 4]| Self {
            database,
            migrations,
            objects,
            user_table,
            lifecycle,
        };
        checks(match found {
            Some(Ok(())) => [OK, OK, OK, OK],
            Some(Err(Error::PendingMigrations(_))) => [OK, "pending", UNKNOWN, UNKNOWN],
            Some(Err(Error::MissingObjects(_))) => [OK, OK, "missing", UNKNOWN],
            Some(Err(Error::UserTable(_))) => [OK, OK, OK, "not usable"],
            Some(Err(Error::MissingRights(_))) => ["rights missing", OK, OK, OK],
            Some(Err(Error::Forbidden(_))) => ["rights missing", UNKNOWN, UNKNOWN, UNKNOWN],
            Some(Err(_)) => ["unavailable", UNKNOWN, UNKNOWN, UNKNOWN],
            None => ["no answer within 1 s", UNKNOWN, UNKNOWN, UNKNOWN],
        })
    }

    fn are_ok(&self) -> bool {
        let Self { database, migrations, objects, user_table, lifecycle } = self;
        [database, migrations, objects, user_table, lifecycle].into_iter().all(|check| *check == OK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_is_told_by_the_check_that_it_concerns() {
        let failing = |found: Option<Result<(), Error>>, is_stopping| {
            let checks = serde_json::to_value(Checks::of(found.as_ref(), is_stopping)).unwrap();
            let failing = checks.as_object().unwrap().iter().filter(|(_, said)| **said != OK && **said != UNKNOWN);
            failing.map(|(name, said)| format!("{name}: {}", said.as_str().unwrap())).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(failing(Some(Ok(())), false), "");
        assert_eq!(failing(Some(Ok(())), true), "lifecycle: stopping");
        assert_eq!(failing(None, true), "database: no answer within 1 s, lifecycle: stopping");
        assert_eq!(failing(Some(Err(Error::PendingMigrations(2))), false), "migrations: pending");
        assert_eq!(failing(Some(Err(Error::MissingObjects("a secret".to_owned()))), false), "objects: missing");
        for error in [Error::Forbidden("a secret".to_owned()), Error::MissingRights("a secret".to_owned())] {
            assert_eq!(failing(Some(Err(error)), false), "database: rights missing");
        }
    }
}
