//! The endpoint that Cloudflare and the toolkit's senders call.
//!
//! Raw body → proof → event → service. It looks at its own proofs only, never at `Authorization` or cookies.

mod event;
mod proofs;

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::ToSchema;

use crate::api::view::{Access, View};
use crate::api::{ApiError, RawBody};
use crate::http::RequestContext;
use crate::service::{CloudflareService, IncomingWebhook, WebhookAnswer};

pub use event::read_event;
use proofs::proofs_in;

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
/// With a secret configured, a proof is required, and every proof that is there has to be right:
///
/// - `cf-webhook-auth`: the secret itself, as Cloudflare sends it;
/// - `X-Signature` or `X-Cloudflare-Signature`: the hexadecimal HMAC-SHA256 of the body, `sha256=` before it is optional;
/// - `Webhook-Signature: time=1230811200,sig1=...`: the hexadecimal HMAC-SHA256 of the time, a full stop and the body.
///
/// Besides the payload below, these are understood: Cloudflare's notifications (`alert_type`), which are confirmed with the API; its
/// test message; and events such as `{"eventType": "image.failed", "imageId": "..."}`. The same again within a few minutes is
/// accepted and changes nothing.
#[utoipa::path(
    post,
    path = "/webhook/",
    tag = "webhooks",
    operation_id = "receive_webhook",
    request_body(content = WebhookPayload),
    responses(
        (status = 200, description = "`OK`: recorded, or nothing to do", body = String, content_type = "text/html"),
        (status = 400, description = "`Invalid JSON` or `Invalid payload`", body = String, content_type = "text/html"),
        (status = 401, description = "`Missing signature`, `Invalid signature`, `Invalid timestamp` or `Address not allowed`", body = String, content_type = "text/html"),
        (status = 404, description = "`Image not found`", body = String, content_type = "text/html"),
        (status = 500, description = "`Internal server error`: not recorded, to be sent again", body = String, content_type = "text/html"),
    ),
)]
pub async fn receive_webhook(
    State(service): State<CloudflareService>,
    Extension(context): Extension<RequestContext>,
    headers: HeaderMap,
    body: Result<RawBody, ApiError>,
) -> Response {
    let RawBody(body) = match body {
        Ok(body) => body,
        Err(error) => {
            service.refuse_unread_webhook(context.client);
            return error.into_response();
        }
    };
    let webhook = IncomingWebhook { client: context.client, proofs: proofs_in(&headers), body: &body };
    match service.receive_webhook(&webhook, read_event).await {
        WebhookAnswer::Accepted => text(StatusCode::OK, "OK"),
        WebhookAnswer::Refused(refusal) => {
            text(StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST), &refusal.to_string())
        }
        WebhookAnswer::Failed => text(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error"),
    }
}

/// The toolkit answers with plain words under Django's default content type.
fn text(status: StatusCode, text: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text.to_owned()).into_response()
}
