//! `cfimages emulator`

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;
use tokio::net::TcpListener;

use super::{Context, data_folder};
use crate::app::{self, Lifecycle, SystemClock};
use crate::config::{Purpose, parse_listen};
use crate::domain::is_loopback_url;
use crate::emulator::{
    Destination, Emulator, EmulatorConfig, Fault, FaultPlan, InvalidPermission, LimitedToken, RateLimit, Sources,
    StorageKind, Variant,
};

/// How long requests in flight may take when the process is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// The token that everybody knows.
const DEFAULT_TOKEN: &str = "emulator-token";
/// The window of `--rate-limit`, in seconds, as at Cloudflare.
const RATE_WINDOW: u32 = 300;

/// Runs the emulator of Cloudflare Images alone, for applications and test suites in any language.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cfimages emulator                                  keeps pictures in ./cfimages-emulator\n  \
    cfimages emulator --memory --listen 127.0.0.1:0    for a test suite: any free port, nothing kept\n  \
    cfimages emulator --memory --error-rate 0.1 --latency-ms 200\n\n\
    docs/emulator.md tells what it does, how tests let single calls fail, and where it differs from Cloudflare.")]
pub(super) struct EmulatorArgs {
    /// Where it listens; for others than this machine only with a token of your own.
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen, default_value = "127.0.0.1:8001")]
    listen: SocketAddr,
    /// Where clients reach it: the start of upload URLs, and a name that the API and the page are answered under, beside addresses and names without a dot; for others than this machine, too, only with a token of your own [default: http:// and the address it listens on].
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The folder for pictures and settings.
    #[arg(long, value_name = "DIR", default_value = "cfimages-emulator", conflicts_with = "memory")]
    data: PathBuf,
    /// Keep everything in memory, until it stops.
    #[arg(long)]
    memory: bool,
    /// The account in the paths of the API.
    #[arg(long, value_name = "ID", default_value = "0123456789abcdef0123456789abcdef")]
    account_id: String,
    /// The account in delivery URLs.
    #[arg(long, value_name = "HASH", default_value = "cfimages-emulator-hash")]
    account_hash: String,
    /// The token of the API.
    #[arg(long, value_name = "TOKEN", default_value = DEFAULT_TOKEN)]
    api_token: String,
    /// A token that may do less: images-read, images-write, notifications-read, notifications-write. May be repeated.
    #[arg(long = "token", value_name = "TOKEN=PERMISSION,...", value_parser = parse_limited_token)]
    limited_tokens: Vec<LimitedToken>,
    /// The key for signed URLs of a new account, by the name `default`.
    #[arg(long, value_name = "KEY", default_value = "emulator-signing-key")]
    signing_key: String,
    /// Whether a new account has flexible variants.
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, default_value_t = true)]
    flexible_variants: bool,
    /// Announce direct creator uploads to this webhook.
    #[arg(long, value_name = "URL")]
    webhook: Option<String>,
    /// What the webhook gets as `cf-webhook-auth`.
    #[arg(long, value_name = "SECRET", requires = "webhook")]
    webhook_secret: Option<String>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    faults: FaultArgs,
}

/// What is delivered besides the pictures of the account, and how much of it is kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
pub(super) struct DeliveryArgs {
    /// Transform pictures of this host at /cdn-cgi/image/, on any of its ports; `*.example.com` are its subdomains. May be repeated.
    #[arg(long, value_name = "HOST")]
    allow_source: Vec<String>,
    /// The site that pictures at /cdn-cgi/image/ are on whose URL has no host.
    #[arg(long, value_name = "URL")]
    origin: Option<String>,
    /// Keep so many megabytes of transformed pictures; 0 keeps none.
    #[arg(long, value_name = "MB", default_value_t = 256)]
    cache_size_mb: u64,
}

impl DeliveryArgs {
    pub(super) fn sources(&self) -> Sources {
        Sources { hosts: self.allow_source.clone(), origin: self.origin.clone() }
    }

    pub(super) fn cache_bytes(&self) -> u64 {
        self.cache_size_mb.saturating_mul(1_000_000)
    }
}

/// What goes wrong from the start.
#[derive(Debug, Args)]
#[command(next_help_heading = "Faults")]
struct FaultArgs {
    /// Begin with the plan of faults in this JSON file, as `PUT /_cfimages/faults` takes it.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Answer all calls of the API so much later.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    latency_ms: u64,
    /// Answer this part of the calls of the API with 500, from 0 to 1.
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    error_rate: f64,
    /// Which calls these are: the same number, the same calls.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Answer more calls of the API than these in five minutes with 429.
    #[arg(long, value_name = "CALLS")]
    rate_limit: Option<u64>,
    /// Write errors as text, not as JSON.
    #[arg(long)]
    plain_text_errors: bool,
}

