//! The description of the API, made from the handlers.

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
        (name = "webhooks", description = "What Cloudflare reports")
    ),
    modifiers(&SecuritySchemes)
)]
pub struct ApiDocument;

struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = ApiKey::Header(ApiKeyValue::with_description(
            "Authorization",
            "`Token <key>`, with the 40 digits of an API token.",
        ));
        document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::ApiKey(scheme));
    }
}
