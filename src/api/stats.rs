//! `stats/`

use axum::Json;
use axum::extract::State;

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
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn get_stats(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
) -> Result<Json<StatsResponse>, ApiError> {
    Ok(Json(service.get_upload_statistics(&user).await?.into()))
}
