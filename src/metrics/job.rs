//! What the server does beside answering requests, in the words of those who count.

/// Something that is done again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKind {
    /// Cloudflare is asked about uploads of which no webhook told.
    Polling,
    /// What was left at Cloudflare after a failure is seen to.
    Compensation,
    /// What staff want to be done with many images is done.
    Bulk,
    /// Uploads whose URL has ended are marked, when somebody asks for it.
    Cleanup,
}

impl JobKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Polling, Self::Compensation, Self::Bulk, Self::Cleanup];

    /// One word, as it is in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::Compensation => "compensation",
            Self::Bulk => "bulk",
            Self::Cleanup => "cleanup",
        }
    }

    /// What may become of the things that it has to do with.
    pub const fn outcomes(self) -> &'static [&'static str] {
        match self {
            Self::Polling => &["changed", "unchanged", "failed"],
            Self::Compensation => &["deleted", "kept", "failed"],
            Self::Bulk => &["done", "unchanged", "failed"],
            Self::Cleanup => &["expired"],
        }
    }
}

/// What became of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Round {
    /// All that was to be done was done, be it nothing.
    Worked,
    /// It ended with an error.
    Failed,
    /// It ended with a panic.
    Panicked,
}

impl Round {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Worked, Self::Failed, Self::Panicked];

    /// One word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worked => "worked",
            Self::Failed => "failed",
            Self::Panicked => "panicked",
        }
    }
}
