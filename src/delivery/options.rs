//! What the options of a transformation take as values.
//!
//! Source of names and ranges: Cloudflare's documentation of transformations by URL, "Transform via URL".

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, Serializer};

use super::Color;

/// What values keep as it is. Commas end an option, slashes the whole list.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b';');
/// The largest side of a picture, in pixels.
pub(super) const MAX_SIDE: u32 = 12_000;

/// The value of an option, in its own type.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Integer(u32),
    /// Written with a decimal point, as the toolkit does: `2.0`.
    Decimal(f64),
    Flag(bool),
    Word(&'static str),
    Text(Cow<'a, str>),
}

impl Value<'_> {
    /// Writes the value as it stands in URLs.
    pub(super) fn write(&self, to: &mut impl fmt::Write) -> fmt::Result {
        match self {
            Self::Integer(number) => write!(to, "{number}"),
            Self::Decimal(number) => to.write_str(&decimal(*number)),
            Self::Flag(flag) => to.write_str(if *flag { "true" } else { "false" }),
            Self::Word(word) => to.write_str(word),
            Self::Text(text) => utf8_percent_encode(text, VALUE).try_for_each(|part| to.write_str(part)),
        }
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Integer(number) => serializer.serialize_u32(*number),
            Self::Decimal(number) => serializer.serialize_f64(*number),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Word(word) => serializer.serialize_str(word),
            Self::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// A number with a decimal point, and without an exponent whatever its size.
fn decimal(number: f64) -> String {
    let mut text = number.to_string();
    if !text.contains('.') {
        text.push_str(".0");
    }
    text
}

/// A closed set of words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant),+
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            /// All of them, as they stand in URLs.
            pub(super) const WORDS: &'static [&'static str] = &[$($word),+];
            /// What is allowed, for people.
            pub const ALLOWED: &'static str = one_of!($($word),+);

            /// As it stands in URLs.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            pub(super) fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str() == word)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

macro_rules! one_of {
    ($only:literal) => { $only };
    ($first:literal, $($rest:literal),+) => { concat!("one of: ", $first $(, ", ", $rest)+) };
}

words! {
    /// How a picture is fitted into width and height.
    Fit {
        /// Shrinks into the box, keeping the ratio; never enlarges.
        ScaleDown = "scale-down",
        /// Shrinks or enlarges to fit into the box.
        Contain = "contain",
        /// Fills the box exactly; what is beyond it is cut off around the gravity.
        Cover = "cover",
        /// Like cover, but never enlarges.
        Crop = "crop",
        /// Cuts off to the ratio of the box without enlarging.
        AspectCrop = "aspect-crop",
        /// Fits into the box and fills the rest with the background.
        Pad = "pad",
        /// Distorts to the exact size.
        Squeeze = "squeeze",
        /// Enlarges to fit into the box; never shrinks.
        ScaleUp = "scale-up",
    }
}

words! {
    /// The format of the result.
    Format {
        /// AVIF or WebP where the browser takes it.
        Auto = "auto",
        /// AVIF.
        Avif = "avif",
        /// WebP.
        Webp = "webp",
        /// Progressive JPEG, or PNG where the picture has transparency.
        Jpeg = "jpeg",
        /// Baseline JPEG.
        BaselineJpeg = "baseline-jpeg",
        /// No picture, but JSON that tells its size.
        Json = "json",
    }
}

words! {
    /// What is kept of the metadata of a JPEG.
    Metadata {
        /// The copyright tag.
        Copyright = "copyright",
        /// Most of it, where it was taken included.
        Keep = "keep",
        /// Nothing.
        None = "none",
    }
}

words! {
    /// How a picture is mirrored, before it is turned.
    Flip {
        /// Left and right.
        Horizontal = "h",
        /// Top and bottom.
        Vertical = "v",
        /// Both.
        Both = "hv",
    }
}

words! {
    /// How hard the encoder works.
    Compression {
        /// As fast as possible; usually JPEG.
        Fast = "fast",
    }
}

words! {
    /// What of a picture is kept.
    Segment {
        /// The foreground; the background becomes transparent.
        Foreground = "foreground",
    }
}

words! {
    /// How a picture is enlarged.
    Upscale {
        /// By interpolation.
        Interpolate = "interpolate",
        /// By a model that makes details up.
        Generate = "generate",
    }
}

words! {
    /// What happens when the transformation fails.
    OnError {
        /// The browser is sent to the original, which must be on the same zone.
        Redirect = "redirect",
    }
}

words! {
    /// A quality by name.
    QualityLevel {
        /// For pictures that are looked at closely.
        High = "high",
        /// Between.
        MediumHigh = "medium-high",
        /// Between.
        MediumLow = "medium-low",
        /// For slow connections.
        Low = "low",
    }
}

/// The quality of lossy formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quality {
    /// 1 to 100.
    Number(u8),
    /// By name, adapted to the format.
    Level(QualityLevel),
}

