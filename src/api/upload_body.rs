//! The body of an upload: JSON or a form, whose file is left where it is until it can be passed on.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{FromRequest, Request};

use super::body::{FormReader, RequestData, is_multipart};
use super::{ApiError, FieldErrors};
use crate::http::multipart::Part;
use crate::service::{FileSender, IncomingFile};

/// The field with the file.
pub(super) const FILE: &str = "file";
/// The most bytes of a form: the largest file that the settings allow, and what may stand around it.
const MAX_FORM_BYTES: u64 = 110_000_000;

/// Marks requests to a view that takes a file; an extension.
#[derive(Debug, Clone, Copy)]
pub(super) struct TakesFile;

/// What an upload says.
pub struct UploadBody {
    /// A JSON document, or the fields of a form that stand before the file.
    pub(super) data: RequestData,
    /// The file.
    pub(super) file: Option<FilePart>,
}

/// A body whose beginning was read before its handler; an extension.
#[derive(Clone)]
pub(super) struct KeptBody(Arc<Mutex<Option<UploadBody>>>);

impl UploadBody {
    /// The body for the handler.
    pub(super) fn kept(self) -> KeptBody {
        KeptBody(Arc::new(Mutex::new(Some(self))))
    }

    async fn read_form(request: Request) -> Result<Self, ApiError> {
        let mut reader = FormReader::new(request, MAX_FORM_BYTES)?;
        match reader.read_until(Some(FILE)).await? {
            Some(part) => {
                let data = RequestData::Form(reader.take_form());
                Ok(Self { data, file: Some(FilePart { part, reader }) })
            }
            None => Ok(Self { data: RequestData::Form(reader.into_form()), file: None }),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for UploadBody {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, ApiError> {
        let kept = request.extensions_mut().remove::<KeptBody>();
        if let Some(body) = kept.and_then(|KeptBody(body)| body.lock().unwrap_or_else(PoisonError::into_inner).take()) {
            return Ok(body);
        }
        if is_multipart(request.headers()) {
            return Self::read_form(request).await;
        }
        Ok(Self { data: RequestData::from_request(request, state).await?, file: None })
    }
}

/// The file of a form, of which nothing has been read.
pub(super) struct FilePart {
    part: Part<'static>,
    reader: FormReader,
}

impl FilePart {
    /// The file for the service, and where to feed it.
    pub(super) fn channel(&self) -> (FileSender, IncomingFile) {
        IncomingFile::channel(self.part.file_name().unwrap_or_default())
    }

    /// Hands the file over piece by piece as long as it is wanted, and makes sure that nothing of importance comes after it.
    ///
    /// # Errors
    /// If the body is cut off, or a field comes that had to stand before the file. The file is not finished then.
    pub(super) async fn feed(mut self, sender: FileSender, fields: &[&str]) -> Result<(), ApiError> {
        while let Some(bytes) = self.reader.chunk(&mut self.part).await? {
            if sender.send(bytes).await.is_err() {
                return Ok(());
            }
        }
        drop(self.part);
        if self.reader.read_until(Some(FILE)).await?.is_some() {
            return Err(FieldErrors::of(FILE, "Send one file at a time.").into());
        }
        let late = self.reader.into_form();
        if let Some(name) = fields.iter().find(|name| late.has(name)) {
            return Err(FieldErrors::of(name, "Send this field before the file.").into());
        }
        sender.finish().await;
        Ok(())
    }
}
