//! Settings that are each right, and a danger together: what the server refuses to start with, and what it warns of.

use std::net::{IpAddr, SocketAddr};

use secrecy::ExposeSecret;

use super::Config;
use super::auth::AuthConfig;
use super::cloudflare::CloudflareConfig;
use super::cors::CorsOrigins;
use super::problem::Problem;
use super::server::ServerConfig;
use super::settings::{
    CFIMAGES_ALLOWED_HOSTS, CFIMAGES_AUTH_ORDER, CFIMAGES_CORS_ORIGINS, CFIMAGES_DJANGO_SECRET_KEY,
    CFIMAGES_METRICS_LISTEN, CFIMAGES_TRUSTED_PROXIES, CLOUDFLARE_IMAGES_ALLOW_EMULATOR, CLOUDFLARE_IMAGES_BASE_URL,
    CLOUDFLARE_IMAGES_WEBHOOK_ALLOW_UNSIGNED, CLOUDFLARE_IMAGES_WEBHOOK_SECRET,
};
use super::values::Values;
use super::webhook::WebhookConfig;
use crate::domain::is_loopback_url;

/// The parts of a configuration that can be dangerous together; `None` where one is wrong, which is told elsewhere.
pub(super) struct Parts<'a> {
    pub(super) server: Option<&'a ServerConfig>,
    pub(super) auth: Option<&'a AuthConfig>,
    pub(super) webhook: Option<&'a WebhookConfig>,
    pub(super) cloudflare: Option<&'a CloudflareConfig>,
}

/// Why the server must not be run like this, unless somebody says that it is on purpose.
pub(super) fn refusals(values: &Values, parts: &Parts<'_>) -> Vec<Problem> {
    let mut problems = values.placeholders();
    problems.extend(sessions_without_key(values, parts));
    problems.extend(unsigned_webhooks(values, parts));
    problems.extend(public_emulator(parts));
    problems.extend(everybody_a_proxy(parts));
    problems
}

/// Sessions alone, which nothing could check, would let nobody in.
fn sessions_without_key(values: &Values, parts: &Parts<'_>) -> Option<Problem> {
    if !parts.auth?.lacks_secret_key() || values.is_set(&CFIMAGES_DJANGO_SECRET_KEY) {
        return None;
    }
    let message = format!("is required where {} has sessions alone", CFIMAGES_AUTH_ORDER.name);
    Some(Problem::of(CFIMAGES_DJANGO_SECRET_KEY.name, message))
}

/// Strangers could change images by forged webhooks, so to let them must be somebody's decision.
fn unsigned_webhooks(values: &Values, parts: &Parts<'_>) -> Option<Problem> {
    let (server, webhook) = (parts.server?, parts.webhook?);
    if server.is_loopback() || webhook.allow_unsigned || values.is_set(&CLOUDFLARE_IMAGES_WEBHOOK_SECRET) {
        return None;
    }
    let (listen, allow) = (server.listen, CLOUDFLARE_IMAGES_WEBHOOK_ALLOW_UNSIGNED.name);
    let message = format!("is required to listen on {listen}; to believe webhooks of anybody, set {allow}=true");
    Some(Problem::of(CLOUDFLARE_IMAGES_WEBHOOK_SECRET.name, message))
}

/// A site would seem to work, and keep its pictures in a tool for development.
fn public_emulator(parts: &Parts<'_>) -> Option<Problem> {
    let (server, cloudflare) = (parts.server?, parts.cloudflare?);
    if server.is_loopback() || !cloudflare.is_emulator() || cloudflare.allow_emulator {
        return None;
    }
    let (url, listen, allow) = (&cloudflare.base_url, server.listen, CLOUDFLARE_IMAGES_ALLOW_EMULATOR.name);
    let message = format!(
        "{url} is an emulator, and others can reach {listen}; to run a site of pictures for trying only, set {allow}=true"
    );
    Some(Problem::of(CLOUDFLARE_IMAGES_BASE_URL.name, message))
}

