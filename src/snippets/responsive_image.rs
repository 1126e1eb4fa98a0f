//! A picture in several widths.

use super::image::{Image, write};
use super::{Dimensions, Loading, SnippetError};
use crate::delivery::{DeliveryUrls, Picture, Preset, srcset};

/// The widths that a responsive image comes in where nothing else is said, in pixels.
pub const DEFAULT_WIDTHS: [u32; 3] = [320, 640, 1024];

/// An `<img>` in several widths, of which the browser takes the one that fits.
///
/// upstream: `cf_responsive_img`
///
/// # Examples
/// ```
/// use cfimages::delivery::DeliveryUrls;
/// use cfimages::snippets::{Dimensions, ResponsiveImage};
///
/// let image = ResponsiveImage {
///     alt: "A lake at dusk",
///     original: Some(Dimensions { width: 1200, height: 800 }),
///     ..ResponsiveImage::new("https://imagedelivery.net/hash/id/public")
/// };
/// let html = image.html(&DeliveryUrls::default())?;
/// assert!(html.contains("width=1024 1024w") && html.contains(r#"width="1024" height="683""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponsiveImage<'a> {
    /// The picture: any URL of it, or a path on a zone of Cloudflare.
    pub url: &'a str,
    /// What the picture shows, for those who do not see it; empty for decoration.
    pub alt: &'a str,
    /// The attribute `class`; may be empty.
    pub class: &'a str,
    /// The widths, 1 to 12000 pixels each. Without scripts and `srcset` the first is shown.
    pub widths: &'a [u32],
    /// The quality, 1 to 100.
    pub quality: u8,
    /// How wide the picture is shown, as the attribute `sizes` has it.
    pub sizes: &'a str,
    /// The size of the original, where it is known. No width is then larger, and the page leaves room for the picture.
    pub original: Option<Dimensions>,
    /// When the browser fetches it.
    pub loading: Loading,
}

impl<'a> ResponsiveImage<'a> {
    /// A decoration as wide as the window, of quality 85, in [`DEFAULT_WIDTHS`].
    pub fn new(url: &'a str) -> Self {
        Self {
            url,
            alt: "",
            class: "",
            widths: &DEFAULT_WIDTHS,
            quality: 85,
            sizes: "100vw",
            original: None,
            loading: Loading::default(),
        }
    }

    /// The element.
    ///
    /// # Errors
    /// If the URL shows no picture, or a width or the quality is out of its range.
    pub fn html(&self, urls: &DeliveryUrls) -> Result<String, SnippetError> {
        let picture = Picture::new(urls, self.url)?;
        let (&first, &widest) = self.widths.first().zip(self.widths.iter().max()).ok_or(SnippetError::Widths)?;
        let transform = Preset::Responsive { width: first, quality: self.quality }.transform()?;
        let original_width = self.original.map(|original| original.width);
        let image = Image {
            loading: self.loading,
            dimensions: self.original.map(|original| original.scaled_down_to(widest)),
            ..Image::plain(&picture, self.alt, self.class)
        };
        if picture.is_signed() {
            return Ok(write(&image));
        }
        let narrowest = transform.clone().width(original_width.map_or(first, |original| first.min(original.max(1))))?;
        let image = Image {
            src: narrowest.build(&picture)?,
            srcset: srcset(&picture, &transform, self.widths, original_width)?,
            sizes: self.sizes,
            ..image
        };
        Ok(write(&image))
    }
}

/// Reads widths from a text: `320,640,1024`.
///
/// # Errors
/// If one of them is no whole number from 1 to 12000, or there are none.
pub fn parse_widths(text: &str) -> Result<Vec<u32>, SnippetError> {
    let width = |text: &str| text.trim().parse().ok().filter(|width| (1..=12_000).contains(width));
    text.split(',').map(width).collect::<Option<_>>().ok_or(SnippetError::Widths)
}
