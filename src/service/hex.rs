//! Hexadecimal digits.

/// Bytes in lower-case digits.
pub(super) fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(encode_hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
        assert_eq!(encode_hex(&[]), "");
    }
}
