//! What is cut off a picture before anything else is done.

use image::{DynamicImage, GenericImageView as _};

use super::Size;
use super::orient::Area;
use crate::delivery::{Border, Length, Rectangle, Trim};

/// How far colours may be from that of the border where nothing is said, which is UNCONFIRMED.
const TOLERANCE: u8 = 10;

/// What is left of a picture of the size `size` by lengths that are known; `None` where nothing is. A border takes the pixels.
pub(super) fn known_part(trim: &Trim, size: Size, dpr: f64) -> Option<Area> {
    let across = |length: Length| pixels(length, size.width, dpr);
    let down = |length: Length| pixels(length, size.height, dpr);
    let (left, top, width, height) = match *trim {
        Trim::Edges { top, right, bottom, left } => {
            let (left, top) = (across(left), down(top));
            let width = f64::from(size.width) - left - across(right);
            (left, top, width, f64::from(size.height) - top - down(bottom))
        }
        Trim::Rectangle(Rectangle { left, top, width, height }) => (
            left.map_or(0.0, across),
            top.map_or(0.0, down),
            width.map_or(f64::INFINITY, across),
            height.map_or(f64::INFINITY, down),
        ),
        Trim::Border(_) => return Some(Area::of(size)),
    };
    let width = width.min(f64::from(size.width) - left);
    let height = height.min(f64::from(size.height) - top);
    (width >= 1.0 && height >= 1.0).then_some(Area { left, top, width, height })
}

/// Whole pixels.
fn pixels(length: Length, side: u32, dpr: f64) -> f64 {
    match length {
        Length::Pixels(pixels) => (f64::from(pixels) * dpr).round(),
        Length::Share(share) => (f64::from(side) * share).round(),
    }
}

/// What is left of a picture without its border; `None` where it is nothing but border.
///
/// The colour of the border is that of the first pixel where none is given. The tolerance is how far each channel may be from
/// it: Cloudflare's documentation says the opposite in one place, so that this is UNCONFIRMED.
pub(super) fn inside_border(pixels: &DynamicImage, border: &Border, dpr: f64) -> Option<Area> {
    let (width, height) = pixels.dimensions();
    let colour = border.color.map_or_else(|| pixels.get_pixel(0, 0).0, crate::delivery::Color::to_rgba);
    let tolerance = border.tolerance.unwrap_or(TOLERANCE);
    let is_border = |x, y| {
        let pixel = pixels.get_pixel(x, y).0;
        pixel.iter().zip(colour).all(|(channel, of_border)| channel.abs_diff(of_border) <= tolerance)
    };
    let is_empty_row = |y: &u32| (0..width).all(|x| is_border(x, y.to_owned()));
    let top = (0..height).find(|y| !is_empty_row(y))?;
    let bottom = (top..height).rev().find(|y| !is_empty_row(y))?;
    let is_empty_column = |x: &u32| (top..=bottom).all(|y| is_border(x.to_owned(), y));
    let left = (0..width).find(|x| !is_empty_column(x))?;
    let right = (left..width).rev().find(|x| !is_empty_column(x))?;

    let keep = self::pixels(Length::Pixels(border.keep.unwrap_or(0)), 0, dpr);
    let (kept_left, kept_top) = ((f64::from(left) - keep).max(0.0), (f64::from(top) - keep).max(0.0));
    let kept_right = (f64::from(right) + 1.0 + keep).min(width.into());
    let kept_bottom = (f64::from(bottom) + 1.0 + keep).min(height.into());
    Some(Area { left: kept_left, top: kept_top, width: kept_right - kept_left, height: kept_bottom - kept_top })
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};

    use super::*;
    use crate::delivery::{Color, Transform};

    const SIZE: Size = Size { width: 100, height: 50 };

    fn area(left: u32, top: u32, width: u32, height: u32) -> Area {
        Area { left: left.into(), top: top.into(), width: width.into(), height: height.into() }
    }

    #[test]
    fn lengths_are_pixels_or_shares() {
        for (options, dpr, want) in [
            ("trim=5;10;15;20", 1.0, Some(area(20, 5, 70, 30))),
            ("trim=5;10;15;20", 2.0, Some(area(40, 10, 40, 10))),
            ("trim=0.1;0.2;0.3;0.4", 2.0, Some(area(40, 5, 40, 30))),
            ("trim=25;0;25;0", 1.0, None),
            ("trim.left=30;trim.top=1", 1.0, None),
            ("trim.left=30", 1.0, Some(area(30, 0, 70, 50))),
            ("trim.left=30,trim.top=0.5,trim.width=0.2,trim.height=10", 1.0, Some(area(30, 25, 20, 10))),
            ("trim.width=12000", 1.0, Some(area(0, 0, 100, 50))),
            ("trim.left=100", 1.0, None),
        ] {
            let trim = Transform::parse_leniently(options).0.resolved().trim;
            assert_eq!(trim.and_then(|trim| known_part(&trim, SIZE, dpr)), want, "{options}");
        }
    }

    /// White, with a black rectangle from (20, 10) to (40, 40), and a grey frame of two pixels around it.
    fn framed() -> DynamicImage {
        RgbaImage::from_fn(SIZE.width, SIZE.height, |x, y| match (x, y) {
            (20..40, 10..40) => Rgba([0, 0, 0, 255]),
            (18..42, 8..42) => Rgba([215, 215, 215, 255]),
            _ => Rgba([255, 255, 255, 255]),
        })
        .into()
    }

    #[test]
    fn a_border_is_found_by_its_colour() {
        let found = |border| inside_border(&framed(), &border, 1.0);
        let border = Border::default();
        assert_eq!(found(border), Some(area(18, 8, 24, 34)));
        assert_eq!(found(Border { tolerance: Some(40), ..border }), Some(area(20, 10, 20, 30)));
        assert_eq!(found(Border { tolerance: Some(40), keep: Some(15), ..border }), Some(area(5, 0, 50, 50)));
        assert_eq!(found(Border { color: Some(Color::rgb(255, 0, 0)), ..border }), Some(Area::of(SIZE)));
        assert_eq!(found(Border { tolerance: Some(255), ..border }), None);
        assert_eq!(inside_border(&framed(), &Border { keep: Some(1), ..border }, 2.0), Some(area(16, 6, 28, 38)));
    }
}
