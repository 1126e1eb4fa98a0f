//! Columns of the application's own tables that name images.

use std::fmt;
use std::str::FromStr;

use super::{ContentType, ImageUsage, ParseContentTypeError, TableName, UsageSlot};

/// A column of a table of the application that names images, as the configuration tells of it:
/// `TABLE:KEY_COLUMN:IMAGE_COLUMN:APP.MODEL[:FIELD]`.
///
/// None of the names can hold a colon or a comma. The table may be `schema.table`; names with dots or quotes are in double quotes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageSource {
    /// The table.
    pub table: TableName,
    /// The column with the key of the content.
    pub key_column: String,
    /// The column with the ids at Cloudflare, or with foreign keys to `cloudflare_images`.
    pub image_column: String,
    /// The model of the content.
    pub content_type: ContentType,
    /// The field of the model; by Django's rule, where it is not given: the column, without `_id` where it is a foreign key.
    pub field_name: Option<String>,
}

/// Why a text does not tell of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseUsageSourceError {
    /// It is not of the form that is expected.
    #[error("must be TABLE:KEY_COLUMN:IMAGE_COLUMN:APP.MODEL or TABLE:KEY_COLUMN:IMAGE_COLUMN:APP.MODEL:FIELD")]
    Form,
    /// The model is not one.
    #[error("{0}")]
    ContentType(#[from] ParseContentTypeError),
    /// The field cannot be one that is kept automatically.
    #[error(
        "the field may have at most {} characters, and not be {}",
        UsageSlot::MAX_CHARS,
        ImageUsage::MANUAL_FIELD_NAME
    )]
    Field,
}

impl UsageSource {
    /// The field of the model, given whether the column is a foreign key.
    pub fn field(&self, is_foreign_key: bool) -> &str {
        let by_rule = || match self.image_column.strip_suffix("_id") {
            Some(field) if is_foreign_key => field,
            _ => &self.image_column,
        };
        self.field_name.as_deref().unwrap_or_else(by_rule)
    }
}

impl FromStr for UsageSource {
    type Err = ParseUsageSourceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').map(str::trim).collect();
        let (table, key, image, content_type, field) = match parts[..] {
            [table, key, image, content_type] => (table, key, image, content_type, None),
            [table, key, image, content_type, field] => (table, key, image, content_type, Some(field)),
            _ => return Err(ParseUsageSourceError::Form),
        };
        if parts.iter().any(|part| part.is_empty() || part.contains(char::is_control)) {
            return Err(ParseUsageSourceError::Form);
        }
        let source = Self {
            table: table.parse().map_err(|_| ParseUsageSourceError::Form)?,
            key_column: key.to_owned(),
            image_column: image.to_owned(),
            content_type: content_type.parse()?,
            field_name: field.map(str::to_owned),
        };
        let is_field =
            |field: &str| field != ImageUsage::MANUAL_FIELD_NAME && field.chars().count() <= UsageSlot::MAX_CHARS;
        if is_field(source.field(true)) && is_field(source.field(false)) {
            Ok(source)
        } else {
            Err(ParseUsageSourceError::Field)
        }
    }
}

impl fmt::Display for UsageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:{}", self.table, self.key_column, self.image_column, self.content_type)?;
        self.field_name.as_ref().map_or(Ok(()), |field| write!(f, ":{field}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(text: &str) -> UsageSource {
        text.parse().unwrap()
    }

    #[test]
    fn the_field_is_the_column_without_the_ending_of_foreign_keys() {
        let cover = source("gallery_article:id:cover_id:gallery.Article");
        assert_eq!((cover.field(true), cover.field(false)), ("cover", "cover_id"));
        assert_eq!(cover.content_type.model, "article");
        let named = source("shop.Article : id : cover_id : gallery.article : front");
        assert_eq!(named.field(true), "front");
        assert_eq!((named.table.schema(), named.table.table()), (Some("shop"), "Article"));
        assert_eq!(named.to_string(), "shop.Article:id:cover_id:gallery.article:front");
    }

    #[test]
    fn what_is_no_source_is_told_what_it_must_be() {
        for text in ["", "t", "t:id:hero", "t:id:hero:a.b:f:g", "t::hero:a.b", ":id:hero:a.b", "a.b.c:id:hero:a.b"] {
            assert_eq!(text.parse::<UsageSource>(), Err(ParseUsageSourceError::Form), "{text}");
        }
        for text in [".t:id:hero:a.b", "s.:id:hero:a.b", "t:id:he\0ro:a.b", "t:id:hero:a.b:"] {
            assert_eq!(text.parse::<UsageSource>(), Err(ParseUsageSourceError::Form), "{text}");
        }
        assert_eq!(
            "t:id:hero:ab".parse::<UsageSource>(),
            Err(ParseUsageSourceError::ContentType(ParseContentTypeError::Form))
        );
    }

    #[test]
    fn the_field_of_manual_references_is_never_kept_automatically() {
        for text in ["t:id:hero:a.b:manual", "t:id:manual:a.b", "t:id:manual_id:a.b"] {
            assert_eq!(text.parse::<UsageSource>(), Err(ParseUsageSourceError::Field), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_read_again_as_the_same(text in "[a-z.: \\PC]*") {
            if let Ok(read) = text.parse::<UsageSource>() {
                prop_assert_eq!(read.to_string().parse(), Ok(read));
            }
        }
    }
}
