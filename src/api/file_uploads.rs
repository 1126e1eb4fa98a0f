//! `images/upload/`

use std::pin::pin;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use utoipa::ToSchema;

use super::body::RequestData;
use super::error::{BadRequest, ErrorDetail, ErrorMessage, page_of};
use super::model::ImageResponse;
use super::next_url::{self, NextUrl};
use super::upload_body::{FILE, FilePart, UploadBody};
use super::uploads::read_request;
use super::view::{Access, View, ViewContext};
use super::{ApiError, Authentication, FieldErrors, Fields, Principal};
use crate::domain::{Image, User};
use crate::http::body::MAX_BODY_BYTES;
use crate::http::timeout::WorkDeadline;
use crate::service::{CloudflareService, ImageLinks, PictureProblem, SourceUrl, UploadDeadlines, UploadRequest};

/// Uploading through the server.
pub const UPLOAD: View = View {
    path: "images/upload/",
    methods: &["POST"],
    access: Access::Users,
    takes_suffix: true,
    name: "Upload",
    description: "Upload a picture through the server, from a file or a URL.",
    describes_image: false,
};

const URL: &str = "url";
const NEXT: &str = "next";
/// What has to stand before the file in a form.
const FIELDS: [&str; 7] = [URL, "custom_id", "metadata", "require_signed_urls", "creator", "filename", NEXT];
const MAX_URL_CHARS: usize = 2048;

/// A picture, or where it is, and what may be said about its image. In a form the file comes last.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the request; `upload_image` reads it by DRF's rules")]
pub struct UploadImageRequest {
    /// The picture, in a form: JPEG, PNG, WebP, GIF, HEIC, AVIF or SVG.
    #[schema(value_type = Option<String>, format = Binary, nullable = false)]
    file: Option<Vec<u8>>,
    /// Where Cloudflare fetches the picture, in place of `file`: `http` or `https`, on the public Internet.
    #[schema(format = "uri", nullable = false, max_length = 2048, example = "https://example.com/lake.jpg")]
    url: Option<String>,
    /// An id of your own for the image. Cloudflare does not allow private images with a custom id.
    #[schema(nullable = false, max_length = 255, min_length = 1, example = "products/42/hero")]
    custom_id: Option<String>,
    /// What to keep with the image, in a form as JSON text; at Cloudflare at most 1024 bytes.
    #[schema(value_type = Option<Object>, nullable = false, example = json!({"project": "alpha"}))]
    metadata: Option<serde_json::Value>,
    /// Whether the picture is delivered with signed URLs only. The default is a setting.
    #[schema(nullable = false)]
    require_signed_urls: Option<bool>,
    /// The name of the file, for reference. The default is the one it has in the form.
    #[schema(nullable = false, max_length = 255, min_length = 1, example = "photo.jpg")]
    filename: Option<String>,
    /// Cloudflare's `creator`; empty for none, whatever the default.
    #[schema(nullable = false, max_length = 255)]
    creator: Option<String>,
    /// As the parameter of the same name.
    #[schema(nullable = false, max_length = 2048)]
    next: Option<String>,
    /// Django's token against forgeries, in a form that a session signs and whose request has no header with the token.
    #[schema(nullable = false)]
    csrfmiddlewaretoken: Option<String>,
}

/// Upload a picture.
///
/// Passes a file on to Cloudflare as it comes in, or has Cloudflare fetch it from a URL, and records the image as `uploaded`. It is
/// what a form posts to where the browser cannot send the file to Cloudflare itself, for want of JavaScript.
///
/// A form is passed on while it is read, so its fields stand before the file, `csrfmiddlewaretoken` and `next` among them. After the
/// file may come what nobody looks at, such as the button. The first bytes of the file tell its type, whatever it is declared to be.
///
/// With `next` the answer is a redirect, with the key of the image here in the parameter `image`, and errors are pages for browsers:
/// where `Accept` names `text/html`.
#[utoipa::path(
    post,
    path = "/images/upload/",
    tag = "uploads",
    operation_id = "upload_image",
    params(("next" = Option<String>, Query, description = "Where the browser goes on after the upload: a path of the same host, or a URL of a trusted origin. May be a field, too.")),
    request_body(content(
        (UploadImageRequest = "multipart/form-data", example = json!({"metadata": {"project": "alpha"}, "file": "photo.jpg"})),
        (UploadImageRequest = "application/json", example = json!({"metadata": {"project": "alpha"}, "url": "https://example.com/lake.jpg"})),
    )),
    responses(
        (status = 201, description = "The image", body = ImageResponse),
        (status = 303, description = "Where `next` says, with the key of the image in the parameter `image`"),
        (status = 400, description = "A field is not accepted, the body or the picture cannot be read or fetched, or Cloudflare refused", body = BadRequest),
        (status = 409, description = "The custom id is taken, or something that an earlier request left under it has to be deleted first; the text tells when to try again", body = FieldErrors),
        (status = 413, description = "The picture is too large", body = FieldErrors),
        (status = 415, description = "The file is no picture of a kind that is accepted, or the body is neither JSON nor a form", body = UnsupportedType),
        (status = 502, description = "Cloudflare's answer cannot be used", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn upload_image(
    Principal(user): Principal,
    (State(service), State(links), State(authentication)): UploadState,
    Extension(context): Extension<ViewContext>,
    Extension(WorkDeadline(until)): Extension<WorkDeadline>,
    headers: HeaderMap,
    body: Result<UploadBody, ApiError>,
) -> Response {
    let next = next_in(body.as_ref().ok(), &context);
    let wants_page = next.is_some() && names_html(&headers);
    let uploading = async {
        let next = match next {
            Some(next) => Some(NextUrl::parse(&next, &context.url, &authentication).ok_or_else(wrong_next)?),
            None => None,
        };
        let image = upload(&service, &user, body?, content_length(&headers), until).await?;
        Ok::<_, ApiError>((image, next))
    };
    match uploading.await {
        Ok((image, Some(next))) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, next.with_image(&image.id.to_string()))]).into_response()
        }
        Ok((image, None)) => {
            (StatusCode::CREATED, Json(ImageResponse::new(image, &links, service.clock().now()))).into_response()
        }
        Err(error) if wants_page => page_of(error).await,
        Err(error) => error.into_response(),
    }
}

