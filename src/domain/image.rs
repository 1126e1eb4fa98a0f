//! The record of a picture at Cloudflare, a row of `cloudflare_images`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{Json, Timestamp, UserId};

/// The key of an image in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(Uuid);

impl ImageId {
    /// A new random key.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The key before all others.
    pub fn first() -> Self {
        Self(Uuid::nil())
    }

    /// The key right after this one; none after the last.
    pub fn following(self) -> Option<Self> {
        self.0.as_u128().checked_add(1).map(|next| Self(Uuid::from_u128(next)))
    }

    /// The key as a UUID.
    pub fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for ImageId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for ImageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromStr for ImageId {
    type Err = uuid::Error;

    /// Reads what Python's `UUID` reads: `urn:` and `uuid:`, braces and hyphens are ignored, wherever they stand, and case does
    /// not matter.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.replace("urn:", "").replace("uuid:", "");
        let hex = text.trim_matches(['{', '}']).replace('-', "");
        Uuid::try_parse(&hex).map(Self)
    }
}

/// The id of an image at Cloudflare, generated or custom; opaque, and hostile until percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(sqlx::Type), sqlx(transparent))]
pub struct CloudflareId(String);

impl CloudflareId {
    /// How many characters the database keeps.
    pub const MAX_CHARS: usize = 255;

    /// Takes the id as it is.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as Cloudflare wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the database can keep the id.
    pub fn is_storable(&self) -> bool {
        self.as_str().chars().count() <= Self::MAX_CHARS && !self.as_str().contains('\0')
    }

    /// Whether Cloudflare can be asked for the image. URL parsers resolve some ids, percent-encoded or not, and below
    /// `images/v1/` some words name other things than images: the account's signing keys, for one.
    pub fn is_addressable(&self) -> bool {
        const OTHER_THINGS: [&str; 6] = ["batch_token", "config", "direct_upload", "keys", "stats", "variants"];
        let id = self.as_str();
        !matches!(id, "" | "." | "..") && !OTHER_THINGS.iter().any(|word| word.eq_ignore_ascii_case(id))
    }
}

impl fmt::Display for CloudflareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A one-time URL for the upload of an image: whoever has it may upload, so [`Debug`](fmt::Debug) leaves it out.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "server", derive(sqlx::Type), sqlx(transparent))]
pub struct UploadUrl(String);

impl UploadUrl {
    /// Takes the URL as Cloudflare wrote it.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL; not to be logged.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UploadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadUrl(***)")
    }
}

/// How far the upload of an image has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ImageStatus {
    /// The upload URL was handed out.
    Pending,
    /// Cloudflare says that nothing was uploaded yet.
    Draft,
    /// The picture is at Cloudflare.
    Uploaded,
    /// The upload failed.
    Failed,
    /// The upload URL expired unused.
    Expired,
    /// A word that somebody else wrote into the database.
    Other(String),
}

impl ImageStatus {
    /// The word in the database and in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Draft => "draft",
            Self::Uploaded => "uploaded",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for ImageStatus {
    fn from(word: String) -> Self {
        match word.as_str() {
            "pending" => Self::Pending,
            "draft" => Self::Draft,
            "uploaded" => Self::Uploaded,
            "failed" => Self::Failed,
            "expired" => Self::Expired,
            _ => Self::Other(word),
        }
    }
}

impl FromStr for ImageStatus {
    type Err = Infallible;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Ok(word.to_owned().into())
    }
}

impl fmt::Display for ImageStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ImageStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ImageStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

/// The delivery URLs of an image as Cloudflare listed them: a list of URLs, or what older rows hold, one URL or a map by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Variants(Json);

impl Variants {
    /// No variants: `[]`.
    pub fn none() -> Self {
        Self(Json::of::<[&str; 0]>(&[]))
    }

    /// Takes what Cloudflare sent. A single URL becomes a list, an empty text an empty list, as the toolkit does on saving.
    pub fn from_answer(json: &Json) -> Self {
        let variants = Self(json.clone());
        variants.wrapped().unwrap_or(variants)
    }

    /// The list that a single URL becomes; `None` where the variants are no single URL.
    pub fn wrapped(&self) -> Option<Self> {
        let url: String = serde_json::from_str(self.0.as_str()).ok()?;
        Some(if url.is_empty() { Self::none() } else { Self(Json::of(&[url])) })
    }

    /// Takes what the database holds.
    pub fn from_stored(json: Json) -> Self {
        Self(json)
    }

    /// The JSON to store and to show.
    pub fn as_json(&self) -> &Json {
        &self.0
    }

