//! The element `<img>`, which all fragments with pictures end in.

use std::borrow::Cow;

use askama::Template;

use super::SnippetError;
use crate::delivery::{Picture, Transform, density_srcset};

/// How many device pixels a pixel of phones and laptops has, beside one.
const DENSITIES: [f64; 1] = [2.0];

/// Width and height of a picture, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dimensions {
    /// The width.
    pub width: u32,
    /// The height.
    pub height: u32,
}

impl Dimensions {
    /// A square.
    pub fn square(side: u32) -> Self {
        Self { width: side, height: side }
    }

    /// The same picture, at most this wide.
    #[must_use]
    pub fn scaled_down_to(self, width: u32) -> Self {
        if width >= self.width {
            return self;
        }
        let height = u64::from(self.height) * u64::from(width) + u64::from(self.width / 2);
        let height = height / u64::from(self.width.max(1));
        Self { width, height: u32::try_from(height).unwrap_or(u32::MAX).max(1) }
    }
}

/// When a browser fetches a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Loading {
    /// Once it comes near the visible part of the page.
    #[default]
    Lazy,
    /// At once, before other pictures: for what is seen first.
    Eager,
}

/// An `<img>` with its attributes.
#[derive(Debug, Template)]
#[template(path = "snippets/image.html")]
pub(super) struct Image<'a> {
    pub(super) src: String,
    /// Empty where there is one size.
    pub(super) srcset: String,
    /// Empty where `srcset` is, or tells densities.
    pub(super) sizes: &'a str,
    pub(super) alt: &'a str,
    pub(super) class: Cow<'a, str>,
    /// The room that the picture takes before it is there, where it is known.
    pub(super) dimensions: Option<Dimensions>,
    pub(super) loading: Loading,
}

impl<'a> Image<'a> {
    /// The picture as it is, in one size.
    pub(super) fn plain(picture: &Picture<'_>, alt: &'a str, class: impl Into<Cow<'a, str>>) -> Self {
        Self {
            src: picture.url().to_owned(),
            srcset: String::new(),
            sizes: "",
            alt,
            class: class.into(),
            dimensions: None,
            loading: Loading::default(),
        }
    }

    /// The picture as a transformation makes it, also for screens with more pixels.
    pub(super) fn in_densities(
        self,
        picture: &Picture<'_>,
        transform: &Transform,
        original: Option<Dimensions>,
    ) -> Result<Self, SnippetError> {
        if picture.is_signed() {
            return Ok(self);
        }
        let (src, srcset) = densities(picture, transform, original)?;
        Ok(Self { src, srcset, ..self })
    }
}

/// The URL of a transformed picture, and the `srcset` for screens with more pixels.
pub(super) fn densities(
    picture: &Picture<'_>,
    transform: &Transform,
    original: Option<Dimensions>,
) -> Result<(String, String), SnippetError> {
    let srcset = density_srcset(picture, transform, &DENSITIES, original.map(|original| original.width))?;
    Ok((transform.build(picture)?, srcset))
}

/// Writes a template of ours.
pub(super) fn write(template: &impl Template) -> String {
    template.render().expect("templates fail where a filter or a value does, and ours have none that could")
}

/// Our class, and those of the caller.
pub(super) fn classes<'a>(ours: &'a str, added: &str) -> Cow<'a, str> {
    if added.is_empty() { ours.into() } else { format!("{ours} {added}").into() }
}
