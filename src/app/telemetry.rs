//! Logs, to standard error or to a file.

use std::fmt::Debug;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::fmt::format::{FmtSpan, Writer, debug_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::fmt::{FormatFields, MakeWriter};

use super::log_file::LogFile;
use crate::config::{LogConfig, LogFormat};
use crate::domain::{printable, printable_json};

/// Begins to log: as lines for people on a terminal, as JSON otherwise. Within a runtime, as the file is opened anew on SIGHUP.
///
/// # Errors
/// If the filter is not valid, the file cannot be written, or logging was begun already.
pub fn init(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.filter).context("CFIMAGES_LOG is no filter for logs")?;
    let (writer, is_terminal) = match &config.file {
        Some(path) => (BoxMakeWriter::new(open_file(path)?), false),
        None => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
    };
    let is_json = match config.format {
        LogFormat::Json => true,
        LogFormat::Pretty => false,
        LogFormat::Auto => !is_terminal,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_span_events(FmtSpan::NONE)
        // It would complain on standard error, and panic where that cannot be written.
        .log_internal_errors(false)
        .with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none());
    let result = if is_json {
        builder
            .with_writer(PrintableJson(writer))
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(true)
            .try_init()
    } else {
        builder.with_writer(writer).fmt_fields(printable_fields()).try_init()
    };
    result.map_err(|error| anyhow::anyhow!("logging cannot be set up: {error}"))
}

/// Fields in the form of the library, but with printable values on one line: it leaves those as they are that are no messages.
fn printable_fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    let write_field = |writer: &mut Writer<'_>, field: &Field, value: &dyn Debug| {
        let value = printable(&format!("{value:?}"));
        match field.name() {
            "message" => write!(writer, "{value}"),
            name if writer.has_ansi_escapes() => write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}"),
            name => write!(writer, "{name}={value}"),
        }
    };
    debug_fn(write_field).delimited(" ")
}

/// Where JSON goes, to be printable.
struct PrintableJson<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for PrintableJson<M> {
    type Writer = PrintableJson<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        PrintableJson(self.0.make_writer())
    }
}

impl<W: Write> Write for PrintableJson<W> {
    /// Writes a whole line, as it comes.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(printable_json(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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
fn reopen_on_hangup(file: Arc<LogFile>) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Seek};

    use tracing::subscriber::with_default;

    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\r\n\u{7f}\u{9b}31m\u{202e}gpj\u{e0041}";

    fn log_hostile() {
        let _span = tracing::info_span!("request", path = %HOSTILE).entered();
        tracing::info!(value = HOSTILE, error = %HOSTILE, "The value is {HOSTILE}");
    }

    fn text_of(mut file: &File) -> String {
        let mut text = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    }

    fn is_hostile(c: char) -> bool {
        matches!(c, '\r' | '\u{7f}' | '\u{9b}' | '\u{202e}' | '\u{e0041}')
    }

    #[test]
    fn no_value_steers_the_terminal_that_shows_lines() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let builder = tracing_subscriber::fmt().with_ansi(true).with_writer(Arc::clone(&file));
        with_default(builder.fmt_fields(printable_fields()).finish(), log_hostile);
        let line = text_of(&file);
        assert!(!line.contains(is_hostile) && !line.contains("\u{1b}[2J"), "{line:?}");
        assert_eq!(line.find('\n'), Some(line.len() - 1), "{line:?}");
        assert_eq!(line.matches(r"31m\u{202e}gpj\u{e0041}").count(), 4, "{line:?}");
        assert!(line.contains("\u{1b}[3merror\u{1b}[0m"), "{line:?}");
    }

    #[test]
    fn no_value_steers_the_terminal_that_shows_json() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let builder = tracing_subscriber::fmt().with_writer(PrintableJson(Arc::clone(&file)));
        with_default(builder.json().flatten_event(true).finish(), log_hostile);
        let json = text_of(&file);
        assert!(!json.contains(is_hostile) && !json.contains('\u{1b}'), "{json:?}");
        let event: serde_json::Value = serde_json::from_str(&json).unwrap();
        for value in [&event["value"], &event["error"], &event["span"]["path"]] {
            assert_eq!(value, HOSTILE);
        }
    }
}
