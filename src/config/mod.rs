//! Settings: where they come from, what they mean, and what is wrong with them.
//!
//! The sources are, the weakest first: defaults, presets of a command, the configuration file (TOML), the environment, and
//! flags. An empty value is the same as none, so that the next weaker source decides, but for the few settings that say
//! otherwise. A secret may also be given as the name of a file that holds it: `NAME_FILE` in the environment, `key_file` in
//! the configuration file; relative paths start at the working directory.
//!
//! To add a setting, declare it in [`settings`], read it in the file of its section, and write its two
//! descriptions anew: `cfimages config example > cfimages.example.toml`, `cfimages config reference > docs/configuration.md`.

mod allowed_hosts;
mod auth;
mod cloudflare;
mod cors;
mod database;
mod delivery;
mod example;
mod file;
mod insecure;
mod jobs;
mod layer;
mod loader;
mod log;
mod parse;
mod problem;
mod rate_limits;
mod redact;
mod reference;
mod server;
mod setting;
pub mod settings;
#[cfg(test)]
mod tests;
mod uploads;
mod usages;
mod values;
mod webhook;

use std::sync::Arc;

pub use allowed_hosts::AllowedHosts;
pub use auth::{AuthConfig, AuthMethod, AuthOrder, TrustedOrigin, TrustedOrigins};
pub use cloudflare::CloudflareConfig;
pub use cors::CorsOrigins;
pub use database::DatabaseConfig;
pub use delivery::DeliveryConfig;
pub use example::example;
pub use jobs::JobsConfig;
pub use loader::Loader;
pub use log::{LogConfig, LogFormat};
pub use problem::{ConfigErrors, Problem};
pub use rate_limits::{Period, RateLimit, RateLimitsConfig};
pub use reference::reference;
pub use server::{ServerConfig, parse_listen};
pub use setting::Setting;
pub use uploads::UploadsConfig;
pub use usages::UsagesConfig;
pub use values::EffectiveValue;
pub use webhook::WebhookConfig;

/// All settings, in their types and checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The database.
    pub database: DatabaseConfig,
    /// Where and how the server answers.
    pub server: ServerConfig,
    /// How requests prove who sends them.
    pub auth: AuthConfig,
    /// The logs.
    pub log: LogConfig,
    /// What new images are like.
    pub uploads: UploadsConfig,
    /// How pictures are delivered.
    pub delivery: DeliveryConfig,
    /// Which webhooks are believed.
    pub webhook: WebhookConfig,
    /// Where the application's own tables name images.
    pub usages: UsagesConfig,
    /// What the server does beside answering requests.
    pub jobs: JobsConfig,
    /// How often callers may ask.
    pub rate_limits: RateLimitsConfig,
    cloudflare: Result<CloudflareConfig, ConfigErrors>,
    effective: Arc<[EffectiveValue]>,
}

/// What a configuration is needed for, which decides what may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Purpose {
    /// To run the server: the account at Cloudflare must be known, and webhooks of strangers must not go unnoticed.
    #[default]
    Serve,
    /// To work on the database alone, as `migrate`, `user` and `token` do.
    Database,
}

impl Config {
    /// All settings as they are in effect, for people to read: where each comes from, and no secrets.
    pub fn effective(&self) -> Arc<[EffectiveValue]> {
        Arc::clone(&self.effective)
    }

    /// The account at Cloudflare, for the commands that need it.
    ///
    /// # Errors
    /// The settings that are missing; none are when the configuration was loaded for [`Purpose::Serve`].
    pub fn cloudflare(&self) -> Result<&CloudflareConfig, ConfigErrors> {
        self.cloudflare.as_ref().map_err(Clone::clone)
    }
}
