//! Transformations: what is done to a picture on its way to the browser.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::options::{
    Border, Compression, Fit, Flip, Format, Gravity, Length, MAX_SIDE, Metadata, OnError, Quality, Rectangle, Segment,
    Trim, Upscale, Value, Width, is_side, parse_decimal, parse_integer,
};
use super::{Color, DeliveryUrls, Picture, Resolved};

/// The smallest factor that an adjustment gives: Cloudflare ignores 0.
const SMALLEST_FACTOR: f64 = 0.01;

/// What is done to a picture: a builder of transformation URLs.
///
/// Options that are not set are Cloudflare's business. They stand in the URL in the order of the alphabet, so that one
/// transformation of a picture has one URL, which browsers and Cloudflare keep once.
///
/// # Examples
/// ```
/// use cfimages::delivery::{DeliveryUrls, Fit, Picture, Transform};
///
/// let urls = DeliveryUrls::default();
/// let thumbnail = Transform::new().width(300)?.height(200)?.fit(Fit::Cover).quality(85)?;
///
/// let hosted = Picture::new(&urls, "https://imagedelivery.net/hash/id/public")?;
/// assert_eq!(thumbnail.build(&hosted)?, "https://imagedelivery.net/hash/id/fit=cover,height=200,quality=85,width=300");
///
/// let path = Picture::new(&urls, "/media/cat.jpg")?.on_zone("example.com")?;
/// assert_eq!(
///     thumbnail.build(&path)?,
///     "https://example.com/cdn-cgi/image/fit=cover,height=200,quality=85,width=300/media/cat.jpg"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Transform {
    anim: Option<bool>,
    background: Option<Color>,
    blur: Option<u32>,
    brightness: Option<f64>,
    compression: Option<Compression>,
    contrast: Option<f64>,
    dpr: Option<f64>,
    fit: Option<Fit>,
    flip: Option<Flip>,
    format: Option<Format>,
    gamma: Option<f64>,
    gravity: Option<Gravity>,
    height: Option<u32>,
    metadata: Option<Metadata>,
    onerror: Option<OnError>,
    quality: Option<Quality>,
    rotate: Option<u32>,
    saturation: Option<f64>,
    segment: Option<Segment>,
    sharpen: Option<f64>,
    slow_connection_quality: Option<Quality>,
    /// In a box, as it is long and rare.
    trim: Option<Box<Trim>>,
    upscale: Option<Upscale>,
    auto_width: Option<Box<AutoWidth>>,
    width: Option<Width>,
    zoom: Option<f64>,
}

/// What `width=auto` chooses from.
#[derive(Debug, Clone, PartialEq, Default)]
struct AutoWidth {
    breakpoints: Vec<u32>,
    desktop: Option<u32>,
    mobile: Option<u32>,
}

/// Why a transformation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// The value is none that the option takes.
    #[error("{option} must be {allowed}")]
    Invalid {
        /// The name of the option.
        option: &'static str,
        /// What it takes.
        allowed: &'static str,
    },
    /// The option, or its value, cannot be used in this place.
    #[error("{option} {reason}")]
    Unusable {
        /// The name of the option.
        option: &'static str,
        /// Why, and what to do instead.
        reason: &'static str,
    },
    /// The option is given twice.
    #[error("{option} is given more than once")]
    Repeated {
        /// The name of the option.
        option: &'static str,
    },
    /// There is no such option.
    #[error("{} is not an option; there are: {}", .0, option_names())]
    Unknown(String),
    /// A part of a list of options is not of the form `name=value`.
    #[error("{0:?} is not an option of the form name=value")]
    Malformed(String),
    /// Options for the URL of a private picture.
    #[error(
        "the URL is signed, and private pictures are delivered in named variants only: make a variant at Cloudflare, and sign \
         its URL"
    )]
    Signed,
    /// A URL without options.
    #[error("the URL has no options")]
    NotTransformed,
}

impl TransformError {
    /// The option that is wrong; none where it is not a matter of one.
    pub fn option(&self) -> Option<&str> {
        match self {
            Self::Invalid { option, .. } | Self::Unusable { option, .. } | Self::Repeated { option } => Some(option),
            Self::Unknown(name) => Some(name),
            Self::Malformed(_) | Self::Signed | Self::NotTransformed => None,
        }
    }

    /// What is wrong, as a sentence that stands beside the name of the option.
    pub fn problem(&self) -> String {
        match self {
            Self::Invalid { allowed, .. } => format!("Must be {allowed}."),
            Self::Unusable { reason, .. } => format!("This option {reason}."),
            Self::Repeated { .. } => "Is given more than once.".to_owned(),
            Self::Unknown(_) => format!("Is not an option; there are: {}.", option_names()),
            other => format!("{other}."),
        }
    }
}

/// An option of transformations, as people are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OptionInfo {
    /// The name, as it stands in URLs.
    pub name: &'static str,
    /// Cloudflare's shorter name.
    pub alias: Option<&'static str>,
    /// What it takes.
    pub allowed: &'static str,
    /// What it does.
    pub about: &'static str,
}

const POSITIVE: &str = "a number above 0, where 1 changes nothing";
const SIDE: &str = "a whole number from 1 to 12000";
const ADJUSTMENT: &str = "a number from -1 to 1, where 0 changes nothing";

