//! What a schema allows, in words.

use serde_json::Value;

use super::markdown::{Inline, inlines};

/// The kind of a value: words around the name of a schema, where it has one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) before: String,
    pub(super) schema: Option<String>,
    pub(super) after: String,
}

/// A parameter or a field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    /// Where a parameter is: `path` or `query`; empty for fields.
    pub(super) place: String,
    pub(super) is_required: bool,
    pub(super) kind: Kind,
    pub(super) limits: String,
    pub(super) description: Vec<Inline>,
    pub(super) example: Option<String>,
}

impl Field {
    /// A parameter of an operation.
    pub(super) fn of_parameter(parameter: &Value) -> Self {
        let schema = &parameter["schema"];
        Self {
            name: text(parameter, "name"),
            place: text(parameter, "in"),
            is_required: parameter["required"] == true,
            kind: Kind::of(schema),
            limits: limits(schema),
            description: inlines(&text(parameter, "description")),
            example: parameter.get("example").map(short),
        }
    }

    /// The fields of an object: those that have to be there first.
    pub(super) fn all_of(schema: &Value) -> Vec<Self> {
        let required: Vec<&str> = items(&schema["required"]).filter_map(Value::as_str).collect();
        let own = schema["properties"].as_object().into_iter().flatten();
        let mut fields: Vec<Self> = own
            .map(|(name, schema)| Self {
                name: name.clone(),
                place: String::new(),
                is_required: required.contains(&name.as_str()),
                kind: Kind::of(schema),
                limits: limits(schema),
                description: inlines(&text(schema, "description")),
                example: schema.get("example").map(short),
            })
            .collect();
        fields.sort_by_key(|field| required.iter().position(|name| *name == field.name).unwrap_or(usize::MAX));
        fields
    }
}

impl Kind {
    pub(super) fn of(schema: &Value) -> Self {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return Self { schema: Some(name.to_owned()), ..Self::default() };
        }
        let is_null = |schema: &Value| schema["type"] == "null";
        let forms: Vec<&Value> = items(&schema["anyOf"]).chain(items(&schema["oneOf"])).collect();
        if !forms.is_empty() {
            let mut real = forms.iter().filter(|form| !is_null(form));
            return match (real.next(), real.next()) {
                (Some(one), None) => Self { after: " or null".to_owned(), ..Self::of(one) },
                _ => Self::named("one of several forms"),
            };
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
            kind => kind.as_str().into_iter().collect(),
        };
        let after = if types.contains(&"null") { " or null" } else { "" };
        let kind = match types.iter().find(|kind| **kind != "null") {
            Some(&"array") => {
                let items = Self::of(&schema["items"]);
                Self { before: format!("list of {}", items.before), ..items }
            }
            Some(&"object") if schema["additionalProperties"].is_object() => {
                let values = Self::of(&schema["additionalProperties"]);
                Self { before: format!("object with values: {}", values.before), ..values }
            }
            Some(kind) => Self::named(match schema["format"].as_str().unwrap_or_default() {
                "uuid" => "UUID",
                "date-time" => "time",
                "uri" => "URL",
                "binary" => "file",
                _ => kind,
            }),
            None => Self::named("any JSON"),
        };
        Self { after: kind.after + after, ..kind }
    }

    fn named(name: &str) -> Self {
        Self { before: name.to_owned(), ..Self::default() }
    }
}

/// How large or long a value may be; empty where that is not limited.
fn limits(schema: &Value) -> String {
    let of = |low: &str, high: &str, unit: &str| match (schema[low].as_i64(), schema[high].as_i64()) {
        (Some(low), Some(high)) => Some(format!("{low} to {high}{unit}")),
        (Some(low), None) => Some(format!("at least {low}{unit}")),
        (None, Some(high)) => Some(format!("at most {high}{unit}")),
        (None, None) => None,
    };
    let all = [
        of("minimum", "maximum", ""),
        of("minLength", "maxLength", " characters"),
        of("minItems", "maxItems", " items"),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A value on one line, as it would be written into a URL or a form.
pub(super) fn short(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_are_told_in_words() {
        let words = |schema: Value| {
            let Kind { before, schema, after } = Kind::of(&schema);
            format!("{before}{}{after}", schema.unwrap_or_default())
        };
        for (schema, want) in [
            (json!({ "type": "string", "format": "date-time" }), "time"),
            (json!({ "type": ["integer", "null"] }), "integer or null"),
            (json!({ "type": "array", "items": { "$ref": "#/components/schemas/Image" } }), "list of Image"),
            (json!({ "oneOf": [{ "type": "null" }, { "$ref": "#/x/Image" }] }), "Image or null"),
            (json!({ "anyOf": [{ "$ref": "#/x/A" }, { "$ref": "#/x/B" }] }), "one of several forms"),
            (json!({ "type": "object", "additionalProperties": { "type": "string" } }), "object with values: string"),
            (json!({}), "any JSON"),
        ] {
            assert_eq!(words(schema), want);
        }
        assert_eq!(limits(&json!({ "minimum": 1, "maximum": 100 })), "1 to 100");
        assert_eq!(limits(&json!({ "maxLength": 255 })), "at most 255 characters");
    }
}
