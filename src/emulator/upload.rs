//! One-time upload URLs: `POST /upload/{account_hash}/{image_id}`, from browsers of any origin.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::time::timeout;

use crate::domain::Timestamp;

use super::direct_upload::{broken_form, is_multipart};
use super::envelope::{self, ApiError};
use super::images::ImageObject;
use super::storage::{StorageError, StoredImage, Upload};
use super::transform::{self, Kind, Rejection};
use super::{Account, path};

/// Bytes of a file. Whether Cloudflare's 10 MB are these or 10,485,760 is UNCONFIRMED.
pub(super) const MAX_FILE: usize = 10_000_000;
/// Bytes of a request: the file and what a form puts around it.
pub(super) const MAX_BODY: usize = MAX_FILE + 64 * 1024;
/// Bytes that are thrown away before a refusal, so that a client that is still sending gets to read it.
const MAX_DRAINED: usize = 64_000_000;
/// How long a request may take to arrive.
pub(super) const RECEIVE_TIMEOUT: Duration = Duration::from_mins(2);
/// Characters of a file name that are kept.
const MAX_FILENAME_CHARS: usize = 255;
/// Seconds a browser may remember the answer to a preflight.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("86400");

/// Why an upload failed.
#[derive(Debug)]
pub(super) enum UploadError {
    /// The request came to nothing; nothing is known of the file.
    Request(ApiError),
    /// The file is not acceptable, and sending it again will not help.
    File(ApiError),
}

impl From<ApiError> for UploadError {
    fn from(error: ApiError) -> Self {
        Self::Request(error)
    }
}

impl From<StorageError> for UploadError {
    fn from(error: StorageError) -> Self {
        Self::Request(error.into())
    }
}

impl From<Rejection> for UploadError {
    /// UNCONFIRMED: the code for pictures with too many pixels or too many bits in them, and the statuses.
    fn from(rejection: Rejection) -> Self {
        Self::File(match rejection {
            Rejection::WrongType => wrong_type(),
            Rejection::TooLarge(_) | Rejection::TooDeep(_) => {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, 5413, rejection.to_string())
            }
            Rejection::AnimationTooLarge => ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, 5443, rejection.to_string()),
            Rejection::Unreadable(_) => undecodable(&rejection.to_string()),
        })
    }
}

impl IntoResponse for UploadError {
    fn into_response(self) -> Response {
        match self {
            Self::Request(error) | Self::File(error) => error.into_response(),
        }
    }
}

/// Takes the file for a draft and answers the image.
///
/// A failed upload leaves the URL usable. UNCONFIRMED, and chosen here: a used URL is 5409, an unknown or expired one 5404, a
/// form without the file 5400.
pub(super) async fn receive(State(account): State<Arc<Account>>, request: Request) -> Response {
    let answer = match accept(&account, request).await {
        Ok(image) => envelope::success(ImageObject::new(&account, &image)),
        Err(error) => error.into_response(),
    };
    with_cors(answer)
}

/// Answers the preflight of browsers. One that asks for headers is refused: forms need none, and Cloudflare allows none.
pub(super) async fn preflight(headers: HeaderMap) -> Response {
    if headers.contains_key(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let allowed = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE),
    ];
    with_cors((StatusCode::NO_CONTENT, allowed).into_response())
}

/// Answers every method but POST.
pub(super) async fn method_not_allowed() -> Response {
    with_cors(ApiError::method_not_allowed().into_response())
}

fn with_cors(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

async fn accept(account: &Arc<Account>, request: Request) -> Result<Arc<StoredImage>, UploadError> {
    let now = account.clock.now();
    let draft = match find_draft(account, request.uri(), now) {
        Ok(draft) => draft,
        Err(error) => {
            drain(request.into_body()).await;
            return Err(error.into());
        }
    };
    let room = account.bodies.room_for(most_bytes(&request)).await;
    let received = receive_form(request, RECEIVE_TIMEOUT, read_form).await;
    // A task of its own, which goes on to its end when the client goes away: what is stored is always announced.
    let account = Arc::clone(account);
    let tasks = account.tasks.clone();
    let finish = async move {
        let result = match received {
            Ok(file) => keep(&account, &draft.id, file, now).await,
            Err(error) => Err(error),
        };
        drop(room);
        account.announce(&draft.id, &result);
        result
    };
    tasks.spawn(finish).await.unwrap_or_else(|error| Err(ApiError::internal(&error).into()))
}

fn find_draft(account: &Account, uri: &Uri, now: Timestamp) -> Result<Arc<StoredImage>, ApiError> {
    let of_account = uri.path().strip_prefix("/upload/").and_then(|rest| rest.strip_prefix(account.hash.as_str()));
    let image = of_account
        .and_then(|rest| path::decode(rest.strip_prefix('/')?))
        .and_then(|id| account.storage.find(&id, now))
        .ok_or_else(ApiError::image_not_found)?;
    if image.is_draft() { Ok(image) } else { Err(ApiError::already_exists()) }
}

/// What was in the part called `file`.
#[derive(Debug)]
pub(super) struct File {
    pub(super) filename: String,
    pub(super) content_type: String,
    pub(super) bytes: Bytes,
}

/// Bytes that the body of an upload may turn out to have.
pub(super) fn most_bytes(request: &Request) -> usize {
    let said = request.body().size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    said.unwrap_or(MAX_BODY).min(MAX_BODY)
}

/// Reads a form with a file in it, which must arrive within a time.
pub(super) async fn receive_form<T>(
    request: Request,
    limit: Duration,
    read: impl AsyncFnOnce(Multipart) -> Result<T, UploadError>,
) -> Result<T, UploadError> {
    if !is_multipart(request.headers()) {
        drain(request.into_body()).await;
        return Err(ApiError::not_multipart().into());
    }
    if request.body().size_hint().lower() > MAX_BODY as u64 {
        drain(request.into_body()).await;
        return Err(file_too_large());
    }
    let reading = async {
        read(Multipart::from_request(request, &()).await.map_err(|error| broken_form(&error.body_text()))?).await
    };
    match timeout(limit, reading).await {
        Ok(result) => result,
        Err(_) => Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, 5408, "The upload is too slow").into()),
    }
}

