//! The recordings in `tests/fixtures/django/exchanges`, in the form their README describes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::Json;

/// The folder of the recordings and of the rows they start from.
pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/django")
}

/// The names of all scenarios, in order.
pub(crate) fn scenario_names() -> Vec<String> {
    let files = std::fs::read_dir(fixtures().join("exchanges")).unwrap();
    let mut names: Vec<String> =
        files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

/// The exchanges of one file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    #[serde(rename = "scenario")]
    pub(crate) name: String,
    pub(crate) settings: Settings,
    /// Whether each exchange starts from what the one before it left behind.
    pub(crate) sequential: bool,
    pub(crate) exchanges: Vec<Exchange>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Settings {
    Default,
    Alt,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exchange {
    pub(crate) name: String,
    #[serde(rename = "endpoint")]
    _endpoint: String,
    #[serde(rename = "note")]
    _note: Option<String>,
    pub(crate) request: Request,
    pub(crate) response: Response,
    #[serde(default)]
    pub(crate) cloudflare: Vec<Call>,
    /// Names for later paths, and the keys of the answer that hold their values.
    #[serde(default)]
    pub(crate) capture: BTreeMap<String, String>,
    pub(crate) any_order_within_equal: Option<String>,
    /// The toolkit crashed here, so that its answer is no model.
    pub(crate) peer_bug: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    body: Option<String>,
    body_hex: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    json: Option<Box<RawValue>>,
    text: Option<String>,
}

/// A request to Cloudflare and the answer to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Call {
    request: Box<RawValue>,
    pub(crate) response: CloudflareAnswer,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CloudflareAnswer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) special: Option<Special>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Special {
    /// The connection is closed without an answer.
    Reset,
    /// The answer takes its time.
    Slow,
    /// The answer sends the client elsewhere.
    Redirect,
}

/// What an answer carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Json(Json),
    Text(String),
}

impl Scenario {
    pub(crate) fn read(name: &str) -> Self {
        let path = fixtures().join("exchanges").join(format!("{name}.json"));
        let scenario: Self = serde_json::from_str(&std::fs::read_to_string(path).unwrap())
            .unwrap_or_else(|error| panic!("the recording {name} cannot be read: {error}"));
        assert_eq!(scenario.name, name);
        scenario
    }
}

impl Request {
    /// The bytes of the body; `None` where the request has none.
    pub(crate) fn body(&self) -> Option<Vec<u8>> {
        let digits = |hex: &String| {
            let pairs = hex.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
            pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
        };
        self.body.as_ref().map(|text| text.clone().into_bytes()).or_else(|| self.body_hex.as_ref().map(digits))
    }

    /// Whether it leaves the database as it is.
    pub(crate) fn is_safe(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }
}

impl Response {
    pub(crate) fn body(&self) -> Body {
        match (&self.json, &self.text) {
            (Some(raw), None) => Body::Json(Json::of(raw).unwrap()),
            (None, Some(text)) => Body::Text(text.clone()),
            _ => panic!("an answer is either JSON or text"),
        }
    }
}

impl Call {
    pub(crate) fn request(&self) -> Json {
        Json::of(&self.request).unwrap()
    }
}
