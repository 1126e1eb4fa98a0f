//! Images in the REST API: the image object, `GET` and `DELETE`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;
use serde_json::value::RawValue;

use super::envelope::{self, ApiError};
use super::storage::StoredImage;
use super::{Account, path};

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
        .and_then(|id| account.storage.find(&id, account.clock.now()))
        .ok_or_else(ApiError::image_not_found)?;
    Ok(envelope::success(ImageObject::new(&account, &image)))
}

/// `DELETE images/v1/{image_id}`, for drafts too.
pub(super) async fn delete(State(account): State<Arc<Account>>, uri: Uri) -> Result<Response, ApiError> {
    let id = path::last_segment(uri.path()).ok_or_else(ApiError::image_not_found)?;
    let now = account.clock.now();
    let was_there = account
        .on_storage(move |storage| storage.delete(&id, now))
        .await
        .map_err(|error| ApiError::internal(&error))?;
    if was_there { Ok(envelope::success(serde_json::Map::new())) } else { Err(ApiError::image_not_found()) }
}
