//! The list of all images: as a gallery or as a table, filtered and sorted by the URL.

pub(super) mod bulk;
mod dates;
pub(super) mod export;
mod selection;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{AppendHeaders, IntoResponse, Response};

use self::dates::Dates;
use self::selection::Selection;
use super::error::PageError;
use super::list::{Asked, Chip, refusal};
use super::page::{Frame, Section, render};
use super::picture::{Badge, Thumbnail, status_badge};
use super::staff::cookie;
use super::text::{Grouped, Moment, shortened, size};
use super::{Admin, Staff};
use crate::domain::{Image, Timestamp};
use crate::http::query::Query;
use crate::http::{Cookies, RequestContext};
use crate::service::ImagePage;

/// The cookie that remembers how somebody looks at the list.
const VIEW_COOKIE: &str = "cfimages_admin_view";
/// For a year, in seconds.
const VIEW_SECONDS: i64 = 365 * 24 * 60 * 60;
/// What helps against a search that takes too long.
const QUICKER: &str = "Narrow it down by owner, status or days, or sort by the time of creation.";
/// How much of a text is shown in a list.
const MAX_CHARS: usize = 60;

#[derive(Template)]
#[template(path = "admin/images.html")]
struct ImagesPage {
    frame: Frame,
    /// What was done.
    notice: Option<&'static str>,
    csrf: String,
    selection: Selection,
    /// What is wrong with the filters, or why nothing was found with them; there are no images then.
    problems: Vec<String>,
    dates: Dates,
    is_gallery: bool,
    count: String,
    images: Vec<ImageLine>,
    previous: Option<String>,
    next: Option<String>,
}

struct ImageLine {
    id: String,
    name: String,
    cloudflare_id: String,
    thumbnail: Thumbnail,
    status: Badge,
    is_private: bool,
    owner: String,
    creator: String,
    size: String,
    created: String,
}

/// Shows a page of the list.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(context): Extension<RequestContext>,
    staff: Staff,
    Asked(query): Asked,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let selection = Selection::read(&query);
    let chosen_view = query.get("view").filter(|view| matches!(*view, "gallery" | "table"));
    let known_view = Cookies::of(&headers).first(VIEW_COOKIE);
    let is_gallery = chosen_view.or(known_view.as_deref()) != Some("table");

    let (problems, page) = match selection.query(&admin).await? {
        Ok(query) => {
            let from = selection.from()?;
            match admin.service.search_images(&query, selection.order(), from, selection.per_page()).await {
                Ok(page) => (Vec::new(), Some(page)),
                Err(error) => (refusal(error, QUICKER)?, None),
            }
        }
        Err(problems) => (problems, None),
    };
    let dates = if page.is_some() { Dates::of(&admin, &selection).await? } else { Dates::default() };
    let now = admin.service.clock().now();
    let (count, images, previous, next) = match page {
        Some(page) => (
            count_text(&page),
            page.images.iter().map(|image| line(&admin, image, &page, now)).collect(),
            page.previous.map(|place| selection.page_before(place)),
            page.next.map(|place| selection.page_after(place)),
        ),
        None => (String::new(), Vec::new(), None, None),
    };
    let frame = Frame::new(&admin, &staff, Section::Images);
    let csrf = staff.csrf.to_string();
    let notice = (query.get("done") == Some("deleted")).then_some("The image is deleted, at Cloudflare and here.");
    let html = render(&ImagesPage {
        frame,
        notice,
        csrf,
        selection,
        problems,
        dates,
        is_gallery,
        count,
        images,
        previous,
        next,
    });
    let remember =
        chosen_view.map(|view| (header::SET_COOKIE, cookie(&admin, &context, VIEW_COOKIE, view, VIEW_SECONDS)));
    Ok((AppendHeaders(remember), html).into_response())
}

/// The filters that the query string of a list sets.
pub(super) fn chips_of(list: &str) -> Vec<Chip> {
    let query = Query::parse(list.trim_start_matches('?')).unwrap_or_default();
    Selection::read(&query).chips()
}

/// How many images there are, or as much as is known of it.
fn count_text(page: &ImagePage) -> String {
    let images = |count: usize| if count == 1 { "1 image".to_owned() } else { format!("{count} images") };
    match page.count {
        Some(1) => "1 image".to_owned(),
        Some(count) => format!("{} images", Grouped(i64::try_from(count).unwrap_or(i64::MAX))),
        None if page.previous.is_none() && page.next.is_none() => images(page.images.len()),
        None => "Many images".to_owned(),
    }
}

fn line(admin: &Admin, image: &Image, page: &ImagePage, now: Timestamp) -> ImageLine {
    let owner = match image.user_id {
        Some(id) => page.owners.get(&id).map_or_else(|| format!("user {id}"), |name| shortened(name, MAX_CHARS)),
        None => "–".to_owned(),
    };
    ImageLine {
        id: image.id.to_string(),
        name: super::picture::name(image, MAX_CHARS),
        cloudflare_id: image.cloudflare_id.as_str().to_owned(),
        thumbnail: Thumbnail::new(&admin.links, image, now),
        status: status_badge(&image.status),
        is_private: image.require_signed_urls,
        owner,
        creator: if image.creator.is_empty() { "–".to_owned() } else { shortened(&image.creator, MAX_CHARS) },
        size: image.file_size.map_or_else(|| "–".to_owned(), size),
        created: Moment::new(image.created_at, now).exact,
    }
}
