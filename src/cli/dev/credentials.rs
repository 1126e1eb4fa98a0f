//! What `dev` remembers between starts.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::cli::data_folder::private_options;
use crate::service::{random_password, random_token};

const FILE_NAME: &str = "credentials.json";

/// Names and secrets of a data folder, made at the first start.
#[derive(Serialize, Deserialize)]
pub(super) struct DevCredentials {
    pub(super) username: String,
    pub(super) password: String,
    pub(super) token: String,
    pub(super) account_id: String,
    pub(super) account_hash: String,
    pub(super) api_token: String,
    pub(super) signing_key: String,
    pub(super) webhook_secret: String,
}

impl DevCredentials {
    /// Reads the credentials of a data folder; makes folder and credentials where they are missing.
    pub(super) fn load_or_create(data: &Path) -> anyhow::Result<Self> {
        reserve_privately(&data.join("cfimages.db"))?;
        let path = data.join(FILE_NAME);
        if path.exists() {
            let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
            return serde_json::from_str(&text).with_context(|| {
                format!("{} is damaged; put it back, or delete the whole folder to begin anew", path.display())
            });
        }
        let credentials = Self::random()?;
        credentials.save(&path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(credentials)
    }

    fn random() -> anyhow::Result<Self> {
        Ok(Self {
            username: "admin".to_owned(),
            password: random_password()?,
            token: random_token()?,
            account_id: random_token()?[..32].to_owned(),
            account_hash: random_token()?[..22].to_owned(),
            api_token: random_token()?,
            signing_key: random_token()?,
            webhook_secret: random_token()?,
        })
    }

    /// Written whole or not at all, for the owner's eyes only.
    fn save(&self, path: &Path) -> anyhow::Result<()> {
        let unfinished = path.with_extension("new");
        // One that a crash left behind may be readable by others.
        let _ = fs::remove_file(&unfinished);
        let mut file = private_options().create_new(true).open(&unfinished)?;
        file.write_all(serde_json::to_string_pretty(self)?.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        Ok(())
    }
}

/// Makes an empty file that only the owner can read, where there is none: SQLite would make one that others can read.
fn reserve_privately(path: &Path) -> anyhow::Result<()> {
    private_options()
        .create(true)
        .truncate(false)
        .open(path)
        .with_context(|| format!("{} cannot be written; choose another folder with --data", path.display()))?;
    Ok(())
}
