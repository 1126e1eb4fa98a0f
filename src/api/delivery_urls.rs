//! `images/{id}/url/`

use axum::Json;
use axum::extract::{Extension, Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::error::{BadRequest, ErrorDetail, ErrorMessage, Unavailable};
use super::images::{ImagePath, find_image};
use super::view::{Access, View, ViewContext};
use super::{ApiError, FieldErrors, Fields, Form, Principal};
use crate::delivery::Transform;
use crate::domain::Timestamp;
use crate::http::query::Query;
use crate::service::{CloudflareService, DEFAULT_LIFETIME, ImageLinks, PictureUrl};

/// Where a variant of a picture is.
pub const DELIVERY_URL: View = View {
    path: "images/{id}/url/",
    methods: &["GET"],
    access: Access::Users,
    takes_suffix: true,
    name: "Url",
    description: "Tell where a variant of the picture is delivered from, signed where it is private.",
    describes_image: false,
};

const DEFAULT_VARIANT: &str = "public";
/// The most characters of a name that Cloudflare takes.
const MAX_NAME_CHARS: usize = 99;
/// How long a signed URL may be good, in seconds: a minute to a year.
const LIFETIME: std::ops::RangeInclusive<i64> = 60..=31_536_000;
const NO_VARIANT: &str =
    "Must be the name of a variant, at most 99 letters and digits, or options such as w=300,fit=cover.";

/// Where a variant of a picture is.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryUrlResponse {
    /// The URL, at the configured delivery domain.
    #[schema(value_type = String, format = "uri")]
    pub url: PictureUrl,
    /// The variant: a name, or options in the order in which URLs have them.
    #[schema(example = "public")]
    pub variant: String,
    /// Whether the URL is signed, which those of private pictures are.
    pub signed: bool,
    /// When the signature ends.
    #[schema(required, value_type = Option<chrono::DateTime<chrono::Utc>>)]
    pub expires_at: Option<Timestamp>,
}

/// Which URL is asked for.
struct UrlRequest {
    variant: String,
    /// Seconds.
    expiry: i64,
}

fn read_request(query: Query) -> Result<UrlRequest, FieldErrors> {
    let form = Form::from(query);
    let mut fields = Fields::of_form(&form);
    let variant = fields.text("variant", usize::MAX).unwrap_or_else(|| DEFAULT_VARIANT.to_owned());
    let variant = read_variant(&variant).map_err(|problem| fields.refuse("variant", &problem)).ok();
    let expiry = fields.integer("expiry", &LIFETIME).unwrap_or(DEFAULT_LIFETIME);
    fields.finish_with(variant.map(|variant| UrlRequest { variant, expiry }))
}

fn read_variant(text: &str) -> Result<String, String> {
    if text.contains('=') {
        let options = text.parse::<Transform>().and_then(|options| options.variant());
        return options.map_err(|error| format!("{error}."));
    }
    let is_name = text.len() <= MAX_NAME_CHARS && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_name { Ok(text.to_owned()) } else { Err(NO_VARIANT.to_owned()) }
}

/// Tell the URL of a picture.
///
/// That of a private picture is signed, and ends after `expiry` seconds, rounded up to a full five minutes, so that it stays the same
/// for a while and caches can do their work; one with options cannot be signed. Whether Cloudflare has the variant is not checked.
#[utoipa::path(
    get,
    path = "/images/{id}/url/",
    tag = "images",
    operation_id = "get_image_url",
    params(
        ("id" = uuid::Uuid, Path, description = "The key of the image here", example = "5f0f7a5e-6d0c-4c1b-9a52-0e6f3c1f7d11"),
        ("variant" = Option<String>, Query, description = "The name of a variant; for public pictures also options such as `w=300,fit=cover`. `public` where it is left out", example = "public"),
        ("expiry" = Option<i64>, Query, description = "For how many seconds a signed URL is good; 3600 where it is left out", minimum = 60, maximum = 31_536_000),
    ),
    responses(
        (status = 200, description = "The URL", body = DeliveryUrlResponse),
        (status = 400, description = "A parameter is not accepted", body = BadRequest),
        (status = 404, description = "There is no such image, it is somebody else's, or the filters leave it out", body = ErrorDetail),
        (status = 409, description = "There is no picture yet: the image is not `uploaded`", body = ErrorMessage),
        (status = 503, description = "The account hash or a key to sign with is needed and not to be had, or the database is not available", body = Unavailable),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn get_image_url(
    Principal(user): Principal,
    path: Path<ImagePath>,
    State(service): State<CloudflareService>,
    State(links): State<ImageLinks>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<DeliveryUrlResponse>, ApiError> {
    let image = find_image(&service, &user, &context, &path).await?;
    let UrlRequest { variant, expiry } = read_request(context.query)?;
    let found = service.variant_url(&image, &links, &variant, expiry).await?;
    let signed = found.expires_at.is_some();
    Ok(Json(DeliveryUrlResponse { url: found.url, variant, signed, expires_at: found.expires_at }))
}