impl Quality {
    pub(super) const ALLOWED: &'static str =
        "a whole number from 1 to 100, or one of: high, medium-high, medium-low, low";

    pub(super) fn parse(text: &str) -> Option<Self> {
        QualityLevel::parse(text).map(Self::Level).or_else(|| parse_integer(text).map(Self::Number))
    }

    pub(super) fn is_allowed(self) -> bool {
        !matches!(self, Self::Number(number) if !(1..=100).contains(&number))
    }

    pub(super) fn value(self) -> Value<'static> {
        match self {
            Self::Number(number) => Value::Integer(number.into()),
            Self::Level(level) => Value::Word(level.as_str()),
        }
    }
}

impl From<u8> for Quality {
    fn from(number: u8) -> Self {
        Self::Number(number)
    }
}

impl From<QualityLevel> for Quality {
    fn from(level: QualityLevel) -> Self {
        Self::Level(level)
    }
}

/// The width of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Width {
    /// 1 to 12000 pixels.
    Pixels(u32),
    /// What the browser says it needs, or the kind of device where it does not.
    Auto,
}

impl Width {
    pub(super) const ALLOWED: &'static str = "a whole number from 1 to 12000, or auto";

    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "auto" { Some(Self::Auto) } else { parse_integer(text).map(Self::Pixels) }
    }

    pub(super) fn is_allowed(self) -> bool {
        !matches!(self, Self::Pixels(pixels) if !is_side(pixels))
    }

    pub(super) fn value(self) -> Value<'static> {
        match self {
            Self::Pixels(pixels) => Value::Integer(pixels),
            Self::Auto => Value::Word("auto"),
        }
    }
}

impl From<u32> for Width {
    fn from(pixels: u32) -> Self {
        Self::Pixels(pixels)
    }
}

/// Whether a picture may have this many pixels a side.
pub(super) fn is_side(pixels: u32) -> bool {
    (1..=MAX_SIDE).contains(&pixels)
}

/// What stays in view when a picture is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gravity {
    /// What catches the eye.
    Auto,
    /// Faces.
    Face,
    /// The left side.
    Left,
    /// The right side.
    Right,
    /// The top.
    Top,
    /// The bottom.
    Bottom,
    /// A point: the share of the width from the left and that of the height from the top, 0.0 to 1.0 each.
    Point(f64, f64),
}

impl Gravity {
    /// The middle of the picture.
    pub const CENTRE: Self = Self::Point(0.5, 0.5);
    pub(super) const ALLOWED: &'static str =
        "one of: auto, face, left, right, top, bottom, center, or a point such as 0.25x0.75, with numbers from 0 to 1";

    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "auto" => Self::Auto,
            "face" => Self::Face,
            "left" => Self::Left,
            "right" => Self::Right,
            "top" => Self::Top,
            "bottom" => Self::Bottom,
            // A word of Workers, which URLs do not know.
            "center" | "centre" => Self::CENTRE,
            point => {
                let (x, y) = point.split_once('x')?;
                Self::Point(parse_decimal(x)?, parse_decimal(y)?)
            }
        })
    }

    pub(super) fn is_allowed(self) -> bool {
        !matches!(self, Self::Point(x, y) if !is_share(x) || !is_share(y))
    }

    pub(super) fn value(self) -> Value<'static> {
        Value::Word(match self {
            Self::Auto => "auto",
            Self::Face => "face",
            Self::Left => "left",
            Self::Right => "right",
            Self::Top => "top",
            Self::Bottom => "bottom",
            // Adding zero makes nothing of a minus before a zero.
            Self::Point(x, y) => return Value::Text(format!("{}x{}", x + 0.0, y + 0.0).into()),
        })
    }
}

/// A length within a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// 0 to 12000 pixels.
    Pixels(u32),
    /// A share of the side, 0.0 to 1.0.
    Share(f64),
}

