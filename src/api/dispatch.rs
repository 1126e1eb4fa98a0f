//! What happens to a request before its handler and after it, in the order of Django and DRF: the URL is resolved, the form of the
//! answer is negotiated, the user is identified and checked, and then the method decides.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower::ServiceExt;

use super::auth::{Authentication, Identity};
use super::error::DjangoPage;
use super::upload_body::TakesFile;
use super::urls::{self, Resolved, Target};
use super::view::{Access, View, ViewContext};
use super::{ApiError, metadata, negotiation, not_found_page};
use crate::domain::User;
use crate::http::RequestContext;
use crate::http::access_log::{ChosenRoute, record_user};
use crate::http::query::Query;
use crate::http::rate_limit::{Caller, RateLimits};

/// The API: its handlers, and what holds for all of them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    /// The path of the API, without a slash at the end.
    base: Arc<str>,
    authentication: Authentication,
    limits: RateLimits,
    /// The handlers of the views, at their plain paths.
    handlers: Router,
}

/// What is known of a request after it was let in or turned away.
struct Answer {
    response: Response,
    /// Whether anything but `Accept` could have made a difference.
    looked_at_cookies: bool,
}

impl Api {
    /// The API below `base`, whose views are answered by `handlers`.
    pub fn new(base: &str, authentication: Authentication, limits: RateLimits, handlers: Router) -> Self {
        Self { base: base.into(), authentication, limits, handlers }
    }

    /// Answers a request.
    pub async fn answer(self, request: Request) -> Response {
        match urls::resolve(request.uri().path(), &self.base) {
            Target::View(resolved) => self.answer_view(resolved, request).await,
            Target::WithSlash(path) => redirect(request.method(), &path, request.uri().query()),
            Target::Nowhere => not_found_page(),
        }
    }

    async fn answer_view(&self, resolved: Resolved, request: Request) -> Response {
        let view = resolved.view;
        if let Some(route) = request.extensions().get::<ChosenRoute>() {
            route.set(format!("{}/{}", self.base, view.path).into());
        }
        let mut answer = match Query::parse(request.uri().query().unwrap_or_default()) {
            Ok(query) => self.let_in(resolved, query, request).await,
            Err(_) => Answer { response: ApiError::BadRequestPage.into_response(), looked_at_cookies: false },
        };
        add_headers(&mut answer, view);
        answer.response
    }

    async fn let_in(&self, resolved: Resolved, query: Query, mut request: Request) -> Answer {
        let view = resolved.view;
        if let Err(error) = negotiation::negotiate(request.headers(), resolved.answer_format(&query)) {
            return Answer { response: error.into_response(), looked_at_cookies: false };
        }
        let group = urls::group(view, request.method());
        let address = Caller::address(request.extensions().get());
        if let Err(throttled) = self.limits.check(group, address) {
            return Answer { response: ApiError::from(throttled).into_response(), looked_at_cookies: false };
        }
        if urls::takes_file(view) {
            request.extensions_mut().insert(TakesFile);
        }
        let (request, Identity { result, looked_at_cookies }) = match view.access {
            Access::Anybody => (request, Identity::nobody(&self.authentication)),
            Access::Users | Access::Staff => self.authentication.identify(request).await,
        };
        let user = result.map_err(|error| ApiError::of_auth(error, self.authentication.challenge()));
        let permitted = user.and_then(|user| self.permit(view, user));
        let sender = permitted.as_ref().ok().and_then(Option::as_ref).map(|user| Caller::User(user.id));
        let counted = self.limits.count(group, sender.or(address)).map_err(ApiError::from);
        let response = match permitted.and_then(|user| counted.map(|()| user)) {
            Ok(user) => self.respond(resolved, user, query, request).await,
            Err(error) => error.into_response(),
        };
        Answer { response, looked_at_cookies }
    }

    fn permit(&self, view: &View, user: Option<User>) -> Result<Option<User>, ApiError> {
        match (view.access, user) {
            (Access::Anybody, user) => Ok(user),
            (_, None) => Err(ApiError::not_provided(self.authentication.challenge())),
            (Access::Staff, Some(user)) if !user.is_staff => Err(ApiError::PermissionDenied),
            (_, Some(user)) => Ok(Some(user)),
        }
    }

    async fn respond(&self, resolved: Resolved, user: Option<User>, query: Query, mut request: Request) -> Response {
        let view = resolved.view;
        let method = request.method().clone();
        if !view.allows(&method) {
            return ApiError::MethodNotAllowed(method).into_response();
        }
        if let Some(user) = &user {
            record_user(user.id);
        }
        let origin = request.extensions().get::<RequestContext>().map_or("", |context| &context.origin);
        let context = ViewContext { user, url: format!("{origin}{}", resolved.path), query, suffix: resolved.format };
        if let Err(error) = set_path(&mut request, &self.plain_path(view, &resolved.captured)) {
            return error.into_response();
        }
        request.extensions_mut().insert(context);
        if method == Method::OPTIONS {
            return self.describe(view, request).await;
        }
        self.handle(request).await
    }

    /// The fields of a `PUT` are described only where there is something to put to.
    async fn describe(&self, view: &View, mut request: Request) -> Response {
        let has_target = if view.describes_image && view.methods.contains(&"PUT") {
            *request.method_mut() = Method::GET;
            self.handle(request).await.status() == StatusCode::OK
        } else {
            true
        };
        metadata::describe(view, has_target).into_response()
    }

    /// The path that axum routes by: what stands in the braces is one segment, whatever it holds.
    fn plain_path(&self, view: &View, captured: &str) -> String {
        let braces = view.path.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?.1)));
        match braces {
            Some((before, after)) => {
                format!("{}/{before}{}{after}", self.base, utf8_percent_encode(captured, NON_ALPHANUMERIC))
            }
            // axum takes the slash away from the root of what is nested.
            None if view.path.is_empty() => self.base.to_string(),
            None => format!("{}/{}", self.base, view.path),
        }
    }

    async fn handle(&self, request: Request) -> Response {
        self.handlers.clone().oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}

/// The headers of DRF; Django's own pages have only what sessions add.
fn add_headers(answer: &mut Answer, view: &View) {
    let is_page = answer.response.extensions().get::<DjangoPage>().is_some();
    let headers = answer.response.headers_mut();
    let vary = match (is_page, answer.looked_at_cookies) {
        (false, true) => "Accept, Cookie",
        (false, false) => "Accept",
        (true, true) => "Cookie",
        (true, false) => return,
    };
    headers.insert(header::VARY, HeaderValue::from_static(vary));
    if !is_page && let Ok(allow) = HeaderValue::from_str(&view.allow()) {
        headers.insert(header::ALLOW, allow);
    }
}

fn set_path(request: &mut Request, path: &str) -> Result<(), ApiError> {
    let not_found = || ApiError::NotFound("Not found.".to_owned());
    let path = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).map_err(|_| not_found())?);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| not_found())?;
    Ok(())
}

/// Sends the client to the same URL with a slash at the end. Methods with a body keep method and body.
fn redirect(method: &Method, path: &str, query: Option<&str>) -> Response {
    let location = match query {
        Some(query) if !query.is_empty() => format!("{path}?{query}"),
        _ => path.to_owned(),
    };
    let status = match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    (status, [(header::LOCATION, location), (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned())])
        .into_response()
}