    /// All delivery URLs with the names of their variants: the last part of each URL, or the key in a map.
    pub fn entries(&self) -> Vec<(String, String)> {
        let name = |url: &str| url.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        match serde_json::from_str(self.0.as_str()) {
            Ok(serde_json::Value::String(url)) if !url.is_empty() => vec![(name(&url), url)],
            Ok(serde_json::Value::Array(items)) => {
                let urls = items.into_iter().filter_map(|item| item.as_str().map(str::to_owned));
                urls.map(|url| (name(&url), url)).collect()
            }
            Ok(serde_json::Value::Object(by_name)) => {
                by_name.into_iter().filter_map(|(name, url)| Some((name, url.as_str()?.to_owned()))).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The URL of the variant `name`: the first that ends in `/name`, else the first that contains `name` at all.
    ///
    /// upstream: `CloudflareImage.get_variant_url`
    pub fn url_of(&self, name: &str) -> Option<String> {
        let value: serde_json::Value = serde_json::from_str(self.0.as_str()).ok()?;
        let urls: Vec<&str> = match &value {
            serde_json::Value::String(url) if !url.is_empty() => vec![url],
            serde_json::Value::Array(items) => items.iter().filter_map(|item| item.as_str()).collect(),
            serde_json::Value::Object(by_name) => return by_name.get(name)?.as_str().map(str::to_owned),
            _ => return None,
        };
        let ends_in_name =
            |url: &&&str| url.trim_end_matches('/').strip_suffix(name).is_some_and(|rest| rest.ends_with('/'));
        urls.iter()
            .find(ends_in_name)
            .or_else(|| urls.iter().find(|url| url.contains(name)))
            .map(|url| (*url).to_owned())
    }
}

/// A picture at Cloudflare, or one that is expected there.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(sqlx::FromRow))]
pub struct Image {
    /// The key here.
    pub id: ImageId,
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// The owner; none for images that belong to nobody.
    pub user_id: Option<UserId>,
    /// The name of the uploaded file, as Cloudflare knows it; may be empty.
    pub filename: String,
    /// The name the client gave; may be empty.
    pub original_filename: String,
    /// The MIME type; may be empty.
    pub content_type: String,
    /// The size of the file in bytes, where known.
    pub file_size: Option<i64>,
    /// The one-time URL for the upload; may be empty.
    pub upload_url: UploadUrl,
    /// How far the upload has come.
    pub status: ImageStatus,
    /// Whether the picture is delivered with signed URLs only.
    pub require_signed_urls: bool,
    /// What the client wants kept with the image.
    pub metadata: Json,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row was last changed.
    pub updated_at: Timestamp,
    /// When Cloudflare got the picture.
    pub uploaded_at: Option<Timestamp>,
    /// When the upload URL ends.
    pub expires_at: Timestamp,
    /// The delivery URLs.
    pub variants: Variants,
    /// The metadata as Cloudflare has it.
    pub cloudflare_metadata: Json,
    /// Cloudflare's `creator`; may be empty.
    pub creator: String,
    /// The width of the original in pixels, where somebody told it: Cloudflare does not.
    pub width: Option<i64>,
    /// The height of the original in pixels, likewise.
    pub height: Option<i64>,
}

impl Image {
    /// Whether the upload URL has ended.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now > self.expires_at
    }

    /// What people call the image: the name of its file, else its id at Cloudflare.
    pub fn name(&self) -> &str {
        let names = [&self.original_filename, &self.filename];
        let name = names.into_iter().find(|name| !name.trim().is_empty());
        name.map_or_else(|| self.cloudflare_id.as_str(), |name| name.as_str())
    }

    /// Whether the picture is at Cloudflare.
    pub fn is_uploaded(&self) -> bool {
        self.status == ImageStatus::Uploaded
    }
}

/// An image to be recorded, which was just made at Cloudflare: a draft with its upload URL, or a picture.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// The owner.
    pub user_id: UserId,
    /// The name the client gave; may be empty.
    pub original_filename: String,
    /// The one-time URL for the upload; empty where the picture is there already.
    pub upload_url: UploadUrl,
    /// Whether the picture is delivered with signed URLs only.
    pub require_signed_urls: bool,
    /// What the client wants kept with the image.
    pub metadata: Json,
    /// When the upload URL ends.
    pub expires_at: Timestamp,
    /// Cloudflare's `creator`; may be empty.
    pub creator: String,
}

/// What a client changes in the record of an image; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ImageEdit {
    /// The name of the uploaded file, at most 255 characters.
    pub filename: Option<String>,
    /// The name the client gave, at most 255 characters.
    pub original_filename: Option<String>,
    /// The MIME type, at most 100 characters.
    pub content_type: Option<String>,
    /// The size of the file in bytes, or that it is not known.
    pub file_size: Option<Option<i32>>,
    /// Whether the record says that the picture is private; Cloudflare is not told.
    pub require_signed_urls: Option<bool>,
    /// What the client wants kept with the image; any JSON.
    pub metadata: Option<Json>,
}

/// An image to be recorded whose picture is at Cloudflare already.
#[derive(Debug, Clone)]
pub struct RegisteredImage {
    /// The key at Cloudflare.
    pub cloudflare_id: CloudflareId,
    /// The owner; none for images that belong to nobody.
    pub user_id: Option<UserId>,
    /// Whether the picture is delivered with signed URLs only; what is not known stays as it is, or is the default.
    pub require_signed_urls: Option<bool>,
    /// What is kept with the image; what is not known stays as it is.
    pub metadata: Option<Json>,
}

