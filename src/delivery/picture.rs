//! What transformations are applied to.

use std::borrow::Cow;

use memchr::memchr2;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::DeliveryUrls;
use super::url_parts::{UrlParts, is_scheme, is_web_scheme, name_of};
use super::urls::is_flexible;

/// The path of transformations on a zone of Cloudflare.
const ON_ZONE: &str = "/cdn-cgi/image/";
/// What no URL may hold as it is, and what would end a URL in HTML and in `srcset`.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// A picture that transformations are applied to: one kept in Cloudflare Images, one on a zone, or any on the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture<'a> {
    /// As it was given, with its variant or its options.
    url: Cow<'a, str>,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Kept in Cloudflare Images; options take the place of the variant, which stands between these two.
    Hosted { id_end: usize, suffix: usize },
    /// On the zone that the URL itself names, up to the first; zero for paths. From the second on stands the picture.
    OwnZone { origin_end: usize, source: usize },
    /// Fetched by another zone.
    Zone { origin: String },
}

/// Why a text is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// Nothing is given.
    #[error("must not be empty")]
    Empty,
    /// Neither a path nor a URL of the web.
    #[error("must be an http:// or https:// URL, or a path")]
    NotOfTheWeb,
    /// A delivery URL that ends before the id.
    #[error("must name an image: /<account hash>/<image id>/<variant>")]
    NoImage,
    /// A path of transformations that ends before the picture.
    #[error("must name a picture after the options: /cdn-cgi/image/<options>/<picture>")]
    NoSource,
    /// A transformed picture below the options of another transformation.
    #[error("is transformed twice, which Cloudflare does not do; give the URL of the picture itself")]
    TransformedTwice,
    /// A zone that is no domain.
    #[error("must be a domain, such as example.com, without a path")]
    Zone,
}

impl<'a> Picture<'a> {
    /// Finds out what a URL shows: a delivery URL, which is moved to the configured domain, any other URL, or a path on a
    /// zone. Options that the URL has already are replaced by those of a transformation.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn new(urls: &DeliveryUrls, url: &'a str) -> Result<Self, PictureError> {
        let url = url.trim();
        // The slashes at the end of a query are its own.
        let url = if memchr2(b'?', b'#', url.as_bytes()).is_some() { url } else { url.trim_end_matches('/') };
        let url = encode_unsafe(url);
        if url.is_empty() {
            return Err(PictureError::Empty);
        }
        let url = match url {
            Cow::Borrowed(url) => urls.rewrite(url),
            Cow::Owned(url) => Cow::Owned(urls.rewrite(&url).into_owned()),
        };
        let parts = UrlParts::of(&url);
        // Without a scheme and without slashes it would be a path in HTML.
        if parts.host.is_none() && urls.is_delivery_url(&url) {
            let url = format!("//{url}");
            return Ok(Self { place: Place::of(urls, &url, &UrlParts::of(&url))?, url: Cow::Owned(url) });
        }
        Ok(Self { place: Place::of(urls, &url, &parts)?, url })
    }

    /// The same picture, fetched and transformed by a zone of Cloudflare: `example.com`. Without effect on pictures that are
    /// kept in Cloudflare Images.
    ///
    /// # Errors
    /// If that is no domain.
    pub fn on_zone(self, zone: &str) -> Result<Self, PictureError> {
        let (scheme, host) = zone.trim().split_once("://").unwrap_or(("https", zone.trim()));
        let host = host.trim_end_matches('/');
        let is_domain = !host.is_empty()
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':' | b'[' | b']'));
        if !is_domain || !matches!(scheme, "http" | "https") {
            return Err(PictureError::Zone);
        }
        if self.is_hosted() {
            return Ok(self);
        }
        let mut url = self.untransformed().into_owned();
        if url.starts_with("//") {
            // In a path these slashes name no host.
            url.insert_str(0, "https:");
        }
        Ok(Self { url: url.into(), place: Place::Zone { origin: format!("{scheme}://{host}") } })
    }

    /// The URL as it was given, on the configured domain where it is a delivery URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of the picture without the options that it has; of hosted ones the variant `public`.
    pub fn untransformed(&self) -> Cow<'_, str> {
        if self.options().is_none() {
            return Cow::Borrowed(&self.url);
        }
        match self.place {
            Place::Hosted { id_end, suffix } => format!("{}/public{}", &self.url[..id_end], &self.url[suffix..]).into(),
            Place::OwnZone { origin_end, source } => {
                let (origin, source) = (&self.url[..origin_end], &self.url[source..]);
                if has_web_scheme(source) { source.into() } else { format!("{origin}/{source}").into() }
            }
            Place::Zone { .. } => Cow::Borrowed(&self.url),
        }
    }

    /// Whether the picture is kept in Cloudflare Images.
    pub fn is_hosted(&self) -> bool {
        matches!(self.place, Place::Hosted { .. })
    }

    /// Whether the URL carries a signature, which covers nothing but the variant that it names.
    pub fn is_signed(&self) -> bool {
        let Place::Hosted { suffix, .. } = self.place else { return false };
        let query = UrlParts::of(&self.url[suffix..]).query();
        !query.is_empty() && query.split('&').any(|pair| name_of(pair) == "sig")
    }

    /// The options that the URL has, which are not looked at.
    pub(super) fn options(&self) -> Option<&str> {
        match self.place {
            Place::Hosted { id_end, suffix } => {
                Some(self.url[id_end..suffix].trim_matches('/')).filter(|variant| is_flexible(variant))
            }
            Place::OwnZone { origin_end, source } => {
                let start = origin_end + ON_ZONE.len();
                (start < source).then(|| &self.url[start..source - 1])
            }
            Place::Zone { .. } => None,
        }
    }

    /// Writes the URL of the picture with these options, which must not be empty.
    pub(super) fn write_url(&self, options: &str, to: &mut String) {
        match &self.place {
            Place::Hosted { id_end, suffix } => {
                to.extend([&self.url[..*id_end], "/", options, &self.url[*suffix..]]);
            }
            Place::OwnZone { origin_end, source } => {
                to.extend([&self.url[..*origin_end], ON_ZONE, options, "/", &self.url[*source..]]);
            }
            Place::Zone { origin } => {
                to.extend([origin, ON_ZONE, options, "/", self.url.strip_prefix('/').unwrap_or(&self.url)]);
            }
        }
    }
}

