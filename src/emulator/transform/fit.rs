//! How a picture is brought into a box: which part of it is kept, how large that becomes, and on what canvas.

use crate::delivery::{Fit, Gravity, Resolved};

use super::Size;
use super::decode::{MAX_PIXELS, MAX_SIDE};
use super::orient::Area;

/// The box, and the way into it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Frame {
    fit: Fit,
    /// In pixels of the result; no limit where it is `None`.
    width: Option<f64>,
    height: Option<f64>,
    focus: Focus,
}

/// What stays in view.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Focus {
    /// The point at these shares of the result is at the same shares of the picture.
    Gravity(f64, f64),
    /// This point of the picture is in the middle, or as close to it as can be.
    Around(f64, f64),
    /// What catches the eye, which only the pixels tell; until they are there, the middle.
    Salient,
}

/// What becomes of a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fitting {
    /// What is kept.
    pub(super) part: Area,
    /// The size that the part gets.
    pub(super) size: Size,
    /// The size of the result, in whose middle the part is; larger where the picture is padded.
    pub(super) canvas: Size,
}

impl Fitting {
    /// The whole picture at another size.
    fn all_of(source: Size, size: Size) -> Self {
        Self { part: Area::of(source), size, canvas: size }
    }
}

impl Frame {
    /// The box of a transformation, `width` wide. It is made small enough for the limits of pictures.
    pub(super) fn new(options: &Resolved, width: Option<u32>) -> Self {
        let side = |pixels: u32| (f64::from(pixels) * options.dpr).round().clamp(1.0, MAX_SIDE.into());
        let (mut width, mut height) = (width.map(side), options.height.map(side));
        if let (Some(width), Some(height)) = (&mut width, &mut height) {
            let factor = (max_pixels() / (*width * *height)).sqrt().min(1.0);
            *width = (*width * factor).floor().max(1.0);
            *height = (*height * factor).floor().max(1.0);
        }
        Self { fit: options.fit, width, height, focus: Focus::from(options.gravity) }
    }

    /// The same with another focus.
    pub(super) fn around(self, focus: Focus) -> Self {
        Self { focus, ..self }
    }

    /// Whether the focus is to be found in the pixels.
    pub(super) fn seeks_focus(&self) -> bool {
        let cuts = matches!(self.fit, Fit::Cover | Fit::Crop | Fit::AspectCrop);
        cuts && self.focus == Focus::Salient && self.has_both_sides()
    }

    /// Whether both sides of the box are given.
    pub(super) fn has_both_sides(&self) -> bool {
        self.width.is_some() && self.height.is_some()
    }

    /// The most pixels that a part of a picture of the size `source` can become.
    pub(super) fn max_pixels(&self, source: Size) -> u64 {
        match self.fit {
            Fit::ScaleDown | Fit::Crop | Fit::AspectCrop => source.pixels(),
            _ if self.width.is_none() && self.height.is_none() => source.pixels(),
            _ => {
                let (width, height) = self.sides();
                source.pixels().max(whole(width, height).pixels().min(MAX_PIXELS))
            }
        }
    }

    /// What becomes of a picture of the size `source`.
    pub(super) fn fit(&self, source: Size) -> Fitting {
        let (source_width, source_height) = (f64::from(source.width), f64::from(source.height));
        let (width, height) = self.sides();
        let (across, down) = (width / source_width, height / source_height);
        // Where one side is given, the other may become too long.
        let inside = across.min(down).min((max_pixels() / (source_width * source_height)).sqrt());
        let scaled = |factor: f64| {
            let (width, height) = (source_width * factor, source_height * factor);
            let rounded = whole(width, height);
            let is_within = rounded.pixels() <= MAX_PIXELS;
            Fitting::all_of(source, if is_within { rounded } else { whole(width.floor(), height.floor()) })
        };
        if self.width.is_none() && self.height.is_none() {
            return scaled(1.0);
        }
        let cut = |factor: f64, width: f64, height: f64| {
            let part = self.part(source, width / factor, height / factor);
            Fitting { part, ..Fitting::all_of(source, whole(width, height)) }
        };
        match self.fit_of_sides() {
            Fit::ScaleDown => scaled(inside.min(1.0)),
            Fit::Contain => scaled(inside),
            Fit::ScaleUp => scaled(inside.max(1.0)),
            Fit::Squeeze => Fitting::all_of(source, whole(width, height)),
            Fit::Pad => Fitting { canvas: whole(width, height), ..scaled(inside) },
            Fit::Cover => cut(across.max(down), width, height),
            Fit::Crop => {
                let factor = across.max(down).min(1.0);
                cut(factor, width.min(source_width * factor), height.min(source_height * factor))
            }
            Fit::AspectCrop => {
                let shrink = across.max(down).max(1.0);
                cut(across.max(down).min(1.0), width / shrink, height / shrink)
            }
        }
    }

