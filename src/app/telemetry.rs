//! Logs, to standard error.

use std::io::IsTerminal;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{LogConfig, LogFormat};

/// Begins to log: as lines for people on a terminal, as JSON otherwise.
///
/// # Errors
/// If the filter is not valid, or logging was begun already.
pub fn init(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).context("CFIMAGES_LOG is no filter for logs")?;
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        // It would complain on standard error, and panic where that cannot be written.
        .log_internal_errors(false)
        .with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none());
    let result = match config.format {
        LogFormat::Pretty => builder.try_init(),
        LogFormat::Auto if is_terminal => builder.try_init(),
        LogFormat::Json | LogFormat::Auto => {
            builder.json().flatten_event(true).with_current_span(false).with_span_list(true).try_init()
        }
    };
    result.map_err(|error| anyhow::anyhow!("logging cannot be set up: {error}"))
}
