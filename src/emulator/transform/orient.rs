//! The eight ways to turn and mirror a picture, and where its parts go.

use image::metadata::Orientation;

use super::Size;
use crate::delivery::Flip;

/// Quarter turns clockwise, and then, perhaps, left and right exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Turn {
    /// 0 to 3.
    quarters: u8,
    mirrored: bool,
}

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    /// The whole picture.
    pub(super) fn of(size: Size) -> Self {
        Self { left: 0.0, top: 0.0, width: size.width.into(), height: size.height.into() }
    }

    /// What is at this place of the part.
    pub(super) fn within(self, outer: Self) -> Self {
        Self { left: self.left + outer.left, top: self.top + outer.top, ..self }
    }
}

impl Turn {
    /// Mirrored first, then turned clockwise by so many degrees.
    pub(super) fn new(flip: Option<Flip>, degrees: u32) -> Self {
        let flipped = match flip {
            None => Self::default(),
            Some(Flip::Horizontal) => Self { quarters: 0, mirrored: true },
            Some(Flip::Vertical) => Self { quarters: 2, mirrored: true },
            Some(Flip::Both) => Self { quarters: 2, mirrored: false },
        };
        flipped.then(Self { quarters: u8::try_from(degrees / 90 % 4).expect("below 4"), mirrored: false })
    }

    /// Both, one after the other.
    pub(super) fn then(self, next: Self) -> Self {
        // To turn what was mirrored is to turn it the other way round before it is mirrored.
        let quarters = if self.mirrored { 4 + self.quarters - next.quarters } else { self.quarters + next.quarters };
        Self { quarters: quarters % 4, mirrored: self.mirrored != next.mirrored }
    }

    /// What takes this back.
    pub(super) fn inverse(self) -> Self {
        if self.mirrored { self } else { Self { quarters: (4 - self.quarters) % 4, ..self } }
    }

    /// The size of a picture after this.
    pub(super) fn size(self, size: Size) -> Size {
        if self.quarters % 2 == 1 { size.turned() } else { size }
    }

    /// Where a part of a picture of the size `within` is after this.
    pub(super) fn area(self, area: Area, within: Size) -> Area {
        let (mut area, mut within) = (area, within);
        for _ in 0..self.quarters {
            let left = f64::from(within.height) - area.top - area.height;
            area = Area { left, top: area.left, width: area.height, height: area.width };
            within = within.turned();
        }
        if self.mirrored { Area { left: f64::from(within.width) - area.left - area.width, ..area } } else { area }
    }
}

impl From<Orientation> for Turn {
    fn from(orientation: Orientation) -> Self {
        let (quarters, mirrored) = match orientation {
            Orientation::NoTransforms => (0, false),
            Orientation::Rotate90 => (1, false),
            Orientation::Rotate180 => (2, false),
            Orientation::Rotate270 => (3, false),
            Orientation::FlipHorizontal => (0, true),
            Orientation::Rotate90FlipH => (1, true),
            Orientation::FlipVertical => (2, true),
            Orientation::Rotate270FlipH => (3, true),
        };
        Self { quarters, mirrored }
    }
}

impl From<Turn> for Orientation {
    fn from(turn: Turn) -> Self {
        match (turn.quarters, turn.mirrored) {
            (0, false) => Self::NoTransforms,
            (1, false) => Self::Rotate90,
            (2, false) => Self::Rotate180,
            (_, false) => Self::Rotate270,
            (0, true) => Self::FlipHorizontal,
            (1, true) => Self::Rotate90FlipH,
            (2, true) => Self::FlipVertical,
            (_, true) => Self::Rotate270FlipH,
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GenericImageView as _, GrayImage};

    use super::*;

    const SIZE: Size = Size { width: 3, height: 2 };

    fn all() -> impl Iterator<Item = Turn> {
        (0..8).map(|n| Turn { quarters: n % 4, mirrored: n >= 4 })
    }

    /// Every pixel has another value.
    fn picture() -> DynamicImage {
        GrayImage::from_raw(SIZE.width, SIZE.height, (0..6).collect()).unwrap().into()
    }

    fn turned(mut picture: DynamicImage, turn: Turn) -> DynamicImage {
        picture.apply_orientation(turn.into());
        picture
    }

    #[test]
    fn two_turns_are_one() {
        for first in all() {
            assert_eq!(Turn::from(Orientation::from(first)), first);
            assert_eq!(first.then(first.inverse()), Turn::default());
            for second in all() {
                assert_eq!(turned(turned(picture(), first), second), turned(picture(), first.then(second)));
            }
        }
    }

    #[test]
    fn parts_go_where_their_pixels_go() {
        for turn in all() {
            let turned = turned(picture(), turn);
            assert_eq!((turned.width(), turned.height()), (turn.size(SIZE).width, turn.size(SIZE).height));
            let place = |x: u32, y: u32| Area { left: x.into(), top: y.into(), width: 1.0, height: 1.0 };
            for (x, y, pixel) in picture().pixels() {
                let at = turn.area(place(x, y), SIZE);
                let (x, y, _) = turned.pixels().find(|(x, y, _)| place(*x, *y) == at).unwrap();
                assert_eq!(turned.get_pixel(x, y), pixel, "{turn:?}");
            }
        }
    }

    #[test]
    fn pictures_are_mirrored_before_they_are_turned() {
        let turn = Turn::new(Some(Flip::Horizontal), 90);
        let mirrored = turned(picture(), Orientation::FlipHorizontal.into());
        assert_eq!(turned(picture(), turn), turned(mirrored, Orientation::Rotate90.into()));
        assert_eq!(Turn::new(Some(Flip::Both), 180), Turn::default());
        assert_eq!(Turn::new(Some(Flip::Vertical), 0), Orientation::FlipVertical.into());
    }
}
