//! `api/`

use axum::Json;
use axum::extract::Extension;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{Access, View, ViewContext};

/// The root of the API.
pub const ROOT: View = View {
    path: "",
    methods: &["GET"],
    access: Access::Users,
    takes_suffix: true,
    name: "Api Root",
    description: "The default basic root view for DefaultRouter",
    describes_image: false,
};

/// Where the lists of the API are.
#[derive(Debug, Serialize, ToSchema)]
pub struct RootResponse {
    /// The list of images.
    #[schema(format = "uri")]
    images: String,
    /// The list of usages.
    #[schema(format = "uri")]
    usages: String,
}

/// Show the lists of the API.
///
/// Where a client that follows links begins, as in Django REST framework.
#[utoipa::path(
    get,
    path = "/",
    tag = "description",
    operation_id = "get_root",
    responses(
        (status = 200, description = "The URLs of the lists", body = RootResponse),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn get_root(Extension(context): Extension<ViewContext>) -> Json<RootResponse> {
    let url = context.url.trim_end_matches('/');
    let base = if context.suffix.is_some() { url.rsplit_once('/').map_or("", |(base, _)| base) } else { url };
    // The format goes on with the links, in the place where it was given.
    let suffix = context.suffix.as_ref().map_or_else(|| "/".to_owned(), |format| format!(".{format}"));
    let link = |name: &str| match context.query.get("format") {
        Some(format) => format!("{base}/{name}{suffix}?format={format}"),
        None => format!("{base}/{name}{suffix}"),
    };
    Json(RootResponse { images: link("images"), usages: link("usages") })
}
