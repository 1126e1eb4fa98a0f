//! Media types in `Content-Type` and `Accept`, by the rules of DRF, and codings in `Accept-Encoding`.

use axum::http::{HeaderMap, header};

/// A longer value is no media type at all.
const MAX_LENGTH: usize = 10_000;

/// Whether a media type that somebody asks for, such as `application/*; q=0.5`, takes in one that is known. Parameters of what is
/// asked for do not count.
pub fn matches(known: &str, asked: &str) -> bool {
    let (known_type, known_subtype) = parts(known);
    let (asked_type, asked_subtype) = parts(asked);
    let fits = |known: &str, asked: &str| asked == "*" || asked.eq_ignore_ascii_case(known);
    fits(known_type, asked_type) && fits(known_subtype, asked_subtype)
}

fn parts(media_type: &str) -> (&str, &str) {
    if media_type.len() > MAX_LENGTH {
        return ("", "");
    }
    let full = media_type.split(';').next().unwrap_or_default().trim();
    full.split_once('/').unwrap_or((full, ""))
}

/// Whether a client takes a coding of bodies: `Accept-Encoding` names it, and not with a weight of zero.
pub fn accepts_coding(headers: &HeaderMap, coding: &str) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|offer| {
        let (name, weight) = offer.split_once(';').unwrap_or((offer, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok());
        name.trim().eq_ignore_ascii_case(coding) && weight.is_some_and(|weight| weight > 0.0)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn codings_are_taken_where_they_are_named_with_a_weight() {
        let accepts = |value: &'static str| {
            let headers = [(header::ACCEPT_ENCODING, HeaderValue::from_static(value))];
            accepts_coding(&headers.into_iter().collect(), "gzip")
        };
        for value in ["gzip", "deflate, GZIP;q=0.5", "br, gzip ; q=1"] {
            assert!(accepts(value), "{value}");
        }
        for value in ["", "gzip;q=0", "deflate", "gzip;q=x", "xgzip"] {
            assert!(!accepts(value), "{value}");
        }
        assert!(!accepts_coding(&HeaderMap::new(), "gzip"));
    }

    #[test]
    fn wildcards_and_parameters_are_understood() {
        for asked in [
            "application/json",
            "*/*",
            "application/*",
            "*/json",
            " Application/JSON ; q=0.1",
            "application/json;indent=4",
        ] {
            assert!(matches("application/json", asked), "{asked}");
        }
        let long = format!("application/json; {}", "x".repeat(10_000));
        for asked in ["", "json", "*", "application/xml", "text/*", "application", "application/json/x", &long] {
            assert!(!matches("application/json", asked), "{asked}");
        }
    }
}
