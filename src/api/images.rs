//! `images/`

use axum::Json;
use axum::extract::{Extension, OriginalUri, Path, State};

use super::error::{BadRequest, ErrorDetail, ErrorMessage};
use super::model::{ImageListResponse, ImageResponse, ImageStatusResponse, LogResponse};
use super::{ApiError, Principal};
use crate::domain::ImageId;
use crate::http::RequestContext;
use crate::http::pagination::{PageLinks, Query};
use crate::service::{CloudflareService, ImageLinks};

/// The key of an image in a path. Whatever is no UUID is not found.
#[derive(Debug)]
pub struct ImagePath(ImageId);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for ImagePath {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut axum::http::request::Parts, state: &S) -> Result<Self, ApiError> {
        let not_found = || ApiError::NotFound("Not found.".to_owned());
        let Path(id) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| not_found())?;
        id.parse().map(Self).map_err(|_| not_found())
    }
}

/// List images.
///
/// The user's own images, newest first.
#[utoipa::path(
    get,
    path = "/images/",
    tag = "images",
    operation_id = "list_images",
    params(
        ("page" = Option<String>, Query, description = "The number of the page from 1, or `last`", example = "1"),
        ("page_size" = Option<u32>, Query, minimum = 1, description = "Images a page, 20 by default; more than 100 count as 100"),
    ),
    responses(
        (status = 200, description = "A page of images", body = ImageListResponse),
        (status = 403, description = "Not signed in", body = ErrorDetail),
        (status = 404, description = "There is no such page", body = ErrorDetail),
        (status = 503, description = "The database is not available", body = ErrorDetail),
    ),
    security(("token" = []))
)]
pub async fn list_images(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<RequestContext>,
    OriginalUri(uri): OriginalUri,
) -> Result<Json<ImageListResponse>, ApiError> {
    let query = Query::parse(uri.query());
    let page = service.list_images(&user, |count| query.page(count).map_err(ApiError::from)).await?;
    let page_links = PageLinks::new(&format!("{}{}", context.origin, uri.path()), &query, page.request, page.count);
    let now = service.clock().now();
    Ok(Json(ImageListResponse {
        count: page.count,
        next: page_links.next,
        previous: page_links.previous,
        results: page.items.into_iter().map(|image| ImageResponse::new(image, &links, now)).collect(),
    }))
}

/// Show an image.
#[utoipa::path(
    get,
    path = "/images/{id}/",
    tag = "images",
    operation_id = "get_image",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here")),
    responses(
        (status = 200, description = "The image", body = ImageResponse),
        (status = 403, description = "Not signed in", body = ErrorDetail),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
        (status = 503, description = "The database is not available", body = ErrorDetail),
    ),
    security(("token" = []))
)]
pub async fn get_image(
    Principal(user): Principal,
    ImagePath(id): ImagePath,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
) -> Result<Json<ImageResponse>, ApiError> {
    let image = service.get_image(&user, id).await?;
    Ok(Json(ImageResponse::new(image, &links, service.clock().now())))
}

/// Check the status of an image.
///
/// Asks Cloudflare how far the upload has come, and records the answer.
#[utoipa::path(
    post,
    path = "/images/{id}/check_status/",
    tag = "images",
    operation_id = "check_image_status",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here")),
    responses(
        (status = 200, description = "The status", body = ImageStatusResponse),
        (status = 400, description = "Cloudflare refused or cannot be reached, or listed variants that are no URLs", body = BadRequest),
        (status = 403, description = "Not signed in", body = ErrorDetail),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
        (status = 502, description = "Cloudflare's answer cannot be used", body = ErrorMessage),
        (status = 503, description = "The database is not available", body = ErrorDetail),
    ),
    security(("token" = []))
)]
pub async fn check_image_status(
    Principal(user): Principal,
    ImagePath(id): ImagePath,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
) -> Result<Json<ImageStatusResponse>, ApiError> {
    let image = service.check_image_status(&user, id).await?;
    Ok(Json(ImageStatusResponse::new(&image, &links, service.clock().now())?))
}

/// List the log of an image.
///
/// What happened to the image, newest first.
#[utoipa::path(
    get,
    path = "/images/{id}/logs/",
    tag = "images",
    operation_id = "list_image_logs",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here")),
    responses(
        (status = 200, description = "The log", body = Vec<LogResponse>),
        (status = 403, description = "Not signed in", body = ErrorDetail),
        (status = 404, description = "There is no such image, or it is somebody else's", body = ErrorDetail),
        (status = 503, description = "The database is not available", body = ErrorDetail),
    ),
    security(("token" = []))
)]
pub async fn list_image_logs(
    Principal(user): Principal,
    ImagePath(id): ImagePath,
    State(service): State<CloudflareService>,
) -> Result<Json<Vec<LogResponse>>, ApiError> {
    let entries = service.list_logs(&user, id).await?;
    Ok(Json(entries.into_iter().map(LogResponse::from).collect()))
}
