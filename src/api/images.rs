//! `images/`

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::RequestData;
use super::error::{BadRequest, ErrorDetail, ErrorMessage};
use super::fields::Fields;
use super::model::{
    BulkStatusResponse, ImageListResponse, ImageResponse, ImageStatusResponse, LogResponse, UsageResponse,
};
use super::pagination::Pagination;
use super::view::{Access, View, ViewContext};
use super::{ApiError, FieldErrors, Principal, selection};
use crate::domain::{CloudflareId, Image, ImageEdit, ImageFilter, ImageId, User};
use crate::service::{CloudflareService, ImageLinks};

const DESCRIPTION: &str = "ViewSet for managing Cloudflare images.";
/// The most images of one call of `bulk_status_check/`.
const MAX_BULK_CHECKS: usize = 50;
/// The most entries of lists that have no pages.
pub(super) const MAX_ENTRIES: u32 = 1000;

/// A view of images, which takes a format at its end.
pub(super) const fn view(
    path: &'static str,
    methods: &'static [&'static str],
    name: &'static str,
    description: &'static str,
) -> View {
    View { path, methods, access: Access::Users, takes_suffix: true, name, description, describes_image: true }
}

/// The list of images.
pub const IMAGES: View = view("images/", &["GET", "POST"], "Cloudflare Image List", DESCRIPTION);
/// One image.
pub const IMAGE: View =
    view("images/{id}/", &["GET", "PUT", "PATCH", "DELETE"], "Cloudflare Image Instance", DESCRIPTION);
/// One image by its key at Cloudflare.
pub const BY_CLOUDFLARE_ID: View = view(
    "images/by-cloudflare-id/{cloudflare_id}/",
    &["GET"],
    "By cloudflare id",
    "Look up an image by its Cloudflare ID (instead of the internal UUID).",
);
/// The images that no content refers to.
pub const ORPHANS: View =
    view("images/orphans/", &["GET"], "Orphans", "List images referenced by no content (candidates for cleanup).");
/// The content that refers to an image.
pub const USAGES: View =
    view("images/{id}/usages/", &["GET"], "Usages", "List the content references for a single image.");
/// Asking Cloudflare about an image.
pub const CHECK_STATUS: View =
    view("images/{id}/check_status/", &["POST"], "Check status", "Check the current status of an image upload.");
/// What happened to an image.
pub const LOGS: View = view("images/{id}/logs/", &["GET"], "Logs", "Get upload logs for an image.");
/// Asking Cloudflare about several images.
pub const BULK_STATUS_CHECK: View =
    view("images/bulk_status_check/", &["POST"], "Bulk status check", "Check status for multiple images.");

/// The key of an image in a path, as it was written.
#[derive(Debug, Deserialize)]
pub struct ImagePath(String);

/// Finds the image that a path names among those that the query leaves over. Whatever is no UUID is not found.
pub(super) async fn find_image(
    service: &CloudflareService,
    user: &User,
    context: &ViewContext,
    Path(ImagePath(id)): &Path<ImagePath>,
) -> Result<Image, ApiError> {
    let filter = selection::filter_with_search(&context.query)?;
    let id: ImageId = id.parse().map_err(|_| ApiError::NotFound("Not found.".to_owned()))?;
    Ok(service.get_image(user, &selection::with_id(filter, id)).await?)
}