macro_rules! options {
    ($($name:literal $(/ $alias:literal)?: $allowed:expr, $about:literal;)+) => {
        /// All options, in the order in which they stand in URLs.
        pub const OPTIONS: &[OptionInfo] = &[$(OptionInfo {
            name: $name,
            alias: options!(@alias $($alias)?),
            allowed: $allowed,
            about: $about,
        }),+];
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}

options! {
    "anim": "true or false", "whether animations stay animations; false keeps their first frame";
    "background": "a CSS colour, such as #ff8800, orange or rgb(255 136 0 / 50%)", "what is below transparent parts, and beside a padded picture";
    "blur": "a whole number from 0 to 250", "the radius of the blur";
    "brightness": POSITIVE, "the factor of the brightness: 0.5 is half as bright";
    "compression": Compression::ALLOWED, "trades size for speed";
    "contrast": POSITIVE, "the factor of the contrast";
    "dpr": "a number from 1 to 3", "device pixels per pixel of width and height";
    "fit": Fit::ALLOWED, "how the picture is fitted into width and height";
    "flip": Flip::ALLOWED, "mirrors the picture: horizontally, vertically or both";
    "format"/"f": Format::ALLOWED, "the format of the result";
    "gamma": POSITIVE, "the exponent of the brightness of midtones";
    "gravity"/"g": Gravity::ALLOWED, "what stays in view when the picture is cut";
    "height"/"h": SIDE, "the height in pixels";
    "metadata": Metadata::ALLOWED, "what is kept of the metadata of a JPEG";
    "onerror": OnError::ALLOWED, "sends the browser to the original where the transformation fails; not for hosted pictures";
    "quality"/"q": Quality::ALLOWED, "the quality of lossy formats";
    "rotate": "one of: 0, 90, 180, 270, 360", "turns the picture clockwise, by degrees";
    "saturation": "a number from 0, where 1 changes nothing", "the factor of the saturation: 0 is grey";
    "segment": Segment::ALLOWED, "makes the background transparent";
    "sharpen": "a number from 0 to 10", "how much the picture is sharpened";
    "slow-connection-quality"/"scq": Quality::ALLOWED, "the quality where the browser says that its connection is slow";
    "trim": Trim::ALLOWED, "what is cut off before anything else is done";
    "trim.border.color": "a CSS colour, such as #ff8800, orange or rgb(255 136 0 / 50%)", "the colour of the border that is cut off; detected where it is not given";
    "trim.border.keep": "a whole number from 0 to 12000", "how many pixels of the border stay";
    "trim.border.tolerance": "a whole number from 0 to 255", "how far a colour may be from that of the border";
    "trim.height": "a length above 0: pixels from 1 to 12000, or a share with a decimal point up to 1.0", "the height of the rectangle that is kept";
    "trim.left": Length::ALLOWED, "where the rectangle that is kept starts, from the left";
    "trim.top": Length::ALLOWED, "where the rectangle that is kept starts, from the top";
    "trim.width": "a length above 0: pixels from 1 to 12000, or a share with a decimal point up to 1.0", "the width of the rectangle that is kept";
    "upscale": Upscale::ALLOWED, "how the picture is enlarged";
    "wbreakpoints": "whole numbers from 1 to 12000, such as 320;768;960;1200", "the widths that width=auto chooses from";
    "wdesktop": SIDE, "what width=auto takes for computers where the browser says nothing";
    "width"/"w": Width::ALLOWED, "the width in pixels";
    "wmobile": SIDE, "what width=auto takes for phones where the browser says nothing";
    "zoom"/"face-zoom": "a number from 0 to 1", "how close a face is cut; only with gravity=face";
}

/// Other ways to say something, which stand in no URL.
pub const SHORTHANDS: &[OptionInfo] = &[
    OptionInfo {
        name: "adjust-brightness",
        alias: None,
        allowed: ADJUSTMENT,
        about: "makes the picture darker or brighter",
    },
    OptionInfo { name: "adjust-contrast", alias: None, allowed: ADJUSTMENT, about: "takes contrast away or adds some" },
    OptionInfo {
        name: "crop",
        alias: None,
        allowed: "x;y;width;height in pixels, such as 10;10;300;200",
        about: "keeps this rectangle of the picture",
    },
    OptionInfo {
        name: "trim-threshold",
        alias: None,
        allowed: "a whole number from 0 to 255",
        about: "cuts off a border whose colours are this far apart",
    },
];

/// What is asked for and cannot be had in URLs, with the reason.
const UNUSABLE: &[(&str, &str)] = &[
    ("border", "is one of Workers only, URLs cannot have it; draw the border with CSS"),
    ("draw", "is one of Workers only, URLs cannot have it"),
    ("origin-auth", "is one of Workers only, URLs cannot have it"),
    ("pad", "is unknown to Cloudflare; fit=pad with width, height and background fills up a box"),
    ("trim.bottom", "is one of Workers only; give trim.top and trim.height, or trim=top;right;bottom;left"),
    ("trim.right", "is one of Workers only; give trim.left and trim.width, or trim=top;right;bottom;left"),
];

fn option_names() -> String {
    OPTIONS.iter().map(|option| option.name).collect::<Vec<_>>().join(", ")
}

fn invalid(option: &'static str) -> TransformError {
    let info = OPTIONS.iter().chain(SHORTHANDS).find(|info| info.name == option);
    TransformError::Invalid { option, allowed: info.map_or("another value", |info| info.allowed) }
}

/// The value, where it is allowed.
#[inline]
fn check<T>(value: T, is_allowed: bool, option: &'static str) -> Result<Option<T>, TransformError> {
    if is_allowed { Ok(Some(value)) } else { Err(invalid(option)) }
}

fn is_factor(number: f64) -> bool {
    number > 0.0 && number.is_finite()
}

/// The options, each by its setter. Setters of what can be wrong give an error with the allowed range.
impl Transform {
    /// Nothing is done.
    pub fn new() -> Self {
        Self::default()
    }

    /// The width of the result: 1 to 12000 pixels, or [`Width::Auto`].
    #[inline]
    pub fn width(self, width: impl Into<Width>) -> Result<Self, TransformError> {
        let width = width.into();
        Ok(Self { width: check(width, width.is_allowed(), "width")?, ..self })
    }

    /// The height of the result: 1 to 12000 pixels.
    #[inline]
    pub fn height(self, pixels: u32) -> Result<Self, TransformError> {
        Ok(Self { height: check(pixels, is_side(pixels), "height")?, ..self })
    }

    /// How the picture is fitted into width and height. Cloudflare's default is [`Fit::ScaleDown`].
    #[must_use]
    #[inline]
    pub fn fit(self, fit: Fit) -> Self {
        Self { fit: Some(fit), ..self }
    }

    /// What stays in view when the picture is cut. Cloudflare's default is the middle.
    #[inline]
    pub fn gravity(self, gravity: Gravity) -> Result<Self, TransformError> {
        Ok(Self { gravity: check(gravity, gravity.is_allowed(), "gravity")?, ..self })
    }

    /// How close a face is cut, 0.0 to 1.0; only with [`Gravity::Face`].
    pub fn zoom(self, zoom: f64) -> Result<Self, TransformError> {
        Ok(Self { zoom: check(zoom, (0.0..=1.0).contains(&zoom), "zoom")?, ..self })
    }

    /// The quality of lossy formats: 1 to 100, or a [level](super::QualityLevel). Cloudflare's default is 85.
    #[inline]
    pub fn quality(self, quality: impl Into<Quality>) -> Result<Self, TransformError> {
        let quality = quality.into();
        Ok(Self { quality: check(quality, quality.is_allowed(), "quality")?, ..self })
    }

    /// The quality for browsers with a slow connection, as [`quality`](Self::quality).
    pub fn slow_connection_quality(self, quality: impl Into<Quality>) -> Result<Self, TransformError> {
        let quality = quality.into();
        let slow_connection_quality = check(quality, quality.is_allowed(), "slow-connection-quality")?;
        Ok(Self { slow_connection_quality, ..self })
    }

    /// The format of the result.
    #[must_use]
    #[inline]
    pub fn format(self, format: Format) -> Self {
        Self { format: Some(format), ..self }
    }

    /// Device pixels per pixel of width and height: 1.0 to 3.0.
    pub fn dpr(self, dpr: f64) -> Result<Self, TransformError> {
        Ok(Self { dpr: check(dpr, (1.0..=3.0).contains(&dpr), "dpr")?, ..self })
    }

    /// Whether animations stay animations.
    #[must_use]
    pub fn anim(self, anim: bool) -> Self {
        Self { anim: Some(anim), ..self }
    }

    /// What is kept of the metadata of a JPEG.
    #[must_use]
    pub fn metadata(self, metadata: Metadata) -> Self {
        Self { metadata: Some(metadata), ..self }
    }

    /// What is below transparent parts, and beside a picture that is padded.
    #[must_use]
    pub fn background(self, color: Color) -> Self {
        Self { background: Some(color), ..self }
    }

    /// The radius of the blur: 0 to 250.
    pub fn blur(self, radius: u32) -> Result<Self, TransformError> {
        Ok(Self { blur: check(radius, radius <= 250, "blur")?, ..self })
    }

    /// How much the picture is sharpened: 0.0 to 10.0.
    pub fn sharpen(self, amount: f64) -> Result<Self, TransformError> {
        Ok(Self { sharpen: check(amount + 0.0, (0.0..=10.0).contains(&amount), "sharpen")?, ..self })
    }

    /// The factor of the brightness, above 0.0.
    pub fn brightness(self, factor: f64) -> Result<Self, TransformError> {
        Ok(Self { brightness: check(factor, is_factor(factor), "brightness")?, ..self })
    }

    /// The factor of the contrast, above 0.0.
    pub fn contrast(self, factor: f64) -> Result<Self, TransformError> {
        Ok(Self { contrast: check(factor, is_factor(factor), "contrast")?, ..self })
    }

    /// Makes the picture darker (down to -1.0) or brighter (up to 1.0): the factor 1 + x, which never becomes 0.
    pub fn adjust_brightness(self, adjustment: f64) -> Result<Self, TransformError> {
        Ok(Self { brightness: Some(factor_of(adjustment, "adjust-brightness")?), ..self })
    }

    /// Takes contrast away (down to -1.0) or adds some (up to 1.0): the factor 1 + x, which never becomes 0.
    pub fn adjust_contrast(self, adjustment: f64) -> Result<Self, TransformError> {
        Ok(Self { contrast: Some(factor_of(adjustment, "adjust-contrast")?), ..self })
    }

    /// The exponent of the brightness of midtones, above 0.0.
    pub fn gamma(self, exponent: f64) -> Result<Self, TransformError> {
        Ok(Self { gamma: check(exponent, is_factor(exponent), "gamma")?, ..self })
    }

    /// The factor of the saturation, from 0.0, which is grey.
    pub fn saturation(self, factor: f64) -> Result<Self, TransformError> {
        let is_allowed = factor >= 0.0 && factor.is_finite();
        Ok(Self { saturation: check(factor + 0.0, is_allowed, "saturation")?, ..self })
    }

    /// Turns the picture clockwise: 90, 180 or 270 degrees; 0 and 360 leave it as it is.
    pub fn rotate(self, degrees: u32) -> Result<Self, TransformError> {
        let rotate = check(degrees, degrees.is_multiple_of(90) && degrees <= 360, "rotate")?
            .filter(|degrees| !degrees.is_multiple_of(360));
        Ok(Self { rotate, ..self })
    }

    /// Mirrors the picture, before it is turned.
    #[must_use]
    pub fn flip(self, flip: Flip) -> Self {
        Self { flip: Some(flip), ..self }
    }

    /// What is cut off before anything else is done.
    pub fn trim(self, trim: Trim) -> Result<Self, TransformError> {
        Ok(Self { trim: check(Box::new(trim), trim.is_allowed(), "trim")?, ..self })
    }

    /// Cuts off a border whose colours are this far apart.
    #[must_use]
    pub fn trim_threshold(self, tolerance: u8) -> Self {
        Self { trim: Some(Box::new(Trim::Border(Border { tolerance: Some(tolerance), ..Border::default() }))), ..self }
    }

    /// Keeps a rectangle of the picture, in pixels. The toolkit's `crop`, in the words that Cloudflare understands.
    pub fn crop(self, x: u32, y: u32, width: u32, height: u32) -> Result<Self, TransformError> {
        let is_allowed = x <= MAX_SIDE && y <= MAX_SIDE && is_side(width) && is_side(height);
        let rectangle = Rectangle {
            left: Some(x.into()),
            top: Some(y.into()),
            width: Some(width.into()),
            height: Some(height.into()),
        };
        Ok(Self { trim: check(Box::new(Trim::Rectangle(rectangle)), is_allowed, "crop")?, ..self })
    }

    /// Trades size for speed.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression: Some(compression), ..self }
    }

    /// Makes the background transparent.
    #[must_use]
    pub fn segment(self, segment: Segment) -> Self {
        Self { segment: Some(segment), ..self }
    }

    /// How the picture is enlarged.
    #[must_use]
    pub fn upscale(self, upscale: Upscale) -> Self {
        Self { upscale: Some(upscale), ..self }
    }

    /// What happens when the transformation fails. Not for pictures that are kept in Cloudflare Images.
    #[must_use]
    pub fn onerror(self, onerror: OnError) -> Self {
        Self { onerror: Some(onerror), ..self }
    }

    /// The widths that [`Width::Auto`] chooses from, 1 to 12000 each; none for Cloudflare's choice.
    pub fn width_breakpoints(self, widths: impl Into<Vec<u32>>) -> Result<Self, TransformError> {
        let breakpoints = widths.into();
        if !breakpoints.iter().copied().all(is_side) {
            return Err(invalid("wbreakpoints"));
        }
        Ok(self.with_auto_width(|auto_width| auto_width.breakpoints = breakpoints))
    }

    /// What [`Width::Auto`] takes for computers where the browser says nothing: 1 to 12000 pixels.
    pub fn width_on_desktop(self, pixels: u32) -> Result<Self, TransformError> {
        let desktop = check(pixels, is_side(pixels), "wdesktop")?;
        Ok(self.with_auto_width(|auto_width| auto_width.desktop = desktop))
    }

    /// What [`Width::Auto`] takes for phones where the browser says nothing: 1 to 12000 pixels.
    pub fn width_on_mobile(self, pixels: u32) -> Result<Self, TransformError> {
        let mobile = check(pixels, is_side(pixels), "wmobile")?;
        Ok(self.with_auto_width(|auto_width| auto_width.mobile = mobile))
    }

    fn with_auto_width(mut self, change: impl FnOnce(&mut AutoWidth)) -> Self {
        let mut auto_width = self.auto_width.take().unwrap_or_default();
        change(&mut auto_width);
        self.auto_width = Some(auto_width).filter(|auto_width| **auto_width != AutoWidth::default());
        self
    }

    /// The width in pixels, where it is set to some.
    pub fn width_in_pixels(&self) -> Option<u32> {
        match self.width? {
            Width::Pixels(pixels) => Some(pixels),
            Width::Auto => None,
        }
    }

    /// The height in pixels, where it is set.
    pub fn height_in_pixels(&self) -> Option<u32> {
        self.height
    }
}

