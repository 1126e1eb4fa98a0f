//! What Cloudflare says of an image.

use std::collections::HashMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Error;
use crate::domain::{CloudflareId, ImageChanges, ImageStatus, Json, Timestamp, Variants};

/// What a report on an image says: `result` of Cloudflare's API, or the payload of a webhook in the toolkit's form.
#[derive(Debug, Clone)]
pub struct ImageDetails {
    /// The image.
    pub id: Option<CloudflareId>,
    /// Whether the picture is delivered with signed URLs only.
    pub require_signed_urls: Option<bool>,
    /// Whether there is a time of upload, readable or not.
    pub has_uploaded: bool,
    /// When Cloudflare got the picture; on a draft, when the draft was made.
    pub uploaded: Option<Timestamp>,
    /// Whether nothing was uploaded yet.
    pub is_draft: bool,
    /// Whether the upload failed: `status` is `failed` or `error`.
    pub has_failed: bool,
    /// The delivery URLs.
    pub variants: Option<Json>,
    /// The metadata, from `metadata` or else `meta`.
    pub metadata: Option<Json>,
    /// Cloudflare's `creator`.
    pub creator: Option<String>,
    /// The name of the uploaded file.
    pub filename: Option<String>,
    /// Pixels.
    pub width: Option<i32>,
    /// Pixels.
    pub height: Option<i32>,
    /// The format as a word.
    pub format: Option<String>,
    /// The report, whole.
    pub raw: Json,
}

impl ImageDetails {
    /// Reads the answer to an upload, whose image exists from then on: values that cannot be kept are left out.
    ///
    /// # Errors
    /// If there is no id, without which nothing can be done about the image.
    pub(super) fn from_upload(result: &RawValue) -> Result<Self, Error> {
        let (details, _) = Self::read(result)?;
        if details.id.is_some() { Ok(details) } else { Err(Error::Malformed("it has no id")) }
    }

    /// Reads an answer of the API.
    ///
    /// # Errors
    /// If a field has a value that cannot be kept.
    pub(super) fn from_result(result: &RawValue) -> Result<Self, Error> {
        let (details, unfit) = Self::read(result)?;
        match unfit.first() {
            None => Ok(details),
            Some(field) => Err(Error::Malformed(field)),
        }
    }

    /// Reads a report whose fields were validated elsewhere; also tells which fields do not fit and were left out.
    ///
    /// # Errors
    /// If the report is no object, or holds what cannot be stored.
    pub fn read(report: &RawValue) -> Result<(Self, Vec<&'static str>), Error> {
        let fields: HashMap<String, &RawValue> =
            serde_json::from_str(report.get()).map_err(|_| Error::Malformed("it is no object"))?;
        let mut reader = FieldReader { fields, unfit: Vec::new() };
        let uploaded: Option<serde_json::Value> = reader.any("uploaded");
        let details = Self {
            id: reader.any::<String>("id").map(CloudflareId::new),
            require_signed_urls: reader.any("requireSignedURLs"),
            has_uploaded: uploaded.is_some(),
            uploaded: uploaded.and_then(|value| value.as_str().and_then(|text| text.parse().ok())),
            is_draft: reader.any::<serde_json::Value>("draft").is_some_and(|value| is_true(&value)),
            has_failed: reader
                .any::<String>("status")
                .is_some_and(|status| matches!(status.as_str(), "failed" | "error")),
            variants: reader.json("variants"),
            metadata: if reader.has("metadata") { reader.json("metadata") } else { reader.json("meta") },
            creator: reader.text("creator", usize::MAX).map(|creator| creator.chars().take(255).collect()),
            filename: reader.text("filename", 255),
            width: reader.pixels("width"),
            height: reader.pixels("height"),
            format: reader.text("format", 10),
            raw: stored(report)?,
        };
        Ok((details, reader.unfit))
    }

    /// The metadata that the image was uploaded with, from `meta` or else `metadata`; none where they are empty.
    ///
    /// upstream: `cf_meta` in `CloudflareImagesService.register_uploaded_image`
    pub fn upload_metadata(&self) -> Option<Json> {
        let fields: HashMap<String, &RawValue> = serde_json::from_str(self.raw.as_str()).ok()?;
        let is_there = |json: &Json| !json.is_empty();
        ["meta", "metadata"].iter().find_map(|name| Json::from_raw(fields.get(*name)?).ok().filter(is_there))
    }

    /// What the report changes in the record of the image.
    pub fn changes(&self, now: Timestamp) -> ImageChanges {
        let is_uploaded = self.has_uploaded && !self.is_draft && !self.has_failed;
        let status = match (self.has_failed, self.is_draft, self.has_uploaded) {
            (true, ..) => Some(ImageStatus::Failed),
            (_, true, _) => Some(ImageStatus::Draft),
            (.., true) => Some(ImageStatus::Uploaded),
            _ => None,
        };
        ImageChanges {
            status,
            uploaded_at: self.uploaded.filter(|_| is_uploaded),
            uploaded_at_fallback: is_uploaded.then_some(now),
            variants: self.variants.as_ref().map(Variants::from_answer),
            cloudflare_metadata: self.metadata.clone(),
            creator: self.creator.clone(),
            filename: self.filename.clone(),
            width: self.width,
            height: self.height,
            format: self.format.clone(),
            content_type: None,
            file_size: None,
        }
    }
}

/// Takes fields out of a report and notes those that cannot be kept.
struct FieldReader<'a> {
    fields: HashMap<String, &'a RawValue>,
    unfit: Vec<&'static str>,
}

