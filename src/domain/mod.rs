//! The types that all layers share. Pure: no I/O, no clock, no configuration.

mod account_figures;
mod admin_session;
mod browsing;
mod bulk_run;
mod clock;
mod due_image;
#[cfg(feature = "server")]
mod error_chain;
mod image;
mod image_keys;
mod isoformat;
mod json;
mod log_query;
#[cfg(any(feature = "server", feature = "emulator"))]
mod loopback;
#[cfg(feature = "server")]
mod networks;
mod page;
mod pending_deletion;
mod picture_format;
mod printable;
mod selection;
mod staff_action;
mod stats;
mod table_name;
mod timestamp;
mod upload_log;
mod usage;
mod usage_source;
mod user;
mod webhook_delivery;

pub use account_figures::AccountFigures;
pub use admin_session::AdminSession;
pub use browsing::{BrowseBy, BrowseFrom, BrowseOrder, BrowsePosition, ImageQuery};
pub use bulk_run::{BulkFailure, BulkRun, BulkSelection, BulkState, BulkStep, ImagesInHand, Legible};
pub use clock::{Clock, ManualClock};
pub use due_image::{Due, DueImage, WaitingImage, WaitingPlace};
#[cfg(feature = "server")]
pub(crate) use error_chain::error_chain;
pub use image::{
    CloudflareId, Image, ImageChanges, ImageEdit, ImageId, ImageStatus, NewImage, RegisteredImage, RemoteChanges,
    UploadUrl, Variants,
};
pub use image_keys::{ImageKey, ImageKeys};
pub use json::{Json, JsonError};
pub use log_query::{LogFilter, LogPlace, LoggedEvent};
#[cfg(any(feature = "server", feature = "emulator"))]
pub use loopback::is_loopback_url;
#[cfg(feature = "server")]
pub use networks::{ClientNetwork, Networks, ParseNetworksError};
pub use page::{Page, PageFrom, PageRequest, Stretch};
pub use pending_deletion::{DeletionReason, ImageMarks, NewPendingDeletion, PendingDeletion, PendingPlace};
pub use picture_format::PictureFormat;
pub use printable::{is_unprintable, printable, printable_but, printable_json};
pub use selection::{ImageFilter, ImageOrder, ImageSort, MetadataMatch};
pub use staff_action::{FieldChanges, MetadataEdit, StaffActed, StaffAction, StaffEdit};
pub use stats::{ImageStats, StatusCounts};
pub use table_name::{ParseTableNameError, TableName, quote_identifier};
pub use timestamp::{ParseTimestampError, Timestamp};
pub use upload_log::{LogEntry, RecentEvent, UploadEvent};
pub use usage::{
    ContentType, ImageUsage, ParseContentTypeError, UsageEntry, UsageOrder, UsageQuery, UsageSelection, UsageSlot,
    UsageSort,
};
pub use usage_source::{ParseUsageSourceError, UsageSource};
pub use user::{Account, AccountFilter, AccountPlace, NewUser, Role, User, UserId, UserKey};
pub use webhook_delivery::{
    DeliveryDigest, DeliveryFilter, DeliveryPlace, KeptDelivery, ParseDigestError, WebhookDelivery, WebhookForm,
    WebhookOutcome, WebhookProof,
};
