//! What a client wants to be answered with, by the rules of DRF.

use axum::http::{HeaderMap, header};

use super::ApiError;
use crate::http::media_type;

/// A form of answers that DRF has. Both are answered with JSON here: there are no browsable pages.
struct Renderer {
    media_type: &'static str,
    format: &'static str,
}

const RENDERERS: [Renderer; 2] =
    [Renderer { media_type: "application/json", format: "json" }, Renderer { media_type: "text/html", format: "api" }];

/// What can be answered with, for descriptions.
pub(super) fn media_types() -> impl Iterator<Item = &'static str> {
    RENDERERS.iter().map(|renderer| renderer.media_type)
}

/// Makes sure that there is an answer that the client takes; `format` is that of the path or the query.
///
/// # Errors
/// If the format is unknown, or nothing in `Accept` can be answered with.
pub(super) fn negotiate(headers: &HeaderMap, format: Option<&str>) -> Result<(), ApiError> {
    let format = format.filter(|format| !format.is_empty());
    let renderers: Vec<&Renderer> =
        RENDERERS.iter().filter(|renderer| format.is_none_or(|format| renderer.format == format)).collect();
    if renderers.is_empty() {
        return Err(ApiError::NotFound("Not found.".to_owned()));
    }
    let accepted = accepted(headers);
    let is_accepted =
        |renderer: &&Renderer| accepted.split(',').any(|asked| media_type::matches(renderer.media_type, asked));
    if renderers.iter().any(is_accepted) { Ok(()) } else { Err(ApiError::NotAcceptable) }
}

fn accepted(headers: &HeaderMap) -> String {
    let values: Vec<_> =
        headers.get_all(header::ACCEPT).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    if values.is_empty() { "*/*".to_owned() } else { values.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_answered(accept: Option<&str>, format: Option<&str>) -> bool {
        let headers = accept.map(|accept| (header::ACCEPT, accept.parse().unwrap())).into_iter().collect();
        negotiate(&headers, format).is_ok()
    }

    #[test]
    fn json_and_what_browsers_ask_for_are_answered() {
        for accept in
            [None, Some("*/*"), Some("application/json"), Some("text/html, */*;q=0.1"), Some("image/png,application/*")]
        {
            assert!(is_answered(accept, None), "{accept:?}");
        }
        for accept in ["application/xml", "text/plain", "", "image/*"] {
            assert!(!is_answered(Some(accept), None), "{accept}");
        }
    }

    #[test]
    fn a_format_rules_out_the_others() {
        assert!(is_answered(None, Some("json")) && is_answered(None, Some("api")) && is_answered(None, Some("")));
        assert!(!is_answered(None, Some("xml")) && !is_answered(Some("text/html"), Some("json")));
    }
}
