//! What transformations are applied to.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::url_parts::{UrlParts, is_scheme};
use super::{DeliveryParts, DeliveryUrls};

/// The path of transformations on a zone of Cloudflare.
const ON_ZONE: &str = "/cdn-cgi/image/";
/// What no URL may hold as it is, and what would end a URL in HTML and in `srcset`.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// A picture that transformations are applied to: one kept in Cloudflare Images, one on a zone, or any on the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture<'a> {
    /// The picture as it is.
    url: Cow<'a, str>,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Kept in Cloudflare Images; options take the place of the variant, which stands between these two.
    Hosted { id_end: usize, suffix: usize },
    /// On the zone that the URL itself names, up to here. Zero for paths.
    OwnZone { origin_end: usize },
    /// Fetched by another zone.
    Zone { origin: String },
}

impl Place {
    fn of(urls: &DeliveryUrls, url: &str, parts: &UrlParts<'_>) -> Result<Self, PictureError> {
        if urls.delivers(parts) {
            let id_end = urls.id_end(url, parts).ok_or(PictureError::NoImage)?;
            return Ok(Self::Hosted { id_end, suffix: url.len() - parts.suffix.len() });
        }
        let is_of_the_web = match (parts.scheme, parts.host) {
            (Some(scheme), Some(host)) => is_web_scheme(scheme) && !host.is_empty(),
            (None, Some(host)) => !host.is_empty(),
            _ => !has_scheme(url),
        };
        if !is_of_the_web {
            return Err(PictureError::NotOfTheWeb);
        }
        Ok(Self::OwnZone { origin_end: if parts.host.is_some() { parts.path_start(url) } else { 0 } })
    }
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
    /// A zone that is no domain.
    #[error("must be a domain, such as example.com, without a path")]
    Zone,
}

impl<'a> Picture<'a> {
    /// Finds out what a URL shows: a delivery URL, which is moved to the configured domain, any other URL, or a path on a
    /// zone. Of a transformed URL it is the picture below the options.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn new(urls: &DeliveryUrls, url: &'a str) -> Result<Self, PictureError> {
        let url = url.trim().trim_end_matches('/');
        let url: Cow<'a, str> = encode_unsafe(url);
        if url.is_empty() {
            return Err(PictureError::Empty);
        }
        let url = match url {
            Cow::Borrowed(url) => urls.rewrite(url),
            Cow::Owned(url) => Cow::Owned(urls.rewrite(&url).into_owned()),
        };
        let parts = UrlParts::of(&url);
        if parts.path.starts_with(ON_ZONE)
            && let Some((picture, _)) = Self::split_zone(&url)
        {
            return Ok(picture);
        }
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
        Ok(match self.place {
            Place::Hosted { .. } => self,
            _ => Self { place: Place::Zone { origin: format!("{scheme}://{host}") }, ..self },
        })
    }

    /// The URL of the picture as it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the picture is kept in Cloudflare Images.
    pub fn is_hosted(&self) -> bool {
        matches!(self.place, Place::Hosted { .. })
    }

    /// Whether the URL carries a signature, which covers nothing but the variant that it names.
    pub fn is_signed(&self) -> bool {
        let Place::Hosted { suffix, .. } = self.place else { return false };
        UrlParts::of(&self.url[suffix..]).query().split('&').any(|pair| pair.starts_with("sig="))
    }

    /// Takes the URL of a transformed picture apart into the picture and its options, which are not looked at. `None` for
    /// other URLs.
    pub(super) fn split_options(urls: &DeliveryUrls, url: &'a str) -> Option<(Self, &'a str)> {
        let url = url.trim();
        if let Some((picture, options)) = Self::split_zone(url) {
            return Some((picture, &url[options]));
        }
        let parts = UrlParts::of(url);
        let options = urls.split_parts(&parts).filter(DeliveryParts::is_flexible)?.variant?;
        let id_end = urls.id_end(url, &parts)?;
        let without_options = format!("{}{}", &url[..id_end], parts.suffix);
        Some((Self { url: without_options.into(), place: Place::Hosted { id_end, suffix: id_end } }, options))
    }

    /// Writes the URL of the picture with these options, which must not be empty.
    pub(super) fn write_url(&self, options: &str, to: &mut String) {
        match &self.place {
            Place::Hosted { id_end, suffix } => {
                to.extend([&self.url[..*id_end], "/", options, &self.url[*suffix..]]);
            }
            Place::OwnZone { origin_end } => {
                let (origin, path) = self.url.split_at(*origin_end);
                to.extend([origin, ON_ZONE, options, "/", path.trim_start_matches('/')]);
            }
            Place::Zone { origin } => {
                to.extend([origin, ON_ZONE, options, "/", self.url.trim_start_matches('/')]);
            }
        }
    }

    /// The picture of a URL with `/cdn-cgi/image/`, and where the options stand.
    fn split_zone(url: &str) -> Option<(Self, std::ops::Range<usize>)> {
        let parts = UrlParts::of(url);
        if parts.scheme.is_some_and(|scheme| !is_web_scheme(scheme)) {
            return None;
        }
        let rest = parts.path.strip_prefix(ON_ZONE)?;
        let (options, _) = rest.split_once('/')?;
        let origin_end = parts.path_start(url);
        let options_start = origin_end + ON_ZONE.len();
        let options = options_start..options_start + options.len();
        let (origin, source) = (&url[..origin_end], &url[options.end + 1..]);
        if source.is_empty() {
            return None;
        }
        let has_own_origin = UrlParts::of(source).scheme.is_some_and(is_web_scheme);
        let picture = if has_own_origin {
            Self { url: Cow::Owned(source.to_owned()), place: Place::Zone { origin: origin.to_owned() } }
        } else {
            let mut picture = String::with_capacity(url.len());
            let _ = write!(picture, "{origin}/{}", source.trim_start_matches('/'));
            Self { url: Cow::Owned(picture), place: Place::OwnZone { origin_end } }
        };
        Some((picture, options))
    }
}

fn is_web_scheme(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
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
