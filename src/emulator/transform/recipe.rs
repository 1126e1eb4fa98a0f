//! What is to be done to a picture, decided before it is read.

use std::borrow::Cow;

use super::adjust::Adjustments;
use super::fit::Frame;
use super::orient::{Area, Turn};
use super::{Format, Picture, Size, memory, trim};
use crate::delivery::{
    self, Color, Compression, Fit, Metadata, Quality, QualityLevel, Resolved, Segment, Trim, Upscale, Width,
};

/// Pixels of all frames together, before or after, above which an animation is delivered as it is.
const MAX_ANIMATION_PIXELS: u64 = 50_000_000;
/// The quality that all pictures get unless another is asked for.
const QUALITY: u8 = 85;

/// What is known of the browser that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::emulator) struct Browser {
    /// Whether it takes WebP.
    pub(in crate::emulator) accepts_webp: bool,
    /// Whether it says that its connection is slow.
    pub(in crate::emulator) is_slow: bool,
    /// Whether it is one of a phone.
    pub(in crate::emulator) is_mobile: bool,
    /// How many pixels wide it needs the picture, where it says so.
    pub(in crate::emulator) width: Option<u32>,
}

/// All that is done to a picture. Its `Debug` output tells it from others.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::emulator) struct Recipe {
    pub(super) trim: Option<Trim>,
    pub(super) dpr: f64,
    pub(super) turn: Turn,
    pub(super) frame: Frame,
    pub(super) background: Option<Color>,
    pub(super) adjustments: Adjustments,
    pub(super) output: Output,
}

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// The file that was uploaded, without the metadata that are not to be kept.
    Original(Metadata),
    /// A still picture; the first frame of an animation.
    Still(Still),
    /// An animated GIF.
    Animation,
    /// The size of the result, and that of the original.
    Json,
}

/// How a still picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Still {
    pub(super) format: Format,
    /// The format where parts are transparent.
    pub(super) transparent: Format,
    /// 1 to 100.
    pub(super) quality: u8,
    /// Whether WebP is written with loss.
    pub(super) is_lossy: bool,
    pub(super) metadata: Metadata,
}

impl Recipe {
    /// Decides what the options mean for a picture and a browser.
    pub(in crate::emulator) fn new(options: &Resolved, picture: &Picture, browser: Browser) -> Self {
        let mut recipe = Self {
            trim: options.trim,
            dpr: options.dpr,
            turn: Turn::new(options.flip, options.rotate),
            frame: Frame::new(options, width(options, browser)),
            background: options.background,
            adjustments: Adjustments::from(options),
            output: output(options, picture, browser),
        };
        if recipe.changes_nothing(picture) || recipe.makes_too_many_frames(picture) {
            recipe.output = Output::Original(options.metadata);
        }
        recipe
    }

    /// Whether the file is delivered as it came.
    pub(in crate::emulator) fn is_original(&self) -> bool {
        matches!(self.output, Output::Original(_))
    }

    /// Whether the result is a picture that is not the file that came.
    pub(in crate::emulator) fn makes_picture(&self) -> bool {
        matches!(self.output, Output::Still(_) | Output::Animation)
    }

    /// Bytes of memory that the work takes, at most.
    pub(in crate::emulator) fn memory(&self, picture: &Picture) -> u64 {
        let Some(source) = self.size_before_fitting(picture) else {
            let made = self.frame.max_pixels(picture.size);
            let between = made.max(u64::from(picture.size.width.max(picture.size.height)) * 12_000);
            return memory::of_work_on(picture.decoded_bytes().max(between * 4));
        };
        let fitting = self.frame.fit(source);
        let size = fitting.size;
        // What is scaled in one direction only, whichever comes first after the turn.
        let [across, down] = [(source.width, size.height), (source.height, size.width)]
            .map(|(width, height)| Size { width, height }.pixels());
        let pixels = fitting.canvas.pixels().max(across).max(down);
        memory::of_work_on(picture.decoded_bytes().max(pixels * 4))
    }

    /// The size of the result; `None` where only the pixels tell.
    pub(super) fn size(&self, picture: &Picture) -> Option<Size> {
        if self.is_original() {
            return Some(picture.size);
        }
        self.size_before_fitting(picture).map(|source| self.frame.fit(source).canvas)
    }

    fn size_before_fitting(&self, picture: &Picture) -> Option<Size> {
        let part = self.known_part(picture.size)?;
        Some(self.turn.size(rounded(part)))
    }

