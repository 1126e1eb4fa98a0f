//! Making images: drafts with a one-time URL, files, and pictures that Cloudflare fetches.

use reqwest::multipart::{Form, Part};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::image_details::stored;
use super::transport::{Account, Call};
use super::{Client, Error, ImageDetails, Operation};
use crate::domain::{CloudflareId, Json, Timestamp, UploadUrl};

/// What is said of an image that is to be made.
#[derive(Debug, Clone)]
pub struct NewImageFields {
    /// An id of the caller's own; Cloudflare makes one otherwise.
    pub custom_id: Option<CloudflareId>,
    /// What to keep with the image: an object.
    pub metadata: Json,
    /// Whether the picture is delivered with signed URLs only.
    pub require_signed_urls: bool,
    /// Cloudflare's `creator`; left out where empty.
    pub creator: String,
}

/// What is asked of Cloudflare for a direct creator upload.
#[derive(Debug, Clone)]
pub struct DirectUploadRequest {
    /// What the image is to be like.
    pub image: NewImageFields,
    /// When the upload URL ends: 2 minutes to 6 hours from now.
    pub expiry: Timestamp,
}

/// A file on its way to Cloudflare.
#[derive(Debug)]
pub struct UploadFile {
    /// The name of the file.
    pub name: String,
    /// Its MIME type, of which Cloudflare makes sure.
    pub content_type: &'static str,
    /// Its bytes as they come. Where they end with an error the upload is cut off, and nothing is left of it at Cloudflare.
    pub bytes: reqwest::Body,
}

/// A draft, and the one-time URL by which its file is uploaded. The draft exists, whatever else the answer lacks.
#[derive(Clone)]
pub struct DirectUpload {
    /// The id of the future image.
    pub id: CloudflareId,
    /// Where to post the file; `None` where the answer does not say.
    pub upload_url: Option<UploadUrl>,
    /// `result` of the answer, whole, with the upload URL in it; `None` where it cannot be stored.
    pub result: Option<Json>,
}

impl DirectUpload {
    /// Reads an answer.
    ///
    /// # Errors
    /// If there is no id, without which nothing can be done about the draft.
    pub(super) fn from_result(result: &RawValue) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct DirectUploadResult {
            id: String,
            #[serde(default, rename = "uploadURL")]
            upload_url: serde_json::Value,
        }
        let fields: DirectUploadResult =
            serde_json::from_str(result.get()).map_err(|_| Error::Malformed("it has no id"))?;
        Ok(Self {
            id: CloudflareId::new(fields.id),
            upload_url: fields.upload_url.as_str().map(UploadUrl::new),
            result: stored(result).ok(),
        })
    }
}

impl Client {
    /// Creates a draft and the one-time URL by which its file is uploaded.
    ///
    /// Without a custom id it is tried again though there may be a draft already: nobody can find that one, and it expires by itself.
    ///
    /// # Errors
    /// See [`Error`]. Where it [may have taken effect](Error::may_have_taken_effect), there may be a draft; [`get_image`](Self::get_image)
    /// tells whether there is one with the custom id.
    pub async fn create_direct_upload(&self, request: &DirectUploadRequest) -> Result<DirectUpload, Error> {
        let form = || new_image_form(&request.image).text("expiry", request.expiry.to_isoformat());
        let call = Call::from(Operation::CreateDirectUpload);
        let call = if request.image.custom_id.is_some() { call } else { call.repeatable() };
        let result =
            self.transport.call(call, |account| account.post("images/v2/direct_upload").multipart(form())).await?;
        DirectUpload::from_result(&result)
    }

    /// Uploads a file as a new image, as its bytes come. These may take all the time until `deadline`, when the call is given up. It is
    /// tried once, as the bytes are gone then.
    ///
    /// # Errors
    /// See [`Error`]. Where it [may have taken effect](Error::may_have_taken_effect), there may be an image, unless the bytes ended
    /// with an error; it can be found by its custom id alone.
    pub async fn upload_file(
        &self,
        image: &NewImageFields,
        file: UploadFile,
        deadline: Instant,
    ) -> Result<ImageDetails, Error> {
        let part = Part::stream(file.bytes)
            .file_name(file.name)
            .mime_str(file.content_type)
            .map_err(|_| Error::Malformed("the type of the file is none"))?;
        let form = new_image_form(image).part("file", part);
        let request = |account: &Account| account.post("images/v1").multipart(form);
        let call = Call::from(Operation::UploadFile).over_by(deadline);
        ImageDetails::from_upload(&self.transport.call_once(call, request).await?)
    }

    /// Has Cloudflare fetch a picture from a URL and make an image of it. That may take all the time until `deadline`, when the call is
    /// given up.
    ///
    /// # Errors
    /// See [`Error`]. Where it [may have taken effect](Error::may_have_taken_effect), there may be an image; it can be found by its
    /// custom id alone.
    pub async fn upload_from_url(
        &self,
        image: &NewImageFields,
        url: &str,
        deadline: Instant,
    ) -> Result<ImageDetails, Error> {
        let form = || new_image_form(image).text("url", url.to_owned());
        let call = Call::from(Operation::UploadFromUrl).over_by(deadline);
        let result = self.transport.call(call, |account| account.post("images/v1").multipart(form())).await?;
        ImageDetails::from_upload(&result)
    }
}

/// What every form says that makes an image.
fn new_image_form(image: &NewImageFields) -> Form {
    let mut form = Form::new()
        .text("requireSignedURLs", image.require_signed_urls.to_string())
        .text("metadata", image.metadata.as_str().to_owned());
    if let Some(id) = &image.custom_id {
        form = form.text("id", id.as_str().to_owned());
    }
    if !image.creator.is_empty() {
        form = form.text("creator", image.creator.clone());
    }
    form
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(text in "[\\[\\]{}\":,a-z0-9. ]*") {
            if let Ok(raw) = serde_json::from_str::<&RawValue>(&text) {
                let _ = DirectUpload::from_result(raw);
            }
        }
    }
}
