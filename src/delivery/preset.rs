//! Transformations for common uses.

use super::options::is_side;
use super::{Color, Fit, Format, Gravity, Transform, TransformError};

/// A transformation for a common use, with the toolkit's defaults. Sizes are pixels, 1 to 12000.
///
/// # Examples
/// ```
/// use cfimages::delivery::Preset;
///
/// let preset = Preset::named("thumbnail", &[])?;
/// assert_eq!(preset, Preset::Thumbnail { size: 150 });
/// assert_eq!(preset.transform()?.to_string(), "fit=cover,height=150,quality=85,width=150");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// A square that is filled.
    Thumbnail {
        /// The side of the square.
        size: u32,
    },
    /// A square around what catches the eye; CSS makes it round.
    Avatar {
        /// The side of the square.
        size: u32,
    },
    /// A banner that is filled, around what catches the eye.
    Hero {
        /// The width.
        width: u32,
        /// The height.
        height: u32,
    },
    /// A picture of at most this width, in its own ratio.
    Responsive {
        /// The width.
        width: u32,
        /// The quality, 1 to 100.
        quality: u8,
    },
    /// A square on white that shows the whole picture.
    Product {
        /// The side of the square.
        size: u32,
    },
    /// A picture that fits into a box.
    Gallery {
        /// The width of the box.
        width: u32,
        /// The height of the box.
        height: u32,
    },
    /// A picture for screens with two device pixels a pixel.
    Mobile {
        /// The width.
        width: u32,
    },
}

/// A preset that there is, as people are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresetInfo {
    /// The name.
    pub name: &'static str,
    /// The toolkit's name, where that is another.
    pub alias: Option<&'static str>,
    /// What its sizes are, with their defaults.
    pub sizes: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// All presets.
pub const PRESETS: &[PresetInfo] = &[
    PresetInfo { name: "thumbnail", alias: None, sizes: "[SIZE=150]", about: "a square that is filled" },
    PresetInfo { name: "avatar", alias: None, sizes: "[SIZE=100]", about: "a square around what catches the eye" },
    PresetInfo {
        name: "hero",
        alias: Some("hero_image"),
        sizes: "[WIDTH=1200] [HEIGHT=600]",
        about: "a banner that is filled",
    },
    PresetInfo {
        name: "responsive",
        alias: Some("responsive_image"),
        sizes: "WIDTH [QUALITY=85]",
        about: "at most this wide, in its own ratio",
    },
    PresetInfo {
        name: "product",
        alias: Some("product_image"),
        sizes: "[SIZE=400]",
        about: "a square on white that shows all of the picture",
    },
    PresetInfo {
        name: "gallery",
        alias: Some("gallery_image"),
        sizes: "[WIDTH=800] [HEIGHT=600]",
        about: "fits into a box",
    },
    PresetInfo {
        name: "mobile",
        alias: Some("mobile_optimized"),
        sizes: "[WIDTH=400]",
        about: "for screens with two device pixels a pixel, as WebP",
    },
];

/// Why there is no such preset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresetError {
    /// No preset has this name.
    #[error("there is no preset {0:?}; there are: {names}", names = preset_names())]
    Unknown(String),
    /// Too few or too many sizes, or one that is not allowed.
    #[error("{name} takes {sizes}, in pixels from 1 to 12000")]
    Sizes {
        /// The preset.
        name: &'static str,
        /// What its sizes are.
        sizes: &'static str,
    },
}

fn preset_names() -> String {
    PRESETS.iter().map(|preset| preset.name).collect::<Vec<_>>().join(", ")
}

impl Preset {
    /// A preset by its name, or that of the toolkit, with the sizes that are given and the defaults of the others.
    ///
    /// # Errors
    /// If there is no such preset, or the sizes are not such as it takes.
    pub fn named(name: &str, sizes: &[u32]) -> Result<Self, PresetError> {
        let info = PRESETS
            .iter()
            .find(|info| info.name == name || info.alias == Some(name))
            .ok_or_else(|| PresetError::Unknown(name.to_owned()))?;
        Self::with_sizes(info.name, sizes).ok_or(PresetError::Sizes { name: info.name, sizes: info.sizes })
    }

    fn with_sizes(name: &str, sizes: &[u32]) -> Option<Self> {
        let size = |index: usize, default: u32| sizes.get(index).copied().unwrap_or(default);
        let (preset, most) = match name {
            "thumbnail" => (Self::Thumbnail { size: size(0, 150) }, 1),
            "avatar" => (Self::Avatar { size: size(0, 100) }, 1),
            "hero" => (Self::Hero { width: size(0, 1200), height: size(1, 600) }, 2),
            "responsive" => {
                (Self::Responsive { width: *sizes.first()?, quality: u8::try_from(size(1, 85)).unwrap_or(u8::MAX) }, 2)
            }
            "product" => (Self::Product { size: size(0, 400) }, 1),
            "gallery" => (Self::Gallery { width: size(0, 800), height: size(1, 600) }, 2),
            "mobile" => (Self::Mobile { width: size(0, 400) }, 1),
            _ => return None,
        };
        (sizes.len() <= most && sizes.iter().copied().all(is_side)).then_some(preset)
    }

    /// The name, as [`PRESETS`] has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thumbnail { .. } => "thumbnail",
            Self::Avatar { .. } => "avatar",
            Self::Hero { .. } => "hero",
            Self::Responsive { .. } => "responsive",
            Self::Product { .. } => "product",
            Self::Gallery { .. } => "gallery",
            Self::Mobile { .. } => "mobile",
        }
    }

    /// What the preset does.
    ///
    /// # Errors
    /// If a size or the quality is out of its range.
    pub fn transform(self) -> Result<Transform, TransformError> {
        let transform = Transform::new();
        match self {
            Self::Thumbnail { size } => transform.width(size)?.height(size)?.fit(Fit::Cover).quality(85),
            Self::Avatar { size } => {
                transform.width(size)?.height(size)?.fit(Fit::Cover).gravity(Gravity::Auto)?.quality(90)
            }
            Self::Hero { width, height } => {
                let filled = transform.width(width)?.height(height)?.fit(Fit::Cover).gravity(Gravity::Auto)?;
                filled.quality(85).map(|transform| transform.format(Format::Auto))
            }
            Self::Responsive { width, quality } => {
                transform.width(width)?.fit(Fit::ScaleDown).format(Format::Auto).quality(quality)
            }
            Self::Product { size } => {
                transform.width(size)?.height(size)?.fit(Fit::Pad).background(Color::WHITE).quality(90)
            }
            Self::Gallery { width, height } => {
                transform.width(width)?.height(height)?.fit(Fit::Contain).format(Format::Auto).quality(85)
            }
            Self::Mobile { width } => {
                transform.width(width)?.fit(Fit::ScaleDown).format(Format::Webp).dpr(2.0)?.quality(80)
            }
        }
    }
}
