//! Filters for Askama templates, by the toolkit's names and with its arguments and defaults.
//!
//! A template finds them where `filters` is in scope beside its struct: `use cfimages::snippets::filters;`, or
//! `pub use cfimages::snippets::filters::*;` in a module `filters` of the application with filters of its own.
//!
//! ```jinja
//! <img src="{{ product.url|cf_thumbnail(200) }}" alt="">
//! {{ product.url|cf_responsive_img("A red chair", sizes="50vw") }}
//! {{ photos|cf_image_gallery(columns=4) }}
//! {{ "avatar-form"|cf_upload_form(button_text="Send") }}
//! ```
//!
//! The first argument of the toolkit's tag stands before the bar; all others keep their order, and may be given by name. Numbers
//! that are not written out are dereferenced by their place, `cf_thumbnail(*size)`, or are those of the template itself:
//! `cf_thumbnail(size=self.size)`. How delivery URLs look is said by [`Site`],
//! which `render_with_values` hands on; without it, they are those of `imagedelivery.net`.
//!
//! | filter | arguments (defaults) | gives |
//! | --- | --- | --- |
//! | `cf_thumbnail` | `size` (150) | the URL of a square that is filled |
//! | `cf_avatar` | `size` (100) | the URL of a square around what catches the eye |
//! | `cf_hero_image` | `width` (1200), `height` (600) | the URL of a banner |
//! | `cf_product_image` | `size` (400) | the URL of a square on white that shows the whole picture |
//! | `cf_responsive_image` | `width`, `quality` (85) | the URL of a picture of at most this width |
//! | `cf_mobile_optimized` | `width` (400) | the URL of a picture for phones |
//! | `cf_image_transform` | `options` (`""`), `width`, `height`, `fit`, `gravity`, `quality`, `format`, `dpr`, `sharpen`, `blur`, `brightness`, `contrast`, `gamma`, `rotate`, `background` | the URL of any transformation: options as a text, `"width=300,height=200"`, or by their names; 0 and `""` leave one out |
//! | `cf_srcset` | `widths`, `quality` (85) | the attribute `srcset`, for widths such as `"320,640,1024"` |
//! | `cf_sizes` | | the attribute `sizes`, of `"max-width: 768px:100vw,default:800"` |
//! | `cf_is_cloudflare_url` | | whether a URL is one of the delivery of pictures |
//! | `cf_extract_id` | | the id of the image that a delivery URL shows, else an empty text |
//! | `cf_validate_url` | | whether a delivery URL can be used as it is |
//! | `cf_responsive_img` | `alt` (`""`), `css_class` (`""`), `widths` (`"320,640,1024"`), `quality` (85), `sizes` (`"100vw"`), `priority` (false), `width`, `height` | a [`ResponsiveImage`] |
//! | `cf_picture` | `alt` (`""`), `css_class` (`""`), `mobile_width` (400), `tablet_width` (768), `desktop_width` (1200), `priority` (false), `width`, `height` | a [`PictureElement`] |
//! | `cf_image_gallery` | `columns` (3), `thumbnail_size` (300) | a [`Gallery`] of a list of [`GalleryImage`] |
//! | `cf_upload_form` | `css_class` (`"cf-upload-form"`), `button_text` (`"Upload Image"`), `api_endpoint` (of the site), `next` (`""`) | an [`UploadForm`]; its id stands before the bar |
//!
//! `priority` is for what is seen first; `width` and `height` are those of the original, where both are known.
//!
//! What is missing shows nothing: an empty URL, `None`, and a URL that is no picture give an empty text, so that one bad row does
//! not take the page down. A size or an option out of its range is a mistake of the template, and fails the rendering. A
//! signed URL is given back as it is, because private pictures are delivered in named variants only.

#![expect(clippy::inline_always, reason = "the macro says so")]
#![expect(missing_docs, reason = "the macro makes types of the functions and drops what is written above them")]

use std::borrow::Cow;

use askama::Values;
use askama::filters::Safe;

