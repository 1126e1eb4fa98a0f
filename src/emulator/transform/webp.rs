//! The chunks of WebP files, and writing them with loss, which nothing in Rust does yet.

use bytes::Bytes;
use image::error::{EncodingError, ImageFormatHint};
use image::{DynamicImage, ImageError, ImageFormat, ImageResult};

use super::{Size, vp8l};
use crate::delivery::Metadata;

/// Bytes in front of the chunks: `RIFF`, the length of the rest, `WEBP`.
const FILE_HEADER: usize = 12;
/// Bytes in front of the data of a chunk: its name and their length.
const CHUNK_HEADER: usize = 8;
/// Bytes in front of the chunks of a frame of an animation.
const FRAME_HEADER: usize = 16;
/// In the flags of an extended file.
const HAS_PROFILE: u8 = 0x20;
const HAS_ALPHA: u8 = 0x10;
const HAS_EXIF: u8 = 0x08;
const HAS_XMP: u8 = 0x04;
/// Bytes of tables that a decoder may make of the codes of a picture; large pictures have some ten megabytes.
const MAX_TABLES: u64 = 64 * 1024 * 1024;

/// A chunk by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Chunk<'a> {
    name: &'a [u8],
    data: &'a [u8],
}

/// The chunks of a file, or of a frame; the last one may be cut off.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (name, after) = rest.split_at_checked(4)?;
        let length = usize::try_from(u32::from_le_bytes(*after.first_chunk()?)).ok()?;
        let body = &after[4..];
        let data = &body[..length.min(body.len())];
        rest = body.get(length.saturating_add(length % 2)..).unwrap_or_default();
        Some(Chunk { name, data })
    })
}

fn chunks_of_file(file: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    chunks(file.get(FILE_HEADER..).unwrap_or_default())
}

/// A file of these chunks.
fn file<'a>(chunks: impl IntoIterator<Item = Chunk<'a>>) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    for Chunk { name, data } in chunks {
        file.extend_from_slice(name);
        file.extend(as_length(data.len()).to_le_bytes());
        file.extend_from_slice(data);
        file.resize(file.len().next_multiple_of(2), 0);
    }
    let all = as_length(file.len() - CHUNK_HEADER);
    file[4..8].copy_from_slice(&all.to_le_bytes());
    file
}

fn as_length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("files are much shorter")
}

/// The file with its metadata, or without: nothing less than all of them can be kept in a WebP. The pixels stay byte for byte.
pub(super) fn with_metadata(original: &Bytes, metadata: Metadata) -> Bytes {
    let is_metadata = |chunk: &Chunk<'_>| matches!(chunk.name, b"EXIF" | b"XMP ");
    if metadata == Metadata::Keep || !chunks_of_file(original).any(|chunk| is_metadata(&chunk)) {
        return original.clone();
    }
    let mut out = file(chunks_of_file(original).filter(|chunk| !is_metadata(chunk)));
    if let Some(flags) = flags(&mut out) {
        *flags &= !(HAS_EXIF | HAS_XMP);
    }
    out.into()
}

/// The flags of an extended file, whose first chunk has them.
fn flags(file: &mut [u8]) -> Option<&mut u8> {
    let (name, flags) = file.get_mut(FILE_HEADER..=FILE_HEADER + CHUNK_HEADER)?.split_at_mut(CHUNK_HEADER);
    name.starts_with(b"VP8X").then(|| &mut flags[0])
}

/// A picture as a file with loss, of a quality from 1 to 99.
pub(super) fn encode_lossy(pixels: DynamicImage, quality: u8, profile: Option<&[u8]>) -> ImageResult<Vec<u8>> {
    let (width, height) = (pixels.width(), pixels.height());
    let encoded = if pixels.color().has_alpha() {
        let pixels = pixels.into_rgba8();
        webp::Encoder::from_rgba(&pixels, width, height).encode_simple(false, quality.into())
    } else {
        let pixels = pixels.into_rgb8();
        webp::Encoder::from_rgb(&pixels, width, height).encode_simple(false, quality.into())
    };
    let encoded = encoded.map_err(|error| {
        ImageError::Encoding(EncodingError::new(ImageFormatHint::Exact(ImageFormat::WebP), format!("{error:?}")))
    })?;
    Ok(match profile {
        Some(profile) => with_profile(&encoded, Size { width, height }, profile),
        None => encoded.to_vec(),
    })
}

