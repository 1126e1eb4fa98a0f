//! The named variants of the account.

use super::Error;
use crate::delivery::{Fit, Metadata, Resolved, Transform, Width};

/// The variant that every account has.
const PUBLIC: &str = "public";
/// Variants an account may have.
const MAX_VARIANTS: usize = 100;
/// Characters a name may have.
const MAX_NAME: usize = 99;
/// Pixels a side may have.
const MAX_SIDE: u32 = 12_000;
/// The ways into the box that variants have; flexible variants have more.
const FITS: [Fit; 5] = [Fit::ScaleDown, Fit::Contain, Fit::Cover, Fit::Crop, Fit::Pad];

/// A named form in which pictures are delivered.
///
/// # Examples
/// ```
/// use cfimages::delivery::Fit;
/// use cfimages::emulator::Variant;
///
/// let variants = [Variant::public(), Variant::new("card", Fit::Cover, 400, 300)];
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    name: String,
    fit: Fit,
    width: u32,
    height: u32,
    metadata: Metadata,
    never_require_signed_urls: bool,
}

impl Variant {
    /// A variant that brings pictures into a box of `width` by `height` pixels, 1 to 12000 each, in one of the ways that
    /// variants have: scale-down, contain, cover, crop or pad.
    ///
    /// The name is 1 to 99 ASCII letters and digits. [`Emulator::open`](super::Emulator::open) refuses others.
    pub fn new(name: impl Into<String>, fit: Fit, width: u32, height: u32) -> Self {
        let metadata = Metadata::Copyright;
        Self { name: name.into(), fit, width, height, metadata, never_require_signed_urls: false }
    }

    /// A variant that shrinks pictures until they fit into the box, and never enlarges them.
    pub fn scale_down(name: impl Into<String>, width: u32, height: u32) -> Self {
        Self::new(name, Fit::ScaleDown, width, height)
    }

    /// The variant `public` as accounts have it from the start: scaled down to 1366 by 768 pixels.
    pub fn public() -> Self {
        Self::scale_down(PUBLIC, 1366, 768)
    }

    /// The same variant, but delivered without a signature even where the image is private.
    #[must_use]
    pub fn never_require_signed_urls(self) -> Self {
        Self { never_require_signed_urls: true, ..self }
    }

    /// The same variant with other metadata kept; without this it is the copyright notice.
    #[must_use]
    pub fn metadata(self, metadata: Metadata) -> Self {
        Self { metadata, ..self }
    }

    /// Whether the variant of a private image takes a signature.
    pub(super) fn requires_signature(&self) -> bool {
        !self.never_require_signed_urls
    }

    /// The name in URLs.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is done to pictures.
    pub(super) fn options(&self) -> Resolved {
        let Self { fit, width, height, metadata, .. } = *self;
        let width = Some(Width::Pixels(width));
        Resolved { fit, width, height: Some(height), metadata, ..Transform::new().resolved() }
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_word = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !(1..=MAX_NAME).contains(&self.name.len()) || !is_word(&self.name) {
            return Err("the names of variants must be 1 to 99 letters and digits");
        }
        if !FITS.contains(&self.fit) {
            return Err("variants have one of the fits scale-down, contain, cover, crop and pad");
        }
        let has_size = [self.width, self.height].into_iter().all(|side| (1..=MAX_SIDE).contains(&side));
        if has_size { Ok(()) } else { Err("the sides of variants must be 1 to 12000 pixels") }
    }
}

/// The variants of the account, `public` first and the others in the order they were given.
#[derive(Debug)]
pub(super) struct Variants(Vec<Variant>);

impl Variants {
    /// Checks the variants and puts them into order.
    pub(super) fn new(mut variants: Vec<Variant>) -> Result<Self, Error> {
        let refuse = |problem| Error::Setting { setting: "variants", problem };
        if !variants.iter().any(|variant| variant.name == PUBLIC) {
            variants.push(Variant::public());
        }
        variants.sort_by_key(|variant| variant.name != PUBLIC);
        if variants.len() > MAX_VARIANTS {
            return Err(refuse("an account has at most 100 variants"));
        }
        for (at, variant) in variants.iter().enumerate() {
            variant.check().map_err(refuse)?;
            if variants[..at].iter().any(|other| other.name == variant.name) {
                return Err(refuse("the names of variants must differ"));
            }
        }
        Ok(Self(variants))
    }

    /// The variant of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Variant> {
        self.0.iter().find(|variant| variant.name == name)
    }

    /// The names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Variant::name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_is_always_there_and_first() {
        let variants = Variants::new(vec![Variant::scale_down("thumbnail", 300, 300)]).unwrap();
        assert_eq!(variants.names().collect::<Vec<_>>(), ["public", "thumbnail"]);
        assert_eq!(variants.find("public"), Some(&Variant::public()));
        let own = Variant::scale_down("public", 10, 10);
        let variants = Variants::new(vec![Variant::scale_down("a", 1, 1), own.clone()]).unwrap();
        assert_eq!(variants.find("public"), Some(&own));
        assert_eq!(variants.names().collect::<Vec<_>>(), ["public", "a"]);
    }

    #[test]
    fn bad_variants_are_refused() {
        let one = |name: &str, width| vec![Variant::scale_down(name, width, 1)];
        for variants in [
            one("", 1),
            one("a b", 1),
            one("w=1", 1),
            one("é", 1),
            one(&"x".repeat(100), 1),
            one("a", 0),
            one("a", 12_001),
            vec![Variant::new("a", Fit::Squeeze, 1, 1)],
            [one("a", 1), one("a", 2)].concat(),
            (0..100).map(|n| Variant::scale_down(format!("v{n}"), 1, 1)).collect(),
        ] {
            assert!(Variants::new(variants.clone()).is_err(), "{variants:?}");
        }
    }
}
