//! Square pictures.

use super::image::{Image, classes, write};
use super::{Dimensions, Loading, SnippetError};
use crate::delivery::{DeliveryUrls, Picture, Preset};

/// A round `<img>` of a person, cut around what catches the eye; `cfimages-snippets.css` makes it round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Avatar<'a> {
    /// The picture: any URL of it, or a path on a zone of Cloudflare.
    pub url: &'a str,
    /// Whom the picture shows; empty where the name stands beside it.
    pub alt: &'a str,
    /// Classes beside `cf-avatar`; may be empty.
    pub class: &'a str,
    /// The diameter, 1 to 12000 pixels.
    pub size: u32,
    /// The size of the original, where it is known.
    pub original: Option<Dimensions>,
    /// When the browser fetches it.
    pub loading: Loading,
}

impl<'a> Avatar<'a> {
    /// An avatar of 100 pixels.
    pub fn new(url: &'a str) -> Self {
        Self { url, alt: "", class: "", size: 100, original: None, loading: Loading::default() }
    }

    /// The element.
    ///
    /// # Errors
    /// If the URL shows no picture, or the size is out of its range.
    pub fn html(&self, urls: &DeliveryUrls) -> Result<String, SnippetError> {
        let &Self { url, alt, size, original, loading, .. } = self;
        let preset = Preset::Avatar { size };
        let square = Square { url, alt, class: "cf-avatar", added: self.class, size, preset, original, loading };
        Ok(write(&square.image(urls)?))
    }
}

/// A square `<img>` that the picture fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail<'a> {
    /// The picture: any URL of it, or a path on a zone of Cloudflare.
    pub url: &'a str,
    /// What the picture shows, for those who do not see it; empty for decoration.
    pub alt: &'a str,
    /// Classes beside `cf-thumbnail`; may be empty.
    pub class: &'a str,
    /// The side, 1 to 12000 pixels.
    pub size: u32,
    /// The size of the original, where it is known.
    pub original: Option<Dimensions>,
    /// When the browser fetches it.
    pub loading: Loading,
}

impl<'a> Thumbnail<'a> {
    /// A decoration of 150 pixels.
    pub fn new(url: &'a str) -> Self {
        Self { url, alt: "", class: "", size: 150, original: None, loading: Loading::default() }
    }

    /// The element.
    ///
    /// # Errors
    /// If the URL shows no picture, or the size is out of its range.
    pub fn html(&self, urls: &DeliveryUrls) -> Result<String, SnippetError> {
        Ok(write(&self.image(urls)?))
    }

    pub(super) fn image(&self, urls: &DeliveryUrls) -> Result<Image<'a>, SnippetError> {
        let &Self { url, alt, size, original, loading, .. } = self;
        let preset = Preset::Thumbnail { size };
        Square { url, alt, class: "cf-thumbnail", added: self.class, size, preset, original, loading }.image(urls)
    }
}

struct Square<'a, 'b> {
    url: &'b str,
    alt: &'a str,
    class: &'static str,
    added: &'b str,
    size: u32,
    preset: Preset,
    original: Option<Dimensions>,
    loading: Loading,
}

impl<'a> Square<'a, '_> {
    fn image(&self, urls: &DeliveryUrls) -> Result<Image<'a>, SnippetError> {
        let picture = Picture::new(urls, self.url)?;
        let image = Image {
            loading: self.loading,
            dimensions: Some(Dimensions::square(self.size)),
            ..Image::plain(&picture, self.alt, classes(self.class, self.added))
        };
        image.in_densities(&picture, &self.preset.transform()?, self.original)
    }
}
