//! What catches the eye: an approximation, which stands in for faces too.

use fast_image_resize::{FilterType, ResizeAlg, ResizeError, ResizeOptions};
use image::{DynamicImage, GrayImage};

use super::Size;
use super::fit::Focus;
use super::orient::{Area, Turn};
use super::resize::scale;

/// Pixels a side of the small picture that is looked at.
const SIDE: u32 = 64;

/// The centre of all that changes in a part of a picture, as it is after the turn. Flat parts draw no eyes.
pub(super) fn find(source: &DynamicImage, part: Area, turn: Turn) -> Result<Focus, ResizeError> {
    let options = ResizeOptions::new()
        .crop(part.left, part.top, part.width, part.height)
        .resize_alg(ResizeAlg::Convolution(FilterType::Box));
    let mut small = scale(source, Size { width: SIDE, height: SIDE }, &options)?;
    small.apply_orientation(turn.into());
    Ok(centre_of_change(&small.into_luma8()))
}

fn centre_of_change(pixels: &GrayImage) -> Focus {
    let (mut across, mut down, mut total) = (0.0, 0.0, 0.0);
    for y in 0..SIDE - 1 {
        for x in 0..SIDE - 1 {
            let [here, right, below] = [(x, y), (x + 1, y), (x, y + 1)].map(|(x, y)| pixels.get_pixel(x, y)[0]);
            // Squared, so that one edge counts for more than a wide gradient.
            let change = f64::from(here.abs_diff(right)).powi(2) + f64::from(here.abs_diff(below)).powi(2);
            across += change * (f64::from(x) + 1.0);
            down += change * (f64::from(y) + 1.0);
            total += change;
        }
    }
    if total > 0.0 {
        Focus::Around(across / total / f64::from(SIDE), down / total / f64::from(SIDE))
    } else {
        Focus::Gravity(0.5, 0.5)
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::super::Size;
    use super::*;
    use crate::delivery::Flip;

    /// Flat, with a chequered patch around (320, 60).
    fn picture() -> DynamicImage {
        RgbImage::from_fn(400, 200, |x, y| {
            let is_patch = (280..360).contains(&x) && (20..100).contains(&y);
            Rgb(if is_patch && (x / 10 + y / 10) % 2 == 0 { [0; 3] } else { [200; 3] })
        })
        .into()
    }

    #[test]
    fn the_eye_goes_where_something_is() {
        let whole = Area::of(Size { width: 400, height: 200 });
        for (turn, want) in [
            (Turn::default(), (0.8, 0.3)),
            (Turn::new(Some(Flip::Horizontal), 0), (0.2, 0.3)),
            (Turn::new(None, 90), (0.7, 0.8)),
        ] {
            let Ok(Focus::Around(x, y)) = find(&picture(), whole, turn) else { panic!("there is something") };
            assert!((x - want.0).abs() < 0.03 && (y - want.1).abs() < 0.03, "{x} {y}, not {want:?}");
        }
        let flat = DynamicImage::new_rgb8(400, 200);
        assert_eq!(find(&flat, whole, Turn::default()).unwrap(), Focus::Gravity(0.5, 0.5));
    }
}
