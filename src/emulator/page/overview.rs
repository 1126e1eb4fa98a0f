//! `/`: the page itself.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;

use super::activity::{Delivery, Exchange, Outcome};
use super::path::encode_segment;
use super::query::parameters;
use super::storage::{Order, StoredImage, blocking};
use super::texts::{Moment, duration, format_name};
use super::transform::Size;
use super::{Account, access, page};

/// Pictures on a page.
const PER_PAGE: usize = 24;
/// Drafts that are shown; there may be more.
const MAX_DRAFTS: usize = 10;

#[derive(Template)]
#[template(path = "emulator/overview.html")]
struct Overview<'a> {
    version: &'static str,
    settings: Settings<'a>,
    /// What is stored and what happened, for whoever may see it.
    content: Option<Content>,
}

/// What a client has to be told.
struct Settings<'a> {
    url: &'a str,
    account_id: &'a str,
    account_hash: &'a str,
    /// `None` where the visitor may not know them.
    secrets: Option<Secrets<'a>>,
}

struct Secrets<'a> {
    token: &'a str,
    signing_key: String,
}

impl Settings<'_> {
    /// The token, or what is to be replaced by it.
    fn token(&self) -> &str {
        self.secrets.as_ref().map_or("API_TOKEN", |secrets| secrets.token)
    }
}

struct Content {
    pictures: Vec<Card>,
    pages: Pages,
    drafts: Vec<Draft>,
    draft_count: usize,
    requests: Vec<RequestLine>,
    notifications: Vec<NotificationLine>,
}

/// Where the pictures are among all of them.
struct Pages {
    count: usize,
    page: usize,
    last: usize,
}

impl Pages {
    fn of(count: usize, page: usize) -> Self {
        let last = count.div_ceil(PER_PAGE).max(1);
        Self { count, page: page.clamp(1, last), last }
    }
}

/// A picture, small.
struct Card {
    image: Named,
    filename: String,
    /// In pixels; drawings have none.
    size: Option<Size>,
    format: String,
    is_private: bool,
    uploaded: Moment,
}

struct Draft {
    image: Named,
    is_private: bool,
    made: Moment,
}

/// An image by its id.
struct Named {
    id: String,
    /// The same as a part of URLs.
    encoded: String,
}

impl Named {
    fn of(image: &StoredImage) -> Self {
        Self { id: image.id.clone(), encoded: encode_segment(&image.id) }
    }
}

struct RequestLine {
    number: u64,
    at: Moment,
    method: String,
    /// What all calls of the API have in common, and the rest.
    target: (&'static str, String),
    /// `good`, `bad`, `moved` or `open`
    kind: &'static str,
    status: String,
    duration: Option<String>,
}

struct NotificationLine {
    number: u64,
    at: Moment,
    destination: String,
    url: String,
    text: String,
    kind: &'static str,
    status: String,
    tries: u32,
}

/// `GET /`, with `?page=` for older pictures.
pub(super) async fn show(State(account): State<Arc<Account>>, uri: Uri, headers: HeaderMap) -> Response {
    let is_trusted = access::is_trusted(&account, &headers);
    let query = parameters(uri.query().unwrap_or_default());
    let wanted = query.filter(|(name, _)| name == "page").find_map(|(_, page)| page.parse().ok()).unwrap_or(1);
    blocking(move || {
        page(&Overview {
            version: env!("CARGO_PKG_VERSION"),
            settings: settings(&account, is_trusted),
            content: is_trusted.then(|| content(&account, wanted)),
        })
    })
    .await
}

fn settings(account: &Account, is_trusted: bool) -> Settings<'_> {
    let signing_key = || account.signing_keys.get().first().map_or_else(String::new, |key| key.value().to_owned());
    let secrets = is_trusted.then(|| Secrets { token: &account.api_token, signing_key: signing_key() });
    Settings { url: &account.public_url, account_id: &account.id, account_hash: &account.hash, secrets }
}

fn content(account: &Account, page: usize) -> Content {
    let pages = Pages::of(account.storage.count(), page);
    let images = account.storage.images(None, Order::NewestFirst).skip((pages.page - 1) * PER_PAGE);
    let drafts = account.storage.drafts(account.clock.now());
    let scope = format!("/client/v4/accounts/{}", account.id);
    let requests = account.activity.requests.newest_first();
    Content {
        pictures: images.take(PER_PAGE).filter_map(|image| card(&image)).collect(),
        pages,
        draft_count: drafts.len(),
        drafts: drafts.iter().take(MAX_DRAFTS).map(|draft| draft_line(draft)).collect(),
        requests: requests.into_iter().map(|(number, exchange)| request_line(number, exchange, &scope)).collect(),
        notifications: account.activity.notifications.newest_first().into_iter().map(notification_line).collect(),
    }
}

fn card(image: &StoredImage) -> Option<Card> {
    let original = image.original()?;
    Some(Card {
        image: Named::of(image),
        filename: original.filename.clone(),
        size: original.content.pixels().map(|picture| picture.size),
        format: format_name(&original.content),
        is_private: image.require_signed_urls,
        uploaded: image.uploaded.into(),
    })
}

fn draft_line(draft: &StoredImage) -> Draft {
    Draft { image: Named::of(draft), is_private: draft.require_signed_urls, made: draft.uploaded.into() }
}

fn request_line(number: u64, exchange: Exchange, scope: &str) -> RequestLine {
    let Exchange { at, method, target, outcome, duration: took } = exchange;
    let target = match target.strip_prefix(scope) {
        Some(rest) => ("/client/v4/…", rest.to_owned()),
        None => ("", target),
    };
    let (kind, status) = match outcome {
        Outcome::Pending => ("open", "in progress".to_owned()),
        Outcome::Answered(status) if status.is_success() => ("good", status.to_string()),
        Outcome::Answered(status) if status.is_redirection() => ("moved", status.to_string()),
        Outcome::Answered(status) => ("bad", status.to_string()),
        Outcome::Cut => ("bad", "connection cut".to_owned()),
        Outcome::Abandoned => ("bad", "client went away".to_owned()),
    };
    RequestLine { number, at: at.into(), method, target, kind, status, duration: took.map(duration) }
}

fn notification_line((number, delivery): (u64, Delivery)) -> NotificationLine {
    let Delivery { at, destination, url, text, tries, result } = delivery;
    let (kind, status) = match result {
        None => ("open", "on its way".to_owned()),
        Some(Ok(())) => ("good", "delivered".to_owned()),
        Some(Err(problem)) => ("bad", format!("failed: {problem}")),
    };
    NotificationLine { number, at: at.into(), destination, url, text, kind, status, tries }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_page() {
        for (count, wanted, page, last) in [(0, 1, 1, 1), (24, 2, 1, 1), (25, 2, 2, 2), (100, 0, 1, 5), (100, 9, 5, 5)]
        {
            let pages = Pages::of(count, wanted);
            assert_eq!((pages.page, pages.last), (page, last), "{count} pictures, page {wanted}");
        }
    }
}
