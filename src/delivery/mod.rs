//! Delivery of pictures: the URLs they are reached by, what is done to them on the way, and the signatures of private ones.
//!
//! Pure: no I/O, no clock, no configuration types. Usable as a library with `--no-default-features`.
//!
//! [`DeliveryUrls`] knows how the URLs of an application look; a [`Picture`] is what one of them, or any other URL, shows; a
//! [`Transform`] is what is done to it, a [`Preset`] one for a common use; [`srcset`] puts several sizes together.

mod color;
mod options;
mod picture;
mod preset;
mod resolved;
mod signed_url;
mod srcset;
#[cfg(test)]
mod tests;
mod transform;
mod url_parts;
mod urls;

pub use color::{Color, ColorError};
pub use options::{
    Border, Compression, Fit, Flip, Format, Gravity, Length, Metadata, OnError, Quality, QualityLevel, Rectangle,
    Segment, Trim, Upscale, Width,
};
pub use picture::{Picture, PictureError};
pub use preset::{PRESETS, Preset, PresetError, PresetInfo};
pub use resolved::Resolved;
pub use signed_url::{SignError, SignatureError, VerifyError, round_up_expiry, sign, verify};
pub use srcset::{density_srcset, parse_sizes, sizes, srcset};
pub use transform::{OPTIONS, OptionInfo, OptionKind, SHORTHANDS, Transform, TransformError};
pub use urls::{DeliveryParts, DeliveryShape, DeliveryUrlError, DeliveryUrls};