/// Whoever comes could say to come from anywhere: limits, addresses of webhooks and logs would mean nothing.
fn everybody_a_proxy(parts: &Parts<'_>) -> Option<Problem> {
    let server = parts.server?;
    if server.is_loopback() || !server.trusted_proxies.hold_everybody() {
        return None;
    }
    let message =
        format!("everybody would be believed about addresses on {}; name the proxy's own network", server.listen);
    Some(Problem::of(CFIMAGES_TRUSTED_PROXIES.name, message))
}

impl Config {
    /// What may be on purpose and should be known, a sentence each, for when the server starts.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.webhook.accepts_unsigned() {
            let secret = CLOUDFLARE_IMAGES_WEBHOOK_SECRET.name;
            warnings.push(format!("No {secret} is set: every well-formed webhook is accepted, whoever sends it"));
        }
        if let Ok(cloudflare) = self.cloudflare()
            && cloudflare.is_emulator()
            && !is_loopback_url(&cloudflare.base_url)
        {
            let name = CLOUDFLARE_IMAGES_BASE_URL.name;
            warnings.push(format!("{name} has no TLS: the API token crosses the network in clear"));
        }
        warnings.extend(self.insecure_origins());
        warnings.extend(self.open_metrics());
        if !self.server.is_loopback() {
            warnings.extend(self.public_warnings());
        }
        warnings
    }

    /// What may be wrong where others than this machine reach the server.
    fn public_warnings(&self) -> Vec<String> {
        let (listen, mut warnings) = (self.server.listen, Vec::new());
        if self.cloudflare().is_ok_and(CloudflareConfig::is_emulator) {
            warnings.push(format!("Cloudflare is an emulator, and others can reach {listen}"));
        }
        if self.server.trusted_proxies.are_loopback() {
            let name = CFIMAGES_TRUSTED_PROXIES.name;
            warnings.push(format!(
                "No proxy but this machine is in {name}, and others can reach {listen}: without TLS, passwords, tokens and cookies cross \
                 the network in clear. Put a proxy with TLS in front, and name its address"
            ));
        }
        if self.server.allowed_hosts.allow_any() {
            let name = CFIMAGES_ALLOWED_HOSTS.name;
            warnings.push(format!(
                "{name} is *, and others can reach {listen}: links in answers have whatever host a request names. List the site's own"
            ));
        }
        let is_djangos_sample = |key: &secrecy::SecretString| key.expose_secret().starts_with("django-insecure-");
        if self.auth.secret_key.as_ref().is_some_and(is_djangos_sample) {
            let name = CFIMAGES_DJANGO_SECRET_KEY.name;
            warnings.push(format!("{name} is one that Django made for development, and others can reach {listen}"));
        }
        warnings
    }

    /// Whoever reaches `/metrics` may read it.
    fn open_metrics(&self) -> Option<String> {
        let is_kept_in = |address: &SocketAddr| match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
        };
        let address = self.server.metrics_listen.filter(|address| !is_kept_in(address))?;
        let name = CFIMAGES_METRICS_LISTEN.name;
        Some(format!(
            "{name} is {address}, where nobody has to prove anything: keep others away from it, or name a private address"
        ))
    }

    /// Whoever is on the way can put pages under an origin without TLS, and these could use the sessions of others.
    fn insecure_origins(&self) -> Option<String> {
        let CorsOrigins::Listed(origins) = &self.server.cors_origins else { return None };
        let insecure = |origin: &&String| origin.starts_with("http://") && !is_loopback_url(origin);
        let origin = origins.iter().find(insecure).filter(|_| self.auth.secret_key.is_some())?;
        let name = CFIMAGES_CORS_ORIGINS.name;
        Some(format!(
            "{name} has {origin} without TLS, whose pages may use sessions: anybody on the way can change them"
        ))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::settings::SETTINGS;
    use crate::config::{Loader, Purpose};

    const PUBLIC: (&str, &str) = ("CFIMAGES_LISTEN", "0.0.0.0:8000");
    const PROXY: (&str, &str) = ("CFIMAGES_TRUSTED_PROXIES", "10.0.0.1");
    const HOSTS: (&str, &str) = ("CFIMAGES_ALLOWED_HOSTS", "www.example.com");
    const EMULATOR: (&str, &str) = ("CLOUDFLARE_IMAGES_BASE_URL", "http://127.0.0.1:8001/client/v4");
    const DJANGO: (&str, &str) = ("CFIMAGES_DJANGO_SECRET_KEY", "a-secret-key");

    /// What is wrong with settings, beside those that a server needs, or else what it warns of.
    fn outcome(settings: &[(&'static str, &'static str)]) -> Result<Vec<String>, Vec<String>> {
        let usual = [
            ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "account"),
            ("CLOUDFLARE_IMAGES_API_TOKEN", "token"),
            ("CLOUDFLARE_IMAGES_WEBHOOK_SECRET", "secret"),
        ];
        let loader = Loader::new().environment(usual).environment(settings.iter().copied());
        match loader.load(Purpose::Serve) {
            Ok(config) => Ok(config.warnings()),
            Err(errors) => Err(errors.problems().iter().map(ToString::to_string).collect()),
        }
    }

    #[track_caller]
    fn assert_refused(settings: &[(&'static str, &'static str)], problem: &str) {
        assert_eq!(outcome(settings), Err(vec![problem.to_owned()]));
    }

    /// Asserts that there is one warning, and how it begins.
    #[track_caller]
    fn assert_warned(settings: &[(&'static str, &'static str)], beginning: &str) {
        let warnings = outcome(settings).unwrap();
        assert!(warnings.len() == 1 && warnings[0].starts_with(beginning), "{warnings:?}");
    }

    #[test]
    fn nothing_is_said_of_a_server_behind_a_proxy_whether_it_is_on_this_machine_or_not() {
        assert_eq!(outcome(&[]), Ok(vec![]));
        assert_eq!(outcome(&[EMULATOR]), Ok(vec![]));
        assert_eq!(outcome(&[PUBLIC, PROXY, HOSTS, DJANGO]), Ok(vec![]));
    }

    #[test]
    fn webhooks_of_anybody_are_refused_in_public_unless_they_are_allowed_and_warned_of_anywhere() {
        let (none, allow) =
            (("CLOUDFLARE_IMAGES_WEBHOOK_SECRET", ""), ("CLOUDFLARE_IMAGES_WEBHOOK_ALLOW_UNSIGNED", "true"));
        assert_refused(
            &[PUBLIC, PROXY, HOSTS, none],
            "CLOUDFLARE_IMAGES_WEBHOOK_SECRET: is required to listen on 0.0.0.0:8000; to believe webhooks of anybody, set \
             CLOUDFLARE_IMAGES_WEBHOOK_ALLOW_UNSIGNED=true",
        );
        for listen in ["127.0.0.1:8000", "[::1]:8000", "[::ffff:127.0.0.1]:8000"] {
            assert_warned(&[("CFIMAGES_LISTEN", listen), none], "No CLOUDFLARE_IMAGES_WEBHOOK_SECRET is set");
        }
        for settings in [&[none][..], &[PUBLIC, PROXY, HOSTS, none, allow]] {
            assert_warned(settings, "No CLOUDFLARE_IMAGES_WEBHOOK_SECRET is set");
        }
    }

    #[test]
    fn an_emulator_is_refused_in_public_unless_it_is_allowed() {
        assert_refused(
            &[PUBLIC, PROXY, HOSTS, EMULATOR],
            "CLOUDFLARE_IMAGES_BASE_URL: http://127.0.0.1:8001/client/v4 is an emulator, and others can reach 0.0.0.0:8000; to run a site \
             of pictures for trying only, set CLOUDFLARE_IMAGES_ALLOW_EMULATOR=true",
        );
        let allow = ("CLOUDFLARE_IMAGES_ALLOW_EMULATOR", "true");
        assert_warned(&[PUBLIC, PROXY, HOSTS, EMULATOR, allow], "Cloudflare is an emulator");
        let elsewhere = ("CLOUDFLARE_IMAGES_BASE_URL", "http://emulator:8001/client/v4");
        assert_warned(&[elsewhere], "CLOUDFLARE_IMAGES_BASE_URL has no TLS");
        assert_eq!(outcome(&[PUBLIC, PROXY, HOSTS, elsewhere, allow]).map(|warnings| warnings.len()), Ok(2));
    }

    #[test]
    fn everybody_is_no_proxy_in_public() {
        for everybody in ["0.0.0.0/0", "10.0.0.1, ::/0"] {
            assert_refused(
                &[PUBLIC, HOSTS, ("CFIMAGES_TRUSTED_PROXIES", everybody)],
                "CFIMAGES_TRUSTED_PROXIES: everybody would be believed about addresses on 0.0.0.0:8000; name the proxy's own network",
            );
            assert_eq!(outcome(&[("CFIMAGES_TRUSTED_PROXIES", everybody)]), Ok(vec![]));
        }
    }

    #[test]
    fn the_texts_of_the_example_are_no_secrets() {
        let secrets = SETTINGS.iter().filter(|setting| setting.is_secret() && setting.name != "DATABASE_URL");
        for setting in secrets {
            let name = setting.name;
            let problem = format!("{name} (environment): is still the text of the example; put your own in its place");
            assert_refused(&[(name, setting.example)], &problem);
        }
    }

    #[test]
    fn a_public_server_without_a_proxy_or_hosts_of_its_own_is_warned_of() {
        assert_warned(&[PUBLIC, HOSTS], "No proxy but this machine is in CFIMAGES_TRUSTED_PROXIES");
        assert_warned(&[PUBLIC, HOSTS, ("CFIMAGES_TRUSTED_PROXIES", "")], "No proxy but this machine is in");
        assert_warned(&[PUBLIC, PROXY], "CFIMAGES_ALLOWED_HOSTS is *");
    }

    #[test]
    fn djangos_key_for_development_is_warned_of_in_public() {
        let key = ("CFIMAGES_DJANGO_SECRET_KEY", "django-insecure-abc");
        assert_eq!(outcome(&[key]), Ok(vec![]));
        assert_warned(
            &[PUBLIC, PROXY, HOSTS, key],
            "CFIMAGES_DJANGO_SECRET_KEY is one that Django made for development",
        );
    }

    #[test]
    fn metrics_are_warned_of_where_others_than_a_private_network_may_read_them() {
        for listen in ["127.0.0.1:9100", "[::1]:9100", "10.1.2.3:9100", "192.168.0.9:9100", "[fd00::1]:9100"] {
            assert_eq!(outcome(&[("CFIMAGES_METRICS_LISTEN", listen)]), Ok(vec![]), "{listen}");
        }
        for listen in ["0.0.0.0:9100", "[::]:9100", "203.0.113.1:9100", "[2001:db8::1]:9100"] {
            assert_warned(&[("CFIMAGES_METRICS_LISTEN", listen)], &format!("CFIMAGES_METRICS_LISTEN is {listen}"));
        }
    }

    #[test]
    fn origins_without_tls_are_warned_of_where_there_are_sessions() {
        let origins = ("CFIMAGES_CORS_ORIGINS", "https://a.example, http://b.example, http://localhost:3000");
        assert_eq!(outcome(&[origins]), Ok(vec![]));
        assert_warned(&[origins, DJANGO], "CFIMAGES_CORS_ORIGINS has http://b.example without TLS");
        assert_eq!(outcome(&[("CFIMAGES_CORS_ORIGINS", "http://localhost:3000"), DJANGO]), Ok(vec![]));
    }
}
