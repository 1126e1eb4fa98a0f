//! Images in the REST API: the image object, `GET`, `PATCH` and `DELETE`.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::direct_upload::{check_creator, parse_metadata, private_custom_id};
use super::envelope::{self, ApiError, Payload};
use super::storage::StoredImage;
use super::{Account, custom_id, path};

/// An image as the REST API shows it. A draft has no `filename`, and `uploaded` is the time it was made.
#[derive(Debug, Serialize)]
pub(super) struct ImageObject<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    creator: Option<&'a str>,
    uploaded: String,
    #[serde(rename = "requireSignedURLs")]
    require_signed_urls: bool,
    variants: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    draft: bool,
}

impl<'a> ImageObject<'a> {
    /// The image with the delivery URLs of every variant of the account.
    pub(super) fn new(account: &Account, image: &'a StoredImage) -> Self {
        Self {
            id: &image.id,
            filename: image.original().map(|original| original.filename.as_str()),
            meta: image.meta.as_deref(),
            creator: image.creator.as_deref(),
            uploaded: image.uploaded.to_millis_string(),
            require_signed_urls: image.require_signed_urls,
            variants: account.delivery_urls_of(&image.id),
            draft: image.is_draft(),
        }
    }
}

/// `GET images/v1/{image_id}`
pub(super) async fn show(State(account): State<Arc<Account>>, uri: Uri) -> Result<Response, ApiError> {
    let image = path::last_segment(uri.path())
        .and_then(|id| account.storage.find(&id, account.clock.now()).or_else(|| account.faults.ghost(&id)))
        .ok_or_else(ApiError::image_not_found)?;
    Ok(envelope::success(ImageObject::new(&account, &image)))
}

/// The body of `PATCH images/v1/{image_id}`.
#[derive(Debug, Deserialize)]
struct Update {
    metadata: Option<Box<RawValue>>,
    #[serde(rename = "requireSignedURLs")]
    require_signed_urls: Option<bool>,
    creator: Option<String>,
}

/// `PATCH images/v1/{image_id}`: new metadata takes the place of all the old; what is left out stays.
///
/// UNCONFIRMED, and chosen here: the id stays when the privacy changes, unless the faults say otherwise; drafts can be changed too;
/// `null` is the same as left out, an empty creator is none; fields that are not known are ignored.
pub(super) async fn update(
    State(account): State<Arc<Account>>,
    uri: Uri,
    Payload(body): Payload,
) -> Result<Response, ApiError> {
    let id = path::last_segment(uri.path()).ok_or_else(ApiError::image_not_found)?;
    let now = account.clock.now();
    let update: Update = envelope::parse(&body)?;
    let meta = update.metadata.as_deref().map(|metadata| parse_metadata(metadata.get())).transpose()?;
    let creator = update.creator.map(check_creator).transpose()?;
    if update.require_signed_urls == Some(true) && custom_id::is_custom(&id) {
        // Of an image that is not there, this is what matters.
        account.storage.find(&id, now).ok_or_else(ApiError::image_not_found)?;
        return Err(private_custom_id());
    }
    let has_new_ids = account.faults.has_new_ids();
    let image = account
        .on_storage(move |storage| {
            storage.update(&id, now, |image| {
                let was_private = image.require_signed_urls;
                image.meta = meta.or_else(|| image.meta.take());
                image.require_signed_urls = update.require_signed_urls.unwrap_or(image.require_signed_urls);
                if let Some(creator) = creator {
                    image.creator = Some(creator).filter(|creator| !creator.is_empty());
                }
                if has_new_ids && image.require_signed_urls != was_private && !image.is_draft() {
                    image.id = Uuid::new_v4().to_string();
                }
            })
        })
        .await?;
    Ok(envelope::success(ImageObject::new(&account, &image)))
}

/// `DELETE images/v1/{image_id}`, for drafts too.
pub(super) async fn delete(State(account): State<Arc<Account>>, uri: Uri) -> Result<Response, ApiError> {
    let id = path::last_segment(uri.path()).ok_or_else(ApiError::image_not_found)?;
    let now = account.clock.now();
    let image = account.storage.find(&id, now).ok_or_else(ApiError::image_not_found)?;
    if !account.on_storage(move |storage| storage.delete(&id, now)).await? {
        return Err(ApiError::image_not_found());
    }
    account.faults.deleted(image);
    Ok(envelope::success(serde_json::Map::new()))
}

/// `GET images/v1/{image_id}/blob`: the file as it came. UNCONFIRMED, and chosen here: drafts, which have none, are not found.
pub(super) async fn show_blob(State(account): State<Arc<Account>>, uri: Uri) -> Result<Response, ApiError> {
    let id = uri.path().strip_suffix("/blob").and_then(path::last_segment);
    let image = id.and_then(|id| account.storage.find(&id, account.clock.now()));
    let original = image.as_ref().and_then(|image| image.original()).cloned().ok_or_else(ApiError::image_not_found)?;
    let content_type = original.content.content_type();
    let bytes =
        account.on_storage(move |storage| storage.read(&original)).await.map_err(|error| match error.kind() {
            // It was deleted just now.
            io::ErrorKind::NotFound => ApiError::image_not_found(),
            _ => error.into(),
        })?;
    let headers = [(header::CONTENT_TYPE, content_type), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, bytes).into_response())
}

/// Images that may be stored, as the answer says; nothing here holds anybody to it.
const ALLOWED: usize = 100_000;

/// `result` of `GET images/v1/stats`.
#[derive(Serialize)]
struct Stats {
    count: Count,
}

#[derive(Serialize)]
struct Count {
    allowed: usize,
    current: usize,
}

/// `GET images/v1/stats`: how many images there are, drafts left out.
pub(super) async fn stats(State(account): State<Arc<Account>>) -> Response {
    envelope::success(Stats { count: Count { allowed: ALLOWED, current: account.storage.count() } })
}