fn factor_of(adjustment: f64, option: &'static str) -> Result<f64, TransformError> {
    if !(-1.0..=1.0).contains(&adjustment) {
        return Err(invalid(option));
    }
    // Two digits more than anybody writes, so that 1 + 0.1 is 1.1 in the URL.
    Ok((((1.0 + adjustment) * 1e6).round() / 1e6).max(SMALLEST_FACTOR))
}

/// Options as texts.
impl Transform {
    /// Sets an option by its name or shorter name; `_` may stand for `-`. What was set before is replaced.
    ///
    /// # Errors
    /// If there is no such option, it cannot be used in URLs, or the value is none that it takes. The transformation stays
    /// as it was.
    pub fn set(&mut self, option: &str, value: &str) -> Result<(), TransformError> {
        let name = Self::find_name(option)?;
        *self = self.clone().with(name, value.trim())?;
        Ok(())
    }

    /// Sets several options, over those that are set, each as [`set`](Self::set) does.
    ///
    /// # Errors
    /// All that is wrong: what `set` refuses, options that are given more than once, by whichever of their names, and those that
    /// do not go together.
    pub fn with_options<'o>(
        mut self,
        options: impl IntoIterator<Item = (&'o str, &'o str)>,
    ) -> Result<Self, Vec<TransformError>> {
        let (mut seen, mut errors) = (Vec::new(), Vec::new());
        for (option, value) in options {
            let outcome = Self::find_name(option).and_then(|name| {
                if seen.contains(&name) {
                    return Err(TransformError::Repeated { option: name });
                }
                seen.push(name);
                self.set(name, value)
            });
            errors.extend(outcome.err());
        }
        if errors.is_empty() {
            errors.extend(self.check().err());
        }
        if errors.is_empty() { Ok(self) } else { Err(errors) }
    }

    /// The full name of an option.
    fn find_name(option: &str) -> Result<&'static str, TransformError> {
        let name = option.trim().replace('_', "-");
        let known = OPTIONS.iter().chain(SHORTHANDS).find(|info| info.name == name || info.alias == Some(&name));
        if let Some(info) = known {
            return Ok(info.name);
        }
        match UNUSABLE.iter().find(|(unusable, _)| *unusable == name) {
            Some((option, reason)) => Err(TransformError::Unusable { option, reason }),
            None => Err(TransformError::Unknown(option.to_owned())),
        }
    }

    fn with(self, name: &'static str, text: &str) -> Result<Self, TransformError> {
        let unreadable = || invalid(name);
        let decimal = || parse_decimal(text).ok_or_else(unreadable);
        let integer = || parse_integer::<u32>(text).ok_or_else(unreadable);
        let quality = || Quality::parse(text).ok_or_else(unreadable);
        let length = || Length::parse(text).filter(|length| length.is_allowed()).ok_or_else(unreadable);
        let side = || length().and_then(|side| if side.is_positive() { Ok(side) } else { Err(unreadable()) });
        let color = || text.parse::<Color>().map_err(|_| unreadable());
        match name {
            "adjust-brightness" => self.adjust_brightness(decimal()?),
            "adjust-contrast" => self.adjust_contrast(decimal()?),
            "anim" => Ok(self.anim(text.parse().map_err(|_| unreadable())?)),
            "background" => Ok(self.background(color()?)),
            "blur" => self.blur(integer()?),
            "brightness" => self.brightness(decimal()?),
            "compression" => Ok(self.compression(Compression::parse(text).ok_or_else(unreadable)?)),
            "contrast" => self.contrast(decimal()?),
            "crop" => {
                let numbers: Option<Vec<u32>> = text.split([';', ',']).map(|part| parse_integer(part.trim())).collect();
                let Some([x, y, width, height]) = numbers.as_deref() else { return Err(unreadable()) };
                self.crop(*x, *y, *width, *height)
            }
            "dpr" => self.dpr(decimal()?),
            "fit" => Ok(self.fit(Fit::parse(text).ok_or_else(unreadable)?)),
            "flip" => Ok(self.flip(Flip::parse(text).ok_or_else(unreadable)?)),
            "format" => Ok(self.format(parse_format(text)?)),
            "gamma" => self.gamma(decimal()?),
            "gravity" => self.gravity(parse_gravity(text)?),
            "height" => self.height(integer()?),
            "metadata" => Ok(self.metadata(Metadata::parse(text).ok_or_else(unreadable)?)),
            "onerror" => Ok(self.onerror(OnError::parse(text).ok_or_else(unreadable)?)),
            "quality" => self.quality(quality()?),
            "rotate" => self.rotate(integer()?),
            "saturation" => self.saturation(decimal()?),
            "segment" => Ok(self.segment(Segment::parse(text).ok_or_else(unreadable)?)),
            "sharpen" => self.sharpen(decimal()?),
            "slow-connection-quality" => self.slow_connection_quality(quality()?),
            "trim" => self.with_trim(Trim::parse(text).ok_or_else(unreadable)?),
            "trim-threshold" => Ok(self.trim_threshold(parse_integer(text).ok_or_else(unreadable)?)),
            "trim.border.color" => self.with_border(Border { color: Some(color()?), ..Border::default() }),
            "trim.border.keep" => {
                let keep = integer()?;
                let keep = check(keep, keep <= MAX_SIDE, name)?;
                self.with_border(Border { keep, ..Border::default() })
            }
            "trim.border.tolerance" => {
                let tolerance = Some(parse_integer(text).ok_or_else(unreadable)?);
                self.with_border(Border { tolerance, ..Border::default() })
            }
            "trim.height" => self.with_rectangle(Rectangle { height: Some(side()?), ..Rectangle::default() }),
            "trim.left" => self.with_rectangle(Rectangle { left: Some(length()?), ..Rectangle::default() }),
            "trim.top" => self.with_rectangle(Rectangle { top: Some(length()?), ..Rectangle::default() }),
            "trim.width" => self.with_rectangle(Rectangle { width: Some(side()?), ..Rectangle::default() }),
            "upscale" => Ok(self.upscale(Upscale::parse(text).ok_or_else(unreadable)?)),
            "wbreakpoints" => {
                let widths: Option<Vec<u32>> = text.split(';').map(parse_integer).collect();
                self.width_breakpoints(widths.ok_or_else(unreadable)?)
            }
            "wdesktop" => self.width_on_desktop(integer()?),
            "width" => self.width(Width::parse(text).ok_or_else(unreadable)?),
            "wmobile" => self.width_on_mobile(integer()?),
            "zoom" => self.zoom(decimal()?),
            _ => Err(TransformError::Unknown(name.to_owned())),
        }
    }

    /// `trim=border` leaves what is known of the border.
    fn with_trim(self, trim: Trim) -> Result<Self, TransformError> {
        match (trim, self.trim.as_deref()) {
            (Trim::Border(_), Some(Trim::Border(_))) => Ok(self),
            (_, Some(Trim::Border(_) | Trim::Rectangle(_))) => Err(conflict("trim")),
            (trim, _) => self.trim(trim),
        }
    }

    fn with_border(self, part: Border) -> Result<Self, TransformError> {
        let border = match self.trim.as_deref() {
            None => Border::default(),
            Some(Trim::Border(border)) => *border,
            Some(_) => return Err(conflict("trim.border")),
        };
        self.trim(Trim::Border(Border {
            color: part.color.or(border.color),
            tolerance: part.tolerance.or(border.tolerance),
            keep: part.keep.or(border.keep),
        }))
    }

    fn with_rectangle(self, part: Rectangle) -> Result<Self, TransformError> {
        let rectangle = match self.trim.as_deref() {
            None => Rectangle::default(),
            Some(Trim::Rectangle(rectangle)) => *rectangle,
            Some(_) => return Err(conflict("trim")),
        };
        self.trim(Trim::Rectangle(Rectangle {
            left: part.left.or(rectangle.left),
            top: part.top.or(rectangle.top),
            width: part.width.or(rectangle.width),
            height: part.height.or(rectangle.height),
        }))
    }

    /// Calls with the name and the value of each option that is set, in the order of their names.
    fn for_each<'a, E>(&'a self, mut visit: impl FnMut(&'static str, Value<'a>) -> Result<(), E>) -> Result<(), E> {
        macro_rules! each {
            ($($name:literal: $value:expr;)+) => {
                $(if let Some(value) = $value {
                    visit($name, value)?;
                })+
            };
        }
        let text = |text: String| Value::Text(Cow::Owned(text));
        let trim = self.trim.as_deref();
        let border = match trim {
            Some(Trim::Border(border)) => *border,
            _ => Border::default(),
        };
        let rectangle = match trim {
            Some(Trim::Rectangle(rectangle)) => *rectangle,
            _ => Rectangle::default(),
        };
        let auto_width = self.auto_width.as_deref();
        each! {
            "anim": self.anim.map(Value::Flag);
            "background": self.background.map(|color| text(color.to_string()));
            "blur": self.blur.map(Value::Integer);
            "brightness": self.brightness.map(Value::Decimal);
            "compression": self.compression.map(|word| Value::Word(word.as_str()));
            "contrast": self.contrast.map(Value::Decimal);
            "dpr": self.dpr.map(Value::Decimal);
            "fit": self.fit.map(|word| Value::Word(word.as_str()));
            "flip": self.flip.map(|word| Value::Word(word.as_str()));
            "format": self.format.map(|word| Value::Word(word.as_str()));
            "gamma": self.gamma.map(Value::Decimal);
            "gravity": self.gravity.map(Gravity::value);
            "height": self.height.map(Value::Integer);
            "metadata": self.metadata.map(|word| Value::Word(word.as_str()));
            "onerror": self.onerror.map(|word| Value::Word(word.as_str()));
            "quality": self.quality.map(Quality::value);
            "rotate": self.rotate.map(Value::Integer);
            "saturation": self.saturation.map(Value::Decimal);
            "segment": self.segment.map(|word| Value::Word(word.as_str()));
            "sharpen": self.sharpen.map(Value::Decimal);
            "slow-connection-quality": self.slow_connection_quality.map(Quality::value);
            "trim": trim.and_then(trim_value);
            "trim.border.color": border.color.map(|color| text(color.to_string()));
            "trim.border.keep": border.keep.map(Value::Integer);
            "trim.border.tolerance": border.tolerance.map(|tolerance| Value::Integer(tolerance.into()));
            "trim.height": rectangle.height.map(Length::value);
            "trim.left": rectangle.left.map(Length::value);
            "trim.top": rectangle.top.map(Length::value);
            "trim.width": rectangle.width.map(Length::value);
            "upscale": self.upscale.map(|word| Value::Word(word.as_str()));
            "wbreakpoints": auto_width.and_then(AutoWidth::breakpoints_value);
            "wdesktop": auto_width.and_then(|auto_width| auto_width.desktop).map(Value::Integer);
            "width": self.width.map(Width::value);
            "wmobile": auto_width.and_then(|auto_width| auto_width.mobile).map(Value::Integer);
            "zoom": self.zoom.map(|zoom| Value::Decimal(zoom + 0.0));
        }
        Ok(())
    }
}

