//! Passwords in the forms of Django's hashers: what Django writes by default, and what it recommends.
//!
//! upstream: `django.contrib.auth.hashers`

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::pbkdf2;
use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};
use base64::engine::{DecodePaddingMode, general_purpose::NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::random::random_text;
use crate::signature::encode_hex;

/// Rounds of PBKDF2 in new hashes, as in Django 5.2: it leaves them as they are, and they take the time that its own take.
const ITERATIONS: u32 = 1_000_000;
/// Characters of the salt of new hashes: more than 128 bits, so that Django takes it as good enough.
const SALT_CHARS: usize = 22;
const SALT_ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// What a hash in the database may ask for at most: some seconds of work and 256 MiB, several times what Django asks for.
const MAX_ITERATIONS: u32 = 10_000_000;
const MAX_MEMORY_KIB: u32 = 262_144;
const MAX_ARGON2_KIB: u64 = 2_097_152;
const MAX_ARGON2_LANES: u32 = 64;
const MAX_SCRYPT_BLOCKS: u64 = 8_388_608;
const MAX_BCRYPT_COST: u32 = 16;
/// Longest hashes of Argon2 that are read, in bytes.
const MAX_ARGON2_HASH: usize = 128;

const SCRYPT_HASH_BYTES: usize = 64;
/// Argon2 leaves out the padding of base64, and other writers may not.
const ARGON2_BASE64: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// A hash that can be checked, read from a column `password`.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PasswordHash {
    form: Form,
}

#[derive(Clone, PartialEq, Eq)]
enum Form {
    Pbkdf2 {
        digest: Pbkdf2Digest,
        iterations: NonZeroU32,
        salt: String,
        hash: Vec<u8>,
    },
    Argon2 {
        algorithm: argon2::Algorithm,
        version: argon2::Version,
        params: Argon2Params,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    Scrypt {
        log_n: u8,
        r: u32,
        p: u32,
        salt: String,
        hash: Vec<u8>,
    },
    Bcrypt {
        is_prehashed: bool,
        hash: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pbkdf2Digest {
    Sha1,
    Sha256,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Argon2Params {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Why no password fits what is in the column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum HashError {
    /// The user is not meant to have a password.
    #[error("the password is not usable")]
    Unusable,
    /// Django writes it only where a site says so.
    #[error("the algorithm of the hash is not supported")]
    UnknownAlgorithm,
    /// It is not in the form of its algorithm.
    #[error("the hash is malformed")]
    Malformed,
    /// It would keep the server busy.
    #[error("the hash asks for more work than the server does for a password")]
    TooCostly,
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.form {
            Form::Pbkdf2 { .. } => "PasswordHash(PBKDF2)",
            Form::Argon2 { .. } => "PasswordHash(Argon2)",
            Form::Scrypt { .. } => "PasswordHash(scrypt)",
            Form::Bcrypt { .. } => "PasswordHash(bcrypt)",
        })
    }
}

impl PasswordHash {
    /// Hashes a password with a new salt, by PBKDF2 with SHA-256. Takes a good part of a second.
    pub(super) fn make(password: &str) -> Result<String, getrandom::Error> {
        let salt = random_text(SALT_ALPHABET, SALT_CHARS)?;
        let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
        let hash = Pbkdf2Digest::Sha256.derive(password, &salt, iterations);
        Ok(format!("pbkdf2_sha256${iterations}${salt}${}", STANDARD.encode(hash)))
    }

    /// A hash in the form of new ones, which nobody knows a password for.
    pub(super) fn of_nobody() -> Self {
        let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MIN);
        let (digest, salt) = (Pbkdf2Digest::Sha256, "0".repeat(SALT_CHARS));
        Self { form: Form::Pbkdf2 { digest, iterations, salt, hash: vec![0; digest.bytes()] } }
    }

    /// Reads a column `password`.
    pub(super) fn parse(encoded: &str) -> Result<Self, HashError> {
        if encoded.starts_with('!') || encoded.is_empty() {
            return Err(HashError::Unusable);
        }
        let (algorithm, rest) = encoded.split_once('$').ok_or(HashError::UnknownAlgorithm)?;
        let form = match algorithm {
            "pbkdf2_sha256" => parse_pbkdf2(Pbkdf2Digest::Sha256, rest)?,
            "pbkdf2_sha1" => parse_pbkdf2(Pbkdf2Digest::Sha1, rest)?,
            "argon2" => parse_argon2(rest)?,
            "scrypt" => parse_scrypt(rest)?,
            "bcrypt" => parse_bcrypt(false, rest)?,
            "bcrypt_sha256" => parse_bcrypt(true, rest)?,
            _ => return Err(HashError::UnknownAlgorithm),
        };
        Ok(Self { form })
    }

    /// Whether this is the hash of a password. Meant to be slow: up to some seconds, never on a thread that others wait for.
    pub(super) fn verify(&self, password: &str) -> bool {
        match &self.form {
            Form::Pbkdf2 { digest, iterations, salt, hash } => {
                digest.derive(password, salt, *iterations).ct_eq(hash).into()
            }
            Form::Argon2 { algorithm, version, params, salt, hash } => {
                let mut derived = vec![0; hash.len()];
                let Some(params) = params.checked(hash.len()) else { return false };
                let context = argon2::Argon2::new(*algorithm, *version, params);
                context.hash_password_into(password.as_bytes(), salt, &mut derived).is_ok()
                    && derived.ct_eq(hash).into()
            }
            Form::Scrypt { log_n, r, p, salt, hash } => {
                let mut derived = vec![0; SCRYPT_HASH_BYTES];
                let Ok(params) = scrypt::Params::new(*log_n, *r, *p) else { return false };
                scrypt::scrypt(password.as_bytes(), salt.as_bytes(), &params, &mut derived).is_ok()
                    && derived.ct_eq(hash).into()
            }
            Form::Bcrypt { is_prehashed: false, hash } => bcrypt::verify(password, hash).unwrap_or(false),
            Form::Bcrypt { is_prehashed: true, hash } => {
                bcrypt::verify(encode_hex(&Sha256::digest(password.as_bytes())), hash).unwrap_or(false)
            }
        }
    }

    /// Spends the work that checking `other` takes beyond checking this one, where both are of one algorithm: a hash of an older
    /// Django must not be told from newer ones, or from none, by the time that it takes.
    ///
    /// upstream: `PBKDF2PasswordHasher.harden_runtime`
    pub(super) fn spend_rest_of(&self, other: &Self, password: &str) {
        if let (
            Form::Pbkdf2 { digest, iterations, salt, .. },
            Form::Pbkdf2 { digest: other_digest, iterations: other_iterations, .. },
        ) = (&self.form, &other.form)
            && digest == other_digest
            && let Some(rest) = NonZeroU32::new(other_iterations.get().saturating_sub(iterations.get()))
        {
            std::hint::black_box(digest.derive(password, salt, rest));
        }
    }
}

impl Pbkdf2Digest {
    fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    fn derive(self, password: &str, salt: &str, iterations: NonZeroU32) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => pbkdf2::PBKDF2_HMAC_SHA1,
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
        };
        let mut hash = vec![0; self.bytes()];
        pbkdf2::derive(algorithm, iterations, salt.as_bytes(), password.as_bytes(), &mut hash);
        hash
    }
}

