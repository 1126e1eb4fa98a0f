//! From an original to what is made of it: decode, trim, fit, scale, turn, lay on a canvas, adjust, encode.
//!
//! A picture is turned last, when it is small; where its parts go is reckoned from the start.

use std::time::Instant;

use bytes::Bytes;
use image::codecs::gif::{GifDecoder, Repeat};
use image::error::{ParameterError, ParameterErrorKind};
use image::metadata::LoopCount;
use image::{AnimationDecoder, DynamicImage, Frame, ImageError, ImageResult};

use super::decode::{Decoded, decode_still, open_animation};
use super::encode::{Extras, encode_gif_animation, encode_still};
use super::fit::Fitting;
use super::orient::{Area, Turn};
use super::recipe::{Output, Recipe, Still, rounded};
use super::resize::resize;
use super::{Format, Picture, Size, canvas, exif, focus, jpeg, png, trim, webp};
use crate::delivery::{Color, Trim};

/// What was made.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Made {
    /// The original, perhaps without its metadata.
    Original(Bytes),
    /// A picture.
    Picture {
        /// The file.
        bytes: Bytes,
        /// Its format.
        format: Format,
        /// Milliseconds that decoding took.
        decoding: u128,
    },
    /// The size that a picture would have.
    Size(Size),
}

/// Makes of a picture what the recipe says.
pub(in crate::emulator) fn make(original: &Bytes, picture: &Picture, recipe: &Recipe) -> ImageResult<Made> {
    let (format, bytes, decoding) = match recipe.output {
        Output::Original(metadata) => {
            return Ok(Made::Original(match picture.format {
                Format::Jpeg => jpeg::with_metadata(original, metadata),
                Format::Png => png::with_metadata(original, metadata),
                Format::Webp => webp::with_metadata(original, metadata),
                Format::Gif => original.clone(),
            }));
        }
        Output::Json => return measure(original, picture, recipe).map(Made::Size),
        Output::Animation => (Format::Gif, make_animation(original, picture.format, recipe)?, 0),
        Output::Still(still) => make_still(original, picture, recipe, still)?,
    };
    Ok(Made::Picture { bytes: bytes.into(), format, decoding })
}

fn make_still(
    original: &[u8],
    picture: &Picture,
    recipe: &Recipe,
    still: Still,
) -> ImageResult<(Format, Vec<u8>, u128)> {
    let started = Instant::now();
    let Decoded { pixels, orientation, colour_profile, exif } = decode_still(picture.format, original)?;
    let decoding = started.elapsed().as_millis();
    let pixels = with_eight_bits(pixels);
    let layout = Layout::new(&pixels, orientation.into(), recipe)?;
    let pixels = layout.carry_out(pixels, recipe)?;
    let format = if still.format != still.transparent && canvas::is_transparent(&pixels) {
        still.transparent
    } else {
        still.format
    };
    let exif = exif.and_then(|exif| exif::kept(&exif, still.metadata));
    let extras = Extras { colour_profile, exif, quality: still.quality, is_lossy: still.is_lossy };
    Ok((format, encode_still(format, pixels, extras)?, decoding))
}

fn make_animation(original: &[u8], format: Format, recipe: &Recipe) -> ImageResult<Vec<u8>> {
    let frames = open_animation(format, original)?.into_iter().flatten();
    let mut layout = None;
    let frames = frames.map(|frame| {
        let frame = frame?;
        let delay = frame.delay();
        let pixels = DynamicImage::from(frame.into_buffer());
        // That of the first frame is that of all, or they would jump.
        let layout = match layout {
            Some(layout) => layout,
            None => *layout.insert(Layout::new(&pixels, Turn::default(), recipe)?),
        };
        Ok(Frame::from_parts(layout.carry_out(pixels, recipe)?.into_rgba8(), 0, 0, delay))
    });
    encode_gif_animation(repeat(original)?, frames)
}

/// The size that the picture would get.
fn measure(original: &[u8], picture: &Picture, recipe: &Recipe) -> ImageResult<Size> {
    if let Some(size) = recipe.size(picture) {
        return Ok(size);
    }
    let Decoded { pixels, orientation, .. } = decode_still(picture.format, original)?;
    let pixels = with_eight_bits(pixels);
    Ok(Layout::new(&pixels, orientation.into(), recipe)?.fitting.canvas)
}

/// Where everything goes.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// The part of the decoded picture that is kept.
    part: Area,
    /// What becomes of it after the turn.
    fitting: Fitting,
    /// From the decoded picture to the result.
    turn: Turn,
}

impl Layout {
    /// Trims and fits a decoded picture that is to be turned upright by `upright`.
    fn new(pixels: &DynamicImage, upright: Turn, recipe: &Recipe) -> ImageResult<Self> {
        let stored = Size { width: pixels.width(), height: pixels.height() };
        let turn = upright.then(recipe.turn);
        let trimmed = match &recipe.trim {
            Some(Trim::Border(border)) => trim::inside_border(pixels, border, recipe.dpr),
            _ => recipe.known_part(upright.size(stored)).map(|part| upright.inverse().area(part, upright.size(stored))),
        };
        let trimmed = trimmed.unwrap_or_else(|| Area::of(stored));
        let size = turn.size(rounded(trimmed));
        let frame = if recipe.frame.seeks_focus() {
            recipe.frame.around(focus::find(pixels, trimmed, turn).map_err(failed)?)
        } else {
            recipe.frame
        };
        let fitting = frame.fit(size);
        let part = turn.inverse().area(fitting.part, size).within(trimmed);
        Ok(Self { part, fitting, turn })
    }

    /// Does everything to the pixels.
    fn carry_out(&self, pixels: DynamicImage, recipe: &Recipe) -> ImageResult<DynamicImage> {
        let Fitting { size, canvas, .. } = self.fitting;
        let size_before_turn = self.turn.inverse().size(size);
        let mut pixels = resize(pixels, self.part, size_before_turn).map_err(failed)?;
        pixels.apply_orientation(self.turn.into());
        let color = recipe.background.or((canvas != size).then_some(Color::WHITE));
        let pixels = match color {
            Some(color) => canvas::lay_on(pixels, canvas, color),
            None => pixels,
        };
        Ok(recipe.adjustments.apply(pixels))
    }
}

/// All that formats other than PNG have.
fn with_eight_bits(pixels: DynamicImage) -> DynamicImage {
    match pixels {
        DynamicImage::ImageLuma16(_) => pixels.into_luma8().into(),
        DynamicImage::ImageLumaA16(_) => pixels.into_luma_alpha8().into(),
        DynamicImage::ImageRgb16(_) => pixels.into_rgb8().into(),
        DynamicImage::ImageRgba16(_) => pixels.into_rgba8().into(),
        pixels => pixels,
    }
}

fn failed(error: fast_image_resize::ResizeError) -> ImageError {
    ImageError::Parameter(ParameterError::from_kind(ParameterErrorKind::Generic(error.to_string())))
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
