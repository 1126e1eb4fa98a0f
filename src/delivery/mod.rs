//! Delivery of pictures: the URLs they are reached by, and the signatures of private ones.
//!
//! Pure: no I/O, no clock, no configuration types. Usable as a library with `--no-default-features`.

mod signed_url;
mod urls;

pub use signed_url::{SignatureError, sign, verify};
pub use urls::{DeliveryShape, DeliveryUrls};
