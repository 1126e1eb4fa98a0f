//! What the server does beside answering requests.

use super::parse;
use super::settings::CFIMAGES_JOBS;
use super::values::Values;

/// What the server does beside answering requests.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    /// Whether this instance does the jobs, not only others on the same database.
    pub is_on: bool,
}

impl JobsConfig {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        Some(Self { is_on: values.read(&CFIMAGES_JOBS, parse::flag)? })
    }
}