impl Argon2Params {
    fn checked(self, hash_bytes: usize) -> Option<argon2::Params> {
        argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(hash_bytes)).ok()
    }
}

/// `iterations$salt$hash`
fn parse_pbkdf2(digest: Pbkdf2Digest, text: &str) -> Result<Form, HashError> {
    let [iterations, salt, hash] = parts(text)?;
    let iterations: NonZeroU32 = iterations.parse().map_err(|_| HashError::Malformed)?;
    if iterations.get() > MAX_ITERATIONS {
        return Err(HashError::TooCostly);
    }
    let hash = decode(hash, digest.bytes())?;
    Ok(Form::Pbkdf2 { digest, iterations, salt: salt.to_owned(), hash })
}

/// `argon2id$v=19$m=102400,t=2,p=8$salt$hash`
fn parse_argon2(text: &str) -> Result<Form, HashError> {
    let (kind, rest) = text.split_once('$').ok_or(HashError::Malformed)?;
    let algorithm = match kind {
        "argon2id" => argon2::Algorithm::Argon2id,
        "argon2i" => argon2::Algorithm::Argon2i,
        "argon2d" => argon2::Algorithm::Argon2d,
        _ => return Err(HashError::UnknownAlgorithm),
    };
    // The first version did not say which one it is.
    let (version, rest) = match rest.split_once('$') {
        Some(("v=19", rest)) => (argon2::Version::V0x13, rest),
        Some(("v=16", rest)) => (argon2::Version::V0x10, rest),
        Some((version, _)) if version.starts_with("v=") => return Err(HashError::Malformed),
        _ => (argon2::Version::V0x10, rest),
    };
    let [params, salt, hash] = parts(rest)?;
    let params = parse_argon2_params(params)?;
    let decode = |text| ARGON2_BASE64.decode(text).map_err(|_| HashError::Malformed);
    let (salt, hash) = (decode(salt)?, decode(hash)?);
    if hash.len() > MAX_ARGON2_HASH || params.checked(hash.len()).is_none() {
        return Err(HashError::Malformed);
    }
    Ok(Form::Argon2 { algorithm, version, params, salt, hash })
}

