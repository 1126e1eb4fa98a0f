//! Proofs that a webhook comes from somebody who knows the secret. Pure, and in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether `signature` is the hex HMAC-SHA256 of `body` under `secret`, the toolkit's `X-Signature`.
///
/// `sha256=` before it is optional; upper-case digits are refused, as the toolkit does.
///
/// # Panics
/// Never: HMAC takes keys of any length.
///
/// # Examples
/// ```
/// use cfimages::signature::verify_hmac;
///
/// let signature = "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
/// assert!(verify_hmac("key", b"The quick brown fox jumps over the lazy dog", signature));
/// assert!(!verify_hmac("key", b"The quick brown fox", signature));
/// ```
pub fn verify_hmac(secret: &str, body: &[u8], signature: &str) -> bool {
    let Some(signature) = decode_sha256_hex(signature.strip_prefix("sha256=").unwrap_or(signature)) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

/// Whether two secrets are the same, without telling by the time it takes how much of them is, or how long they are.
///
/// # Examples
/// ```
/// assert!(cfimages::signature::secrets_match("secret", b"secret"));
/// assert!(!cfimages::signature::secrets_match("secret", b"secre"));
/// ```
pub fn secrets_match(expected: &str, given: &[u8]) -> bool {
    Sha256::digest(expected.as_bytes()).ct_eq(&Sha256::digest(given)).into()
}

/// The 32 bytes that 64 lower-case hexadecimal digits stand for.
pub(crate) fn decode_sha256_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"The quick brown fox jumps over the lazy dog";
    const HEX: &str = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";

    #[test]
    fn the_prefix_is_optional_and_must_be_exact() {
        assert!(verify_hmac("key", BODY, HEX));
        assert!(verify_hmac("key", BODY, &format!("sha256={HEX}")));
        for signature in [
            format!("SHA256={HEX}"),
            format!("sha256=sha256={HEX}"),
            format!("sha1={HEX}"),
            HEX.to_uppercase(),
            HEX[..63].to_owned(),
            String::new(),
            "✓".repeat(64),
        ] {
            assert!(!verify_hmac("key", BODY, &signature), "{signature}");
        }
    }

    #[test]
    fn another_secret_or_body_does_not_verify() {
        assert!(!verify_hmac("other", BODY, HEX));
        assert!(!verify_hmac("key", b"", HEX));
    }
}