/// The file with a colour profile, which only extended files have.
fn with_profile(encoded: &[u8], size: Size, profile: &[u8]) -> Vec<u8> {
    let has_alpha = chunks_of_file(encoded).any(|chunk| chunk.name == b"ALPH");
    let one_less = |pixels: u32| (pixels - 1).to_le_bytes();
    let ([w0, w1, w2, _], [h0, h1, h2, _]) = (one_less(size.width), one_less(size.height));
    let header = [HAS_PROFILE | if has_alpha { HAS_ALPHA } else { 0 }, 0, 0, 0, w0, w1, w2, h0, h1, h2];
    let extension = [Chunk { name: b"VP8X", data: &header }, Chunk { name: b"ICCP", data: profile }];
    file(extension.into_iter().chain(chunks_of_file(encoded).filter(|chunk| chunk.name != b"VP8X")))
}

/// Whether the codes that pixels without loss are written in can be read, and take a decoder no more memory than those of any
/// reasonable picture. A few megabytes can declare so many that their tables take gigabytes.
pub(super) fn has_modest_codes(file: &[u8]) -> bool {
    let canvas = chunks_of_file(file).find(|chunk| chunk.name == b"VP8X").and_then(|chunk| size_at(chunk.data, 4));
    chunks_of_file(file).all(|chunk| match (chunk.name, size_at(chunk.data, 6), chunk.data.get(FRAME_HEADER..)) {
        (b"ANMF", Some(size), Some(frame)) => chunks(frame).all(|chunk| is_modest(chunk, Some(size))),
        (b"ANMF", ..) => false,
        _ => is_modest(chunk, canvas),
    })
}

/// Whether the codes of one picture, or of its transparency, are few enough.
fn is_modest(chunk: Chunk<'_>, size: Option<Size>) -> bool {
    let tables = match (chunk.name, chunk.data.first(), size) {
        (b"VP8L", ..) => vp8l::table_bytes(chunk.data, MAX_TABLES),
        // The lowest two bits say how it is compressed.
        (b"ALPH", Some(flags), Some(size)) if flags & 3 == 1 => {
            vp8l::table_bytes_of_alpha(&chunk.data[1..], size, MAX_TABLES)
        }
        _ => return true,
    };
    tables.is_some_and(|bytes| bytes <= MAX_TABLES)
}