fn parse_argon2_params(text: &str) -> Result<Argon2Params, HashError> {
    let mut numbers = text.split(',').zip(["m=", "t=", "p="]).map(|(part, name)| part.strip_prefix(name)?.parse().ok());
    let (Some(Some(memory_kib)), Some(Some(passes)), Some(Some(lanes)), 3) =
        (numbers.next(), numbers.next(), numbers.next(), text.split(',').count())
    else {
        return Err(HashError::Malformed);
    };
    let work = u64::from(memory_kib) * u64::from(passes);
    if memory_kib > MAX_MEMORY_KIB || work > MAX_ARGON2_KIB || lanes > MAX_ARGON2_LANES {
        return Err(HashError::TooCostly);
    }
    Ok(Argon2Params { memory_kib, passes, lanes })
}

/// `n$salt$r$p$hash`
fn parse_scrypt(text: &str) -> Result<Form, HashError> {
    let [n, salt, r, p, hash] = parts(text)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| HashError::Malformed);
    let (n, r, p) = (number(n)?, number(r)?, number(p)?);
    if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
        return Err(HashError::Malformed);
    }
    let blocks = u64::from(n).saturating_mul(r.into());
    if blocks * 128 > u64::from(MAX_MEMORY_KIB) * 1024 || blocks.saturating_mul(p.into()) > MAX_SCRYPT_BLOCKS {
        return Err(HashError::TooCostly);
    }
    let log_n = u8::try_from(n.ilog2()).map_err(|_| HashError::TooCostly)?;
    let hash = decode(hash, SCRYPT_HASH_BYTES)?;
    Ok(Form::Scrypt { log_n, r, p, salt: salt.to_owned(), hash })
}

/// `$2b$12$` with salt and hash behind it.
fn parse_bcrypt(is_prehashed: bool, text: &str) -> Result<Form, HashError> {
    let [empty, variant, cost, data] = parts(text)?;
    if !empty.is_empty() || !matches!(variant, "2a" | "2b" | "2x" | "2y") || data.len() != 53 {
        return Err(HashError::Malformed);
    }
    let cost: u32 = cost.parse().map_err(|_| HashError::Malformed)?;
    if cost > MAX_BCRYPT_COST {
        return Err(HashError::TooCostly);
    }
    Ok(Form::Bcrypt { is_prehashed, hash: text.to_owned() })
}

fn parts<const N: usize>(text: &str) -> Result<[&str; N], HashError> {
    text.split('$').collect::<Vec<_>>().try_into().map_err(|_| HashError::Malformed)
}

