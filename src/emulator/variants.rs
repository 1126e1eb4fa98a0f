//! The named variants of the account, and `images/v1/variants` in the REST API.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::delivery::{Fit, Metadata, Resolved, Transform, Width};

use super::envelope::{self, ApiError, Payload};
use super::{Account, Error};

/// The variant that every account has.
const PUBLIC: &str = "public";
/// Variants an account may have.
const MAX_VARIANTS: usize = 100;
/// Characters a name may have.
const MAX_NAME: usize = 99;
/// Pixels a side may have.
const MAX_SIDE: u32 = 12_000;
/// Seconds that browsers may be told to keep a picture.
pub(super) const BROWSER_TTL: std::ops::RangeInclusive<u32> = 3600..=31_536_000;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "VariantObject", into = "VariantObject")]
pub struct Variant {
    name: String,
    fit: Fit,
    width: Option<u32>,
    height: Option<u32>,
    metadata: Metadata,
    browser_ttl: Option<u32>,
    never_require_signed_urls: bool,
}

/// A variant as the API shows it, and as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct VariantObject {
    id: String,
    options: Options,
    #[serde(rename = "neverRequireSignedURLs", default)]
    never_require_signed_urls: bool,
}

/// What is done to pictures. UNCONFIRMED, and chosen here: all but `fit` may be left out, as in examples of Cloudflare's.
#[derive(Clone, Serialize, Deserialize)]
struct Options {
    fit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(default = "copyright")]
    metadata: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    browser_ttl: Option<u32>,
}

fn copyright() -> String {
    Metadata::Copyright.as_str().to_owned()
}

impl TryFrom<VariantObject> for Variant {
    type Error = &'static str;

    fn try_from(object: VariantObject) -> Result<Self, Self::Error> {
        let VariantObject { id, options, never_require_signed_urls } = object;
        let fit = Fit::ALL.iter().find(|fit| fit.as_str() == options.fit);
        let metadata = Metadata::ALL.iter().find(|metadata| metadata.as_str() == options.metadata);
        let variant = Self {
            name: id,
            fit: *fit.ok_or(WRONG_FIT)?,
            width: options.width,
            height: options.height,
            metadata: *metadata.ok_or("variants keep one of the metadata keep, copyright and none")?,
            browser_ttl: options.browser_ttl,
            never_require_signed_urls,
        };
        variant.check()?;
        Ok(variant)
    }
}

impl From<Variant> for VariantObject {
    fn from(variant: Variant) -> Self {
        let Variant { name, fit, width, height, metadata, browser_ttl, never_require_signed_urls } = variant;
        let (fit, metadata) = (fit.as_str().to_owned(), metadata.as_str().to_owned());
        Self { id: name, options: Options { fit, width, height, metadata, browser_ttl }, never_require_signed_urls }
    }
}

const WRONG_FIT: &str = "variants have one of the fits scale-down, contain, cover, crop and pad";

impl Variant {
    /// A variant that brings pictures into a box of `width` by `height` pixels, 1 to 12000 each, in one of the ways that
    /// variants have: scale-down, contain, cover, crop or pad.
    ///
    /// The name is 1 to 99 ASCII letters and digits. [`Emulator::open`](super::Emulator::open) refuses others.
    pub fn new(name: impl Into<String>, fit: Fit, width: u32, height: u32) -> Self {
        Self {
            name: name.into(),
            fit,
            width: Some(width),
            height: Some(height),
            metadata: Metadata::Copyright,
            browser_ttl: None,
            never_require_signed_urls: false,
        }
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

    /// How many seconds browsers keep its pictures, where it is not for the account to say.
    pub(super) fn browser_ttl(&self) -> Option<u32> {
        self.browser_ttl
    }

    /// What is done to pictures.
    pub(super) fn options(&self) -> Resolved {
        let Self { fit, width, height, metadata, .. } = *self;
        let width = width.map(Width::Pixels);
        Resolved { fit, height, metadata, width, ..Transform::new().resolved() }
    }

    fn check(&self) -> Result<(), &'static str> {
        let is_word = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric());
        if !(1..=MAX_NAME).contains(&self.name.len()) || !is_word(&self.name) {
            return Err("the names of variants must be 1 to 99 letters and digits");
        }
        if !FITS.contains(&self.fit) {
            return Err(WRONG_FIT);
        }
        if self.browser_ttl.is_some_and(|seconds| !BROWSER_TTL.contains(&seconds)) {
            return Err("browser_ttl must be 3600 to 31536000 seconds");
        }
        let has_size = [self.width, self.height].into_iter().flatten().all(|side| (1..=MAX_SIDE).contains(&side));
        if has_size { Ok(()) } else { Err("the sides of variants must be 1 to 12000 pixels") }
    }
}

