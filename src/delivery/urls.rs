//! Building, recognising, taking apart and rewriting delivery URLs.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::url_parts::{UrlParts, is_web_scheme};

/// The host that Cloudflare delivers from when nothing else is configured.
const SHARED_HOST: &str = "imagedelivery.net";
/// Bytes that most URLs fit into.
const USUAL_LENGTH: usize = 160;
/// What ids keep in a path; everything else that has a meaning in URLs is encoded.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'@').remove(b':');

/// How the delivery URLs of an application look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryShape {
    /// The domain pictures are delivered from, `images.example.com` or `https://images.example.com`; `None` for
    /// `imagedelivery.net`. Only with a domain the other two have an effect.
    pub delivery_url: Option<String>,
    /// The path before the account hash; `cdn-cgi/imagedelivery` for zones of Cloudflare, empty for a Worker at the root.
    pub path_prefix: String,
    /// Whether the account hash is a part of the path.
    pub include_account_hash: bool,
}

impl Default for DeliveryShape {
    fn default() -> Self {
        Self { delivery_url: None, path_prefix: "cdn-cgi/imagedelivery".to_owned(), include_account_hash: true }
    }
}

/// The delivery URLs of an application: builds them, and knows them when it sees them.
///
/// # Examples
/// ```
/// use cfimages::delivery::{DeliveryShape, DeliveryUrls};
///
/// let shape = DeliveryShape { delivery_url: Some("images.example.com".to_owned()), ..DeliveryShape::default() };
/// let urls = DeliveryUrls::new(Some("hash".to_owned()), &shape);
/// let shared = "https://imagedelivery.net/hash/a/b/public";
/// assert_eq!(urls.rewrite(shared), "https://images.example.com/cdn-cgi/imagedelivery/hash/a/b/public");
/// assert_eq!(urls.extract_id(shared).as_deref(), Some("a/b"));
/// assert_eq!(urls.build("a/b", "public").as_deref(), Some(&*urls.rewrite(shared)));
/// ```
#[derive(Debug, Clone, Default)]
pub struct DeliveryUrls {
    account_hash: Option<String>,
    custom: Option<CustomDomain>,
}

/// A delivery URL, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryParts<'a> {
    /// The account hash, where URLs of this shape hold it.
    pub account_hash: Option<&'a str>,
    /// The id as it stands in the URL: percent-encoded, with its slashes.
    pub encoded_id: &'a str,
    /// The name of a variant, or the options of a flexible one; none where the URL ends with the id.
    pub variant: Option<&'a str>,
}

impl DeliveryParts<'_> {
    /// The id of the image at Cloudflare. Bytes that are no UTF-8 become U+FFFD.
    pub fn id(&self) -> Cow<'_, str> {
        percent_decode_str(self.encoded_id).decode_utf8_lossy()
    }

    /// Whether the variant is a flexible one: options, not a name.
    pub fn is_flexible(&self) -> bool {
        self.variant.is_some_and(is_flexible)
    }
}

/// Why a text is not a usable delivery URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryUrlError {
    /// The URL does not start with `https://`.
    #[error("must be an https:// URL")]
    NotHttps,
    /// Neither the host of Cloudflare nor the configured domain with its path.
    #[error("must be on imagedelivery.net or on the configured delivery domain")]
    NotDelivered,
    /// The path does not name an image.
    #[error("must name an image: /<account hash>/<image id>/<variant>")]
    NoImage,
}

#[derive(Debug, Clone)]
struct CustomDomain {
    scheme: String,
    /// Host and port.
    host: String,
    /// Without slashes at its ends.
    prefix: String,
    include_account_hash: bool,
}

impl DeliveryUrls {
    /// Delivery URLs for the account with this hash; without the hash, URLs are only rewritten, not built.
    pub fn new(account_hash: Option<String>, shape: &DeliveryShape) -> Self {
        Self { account_hash, custom: shape.delivery_url.as_deref().and_then(|url| CustomDomain::new(url, shape)) }
    }

    /// The account hash, where it is known.
    pub fn account_hash(&self) -> Option<&str> {
        self.account_hash.as_deref()
    }