impl AutoWidth {
    /// The name of the first option that is set.
    fn first_name(&self) -> &'static str {
        match self {
            Self { breakpoints, .. } if !breakpoints.is_empty() => "wbreakpoints",
            Self { desktop: Some(_), .. } => "wdesktop",
            _ => "wmobile",
        }
    }

    fn breakpoints_value(&self) -> Option<Value<'static>> {
        if self.breakpoints.is_empty() {
            return None;
        }
        let widths: Vec<String> = self.breakpoints.iter().map(u32::to_string).collect();
        Some(Value::Text(widths.join(";").into()))
    }
}

fn trim_value(trim: &Trim) -> Option<Value<'static>> {
    match trim {
        Trim::Border(_) => Some(Value::Word("border")),
        Trim::Edges { top, right, bottom, left } => {
            let [top, right, bottom, left] = [top, right, bottom, left].map(Length::to_string);
            Some(Value::Text(format!("{top};{right};{bottom};{left}").into()))
        }
        Trim::Rectangle(_) => None,
    }
}

fn conflict(option: &'static str) -> TransformError {
    TransformError::Unusable { option, reason: "can be edges, a rectangle or a border, but not two of them" }
}

fn parse_format(text: &str) -> Result<Format, TransformError> {
    match text {
        "png" => Err(TransformError::Unusable {
            option: "format",
            reason: "does not take png: Cloudflare chooses between JPEG and PNG by itself; leave it out, or take webp",
        }),
        "png-force" | "svg" => Err(TransformError::Unusable {
            option: "format",
            reason: "takes png-force and svg in Workers only, URLs cannot have them",
        }),
        text => Format::parse(text).ok_or_else(|| invalid("format")),
    }
}

