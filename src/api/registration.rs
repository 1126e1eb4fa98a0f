//! `images/register/` and `images/{id}/remote/`

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use utoipa::ToSchema;

use super::body::RequestData;
use super::error::{BadRequest, ErrorDetail, ErrorMessage, Forbidden};
use super::fields::Fields;
use super::images::{ImagePath, find_image};
use super::model::ImageResponse;
use super::view::{Access, View, ViewContext};
use super::{ApiError, FieldErrors, Principal};
use crate::domain::{CloudflareId, Json as StoredJson};
use crate::service::{CloudflareService, ImageLinks};

const fn view(
    path: &'static str,
    methods: &'static [&'static str],
    name: &'static str,
    description: &'static str,
) -> View {
    View { path, methods, access: Access::Users, takes_suffix: true, name, description, describes_image: false }
}

/// Recording an image that was uploaded elsewhere.
pub const REGISTER: View =
    view("images/register/", &["POST"], "Register", "Record an image whose picture is at Cloudflare already.");
/// Changing an image at Cloudflare.
pub const REMOTE: View =
    view("images/{id}/remote/", &["PATCH"], "Remote", "Change metadata, privacy or creator at Cloudflare and here.");

/// An image that was uploaded elsewhere.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the request; `register_image` reads it by DRF's rules")]
pub struct RegistrationRequest {
    /// The key of the image at Cloudflare.
    #[schema(max_length = 255, min_length = 1, example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")]
    cloudflare_id: String,
    /// Who must have made the image, beside the other conditions: its `creator` at Cloudflare.
    #[schema(nullable = false, max_length = 255)]
    expected_creator: Option<String>,
}

/// Register an image.
///
/// Looks up an image that was not uploaded by way of `upload-url/`, and records it as the user's own, or refreshes its record.
///
/// Ids are part of every delivery URL, so whoever sees a picture knows its id, and could register it, delete it or make it
/// private. Therefore a user may register what bears the user's key or name as its `creator` at Cloudflare, and staff what
/// nobody has. An image that another user has is refused, and so is one whose creator is not the expected one, where one is named.
#[utoipa::path(
    post,
    path = "/images/register/",
    tag = "images",
    operation_id = "register_image",
    request_body(content = RegistrationRequest),
    responses(
        (status = 200, description = "The image, which was recorded before", body = ImageResponse),
        (status = 201, description = "The image, which is new here", body = ImageResponse),
        (status = 400, description = "A field is not accepted, the body cannot be read, or Cloudflare refused", body = BadRequest),
        (status = 403, description = "Not signed in, or the image is somebody else's", body = Forbidden),
        (status = 404, description = "Cloudflare does not know the image", body = ErrorMessage),
        (status = 409, description = "Nothing was uploaded yet, or something that was left under the id is just being deleted", body = ErrorMessage),
        (status = 502, description = "Cloudflare's answer cannot be used", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn register_image(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    data: RequestData,
) -> Result<(StatusCode, Json<ImageResponse>), ApiError> {
    let mut fields = Fields::new(&data)?;
    let id = fields.required_text("cloudflare_id", CloudflareId::MAX_CHARS).map(CloudflareId::new);
    let expected_creator = fields.text("expected_creator", 255);
    let id = fields.finish_with(id)?;
    let (image, is_new) = service.register_uploaded_image(&user, id, expected_creator).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(ImageResponse::new(image, &links, service.clock().now()))))
}

/// What is to be changed in an image at Cloudflare and here. What is left out stays.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the request; `read_update` reads it by DRF's rules")]
pub struct RemoteUpdateRequest {
    /// Laid over the metadata that is recorded here; Cloudflare gets the whole, of which it keeps at most 1024 bytes.
    #[schema(value_type = Option<Object>, nullable = false, example = json!({"project": "alpha"}))]
    metadata: Option<serde_json::Value>,
    /// Whether the picture is delivered with signed URLs only. Cloudflare does not allow it with a custom id.
    #[schema(nullable = false)]
    require_signed_urls: Option<bool>,
    /// Cloudflare's `creator`; may be empty.
    #[schema(nullable = false, max_length = 255)]
    creator: Option<String>,
}

struct RemoteUpdate {
    metadata: Option<StoredJson>,
    require_signed_urls: Option<bool>,
    creator: Option<String>,
}

fn read_update(data: &RequestData) -> Result<RemoteUpdate, FieldErrors> {
    let mut fields = Fields::new(data)?;
    let update = RemoteUpdate {
        metadata: fields.json("metadata"),
        require_signed_urls: fields.boolean("require_signed_urls"),
        creator: fields.text_or_blank("creator", 255),
    };
    if update.metadata.as_ref().is_some_and(|metadata| !metadata.is_object()) {
        fields.refuse("metadata", "metadata must be a JSON object.");
    }
    if update.metadata.is_none()
        && update.require_signed_urls.is_none()
        && update.creator.is_none()
        && fields.are_valid()
    {
        fields.refuse("non_field_errors", "Send metadata, require_signed_urls or creator.");
    }
    fields.finish()?;
    Ok(update)
}

/// Change an image at Cloudflare.
///
/// Changes metadata, privacy or creator there and then here. Cloudflare may give an image another id when its privacy changes;
/// `cloudflare_id` of the answer is the one that counts. Where Cloudflare's answer is lost, the server finds out what has become of the
/// image, and records it soon, or with the next change of privacy.
#[utoipa::path(
    patch,
    path = "/images/{id}/remote/",
    tag = "images",
    operation_id = "update_remote_image",
    params(("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11")),
    request_body(content = RemoteUpdateRequest),
    responses(
        (status = 200, description = "The image", body = ImageResponse),
        (status = 400, description = "A field is not accepted, the body cannot be read, or Cloudflare refused", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
        (status = 409, description = "The privacy is just being changed, or was, and it is not known yet what came of that, or which id the image has since", body = ErrorMessage),
        (status = 502, description = "Cloudflare's answer cannot be used", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn update_remote_image(
    Principal(user): Principal,
    path: Path<ImagePath>,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
    data: RequestData,
) -> Result<Json<ImageResponse>, ApiError> {
    let image = find_image(&service, &user, &context, &path).await?;
    let RemoteUpdate { metadata, require_signed_urls, creator } = read_update(&data)?;
    let image = service.update_image(&image, metadata, require_signed_urls, creator).await?;
    Ok(Json(ImageResponse::new(image, &links, service.clock().now())))
}