/// What was changed in an image at Cloudflare; what is `None` stays as it is.
#[derive(Debug, Clone)]
pub struct RemoteChanges {
    /// The key at Cloudflare, which a change of the privacy may change too.
    pub cloudflare_id: CloudflareId,
    /// What the client wants kept with the image.
    pub metadata: Option<Json>,
    /// Whether the picture is delivered with signed URLs only.
    pub require_signed_urls: Option<bool>,
    /// Cloudflare's `creator`, at most 255 characters.
    pub creator: Option<String>,
}

/// What a report of Cloudflare changes in an image; what is `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ImageChanges {
    /// The new status.
    pub status: Option<ImageStatus>,
    /// When Cloudflare got the picture.
    pub uploaded_at: Option<Timestamp>,
    /// Taken where neither the report nor the row says when Cloudflare got the picture.
    pub uploaded_at_fallback: Option<Timestamp>,
    /// The delivery URLs.
    pub variants: Option<Variants>,
    /// The metadata as Cloudflare has it.
    pub cloudflare_metadata: Option<Json>,
    /// Cloudflare's `creator`, at most 255 characters.
    pub creator: Option<String>,
    /// The name of the uploaded file, at most 255 characters.
    pub filename: Option<String>,
    /// Pixels.
    pub width: Option<i32>,
    /// Pixels.
    pub height: Option<i32>,
    /// The format as a word, at most 10 characters.
    pub format: Option<String>,
    /// The MIME type, at most 100 characters.
    pub content_type: Option<String>,
    /// The size of the file in bytes.
    pub file_size: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variants(json: &str) -> Variants {
        Variants::from_stored(Json::parse(json).unwrap())
    }

    #[test]
    fn ids_are_read_as_leniently_as_python_reads_them() {
        let id: ImageId = "096e7a30-2ee5-5aee-941a-0b75559e4768".parse().unwrap();
        for text in [
            "096E7A30-2EE5-5AEE-941A-0B75559E4768",
            "096e7a302ee55aee941a0b75559e4768",
            "{096e7a30-2ee5-5aee-941a-0b75559e4768}",
            "urn:uuid:096e7a30-2ee5-5aee-941a-0b75559e4768",
        ] {
            assert_eq!(text.parse::<ImageId>().unwrap(), id, "{text}");
        }
        for text in ["", "12", "096e7a30-2ee5-5aee-941a-0b75559e476", "zz6e7a30-2ee5-5aee-941a-0b75559e4768", "✓"] {
            assert!(text.parse::<ImageId>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_id_but_the_last_has_one_that_follows() {
        let id = |text: &str| text.parse::<ImageId>().unwrap();
        assert_eq!(ImageId::first().following(), Some(id("00000000-0000-0000-0000-000000000001")));
        assert_eq!(
            id("096e7a30-2ee5-5aee-941a-0b75559effff").following(),
            Some(id("096e7a30-2ee5-5aee-941a-0b75559f0000"))
        );
        assert_eq!(id("ffffffff-ffff-ffff-ffff-ffffffffffff").following(), None);
    }

    #[test]
    fn a_variant_is_found_by_the_end_of_its_url_before_anything_else() {
        let list = variants(r#"["https://d/h/publicity/thumbnail", "https://d/h/i/public/"]"#);
        assert_eq!(list.url_of("public").as_deref(), Some("https://d/h/i/public/"));
        assert_eq!(list.url_of("thumbnail").as_deref(), Some("https://d/h/publicity/thumbnail"));
        assert_eq!(list.url_of("hero"), None);
        assert_eq!(
            variants(r#"["https://d/h/i/publicity"]"#).url_of("public").as_deref(),
            Some("https://d/h/i/publicity")
        );
    }

    #[test]
    fn variants_of_other_shapes_are_understood() {
        assert_eq!(variants(r#""https://d/h/i/public""#).url_of("public").as_deref(), Some("https://d/h/i/public"));
        assert_eq!(variants(r#"{"public": "https://d/x"}"#).url_of("public").as_deref(), Some("https://d/x"));
        for json in ["[]", "{}", r#""""#, "null", "[1, null]", r#"{"public": 1}"#] {
            assert_eq!(variants(json).url_of("public"), None, "{json}");
        }
    }

    #[test]
    fn a_single_url_is_stored_as_a_list() {
        let stored = |json: &str| Variants::from_answer(&Json::parse(json).unwrap()).as_json().as_str().to_owned();
        assert_eq!(stored(r#""https://d/h/i/public""#), r#"["https://d/h/i/public"]"#);
        assert_eq!(stored(r#""""#), "[]");
        assert_eq!(stored(r#"["u"]"#), r#"["u"]"#);
    }

    #[test]
    fn statuses_of_others_are_kept() {
        assert_eq!(ImageStatus::from("odd".to_owned()).as_str(), "odd");
        for word in ["pending", "draft", "uploaded", "failed", "expired"] {
            let status = ImageStatus::from(word.to_owned());
            assert!(!matches!(status, ImageStatus::Other(_)));
            assert_eq!(status.as_str(), word);
        }
    }
}
