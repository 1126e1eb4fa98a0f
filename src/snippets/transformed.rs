//! A picture as any transformation makes it.

use super::image::{Image, densities, write};
use super::picture_element::{PictureTemplate, Source};
use super::{Dimensions, Loading, SnippetError};
use crate::delivery::{DeliveryUrls, Fit, Picture, Transform};

/// Up to which widths of windows there is a smaller picture, and how wide that is: for phones and tablets.
const NARROW_WIDTHS: [u32; 2] = [400, 768];

/// A picture as a transformation makes it, also for screens with more pixels where the transformation gives it a size.
///
/// # Examples
/// ```
/// use cfimages::delivery::{DeliveryUrls, Fit, Transform};
/// use cfimages::snippets::TransformedImage;
///
/// let banner = Transform::new().width(1200)?.height(400)?.fit(Fit::Cover);
/// let image = TransformedImage { alt: "A lake", ..TransformedImage::new("https://imagedelivery.net/hash/id/public", &banner) };
/// let html = image.html(&DeliveryUrls::default())?;
/// assert!(html.contains("dpr=2.0,fit=cover,height=400,width=1200 2x") && html.contains(r#"width="1200" height="400""#));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TransformedImage<'a> {
    /// The picture: any URL of it, or a path on a zone of Cloudflare.
    pub url: &'a str,
    /// What is done to it.
    pub transform: &'a Transform,
    /// What the picture shows, for those who do not see it; empty for decoration.
    pub alt: &'a str,
    /// The attribute `class` of the `<img>`; may be empty.
    pub class: &'a str,
    /// The size of the original, where it is known. Nothing is then enlarged for screens with more pixels.
    pub original: Option<Dimensions>,
    /// When the browser fetches it.
    pub loading: Loading,
}

impl<'a> TransformedImage<'a> {
    /// A decoration.
    pub fn new(url: &'a str, transform: &'a Transform) -> Self {
        Self { url, transform, alt: "", class: "", original: None, loading: Loading::default() }
    }

    /// The element `<img>`.
    ///
    /// # Errors
    /// If the URL shows no picture, or the transformation cannot be built.
    pub fn html(&self, urls: &DeliveryUrls) -> Result<String, SnippetError> {
        Ok(write(&self.image(&Picture::new(urls, self.url)?)?))
    }

    /// The same in a `<picture>`, with smaller ones in the same ratio for phones and tablets.
    ///
    /// # Errors
    /// As [`html`](Self::html).
    pub fn picture_html(&self, urls: &DeliveryUrls) -> Result<String, SnippetError> {
        let picture = Picture::new(urls, self.url)?;
        Ok(write(&PictureTemplate { sources: self.sources(&picture)?, image: self.image(&picture)? }))
    }

    fn image(&self, picture: &Picture<'_>) -> Result<Image<'a>, SnippetError> {
        let image = Image { loading: self.loading, ..Image::plain(picture, self.alt, self.class) };
        if picture.is_signed() {
            return Ok(image);
        }
        let (src, srcset) = self.sizes_of(picture, self.transform)?;
        Ok(Image { src, srcset, dimensions: self.dimensions(), ..image })
    }

    /// The URL, and the `srcset` where the picture has a size whose density can be said.
    fn sizes_of(&self, picture: &Picture<'_>, transform: &Transform) -> Result<(String, String), SnippetError> {
        let has_size = transform.width_in_pixels().or(transform.height_in_pixels()).is_some();
        if has_size && transform.pixel_ratio().is_none() {
            return densities(picture, transform, self.original);
        }
        Ok((transform.build(picture)?, String::new()))
    }

    fn sources(&self, picture: &Picture<'_>) -> Result<Vec<Source>, SnippetError> {
        let widest = self.transform.width_in_pixels().or(self.original.map(|original| original.width));
        let is_narrower = |width: &u32| widest.is_none_or(|widest| *width < widest);
        if picture.is_signed() {
            return Ok(Vec::new());
        }
        let source = |max_width| {
            let (src, srcset) = self.sizes_of(picture, &self.narrowed_to(max_width)?)?;
            Ok(Source { max_width, srcset: if srcset.is_empty() { src } else { srcset } })
        };
        NARROW_WIDTHS.into_iter().filter(is_narrower).map(source).collect()
    }

    /// The transformation for a smaller width, in the same ratio.
    fn narrowed_to(&self, width: u32) -> Result<Transform, SnippetError> {
        let narrowed = self.transform.clone().width(width)?;
        match (self.transform.width_in_pixels(), self.transform.height_in_pixels()) {
            (Some(full), Some(height)) => {
                let box_of = Dimensions { width: full, height };
                Ok(narrowed.height(box_of.scaled_down_to(width).height)?)
            }
            _ => Ok(narrowed),
        }
    }

    /// The room that the picture takes, where that can be told.
    fn dimensions(&self) -> Option<Dimensions> {
        let options = self.transform.resolved();
        if options.trim.is_some() || options.rotate != 0 {
            return None;
        }
        match (self.transform.width_in_pixels(), options.height, options.fit) {
            (Some(width), Some(height), Fit::Cover | Fit::Pad | Fit::Squeeze) => Some(Dimensions { width, height }),
            (Some(width), None, Fit::ScaleDown) => self.original.map(|original| original.scaled_down_to(width)),
            _ => None,
        }
    }
}
