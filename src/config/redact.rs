//! Texts with what is secret taken out.

/// Parameters of a URL that are no secrets. All others are hidden, so that a new one cannot leak.
const PLAIN_PARAMETERS: &[&str] = &["application_name", "dbname", "host", "port", "sslmode", "sslrootcert", "user"];

/// A URL, such as that of a database, without its password.
///
/// The URL may be malformed, as when a password with `@` or `/` was not percent-encoded: everything that may belong to the
/// password is hidden.
pub(super) fn redact_url(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let Some((scheme, rest)) = url.split_once("://") else { return "***".to_owned() };
    let (user, rest) = match rest.rsplit_once('@') {
        Some((user, rest)) => (redact_user(user) + "@", rest),
        None => (String::new(), rest),
    };
    match rest.split_once('?') {
        Some((place, query)) => format!("{scheme}://{user}{place}?{}", redact_query(query)),
        None => format!("{scheme}://{user}{rest}"),
    }
}

fn redact_user(user: &str) -> String {
    match user.split_once(':') {
        Some((name, _)) if is_name(name) => format!("{name}:***"),
        None if is_name(user) => user.to_owned(),
        _ => "***".to_owned(),
    }
}

fn is_name(user: &str) -> bool {
    !user.contains(['/', '?', '#', '@'])
}

fn redact_query(query: &str) -> String {
    let parameters = query.split('&').map(|parameter| match parameter.split_once('=') {
        Some((key, _)) if PLAIN_PARAMETERS.contains(&key) => parameter.to_owned(),
        Some((key, _)) => format!("{key}=***"),
        None => "***".to_owned(),
    });
    parameters.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_password_is_shown() {
        let cases = [
            ("postgres://shop:hunter2@db:5432/shop", "postgres://shop:***@db:5432/shop"),
            ("postgres://shop@db/shop", "postgres://shop@db/shop"),
            ("postgres:///shop?host=/run/pg&sslmode=require", "postgres:///shop?host=/run/pg&sslmode=require"),
            ("postgres://db/shop?user=shop&password=hunter2", "postgres://db/shop?user=shop&password=***"),
            ("postgres://db/shop?PASSWORD=hunter2&hunter2", "postgres://db/shop?PASSWORD=***&***"),
            ("sqlite://cfimages.db?mode=ro", "sqlite://cfimages.db?mode=ro"),
            ("sqlite::memory:", "sqlite::memory:"),
        ];
        for (url, want) in cases {
            assert_eq!(redact_url(url), want);
        }
    }

    #[test]
    fn malformed_urls_hide_the_password_too() {
        for url in [
            "postgres://shop:hunter2@hunter2@db/shop",
            "postgres://shop:hun/hunter2@db/shop",
            "postgres://shop:h?hunter2@db/shop",
            "postgres://shop:h#hunter2@db/shop",
            "postgres://db/shop?password=hunter2@x",
            "postgres://db/shop?password=hunter2:@x",
            "mysql://shop:hunter2@db/shop",
            "shop:hunter2@db/shop",
            "hunter2",
        ] {
            let redacted = redact_url(url);
            assert!(!redacted.contains("hunter2"), "{redacted}");
        }
    }
}
