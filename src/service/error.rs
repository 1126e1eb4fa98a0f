//! Why a use case failed.

use crate::{cloudflare, store};

/// Why a use case failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such image, or it is somebody else's.
    #[error("there is no such image")]
    NotFound,
    /// The custom id is taken.
    #[error("an image with this custom ID exists")]
    CustomIdTaken,
    /// Cloudflare does not allow private images with a custom id.
    #[error("images with a custom ID cannot be private")]
    CustomIdCannotBePrivate,
    /// A call to Cloudflare failed.
    #[error("{operation}: {cause}")]
    Cloudflare {
        /// What was tried, in the toolkit's words: `Failed to check image status`.
        operation: &'static str,
        /// Why it failed.
        #[source]
        cause: cloudflare::Error,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Says what was tried when Cloudflare failed.
    pub(super) fn cloudflare(operation: &'static str) -> impl FnOnce(cloudflare::Error) -> Self {
        move |cause| Self::Cloudflare { operation, cause }
    }
}
