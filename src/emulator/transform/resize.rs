//! Cutting and scaling, which are one step.

use fast_image_resize::pixels::{U8x3, U8x4};
use fast_image_resize::{IntoImageView as _, IntoImageViewMut as _, PixelTrait, ResizeError, ResizeOptions, Resizer};
use image::{ColorType, DynamicImage};

use super::Size;
use super::orient::Area;

/// A part of a picture at another size.
pub(super) fn resize(source: DynamicImage, part: Area, size: Size) -> Result<DynamicImage, ResizeError> {
    let whole = Size { width: source.width(), height: source.height() };
    if let Some((left, top)) = unscaled(part, size) {
        return Ok(if size == whole { source } else { source.crop_imm(left, top, size.width, size.height) });
    }
    let part = inside(part, whole);
    let options = ResizeOptions::new().crop(part.left, part.top, part.width, part.height);
    scale(&source, size, &options)
}

/// A part of a picture, of the same kind, with 8 bits a channel. The few that are grey are scaled in colour: the library has code of its
/// own for each kind, which is a quarter of a megabyte of the binary.
pub(super) fn scale(source: &DynamicImage, size: Size, options: &ResizeOptions) -> Result<DynamicImage, ResizeError> {
    match source.color() {
        ColorType::L8 => scale(&source.to_rgb8().into(), size, options).map(|scaled| scaled.into_luma8().into()),
        ColorType::La8 => {
            scale(&source.to_rgba8().into(), size, options).map(|scaled| scaled.into_luma_alpha8().into())
        }
        ColorType::Rgb8 => scale_as::<U8x3>(source, size, options),
        _ => scale_as::<U8x4>(source, size, options),
    }
}

fn scale_as<P: PixelTrait>(
    source: &DynamicImage,
    size: Size,
    options: &ResizeOptions,
) -> Result<DynamicImage, ResizeError> {
    let mut target = DynamicImage::new(size.width, size.height, source.color());
    match (source.image_view::<P>(), target.image_view_mut::<P>()) {
        (Some(source), Some(mut view)) => Resizer::new().resize_typed(&source, &mut view, options)?,
        _ => return Err(ResizeError::PixelTypesAreDifferent),
    }
    Ok(target)
}

/// Where the part starts, if it is whole pixels that stay as large as they are.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within a picture of at most 12000 pixels")]
fn unscaled(part: Area, size: Size) -> Option<(u32, u32)> {
    let is_whole = |number: f64| (number - number.round()).abs() < 1e-6;
    let is_close = |left: f64, right: u32| (left - f64::from(right)).abs() < 1e-6;
    let is_unscaled = is_close(part.width, size.width) && is_close(part.height, size.height);
    let is_unscaled = is_unscaled && is_whole(part.left) && is_whole(part.top);
    is_unscaled.then(|| (part.left.round() as u32, part.top.round() as u32))
}

/// The part without what rounding put outside the picture.
fn inside(part: Area, whole: Size) -> Area {
    let (width, height) = (f64::from(whole.width), f64::from(whole.height));
    let left = part.left.clamp(0.0, width - part.width.min(width));
    let top = part.top.clamp(0.0, height - part.height.min(height));
    Area { left, top, width: part.width.min(width - left), height: part.height.min(height - top) }
}

#[cfg(test)]
mod tests {
    use image::{GenericImageView as _, Rgba, RgbaImage};

    use super::*;

    #[test]
    fn pixels_of_every_kind_are_scaled() {
        use image::ColorType::{L8, La8, Rgb8, Rgba8};
        for color in [L8, La8, Rgb8, Rgba8] {
            let source = DynamicImage::new(40, 20, color);
            let scaled =
                resize(source, Area::of(Size { width: 40, height: 20 }), Size { width: 10, height: 5 }).unwrap();
            assert_eq!((scaled.color(), scaled.width(), scaled.height()), (color, 10, 5));
        }
    }

    #[test]
    fn a_part_that_keeps_its_size_keeps_its_pixels() {
        let pixel = |x: u32, y: u32| Rgba([u8::try_from(x).unwrap(), u8::try_from(y).unwrap(), 77, 255]);
        let source: DynamicImage = RgbaImage::from_fn(40, 20, pixel).into();
        let part = Area { left: 3.0, top: 5.0, width: 7.0, height: 4.0 };
        let cut = resize(source, part, Size { width: 7, height: 4 }).unwrap();
        for (x, y, got) in cut.pixels() {
            assert_eq!(got, pixel(x + 3, y + 5));
        }
    }

    #[test]
    fn parts_smaller_than_a_pixel_are_scaled() {
        let source: DynamicImage = RgbaImage::from_pixel(1, 12_000, Rgba([9, 99, 199, 255])).into();
        let part = Area { left: 0.0, top: 11_999.999_95, width: 1.0, height: 1.0 / 12_000.0 };
        let scaled = resize(source, part, Size { width: 120, height: 1 }).unwrap();
        assert_eq!(scaled.get_pixel(60, 0), Rgba([9, 99, 199, 255]));
    }
}
