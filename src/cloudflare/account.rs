//! What is true of all images of the account.

use reqwest::Method;
use serde::{Deserialize, Serialize};

use super::{Client, Error, Operation};

/// How many images the account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ImageStats {
    /// How many there are.
    pub current: u64,
    /// How many the plan allows.
    pub allowed: u64,
}

/// Settings of the account that are to be changed; what is `None` stays as it is. Cloudflare tells nobody what they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ImageSettingsUpdate {
    /// Whether delivery URLs may say what is done to the picture, as `w=400`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flexible_variants: Option<bool>,
    /// How long browsers may keep pictures, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser_ttl: Option<u32>,
    /// Whether Content Credentials in pictures are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preserve_content_credentials: Option<bool>,
}

impl Client {
    /// How many images the account has, and may have.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn image_stats(&self) -> Result<ImageStats, Error> {
        #[derive(Deserialize)]
        struct Answer {
            count: ImageStats,
        }
        let operation = Operation::GetImageStats;
        Ok(self.read::<Answer>(operation, "images/v1/stats", "it has no count of images").await?.count)
    }

    /// Changes settings of the account.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update_image_settings(&self, update: &ImageSettingsUpdate) -> Result<(), Error> {
        self.change(Operation::UpdateImageSettings, Method::PATCH, "images/v1/config", update).await
    }
}
