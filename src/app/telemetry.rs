//! Logs, to standard error or to a file.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::log_file::LogFile;
use crate::config::{LogConfig, LogFormat};

/// Begins to log: as lines for people on a terminal, as JSON otherwise. Within a runtime, as the file is opened anew on SIGHUP.
///
/// # Errors
/// If the filter is not valid, the file cannot be written, or logging was begun already.
pub fn init(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).context("CFIMAGES_LOG is no filter for logs")?;
    let (writer, is_terminal) = match &config.file {
        Some(path) => (BoxMakeWriter::new(open_file(path)?), false),
        None => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
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

fn open_file(path: &Path) -> anyhow::Result<Arc<LogFile>> {
    let cannot = || format!("the log file {} (CFIMAGES_LOG_FILE) cannot be written", path.display());
    let file = Arc::new(LogFile::open(path).with_context(cannot)?);
    #[cfg(unix)]
    reopen_on_hangup(Arc::clone(&file)).context("SIGHUP cannot be listened for")?;
    Ok(file)
}

/// Opens the file anew each time that SIGHUP comes, which without a file ends the process.
#[cfg(unix)]
fn reopen_on_hangup(file: Arc<LogFile>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut hangups = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while hangups.recv().await.is_some() {
            match file.reopen() {
                Ok(()) => tracing::info!("Received SIGHUP: the log file was opened anew"),
                Err(error) => tracing::error!(error = %error, "The log file cannot be opened anew: {error}"),
            }
        }
    });
    Ok(())
}
