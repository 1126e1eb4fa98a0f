//! `cfimages dev`

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;

use self::credentials::DevCredentials;
use super::emulator::{DeliveryArgs, run_emulator};
use super::{Context, data_folder, serve};
use crate::app::{self, Lifecycle, SystemClock};
use crate::config::{Config, Purpose, Setting, parse_listen, settings};
use crate::emulator::{Destination, Emulator, EmulatorConfig, StorageKind, Variant};
use crate::service::Accounts;
use crate::store::{self, Database};

mod credentials;

/// Tries everything on this machine: server, emulator of Cloudflare Images, database and a user.
#[derive(Debug, Args)]
#[command(
    after_help = "Everything is kept in the data folder, and found again at the next start. Delete the folder to begin anew."
)]
pub(super) struct DevArgs {
    /// Where the server listens; on this machine only.
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Where the emulator of Cloudflare Images listens; on this machine only.
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen, default_value = "127.0.0.1:8001")]
    emulator_listen: SocketAddr,
    /// The folder for database, pictures and credentials.
    #[arg(long, value_name = "DIR", default_value = "cfimages-dev")]
    data: PathBuf,
    #[command(flatten)]
    delivery: DeliveryArgs,
}

impl DevArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        require_loopback(self.listen, "--listen")?;
        require_loopback(self.emulator_listen, "--emulator-listen")?;
        let lifecycle = Lifecycle::default();
        lifecycle.stop_on_signals()?;
        let server_listener = app::bind(self.listen, "--listen").await?;
        let emulator_listener = app::bind(self.emulator_listen, "--emulator-listen").await?;

        let _lock = data_folder::lock(&self.data, "cfimages dev")?;
        let credentials = DevCredentials::load_or_create(&self.data)?;
        let emulator_address = emulator_listener.local_addr()?;
        let emulator_url = format!("http://{emulator_address}");
        let server_address = server_listener.local_addr()?;
        let config = load_config(context, &self.data, &credentials, server_address, &emulator_url)?;
        app::init_telemetry(&config.log)?;
        let database = open_database(&config, &credentials).await?;
        let emulator = self.open_emulator(&credentials, &config, server_address, emulator_address)?;

        // Where nobody reads it, the server is of use all the same.
        let welcome = welcome(&config, &credentials, &self.data, server_address, &emulator_url);
        let _ = std::io::stdout().write_all(welcome.as_bytes());
        let (result, ()) = tokio::join!(
            stopping_all(&lifecycle, serve::run_server(&config, server_listener, database, lifecycle.clone())),
            stopping_all(&lifecycle, run_emulator(emulator, emulator_listener, lifecycle.clone())),
        );
        result?;
        Ok(ExitCode::SUCCESS)
    }

    fn open_emulator(
        &self,
        credentials: &DevCredentials,
        config: &Config,
        server_address: SocketAddr,
        emulator_address: SocketAddr,
    ) -> anyhow::Result<Emulator> {
        let prefix = &config.server.url_prefix;
        let config = EmulatorConfig {
            account_id: credentials.account_id.clone(),
            account_hash: credentials.account_hash.clone(),
            api_token: credentials.api_token.clone(),
            limited_tokens: vec![],
            signing_keys: vec![("default".to_owned(), credentials.signing_key.clone())],
            public_url: format!("http://{emulator_address}"),
            address: emulator_address,
            storage: StorageKind::Folder(self.data.join("emulator")),
            variants: vec![Variant::public(), Variant::scale_down("thumbnail", 300, 300)],
            flexible_variants: true,
            sources: self.delivery.sources(),
            cache_bytes: self.delivery.cache_bytes(),
            notify: Some(Destination {
                url: format!("http://{server_address}{prefix}/api/webhook/"),
                secret: Some(credentials.webhook_secret.clone()),
            }),
            clock: Arc::new(SystemClock),
        };
        Emulator::open(config).context("the emulator cannot be opened")
    }
}

