//! The description of the API, made from the handlers.

use std::sync::Arc;

use axum::extract::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};

/// The root of the document; the routes are added where the router is built.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "cfimages",
        description = "The image backend for applications that keep their pictures in Cloudflare Images.",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "uploads", description = "Getting pictures to Cloudflare"),
        (name = "images", description = "Looking at images and their state"),
        (name = "html", description = "HTML for pages"),
        (name = "usages", description = "Where images are used"),
        (name = "delivery", description = "Where pictures are shown"),
        (name = "webhooks", description = "What Cloudflare reports"),
        (name = "description", description = "This document")
    ),
    modifiers(&SecuritySchemes)
)]
pub struct ApiDocument;

/// The finished document, as JSON.
#[derive(Debug, Clone)]
pub struct DocumentJson(Arc<str>);

impl From<&utoipa::openapi::OpenApi> for DocumentJson {
    fn from(document: &utoipa::openapi::OpenApi) -> Self {
        Self(document.to_pretty_json().expect("the document is made of texts and numbers").into())
    }
}

/// Describe the API.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "description",
    operation_id = "get_openapi",
    responses((status = 200, description = "The description of the API, in OpenAPI form", body = Object)),
)]
pub async fn get_openapi(Extension(document): Extension<DocumentJson>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document.0.to_string())
}

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let token = ApiKey::Header(ApiKeyValue::with_description(
            "Authorization",
            "`Token <key>`, with the 40 digits of an API token.",
        ));
        let session = ApiKey::Cookie(ApiKeyValue::with_description(
            "sessionid",
            "The session of a Django that shares its secret key; the cookie has the name that is configured. Requests that \
             change something also send Django's CSRF token, as the header `X-CSRFToken` or the field `csrfmiddlewaretoken`.",
        ));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::ApiKey(token));
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    }
}
