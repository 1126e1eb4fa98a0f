//! What options there are, and what people are told of them.

use crate::delivery::options::{
    Compression, Fit, Flip, Format, Gravity, Length, Metadata, OnError, Quality, Segment, Trim, Upscale, Width,
};

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