    /// The box, where a side that is not given is as long as it may be.
    fn sides(&self) -> (f64, f64) {
        let longest = f64::from(MAX_SIDE);
        (self.width.unwrap_or(longest), self.height.unwrap_or(longest))
    }

    /// A way into the box that its sides allow: with one of them there is nothing to cut, fill or distort.
    fn fit_of_sides(&self) -> Fit {
        match self.fit {
            fit if self.has_both_sides() => fit,
            Fit::Cover | Fit::Pad | Fit::Squeeze => Fit::Contain,
            Fit::Crop | Fit::AspectCrop => Fit::ScaleDown,
            fit => fit,
        }
    }

    /// The part of this size that is in view.
    fn part(&self, source: Size, width: f64, height: f64) -> Area {
        let (source_width, source_height) = (f64::from(source.width), f64::from(source.height));
        let (width, height) = (width.min(source_width), height.min(source_height));
        let (room_across, room_down) = (source_width - width, source_height - height);
        let (left, top) = match self.focus {
            Focus::Gravity(x, y) => (x * room_across, y * room_down),
            Focus::Around(x, y) => (x * source_width - width / 2.0, y * source_height - height / 2.0),
            Focus::Salient => (room_across / 2.0, room_down / 2.0),
        };
        Area { left: left.clamp(0.0, room_across), top: top.clamp(0.0, room_down), width, height }
    }
}