fn parse_gravity(text: &str) -> Result<Gravity, TransformError> {
    match text {
        "entropy" => Err(TransformError::Unusable {
            option: "gravity",
            reason: "takes entropy in Workers only; auto comes close to it",
        }),
        text => Gravity::parse(text).ok_or_else(|| invalid("gravity")),
    }
}

/// Building and parsing.
impl Transform {
    /// The URL of the transformed picture; that of the picture as it is where no option is set.
    ///
    /// upstream: `CloudflareImageTransform.build`
    ///
    /// # Errors
    /// If options do not go together, or not with the picture.
    pub fn build(&self, picture: &Picture<'_>) -> Result<String, TransformError> {
        let mut options = String::with_capacity(80);
        // Texts take whatever is written.
        let _ = self.write_options(&mut options);
        if options.is_empty() {
            return Ok(picture.url().to_owned());
        }
        self.check()?;
        if self.onerror.is_some() && picture.is_hosted() {
            let reason = "is for pictures of a zone only, not for those kept in Cloudflare Images";
            return Err(TransformError::Unusable { option: "onerror", reason });
        }
        if picture.is_signed() {
            return Err(TransformError::Signed);
        }
        let mut url = String::with_capacity(picture.url().len() + options.len() + 64);
        picture.write_url(&options, &mut url);
        Ok(url)
    }