impl FaultArgs {
    fn plan(&self) -> anyhow::Result<FaultPlan> {
        let mut plan = self.faults.as_deref().map(read_plan).transpose()?.unwrap_or_default();
        let delay = Duration::from_millis(self.latency_ms);
        if self.error_rate != 0.0 {
            plan.faults.push(Fault::error(500).rate(self.error_rate).always().delay(delay));
        }
        if self.latency_ms > 0 {
            plan.faults.push(Fault::slow(delay).always());
        }
        plan.seed = self.seed.unwrap_or(plan.seed);
        let limit = |requests| RateLimit { requests, seconds: RATE_WINDOW };
        plan.rate_limit = self.rate_limit.map(limit).or(plan.rate_limit);
        plan.plain_text_errors |= self.plain_text_errors;
        Ok(plan)
    }
}

fn read_plan(path: &Path) -> anyhow::Result<FaultPlan> {
    let text = std::fs::read(path).with_context(|| format!("--faults {} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("--faults {} is no plan of faults", path.display()))
}

fn parse_limited_token(text: &str) -> Result<LimitedToken, String> {
    // Tokens of a kind end in equals signs; permissions have none.
    let (token, permissions) = text.rsplit_once('=').ok_or("it has the form TOKEN=PERMISSION,...")?;
    let permissions: Result<_, _> = permissions.split(',').map(str::parse).collect();
    Ok(LimitedToken {
        token: token.to_owned(),
        permissions: permissions.map_err(|error: InvalidPermission| error.to_string())?,
    })
}

impl EmulatorArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        self.check_token()?;
        let plan = self.faults.plan()?;
        app::init_telemetry(&context.loader().load(Purpose::Database)?.log)?;
        let lifecycle = Lifecycle::default();
        lifecycle.stop_on_signals()?;
        let listener = app::bind(self.listen, "--listen").await?;
        let _lock = if self.memory { None } else { Some(data_folder::lock(&self.data, "cfimages emulator")?) };
        let address = listener.local_addr()?;
        let url = match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{address}"),
        };
        let emulator = Emulator::open(self.config(&url, address)).context("the emulator cannot be opened")?;
        emulator.faults().set(plan).context("--faults or --error-rate")?;
        // Where nobody reads it, the emulator is of use all the same.
        let _ = std::io::stdout().write_all(self.welcome(&url).as_bytes());
        run_emulator(emulator, listener, lifecycle).await;
        Ok(ExitCode::SUCCESS)
    }

    /// Others than this machine need more than the token that everybody knows.
    fn check_token(&self) -> anyhow::Result<()> {
        let open = match &self.public_url {
            _ if !self.listen.ip().is_loopback() => format!("--listen {}", self.listen),
            Some(url) if !is_loopback_url(url) => format!("--public-url {url}"),
            _ => return Ok(()),
        };
        ensure!(self.api_token != DEFAULT_TOKEN, "{open}: choose a token with --api-token, since others may reach it");
        Ok(())
    }

    fn config(&self, url: &str, address: SocketAddr) -> EmulatorConfig {
        let storage = if self.memory { StorageKind::Memory } else { StorageKind::Folder(self.data.join("images")) };
        EmulatorConfig {
            account_id: self.account_id.clone(),
            account_hash: self.account_hash.clone(),
            api_token: self.api_token.clone(),
            limited_tokens: self.limited_tokens.clone(),
            signing_keys: vec![("default".to_owned(), self.signing_key.clone())],
            public_url: url.to_owned(),
            address,
            storage,
            variants: vec![Variant::public(), Variant::scale_down("thumbnail", 300, 300)],
            flexible_variants: self.flexible_variants,
            sources: self.delivery.sources(),
            cache_bytes: self.delivery.cache_bytes(),
            notify: self.webhook.clone().map(|url| Destination { url, secret: self.webhook_secret.clone() }),
            clock: Arc::new(SystemClock),
        }
    }

    fn welcome(&self, url: &str) -> String {
        let Self { account_id, account_hash, api_token, signing_key, .. } = self;
        let data = if self.memory { "in memory".to_owned() } else { self.data.display().to_string() };
        format!(
            "\
The emulator of Cloudflare Images is running.

  Page            {url}/
  API base URL    {url}/client/v4
  Account id      {account_id}
  API token       {api_token}
  Account hash    {account_hash}
  Signing key     {signing_key}
  Delivery        {url}/{account_hash}/IMAGE_ID/VARIANT
  Faults          {url}/_cfimages/faults
  Data            {data}

Try it:

  curl -H 'Authorization: Bearer {api_token}' -F file=@photo.jpg {url}/client/v4/accounts/{account_id}/images/v1

Settings for `cfimages serve`:

  CLOUDFLARE_IMAGES_BASE_URL={url}/client/v4
  CLOUDFLARE_IMAGES_ACCOUNT_ID={account_id}
  CLOUDFLARE_IMAGES_API_TOKEN={api_token}
  CLOUDFLARE_IMAGES_ACCOUNT_HASH={account_hash}
  CLOUDFLARE_IMAGES_DELIVERY_URL={url}

Ctrl-C stops it.
"
        )
    }
}

/// Answers until the process stops, and then ends what was begun.
pub(super) async fn run_emulator(emulator: Emulator, listener: TcpListener, lifecycle: Lifecycle) {
    app::serve(listener, emulator.router(), lifecycle, GRACE).await;
    emulator.finish().await;
}
