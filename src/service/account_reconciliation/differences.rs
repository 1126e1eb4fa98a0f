//! What the record of an image says otherwise than Cloudflare does.

use crate::cloudflare::ImageDetails;
use crate::domain::{Image, ImageChanges, ImageStatus, Json, RemoteChanges, Timestamp, Variants};

/// A field of a record that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldDifference {
    /// The name of the column.
    pub field: &'static str,
    /// What the record says.
    pub here: Json,
    /// What Cloudflare says.
    pub at_cloudflare: Json,
}

/// All that differs, and what makes it equal.
#[derive(Debug, Clone)]
pub(super) struct Differences {
    pub(super) fields: Vec<FieldDifference>,
    pub(super) changes: ImageChanges,
    /// Where privacy or metadata differ.
    pub(super) remote: Option<RemoteChanges>,
}

/// Compares a record with what Cloudflare says of its image; none where they are equal. What Cloudflare says nothing of is as it
/// should be.
///
/// Clients may change `metadata` and the name of the file in the record alone. So these are filled where they are empty, and else
/// left; what Cloudflare has as the metadata is in `cloudflare_metadata`.
pub(super) fn compare(image: &Image, details: &ImageDetails, now: Timestamp) -> Option<Differences> {
    let said = details.changes(now);
    if matches!(said.status, Some(ImageStatus::Draft | ImageStatus::Failed)) {
        // A picture that is recorded as uploaded stays so: reports may overtake one another.
        return None;
    }
    let mut fields = Vec::new();
    let mut note = |field, here: Json, at_cloudflare: Json| fields.push(FieldDifference { field, here, at_cloudflare });
    let mut changes = ImageChanges::default();

    if let Some(status) = said.status.filter(|status| *status != image.status) {
        note("status", Json::of(&image.status), Json::of(&status));
        changes.status = Some(status);
    }
    let uploaded_at = said.uploaded_at.or(said.uploaded_at_fallback.filter(|_| image.uploaded_at.is_none()));
    if uploaded_at.is_some() && uploaded_at != image.uploaded_at {
        note("uploaded_at", Json::of(&image.uploaded_at), Json::of(&uploaded_at));
        changes.uploaded_at = uploaded_at;
    }
    if let Some(variants) = said.variants.filter(|variants| !are_same_variants(variants, &image.variants)) {
        note("variants", image.variants.as_json().clone(), variants.as_json().clone());
        changes.variants = Some(variants);
    }
    if let Some(metadata) = said.cloudflare_metadata.filter(|json| !is_same_json(json, &image.cloudflare_metadata)) {
        note("cloudflare_metadata", image.cloudflare_metadata.clone(), metadata.clone());
        changes.cloudflare_metadata = Some(metadata);
    }
    if let Some(creator) = said.creator.filter(|creator| *creator != image.creator) {
        note("creator", Json::of(&image.creator), Json::of(&creator));
        changes.creator = Some(creator);
    }
    if let Some(filename) = said.filename.filter(|_| image.filename.is_empty()) {
        note("filename", Json::of(&image.filename), Json::of(&filename));
        changes.filename = Some(filename);
    }
    let require_signed_urls = details.require_signed_urls.filter(|flag| *flag != image.require_signed_urls);
    if let Some(flag) = require_signed_urls {
        note("require_signed_urls", Json::of(&image.require_signed_urls), Json::of(&flag));
    }
    let metadata = details.upload_metadata().filter(|_| image.metadata.is_empty());
    if let Some(metadata) = &metadata {
        note("metadata", image.metadata.clone(), metadata.clone());
    }
    let remote = (require_signed_urls.is_some() || metadata.is_some()).then(|| RemoteChanges {
        cloudflare_id: image.cloudflare_id.clone(),
        metadata,
        require_signed_urls,
        creator: None,
    });
    (!fields.is_empty()).then_some(Differences { fields, changes, remote })
}

/// Databases keep JSON in forms of their own, so it is the value that counts.
fn is_same_json(one: &Json, other: &Json) -> bool {
    one == other || value_of(one) == value_of(other)
}

fn value_of(json: &Json) -> Option<serde_json::Value> {
    serde_json::from_str(json.as_str()).ok()
}