    /// Takes the URL of a transformed picture apart into the picture and what is done to it.
    ///
    /// # Errors
    /// If the URL has no options, or one of them is wrong.
    pub fn parse<'a>(urls: &DeliveryUrls, url: &'a str) -> Result<(Picture<'a>, Self), TransformError> {
        let (picture, options) = Picture::split_options(urls, url).ok_or(TransformError::NotTransformed)?;
        let transform: Self = options.parse()?;
        Ok((picture, transform))
    }

    /// Writes the options as they stand in URLs.
    fn write_options(&self, to: &mut impl fmt::Write) -> fmt::Result {
        let mut separator = "";
        self.for_each(|name, value| {
            to.write_str(separator)?;
            separator = ",";
            to.write_str(name)?;
            to.write_char('=')?;
            value.write(to)
        })
    }

    /// Checks that the options go together.
    fn check(&self) -> Result<(), TransformError> {
        if self.zoom.is_some() && self.gravity != Some(Gravity::Face) {
            return Err(TransformError::Unusable { option: "zoom", reason: "needs gravity=face" });
        }
        if let Some(auto_width) = self.auto_width.as_deref().filter(|_| self.width != Some(Width::Auto)) {
            return Err(TransformError::Unusable { option: auto_width.first_name(), reason: "needs width=auto" });
        }
        Ok(())
    }
}

