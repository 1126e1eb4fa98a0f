//! What EXIF data say beside the picture, and what of it is kept.

use std::borrow::Cow;

use image::metadata::Orientation;

use crate::delivery::Metadata;

/// Bytes that fit into a segment of a JPEG with its header.
const MAX_LENGTH: usize = 65_000;
/// The tag of the copyright notice.
const COPYRIGHT: u16 = 0x8298;
/// The type of texts.
const ASCII: u16 = 2;
/// The length of an entry of a directory.
const ENTRY: usize = 12;
/// Where the text starts in the data that are written here: behind the header, a directory of one entry and its end.
const TEXT_START: u32 = 26;

/// What is kept of EXIF data in TIFF form. The orientation never is: it has been applied.
pub(super) fn kept(exif: &[u8], metadata: Metadata) -> Option<Vec<u8>> {
    match metadata {
        Metadata::None => None,
        Metadata::Copyright => copyright(exif).map(with_copyright),
        Metadata::Keep => {
            let mut exif = exif.to_vec();
            let _ = Orientation::remove_from_exif_chunk(&mut exif);
            Some(exif)
        }
    }
    .filter(|exif| exif.len() <= MAX_LENGTH)
}

/// The copyright notice.
fn copyright(exif: &[u8]) -> Option<Cow<'_, [u8]>> {
    let reader = Reader::new(exif)?;
    let directory = usize::try_from(reader.u32(4)?).ok()?;
    let entries = usize::from(reader.u16(directory)?);
    let mut places = (0..entries).map(|entry| directory.saturating_add(2 + entry * ENTRY));
    let entry = places.find(|place| reader.u16(*place) == Some(COPYRIGHT))?;
    if reader.u16(entry + 2)? != ASCII {
        return None;
    }
    let length = usize::try_from(reader.u32(entry + 4)?).ok()?;
    let start = if length <= 4 { entry + 8 } else { usize::try_from(reader.u32(entry + 8)?).ok()? };
    exif.get(start..start.checked_add(length)?).map(Cow::Borrowed)
}

/// EXIF data with a copyright notice and nothing else. Texts of up to four bytes are padded, as they would stand elsewhere.
fn with_copyright(text: Cow<'_, [u8]>) -> Vec<u8> {
    let mut text = text.into_owned();
    text.resize(text.len().max(5), 0);
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    let mut exif = b"II*\0\x08\0\0\0\x01\0".to_vec();
    exif.extend(COPYRIGHT.to_le_bytes());
    exif.extend(ASCII.to_le_bytes());
    exif.extend(length.to_le_bytes());
    exif.extend(TEXT_START.to_le_bytes());
    exif.extend([0; 4]);
    exif.extend(text);
    exif
}

/// Numbers in the order of bytes that the data have.
struct Reader<'a> {
    bytes: &'a [u8],
    is_little: bool,
}

impl<'a> Reader<'a> {
    fn new(bytes: &'a [u8]) -> Option<Self> {
        let is_little = match bytes.first_chunk()? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Self { bytes, is_little })
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An orientation of a quarter turn, the name of the camera, and a copyright notice, with the high bytes first.
    pub(in super::super) fn of_camera() -> Vec<u8> {
        let mut exif = b"MM\0*\0\0\0\x08\0\x03".to_vec();
        exif.extend(b"\x01\x0F\0\x02\0\0\0\x07\0\0\0\x32");
        exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0");
        exif.extend(b"\x82\x98\0\x02\0\0\0\x06\0\0\0\x39");
        exif.extend(b"\0\0\0\0Camera\0(c) A\0");
        exif
    }

    #[test]
    fn what_is_kept_is_what_was_asked_for() {
        let exif = of_camera();
        assert_eq!(kept(&exif, Metadata::None), None);
        let kept_copyright = kept(&exif, Metadata::Copyright).unwrap();
        assert_eq!(copyright(&kept_copyright).as_deref(), Some(&b"(c) A\0"[..]));
        assert!(!kept_copyright.windows(6).any(|bytes| bytes == b"Camera"));
        let all = kept(&exif, Metadata::Keep).unwrap();
        assert!(all.windows(6).any(|bytes| bytes == b"Camera"));
        assert_eq!(Orientation::from_exif_chunk(&exif), Some(Orientation::Rotate90));
        assert_eq!(Orientation::from_exif_chunk(&all), Some(Orientation::NoTransforms));
        assert_eq!(kept(b"II*\0\x08\0\0\0\0\0", Metadata::Copyright), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut exif in prop::collection::vec(any::<u8>(), 0..90), is_tiff: bool) {
            if is_tiff && exif.len() > 12 {
                exif[..12].copy_from_slice(b"II*\0\x08\0\0\0\x04\0\x98\x82");
            }
            for metadata in Metadata::ALL {
                let _ = kept(&exif, *metadata);
            }
        }
    }
}
