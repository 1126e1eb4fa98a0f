//! What is logged, and in which form.

use std::fmt;
use std::path::PathBuf;

use tracing_subscriber::EnvFilter;

use super::parse;
use super::settings::{CFIMAGES_LOG, CFIMAGES_LOG_FILE, CFIMAGES_LOG_FORMAT};
use super::values::Values;

/// What is logged, and in which form.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// What is logged, in the syntax of `tracing_subscriber::EnvFilter`, which takes it.
    pub filter: String,
    /// The form of the lines.
    pub format: LogFormat,
    /// Where the lines go; none for standard error.
    pub file: Option<PathBuf>,
}

/// The form of the lines of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// [`LogFormat::Pretty`] on a terminal, else [`LogFormat::Json`].
    Auto,
    /// For people.
    Pretty,
    /// For machines.
    Json,
}

impl LogConfig {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let filter = values.read(&CFIMAGES_LOG, filter);
        let format = values.read(&CFIMAGES_LOG_FORMAT, LogFormat::parse);
        let file = values.read(&CFIMAGES_LOG_FILE, parse::plain);
        Some(Self { filter: filter?, format: format?, file: file.map(PathBuf::from) })
    }
}

impl LogFormat {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "pretty" => Ok(Self::Pretty),
            "json" => Ok(Self::Json),
            _ => Err("must be auto, pretty or json".to_owned()),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Pretty => "pretty",
            Self::Json => "json",
        })
    }
}

fn filter(text: &str) -> Result<String, String> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be a level or a list such as info,sqlx=warn".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_those_of_tracing() {
        for text in ["info", "warn,cfimages=debug,sqlx::query=off", "off"] {
            assert_eq!(filter(text).as_deref(), Ok(text));
        }
        for text in ["info,sqlx=loud", "=debug=", "a=b=c"] {
            assert!(filter(text).is_err(), "{text}");
        }
    }
}
