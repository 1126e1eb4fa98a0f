//! Which pages of other origins may use the API (CORS). Browsers ask before they let a page send what a form could not, and before
//! they show it an answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::config::CorsOrigins;

/// How many seconds browsers may go on without asking again.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// What pages may read beside what they always may.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("Allow, ETag, Location, Retry-After, WWW-Authenticate, X-Request-Id");
const ANY: HeaderValue = HeaderValue::from_static("*");

/// What is granted to whom.
#[derive(Debug)]
pub struct CorsRules {
    origins: CorsOrigins,
    /// The path of the API, without a slash at the end.
    api: String,
    /// What pages may send.
    headers: HeaderValue,
}

impl CorsRules {
    /// The rules for the API below `api`; nothing where nobody is granted anything. `csrf_header` is what carries the token against
    /// forged requests.
    pub fn new(origins: &CorsOrigins, api: String, csrf_header: &HeaderName) -> Option<Self> {
        if *origins == CorsOrigins::default() {
            return None;
        }
        let headers = format!("Accept, Authorization, Content-Type, If-None-Match, X-Requested-With, {csrf_header}");
        let headers = HeaderValue::from_str(&headers).ok()?;
        Some(Self { origins: origins.clone(), api, headers })
    }

    fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&self.api).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// What the answer to pages of this origin says, if they may read it.
    fn grant(&self, origin: &HeaderValue) -> Option<Grant> {
        match &self.origins {
            CorsOrigins::Any => Some(Grant { origin: ANY, with_cookies: false }),
            CorsOrigins::Listed(origins) => {
                let is_listed = origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
                is_listed.then(|| Grant { origin: origin.clone(), with_cookies: true })
            }
        }
    }
}

struct Grant {
    origin: HeaderValue,
    with_cookies: bool,
}

impl Grant {
    fn write(self, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, self.origin);
        if self.with_cookies {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// Answers browsers that ask what pages of another origin may send, before anybody has to prove who they are, and says which answers
/// such pages may read. Whether a request is let in is decided elsewhere, as for all.
pub async fn share_with_origins(State(rules): State<Arc<CorsRules>>, request: Request, next: Next) -> Response {
    if !rules.covers(request.uri().path()) {
        return next.run(request).await;
    }
    let grant = request.headers().get(header::ORIGIN).and_then(|origin| rules.grant(origin));
    let is_question = is_question(&request);
    let mut response = match grant {
        Some(grant) if is_question => answer(&rules, grant),
        Some(grant) => {
            let mut response = next.run(request).await;
            grant.write(response.headers_mut());
            response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
            response
        }
        None => next.run(request).await,
    };
    if rules.origins != CorsOrigins::Any {
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

/// Whether a browser asks on its own (a preflight), as opposed to a client that wants the description of a URL.
fn is_question(request: &Request) -> bool {
    request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn answer(rules: &CorsRules, grant: Grant) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    grant.write(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, rules.headers.clone());
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    response
}
