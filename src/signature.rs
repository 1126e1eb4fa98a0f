//! Proofs that a webhook comes from somebody who knows the secret. Pure, and in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Whether `signature` is the hex HMAC-SHA256 of `body` under `secret`, the toolkit's `X-Signature`.
///
/// `sha256=` before it is optional; upper-case digits are refused, as the toolkit does.
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
    decode_sha256_hex(signature.strip_prefix("sha256=").unwrap_or(signature))
        .is_some_and(|signature| hmac(secret, &[body]).verify_slice(&signature).is_ok())
}

/// The signature that [`verify_hmac`] accepts, `sha256=` before it.
///
/// # Examples
/// ```
/// use cfimages::signature::{sign_hmac, verify_hmac};
///
/// assert!(verify_hmac("key", b"body", &sign_hmac("key", b"body")));
/// ```
pub fn sign_hmac(secret: &str, body: &[u8]) -> String {
    format!("sha256={}", encode_hex(&hmac(secret, &[body]).finalize().into_bytes()))
}

/// A signature with the time at which it was made: `time=1230811200,sig1=60493ec9...`, the value of `Webhook-Signature`.
///
/// `sig1` is the hex HMAC-SHA256 of the time as it is written, a full stop and the body. Bodies are JSON objects, which begin
/// with no digit, so it is never the signature of another body in the form of [`verify_hmac`], nor the other way round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampedSignature<'a> {
    time: &'a str,
    seconds: i64,
    signature: [u8; 32],
}

impl<'a> TimestampedSignature<'a> {
    /// The most digits of a time; more are beyond the year 9999.
    const MAX_DIGITS: usize = 12;

    /// Reads a signature. Fields may stand in any order, unknown ones are passed over; a field that stands there twice could mean
    /// one thing to us and another to somebody before us, and is refused.
    ///
    /// # Examples
    /// ```
    /// use cfimages::signature::TimestampedSignature;
    ///
    /// let header = "time=1700000000,sig1=60493ec9388b44585a29543bcf0de62e377d4da393246a8b1c901d0e3e672404";
    /// assert_eq!(TimestampedSignature::parse(header).unwrap().unix_seconds(), 1_700_000_000);
    /// assert!(TimestampedSignature::parse("time=1700000000").is_none());
    /// ```
    pub fn parse(header: &'a str) -> Option<Self> {
        let (mut time, mut signature) = (None, None);
        for field in header.split(',') {
            let (name, value) = field.trim_matches([' ', '\t']).split_once('=')?;
            let place = match name {
                "time" => &mut time,
                "sig1" => &mut signature,
                _ => continue,
            };
            if place.replace(value).is_some() {
                return None;
            }
        }
        let time = time.filter(|time| is_number(time))?;
        Some(Self { time, seconds: time.parse().ok()?, signature: decode_sha256_hex(signature?)? })
    }

    /// When it was made, in seconds since 1970 began. To be believed only after [`verify`](Self::verify).
    pub fn unix_seconds(&self) -> i64 {
        self.seconds
    }

    /// Whether it was made of `body` at its time by somebody who knows `secret`. How old it may be is for the caller to say.
    pub fn verify(&self, secret: &str, body: &[u8]) -> bool {
        hmac(secret, &[self.time.as_bytes(), b".", body]).verify_slice(&self.signature).is_ok()
    }
}

