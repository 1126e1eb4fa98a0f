//! Examples of bodies, made from the examples of their fields.

use serde_json::{Map, Value, json};
use utoipa::openapi::{Content, OpenApi, RefOr};

use super::shared::operations;

/// Gives every body that has none an example.
pub(super) fn complete(document: &mut OpenApi) {
    let Some(components) = &mut document.components else { return };
    let schemas = serde_json::to_value(&components.schemas).unwrap_or_default();
    let shared = components.responses.values_mut();
    let own = document.paths.paths.values_mut().flat_map(operations).flat_map(|(_, operation)| {
        let body = operation.request_body.iter_mut().filter_map(inline).flat_map(|body| body.content.values_mut());
        let responses = operation.responses.responses.values_mut().filter_map(inline);
        body.chain(responses.flat_map(|response| response.content.values_mut()))
    });
    let contents = shared.filter_map(inline).flat_map(|response| response.content.values_mut()).chain(own);
    contents.filter_map(inline).for_each(|content| add_example(content, &schemas));
}

fn inline<T>(part: &mut RefOr<T>) -> Option<&mut T> {
    match part {
        RefOr::T(part) => Some(part),
        RefOr::Ref(_) => None,
    }
}

fn add_example(content: &mut Content, schemas: &Value) {
    let Some(schema) = content.schema.as_ref().and_then(|schema| serde_json::to_value(schema).ok()) else { return };
    // A text that is not JSON is whatever the description says.
    if content.example.is_none() && content.examples.is_empty() && schema["type"] != "string" {
        content.example = Some(example_of(&schema, schemas));
    }
}

/// What is good for a schema: its example, or one that is put together from those of its parts. Fields that may be left out are, unless
/// they have an example.
fn example_of(schema: &Value, schemas: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return example_of(&schemas[name], schemas);
    }
    if let Some(example) = schema.get("example").or_else(|| schema["examples"].get(0)) {
        return example.clone();
    }
    let is_null = |schema: &&Value| schema["type"] == "null";
    let choices = ["oneOf", "anyOf"].iter().find_map(|choice| schema[choice].as_array());
    if let Some(first) = choices.and_then(|choices| choices.iter().find(|choice| !is_null(choice))) {
        return example_of(first, schemas);
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        kind => Vec::from_iter(kind.as_str()),
    };
    match types.first() {
        _ if types.contains(&"null") => Value::Null,
        Some(&"object") | None if schema["properties"].is_object() => object(schema, schemas),
        Some(&"array") => json!([example_of(&schema["items"], schemas)]),
        Some(&"string") => text(schema["format"].as_str().unwrap_or_default()).into(),
        Some(&("integer" | "number")) => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some(&"boolean") => json!(true),
        _ => json!({}),
    }
}

fn object(schema: &Value, schemas: &Value) -> Value {
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let properties = schema["properties"].as_object().into_iter().flatten();
    let shown = properties.filter(|(name, property)| is_required(name) || property.get("example").is_some());
    Value::Object(shown.map(|(name, property)| (name.clone(), example_of(property, schemas))).collect::<Map<_, _>>())
}

fn text(format: &str) -> &'static str {
    match format {
        "uuid" => "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11",
        "date-time" => "2026-03-15T10:00:00Z",
        "uri" => "https://example.com/",
        _ => "text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_is_put_together_from_those_of_the_fields() {
        let schemas = json!({
            "Image": {
                "type": "object",
                "required": ["id", "size", "count", "usages"],
                "properties": {
                    "id": { "type": "string", "format": "uuid" },
                    "size": { "type": ["integer", "null"] },
                    "count": { "type": "integer", "minimum": 3 },
                    "usages": { "type": "array", "items": { "oneOf": [{ "type": "null" }, { "$ref": "#/x/Usage" }] } },
                    "name": { "type": "string", "example": "photo.jpg" },
                    "left_out": { "type": "string" },
                }
            },
            "Usage": { "type": "object", "example": { "field": ["hero"] } },
        });
        let example = example_of(&json!({ "$ref": "#/components/schemas/Image" }), &schemas);
        let want = json!({
            "id": "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11", "size": null, "count": 3,
            "usages": [{ "field": ["hero"] }], "name": "photo.jpg",
        });
        assert_eq!(example, want);
        assert_eq!(example_of(&json!({}), &schemas), json!({}));
    }
}
