//! The description of the API.

use std::collections::HashSet;

use serde_json::Value;

use crate::support::app::{Answer, TestApp};
use crate::support::suite::{Engine, Suite};

pub(crate) fn register(suite: &mut Suite) {
    suite.test("openapi::the_document_is_the_one_that_was_reviewed", document);
    suite.test("openapi::the_server_hands_out_the_document", served);
    suite.test("openapi::no_operation_lacks_what_its_users_need", complete);
    suite.test("openapi::examples_are_what_their_schemas_allow", examples);
}

/// The paths of operations that anybody may use.
const FOR_ANYBODY: [&str; 2] = ["/api/openapi.json", "/api/webhook/"];

async fn document() {
    insta::assert_snapshot!("openapi", cfimages::app::openapi("/cloudflare-images").to_pretty_json().unwrap());
}

async fn served() {
    let app = TestApp::start(&Engine::Sqlite).await;
    let url = format!("{}/cloudflare-images/api/openapi.json", app.origin);
    let answer = Answer::of(app.http.get(&url)).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.json(), described("/cloudflare-images"));
    let again = Answer::of(app.http.get(&url).header("If-None-Match", &answer.headers["etag"])).await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (304, ""));
}

fn described(prefix: &str) -> Value {
    serde_json::from_str(&cfimages::app::openapi(prefix).to_json().unwrap()).unwrap()
}

/// Each operation of a document: its path, its method and itself.
fn operations<'a>(document: &'a Value) -> Vec<(&'a str, &'a str, &'a Value)> {
    let of_path = |(path, item): (&'a String, &'a Value)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, operation)| (path.as_str(), method.as_str(), operation)).collect::<Vec<_>>()
    };
    let all: Vec<_> = document["paths"].as_object().unwrap().iter().flat_map(of_path).collect();
    assert!(all.len() > 30);
    all
}

/// A part of the document, or what it refers to.
fn resolve<'a>(document: &'a Value, part: &'a Value) -> &'a Value {
    let Some(reference) = part["$ref"].as_str() else { return part };
    document.pointer(reference.strip_prefix('#').unwrap()).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

#[track_caller]
fn assert_says_something(part: &Value, name: &str, whose: &str) {
    assert!(part[name].as_str().is_some_and(|text| !text.trim().is_empty()), "{whose} has no {name}");
}

async fn complete() {
    let document = described("");
    let tags: HashSet<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let mut ids = HashSet::new();
    for (path, method, operation) in operations(&document) {
        let whose = format!("{method} {path}");
        assert_says_something(operation, "summary", &whose);
        assert_says_something(operation, "description", &whose);
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{whose}: the id is another's");
        let [tag] = operation["tags"].as_array().unwrap().as_slice() else { panic!("{whose} has not one tag") };
        assert!(tags.contains(tag.as_str().unwrap()), "{whose}: {tag} is not described");
        check_parameters(path, operation, &whose);
        if let Some(body) = operation.get("requestBody") {
            for (media_type, content) in body["content"].as_object().unwrap() {
                assert!(!resolve(&document, &content["schema"])["properties"].is_null(), "{whose}: {media_type}");
                assert!(content.get("example").is_some(), "{whose}: no example of {media_type}");
            }
        }
        check_answers(&document, path, method, operation, &whose);
    }
}

fn check_parameters(path: &str, operation: &Value, whose: &str) {
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let mut in_path = Vec::new();
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap();
        assert_says_something(parameter, "description", &format!("{whose}: {name}"));
        assert!(parameter["schema"]["type"] != Value::Null, "{whose}: {name} has no type");
        if parameter["in"] == "path" {
            assert!(parameter["required"] == true && parameter.get("example").is_some(), "{whose}: {name}");
            in_path.push(name);
        }
    }
    let braces: Vec<_> = path.split('{').skip(1).map(|rest| rest.split_once('}').unwrap().0).collect();
    assert_eq!(in_path, braces, "{whose}");
}

fn check_answers(document: &Value, path: &str, method: &str, operation: &Value, whose: &str) {
    let answers = operation["responses"].as_object().unwrap();
    for (status, answer) in answers {
        let answer = resolve(document, answer);
        assert_says_something(answer, "description", &format!("{whose}: {status}"));
        let contents = answer["content"].as_object();
        assert!(contents.is_some() || ["204", "303", "304"].contains(&status.as_str()), "{whose}: {status} is empty");
        for (media_type, content) in contents.into_iter().flatten() {
            assert!(content.get("schema").is_some(), "{whose}: {status} {media_type} has no schema");
            assert_eq!(media_type == "application/json", content.get("example").is_some(), "{whose}: {status}");
        }
    }
    if FOR_ANYBODY.contains(&path) {
        assert!(operation.get("security").is_none(), "{whose}");
        return;
    }
    for status in ["400", "401", "403", "406", "500", "503"] {
        assert!(answers.contains_key(status), "{whose}: {status} is missing");
    }
    assert_eq!(operation.get("requestBody").is_some(), answers.contains_key("415"), "{whose}");
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let ways: Vec<Vec<&String>> =
        operation["security"].as_array().unwrap().iter().map(|way| way.as_object().unwrap().keys().collect()).collect();
    assert!(ways.iter().flatten().all(|scheme| schemes.contains_key(*scheme)), "{whose}");
    let session: &[&str] = if method == "get" { &["session"] } else { &["csrf", "session"] };
    assert!(ways.len() == 2 && ways[0] == ["token"] && ways[1] == session, "{whose}: {ways:?}");
}

async fn examples() {
    let document = described("");
    let mut checked = 0;
    let shared =
        document["components"]["responses"].as_object().unwrap().iter().map(|(name, answer)| (name.clone(), answer));
    let own = operations(&document).into_iter().flat_map(|(path, method, operation)| {
        let body = operation.get("requestBody").into_iter();
        let named = move |part| (format!("{method} {path}"), part);
        body.chain(operation["responses"].as_object().unwrap().values()).map(named).collect::<Vec<_>>()
    });
    for (whose, part) in shared.chain(own) {
        for content in part["content"].as_object().into_iter().flat_map(|contents| contents.values()) {
            let Some(example) = content.get("example") else { continue };
            let mut schema = content["schema"].clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let problems: Vec<_> = validator.iter_errors(example).map(|problem| problem.to_string()).collect();
            assert!(problems.is_empty(), "{whose}: {example}: {problems:?}");
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked}");
}
