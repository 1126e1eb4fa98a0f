//! Why a use case failed.

use crate::domain::ImageUsage;
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
    /// Content refers to the image. The text is the toolkit's.
    #[error("Image is still referenced by content.")]
    InUse(Vec<ImageUsage>),
    /// Rows of the application refer to the image and cannot be without it.
    #[error(
        "{rows} {} of the table {table} {} this image. Change or delete {} first, or list the table in \
         CFIMAGES_HOST_DELETE_TABLES, so that such rows are deleted with their image.",
        if *rows == 1 { "row" } else { "rows" }, if *rows == 1 { "requires" } else { "require" }, if *rows == 1 { "it" } else { "them" }
    )]
    RequiredByHost {
        /// The table, with its schema where that is not on the search path.
        table: String,
        /// How many of its rows there are.
        rows: u64,
    },
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
