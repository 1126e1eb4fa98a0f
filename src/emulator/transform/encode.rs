//! Writing pictures in the format they came in. EXIF is left out, the colour profile stays.

use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, Frame, ImageEncoder, ImageError, ImageResult};

use super::Format;
use super::decode::Still;

/// Cloudflare's default for lossy formats.
const QUALITY: u8 = 85;
/// How hurriedly the palette of a still GIF is chosen, from 1 (best) to 30.
const STILL_GIF_SPEED: i32 = 10;
/// The same for each frame of an animation, of which there may be many.
const ANIMATION_GIF_SPEED: i32 = 30;

/// A still picture as a file. WebP is written without loss: no encoder in Rust does it with loss yet.
pub(super) fn encode_still(format: Format, still: Still) -> ImageResult<Vec<u8>> {
    let Still { pixels, colour_profile } = still;
    let mut out = Vec::new();
    match format {
        Format::Jpeg => write(JpegEncoder::new_with_quality(&mut out, QUALITY), &without_alpha(pixels), colour_profile),
        Format::Png => write(PngEncoder::new(&mut out), &pixels, colour_profile),
        Format::Webp => write(WebPEncoder::new_lossless(&mut out), &pixels, colour_profile),
        Format::Gif => write(GifEncoder::new_with_speed(&mut out, STILL_GIF_SPEED), &pixels, None),
    }?;
    Ok(out)
}

fn write(mut encoder: impl ImageEncoder, pixels: &DynamicImage, colour_profile: Option<Vec<u8>>) -> ImageResult<()> {
    if let Some(profile) = colour_profile {
        encoder.set_icc_profile(profile).map_err(ImageError::Unsupported)?;
    }
    encoder.write_image(pixels.as_bytes(), pixels.width(), pixels.height(), pixels.color().into())
}

/// The forms a JPEG can have: grey or RGB.
fn without_alpha(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => pixels,
        pixels if pixels.color().has_color() => pixels.into_rgb8().into(),
        pixels => pixels.into_luma8().into(),
    }
}

/// Frames as an animated GIF, one at a time. `repeat` is `None` for animations that play once.
pub(super) fn encode_gif_animation(
    repeat: Option<Repeat>,
    frames: impl Iterator<Item = ImageResult<Frame>>,
) -> ImageResult<Vec<u8>> {
    let mut out = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut out, ANIMATION_GIF_SPEED);
    if let Some(repeat) = repeat {
        encoder.set_repeat(repeat)?;
    }
    encoder.try_encode_frames(frames)?;
    drop(encoder);
    Ok(out)
}
