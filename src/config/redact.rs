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
        // A password that was not encoded, or a parameter: who knows where it ends.
        Some((user, _)) if user.contains(['/', '?', '#', '@']) => return format!("{scheme}://***"),
        Some((user, rest)) => (format!("{}@", redact_user(user)), rest),
        // A password in the place of a port.
        None if !has_plain_port(rest) => return format!("{scheme}://***"),
        None => (String::new(), rest),
    };
    match rest.split_once('?') {
        Some((place, query)) => format!("{scheme}://{user}{place}?{}", redact_query(query)),
        None => format!("{scheme}://{user}{rest}"),
    }
}

fn redact_user(user: &str) -> String {
    user.split_once(':').map_or_else(|| user.to_owned(), |(name, _)| format!("{name}:***"))
}

fn has_plain_port(rest: &str) -> bool {
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port = host.rsplit_once(']').map_or(host, |(_, port)| port).split_once(':');
    port.is_none_or(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
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
            ("postgres://[::1]:5432/shop", "postgres://[::1]:5432/shop"),
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
            "postgres://db/shop?password=a@hunter2",
            "postgres://db:5432/shop?password=a@hunter2",
            "postgres://shop:hunter2/db",
            "mysql://shop:hunter2@db/shop",
            "shop:hunter2@db/shop",
            "hunter2",
        ] {
            let redacted = redact_url(url);
            assert!(!redacted.contains("hunter2"), "{redacted}");
        }
    }
}
