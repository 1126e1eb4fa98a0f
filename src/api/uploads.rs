//! `upload-url/`

use std::ops::RangeInclusive;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::body::RequestData;
use super::error::{BadRequest, CUSTOM_ID_TAKEN, ErrorMessage};
use super::model::UploadUrlResponse;
use super::view::{Access, View};
use super::{ApiError, Fields, Principal};
use crate::domain::CloudflareId;
use crate::service::{CloudflareService, ImageLinks, UploadRequest};

/// Asking for an upload URL.
pub const UPLOAD_URL: View = View {
    path: "upload-url/",
    methods: &["POST"],
    access: Access::Users,
    takes_suffix: false,
    name: "Create Upload Url",
    description: "API view for creating direct upload URLs.",
    describes_image: false,
};

const EXPIRY_MINUTES: RangeInclusive<i64> = 2..=360;

/// What may be said about an upload. Everything is optional.
#[derive(Debug, Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the request; `read_request` reads it by DRF's rules")]
pub struct UploadUrlRequest {
    /// An id of your own for the image. Cloudflare does not allow private images with a custom id.
    #[schema(nullable = false, max_length = 255, min_length = 1, example = "products/42/hero")]
    custom_id: Option<String>,
    /// What to keep with the image; at Cloudflare at most 1024 bytes.
    #[schema(value_type = Option<Object>, nullable = false, example = json!({"project": "alpha"}))]
    metadata: Option<serde_json::Value>,
    /// Whether the picture is delivered with signed URLs only. The default is a setting.
    #[schema(nullable = false)]
    require_signed_urls: Option<bool>,
    /// Minutes until the upload URL ends. The default is a setting.
    #[schema(nullable = false, minimum = 2, maximum = 360)]
    expiry_minutes: Option<i64>,
    /// The name of the file, for reference.
    #[schema(nullable = false, max_length = 255, min_length = 1, example = "photo.jpg")]
    filename: Option<String>,
    /// Cloudflare's `creator`; empty for none, whatever the default.
    #[schema(nullable = false, max_length = 255)]
    creator: Option<String>,
}

/// Create an upload URL.
///
/// Gets a one-time URL from Cloudflare to which a browser can send the file itself, and records the image as `pending`.
#[utoipa::path(
    post,
    path = "/upload-url/",
    tag = "uploads",
    operation_id = "create_upload_url",
    request_body(
        content = UploadUrlRequest,
        description = "May be left out.",
        example = json!({"filename": "photo.jpg", "metadata": {"project": "alpha"}, "expiry_minutes": 30}),
    ),
    responses(
        (status = 201, description = "The upload URL", body = UploadUrlResponse),
        (status = 400, description = "A field is not accepted, the body cannot be read, or Cloudflare refused", body = BadRequest),
        (status = 409, description = "Something that an earlier request left under the custom id has to be deleted first; the text tells when to try again", body = ErrorMessage),
        (status = 502, description = "Cloudflare's answer cannot be used", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn create_upload_url(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    data: RequestData,
) -> Result<(StatusCode, Json<UploadUrlResponse>), ApiError> {
    let mut fields = Fields::new(&data)?;
    let expiry_minutes = fields.integer("expiry_minutes", &EXPIRY_MINUTES);
    let request = UploadRequest { expiry_minutes, ..read_request(&mut fields) };
    if let Some(id) = &request.custom_id
        && !fields.are_valid()
        && service.is_taken(id).await?
    {
        fields.refuse("custom_id", CUSTOM_ID_TAKEN);
    }
    fields.finish()?;
    let image = service.create_direct_upload_url(&user, request).await?;
    Ok((StatusCode::CREATED, Json(UploadUrlResponse::new(image, &links)?)))
}

/// Reads what is said of an image that is to be uploaded, however it is.
pub(super) fn read_request(fields: &mut Fields<'_>) -> UploadRequest {
    let request = UploadRequest {
        custom_id: read_custom_id(fields),
        metadata: fields.json("metadata"),
        require_signed_urls: fields.boolean("require_signed_urls"),
        expiry_minutes: None,
        filename: fields.text("filename", 255),
        creator: fields.text_or_blank("creator", 255),
        by_staff: false,
    };
    if request.metadata.as_ref().is_some_and(|metadata| !metadata.is_object()) {
        fields.refuse("metadata", "metadata must be a JSON object.");
    }
    request
}

/// What Cloudflare's API cannot be asked for is refused: the image could never be reached again.
fn read_custom_id(fields: &mut Fields<'_>) -> Option<CloudflareId> {
    let id = CloudflareId::new(fields.text("custom_id", CloudflareId::MAX_CHARS)?);
    if !id.is_addressable() {
        fields.refuse("custom_id", "This ID cannot be used in a URL.");
        return None;
    }
    Some(id)
}