impl Length {
    pub(super) const ALLOWED: &'static str =
        "a whole number of pixels from 0 to 12000, or a share with a decimal point from 0.0 to 1.0";

    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.contains('.') { parse_decimal(text).map(Self::Share) } else { parse_integer(text).map(Self::Pixels) }
    }

    pub(super) fn is_allowed(self) -> bool {
        match self {
            Self::Pixels(pixels) => pixels <= MAX_SIDE,
            Self::Share(share) => is_share(share),
        }
    }

    pub(super) fn value(self) -> Value<'static> {
        match self {
            Self::Pixels(pixels) => Value::Integer(pixels),
            Self::Share(share) => Value::Decimal(share + 0.0),
        }
    }
}

/// As it stands in URLs: `10`, `0.5`.
impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().write(f)
    }
}

impl From<u32> for Length {
    fn from(pixels: u32) -> Self {
        Self::Pixels(pixels)
    }
}

fn is_share(number: f64) -> bool {
    (0.0..=1.0).contains(&number)
}

/// Reads a number of digits alone.
pub(super) fn parse_integer<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Reads a number of digits and a point: no exponent, no sign but a minus, neither infinity nor NaN.
pub(super) fn parse_decimal(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if is_plain { f64::from_str(text).ok().filter(|number| number.is_finite()) } else { None }
}

/// What is cut off before anything else is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trim {
    /// A strip at each side.
    Edges {
        /// At the top.
        top: Length,
        /// At the right.
        right: Length,
        /// At the bottom.
        bottom: Length,
        /// At the left.
        left: Length,
    },
    /// All but a rectangle.
    Rectangle(Rectangle),
    /// The border around the picture.
    Border(Border),
}

/// A rectangle within a picture. What is not given goes to the edge.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rectangle {
    /// From the left side of the picture.
    pub left: Option<Length>,
    /// From the top of the picture.
    pub top: Option<Length>,
    /// The width, above 0.
    pub width: Option<Length>,
    /// The height, above 0.
    pub height: Option<Length>,
}

/// A border that is recognised by its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Border {
    /// The colour; detected where it is not given.
    pub color: Option<Color>,
    /// How far a colour may be from that of the border, 0 to 255.
    pub tolerance: Option<u8>,
    /// How many pixels of the border stay, 0 to 12000.
    pub keep: Option<u32>,
}

impl Trim {
    pub(super) const ALLOWED: &'static str = "border, or four lengths from the top clockwise, such as 10;20;10;20 or 0.1;0.2;0.1;0.2 \
         (trim_threshold and crop are easier to say)";

    /// Reads the value of `trim`; its parts have names of their own.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "border" {
            return Some(Self::Border(Border::default()));
        }
        let mut lengths = text.split(';').map(Length::parse);
        let mut next = || lengths.next().flatten();
        let edges = Self::Edges { top: next()?, right: next()?, bottom: next()?, left: next()? };
        lengths.next().is_none().then_some(edges)
    }

    pub(super) fn is_allowed(&self) -> bool {
        match self {
            Self::Edges { top, right, bottom, left } => [top, right, bottom, left].into_iter().all(|l| l.is_allowed()),
            Self::Rectangle(rectangle) => rectangle.is_allowed(),
            Self::Border(border) => border.keep.is_none_or(|keep| keep <= MAX_SIDE),
        }
    }
}

impl Rectangle {
    /// Whether every length is allowed, both sides are above zero, and there is something to cut.
    fn is_allowed(&self) -> bool {
        let lengths = [self.left, self.top, self.width, self.height];
        lengths.iter().any(Option::is_some)
            && lengths.into_iter().flatten().all(Length::is_allowed)
            && [self.width, self.height].into_iter().flatten().all(Length::is_positive)
    }
}

impl Length {
    pub(super) fn is_positive(self) -> bool {
        match self {
            Self::Pixels(pixels) => pixels > 0,
            Self::Share(share) => share > 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_have_a_point_and_no_exponent() {
        for (number, want) in
            [(1.0, "1.0"), (0.5, "0.5"), (10.0, "10.0"), (1e-7, "0.0000001"), (1e21, "1000000000000000000000.0")]
        {
            assert_eq!(decimal(number), want);
            assert_eq!(parse_decimal(want), Some(number));
        }
        for text in ["", "-", ".", "1e3", "+1", "inf", "NaN", "1,5", " 1", "1_0", "--1"] {
            assert_eq!(parse_decimal(text), None, "{text}");
        }
    }
}
