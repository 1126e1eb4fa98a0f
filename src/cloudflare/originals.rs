//! The bytes of images, as they were uploaded.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE};

use super::images::image_path;
use super::limiter::Place;
use super::transport::{Account, Call};
use super::{Client, Error, Operation};
use crate::domain::CloudflareId;

/// The bytes of an image on their way from Cloudflare: a call in flight until they have ended, or this is dropped.
#[derive(Debug)]
pub struct OriginalImage {
    response: Response,
    /// Until the end of the bytes.
    place: Option<Place>,
}

impl Client {
    /// The bytes of an image, as they come; `arrival` is how long they may take. Of very large images Cloudflare may give another
    /// form than was uploaded.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] where there is no such image.
    pub async fn download_image(&self, id: &CloudflareId, arrival: Duration) -> Result<OriginalImage, Error> {
        let path = format!("{}/blob", image_path(id)?);
        let call = Call::from(Operation::DownloadImage).arriving_within(arrival);
        let request =
            |account: &Account| account.get(&path).header(ACCEPT, "image/*, application/json;q=0.9, */*;q=0.1");
        let (response, place) = self.transport.open(call, request).await?;
        Ok(OriginalImage { response, place: Some(place) })
    }
}

impl OriginalImage {
    /// The MIME type, where it is told: from outside, and so not to be believed.
    pub fn content_type(&self) -> Option<&str> {
        self.response.headers().get(CONTENT_TYPE)?.to_str().ok()
    }

    /// How many bytes there are, where that is told.
    pub fn length(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The next bytes; `None` after the last ones.
    ///
    /// # Errors
    /// [`Error::Interrupted`] where the connection breaks or the time is over before the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let chunk = self.response.chunk().await;
        if !matches!(chunk, Ok(Some(_))) {
            self.place = None;
        }
        Ok(chunk?)
    }
}
