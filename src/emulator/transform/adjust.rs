//! Colours, blur and sharpness.

use fast_image_resize::pixels::{U8x2, U8x4};
use fast_image_resize::{IntoImageViewMut as _, MulDiv, PixelTrait};
use image::{ColorType, DynamicImage};

use crate::delivery::Resolved;

/// How far around a pixel sharpening looks.
const SHARPEN_SIGMA: f32 = 1.0;
/// Shares of red, green and blue in the brightness of a colour, as in the filters of CSS.
const LUMA: [f64; 3] = [0.2126, 0.7152, 0.0722];

/// What is done to the colours of a picture, and to its sharpness.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Adjustments {
    blur: u32,
    sharpen: f64,
    brightness: f64,
    contrast: f64,
    gamma: f64,
    saturation: f64,
}

impl From<&Resolved> for Adjustments {
    fn from(options: &Resolved) -> Self {
        let Resolved { blur, sharpen, brightness, contrast, gamma, saturation, .. } = *options;
        Self { blur, sharpen, brightness, contrast, gamma, saturation }
    }
}

impl Adjustments {
    /// Whether nothing is done.
    pub(super) fn are_none(&self) -> bool {
        self.blur == 0 && self.sharpen <= 0.0 && !self.has_tones() && !self.has_saturation()
    }

    fn has_tones(&self) -> bool {
        [self.brightness, self.contrast, self.gamma].into_iter().any(differs_from_one)
    }

    fn has_saturation(&self) -> bool {
        differs_from_one(self.saturation)
    }

    /// Adjusts a picture.
    pub(super) fn apply(&self, pixels: DynamicImage) -> DynamicImage {
        if self.are_none() {
            return pixels;
        }
        let mut pixels = if pixels.color().has_alpha() {
            pixels.into_rgba8().into()
        } else {
            DynamicImage::from(pixels.into_rgb8())
        };
        if self.has_tones() {
            let table = self.tones();
            for_each_colour(&mut pixels, |colour| *colour = colour.map(|channel| table[usize::from(channel)]));
        }
        if self.has_saturation() {
            for_each_colour(&mut pixels, |colour| *colour = saturated(*colour, self.saturation));
        }
        if self.blur > 0 {
            pixels = blurred(pixels, self.blur);
        }
        if self.sharpen > 0.0 {
            sharpen(&mut pixels, self.sharpen);
        }
        pixels
    }

    /// What becomes of each value of a channel: brightness first, then contrast around the middle, then gamma.
    ///
    /// UNCONFIRMED: the order, and the direction of gamma, which lightens below 1 as in today's documentation.
    fn tones(&self) -> [u8; 256] {
        std::array::from_fn(|value| {
            let value = f64::from(u8::try_from(value).expect("256 values")) / 255.0;
            let value = (value * self.brightness).clamp(0.0, 1.0);
            let value = ((value - 0.5) * self.contrast + 0.5).clamp(0.0, 1.0);
            channel(value.powf(self.gamma) * 255.0)
        })
    }
}

fn differs_from_one(factor: f64) -> bool {
    (factor - 1.0).abs() > f64::EPSILON
}

/// The nearest value of a channel.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn channel(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Calls with red, green and blue of each pixel.
fn for_each_colour(pixels: &mut DynamicImage, mut change: impl FnMut(&mut [u8; 3])) {
    let size = usize::from(pixels.color().bytes_per_pixel());
    let bytes = match pixels {
        DynamicImage::ImageRgb8(buffer) => &mut **buffer,
        DynamicImage::ImageRgba8(buffer) => &mut **buffer,
        _ => return,
    };
    for pixel in bytes.chunks_exact_mut(size) {
        if let Some(colour) = pixel.first_chunk_mut() {
            change(colour);
        }
    }
}

/// Further from its grey, or closer to it.
fn saturated(colour: [u8; 3], factor: f64) -> [u8; 3] {
    let grey: f64 = colour.iter().zip(LUMA).map(|(value, share)| f64::from(*value) * share).sum();
    colour.map(|value| channel(grey + (f64::from(value) - grey) * factor))
}

/// A Gaussian blur whose deviation is half the radius, which is UNCONFIRMED. Transparent pixels have no say in the colours.
fn blurred(pixels: DynamicImage, radius: u32) -> DynamicImage {
    #[expect(clippy::cast_precision_loss, reason = "at most 250")]
    let sigma = radius as f32 / 2.0;
    match pixels.color() {
        ColorType::La8 => blurred_as::<U8x2>(pixels, sigma),
        ColorType::Rgba8 => blurred_as::<U8x4>(pixels, sigma),
        _ => pixels.fast_blur(sigma),
    }
}

