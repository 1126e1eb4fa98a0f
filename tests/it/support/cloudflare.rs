//! A Cloudflare that counts calls, and answers when and as it is told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use http_body_util::channel::Channel;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::eventually;

/// It ends with the runtime of its test.
pub(crate) struct FakeCloudflare {
    pub(crate) base_url: String,
    world: Arc<World>,
    held: watch::Sender<Held>,
}

/// Which calls wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Nothing,
    Deletions,
    Everything,
}

struct World {
    images: Mutex<HashMap<String, Value>>,
    calls: Mutex<Vec<String>>,
    failure: Mutex<Option<StatusCode>>,
    loses_answers: Mutex<bool>,
    /// What all calls are answered with after the first lost answer.
    failure_after_loss: Mutex<Option<StatusCode>>,
    gives_new_ids: Mutex<bool>,
    lists_one_by_one: Mutex<bool>,
    latency: Duration,
    held: watch::Receiver<Held>,
}

impl FakeCloudflare {
    pub(crate) async fn start() -> Self {
        Self::with_latency(Duration::ZERO).await
    }

    pub(crate) async fn with_latency(latency: Duration) -> Self {
        let (held, is_held) = watch::channel(Held::Nothing);
        let world = Arc::new(World {
            images: Mutex::default(),
            calls: Mutex::default(),
            failure: Mutex::default(),
            loses_answers: Mutex::default(),
            failure_after_loss: Mutex::default(),
            gives_new_ids: Mutex::default(),
            lists_one_by_one: Mutex::default(),
            latency,
            held: is_held,
        });
        let router = Router::new().route("/accounts/{account}/{*call}", any(answer)).with_state(Arc::clone(&world));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url, world, held }
    }

    /// Has an image or a draft, whose fields may be left out by null.
    pub(crate) fn has(&self, id: &str, details: &Value) {
        let mut image =
            json!({"id": id, "uploaded": "2026-01-01T00:00:00.000Z", "variants": [], "requireSignedURLs": false});
        let fields = image.as_object_mut().unwrap();
        fields.extend(details.as_object().unwrap().clone());
        fields.retain(|_, value| !value.is_null());
        self.world.images.lock().unwrap().insert(id.to_owned(), image);
    }

    /// Has a picture.
    pub(crate) fn has_picture(&self, id: &str) {
        self.has(id, &json!({}));
    }

    /// Has a draft.
    pub(crate) fn has_draft(&self, id: &str) {
        self.has(id, &json!({"draft": true}));
    }

    /// Has it no more.
    pub(crate) fn forget(&self, id: &str) {
        self.world.images.lock().unwrap().remove(id);
    }

    /// Gives an image another id, `new-` before the old one, and changes some of its fields.
    pub(crate) fn rename(&self, id: &str, changes: &Value) {
        let mut image = self.world.images.lock().unwrap().remove(id).unwrap();
        image.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let id = format!("new-{id}");
        image["id"] = id.as_str().into();
        self.has(&id, &image);
    }

    /// What it has, by id.
    pub(crate) fn ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.world.images.lock().unwrap().keys().cloned().collect();
        ids.sort_unstable();
        ids
    }

    /// What it knows of an image.
    pub(crate) fn details(&self, id: &str) -> Value {
        self.world.images.lock().unwrap()[id].clone()
    }

    /// Answers all calls with this status, and does nothing; `None` ends that.
    pub(crate) fn fail_with(&self, status: impl Into<Option<u16>>) {
        *self.world.failure.lock().unwrap() = status.into().map(|status| StatusCode::from_u16(status).unwrap());
    }

    /// Makes or changes what is asked for from now on, and breaks the connection then.
    pub(crate) fn lose_answers(&self) {
        *self.world.loses_answers.lock().unwrap() = true;
    }

    /// Makes or changes what is asked for next, breaks the connection then, and answers all calls after it with this status.
    pub(crate) fn lose_answer_and_fail_with(&self, status: u16) {
        *self.world.failure_after_loss.lock().unwrap() = Some(StatusCode::from_u16(status).unwrap());
        self.lose_answers();
    }

    /// Ends all that goes wrong.
    pub(crate) fn recover(&self) {
        *self.world.loses_answers.lock().unwrap() = false;
        *self.world.failure_after_loss.lock().unwrap() = None;
        self.fail_with(None);
    }

    /// Gives an image another id when its privacy changes: `new-` before the old one.
    pub(crate) fn give_new_ids(&self) {
        *self.world.gives_new_ids.lock().unwrap() = true;
    }

    /// Lists one image a page.
    pub(crate) fn list_one_by_one(&self) {
        *self.world.lists_one_by_one.lock().unwrap() = true;
    }

    /// Lets calls wait before they do anything.
    pub(crate) fn hold(&self) {
        self.held.send_replace(Held::Everything);
    }

    /// Lets deletions wait before they do anything.
    pub(crate) fn hold_deletions(&self) {
        self.held.send_replace(Held::Deletions);
    }

    /// Lets calls go on.
    pub(crate) fn release(&self) {
        self.held.send_replace(Held::Nothing);
    }

    /// The calls so far, such as `GET images/v1/img-1`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.world.calls.lock().unwrap().clone()
    }

    /// The calls since this was asked for before.
    pub(crate) fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.world.calls.lock().unwrap())
    }

    /// Waits for so many calls.
    pub(crate) async fn was_called(&self, times: usize) {
        eventually(&format!("Cloudflare was called {times} times"), async || {
            (self.calls().len() >= times).then_some(())
        })
        .await;
    }
}