fn is_number(text: &str) -> bool {
    (1..=TimestampedSignature::MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The value of `Webhook-Signature` for a body that is sent at a time, in seconds since 1970 began.
///
/// # Examples
/// ```
/// use cfimages::signature::{TimestampedSignature, sign_timestamped};
///
/// let header = sign_timestamped("key", 1_700_000_000, b"body");
/// assert!(TimestampedSignature::parse(&header).unwrap().verify("key", b"body"));
/// ```
pub fn sign_timestamped(secret: &str, unix_seconds: u32, body: &[u8]) -> String {
    let time = unix_seconds.to_string();
    let signature = hmac(secret, &[time.as_bytes(), b".", body]).finalize().into_bytes();
    format!("time={time},sig1={}", encode_hex(&signature))
}

fn hmac(secret: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    mac
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

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn every_byte_has_two_digits() {
        assert_eq!(encode_hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
        assert_eq!(encode_hex(&[]), "");
    }

    /// Made with `openssl dgst -sha256 -hmac key`.
    const TIMESTAMPED: &str = "time=1700000000,sig1=2f658d6aef4f246e91cd741bbcded7479e9605f9d41c9e248122a117e0e1765b";

    fn is_accepted(header: &str) -> bool {
        TimestampedSignature::parse(header).is_some_and(|signature| signature.verify("key", BODY))
    }

    #[test]
    fn a_timestamped_signature_is_of_its_time_and_its_body() {
        assert!(is_accepted(TIMESTAMPED));
        assert!(is_accepted(&TIMESTAMPED.replace(',', " , sig2=x,\t")));
        assert!(!is_accepted(&TIMESTAMPED.replace("1700000000", "1700000001")));
        assert!(!is_accepted(&TIMESTAMPED.replace("1700000000", "01700000000")));
        let signature = TimestampedSignature::parse(TIMESTAMPED).unwrap();
        assert_eq!(signature.unix_seconds(), 1_700_000_000);
        assert!(!signature.verify("other", BODY) && !signature.verify("key", b""));
        assert_eq!(sign_timestamped("key", 1_700_000_000, BODY), TIMESTAMPED);
    }

    #[test]
    fn fields_that_lack_or_repeat_or_are_no_numbers_are_refused() {
        let (time, signature) = TIMESTAMPED.split_once(',').unwrap();
        for header in [
            "",
            time,
            signature,
            "time=,sig1=",
            &format!("{time},{time},{signature}"),
            &format!("{time},{signature},{signature}"),
            &format!("{time},{}", signature.to_uppercase()),
            &format!("time=+1700000000,{signature}"),
            &format!("time=-1,{signature}"),
            &format!("time=1700000000.5,{signature}"),
            &format!("time=1234567890123,{signature}"),
            &format!("time={},{signature}", '\u{661}'),
            &format!("{TIMESTAMPED},"),
            &format!("{TIMESTAMPED};v=1"),
        ] {
            assert_eq!(TimestampedSignature::parse(header), None, "{header}");
        }
    }

    #[test]
    fn neither_form_of_signature_passes_for_the_other() {
        let report = br#"{"id":"a"}"#;
        let plain = sign_hmac("key", report);
        let timestamped = sign_timestamped("key", 1_700_000_000, report);
        let (_, signature) = timestamped.split_once("sig1=").unwrap();
        assert!(!verify_hmac("key", report, signature));
        let as_timestamped = format!("time=1700000000,sig1={}", &plain["sha256=".len()..]);
        assert!(!TimestampedSignature::parse(&as_timestamped).unwrap().verify("key", report));
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_and_nothing_else(secret in "\\PC*", body: Vec<u8>, seconds: u32, flip in 0_usize..64) {
            let plain = sign_hmac(&secret, &body);
            prop_assert!(verify_hmac(&secret, &body, &plain));
            let timestamped = sign_timestamped(&secret, seconds, &body);
            let signature = TimestampedSignature::parse(&timestamped).unwrap();
            prop_assert_eq!(signature.unix_seconds(), i64::from(seconds));
            prop_assert!(signature.verify(&secret, &body));

            let other = with_another_digit(&plain, plain.len() - 64 + flip);
            prop_assert!(!verify_hmac(&secret, &body, &other));
            let other = with_another_digit(&timestamped, timestamped.len() - 64 + flip);
            prop_assert!(!TimestampedSignature::parse(&other).unwrap().verify(&secret, &body));
        }

        #[test]
        fn no_header_makes_the_parser_panic(any in "\\PC*", near in "(time=|sig1=|[0-9a-f]{64}|[0-9]{1,13}|[,= \t\u{e9}])*") {
            let _ = TimestampedSignature::parse(&any);
            let _ = TimestampedSignature::parse(&near);
        }
    }

    fn with_another_digit(text: &str, at: usize) -> String {
        let digit = if &text[at..=at] == "0" { "1" } else { "0" };
        [&text[..at], digit, &text[at + 1..]].concat()
    }
}