impl Place {
    fn of(urls: &DeliveryUrls, url: &str, parts: &UrlParts<'_>) -> Result<Self, PictureError> {
        let is_of_the_web = match (parts.scheme, parts.host) {
            (Some(scheme), Some(host)) => is_web_scheme(scheme) && !host.is_empty(),
            (None, Some(host)) => !host.is_empty(),
            _ => !has_scheme(url),
        };
        if !is_of_the_web {
            return Err(PictureError::NotOfTheWeb);
        }
        if let Some(options_and_source) = parts.path.strip_prefix(ON_ZONE) {
            return Self::transformed(urls, url, parts, options_and_source);
        }
        if urls.delivers(parts) {
            let id_end = urls.id_end(url, parts).ok_or(PictureError::NoImage)?;
            return Ok(Self::Hosted { id_end, suffix: url.len() - parts.suffix.len() });
        }
        let origin_end = if parts.host.is_some() { parts.path_start(url) } else { 0 };
        let source = origin_end + usize::from(parts.path.starts_with('/'));
        Ok(Self::OwnZone { origin_end, source })
    }

    /// The place of a URL with `/cdn-cgi/image/`, after which the path has options and a source.
    fn transformed(
        urls: &DeliveryUrls,
        url: &str,
        parts: &UrlParts<'_>,
        options_and_source: &str,
    ) -> Result<Self, PictureError> {
        let origin_end = parts.path_start(url);
        let (options, _) = options_and_source.split_once('/').ok_or(PictureError::NoSource)?;
        let source = origin_end + ON_ZONE.len() + options.len() + "/".len();
        let inner = &url[source..];
        if inner.is_empty() || options.is_empty() {
            return Err(PictureError::NoSource);
        }
        let inner_parts = UrlParts::of(inner);
        let is_transformed = format!("/{}", inner_parts.path.trim_start_matches('/')).starts_with(ON_ZONE)
            || urls.split_parts(&inner_parts).is_some_and(|parts| parts.is_flexible());
        if is_transformed {
            return Err(PictureError::TransformedTwice);
        }
        Ok(Self::OwnZone { origin_end, source })
    }
}

fn has_web_scheme(url: &str) -> bool {
    UrlParts::of(url).scheme.is_some_and(is_web_scheme)
}

/// Whether a text without `//` starts with a scheme all the same, as `data:` and `javascript:` do.
fn has_scheme(text: &str) -> bool {
    let first = text.split(['/', '?', '#']).next().unwrap_or_default();
    first.split_once(':').is_some_and(|(scheme, _)| is_scheme(scheme))
}

/// Encodes what is unsafe, and leaves everything beyond ASCII but blanks to the browser.
fn encode_unsafe(text: &str) -> Cow<'_, str> {
    let is_safe = |byte: u8| matches!(byte, b'!' | b'#'..=b';' | b'=' | b'?'..=b'~');
    // Without a way out of the loop it runs on many bytes at once.
    if text.bytes().fold(true, |all, byte| all & is_safe(byte)) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c.is_control() || c.is_whitespace() || matches!(c, '"' | '<' | '>') {
            encoded.extend(utf8_percent_encode(c.encode_utf8(&mut [0; 4]), UNSAFE));
        } else {
            encoded.push(c);
        }
    }
    Cow::Owned(encoded)
}