/// What an upload needs of the state.
type UploadState = (State<CloudflareService>, State<ImageLinks>, State<Authentication>);

/// What the body of a 415 may be: for the description of the API, each answer is made from what is in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum UnsupportedType {
    /// The file is no picture of a kind that is accepted.
    Picture(FieldErrors),
    /// The body is neither JSON nor a form.
    Body(ErrorDetail),
}

/// Where the picture is.
enum Source {
    File(Box<FilePart>),
    Url(SourceUrl),
}

async fn upload(
    service: &CloudflareService,
    user: &User,
    body: UploadBody,
    length: Option<u64>,
    until: Instant,
) -> Result<Image, ApiError> {
    let (request, source) = read(service, body).await?;
    let deadlines = UploadDeadlines::until(until);
    match source {
        Source::File(file) => upload_file(service, user, request, *file, length, deadlines).await,
        Source::Url(url) => {
            let uploading = service.upload_from_url(user, request, url, deadlines);
            uploading.await.map_err(|error| ApiError::of_upload(error, URL))
        }
    }
}

async fn read(service: &CloudflareService, body: UploadBody) -> Result<(UploadRequest, Source), ApiError> {
    let UploadBody { data, file } = body;
    let mut fields = Fields::new(&data)?;
    let request = read_request(&mut fields);
    let url = read_url(service, &mut fields).await;
    let source = match (file, url) {
        (Some(file), None) => Some(Source::File(Box::new(file))),
        (None, Some(url)) => Some(Source::Url(url)),
        (Some(_), Some(_)) => {
            fields.refuse(URL, "Send a file or a URL, not both.");
            None
        }
        (None, None) => {
            require_source(&mut fields, &data);
            None
        }
    };
    Ok((request, fields.finish_with(source)?))
}

async fn read_url(service: &CloudflareService, fields: &mut Fields<'_>) -> Option<SourceUrl> {
    let text = fields.text(URL, MAX_URL_CHARS)?;
    let url = match SourceUrl::parse(&text) {
        Ok(url) => service.require_fetchable(&url).await.map(|()| url),
        Err(error) => Err(error),
    };
    url.map_err(|error| fields.refuse(URL, &error.to_string())).ok()
}

/// Says what is missing, in the words of DRF's `FileField`. Nothing is where the URL is wrong.
fn require_source(fields: &mut Fields<'_>, data: &RequestData) {
    match data.form() {
        None => fields.require(URL),
        Some(form) if form.text(FILE).is_some() => {
            fields.refuse(FILE, "The submitted data was not a file. Check the encoding type on the form.");
        }
        Some(form) if form.text(URL).is_none_or(str::is_empty) => fields.refuse(FILE, "No file was submitted."),
        Some(_) => {}
    }
}

/// Feeds the file to the service while that uploads it. Whichever fails first ends the other.
async fn upload_file(
    service: &CloudflareService,
    user: &User,
    request: UploadRequest,
    file: FilePart,
    length: Option<u64>,
    deadlines: UploadDeadlines,
) -> Result<Image, ApiError> {
    let max_bytes = service.max_file_bytes();
    if length.is_some_and(|length| length > max_bytes + MAX_BODY_BYTES as u64) {
        return Err(ApiError::of_upload(PictureProblem::TooLarge { max_bytes }.into(), FILE));
    }
    let (sender, incoming) = file.channel();
    let mut feeding = pin!(timeout_at(deadlines.file, file.feed(sender, &FIELDS)));
    let mut uploading = pin!(service.upload_file(user, request, incoming, deadlines));
    let uploaded = tokio::select! {
        // What is wrong with the body says more than that the file was cut off.
        biased;
        fed = &mut feeding => {
            fed.map_err(|_| ApiError::TookTooLong)??;
            uploading.await
        }
        uploaded = &mut uploading => uploaded,
    };
    uploaded.map_err(|error| ApiError::of_upload(error, FILE))
}

/// Where to go on: the field counts more than the parameter.
fn next_in(body: Option<&UploadBody>, context: &ViewContext) -> Option<String> {
    let field = body.and_then(|body| Fields::new(&body.data).ok()?.text(NEXT, next_url::MAX_CHARS));
    let parameter = || context.query.get(NEXT).map(str::to_owned);
    field.or_else(parameter).filter(|next| !next.is_empty())
}

fn wrong_next() -> ApiError {
    FieldErrors::of(NEXT, next_url::NOT_ALLOWED).into()
}

/// Whether the client is a browser that shows what comes back: scripts do not name pages.
fn names_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .any(|accept| accept.to_str().is_ok_and(|accept| accept.contains("text/html")))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
