//! Errors of the API, in the shapes of DRF and the toolkit.

use askama::Template;
use axum::Json;
use axum::extract::Extension;
use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::FieldErrors;
use super::auth::AuthError;
use super::model::UsageResponse;
use super::pagination::InvalidPage;
use crate::domain::{ImageUsage, error_chain};
use crate::http::RequestContext;
use crate::http::access_log::ErrorKind;
use crate::http::rate_limit::Throttled;
use crate::service::{self, PictureProblem};
use crate::store;

/// Why a request is answered with an error.
#[derive(Debug)]
pub enum ApiError {
    /// Nobody is signed in, or what should prove it is not accepted: 401 where there is something to ask for, else 403.
    NotAuthenticated {
        /// What is wrong.
        text: String,
        /// What the client is asked for.
        challenge: Option<&'static str>,
    },
    /// A page of another site may have sent the request: 403.
    Csrf(String),
    /// Whoever is signed in may not: 403.
    PermissionDenied,
    /// There is no such page or object: 404.
    NotFound(String),
    /// Nothing that the client takes can be answered with: 406.
    NotAcceptable,
    /// The path exists but not the method: 405.
    MethodNotAllowed(Method),
    /// The body is in a form that is not understood: 415.
    UnsupportedMediaType(String),
    /// The body cannot be read: 400.
    Unreadable(String),
    /// The request is larger than Django takes: 400 with a page.
    BadRequestPage,
    /// Fields have values that are not accepted: 400.
    Fields(FieldErrors),
    /// A field has a value that is refused for a reason with a status of its own.
    Field(StatusCode, FieldErrors),
    /// Something that is no field is not accepted: 400.
    Messages(Vec<String>),
    /// Content refers to the image that was to be deleted: 409.
    InUse(Vec<ImageUsage>),
    /// A use case failed.
    Service(service::Error),
    /// There were too many requests: 429.
    Throttled(Throttled),
    /// The request took too long: 503.
    TookTooLong,
}

/// The body of most errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// What is wrong, for people.
    #[schema(example = "No CloudflareImage matches the given query.")]
    pub detail: String,
    /// The name of the request in the logs; only where the server failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// The body of errors of Cloudflare.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorMessage {
    /// What was tried and why it failed, for people.
    #[schema(example = "Failed to check image status: 404 Client Error: Not Found")]
    pub error: String,
    /// The name of the request in the logs; only where Cloudflare's answer made no sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// What the body of a 400 may be: for the description of the API, each answer is made from what is in it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum BadRequest {
    /// What is wrong with the fields of the request.
    Fields(FieldErrors),
    /// The request cannot be read.
    Unreadable(ErrorDetail),
    /// Cloudflare refused, or cannot be reached.
    Cloudflare(ErrorMessage),
    /// Something that is no field is not accepted.
    Messages(Vec<String>),
}

/// What the body of a 409 may be.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Conflict {
    /// Content refers to the image.
    InUse {
        /// What is wrong, for people.
        #[schema(example = "Image is still referenced by content.")]
        error: String,
        /// The content.
        usages: Vec<UsageResponse>,
    },
    /// Something else is in the way.
    Other(ErrorMessage),
}

/// What the body of a 403 may be where it matters whose an image is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Forbidden {
    /// Not signed in, or by a session without the token against forged requests.
    NotSignedIn(ErrorDetail),
    /// The image is somebody else's.
    NotOwner(ErrorMessage),
}

/// What the body of a 503 may be where a setting matters.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Unavailable {
    /// The database is not available, or the request took too long.
    Busy(ErrorDetail),
    /// A setting is missing.
    NotConfigured(ErrorMessage),
}

/// The answer to a request that took too long.
#[derive(Debug, Default)]
pub struct RequestTookTooLong;

impl IntoResponse for RequestTookTooLong {
    fn into_response(self) -> Response {
        ApiError::TookTooLong.into_response()
    }
}

impl From<service::Error> for ApiError {
    fn from(error: service::Error) -> Self {
        Self::Service(error)
    }
}

impl From<FieldErrors> for ApiError {
    fn from(errors: FieldErrors) -> Self {
        Self::Fields(errors)
    }
}

impl From<Throttled> for ApiError {
    fn from(throttled: Throttled) -> Self {
        Self::Throttled(throttled)
    }
}

