//! Several pictures in a grid.

use std::borrow::Cow;

use askama::Template;

use super::image::{Dimensions, Image, write};
use super::square::Thumbnail;
use super::{Loading, SnippetError};
use crate::delivery::{DeliveryUrls, Picture, Preset};

/// The width and the quality of what a thumbnail leads to.
const LARGE: Preset = Preset::Responsive { width: 1600, quality: 85 };

/// A list of thumbnails in columns, each of which leads to the large picture. On narrow screens there are fewer columns.
///
/// upstream: `cf_image_gallery`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gallery<'a> {
    /// The pictures. Those whose URL shows none are left out.
    pub images: &'a [GalleryImage<'a>],
    /// The number of columns, 1 to 12.
    pub columns: u32,
    /// The side of a thumbnail, 1 to 12000 pixels.
    pub thumbnail_size: u32,
    /// Classes beside `cf-gallery` and `cf-columns-…`; may be empty.
    pub class: &'a str,
    /// What stands there where there are no pictures.
    pub empty_text: &'a str,
}

/// A picture of a gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GalleryImage<'a> {
    /// Any URL of the picture, or a path on a zone of Cloudflare.
    pub url: Cow<'a, str>,
    /// What the picture shows; where it is empty, the link is called by the number of the picture.
    pub alt: Cow<'a, str>,
    /// The size of the original, where it is known.
    pub original: Option<Dimensions>,
}

impl<'a> GalleryImage<'a> {
    /// A picture of which nothing but this is known.
    pub fn new(url: impl Into<Cow<'a, str>>, alt: impl Into<Cow<'a, str>>) -> Self {
        Self { url: url.into(), alt: alt.into(), original: None }
    }
}

#[derive(Template)]
#[template(path = "snippets/gallery.html")]
struct GalleryTemplate<'a> {
    gallery: &'a Gallery<'a>,
    items: Vec<Item<'a>>,
}

struct Item<'a> {
    href: String,
    thumbnail: Image<'a>,
}

impl<'a> Gallery<'a> {
    /// Thumbnails of 300 pixels in three columns.
    pub fn new(images: &'a [GalleryImage<'a>]) -> Self {
        Self { images, columns: 3, thumbnail_size: 300, class: "", empty_text: "No images yet." }
    }

    /// The list.
    ///
    /// # Errors
    /// If the number of columns or the size of the thumbnails is out of its range.
    pub fn html(&self, urls: &DeliveryUrls) -> Result<String, SnippetError> {
        if !(1..=12).contains(&self.columns) {
            return Err(SnippetError::Columns);
        }
        let items = self.images.iter().filter_map(|image| match self.item(urls, image) {
            Err(SnippetError::Picture(_)) => None,
            item => Some(item),
        });
        let items = items.collect::<Result<_, _>>()?;
        Ok(write(&GalleryTemplate { gallery: self, items }))
    }

    fn item(&self, urls: &DeliveryUrls, image: &'a GalleryImage<'a>) -> Result<Item<'a>, SnippetError> {
        let picture = Picture::new(urls, &image.url)?;
        let thumbnail = Thumbnail {
            url: &image.url,
            alt: &image.alt,
            class: "",
            size: self.thumbnail_size,
            original: image.original,
            loading: Loading::Lazy,
        };
        let href = if picture.is_signed() { picture.url().to_owned() } else { LARGE.transform()?.build(&picture)? };
        Ok(Item { href, thumbnail: thumbnail.image(urls)? })
    }
}
