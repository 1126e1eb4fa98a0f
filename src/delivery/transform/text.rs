//! Transformations as texts: read by name and value, and written as they stand in URLs.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::info::{OPTIONS, SHORTHANDS, UNUSABLE};
use super::{AutoWidth, Transform, TransformError, check, invalid};
use crate::delivery::Color;
use crate::delivery::options::{
    Border, Compression, Fit, Flip, Format, Gravity, Length, MAX_SIDE, Metadata, OnError, Quality, Rectangle, Segment,
    Trim, Upscale, Value, Width, parse_decimal, parse_integer,
};

/// Options as texts.
impl Transform {
    /// Sets an option by its name or shorter name; `_` may stand for `-`. What was set before is
    /// replaced, but for the parts of `trim`, which add to each other.
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
            match self.clone().with_another(option, value.trim(), &mut seen) {
                Ok(changed) => self = changed,
                Err(error) => errors.push(error),
            }
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

    /// The full names of the options that are set, in their order.
    ///
    /// # Examples
    /// ```
    /// let transform: cfimages::delivery::Transform = "w=300,fit=cover".parse()?;
    /// assert_eq!(transform.option_names(), ["fit", "width"]);
    /// # Ok::<(), cfimages::delivery::TransformError>(())
    /// ```
    pub fn option_names(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        let Ok(()) = self.for_each(|name, _| {
            names.push(name);
            Ok::<(), std::convert::Infallible>(())
        });
        names
    }

    /// Writes the options as they stand in URLs.
    pub(super) fn write_options(&self, to: &mut impl fmt::Write) -> fmt::Result {
        let mut separator = "";
        self.for_each(|name, value| {
            to.write_str(separator)?;
            separator = ",";
            to.write_str(name)?;
            to.write_char('=')?;
            value.write(to)
        })
    }

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

    /// With one option more, as it stands in URLs. `seen` has the names of those before it.
    fn with_part(self, option: &str, seen: &mut Vec<&'static str>) -> Result<Self, TransformError> {
        let malformed = || TransformError::Malformed(option.to_owned());
        let (name, value) = option.split_once('=').ok_or_else(malformed)?;
        let value = percent_decode_str(value).decode_utf8().map_err(|_| malformed())?;
        self.with_another(name, &value, seen)
    }

    /// With one option more. `seen` has the names of those before it, none of which may say the same.
    fn with_another(self, option: &str, value: &str, seen: &mut Vec<&'static str>) -> Result<Self, TransformError> {
        let name = Self::find_name(option)?;
        if seen.contains(&name) {
            return Err(TransformError::Repeated { option: name });
        }
        if seen.iter().any(|before| covers(before, name) || covers(name, before)) {
            return Err(TransformError::Unusable {
                option: name,
                reason: "says the same as another option that is given",
            });
        }
        seen.push(name);
        self.with(name, value)
    }
}

/// Whether an option is a shorthand for what another says.
fn covers(shorthand: &str, name: &str) -> bool {
    match shorthand {
        "adjust-brightness" => name == "brightness",
        "adjust-contrast" => name == "contrast",
        "crop" | "trim-threshold" => name == "crop" || name.starts_with("trim"),
        _ => false,
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
