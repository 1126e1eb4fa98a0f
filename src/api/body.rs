//! Bodies of requests, by the rules of DRF's parsers.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde_json::value::RawValue;

use super::{ApiError, json_syntax};
use crate::http::body::{MAX_BODY_BYTES, utf8};
use crate::http::media_type;
use crate::http::multipart::{Part, Parts, PartsError};
use crate::http::query::{MAX_FIELDS, Query};

/// What can be read, in the order in which it is tried.
pub(super) const MEDIA_TYPES: [&str; 3] = [JSON, FORM, MULTIPART];
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// The most characters of a `Content-Type` that DRF looks at.
const MAX_CONTENT_TYPE: usize = 256;
/// The most bytes of a multipart body: files in it are passed over, and do not count towards [`MAX_BODY_BYTES`].
const MAX_MULTIPART_BYTES: u64 = 32 * 1024 * 1024;
/// The most files: Django's `DATA_UPLOAD_MAX_NUMBER_FILES`.
const MAX_FILES: usize = 100;

/// The whole body, at most [`MAX_BODY_BYTES`] long.
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self(body)),
            Err(rejection) if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::BadRequestPage)
            }
            Err(_) => Err(ApiError::Unreadable("The body of the request could not be read.".to_owned())),
        }
    }
}

/// What a request says: a JSON document or a form. Without a body it says nothing.
///
/// It is an extension of requests whose body was read before their handler.
#[derive(Debug, Clone)]
pub enum RequestData {
    /// A JSON document of any kind.
    Json(Box<RawValue>),
    /// The fields of a form.
    Form(Form),
}

/// The fields of a form, in their order, repeated ones included.
#[derive(Debug, Clone, Default)]
pub struct Form(pub(super) Vec<(String, FormValue)>);

/// The value of a field of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FormValue {
    Text(String),
    /// A file, whose content nobody asked for.
    File,
}

impl RequestData {
    /// The form, if it is one.
    pub(super) fn form(&self) -> Option<&Form> {
        match self {
            Self::Json(_) => None,
            Self::Form(form) => Some(form),
        }
    }
}

impl Form {
    /// The last text of a field.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find_map(|(key, value)| match value {
            FormValue::Text(text) if key == name => Some(text.as_str()),
            FormValue::Text(_) | FormValue::File => None,
        })
    }
}

impl Form {
    /// Whether there is a field, of whatever kind.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}

impl From<Query> for Form {
    fn from(query: Query) -> Self {
        Self(query.into_pairs().into_iter().map(|(name, value)| (name, FormValue::Text(value))).collect())
    }
}

impl<S: Send + Sync> FromRequest<S> for RequestData {
    type Rejection = ApiError;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, ApiError> {
        if let Some(data) = request.extensions_mut().remove::<Self>() {
            return Ok(data);
        }
        if is_multipart(request.headers()) {
            return read_multipart(request).await.map(Self::Form);
        }
        let content_type = content_type(request.headers());
        let parser = parser(&content_type);
        let RawBody(body) = RawBody::from_request(request, state).await?;
        match parser {
            Some(FORM) => read_form(&body).map(Self::Form),
            Some(MULTIPART) => Ok(Self::Form(Form::default())),
            _ if body.is_empty() => {
                Ok(Self::Json(RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")))
            }
            Some(_) => read_json(&body).map(Self::Json),
            None => Err(ApiError::UnsupportedMediaType(content_type)),
        }
    }
}

fn content_type(headers: &HeaderMap) -> String {
    headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes().iter().copied().map(char::from).collect())
        .unwrap_or_default()
}

/// Whether a request carries a form in parts.
pub(super) fn is_multipart(headers: &HeaderMap) -> bool {
    parser(&content_type(headers)) == Some(MULTIPART) && !has_no_body(headers)
}

fn parser(content_type: &str) -> Option<&'static str> {
    let is_asked = |known: &&str| content_type.len() <= MAX_CONTENT_TYPE && media_type::matches(known, content_type);
    MEDIA_TYPES.into_iter().find(is_asked)
}

fn has_no_body(headers: &HeaderMap) -> bool {
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.as_bytes() == b"0",
        None => !headers.contains_key(header::TRANSFER_ENCODING),
    }
}