/// `dev` has a known user with a known password next to it, which is nothing for a network.
fn require_loopback(address: SocketAddr, flag: &str) -> anyhow::Result<()> {
    if !address.ip().is_loopback() {
        bail!("{flag} {address}: `dev` listens on this machine only (127.0.0.1 or [::1]); use `serve` for others");
    }
    Ok(())
}

/// The server is told of the emulator by the ordinary settings. What the environment and files say about anything else counts.
fn load_config(
    context: &Context,
    data: &Path,
    credentials: &DevCredentials,
    server_address: SocketAddr,
    emulator_url: &str,
) -> anyhow::Result<Config> {
    let presets = [(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false".to_owned())];
    let overrides: [(&'static Setting, String); 12] = [
        (&settings::DATABASE_URL, sqlite_url(&data.join("cfimages.db"))),
        (&settings::CFIMAGES_USER_TABLE, "auth_user".to_owned()),
        (&settings::CFIMAGES_USER_KEY, "integer".to_owned()),
        (&settings::CFIMAGES_LISTEN, server_address.to_string()),
        (&settings::CLOUDFLARE_IMAGES_BASE_URL, format!("{emulator_url}/client/v4")),
        (&settings::CLOUDFLARE_IMAGES_ACCOUNT_ID, credentials.account_id.clone()),
        (&settings::CLOUDFLARE_IMAGES_API_TOKEN, credentials.api_token.clone()),
        (&settings::CLOUDFLARE_IMAGES_ACCOUNT_HASH, credentials.account_hash.clone()),
        (&settings::CLOUDFLARE_IMAGES_SIGNING_KEY, credentials.signing_key.clone()),
        (&settings::CLOUDFLARE_IMAGES_WEBHOOK_SECRET, credentials.webhook_secret.clone()),
        (&settings::CLOUDFLARE_IMAGES_DELIVERY_URL, emulator_url.to_owned()),
        (&settings::CLOUDFLARE_IMAGES_DELIVERY_INCLUDE_ACCOUNT_HASH, "true".to_owned()),
    ];
    Ok(context.loader().presets(presets).overrides(overrides).load(Purpose::Serve)?)
}

/// Paths may hold what has a meaning in URLs.
fn sqlite_url(path: &Path) -> String {
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3F").replace('#', "%23");
    format!("sqlite://{path}")
}

async fn open_database(config: &Config, credentials: &DevCredentials) -> anyhow::Result<Database> {
    let database = app::open_database(&config.database).await?;
    store::migrations::run(&database).await?;
    let accounts = Accounts::new(database.clone(), Arc::new(SystemClock));
    accounts.ensure_admin(&credentials.username, &credentials.password, &credentials.token).await?;
    Ok(database)
}

/// Where one of the two ends, the other has no use.
async fn stopping_all<T>(lifecycle: &Lifecycle, task: impl Future<Output = T>) -> T {
    let result = task.await;
    lifecycle.stop();
    result
}

fn welcome(
    config: &Config,
    credentials: &DevCredentials,
    data: &Path,
    server_address: SocketAddr,
    emulator_url: &str,
) -> String {
    let api = format!("http://{server_address}{}/api", config.server.url_prefix);
    let admin = format!("http://{server_address}{}/admin", config.server.url_prefix);
    format!(
        "\
cfimages {version} is running on this machine only.

  Admin site    {admin}/
  API           {api}/
  Description   {api}/openapi.json
  Emulator      {emulator_url}/
  User          {username}
  Password      {password}
  API token     {token}
  Data          {data}

Get an upload URL:

  curl -X POST -H 'Authorization: Token {token}' {api}/upload-url/

Then send a picture to the upload_url of the answer:

  curl -F file=@photo.jpg UPLOAD_URL

Ctrl-C stops everything.
",
        version = env!("CARGO_PKG_VERSION"),
        username = credentials.username,
        password = credentials.password,
        token = credentials.token,
        data = data.display(),
    )
}
