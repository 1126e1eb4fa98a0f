//! Whether answers of the emulator are what Cloudflare says they are: `tests/fixtures/cloudflare` has the document, and the exceptions
//! from it. The tests of the emulator itself use this file as well.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

/// What is before the paths of the document.
const API: &str = "/client/v4";
/// What the host for batches has before its paths, and the paths of the document.
const BATCH: (&str, &str) = ("/images/", "/accounts/batch/images/");
/// What the document leaves out, and the vendor's other documentation has: answers need to be an object in an envelope.
const UNDESCRIBED: [(&str, &str); 2] =
    [("patch", "/accounts/{account_id}/images/v1/config"), ("get", "/accounts/{account_id}/images/v1/batch_token")];
const SUCCESS: &str = "/components/schemas/images_api-response-single";
const FAILURE: &str = "/components/schemas/images_api-response-common-failure";
/// The image in an envelope, as upload URLs answer it.
const IMAGE: &str = "/components/schemas/images_image_response_single";

/// An answer, and what was asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'a> {
    pub(crate) method: &'a str,
    /// Without a query.
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) content_type: &'a str,
    pub(crate) body: &'a [u8],
}

/// What the answer must be.
enum Expected {
    /// One of these types of content, `image/*` among them, by the schemas at these pointers.
    Content(Vec<(String, String)>),
    /// None is described for the status.
    Nothing,
}

impl Exchange<'_> {
    /// What is wrong with the answer. Deliveries, and other paths that are not of the REST API, are never wrong.
    pub(crate) fn violation(&self) -> Option<String> {
        let problem = match self.expected()? {
            Expected::Nothing => Some("the document has no such status".to_owned()),
            Expected::Content(content) => self.problem(&content),
        };
        problem.map(|problem| {
            let Self { method, path, status, .. } = self;
            format!("{method} {path}: {status}: {problem}: {}", String::from_utf8_lossy(self.body))
        })
    }

    fn expected(&self) -> Option<Expected> {
        let json = |pointer: &str| Expected::Content(vec![("application/json".to_owned(), pointer.to_owned())]);
        if self.path.starts_with("/upload/") {
            return match (self.method, self.status) {
                ("POST", 200) => Some(json(IMAGE)),
                ("POST", 400..=499) => Some(json(FAILURE)),
                ("POST", _) => Some(Expected::Nothing),
                _ => None,
            };
        }
        let path = match (self.path.strip_prefix(API), self.path.strip_prefix(BATCH.0)) {
            (Some(path), _) => path.to_owned(),
            (None, Some(rest)) => format!("{}{rest}", BATCH.1),
            (None, None) => return None,
        };
        let method = self.method.to_lowercase();
        // What a GET would have answered, without its body.
        if method == "head" {
            return None;
        }
        Some(match operation(&method, &path) {
            Some(Operation::Described(template)) => described(&template, &method, self.status),
            Some(Operation::Undescribed) if self.status == 200 => json(SUCCESS),
            _ if (400..500).contains(&self.status) => json(FAILURE),
            _ => Expected::Nothing,
        })
    }

    fn problem(&self, content: &[(String, String)]) -> Option<String> {
        let kind = self.content_type.split(';').next().unwrap_or_default();
        let fits = |known: &str| known.strip_suffix('*').map_or(known == kind, |start| kind.starts_with(start));
        let Some((known, pointer)) = content.iter().find(|(known, _)| fits(known)) else {
            return Some(format!("the type of the content is {:?}", self.content_type));
        };
        if known != "application/json" {
            return None;
        }
        match serde_json::from_slice(self.body) {
            Err(error) => Some(format!("not JSON: {error}")),
            Ok(body) => {
                let problems: Vec<_> = validator(pointer)
                    .iter_errors(&body)
                    .map(|error| format!("{error} at {:?}", error.instance_path().to_string()))
                    .collect();
                (!problems.is_empty()).then(|| problems.join("; "))
            }
        }
    }
}

enum Operation {
    Described(String),
    Undescribed,
}

