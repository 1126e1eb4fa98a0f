//! From an original to a variant of it: decide what to do, then decode, turn, scale and encode.

use image::codecs::gif::{GifDecoder, Repeat};
use image::error::{ParameterError, ParameterErrorKind};
use image::metadata::LoopCount;
use image::{AnimationDecoder, DynamicImage, Frame, ImageError, ImageResult};

use super::decode::{Still, decode_still, open_animation};
use super::encode::{encode_gif_animation, encode_still};
use super::resize::{Resize, resize};
use super::{Format, Picture, Size};

/// Pixels of all frames together, above which an animation is delivered as it is.
const MAX_ANIMATION_PIXELS: u64 = 50_000_000;

/// What has to be done to an original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emulator) enum Plan {
    /// Nothing: the file is delivered as it was uploaded.
    Original,
    /// Turned as EXIF asks and brought to this size.
    Scale(Size),
}

/// Decides from what is known of the picture, without reading it.
///
/// Animated WebP is delivered as it is whatever its size: nothing in Rust writes it, and a still would lose more.
pub(in crate::emulator) fn plan(picture: &Picture, wanted: Resize) -> Plan {
    let is_animated = picture.frames > 1;
    let is_fixed = is_animated && (picture.format == Format::Webp || picture.total_pixels() > MAX_ANIMATION_PIXELS);
    let size = wanted.target(picture.size);
    if is_fixed || (size == picture.size && !picture.is_turned) { Plan::Original } else { Plan::Scale(size) }
}

/// The original at another size, in its own format.
pub(in crate::emulator) fn render(original: &[u8], picture: &Picture, size: Size) -> ImageResult<Vec<u8>> {
    if picture.frames > 1 {
        render_animation(original, picture.format, size)
    } else {
        render_still(original, picture, size)
    }
}

fn render_still(original: &[u8], picture: &Picture, size: Size) -> ImageResult<Vec<u8>> {
    let Still { pixels, colour_profile } = decode_still(picture.format, original)?;
    encode_still(picture.format, Still { pixels: scaled(pixels, size)?, colour_profile })
}

fn render_animation(original: &[u8], format: Format, size: Size) -> ImageResult<Vec<u8>> {
    let frames = open_animation(format, original)?.into_iter().flatten();
    encode_gif_animation(repeat(original)?, frames.map(|frame| scaled_frame(frame?, size)))
}

fn scaled_frame(frame: Frame, size: Size) -> ImageResult<Frame> {
    let delay = frame.delay();
    let pixels = scaled(frame.into_buffer().into(), size)?;
    Ok(Frame::from_parts(pixels.into_rgba8(), 0, 0, delay))
}

fn scaled(pixels: DynamicImage, size: Size) -> ImageResult<DynamicImage> {
    if (pixels.width(), pixels.height()) == (size.width, size.height) {
        return Ok(pixels);
    }
    resize(&pixels, size).map_err(|error| {
        ImageError::Parameter(ParameterError::from_kind(ParameterErrorKind::Generic(error.to_string())))
    })
}

/// How often a GIF plays. Without the extension that says so it plays once, which the decoder does not tell from for ever.
fn repeat(original: &[u8]) -> ImageResult<Option<Repeat>> {
    const EXTENSION: &[u8] = b"NETSCAPE2.0";
    if !original.windows(EXTENSION.len()).any(|bytes| bytes == EXTENSION) {
        return Ok(None);
    }
    Ok(Some(match GifDecoder::new(std::io::Cursor::new(original))?.loop_count() {
        LoopCount::Infinite => Repeat::Infinite,
        LoopCount::Finite(times) => Repeat::Finite(u16::try_from(times.get()).unwrap_or(u16::MAX)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(format: Format, side: u32, frames: u32) -> Plan {
        let picture = Picture { format, size: Size { width: side, height: side }, is_turned: false, frames };
        plan(&picture, Resize::ScaleDown { width: 300, height: 300 })
    }

    #[test]
    fn animations_that_are_too_large_or_cannot_be_written_stay_as_they_are() {
        let scaled = Plan::Scale(Size { width: 300, height: 300 });
        assert_eq!(planned(Format::Gif, 5000, 2), scaled);
        assert_eq!(planned(Format::Gif, 5000, 3), Plan::Original);
        assert_eq!(planned(Format::Gif, 7500, 1), scaled);
        assert_eq!(planned(Format::Webp, 500, 2), Plan::Original);
        assert_eq!(planned(Format::Webp, 500, 1), scaled);
    }

    #[test]
    fn a_picture_that_fits_is_only_touched_to_be_turned() {
        assert_eq!(planned(Format::Jpeg, 300, 1), Plan::Original);
        let size = Size { width: 20, height: 10 };
        let turned = Picture { format: Format::Jpeg, size, is_turned: true, frames: 1 };
        assert_eq!(plan(&turned, Resize::ScaleDown { width: 300, height: 300 }), Plan::Scale(size));
    }
}
