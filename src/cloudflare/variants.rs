//! The named variants: forms in which all pictures of the account are delivered.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json::{from_result, lenient, or_default};
use super::transport::segment_of;
use super::{Client, Error, Operation};

const VARIANTS: &str = "images/v1/variants";

/// A named variant, as it is read and as it is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// The name in delivery URLs: 1 to 99 ASCII letters and digits.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// What is done to pictures.
    #[serde(default, deserialize_with = "or_default")]
    pub options: VariantOptions,
    /// Whether it is public though the image is private.
    #[serde(default, rename = "neverRequireSignedURLs", deserialize_with = "or_default")]
    pub never_require_signed_urls: bool,
}

/// What a variant does to pictures.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct VariantOptions {
    /// How a picture is brought into the box.
    #[serde(default, deserialize_with = "or_default")]
    pub fit: VariantFit,
    /// The width of the box in pixels.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// The height of the box in pixels.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Which metadata of the file is kept.
    #[serde(default, deserialize_with = "or_default")]
    pub metadata: VariantMetadata,
    /// How long browsers may keep a picture, in seconds: 3,600 to 31,536,000.
    #[serde(default, deserialize_with = "lenient", skip_serializing_if = "Option::is_none")]
    pub browser_ttl: Option<u32>,
    /// All other options, as Cloudflare told them.
    #[serde(flatten)]
    pub others: Map<String, Value>,
}

/// How a variant brings pictures into its box.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariantFit {
    /// Shrinks them until they fit.
    #[default]
    ScaleDown,
    /// Shrinks or enlarges them until they fit.
    Contain,
    /// Fills the box, and cuts off what stands over.
    Cover,
    /// The same without enlarging.
    Crop,
    /// As `contain`, and fills up the rest.
    Pad,
    /// Something else.
    #[serde(untagged)]
    Other(String),
}

/// Which metadata of the file a variant keeps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VariantMetadata {
    /// Nothing.
    #[default]
    None,
    /// The copyright notice.
    Copyright,
    /// All of it.
    Keep,
    /// Something else.
    #[serde(untagged)]
    Other(String),
}

/// What is to be changed in a variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariantUpdate {
    /// Take the place of all options.
    pub options: VariantOptions,
    /// Whether it is public though the image is private; stays as it is where absent.
    #[serde(rename = "neverRequireSignedURLs", skip_serializing_if = "Option::is_none")]
    pub never_require_signed_urls: Option<bool>,
}

impl Client {
    /// The variants of the account that can be read, by name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list_variants(&self) -> Result<Vec<Variant>, Error> {
        variants_in(&self.transport.call(Operation::ListVariants, |account| account.get(VARIANTS)).await?)
    }

    /// A variant.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is none.
    pub async fn get_variant(&self, id: &str) -> Result<Variant, Error> {
        let path = path(id)?;
        variant_in(&self.transport.call(Operation::GetVariant, |account| account.get(&path)).await?)
    }

    /// Makes a variant; the answer says what it is like. An account has 100 at most.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_variant(&self, variant: &Variant) -> Result<Variant, Error> {
        variant_in(&self.write(Operation::CreateVariant, Method::POST, VARIANTS, variant).await?)
    }

    /// Changes a variant, of which Cloudflare forgets all delivered pictures.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is none.
    pub async fn update_variant(&self, id: &str, update: &VariantUpdate) -> Result<Variant, Error> {
        variant_in(&self.write(Operation::UpdateVariant, Method::PATCH, &path(id)?, update).await?)
    }

    /// Deletes a variant, and with it the URLs that name it. One that is not there counts as deleted; `public` stays.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_variant(&self, id: &str) -> Result<(), Error> {
        self.delete(Operation::DeleteVariant, &path(id)?).await
    }
}

fn path(id: &str) -> Result<String, Error> {
    Ok(format!("{VARIANTS}/{}", segment_of(id)?))
}

fn variant_in(result: &RawValue) -> Result<Variant, Error> {
    #[derive(Deserialize)]
    struct Answer {
        variant: Variant,
    }
    Ok(from_result::<Answer>(result, "it has no variant")?.variant)
}

/// Reads a map of variants, whose keys are their names.
fn variants_in(result: &RawValue) -> Result<Vec<Variant>, Error> {
    #[derive(Deserialize)]
    struct Answer {
        variants: BTreeMap<String, Value>,
    }
    let answer: Answer = from_result(result, "it has no variants")?;
    let named = |(id, value): (String, Value)| {
        let value = value.is_object().then_some(value)?;
        Some(Variant { id, ..serde_json::from_value(value).ok()? })
    };
    Ok(answer.variants.into_iter().filter_map(named).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(json: &str) -> Result<Vec<Variant>, Error> {
        variants_in(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn variants_are_read_in_every_form() {
        let variants = list(
            r#"{"variants":{"public":{"id":"public","options":{"fit":"scale-down","width":1366,"height":768,"metadata":"none"},
            "neverRequireSignedURLs":true},"bare":{},"new":{"options":{"fit":"melt","blur":3,"width":"wide","metadata":null}},"odd":7}}"#,
        )
        .unwrap();
        let ids: Vec<_> = variants.iter().map(|variant| variant.id.as_str()).collect();
        assert_eq!(ids, ["bare", "new", "public"]);
        assert_eq!(variants[1].options.fit, VariantFit::Other("melt".to_owned()));
        assert_eq!(variants[1].options.others, Map::from_iter([("blur".to_owned(), json!(3))]));
        let public = &variants[2];
        assert_eq!((public.options.width, public.options.height), (Some(1366), Some(768)));
        assert!(public.never_require_signed_urls);
        for json in ["{}", "[]", r#"{"variants":[]}"#, r#"{"variants":null}"#] {
            assert!(matches!(list(json), Err(Error::Malformed(_))), "{json}");
        }
    }

    #[test]
    fn what_is_read_can_be_sent_back() {
        let variant = json!({"id": "hero", "neverRequireSignedURLs": false,
            "options": {"fit": "pad", "width": 10, "metadata": "keep", "browser_ttl": 3600, "blur": 3}});
        let read: Variant = serde_json::from_value(variant.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), variant);
    }
}
