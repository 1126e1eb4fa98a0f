//! What a webhook says.

use serde_json::Value;
use serde_json::value::RawValue;
use tracing::warn;

use crate::api::{Fields, JsonSyntaxError, explain_json};
use crate::cloudflare::ImageDetails;
use crate::domain::{CloudflareId, Json, WebhookForm};
use crate::http::body::json_text;
use crate::service::{WebhookEvent, WebhookMessage, WebhookRefusal};

/// The kind of notification that tells of direct uploads.
const IMAGE_NOTIFICATION: &str = "image_notification";
/// Where a notification may name its image. Cloudflare documents none of them.
const ID_KEYS: [&str; 5] = ["image_id", "imageId", "id", "cloudflare_id", "image"];

/// Reads the body of a webhook: Cloudflare's test message, Cloudflare's notification, a report in the toolkit's form, or an event
/// in the form of its older releases.
///
/// What only one of them has decides: `alert_type` or `policy_id`, or else `data` and `ts` without `id`, make a notification;
/// `eventType` makes an event, unless there is an `id` and no `imageId`; `text` without `id` is the test message. All else is a
/// report, or nothing that is understood.
///
/// # Errors
/// [`WebhookRefusal::NotJson`] or [`WebhookRefusal::NotUnderstood`].
pub fn read_event(body: &[u8]) -> Result<WebhookMessage, WebhookRefusal> {
    let text = json_text(body).ok_or(WebhookRefusal::NotJson)?;
    let document: &RawValue = serde_json::from_str(&text).map_err(|_| not_json(&text))?;
    let value: Value = serde_json::from_str(document.get()).map_err(|_| WebhookRefusal::NotUnderstood)?;
    let has = |key| value.get(key).is_some();
    if has("alert_type") || has("policy_id") || (has("data") && has("ts") && !has("id")) {
        read_notification(&value, document)
    } else if value.get("eventType").is_some_and(Value::is_string) && (has("imageId") || !has("id")) {
        read_upload_event(&value, document)
    } else if value.get("text").is_some_and(Value::is_string) && !has("id") {
        Ok(nothing(WebhookForm::Test, None, "It is a test message."))
    } else {
        read_report(document)
    }
}

/// Python reads some numbers that JSON does not have, and the toolkit refuses them later.
fn not_json(text: &str) -> WebhookRefusal {
    match explain_json(text) {
        JsonSyntaxError::Constant(_) => WebhookRefusal::NotUnderstood,
        _ => WebhookRefusal::NotJson,
    }
}

fn nothing(form: WebhookForm, sent_at: Option<i64>, reason: &'static str) -> WebhookMessage {
    WebhookMessage { form, sent_at, event: WebhookEvent::Nothing { reason } }
}

/// Other notifications than those of uploads are none of our business, but well delivered.
fn read_notification(value: &Value, document: &RawValue) -> Result<WebhookMessage, WebhookRefusal> {
    let payload = Json::from_raw(document).map_err(|_| WebhookRefusal::NotUnderstood)?;
    let sent_at = value.get("ts").and_then(whole_seconds);
    let form = WebhookForm::Notification;
    if value.get("alert_type").is_some_and(|kind| kind != IMAGE_NOTIFICATION) {
        return Ok(nothing(form, sent_at, "It is a notification of another kind than image_notification."));
    }
    let id = value.get("data").and_then(find_id);
    if id.is_none() {
        warn!("A notification of Cloudflare names no image");
    }
    Ok(WebhookMessage { form, sent_at, event: WebhookEvent::Hint { id, payload } })
}

/// Seconds with a fraction are cut.
fn whole_seconds(number: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "numbers out of range become the nearest, which is no time near ours"
    )]
    number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))
}

fn find_id(data: &Value) -> Option<CloudflareId> {
    let id_in = |object: &Value| ID_KEYS.iter().find_map(|key| object.get(key)?.as_str().map(str::to_owned));
    let nested = || data.as_object()?.values().find_map(id_in);
    id_in(data).or_else(nested).filter(|id| !id.is_empty() && !id.contains('\0')).map(CloudflareId::new)
}

/// The type of the event decides; `status` only repeats it.
fn read_upload_event(value: &Value, document: &RawValue) -> Result<WebhookMessage, WebhookRefusal> {
    let form = WebhookForm::Event;
    let has_failed = match value["eventType"].as_str() {
        Some("image.uploaded") => false,
        Some("image.failed") => true,
        kind => {
            warn!(webhook.event_type = ?kind.unwrap_or_default().chars().take(100).collect::<String>(), "Received a webhook of an unknown type");
            return Ok(nothing(form, None, "Its eventType is neither image.uploaded nor image.failed."));
        }
    };
    let (id, mut details) = read_image(document, "imageId")?;
    details.has_failed = has_failed;
    details.has_uploaded = true;
    details.is_draft = false;
    Ok(WebhookMessage { form, sent_at: None, event: WebhookEvent::Report { id, details } })
}

fn read_report(document: &RawValue) -> Result<WebhookMessage, WebhookRefusal> {
    let (id, details) = read_image(document, "id")?;
    Ok(WebhookMessage { form: WebhookForm::Report, sent_at: None, event: WebhookEvent::Report { id, details } })
}

