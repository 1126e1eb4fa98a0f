//! Signatures of the delivery URLs of private images.
//!
//! Source: Cloudflare's documentation, "Serve private images"; the algorithm was confirmed against the live service.

use std::borrow::Cow;
use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

use super::DeliveryUrls;
use super::url_parts::{UrlParts, name_of};
use super::urls::is_flexible;
use crate::signature::decode_sha256_hex;

/// Expiries are rounded to this many seconds.
const EXPIRY_STEP: i64 = 300;
/// What browsers encode in a path on the way; a backslash they would take for a slash. Escapes stay as they are.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'}');
/// What browsers encode in a query on the way.
const QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\'');

/// Why a URL has no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The URL is of another host, or its path does not name an image.
    #[error(
        "is no delivery URL: it must be on imagedelivery.net or on the configured delivery domain, and name an image"
    )]
    NotDelivered,
    /// The URL ends with the id.
    #[error("has no variant: it must end with the name of one, such as public")]
    NoVariant,
    /// The variant is a list of options.
    #[error(
        "has options for a variant, and private pictures are delivered in named variants only: make a variant at Cloudflare"
    )]
    FlexibleVariant,
    /// A part of the path is `.` or `..`.
    #[error("has . or .. as a part of its path, which browsers resolve before they send it")]
    DotSegment,
    /// The URL does not hold the account hash, which is signed all the same.
    #[error("does not hold the account hash, which its signature covers: configure the account hash")]
    NoAccountHash,
}

/// Why a signed URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The URL has no `sig`.
    #[error("the URL is not signed")]
    Missing,
    /// No key gives the signature.
    #[error("the URL signature does not match")]
    Mismatch,
    /// The time in `exp` has passed, or is no time.
    #[error("the signed URL has expired")]
    Expired,
}

