//! `cfimages migrate`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::output::{print_line, print_rows};
use crate::app;
use crate::store::{self, Database};

/// Creates or updates the tables in the database. A database that Django made is adopted as it is.
#[derive(Debug, Args)]
#[command(
    after_help = "An empty database gets all tables. On one that Django made, no row and no column of Django's tables is changed: what is \
    added are tables, triggers and indexes, all named cfimages_*. It takes the role that owns Django's tables, and may be repeated.\n\n\
    It also puts back what was lost, and counts anew then: on SQLite, Django's own migrations drop triggers, so let this \
    command follow each `manage.py migrate`.\n\n\
    Examples:\n  \
    cfimages migrate                 apply what is pending\n  \
    cfimages migrate --status        show what is pending, if anything; exit code 1 then\n  \
    cfimages migrate --recount       count all images anew\n  \
    cfimages migrate --remove        take away everything of ours; Django's tables stay"
)]
pub(super) struct MigrateArgs {
    #[command(flatten)]
    action: Action,
    /// Print JSON.
    #[arg(long, requires = "status")]
    json: bool,
}

/// What to do besides applying what is pending, or instead.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Action {
    /// Show what is applied and what is pending, and change nothing.
    #[arg(long)]
    status: bool,
    /// Count all images anew; writers wait meanwhile.
    #[arg(long)]
    recount: bool,
    /// Take away all tables, triggers and indexes of ours. Django's tables stay as they are, rows included.
    #[arg(long)]
    remove: bool,
}

#[derive(Serialize)]
struct Row {
    version: i64,
    description: String,
    applied: bool,
}

impl MigrateArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let database = app::open_database(&config.database).await?;
        let code = match (self.action.status, self.action.remove) {
            (true, _) => self.print_status(&database).await?,
            (_, true) => remove(&database).await?,
            _ => self.migrate(&database).await?,
        };
        database.close().await;
        Ok(code)
    }

    async fn print_status(&self, database: &Database) -> anyhow::Result<ExitCode> {
        let to_row = |migration: store::migrations::MigrationStatus| Row {
            version: migration.version,
            description: migration.description,
            applied: migration.is_applied,
        };
        let rows: Vec<Row> = store::migrations::status(database).await?.into_iter().map(to_row).collect();
        print_rows(self.json, &["VERSION", "STATE", "DESCRIPTION"], &rows, |row| {
            let state = if row.applied { "applied" } else { "pending" };
            vec![row.version.to_string(), state.to_owned(), row.description.clone()]
        })?;
        Ok(if rows.iter().all(|row| row.applied) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn migrate(&self, database: &Database) -> anyhow::Result<ExitCode> {
        let before = store::migrations::status(database).await?;
        let missing = store::migrations::missing_objects(database).await?;
        let is_damaged = !missing.is_empty() && before.iter().all(|migration| migration.is_applied);
        store::migrations::run(database).await?;
        for migration in before.iter().filter(|migration| !migration.is_applied) {
            print_line(format_args!("applied {} {}", migration.version, migration.description))?;
        }
        if is_damaged {
            print_line(format_args!("put back {}, and counted all images anew", missing.join(", ")))?;
        }
        if self.action.recount {
            let mut transaction = database.begin().await?;
            store::stats::recount(&mut transaction).await?;
            transaction.commit().await?;
            print_line("counted all images anew")?;
        }
        print_line(format_args!("the {} database is up to date", database.engine_name()))?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn remove(database: &Database) -> anyhow::Result<ExitCode> {
    store::migrations::remove(database).await?;
    print_line("removed everything of cfimages; Django's tables are as they were")?;
    Ok(ExitCode::SUCCESS)
}
