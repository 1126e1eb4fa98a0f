//! The client of Cloudflare's REST API.
//!
//! It knows Cloudflare's words and nothing of ours: no database, no settings but its own. Ground truth is Cloudflare's published
//! OpenAPI document; where that is silent or the service differs, answers are read leniently.

mod client;
mod error;
mod list_filter;
mod lists;
mod model;
mod operation;
mod transport;

pub use client::{Client, ClientSettings, ClientSetupError};
pub use error::{ApiMessage, Error};
pub use list_filter::{ImageListFilter, MetadataFilter, MetadataFilterError, MetadataTest, PerPage, UploadOrder};
pub use lists::{ImagePage, ImagePages, ListedImage, NumberedPages, PageToken};
pub use model::{DirectUpload, DirectUploadRequest, ImageDetails, ImageUpdate, NewImageFields, SigningKey, UploadFile};
pub use operation::Operation;
