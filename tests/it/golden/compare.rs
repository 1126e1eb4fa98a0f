//! What is different between a recorded answer and ours.

use std::fmt;

use super::http::Message;
use super::json::Json;
use super::placeholders::Placeholders;
use super::recording::{Body, Response};

/// The headers that were recorded; what a recording lacks of them, an answer must lack too.
const HEADERS: [&str; 7] = ["content-type", "allow", "www-authenticate", "location", "vary", "etag", "retry-after"];

/// The most characters of a value that a report shows.
const SHOWN: usize = 200;

/// A place where the two are different.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// `status`, `headers/allow`, `body`, `json/results/0/id`, `cloudflare/0/request`.
    pub(crate) place: String,
    pub(crate) recorded: Option<Json>,
    pub(crate) ours: Option<Json>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: recorded {}, ours {}", self.place, shown(self.recorded.as_ref()), shown(self.ours.as_ref()))
    }
}

/// A value for people, cut where it is long.
pub(crate) fn shown(value: Option<&Json>) -> String {
    let text = value.map_or_else(|| "nothing".to_owned(), Json::to_string);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}

/// Compares answers. `is_whole` takes the body as one value, for answers that have nothing in common.
pub(crate) fn answers(
    recorded: &Response,
    ours: &Message,
    any_order_within_equal: Option<&str>,
    is_whole: bool,
    placeholders: &mut Placeholders,
) -> Vec<Difference> {
    let mut comparison = Comparison { placeholders, differences: Vec::new() };
    let number = |status: u16| Json::Number(status.to_string());
    comparison.values("status", Some(&number(recorded.status)), Some(&number(ours.status())));
    for name in HEADERS {
        let recorded = recorded.headers.get(name).map(|value| header(name, value));
        let ours = ours.header(name).map(|value| header(name, &value));
        comparison.values(&format!("headers/{name}"), recorded.as_ref(), ours.as_ref());
    }
    let (mut recorded, mut ours) = match (recorded.body(), body(ours)) {
        (Body::Json(recorded), Body::Json(ours)) if !is_whole => {
            let settled = |mut json: Json| {
                any_order_within_equal.inspect(|key| json.settle_order(key));
                json
            };
            comparison.values("json", Some(&settled(recorded)), Some(&settled(ours)));
            return comparison.differences;
        }
        bodies => bodies,
    };
    let [recorded, ours] = [&mut recorded, &mut ours].map(|body| match body {
        Body::Json(json) => json.clone(),
        Body::Text(text) => Json::Text(text.clone()),
    });
    if recorded != ours {
        comparison.report("body", Some(&recorded), Some(&ours));
    }
    comparison.differences
}

/// Compares what Cloudflare was asked.
pub(crate) fn calls(recorded: &Json, ours: &Json, placeholders: &mut Placeholders) -> Vec<Difference> {
    let mut comparison = Comparison { placeholders, differences: Vec::new() };
    comparison.values("cloudflare", Some(recorded), Some(ours));
    comparison.differences
}

/// Whether a value is what is expected, whose placeholders may stand for what they like.
pub(crate) fn is_same(expected: &Json, ours: &Json, placeholders: &mut Placeholders) -> bool {
    let mut comparison = Comparison { placeholders, differences: Vec::new() };
    comparison.values("", Some(expected), Some(ours));
    comparison.differences.is_empty()
}

/// The body of our answer: JSON where it says so.
pub(crate) fn body(ours: &Message) -> Body {
    let text = String::from_utf8_lossy(&ours.body).into_owned();
    let is_json = ours.header("content-type").is_some_and(|kind| kind == "application/json");
    match Json::parse(&text) {
        Ok(json) if is_json => Body::Json(json),
        _ => Body::Text(text),
    }
}

/// A header in a form that can be compared: the names in `Vary` have no order and no case.
fn header(name: &str, value: &str) -> Json {
    if name != "vary" {
        return Json::Text(value.to_owned());
    }
    let mut names: Vec<String> = value.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    names.sort();
    Json::Text(names.join(", "))
}

struct Comparison<'a> {
    placeholders: &'a mut Placeholders,
    differences: Vec<Difference>,
}

impl Comparison<'_> {
    fn values(&mut self, place: &str, recorded: Option<&Json>, ours: Option<&Json>) {
        match (recorded, ours) {
            (Some(Json::Object(members)), Some(Json::Object(our_members))) => {
                let added = our_members.keys().filter(|key| !members.contains_key(*key));
                for key in members.keys().chain(added) {
                    self.values(&format!("{place}/{key}"), members.get(key), our_members.get(key));
                }
            }
            (Some(Json::List(items)), Some(Json::List(our_items))) => {
                for index in 0..items.len().max(our_items.len()) {
                    self.values(&format!("{place}/{index}"), items.get(index), our_items.get(index));
                }
            }
            (Some(Json::Text(id)), Some(Json::Number(number)))
                if id == "<id>" && number.bytes().all(|byte| byte.is_ascii_digit()) => {}
            (Some(Json::Text(text)), Some(Json::Text(our_text))) if self.placeholders.accept(text, our_text) => {}
            (recorded, ours) if recorded == ours => {}
            (recorded, ours) => self.report(place, recorded, ours),
        }
    }

    fn report(&mut self, place: &str, recorded: Option<&Json>, ours: Option<&Json>) {
        self.differences.push(Difference { place: place.to_owned(), recorded: recorded.cloned(), ours: ours.cloned() });
    }
}

/// A difference is found wherever it hides, and nothing else is.
pub(crate) async fn finds_every_difference() {
    let places = |recorded: &str, ours: &str| {
        let mut placeholders = Placeholders::new(String::new());
        let mut comparison = Comparison { placeholders: &mut placeholders, differences: Vec::new() };
        comparison.values("json", Some(&Json::parse(recorded).unwrap()), Some(&Json::parse(ours).unwrap()));
        comparison.differences.into_iter().map(|difference| difference.place).collect::<Vec<_>>()
    };
    assert_eq!(places(r#"{"a": [1, {"b": null}], "c": "é"}"#, r#"{"c": "\u00e9", "a": [1, {"b": null}]}"#), [""; 0]);
    for (recorded, ours) in [
        ("1", "1.0"),
        ("1.0", "1"),
        ("1e2", "100"),
        ("12345678901234567890", "12345678901234567000"),
        ("1", "\"1\""),
        ("null", "false"),
        ("\"<id>\"", "\"5\""),
        ("\"<id>\"", "-5"),
        ("{}", "[]"),
    ] {
        assert_eq!(places(recorded, ours), ["json"], "{recorded} {ours}");
    }
    assert_eq!(places("\"<id>\"", "5"), [""; 0]);
    assert_eq!(places(r#"{"a": 1, "b": [1]}"#, r#"{"b": [1, 2], "c": 1}"#), ["json/a", "json/b/1", "json/c"]);
}
