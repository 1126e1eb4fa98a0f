//! What all fragments of a page have in common.

use std::any::Any;
use std::sync::LazyLock;

use askama::Values;

use crate::delivery::DeliveryUrls;

static DEFAULT: LazyLock<Site> = LazyLock::new(Site::default);

/// What the [filters](super::filters) of a page have in common: Askama's runtime values carry it, under [`Site::KEY`]. Without it
/// there are the defaults.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use askama::Template;
/// use cfimages::delivery::{DeliveryShape, DeliveryUrls};
/// use cfimages::snippets::{Site, filters};
///
/// #[derive(Template)]
/// #[template(source = r#"<img src="{{ url|cf_thumbnail(64) }}" alt="">"#, ext = "html")]
/// struct Page<'a> {
///     url: &'a str,
/// }
///
/// let shape = DeliveryShape { delivery_url: Some("images.example.com".to_owned()), ..DeliveryShape::default() };
/// let site = Site { urls: DeliveryUrls::new(None, &shape), ..Site::default() };
/// let html = Page { url: "https://imagedelivery.net/hash/id/public" }.render_with_values(&site.values())?;
/// assert!(html.contains("https://images.example.com/cdn-cgi/imagedelivery/hash/id/fit=cover,height=64"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Site {
    /// How the delivery URLs of the application look.
    pub urls: DeliveryUrls,
    /// Where the server is, for upload forms: `/cloudflare-images`, without a slash at the end.
    pub url_prefix: String,
    /// Django's token against forged requests, for upload forms.
    pub csrf_token: Option<String>,
}

impl Default for Site {
    fn default() -> Self {
        Self { urls: DeliveryUrls::default(), url_prefix: "/cloudflare-images".to_owned(), csrf_token: None }
    }
}

impl Site {
    /// The name among Askama's runtime values.
    pub const KEY: &'static str = "cfimages";

    /// Runtime values for `render_with_values` that hold nothing but this. Any other kind of values will do, too.
    pub fn values(&self) -> (&'static str, &dyn Any) {
        (Self::KEY, self)
    }

    /// The site that a page is rendered for.
    ///
    /// # Errors
    /// If the value of this name is something else.
    pub(super) fn of(values: &dyn Values) -> askama::Result<&Self> {
        match askama::get_value(values, Self::KEY) {
            Err(askama::Error::ValueMissing) => Ok(&DEFAULT),
            site => site,
        }
    }
}