    /// What is left after trimming; `None` where only the pixels tell. What leaves nothing is not done.
    pub(super) fn known_part(&self, size: Size) -> Option<Area> {
        match &self.trim {
            Some(Trim::Border(_)) => None,
            Some(trim) => Some(trim::known_part(trim, size, self.dpr).unwrap_or_else(|| Area::of(size))),
            None => Some(Area::of(size)),
        }
    }

    /// Whether the frames of the result would have too many pixels together: many small ones can become many large ones.
    fn makes_too_many_frames(&self, picture: &Picture) -> bool {
        let pixels = self.size(picture).map_or_else(|| self.frame.max_pixels(picture.size), Size::pixels);
        self.output == Output::Animation && pixels.saturating_mul(picture.frames.into()) > MAX_ANIMATION_PIXELS
    }

    /// Whether the result would be the original, but for what encoding it anew costs.
    fn changes_nothing(&self, picture: &Picture) -> bool {
        let is_same_format = match self.output {
            Output::Original(_) => return true,
            Output::Json => return false,
            Output::Animation => true,
            Output::Still(still) => {
                let is_usual = still.quality == QUALITY || !still.format.is_lossy();
                still.format == picture.format
                    && still.transparent == picture.format_with_alpha()
                    && is_usual
                    && picture.frames == 1
            }
        };
        let has_background = self.background.is_some() && picture.format != Format::Jpeg;
        let is_whole = self.known_part(picture.size) == Some(Area::of(picture.size));
        is_same_format
            && is_whole
            && !picture.is_turned
            && self.turn == Turn::default()
            && !has_background
            && self.adjustments.are_none()
            && self.frame.fit(picture.size).canvas == picture.size
    }
}

/// A part as a size of its own.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parts that are trimmed are whole pixels")]
pub(super) fn rounded(part: Area) -> Size {
    Size { width: part.width.round() as u32, height: part.height.round() as u32 }
}

/// `width=auto` takes the narrowest of its widths that is enough.
fn width(options: &Resolved, browser: Browser) -> Option<u32> {
    let needed = match (options.width?, browser.width) {
        (Width::Pixels(pixels), _) => return Some(pixels),
        (Width::Auto, Some(needed)) => needed,
        (Width::Auto, None) if browser.is_mobile => return Some(options.width_on_mobile),
        (Width::Auto, None) => return Some(options.width_on_desktop),
    };
    let widths = options.width_breakpoints.iter().copied();
    widths.clone().filter(|width| *width >= needed).min().or_else(|| widths.max())
}

fn output(options: &Resolved, picture: &Picture, browser: Browser) -> Output {
    use delivery::Format as Wanted;
    let wanted = options.format.unwrap_or(Wanted::Auto);
    let is_fast = options.compression == Some(Compression::Fast);
    let still = |format, transparent| {
        let quality = quality(options, browser);
        // As at Cloudflare, the best quality has no loss. What came without loss keeps that, too.
        let is_lossy = picture.format.is_lossy() && quality < 100;
        Output::Still(Still { format, transparent, quality, is_lossy, metadata: options.metadata })
    };
    let is_animated = picture.frames > 1 && options.anim;
    match wanted {
        Wanted::Json => Output::Json,
        Wanted::Jpeg => still(Format::Jpeg, Format::Png),
        Wanted::BaselineJpeg => still(Format::Jpeg, Format::Jpeg),
        _ if is_animated && !picture.can_be_animated() => Output::Original(options.metadata),
        _ if is_animated => Output::Animation,
        Wanted::Webp => still(Format::Webp, Format::Webp),
        Wanted::Auto | Wanted::Avif if is_fast => still(Format::Jpeg, Format::Png),
        Wanted::Auto | Wanted::Avif if browser.accepts_webp => still(Format::Webp, Format::Webp),
        Wanted::Auto | Wanted::Avif if picture.format == Format::Jpeg => still(Format::Jpeg, Format::Png),
        Wanted::Auto | Wanted::Avif => still(picture.format, picture.format),
    }
}

impl Picture {
    /// Whether the result of a transformation can be an animation: nothing in Rust writes animated WebP.
    fn can_be_animated(&self) -> bool {
        self.format == Format::Gif && self.total_pixels() <= MAX_ANIMATION_PIXELS
    }

    /// The format of results that keep the format, where they have transparent parts.
    fn format_with_alpha(&self) -> Format {
        if self.format == Format::Jpeg { Format::Png } else { self.format }
    }
}

