//! What handlers are given.

use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::FromRef;
use secrecy::ExposeSecret;

use super::{Lifecycle, SystemClock};
use crate::admin::{Admin, DjangoSide};
use crate::api::Authentication;
use crate::cloudflare::{Client, ClientLimits, ClientSettings};
use crate::config::{CloudflareConfig, Config, DatabaseConfig};
use crate::delivery::DeliveryUrls;
use crate::domain::Clock;
use crate::http::rate_limit::RateLimits;
use crate::service::{Accounts, CloudflareService, DjangoSessions, ImageLinks, ServiceSettings, WebhookSettings};
use crate::store::{Database, DatabaseSettings};

/// Everything that handlers need; each takes the part that it uses. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The use cases.
    pub service: CloudflareService,
    /// Users and tokens.
    pub accounts: Accounts,
    /// How requests prove who sends them.
    pub authentication: Authentication,
    /// Where pictures are shown.
    pub links: ImageLinks,
    /// The admin site.
    pub admin: Admin,
    /// How often callers may ask.
    pub rate_limits: RateLimits,
    /// For the health checks.
    pub database: Database,
    /// Whether the service is stopping.
    pub lifecycle: Lifecycle,
}

impl AppState {
    /// Puts the parts together.
    ///
    /// # Errors
    /// If a setting that is needed is missing, or the HTTP client cannot be set up.
    pub fn new(config: &Config, database: Database, lifecycle: Lifecycle) -> anyhow::Result<Self> {
        Self::with_clock(config, database, lifecycle, Arc::new(SystemClock))
    }

    /// The same with a clock of the caller's.
    ///
    /// # Errors
    /// As [`AppState::new`].
    pub fn with_clock(
        config: &Config,
        database: Database,
        lifecycle: Lifecycle,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let accounts = Accounts::new(database.clone(), Arc::clone(&clock));
        let sessions = config.auth.secret_key.clone().map(|key| {
            let fallbacks = config.auth.secret_key_fallbacks.iter().cloned();
            DjangoSessions::new(database.clone(), Arc::clone(&clock), key, fallbacks)
        });
        let links = image_links(config);
        let rate_limits = RateLimits::new(&config.rate_limits, Arc::clone(&clock));
        let service = build_service(config, database.clone(), clock)?;
        let django = sessions
            .clone()
            .map(|sessions| DjangoSide { sessions, cookie: config.auth.session_cookie.as_str().into() });
        let admin = Admin::new(
            &config.server.url_prefix,
            accounts.clone(),
            service.clone(),
            links.clone(),
            django,
            config.delivery.shape.delivery_url.as_deref(),
            config.effective(),
            rate_limits.clone(),
        );
        Ok(Self {
            service,
            authentication: Authentication::new(&config.auth, accounts.clone(), sessions),
            accounts,
            links,
            admin,
            rate_limits,
            database,
            lifecycle,
        })
    }
}

/// Where pictures are shown.
pub fn image_links(config: &Config) -> ImageLinks {
    let urls = DeliveryUrls::new(config.delivery.account_hash.clone(), &config.delivery.shape);
    ImageLinks::new(urls, config.uploads.thumbnail_variant.clone(), config.delivery.signing_key.clone())
}

/// Puts the service together: the use cases, with all that they need.
///
/// # Errors
/// If a setting that is needed is missing, or the HTTP client cannot be set up.
pub fn build_service(config: &Config, database: Database, clock: Arc<dyn Clock>) -> anyhow::Result<CloudflareService> {
    let client = cloudflare_client(config.cloudflare()?)?;
    let settings = ServiceSettings {
        default_expiry_minutes: config.uploads.default_expiry_minutes,
        require_signed_urls: config.uploads.require_signed_urls,
        default_metadata: config.uploads.default_metadata.clone(),
        default_creator: config.uploads.default_creator.clone().unwrap_or_default(),
        max_file_bytes: config.uploads.max_file_megabytes * 1_000_000,
        webhook: WebhookSettings {
            secret: config.webhook.secret.clone(),
            max_age_seconds: config.webhook.max_age_seconds,
            allowed_ips: config.webhook.allowed_ips.clone(),
        },
        signing_key: config.delivery.signing_key.clone(),
        host_delete_tables: config.database.host_delete_tables.clone(),
    };
    Ok(CloudflareService::new(client, database, clock, settings))
}

/// The client of Cloudflare's API for the account that is configured.
///
/// # Errors
/// If the HTTP client cannot be set up.
pub fn cloudflare_client(config: &CloudflareConfig) -> anyhow::Result<Client> {
    let settings = ClientSettings {
        base_url: config.base_url.clone(),
        account_id: config.account_id.clone(),
        api_token: config.api_token.clone(),
    };
    let limits = ClientLimits {
        timeout: config.timeout,
        max_requests: config.max_requests,
        instances: config.instances,
        max_concurrent_requests: config.max_concurrent_requests,
        slow_call: config.slow_call,
    };
    Client::with_limits(&settings, &limits).context("the client of Cloudflare's API cannot be set up")
}

/// Opens the database that is configured.
///
/// # Errors
/// If it cannot be reached, or is too old.
pub async fn open_database(config: &DatabaseConfig) -> anyhow::Result<Database> {
    let settings = DatabaseSettings {
        max_connections: config.max_connections,
        acquire_timeout: config.acquire_timeout,
        statement_timeout: config.statement_timeout,
        slow_query: config.slow_query,
        user_table: config.user_table.clone(),
        user_key: config.user_key,
    };
    Database::connect(config.url.expose_secret(), &settings)
        .await
        .context("the database (DATABASE_URL) cannot be opened")
}

macro_rules! parts {
    ($($field:ident: $part:ty),+ $(,)?) => {
        $(impl FromRef<AppState> for $part {
            fn from_ref(state: &AppState) -> Self {
                state.$field.clone()
            }
        })+
    };
}

parts! {
    service: CloudflareService,
    accounts: Accounts,
    authentication: Authentication,
    links: ImageLinks,
    database: Database,
    lifecycle: Lifecycle,
}
