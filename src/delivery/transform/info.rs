//! What options there are, and what people are told of them.

use self::OptionKind::{Color, Decimal, Flag, Integer, Text, Words};
use crate::delivery::options::{
    Compression, Fit, Flip, Format, Gravity, Length, MAX_SIDE, Metadata, OnError, Quality, QualityLevel, Segment, Trim,
    Upscale, Width,
};

/// An option of transformations, as people are told of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionInfo {
    /// The name, as it stands in URLs.
    pub name: &'static str,
    /// Cloudflare's shorter name.
    pub alias: Option<&'static str>,
    /// What kind of values it takes.
    pub kind: OptionKind,
    /// What it takes.
    pub allowed: &'static str,
    /// What it does.
    pub about: &'static str,
}

/// What kind of values an option takes, as far as a form has to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OptionKind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Integer {
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// A number that may have a fraction.
    Decimal {
        /// The least that makes sense.
        least: f64,
        /// The most, where there is an end.
        most: Option<f64>,
    },
    /// One of these words.
    Words(&'static [&'static str]),
    /// A colour of CSS.
    Color,
    /// A text; some that it may be.
    Text(&'static [&'static str]),
}

const FACTOR: OptionKind = Decimal { least: 0.01, most: None };
const QUALITY: OptionKind = Text(QualityLevel::WORDS);
const SIDE_KIND: OptionKind = Integer { least: 1, most: MAX_SIDE };
const POSITIVE: &str = "a number above 0, where 1 changes nothing";
const SIDE: &str = "a whole number from 1 to 12000";
const ADJUSTMENT_KIND: OptionKind = Decimal { least: -1.0, most: Some(1.0) };
const ADJUSTMENT: &str = "a number from -1 to 1, where 0 changes nothing";