/// Validates as the toolkit's serializer does and then uses the validated values, which the toolkit does not.
fn read_image(document: &RawValue, id_key: &str) -> Result<(CloudflareId, Box<ImageDetails>), WebhookRefusal> {
    let mut fields = Fields::of_json(document).map_err(|_| WebhookRefusal::NotUnderstood)?;
    let id = fields.text(id_key, usize::MAX);
    let uploaded = fields.date_time("uploaded");
    let draft = fields.boolean("draft");
    let variants = fields.urls("variants");
    fields.json("metadata");
    fields.boolean("requireSignedURLs");
    fields.finish().map_err(|_| WebhookRefusal::NotUnderstood)?;
    let id = id.ok_or(WebhookRefusal::NotUnderstood)?;

    let (mut details, unfit) = ImageDetails::read(document).map_err(|_| WebhookRefusal::NotUnderstood)?;
    if !unfit.is_empty() {
        warn!(fields = ?unfit, "Left out fields of a webhook that cannot be kept");
    }
    details.uploaded = uploaded;
    details.is_draft = draft.unwrap_or(false);
    details.variants = variants.map(|urls| Json::of(&urls));
    Ok((CloudflareId::new(id), Box::new(details)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &str) -> Result<WebhookMessage, WebhookRefusal> {
        read_event(body.as_bytes())
    }

    /// The form of a body, and the image that it is about.
    fn kind(body: &str) -> (WebhookForm, Option<String>) {
        let message = read(body).unwrap_or_else(|refusal| panic!("{refusal}: {body}"));
        let id = match message.event {
            WebhookEvent::Nothing { .. } => None,
            WebhookEvent::Hint { id, .. } => id.map(|id| format!("hint {id}")),
            WebhookEvent::Report { id, .. } => Some(id.to_string()),
        };
        (message.form, id)
    }

    fn report(body: &str) -> Box<ImageDetails> {
        let Ok(WebhookMessage { event: WebhookEvent::Report { details, .. }, .. }) = read(body) else {
            panic!("no report: {body}")
        };
        details
    }

    #[test]
    fn forms_are_told_apart_by_what_only_one_of_them_has() {
        let some = |id: &str| Some(id.to_owned());
        for (body, want) in [
            (r#"{"text":"Hello World! This is a test message"}"#, (WebhookForm::Test, None)),
            (r#"{"text":"t","name":"n","ts":1,"data":{"id":"i"}}"#, (WebhookForm::Notification, some("hint i"))),
            (r#"{"policy_id":"p","data":{}}"#, (WebhookForm::Notification, None)),
            (r#"{"alert_type":"image_notification"}"#, (WebhookForm::Notification, None)),
            (r#"{"alert_type":"billing_usage_alert","data":{"id":"i"}}"#, (WebhookForm::Notification, None)),
            (r#"{"id":"i","text":"t"}"#, (WebhookForm::Report, some("i"))),
            (r#"{"id":"i","data":{},"ts":1}"#, (WebhookForm::Report, some("i"))),
            (r#"{"id":"i","eventType":"image.uploaded"}"#, (WebhookForm::Report, some("i"))),
            (r#"{"id":"evt-1","eventType":"image.uploaded","imageId":"i"}"#, (WebhookForm::Event, some("i"))),
            (r#"{"eventType":"image.failed","imageId":"i"}"#, (WebhookForm::Event, some("i"))),
            (r#"{"eventType":"image.viewed"}"#, (WebhookForm::Event, None)),
        ] {
            assert_eq!(kind(body), want, "{body}");
        }
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
            assert_eq!(kind(&body), (WebhookForm::Notification, Some("hint i".to_owned())));
        }
    }

    #[test]
    fn a_notification_tells_when_it_was_sent() {
        for (ts, want) in [
            ("1136214245", Some(1_136_214_245)),
            ("1136214245.9", Some(1_136_214_245)),
            ("1e300", Some(i64::MAX)),
            ("\"soon\"", None),
        ] {
            let body = format!(r#"{{"alert_type":"image_notification","ts":{ts}}}"#);
            assert_eq!(read(&body).unwrap().sent_at, want, "{ts}");
        }
    }

    #[test]
    fn a_report_carries_validated_values() {
        let body = r#"{"id":" hook-a ","uploaded":"2024-06-01","draft":"false","variants":[" https://h/a/public "],"width":"wide"}"#;
        assert_eq!(kind(body).1.as_deref(), Some("hook-a"));
        let details = report(body);
        assert!(!details.is_draft);
        assert_eq!(details.uploaded.unwrap().to_string(), "2024-06-01T00:00:00Z");
        assert_eq!(details.variants.unwrap().as_str(), r#"["https://h/a/public"]"#);
        assert_eq!(details.width, None);
    }

    #[test]
    fn the_type_of_an_event_decides_over_its_status() {
        let details = report(r#"{"eventType":"image.failed","imageId":"i","status":"uploaded","metadata":{"k":1}}"#);
        assert!(details.has_failed);
        assert_eq!(details.metadata.unwrap().as_str(), r#"{"k": 1}"#);
        let details = report(r#"{"eventType":"image.uploaded","imageId":"i","status":"failed","draft":true}"#);
        assert!(!details.has_failed && !details.is_draft && details.has_uploaded);
    }

    #[test]
    fn numbers_are_ids_too() {
        for (id, want) in [("12345", "12345"), ("1.5", "1.5")] {
            assert_eq!(kind(&format!(r#"{{"id": {id}}}"#)).1.as_deref(), Some(want));
        }
    }

    #[test]
    fn what_is_no_json_and_what_is_no_payload_are_told_apart() {
        for body in ["{oops", "", "\u{0}"] {
            assert_eq!(read(body).err(), Some(WebhookRefusal::NotJson), "{body}");
        }
        assert_eq!(read_event(b"{\"id\": \"\xff\"}").err(), Some(WebhookRefusal::NotJson));
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
            r#"{"eventType":"image.uploaded"}"#,
            r#"{"eventType":"image.uploaded","imageId":""}"#,
            r#"{"eventType":7,"imageId":"a"}"#,
        ] {
            assert_eq!(read(body).err(), Some(WebhookRefusal::NotUnderstood), "{body}");
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
