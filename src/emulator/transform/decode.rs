//! Reading pictures: first the header, with the limits, then the pixels.

use std::borrow::Cow;
use std::io::Cursor;

use image::codecs::gif::GifDecoder;
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{
    AnimationDecoder, ColorType, DynamicImage, Frames, ImageDecoder, ImageError, ImageReader, ImageResult, Limits,
};

use super::orient::Turn;
use super::{Format, Picture, Size, jpeg, memory, png, webp};

/// Pixels a side. Cloudflare's documentation names WebP as an exception without saying what holds there; here it is none.
pub(super) const MAX_SIDE: u32 = 12_000;
/// Pixels of a still picture, and of all frames of an animation together.
pub(super) const MAX_PIXELS: u64 = 100_000_000;
/// Bytes of a decoded picture, or of a frame: enough for as many pixels as there may be with 8 bits a channel.
pub(super) const MAX_DECODED: u64 = 4 * MAX_PIXELS;

/// Why bytes are no acceptable picture.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::emulator) enum Rejection {
    /// The bytes are of another format than they were said to be.
    #[error("the bytes are of another format than the content type says")]
    WrongType,
    /// The picture has too many pixels.
    #[error("{}x{} pixels are too many: at most {MAX_SIDE} a side and {MAX_PIXELS} in all", .0.width, .0.height)]
    TooLarge(Size),
    /// The pixels are not too many, but they have too many bits.
    #[error("{0} bytes of pixels are too many: at most {MAX_DECODED}")]
    TooDeep(u64),
    /// The frames of the animation have too many pixels together.
    #[error("the frames of the animation have more than {MAX_PIXELS} pixels together")]
    AnimationTooLarge,
    /// The bytes are no picture, or a broken one.
    #[error("{0}")]
    Unreadable(String),
}

/// What the first bytes of a picture say about it. Nothing has been decoded yet, so all of it may be a lie.
#[derive(Debug, Clone, Copy)]
pub(in crate::emulator) struct Header {
    format: Format,
    /// As stored, before the orientation is applied.
    stored_size: Size,
    /// The decoded pixels of one frame.
    frame_bytes: u64,
    orientation: Orientation,
}

impl Header {
    /// Bytes of memory to read the whole picture with, at most.
    pub(in crate::emulator) fn memory(&self) -> u64 {
        memory::of_work_on(self.frame_bytes)
    }

    fn picture(&self, frames: u32) -> Picture {
        let size = Turn::from(self.orientation).size(self.stored_size);
        Picture { format: self.format, size, is_turned: self.orientation != Orientation::NoTransforms, frames }
    }
}

/// Reads the header of a picture that is said to be of the format `declared`, and checks the limits before anything is decoded.
pub(in crate::emulator) fn read_header(declared: Format, bytes: &[u8]) -> Result<Header, Rejection> {
    let found = image::guess_format(bytes).map_err(|error| unreadable(&error))?;
    if found != declared.into() {
        return Err(Rejection::WrongType);
    }
    let mut decoder = open(declared, bytes).map_err(|error| unreadable(&error))?;
    let (width, height) = decoder.dimensions();
    let stored_size = Size { width, height };
    if width == 0 || height == 0 {
        return Err(Rejection::Unreadable("the picture has no pixels".to_owned()));
    }
    if width > MAX_SIDE || height > MAX_SIDE || stored_size.pixels() > MAX_PIXELS {
        return Err(Rejection::TooLarge(stored_size));
    }
    let frame_bytes = stored_size.pixels() * bytes_per_pixel(declared, decoder.color_type());
    if frame_bytes > MAX_DECODED {
        return Err(Rejection::TooDeep(frame_bytes));
    }
    if declared == Format::Webp && !webp::has_modest_codes(bytes) {
        return Err(Rejection::Unreadable("the codes of the picture are broken, or take too much memory".to_owned()));
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok(Header { format: declared, stored_size, frame_bytes, orientation })
}

/// WebP is worked on with an alpha channel even where the picture has none.
fn bytes_per_pixel(format: Format, color: ColorType) -> u64 {
    let least = if format == Format::Webp { 4 } else { 1 };
    u64::from(color.bytes_per_pixel()).max(least)
}

/// Decodes the whole picture to see that it can be decoded.
pub(in crate::emulator) fn read_picture(header: &Header, bytes: &[u8]) -> Result<Picture, Rejection> {
    if let Some(frames) = open_animation(header.format, bytes).map_err(|error| unreadable(&error))? {
        return count_frames(header, frames, MAX_PIXELS).map(|frames| header.picture(frames));
    }
    if header.format == Format::Jpeg && !jpeg::is_complete(bytes) {
        return Err(Rejection::Unreadable("the JPEG data ends too early".to_owned()));
    }
    decode_still(header.format, bytes).map_err(|error| unreadable(&error))?;
    Ok(header.picture(1))
}

/// Counts frames while they are decoded, until they have too many pixels together.
fn count_frames(header: &Header, frames: Frames<'_>, max_pixels: u64) -> Result<u32, Rejection> {
    let mut count = 0;
    for frame in frames {
        frame.map_err(|error| unreadable(&error))?;
        count += 1;
        if header.stored_size.pixels() * u64::from(count) > max_pixels {
            return Err(Rejection::AnimationTooLarge);
        }
    }
    if count == 0 { Err(Rejection::Unreadable("there is no picture in the file".to_owned())) } else { Ok(count) }
}

/// A picture as it is stored, with what belongs to it.
pub(super) struct Decoded {
    pub(super) pixels: DynamicImage,
    /// How the pixels are to be turned.
    pub(super) orientation: Orientation,
    pub(super) colour_profile: Option<Vec<u8>>,
    /// In TIFF form.
    pub(super) exif: Option<Vec<u8>>,
}

/// Decodes a still picture, or the first frame of an animation.
pub(super) fn decode_still(format: Format, bytes: &[u8]) -> ImageResult<Decoded> {
    let mut decoder = open(format, bytes)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let colour_profile = decoder.icc_profile().ok().flatten();
    let exif = decoder.exif_metadata().ok().flatten();
    let pixels = DynamicImage::from_decoder(decoder)?;
    Ok(Decoded { pixels, orientation, colour_profile, exif })
}

/// The frames of a picture in a format that can be animated; `None` for still pictures.
pub(super) fn open_animation(format: Format, bytes: &[u8]) -> ImageResult<Option<Frames<'_>>> {
    match format {
        Format::Gif => {
            let mut decoder = GifDecoder::new(Cursor::new(bytes))?;
            decoder.set_limits(gif_limits(&decoder))?;
            Ok(Some(decoder.into_frames()))
        }
        Format::Webp => {
            let mut decoder = WebPDecoder::new(Cursor::new(bytes))?;
            decoder.set_limits(limits())?;
            Ok(decoder.has_animation().then(|| decoder.into_frames()))
        }
        Format::Jpeg | Format::Png => Ok(None),
    }
}

