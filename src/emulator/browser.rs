//! What the headers of a request tell of the browser.

use axum::http::{HeaderMap, header};

use super::transform::Browser;

impl From<&HeaderMap> for Browser {
    fn from(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
        let number = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok()).filter(|n| *n > 0.0);
        let is_slow = number("rtt").is_some_and(|rtt| rtt > 150.0)
            || text("save-data").is_some_and(|value| value.eq_ignore_ascii_case("on"))
            || text("ect").is_some_and(|ect| matches!(ect, "slow-2g" | "2g" | "3g"))
            || number("downlink").is_some_and(|downlink| downlink < 5.0);
        let width = ["sec-ch-width", "width", "sec-ch-viewport-width", "viewport-width"].into_iter().find_map(number);
        Self {
            accepts_webp: accepts_webp(headers),
            is_slow,
            is_mobile: text("user-agent").is_some_and(|agent| agent.contains("Mobi")),
            width: width.map(whole),
        }
    }
}

/// Whether WebP is named: browsers say `*/*` too, and so do programs that know nothing of it.
fn accepts_webp(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_webp = parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("image/webp"));
        let is_refused = |part: &str| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        is_webp && !parts.any(is_refused)
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive number, which saturates")]
fn whole(pixels: f64) -> u32 {
    pixels.ceil() as u32
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn browser(headers: &[(&'static str, &'static str)]) -> Browser {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Browser::from(&pairs.collect::<HeaderMap>())
    }

    #[test]
    fn webp_is_for_those_who_name_it() {
        for (accept, want) in [
            ("image/avif,image/webp,image/apng,*/*;q=0.8", true),
            ("image/png, Image/WebP;q=0.5", true),
            ("image/webp;q=0", false),
            ("image/*,*/*", false),
            ("", false),
        ] {
            assert_eq!(browser(&[("accept", accept)]).accepts_webp, want, "{accept}");
        }
    }

    #[test]
    fn connections_are_slow_where_a_hint_says_so() {
        for (name, value, want) in [
            ("rtt", "151", true),
            ("rtt", "150", false),
            ("save-data", "on", true),
            ("save-data", "off", false),
            ("ect", "3g", true),
            ("ect", "4g", false),
            ("downlink", "4.9", true),
            ("downlink", "nonsense", false),
        ] {
            assert_eq!(browser(&[(name, value)]).is_slow, want, "{name}: {value}");
        }
    }

    #[test]
    fn the_width_of_the_picture_goes_before_that_of_the_window() {
        assert_eq!(browser(&[("viewport-width", "1200"), ("sec-ch-width", "319.5")]).width, Some(320));
        assert_eq!(browser(&[("sec-ch-viewport-width", "1200")]).width, Some(1200));
        assert_eq!(browser(&[("sec-ch-width", "-1")]).width, None);
        assert!(browser(&[("user-agent", "Mozilla/5.0 (Linux; Android 16) Mobile Safari/537.36")]).is_mobile);
        assert!(!browser(&[("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")]).is_mobile);
    }
}
