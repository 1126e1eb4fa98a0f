//! Why transformations are refused.

use super::info::OPTIONS;

/// Why a transformation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// The value is none that the option takes.
    #[error("{option} must be {allowed}")]
    Invalid {
        /// The name of the option.
        option: &'static str,
        /// What it takes.
        allowed: &'static str,
    },
    /// The option, or its value, cannot be used in this place.
    #[error("{option} {reason}")]
    Unusable {
        /// The name of the option.
        option: &'static str,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// The option is given twice.
    #[error("{option} is given more than once")]
    Repeated {
        /// The name of the option.
        option: &'static str,
    },
    /// There is no such option.
    #[error("{} is not an option; there are: {}", .0, option_names())]
    Unknown(String),
    /// A part of a list of options is not of the form `name=value`.
    #[error("{0:?} is not an option of the form name=value")]
    Malformed(String),
    /// Options for the URL of a private picture.
    #[error(
        "the URL is signed, and private pictures are delivered in named variants only: make a variant at Cloudflare, and sign \
         its URL"
    )]
    Signed,
    /// A URL without options.
    #[error("there is no option that changes the picture")]
    NotTransformed,
}

impl TransformError {
    /// The option that is wrong; none where it is not a matter of one.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::Invalid { option, .. } | Self::Unusable { option, .. } | Self::Repeated { option } => Some(option),
            Self::Unknown(name) => Some(name),
            Self::Malformed(_) | Self::Signed | Self::NotTransformed => None,
        }
    }

    /// What is wrong, as a sentence that stands beside the name of the option.
    pub fn problem(&self) -> String {
        match self {
            Self::Invalid { allowed, .. } => format!("Must be {allowed}."),
            Self::Unusable { reason, .. } => format!("This option {reason}."),
            Self::Repeated { .. } => "Is given more than once.".to_owned(),
            Self::Unknown(_) => format!("Is not an option; there are: {}.", option_names()),
            other => format!("{other}."),
        }
    }
}

fn option_names() -> String {
    OPTIONS.iter().map(|option| option.name).collect::<Vec<_>>().join(", ")
}
