//! The database, for commands.

use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::output::printable;
use crate::app::{self, SystemClock};
use crate::config::Config;
use crate::domain::{Image, UserId};
use crate::service::{Accounts, ImageRecords, OwnerProblem};
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

/// The records of images in a database that is up to date.
pub(super) async fn open_records(config: &Config) -> anyhow::Result<ImageRecords> {
    Ok(records_in(config, open_current(config).await?))
}

/// The records of images in an open database.
pub(super) fn records_in(config: &Config, database: Database) -> ImageRecords {
    ImageRecords::new(database, Arc::new(SystemClock), config.database.host_delete_tables.clone())
}

/// The user with this name.
pub(super) async fn find_owner(records: &ImageRecords, name: &str) -> anyhow::Result<UserId> {
    match records.find_owner(name).await? {
        Ok(owner) => Ok(owner),
        Err(OwnerProblem::Unknown) => bail!("there is no user {}: see `cfimages user list`", printable(name)),
        Err(OwnerProblem::Ambiguous) => bail!("several users have the name {}", printable(name)),
    }
}

/// The image with this key, here or at Cloudflare.
pub(super) async fn get_image(records: &ImageRecords, key: &str) -> anyhow::Result<Image> {
    let image = records.find_by_key(key).await?;
    image.with_context(|| format!("there is no image {}: see `cfimages images list`", printable(key)))
}
