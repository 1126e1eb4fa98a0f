//! `cleanup-expired/`

use axum::Json;
use axum::extract::State;

use super::error::ErrorDetail;
use super::model::CleanupResponse;
use super::view::{Access, View};
use super::{ApiError, Principal};
use crate::service::CloudflareService;

/// Marking images whose upload URL ended unused.
pub const CLEANUP_EXPIRED: View = View {
    path: "cleanup-expired/",
    methods: &["POST"],
    access: Access::Staff,
    takes_suffix: false,
    name: "Cleanup Expired",
    description: "API view for cleaning up expired upload URLs.",
    describes_image: false,
};

/// Mark expired images.
///
/// Images of all users that still wait for an upload though their upload URL has ended become `expired`. For staff; the body is
/// not read.
#[utoipa::path(
    post,
    path = "/cleanup-expired/",
    tag = "images",
    operation_id = "clean_up_expired",
    responses(
        (status = 200, description = "How many images were marked", body = CleanupResponse),
        (status = 403, description = "Not signed in, or not staff", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn clean_up_expired(
    Principal(_): Principal,
    State(service): State<CloudflareService>,
) -> Result<Json<CleanupResponse>, ApiError> {
    let expired_count = service.mark_expired().await?;
    Ok(Json(CleanupResponse { message: format!("Marked {expired_count} expired images"), expired_count }))
}
