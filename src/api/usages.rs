//! `usages/`

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use utoipa::ToSchema;

use super::body::{Form, RequestData};
use super::error::{BadRequest, ErrorDetail, ErrorMessage, Forbidden};
use super::fields::Fields;
use super::model::{UsageListResponse, UsageResponse};
use super::pagination::Pagination;
use super::view::{Access, View, ViewContext};
use super::{ApiError, FieldErrors, Principal, python, selection};
use crate::domain::{CloudflareId, ContentType, ImageUsage, UsageOrder, UsageSelection, UsageSlot, UsageSort};
use crate::http::query::Query;
use crate::service::CloudflareService;

const DESCRIPTION: &str = "Read-only ViewSet for browsing image usage references.\n\n\
    Scoped to the requesting user's images. Staff additionally see usages that\n\
    point at unregistered images (those have no owner). Query params:\n\
    ``content_type`` (``app_label.model``), ``field_name``, ``unregistered``.";

const fn view(path: &'static str, methods: &'static [&'static str], name: &'static str) -> View {
    View {
        path,
        methods,
        access: Access::Users,
        takes_suffix: true,
        name,
        description: DESCRIPTION,
        describes_image: false,
    }
}

/// The list of usages; applications that are not Django write it, too.
pub const USAGES: View = view("usages/", &["GET", "PUT", "DELETE"], "Image Usage List");
/// One usage.
pub const USAGE: View = view("usages/{id}/", &["GET"], "Image Usage Instance");

/// The conditions of the toolkit's `get_queryset` and DRF's search.
///
/// # Errors
/// If a value holds U+0000, which no text in the database does, or the search has too many words.
fn read_selection(query: &Query) -> Result<UsageSelection, ApiError> {
    for name in ["content_type", "field_name"] {
        if query.get(name).is_some_and(|value| value.contains('\0')) {
            return Err(FieldErrors::of(name, "Null characters are not allowed.").into());
        }
    }
    Ok(UsageSelection {
        content_type: query.get("content_type").and_then(ContentType::split),
        field_name: query.get("field_name").filter(|name| !name.is_empty()).map(str::to_owned),
        only_unregistered: selection::is_on(query, "unregistered"),
        terms: selection::search_terms(query)?,
    })
}

fn order(query: &Query) -> Vec<UsageOrder> {
    let columns = selection::sort_columns(query, |name| match name {
        "created_at" => Some(UsageSort::CreatedAt),
        "updated_at" => Some(UsageSort::UpdatedAt),
        _ => None,
    });
    columns.into_iter().map(|(by, descending)| UsageOrder { by, descending }).collect()
}

/// List usages.
///
/// The references to the user's own images; for staff all references, those to images that are not recorded among them.
#[utoipa::path(
    get,
    path = "/usages/",
    tag = "usages",
    operation_id = "list_usages",
    params(
        ("page" = Option<String>, Query, description = "The number of the page from 1, or `last`", example = "1"),
        ("page_size" = Option<u32>, Query, minimum = 1, description = "Usages a page, 20 by default; more than 100 count as 100"),
        ("limit" = Option<u32>, Query, minimum = 1, description = "Usages to answer with, in place of `page` and `page_size`"),
        ("offset" = Option<u32>, Query, description = "Usages to pass over, with `limit`"),
        ("content_type" = Option<String>, Query, description = "The model of the content", example = "shop.product"),
        ("field_name" = Option<String>, Query, description = "The field of the content", example = "hero"),
        ("unregistered" = Option<bool>, Query, description = "Whether only usages of images that are not recorded are wanted"),
        ("search" = Option<String>, Query, description = "Words that the id at Cloudflare, the field or the key must contain; phrases in quotes"),
        ("ordering" = Option<String>, Query, description = "`created_at` or `updated_at`, both with a comma, `-` before for descending", example = "-updated_at"),
    ),
    responses(
        (status = 200, description = "A page of usages, the latest change first where `ordering` does not say otherwise", body = UsageListResponse),
        (status = 400, description = "A filter or the search is not accepted", body = BadRequest),
        (status = 404, description = "There is no such page", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn list_usages(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<UsageListResponse>, ApiError> {
    let (selection, order) = (read_selection(&context.query)?, order(&context.query));
    let mut pagination = None;
    let choose = |count| {
        let chosen = Pagination::of(&context.query, count).map_err(ApiError::from)?;
        Ok::<_, ApiError>(pagination.insert(chosen).request())
    };
    let page = service.list_usages(&user, &selection, &order, choose).await?;
    let links = pagination.map(|pagination| pagination.links(&context.url, &context.query, page.count));
    let (next, previous) = links.map_or((None, None), |links| (links.next, links.previous));
    let results = page.items.into_iter().map(UsageResponse::from).collect();
    Ok(Json(UsageListResponse { count: page.count, next, previous, results }))
}

/// Show a usage.
///
/// One reference of some content to an image.
#[utoipa::path(
    get,
    path = "/usages/{id}/",
    tag = "usages",
    operation_id = "get_usage",
    params(("id" = i64, Path, description = "The number of the usage", example = 7)),
    responses(
        (status = 200, description = "The usage", body = UsageResponse),
        (status = 400, description = "A filter or the search is not accepted", body = BadRequest),
        (status = 404, description = "There is no such usage, it is of somebody else's image, or the filters leave it out", body = ErrorDetail),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn get_usage(
    Principal(user): Principal,
    Path(id): Path<String>,
    State(service): State<CloudflareService>,
    Extension(context): Extension<ViewContext>,
) -> Result<Json<UsageResponse>, ApiError> {
    let selection = read_selection(&context.query)?;
    let id = python::int(&id).ok_or_else(|| ApiError::NotFound("Not found.".to_owned()))?;
    let id = i64::try_from(id).map_err(|_| crate::service::Error::UsageNotFound)?;
    Ok(Json(service.get_usage(&user, &selection, id).await?.into()))
}

/// The place in some content that refers to an image, and the image.
#[derive(Debug, ToSchema)]
#[expect(dead_code, reason = "describes the request; `record_usage` reads it by DRF's rules")]
pub struct UsageRequest {
    /// The model of the content. It need not be one of Django's, and is kept in lower case behind the dot.
    #[schema(max_length = 201, example = "shop.product")]
    content_type: String,
    /// The key of the content.
    #[schema(max_length = 255, min_length = 1, example = "7")]
    object_id: String,
    /// The field of the content, or any label; `manual` where it is left out.
    #[schema(nullable = false, max_length = 255, min_length = 1, example = "hero")]
    field_name: Option<String>,
    /// The key of the image at Cloudflare. It need not be recorded here.
    #[schema(max_length = 255, min_length = 1, example = "2cdc28f0-017a-49c4-9ed7-87056c83901f")]
    cloudflare_id: String,
}

fn read_slot(fields: &mut Fields<'_>) -> Option<UsageSlot> {
    let content_type = fields.required_text("content_type", usize::MAX).and_then(|text| {
        text.parse::<ContentType>().map_err(|error| fields.refuse("content_type", &format!("This {error}."))).ok()
    });
    let object_id = fields.required_text("object_id", UsageSlot::MAX_CHARS);
    let field_name = fields.text("field_name", UsageSlot::MAX_CHARS);
    Some(UsageSlot {
        content_type: content_type?,
        object_id: object_id?,
        field_name: field_name.unwrap_or_else(|| ImageUsage::MANUAL_FIELD_NAME.to_owned()),
    })
}

/// Record a usage.
///
/// Tells that some content refers to an image, for applications that are not Django; the same again changes nothing but
/// `updated_at`. A place refers to one image at most, so another image takes the place of the one before. The image must be the
/// user's own, or not recorded here; staff may name any. What follows a field of a Django model belongs to Django and is refused.
#[utoipa::path(
    put,
    path = "/usages/",
    tag = "usages",
    operation_id = "record_usage",
    request_body(content = UsageRequest),
    responses(
        (status = 200, description = "The usage, which was there before", body = UsageResponse),
        (status = 201, description = "The usage, which is new", body = UsageResponse),
        (status = 400, description = "A field is not accepted, or the body cannot be read", body = BadRequest),
        (status = 403, description = "Not signed in, or the image, or the one before, is somebody else's", body = Forbidden),
        (status = 409, description = "The usage follows a field of a Django model", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn record_usage(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    data: RequestData,
) -> Result<(StatusCode, Json<UsageResponse>), ApiError> {
    let mut fields = Fields::new(&data)?;
    let slot = read_slot(&mut fields);
    let id = fields.required_text("cloudflare_id", CloudflareId::MAX_CHARS).map(CloudflareId::new);
    let (slot, id) = fields.finish_with(slot.zip(id))?;
    let (usage, is_new) = service.record_usage(&user, &slot, &id).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(usage.into())))
}

/// Remove a usage.
///
/// Tells that some content refers to an image no more; it is no error if that was not known. The image must be the user's own, or
/// not recorded here; staff may name any. What follows a field of a Django model belongs to Django and is refused.
#[utoipa::path(
    delete,
    path = "/usages/",
    tag = "usages",
    operation_id = "remove_usage",
    params(
        ("content_type" = String, Query, description = "The model of the content", example = "shop.product"),
        ("object_id" = String, Query, description = "The key of the content", example = "7"),
        ("field_name" = Option<String>, Query, description = "The field of the content; `manual` where it is left out", example = "hero"),
    ),
    responses(
        (status = 204, description = "There is no such usage any more"),
        (status = 400, description = "A parameter is not accepted", body = BadRequest),
        (status = 403, description = "Not signed in, or the image is somebody else's", body = Forbidden),
        (status = 409, description = "The usage follows a field of a Django model", body = ErrorMessage),
    ),
    security(("token" = []), ("session" = []))
)]
pub async fn remove_usage(
    Principal(user): Principal,
    State(service): State<CloudflareService>,
    Extension(context): Extension<ViewContext>,
) -> Result<StatusCode, ApiError> {
    let form = Form::from(context.query);
    let mut fields = Fields::of_form(&form);
    let slot = read_slot(&mut fields);
    let slot = fields.finish_with(slot)?;
    service.remove_usage(&user, &slot).await?;
    Ok(StatusCode::NO_CONTENT)
}
