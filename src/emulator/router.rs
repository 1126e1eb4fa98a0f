//! Every URL of the emulator.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::timeout::TimeoutLayer;

use super::envelope::ApiError;
use super::notifications::{policies, webhooks};
use super::{Account, api_upload, auth, delivery, direct_upload, images, lists, metadata, signing_keys, upload};

/// How long a request may take, a slow upload included.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(3);

/// The REST API below `/client/v4`, upload URLs below `/upload`, and delivery everywhere else.
pub(super) fn build(account: Arc<Account>) -> Router {
    let upload_url = post(upload::receive).options(upload::preflight).fallback(upload::method_not_allowed);
    Router::new()
        .nest("/client/v4", api(&account))
        .route("/upload/{account_hash}/{image_id}", upload_url.layer(DefaultBodyLimit::max(upload::MAX_BODY)))
        .fallback(delivery::deliver)
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .with_state(account)
}

fn api(account: &Arc<Account>) -> Router<Arc<Account>> {
    Router::new()
        .route("/accounts/{account_id}/images/v2/direct_upload", post(direct_upload::create))
        .route("/accounts/{account_id}/images/v1/stats", get(images::stats))
        .route("/accounts/{account_id}/images/v1/keys", get(signing_keys::list))
        .route("/accounts/{account_id}/images/v2", get(lists::list_v2))
        .route("/accounts/{account_id}/images/v2/metadata/keys", get(metadata::list_keys))
        .route(
            "/accounts/{account_id}/images/v1",
            get(lists::list_v1).post(api_upload::create).layer(DefaultBodyLimit::max(upload::MAX_BODY)),
        )
        .route(
            "/accounts/{account_id}/images/v1/{image_id}",
            get(images::show).patch(images::update).delete(images::delete),
        )
        .nest("/accounts/{account_id}/alerting/v3", notifications())
        .fallback(async |OriginalUri(uri): OriginalUri| auth::no_route(&uri))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(direct_upload::MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(account), auth::guard))
}

fn notifications() -> Router<Arc<Account>> {
    Router::new()
        .route("/destinations/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/destinations/webhooks/{id}", get(webhooks::show).put(webhooks::replace).delete(webhooks::delete))
        .route("/policies", get(policies::list).post(policies::create))
        .route("/policies/{id}", get(policies::show).put(policies::update).delete(policies::delete))
        .route("/policies/{id}/test", post(policies::test))
}
