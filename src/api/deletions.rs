//! Deleting images: `DELETE images/{id}/`, `images/{id}/delete_from_cloudflare/` and `images/bulk_delete/`

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use utoipa::ToSchema;

use super::body::RequestData;
use super::error::{BadRequest, Conflict, ErrorDetail, ErrorMessage};
use super::fields::Fields;
use super::images::{ImagePath, MAX_ENTRIES, find_image, view};
use super::model::BulkDeleteResponse;
use super::view::{View, ViewContext};
use super::{ApiError, Principal, selection};
use crate::domain::{CloudflareId, ImageKey};
use crate::http::timeout::WorkDeadline;
use crate::service::{self, CloudflareService};

/// Deleting an image.
pub const DELETE_FROM_CLOUDFLARE: View = view(
    "images/{id}/delete_from_cloudflare/",
    &["DELETE"],
    "Delete from cloudflare",
    "Alias for DELETE: remove from Cloudflare and local DB (usage-aware).",
);
/// Deleting several images.
pub const BULK_DELETE: View = view(
    "images/bulk_delete/",
    &["POST"],
    "Bulk delete",
    "Delete multiple images (usage-aware) by id and/or cloudflare_id.",
);
/// Delete an image.
///
/// At Cloudflare first, then here. An image that content refers to is deleted only with `force`.
#[utoipa::path(
    delete,
    path = "/images/{id}/",
    tag = "images",
    operation_id = "delete_image",
    params(
        ("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11"),
        ("force" = Option<String>, Query, description = "`1`, `true`, `yes` or `on`: delete although content refers to it", example = "true"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "Cloudflare refused or cannot be reached", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
        (status = 409, description = "Content refers to the image, or a row of another table requires it", body = Conflict),
        (status = 502, description = "Cloudflare's answer cannot be used", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn delete_image(
    Principal(user): Principal,
    path: Path<ImagePath>,
    State(service): State<CloudflareService>,
    Extension(context): Extension<ViewContext>,
) -> Result<StatusCode, ApiError> {
    let image = find_image(&service, &user, &context, &path).await?;
    match service.delete_image(&image, selection::is_on(&context.query, "force")).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(service::Error::InUse) => Err(ApiError::InUse(service.list_image_usages(image.id, MAX_ENTRIES).await?)),
        Err(error) => Err(error.into()),
    }
}

/// Delete an image.
///
/// The same as `DELETE images/{id}/`.
#[utoipa::path(
    delete,
    path = "/images/{id}/delete_from_cloudflare/",
    tag = "images",
    operation_id = "delete_image_from_cloudflare",
    params(
        ("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11"),
        ("force" = Option<String>, Query, description = "`1`, `true`, `yes` or `on`: delete although content refers to it", example = "true"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 400, description = "Cloudflare refused or cannot be reached", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
        (status = 409, description = "Content refers to the image, or a row of another table requires it", body = Conflict),
        (status = 502, description = "Cloudflare's answer cannot be used", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn delete_image_from_cloudflare(
    principal: Principal,
    path: Path<ImagePath>,
    service: State<CloudflareService>,
    context: Extension<ViewContext>,
) -> Result<StatusCode, ApiError> {
    delete_image(principal, path, service, context).await
}

/// Which images to delete; at least one.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the request; `delete_images` reads it by DRF's rules")]
pub struct BulkDeleteRequest {
    /// Keys of images here.
    #[schema(nullable = false, example = json!(["5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11"]))]
    ids: Option<Vec<uuid::Uuid>>,
    /// Keys of images at Cloudflare.
    #[schema(nullable = false)]
    cloudflare_ids: Option<Vec<String>>,
    /// Delete images although content refers to them.
    #[schema(nullable = false)]
    force: Option<bool>,
}

/// Delete several images.
///
/// One after the other; a failure does not keep the others from being deleted. An image that is named more than once is
/// reported once. What the time for a request is too short for is reported as an error; the same request again goes on there.
#[utoipa::path(
    post,
    path = "/images/bulk_delete/",
    tag = "images",
    operation_id = "delete_images",
    request_body(content = BulkDeleteRequest),
    responses(
        (status = 200, description = "What became of each", body = BulkDeleteResponse),
        (status = 400, description = "A field is not accepted, or the body cannot be read", body = BadRequest),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn delete_images(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    Extension(context): Extension<ViewContext>,
    Extension(WorkDeadline(until)): Extension<WorkDeadline>,
    data: RequestData,
) -> Result<Json<BulkDeleteResponse>, ApiError> {
    let mut fields = Fields::new(&data)?;
    let ids = fields.image_ids("ids").unwrap_or_default().into_iter().map(ImageKey::Id);
    let cloudflare_ids = fields.texts("cloudflare_ids").unwrap_or_default().into_iter().map(CloudflareId::new);
    let keys: Vec<ImageKey> = ids.chain(cloudflare_ids.map(ImageKey::CloudflareId)).collect();
    let force = fields.boolean("force").unwrap_or(false);
    if fields.are_valid() && keys.is_empty() {
        fields.refuse("non_field_errors", "Provide at least one of 'ids' or 'cloudflare_ids'.");
    }
    fields.finish()?;
    let filter = selection::filter(&context.query)?;
    Ok(Json(service.delete_images(&user, &filter, &keys, force, until).await?.into()))
}
