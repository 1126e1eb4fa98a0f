//! `POST images/v1`: an upload by the account itself, of a file or of what is at a URL. Nobody is notified of these.

use std::sync::Arc;

use axum::extract::{Multipart, Request, State};
use axum::response::{IntoResponse, Response};

use super::Account;
use super::direct_upload::{Fields, text};
use super::envelope::{self, ApiError};
use super::images::ImageObject;
use super::storage::{StorageError, StoredImage};
use super::upload::{self, File, RECEIVE_TIMEOUT, UploadError};

/// What the form holds.
#[derive(Debug, Default)]
struct UploadForm {
    fields: Fields,
    file: Option<File>,
    url: Option<String>,
}

/// Where the picture is.
#[derive(Debug)]
enum Source {
    File(File),
    Url(String),
}

/// Stores a picture and answers its image.
///
/// UNCONFIRMED, and chosen here: an id that is taken by a living draft is 5409 too; both or neither of `file` and `url` are 5400.
pub(super) async fn create(State(account): State<Arc<Account>>, request: Request) -> Response {
    match accept(&account, request).await {
        Ok(image) => envelope::success(ImageObject::new(&account, &image)),
        Err(error) => error.into_response(),
    }
}

async fn accept(account: &Account, request: Request) -> Result<Arc<StoredImage>, UploadError> {
    let room = account.bodies.room_for(upload::most_bytes(&request)).await;
    let form = upload::receive_form(request, RECEIVE_TIMEOUT, read_form).await?;
    let now = account.clock.now();
    let draft = form.fields.into_draft(now)?;
    let source = match (form.file, form.url) {
        (Some(file), None) => Source::File(file),
        (None, Some(url)) => Source::Url(url),
        _ => return Err(ApiError::bad_request("There must be either a part called file or one called url").into()),
    };
    if account.storage.find(&draft.id, now).is_some() || account.faults.ghost(&draft.id).is_some() {
        return Err(ApiError::already_exists().into());
    }
    let (file, room) = match source {
        Source::File(file) => (file, room),
        Source::Url(url) => {
            // Whoever waits for room holds none.
            drop(room);
            account.fetcher.fetch_upload(&url, &account.bodies).await?
        }
    };
    let upload = upload::check(account, file).await?;
    drop(room);
    let insert = account.on_storage(move |storage| storage.insert_image(draft, upload, now));
    insert.await.map_err(|error| match error {
        StorageError::Exists => ApiError::already_exists().into(),
        error => error.into(),
    })
}

async fn read_form(mut parts: Multipart) -> Result<UploadForm, UploadError> {
    let mut form = UploadForm::default();
    while let Some(field) = parts.next_field().await.map_err(|error| upload::form_error(&error))? {
        match field.name() {
            Some("file") => upload::keep_only(&mut form.file, upload::read_file(field).await?)?,
            Some("url") => form.url = Some(text(field).await?),
            _ => form.fields.take(field).await?,
        }
    }
    Ok(form)
}