    /// The URL of a variant of an image; `None` where it takes the account hash and that is not known, and for ids that no URL
    /// can hold: empty ones, and those with `.` or `..` between slashes.
    ///
    /// `variant` is a name, or options such as `w=300,fit=cover`. Slashes of the id stay, everything else that has a meaning
    /// in URLs is percent-encoded. Slashes at the ends of the id and the variant are left out, as is an empty variant.
    ///
    /// upstream: `CloudflareImageURLFactory.build_url`
    pub fn build(&self, cloudflare_id: &str, variant: &str) -> Option<String> {
        let account_hash = self.account_hash.as_deref();
        let id = cloudflare_id.trim_matches('/');
        // Browsers resolve these parts, also where they are encoded.
        if id.is_empty() || id.split('/').any(|part| matches!(part, "." | "..")) {
            return None;
        }
        let mut url = match &self.custom {
            Some(custom) if !custom.include_account_hash => custom.base(""),
            Some(custom) => custom.base(account_hash?),
            None => ["https://", SHARED_HOST, "/", account_hash?].concat(),
        };
        url.reserve(id.len() + variant.len() + 2);
        url.push('/');
        url.extend(utf8_percent_encode(id, PATH));
        let variant = variant.trim_matches('/');
        if !variant.is_empty() {
            url.extend(["/", variant]);
        }
        Some(url)
    }

    /// Whether a URL is one of the delivery of pictures: on the shared host, or on the configured domain below its prefix.
    ///
    /// The scheme may be missing. Nothing is said about the rest of the path.
    ///
    /// upstream: `CloudflareImageURLFactory.is_delivery_url`
    pub fn is_delivery_url(&self, url: &str) -> bool {
        self.delivers(&UrlParts::of_host_first(url))
    }

    /// Takes a delivery URL apart: the account first, the variant last, and everything between them the id. `None` for
    /// others, and where there is no id.
    ///
    /// An id with slashes and no variant cannot be told from an id with a variant.
    ///
    /// upstream: `CloudflareImageURLFactory.extract_image_id`
    pub fn split<'a>(&self, url: &'a str) -> Option<DeliveryParts<'a>> {
        self.split_parts(&UrlParts::of_host_first(url))
    }

    /// The id of the image that a delivery URL shows.
    ///
    /// Compat: decoded, so that it is the id that the image has at Cloudflare.
    pub fn extract_id(&self, url: &str) -> Option<String> {
        Some(self.split(url)?.id().into_owned())
    }

    /// Checks that a URL can be used as it is: absolute, `https`, of the delivery of pictures, and with an id.
    ///
    /// upstream: `CloudflareImageUtils.validate_image_url`
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn validate<'a>(&self, url: &'a str) -> Result<DeliveryParts<'a>, DeliveryUrlError> {
        let parts = UrlParts::of(url);
        if !parts.scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https")) {
            return Err(DeliveryUrlError::NotHttps);
        }
        if !self.delivers(&parts) {
            return Err(DeliveryUrlError::NotDelivered);
        }
        self.split_parts(&parts).ok_or(DeliveryUrlError::NoImage)
    }

    /// Moves a URL of `imagedelivery.net` to the configured domain, query and fragment included. Others stay as they are.
    ///
    /// upstream: `CloudflareImageURLFactory.rewrite_url`
    pub fn rewrite<'a>(&self, url: &'a str) -> Cow<'a, str> {
        self.rewritten(url).map_or(Cow::Borrowed(url), Cow::Owned)
    }

    /// A delivery URL with its variant replaced by options of a flexible variant, `w=300,fit=cover`, which are not checked;
    /// where it has no variant, they are added.
    ///
    /// upstream: `CloudflareImageURLFactory.with_options`
    pub fn with_options(&self, url: &str, options: &str) -> String {
        let parts = UrlParts::of_host_first(url);
        let path_end = url.len() - parts.suffix.len();
        let end = self.id_end(url, &parts).unwrap_or(url[..path_end].trim_end_matches('/').len());
        format!("{}/{options}{}", &url[..end], parts.suffix)
    }

    /// Whether these are the parts of a delivery URL, with an id or without.
    pub(super) fn delivers(&self, parts: &UrlParts<'_>) -> bool {
        self.place(parts).is_some()
    }

    /// Where the id of a delivery URL ends, the variant not included. `None` where there is no id, and for other URLs.
    pub(super) fn id_end(&self, url: &str, parts: &UrlParts<'_>) -> Option<usize> {
        let variant = self.split_parts(parts)?.variant.map_or(0, |variant| "/".len() + variant.len());
        let slash = usize::from(parts.path.ends_with('/'));
        Some(url.len() - parts.suffix.len() - slash - variant)
    }

    /// The path that a signature covers: `/<account hash>/<image id>/<variant>`, whatever the domain is.
    pub(super) fn short_path(&self, parts: &DeliveryParts<'_>) -> Option<String> {
        let account_hash = parts.account_hash.or(self.account_hash.as_deref())?;
        Some(format!("/{account_hash}/{}/{}", parts.encoded_id, parts.variant?))
    }

    fn place(&self, parts: &UrlParts<'_>) -> Option<Place<'_>> {
        let host = parts.host?;
        if !parts.scheme.is_none_or(is_web_scheme) {
            return None;
        }
        if host.eq_ignore_ascii_case(SHARED_HOST) {
            return Some(Place::Shared);
        }
        let custom = self.custom.as_ref()?;
        (host.eq_ignore_ascii_case(&custom.host) && custom.covers(parts.path)).then_some(Place::Custom(custom))
    }

    pub(super) fn split_parts<'a>(&self, parts: &UrlParts<'a>) -> Option<DeliveryParts<'a>> {
        let path = parts.path.strip_prefix('/').unwrap_or(parts.path);
        let path = path.strip_suffix('/').unwrap_or(path);
        let (path, has_account_hash) = match self.place(parts)? {
            Place::Shared => (path, true),
            Place::Custom(custom) => (custom.below_prefix(path)?, custom.include_account_hash),
        };
        // A part that is missing must not make its neighbours something else.
        if path.is_empty() || path.starts_with('/') || path.ends_with('/') || path.contains("//") {
            return None;
        }
        let (account_hash, picture) = if has_account_hash {
            path.split_once('/').map(|(account_hash, picture)| (Some(account_hash), picture))?
        } else {
            (None, path)
        };
        Some(match picture.rsplit_once('/') {
            Some((encoded_id, variant)) => DeliveryParts { account_hash, encoded_id, variant: Some(variant) },
            None => DeliveryParts { account_hash, encoded_id: picture, variant: None },
        })
    }

    fn rewritten(&self, url: &str) -> Option<String> {
        let custom = self.custom.as_ref()?;
        let parts = UrlParts::of(url);
        if !matches!(self.place(&parts)?, Place::Shared) {
            return None;
        }
        let (account_hash, picture) = parts.path.trim_matches('/').split_once('/')?;
        let mut rewritten = custom.base(account_hash);
        rewritten.extend(["/", picture, parts.suffix]);
        Some(rewritten)
    }
}

