//! A transformation with Cloudflare's defaults, for whoever carries it out.

use super::{
    Color, Compression, Fit, Flip, Format, Gravity, Metadata, OnError, Quality, Segment, Trim, Upscale, Width,
};

/// Every option of a [`Transform`](super::Transform), where it is not set as Cloudflare takes it.
///
/// # Examples
/// ```
/// use cfimages::delivery::{Fit, Quality, Transform};
///
/// let options = Transform::new().height(200)?.resolved();
/// assert_eq!((options.width, options.height), (None, Some(200)));
/// assert_eq!((options.fit, options.quality), (Fit::ScaleDown, Quality::Number(85)));
/// # Ok::<(), cfimages::delivery::TransformError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// Whether animations stay animations.
    pub anim: bool,
    /// What is below transparent parts, which stay as they are where it is `None`, and beside a padded picture, where it is white then.
    pub background: Option<Color>,
    /// The radius of the blur, 0 to 250.
    pub blur: u32,
    /// The factor of the brightness, above 0.0.
    pub brightness: f64,
    /// Whether size is traded for speed.
    pub compression: Option<Compression>,
    /// The factor of the contrast, above 0.0.
    pub contrast: f64,
    /// Device pixels per pixel of width, height and trim: 1.0 to 3.0.
    pub dpr: f64,
    /// How the picture is fitted into width and height.
    pub fit: Fit,
    /// How the picture is mirrored, before it is turned.
    pub flip: Option<Flip>,
    /// The format; [`Format::Auto`] for pictures that are kept in Cloudflare Images, like the source for others.
    pub format: Option<Format>,
    /// The exponent of the brightness of midtones, above 0.0.
    pub gamma: f64,
    /// What stays in view when the picture is cut.
    pub gravity: Gravity,
    /// The height in pixels, 1 to 12000.
    pub height: Option<u32>,
    /// What is kept of the metadata of a JPEG.
    pub metadata: Metadata,
    /// What happens when the transformation fails.
    pub onerror: Option<OnError>,
    /// The quality of lossy formats.
    pub quality: Quality,
    /// By how many degrees the picture is turned clockwise: 0, 90, 180 or 270.
    pub rotate: u32,
    /// The factor of the saturation, from 0.0.
    pub saturation: f64,
    /// What of the picture is kept.
    pub segment: Option<Segment>,
    /// How much the picture is sharpened, 0.0 to 10.0.
    pub sharpen: f64,
    /// The quality for slow connections; that of others where it is `None`.
    pub slow_connection_quality: Option<Quality>,
    /// What is cut off before anything else is done.
    pub trim: Option<Trim>,
    /// How the picture is enlarged.
    pub upscale: Upscale,
    /// The width.
    pub width: Option<Width>,
    /// The widths that [`Width::Auto`] chooses from, in pixels.
    pub width_breakpoints: Vec<u32>,
    /// What [`Width::Auto`] takes for computers, in pixels.
    pub width_on_desktop: u32,
    /// What [`Width::Auto`] takes for phones, in pixels.
    pub width_on_mobile: u32,
    /// How close a face is cut, 0.0 to 1.0.
    pub zoom: f64,
}
