//! The description of the API, made from the handlers.

use std::sync::Arc;

use axum::extract::Extension;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::openapi::OpenApi as OpenApiDocument;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::{Content, HeaderBuilder, ObjectBuilder, Ref, ResponseBuilder, Schema, Type};
use utoipa::{Modify, OpenApi, ToSchema};

use super::ErrorDetail;

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

/// The same description, in which every operation may be refused because there were too many requests.
pub fn with_limits(mut document: OpenApiDocument) -> OpenApiDocument {
    let throttled = || {
        let seconds = Schema::from(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)));
        let wait = HeaderBuilder::new().schema(Some(seconds)).description(Some("How many seconds to wait")).build();
        let body = Content::new(Some(Ref::from_schema_name(ErrorDetail::name())));
        ResponseBuilder::new()
            .description("There were too many requests")
            .header("Retry-After", wait)
            .content("application/json", body)
            .build()
    };
    let operations = document.paths.paths.values_mut().flat_map(|path| {
        [&mut path.get, &mut path.put, &mut path.post, &mut path.delete, &mut path.patch].into_iter().flatten()
    });
    for operation in operations {
        operation.responses.responses.insert("429".to_owned(), throttled().into());
    }
    document
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