use super::{
    Dimensions, Gallery, GalleryImage, Loading, PictureElement, ResponsiveImage, Site, SnippetError, UploadForm,
    parse_widths,
};
use crate::delivery::{DeliveryUrls, Picture, Preset, Transform, TransformError, parse_sizes, srcset};

/// What stands before the bar: a text, or one that may be missing.
pub trait ImageUrl {
    /// The URL; empty where there is none.
    fn image_url(&self) -> &str;
}

macro_rules! image_url {
    ($($text:ty),+) => {
        $(impl ImageUrl for $text {
            fn image_url(&self) -> &str {
                self
            }
        })+
    };
}

image_url!(str, String, Cow<'_, str>, Box<str>, std::sync::Arc<str>);

impl<T: ImageUrl + ?Sized> ImageUrl for &T {
    fn image_url(&self) -> &str {
        T::image_url(self)
    }
}

impl<T: ImageUrl> ImageUrl for Option<T> {
    fn image_url(&self) -> &str {
        self.as_ref().map_or("", T::image_url)
    }
}

/// A square thumbnail: its URL.
#[askama::filter_fn]
pub fn cf_thumbnail(url: impl ImageUrl, values: &dyn Values, #[optional(150)] size: u32) -> askama::Result<String> {
    preset_url(&url, values, Preset::Thumbnail { size })
}

/// A square around what catches the eye: its URL.
#[askama::filter_fn]
pub fn cf_avatar(url: impl ImageUrl, values: &dyn Values, #[optional(100)] size: u32) -> askama::Result<String> {
    preset_url(&url, values, Preset::Avatar { size })
}

/// A banner: its URL.
#[askama::filter_fn]
pub fn cf_hero_image(
    url: impl ImageUrl,
    values: &dyn Values,
    #[optional(1200)] width: u32,
    #[optional(600)] height: u32,
) -> askama::Result<String> {
    preset_url(&url, values, Preset::Hero { width, height })
}

/// A picture of at most this width, in its own ratio: its URL.
#[askama::filter_fn]
pub fn cf_responsive_image(
    url: impl ImageUrl,
    values: &dyn Values,
    width: u32,
    #[optional(85)] quality: u8,
) -> askama::Result<String> {
    preset_url(&url, values, Preset::Responsive { width, quality })
}

/// A square on white that shows the whole picture: its URL.
#[askama::filter_fn]
pub fn cf_product_image(url: impl ImageUrl, values: &dyn Values, #[optional(400)] size: u32) -> askama::Result<String> {
    preset_url(&url, values, Preset::Product { size })
}

/// A picture for phones: its URL.
#[askama::filter_fn]
pub fn cf_mobile_optimized(
    url: impl ImageUrl,
    values: &dyn Values,
    #[optional(400)] width: u32,
) -> askama::Result<String> {
    preset_url(&url, values, Preset::Mobile { width })
}

/// Any transformation: its URL. Options are a text such as `"width=300,height=200"`, or have names; both may be there. A number
/// 0 and an empty text leave an option out.
#[askama::filter_fn]
pub fn cf_image_transform(
    url: impl ImageUrl,
    values: &dyn Values,
    #[optional("")] options: &str,
    #[optional(0)] width: u32,
    #[optional(0)] height: u32,
    #[optional("")] fit: &str,
    #[optional("")] gravity: &str,
    #[optional(0)] quality: u32,
    #[optional("")] format: &str,
    #[optional(0.0)] dpr: f64,
    #[optional(0.0)] sharpen: f64,
    #[optional(0)] blur: u32,
    #[optional(0.0)] brightness: f64,
    #[optional(0.0)] contrast: f64,
    #[optional(0.0)] gamma: f64,
    #[optional(0)] rotate: u32,
    #[optional("")] background: &str,
) -> askama::Result<String> {
    let whole = [("width", width), ("height", height), ("quality", quality), ("blur", blur), ("rotate", rotate)];
    let decimal =
        [("dpr", dpr), ("sharpen", sharpen), ("brightness", brightness), ("contrast", contrast), ("gamma", gamma)];
    let words = [("fit", fit), ("gravity", gravity), ("format", format), ("background", background)];
    let named = (whole.into_iter().filter(|(_, value)| *value > 0).map(|(name, value)| (name, value.to_string())))
        .chain(decimal.into_iter().filter(|(_, value)| *value != 0.0).map(|(name, value)| (name, value.to_string())))
        .chain(words.into_iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value.to_owned())));
    let transform = transform_of(options, named).map_err(askama::Error::custom)?;
    transformed_url(&url, values, &transform)
}