/// Where a delivery URL is.
enum Place<'a> {
    Shared,
    Custom(&'a CustomDomain),
}

/// Whether the last part of a delivery URL is a list of options. Names have letters and digits only.
pub(super) fn is_flexible(variant: &str) -> bool {
    variant.contains('=')
}

impl CustomDomain {
    fn new(delivery_url: &str, shape: &DeliveryShape) -> Option<Self> {
        let (scheme, rest) = delivery_url.trim().split_once("://").unwrap_or(("https", delivery_url.trim()));
        let host = rest.trim_matches('/').split('/').next().filter(|host| !host.is_empty())?;
        Some(Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            prefix: shape.path_prefix.trim_matches('/').to_owned(),
            include_account_hash: shape.include_account_hash,
        })
    }

    /// Everything before the id, without a slash at its end.
    fn base(&self, account_hash: &str) -> String {
        let account_hash = if self.include_account_hash { account_hash } else { "" };
        let mut base = String::with_capacity(USUAL_LENGTH);
        base.extend([&self.scheme, "://", &self.host]);
        for part in [&self.prefix, account_hash] {
            if !part.is_empty() {
                base.extend(["/", part]);
            }
        }
        base
    }

    /// Whether a path is one of pictures; everything is where there is no prefix.
    fn covers(&self, path: &str) -> bool {
        let path = path.trim_matches('/');
        if self.prefix.is_empty() { !path.is_empty() } else { self.below_prefix(path).is_some() }
    }

    fn below_prefix<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.prefix.is_empty() {
            return Some(path);
        }
        let rest = path.strip_prefix(&self.prefix)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn urls(delivery_url: Option<&str>, path_prefix: &str, include_account_hash: bool) -> DeliveryUrls {
        let shape = DeliveryShape {
            delivery_url: delivery_url.map(str::to_owned),
            path_prefix: path_prefix.to_owned(),
            include_account_hash,
        };
        DeliveryUrls::new(Some("hash-0001".to_owned()), &shape)
    }

    /// The three shapes of the configuration, and one with a prefix and no hash.
    fn shapes() -> [DeliveryUrls; 4] {
        [
            urls(None, "", true),
            urls(Some("images.example.com"), "cdn-cgi/imagedelivery", true),
            urls(Some("https://img.example.org/"), "", false),
            urls(Some("http://127.0.0.1:8001"), "/pics/", false),
        ]
    }

    #[test]
    fn urls_are_rewritten_to_each_shape() {
        let shared = "https://imagedelivery.net/h/products/42/hero/public?exp=1&sig=00#f";
        let [default, native, worker, prefixed] = shapes();
        let cases = [
            (default, shared),
            (native, "https://images.example.com/cdn-cgi/imagedelivery/h/products/42/hero/public?exp=1&sig=00#f"),
            (worker, "https://img.example.org/products/42/hero/public?exp=1&sig=00#f"),
            (prefixed, "http://127.0.0.1:8001/pics/products/42/hero/public?exp=1&sig=00#f"),
        ];
        for (urls, want) in cases {
            assert_eq!(urls.rewrite(shared), want);
        }
    }

    #[test]
    fn options_take_the_place_of_the_variant() {
        let [default, native, worker, _] = shapes();
        for (urls, url, want) in [
            (
                &default,
                "https://imagedelivery.net/h/a/b/public?exp=1",
                "https://imagedelivery.net/h/a/b/w=300,fit=cover?exp=1",
            ),
            (&default, "https://imagedelivery.net/h/a", "https://imagedelivery.net/h/a/w=300,fit=cover"),
            (&default, "imagedelivery.net/h/a/public/", "imagedelivery.net/h/a/w=300,fit=cover"),
            (
                &native,
                "https://images.example.com/cdn-cgi/imagedelivery/h/a/w=1",
                "https://images.example.com/cdn-cgi/imagedelivery/h/a/w=300,fit=cover",
            ),
            (&worker, "https://img.example.org/a", "https://img.example.org/a/w=300,fit=cover"),
            (&worker, "https://img.example.org/a/b/hero", "https://img.example.org/a/b/w=300,fit=cover"),
            (&default, "https://example.com/x/public", "https://example.com/x/public/w=300,fit=cover"),
        ] {
            assert_eq!(urls.with_options(url, "w=300,fit=cover"), want);
        }
    }

    #[test]
    fn urls_of_other_hosts_stay_as_they_are() {
        let [_, native, ..] = shapes();
        for url in [
            "https://img.example.org/imagedelivery.net/x/public",
            "https://imagedelivery.net/only",
            "https://imagedelivery.net.example.org/h/i/public",
            "",
            "imagedelivery.net/a/b/c",
            "no url",
        ] {
            assert_eq!(native.rewrite(url), url);
        }
    }

    #[test]
    fn ids_are_percent_encoded_but_keep_their_slashes() {
        assert_eq!(
            urls(None, "", true).build("a/b c%?#é", "public").as_deref(),
            Some("https://imagedelivery.net/hash-0001/a/b%20c%25%3F%23%C3%A9/public")
        );
        assert_eq!(urls(Some("x.org"), "", false).build("i", "public").as_deref(), Some("https://x.org/i/public"));
        assert_eq!(DeliveryUrls::new(None, &DeliveryShape::default()).build("i", "public"), None);
        for (id, variant, want) in [
            ("/a/b/", "/public/", Some("https://x.org/a/b/public")),
            ("a", "", Some("https://x.org/a")),
            ("..", "public", None),
            ("a/./b", "public", None),
            ("a/../b", "public", None),
            ("a..b", "public", Some("https://x.org/a..b/public")),
            ("", "public", None),
            ("/", "public", None),
        ] {
            assert_eq!(urls(Some("x.org"), "", false).build(id, variant).as_deref(), want, "{id}");
        }
    }

    #[test]
    fn delivery_urls_are_told_from_others() {
        let [default, native, worker, prefixed] = shapes();
        for (urls, url, want) in [
            (&default, "https://imagedelivery.net/h/i/public", true),
            (&default, "imagedelivery.net/h/i/public", true),
            (&default, "//imagedelivery.net/h/i/public", true),
            (&default, "https://IMAGEDELIVERY.net/h/i/public", true),
            (&default, "https://imagedelivery.net:8443/h/i/public", false),
            (&default, "https://imagedelivery.net.evil.example/h/i/public", false),
            (&default, "https://evil.example/imagedelivery.net/h/i/public", false),
            (&default, "https://imagedelivery.net@evil.example/h/i/public", false),
            (&default, "javascript://imagedelivery.net/h/i/public", false),
            (&worker, "ftp://img.example.org/i/public", false),
            (&default, "https://images.example.com/cdn-cgi/imagedelivery/h/i/public", false),
            (&native, "https://images.example.com/cdn-cgi/imagedelivery/h/i/public", true),
            (&native, "https://images.example.com/static/logo.png", false),
            (&native, "https://images.example.com/cdn-cgi/imagedeliveryx/h/i/public", false),
            (&worker, "https://img.example.org/i/public", true),
            (&worker, "https://img.example.org/", false),
            (&prefixed, "http://127.0.0.1:8001/pics/i/public", true),
            (&prefixed, "http://127.0.0.1:8002/pics/i/public", false),
            (&default, "", false),
            (&default, "/h/i/public", false),
        ] {
            assert_eq!(urls.is_delivery_url(url), want, "{url}");
        }
    }

    #[test]
    fn delivery_urls_come_apart_into_account_id_and_variant() {
        let [default, native, worker, prefixed] = shapes();
        for (urls, url, want) in [
            (&default, "https://imagedelivery.net/h/a/b/public?x", Some((Some("h"), "a/b", Some("public")))),
            (&default, "https://imagedelivery.net/h/a/w=1,h=2/", Some((Some("h"), "a", Some("w=1,h=2")))),
            (&default, "https://imagedelivery.net/h/a", Some((Some("h"), "a", None))),
            (&default, "https://imagedelivery.net/h", None),
            (&default, "https://imagedelivery.net/h//public", None),
            (&default, "https://imagedelivery.net//a/public", None),
            (&default, "https://example.com/h/a/public", None),
            (
                &native,
                "https://images.example.com/cdn-cgi/imagedelivery/h/a/public",
                Some((Some("h"), "a", Some("public"))),
            ),
            (&native, "https://images.example.com/cdn-cgi/imagedelivery/h", None),
            (&native, "https://images.example.com/cdn-cgi/imagedelivery", None),
            (&worker, "https://img.example.org/a/b/public", Some((None, "a/b", Some("public")))),
            (&worker, "https://img.example.org/a", Some((None, "a", None))),
            (&prefixed, "http://127.0.0.1:8001/pics/a/public", Some((None, "a", Some("public")))),
            (&prefixed, "http://127.0.0.1:8001/pics", None),
        ] {
            let got = urls.split(url).map(|parts| (parts.account_hash, parts.encoded_id, parts.variant));
            assert_eq!(got, want, "{url}");
        }
    }

    #[test]
    fn usable_urls_are_absolute_secure_and_name_an_image() {
        let [default, native, ..] = shapes();
        for (urls, url, want) in [
            (&default, "https://imagedelivery.net/h/i/public", Ok(())),
            (&default, "http://imagedelivery.net/h/i/public", Err(DeliveryUrlError::NotHttps)),
            (&default, "imagedelivery.net/h/i/public", Err(DeliveryUrlError::NotHttps)),
            (&default, "/h/i/public", Err(DeliveryUrlError::NotHttps)),
            (&default, "https://example.com/h/i/public", Err(DeliveryUrlError::NotDelivered)),
            (&native, "https://images.example.com/logo.png", Err(DeliveryUrlError::NotDelivered)),
            (&default, "https://imagedelivery.net/h", Err(DeliveryUrlError::NoImage)),
        ] {
            assert_eq!(urls.validate(url).map(|_| ()), want, "{url}");
        }
    }

    proptest! {
        #[test]
        fn the_id_of_what_is_built_is_found_again(
            id in "[^/\\x00]{1,8}(/[^/\\x00]{1,8}){0,3}",
            shape in 0_usize..4,
            variant in "[a-zA-Z0-9]{1,9}",
        ) {
            prop_assume!(!id.split('/').any(|part| matches!(part, "." | "..")));
            let urls = &shapes()[shape];
            let url = urls.build(&id, &variant).unwrap();
            let parts = urls.split(&url).unwrap();
            prop_assert_eq!(&*parts.id(), id.as_str());
            prop_assert_eq!(parts.variant, Some(variant.as_str()));
        }

        #[test]
        fn what_is_rewritten_stays_the_same_picture(id in "\\PC{1,20}", shape in 0_usize..4) {
            let Some(shared) = urls(None, "", true).build(&id, "public") else { return Ok(()) };
            prop_assume!(shapes()[0].split(&shared).is_some());
            let urls = &shapes()[shape];
            let rewritten = urls.rewrite(&shared);
            prop_assert_eq!(urls.extract_id(&rewritten), shapes()[0].extract_id(&shared));
            prop_assert_eq!(&*urls.rewrite(&rewritten), &*rewritten);
        }

        #[test]
        fn no_text_makes_them_panic(url in "(https://)?(imagedelivery.net|img.example.org|\\PC{0,5})?[/?#a%=]{0,6}\\PC*", shape in 0_usize..4) {
            let urls = &shapes()[shape];
            let _ = (urls.is_delivery_url(&url), urls.extract_id(&url), urls.rewrite(&url), urls.validate(&url));
            let _ = urls.with_options(&url, "w=1");
        }
    }
}
