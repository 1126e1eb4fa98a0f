//! An account at Cloudflare whose list does what real ones do in large accounts, and worse.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

const LIST: &str = "/accounts/acct-0001/images/v2";
const IMAGES: &str = "/accounts/acct-0001/images/v1/";

/// What is in the account, and how it answers.
pub(crate) struct Script {
    /// The images, in the order of the list.
    pub(crate) images: Vec<Value>,
    /// The images that the list leaves out.
    pub(crate) unlisted: HashSet<String>,
    /// How many images a page has, whatever is asked for.
    pub(crate) page_size: usize,
    /// How many images of the page before stand on a page once more.
    pub(crate) repeated: usize,
    /// Tokens of another epoch are refused.
    pub(crate) epoch: u32,
    /// How the next calls of the list are answered; `None` as usual. After 429, Cloudflare wants to be left alone for a second.
    pub(crate) list_answers: VecDeque<Option<(u16, String)>>,
    /// How calls for an image are answered, by its id; as usual where nothing is said.
    pub(crate) image_answers: Vec<(String, u16, String)>,
    /// All calls: `list`, `list TOKEN` or `get ID`.
    pub(crate) calls: Vec<String>,
}

pub(crate) struct ScriptedAccount {
    pub(crate) uri: String,
    script: Arc<Mutex<Script>>,
    /// How many calls of the list may be answered.
    pub(crate) gate: Arc<Semaphore>,
    server: JoinHandle<()>,
}

impl Drop for ScriptedAccount {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl ScriptedAccount {
    /// An account with these images, on pages of this size.
    pub(crate) async fn start(images: Vec<Value>, page_size: usize) -> Self {
        let script = Script {
            images,
            unlisted: HashSet::new(),
            page_size,
            repeated: 0,
            epoch: 0,
            list_answers: VecDeque::new(),
            image_answers: Vec::new(),
            calls: Vec::new(),
        };
        let script = Arc::new(Mutex::new(script));
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let (shared, passage) = (script.clone(), gate.clone());
        let router = Router::new().fallback(move |uri: Uri| {
            let (script, gate) = (shared.clone(), passage.clone());
            async move { answer(&script, &gate, &uri).await }
        });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { uri, script, gate, server }
    }

    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    /// Forgets the calls so far, and tells them.
    pub(crate) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.script().calls)
    }

    /// Keeps calls of the list waiting.
    pub(crate) fn close(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }
}

/// An image as Cloudflare tells it, private and with one variant; `fields` are laid over that.
pub(crate) fn details(id: &str, fields: &Value) -> Value {
    let mut image = json!({
        "id": id, "filename": "f.jpg", "uploaded": "2025-06-01T00:00:00.250Z", "requireSignedURLs": true,
        "variants": [format!("https://imagedelivery.net/hash/{id}/public")],
    });
    image.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    image
}

async fn answer(script: &Mutex<Script>, gate: &Semaphore, uri: &Uri) -> Response {
    let path = uri.path();
    if path == LIST {
        let token = uri.query().and_then(|query| {
            query.split('&').find_map(|parameter| parameter.strip_prefix("continuation_token=")).map(str::to_owned)
        });
        let call = token.as_ref().map_or("list".to_owned(), |token| format!("list {token}"));
        script.lock().unwrap().calls.push(call);
        gate.acquire().await.unwrap().forget();
        return list(&mut script.lock().unwrap(), token.as_deref());
    }
    let Some(id) = path.strip_prefix(IMAGES) else { return StatusCode::NOT_FOUND.into_response() };
    let id = percent_decode_str(id).decode_utf8().unwrap().into_owned();
    get(&mut script.lock().unwrap(), &id)
}

fn get(script: &mut Script, id: &str) -> Response {
    script.calls.push(format!("get {id}"));
    if let Some((_, status, body)) = script.image_answers.iter().find(|(of, ..)| of == id) {
        return raw(*status, body.clone());
    }
    match script.images.iter().find(|image| image["id"] == id) {
        Some(image) => ok(image),
        None => refused(404, 5404, "Image not found"),
    }
}

fn list(script: &mut Script, token: Option<&str>) -> Response {
    if let Some(Some((status, body))) = script.list_answers.pop_front() {
        return raw(status, body);
    }
    let begin = match token {
        None => 0,
        Some(token) => match token.split_once('-') {
            Some((epoch, place)) if epoch == script.epoch.to_string() => place.parse().unwrap(),
            _ => return refused(400, 5400, "Invalid continuation token"),
        },
    };
    let end = script.images.len().min(begin + script.page_size);
    let images: Vec<&Value> = script.images[begin.saturating_sub(script.repeated)..end]
        .iter()
        .filter(|image| !script.unlisted.contains(image["id"].as_str().unwrap_or_default()))
        .collect();
    let next = (end < script.images.len()).then(|| format!("{}-{end}", script.epoch));
    ok(&json!({"images": images, "continuation_token": next}))
}

fn ok(result: &Value) -> Response {
    raw(200, json!({"result": result, "success": true, "errors": [], "messages": []}).to_string())
}

fn refused(status: u16, code: u16, message: &str) -> Response {
    let errors = json!([{"code": code, "message": message}]);
    raw(status, json!({"result": null, "success": false, "errors": errors, "messages": []}).to_string())
}

fn raw(status: u16, body: String) -> Response {
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    if status == 429 {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}
