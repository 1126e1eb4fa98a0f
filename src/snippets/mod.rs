//! Ready HTML for pictures: one struct per fragment, and [`filters`] by the toolkit's names for Askama templates.
//!
//! Pure: no I/O. Usable as a library with `--no-default-features --features snippets`.
//!
//! A fragment is a struct whose fields are what it shows and how; `new` fills in the defaults, and `html` writes it. Whatever a
//! field holds is escaped, and a URL that is none of the web is refused, so fields may come from users, but for the
//! endpoint of an [`UploadForm`], which a script comes from. The classes that
//! fragments bear are styled by `static/cfimages-snippets.css`; nothing needs inline styles, so a strict `Content-Security-Policy`
//! holds.
//!
//! A private picture is delivered in named variants only. Where a URL is signed, fragments show it as it is, in one size.
//!
//! # Examples
//! ```
//! use cfimages::delivery::DeliveryUrls;
//! use cfimages::snippets::Avatar;
//!
//! let avatar = Avatar { size: 64, alt: "Ada", ..Avatar::new("https://imagedelivery.net/hash/id/public") };
//! let html = avatar.html(&DeliveryUrls::default())?;
//! assert!(html.starts_with(r#"<img class="cf-avatar""#));
//! assert!(html.contains(r#"width="64" height="64" alt="Ada""#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
pub mod filters;
mod gallery;
mod image;
mod picture_element;
mod responsive_image;
mod site;
mod square;
#[cfg(test)]
mod tests;
mod transformed;
mod upload_form;

pub use error::SnippetError;
pub use gallery::{Gallery, GalleryImage};
pub use image::{Dimensions, Loading};
pub use picture_element::PictureElement;
pub use responsive_image::{DEFAULT_WIDTHS, ResponsiveImage, parse_widths};
pub use site::Site;
pub use square::{Avatar, Thumbnail};
pub use transformed::TransformedImage;
pub use upload_form::UploadForm;
