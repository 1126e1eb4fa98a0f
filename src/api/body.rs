//! Bodies of requests, by the rules of DRF's parsers.

use axum::body::Bytes;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request};
use axum::http::{HeaderMap, header};
use serde_json::value::RawValue;

use super::{ApiError, json_syntax};
use crate::http::body::{MAX_BODY_BYTES, utf8};
use crate::http::media_type;
use crate::http::query::{MAX_FIELDS, Query};

/// What can be read, in the order in which it is tried.
pub(super) const MEDIA_TYPES: [&str; 3] = [JSON, FORM, MULTIPART];
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data";

/// The most characters of a `Content-Type` that DRF looks at.
const MAX_CONTENT_TYPE: usize = 256;
/// The most bytes of a multipart body: files in it are passed over, and do not count towards [`MAX_BODY_BYTES`].
const MAX_MULTIPART_BYTES: usize = 32 * 1024 * 1024;
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
        let content_type = content_type(request.headers());
        let is_asked =
            |known: &&str| content_type.len() <= MAX_CONTENT_TYPE && media_type::matches(known, &content_type);
        let parser = MEDIA_TYPES.into_iter().find(is_asked);
        if parser == Some(MULTIPART) && !has_no_body(request.headers()) {
            return read_multipart(request, state).await.map(Self::Form);
        }
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

async fn read_multipart<S: Send + Sync>(mut request: Request, state: &S) -> Result<Form, ApiError> {
    DefaultBodyLimit::max(MAX_MULTIPART_BYTES).apply(&mut request);
    let no_boundary = || parse_error("Invalid boundary in multipart: None");
    let mut parts = Multipart::from_request(request, state).await.map_err(|_| no_boundary())?;
    let mut form = Form::default();
    let (mut files, mut bytes_left) = (0, MAX_BODY_BYTES);
    while let Some(mut part) = parts.next_field().await.map_err(|error| unreadable(&error))? {
        let Some(name) = part.name().map(str::to_owned) else {
            skip(&mut part).await?;
            continue;
        };
        let value = match part.file_name() {
            Some("") => {
                skip(&mut part).await?;
                continue;
            }
            Some(_) => {
                files += 1;
                skip(&mut part).await?;
                FormValue::File
            }
            None => {
                // As for Django, a field counts as if it stood in a form of the other kind.
                bytes_left = bytes_left.checked_sub(name.len() + 2).ok_or(ApiError::BadRequestPage)?;
                FormValue::Text(read_text(&mut part, &mut bytes_left).await?)
            }
        };
        form.0.push((name, value));
        if form.0.len() - files > MAX_FIELDS || files > MAX_FILES {
            return Err(ApiError::BadRequestPage);
        }
    }
    // A file lies over a text of the same name.
    form.0.sort_by_key(|(_, value)| *value == FormValue::File);
    Ok(form)
}

async fn read_text(part: &mut Field<'_>, bytes_left: &mut usize) -> Result<String, ApiError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| unreadable(&error))? {
        *bytes_left = bytes_left.checked_sub(chunk.len()).ok_or(ApiError::BadRequestPage)?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn skip(part: &mut Field<'_>) -> Result<(), ApiError> {
    while part.chunk().await.map_err(|error| unreadable(&error))?.is_some() {}
    Ok(())
}

fn unreadable(error: &MultipartError) -> ApiError {
    if error.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::BadRequestPage;
    }
    parse_error("the body is cut off or not in multipart form")
}

fn parse_error(reason: &str) -> ApiError {
    ApiError::Unreadable(format!("Multipart form parse error - {reason}"))
}
