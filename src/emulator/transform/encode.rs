//! Writing pictures. The colour profile stays, where the format can hold one; of EXIF what is asked for, in JPEG.

use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::{DynamicImage, Frame, ImageEncoder, ImageError, ImageResult};

use super::canvas::lay_on;
use super::{Format, Size, webp};
use crate::delivery::Color;

/// How hurriedly the palette of a still GIF is chosen, from 1 (best) to 30.
const STILL_GIF_SPEED: i32 = 10;
/// The same for each frame of an animation, of which there may be many.
const ANIMATION_GIF_SPEED: i32 = 30;

/// What goes into a file beside the pixels.
pub(super) struct Extras {
    pub(super) colour_profile: Option<Vec<u8>>,
    /// In TIFF form.
    pub(super) exif: Option<Vec<u8>>,
    /// Of what is written with loss, 1 to 100.
    pub(super) quality: u8,
    /// Whether WebP is written with loss.
    pub(super) is_lossy: bool,
}

/// A still picture as a file.
pub(super) fn encode_still(format: Format, pixels: DynamicImage, extras: Extras) -> ImageResult<Vec<u8>> {
    let Extras { colour_profile, exif, quality, is_lossy } = extras;
    let colour_profile = colour_profile.filter(|profile| is_profile_for(&pixels, profile));
    let mut out = Vec::new();
    match format {
        Format::Jpeg => {
            let mut encoder = JpegEncoder::new_with_quality(&mut out, quality);
            if let Some(exif) = exif {
                encoder.set_exif_metadata(exif).map_err(ImageError::Unsupported)?;
            }
            write(encoder, &without_alpha(pixels), colour_profile)
        }
        Format::Png => write(PngEncoder::new(&mut out), &pixels, colour_profile),
        Format::Webp if is_lossy => return webp::encode_lossy(pixels, quality, colour_profile.as_deref()),
        Format::Webp => write(WebPEncoder::new_lossless(&mut out), &pixels, colour_profile),
        Format::Gif => write(GifEncoder::new_with_speed(&mut out, STILL_GIF_SPEED), &pixels, None),
    }?;
    Ok(out)
}

/// Whether the profile is for the colours that there are, and not for those of the file: CMYK, for one, became RGB.
fn is_profile_for(pixels: &DynamicImage, profile: &[u8]) -> bool {
    let space: &[u8] = if pixels.color().has_color() { b"RGB " } else { b"GRAY" };
    profile.get(16..20) == Some(space)
}

fn write(mut encoder: impl ImageEncoder, pixels: &DynamicImage, colour_profile: Option<Vec<u8>>) -> ImageResult<()> {
    if let Some(profile) = colour_profile {
        encoder.set_icc_profile(profile).map_err(ImageError::Unsupported)?;
    }
    encoder.write_image(pixels.as_bytes(), pixels.width(), pixels.height(), pixels.color().into())
}

/// The forms a JPEG can have: grey or RGB. What is transparent becomes white.
fn without_alpha(pixels: DynamicImage) -> DynamicImage {
    let size = Size { width: pixels.width(), height: pixels.height() };
    match lay_on(pixels, size, Color::WHITE) {
        pixels @ (DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_)) => pixels,
        pixels => pixels.into_rgb8().into(),
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