async fn read_form(mut form: Multipart) -> Result<File, UploadError> {
    let mut file = None;
    while let Some(field) = form.next_field().await.map_err(|error| form_error(&error))? {
        if field.name() != Some("file") {
            continue;
        }
        keep_only(&mut file, read_file(field).await?)?;
    }
    file.ok_or_else(|| ApiError::bad_request("There is no part called file in the form").into())
}

/// Keeps the file of a form, of which there must be one.
pub(super) fn keep_only(kept: &mut Option<File>, file: File) -> Result<(), ApiError> {
    match kept.replace(file) {
        None => Ok(()),
        Some(_) => Err(ApiError::bad_request("There must be one part called file, not several")),
    }
}

/// Reads the part called `file`.
pub(super) async fn read_file(mut field: Field<'_>) -> Result<File, UploadError> {
    let filename = field.file_name().map(base_name).filter(|name| !name.is_empty());
    let filename = filename.ok_or_else(|| ApiError::bad_request("The part called file must have a file name"))?;
    let content_type = field.content_type().unwrap_or_default().to_owned();
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| form_error(&error))? {
        if bytes.len() + chunk.len() > MAX_FILE {
            return Err(file_too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(File { filename, content_type, bytes: bytes.into() })
}

/// The name without the folders that some clients send with it.
pub(super) fn base_name(name: &str) -> String {
    name.rsplit(['/', '\\']).next().unwrap_or_default().chars().take(MAX_FILENAME_CHARS).collect()
}

/// Checks the file to its last pixel and completes the draft with it.
async fn keep(account: &Account, id: &str, file: File, started: Timestamp) -> Result<Arc<StoredImage>, UploadError> {
    let upload = check(account, file).await?;
    let (id, uploaded) = (id.to_owned(), account.clock.now());
    account.on_storage(move |storage| storage.complete(&id, upload, started, uploaded)).await.map_err(Into::into)
}

/// Checks the file to its last pixel.
pub(super) async fn check(account: &Account, file: File) -> Result<Upload, UploadError> {
    let kind = Kind::of_content_type(&file.content_type).ok_or_else(|| UploadError::File(wrong_type()))?;
    let content = transform::inspect(&account.workers, kind, file.bytes.clone()).await?;
    Ok(Upload { filename: file.filename, content, bytes: file.bytes })
}

/// Throws a body away, as much of it as is reasonable.
pub(super) async fn drain(mut body: Body) {
    let discard = async {
        let mut rest = MAX_DRAINED;
        while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            match rest.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(left) => rest = left,
                None => break,
            }
        }
    };
    // Whether all of it came makes no difference.
    let _ = timeout(RECEIVE_TIMEOUT, discard).await;
}

pub(super) fn form_error(error: &MultipartError) -> UploadError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return file_too_large();
    }
    ApiError::new(StatusCode::BAD_REQUEST, 5450, format!("Error while receiving the upload: {}", error.body_text()))
        .into()
}

fn file_too_large() -> UploadError {
    UploadError::File(ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        5413,
        "The maximum image size of 10 MB has been reached",
    ))
}

fn wrong_type() -> ApiError {
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        5455,
        "Uploaded image must have image/jpeg, image/png, image/webp, image/gif or image/svg+xml content-type",
    )
}

fn undecodable(problem: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, 9422, format!("Decode error: image failed to be decoded: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_that_are_too_large_have_codes_of_their_own() {
        let code = |rejection: Rejection| match UploadError::from(rejection) {
            UploadError::Request(error) | UploadError::File(error) => error.code().unwrap(),
        };
        assert_eq!(code(Rejection::AnimationTooLarge), 5443);
        assert_eq!(code(Rejection::TooLarge(transform::Size { width: 1, height: 1 })), 5413);
        assert_eq!(code(Rejection::TooDeep(1)), 5413);
    }

    #[test]
    fn file_names_are_kept_without_folders_and_cut() {
        assert_eq!(base_name("../a\\b.png"), "b.png");
        assert_eq!(base_name(&"é".repeat(300)).chars().count(), 255);
        assert_eq!(base_name("a/"), "");
    }
}
