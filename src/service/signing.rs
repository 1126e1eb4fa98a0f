//! Django's signatures with the `SECRET_KEY` of a site. Pure, and in constant time.
//!
//! upstream: `django.core.signing`, `django.utils.crypto.salted_hmac`

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::signature::encode_hex;

/// The most bytes that signed data may have; far beyond what anybody keeps in a session.
const MAX_DATA_BYTES: usize = 4 * 1024 * 1024;

/// The secret keys of a site: the one in use, then those that were.
#[derive(Debug, Clone)]
pub(super) struct SecretKeys(Vec<SecretString>);

impl SecretKeys {
    /// The key in use, and the fallbacks that still count.
    pub(super) fn new(key: SecretString, fallbacks: impl IntoIterator<Item = SecretString>) -> Self {
        Self(std::iter::once(key).chain(fallbacks).collect())
    }

    /// The data in `data:time:signature`, where one of the keys signed it for this purpose; a dot before the data says that it is
    /// compressed. The time does not count.
    ///
    /// upstream: `signing.loads`
    pub(super) fn loads(&self, signed: &str, salt: &str) -> Option<Vec<u8>> {
        let (value, signature) = signed.rsplit_once(':')?;
        let salt = format!("{salt}signer");
        if !self.verify(&salt, value, |mac| URL_SAFE_NO_PAD.encode(mac), signature) {
            return None;
        }
        let (data, _time) = value.rsplit_once(':')?;
        match data.strip_prefix('.') {
            Some(data) => {
                let compressed = URL_SAFE_NO_PAD.decode(data).ok()?;
                decompress_to_vec_zlib_with_limit(&compressed, MAX_DATA_BYTES).ok()
            }
            None => URL_SAFE_NO_PAD.decode(data).ok(),
        }
    }

    /// Whether `hex` is the HMAC of a value under one of the keys, in hexadecimal digits.
    pub(super) fn verify_hex(&self, salt: &str, value: &str, hex: &str) -> bool {
        self.verify(salt, value, encode_hex, hex)
    }

    /// Tries every key, whichever fits.
    fn verify(&self, salt: &str, value: &str, encode: impl Fn(&[u8]) -> String, given: &str) -> bool {
        self.0.iter().fold(false, |found, key| {
            let expected = encode(&salted_hmac(salt, value, key.expose_secret()));
            found | bool::from(expected.as_bytes().ct_eq(given.as_bytes()))
        })
    }
}

/// The HMAC-SHA256 of a value under a key that is made from a salt, the name of the purpose, and a secret.
fn salted_hmac(salt: &str, value: &str, secret: &str) -> Vec<u8> {
    let key = Sha256::new().chain_update(salt).chain_update(secret).finalize();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(value.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SALT: &str = "django.contrib.sessions.SessionStore";
    const AUTH_SALT: &str = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash";

    /// Made by Django 5.2 with the key `a-secret-key-of-the-tests`.
    const PLAIN: &str = "eyJhIjoxfQ:1xVr0G:xrRJgg12No3NAMrhuOoX1lyeyUlaRBdPOfVXmus7L70";
    const COMPRESSED: &str = ".eNqrVkpUslJKHAVEA6VaAINKc8g:1xVr0G:53Xv8LQmpfo7CV2wZZvxkpMteJLOCiFdaFtUynt9glc";
    const AUTH_HASH: &str = "493683c786ad60d16f67d074fe8ed0844c5047235ff83d5689902181cfe62c77";

    fn keys(keys: &[&str]) -> SecretKeys {
        let mut keys = keys.iter().map(|key| SecretString::from(*key));
        SecretKeys::new(keys.next().unwrap(), keys)
    }

    #[test]
    fn what_django_signed_is_read() {
        let keys = keys(&["a-secret-key-of-the-tests"]);
        assert_eq!(keys.loads(PLAIN, SALT).as_deref(), Some(&b"{\"a\":1}"[..]));
        assert_eq!(keys.loads(COMPRESSED, SALT).unwrap(), format!("{{\"a\":\"{}\"}}", "a".repeat(300)).into_bytes());
        assert!(keys.verify_hex(AUTH_SALT, "pbkdf2_sha256$1$a$b", AUTH_HASH));
    }

    #[test]
    fn every_key_counts_and_no_other() {
        let fallback = keys(&["new", "older", "a-secret-key-of-the-tests"]);
        assert!(fallback.loads(PLAIN, SALT).is_some());
        assert!(fallback.verify_hex(AUTH_SALT, "pbkdf2_sha256$1$a$b", AUTH_HASH));
        let other = keys(&["new", "a-secret-key-of-the-test"]);
        assert_eq!(other.loads(PLAIN, SALT), None);
        assert!(!other.verify_hex(AUTH_SALT, "pbkdf2_sha256$1$a$b", AUTH_HASH));
    }

    #[test]
    fn another_purpose_value_or_signature_is_refused() {
        let keys = keys(&["a-secret-key-of-the-tests"]);
        assert_eq!(keys.loads(PLAIN, "django.core.signing"), None);
        for signed in [
            "",
            "eyJhIjoxfQ",
            "eyJhIjoxfQ:1xVr0G",
            "eyJhIjoyfQ:1xVr0G:xrRJgg12No3NAMrhuOoX1lyeyUlaRBdPOfVXmus7L70",
            "eyJhIjoxfQ:1xVr0H:xrRJgg12No3NAMrhuOoX1lyeyUlaRBdPOfVXmus7L70",
            "eyJhIjoxfQ:1xVr0G:xrRJgg12No3NAMrhuOoX1lyeyUlaRBdPOfVXmus7L7",
            "eyJhIjoxfQ:1xVr0G:",
        ] {
            assert_eq!(keys.loads(signed, SALT), None, "{signed}");
        }
        assert!(!keys.verify_hex(AUTH_SALT, "pbkdf2_sha256$1$a$c", AUTH_HASH));
        assert!(!keys.verify_hex(AUTH_SALT, "pbkdf2_sha256$1$a$b", &AUTH_HASH.to_uppercase()));
        assert!(!keys.verify_hex(AUTH_SALT, "pbkdf2_sha256$1$a$b", ""));
    }

    fn sign(value: &str) -> String {
        let mac = salted_hmac(&format!("{SALT}signer"), value, "k");
        format!("{value}:{}", URL_SAFE_NO_PAD.encode(mac))
    }

    #[test]
    fn data_that_would_fill_the_memory_is_refused() {
        let bomb = miniz_oxide::deflate::compress_to_vec_zlib(&vec![b'a'; MAX_DATA_BYTES + 1], 9);
        let signed = sign(&format!(".{}:1xVr0G", URL_SAFE_NO_PAD.encode(bomb)));
        assert_eq!(keys(&["k"]).loads(&signed, SALT), None);
    }

    proptest! {
        #[test]
        fn no_data_makes_the_reader_panic(rubbish in "\\PC*", data in "\\.?[A-Za-z0-9_=-]{0,40}", time in "[:A-Za-z0-9]{0,8}") {
            let keys = keys(&["k"]);
            keys.loads(&rubbish, SALT);
            keys.loads(&sign(&rubbish), SALT);
            keys.loads(&sign(&format!("{data}:{time}")), SALT);
        }
    }
}
