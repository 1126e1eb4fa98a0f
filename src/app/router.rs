//! Every URL of the service.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Extension, Request};
use axum::http::Method;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use tower::util::option_layer;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{AppState, health, welcome};
use crate::admin;
use crate::api::docs::{Docs, show_docs};
use crate::api::openapi::{ApiDocument, DocumentJson};
use crate::api::{self, Api, ApiError, RequestTookTooLong};
use crate::config::ServerConfig;
use crate::http::RequestContext;
use crate::http::access_log::log_request;
use crate::http::assets::serve_asset;
use crate::http::body::MAX_BODY_BYTES;
use crate::http::context::add_context;
use crate::http::cors::{CorsRules, share_with_origins};
use crate::http::hosts::require_allowed_host;
use crate::http::security_headers::add_security_headers;
use crate::http::timeout::{RequestTimeout, limit_time};
use crate::http::unread::take_rest_of_body;
use crate::webhook;

/// The handlers of the API's views, below `<prefix>/api`. They are reached through [`Api`] alone.
fn views() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(api::uploads::create_upload_url))
        .routes(routes!(api::root::get_root))
        .routes(routes!(api::images::list_images, api::images::refuse_image))
        .routes(routes!(api::images::list_orphans))
        .routes(routes!(api::images::check_image_statuses))
        .routes(routes!(api::images::get_image_by_cloudflare_id))
        .routes(routes!(
            api::images::get_image,
            api::images::update_image,
            api::images::replace_image,
            api::deletions::delete_image
        ))
        .routes(routes!(api::deletions::delete_image_from_cloudflare))
        .routes(routes!(api::deletions::delete_images))
        .routes(routes!(api::images::check_image_status))
        .routes(routes!(api::images::list_image_logs))
        .routes(routes!(api::images::list_image_usages))
        .routes(routes!(api::delivery_urls::get_image_url))
        .routes(routes!(api::registration::register_image))
        .routes(routes!(api::file_uploads::upload_image))
        .routes(routes!(api::registration::update_remote_image))
        .routes(routes!(api::usages::list_usages, api::usages::record_usage, api::usages::remove_usage))
        .routes(routes!(api::usages::get_usage))
        .routes(routes!(api::stats::get_stats))
        .routes(routes!(api::transform::build_transformation_url))
        .routes(routes!(api::cleanup::clean_up_expired))
        .routes(routes!(api::health::get_health))
        .routes(routes!(webhook::receive_webhook))
        .routes(routes!(api::html::write_image))
        .routes(routes!(api::html::write_picture))
        .routes(routes!(api::html::write_avatar))
        .routes(routes!(api::html::write_thumbnail))
        .routes(routes!(api::html::write_gallery))
        .routes(routes!(api::html::write_upload_form))
}

/// The description of the API below a prefix, which has no slash at its end.
pub fn openapi(url_prefix: &str) -> utoipa::openapi::OpenApi {
    let mut views = below(url_prefix, views()).into_openapi();
    // axum takes the slash away from the root of what is nested.
    let root = format!("{url_prefix}/api");
    if let Some(item) = views.paths.paths.remove(&root) {
        views.paths.paths.insert(format!("{root}/"), item);
    }
    ApiDocument::complete(views, below(url_prefix, description()).into_openapi())
}

/// The description of the API, which anybody may read.
fn description() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(api::openapi::get_openapi))
}

/// The description of the API as a page.
fn docs(url_prefix: &str) -> Router<AppState> {
    let path = format!("{url_prefix}/docs/");
    let to_page = {
        let path = path.clone();
        async move || Redirect::permanent(&path)
    };
    Router::new().route(path.trim_end_matches('/'), get(to_page)).route(&path, get(show_docs))
}

fn below(url_prefix: &str, routes: OpenApiRouter<AppState>) -> OpenApiRouter<AppState> {
    OpenApiRouter::new().nest(&format!("{url_prefix}/api"), routes)
}

/// What is at the root of the site. Beside Django it is hardly ever seen, and `/admin/` is Django's; otherwise both lead to the admin site.
fn front_door(state: &AppState, prefix: &str) -> Router<AppState> {
    let prefix = prefix.to_owned();
    if state.admin.is_beside_django() {
        let welcome =
            async move |Extension(context): Extension<RequestContext>| welcome::welcome(&context.origin, &prefix);
        return Router::new().route("/", get(welcome));
    }
    let home = state.admin.home();
    let to_admin = async move || Redirect::to(&home);
    let router = Router::new().route("/", get(to_admin.clone()));
    if prefix.is_empty() {
        return router;
    }
    router.route("/admin", get(to_admin.clone())).route("/admin/", get(to_admin))
}

/// The whole service: below the prefix all but the health checks and the page at `/`.
pub fn build(state: AppState, config: &ServerConfig) -> Router {
    let prefix = config.url_prefix.clone();
    let document = openapi(&prefix);
    let api_path = format!("{prefix}/api");
    let metrics = Arc::clone(state.service.metrics());
    let cors = CorsRules::new(&config.cors_origins, api_path.clone(), state.authentication.csrf_header());
    let views = Router::from(below(&prefix, views())).with_state(state.clone());
    let api = Api::new(&api_path, state.authentication.clone(), state.rate_limits.clone(), views);

    Router::from(below(&prefix, description()))
        .merge(docs(&prefix))
        .layer(Extension(DocumentJson::from(&document)))
        .layer(Extension(Docs::new(&prefix, &document)))
        .route(&format!("{prefix}/static/{{*path}}"), get(serve_asset))
        .merge(admin::router(state.admin.clone()))
        .merge(front_door(&state, &prefix))
        .method_not_allowed_fallback(async |method: Method| ApiError::MethodNotAllowed(method))
        .fallback(async move |request: Request| api.clone().answer(request).await)
        .layer(from_fn_with_state(Arc::new(config.allowed_hosts.clone()), require_allowed_host))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn(take_rest_of_body))
        .layer(from_fn_with_state(RequestTimeout(config.request_timeout), limit_time::<RequestTookTooLong>))
        .layer(CatchPanicLayer::custom(|cause: Box<dyn std::any::Any + Send>| {
            api::panicked(cause.as_ref()).into_response()
        }))
        .layer(option_layer(cors.map(|rules| from_fn_with_state(Arc::new(rules), share_with_origins))))
        .layer(from_fn(add_security_headers))
        .layer(from_fn_with_state(metrics, log_request))
        .layer(from_fn_with_state(Arc::new(config.trusted_proxies.clone()), add_context))
        .with_state(state)
}
