//! From the path of a request to a view, by the rules of Django's URL resolver and DRF's router: paths are compared decoded, may end
//! in a format, and lead to the path with a slash where that is missing.

use std::fmt::Write as _;

use axum::http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::view::View;
use super::{
    cleanup, deletions, delivery_urls, file_uploads, health, html, images, registration, root, stats, transform,
    uploads, usages,
};
use crate::http::query::Query;
use crate::http::rate_limit::RequestGroup;
use crate::webhook;

/// All views of the API, in the order in which they are tried.
const VIEWS: &[&View] = &[
    &root::ROOT,
    &images::IMAGES,
    &images::BY_CLOUDFLARE_ID,
    &deletions::BULK_DELETE,
    &images::BULK_STATUS_CHECK,
    &images::ORPHANS,
    &registration::REGISTER,
    &file_uploads::UPLOAD,
    &images::IMAGE,
    &images::CHECK_STATUS,
    &deletions::DELETE_FROM_CLOUDFLARE,
    &images::LOGS,
    &images::USAGES,
    &delivery_urls::DELIVERY_URL,
    &registration::REMOTE,
    &usages::USAGES,
    &usages::USAGE,
    &uploads::UPLOAD_URL,
    &webhook::WEBHOOK,
    &stats::STATS,
    &transform::TRANSFORM,
    &cleanup::CLEANUP_EXPIRED,
    &health::HEALTH,
    &html::IMAGE,
    &html::PICTURE,
    &html::AVATAR,
    &html::THUMBNAIL,
    &html::GALLERY,
    &html::UPLOAD_FORM,
];

/// Whether a view takes a file that is passed on as it comes, so that nobody may read the form to its end before.
pub(super) fn takes_file(view: &View) -> bool {
    view.path == file_uploads::UPLOAD.path
}

/// What a request to a view is counted as.
pub(super) fn group(view: &View, method: &Method) -> RequestGroup {
    const UPLOADS: [&View; 3] = [&uploads::UPLOAD_URL, &file_uploads::UPLOAD, &registration::REGISTER];
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => RequestGroup::Read,
        _ if view.path == webhook::WEBHOOK.path => RequestGroup::Webhook,
        _ if UPLOADS.iter().any(|upload| upload.path == view.path) => RequestGroup::Upload,
        _ => RequestGroup::Write,
    }
}

/// The views that have a parameter `format` of their own. For all others it is DRF's, and names the form of the answer.
const WITH_OWN_FORMAT: &[&View] = &[&transform::TRANSFORM];

/// What Django leaves as it is where it writes a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// Where the path of a request leads.
#[derive(Debug)]
pub(super) enum Target {
    /// To a view of the API.
    View(Resolved),
    /// To this path, which has the slash that is missing.
    WithSlash(String),
    /// To no view, with or without a slash.
    Nowhere,
}

/// A view, and what the path says beside it.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) view: &'static View,
    /// What stands in the braces of the view's path, decoded.
    pub(super) captured: String,
    /// The format at the end.
    pub(super) format: Option<String>,
    /// The whole path, as Django would write it.
    pub(super) path: String,
}

impl Resolved {
    /// The form of the answer that is asked for, at the end of the path or else in the query.
    pub(super) fn answer_format<'a>(&'a self, query: &'a Query) -> Option<&'a str> {
        let is_own = WITH_OWN_FORMAT.iter().any(|view| view.path == self.view.path);
        self.format.as_deref().or_else(|| if is_own { None } else { query.get("format") })
    }
}

/// Resolves the path of a request to the API below `base`.
pub(super) fn resolve(path: &str, base: &str) -> Target {
    let decoded = decode(path);
    let Some(below) = decoded.strip_prefix(base) else { return Target::Nowhere };
    if let Some((view, captured, format)) = below.strip_prefix('/').and_then(find) {
        let (captured, format) = (captured.to_owned(), format.map(str::to_owned));
        return Target::View(Resolved { view, captured, format, path: encode(&decoded) });
    }
    let with_slash = format!("{below}/");
    match with_slash.strip_prefix('/').and_then(find) {
        Some(_) if !below.ends_with('/') => Target::WithSlash(encode(&format!("{base}{with_slash}"))),
        _ => Target::Nowhere,
    }
}

