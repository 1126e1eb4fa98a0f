//! The named variants of the account.

use super::Error;
use super::transform::Resize;

/// The variant that every account has.
const PUBLIC: &str = "public";
/// Variants an account may have.
const MAX_VARIANTS: usize = 100;
/// Characters a name may have.
const MAX_NAME: usize = 99;

/// A named form in which pictures are delivered.
///
/// # Examples
/// ```
/// use cfimages::emulator::Variant;
///
/// let variants = [Variant::public(), Variant::scale_down("thumbnail", 300, 300)];
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variant {
    name: String,
    resize: Resize,
    never_require_signed_urls: bool,
}

impl Variant {
    /// A variant that shrinks pictures until they fit `width` by `height` pixels, each at least 1, and never enlarges them.
    ///
    /// The name is 1 to 99 ASCII letters and digits; [`Emulator::open`](super::Emulator::open) refuses others.
    pub fn scale_down(name: impl Into<String>, width: u32, height: u32) -> Self {
        let resize = Resize::ScaleDown { width, height };
        Self { name: name.into(), resize, never_require_signed_urls: false }
    }

    /// The variant `public` as accounts have it from the start: scaled down to 1366 by 768 pixels.
    pub fn public() -> Self {
        Self::scale_down(PUBLIC, 1366, 768)
    }

    /// The same variant, but delivered without a signature even where the image is private.
    #[must_use]
    pub fn never_require_signed_urls(mut self) -> Self {
        self.never_require_signed_urls = true;
        self
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
    pub(super) fn resize(&self) -> Resize {
        self.resize
    }

    fn check(&self) -> Result<(), &'static str> {
        let Resize::ScaleDown { width, height } = self.resize;
        if !(1..=MAX_NAME).contains(&self.name.len()) || !self.name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err("the names of variants must be 1 to 99 letters and digits");
        }
        if width == 0 || height == 0 { Err("the sides of variants must be at least 1 pixel") } else { Ok(()) }
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
            [one("a", 1), one("a", 2)].concat(),
            (0..100).map(|n| Variant::scale_down(format!("v{n}"), 1, 1)).collect(),
        ] {
            assert!(Variants::new(variants.clone()).is_err(), "{variants:?}");
        }
    }
}
