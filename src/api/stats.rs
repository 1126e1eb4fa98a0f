//! `stats/`

use axum::Json;
use axum::extract::State;

use super::error::ErrorDetail;
use super::model::StatsResponse;
use super::view::{Access, View};
use super::{ApiError, Principal};
use crate::service::CloudflareService;

/// The figures of a user.
pub const STATS: View = View {
    path: "stats/",
    methods: &["GET"],
    access: Access::Users,
    takes_suffix: false,
    name: "Image Stats",
    description: "API view for image upload statistics.",
    describes_image: false,
};

/// Show statistics.
///
/// The figures of the user's own images. They cost the same however many there are.
#[utoipa::path(
    get,
    path = "/stats/",
    tag = "images",
    operation_id = "get_stats",
    responses(
        (status = 200, description = "The figures", body = StatsResponse),
        (status = 403, description = "Not signed in", body = ErrorDetail),
        (status = 406, description = "Nothing that `Accept` names can be answered with", body = ErrorDetail),
        (status = 503, description = "The database is not available", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn get_stats(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
) -> Result<Json<StatsResponse>, ApiError> {
    Ok(Json(service.get_upload_statistics(&user).await?.into()))
}