fn find(path: &str) -> Option<(&'static View, &str, Option<&str>)> {
    VIEWS.iter().find_map(|view| {
        let plain = view.captured(path).map(|captured| (*view, captured, None));
        plain.or_else(|| view.captured_with_suffix(path).map(|(captured, format)| (*view, captured, Some(format))))
    })
}

/// Decodes a path; bytes that are no UTF-8 stay encoded.
fn decode(path: &str) -> String {
    let bytes: Vec<u8> = percent_decode_str(path).collect();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

fn encode(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(path: &str) -> String {
        match resolve(path, "/p/api") {
            Target::View(Resolved { view, captured, format, .. }) => {
                format!("{} [{captured}] {}", view.path, format.unwrap_or_default())
            }
            Target::WithSlash(path) => format!("-> {path}"),
            Target::Nowhere => "nowhere".to_owned(),
        }
    }

    #[test]
    fn paths_lead_where_django_leads_them() {
        for (path, want) in [
            ("/p/api/", " [] "),
            ("/p/api/.json", " [] json"),
            ("/p/api", "-> /p/api/"),
            ("/p/api/images/", "images/ [] "),
            ("/p/api/images%2F", "images/ [] "),
            ("/p/api/images.json", "images/ [] json"),
            ("/p/api/images/abc/", "images/{id}/ [abc] "),
            ("/p/api/images/abc.json/", "images/{id}/ [abc] json"),
            ("/p/api/images/orphans/", "images/orphans/ [] "),
            ("/p/api/images/upload/", "images/upload/ [] "),
            ("/p/api/images/orphans.json", "images/orphans/ [] json"),
            ("/p/api/images/x/logs", "-> /p/api/images/x/logs/"),
            (
                "/p/api/images/by-cloudflare-id/caf%C3%A9/%E2%9C%93/",
                "images/by-cloudflare-id/{cloudflare_id}/ [café/✓] ",
            ),
            ("/p/api/images/by-cloudflare-id/a.json/", "images/by-cloudflare-id/{cloudflare_id}/ [a.json] "),
            ("/p/api/images/by-cloudflare-id/a.json", "images/by-cloudflare-id/{cloudflare_id}/ [a] json"),
            ("/p/api/images/by-cloudflare-id/x/logs/", "images/by-cloudflare-id/{cloudflare_id}/ [x/logs] "),
            ("/p/api/images/by-cloudflare-id/", "images/{id}/ [by-cloudflare-id] "),
            ("/p/api/images/by-cloudflare-id/a%0Ab/", "nowhere"),
            ("/p/api/images/a%FFb/", "images/{id}/ [a%FFb] "),
            ("/p/api/upload-url.json", "nowhere"),
            ("/p/api/upload-url", "-> /p/api/upload-url/"),
            ("/p/api/Images/", "nowhere"),
            ("/p/api/images//", "nowhere"),
            ("/p/api/nope", "nowhere"),
            ("/p/", "nowhere"),
            ("/other/api/images/", "nowhere"),
        ] {
            assert_eq!(target(path), want, "{path}");
        }
    }

    #[test]
    fn what_separates_parameters_is_encoded_in_paths() {
        assert_eq!(target("/p/api/images/a;b=c,d:e@f+g"), "-> /p/api/images/a%3Bb%3Dc,d:e@f+g/");
    }

    #[test]
    fn no_two_views_have_the_same_path() {
        let paths: std::collections::HashSet<_> = VIEWS.iter().map(|view| view.path).collect();
        assert_eq!(paths.len(), VIEWS.len());
    }

    proptest! {
        #[test]
        fn no_path_makes_the_resolver_panic(path in "/p/api/(images/|by-cloudflare-id/|[a-z.%/0-9]|\\PC)*") {
            target(&path);
        }
    }
}
