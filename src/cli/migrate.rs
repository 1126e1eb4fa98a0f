//! `cfimages migrate`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::Context;
use super::output::print_rows;
use crate::app;
use crate::store::{self, Database};

/// Creates or updates the tables in the database. A database that Django made is adopted as it is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cfimages migrate                 apply what is pending\n  \
    cfimages migrate --status        show what is applied and what is pending; exit code 1 if anything is\n  \
    cfimages migrate --recount       count images, bytes and usages anew")]
pub(super) struct MigrateArgs {
    /// Show what is applied and what is pending, and change nothing.
    #[arg(long, conflicts_with = "recount")]
    status: bool,
    /// Count images, bytes and usages anew; writers wait meanwhile.
    #[arg(long)]
    recount: bool,
    /// Print JSON.
    #[arg(long, requires = "status")]
    json: bool,
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
        let code = if self.status { self.print_status(&database).await? } else { self.migrate(&database).await? };
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
        store::migrations::run(database).await?;
        for migration in before.iter().filter(|migration| !migration.is_applied) {
            println!("applied {} {}", migration.version, migration.description);
        }
        if self.recount {
            let mut transaction = database.begin().await?;
            store::stats::recount(&mut transaction).await?;
            transaction.commit().await?;
            println!("counted images, bytes and usages anew");
        }
        println!("the {} database is up to date", database.engine_name());
        Ok(ExitCode::SUCCESS)
    }
}
