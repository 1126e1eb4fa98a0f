//! The client of Cloudflare's REST API.
//!
//! It knows Cloudflare's words and nothing of ours: no database, no settings but its own. Ground truth is Cloudflare's published
//! OpenAPI document; where that is silent or the service differs, answers are read leniently.

mod client;
mod error;
mod json;
mod list_filter;
mod lists;
mod model;
mod notification_policies;
mod operation;
mod transport;
mod webhook_destinations;

pub use client::{Client, ClientSettings, ClientSetupError};
pub use error::{ApiMessage, Error};
pub use list_filter::{ImageListFilter, MetadataFilter, MetadataFilterError, MetadataTest, PerPage, UploadOrder};
pub use lists::{ImagePage, ImagePages, ListedImage, NumberedPages, PageToken};
pub use model::{DirectUpload, DirectUploadRequest, ImageDetails, ImageUpdate, NewImageFields, SigningKey, UploadFile};
pub use notification_policies::{Mechanisms, NewNotificationPolicy, NotificationPolicy, NotificationPolicyUpdate};
pub use operation::Operation;
pub use webhook_destinations::{WebhookDestination, WebhookDestinationFields};
