//! Where images are used: rows of `cloudflare_image_usages`.

use std::fmt;
use std::str::FromStr;

use super::{CloudflareId, ImageId, Timestamp};

/// A reference of some content to an image.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct ImageUsage {
    /// The row's number.
    pub id: i64,
    /// The image at Cloudflare that the content names.
    pub cloudflare_id: CloudflareId,
    /// The image's record here; none for images that are not recorded.
    pub image_id: Option<ImageId>,
    /// The application of the content's model: `shop`.
    pub app_label: String,
    /// The model of the content, in lower case: `product`.
    pub model: String,
    /// The key of the content, as text.
    pub object_id: String,
    /// The field of the content that names the image, or a label of the application's own.
    pub field_name: String,
    /// When the reference was recorded.
    pub created_at: Timestamp,
    /// When the reference was last recorded anew.
    pub updated_at: Timestamp,
}

impl ImageUsage {
    /// The field name of references that applications record themselves, where they give no other.
    pub const MANUAL_FIELD_NAME: &str = "manual";

    /// The model of the content as `app_label.model`.
    pub fn content_type(&self) -> String {
        format!("{}.{}", self.app_label, self.model)
    }

    /// Whether the content names an image that is not recorded here.
    pub fn is_unregistered(&self) -> bool {
        self.image_id.is_none()
    }
}

/// The model of some content, a row of `django_content_type`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContentType {
    /// The application: `shop`.
    pub app_label: String,
    /// The model: `product`.
    pub model: String,
}

/// Why a text does not name a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseContentTypeError {
    /// It is not of the form `app.model`.
    #[error("must be an application and a model of letters, digits, '_' and '-', such as shop.product")]
    Form,
    /// One of the two is too long to be kept.
    #[error("the application and the model may have at most {} characters each", ContentType::MAX_CHARS)]
    TooLong,
}

impl ContentType {
    /// How many characters the database keeps of either part.
    pub const MAX_CHARS: usize = 100;

    /// The two parts before and behind the first dot, whatever they hold; `None` where there is no dot.
    ///
    /// upstream: the filter `content_type` of `ImageUsageViewSet`
    pub fn split(text: &str) -> Option<Self> {
        let (app_label, model) = text.split_once('.')?;
        Some(Self { app_label: app_label.to_owned(), model: model.to_owned() })
    }
}

impl FromStr for ContentType {
    type Err = ParseContentTypeError;

    /// Reads `app.model` as it is to be kept: Django writes models in lower case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name =
            |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        let Self { app_label, model } = Self::split(text).ok_or(ParseContentTypeError::Form)?;
        let model = model.to_lowercase();
        if !is_name(&app_label) || !is_name(&model) {
            return Err(ParseContentTypeError::Form);
        }
        if [&app_label, &model].iter().any(|part| part.chars().count() > Self::MAX_CHARS) {
            return Err(ParseContentTypeError::TooLong);
        }
        Ok(Self { app_label, model })
    }
}

impl fmt::Display for ContentType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.app_label, self.model)
    }
}

/// The place in some content that refers to one image at most: there is one row of usage for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSlot {
    /// The model of the content.
    pub content_type: ContentType,
    /// The key of the content, as text: 1 to 255 characters.
    pub object_id: String,
    /// The field of the content, or a label: 1 to 255 characters.
    pub field_name: String,
}

impl UsageSlot {
    /// How many characters the database keeps of the key and of the field.
    pub const MAX_CHARS: usize = 255;
}

/// Which usages are wanted: conditions, all of which must hold.
#[derive(Debug, Clone, Default)]
pub struct UsageSelection {
    /// Of content of this model.
    pub content_type: Option<ContentType>,
    /// Of this field.
    pub field_name: Option<String>,
    /// Whether only usages of images that are not recorded are wanted.
    pub only_unregistered: bool,
    /// Parts of the id at Cloudflare, the field or the key, in any case; each must be found in one of them.
    pub terms: Vec<String>,
}

/// A reference to an image with what staff want to know of both.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct UsageEntry {
    /// The reference.
    #[cfg_attr(feature = "server", sqlx(flatten))]
    pub usage: ImageUsage,
    /// Whether the application recorded it itself; otherwise it follows a field of a Django model.
    pub is_manual: bool,
    /// The name of the image's file, as Cloudflare knows it; none where the image is not recorded.
    pub filename: Option<String>,
    /// The name that the client gave to the image's file.
    pub original_filename: Option<String>,
}

/// Which of all usages are wanted: conditions, all of which must hold.
#[derive(Debug, Clone, Default)]
pub struct UsageQuery {
    /// Of content of this model.
    pub content_type: Option<ContentType>,
    /// Whether the image is recorded here.
    pub is_registered: Option<bool>,
    /// The id at Cloudflare, the key of the content or, where it is one, the key of the image's record.
    pub key: Option<(String, Option<ImageId>)>,
}

impl UsageQuery {
    /// Whether there is no condition.
    pub fn is_everything(&self) -> bool {
        self.content_type.is_none() && self.is_registered.is_none() && self.key.is_none()
    }
}

/// What usages can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsageSort {
    /// When the reference was recorded.
    CreatedAt,
    /// When the reference was last recorded anew.
    UpdatedAt,
}

/// A column to sort usages by, and in which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageOrder {
    /// What is compared.
    pub by: UsageSort,
    /// Whether the latest comes first.
    pub descending: bool,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content_type(app_label: &str, model: &str) -> ContentType {
        ContentType { app_label: app_label.to_owned(), model: model.to_owned() }
    }

    #[test]
    fn content_types_are_kept_as_django_writes_them() {
        for (text, want) in [
            ("shop.product", content_type("shop", "product")),
            ("Shop.ProductImage", content_type("Shop", "productimage")),
            ("my-shop.a_1", content_type("my-shop", "a_1")),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for text in ["", "shop", ".", "shop.", ".product", "a.b.c", "a b.c", "a.b\0", "a.b/c"] {
            assert_eq!(text.parse::<ContentType>(), Err(ParseContentTypeError::Form), "{text}");
        }
        for text in [format!("{}.b", "a".repeat(101)), format!("a.{}", "b".repeat(101))] {
            assert_eq!(text.parse::<ContentType>(), Err(ParseContentTypeError::TooLong));
        }
        assert!(format!("{0}.{0}", "é".repeat(100)).parse::<ContentType>().is_ok());
    }

    #[test]
    fn filters_split_at_the_first_dot_whatever_follows() {
        assert_eq!(ContentType::split("gallery.article.x"), Some(content_type("gallery", "article.x")));
        assert_eq!(ContentType::split("."), Some(content_type("", "")));
        assert_eq!(ContentType::split("article"), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again_as_the_same(text in "\\PC*") {
            if let Ok(read) = text.parse::<ContentType>() {
                prop_assert_eq!(read.to_string().parse(), Ok(read));
            }
        }
    }
}
