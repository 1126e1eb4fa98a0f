use std::net::IpAddr;

use reqwest::Url;

/// Whether a URL leads to this machine alone: to `localhost`, or to a loopback address.
pub fn is_loopback_url(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://localhost:1",
            "http://LOCALHOST/",
            "http://127.9.9.9",
            "https://[::1]:1/a",
            "http://[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback_url(url), "{url}");
        }
        for url in [
            "https://emu.example.com",
            "http://localhost.example.com",
            "http://0.0.0.0",
            "http://192.0.2.1",
            "127.0.0.1",
            "",
        ] {
            assert!(!is_loopback_url(url), "{url}");
        }
    }
}