fn open(format: Format, bytes: &[u8]) -> ImageResult<impl ImageDecoder + '_> {
    let file = if format == Format::Png { png::without_bloat(bytes) } else { Cow::Borrowed(bytes) };
    let mut reader = ImageReader::with_format(Cursor::new(file), format.into());
    reader.limits(limits());
    reader.into_decoder()
}

/// Bounds what decoders take besides the decoded pixels, of which they know nothing.
fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODED);
    limits
}

/// Two canvases and a frame of up to twice their size. A few bytes can declare a frame much larger than its canvas, whose
/// pixels nothing else counts.
fn gif_limits(decoder: &impl ImageDecoder) -> Limits {
    let mut limits = limits();
    limits.max_alloc = Some(decoder.total_bytes().saturating_mul(4));
    limits
}

fn unreadable(error: &ImageError) -> Rejection {
    Rejection::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests {
    use image::codecs::gif::GifEncoder;
    use image::codecs::png::PngEncoder;
    use image::{ExtendedColorType, Frame, ImageEncoder as _, ImageFormat, RgbaImage};

    use super::*;

    #[test]
    fn a_gif_whose_frames_are_much_larger_than_its_canvas_is_refused() {
        let mut gif = Vec::new();
        GifEncoder::new(&mut gif).encode_frames([Frame::new(RgbaImage::new(100, 100))]).unwrap();
        gif[6..10].copy_from_slice(&[10, 0, 10, 0]);
        let header = read_header(Format::Gif, &gif).unwrap();
        assert!(matches!(read_picture(&header, &gif), Err(Rejection::Unreadable(_))));
    }

    #[test]
    fn an_animation_is_refused_at_the_frame_that_is_too_much() {
        let mut gif = Vec::new();
        GifEncoder::new(&mut gif).encode_frames((0..3).map(|_| Frame::new(RgbaImage::new(10, 10)))).unwrap();
        let header = read_header(Format::Gif, &gif).unwrap();
        let count = |max| count_frames(&header, open_animation(Format::Gif, &gif).unwrap().unwrap(), max);
        assert_eq!(count(300), Ok(3));
        assert_eq!(count(299), Err(Rejection::AnimationTooLarge));
    }

    /// A PNG of one pixel with a colour profile of so many zeros, which are compressed to about a thousandth.
    fn png_with_profile(length: usize) -> Vec<u8> {
        let mut png = Vec::new();
        let mut encoder = PngEncoder::new(&mut png);
        encoder.set_icc_profile(vec![0; length]).unwrap();
        encoder.write_image(&[1, 2, 3], 1, 1, ExtendedColorType::Rgb8).unwrap();
        png
    }

    fn profile_length(png: &[u8]) -> Option<usize> {
        open(Format::Png, png).unwrap().icc_profile().unwrap().map(|profile| profile.len())
    }

    #[test]
    fn a_profile_that_inflates_to_much_never_reaches_the_decoder_and_the_picture_is_accepted() {
        assert_eq!(profile_length(&png_with_profile(3_000)), Some(3_000));
        let bomb = png_with_profile(40_000_000);
        assert!(bomb.len() < 50_000, "{}", bomb.len());
        assert_eq!(profile_length(&bomb), None);
        let header = read_header(Format::Png, &bomb).unwrap();
        assert_eq!(read_picture(&header, &bomb).unwrap().size, Size { width: 1, height: 1 });
    }

    #[test]
    fn the_memory_to_read_a_picture_grows_with_its_bits() {
        let memory = |color| {
            let mut png = Cursor::new(Vec::new());
            DynamicImage::new(100, 100, color).write_to(&mut png, ImageFormat::Png).unwrap();
            read_header(Format::Png, png.get_ref()).unwrap().memory()
        };
        assert_eq!(memory(ColorType::Rgba16), memory::of_work_on(80_000));
        assert_eq!(memory(ColorType::Rgb8), memory::of_work_on(30_000));
    }
}
