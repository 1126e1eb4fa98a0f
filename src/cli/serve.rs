//! `cfimages serve`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::{Context, database};
use crate::app::{self, AppState, Lifecycle};
use crate::config::{Config, parse_listen, settings};
use crate::jobs;
use crate::store::{self, Database};

/// How long what was begun may go on after the last request was answered.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long Prometheus may take to read its last answer.
const METRICS_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cfimages serve --config /etc/cfimages/cfimages.toml --migrate\n  \
    cfimages config check              says what is missing")]
pub(super) struct ServeArgs {
    /// Listen on this address [default: 127.0.0.1:8000, or `CFIMAGES_LISTEN`].
    #[arg(long, value_name = "IP:PORT", value_parser = parse_listen)]
    listen: Option<SocketAddr>,
    /// Apply pending database migrations first, instead of refusing to start.
    #[arg(long)]
    migrate: bool,
}

impl ServeArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let flags = self.listen.map(|listen| (&settings::CFIMAGES_LISTEN, listen.to_string()));
        let config = context.serve_config(flags.into_iter().collect())?;
        app::init_telemetry(&config.log)?;
        let lifecycle = Lifecycle::default();
        lifecycle.stop_on_signals()?;
        let listener = app::bind(config.server.listen, "--listen").await?;
        let database = self.open_database(&config).await?;
        for warning in config.warnings() {
            warn!("{warning}");
        }
        warn_of_jobs_that_are_off(&config);
        info!(address = %listener.local_addr()?, "Listening on http://{}", listener.local_addr()?);
        run_server(&config, listener, database, lifecycle).await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn open_database(&self, config: &Config) -> anyhow::Result<Database> {
        if !self.migrate {
            return database::open_current(config).await;
        }
        let database = app::open_database(&config.database).await?;
        store::migrations::run(&database).await?;
        Ok(database)
    }
}

/// Answers requests and does the jobs until the service stops; then closes the database.
pub(super) async fn run_server(
    config: &Config,
    listener: TcpListener,
    database: Database,
    lifecycle: Lifecycle,
) -> anyhow::Result<()> {
    let metrics_listener = match config.server.metrics_listen {
        Some(address) => Some(app::bind(address, "CFIMAGES_METRICS_LISTEN").await?),
        None => None,
    };
    let state = AppState::new(config, database.clone(), lifecycle.clone())?;
    let service = state.service.clone();
    let metrics_router = app::metrics_router(service.clone());
    let router = app::build_router(state, &config.server);
    let mut jobs = JoinSet::new();
    if config.jobs.is_on {
        jobs.spawn(jobs::run(service.clone(), lifecycle.token()));
    }
    let listening = listening(lifecycle, config.server.shutdown_delay);
    let telling = async {
        if let Some(listener) = metrics_listener {
            info!(address = ?listener.local_addr(), "Telling Prometheus at /metrics");
            app::serve(listener, metrics_router, listening.clone(), METRICS_TIMEOUT).await;
        }
    };
    tokio::join!(telling, app::serve(listener, router, listening.clone(), config.server.shutdown_timeout));
    let finish = async {
        jobs.join_all().await;
        service.finish().await;
        database.close().await;
    };
    if tokio::time::timeout(FINISH_TIMEOUT, finish).await.is_err() {
        warn!("Gave up work that was still going on");
    }
    info!("Stopped");
    Ok(())
}

/// What ends by `delay` after the service begins to stop. Until then `/readyz` says so to those who ask, and everybody is answered.
fn listening(service: Lifecycle, delay: Duration) -> Lifecycle {
    let listening = Lifecycle::default();
    tokio::spawn({
        let listening = listening.clone();
        async move {
            service.stopped().await;
            tokio::time::sleep(delay).await;
            listening.stop();
        }
    });
    listening
}

fn warn_of_jobs_that_are_off(config: &Config) {
    if !config.jobs.is_on {
        warn!(
            "CFIMAGES_JOBS is false: unless another instance on this database has it true, nobody asks Cloudflare about uploads of \
             which no webhook told, or whose notification could not be confirmed, nothing is deleted there that was left after a failure, \
             and what staff want to be done with many images waits. Set it to true on one instance at least"
        );
    }
}
