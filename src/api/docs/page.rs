//! What the page shows, taken out of the document.

use std::fmt::Write as _;

use askama::Template;
use serde_json::Value;

use super::markdown::{Block, Inline, blocks, inlines};
use super::schema::{Field, Kind, items, short, text};
use crate::http::assets::hashed_name;

/// The methods of operations, in the order in which they are shown.
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

#[derive(Debug, Template)]
#[template(path = "docs/page.html")]
pub(super) struct DocsPage {
    version: String,
    stylesheets: [String; 3],
    logo: String,
    document_url: String,
    about: Vec<Block>,
    schemes: Vec<Scheme>,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

/// A way to sign requests.
#[derive(Debug)]
struct Scheme {
    place: String,
    name: String,
    description: Vec<Inline>,
}

/// The operations with a tag.
#[derive(Debug)]
struct Group {
    name: String,
    description: String,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    id: String,
    method: &'static str,
    path: String,
    summary: String,
    description: Vec<Block>,
    is_for_anybody: bool,
    parameters: Vec<Field>,
    body_note: Vec<Inline>,
    bodies: Vec<Body>,
    answers: Vec<Answer>,
    curl: String,
}

/// A form of a body.
#[derive(Debug)]
struct Body {
    media_type: String,
    kind: Kind,
    example: Option<String>,
}

#[derive(Debug)]
struct Answer {
    status: String,
    is_success: bool,
    description: Vec<Inline>,
    bodies: Vec<Body>,
}

/// A schema that others refer to.
#[derive(Debug)]
struct Schema {
    name: String,
    description: Vec<Block>,
    fields: Vec<Field>,
    forms: Vec<Form>,
}

/// One of the forms that a value may have.
#[derive(Debug)]
struct Form {
    kind: Kind,
    description: Vec<Inline>,
    fields: Vec<Field>,
}

impl DocsPage {
    pub(super) fn new(url_prefix: &str, document: &Value) -> Self {
        let asset = |name: &str| format!("{url_prefix}/static/{}", hashed_name(name));
        let components = &document["components"];
        let mut schemes: Vec<_> =
            members(&components["securitySchemes"]).map(|(_, scheme)| Scheme::new(scheme)).collect();
        // What most clients use comes last in the alphabet.
        schemes.reverse();
        Self {
            version: text(&document["info"], "version"),
            stylesheets: ["tokens.css", "admin.css", "docs.css"].map(asset),
            logo: asset("logo.svg"),
            document_url: format!("{url_prefix}/api/openapi.json"),
            about: blocks(&text(&document["info"], "description")),
            schemes,
            groups: items(&document["tags"]).map(|tag| Group::new(document, tag)).collect(),
            schemas: members(&components["schemas"]).map(|(name, schema)| Schema::new(name, schema)).collect(),
        }
    }
}

impl Scheme {
    fn new(scheme: &Value) -> Self {
        Self {
            place: text(scheme, "in"),
            name: text(scheme, "name"),
            description: inlines(&text(scheme, "description")),
        }
    }
}

impl Group {
    fn new(document: &Value, tag: &Value) -> Self {
        let name = text(tag, "name");
        let mut operations = Vec::new();
        for (path, item) in members(&document["paths"]) {
            for (method, operation) in METHODS.iter().filter_map(|method| Some((*method, item.get(*method)?))) {
                if items(&operation["tags"]).any(|tag| *tag == *name) {
                    operations.push(Operation::new(document, path, method, operation));
                }
            }
        }
        Self { name, description: text(tag, "description"), operations }
    }
}

impl Operation {
    fn new(document: &Value, path: &str, method: &'static str, operation: &Value) -> Self {
        let body = &operation["requestBody"];
        let answers = members(&operation["responses"]).map(|(status, answer)| {
            let reference = answer["$ref"].as_str().and_then(|path| document.pointer(path.strip_prefix('#')?));
            Answer::new(status, reference.unwrap_or(answer))
        });
        let mut this = Self {
            id: text(operation, "operationId"),
            method,
            path: path.to_owned(),
            summary: text(operation, "summary").trim_end_matches('.').to_owned(),
            description: blocks(&text(operation, "description")),
            is_for_anybody: operation.get("security").is_none(),
            parameters: items(&operation["parameters"]).map(Field::of_parameter).collect(),
            body_note: inlines(&text(body, "description")),
            bodies: Body::all_of(body),
            answers: answers.collect(),
            curl: String::new(),
        };
        this.curl = this.curl(body);
        this
    }

