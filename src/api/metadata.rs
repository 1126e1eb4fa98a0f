//! How a view describes itself when it is asked with `OPTIONS`, in the form of DRF's `SimpleMetadata`.

use axum::Json;
use serde_json::{Map, Value, json};

use super::body::MEDIA_TYPES;
use super::negotiation;
use super::view::View;

/// Describes a view; the fields of a `PUT` only where it has a target.
pub(super) fn describe(view: &View, has_target: bool) -> Json<Value> {
    let mut description = json!({
        "name": view.name,
        "description": view.description,
        "renders": negotiation::media_types().collect::<Vec<_>>(),
        "parses": MEDIA_TYPES,
    });
    let takes_fields = |method: &&str| *method == "POST" || (*method == "PUT" && has_target);
    let actions: Map<String, Value> = view
        .methods
        .iter()
        .filter(|method| takes_fields(method))
        .map(|method| ((*method).to_owned(), image_fields()))
        .collect();
    if view.describes_image && !actions.is_empty() {
        description["actions"] = Value::Object(actions);
    }
    Json(description)
}

fn image_fields() -> Value {
    const READ_ONLY: [(&str, &str); 14] = [
        ("id", "string"),
        ("cloudflare_id", "string"),
        ("upload_url", "url"),
        ("status", "choice"),
        ("created_at", "datetime"),
        ("updated_at", "datetime"),
        ("uploaded_at", "datetime"),
        ("expires_at", "datetime"),
        ("variants", "field"),
        ("cloudflare_metadata", "field"),
        ("public_url", "field"),
        ("thumbnail_url", "field"),
        ("is_expired", "field"),
        ("is_uploaded", "field"),
    ];
    let mut fields = Map::new();
    for (name, kind) in READ_ONLY {
        fields.insert(name.to_owned(), field(name, kind, true));
    }
    for (name, kind, limits) in [
        ("filename", "string", json!({"max_length": 255})),
        ("original_filename", "string", json!({"max_length": 255})),
        ("content_type", "string", json!({"max_length": 100})),
        ("file_size", "integer", json!({"min_value": 0, "max_value": i32::MAX})),
        ("require_signed_urls", "boolean", json!({})),
        ("metadata", "field", json!({})),
    ] {
        let mut field = field(name, kind, false);
        if let (Value::Object(field), Value::Object(limits)) = (&mut field, limits) {
            field.extend(limits);
        }
        fields.insert(name.to_owned(), field);
    }
    Value::Object(fields)
}

fn field(name: &str, kind: &str, read_only: bool) -> Value {
    json!({"type": kind, "required": false, "read_only": read_only, "label": label(name)})
}

/// `file_size` as `File size`.
fn label(name: &str) -> String {
    capitalised(&name.replace('_', " "))
}

/// The text with a capital at its start.
pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
