//! The admin site, for people: HTML below `<prefix>/admin/`.
//!
//! A page is a file here with its handlers and the structs of its templates, which are in `templates/admin/` under the same name.
//! `Staff` says who is signed in, `StaffForm` reads what a page sends and is the only way to change something, and
//! `PageError` becomes a page in the look of the others. All of it works without scripts; htmx spares reloads where it is there.

mod cursor;
mod dashboard;
mod error;
mod forms;
mod image;
mod images;
mod list;
mod logs;
mod page;
mod picture;
mod repairs;
mod runs;
mod sessions;
mod settings;
mod sign_in;
mod staff;
mod text;
mod upload;
mod usages;
mod users;
mod webhooks;
mod workbench;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use tower_http::catch_panic::CatchPanicLayer;

use self::error::PageError;
use self::forms::{StaffForm, SuperuserForm};
use self::staff::{Staff, Superuser};
use crate::config::EffectiveValue;
use crate::domain::Timestamp;
use crate::http::assets::hashed_name;
use crate::http::rate_limit::RateLimits;
use crate::http::timeout::AnswerDeadline;
use crate::service::{Accounts, CloudflareService, DjangoSessions, ImageLinks};

/// Where Cloudflare delivers pictures from that are on no domain of the account's own.
const CLOUDFLARE_DELIVERY: &str = "https://imagedelivery.net";

/// What the pages need. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    /// The path of the whole service, without a slash at the end.
    prefix: Arc<str>,
    accounts: Accounts,
    service: CloudflareService,
    links: ImageLinks,
    django: Option<DjangoSide>,
    policy: HeaderValue,
    /// The policy of the page that sends files from the browser to Cloudflare.
    upload_policy: HeaderValue,
    settings: Arc<[EffectiveValue]>,
    limits: RateLimits,
    started_at: Timestamp,
}

/// The Django beside us, whose staff need not sign in again. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DjangoSide {
    /// Its sessions.
    pub sessions: DjangoSessions,
    /// The cookie that names a session.
    pub cookie: Arc<str>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Admin").field(&self.prefix).finish()
    }
}

impl Admin {
    /// The admin site of a service whose pictures are shown from `delivery_url`, where it has a domain of its own. `settings` are
    /// those in effect, without secrets.
    #[expect(clippy::too_many_arguments, reason = "each is a part of its own, and they come together here alone")]
    pub fn new(
        prefix: &str,
        accounts: Accounts,
        service: CloudflareService,
        links: ImageLinks,
        django: Option<DjangoSide>,
        delivery_url: Option<&str>,
        settings: Arc<[EffectiveValue]>,
        limits: RateLimits,
    ) -> Self {
        let policy = content_security_policy(delivery_url, "", "");
        // The browser sends files there, and shows what it sends.
        let upload_policy = content_security_policy(delivery_url, &format!(" {}", service.upload_origin()), " blob:");
        let started_at = service.clock().now();
        let prefix = prefix.into();
        Self { prefix, accounts, service, links, django, policy, upload_policy, settings, limits, started_at }
    }

    /// The path of a page, `images/` for one.
    fn path(&self, page: &str) -> String {
        format!("{}/admin/{page}", self.prefix)
    }

    /// The path of a static file, which changes with its content.
    fn asset(&self, name: &str) -> String {
        format!("{}/static/{}", self.prefix, hashed_name(name))
    }

    /// Whether a Django has its own site at `/` and `/admin/`.
    pub fn is_beside_django(&self) -> bool {
        self.django.is_some()
    }

    /// The path of the first page.
    pub fn home(&self) -> String {
        self.path("")
    }
}

