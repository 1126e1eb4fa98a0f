//! The database, for commands.

use std::sync::Arc;

use crate::app::{self, SystemClock};
use crate::config::Config;
use crate::service::Accounts;
use crate::store::{self, Database};

/// Opens the database, which must be up to date.
pub(super) async fn open_current(config: &Config) -> anyhow::Result<Database> {
    let database = app::open_database(&config.database).await?;
    store::migrations::check(&database).await?;
    Ok(database)
}

/// The accounts in a database that is up to date.
pub(super) async fn open_accounts(config: &Config) -> anyhow::Result<Accounts> {
    Ok(Accounts::new(open_current(config).await?, Arc::new(SystemClock)))
}
