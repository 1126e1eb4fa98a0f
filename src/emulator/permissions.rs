//! What tokens of the REST API are good for.

use std::fmt;
use std::str::FromStr;

use axum::http::Method;

/// What a token may be allowed to do: Cloudflare's permission groups, as far as they are about this API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// `GET` of all that is below `images/`, but for batch tokens.
    ImagesRead,
    /// The same, and everything else below `images/`.
    ImagesWrite,
    /// `GET` of all that is below `alerting/`.
    NotificationsRead,
    /// The same, and everything else below `alerting/`.
    NotificationsWrite,
}

impl Permission {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::ImagesRead, Self::ImagesWrite, Self::NotificationsRead, Self::NotificationsWrite];

    /// The name, such as `images-read`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ImagesRead => "images-read",
            Self::ImagesWrite => "images-write",
            Self::NotificationsRead => "notifications-read",
            Self::NotificationsWrite => "notifications-write",
        }
    }

    /// What a request takes, by its path below the account; `None` where there is nothing to be allowed. That a batch token takes
    /// `ImagesWrite` is UNCONFIRMED: it can do what that can.
    pub(super) fn needed(method: &Method, path: &str) -> Option<Self> {
        let only_reads = matches!(*method, Method::GET | Method::HEAD) && path != "images/v1/batch_token";
        match path.split('/').next()? {
            "images" if only_reads => Some(Self::ImagesRead),
            "images" => Some(Self::ImagesWrite),
            "alerting" if only_reads => Some(Self::NotificationsRead),
            "alerting" => Some(Self::NotificationsWrite),
            _ => None,
        }
    }

    fn includes(self, needed: Self) -> bool {
        self == needed
            || matches!(
                (self, needed),
                (Self::ImagesWrite, Self::ImagesRead) | (Self::NotificationsWrite, Self::NotificationsRead)
            )
    }
}

impl FromStr for Permission {
    type Err = InvalidPermission;

    fn from_str(name: &str) -> Result<Self, InvalidPermission> {
        Self::ALL.into_iter().find(|permission| permission.as_str() == name).ok_or(InvalidPermission)
    }
}

/// A permission that does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a permission is images-read, images-write, notifications-read or notifications-write")]
pub struct InvalidPermission;

/// A bearer token with fewer permissions than all. [`Debug`](fmt::Debug) leaves the token itself out.
#[derive(Clone, PartialEq, Eq)]
pub struct LimitedToken {
    /// What is sent.
    pub token: String,
    /// What it is good for.
    pub permissions: Vec<Permission>,
}

impl LimitedToken {
    pub(super) fn allows(&self, needed: Permission) -> bool {
        self.permissions.iter().any(|permission| permission.includes(needed))
    }
}

impl fmt::Debug for LimitedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitedToken").field("permissions", &self.permissions).finish_non_exhaustive()
    }
}
