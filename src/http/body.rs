//! Bodies of requests.

use std::borrow::Cow;

/// The most bytes of a body that are read: Django's `DATA_UPLOAD_MAX_MEMORY_SIZE`.
pub const MAX_BODY_BYTES: usize = 2_621_440;

/// The bytes are no text. [`Display`](std::fmt::Display) says it in Python's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotUtf8 {
    /// A byte that fits nowhere.
    #[error("'utf-8' codec can't decode byte 0x{byte:02x} in position {position}: {reason}")]
    Byte {
        /// The byte.
        byte: u8,
        /// Where it stands, from 0.
        position: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A character that begins well and goes on wrongly.
    #[error("'utf-8' codec can't decode bytes in position {first}-{last}: invalid continuation byte")]
    Bytes {
        /// Where it begins, from 0.
        first: usize,
        /// Its last good byte.
        last: usize,
    },
}

/// Reads UTF-8, without a byte order mark. As for Python's readers of streams, a character that is cut off at the end is none.
///
/// # Errors
/// If the bytes are no UTF-8.
pub fn utf8(body: &[u8]) -> Result<&str, NotUtf8> {
    let error = match std::str::from_utf8(body) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let position = error.valid_up_to();
    let byte = body.get(position).copied().unwrap_or_default();
    match error.error_len() {
        None => Ok(std::str::from_utf8(&body[..position]).unwrap_or_default()),
        Some(1) if matches!(byte, 0xc2..=0xf4) => {
            Err(NotUtf8::Byte { byte, position, reason: "invalid continuation byte" })
        }
        Some(1) => Err(NotUtf8::Byte { byte, position, reason: "invalid start byte" }),
        Some(length) => Err(NotUtf8::Bytes { first: position, last: position + length - 1 }),
    }
}

/// Reads JSON text as Python's `json.loads` does: UTF-8 with or without a byte order mark, UTF-16 and UTF-32 of either order.
pub fn json_text(body: &[u8]) -> Option<Cow<'_, str>> {
    match body {
        [0xff, 0xfe, 0, 0, rest @ ..] => utf32(rest, u32::from_le_bytes),
        [0, 0, 0xfe, 0xff, rest @ ..] => utf32(rest, u32::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(Cow::Borrowed),
        [0, 0, 0, _, ..] => utf32(body, u32::from_be_bytes),
        [0, _, ..] => utf16(body, u16::from_be_bytes),
        [_, 0, 0, 0, ..] => utf32(body, u32::from_le_bytes),
        [_, 0, ..] => utf16(body, u16::from_le_bytes),
        _ => std::str::from_utf8(body).ok().map(Cow::Borrowed),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Cow<'static, str>> {
    let (pairs, []) = bytes.as_chunks::<2>() else { return None };
    String::from_utf16(&pairs.iter().map(|pair| unit(*pair)).collect::<Vec<_>>()).ok().map(Cow::Owned)
}

fn utf32(bytes: &[u8], unit: fn([u8; 4]) -> u32) -> Option<Cow<'static, str>> {
    let (quads, []) = bytes.as_chunks::<4>() else { return None };
    quads.iter().map(|quad| char::from_u32(unit(*quad))).collect::<Option<String>>().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read_in_every_encoding_that_python_takes() {
        let text = "{\"id\": \"é✓\"}";
        let utf16: Vec<u16> = text.encode_utf16().collect();
        let little: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = utf16.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        let wide: Vec<u8> = text.chars().flat_map(|c| (c as u32).to_be_bytes()).collect();
        for body in [
            text.as_bytes().to_vec(),
            [&[0xef, 0xbb, 0xbf], text.as_bytes()].concat(),
            little.clone(),
            big.clone(),
            [&[0xff, 0xfe][..], &little].concat(),
            [&[0xfe, 0xff][..], &big].concat(),
            wide,
        ] {
            assert_eq!(json_text(&body).as_deref(), Some(text));
        }
        for body in [&b"{\"a\": \"\xff\"}"[..], &[0xff, 0xfe, 0x7b], &[0, 0, 0, 0x7b, 1]] {
            assert_eq!(json_text(body), None);
        }
    }

    #[test]
    fn what_is_no_utf8_is_described_in_pythons_words() {
        let message = |body: &[u8]| utf8(body).unwrap_err().to_string();
        assert_eq!(
            message(b"{\"filename\": \"\xff\xfe\"}"),
            "'utf-8' codec can't decode byte 0xff in position 14: invalid start byte"
        );
        assert_eq!(message(b"a\xc3("), "'utf-8' codec can't decode byte 0xc3 in position 1: invalid continuation byte");
        assert_eq!(
            message(b"\"\xe2\x82\""),
            "'utf-8' codec can't decode bytes in position 1-2: invalid continuation byte"
        );
        assert_eq!((utf8(b"a\xc3"), utf8(b"\xf0\x9f\x98")), (Ok("a"), Ok("")));
    }
}