impl From<InvalidPage> for ApiError {
    fn from(error: InvalidPage) -> Self {
        Self::NotFound(error.to_string())
    }
}

impl ApiError {
    /// Nothing in the request proves who sent it.
    pub(super) fn not_provided(challenge: Option<&'static str>) -> Self {
        Self::NotAuthenticated { text: "Authentication credentials were not provided.".to_owned(), challenge }
    }

    /// An upload through the server failed; the picture came by the field `name`.
    pub(super) fn of_upload(error: service::Error, name: &str) -> Self {
        match error {
            service::Error::Picture(problem) => {
                Self::Field(picture_status(problem), FieldErrors::of(name, &problem.to_string()))
            }
            service::Error::CustomIdTaken => {
                Self::Field(StatusCode::CONFLICT, FieldErrors::of("custom_id", CUSTOM_ID_TAKEN))
            }
            service::Error::BeingCleared(_)
            | service::Error::NotCertainYet { .. }
            | service::Error::NotedByOtherVersion(_) => {
                Self::Field(StatusCode::CONFLICT, FieldErrors::of("custom_id", &error.to_string()))
            }
            service::Error::CustomIdCannotBePrivate => FieldErrors::of("custom_id", PRIVATE_CUSTOM_ID).into(),
            error => error.into(),
        }
    }