impl FieldReader<'_> {
    fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    fn any<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.fields.get(name)?.get()).ok()
    }

    fn json(&mut self, name: &'static str) -> Option<Json> {
        let value = Json::from_raw(self.fields.get(name)?).ok().filter(|json| json.as_str() != "null");
        self.noting(name, value)
    }

    /// A text that is not empty; an empty one or `null` says nothing.
    fn text(&mut self, name: &'static str, max_chars: usize) -> Option<String> {
        if matches!(self.fields.get(name)?.get(), "null" | "\"\"") {
            return None;
        }
        let value = self.any::<String>(name).filter(|text| text.chars().count() <= max_chars && !text.contains('\0'));
        self.noting(name, value)
    }

    fn pixels(&mut self, name: &'static str) -> Option<i32> {
        if self.fields.get(name)?.get() == "null" {
            return None;
        }
        let value = self.any::<i32>(name).filter(|pixels| *pixels >= 0);
        self.noting(name, value)
    }

    fn noting<T>(&mut self, name: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.unfit.push(name);
        }
        value
    }
}

/// What Python takes for true.
fn is_true(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::Bool(value) => *value,
        serde_json::Value::Number(number) => number.as_f64() != Some(0.0),
        serde_json::Value::String(text) => !text.is_empty(),
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(fields) => !fields.is_empty(),
    }
}

pub(super) fn stored(raw: &RawValue) -> Result<Json, Error> {
    Json::from_raw(raw).map_err(|_| Error::Malformed("it holds what cannot be stored"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> (ImageDetails, Vec<&'static str>) {
        ImageDetails::read(serde_json::from_str(json).unwrap()).unwrap()
    }

    fn now() -> Timestamp {
        "2026-01-01".parse().unwrap()
    }

    #[test]
    fn an_uploaded_image_is_uploaded_at_cloudflares_time() {
        let (details, unfit) = read(
            r#"{"id":"i","uploaded":"2024-05-05T05:05:05.123Z","variants":["u/public"],"meta":{"a":1.0},"filename":"f.jpg","width":8}"#,
        );
        let changes = details.changes(now());
        assert_eq!(unfit, Vec::<&str>::new());
        assert_eq!(changes.status, Some(ImageStatus::Uploaded));
        assert_eq!(changes.uploaded_at.unwrap().to_string(), "2024-05-05T05:05:05.123000Z");
        assert_eq!(changes.cloudflare_metadata.unwrap().as_str(), r#"{"a": 1.0}"#);
        assert_eq!((changes.filename.as_deref(), changes.width, changes.height), (Some("f.jpg"), Some(8), None));
    }

    #[test]
    fn a_draft_is_not_uploaded_though_it_has_a_time() {
        let changes = read(r#"{"uploaded":"2024-05-05T05:05:05.123Z","draft":true}"#).0.changes(now());
        assert_eq!(changes.status, Some(ImageStatus::Draft));
        assert_eq!((changes.uploaded_at, changes.uploaded_at_fallback), (None, None));
    }

    #[test]
    fn a_failed_upload_is_failed_whatever_else_is_said() {
        for status in ["failed", "error"] {
            let report = format!(r#"{{"uploaded":"2024-05-05T05:05:05Z","draft":true,"status":"{status}"}}"#);
            let changes = read(&report).0.changes(now());
            assert_eq!((changes.status, changes.uploaded_at), (Some(ImageStatus::Failed), None));
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_still_means_uploaded() {
        let changes = read(r#"{"uploaded":"yesterday"}"#).0.changes(now());
        assert_eq!(changes.status, Some(ImageStatus::Uploaded));
        assert_eq!((changes.uploaded_at, changes.uploaded_at_fallback), (None, Some(now())));
    }

    #[test]
    fn a_report_that_says_nothing_changes_nothing() {
        let changes = read(r#"{"id":"i","filename":null,"creator":"","width":null}"#).0.changes(now());
        assert_eq!((changes.status, changes.filename, changes.creator, changes.variants), (None, None, None, None));
    }

    #[test]
    fn metadata_wins_over_meta() {
        assert_eq!(read(r#"{"meta":{"a":1},"metadata":{"b":2}}"#).0.metadata.unwrap().as_str(), r#"{"b": 2}"#);
    }

    #[test]
    fn uploads_have_their_metadata_in_meta() {
        let metadata = |report: &str| read(report).0.upload_metadata().map(|json| json.as_str().to_owned());
        assert_eq!(metadata(r#"{"meta":{"a":1},"metadata":{"b":2}}"#).as_deref(), Some(r#"{"a": 1}"#));
        assert_eq!(metadata(r#"{"meta":{},"metadata":{"b":2}}"#).as_deref(), Some(r#"{"b": 2}"#));
        assert_eq!((metadata(r#"{"meta":null}"#), metadata("{}")), (None, None));
    }

    #[test]
    fn values_that_do_not_fit_are_named() {
        let long = "x".repeat(256);
        let report =
            format!(r#"{{"filename":"{long}","width":"wide","height":-1,"format":12,"meta":null,"creator":"{long}"}}"#);
        let (details, mut unfit) = read(&report);
        unfit.sort_unstable();
        assert_eq!(unfit, ["filename", "format", "height", "meta", "width"]);
        assert_eq!(details.creator.unwrap().len(), 255);
        assert!(matches!(ImageDetails::from_result(serde_json::from_str(&report).unwrap()), Err(Error::Malformed(_))));
    }

    proptest! {
        #[test]
        fn no_report_makes_the_reader_panic(text in "[\\[\\]{}\":,a-z0-9. ]*") {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&text) {
                let _ = ImageDetails::read(raw);
            }
        }
    }
}