fn read_json(body: &[u8]) -> Result<Box<RawValue>, ApiError> {
    let parse_error = |error: String| ApiError::Unreadable(format!("JSON parse error - {error}"));
    let text = utf8(body).map_err(|error| parse_error(error.to_string()))?;
    let document = serde_json::from_str(text).map_err(|_| parse_error(json_syntax::explain(text).to_string()))?;
    json_syntax::check(text).map_err(|error| parse_error(error.to_string()))?;
    Ok(document)
}

fn read_form(body: &[u8]) -> Result<Form, ApiError> {
    let text = String::from_utf8_lossy(body);
    Query::parse(&text).map(Form::from).map_err(|_| ApiError::BadRequestPage)
}

async fn read_multipart(request: Request) -> Result<Form, ApiError> {
    let mut reader = FormReader::new(request, MAX_MULTIPART_BYTES)?;
    reader.read_until(None).await?;
    Ok(reader.into_form())
}

/// Reads a multipart form part by part.
pub(super) struct FormReader {
    parts: Parts,
    form: Form,
    files: usize,
    bytes_left: usize,
}

impl FormReader {
    /// A reader of the body of a request, of which `max_bytes` are read at most.
    pub(super) fn new(request: Request, max_bytes: u64) -> Result<Self, ApiError> {
        let content_type = content_type(request.headers());
        let parts = Parts::new(&content_type, request.into_body(), max_bytes)
            .ok_or_else(|| parse_error("Invalid boundary in multipart: None"))?;
        Ok(Self { parts, form: Form::default(), files: 0, bytes_left: MAX_BODY_BYTES })
    }

    /// Reads up to the file in the field `file`, which is given back unread, or else to the end. Other files are passed over.
    pub(super) async fn read_until(&mut self, file: Option<&str>) -> Result<Option<Part<'static>>, ApiError> {
        while let Some(mut part) = self.parts.next().await.map_err(unreadable)? {
            let Some(name) = part.name().map(str::to_owned) else {
                self.skip(&mut part).await?;
                continue;
            };
            let value = match part.file_name() {
                Some("") => {
                    self.skip(&mut part).await?;
                    continue;
                }
                Some(_) if file == Some(name.as_str()) => return Ok(Some(part)),
                Some(_) => {
                    self.files += 1;
                    self.skip(&mut part).await?;
                    FormValue::File
                }
                None => {
                    // As for Django, a field counts as if it stood in a form of the other kind.
                    self.use_up(name.len() + 2)?;
                    FormValue::Text(self.read_text(&mut part).await?)
                }
            };
            self.form.0.push((name, value));
            if self.form.0.len() - self.files > MAX_FIELDS || self.files > MAX_FILES {
                return Err(ApiError::BadRequestPage);
            }
        }
        Ok(None)
    }

    /// The fields that were read. A file lies over a text of the same name.
    pub(super) fn into_form(mut self) -> Form {
        self.form.0.sort_by_key(|(_, value)| *value == FormValue::File);
        self.form
    }

    /// Takes the fields that were read so far out of the reader.
    pub(super) fn take_form(&mut self) -> Form {
        std::mem::take(&mut self.form)
    }

    /// The next piece of a part.
    pub(super) async fn chunk(&self, part: &mut Part<'_>) -> Result<Option<Bytes>, ApiError> {
        self.parts.chunk(part).await.map_err(unreadable)
    }

    async fn read_text(&mut self, part: &mut Part<'_>) -> Result<String, ApiError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(part).await? {
            self.use_up(chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn skip(&self, part: &mut Part<'_>) -> Result<(), ApiError> {
        self.parts.skip(part).await.map_err(unreadable)
    }

    fn use_up(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(ApiError::BadRequestPage)?;
        Ok(())
    }
}

fn unreadable(error: PartsError) -> ApiError {
    match error {
        PartsError::TooLarge => ApiError::BadRequestPage,
        PartsError::Unreadable => parse_error(&error.to_string()),
    }
}

fn parse_error(reason: &str) -> ApiError {
    ApiError::Unreadable(format!("Multipart form parse error - {reason}"))
}