/// Width and height, which are written as three bytes each, one less than they are.
fn size_at(data: &[u8], at: usize) -> Option<Size> {
    let side = |at: usize| Some(u32::from_le_bytes([*data.get(at)?, *data.get(at + 1)?, *data.get(at + 2)?, 0]) + 1);
    Some(Size { width: side(at)?, height: side(at + 3)? })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::LazyLock;

    use image::codecs::webp::{WebPDecoder, WebPEncoder};
    use image::{GenericImageView as _, ImageDecoder as _, ImageEncoder as _, Rgba, RgbaImage};
    use proptest::prelude::*;

    use super::super::{exif, vp8l, webp_bomb};
    use super::*;

    const PROFILE: &[u8] = b"a colour profile with an odd length";

    fn picture(is_transparent: bool) -> DynamicImage {
        let pixels = RgbaImage::from_fn(64, 48, |x, y| {
            let alpha = if is_transparent && x < 32 { 0 } else { 255 };
            Rgba([u8::try_from(x * 4).unwrap(), u8::try_from(y * 5).unwrap(), 128, alpha])
        });
        if is_transparent { pixels.into() } else { DynamicImage::from(pixels).into_rgb8().into() }
    }

    /// A file without loss, with a profile and metadata.
    fn full() -> Bytes {
        let mut out = Vec::new();
        let mut encoder = WebPEncoder::new_lossless(&mut out);
        encoder.set_icc_profile(PROFILE.to_vec()).unwrap();
        encoder.set_exif_metadata(exif::tests::of_camera()).unwrap();
        let pixels = picture(false);
        encoder.write_image(pixels.as_bytes(), 64, 48, pixels.color().into()).unwrap();
        out.into()
    }

    #[test]
    fn metadata_are_left_out_unless_they_are_to_be_kept() {
        let full = full();
        assert_eq!(with_metadata(&full, Metadata::Keep), full);
        for metadata in [Metadata::Copyright, Metadata::None] {
            let bare = with_metadata(&full, metadata);
            let mut decoder = WebPDecoder::new(Cursor::new(&bare)).unwrap();
            assert_eq!(decoder.exif_metadata().unwrap(), None);
            assert_eq!(decoder.icc_profile().unwrap().as_deref(), Some(PROFILE));
            assert_eq!(image::load_from_memory(&bare).unwrap(), image::load_from_memory(&full).unwrap());
            assert_eq!(bare[4..8], u32::try_from(bare.len() - 8).unwrap().to_le_bytes());
            assert_eq!(with_metadata(&bare, metadata), bare);
        }
    }

    #[test]
    fn pictures_are_written_with_loss_with_their_profile_and_what_is_transparent() {
        for is_transparent in [false, true] {
            for profile in [None, Some(PROFILE)] {
                let [good, bad] =
                    [90, 10].map(|quality| encode_lossy(picture(is_transparent), quality, profile).unwrap());
                assert!(bad.len() < good.len());
                let mut decoder = WebPDecoder::new(Cursor::new(&good)).unwrap();
                assert_eq!(decoder.icc_profile().unwrap().as_deref(), profile);
                let got = DynamicImage::from_decoder(decoder).unwrap();
                assert_eq!((got.dimensions(), got.color().has_alpha()), ((64, 48), is_transparent));
                let pixel = got.get_pixel(50, 20);
                assert!(
                    pixel.0.iter().zip([200, 100, 128, 255]).all(|(got, want)| got.abs_diff(want) < 20),
                    "{pixel:?}"
                );
                assert!(!is_transparent || got.get_pixel(5, 5)[3] == 0);
                assert!(has_modest_codes(&good));
            }
        }
    }

    /// Pictures as an encoder writes them: photos, few colours, and transparency.
    fn lossless() -> Vec<Vec<u8>> {
        let noise = |x: u32, y: u32| u8::try_from((x * 7919 + y * 104_729 + x * y * 31) % 256).unwrap();
        let photo = RgbaImage::from_fn(400, 300, |x, y| Rgba([noise(x / 9, y / 7), noise(y, x / 30), 9, 255]));
        let few = RgbaImage::from_fn(300, 200, |x, y| Rgba([(noise(x / 9, y) % 3) * 90, 0, 0, 255]));
        let clear = RgbaImage::from_fn(128, 128, |x, y| Rgba([noise(x, 1), noise(1, y), 7, noise(x / 16, y / 16)]));
        let all = [photo, few, clear];
        all.iter()
            .map(|pixels| webp::Encoder::from_rgba(pixels, pixels.width(), pixels.height()).encode_lossless().to_vec())
            .collect()
    }

    #[test]
    fn the_codes_of_pictures_are_modest_wherever_they_are() {
        for file in lossless() {
            assert!(has_modest_codes(&file));
            let data = chunks_of_file(&file).find(|chunk| chunk.name == b"VP8L").unwrap().data;
            let tables = vp8l::table_bytes(data, MAX_TABLES).unwrap();
            assert!((100..MAX_TABLES).contains(&tables), "{tables}");
        }
        assert!(has_modest_codes(&full()));
        let written_in_rust = |pixels: &DynamicImage| {
            let mut out = Vec::new();
            pixels.write_with_encoder(WebPEncoder::new_lossless(&mut out)).unwrap();
            out
        };
        assert!(has_modest_codes(&written_in_rust(&picture(true))));
    }

    #[test]
    fn codes_that_take_gigabytes_are_found_in_still_pictures_in_frames_and_in_transparency() {
        let bomb = webp_bomb::pixels(4, 60_000);
        assert!(bomb.len() < 6_000_000, "{}", bomb.len());
        let pixels = Chunk { name: b"VP8L", data: &bomb };
        assert!(!has_modest_codes(&file([pixels])));
        let mut frame = vec![0; FRAME_HEADER];
        frame[6..12].copy_from_slice(&[3, 0, 0, 3, 0, 0]);
        frame.extend_from_slice(&file([pixels])[FILE_HEADER..]);
        assert!(!has_modest_codes(&file([Chunk { name: b"ANMF", data: &frame }])));
        // Transparency has no header of five bytes, but one of its own.
        let alpha = [&[1], &bomb[5..]].concat();
        let canvas = [0, 0, 0, 0, 3, 0, 0, 3, 0, 0];
        let parts = [Chunk { name: b"VP8X", data: &canvas }, Chunk { name: b"ALPH", data: &alpha }];
        assert!(!has_modest_codes(&file(parts)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, at: u16) {
            static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| lossless().swap_remove(1));
            let mut cut = FILE.clone();
            let at = usize::from(at) % cut.len();
            for (old, new) in cut[at..].iter_mut().zip(&bytes) {
                *old = *new;
            }
            let _ = has_modest_codes(&cut);
            let _ = has_modest_codes(&bytes);
            let _ = with_metadata(&cut.into(), Metadata::None);
            let _ = with_metadata(&bytes.into(), Metadata::None);
        }
    }
}
