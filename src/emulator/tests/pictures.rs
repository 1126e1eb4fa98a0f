//! Pictures made for tests.

use std::io::Cursor;

use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::{AnimationDecoder as _, Delay, DynamicImage, Frame, ImageFormat, Rgba, RgbaImage};

pub(super) const RED: Rgba<u8> = Rgba([220, 20, 20, 255]);
pub(super) const BLUE: Rgba<u8> = Rgba([20, 20, 220, 255]);

/// A picture whose left half is red and whose right half is blue.
pub(super) fn halves(width: u32, height: u32) -> DynamicImage {
    RgbaImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE }).into()
}

pub(super) fn encoded(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let picture = halves(width, height);
    let picture = if format == ImageFormat::Jpeg { picture.into_rgb8().into() } else { picture };
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A JPEG that EXIF asks to be turned, 6 for a quarter to the right.
pub(super) fn oriented_jpeg(width: u32, height: u32, orientation: u8) -> Vec<u8> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&halves(width, height).into_rgb8()).unwrap();
    let mut exif = b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    jpeg.splice(2..2, exif);
    jpeg
}

/// An animation with a frame of each colour.
pub(super) fn animated_gif(width: u32, height: u32, colours: &[Rgba<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = GifEncoder::new(&mut out);
    encoder.set_repeat(Repeat::Finite(3)).unwrap();
    for colour in colours {
        let pixels = RgbaImage::from_pixel(width, height, *colour);
        encoder.encode_frame(Frame::from_parts(pixels, 0, 0, Delay::from_numer_denom_ms(120, 1))).unwrap();
    }
    drop(encoder);
    out
}

pub(super) fn gif_frames(bytes: &[u8]) -> Vec<Frame> {
    let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(bytes)).unwrap();
    decoder.into_frames().collect_frames().unwrap()
}

/// A PNG of one pixel whose header speaks of others, of 8 bits a channel.
pub(super) fn png_with_header(width: u32, height: u32) -> Vec<u8> {
    png_with_depth(width, height, 8)
}

/// The same, with so many bits a channel.
pub(super) fn png_with_depth(width: u32, height: u32, bits: u8) -> Vec<u8> {
    let mut png = encoded(ImageFormat::Png, 1, 1);
    png[24] = bits;
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// Whether two colours are the same but for what compression does to them.
pub(super) fn is_close(left: Rgba<u8>, right: Rgba<u8>) -> bool {
    left.0.iter().zip(right.0).all(|(left, right)| left.abs_diff(right) < 24)
}