/// List images.
///
/// The user's own images, newest first. A value that is not accepted makes all filters void, but for those of `metadata__`.
#[utoipa::path(
    get,
    path = "/images/",
    tag = "images",
    operation_id = "list_images",
    params(
        ("page" = Option<String>, Query, description = "The number of the page from 1, or `last`", example = "1"),
        ("page_size" = Option<u32>, Query, minimum = 1, description = "Images a page, 20 by default; more than 100 count as 100"),
        ("limit" = Option<u32>, Query, minimum = 1, description = "Images to answer with, in place of `page` and `page_size`"),
        ("offset" = Option<u32>, Query, description = "Images to pass over, with `limit`"),
        ("status" = Option<String>, Query, description = "`pending`, `draft`, `uploaded`, `failed` or `expired`", example = "uploaded"),
        ("uploaded_after" = Option<String>, Query, description = "Uploaded at this time or later, in ISO 8601 form", example = "2024-03-15T10:00:00Z"),
        ("uploaded_before" = Option<String>, Query, description = "Uploaded at this time or earlier"),
        ("has_variants" = Option<bool>, Query, description = "Whether Cloudflare listed any variants"),
        ("require_signed_urls" = Option<bool>, Query, description = "Whether the picture is private"),
        ("filename" = Option<String>, Query, description = "A part of either file name, in any case"),
        ("creator" = Option<String>, Query, description = "Cloudflare's `creator`, whole"),
        ("orphaned" = Option<bool>, Query, description = "Only images that no content refers to"),
        ("search" = Option<String>, Query, description = "Words that the ids, names or the creator must contain; phrases in quotes"),
        ("ordering" = Option<String>, Query, description = "`created_at`, `uploaded_at`, `expires_at` or `file_size`, several with commas, `-` before for descending", example = "-created_at"),
    ),
    responses(
        (status = 200, description = "A page of images", body = ImageListResponse),
        (status = 400, description = "The search or a place in the metadata is not accepted", body = BadRequest),
        (status = 404, description = "There is no such page", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn list_images(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<ImageListResponse>, ApiError> {
    let filter = selection::filter_with_search(&context.query)?;
    list(&user, &service, &links, &context, filter).await
}

/// List orphans.
///
/// The user's own images that no content refers to; with the filters, the order and the pages of `images/`.
#[utoipa::path(
    get,
    path = "/images/orphans/",
    tag = "images",
    operation_id = "list_orphans",
    params(
        ("page" = Option<String>, Query, description = "The number of the page from 1, or `last`", example = "1"),
        ("page_size" = Option<u32>, Query, minimum = 1, description = "Images a page, 20 by default; more than 100 count as 100"),
    ),
    responses(
        (status = 200, description = "A page of images", body = ImageListResponse),
        (status = 400, description = "The search or a place in the metadata is not accepted", body = BadRequest),
        (status = 404, description = "There is no such page", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn list_orphans(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<ImageListResponse>, ApiError> {
    let filter = ImageFilter { orphaned: true, ..selection::filter_with_search(&context.query)? };
    list(&user, &service, &links, &context, filter).await
}

async fn list(
    user: &User,
    service: &CloudflareService,
    links: &ImageLinks,
    context: &ViewContext,
    filter: ImageFilter,
) -> Result<Json<ImageListResponse>, ApiError> {
    let order = selection::order(&context.query);
    let mut pagination = None;
    let choose = |count| {
        let chosen = Pagination::of(&context.query, count).map_err(ApiError::from)?;
        Ok::<_, ApiError>(pagination.insert(chosen).request())
    };
    let page = service.list_images(user, &filter, &order, choose).await?;
    let page_links = pagination.map(|pagination| pagination.links(&context.url, &context.query, page.count));
    let (next, previous) = page_links.map_or((None, None), |links| (links.next, links.previous));
    let now = service.clock().now();
    Ok(Json(ImageListResponse {
        count: page.count,
        next,
        previous,
        results: page.items.into_iter().map(|image| ImageResponse::new(image, links, now)).collect(),
    }))
}

/// Refuse an image.
///
/// Images are recorded when they get an upload URL, or by `images/register/`. Clients of the toolkit find this URL in its
/// description, and none of them can use it.
#[utoipa::path(
    post,
    path = "/images/",
    tag = "images",
    operation_id = "refuse_image",
    request_body(content = ImageEditRequest),
    responses(
        (status = 400, description = "A field is not accepted, or all of them are: this is not the way to record an image", body = BadRequest),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn refuse_image(Principal(_): Principal, data: RequestData) -> ApiError {
    match read_edit(&data) {
        Err(errors) => errors.into(),
        Ok(_) => ApiError::Unreadable(
            "Images cannot be created here. Ask upload-url/ for an upload URL, which records the image.".to_owned(),
        ),
    }
}

/// Show an image.
///
/// One of the user's own, by its key here. Where a signing key is configured, a private picture has URLs that are signed for an hour.
#[utoipa::path(
    get,
    path = "/images/{id}/",
    tag = "images",
    operation_id = "get_image",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11")),
    responses(
        (status = 200, description = "The image", body = ImageResponse),
        (status = 400, description = "The search or a place in the metadata is not accepted", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn get_image(
    Principal(user): Principal,
    path: Path<ImagePath>,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<ImageResponse>, ApiError> {
    let image = find_image(&service, &user, &context, &path).await?;
    Ok(Json(ImageResponse::new(image, &links, service.clock().now())))
}

/// Show an image by its key at Cloudflare.
///
/// One of the user's own, for applications that keep Cloudflare's key alone.
#[utoipa::path(
    get,
    path = "/images/by-cloudflare-id/{cloudflare_id}/",
    tag = "images",
    operation_id = "get_image_by_cloudflare_id",
    params(("cloudflare_id" = String, Path, description = "The key of the image at Cloudflare; it may hold slashes", example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")),
    responses(
        (status = 200, description = "The image", body = ImageResponse),
        (status = 400, description = "A place in the metadata is not accepted", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn get_image_by_cloudflare_id(
    Principal(user): Principal,
    Path(id): Path<String>,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<ImageResponse>, ApiError> {
    let filter = selection::filter(&context.query)?;
    if id.contains('\0') {
        return Err(crate::service::Error::NotFound.into());
    }
    let image = service.get_image(&user, &selection::with_cloudflare_id(filter, CloudflareId::new(id))).await?;
    Ok(Json(ImageResponse::new(image, &links, service.clock().now())))
}

/// What may be changed in the record of an image. Everything is optional; what is left out stays.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the request; `read_edit` reads it by DRF's rules")]
pub struct ImageEditRequest {
    /// The name of the uploaded file; may be empty.
    #[schema(nullable = false, max_length = 255)]
    filename: Option<String>,
    /// The name that the client gave; may be empty.
    #[schema(nullable = false, max_length = 255)]
    original_filename: Option<String>,
    /// The MIME type; may be empty.
    #[schema(nullable = false, max_length = 100, example = "image/png")]
    content_type: Option<String>,
    /// The size of the file in bytes; `null` where it is not known.
    #[schema(minimum = 0, maximum = 2_147_483_647)]
    file_size: Option<i32>,
    /// Whether the record says that the picture is private. Cloudflare is not told.
    #[schema(nullable = false)]
    require_signed_urls: Option<bool>,
    /// Any JSON but `null`, of 32768 characters at most as it is answered. Cloudflare is not told.
    #[schema(value_type = Option<Value>, nullable = false, example = json!({"project": "alpha"}))]
    metadata: Option<serde_json::Value>,
}

/// The fields of the toolkit's `CloudflareImageSerializer` that may be written; others are passed over.
fn read_edit(data: &RequestData) -> Result<ImageEdit, FieldErrors> {
    let mut fields = Fields::new(data)?;
    let edit = ImageEdit {
        filename: fields.text_or_blank("filename", 255),
        original_filename: fields.text_or_blank("original_filename", 255),
        content_type: fields.text_or_blank("content_type", 100),
        file_size: fields
            .integer_or_null("file_size", &(0..=i32::MAX.into()))
            .map(|size| size.and_then(|size| i32::try_from(size).ok())),
        require_signed_urls: fields.boolean("require_signed_urls"),
        metadata: fields.json("metadata"),
    };
    // A form can say `null`, too; what is stored must be something.
    if fields.are_valid() && edit.metadata.as_ref().is_some_and(|metadata| metadata.as_str() == "null") {
        fields.refuse("metadata", "This field may not be null.");
    }
    fields.finish()?;
    Ok(edit)
}

/// Change the record of an image.
///
/// What is left out stays as it is, with `PUT` as with `PATCH`. Cloudflare is not told: `images/{id}/remote/` does that.
#[utoipa::path(
    patch,
    path = "/images/{id}/",
    tag = "images",
    operation_id = "update_image",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11")),
    request_body(content = ImageEditRequest),
    responses(
        (status = 200, description = "The image", body = ImageResponse),
        (status = 400, description = "A field is not accepted, or the body cannot be read", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn update_image(
    Principal(user): Principal,
    path: Path<ImagePath>,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
    data: Result<RequestData, ApiError>,
) -> Result<Json<ImageResponse>, ApiError> {
    let image = find_image(&service, &user, &context, &path).await?;
    let edit = read_edit(&data?)?;
    let image = service.edit_image(&image, &edit).await?;
    Ok(Json(ImageResponse::new(image, &links, service.clock().now())))
}

/// Change the record of an image.
///
/// The same as `PATCH`.
#[utoipa::path(
    put,
    path = "/images/{id}/",
    tag = "images",
    operation_id = "replace_image",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11")),
    request_body(content = ImageEditRequest),
    responses(
        (status = 200, description = "The image", body = ImageResponse),
        (status = 400, description = "A field is not accepted, or the body cannot be read", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn replace_image(
    principal: Principal,
    path: Path<ImagePath>,
    service: State<CloudflareService>,
    links: State<ImageLinks>,
    context: Extension<ViewContext>,
    data: Result<RequestData, ApiError>,
) -> Result<Json<ImageResponse>, ApiError> {
    update_image(principal, path, service, links, context, data).await
}

/// Check the status of an image.
///
/// Asks Cloudflare how far the upload has come, and records the answer.
#[utoipa::path(
    post,
    path = "/images/{id}/check_status/",
    tag = "images",
    operation_id = "check_image_status",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11")),
    responses(
        (status = 200, description = "The status", body = ImageStatusResponse),
        (status = 400, description = "Cloudflare refused or cannot be reached, or listed variants that are no URLs", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
        (status = 502, description = "Cloudflare's answer cannot be used", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn check_image_status(
    Principal(user): Principal,
    path: Path<ImagePath>,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<ImageStatusResponse>, ApiError> {
    let image = find_image(&service, &user, &context, &path).await?;
    let image = service.check_image_status(&image).await?;
    let response = ImageStatusResponse::new(&image, &links, service.clock().now());
    response.check()?;
    Ok(Json(response))
}

/// List the log of an image.
///
/// What happened to the image, newest first: the latest 1000 entries.
#[utoipa::path(
    get,
    path = "/images/{id}/logs/",
    tag = "images",
    operation_id = "list_image_logs",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11")),
    responses(
        (status = 200, description = "The log", body = Vec<LogResponse>),
        (status = 400, description = "The search or a place in the metadata is not accepted", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn list_image_logs(
    Principal(user): Principal,
    path: Path<ImagePath>,
    State(service): State<CloudflareService>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<Vec<LogResponse>>, ApiError> {
    let image = find_image(&service, &user, &context, &path).await?;
    let entries = service.list_logs(image.id, MAX_ENTRIES).await?;
    Ok(Json(entries.into_iter().map(LogResponse::from).collect()))
}

/// List the usages of an image.
///
/// The content that refers to the image, the latest reference first: 1000 references at most. `usages/` has pages for more.
#[utoipa::path(
    get,
    path = "/images/{id}/usages/",
    tag = "images",
    operation_id = "list_image_usages",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11")),
    responses(
        (status = 200, description = "The usages", body = Vec<UsageResponse>),
        (status = 400, description = "The search or a place in the metadata is not accepted", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn list_image_usages(
    Principal(user): Principal,
    path: Path<ImagePath>,
    State(service): State<CloudflareService>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<Vec<UsageResponse>>, ApiError> {
    let image = find_image(&service, &user, &context, &path).await?;
    let usages = service.list_image_usages(image.id, MAX_ENTRIES).await?;
    Ok(Json(usages.into_iter().map(UsageResponse::from).collect()))
}

/// Which images to ask Cloudflare about.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the request; `check_image_statuses` reads it by DRF's rules")]
pub struct BulkStatusRequest {
    /// Keys of images here.
    #[schema(max_items = 50)]
    image_ids: Vec<uuid::Uuid>,
}

/// Check the status of several images.
///
/// One after the other, the newest first; a failure does not keep the others from being checked. Images of others and unknown
/// ones are passed over.
#[utoipa::path(
    post,
    path = "/images/bulk_status_check/",
    tag = "images",
    operation_id = "check_image_statuses",
    request_body(content = BulkStatusRequest),
    responses(
        (status = 200, description = "The status of each", body = BulkStatusResponse),
        (status = 400, description = "A field is not accepted, or the body cannot be read", body = BadRequest),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn check_image_statuses(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
    data: RequestData,
) -> Result<Json<BulkStatusResponse>, ApiError> {
    let mut fields = Fields::new(&data)?;
    fields.require("image_ids");
    let ids = fields.image_ids("image_ids").unwrap_or_default();
    if ids.len() > MAX_BULK_CHECKS {
        fields.refuse("image_ids", &format!("Ensure this field has no more than {MAX_BULK_CHECKS} elements."));
    }
    fields.finish()?;
    let filter = ImageFilter { ids: Some(ids), ..selection::filter(&context.query)? };
    let results = service.check_image_statuses(&user, &filter).await?;
    Ok(Json(BulkStatusResponse::new(results, &links, service.clock().now())))
}