/// The operation of a path, of several the one with the fewest parameters in its path.
fn operation(method: &str, path: &str) -> Option<Operation> {
    let matches = |template: &str| {
        let (known, given): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
        known.len() == given.len()
            && known.iter().zip(given).all(|(known, given)| known.starts_with('{') || *known == given)
    };
    if UNDESCRIBED.iter().any(|(of, template)| *of == method && matches(template)) {
        return Some(Operation::Undescribed);
    }
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let templates = paths.iter().filter(|(template, item)| item.get(method).is_some() && matches(template));
    let template = templates.map(|(template, _)| template).min_by_key(|template| template.matches('{').count())?;
    Some(Operation::Described(template.clone()))
}

fn described(template: &str, method: &str, status: u16) -> Expected {
    let responses = DOCUMENT["paths"][template][method]["responses"].as_object().unwrap();
    let status =
        [status.to_string(), format!("{}XX", status / 100)].into_iter().find(|code| responses.contains_key(code));
    let Some(status) = status else { return Expected::Nothing };
    let pointer = |kind: &str| {
        let keys = ["paths", template, method, "responses", &status, "content", kind, "schema"];
        keys.map(|key| format!("/{}", escape(key))).concat()
    };
    let content = responses[&status]["content"].as_object().unwrap();
    Expected::Content(content.keys().map(|kind| (kind.clone(), pointer(kind))).collect())
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The document with its exceptions, as JSON Schema has it.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document: Value = serde_json::from_str(include_str!("../../fixtures/cloudflare/openapi.json")).unwrap();
    let exceptions: Vec<Value> =
        serde_json::from_str(include_str!("../../fixtures/cloudflare/exceptions.json")).unwrap();
    for exception in exceptions {
        let pointer = exception["at"].as_str().unwrap();
        let keys: Vec<_> = pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect();
        assert_ne!(change(&mut document, &keys, exception.get("becomes")), 0, "{pointer} changes nothing");
    }
    write_null_as_type(&mut document);
    document
});

/// Puts a value at a place, or takes it away there; how often something was changed.
fn change(parent: &mut Value, keys: &[String], becomes: Option<&Value>) -> usize {
    match (keys, parent) {
        ([key], Value::Object(object)) => {
            let before = match becomes {
                Some(value) => object.insert(key.clone(), value.clone()),
                None => object.remove(key),
            };
            usize::from(before.as_ref() != becomes)
        }
        ([key], Value::Array(list)) => {
            let at = key.parse().ok().filter(|at| *at < list.len() && becomes.is_none());
            at.map_or(0, |at| drop_at(list, at))
        }
        ([key, rest @ ..], Value::Array(list)) => {
            key.parse().ok().and_then(|at: usize| list.get_mut(at)).map_or(0, |value| change(value, rest, becomes))
        }
        ([key, rest @ ..], Value::Object(object)) => object
            .iter_mut()
            .filter(|(name, _)| key == "*" || *name == key)
            .map(|(_, value)| change(value, rest, becomes))
            .sum(),
        _ => 0,
    }
}

fn drop_at(list: &mut Vec<Value>, at: usize) -> usize {
    list.remove(at);
    1
}

/// OpenAPI 3.0 says `nullable` where JSON Schema has null among the types.
fn write_null_as_type(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if object.remove("nullable") == Some(Value::Bool(true)) {
                let kind = object.get("type").cloned().unwrap_or_default();
                object.insert("type".to_owned(), json!([kind, "null"]));
            }
            object.values_mut().for_each(write_null_as_type);
        }
        Value::Array(list) => list.iter_mut().for_each(write_null_as_type),
        _ => {}
    }
}

/// Checks by the schema at a pointer.
fn validator(pointer: &str) -> Arc<Validator> {
    static MADE: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let make = || {
        let mut schema = DOCUMENT.pointer(pointer).unwrap().clone();
        schema["components"] = DOCUMENT["components"].clone();
        Arc::new(jsonschema::options().should_validate_formats(true).build(&schema).unwrap())
    };
    Arc::clone(MADE.lock().unwrap().entry(pointer.to_owned()).or_insert_with(make))
}
