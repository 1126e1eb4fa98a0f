//! `POST images/v2/direct_upload`, and `v1/direct_upload` of old: hand out a one-time upload URL.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::multipart::Field;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::domain::Timestamp;

use super::envelope::{self, ApiError, Payload};
use super::storage::{ImageState, StorageError, StoredImage};
use super::{Account, custom_id};

/// Bytes of the body: the longest id, metadata and creator with room to spare.
pub(super) const MAX_BODY: usize = 64 * 1024;

const DEFAULT_EXPIRY_MINUTES: i64 = 30;
const MIN_EXPIRY_SECONDS: i64 = 2 * 60;
const MAX_EXPIRY_SECONDS: i64 = 6 * 60 * 60;
/// What the request itself may have taken, and clocks may differ.
const TOLERANCE_SECONDS: i64 = 5;
const MAX_METADATA_BYTES: usize = 1024;
const MAX_CREATOR_CHARS: usize = 1024;

#[derive(Serialize)]
struct DirectUpload {
    id: String,
    #[serde(rename = "uploadURL")]
    upload_url: String,
}

/// Makes a draft and answers its id and upload URL.
///
/// UNCONFIRMED, and chosen here: an id that is taken by an image or a living draft is 5409; fields that are not known are
/// ignored; of a repeated field the last one counts.
pub(super) async fn create(State(account): State<Arc<Account>>, request: Request) -> Result<Response, ApiError> {
    let now = account.clock.now();
    let draft = Fields::read(request).await?.into_draft(now)?;
    hand_out(&account, draft, now).await
}

/// The body of `POST images/v1/direct_upload`.
#[derive(Default, Deserialize)]
struct RequestV1 {
    expiry: Option<String>,
}

/// The deprecated form: the id is the request's, and the image gets another.
///
/// UNCONFIRMED, and chosen here: `GET images/v1/{image_id}` shows the draft by the id of the request, as long as it is one.
pub(super) async fn create_v1(
    State(account): State<Arc<Account>>,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let now = account.clock.now();
    let RequestV1 { expiry } = if body.is_empty() { RequestV1::default() } else { envelope::parse(&body)? };
    let mut draft = Fields { expiry, ..Fields::default() }.into_draft(now)?;
    draft.state = draft.state.of_request();
    hand_out(&account, draft, now).await
}

/// Keeps the draft and answers where its picture is to be sent.
async fn hand_out(account: &Account, draft: StoredImage, now: Timestamp) -> Result<Response, ApiError> {
    if account.faults.ghost(&draft.id).is_some() {
        return Err(ApiError::already_exists());
    }
    let (id, upload_url) = (draft.id.clone(), account.upload_url_of(&draft.id));
    account.on_storage(move |storage| storage.insert_draft(draft, now)).await.map_err(|error| match error {
        StorageError::Exists => ApiError::already_exists(),
        error => error.into(),
    })?;
    Ok(envelope::success(DirectUpload { id, upload_url }))
}

/// The fields of a form that says what an image is to be like, as they came.
#[derive(Debug, Default)]
pub(super) struct Fields {
    id: Option<String>,
    metadata: Option<String>,
    require_signed_urls: Option<String>,
    expiry: Option<String>,
    creator: Option<String>,
}