/// The options, as they stand in URLs: `fit=cover,height=200,width=300`.
impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_options(f)
    }
}

/// Options as they stand in URLs, in any order and by any of their names.
impl FromStr for Transform {
    type Err = TransformError;

    fn from_str(options: &str) -> Result<Self, TransformError> {
        let mut transform = Self::new();
        let mut seen = Vec::new();
        for option in options.split(',') {
            transform = transform.with_part(option, &mut seen)?;
        }
        transform.check()?;
        Ok(transform)
    }
}

/// Carrying out.
impl Transform {
    /// Reads options as Cloudflare does: what is wrong is left out, and why is said.
    ///
    /// The transformation is empty where nothing can be used.
    pub fn parse_leniently(options: &str) -> (Self, Vec<TransformError>) {
        let mut transform = Self::new();
        let (mut seen, mut errors) = (Vec::new(), Vec::new());
        for option in options.split(',') {
            match transform.clone().with_part(option, &mut seen) {
                Ok(changed) => transform = changed,
                Err(error) => errors.push(error),
            }
        }
        errors.extend(transform.check().err());
        (transform, errors)
    }

    /// Every option, with Cloudflare's default where it is not set.
    pub fn resolved(&self) -> Resolved {
        let AutoWidth { breakpoints, desktop, mobile } = self.auto_width.as_deref().cloned().unwrap_or_default();
        Resolved {
            anim: self.anim.unwrap_or(true),
            background: self.background,
            blur: self.blur.unwrap_or(0),
            brightness: self.brightness.unwrap_or(1.0),
            compression: self.compression,
            contrast: self.contrast.unwrap_or(1.0),
            dpr: self.dpr.unwrap_or(1.0),
            fit: self.fit.unwrap_or(Fit::ScaleDown),
            flip: self.flip,
            format: self.format,
            gamma: self.gamma.unwrap_or(1.0),
            gravity: self.gravity.unwrap_or(Gravity::CENTRE),
            height: self.height,
            metadata: self.metadata.unwrap_or(Metadata::Copyright),
            onerror: self.onerror,
            quality: self.quality.unwrap_or(Quality::Number(85)),
            rotate: self.rotate.unwrap_or(0),
            saturation: self.saturation.unwrap_or(1.0),
            segment: self.segment,
            sharpen: self.sharpen.unwrap_or(0.0),
            slow_connection_quality: self.slow_connection_quality,
            trim: self.trim.as_deref().copied(),
            upscale: self.upscale.unwrap_or(Upscale::Interpolate),
            width: self.width,
            width_breakpoints: if breakpoints.is_empty() { vec![320, 768, 960, 1200] } else { breakpoints },
            width_on_desktop: desktop.unwrap_or(1200),
            width_on_mobile: mobile.unwrap_or(768),
            zoom: self.zoom.unwrap_or(0.0),
        }
    }

