//! A picture in a width for each kind of screen.

use askama::Template;

use super::image::{Image, densities, write};
use super::{Dimensions, Loading, SnippetError};
use crate::delivery::{DeliveryUrls, Picture, Preset};

/// The quality of all widths.
const QUALITY: u8 = 85;

/// A `<picture>` with a width for phones, one for tablets and one for all larger screens, also for screens with more pixels.
/// Which format is sent is Cloudflare's choice.
///
/// upstream: `cf_picture`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureElement<'a> {
    /// The picture: any URL of it, or a path on a zone of Cloudflare.
    pub url: &'a str,
    /// What the picture shows, for those who do not see it; empty for decoration.
    pub alt: &'a str,
    /// The attribute `class` of the `<img>` within; may be empty.
    pub class: &'a str,
    /// The width for windows up to this width, 1 to 12000 pixels.
    pub mobile_width: u32,
    /// The width for windows up to this width, 1 to 12000 pixels.
    pub tablet_width: u32,
    /// The width for all others, 1 to 12000 pixels.
    pub desktop_width: u32,
    /// The size of the original, where it is known. The page then leaves room for the picture.
    pub original: Option<Dimensions>,
    /// When the browser fetches it.
    pub loading: Loading,
}

#[derive(Template)]
#[template(path = "snippets/picture.html")]
pub(super) struct PictureTemplate<'a> {
    pub(super) sources: Vec<Source>,
    pub(super) image: Image<'a>,
}

/// A picture for windows up to a width.
pub(super) struct Source {
    pub(super) max_width: u32,
    pub(super) srcset: String,
}

impl<'a> PictureElement<'a> {
    /// A decoration, 400 pixels wide on phones, 768 on tablets and 1200 on larger screens.
    pub fn new(url: &'a str) -> Self {
        Self {
            url,
            alt: "",
            class: "",
            mobile_width: 400,
            tablet_width: 768,
            desktop_width: 1200,
            original: None,
            loading: Loading::default(),
        }
    }

    /// The element.
    ///
    /// # Errors
    /// If the URL shows no picture, or a width is out of its range.
    pub fn html(&self, urls: &DeliveryUrls) -> Result<String, SnippetError> {
        let picture = Picture::new(urls, self.url)?;
        let image = Image {
            loading: self.loading,
            dimensions: self.original.map(|original| original.scaled_down_to(self.desktop_width)),
            ..Image::plain(&picture, self.alt, self.class)
        };
        let largest = Preset::Responsive { width: self.desktop_width, quality: QUALITY }.transform()?;
        let image = image.in_densities(&picture, &largest, self.original)?;
        Ok(write(&PictureTemplate { sources: self.sources(&picture)?, image }))
    }

    fn sources(&self, picture: &Picture<'_>) -> Result<Vec<Source>, SnippetError> {
        if picture.is_signed() {
            return Ok(Vec::new());
        }
        let mut max_widths = [self.mobile_width, self.tablet_width];
        // The first that fits is taken.
        max_widths.sort_unstable();
        let source = |max_width| {
            let transform = Preset::Responsive { width: max_width, quality: QUALITY }.transform()?;
            let (_, srcset) = densities(picture, &transform, self.original)?;
            Ok(Source { max_width, srcset })
        };
        max_widths.into_iter().map(source).collect()
    }
}