/// Why a URL does not pass as a signed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No signature can make it good.
    #[error("the URL {0}")]
    Url(#[from] SignError),
    /// The signature is not good.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl DeliveryUrls {
    /// Signs a delivery URL, which is good until `expires_at` (Unix seconds).
    ///
    /// The URL may be of any shape that is configured; what is signed is always the short path,
    /// `/<account hash>/<image id>/<variant>`, and the query. An `exp` or `sig` that is there already is replaced, other
    /// parameters stay in their order, and the fragment is not covered. What browsers encode on the way is encoded here, so
    /// that the signature fits what arrives. The key is the text of the signing key as Cloudflare shows it, not decoded.
    ///
    /// # Errors
    /// If no signature would make this URL deliver a picture; see [`SignError`].
    ///
    /// # Examples
    /// ```
    /// use cfimages::delivery::{DeliveryShape, DeliveryUrls};
    ///
    /// let shape = DeliveryShape { delivery_url: Some("images.example.com".to_owned()), ..DeliveryShape::default() };
    /// let urls = DeliveryUrls::new(Some("hash".to_owned()), &shape);
    /// let url = urls.sign("https://images.example.com/cdn-cgi/imagedelivery/hash/id/public", "key", 1_631_289_300)?;
    /// assert!(url.starts_with("https://images.example.com/cdn-cgi/imagedelivery/hash/id/public?exp=1631289300&sig="));
    /// assert_eq!(urls.verify(&url, ["key"], 1_631_289_000), Ok(Some(1_631_289_300)));
    /// # Ok::<(), cfimages::delivery::SignError>(())
    /// ```
    pub fn sign(&self, url: &str, key: &str, expires_at: i64) -> Result<String, SignError> {
        self.sign_until(url, key, Some(expires_at))
    }

    /// The same for a URL that is good as long as its key is.
    ///
    /// UNCONFIRMED: Cloudflare documents such URLs for Workers alone. They cannot be called back one by one, so they should be
    /// made at the explicit wish of a person only.
    ///
    /// # Errors
    /// As [`sign`](Self::sign).
    ///
    /// # Examples
    /// ```
    /// let urls = cfimages::delivery::DeliveryUrls::default();
    /// let url = urls.sign_without_expiry("https://imagedelivery.net/hash/id/public", "key")?;
    /// assert_eq!(urls.verify(&url, ["key"], 0), Ok(None));
    /// # Ok::<(), cfimages::delivery::SignError>(())
    /// ```
    pub fn sign_without_expiry(&self, url: &str, key: &str) -> Result<String, SignError> {
        self.sign_until(url, key, None)
    }

    /// Checks a signed delivery URL against every key of the account, in constant time for each. Gives the end of its life, or
    /// `None` where it has none. Both are in Unix seconds, as `now` is; the second of the end still counts.
    ///
    /// # Errors
    /// If it is no delivery URL of a named variant, or its signature is missing, fits no key, or has ended.
    ///
    /// # Examples
    /// ```
    /// use cfimages::delivery::{DeliveryUrls, SignatureError};
    ///
    /// let urls = DeliveryUrls::default();
    /// let url = urls.sign("https://imagedelivery.net/hash/id/public", "key", 100)?;
    /// assert_eq!(urls.verify(&url, ["newer key", "key"], 100), Ok(Some(100)));
    /// assert_eq!(urls.verify(&url, ["key"], 101), Err(SignatureError::Expired.into()));
    /// # Ok::<(), cfimages::delivery::SignError>(())
    /// ```
    pub fn verify<'k>(
        &self,
        url: &str,
        keys: impl IntoIterator<Item = &'k str>,
        now: i64,
    ) -> Result<Option<i64>, VerifyError> {
        let parts = UrlParts::of_host_first(url.trim());
        let path = self.signed_path(&parts)?;
        Ok(verify(keys, &path, &encode(parts.query(), QUERY), now)?)
    }

    fn sign_until(&self, url: &str, key: &str, expires_at: Option<i64>) -> Result<String, SignError> {
        let url = url.trim();
        let parts = UrlParts::of_host_first(url);
        let short_path = self.signed_path(&parts)?;
        let query = encode(parts.query(), QUERY);
        let others = pairs(&query).filter(|pair| !matches!(&*name_of(pair), "exp" | "sig"));
        let query = with_signature(key, &short_path, others, expires_at);
        let origin = &url[..parts.path_start(url)];
        let path = encode(parts.path.trim_end_matches('/'), PATH);
        Ok(format!("{origin}{path}?{query}{}", parts.fragment()))
    }

    /// The path that a signature covers, as it arrives from browsers.
    fn signed_path(&self, parts: &UrlParts<'_>) -> Result<String, SignError> {
        let delivered = self.split_parts(parts).ok_or(SignError::NotDelivered)?;
        let variant = delivered.variant.ok_or(SignError::NoVariant)?;
        if is_flexible(&percent_decode_str(variant).decode_utf8_lossy()) {
            return Err(SignError::FlexibleVariant);
        }
        if parts.path.split('/').any(|part| matches!(&*percent_decode_str(part).decode_utf8_lossy(), "." | "..")) {
            return Err(SignError::DotSegment);
        }
        let path = self.short_path(&delivered).ok_or(SignError::NoAccountHash)?;
        Ok(encode(&path, PATH))
    }
}

/// The path and query of a signed URL that ends at `expires_at` (Unix seconds).
///
/// `path` is the short form, `/<account hash>/<image id>/<variant>`, also where the URL is on a domain of its own. The key is
/// the text of the signing key as Cloudflare shows it.
///
/// # Examples
/// ```
/// let signed = cfimages::delivery::sign("key", "/hash/id/public", 1_631_289_275);
/// assert!(signed.starts_with("/hash/id/public?exp=1631289275&sig="));
/// ```
pub fn sign(key: &str, path: &str, expires_at: i64) -> String {
    format!("{path}?{}", with_signature(key, path, std::iter::empty(), Some(expires_at)))
}

/// Checks the query of a signed URL against every key of the account, in constant time for each. Gives the end of its life,
/// where it has one.
///
/// `now` is in Unix seconds. Parameters besides `exp` and `sig` are part of what is signed, in their order.
///
/// # Errors
/// If the signature is missing, fits no key, or has ended.
///
/// # Examples
/// ```
/// use cfimages::delivery::{SignatureError, sign, verify};
///
/// let signed = sign("key", "/hash/id/public", 100);
/// let (path, query) = signed.split_once('?').unwrap();
/// assert_eq!(verify(["key"], path, query, 99), Ok(Some(100)));
/// assert_eq!(verify(["key"], "/hash/other/public", query, 99), Err(SignatureError::Mismatch));
/// ```
pub fn verify<'k>(
    keys: impl IntoIterator<Item = &'k str>,
    path: &str,
    query: &str,
    now: i64,
) -> Result<Option<i64>, SignatureError> {
    let mut signature = None;
    let mut expiry = None;
    let mut rest = Vec::new();
    for pair in pairs(query) {
        let value = pair.split_once('=').map_or("", |(_, value)| value);
        match &*name_of(pair) {
            "sig" => signature = Some(value),
            "exp" => {
                expiry = Some(value);
                rest.push(pair);
            }
            _ => rest.push(pair),
        }
    }
    let signature = decode_sha256_hex(signature.ok_or(SignatureError::Missing)?).ok_or(SignatureError::Mismatch)?;
    let signed = signed_text(path, &rest.join("&"));
    let fits = keys.into_iter().fold(false, |fits, key| fits | mac(key, &signed).verify_slice(&signature).is_ok());
    if !fits {
        return Err(SignatureError::Mismatch);
    }
    match expiry.map(str::parse::<i64>) {
        None => Ok(None),
        Some(Ok(end)) if end >= now => Ok(Some(end)),
        Some(_) => Err(SignatureError::Expired),
    }
}