/// The attribute `srcset`, for widths such as `"320,640,1024"`.
#[askama::filter_fn]
pub fn cf_srcset(
    url: impl ImageUrl,
    values: &dyn Values,
    widths: &str,
    #[optional(85)] quality: u8,
) -> askama::Result<String> {
    if widths.is_empty() {
        return Ok(String::new());
    }
    let widths = parse_widths(widths).map_err(askama::Error::custom)?;
    shown(&url, values, |picture| {
        if picture.is_signed() {
            return Ok(String::new());
        }
        let transform = Preset::Responsive { width: 1, quality }.transform()?;
        Ok(srcset(picture, &transform, &widths, None)?)
    })
}

/// The attribute `sizes`: `{{ "max-width: 768px:100vw,default:800"|cf_sizes }}` gives `(max-width: 768px) 100vw, 800px`.
#[askama::filter_fn]
pub fn cf_sizes(breakpoints: impl ImageUrl, _: &dyn Values) -> askama::Result<String> {
    Ok(parse_sizes(breakpoints.image_url()))
}

/// Whether a URL is one of the delivery of pictures.
#[askama::filter_fn]
pub fn cf_is_cloudflare_url(url: impl ImageUrl, values: &dyn Values) -> askama::Result<bool> {
    Ok(Site::of(values)?.urls.is_delivery_url(url.image_url()))
}

/// The id of the image that a delivery URL shows; empty for other URLs.
#[askama::filter_fn]
pub fn cf_extract_id(url: impl ImageUrl, values: &dyn Values) -> askama::Result<String> {
    Ok(Site::of(values)?.urls.extract_id(url.image_url()).unwrap_or_default())
}

/// Whether a delivery URL can be used as it is.
#[askama::filter_fn]
pub fn cf_validate_url(url: impl ImageUrl, values: &dyn Values) -> askama::Result<bool> {
    Ok(Site::of(values)?.urls.validate(url.image_url()).is_ok())
}

/// A [`ResponsiveImage`]. After the toolkit's arguments: whether the picture is seen first, and the size of the original, where it
/// is known (0 where not).
#[askama::filter_fn]
pub fn cf_responsive_img(
    url: impl ImageUrl,
    values: &dyn Values,
    #[optional("")] alt: &str,
    #[optional("")] css_class: &str,
    #[optional("320,640,1024")] widths: &str,
    #[optional(85)] quality: u8,
    #[optional("100vw")] sizes: &str,
    #[optional(false)] priority: bool,
    #[optional(0)] width: u32,
    #[optional(0)] height: u32,
) -> askama::Result<Safe<String>> {
    let widths = parse_widths(widths).map_err(askama::Error::custom)?;
    let image = ResponsiveImage {
        url: url.image_url(),
        alt,
        class: css_class,
        widths: &widths,
        quality,
        sizes,
        original: original(width, height),
        loading: loading(priority),
    };
    html(image.html(&Site::of(values)?.urls))
}

