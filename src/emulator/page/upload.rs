//! The upload form of the page.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};

use super::{Account, ApiError, api_upload, problem};

/// `POST /_cfimages/upload`: what `POST images/v1` does. Scripts get its answer, forms go back to the page.
pub(super) async fn receive(State(account): State<Arc<Account>>, request: Request) -> Response {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let is_script = accept == Some("application/json");
    let response = api_upload::create(State(account), request).await;
    if is_script {
        return response;
    }
    match response.extensions().get::<ApiError>() {
        None => Redirect::to("/").into_response(),
        Some(error) => problem(response.status(), "The picture was not taken", error.message()),
    }
}