impl From<Gravity> for Focus {
    fn from(gravity: Gravity) -> Self {
        match gravity {
            Gravity::Auto | Gravity::Face => Self::Salient,
            Gravity::Left => Self::Gravity(0.0, 0.5),
            Gravity::Right => Self::Gravity(1.0, 0.5),
            Gravity::Top => Self::Gravity(0.5, 0.0),
            Gravity::Bottom => Self::Gravity(0.5, 1.0),
            Gravity::Point(x, y) => Self::Gravity(x, y),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a hundred million is exact")]
fn max_pixels() -> f64 {
    MAX_PIXELS as f64
}

/// Whole pixels; at least one a side, also where a long and narrow picture would vanish.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sides are between 0 and 12000")]
fn whole(width: f64, height: f64) -> Size {
    let [width, height] = [width, height].map(|side| (side.round() as u32).max(1));
    Size { width, height }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::Transform;

    fn frame(options: &str) -> Frame {
        let options = options.parse::<Transform>().unwrap();
        Frame::new(&options.resolved(), options.width_in_pixels())
    }

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn sizes_are_those_of_cloudflares_documentation() {
        for (source, options, scaled, canvas) in [
            ((1080, 720), "w=500,h=500", (500, 333), (500, 333)),
            ((720, 1080), "w=500,h=500", (333, 500), (333, 500)),
            ((30, 20), "w=500,h=500", (30, 20), (30, 20)),
            ((1080, 720), "h=360", (540, 360), (540, 360)),
            ((1080, 720), "w=540,dpr=2", (1080, 720), (1080, 720)),
            ((1080, 720), "w=300,dpr=2", (600, 400), (600, 400)),
            ((1080, 720), "fit=contain,w=500,h=500", (500, 333), (500, 333)),
            ((30, 20), "fit=contain,w=600,h=500", (600, 400), (600, 400)),
            ((30, 20), "fit=contain,h=40", (60, 40), (60, 40)),
            ((1080, 720), "fit=cover,w=500,h=500", (500, 500), (500, 500)),
            ((30, 20), "fit=cover,w=500,h=500", (500, 500), (500, 500)),
            ((1080, 720), "fit=cover,w=540", (540, 360), (540, 360)),
            ((1080, 720), "fit=crop,w=500,h=500", (500, 500), (500, 500)),
            ((1080, 720), "fit=crop,w=1296,h=1296", (1080, 720), (1080, 720)),
            ((1080, 720), "fit=crop,w=500,h=1000", (500, 720), (500, 720)),
            ((1080, 720), "fit=aspect-crop,w=500,h=500", (500, 500), (500, 500)),
            ((612, 613), "fit=aspect-crop,w=1920,h=1120", (612, 357), (612, 357)),
            ((1080, 720), "fit=pad,w=1080,h=1080", (1080, 720), (1080, 1080)),
            ((30, 20), "fit=pad,w=90,h=90", (90, 60), (90, 90)),
            ((1080, 720), "fit=squeeze,w=500,h=500", (500, 500), (500, 500)),
            ((1080, 720), "fit=scale-up,w=500,h=500", (1080, 720), (1080, 720)),
            ((30, 20), "fit=scale-up,w=600,h=500", (600, 400), (600, 400)),
            ((1080, 720), "fit=cover", (1080, 720), (1080, 720)),
            ((12_000, 1), "w=300,h=300", (300, 1), (300, 1)),
            ((12_000, 1), "fit=contain,h=12000", (12_000, 1), (12_000, 1)),
            ((1, 1), "fit=contain,w=12000", (10_000, 10_000), (10_000, 10_000)),
            ((1, 1), "fit=squeeze,w=12000,h=12000", (10_000, 10_000), (10_000, 10_000)),
            ((1, 1), "fit=cover,w=12000,h=100,dpr=3", (12_000, 300), (12_000, 300)),
        ] {
            let fitting = frame(options).fit(size(source.0, source.1));
            let want = (size(scaled.0, scaled.1), size(canvas.0, canvas.1));
            assert_eq!((fitting.size, fitting.canvas), want, "{source:?} {options}");
        }
    }

    #[test]
    fn gravity_says_which_part_is_kept() {
        for (gravity, left, top) in [
            ("left", 0.0, 180.0),
            ("right", 720.0, 180.0),
            ("top", 360.0, 0.0),
            ("bottom", 360.0, 360.0),
            ("0.25x0.75", 180.0, 270.0),
            ("center", 360.0, 180.0),
            ("auto", 360.0, 180.0),
        ] {
            // Both rooms are there only where the picture is not scaled: 1080x720 keeps 360x360.
            let part = frame(&format!("g={gravity}")).part(size(1080, 720), 360.0, 360.0);
            assert_eq!(part, Area { left, top, width: 360.0, height: 360.0 }, "{gravity}");
        }
        let around = frame("w=1").around(Focus::Around(0.9, 0.5)).part(size(1080, 720), 360.0, 360.0);
        assert_eq!((around.left, around.top), (720.0, 180.0));
    }

    proptest! {
        #[test]
        fn results_keep_what_the_fit_promises(
            source in (1_u32..=12_000, 1_u32..=12_000).prop_filter("a picture", |(w, h)| w * h <= 100_000_000),
            width in prop::option::of(1_u32..=12_000),
            height in prop::option::of(1_u32..=12_000),
            fit in prop::sample::select(Fit::ALL),
            dpr in prop::sample::select(vec![1.0, 1.5, 3.0]),
            x in 0.0..=1.0,
        ) {
            let options = Resolved {
                fit, height, dpr, gravity: Gravity::Point(x, x), ..Transform::new().resolved()
            };
            let source = size(source.0, source.1);
            let frame = Frame::new(&options, width);
            let Fitting { part, size, canvas } = frame.fit(source);
            for size in [size, canvas] {
                prop_assert!((1..=MAX_SIDE).contains(&size.width) && (1..=MAX_SIDE).contains(&size.height));
                prop_assert!(size.pixels() <= MAX_PIXELS);
                prop_assert!(size.pixels() <= frame.max_pixels(source), "{size:?} {}", frame.max_pixels(source));
            }
            prop_assert!(size.width <= canvas.width && size.height <= canvas.height);
            prop_assert!(part.left >= 0.0 && part.top >= 0.0 && part.width > 0.0 && part.height > 0.0);
            prop_assert!(part.left + part.width <= f64::from(source.width) + 1e-6);
            prop_assert!(part.top + part.height <= f64::from(source.height) + 1e-6);
            if matches!(fit, Fit::ScaleDown | Fit::Crop | Fit::AspectCrop) {
                prop_assert!(canvas.width <= source.width && canvas.height <= source.height);
            }
        }
    }
}