/// A [`PictureElement`]. After the toolkit's arguments as [`cf_responsive_img`].
#[askama::filter_fn]
pub fn cf_picture(
    url: impl ImageUrl,
    values: &dyn Values,
    #[optional("")] alt: &str,
    #[optional("")] css_class: &str,
    #[optional(400)] mobile_width: u32,
    #[optional(768)] tablet_width: u32,
    #[optional(1200)] desktop_width: u32,
    #[optional(false)] priority: bool,
    #[optional(0)] width: u32,
    #[optional(0)] height: u32,
) -> askama::Result<Safe<String>> {
    let picture = PictureElement {
        url: url.image_url(),
        alt,
        class: css_class,
        mobile_width,
        tablet_width,
        desktop_width,
        original: original(width, height),
        loading: loading(priority),
    };
    html(picture.html(&Site::of(values)?.urls))
}

/// A [`Gallery`].
#[askama::filter_fn]
pub fn cf_image_gallery<'a>(
    images: impl AsRef<[GalleryImage<'a>]>,
    values: &dyn Values,
    #[optional(3)] columns: u32,
    #[optional(300)] thumbnail_size: u32,
) -> askama::Result<Safe<String>> {
    let gallery = Gallery { columns, thumbnail_size, ..Gallery::new(images.as_ref()) };
    html(gallery.html(&Site::of(values)?.urls))
}

/// An [`UploadForm`]; its id stands before the bar. After the toolkit's arguments: where the browser goes on.
#[askama::filter_fn]
pub fn cf_upload_form(
    form_id: impl ImageUrl,
    values: &dyn Values,
    #[optional("cf-upload-form")] css_class: &str,
    #[optional("Upload Image")] button_text: &str,
    #[optional("")] api_endpoint: &str,
    #[optional("")] next: &str,
) -> askama::Result<Safe<String>> {
    let site = Site::of(values)?;
    let own_endpoint = format!("{}/api/upload-url/", site.url_prefix);
    let form = UploadForm {
        form_id: form_id.image_url(),
        css_class,
        button_text,
        api_endpoint: if api_endpoint.is_empty() { &own_endpoint } else { api_endpoint },
        next: Some(next).filter(|next| !next.is_empty()),
        csrf_token: site.csrf_token.as_deref(),
        ..UploadForm::default()
    };
    html(form.html())
}

fn preset_url(url: &impl ImageUrl, values: &dyn Values, preset: Preset) -> askama::Result<String> {
    transformed_url(url, values, &preset.transform().map_err(askama::Error::custom)?)
}

fn transformed_url(url: &impl ImageUrl, values: &dyn Values, transform: &Transform) -> askama::Result<String> {
    shown(
        url,
        values,
        |picture| {
            if picture.is_signed() { Ok(picture.url().to_owned()) } else { Ok(transform.build(picture)?) }
        },
    )
}

/// What is made of the picture; nothing where there is none.
fn shown(
    url: &impl ImageUrl,
    values: &dyn Values,
    make: impl FnOnce(&Picture<'_>) -> Result<String, SnippetError>,
) -> askama::Result<String> {
    let urls: &DeliveryUrls = &Site::of(values)?.urls;
    let picture = Picture::new(urls, url.image_url()).map_err(SnippetError::from);
    unless_missing(picture.and_then(|picture| make(&picture)))
}

fn html(made: Result<String, SnippetError>) -> askama::Result<Safe<String>> {
    unless_missing(made).map(Safe)
}

/// A URL that shows no picture is no mistake of the template.
fn unless_missing(made: Result<String, SnippetError>) -> askama::Result<String> {
    match made {
        Err(SnippetError::Picture(_)) => Ok(String::new()),
        made => made.map_err(askama::Error::custom),
    }
}

fn transform_of(
    options: &str,
    named: impl Iterator<Item = (&'static str, String)>,
) -> Result<Transform, TransformError> {
    let mut transform = if options.trim().is_empty() { Transform::new() } else { options.parse()? };
    for (name, value) in named {
        transform.set(name, &value)?;
    }
    Ok(transform)
}

fn original(width: u32, height: u32) -> Option<Dimensions> {
    (width > 0 && height > 0).then_some(Dimensions { width, height })
}

fn loading(priority: bool) -> Loading {
    if priority { Loading::Eager } else { Loading::Lazy }
}
