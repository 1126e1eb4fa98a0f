//! The endpoint that Cloudflare and the toolkit's senders call.
//!
//! Raw body → proof → event → service. It looks at its own proofs only, never at `Authorization` or cookies.

mod event;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::{error, warn};
use utoipa::ToSchema;

use crate::api::view::{Access, View};
use crate::api::{ErrorDetail, RawBody};
use crate::service::{CloudflareService, WebhookOutcome, WebhookProofs};

pub use event::{EventError, read_event};

/// Where webhooks are received. They prove themselves genuine, so they need no user.
pub const WEBHOOK: View = View {
    path: "webhook/",
    methods: &["POST"],
    access: Access::Anybody,
    takes_suffix: false,
    name: "Webhook",
    description: "API view for handling Cloudflare webhooks.",
    describes_image: false,
};

/// What a webhook may say, in the toolkit's form. Cloudflare's own notifications are understood too.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[expect(dead_code, reason = "describes the request; `read_event` reads it by DRF's rules")]
pub struct WebhookPayload {
    /// The image at Cloudflare.
    #[schema(example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")]
    id: String,
    /// When Cloudflare got the picture.
    #[schema(value_type = Option<chrono::DateTime<chrono::Utc>>, nullable = false)]
    uploaded: Option<String>,
    /// Whether nothing was uploaded yet.
    #[schema(nullable = false)]
    draft: Option<bool>,
    /// The delivery URLs.
    #[schema(nullable = false)]
    variants: Option<Vec<String>>,
    /// The metadata at Cloudflare.
    #[schema(value_type = Option<Object>, nullable = false)]
    metadata: Option<serde_json::Value>,
    /// Understood and left alone.
    #[schema(nullable = false)]
    #[serde(rename = "requireSignedURLs")]
    require_signed_urls: Option<bool>,
}

/// Receive a webhook.
///
/// With a secret configured, one proof is required: `X-Signature` or `X-Cloudflare-Signature` with the hexadecimal HMAC-SHA256
/// of the body (`sha256=` before it is optional), or `cf-webhook-auth` with the secret itself, as Cloudflare sends it.
#[utoipa::path(
    post,
    path = "/webhook/",
    tag = "webhooks",
    operation_id = "receive_webhook",
    request_body(content = WebhookPayload),
    responses(
        (status = 200, description = "`OK`: recorded", body = String, content_type = "text/html"),
        (status = 400, description = "`Invalid JSON` or `Invalid payload`", body = String, content_type = "text/html"),
        (status = 401, description = "`Missing signature` or `Invalid signature`", body = String, content_type = "text/html"),
        (status = 406, description = "Nothing that `Accept` names can be answered with", body = ErrorDetail),
        (status = 404, description = "`Image not found`", body = String, content_type = "text/html"),
        (status = 500, description = "`Internal server error`: not recorded, to be sent again", body = String, content_type = "text/html"),
    ),
)]
pub async fn receive_webhook(State(service): State<CloudflareService>, headers: HeaderMap, body: RawBody) -> Response {
    let RawBody(body) = body;
    if let Err(refusal) = service.validate_webhook_signature(&body, proofs_in(&headers)) {
        warn!("Refused a webhook: {refusal}");
        return text(StatusCode::UNAUTHORIZED, &refusal.to_string());
    }
    let event = match read_event(&body) {
        Ok(event) => event,
        Err(error) => return text(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    match service.handle_webhook(event).await {
        Ok(WebhookOutcome::Done) => text(StatusCode::OK, "OK"),
        Ok(WebhookOutcome::UnknownImage) => text(StatusCode::NOT_FOUND, "Image not found"),
        Err(error) => {
            error!(error = %error, "Could not record a webhook: {error}");
            text(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")
        }
    }
}

fn proofs_in(headers: &HeaderMap) -> WebhookProofs<'_> {
    let non_empty = |name| headers.get(name).map(axum::http::HeaderValue::as_bytes).filter(|value| !value.is_empty());
    WebhookProofs {
        signature: non_empty("x-signature").or_else(|| non_empty("x-cloudflare-signature")),
        auth: non_empty("cf-webhook-auth"),
    }
}

/// The toolkit answers with plain words under Django's default content type.
fn text(status: StatusCode, text: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text.to_owned()).into_response()
}