    /// What proves who sent the request is not accepted.
    pub(super) fn of_auth(error: AuthError, challenge: Option<&'static str>) -> Self {
        match error {
            AuthError::NotAuthenticated(text) => Self::NotAuthenticated { text, challenge },
            AuthError::Csrf(text) => Self::Csrf(text),
            AuthError::Unreadable(error) => error,
            AuthError::Store(error) => Self::Service(error.into()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let kind = self.kind();
        let mut response = self.answer();
        response.extensions_mut().insert(kind);
        response
    }
}

impl ApiError {
    /// What is wrong, for those who count.
    fn kind(&self) -> ErrorKind {
        ErrorKind(match self {
            Self::NotAuthenticated { .. } => "not_authenticated",
            Self::Csrf(_) => "csrf",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound(_) => "not_found",
            Self::NotAcceptable => "not_acceptable",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::UnsupportedMediaType(_) => "unsupported_media_type",
            Self::Unreadable(_) | Self::BadRequestPage => "unreadable",
            Self::Fields(_) | Self::Field(..) | Self::Messages(_) => "not_valid",
            Self::InUse(_) => "in_use",
            Self::Service(error) => error.kind(),
            Self::Throttled(_) => "throttled",
            Self::TookTooLong => "took_too_long",
        })
    }

    fn answer(self) -> Response {
        match self {
            Self::NotAuthenticated { text, challenge: None } | Self::Csrf(text) => detail(StatusCode::FORBIDDEN, text),
            Self::NotAuthenticated { text, challenge: Some(challenge) } => {
                ([(header::WWW_AUTHENTICATE, challenge)], detail(StatusCode::UNAUTHORIZED, text)).into_response()
            }
            Self::PermissionDenied => {
                detail(StatusCode::FORBIDDEN, "You do not have permission to perform this action.".to_owned())
            }
            Self::NotFound(text) => detail(StatusCode::NOT_FOUND, text),
            Self::NotAcceptable => {
                detail(StatusCode::NOT_ACCEPTABLE, "Could not satisfy the request Accept header.".to_owned())
            }
            Self::MethodNotAllowed(method) => {
                detail(StatusCode::METHOD_NOT_ALLOWED, format!("Method \"{method}\" not allowed."))
            }
            Self::UnsupportedMediaType(kind) => {
                detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("Unsupported media type \"{kind}\" in request."))
            }
            Self::Unreadable(text) => detail(StatusCode::BAD_REQUEST, text),
            Self::BadRequestPage => bad_request_page(),
            Self::Fields(errors) => (StatusCode::BAD_REQUEST, Json(errors)).into_response(),
            Self::Field(status, errors) => (status, Json(errors)).into_response(),
            Self::Messages(messages) => (StatusCode::BAD_REQUEST, Json(messages)).into_response(),
            Self::InUse(usages) => {
                let usages = usages.into_iter().map(UsageResponse::from).collect();
                let error = service::Error::InUse.to_string();
                (StatusCode::CONFLICT, Json(Conflict::InUse { error, usages })).into_response()
            }
            Self::Service(error) => service_error(&error),
            Self::Throttled(throttled) => {
                let seconds = throttled.seconds();
                let unit = if seconds == 1 { "second" } else { "seconds" };
                let text = format!("Request was throttled. Expected available in {seconds} {unit}.");
                ([(header::RETRY_AFTER, seconds)], detail(StatusCode::TOO_MANY_REQUESTS, text)).into_response()
            }
            Self::TookTooLong => {
                server_error(StatusCode::SERVICE_UNAVAILABLE, "The request took too long. Try again later.")
            }
        }
    }
}

fn picture_status(problem: PictureProblem) -> StatusCode {
    match problem {
        PictureProblem::TooLarge { .. } | PictureProblem::TooLargeForCloudflare => StatusCode::PAYLOAD_TOO_LARGE,
        PictureProblem::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        PictureProblem::Empty | PictureProblem::Unreadable | PictureProblem::NotFetched | PictureProblem::CutOff => {
            StatusCode::BAD_REQUEST
        }
    }
}

fn service_error(error: &service::Error) -> Response {
    match error {
        service::Error::NotFound => detail(StatusCode::NOT_FOUND, NOT_FOUND.to_owned()),
        service::Error::UsageNotFound => {
            detail(StatusCode::NOT_FOUND, "No ImageUsage matches the given query.".to_owned())
        }
        service::Error::CustomIdTaken => {
            let errors = FieldErrors::of("custom_id", CUSTOM_ID_TAKEN);
            (StatusCode::BAD_REQUEST, Json(errors)).into_response()
        }
        service::Error::CustomIdRefused(text) => {
            (StatusCode::BAD_REQUEST, Json(FieldErrors::of("custom_id", text))).into_response()
        }
        service::Error::Picture(problem) => message(picture_status(*problem), problem.to_string()),
        service::Error::CustomIdCannotBePrivate => {
            message(StatusCode::BAD_REQUEST, format!("Failed to create upload URL: {PRIVATE_CUSTOM_ID}"))
        }
        service::Error::InUse | service::Error::RequiredByHost { .. } => {
            let other = Conflict::Other(ErrorMessage { error: error.to_string(), request_id: None });
            (StatusCode::CONFLICT, Json(other)).into_response()
        }
        service::Error::CustomIdCannotBecomePrivate => message(
            StatusCode::BAD_REQUEST,
            "Failed to update image: Cloudflare does not allow private images with a custom ID. \
             To make it private, delete it and upload it again without custom_id."
                .to_owned(),
        ),
        service::Error::CloudflareIdTooLong => message(StatusCode::BAD_REQUEST, error.to_string()),
        service::Error::UnknownToCloudflare(_) => message(StatusCode::NOT_FOUND, error.to_string()),
        service::Error::BeingCleared(_)
        | service::Error::NotCertainYet { .. }
        | service::Error::NotedByOtherVersion(_)
        | service::Error::NewIdUnknown(_)
        | service::Error::NewIdUncertain { .. }
        | service::Error::NotUploaded(_)
        | service::Error::AutomaticUsage => message(StatusCode::CONFLICT, error.to_string()),
        service::Error::OtherCreator(_) | service::Error::OtherOwner(_) | service::Error::UsageOfOtherOwner => {
            message(StatusCode::FORBIDDEN, error.to_string())
        }
        service::Error::Unsignable(_) => {
            (StatusCode::BAD_REQUEST, Json(FieldErrors::of("variant", &error.to_string()))).into_response()
        }
        service::Error::NoAccountHash => {
            error!("A delivery URL could not be made: {error}");
            message(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
        }
        // Calls that fail are logged by the client, where all is known of them.
        service::Error::NoSigningKey(_) => message(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        service::Error::Cloudflare { cause, .. } if cause.is_malformed() => {
            error!(error = %error_chain(error), "Cloudflare's answer cannot be used: {error}");
            message(StatusCode::BAD_GATEWAY, text_of(error))
        }
        service::Error::Cloudflare { .. } => message(StatusCode::BAD_REQUEST, text_of(error)),
        // Of the admin site alone.
        service::Error::Edit(problem) => message(StatusCode::BAD_REQUEST, problem.to_string()),
        service::Error::Store(cause) => store_error(cause),
    }
}

/// An error as one sentence, for answers that report on several images. The toolkit leaves out what was tried where Cloudflare
/// itself says why it refused.
pub(super) fn text_of(error: &service::Error) -> String {
    match error {
        service::Error::Cloudflare { cause: cause @ crate::cloudflare::Error::Unsuccessful { .. }, .. } => {
            format!("Cloudflare API error: {cause}")
        }
        service::Error::NotFound => NOT_FOUND.to_owned(),
        service::Error::Store(error) if error.is_transient() => UNAVAILABLE.to_owned(),
        service::Error::Store(_) => INTERNAL_ERROR.to_owned(),
        error => error.to_string(),
    }
}

pub(super) const CUSTOM_ID_TAKEN: &str = "An image with this custom ID already exists.";
const PRIVATE_CUSTOM_ID: &str = "Cloudflare does not allow private images with a custom ID. \
     Send require_signed_urls=false, or leave out custom_id.";
const NOT_FOUND: &str = "No CloudflareImage matches the given query.";
const UNAVAILABLE: &str = "The database is not available. Try again later.";
const INTERNAL_ERROR: &str = "Internal server error.";

fn store_error(error: &store::Error) -> Response {
    error!(error = %error_chain(error), "The database failed: {error}");
    if error.is_transient() {
        return server_error(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE);
    }
    server_error(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR)
}

/// The answer where a handler panicked.
pub fn panicked(cause: &(dyn std::any::Any + Send)) -> Response {
    let text = cause.downcast_ref::<&str>().copied().or_else(|| cause.downcast_ref::<String>().map(String::as_str));
    error!(error = text.unwrap_or("no message"), "A handler panicked");
    (Extension(ErrorKind::PANIC), server_error(StatusCode::INTERNAL_SERVER_ERROR, INTERNAL_ERROR)).into_response()
}

fn detail(status: StatusCode, detail: String) -> Response {
    (status, Json(ErrorDetail { detail, request_id: None })).into_response()
}

fn server_error(status: StatusCode, text: &str) -> Response {
    (status, Json(ErrorDetail { detail: text.to_owned(), request_id: current_request_id() })).into_response()
}

fn message(status: StatusCode, error: String) -> Response {
    let request_id = if status.is_server_error() { current_request_id() } else { None };
    (status, Json(ErrorMessage { error, request_id })).into_response()
}

fn current_request_id() -> Option<String> {
    RequestContext::current_id().map(|id| id.to_string())
}

/// Marks an answer that is none of DRF's, but a page of Django's.
#[derive(Debug, Clone, Copy)]
pub(super) struct DjangoPage;

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    title: &'a str,
    text: &'a str,
}

/// Django's page for requests that it does not even look at.
pub fn bad_request_page() -> Response {
    page(StatusCode::BAD_REQUEST, &ErrorPage { title: "Bad Request (400)", text: "" })
}

/// Django's page for paths that do not exist.
pub fn not_found_page() -> Response {
    page(
        StatusCode::NOT_FOUND,
        &ErrorPage { title: "Not Found", text: "The requested resource was not found on this server." },
    )
}

/// A page that says of an error what its answer says in JSON, for people who sent a form with their browser.
pub(super) async fn page_of(error: ApiError) -> Response {
    let (mut parts, body) = error.into_response().into_parts();
    // Answers are made here, and short.
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = match serde_json::from_slice(&body) {
        Ok(json) => texts_in(&json).join(" "),
        Err(_) => String::new(),
    };
    let title = parts.status.canonical_reason().unwrap_or("Error");
    let text = format!("{text} Go back and try again.");
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.remove(header::CONTENT_TYPE);
    (parts, html(&ErrorPage { title, text: text.trim_start() })).into_response()
}

/// The messages in the body of an error, each with the field that it is about.
fn texts_in(json: &serde_json::Value) -> Vec<String> {
    match json {
        serde_json::Value::String(text) => vec![text.clone()],
        serde_json::Value::Array(items) => items.iter().flat_map(texts_in).collect(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != "request_id")
            .flat_map(|(name, value)| {
                let is_field = !matches!(name.as_str(), "detail" | "error");
                let named = move |text| if is_field { format!("{name}: {text}") } else { text };
                texts_in(value).into_iter().map(named)
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn page(status: StatusCode, page: &ErrorPage<'_>) -> Response {
    (status, Extension(DjangoPage), html(page)).into_response()
}

fn html(page: &ErrorPage<'_>) -> Html<String> {
    Html(page.render().unwrap_or_else(|_| page.title.to_owned()))
}