/// The variants of the account, `public` first and the others in the order they were made.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Vec<Variant>")]
pub(super) struct Variants(Vec<Variant>);

impl TryFrom<Vec<Variant>> for Variants {
    type Error = Error;

    fn try_from(variants: Vec<Variant>) -> Result<Self, Error> {
        Self::new(variants)
    }
}

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

    /// Adds a variant. The code for too many is UNCONFIRMED.
    fn add(&mut self, variant: Variant) -> Result<(), ApiError> {
        if self.find(&variant.name).is_some() {
            return Err(ApiError::already_exists());
        }
        if self.0.len() >= MAX_VARIANTS {
            return Err(ApiError::new(StatusCode::FORBIDDEN, 5453, "An account has at most 100 variants"));
        }
        self.0.push(variant);
        Ok(())
    }

    fn replace(&mut self, variant: Variant) -> Result<(), ApiError> {
        let same = self.0.iter_mut().find(|other| other.name == variant.name);
        *same.ok_or_else(not_found)? = variant;
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), ApiError> {
        self.find(name).ok_or_else(not_found)?;
        if name == PUBLIC {
            return Err(ApiError::bad_request("The variant public cannot be deleted"));
        }
        self.0.retain(|variant| variant.name != name);
        Ok(())
    }
}

#[derive(Serialize)]
struct VariantResult<'a> {
    variant: &'a Variant,
}

#[derive(Serialize)]
struct VariantMap<'a> {
    variants: BTreeMap<&'a str, &'a Variant>,
}

/// The body of `PATCH`.
#[derive(Deserialize)]
struct Update {
    options: Options,
    #[serde(rename = "neverRequireSignedURLs")]
    never_require_signed_urls: Option<bool>,
}

/// `GET images/v1/variants`: all of them, by their names.
pub(super) async fn list(State(account): State<Arc<Account>>) -> Response {
    let variants = account.variants.get();
    envelope::success(VariantMap { variants: variants.0.iter().map(|variant| (variant.name(), variant)).collect() })
}

/// `POST images/v1/variants`
pub(super) async fn create(State(account): State<Arc<Account>>, Payload(body): Payload) -> Result<Response, ApiError> {
    let variant: Variant = envelope::parse(&body)?;
    let added = variant.clone();
    account.variants.change(|variants| variants.add(added)).await?;
    Ok(envelope::success(VariantResult { variant: &variant }))
}

/// `GET images/v1/variants/{id}`
pub(super) async fn show(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let variants = account.variants.get();
    let variant = variants.find(&id).ok_or_else(not_found)?;
    Ok(envelope::success(VariantResult { variant }))
}

/// `GET images/v1/variants/{id}/flat`
pub(super) async fn show_flat(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    Ok(envelope::success(account.variants.get().find(&id).ok_or_else(not_found)?))
}

/// `PATCH images/v1/variants/{id}`: new options take the place of all the old. UNCONFIRMED, and chosen here: whether it needs a
/// signature stays where nothing is said of that.
pub(super) async fn update(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let Update { options, never_require_signed_urls } = envelope::parse(&body)?;
    let change = move |variants: &mut Variants| {
        let before = variants.find(&id).ok_or_else(not_found)?;
        let never_require_signed_urls = never_require_signed_urls.unwrap_or(before.never_require_signed_urls);
        let variant = Variant::try_from(VariantObject { id, options, never_require_signed_urls });
        let variant = variant.map_err(ApiError::bad_request)?;
        variants.replace(variant.clone())?;
        Ok::<_, ApiError>(variant)
    };
    let variant = account.variants.change(change).await?;
    Ok(envelope::success(VariantResult { variant: &variant }))
}

/// `DELETE images/v1/variants/{id}`
pub(super) async fn delete(
    State(account): State<Arc<Account>>,
    Path((_, id)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    account.variants.change(move |variants| variants.remove(&id)).await?;
    Ok(envelope::success(serde_json::Map::new()))
}

fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, 5401, "Variant not found")
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
