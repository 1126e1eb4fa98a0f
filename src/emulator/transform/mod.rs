//! Reading, transforming and writing pictures. Works on the CPU and knows nothing of HTTP, accounts or files.

mod adjust;
mod canvas;
mod content;
mod decode;
mod encode;
mod exif;
mod fit;
mod focus;
mod jpeg;
mod memory;
mod orient;
mod pipeline;
mod png;
mod recipe;
mod resize;
pub(super) mod svg;
#[cfg(test)]
mod tests;
mod trim;
mod vp8l;
mod webp;
#[cfg(test)]
#[path = "../../../tests/it/support/webp_bomb.rs"]
mod webp_bomb;
mod workers;

pub(super) use content::{Content, Drawing, Kind, inspect};
pub(super) use decode::Rejection;
#[cfg(test)]
pub(super) use decode::{read_header, read_picture};
pub(super) use pipeline::{Made, make};
pub(super) use recipe::{Browser, Recipe, warnings};
pub(super) use workers::Workers;

use serde::{Deserialize, Serialize};

/// The picture formats that can be uploaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    Jpeg,
    Png,
    Webp,
    Gif,
}

impl Format {
    const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::Webp, Self::Gif];

    /// The MIME type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// Whether pictures of this format were mostly written with loss, so that another loss does no harm.
    fn is_lossy(self) -> bool {
        matches!(self, Self::Jpeg | Self::Webp)
    }

    /// Bytes of a decoded pixel, where the picture takes the most that the format has.
    fn max_bytes_per_pixel(self) -> u64 {
        match self {
            Self::Jpeg => 3,
            Self::Webp | Self::Gif => 4,
            Self::Png => 8,
        }
    }
}

impl From<Format> for image::ImageFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Jpeg => Self::Jpeg,
            Format::Png => Self::Png,
            Format::Webp => Self::WebP,
            Format::Gif => Self::Gif,
        }
    }
}

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Size {
    /// The area in pixels.
    pub(super) fn pixels(self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// The size after a turn by a quarter.
    pub(super) fn turned(self) -> Self {
        Self { width: self.height, height: self.width }
    }
}

/// What there is to know about a picture that has been read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Picture {
    pub(super) format: Format,
    /// The size as people see it, with the orientation applied.
    pub(super) size: Size,
    /// Whether EXIF asks for the pixels to be turned or mirrored.
    pub(super) is_turned: bool,
    /// Frames of an animation; 1 for still pictures.
    pub(super) frames: u32,
}

impl Picture {
    /// The pixels of all frames together.
    pub(super) fn total_pixels(&self) -> u64 {
        self.size.pixels().saturating_mul(self.frames.into())
    }

    /// Bytes of a decoded frame, at most: what it would be if the picture had the most bits there are.
    fn decoded_bytes(&self) -> u64 {
        self.size.pixels().saturating_mul(self.format.max_bytes_per_pixel())
    }
}
