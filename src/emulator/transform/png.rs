//! The chunks of a PNG file. Some of them are compressed, and a few bytes of them can become gigabytes in the decoder.

use std::borrow::Cow;

use bytes::Bytes;

use crate::delivery::Metadata;

const SIGNATURE_LENGTH: usize = 8;
/// Bytes of a chunk besides its data: its length, its name and its checksum.
const FRAME_LENGTH: usize = 12;
/// Bytes of a chunk with a colour profile. Deflate makes at most 1032 bytes of one, so that no profile is above 34 MB.
const MAX_PROFILE_CHUNK: usize = 32_000;

/// The file without what the decoder would spend much memory on and nobody needs: texts, and colour profiles above 32 kB,
/// which for the profiles of screens and cameras would be a great deal.
pub(super) fn without_bloat(file: &[u8]) -> Cow<'_, [u8]> {
    only(file, |name, chunk| match name {
        b"iCCP" => chunk.len() <= MAX_PROFILE_CHUNK,
        name => !is_text(name),
    })
}

/// The file with its metadata, or without: nothing less than all of them can be kept in a PNG. The pixels stay byte for byte.
pub(super) fn with_metadata(file: &Bytes, metadata: Metadata) -> Bytes {
    if metadata == Metadata::Keep {
        return file.clone();
    }
    match only(file, |name, _| !is_text(name) && !matches!(name, b"eXIf" | b"tIME")) {
        Cow::Borrowed(_) => file.clone(),
        Cow::Owned(file) => file.into(),
    }
}

fn is_text(name: &[u8]) -> bool {
    matches!(name, b"tEXt" | b"zTXt" | b"iTXt")
}

/// The file with those of its chunks that are wanted, by their name and all of them.
fn only(file: &[u8], is_wanted: impl Fn(&[u8], &[u8]) -> bool) -> Cow<'_, [u8]> {
    let is_wanted = |chunk: &&[u8]| chunk.get(4..8).is_none_or(|name| is_wanted(name, chunk));
    if chunks(file).all(|chunk| is_wanted(&chunk)) {
        return Cow::Borrowed(file);
    }
    let signature = file.get(..SIGNATURE_LENGTH).unwrap_or(file);
    Cow::Owned(std::iter::once(signature).chain(chunks(file).filter(is_wanted)).flatten().copied().collect())
}

/// The chunks behind the signature, each with its frame. The last one may be cut off.
fn chunks(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = file.get(SIGNATURE_LENGTH..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (chunk, after) = rest.split_at(chunk_length(rest).unwrap_or(rest.len()).min(rest.len()));
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// The length of the chunk at the start of the bytes, which may be more than there are.
fn chunk_length(bytes: &[u8]) -> Option<usize> {
    let data_length = u32::from_be_bytes(*bytes.first_chunk()?);
    usize::try_from(data_length).ok()?.checked_add(FRAME_LENGTH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(chunks: &[(&[u8; 4], usize)]) -> Vec<u8> {
        let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
        for (name, data_length) in chunks {
            file.extend(u32::try_from(*data_length).unwrap().to_be_bytes());
            file.extend_from_slice(*name);
            file.resize(file.len() + data_length + 4, 0);
        }
        file
    }

    #[test]
    fn a_file_without_bloat_is_not_copied() {
        let file = file(&[(b"IHDR", 13), (b"iCCP", MAX_PROFILE_CHUNK - FRAME_LENGTH), (b"eXIf", 9), (b"IDAT", 50_000)]);
        assert!(matches!(without_bloat(&file), Cow::Borrowed(same) if same == file));
    }

    #[test]
    fn large_profiles_and_texts_are_left_out_wherever_they_are() {
        let profile = (b"iCCP", MAX_PROFILE_CHUNK - FRAME_LENGTH + 1);
        let [text, compressed, international] = [(b"tEXt", 9), (b"zTXt", 9), (b"iTXt", 9)];
        let bloated =
            file(&[text, (b"IHDR", 13), compressed, profile, (b"IDAT", 5), international, profile, (b"IEND", 0)]);
        assert_eq!(*without_bloat(&bloated), *file(&[(b"IHDR", 13), (b"IDAT", 5), (b"IEND", 0)]));
    }

    #[test]
    fn metadata_are_left_out_unless_they_are_to_be_kept() {
        let bare = Bytes::from(file(&[(b"IHDR", 13), (b"iCCP", 50_000), (b"gAMA", 4), (b"IDAT", 5), (b"IEND", 0)]));
        let full = file(&[
            (b"IHDR", 13),
            (b"iCCP", 50_000),
            (b"gAMA", 4),
            (b"tEXt", 9),
            (b"eXIf", 20),
            (b"IDAT", 5),
            (b"tIME", 7),
            (b"iTXt", 9),
            (b"zTXt", 9),
            (b"IEND", 0),
        ]);
        let full = Bytes::from(full);
        assert_eq!(with_metadata(&full, Metadata::Keep), full);
        for metadata in [Metadata::Copyright, Metadata::None] {
            assert_eq!(with_metadata(&full, metadata), bare);
            assert_eq!(with_metadata(&bare, metadata), bare);
        }
    }

    #[test]
    fn a_chunk_that_is_cut_off_is_left_to_the_decoder() {
        let whole = file(&[(b"IHDR", 13), (b"IDAT", 50)]);
        for length in 0..whole.len() {
            assert_eq!(*without_bloat(&whole[..length]), whole[..length]);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = without_bloat(&bytes);
        }

        #[test]
        fn no_chunks_make_it_panic_and_none_but_bloat_is_lost(
            chunks in prop::collection::vec((prop::sample::select(vec![b"IHDR", b"iCCP", b"zTXt", b"IDAT"]), 0..20_usize), 0..8),
            missing: u16,
            tail: Vec<u8>,
        ) {
            let kept: Vec<_> = chunks.iter().copied().filter(|(name, _)| *name != b"zTXt").collect();
            let length = u32::try_from(tail.len()).unwrap() + u32::from(missing);
            let end = [&length.to_be_bytes()[..], b"IDAT", &tail].concat();
            let [bloated, wanted] = [file(&chunks), file(&kept)].map(|file| [file, end.clone()].concat());
            prop_assert_eq!(&*without_bloat(&bloated), &wanted[..]);
        }
    }
}
