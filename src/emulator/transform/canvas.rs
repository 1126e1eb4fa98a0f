//! What is below and beside a picture.

use image::{DynamicImage, Rgba, RgbaImage, imageops};

use super::Size;
use crate::delivery::Color;

/// The picture in the middle of a canvas of one colour, which shows wherever the picture does not cover it.
pub(super) fn lay_on(pixels: DynamicImage, canvas: Size, color: Color) -> DynamicImage {
    let size = Size { width: pixels.width(), height: pixels.height() };
    if size == canvas && !pixels.color().has_alpha() {
        return pixels;
    }
    let mut out = RgbaImage::from_pixel(canvas.width, canvas.height, Rgba(color.to_rgba()));
    let left = i64::from(canvas.width.saturating_sub(size.width) / 2);
    let top = i64::from(canvas.height.saturating_sub(size.height) / 2);
    imageops::overlay(&mut out, &pixels.into_rgba8(), left, top);
    let out = DynamicImage::from(out);
    if color.to_rgba()[3] == u8::MAX { out.into_rgb8().into() } else { out }
}

/// Whether anything shines through.
pub(super) fn is_transparent(pixels: &DynamicImage) -> bool {
    match pixels {
        DynamicImage::ImageRgba8(pixels) => pixels.pixels().any(|pixel| pixel[3] < u8::MAX),
        DynamicImage::ImageLumaA8(pixels) => pixels.pixels().any(|pixel| pixel[1] < u8::MAX),
        pixels => pixels.color().has_alpha(),
    }
}

#[cfg(test)]
mod tests {
    use image::GenericImageView as _;

    use super::*;

    #[test]
    fn the_canvas_shows_below_and_beside_the_picture() {
        let picture: DynamicImage =
            RgbaImage::from_fn(2, 1, |x, _| Rgba([200, 0, 0, if x == 0 { 0 } else { 128 }])).into();
        let laid = lay_on(picture.clone(), Size { width: 4, height: 3 }, Color::rgb(0, 0, 200));
        assert!(!laid.color().has_alpha());
        assert_eq!(laid.get_pixel(0, 0), Rgba([0, 0, 200, 255]));
        assert_eq!(laid.get_pixel(1, 1), Rgba([0, 0, 200, 255]));
        let half = laid.get_pixel(2, 1);
        assert!(half[0].abs_diff(100) < 3 && half[2].abs_diff(100) < 3, "{half:?}");

        let clear = lay_on(picture, Size { width: 4, height: 3 }, Color::rgba(0, 0, 0, 0));
        assert_eq!(clear.get_pixel(0, 0)[3], 0);
        assert_eq!(clear.get_pixel(2, 1), Rgba([200, 0, 0, 128]));
        assert!(is_transparent(&clear));
    }
}
