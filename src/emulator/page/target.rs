//! What requests are about, without what could open anything to whoever reads it.

use axum::http::Uri;

use super::texts::shorten;

/// Characters that are shown.
const MAX_CHARS: usize = 300;
/// What stands for something secret.
const HIDDEN: &str = "…";
/// Parameters whose values anybody may see; those of others, the signature before all, nobody does.
const OPEN_PARAMETERS: [&str; 5] = ["creator", "exp", "page", "per_page", "sort_order"];

/// Path and query of a request. The id in an upload URL is all that it takes to use it, so it is left out.
pub(super) fn of(uri: &Uri) -> String {
    let mut target = hide_upload(uri.path());
    if let Some(query) = uri.query() {
        let parameters: Vec<_> = query.split('&').map(hide_value).collect();
        target = format!("{target}?{}", parameters.join("&"));
    }
    shorten(&target, MAX_CHARS)
}

fn hide_upload(path: &str) -> String {
    let Some((front, rest)) = path.split_once("/upload/") else { return path.to_owned() };
    let account_hash = rest.split('/').next().unwrap_or_default();
    format!("{front}/upload/{account_hash}/{HIDDEN}")
}

fn hide_value(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if !OPEN_PARAMETERS.contains(&name) => format!("{name}={HIDDEN}"),
        _ => parameter.to_owned(),
    }
}

/// A URL without user, password, query and fragment, where destinations of notifications have their secrets.
pub(super) fn of_url(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else { return HIDDEN.to_owned() };
    let has_query = url.query().is_some();
    // Neither can fail for URLs with a host, and others are no destinations.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    shorten(&format!("{url}{}", if has_query { "?…" } else { "" }), MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_opens_anything_is_left_out() {
        for (uri, want) in [
            (
                "/client/v4/accounts/a/images/v1?page=2&per_page=10",
                "/client/v4/accounts/a/images/v1?page=2&per_page=10",
            ),
            ("/hash/id/public?exp=1&sig=abc", "/hash/id/public?exp=1&sig=…"),
            ("/hash/id/public?sig=abc&token=def&flag", "/hash/id/public?sig=…&token=…&flag"),
            ("/upload/hash/2cdc28f0", "/upload/hash/…"),
            ("/upload/hash/a/b", "/upload/hash/…"),
            ("//upload/hash/2cdc28f0", "//upload/hash/…"),
        ] {
            assert_eq!(of(&uri.parse().unwrap()), want);
        }
    }

    #[test]
    fn destinations_are_shown_without_their_secrets() {
        for (url, want) in [
            ("http://127.0.0.1:8000/hook/", "http://127.0.0.1:8000/hook/"),
            ("https://me:hush@example.com/a?key=hush#hush", "https://example.com/a?…"),
            ("no url", "…"),
        ] {
            assert_eq!(of_url(url), want);
        }
    }

    proptest! {
        #[test]
        fn no_signature_is_shown(path in "(/[a-z%2F]{0,8}){0,5}", sig in "[0-9A-F]{8}", before in "[a-z=&]{0,8}") {
            let uri: Uri = format!("http://host{path}?{before}&sig={sig}&exp=1").parse().unwrap();
            prop_assert!(!of(&uri).contains(&sig));
        }
    }
}