fn blurred_as<P: PixelTrait>(mut pixels: DynamicImage, sigma: f32) -> DynamicImage {
    const HAS_ALPHA: &str = "pixels with an alpha channel of 8 bits";
    let alpha = MulDiv::new();
    let mut view = pixels.image_view_mut::<P>().expect(HAS_ALPHA);
    alpha.multiply_alpha_inplace_typed(&mut view).expect(HAS_ALPHA);
    drop(view);
    let mut pixels = pixels.fast_blur(sigma);
    let mut view = pixels.image_view_mut::<P>().expect(HAS_ALPHA);
    alpha.divide_alpha_inplace_typed(&mut view).expect(HAS_ALPHA);
    drop(view);
    pixels
}

/// An unsharp mask: what a slight blur takes away is added, half as much as `amount` says, which is UNCONFIRMED.
fn sharpen(pixels: &mut DynamicImage, amount: f64) {
    let soft = pixels.fast_blur(SHARPEN_SIGMA);
    let size = usize::from(soft.color().bytes_per_pixel());
    let mut soft = soft.as_bytes().chunks_exact(size);
    for_each_colour(pixels, |colour| {
        for (value, soft) in colour.iter_mut().zip(soft.next().into_iter().flatten()) {
            let sharp = f64::from(*value);
            *value = channel(sharp + (sharp - f64::from(*soft)) * amount / 2.0);
        }
    });
}

#[cfg(test)]
mod tests {
    use image::{GenericImageView as _, Rgba, RgbaImage};

    use super::*;
    use crate::delivery::Transform;

    fn adjusted(options: &str, colour: [u8; 4]) -> [u8; 4] {
        let options = options.parse::<Transform>().unwrap().resolved();
        let pixels = RgbaImage::from_pixel(8, 8, Rgba(colour)).into();
        Adjustments::from(&options).apply(pixels).get_pixel(4, 4).0
    }

    #[test]
    fn colours_become_what_the_factors_say() {
        for (options, before, after) in [
            ("brightness=0.5", [200, 100, 50, 255], [100, 50, 25, 255]),
            ("brightness=2", [200, 100, 50, 9], [255, 200, 100, 9]),
            ("contrast=0.5", [228, 128, 28, 255], [178, 128, 78, 255]),
            ("contrast=2", [228, 128, 100, 255], [255, 128, 72, 255]),
            ("gamma=0.5", [64, 0, 255, 255], [128, 0, 255, 255]),
            ("gamma=2", [128, 0, 255, 255], [64, 0, 255, 255]),
            ("saturation=0", [255, 0, 0, 255], [54, 54, 54, 255]),
            ("saturation=2", [128, 128, 128, 255], [128, 128, 128, 255]),
            ("saturation=0.5", [100, 200, 100, 255], [136, 186, 136, 255]),
            ("brightness=1,contrast=1,gamma=1,saturation=1", [1, 2, 3, 4], [1, 2, 3, 4]),
            ("blur=250", [10, 20, 30, 255], [10, 20, 30, 255]),
            ("sharpen=10", [10, 20, 30, 255], [10, 20, 30, 255]),
        ] {
            let got = adjusted(options, before);
            assert!(got.iter().zip(after).all(|(got, want)| got.abs_diff(want) <= 1), "{options}: {got:?}");
        }
    }

    /// Black on the left, white on the right.
    fn edge() -> DynamicImage {
        RgbaImage::from_fn(64, 16, |x, _| Rgba(if x < 32 { [60, 60, 60, 255] } else { [190, 190, 190, 255] })).into()
    }

    fn applied(options: &str, pixels: DynamicImage) -> impl Fn(u32) -> u8 {
        let options = options.parse::<Transform>().unwrap().resolved();
        let out = Adjustments::from(&options).apply(pixels);
        move |x| out.get_pixel(x, 8)[0]
    }

    #[test]
    fn blur_makes_an_edge_a_slope_as_wide_as_the_radius_says() {
        let slight = applied("blur=2", edge());
        assert!((61..189).contains(&slight(31)) && (61..189).contains(&slight(32)));
        assert_eq!((slight(20), slight(44)), (60, 190));
        let strong = applied("blur=20", edge());
        assert!(strong(20) > 62 && strong(44) < 188);
        assert!((1..64).all(|x| strong(x) >= strong(x - 1)));
    }

    #[test]
    fn sharpening_makes_an_edge_steeper_and_leaves_the_rest() {
        let sharp = applied("sharpen=2", edge());
        assert!(sharp(31) < 50 && sharp(32) > 200);
        assert_eq!((sharp(10), sharp(54)), (60, 190));
    }

    #[test]
    fn what_is_transparent_does_not_bleed_into_the_rest() {
        let pixels: DynamicImage =
            RgbaImage::from_fn(32, 16, |x, _| Rgba(if x < 16 { [0, 0, 0, 0] } else { [200, 200, 200, 255] })).into();
        let options = "blur=8".parse::<Transform>().unwrap().resolved();
        let out = Adjustments::from(&options).apply(pixels).into_rgba8();
        let pixel = out.get_pixel(16, 8);
        assert!(pixel[0] > 190 && (40..230).contains(&pixel[3]), "{pixel:?}");
    }
}