/// The quality for the browser. What the named levels are at Cloudflare is UNCONFIRMED.
fn quality(options: &Resolved, browser: Browser) -> u8 {
    let quality = options.slow_connection_quality.filter(|_| browser.is_slow).unwrap_or(options.quality);
    match quality {
        Quality::Number(number) => number,
        Quality::Level(QualityLevel::High) => 90,
        Quality::Level(QualityLevel::MediumHigh) => 80,
        Quality::Level(QualityLevel::MediumLow) => 65,
        Quality::Level(QualityLevel::Low) => 50,
    }
}

/// What of the options is not carried out, or has no effect on this picture.
pub(in crate::emulator) fn warnings(options: &Resolved, picture: &Picture) -> Vec<Cow<'static, str>> {
    let mut warnings = Vec::new();
    let mut warn = |applies: bool, warning: &'static str| {
        if applies {
            warnings.push(Cow::Borrowed(warning));
        }
    };
    let leaves_nothing = options.trim.is_some_and(|trim| trim::known_part(&trim, picture.size, options.dpr).is_none());
    warn(leaves_nothing, "trim leaves nothing of the image");
    warn(options.format == Some(delivery::Format::Avif), "AVIF is not made here, the format is that of format=auto");
    warn(options.segment == Some(Segment::Foreground), "segment is not carried out here");
    warn(options.upscale == Upscale::Generate, "upscale=generate is not carried out here, the image is interpolated");
    warn(options.zoom > 0.0, "zoom is not carried out here");
    let needs_both = matches!(options.fit, Fit::Cover | Fit::Crop | Fit::AspectCrop | Fit::Pad | Fit::Squeeze);
    if needs_both && options.width.is_some() != options.height.is_some() {
        warnings.push(format!("{} fit mode needs both width and height", options.fit).into());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Transform;

    fn picture(format: Format, side: u32, frames: u32) -> Picture {
        Picture { format, size: Size { width: side, height: side }, is_turned: false, frames }
    }

    fn recipe(options: &str, picture: &Picture, browser: Browser) -> Recipe {
        Recipe::new(&Transform::parse_leniently(options).0.resolved(), picture, browser)
    }

    #[test]
    fn animations_that_are_too_large_or_cannot_be_written_stay_as_they_are() {
        for (format, side, frames, is_original) in [
            (Format::Gif, 5000, 2, false),
            (Format::Gif, 5000, 3, true),
            (Format::Gif, 7500, 1, false),
            (Format::Webp, 500, 2, true),
            (Format::Webp, 500, 1, false),
        ] {
            let recipe = recipe("w=300,h=300", &picture(format, side, frames), Browser::default());
            assert_eq!(recipe.is_original(), is_original, "{format:?} {side} {frames}");
            let side = if is_original { side } else { 300 };
            assert_eq!(recipe.size(&picture(format, side, frames)), Some(Size { width: side, height: side }));
        }
        for (options, is_original) in
            [("fit=contain,w=1000", false), ("fit=contain,w=1001", true), ("fit=contain,w=1001,trim=border", true)]
        {
            assert_eq!(recipe(options, &picture(Format::Gif, 10, 50), Browser::default()).is_original(), is_original);
        }
        let still = recipe("w=300,anim=false", &picture(Format::Webp, 500, 2), Browser::default());
        assert!(matches!(still.output, Output::Still(_)));
    }

    #[test]
    fn a_picture_that_nothing_is_done_to_is_the_original() {
        let jpeg = picture(Format::Jpeg, 300, 1);
        for (options, is_original) in [
            ("w=300", true),
            ("w=400,fit=crop,h=400,g=left", true),
            ("background=red", true),
            ("blur=0,rotate=360,q=85", true),
            ("trim=0;0;0;0", true),
            ("w=299", false),
            ("q=84", false),
            ("blur=1", false),
            ("flip=h", false),
            ("trim=1;0;0;0", false),
            ("trim=border", false),
            ("fit=pad,w=300,h=301", false),
            ("fit=contain,w=301", false),
            ("f=webp", false),
            ("f=json", false),
        ] {
            assert_eq!(recipe(options, &jpeg, Browser::default()).is_original(), is_original, "{options}");
        }
        let turned = Picture { is_turned: true, ..jpeg };
        assert!(!recipe("w=300", &turned, Browser::default()).is_original());
        assert!(!recipe("background=red", &picture(Format::Png, 300, 1), Browser::default()).is_original());
    }

    #[test]
    fn the_format_is_the_one_asked_for_or_suits_picture_and_browser() {
        let webp = Browser { accepts_webp: true, ..Browser::default() };
        let none = Browser::default();
        for (options, source, browser, format, transparent) in [
            ("w=9", Format::Jpeg, webp, Format::Webp, Format::Webp),
            ("w=9", Format::Jpeg, none, Format::Jpeg, Format::Png),
            ("w=9,compression=fast", Format::Jpeg, webp, Format::Jpeg, Format::Png),
            ("w=9", Format::Png, webp, Format::Webp, Format::Webp),
            ("w=9", Format::Png, none, Format::Png, Format::Png),
            ("w=9", Format::Webp, none, Format::Webp, Format::Webp),
            ("w=9", Format::Gif, webp, Format::Webp, Format::Webp),
            ("w=9,f=avif", Format::Png, none, Format::Png, Format::Png),
            ("w=9,f=webp", Format::Jpeg, none, Format::Webp, Format::Webp),
            ("w=9,f=jpeg", Format::Png, webp, Format::Jpeg, Format::Png),
            ("w=9,f=baseline-jpeg", Format::Png, webp, Format::Jpeg, Format::Jpeg),
            ("w=9,compression=fast", Format::Png, webp, Format::Jpeg, Format::Png),
        ] {
            let Output::Still(still) = recipe(options, &picture(source, 100, 1), browser).output else {
                panic!("{options} of {source:?} is a picture")
            };
            assert_eq!((still.format, still.transparent), (format, transparent), "{options} of {source:?}");
        }
    }

    #[test]
    fn webp_is_written_with_loss_where_the_picture_came_with_loss_and_not_the_best_is_asked_for() {
        for (options, source, want) in [
            ("f=webp", Format::Jpeg, true),
            ("f=webp,w=9", Format::Webp, true),
            ("f=webp,q=100", Format::Jpeg, false),
            ("f=webp,q=10", Format::Png, false),
            ("f=webp", Format::Gif, false),
        ] {
            let Output::Still(still) = recipe(options, &picture(source, 100, 1), Browser::default()).output else {
                panic!("{options} of {source:?} is a picture")
            };
            assert_eq!(still.is_lossy, want, "{options} of {source:?}");
        }
    }

    #[test]
    fn automatic_widths_and_qualities_follow_the_browser() {
        let options = |options: &str| options.parse::<Transform>().unwrap().resolved();
        let hinted = |width| Browser { width: Some(width), ..Browser::default() };
        let phone = Browser { is_mobile: true, ..Browser::default() };
        for (text, browser, want) in [
            ("w=50", hinted(700), Some(50)),
            ("h=50", hinted(700), None),
            ("w=auto", hinted(700), Some(768)),
            ("w=auto", hinted(320), Some(320)),
            ("w=auto", hinted(5000), Some(1200)),
            ("w=auto", phone, Some(768)),
            ("w=auto", Browser::default(), Some(1200)),
            ("w=auto,wbreakpoints=900;100,wmobile=70,wdesktop=80", hinted(101), Some(900)),
            ("w=auto,wmobile=70,wdesktop=80", phone, Some(70)),
            ("w=auto,wmobile=70,wdesktop=80", Browser::default(), Some(80)),
        ] {
            assert_eq!(width(&options(text), browser), want, "{text} {browser:?}");
        }
        let slow = Browser { is_slow: true, ..Browser::default() };
        assert_eq!(quality(&options("q=70,scq=low"), slow), 50);
        assert_eq!(quality(&options("q=70,scq=low"), Browser::default()), 70);
        assert_eq!(quality(&options("w=1"), slow), 85);
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let said = |options: &str| {
            let options = Transform::parse_leniently(options).0.resolved();
            warnings(&options, &picture(Format::Jpeg, 100, 1)).join("|")
        };
        assert_eq!(said("fit=cover,w=9"), "cover fit mode needs both width and height");
        assert_eq!(said("fit=contain,w=9"), "");
        assert_eq!(said("fit=cover"), "");
        assert!(said("trim=60;0;60;0").contains("trim"));
        assert!(said("f=avif").contains("AVIF"));
        assert!(said("segment=foreground,upscale=generate").matches('|').count() == 1);
    }

    #[test]
    fn memory_grows_with_what_is_read_and_with_what_is_made() {
        let memory = |options: &str, side| {
            let jpeg = picture(Format::Jpeg, side, 1);
            recipe(options, &jpeg, Browser::default()).memory(&jpeg)
        };
        assert_eq!(memory("w=300", 4000), memory::of_work_on(48_000_000));
        assert_eq!(memory("fit=contain,w=10000", 10), memory::of_work_on(400_000_000));
        assert_eq!(memory("fit=cover,w=1000,h=1000,trim=border", 10), memory::of_work_on(4_000_000));
    }
}
