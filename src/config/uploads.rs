//! What new images are like where the application does not say.

use std::fmt;

use super::parse;
use super::settings::{
    CLOUDFLARE_IMAGES_DEFAULT_CREATOR, CLOUDFLARE_IMAGES_DEFAULT_EXPIRY_MINUTES, CLOUDFLARE_IMAGES_DEFAULT_METADATA,
    CLOUDFLARE_IMAGES_MAX_FILE_SIZE_MB, CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, CLOUDFLARE_IMAGES_THUMBNAIL_VARIANT,
};
use super::values::Values;
use crate::domain::Json;

/// What new images are like where the application does not say.
#[derive(Debug, Clone)]
pub struct UploadsConfig {
    /// How many minutes upload URLs are valid, 2 to 360.
    pub default_expiry_minutes: i64,
    /// Whether images are private.
    pub require_signed_urls: bool,
    /// The metadata that every image gets; an object.
    pub default_metadata: Json,
    /// The creator of images; at most 255 characters.
    pub default_creator: Option<String>,
    /// The most megabytes of a file that is uploaded through the server, 1 to 100.
    pub max_file_megabytes: u64,
    /// The variant of thumbnails.
    pub thumbnail_variant: String,
}

impl UploadsConfig {
    pub(super) fn read(values: &mut Values) -> Option<Self> {
        let default_expiry_minutes = values.read(&CLOUDFLARE_IMAGES_DEFAULT_EXPIRY_MINUTES, minutes);
        let require_signed_urls = values.read(&CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, parse::flag);
        let default_metadata = values.read(&CLOUDFLARE_IMAGES_DEFAULT_METADATA, Metadata::parse);
        let default_creator = values.read(&CLOUDFLARE_IMAGES_DEFAULT_CREATOR, creator);
        let max_file_megabytes = values.read(&CLOUDFLARE_IMAGES_MAX_FILE_SIZE_MB, parse::number(1..=100));
        let thumbnail_variant = values.read(&CLOUDFLARE_IMAGES_THUMBNAIL_VARIANT, variant);
        Some(Self {
            default_expiry_minutes: default_expiry_minutes?,
            require_signed_urls: require_signed_urls?,
            default_metadata: default_metadata?.0,
            default_creator,
            max_file_megabytes: max_file_megabytes?,
            thumbnail_variant: thumbnail_variant?,
        })
    }
}

/// Out of range is not wrong here: the toolkit clamps too.
fn minutes(text: &str) -> Result<i64, String> {
    let minutes: i64 = text.parse().map_err(|_| "must be a whole number".to_owned())?;
    Ok(minutes.clamp(2, 360))
}

struct Metadata(Json);

impl Metadata {
    fn parse(text: &str) -> Result<Self, String> {
        let rule = |reason: &str| format!("must be a JSON object{reason}");
        let json = Json::parse(text).map_err(|error| rule(&format!(" ({error})")))?;
        if json.is_object() { Ok(Self(json)) } else { Err(rule("")) }
    }
}

impl fmt::Display for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

fn creator(text: &str) -> Result<String, String> {
    const MOST_CHARACTERS: usize = 255;
    if text.chars().count() > MOST_CHARACTERS {
        return Err(format!("must have at most {MOST_CHARACTERS} characters"));
    }
    parse::plain(text)
}

/// The name of a variant or, with flexible variants, options such as `w=200,h=200`: one segment of a path either way.
fn variant(text: &str) -> Result<String, String> {
    if text.bytes().all(|byte| byte.is_ascii_graphic() && !b"/?#%\\".contains(&byte)) {
        Ok(text.to_owned())
    } else {
        Err("must be the name of a variant, such as thumbnail, or options, such as w=200,h=200".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_moved_into_the_range_of_cloudflare() {
        for (text, want) in [("-5", 2), ("0", 2), ("2", 2), ("30", 30), ("360", 360), ("361", 360)] {
            assert_eq!(minutes(text), Ok(want), "{text}");
        }
        assert!(minutes("soon").is_err());
        assert!(minutes("1.5").is_err());
    }

    #[test]
    fn creators_have_at_most_255_characters_of_any_alphabet() {
        assert!(creator(&"é".repeat(255)).is_ok());
        assert!(creator(&"é".repeat(256)).is_err());
        assert!(creator("a\nb").is_err());
    }

    #[test]
    fn metadata_is_an_object() {
        assert_eq!(Metadata::parse(r#"{"a":1}"#).unwrap().to_string(), r#"{"a": 1}"#);
        for text in ["[]", "1", "{", "null"] {
            assert!(Metadata::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_variant_is_one_segment_of_a_path() {
        assert!(variant("w=200,h=200,fit=cover").is_ok());
        for text in ["a/b", "a b", "a?b", "a#b", "a%2Fb"] {
            assert!(variant(text).is_err(), "{text}");
        }
    }
}
