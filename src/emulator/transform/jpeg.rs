//! The segments of JPEG files: whether all are there, and those with metadata.
//!
//! The decoder fills what is missing with grey instead of complaining. What Cloudflare does with such files is UNCONFIRMED; here
//! they do not decode.

use bytes::Bytes;

use super::exif;
use crate::delivery::Metadata;

const MARKER: u8 = 0xFF;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
/// EXIF, and XMP.
const APP1: u8 = 0xE1;
/// IPTC.
const APP13: u8 = 0xED;
const COMMENT: u8 = 0xFE;
/// What EXIF data start with in their segment.
const EXIF: &[u8] = b"Exif\0\0";

/// The file with no more metadata than are to be kept. The pixels, and what decoders need, stay byte for byte.
pub(super) fn with_metadata(file: &Bytes, metadata: Metadata) -> Bytes {
    let has_metadata = segments(file).any(is_metadata);
    let (Some(start), false) = (file.get(..2), metadata == Metadata::Keep || !has_metadata) else {
        return file.clone();
    };
    let exif = segments(file).find_map(exif_of).and_then(|data| exif::kept(data, metadata));
    let mut out = start.to_vec();
    if let Some(data) = exif {
        let length = u16::try_from(2 + EXIF.len() + data.len()).expect("what is kept fits into a segment");
        out.extend([MARKER, APP1]);
        out.extend(length.to_be_bytes());
        out.extend_from_slice(EXIF);
        out.extend(data);
    }
    out.extend(segments(file).filter(|segment| !is_metadata(segment)).flatten());
    out.into()
}

fn is_metadata(segment: &[u8]) -> bool {
    matches!(segment.get(1), Some(&(APP1 | APP13 | COMMENT)))
}

/// The EXIF data in a segment, in TIFF form.
fn exif_of(segment: &[u8]) -> Option<&[u8]> {
    segment.get(4..).filter(|_| segment[1] == APP1)?.strip_prefix(EXIF)
}

/// The segments before the compressed data, each with its marker, and then all the rest.
fn segments(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = match rest {
            [] => return None,
            [MARKER, START_OF_SCAN | END_OF_IMAGE, ..] => rest.len(),
            [MARKER, MARKER, ..] => 1,
            [MARKER, _, high, low, ..] => 2 + usize::from(u16::from_be_bytes([*high, *low]).max(2)),
            _ => rest.len(),
        };
        let (segment, after) = rest.split_at(length.min(rest.len()));
        rest = after;
        Some(segment)
    })
}

/// Whether the file goes on to the end-of-image marker of the picture itself; a thumbnail inside its EXIF has one too.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(2..).unwrap_or_default();
    while let Some((marker, after)) = next_marker(rest) {
        if marker == END_OF_IMAGE {
            return true;
        }
        let Some(after) = skip_segment(after) else { return false };
        rest = after;
    }
    false
}

/// The next marker and what follows it; compressed data before it is skipped, with its stuffed zeros and restart markers.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let is_marker = |pair: &[u8]| pair[0] == MARKER && !matches!(pair[1], 0x00 | 0x01 | 0xD0..=0xD8 | MARKER);
    let at = bytes.windows(2).position(is_marker)?;
    Some((bytes[at + 1], &bytes[at + 2..]))
}

/// What follows a segment, which starts with its length in two bytes.
fn skip_segment(bytes: &[u8]) -> Option<&[u8]> {
    let length = u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]);
    bytes.get(usize::from(length.max(2))..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of segments without pixels.
    fn file(segments: &[(u8, &[u8])]) -> Bytes {
        let mut file = vec![MARKER, 0xD8];
        for (marker, data) in segments {
            file.extend([MARKER, *marker]);
            file.extend(u16::try_from(data.len() + 2).unwrap().to_be_bytes());
            file.extend_from_slice(data);
        }
        file.extend(b"\xFF\xDA\0\x02pixels\xFF\xE1 no segment\xFF\xD9");
        file.into()
    }

    #[test]
    fn metadata_are_left_out_and_nothing_else() {
        let camera = [EXIF, &exif::tests::of_camera()].concat();
        let profile = (0xE2, &b"ICC_PROFILE"[..]);
        let full = file(&[(APP1, &camera), profile, (APP13, b"IPTC"), (COMMENT, b"hello"), (0xDB, b"table")]);
        let bare = file(&[profile, (0xDB, b"table")]);
        assert_eq!(with_metadata(&full, Metadata::Keep), full);
        assert_eq!(with_metadata(&full, Metadata::None), bare);
        let copyright = [EXIF, &exif::kept(&exif::tests::of_camera(), Metadata::Copyright).unwrap()].concat();
        let want = file(&[(APP1, &copyright), profile, (0xDB, b"table")]);
        assert_eq!(with_metadata(&full, Metadata::Copyright), want);
        assert_eq!(with_metadata(&bare, Metadata::None), bare);
    }

    #[test]
    fn the_end_marker_of_an_embedded_thumbnail_does_not_count() {
        let thumbnail = [0xFF, 0xE1, 0x00, 0x06, 0xFF, 0xD8, 0xFF, 0xD9];
        let scan = [0xFF, 0xDA, 0x00, 0x02, 0x12, 0xFF, 0x00, 0xFF, 0xD0, 0x34];
        let cut = [&[0xFF, 0xD8][..], &thumbnail, &scan].concat();
        assert!(!is_complete(&cut));
        assert!(is_complete(&[&cut[..], &[0xFF, 0xD9]].concat()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_removal_of_metadata_panic(mut bytes: Vec<u8>, is_app1: bool) {
            if is_app1 && bytes.len() > 4 {
                bytes[2..4].copy_from_slice(&[MARKER, APP1]);
            }
            let _ = with_metadata(&bytes.into(), Metadata::Copyright);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = is_complete(&bytes);
        }
    }
}
