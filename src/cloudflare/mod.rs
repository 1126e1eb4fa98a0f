//! The client of Cloudflare's REST API.
//!
//! It knows Cloudflare's words and nothing of ours: no database, no settings but its own. Ground truth is Cloudflare's published
//! OpenAPI document; where that is silent or the service differs, answers are read leniently.

mod account;
mod breaker;
mod client;
mod error;
mod failure;
mod image_details;
mod images;
mod json;
mod last_calls;
mod limiter;
mod limits;
mod list_filter;
mod lists;
mod notification_policies;
mod operation;
mod originals;
mod patience;
mod reason;
mod retry;
mod signing_keys;
mod transport;
mod uploads;
mod variants;
mod webhook_destinations;

pub use account::{ImageSettingsUpdate, ImageStats};
pub use breaker::Outage;
pub use client::{Client, ClientSettings, ClientSetupError};
pub use error::{ApiMessage, Error};
pub use image_details::ImageDetails;
pub use images::ImageUpdate;
pub use limits::{ClientLimits, Headroom, Health, LastFailure};
pub use list_filter::{ImageListFilter, MetadataFilter, MetadataFilterError, MetadataTest, PerPage, UploadOrder};
pub use lists::{ImagePage, ImagePages, ListedImage, NumberedPages, PageToken};
pub use notification_policies::{Mechanisms, NewNotificationPolicy, NotificationPolicy, NotificationPolicyUpdate};
pub use operation::{Operation, Repeat};
pub use originals::OriginalImage;
pub use reason::Reason;
pub use signing_keys::SigningKey;
pub use uploads::{DirectUpload, DirectUploadRequest, NewImageFields, UploadFile};
pub use variants::{Variant, VariantFit, VariantMetadata, VariantOptions, VariantUpdate};
pub use webhook_destinations::{WebhookDestination, WebhookDestinationFields};
