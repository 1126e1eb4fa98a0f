//! The size a picture gets, and the scaling to it.

use fast_image_resize::Resizer;
use image::DynamicImage;

use super::Size;

/// How a picture is brought into a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::emulator) enum Resize {
    /// Shrinks the picture until it is inside the box, and never enlarges it.
    ScaleDown { width: u32, height: u32 },
}

impl Resize {
    /// The size of a picture of the size `source` after this.
    pub(super) fn target(self, source: Size) -> Size {
        match self {
            Self::ScaleDown { width, height } => scale_down(source, Size { width, height }),
        }
    }
}

fn scale_down(source: Size, bounds: Size) -> Size {
    let factor = (f64::from(bounds.width) / f64::from(source.width))
        .min(f64::from(bounds.height) / f64::from(source.height))
        .min(1.0);
    Size { width: scaled(source.width, factor), height: scaled(source.height, factor) }
}

/// At least one pixel, also where a long and narrow picture would vanish.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a side times at most 1 stays a side")]
fn scaled(side: u32, factor: f64) -> u32 {
    ((f64::from(side) * factor).round() as u32).max(1)
}

/// The picture at another size.
pub(super) fn resize(source: &DynamicImage, size: Size) -> Result<DynamicImage, fast_image_resize::ResizeError> {
    let mut target = DynamicImage::new(size.width, size.height, source.color());
    Resizer::new().resize(source, &mut target, None)?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn down(source: (u32, u32), bounds: (u32, u32)) -> (u32, u32) {
        let resize = Resize::ScaleDown { width: bounds.0, height: bounds.1 };
        let size = resize.target(Size { width: source.0, height: source.1 });
        (size.width, size.height)
    }

    #[test]
    fn scale_down_gives_the_sizes_of_cloudflares_documentation() {
        assert_eq!(down((1080, 720), (500, 500)), (500, 333));
        assert_eq!(down((720, 1080), (500, 500)), (333, 500));
    }

    #[test]
    fn scale_down_never_enlarges_and_never_makes_a_side_vanish() {
        assert_eq!(down((30, 20), (500, 500)), (30, 20));
        assert_eq!(down((12_000, 1), (300, 300)), (300, 1));
    }

    #[test]
    fn pixels_of_every_kind_that_files_hold_are_scaled() {
        use image::ColorType::{L8, L16, La8, La16, Rgb8, Rgb16, Rgba8, Rgba16};
        for color in [L8, La8, Rgb8, Rgba8, L16, La16, Rgb16, Rgba16] {
            let scaled = resize(&DynamicImage::new(40, 20, color), Size { width: 10, height: 5 }).unwrap();
            assert_eq!((scaled.color(), scaled.width(), scaled.height()), (color, 10, 5));
        }
    }

    proptest! {
        #[test]
        fn scale_down_stays_inside_the_box_and_the_source(
            source in (1_u32..12_000, 1_u32..12_000),
            bounds in (1_u32..20_000, 1_u32..20_000),
        ) {
            let (width, height) = down(source, bounds);
            prop_assert!((1..=source.0.min(bounds.0)).contains(&width));
            prop_assert!((1..=source.1.min(bounds.1)).contains(&height));
        }
    }
}
