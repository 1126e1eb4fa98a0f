//! Building and rewriting delivery URLs.

/// The host that Cloudflare delivers from when nothing else is configured.
const SHARED_HOST: &str = "imagedelivery.net";

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

/// Builds delivery URLs in the shape of an application.
///
/// # Examples
/// ```
/// use cfimages::delivery::{DeliveryShape, DeliveryUrls};
///
/// let shape = DeliveryShape { delivery_url: Some("images.example.com".to_owned()), ..DeliveryShape::default() };
/// let urls = DeliveryUrls::new(Some("hash".to_owned()), &shape);
/// assert_eq!(
///     urls.rewrite("https://imagedelivery.net/hash/a/b/public"),
///     "https://images.example.com/cdn-cgi/imagedelivery/hash/a/b/public",
/// );
/// ```
#[derive(Debug, Clone)]
pub struct DeliveryUrls {
    account_hash: Option<String>,
    custom: Option<CustomDomain>,
}

#[derive(Debug, Clone)]
struct CustomDomain {
    /// Scheme, host and prefix, without a slash at the end.
    base: String,
    include_account_hash: bool,
}

impl DeliveryUrls {
    /// Delivery URLs for the account with this hash; without the hash, URLs are only rewritten, not built.
    pub fn new(account_hash: Option<String>, shape: &DeliveryShape) -> Self {
        Self { account_hash, custom: shape.delivery_url.as_deref().and_then(|url| CustomDomain::new(url, shape)) }
    }

    /// The URL of a variant of an image; `None` where it takes the account hash and that is not known.
    ///
    /// Slashes of the id stay, everything else that has a meaning in URLs is percent-encoded.
    pub fn build(&self, cloudflare_id: &str, variant: &str) -> Option<String> {
        let id = encode_path(cloudflare_id);
        match &self.custom {
            Some(custom) if !custom.include_account_hash => Some(custom.url("", &format!("{id}/{variant}"))),
            Some(custom) => Some(custom.url(self.account_hash.as_deref()?, &format!("{id}/{variant}"))),
            None => Some(format!("https://{SHARED_HOST}/{}/{id}/{variant}", self.account_hash.as_deref()?)),
        }
    }

    /// Moves a URL of `imagedelivery.net` to the configured domain, query and fragment included. Others stay as they are.
    ///
    /// upstream: `CloudflareImageURLFactory.rewrite_url`
    pub fn rewrite(&self, url: &str) -> String {
        self.rewritten(url).unwrap_or_else(|| url.to_owned())
    }

    /// The URL with its last segment, the variant, replaced by options of a flexible variant: `w=300,fit=cover`.
    ///
    /// upstream: `CloudflareImageURLFactory.with_options`
    pub fn with_options(&self, url: &str, options: &str) -> String {
        let (path, suffix) = url.split_at(url.find(['?', '#']).unwrap_or(url.len()));
        let base = path.trim_end_matches('/').rsplit_once('/').map_or(path, |(base, _)| base);
        format!("{base}/{options}{suffix}")
    }

    fn rewritten(&self, url: &str) -> Option<String> {
        let custom = self.custom.as_ref()?;
        let (_, rest) = url.split_once("://")?;
        let (host, rest) = rest.split_once('/')?;
        if host != SHARED_HOST {
            return None;
        }
        let (path, suffix) = rest.split_at(rest.find(['?', '#']).unwrap_or(rest.len()));
        let (account_hash, picture) = path.trim_matches('/').split_once('/')?;
        Some(custom.url(account_hash, picture) + suffix)
    }
}

impl CustomDomain {
    fn new(delivery_url: &str, shape: &DeliveryShape) -> Option<Self> {
        let (scheme, rest) = delivery_url.trim().split_once("://").unwrap_or(("https", delivery_url.trim()));
        let host = rest.trim_matches('/').split('/').next().filter(|host| !host.is_empty())?;
        let prefix = shape.path_prefix.trim_matches('/');
        let base = if prefix.is_empty() { format!("{scheme}://{host}") } else { format!("{scheme}://{host}/{prefix}") };
        Some(Self { base, include_account_hash: shape.include_account_hash })
    }

    fn url(&self, account_hash: &str, picture: &str) -> String {
        let base = &self.base;
        if self.include_account_hash { format!("{base}/{account_hash}/{picture}") } else { format!("{base}/{picture}") }
    }
}

fn encode_path(id: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const PATH: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b'@').remove(b':');
    utf8_percent_encode(id, PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(delivery_url: Option<&str>, path_prefix: &str, include_account_hash: bool) -> DeliveryUrls {
        let shape = DeliveryShape {
            delivery_url: delivery_url.map(str::to_owned),
            path_prefix: path_prefix.to_owned(),
            include_account_hash,
        };
        DeliveryUrls::new(Some("hash-0001".to_owned()), &shape)
    }

    #[test]
    fn urls_are_rewritten_to_each_shape() {
        let shared = "https://imagedelivery.net/h/products/42/hero/public?exp=1&sig=00#f";
        let cases = [
            (urls(None, "", true), shared),
            (
                urls(Some("images.example.com"), "cdn-cgi/imagedelivery", true),
                "https://images.example.com/cdn-cgi/imagedelivery/h/products/42/hero/public?exp=1&sig=00#f",
            ),
            (
                urls(Some("http://127.0.0.1:8001"), "/pics/", true),
                "http://127.0.0.1:8001/pics/h/products/42/hero/public?exp=1&sig=00#f",
            ),
            (
                urls(Some("https://img.example.org/"), "", false),
                "https://img.example.org/products/42/hero/public?exp=1&sig=00#f",
            ),
        ];
        for (urls, want) in cases {
            assert_eq!(urls.rewrite(shared), want);
        }
    }

    #[test]
    fn options_take_the_place_of_the_variant() {
        let urls = urls(None, "", true);
        let url = "https://imagedelivery.net/h/a/b/public?exp=1";
        assert_eq!(urls.with_options(url, "w=300,fit=cover"), "https://imagedelivery.net/h/a/b/w=300,fit=cover?exp=1");
    }

    #[test]
    fn urls_of_other_hosts_stay_as_they_are() {
        let urls = urls(Some("images.example.com"), "cdn-cgi/imagedelivery", true);
        for url in [
            "https://img.example.org/imagedelivery.net/x/public",
            "https://imagedelivery.net/only",
            "",
            "imagedelivery.net/a/b/c",
            "no url",
        ] {
            assert_eq!(urls.rewrite(url), url);
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
    }
}
