//! Lists of images: `GET images/v1` in pages, `GET images/v2` with continuation tokens. Drafts are in none.

use std::sync::Arc;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use super::Account;
use super::envelope::{self, ApiError};
use super::images::ImageObject;
use super::metadata::Filters;
use super::query::{number, parameters};
use super::storage::{Order, Position, StoredImage, blocking};

const DEFAULT_PER_PAGE: usize = 1000;
const MIN_PER_PAGE: usize = 10;
const MAX_PER_PAGE: usize = 10_000;

/// `result` of `GET images/v1`.
#[derive(Serialize)]
struct Images<'a> {
    images: Vec<ImageObject<'a>>,
}

/// `result` of `GET images/v2`. The token of the last page is `null`.
#[derive(Serialize)]
struct Page<'a> {
    images: Vec<ImageObject<'a>>,
    continuation_token: Option<String>,
}

/// What is asked for. Parameters that are not known are ignored, and of a repeated one the last counts.
#[derive(Debug)]
struct Query {
    page: usize,
    per_page: usize,
    order: Order,
    /// The empty one stands for none.
    creator: Option<String>,
    filters: Filters,
    place: Option<Position>,
}

impl Query {
    /// The query of a list in pages.
    fn v1(uri: &Uri) -> Result<Self, ApiError> {
        let mut query = Self::default();
        for (name, value) in parameters(uri.query().unwrap_or_default()) {
            match name.as_str() {
                "page" => query.page = number(&name, &value, 1, usize::MAX)?,
                _ => query.take(&name, value)?,
            }
        }
        Ok(query)
    }

    /// The query of a list with tokens.
    fn v2(account: &Account, uri: &Uri) -> Result<Self, ApiError> {
        let parameters: Vec<_> = parameters(uri.query().unwrap_or_default()).collect();
        let mut query = Self { filters: Filters::parse(&parameters)?, ..Self::default() };
        for (name, value) in parameters {
            match (name.as_str(), value.as_str()) {
                // SDKs send the null of a last page as nothing.
                ("continuation_token", "") => query.place = None,
                ("continuation_token", token) => {
                    let place = account.tokens.decode(token);
                    query.place =
                        Some(place.ok_or_else(|| ApiError::bad_request("The continuation token is not valid"))?);
                }
                ("sort_order", "asc") => query.order = Order::OldestFirst,
                ("sort_order", "desc") => query.order = Order::NewestFirst,
                ("sort_order", _) => return Err(ApiError::bad_request("sort_order must be asc or desc")),
                _ => query.take(&name, value)?,
            }
        }
        Ok(query)
    }

    /// Takes a parameter of both lists.
    fn take(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        match name {
            "per_page" => self.per_page = number(name, &value, MIN_PER_PAGE, MAX_PER_PAGE)?,
            "creator" => self.creator = Some(value),
            _ => {}
        }
        Ok(())
    }

    fn matches(&self, image: &StoredImage) -> bool {
        let is_creator = |wanted: &String| image.creator.as_deref().unwrap_or_default() == wanted;
        self.creator.as_ref().is_none_or(is_creator) && self.filters.match_image(image)
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            page: 1,
            per_page: DEFAULT_PER_PAGE,
            order: Order::default(),
            creator: None,
            filters: Filters::default(),
            place: None,
        }
    }
}

/// `GET images/v1`. UNCONFIRMED, and chosen here: the newest come first.
pub(super) async fn list_v1(State(account): State<Arc<Account>>, uri: Uri) -> Result<Response, ApiError> {
    let query = Query::v1(&uri)?;
    let render = move || {
        let before = (query.page - 1).saturating_mul(query.per_page);
        let images = account.storage.images(None, query.order).filter(|image| query.matches(image));
        let images: Vec<_> = images.skip(before).take(query.per_page).collect();
        envelope::success(Images { images: objects(&account, &images) })
    };
    Ok(blocking(render).await)
}

/// `GET images/v2`. A token says where the page ended and nothing else: the rest of the query has to be sent with every page.
pub(super) async fn list_v2(State(account): State<Arc<Account>>, uri: Uri) -> Result<Response, ApiError> {
    let query = Query::v2(&account, &uri)?;
    let render = move || {
        let mut images = account.storage.images(query.place, query.order).filter(|image| query.matches(image));
        let page: Vec<_> = images.by_ref().take(query.per_page).collect();
        let last = page.last().filter(|_| images.next().is_some());
        let continuation_token = last.map(|image| account.tokens.encode(Position::of(image)));
        envelope::success(Page { images: objects(&account, &page), continuation_token })
    };
    Ok(blocking(render).await)
}

fn objects<'a>(account: &Account, images: &'a [Arc<StoredImage>]) -> Vec<ImageObject<'a>> {
    images.iter().map(|image| ImageObject::new(account, image)).collect()
}