/// The next full five minutes (Unix seconds), so that a picture keeps its signed URL for a while and caches can do their work.
///
/// # Examples
/// ```
/// use cfimages::delivery::round_up_expiry;
///
/// assert_eq!(round_up_expiry(1_631_289_275), 1_631_289_300);
/// assert_eq!(round_up_expiry(1_631_289_300), 1_631_289_300);
/// ```
pub fn round_up_expiry(expires_at: i64) -> i64 {
    match expires_at.rem_euclid(EXPIRY_STEP) {
        0 => expires_at,
        beyond => expires_at.saturating_add(EXPIRY_STEP - beyond),
    }
}

/// The query of a signed URL: the parameters, then the expiry, then the signature of it all.
fn with_signature<'a>(
    key: &str,
    path: &str,
    parameters: impl Iterator<Item = &'a str>,
    expires_at: Option<i64>,
) -> String {
    let parameters = parameters.map(Cow::Borrowed).chain(expires_at.map(|end| Cow::Owned(format!("exp={end}"))));
    let mut query = parameters.collect::<Vec<_>>().join("&");
    let signature = signature(key, &signed_text(path, &query));
    query.push_str(if query.is_empty() { "sig=" } else { "&sig=" });
    query.push_str(&signature);
    query
}

/// The signature of a text, as hexadecimal digits.
fn signature(key: &str, text: &str) -> String {
    let mut hex = String::with_capacity(64);
    for byte in mac(key, text).finalize().into_bytes() {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

fn signed_text(path: &str, query: &str) -> String {
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

fn pairs(query: &str) -> impl Iterator<Item = &str> {
    query.split('&').filter(|pair| !pair.is_empty())
}

fn encode(text: &str, unsafe_bytes: &'static AsciiSet) -> String {
    utf8_percent_encode(text, unsafe_bytes).to_string()
}

fn mac(key: &str, text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::DeliveryShape;

    const KEY: &str = "Oix0bbNaT8Rge9PuyxUBrjI6zrgnsyJ5=";
    const VECTORS: [(&str, i64, &str); 2] = [
        (
            "/cheeW4oKsx5ljh8e8BoL2A/bc27a117-9509-446b-8c69-c81bfeac0a01/mobile",
            1_631_289_275,
            "72411885ee02134d38662f3e70ac8ff694f408e9d14b05125f6b022c3f403efa",
        ),
        (
            "/Vi7wi5KSItxGFsWRG2Us6Q/2cdc28f0-017a-49c4-9ed7-870560c83901/public",
            4_102_444_800,
            "011fd2e721e2fc7e6eaa7473af68dd6f543ce90876fa27611fb9f9e614e0efed",
        ),
    ];
    const WITHOUT_EXPIRY: &str = "f650d16a54309cc5560ccf74ba805cd33c92ba5edaa7f09abeebfaf7e3f5895e";

    fn urls(delivery_url: Option<&str>, path_prefix: &str, include_account_hash: bool) -> DeliveryUrls {
        let shape = DeliveryShape {
            delivery_url: delivery_url.map(str::to_owned),
            path_prefix: path_prefix.to_owned(),
            include_account_hash,
        };
        DeliveryUrls::new(Some("hash-0001".to_owned()), &shape)
    }

    fn worker() -> DeliveryUrls {
        urls(Some("img.example.org"), "", false)
    }

    /// The shared host, a zone of Cloudflare, a Worker, and a Worker below a prefix.
    fn shapes() -> [DeliveryUrls; 4] {
        [
            DeliveryUrls::new(Some("hash-0001".to_owned()), &DeliveryShape::default()),
            urls(Some("images.example.com"), "cdn-cgi/imagedelivery", true),
            worker(),
            urls(Some("http://127.0.0.1:8001"), "/pics/", false),
        ]
    }

    #[test]
    fn signatures_equal_the_published_vectors() {
        for (path, exp, sig) in VECTORS {
            assert_eq!(sign(KEY, path, exp), format!("{path}?exp={exp}&sig={sig}"));
        }
    }

    #[test]
    fn vectors_hold_on_the_shared_and_on_a_custom_domain() {
        let custom = urls(Some("example.com"), "cdn-cgi/imagedelivery", true);
        for (path, exp, sig) in VECTORS {
            for origin in ["https://imagedelivery.net", "https://example.com/cdn-cgi/imagedelivery"] {
                let url = format!("{origin}{path}");
                let signed = custom.sign(&url, KEY, exp).unwrap();
                assert_eq!(signed, format!("{url}?exp={exp}&sig={sig}"));
                assert_eq!(custom.verify(&signed, [KEY], exp), Ok(Some(exp)));
            }
        }
    }

    #[test]
    fn a_signature_without_expiry_covers_the_bare_path() {
        let (path, ..) = VECTORS[0];
        assert_eq!(verify([KEY], path, &format!("sig={WITHOUT_EXPIRY}"), 0), Ok(None));
        let url = format!("https://imagedelivery.net{path}");
        let urls = DeliveryUrls::default();
        let signed = urls.sign_without_expiry(&url, KEY).unwrap();
        assert_eq!(signed, format!("{url}?sig={WITHOUT_EXPIRY}"));
        assert_eq!(urls.verify(&signed, [KEY], i64::MAX), Ok(None));
    }

    #[test]
    fn a_worker_gets_the_signature_of_the_path_with_the_account_hash() {
        let signed = worker().sign("https://img.example.org/a/b/public", KEY, 100).unwrap();
        let short = sign(KEY, "/hash-0001/a/b/public", 100);
        assert_eq!(signed, format!("https://img.example.org/a/b/public?{}", short.split_once('?').unwrap().1));
        let shape = DeliveryShape {
            delivery_url: Some("img.example.org".to_owned()),
            path_prefix: String::new(),
            include_account_hash: false,
        };
        let unknown = DeliveryUrls::new(None, &shape);
        assert_eq!(unknown.sign("https://img.example.org/a/public", KEY, 100), Err(SignError::NoAccountHash));
        assert_eq!(unknown.verify(&signed, [KEY], 100), Err(SignError::NoAccountHash.into()));
    }

    #[test]
    fn signing_anew_replaces_the_signature_and_keeps_the_rest() {
        let urls = DeliveryUrls::default();
        let plain = "https://imagedelivery.net/h/i/public";
        let signed = urls.sign(&format!("{plain}?b=2&exp=1&sig=00&a=1&sig&%65xp=9&&b=%20#top"), KEY, 100).unwrap();
        let expected = signature(KEY, "/h/i/public?b=2&a=1&b=%20&exp=100");
        assert_eq!(signed, format!("{plain}?b=2&a=1&b=%20&exp=100&sig={expected}#top"));
        assert_eq!(urls.sign(&signed, KEY, 100).as_deref(), Ok(&*signed));
        assert_eq!(urls.verify(&signed, [KEY], 100), Ok(Some(100)));
        let moved = signed.replace("b=2&a=1", "a=1&b=2");
        assert_eq!(urls.verify(&moved, [KEY], 100), Err(SignatureError::Mismatch.into()));
        assert_eq!(urls.verify(&signed.replace("#top", "#end"), [KEY], 100), Ok(Some(100)));
    }

    #[test]
    fn what_browsers_encode_is_encoded_in_the_url_and_in_what_is_signed() {
        let urls = DeliveryUrls::default();
        let url = r#" https://imagedelivery.net/h/é a%20%2f%C3%A9%"\|{}[]/public/?n=é '%27 "#;
        let signed = urls.sign(url, KEY, 100).unwrap();
        let path = "/h/%C3%A9%20a%20%2f%C3%A9%%22%5C|%7B%7D[]/public";
        let sig = signature(KEY, &format!("{path}?n=%C3%A9%20%27%27&exp=100"));
        assert_eq!(signed, format!("https://imagedelivery.net{path}?n=%C3%A9%20%27%27&exp=100&sig={sig}"));
        assert_eq!(urls.verify(&signed, [KEY], 100), Ok(Some(100)));
    }

    #[test]
    fn urls_that_no_signature_helps_are_refused_with_the_reason() {
        let [shared, native, worker, _] = shapes();
        for (urls, url, want) in [
            (&shared, "https://example.com/h/i/public", SignError::NotDelivered),
            (&shared, "https://imagedelivery.net.example.com/h/i/public", SignError::NotDelivered),
            (&shared, "https://imagedelivery.net/h", SignError::NotDelivered),
            (&shared, "/h/i/public", SignError::NotDelivered),
            (&shared, "", SignError::NotDelivered),
            (&native, "https://images.example.com/h/i/public", SignError::NotDelivered),
            (&shared, "https://imagedelivery.net/h/i", SignError::NoVariant),
            (&worker, "https://img.example.org/i/", SignError::NoVariant),
            (&shared, "https://imagedelivery.net/h/i/w=300", SignError::FlexibleVariant),
            (&shared, "https://imagedelivery.net/h/i/w%3D300,fit%3dcover", SignError::FlexibleVariant),
            (&worker, "https://img.example.org/i/fit=cover?exp=1", SignError::FlexibleVariant),
            (&shared, "https://imagedelivery.net/h/a/../public", SignError::DotSegment),
            (&native, "https://images.example.com/cdn-cgi/imagedelivery/h/a/.%2e/public", SignError::DotSegment),
            (&worker, "https://img.example.org/a/%2E/public", SignError::DotSegment),
        ] {
            assert_eq!(urls.sign(url, KEY, 100), Err(want), "{url}");
            assert_eq!(urls.sign_without_expiry(url, KEY), Err(want), "{url}");
            assert_eq!(urls.verify(url, [KEY], 100), Err(want.into()), "{url}");
        }
    }

    #[test]
    fn any_key_of_the_account_verifies() {
        let signed = sign(KEY, "/h/i/public", 100);
        let query = signed.split_once('?').unwrap().1;
        assert_eq!(verify(["other", KEY], "/h/i/public", query, 100), Ok(Some(100)));
        assert_eq!(verify(["other"], "/h/i/public", query, 100), Err(SignatureError::Mismatch));
        assert_eq!(verify([], "/h/i/public", query, 100), Err(SignatureError::Mismatch));
    }

    #[test]
    fn expired_missing_and_changed_signatures_are_told_apart() {
        let signed = sign(KEY, "/h/i/public", 100);
        let query = signed.split_once('?').unwrap().1;
        assert_eq!(verify([KEY], "/h/i/public", query, 101), Err(SignatureError::Expired));
        assert_eq!(verify([KEY], "/h/i/thumbnail", query, 50), Err(SignatureError::Mismatch));
        assert_eq!(
            verify([KEY], "/h/i/public", &query.replace("exp=100", "exp=999"), 50),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(verify([KEY], "/h/i/public", &format!("{query}&w=1"), 50), Err(SignatureError::Mismatch));
        assert_eq!(verify([KEY], "/h/i/public", "exp=100", 50), Err(SignatureError::Missing));
        assert_eq!(verify([KEY], "/h/i/public", "exp=100&sig=zz", 50), Err(SignatureError::Mismatch));
        let no_time = format!("exp=soon&sig={}", signature(KEY, "/h/i/public?exp=soon"));
        assert_eq!(verify([KEY], "/h/i/public", &no_time, 0), Err(SignatureError::Expired));
    }

    #[test]
    fn expiries_are_rounded_up_to_five_minutes() {
        for (exp, want) in [(0, 0), (1, 300), (299, 300), (300, 300), (301, 600), (-1, 0), (i64::MAX, i64::MAX)] {
            assert_eq!(round_up_expiry(exp), want, "{exp}");
        }
    }

    /// Ids of any characters in up to three parts, none of which browsers resolve.
    fn id() -> impl Strategy<Value = String> {
        let parts = proptest::collection::vec("[a-z0-9%éß ✓💥.?#'\"\\\\-]{1,6}|\\PC{1,6}", 1..4);
        parts.prop_map(|parts| parts.join("/")).prop_filter("browsers resolve it", |id| {
            id.split('/')
                .all(|part| !part.is_empty() && !matches!(&*percent_decode_str(part).decode_utf8_lossy(), "." | ".."))
        })
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(key in "\\PC+", path in "/[^?]*", exp in 0_i64..i64::MAX) {
            let signed = sign(&key, &path, exp);
            let query = &signed[path.len() + 1..];
            prop_assert_eq!(verify([key.as_str()], &path, query, exp), Ok(Some(exp)));
        }

        #[test]
        fn what_is_signed_verifies_in_every_shape(
            id in id(),
            shape in 0_usize..4,
            query in "(\\?[a-z]{1,3}=[a-z%é' ]{0,3}(&[a-z]{1,3}=[0-9]{0,2}){0,2})?",
            fragment in "(#[a-zé?]{0,4})?",
            exp in 0_i64..i64::MAX,
        ) {
            let urls = &shapes()[shape];
            let built = urls.build(&id, "public").unwrap();
            let signed = urls.sign(&format!("{built}{query}{fragment}"), KEY, exp).unwrap();
            prop_assert!(signed.starts_with(&built) && signed.ends_with(&fragment), "{}", signed);
            prop_assert_eq!(urls.verify(&signed, ["other", KEY], exp), Ok(Some(exp)));
            prop_assert_eq!(urls.verify(&signed, [KEY], exp + 1), Err(SignatureError::Expired.into()));
            let endless = urls.sign_without_expiry(&signed, KEY).unwrap();
            prop_assert_eq!(urls.verify(&endless, [KEY], exp), Ok(None));
        }

        /// The id as a person writes it into a URL, not encoded.
        #[test]
        fn the_same_url_comes_out_of_a_raw_and_of_an_encoded_id(id in "[a-zé ✓\"<>`{}^\\\\]{1,9}") {
            prop_assume!(id.trim() == id);
            let urls = DeliveryUrls::default();
            let sign = |id: &str| urls.sign(&format!("https://imagedelivery.net/h/{id}/public"), KEY, 100).unwrap();
            let signed = sign(&id);
            prop_assert!(signed.is_ascii());
            prop_assert_eq!(sign(&encode(&id, PATH)), signed);
        }

        #[test]
        fn a_change_of_any_character_of_the_signed_part_is_refused(
            id in id(),
            shape in 0_usize..4,
            at in any::<prop::sample::Index>(),
            replacement in "[a-zA-Z0-9/?&=#%. ~_é-]",
        ) {
            let urls = &shapes()[shape];
            let built = urls.build(&id, "public").unwrap();
            let signed = urls.sign(&format!("{built}?a=1&b=2"), KEY, 100).unwrap();
            let start = built.len() - urls.split(&built).unwrap().encoded_id.len() - "/public".len();
            let end = signed.len() - 64;
            let at = start + at.index(end - start);
            prop_assume!(signed[at..=at] != *replacement);
            let changed = format!("{}{replacement}{}", &signed[..at], &signed[at + 1..]);
            prop_assert!(urls.verify(&changed, [KEY], 50).is_err(), "{}", changed);
        }

        #[test]
        fn a_change_of_any_digit_of_the_signature_is_refused(at in 0_usize..64, replacement in "[ -~]") {
            let urls = DeliveryUrls::default();
            let signed = urls.sign("https://imagedelivery.net/h/i/public", KEY, 100).unwrap();
            let at = signed.len() - 64 + at;
            prop_assume!(signed[at..=at] != *replacement);
            let changed = format!("{}{replacement}{}", &signed[..at], &signed[at + 1..]);
            prop_assert!(urls.verify(&changed, [KEY], 50).is_err(), "{}", changed);
        }

        #[test]
        fn no_text_makes_signing_or_the_check_panic(
            url in "(https://)?(imagedelivery.net|img.example.org|\\PC{0,5})?[/?#a%=&.]{0,8}\\PC*",
            shape in 0_usize..4,
            exp in any::<i64>(),
        ) {
            let urls = &shapes()[shape];
            let _ = (urls.sign_without_expiry(&url, KEY), urls.verify(&url, [KEY], exp), round_up_expiry(exp));
            if let Ok(signed) = urls.sign(&url, KEY, exp) {
                prop_assert_eq!(urls.verify(&signed, [KEY], exp), Ok(Some(exp)));
            }
        }

        #[test]
        fn no_query_makes_the_check_panic(query in "\\PC*") {
            let _ = verify([KEY], "/h/i/public", &query, 0);
        }
    }
}
