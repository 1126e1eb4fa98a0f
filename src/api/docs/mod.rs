//! The description of the API as a page for people, at `docs/`. It needs neither scripts nor anything of another site.

mod markdown;
mod page;
mod schema;

use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::extract::Extension;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;
use tracing::error;

use crate::http::EntityTag;
use page::DocsPage;

/// Our own style sheets and logo alone; no scripts, no frames.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page, which is written when it is asked for the first time, and kept. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Docs(Arc<Source>);

#[derive(Debug)]
struct Source {
    url_prefix: String,
    document: Value,
    written: OnceLock<Option<(Bytes, EntityTag)>>,
}

impl Docs {
    /// The page of a document, for a server that has everything below a prefix.
    pub fn new(url_prefix: &str, document: &utoipa::openapi::OpenApi) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        Self(Arc::new(Source { url_prefix: url_prefix.to_owned(), document, written: OnceLock::new() }))
    }

    fn written(&self) -> Option<&(Bytes, EntityTag)> {
        let Source { url_prefix, document, written } = self.0.as_ref();
        let write = || match DocsPage::new(url_prefix, document).render() {
            Ok(html) => {
                let html = Bytes::from(html);
                let tag = EntityTag::of(&html);
                Some((html, tag))
            }
            Err(cause) => {
                error!(error = %cause, "The page that describes the API cannot be written: {cause}");
                None
            }
        };
        written.get_or_init(write).as_ref()
    }
}

/// Shows the page, or says that the client has it already.
pub async fn show_docs(Extension(docs): Extension<Docs>, headers: HeaderMap) -> Response {
    let Some((html, tag)) = docs.written() else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let about = [
        (header::ETAG, tag.clone().into()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    ];
    if tag.is_known(&headers) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html.clone()).into_response()
}
