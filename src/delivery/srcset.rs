//! `srcset` and `sizes`: what lets browsers choose among sizes of one picture.

use std::fmt::Write as _;

use super::{Picture, Transform, TransformError};

/// The attribute `srcset` with width descriptors: the picture in each of these widths, in this order and each once.
///
/// Where the width of the original is known, none is wider: in place of those there is one of exactly its width.
///
/// upstream: `CloudflareImageUtils.get_srcset`
///
/// # Errors
/// If a width is not from 1 to 12000, or the transformation has a `dpr` or cannot be built.
///
/// # Examples
/// ```
/// use cfimages::delivery::{DeliveryUrls, Picture, Transform, srcset};
///
/// let urls = DeliveryUrls::default();
/// let picture = Picture::new(&urls, "https://imagedelivery.net/hash/id/public")?;
/// assert_eq!(
///     srcset(&picture, &Transform::new(), &[320, 640, 1280], Some(1000))?,
///     "https://imagedelivery.net/hash/id/width=320 320w, https://imagedelivery.net/hash/id/width=640 640w, \
///      https://imagedelivery.net/hash/id/width=1000 1000w",
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn srcset(
    picture: &Picture<'_>,
    transform: &Transform,
    widths: &[u32],
    original_width: Option<u32>,
) -> Result<String, TransformError> {
    refuse_dpr(transform)?;
    let mut candidates = String::new();
    for width in available_widths(widths, original_width) {
        let url = transform.clone().width(width)?.build(picture)?;
        add_candidate(&mut candidates, &url, format_args!("{width}w"));
    }
    Ok(candidates)
}

/// The attribute `srcset` with density descriptors, for a picture whose size on the page is fixed: `1x`, and each of these
/// densities (1.0 to 3.0) for which the original has enough pixels, as far as its width is known.
///
/// # Errors
/// If a density is not from 1 to 3, or the transformation has a `dpr` or cannot be built.
pub fn density_srcset(
    picture: &Picture<'_>,
    transform: &Transform,
    densities: &[f64],
    original_width: Option<u32>,
) -> Result<String, TransformError> {
    refuse_dpr(transform)?;
    let mut candidates = String::new();
    add_candidate(&mut candidates, &transform.build(picture)?, format_args!("1x"));
    let mut seen = vec![1.0];
    for &density in densities {
        let denser = transform.clone().dpr(density)?;
        if seen.contains(&density) || !has_enough_pixels(transform, density, original_width) {
            continue;
        }
        seen.push(density);
        add_candidate(&mut candidates, &denser.build(picture)?, format_args!("{density}x"));
    }
    Ok(candidates)
}

/// Descriptors would say something else than the pictures are.
fn refuse_dpr(transform: &Transform) -> Result<(), TransformError> {
    match transform.pixel_ratio() {
        Some(_) => Err(TransformError::Unusable {
            option: "dpr",
            reason: "is what the descriptors of a srcset say; leave it out",
        }),
        None => Ok(()),
    }
}

fn has_enough_pixels(transform: &Transform, density: f64, original_width: Option<u32>) -> bool {
    match (transform.width_in_pixels(), original_width) {
        (Some(width), Some(original)) => f64::from(width) * density <= f64::from(original),
        _ => true,
    }
}

/// The widths that a picture can be had in without enlarging it, each once.
fn available_widths(widths: &[u32], original_width: Option<u32>) -> Vec<u32> {
    let mut available = Vec::with_capacity(widths.len());
    for &width in widths {
        let width = original_width.filter(|_| width > 0).map_or(width, |original| width.min(original.max(1)));
        if !available.contains(&width) {
            available.push(width);
        }
    }
    available
}

/// Adds a candidate. A comma at the end of a URL would be taken for the separator, so it is encoded.
fn add_candidate(candidates: &mut String, url: &str, descriptor: std::fmt::Arguments<'_>) {
    if !candidates.is_empty() {
        candidates.push_str(", ");
    }
    match url.strip_suffix(',') {
        Some(url) => candidates.extend([url, "%2C"]),
        None => candidates.push_str(url),
    }
    let _ = write!(candidates, " {descriptor}");
}

/// The attribute `sizes`, of how wide the picture is shown under which condition: pairs of a media query such as
/// `max-width: 768px` and a width, and `default` for all other cases. Plain numbers are pixels; other lengths, such as
/// `100vw`, stay as they are.
///
/// upstream: `CloudflareImageUtils.get_sizes_attribute`
///
/// # Examples
/// ```
/// use cfimages::delivery::sizes;
///
/// assert_eq!(sizes([("max-width: 768px", "100vw"), ("default", "800")]), "(max-width: 768px) 100vw, 800px");
/// ```
pub fn sizes<'a>(breakpoints: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut attribute = String::new();
    for (condition, width) in breakpoints {
        if !attribute.is_empty() {
            attribute.push_str(", ");
        }
        if condition != "default" {
            let _ = write!(attribute, "({condition}) ");
        }
        attribute.push_str(width);
        if !width.is_empty() && width.bytes().all(|byte| byte.is_ascii_digit()) {
            attribute.push_str("px");
        }
    }
    attribute
}

/// The same from a text: `max-width: 768px:100vw,max-width: 1024px:50vw,default:800`. Parts without a colon are left out.
///
/// Compat: the last colon of a part is what separates, and the unit of a width stays.
///
/// upstream: `cf_sizes`
pub fn parse_sizes(breakpoints: &str) -> String {
    let pairs = breakpoints.split(',').filter_map(|part| part.rsplit_once(':'));
    sizes(pairs.map(|(condition, width)| (condition.trim(), width.trim())))
}