/// Cloudflare lists variants in no order in particular.
fn are_same_variants(one: &Variants, other: &Variants) -> bool {
    let urls = |variants: &Variants| {
        let mut urls: Vec<String> = serde_json::from_str(variants.as_json().as_str()).ok()?;
        urls.sort_unstable();
        Some(urls)
    };
    match (urls(one), urls(other)) {
        (Some(one), Some(other)) => one == other,
        _ => is_same_json(one.as_json(), other.as_json()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{CloudflareId, ImageId, UploadUrl};

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn json(text: &str) -> Json {
        Json::from_stored(text.to_owned()).unwrap()
    }

    fn image() -> Image {
        Image {
            id: ImageId::first(),
            cloudflare_id: CloudflareId::new("img"),
            user_id: None,
            filename: "f.jpg".to_owned(),
            original_filename: String::new(),
            content_type: String::new(),
            file_size: None,
            upload_url: UploadUrl::new(""),
            status: ImageStatus::Uploaded,
            require_signed_urls: false,
            metadata: json(r#"{"own": true}"#),
            created_at: at("2025-01-01"),
            updated_at: at("2025-01-01"),
            uploaded_at: Some(at("2025-01-02T00:00:00.250Z")),
            expires_at: at("2025-01-01"),
            variants: Variants::from_stored(json(r#"["https://d/h/img/public", "https://d/h/img/hero"]"#)),
            cloudflare_metadata: json(r#"{"b": 1.0, "a": {"n": 100.0}}"#),
            creator: "7".to_owned(),
            width: None,
            height: None,
        }
    }

    fn differences(image: &Image, details: &str) -> Vec<String> {
        let (details, _) = ImageDetails::read(serde_json::from_str(details).unwrap()).unwrap();
        let found = compare(image, &details, at("2026-01-01"));
        let line = |field: &FieldDifference| {
            format!("{}: {} -> {}", field.field, field.here.as_str(), field.at_cloudflare.as_str())
        };
        found.iter().flat_map(|found| &found.fields).map(line).collect()
    }

    #[test]
    fn the_same_in_another_form_is_equal() {
        let same = r#"{"id":"img","filename":"other.jpg","uploaded":"2025-01-02T00:00:00.25Z","requireSignedURLs":false,"creator":"7",
            "variants":["https://d/h/img/hero","https://d/h/img/public"],"meta":{"a":{"n":1e2},"b":1.0}}"#;
        assert_eq!(differences(&image(), same), Vec::<String>::new());
        for nothing in
            [r#"{"id":"img"}"#, r#"{"creator":null,"filename":"","meta":null,"variants":null,"uploaded":null}"#]
        {
            assert_eq!(differences(&image(), nothing), Vec::<String>::new());
        }
    }

    #[test]
    fn every_field_is_named_with_both_values() {
        let mut image = image();
        image.status = ImageStatus::Expired;
        image.uploaded_at = None;
        image.filename = String::new();
        image.metadata = Json::default();
        let other = r#"{"filename":"é.jpg","uploaded":"2025-01-03T00:00:00Z","requireSignedURLs":true,"creator":"8",
            "variants":["https://d/h/img/public"],"meta":{"b":2}}"#;
        assert_eq!(
            differences(&image, other),
            [
                r#"status: "expired" -> "uploaded""#,
                r#"uploaded_at: null -> "2025-01-03T00:00:00Z""#,
                r#"variants: ["https://d/h/img/public", "https://d/h/img/hero"] -> ["https://d/h/img/public"]"#,
                r#"cloudflare_metadata: {"b": 1.0, "a": {"n": 100.0}} -> {"b": 2}"#,
                r#"creator: "7" -> "8""#,
                r#"filename: "" -> "\u00e9.jpg""#,
                "require_signed_urls: false -> true",
                r#"metadata: {} -> {"b": 2}"#,
            ]
        );
    }

    #[test]
    fn variants_of_old_rows_become_lists() {
        let mut image = image();
        image.variants = Variants::from_stored(json(r#""https://d/h/img/public""#));
        assert_eq!(differences(&image, r#"{"variants":["https://d/h/img/public"]}"#).len(), 1);
        image.variants = Variants::from_stored(json(r#"["https://d/h/img/public"]"#));
        assert_eq!(differences(&image, r#"{"variants":"https://d/h/img/public"}"#), Vec::<String>::new());
    }

    #[test]
    fn drafts_and_failures_do_not_undo_an_upload() {
        for report in [r#"{"uploaded":"2020-01-01T00:00:00Z","draft":true,"creator":"9"}"#, r#"{"status":"failed"}"#] {
            assert_eq!(differences(&image(), report), Vec::<String>::new());
        }
    }

    #[test]
    fn a_time_that_cannot_be_read_is_taken_where_there_is_none() {
        let mut image = image();
        assert_eq!(differences(&image, r#"{"uploaded":"yesterday"}"#), Vec::<String>::new());
        image.uploaded_at = None;
        let now = r#"uploaded_at: null -> "2026-01-01T00:00:00Z""#;
        assert_eq!(differences(&image, r#"{"uploaded":"yesterday"}"#), [now]);
    }
}
