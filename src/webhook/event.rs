//! What a webhook says.

use serde_json::value::RawValue;
use tracing::warn;

use crate::api::{Fields, JsonSyntaxError, explain_json};
use crate::cloudflare::ImageDetails;
use crate::domain::{CloudflareId, Json};
use crate::http::body::json_text;
use crate::service::WebhookEvent;

/// The kind of notification that tells of direct uploads.
const IMAGE_NOTIFICATION: &str = "image_notification";
/// Where a notification may name its image. Cloudflare documents none of them.
const ID_KEYS: [&str; 5] = ["image_id", "imageId", "id", "cloudflare_id", "image"];

/// Why the body of a webhook is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// It is not JSON.
    #[error("Invalid JSON")]
    Json,
    /// It is JSON of another form.
    #[error("Invalid payload")]
    Payload,
}

/// Reads the body of a webhook: Cloudflare's test message, Cloudflare's notification, or a report in the toolkit's form.
///
/// # Errors
/// If it is not JSON, or none of these.
pub fn read_event(body: &[u8]) -> Result<WebhookEvent, EventError> {
    let text = json_text(body).ok_or(EventError::Json)?;
    let document: &RawValue = serde_json::from_str(&text).map_err(|_| not_json(&text))?;
    let value: serde_json::Value = serde_json::from_str(document.get()).map_err(|_| EventError::Payload)?;
    if value.get("alert_type").is_some() || value.get("policy_id").is_some() {
        return read_notification(&value, document);
    }
    if value.get("text").is_some_and(serde_json::Value::is_string) && value.get("id").is_none() {
        return Ok(WebhookEvent::Test);
    }
    read_report(document)
}

/// Python reads some numbers that JSON does not have, and the toolkit refuses them later.
fn not_json(text: &str) -> EventError {
    match explain_json(text) {
        JsonSyntaxError::Constant(_) => EventError::Payload,
        _ => EventError::Json,
    }
}

/// Other notifications than those of uploads are none of our business, but well delivered.
fn read_notification(value: &serde_json::Value, document: &RawValue) -> Result<WebhookEvent, EventError> {
    let payload = Json::from_raw(document).map_err(|_| EventError::Payload)?;
    if value.get("alert_type").is_some_and(|kind| kind != IMAGE_NOTIFICATION) {
        return Ok(WebhookEvent::Test);
    }
    Ok(WebhookEvent::Notification { id: value.get("data").and_then(find_id), payload })
}

fn find_id(data: &serde_json::Value) -> Option<CloudflareId> {
    let id_in =
        |object: &serde_json::Value| ID_KEYS.iter().find_map(|key| object.get(key)?.as_str().map(str::to_owned));
    let nested = || data.as_object()?.values().find_map(id_in);
    id_in(data).or_else(nested).filter(|id| !id.is_empty() && !id.contains('\0')).map(CloudflareId::new)
}

/// Validates as the toolkit's serializer does and then uses the validated values, which the toolkit does not.
fn read_report(document: &RawValue) -> Result<WebhookEvent, EventError> {
    let mut fields = Fields::of_json(document).map_err(|_| EventError::Payload)?;
    let id = fields.text("id", usize::MAX);
    let uploaded = fields.date_time("uploaded");
    let draft = fields.boolean("draft");
    let variants = fields.urls("variants");
    fields.json("metadata");
    fields.boolean("requireSignedURLs");
    fields.finish().map_err(|_| EventError::Payload)?;
    let id = id.ok_or(EventError::Payload)?;

    let (mut details, unfit) = ImageDetails::read(document).map_err(|_| EventError::Payload)?;
    if !unfit.is_empty() {
        warn!(fields = ?unfit, "Left out fields of a webhook that cannot be kept");
    }
    details.uploaded = uploaded;
    details.is_draft = draft.unwrap_or(false);
    details.variants = variants.map(|urls| Json::of(&urls));
    Ok(WebhookEvent::ImageReport { id: CloudflareId::new(id), details: Box::new(details) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Result<WebhookEvent, EventError> {
        read_event(body.as_bytes())
    }

    #[test]
    fn cloudflares_test_message_is_known_by_its_text() {
        assert!(matches!(read(r#"{"text":"Hello World! This is a test message"}"#), Ok(WebhookEvent::Test)));
    }

    #[test]
    fn a_notification_is_a_hint_wherever_it_names_the_image() {
        for data in [
            r#"{"image_id":"i"}"#,
            r#"{"id":"i"}"#,
            r#"{"image":{"id":"i"}}"#,
            r#"{"imageId":"i","status":"uploaded"}"#,
        ] {
            let body = format!(r#"{{"alert_type":"image_notification","data":{data}}}"#);
            assert!(
                matches!(read(&body), Ok(WebhookEvent::Notification { id: Some(id), .. }) if id.as_str() == "i"),
                "{body}"
            );
        }
        assert!(matches!(read(r#"{"policy_id":"p","data":{}}"#), Ok(WebhookEvent::Notification { id: None, .. })));
        assert!(matches!(
            read(r#"{"alert_type":"image_notification"}"#),
            Ok(WebhookEvent::Notification { id: None, .. })
        ));
        assert!(matches!(read(r#"{"alert_type":"billing_usage_alert","data":{"id":"i"}}"#), Ok(WebhookEvent::Test)));
    }

    #[test]
    fn a_report_carries_validated_values() {
        let body = r#"{"id":" hook-a ","uploaded":"2024-06-01","draft":"false","variants":[" https://h/a/public "],"width":"wide"}"#;
        let Ok(WebhookEvent::ImageReport { id, details }) = read(body) else { panic!("no report") };
        assert_eq!(id.as_str(), "hook-a");
        assert!(!details.is_draft);
        assert_eq!(details.uploaded.unwrap().to_string(), "2024-06-01T00:00:00Z");
        assert_eq!(details.variants.unwrap().as_str(), r#"["https://h/a/public"]"#);
        assert_eq!(details.width, None);
    }

    #[test]
    fn numbers_are_ids_too() {
        assert!(matches!(read(r#"{"id": 12345}"#), Ok(WebhookEvent::ImageReport { id, .. }) if id.as_str() == "12345"));
        assert!(matches!(read(r#"{"id": 1.5}"#), Ok(WebhookEvent::ImageReport { id, .. }) if id.as_str() == "1.5"));
    }

    #[test]
    fn what_is_no_json_and_what_is_no_payload_are_told_apart() {
        for body in ["{oops", "", "\u{0}"] {
            assert_eq!(read(body).err(), Some(EventError::Json), "{body}");
        }
        assert_eq!(read_event(b"{\"id\": \"\xff\"}").err(), Some(EventError::Json));
        for body in [
            "[]",
            "5",
            "null",
            "true",
            "\"text\"",
            "{}",
            r#"{"id":null}"#,
            r#"{"id":""}"#,
            r#"{"id":["a"]}"#,
            r#"{"id":true}"#,
            r#"{"id":"a\u0000b"}"#,
            r#"{"id":"a","uploaded":"soon"}"#,
            r#"{"id":"a","uploaded":null}"#,
            r#"{"id":"a","uploaded":1717236000}"#,
            r#"{"id":"a","draft":"maybe"}"#,
            r#"{"id":"a","variants":["x"]}"#,
        ] {
            assert_eq!(read(body).err(), Some(EventError::Payload), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_the_reader_panic(body in proptest::collection::vec(any::<u8>(), 0..300), text in "[\\[\\]{}\":,a-z_0-9. ]*") {
            let _ = read_event(&body);
            let _ = read(&text);
        }
    }
}