    /// With one option more, as it stands in URLs. `seen` has the names of those before it.
    fn with_part(self, option: &str, seen: &mut Vec<&'static str>) -> Result<Self, TransformError> {
        let malformed = || TransformError::Malformed(option.to_owned());
        let (name, value) = option.split_once('=').ok_or_else(malformed)?;
        let value = percent_decode_str(value).decode_utf8().map_err(|_| malformed())?;
        let name = Self::find_name(name)?;
        if seen.contains(&name) {
            return Err(TransformError::Repeated { option: name });
        }
        seen.push(name);
        self.with(name, &value)
    }
}

/// An object of the options by their names, each value in its own type.
impl Serialize for Transform {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.for_each(|name, value| map.serialize_entry(name, &value))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lenient_reading_leaves_out_what_is_wrong_and_names_it() {
        let (transform, errors) =
            Transform::parse_leniently("w=300,height=abc,colour=red,blur,w=400,zoom=0.5,format=png,fit=cover");
        assert_eq!(transform.to_string(), "fit=cover,width=300,zoom=0.5");
        let options: Vec<_> = errors.iter().map(|error| error.option().unwrap_or("none")).collect();
        assert_eq!(options, ["height", "colour", "none", "width", "format", "zoom"]);
        let (nothing, errors) = Transform::parse_leniently("");
        assert_eq!((nothing, errors.len()), (Transform::new(), 1));
    }

    proptest! {
        #[test]
        fn reading_leniently_and_strictly_is_the_same_where_nothing_is_wrong(
            options in "((w|h|blur|fit|dpr|trim|g|zoom|q)=(a|[0-9]|cover|border|\\.|;|%)*,?)*",
        ) {
            let (lenient, errors) = Transform::parse_leniently(&options);
            match options.parse::<Transform>() {
                Ok(strict) => {
                    prop_assert!(errors.is_empty() && strict == lenient);
                    let written = strict.to_string();
                    prop_assert!(written.is_empty() || Transform::parse_leniently(&written) == (strict, Vec::new()));
                }
                Err(_) => prop_assert!(!errors.is_empty()),
            }
        }
    }
}
