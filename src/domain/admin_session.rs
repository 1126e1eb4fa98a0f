//! Who is signed in to the admin site.

use super::Timestamp;

/// A session of the admin site; a row of `cfimages_admin_sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct AdminSession {
    /// The row's number, which says nothing about the token.
    pub id: i64,
    /// The key of the user, as text.
    pub user_key: String,
    /// When the user signed in.
    pub created_at: Timestamp,
    /// When the last request came, to the minute.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// The address that the user signed in from, behind trusted proxies.
    pub client: Option<String>,
    /// The browser as it names itself, at most [`AdminSession::MAX_AGENT_CHARS`] characters.
    pub user_agent: String,
}

impl AdminSession {
    /// How much is kept of a browser's name.
    pub const MAX_AGENT_CHARS: usize = 300;
    /// After so long it ends, whatever happens: Django's own time.
    pub const MAX_MINUTES: i64 = 14 * 24 * 60;
    /// After so long without a request it ends: whoever works here daily stays signed in, and a browser that was left open somewhere is
    /// of no use to others the day after.
    pub const MAX_IDLE_MINUTES: i64 = 24 * 60;
}