async fn answer(
    State(world): State<Arc<World>>,
    Path((_, call)): Path<(String, String)>,
    request: Request,
) -> Response {
    let method = request.method().clone();
    let place = request.uri().query().and_then(|query| query.split_once("continuation_token="));
    let place = place.map_or(0, |(_, token)| token.parse().unwrap());
    world.calls.lock().unwrap().push(format!("{method} {call}"));
    // The body is read, as the connection breaks otherwise.
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let passes = |held: &Held| match held {
        Held::Nothing => true,
        Held::Deletions => method != Method::DELETE,
        Held::Everything => false,
    };
    let _ = world.held.clone().wait_for(passes).await;
    tokio::time::sleep(world.latency).await;
    if let Some(status) = *world.failure.lock().unwrap() {
        return status.into_response();
    }
    let result = match call.as_str() {
        "images/v2" => Ok(list(&world, place)),
        call => perform(&world, &method, call, &String::from_utf8_lossy(&body)),
    };
    if matches!(method, Method::POST | Method::PATCH) && *world.loses_answers.lock().unwrap() {
        *world.failure.lock().unwrap() = *world.failure_after_loss.lock().unwrap();
        let (sender, body) = Channel::<axum::body::Bytes, std::io::Error>::new(1);
        sender.abort(std::io::Error::other("lost"));
        return Response::new(Body::new(body));
    }
    match result {
        Ok(result) => Json(json!({"success": true, "errors": [], "messages": [], "result": result})).into_response(),
        Err((status, code)) => {
            let errors = json!([{"code": code, "message": "refused"}]);
            (status, Json(json!({"success": false, "errors": errors, "result": null}))).into_response()
        }
    }
}

/// A page of the pictures, all of them or one at a place.
fn list(world: &World, place: usize) -> Value {
    let images = world.images.lock().unwrap();
    let mut pictures: Vec<&Value> = images.values().filter(|image| image["draft"] != true).collect();
    if !*world.lists_one_by_one.lock().unwrap() {
        return json!({"images": pictures, "continuation_token": null});
    }
    pictures.sort_by_key(|image| image["id"].to_string());
    let next = (place + 1 < pictures.len()).then(|| (place + 1).to_string());
    json!({"images": pictures.get(place..=place), "continuation_token": next})
}

fn perform(world: &World, method: &Method, call: &str, body: &str) -> Result<Value, (StatusCode, u16)> {
    let not_found = (StatusCode::NOT_FOUND, 5404);
    let mut images = world.images.lock().unwrap();
    if *method == Method::POST {
        let id = field(body, "id").unwrap_or_else(|| format!("made-{}", images.len() + 1));
        if images.contains_key(&id) {
            return Err((StatusCode::CONFLICT, 5409));
        }
        let metadata: Value = serde_json::from_str(&field(body, "metadata").unwrap()).unwrap();
        let mut image = json!({"id": id, "uploaded": "2026-01-01T00:00:00.000Z", "variants": [], "meta": metadata,
            "requireSignedURLs": false, "creator": field(body, "creator")});
        if call.ends_with("direct_upload") {
            image["draft"] = true.into();
        }
        images.insert(id.clone(), image.clone());
        image["uploadURL"] = format!("https://upload.example/{id}").into();
        return Ok(image);
    }
    let id = call.strip_prefix("images/v1/").unwrap();
    match *method {
        Method::DELETE => images.remove(id).map(|_| json!({})).ok_or(not_found),
        Method::PATCH => {
            let mut image = images.remove(id).ok_or(not_found)?;
            let was_private = image["requireSignedURLs"].clone();
            let update: Value = serde_json::from_str(body).unwrap();
            for (name, value) in update.as_object().unwrap() {
                image[if name == "metadata" { "meta" } else { name }] = value.clone();
            }
            if *world.gives_new_ids.lock().unwrap() && image["requireSignedURLs"] != was_private {
                image["id"] = format!("new-{id}").into();
            }
            images.insert(image["id"].as_str().unwrap().to_owned(), image.clone());
            Ok(image)
        }
        _ => images.get(id).cloned().ok_or(not_found),
    }
}

/// A text field of a multipart form, which is simple enough.
fn field(form: &str, name: &str) -> Option<String> {
    let (_, rest) = form.split_once(&format!("name=\"{name}\""))?;
    let (_, value) = rest.split_once("\r\n\r\n")?;
    Some(value.split("\r\n").next()?.to_owned())
}