fn decode(text: &str, bytes: usize) -> Result<Vec<u8>, HashError> {
    STANDARD.decode(text).ok().filter(|hash| hash.len() == bytes).ok_or(HashError::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "pässwörd ✓";

    /// Made by Django 5.2 with its defaults.
    const DEFAULTS: [&str; 6] = [
        "pbkdf2_sha256$1000000$xGMDkhfzIiCtjFUzJToFdA$U42MnIRRs5hd2hFNYY7Bjl7MegeBx5rqgoDzslCu2uQ=",
        "pbkdf2_sha1$1000000$l08TMC5CkYD4nkUEYKDQCg$CbciX99TNBYUQp1wi9B0EWeYeFI=",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$SmJoamxLWHliUHNSWkVlbmdRdlp3Qg$i29oyrxLntgpKPfk/VN8WfH7M4tllndwZcmqjna25K8",
        "bcrypt_sha256$$2b$12$2Iz6jKX8uDNnURBk8aIcAOm2iNzP3LobV.MREknY0wIExAtVT5gky",
        "bcrypt$$2b$12$SNkBs.IbiVEhTbPuHtAVKeOYAWhJkzBANW3d0ckoXHbnR.7JEkgMO",
        "scrypt$16384$KmgPbAqkBH44JzPPK6ObLe$8$5$eA/9d+eLMO7/lCnMCiTLq54UMp8WF3V9SaAaT4vLNEIns5iDB3XYB40CrzHmkryD+p6sNQZNC4yvC6B4yffqeA==",
    ];

    /// Made by Django's hashers with other parameters, and by the library that Django uses for the older kinds of Argon2.
    const OTHERS: [(&str, &str); 11] = [
        (PASSWORD, "pbkdf2_sha256$7$9UqsiyVvkiyLWLmLEOTIv3$MmUhP7o5cPXCyppep7ewsmRiGec0/cbybycXPmdqRM0="),
        (PASSWORD, "pbkdf2_sha1$3$aWMF1VB5WUxZFQ9FChEo3X$Fp8vgprUL5und6ARE5S+6dOvsAE="),
        (
            PASSWORD,
            "argon2$argon2id$v=19$m=64,t=1,p=2$VGZuUGdzY0NZUldNZHJETDFGbGRxRg$C4FjCSMw9rPqLnwRvhvnsrpzO0hb+wfAwAKW4TudwbE",
        ),
        (PASSWORD, "argon2$argon2i$v=19$m=512,t=2,p=2$c2FsdHNhbHRzYWx0IT8$6Gybu1RRmnF2RJy/uFsjlQ"),
        (PASSWORD, "argon2$argon2d$v=19$m=512,t=2,p=2$c2FsdHNhbHRzYWx0IT8$8aKdMgG8s0yzzmFHdmr+PA"),
        (PASSWORD, "argon2$argon2i$v=16$m=512,t=2,p=2$c2FsdHNhbHRzYWx0$2K6Yw/jFj8rMGHrIHLcAkA"),
        (PASSWORD, "argon2$argon2i$m=512,t=2,p=2$c2FsdHNhbHRzYWx0$2K6Yw/jFj8rMGHrIHLcAkA"),
        (PASSWORD, "bcrypt_sha256$$2b$04$Fuk7FTlGQjgNZwO86CJUIu79RCZDrY5v4ysB/EytZgPJmcpIfW05y"),
        (PASSWORD, "bcrypt$$2b$04$OMjxD.8dc4r3rkv4pT2KuugWtl2eD3nmyb1P.paFFwyyWcgPYw.Yy"),
        ("", "pbkdf2_sha256$7$salt with ü+/=$+zkvOLy6CboCASv1/0MArOH9noW96PyCgG21El8AOrE="),
        (
            "x",
            "scrypt$16$sältchen$8$2$PrtvtJEo1TPDWiq5DGZSzusxfV9sBqBs/CRxKW5XnD6D8/jz5L8AO9zTck2BgAPi9O2eVgm/SKZ+F9ps+uvT9g==",
        ),
    ];

    #[test]
    fn what_django_hashes_by_default_is_understood() {
        for encoded in DEFAULTS {
            assert!(PasswordHash::parse(encoded).unwrap().verify(PASSWORD), "{encoded}");
        }
    }

    #[test]
    fn every_algorithm_takes_the_right_password_only() {
        for (password, encoded) in OTHERS {
            let hash = PasswordHash::parse(encoded).unwrap();
            assert!(hash.verify(password), "{encoded}");
            for wrong in ["passwörd ✓", "pässwörd ✓ ", "X"] {
                assert!(!hash.verify(wrong), "{encoded}");
            }
            assert!(!format!("{hash:?}").contains('$'));
        }
    }

    #[test]
    fn new_hashes_are_in_djangos_form() {
        let encoded = PasswordHash::make("correct horse").unwrap();
        let [algorithm, iterations, salt, hash] = parts(&encoded).unwrap();
        assert_eq!((algorithm, iterations, salt.len(), hash.len()), ("pbkdf2_sha256", "1000000", 22, 44));
        let hash = PasswordHash::parse(&encoded).unwrap();
        assert!(hash.verify("correct horse") && !hash.verify("Correct horse"));
        assert!(encoded.len() <= 128);
        assert_ne!(encoded, PasswordHash::make("correct horse").unwrap());
    }

    #[test]
    fn what_cannot_be_checked_says_why() {
        let malformed = HashError::Malformed;
        for (encoded, error) in [
            ("", HashError::Unusable),
            ("!", HashError::Unusable),
            ("!pbkdf2_sha256$7$a$b", HashError::Unusable),
            ("secret", HashError::UnknownAlgorithm),
            ("md5$salt$0123456789abcdef0123456789abcdef", HashError::UnknownAlgorithm),
            ("argon2$argon2x$v=19$m=64,t=1,p=2$c2FsdHNhbHQ$AAAA", HashError::UnknownAlgorithm),
            ("pbkdf2_sha256$0$a$AAAA", malformed.clone()),
            ("pbkdf2_sha256$-1$a$AAAA", malformed.clone()),
            ("pbkdf2_sha256$7$a", malformed.clone()),
            ("pbkdf2_sha256$7$a$AAAA", malformed.clone()),
            ("argon2$argon2id$v=20$m=64,t=1,p=2$c2FsdHNhbHQ$AAAAAAAAAAA", malformed.clone()),
            ("argon2$argon2id$v=19$m=64,t=1$c2FsdHNhbHQ$AAAAAAAAAAA", malformed.clone()),
            ("argon2$argon2id$v=19$m=64,t=1,p=2,x=1$c2FsdHNhbHQ$AAAAAAAAAAA", malformed.clone()),
            ("argon2$argon2id$v=19$m=64,t=1,p=0$c2FsdHNhbHQ$AAAAAAAAAAA", malformed.clone()),
            ("argon2$argon2id$v=19$m=64,t=1,p=2$c2FsdHNhbHQ$", malformed.clone()),
            ("scrypt$15$a$8$1$AAAA", malformed.clone()),
            ("scrypt$16$a$0$1$AAAA", malformed.clone()),
            ("bcrypt$$2b$04$short", malformed.clone()),
            ("bcrypt$$9z$04$OMjxD.8dc4r3rkv4pT2KuugWtl2eD3nmyb1P.paFFwyyWcgPYw.Yy", malformed),
        ] {
            assert_eq!(PasswordHash::parse(encoded), Err(error), "{encoded}");
        }
    }

    #[test]
    fn hashes_that_would_keep_the_server_busy_are_refused() {
        for encoded in [
            "pbkdf2_sha256$10000001$a$AAAA",
            "pbkdf2_sha1$4294967295$a$AAAA",
            "argon2$argon2id$v=19$m=262145,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAA",
            "argon2$argon2id$v=19$m=262144,t=9,p=1$c2FsdHNhbHQ$AAAAAAAAAAA",
            "argon2$argon2id$v=19$m=64,t=4294967295,p=1$c2FsdHNhbHQ$AAAAAAAAAAA",
            "argon2$argon2id$v=19$m=102400,t=1,p=65$c2FsdHNhbHQ$AAAAAAAAAAA",
            "scrypt$2147483648$a$8$1$AAAA",
            "scrypt$16384$a$8$4294967295$AAAA",
            "scrypt$2$a$4294967295$1$AAAA",
            "bcrypt$$2b$17$OMjxD.8dc4r3rkv4pT2KuugWtl2eD3nmyb1P.paFFwyyWcgPYw.Yy",
        ] {
            assert_eq!(PasswordHash::parse(encoded), Err(HashError::TooCostly), "{encoded}");
        }
    }

    proptest! {
        #[test]
        fn no_column_makes_the_reader_panic(
            rubbish in "\\PC*",
            likely in "(pbkdf2_sha256|pbkdf2_sha1|argon2|scrypt|bcrypt|bcrypt_sha256)\\$[a-z0-9=,$+/]{0,60}",
        ) {
            let _ = PasswordHash::parse(&rubbish);
            let _ = PasswordHash::parse(&likely);
        }

        #[test]
        fn no_cheap_parameters_make_the_check_panic(
            m in 0..128_u32, t in 0..3_u32, p in 0..5_u32, n in 0..6_u32, cost in 0..5_u32, bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let salt = ARGON2_BASE64.encode(&bytes);
            let data = "OMjxD.8dc4r3rkv4pT2KuugWtl2eD3nmyb1P.paFFwyyWcgPYw.Yy";
            for encoded in [
                format!("argon2$argon2id$v=19$m={m},t={t},p={p}${salt}${salt}"),
                format!("scrypt${}$salt${t}${p}${}", 1_u32 << n, STANDARD.encode([0; 64])),
                format!("bcrypt$$2b${cost:02}${data}"),
                format!("pbkdf2_sha1${t}$salt${}", STANDARD.encode([0; 20])),
            ] {
                if let Ok(hash) = PasswordHash::parse(&encoded) {
                    prop_assert!(!hash.verify("x"));
                }
            }
        }
    }
}
