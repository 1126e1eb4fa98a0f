//! Every URL of the emulator.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, OriginalUri};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, patch, post, put};
use tower_http::timeout::TimeoutLayer;

use super::envelope::ApiError;
use super::faults::{self, control, inject};
use super::notifications::{policies, webhooks};
use super::{
    Account, api_upload, auth, batch, delivery, direct_upload, host, images, lists, metadata, options, page,
    signing_keys, upload, variants,
};

/// How long a request may take, a slow upload included.
const REQUEST_TIMEOUT: Duration = Duration::from_mins(3);

/// The REST API below `/client/v4`, upload URLs below `/upload`, the page at the root, and delivery everywhere else. What is neither an
/// upload URL nor delivery is answered under the emulator's own names alone.
pub(super) fn build(account: Arc<Account>) -> Router {
    let upload_url = post(upload::receive)
        .options(upload::preflight)
        .fallback(upload::method_not_allowed)
        .layer::<_, Infallible>(DefaultBodyLimit::max(upload::MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(&account), inject::inject));
    let faults = get(control::show)
        .put(control::replace)
        .delete(control::clear)
        .layer(from_fn_with_state(Arc::clone(&account), auth::require_token));
    let delivery = any(delivery::deliver).layer(from_fn_with_state(Arc::clone(&account), inject::deliver));
    let own = Router::new()
        .nest("/client/v4", api(&account))
        .nest(faults::BATCH, batch_host(&account))
        .route(control::PATH, faults)
        .layer(from_fn_with_state(Arc::clone(&account), host::require_own));
    Router::new()
        .merge(own)
        .route(faults::UPLOAD_URL, upload_url)
        .fallback(delivery)
        .layer(from_fn_with_state(Arc::clone(&account), inject::in_words))
        .layer(from_fn_with_state(Arc::clone(&account), page::record))
        .merge(page::router(&account))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, REQUEST_TIMEOUT))
        .with_state(account)
}

fn api(account: &Arc<Account>) -> Router<Arc<Account>> {
    let routes = Router::new()
        .nest("/accounts/{account_id}/images", images())
        .nest("/accounts/{account_id}/alerting/v3", notifications());
    answering(routes, account).layer(from_fn_with_state(Arc::clone(account), auth::guard))
}

/// The host for batches, with the paths that it has at Cloudflare.
fn batch_host(account: &Arc<Account>) -> Router<Arc<Account>> {
    answering(batch_images(), account).layer(from_fn_with_state(Arc::clone(account), auth::guard_batch))
}

/// The routes, and answers to what is none of them.
fn answering(routes: Router<Arc<Account>>, account: &Arc<Account>) -> Router<Arc<Account>> {
    routes
        .fallback(async |OriginalUri(uri): OriginalUri| auth::no_route(&uri))
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .layer(DefaultBodyLimit::max(direct_upload::MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(account), inject::inject))
}

/// What the API and the host for batches have in common.
fn batch_images() -> Router<Arc<Account>> {
    Router::new()
        .route("/v2", get(lists::list_v2))
        .route("/v2/direct_upload", post(direct_upload::create))
        .route("/v1", post(api_upload::create).layer(DefaultBodyLimit::max(upload::MAX_BODY)))
        .route("/v1/{image_id}", get(images::show).patch(images::update).delete(images::delete))
}

fn images() -> Router<Arc<Account>> {
    batch_images()
        .route("/v2/metadata/keys", get(metadata::list_keys))
        .route("/v1", get(lists::list_v1))
        .route("/v1/direct_upload", post(direct_upload::create_v1))
        .route("/v1/batch_token", get(batch::create_token))
        .route("/v1/stats", get(images::stats))
        .route("/v1/config", patch(options::update))
        .route("/v1/keys", get(signing_keys::list))
        .route("/v1/keys/{name}", put(signing_keys::create).delete(signing_keys::delete))
        .route("/v1/variants", get(variants::list).post(variants::create))
        .route("/v1/variants/{variant_id}", get(variants::show).patch(variants::update).delete(variants::delete))
        .route("/v1/variants/{variant_id}/flat", get(variants::show_flat))
        .route("/v1/{image_id}/blob", get(images::show_blob))
}

fn notifications() -> Router<Arc<Account>> {
    Router::new()
        .route("/destinations/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/destinations/webhooks/{id}", get(webhooks::show).put(webhooks::replace).delete(webhooks::delete))
        .route("/policies", get(policies::list).post(policies::create))
        .route("/policies/{id}", get(policies::show).put(policies::update).delete(policies::delete))
        .route("/policies/{id}/test", post(policies::test))
}
