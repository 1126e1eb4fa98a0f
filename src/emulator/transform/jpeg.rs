//! Whether a JPEG file is all there: the decoder fills what is missing with grey instead of complaining.
//! What Cloudflare does with such files is UNCONFIRMED; here they do not decode.

const MARKER: u8 = 0xFF;
const END_OF_IMAGE: u8 = 0xD9;

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
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = is_complete(&bytes);
        }
    }
}
