//! The client of Cloudflare's REST API.
//!
//! It knows Cloudflare's words and nothing of ours: no database, no settings but its own. Ground truth is Cloudflare's published
//! OpenAPI document; where that is silent or the service differs, answers are read leniently.

mod breaker;
mod client;
mod error;
mod failure;
mod limiter;
mod limits;
mod model;
mod operation;
mod patience;
mod retry;
mod transport;

pub use breaker::Outage;
pub use client::{Client, ClientSettings, ClientSetupError};
pub use error::{ApiMessage, Error};
pub use limits::{ClientLimits, Health};
pub use model::{DirectUpload, DirectUploadRequest, ImageDetails, ImageUpdate, NewImageFields, SigningKey, UploadFile};
pub use operation::{Operation, Repeat};