/// No inline scripts and styles, nothing from elsewhere but pictures; and what else may be connected to, and shown.
fn content_security_policy(delivery_url: Option<&str>, connections: &str, pictures: &str) -> HeaderValue {
    let delivery = delivery_url.map(|url| format!(" {url}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' {CLOUDFLARE_DELIVERY}{delivery}{pictures}; \
         connect-src 'self'{connections}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    // The configuration takes no URL that a header would not.
    HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
}

/// Every URL of the admin site.
pub fn router<S>(admin: Admin) -> Router<S> {
    let at = |page: &str| admin.path(page);
    Router::new()
        .route(at("").trim_end_matches('/'), get(add_slash))
        .route(&at(""), get(dashboard::show))
        .route(&at("images/"), get(images::list))
        .route(&at("images/bulk/"), get(images::bulk::ask_nothing).post(images::bulk::ask))
        .route(&at("images/bulk/start/"), post(images::bulk::start))
        .route(&at("images/export.csv"), get(images::export::csv))
        .route(&at("images/export.json"), get(images::export::json))
        .route(&at("images/{id}/"), get(image::show))
        .route(&at("images/{id}/check-status/"), post(image::check_status))
        .route(&at("images/{id}/mark-expired/"), post(image::mark_expired))
        .route(&at("images/{id}/privacy/"), get(image::ask_to_change_privacy).post(image::change_privacy))
        .route(&at("images/{id}/edit/"), get(image::show_editor).post(image::edit))
        .route(&at("images/{id}/delete/"), get(image::ask_to_delete).post(image::delete))
        .route(&at("images/{id}/cloudflare/"), get(image::show_raw))
        .route(&at("runs/"), get(runs::list))
        .route(&at("runs/{id}/"), get(runs::show))
        .route(&at("runs/{id}/stop/"), post(runs::stop))
        .route(&at("runs/{id}/retry/"), post(runs::retry))
        .route(&at("logs/"), get(logs::list))
        .route(&at("usages/"), get(usages::list))
        .route(&at("webhooks/"), get(webhooks::list))
        .route(&at("webhooks/{id}/"), get(webhooks::show))
        .route(&at("repairs/"), get(repairs::list))
        .route(&at("repairs/try/"), post(repairs::try_now))
        .route(&at("repairs/try-all/"), post(repairs::try_all))
        .route(&at("repairs/give-up/"), get(repairs::ask_to_give_up).post(repairs::give_up))
        .route(&at("users/"), get(users::list))
        .route(&at("users/{id}/"), get(users::show))
        .route(&at("users/{id}/create-token/"), post(users::create_token))
        .route(&at("users/{id}/reveal-token/"), post(users::reveal_token))
        .route(&at("users/{id}/rotate-token/"), get(users::ask_to_rotate).post(users::rotate_token))
        .route(&at("users/{id}/revoke-token/"), get(users::ask_to_revoke).post(users::revoke_token))
        .route(&at("settings/"), get(settings::show))
        .route(&at("sign-in/"), get(sign_in::show).post(sign_in::submit))
        .route(&at("sign-out/"), post(sign_in::sign_out))
        .route(&at("sessions/"), get(sessions::list))
        .route(&at("sessions/end/"), post(sessions::end))
        .route(&at("sessions/end-others/"), post(sessions::end_others))
        .route(&at("upload/"), get(upload::show).post(upload::submit))
        .route(&at("upload/url/"), post(upload::create_url))
        .route(&at("upload/from-url/"), post(upload::fetch))
        .route(&at("workbench/"), get(workbench::show))
        .route(&at("{*path}"), any(unknown_path))
        .method_not_allowed_fallback(async || PageError::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(admin.clone(), finish))
        .with_state(admin)
}

async fn add_slash(uri: Uri) -> Redirect {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Redirect::permanent(&format!("{}/{query}", uri.path()))
}

async fn unknown_path(method: Method, uri: Uri) -> Response {
    // A path with two slashes at its beginning would lead to another host.
    let lacks_slash = method == Method::GET && !uri.path().ends_with('/') && !uri.path().starts_with("//");
    if lacks_slash { add_slash(uri).await.into_response() } else { PageError::NotFound.into_response() }
}

/// Turns errors into pages, and adds what every answer bears.
async fn finish(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let is_script = request.headers().get(header::ACCEPT).is_some_and(|accept| accept == "application/json");
    // A little before the whole service gives the request up, with an answer that is no page.
    let deadline = request.extensions().get::<AnswerDeadline>().copied();
    let response = match deadline {
        Some(AnswerDeadline(deadline)) => tokio::time::timeout_at(deadline, next.run(request))
            .await
            .unwrap_or_else(|_| PageError::TookTooLong.into_response()),
        None => next.run(request).await,
    };
    let mut response = error::as_page(&admin, is_script, response);
    add_headers(response.headers_mut(), &admin.policy);
    response
}

fn add_headers(headers: &mut HeaderMap, policy: &HeaderValue) {
    // A page that needs more has a policy of its own.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert_with(|| policy.clone());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin"));
}