macro_rules! options {
    ($($name:literal $(/ $alias:literal)?: $kind:expr, $allowed:expr, $about:literal;)+) => {
        /// All options, in the order in which they stand in URLs.
        pub const OPTIONS: &[OptionInfo] = &[$(OptionInfo {
            name: $name,
            alias: options!(@alias $($alias)?),
            kind: $kind,
            allowed: $allowed,
            about: $about,
        }),+];
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
}

options! {
    "anim": Flag, "true or false", "whether animations stay animations; false keeps their first frame";
    "background": Color, "a CSS colour, such as #ff8800, orange or rgb(255 136 0 / 50%)", "what is below transparent parts, and beside a padded picture";
    "blur": Integer { least: 0, most: 250 }, "a whole number from 0 to 250", "the radius of the blur";
    "brightness": FACTOR, POSITIVE, "the factor of the brightness: 0.5 is half as bright";
    "compression": Words(Compression::WORDS), Compression::ALLOWED, "trades size for speed";
    "contrast": FACTOR, POSITIVE, "the factor of the contrast";
    "dpr": Decimal { least: 1.0, most: Some(3.0) }, "a number from 1 to 3", "device pixels per pixel of width and height";
    "fit": Words(Fit::WORDS), Fit::ALLOWED, "how the picture is fitted into width and height";
    "flip": Words(Flip::WORDS), Flip::ALLOWED, "mirrors the picture: horizontally, vertically or both";
    "format"/"f": Words(Format::WORDS), Format::ALLOWED, "the format of the result";
    "gamma": FACTOR, POSITIVE, "the exponent of the brightness of midtones";
    "gravity"/"g": Text(&["auto", "face", "left", "right", "top", "bottom", "center", "0.5x0.5"]), Gravity::ALLOWED, "what stays in view when the picture is cut";
    "height"/"h": SIDE_KIND, SIDE, "the height in pixels";
    "metadata": Words(Metadata::WORDS), Metadata::ALLOWED, "what is kept of the metadata of a JPEG";
    "onerror": Words(OnError::WORDS), OnError::ALLOWED, "sends the browser to the original where the transformation fails; not for hosted pictures";
    "quality"/"q": QUALITY, Quality::ALLOWED, "the quality of lossy formats";
    "rotate": Words(&["90", "180", "270"]), "one of: 0, 90, 180, 270, 360", "turns the picture clockwise, by degrees";
    "saturation": Decimal { least: 0.0, most: None }, "a number from 0, where 1 changes nothing", "the factor of the saturation: 0 is grey";
    "segment": Words(Segment::WORDS), Segment::ALLOWED, "makes the background transparent";
    "sharpen": Decimal { least: 0.0, most: Some(10.0) }, "a number from 0 to 10", "how much the picture is sharpened";
    "slow-connection-quality"/"scq": QUALITY, Quality::ALLOWED, "the quality where the browser says that its connection is slow";
    "trim": Text(&["border", "10;20;10;20"]), Trim::ALLOWED, "what is cut off before anything else is done";
    "trim.border.color": Color, "a CSS colour, such as #ff8800, orange or rgb(255 136 0 / 50%)", "the colour of the border that is cut off; detected where it is not given";
    "trim.border.keep": Integer { least: 0, most: 12_000 }, "a whole number from 0 to 12000", "how many pixels of the border stay";
    "trim.border.tolerance": Integer { least: 0, most: 255 }, "a whole number from 0 to 255", "how far a colour may be from that of the border";
    "trim.height": Text(&[]), "a length above 0: pixels from 1 to 12000, or a share with a decimal point up to 1.0", "the height of the rectangle that is kept";
    "trim.left": Text(&[]), Length::ALLOWED, "where the rectangle that is kept starts, from the left";
    "trim.top": Text(&[]), Length::ALLOWED, "where the rectangle that is kept starts, from the top";
    "trim.width": Text(&[]), "a length above 0: pixels from 1 to 12000, or a share with a decimal point up to 1.0", "the width of the rectangle that is kept";
    "upscale": Words(Upscale::WORDS), Upscale::ALLOWED, "how the picture is enlarged";
    "wbreakpoints": Text(&["320;768;960;1200"]), "whole numbers from 1 to 12000, such as 320;768;960;1200", "the widths that width=auto chooses from";
    "wdesktop": SIDE_KIND, SIDE, "what width=auto takes for computers where the browser says nothing";
    "width"/"w": Text(&["640", "1280", "auto"]), Width::ALLOWED, "the width in pixels";
    "wmobile": SIDE_KIND, SIDE, "what width=auto takes for phones where the browser says nothing";
    "zoom"/"face-zoom": Decimal { least: 0.0, most: Some(1.0) }, "a number from 0 to 1", "how close a face is cut; only with gravity=face";
}

/// Other ways to say something, which stand in no URL.
pub const SHORTHANDS: &[OptionInfo] = &[
    OptionInfo {
        name: "adjust-brightness",
        alias: None,
        kind: ADJUSTMENT_KIND,
        allowed: ADJUSTMENT,
        about: "makes the picture darker or brighter",
    },
    OptionInfo {
        name: "adjust-contrast",
        alias: None,
        kind: ADJUSTMENT_KIND,
        allowed: ADJUSTMENT,
        about: "takes contrast away or adds some",
    },
    OptionInfo {
        name: "crop",
        alias: None,
        kind: Text(&["10;10;300;200"]),
        allowed: "x;y;width;height in pixels, such as 10;10;300;200",
        about: "keeps this rectangle of the picture",
    },
    OptionInfo {
        name: "trim-threshold",
        alias: None,
        kind: Integer { least: 0, most: 255 },
        allowed: "a whole number from 0 to 255",
        about: "cuts off a border whose colours are this far apart",
    },
];

/// What is asked for and cannot be had in URLs, with the reason.
pub(super) const UNUSABLE: &[(&str, &str)] = &[
    ("border", "is one of Workers only, URLs cannot have it; draw the border with CSS"),
    ("border-color", "is for borders, which are of Workers only; draw the border with CSS"),
    ("border-width", "is for borders, which are of Workers only; draw the border with CSS"),
    ("draw", "is one of Workers only, URLs cannot have it"),
    ("origin-auth", "is one of Workers only, URLs cannot have it"),
    ("pad", "is unknown to Cloudflare; fit=pad with width, height and background fills up a box"),
    ("trim.bottom", "is one of Workers only; give trim.top and trim.height, or trim=top;right;bottom;left"),
    ("trim.right", "is one of Workers only; give trim.left and trim.width, or trim=top;right;bottom;left"),
];
