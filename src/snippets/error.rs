//! Why there is no fragment.

use crate::delivery::{PictureError, TransformError};

/// Why a fragment cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnippetError {
    /// The URL shows no picture.
    #[error("url {0}")]
    Picture(#[from] PictureError),
    /// A size or another option is out of its range.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// The widths are none.
    #[error("widths must be whole numbers from 1 to 12000 with commas between them, such as 320,640,1024")]
    Widths,
    /// The number of columns is none that there is.
    #[error("columns must be a whole number from 1 to 12")]
    Columns,
    /// The endpoint of an upload form cannot be called.
    #[error(
        "api_endpoint must be a path or a URL of http:// or https:// that ends in /api/upload-url/, such as /cloudflare-images/api/upload-url/"
    )]
    Endpoint,
}
