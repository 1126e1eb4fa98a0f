//! Why a picture is not delivered, as text: `ERROR 9404: ...`.

use std::borrow::Cow;

use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::delivery::SignatureError;

/// Whether, and at what cost, a picture was transformed.
pub(super) const RESIZED: HeaderName = HeaderName::from_static("cf-resized");

/// Status, code and words of a refusal.
pub(super) struct Refusal {
    /// Of HTTP; some are Cloudflare's own.
    status: u16,
    code: u16,
    message: Cow<'static, str>,
}

impl Refusal {
    pub(super) const MALFORMED_PATH: Self =
        Self::forbidden(9426, "The path is not /<account hash>/<image id>/<variant>");
    pub(super) const WRONG_ACCOUNT: Self = Self::forbidden(9427, "The account hash is not valid");
    pub(super) const FLEXIBLE_VARIANTS: Self = Self::forbidden(9429, "Flexible variants are not enabled");
    pub(super) const PRIVATE: Self = Self::forbidden(
        9425,
        "Image access denied: Flexible variants cannot be used for images that require signed URLs, use a named variant",
    );
    pub(super) const NO_VARIANT: Self =
        Self::forbidden(9425, "Image access denied: This account doesn't have variant with this name");
    pub(super) const NO_IMAGE: Self =
        Self::fixed(404, 9404, "Could not fetch the image — the server returned HTTP error 404 Not Found");
    const BROKEN: Self = Self::fixed(500, 9516, "The image could not be processed");

    const fn forbidden(code: u16, message: &'static str) -> Self {
        Self::fixed(403, code, message)
    }

    pub(super) const fn fixed(status: u16, code: u16, message: &'static str) -> Self {
        Self { status, code, message: Cow::Borrowed(message) }
    }

    pub(super) fn new(status: u16, code: u16, message: String) -> Self {
        Self { status, code, message: Cow::Owned(message) }
    }

    pub(super) fn bad_options(problem: &str) -> Self {
        Self::new(400, 9401, format!("The transformation options are not valid: {problem}"))
    }

    pub(super) fn unsigned(error: SignatureError) -> Self {
        Self::forbidden(
            9425,
            match error {
                SignatureError::Missing => "Image access denied: check failed: The URL is not signed",
                SignatureError::Mismatch => {
                    "Image access denied: check failed: Malformed data found: The URL signature does not match. \
                     Expecting SHA-256 HMAC of the path without domain nor query string"
                }
                SignatureError::Expired => "Image access denied: check failed: The signed URL has expired",
            },
        )
    }

    /// What nobody expected, which goes to the log, too.
    pub(super) fn broken(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "the emulator could not deliver a picture");
        Self::BROKEN
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let caching = [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
        let resized = [(RESIZED, format!("err={}", self.code))];
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, caching, resized, format!("ERROR {}: {}", self.code, self.message)).into_response()
    }
}
