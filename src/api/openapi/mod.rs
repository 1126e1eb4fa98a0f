//! The description of the API, made from the handlers.
//!
//! A handler describes what is its own. What holds for all of them is added in `shared`, and examples of bodies in `examples`.

mod examples;
mod shared;

use axum::extract::Extension;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::http::EntityTag;

const TOKEN: &str = "token";
const SESSION: &str = "session";
const CSRF: &str = "csrf";

/// The root of the document; the routes are added where the router is built.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "cfimages",
        description = "The image backend for applications that keep their pictures in Cloudflare Images.\n\n\
            Bodies are JSON or forms. A path may end in `.json` in place of its slash, and `OPTIONS` describes each URL. Errors are \
            JSON: `detail` says what is wrong with the request, `error` what Cloudflare or the state of the image did not allow, and \
            what is wrong with fields stands under their names.",
        license(name = "MIT", identifier = "MIT")
    ),
    tags(
        (name = "uploads", description = "Getting pictures to Cloudflare"),
        (name = "images", description = "Looking at images and their state"),
        (name = "HTML", description = "HTML for pages"),
        (name = "usages", description = "Where images are used"),
        (name = "delivery", description = "Where pictures are shown"),
        (name = "webhooks", description = "What Cloudflare reports"),
        (name = "description", description = "This document")
    ),
    modifiers(&SecuritySchemes)
)]
pub struct ApiDocument;

impl ApiDocument {
    /// The whole document: `views` are the views of the API, which all pass the same stages, and `others` what is beside them.
    pub fn complete(mut views: utoipa::openapi::OpenApi, others: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
        shared::complete(&mut views);
        let mut document = Self::openapi();
        document.merge(views);
        document.merge(others);
        examples::complete(&mut document);
        document
    }
}

/// The finished document, as JSON.
#[derive(Debug, Clone)]
pub struct DocumentJson {
    json: Bytes,
    tag: EntityTag,
}

impl From<&utoipa::openapi::OpenApi> for DocumentJson {
    fn from(document: &utoipa::openapi::OpenApi) -> Self {
        let json = Bytes::from(document.to_pretty_json().expect("the document is made of texts and numbers"));
        Self { tag: EntityTag::of(&json), json }
    }
}

/// Describe the API.
///
/// This document, which `cfimages openapi` prints, too, and `docs/` shows as a page. Anybody may read both.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "description",
    operation_id = "get_openapi",
    responses(
        (status = 200, description = "The description of the API, in OpenAPI form", body = Object),
        (status = 304, description = "The client has it already"),
    ),
)]
pub async fn get_openapi(Extension(document): Extension<DocumentJson>, headers: HeaderMap) -> Response {
    let is_known = document.tag.is_known(&headers);
    let caching = [(header::ETAG, document.tag.into()), (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if is_known {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    (caching, [(header::CONTENT_TYPE, "application/json")], document.json).into_response()
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
            "The session of a Django that shares its secret key; the cookie has the name that is configured.",
        ));
        let csrf = ApiKey::Header(ApiKeyValue::with_description(
            "X-CSRFToken",
            "With a session, Django's token against forged requests, which is in its cookie `csrftoken`: for all that changes \
             something. It may also be the field `csrfmiddlewaretoken` of a form. The names are those that are configured.",
        ));
        let components = document.components.get_or_insert_default();
        for (name, scheme) in [(TOKEN, token), (SESSION, session), (CSRF, csrf)] {
            components.add_security_scheme(name, SecurityScheme::ApiKey(scheme));
        }
    }
}
