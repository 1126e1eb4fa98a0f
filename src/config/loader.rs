//! Puts the sources together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::auth::AuthConfig;
use super::cloudflare::CloudflareConfig;
use super::database::DatabaseConfig;
use super::delivery::DeliveryConfig;
use super::file::{self, File};
use super::insecure;
use super::jobs::JobsConfig;
use super::layer::{CONFIG_VARIABLE, Layer, Origin, variable};
use super::log::LogConfig;
use super::problem::{ConfigErrors, Problem};
use super::rate_limits::RateLimitsConfig;
use super::server::ServerConfig;
use super::setting::Setting;
use super::uploads::UploadsConfig;
use super::usages::UsagesConfig;
use super::values::{EffectiveValue, Values};
use super::webhook::WebhookConfig;
use super::{Config, Purpose};

/// Collects the sources of the configuration, and reads them.
///
/// It touches nothing but what it is given: neither the environment of the process nor files that nobody named.
///
/// # Examples
/// ```
/// use cfimages::config::{Loader, Purpose, settings};
///
/// let config = Loader::new()
///     .environment([("CFIMAGES_URL_PREFIX", "images/")])
///     .overrides([(&settings::CFIMAGES_LISTEN, "127.0.0.1:9000".to_owned())])
///     .load(Purpose::Database)?;
/// assert_eq!(config.server.url_prefix, "/images");
/// assert_eq!(config.server.listen.port(), 9000);
/// # Ok::<(), cfimages::config::ConfigErrors>(())
/// ```
#[derive(Default)]
pub struct Loader {
    config_file: Option<PathBuf>,
    environment: BTreeMap<OsString, OsString>,
    presets: Vec<(&'static Setting, String)>,
    overrides: Vec<(&'static Setting, String)>,
}

impl Loader {
    /// A loader that knows nothing but the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads this file, not the one that `CFIMAGES_CONFIG` names; `None` changes nothing.
    #[must_use]
    pub fn config_file(self, path: Option<PathBuf>) -> Self {
        Self { config_file: path.or(self.config_file), ..self }
    }

    /// Takes the variables of an environment, such as `std::env::vars_os()`.
    #[must_use]
    pub fn environment<N: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Takes defaults of a command, stronger than the general ones and weaker than all that users say.
    #[must_use]
    pub fn presets(mut self, values: impl IntoIterator<Item = (&'static Setting, String)>) -> Self {
        self.presets.extend(values);
        self
    }

    /// Takes values that win over all others, such as those of flags. They have the form of the environment.
    #[must_use]
    pub fn overrides(mut self, values: impl IntoIterator<Item = (&'static Setting, String)>) -> Self {
        self.overrides.extend(values);
        self
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// All that is wrong, and what is missing for this purpose.
    pub fn load(self, purpose: Purpose) -> Result<Config, ConfigErrors> {
        let (config, values) = self.read(purpose);
        match config {
            Some(config) if values.problems.is_empty() => Ok(Config { effective: values.effective().into(), ..config }),
            _ => Err(ConfigErrors::new(values.problems)),
        }
    }

    /// Reads and checks how pictures are delivered alone; no other setting matters.
    ///
    /// # Errors
    /// All that is wrong with these settings, or with the form of a source.
    pub fn load_delivery(self) -> Result<DeliveryConfig, ConfigErrors> {
        let (mut values, _) = self.values();
        match DeliveryConfig::read(&mut values) {
            Some(delivery) if values.problems.is_empty() => Ok(delivery),
            _ => Err(ConfigErrors::new(values.problems)),
        }
    }

    /// The same for the account at Cloudflare.
    ///
    /// # Errors
    /// All that is wrong with these settings, or missing, or wrong with the form of a source.
    pub fn load_cloudflare(self) -> Result<CloudflareConfig, ConfigErrors> {
        let (mut values, _) = self.values();
        let cloudflare = CloudflareConfig::read(&mut values);
        if values.problems.is_empty() { cloudflare } else { Err(ConfigErrors::new(values.problems)) }
    }

    /// The same for the webhook.
    ///
    /// # Errors
    /// All that is wrong with these settings, or with the form of a source.
    pub fn load_webhook(self) -> Result<WebhookConfig, ConfigErrors> {
        let (mut values, _) = self.values();
        match WebhookConfig::read(&mut values) {
            Some(webhook) if values.problems.is_empty() => Ok(webhook),
            _ => Err(ConfigErrors::new(values.problems)),
        }
    }

    /// The values in effect, also where some of them are wrong, and all that is wrong.
    pub fn inspect(self) -> (Vec<EffectiveValue>, Result<(), ConfigErrors>) {
        let (_, mut values) = self.read(Purpose::Database);
        let problems = std::mem::take(&mut values.problems);
        let outcome = if problems.is_empty() { Ok(()) } else { Err(ConfigErrors::new(problems)) };
        (values.effective(), outcome)
    }

    fn read(self, purpose: Purpose) -> (Option<Config>, Values) {
        let (mut values, is_whole) = self.values();
        // What seems to be missing may stand in the part of the file that could not be read.
        let must_serve = purpose == Purpose::Serve && is_whole;
        let config = Config::read(&mut values, must_serve);
        (config, values)
    }

    /// The values of all sources, and whether the whole file could be read.
    fn values(self) -> (Values, bool) {
        let mut problems = Vec::new();
        let file = self.read_file(&mut problems);
        let environment = Layer::of_environment(&self.environment, &mut problems);
        let presets = Layer::of(self.presets, &Origin::Preset, &mut problems);
        let overrides = Layer::of(self.overrides, &Origin::Flag, &mut problems);
        (Values::new(vec![overrides, environment, file.layer, presets], problems), file.is_whole)
    }

    fn read_file(&self, problems: &mut Vec<Problem>) -> File {
        let named = variable(&self.environment, CONFIG_VARIABLE).map(Path::new);
        let Some(path) = self.config_file.as_deref().or(named) else {
            return File { layer: Layer::default(), is_whole: true };
        };
        match fs::read_to_string(path) {
            Ok(text) => file::parse(path, &text, problems),
            Err(error) => {
                problems.push(Problem::of(path.display(), format!("cannot read the configuration file: {error}")));
                File { layer: Layer::default(), is_whole: false }
            }
        }
    }
}

impl Config {
    fn read(values: &mut Values, must_serve: bool) -> Option<Self> {
        let database = DatabaseConfig::read(values);
        let server = ServerConfig::read(values);
        let auth = AuthConfig::read(values);
        let log = LogConfig::read(values);
        let cloudflare = CloudflareConfig::read(values);
        let uploads = UploadsConfig::read(values);
        let delivery = DeliveryConfig::read(values);
        let webhook = WebhookConfig::read(values);
        let usages = UsagesConfig::read(values);
        let jobs = JobsConfig::read(values);
        let rate_limits = RateLimitsConfig::read(values, cloudflare.as_ref().ok());
        if must_serve {
            let missing = cloudflare.as_ref().err().into_iter().flat_map(ConfigErrors::problems);
            values.problems.extend(missing.cloned());
            let parts = insecure::Parts {
                server: server.as_ref(),
                auth: auth.as_ref(),
                webhook: webhook.as_ref(),
                cloudflare: cloudflare.as_ref().ok(),
            };
            values.problems.extend(insecure::refusals(values, &parts));
        }
        Some(Self {
            database: database?,
            server: server?,
            auth: auth?,
            log: log?,
            cloudflare,
            uploads: uploads?,
            delivery: delivery?,
            webhook: webhook?,
            usages,
            jobs: jobs?,
            rate_limits: rate_limits?,
            effective: Arc::default(),
        })
    }
}
