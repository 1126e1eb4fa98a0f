//! Bodies of requests, by the rules of DRF's parsers.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde_json::value::RawValue;

use super::ApiError;
use crate::http::body::utf8;

/// The whole body, at most [`MAX_BODY_BYTES`](crate::http::body::MAX_BODY_BYTES) long.
pub struct RawBody(pub Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self(body)),
            Err(rejection) if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE => {
                Err(ApiError::BodyTooLarge)
            }
            Err(_) => Err(ApiError::Unreadable("The body of the request could not be read.".to_owned())),
        }
    }
}

/// A JSON document; `{}` where there is no body.
pub struct JsonBody(pub Box<RawValue>);

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let media_type = media_type(request.headers());
        let RawBody(body) = RawBody::from_request(request, state).await?;
        if body.is_empty() {
            return Ok(Self(RawValue::from_string("{}".to_owned()).expect("an empty object is JSON")));
        }
        if !essence(&media_type).eq_ignore_ascii_case("application/json") {
            return Err(ApiError::UnsupportedMediaType(media_type));
        }
        let parse_error = |error: String| ApiError::Unreadable(format!("JSON parse error - {error}"));
        let text = utf8(&body).map_err(|error| parse_error(error.to_string()))?;
        serde_json::from_str(text).map(Self).map_err(|error| parse_error(error.to_string()))
    }
}

fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(header::CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}