    /// The command that sends an example of a request; `$SITE` and `$TOKEN` are explained at the top of the page.
    fn curl(&self, body: &Value) -> String {
        let mut path = self.path.clone();
        let mut query = String::new();
        for parameter in &self.parameters {
            let Some(example) = &parameter.example else { continue };
            if parameter.place == "path" {
                path = path.replace(&format!("{{{}}}", parameter.name), example);
            } else if parameter.is_required {
                let _ = write!(query, "{}{}={example}", if query.is_empty() { '?' } else { '&' }, parameter.name);
            }
        }
        let mut command = "curl".to_owned();
        if self.method != "get" {
            let _ = write!(command, " -X {}", self.method.to_uppercase());
        }
        if !self.is_for_anybody {
            command.push_str(" -H \"Authorization: Token $TOKEN\"");
        }
        let form = body["content"]["multipart/form-data"].get("example");
        if let Some(form) = form {
            for (name, value) in members(form) {
                let value = if name == "file" { format!("@{}", short(value)) } else { short(value) };
                let _ = write!(command, " \\\n  -F {}", quoted(&format!("{name}={value}")));
            }
        } else if let Some(example) = body["content"]["application/json"].get("example") {
            let _ = write!(command, " \\\n  -H \"Content-Type: application/json\" -d {}", quoted(&example.to_string()));
        }
        let _ = write!(command, " \\\n  \"$SITE{path}{query}\"");
        command
    }
}

impl Body {
    /// The forms of a body.
    fn all_of(part: &Value) -> Vec<Self> {
        let new = |(media_type, content): (&str, &Value)| Self {
            media_type: media_type.to_owned(),
            kind: Kind::of(&content["schema"]),
            example: content.get("example").map(pretty),
        };
        members(&part["content"]).map(new).collect()
    }
}

impl Answer {
    fn new(status: &str, answer: &Value) -> Self {
        Self {
            status: status.to_owned(),
            is_success: status < "400",
            description: inlines(&text(answer, "description")),
            bodies: Body::all_of(answer),
        }
    }
}

impl Schema {
    fn new(name: &str, schema: &Value) -> Self {
        Self {
            name: name.to_owned(),
            description: blocks(&text(schema, "description")),
            fields: Field::all_of(schema),
            forms: items(&schema["anyOf"]).map(Form::new).collect(),
        }
    }
}

impl Form {
    fn new(schema: &Value) -> Self {
        Self {
            kind: Kind::of(schema),
            description: inlines(&text(schema, "description")),
            fields: Field::all_of(schema),
        }
    }
}

/// The members of an object.
fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_of_the_document_are_no_html() {
        const HOSTILE: &str = "</p><script>alert(1)</script> `<b>` \"'&";
        let content = json!({ "application/json": { "schema": { "$ref": HOSTILE }, "example": { HOSTILE: HOSTILE } } });
        let document = json!({
            "info": { "version": HOSTILE, "description": HOSTILE },
            "tags": [{ "name": HOSTILE, "description": HOSTILE }],
            "paths": { HOSTILE: { "post": {
                "tags": [HOSTILE], "operationId": HOSTILE, "summary": HOSTILE, "description": format!("- {HOSTILE}"),
                "parameters": [{ "name": HOSTILE, "in": "path", "description": HOSTILE, "example": HOSTILE, "schema": {} }],
                "requestBody": { "description": HOSTILE, "content": content },
                "responses": { HOSTILE: { "description": HOSTILE, "content": content } },
            } } },
            "components": {
                "securitySchemes": { "a": { "in": HOSTILE, "name": HOSTILE, "description": HOSTILE } },
                "schemas": { HOSTILE: { "description": HOSTILE, "properties": { HOSTILE: { "description": HOSTILE } } } },
            },
        });
        let html = DocsPage::new("", &document).render().unwrap();
        assert!(html.contains("alert(1)") && !html.contains("<script") && !html.contains("<b>"), "{html}");
    }

    #[test]
    fn commands_are_whole_and_quoted_for_a_shell() {
        let operation = json!({
            "security": [{ "token": [] }],
            "parameters": [
                { "name": "id", "in": "path", "required": true, "example": "42" },
                { "name": "field", "in": "query", "required": true, "example": "hero" },
                { "name": "page", "in": "query", "example": "1" },
            ],
            "requestBody": { "content": { "application/json": { "example": { "name": "it's" } } } },
        });
        let command = Operation::new(&json!({}), "/api/images/{id}/", "put", &operation).curl;
        let want = "curl -X PUT -H \"Authorization: Token $TOKEN\" \\\n  -H \"Content-Type: application/json\" \
            -d '{\"name\":\"it'\\''s\"}' \\\n  \"$SITE/api/images/42/?field=hero\"";
        assert_eq!(command, want);
    }
}