impl Fields {
    /// Reads the form. No body at all is an empty form.
    async fn read(request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, MAX_BODY).await.map_err(|_| ApiError::entity_too_large())?;
        let is_form = is_multipart(&parts.headers);
        if body.is_empty() && (is_form || !parts.headers.contains_key(header::CONTENT_TYPE)) {
            return Ok(Self::default());
        }
        if !is_form {
            return Err(ApiError::not_multipart());
        }
        let request = Request::from_parts(parts, Body::from(body));
        let form = Multipart::from_request(request, &()).await.map_err(|error| broken_form(&error.body_text()))?;
        Self::from_form(form).await
    }

    async fn from_form(mut form: Multipart) -> Result<Self, ApiError> {
        let mut fields = Self::default();
        while let Some(field) = form.next_field().await.map_err(|error| broken_form(&error.body_text()))? {
            fields.take(field).await?;
        }
        Ok(fields)
    }

    /// Takes a field of the form; one that is not known is passed over.
    pub(super) async fn take(&mut self, field: Field<'_>) -> Result<(), ApiError> {
        let target = match field.name() {
            Some("id") => &mut self.id,
            Some("metadata") => &mut self.metadata,
            Some("requireSignedURLs") => &mut self.require_signed_urls,
            Some("expiry") => &mut self.expiry,
            Some("creator") => &mut self.creator,
            _ => return Ok(()),
        };
        *target = Some(text(field).await?);
        Ok(())
    }

    /// A draft with these fields.
    pub(super) fn into_draft(self, now: Timestamp) -> Result<StoredImage, ApiError> {
        let require_signed_urls = self.require_signed_urls.as_deref().map_or(Ok(false), parse_bool)?;
        if let Some(id) = &self.id {
            custom_id::check(id)?;
            if require_signed_urls {
                return Err(private_custom_id());
            }
        }
        let expires_at = self
            .expiry
            .as_deref()
            .map_or_else(|| Ok(now.plus_minutes(DEFAULT_EXPIRY_MINUTES)), |expiry| parse_expiry(expiry, now))?;
        Ok(StoredImage {
            id: self.id.unwrap_or_else(|| Uuid::new_v4().to_string()),
            creator: self.creator.filter(|creator| !creator.is_empty()).map(check_creator).transpose()?,
            meta: self.metadata.as_deref().map(parse_metadata).transpose()?,
            require_signed_urls,
            uploaded: now,
            state: ImageState::Draft { expires_at, is_request: false },
        })
    }
}

/// Whether the body is said to be a form with files.
pub(super) fn is_multipart(headers: &HeaderMap) -> bool {
    let essence = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// The error for forms that cannot be read.
pub(super) fn broken_form(problem: &str) -> ApiError {
    ApiError::bad_request(format!("The form could not be read: {problem}"))
}

/// The text of a field.
pub(super) async fn text(field: Field<'_>) -> Result<String, ApiError> {
    let name = field.name().unwrap_or_default().to_owned();
    let bytes = field.bytes().await.map_err(|error| broken_form(&error.body_text()))?;
    String::from_utf8(bytes.into()).map_err(|_| ApiError::bad_request(format!("{name} must be UTF-8")))
}

fn parse_bool(text: &str) -> Result<bool, ApiError> {
    text.parse().map_err(|_| ApiError::bad_request("requireSignedURLs must be true or false"))
}

fn parse_expiry(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let expiry = DateTime::parse_from_rfc3339(text)
        .map_err(|_| ApiError::bad_request("expiry must be a date and time in RFC 3339 form"))?;
    let expires_at = Timestamp::new(expiry.into());
    let seconds = expires_at.as_unix_seconds() - now.as_unix_seconds();
    if (MIN_EXPIRY_SECONDS - TOLERANCE_SECONDS..=MAX_EXPIRY_SECONDS + TOLERANCE_SECONDS).contains(&seconds) {
        Ok(expires_at)
    } else {
        Err(ApiError::bad_request("expiry must be between 2 minutes and 6 hours from now"))
    }
}

/// Checks metadata: an object of a bounded size, kept as it was sent.
pub(super) fn parse_metadata(text: &str) -> Result<Box<RawValue>, ApiError> {
    if text.len() > MAX_METADATA_BYTES {
        return Err(ApiError::bad_request("metadata must not be larger than 1024 bytes"));
    }
    let not_an_object = |_| ApiError::bad_request("metadata must be a JSON object");
    serde_json::from_str::<serde_json::Map<_, _>>(text).map_err(not_an_object)?;
    serde_json::from_str(text).map_err(not_an_object)
}

/// Checks the length of a creator.
pub(super) fn check_creator(creator: String) -> Result<String, ApiError> {
    if creator.chars().count() > MAX_CREATOR_CHARS {
        return Err(ApiError::bad_request("creator must not be longer than 1024 characters"));
    }
    Ok(creator)
}

/// The error for private images with a custom id.
pub(super) fn private_custom_id() -> ApiError {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        5410,
        "The image contains a custom ID and cannot be set to private. To make the image private, delete and upload the \
         image again using a regular ID.",
    )
}
