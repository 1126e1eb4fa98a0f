//! Tests of the whole of loading.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::settings::{self, SETTINGS};
use super::{Config, EffectiveValue, Loader, LogFormat, Purpose, Setting};

/// A directory with files to read.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn load(loader: Loader) -> Config {
    loader.load(Purpose::Database).unwrap()
}

fn problems(loader: Loader, purpose: Purpose) -> Vec<String> {
    let errors = loader.load(purpose).map(drop).unwrap_err();
    errors.problems().iter().map(ToString::to_string).collect()
}

fn environment(variables: &[(&str, &str)]) -> Loader {
    Loader::new().environment(variables.iter().copied())
}

/// The problems of a file, without the path of the file.
fn problems_of_file(content: &str) -> Vec<String> {
    let files = Files::new();
    let path = files.write("c.toml", content);
    let directory = format!("{}/", files.0.path().display());
    let problems = problems(Loader::new().config_file(Some(path)), Purpose::Database);
    problems.into_iter().map(|problem| problem.replace(&directory, "")).collect()
}

fn load_file(content: &str) -> Config {
    let files = Files::new();
    load(Loader::new().config_file(Some(files.write("c.toml", content))))
}

fn effective(loader: Loader, name: &str) -> EffectiveValue {
    loader.inspect().0.into_iter().find(|value| value.setting.name == name).unwrap()
}

type WithLayers<'a> = &'a dyn Fn(Loader) -> Loader;

#[test]
fn every_layer_wins_over_those_below_it() {
    let files = Files::new();
    let path = files.write("c.toml", "\n[server]\nlisten = '127.0.0.3:1'\n");
    let listen = &settings::CFIMAGES_LISTEN;
    let preset = |loader: Loader| loader.presets([(listen, "127.0.0.2:1".to_owned())]);
    let file = |loader: Loader| preset(loader).config_file(Some(path.clone()));
    let environment = |loader: Loader| file(loader).environment([("CFIMAGES_LISTEN", "127.0.0.4:1")]);
    let flag = |loader: Loader| environment(loader).overrides([(listen, "127.0.0.5:1".to_owned())]);

    let origin_in_file = format!("{}:3", path.display());
    let cases: [(WithLayers<'_>, &str, &str); 5] = [
        (&|loader| loader, "127.0.0.1:8000", "default"),
        (&preset, "127.0.0.2:1", "preset"),
        (&file, "127.0.0.3:1", &origin_in_file),
        (&environment, "127.0.0.4:1", "environment"),
        (&flag, "127.0.0.5:1", "flag"),
    ];
    for (with_layers, value, origin) in cases {
        assert_eq!(load(with_layers(Loader::new())).server.listen.to_string(), value);
        let effective = effective(with_layers(Loader::new()), "CFIMAGES_LISTEN");
        assert_eq!(effective.value.as_deref(), Some(value));
        assert_eq!(effective.origin.as_deref(), Some(origin));
    }
}

#[test]
fn the_defaults_are_those_of_the_documentation() {
    let config = load(Loader::new());
    assert_eq!(config.database.url.expose_secret(), "sqlite://cfimages.db");
    assert_eq!((config.database.max_connections, config.database.acquire_timeout.as_secs()), (10, 5));
    assert_eq!(config.database.statement_timeout.as_secs(), 30);
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8000");
    assert_eq!(config.server.url_prefix, "/cloudflare-images");
    assert_eq!(config.server.trusted_proxies.to_string(), "127.0.0.0/8, ::1/128");
    assert!(config.server.allowed_hosts.allows("any.example"));
    assert_eq!((config.server.request_timeout.as_secs(), config.server.shutdown_timeout.as_secs()), (60, 30));
    assert_eq!((config.log.filter.as_str(), config.log.format), ("info", LogFormat::Auto));
    assert_eq!(config.uploads.default_expiry_minutes, 30);
    assert!(config.uploads.require_signed_urls);
    assert_eq!(config.uploads.default_metadata.as_str(), "{}");
    assert_eq!(config.uploads.default_creator, None);
    assert_eq!(config.uploads.thumbnail_variant, "thumbnail");
    assert_eq!(config.delivery.shape, crate::delivery::DeliveryShape::default());
    assert_eq!(config.delivery.account_hash, None);
    assert!(config.delivery.signing_key.is_none());
    assert!(config.webhook.accepts_unsigned() && !config.webhook.allow_unsigned);
}

#[test]
fn every_setting_is_read_into_the_configuration() {
    let all = SETTINGS.iter().map(|setting| (setting.name, setting.example));
    let (values, outcome) = Loader::new().environment(all).inspect();
    assert_eq!(outcome, Ok(()));
    for value in values {
        assert_eq!(value.origin.as_deref(), Some("environment"), "{}", value.setting.name);
    }
}

#[test]
fn every_instance_has_enough_requests() {
    let shared = |requests, instances| {
        let values = [("CLOUDFLARE_IMAGES_MAX_REQUESTS_PER_5_MINUTES", requests), ("CFIMAGES_INSTANCES", instances)];
        Loader::new().environment(values).load(Purpose::Database).map(drop)
    };
    assert_eq!(shared("12", "3"), Ok(()));
    let problem = "CLOUDFLARE_IMAGES_MAX_REQUESTS_PER_5_MINUTES: 11 requests are too few for CFIMAGES_INSTANCES=3: each instance \
        needs at least 4";
    assert_eq!(shared("11", "3").unwrap_err().problems()[0].to_string(), problem);
}

#[test]
fn the_environment_names_the_file_unless_a_flag_does() {
    let files = Files::new();
    let named = files.write("named.toml", "[server]\nlog = 'warn'");
    let flagged = files.write("flagged.toml", "[server]\nlog = 'error'");
    let loader = || Loader::new().environment([("CFIMAGES_CONFIG", &named)]);
    assert_eq!(load(loader()).log.filter, "warn");
    assert_eq!(load(loader().config_file(Some(flagged))).log.filter, "error");
    assert_eq!(load(loader().config_file(None)).log.filter, "warn");
}

#[test]
fn an_empty_value_is_none_unless_it_has_a_meaning() {
    let files = Files::new();
    let path = files.write("c.toml", "[cloudflare]\ndefault_creator = 'shop'\nthumbnail_variant = ''\n");
    let config = load(Loader::new().config_file(Some(path)).environment([
        ("CLOUDFLARE_IMAGES_DEFAULT_CREATOR", " "),
        ("CLOUDFLARE_IMAGES_WEBHOOK_SECRET", ""),
        ("CLOUDFLARE_IMAGES_WEBHOOK_SECRET_FILE", ""),
        ("CLOUDFLARE_IMAGES_DELIVERY_PATH_PREFIX", ""),
        ("CFIMAGES_URL_PREFIX", ""),
        ("CFIMAGES_TRUSTED_PROXIES", ""),
        ("CFIMAGES_CONFIG", ""),
    ]));
    assert_eq!(config.uploads.default_creator.as_deref(), Some("shop"));
    assert_eq!(config.uploads.thumbnail_variant, "thumbnail");
    assert!(config.webhook.secret.is_none());
    assert_eq!(config.delivery.shape.path_prefix, "");
    assert_eq!(config.server.url_prefix, "");
    assert_eq!(config.server.trusted_proxies.to_string(), "");
}

#[test]
fn files_and_the_environment_take_lists_flags_and_metadata_in_their_own_forms() {
    let from_file = load_file(
        "[server]\ntrusted_proxies = ['10.0.0.0/8', '::1']\nallowed_hosts = 'a.example, b.example'\n\
         db_max_connections = 0x14\n\
         [cloudflare]\nrequire_signed_urls = false\ndefault_expiry_minutes = 1_000\n\
         default_metadata = { app = 'shop', sizes = [1, 2.5, true], more = { deep = -1 } }\n",
    );
    let from_environment = load(environment(&[
        ("CFIMAGES_TRUSTED_PROXIES", " 10.0.0.0/8,::1 "),
        ("CFIMAGES_ALLOWED_HOSTS", "a.example,b.example"),
        ("CFIMAGES_DB_MAX_CONNECTIONS", "20"),
        ("CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS", "No"),
        ("CLOUDFLARE_IMAGES_DEFAULT_EXPIRY_MINUTES", "1000"),
        ("CLOUDFLARE_IMAGES_DEFAULT_METADATA", r#"{"app":"shop","more":{"deep":-1},"sizes":[1,2.5,true]}"#),
    ]));
    for config in [from_file, from_environment] {
        assert_eq!(config.server.trusted_proxies.to_string(), "10.0.0.0/8, ::1/128");
        assert_eq!(config.server.allowed_hosts.to_string(), "a.example, b.example");
        assert_eq!(config.database.max_connections, 20);
        assert!(!config.uploads.require_signed_urls);
        assert_eq!(config.uploads.default_expiry_minutes, 360);
        let metadata = r#"{"app": "shop", "more": {"deep": -1}, "sizes": [1, 2.5, true]}"#;
        assert_eq!(config.uploads.default_metadata.as_str(), metadata);
    }
    assert_eq!(load_file("[server]\ntrusted_proxies = []").server.trusted_proxies.to_string(), "");
    assert_eq!(
        load_file("[cloudflare.default_metadata]\napp = 'shop'").uploads.default_metadata.as_str(),
        r#"{"app": "shop"}"#
    );
}

#[test]
fn the_effective_value_is_shown_as_it_was_understood() {
    for (name, value, want) in [
        ("CFIMAGES_URL_PREFIX", "images/", "/images"),
        ("CLOUDFLARE_IMAGES_DEFAULT_EXPIRY_MINUTES", "1000", "360"),
        ("CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS", "NO", "false"),
        ("CLOUDFLARE_IMAGES_BASE_URL", "http://127.0.0.1:8001/", "http://127.0.0.1:8001"),
    ] {
        assert_eq!(effective(environment(&[(name, value)]), name).value.as_deref(), Some(want));
    }
}

#[test]
fn secrets_are_read_from_files_and_lose_one_newline() {
    let files = Files::new();
    let token = files.write("token", "hunter2\n");
    let secret = files.write("secret", "hunter3\r\n");
    let key = files.write("key", "hunter4");
    let url = files.write("url", "postgres://shop:hunter5@db/shop\n");
    let path = files.write(
        "c.toml",
        format!(
            "[server]\ndatabase_url_file = '{}'\n[cloudflare]\nsigning_key_file = '{}'",
            url.display(),
            key.display()
        ),
    );
    let loader = || {
        Loader::new().config_file(Some(path.clone())).environment([
            ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "account".into()),
            ("CLOUDFLARE_IMAGES_API_TOKEN_FILE", token.clone().into_os_string()),
            ("CLOUDFLARE_IMAGES_WEBHOOK_SECRET_FILE", secret.clone().into_os_string()),
        ])
    };
    let config = load(loader());
    assert_eq!(config.cloudflare().unwrap().api_token.expose_secret(), "hunter2");
    assert_eq!(config.webhook.secret.unwrap().expose_secret(), "hunter3");
    assert_eq!(config.delivery.signing_key.unwrap().expose_secret(), "hunter4");
    assert_eq!(config.database.url.expose_secret(), "postgres://shop:hunter5@db/shop");

    let origin = effective(loader(), "CLOUDFLARE_IMAGES_API_TOKEN").origin;
    assert_eq!(origin, Some(format!("environment ({})", token.display())));
}

#[test]
fn a_stronger_layer_wins_whether_or_not_it_names_a_file() {
    let files = Files::new();
    let key = files.write("key", "from-file");
    let config = files.write("c.toml", "[cloudflare]\nsigning_key = 'from-config'");
    let loader = Loader::new().config_file(Some(config)).environment([("CLOUDFLARE_IMAGES_SIGNING_KEY_FILE", key)]);
    assert_eq!(load(loader).delivery.signing_key.unwrap().expose_secret(), "from-file");

    let config = files.write("c.toml", "[cloudflare]\nsigning_key_file = '/nowhere'");
    let loader = Loader::new().config_file(Some(config)).environment([("CLOUDFLARE_IMAGES_SIGNING_KEY", "plain")]);
    assert_eq!(load(loader).delivery.signing_key.unwrap().expose_secret(), "plain");
}

#[test]
fn files_of_secrets_that_cannot_be_used_are_problems() {
    let files = Files::new();
    for (path, want) in [
        (files.path("missing"), "cannot read {}: "),
        (files.path(""), "cannot read {}: "),
        (files.write("binary", [0xff, 0xfe]), "cannot read {}: "),
        (files.write("empty", "\n"), "{} is empty"),
        (files.write("two_newlines", "hunter2\n\n"), "must not hold control characters"),
    ] {
        let want = want.replace("{}", &path.display().to_string());
        let loader = Loader::new().environment([("CLOUDFLARE_IMAGES_SIGNING_KEY_FILE", &path)]);
        let found = problems(loader, Purpose::Database);
        let [problem] = found.as_slice() else { panic!("{found:#?}") };
        assert!(problem.starts_with(&format!("CLOUDFLARE_IMAGES_SIGNING_KEY_FILE (environment): {want}")), "{problem}");
        assert!(!problem.contains("hunter2"));

        let found = problems_of_file(&format!("[cloudflare]\nsigning_key_file = '{}'", path.display()));
        assert!(found[0].starts_with("cloudflare.signing_key_file (c.toml:2): "), "{}", found[0]);
    }
}

#[test]
fn a_secret_is_given_either_as_it_is_or_by_a_file() {
    let loader = environment(&[
        ("CLOUDFLARE_IMAGES_SIGNING_KEY", "hunter2"),
        ("CLOUDFLARE_IMAGES_SIGNING_KEY_FILE", "/nowhere"),
    ]);
    assert_eq!(
        problems(loader, Purpose::Database),
        [
            "CLOUDFLARE_IMAGES_SIGNING_KEY_FILE (environment): only one of this and CLOUDFLARE_IMAGES_SIGNING_KEY may be set"
        ]
    );
    assert_eq!(
        problems_of_file("[cloudflare]\nsigning_key = 'hunter2'\nsigning_key_file = '/nowhere'"),
        ["cloudflare.signing_key_file (c.toml:3): only one of this and cloudflare.signing_key may be set"]
    );
}

#[test]
fn only_secrets_have_a_form_that_names_a_file() {
    let found = problems(environment(&[("CFIMAGES_LISTEN_FILE", "/x")]), Purpose::Database);
    assert_eq!(found, ["CFIMAGES_LISTEN_FILE (environment): there is no such setting"]);
    let found = problems_of_file("[server]\nlisten_file = '/x'");
    assert_eq!(found, ["server.listen_file (c.toml:2): there is no such setting"]);
}

#[test]
fn all_problems_are_reported_at_once_with_key_source_and_rule() {
    let files = Files::new();
    let path = files.write(
        "c.toml",
        "[server]\nlisten = '8000'\nlog_format = 'xml'\ntrusted_proxys = []\n\n[cloudflare]\nthumbnail_variant = ['a']\n",
    );
    let loader = Loader::new()
        .config_file(Some(path.clone()))
        .environment([
            ("CFIMAGES_DB_MAX_CONNECTIONS", "0"),
            ("CFIMAGES_USER_TABLE", "a.b.c"),
            ("CFIMAGES_USER_KEY", "text"),
            ("CFIMAGES_LISTN", "127.0.0.1:8000"),
            ("CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS", "perhaps"),
        ])
        .overrides([(&settings::CFIMAGES_LOG, "info,sqlx=loud".to_owned())]);
    let file = path.display();
    assert_eq!(
        problems(loader, Purpose::Serve),
        [
            format!("server.trusted_proxys ({file}:4): there is no such setting; did you mean \"trusted_proxies\"?"),
            format!("cloudflare.thumbnail_variant ({file}:7): must be a string"),
            "CFIMAGES_LISTN (environment): there is no such setting; did you mean \"CFIMAGES_LISTEN\"?".to_owned(),
            "CFIMAGES_DB_MAX_CONNECTIONS (environment): must be a whole number from 1 to 1000, but is \"0\"".to_owned(),
            "CFIMAGES_USER_TABLE (environment): must be a table or schema.table; names with dots or quotes are written in \
             double quotes, but is \"a.b.c\""
                .to_owned(),
            "CFIMAGES_USER_KEY (environment): must be integer, bigint or uuid, but is \"text\"".to_owned(),
            format!(
                "server.listen ({file}:2): must be an IP address and a port, such as 127.0.0.1:8000 or [::1]:8000, but \
                 is \"8000\""
            ),
            "CFIMAGES_LOG (flag): must be a level or a list such as info,sqlx=warn, but is \"info,sqlx=loud\""
                .to_owned(),
            format!("server.log_format ({file}:3): must be auto, pretty or json, but is \"xml\""),
            "CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS (environment): must be true or false, but is \"perhaps\"".to_owned(),
            "CLOUDFLARE_IMAGES_ACCOUNT_ID: is required: set CLOUDFLARE_IMAGES_ACCOUNT_ID, or account_id in the table \
             [cloudflare] of the configuration file"
                .to_owned(),
            "CLOUDFLARE_IMAGES_API_TOKEN: is required: set CLOUDFLARE_IMAGES_API_TOKEN or \
             CLOUDFLARE_IMAGES_API_TOKEN_FILE, or api_token in the table [cloudflare] of the configuration file"
                .to_owned(),
        ]
    );
}

#[test]
fn unknown_keys_and_tables_of_the_file_are_explained() {
    for (content, want) in [
        ("listen = 'x'", "listen (c.toml:1): this setting is listen in the table [server]"),
        ("lisen = 'x'", "lisen (c.toml:1): there is no such setting; did you mean \"listen\"?"),
        (
            "[sever]",
            "sever (c.toml:1): there is no such table, only [server] and [cloudflare]; did you mean \"server\"?",
        ),
        ("[[server]]", "server (c.toml:1): must be a table"),
        ("server = 1", "server (c.toml:1): must be a table"),
        (
            "[server]\naccount_id = 'x'",
            "server.account_id (c.toml:2): this setting is account_id in the table [cloudflare]",
        ),
        (
            "[server]\nDATABASE_URL = 'x'",
            "server.DATABASE_URL (c.toml:2): this setting is database_url in the table [server]",
        ),
        (
            "[cloudflare]\napi_token_fil = 'x'",
            "cloudflare.api_token_fil (c.toml:2): there is no such setting; did you mean \"api_token_file\"?",
        ),
        (
            "[server]\nsigning_key_file = 'x'",
            "server.signing_key_file (c.toml:2): this setting is signing_key_file in the table [cloudflare]",
        ),
        ("[server.listen]\nport = 1", "server.listen (c.toml:1): must be a string"),
        ("[server]\nallowed_hosts = []", "server.allowed_hosts (c.toml:2): must not be empty"),
        ("[server]\nallowed_hosts = [1]", "server.allowed_hosts (c.toml:2): must be an array of strings"),
        ("[server]\ndb_max_connections = 1.5", "server.db_max_connections (c.toml:2): must be a whole number"),
        (
            "[cloudflare]\ndefault_metadata = { at = 1979-05-27 }",
            "cloudflare.default_metadata (c.toml:2): must not hold dates, times, infinities or numbers of more than 64 bits",
        ),
    ] {
        assert_eq!(problems_of_file(content), [want]);
    }
}

#[test]
fn variables_that_are_no_settings_of_ours_are_left_alone() {
    load(environment(&[
        ("PATH", "/bin"),
        ("CLOUDFLARE_API_TOKEN", "x"),
        ("CFIMAGES_TEST_DATABASE", "x"),
        ("CFIMAGES_ADMIN_PASSWORD", "x"),
        ("CFIMAGES_ADMIN_PASSWORD_FILE", "x"),
        ("CFIMAGES_PORT", "tcp://10.0.0.1:8000"),
        ("CFIMAGES_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("CFIMAGES_SERVICE_HOST", "10.0.0.1"),
    ]));
}

#[test]
fn mistakes_of_syntax_are_reported_without_what_seems_to_be_missing() {
    let files = Files::new();
    let path = files.write("c.toml", "[server]\nlisten = \n[cloudflare]\naccount_id = hunter2\napi_token =\nhunter2\n");
    let found = problems(Loader::new().config_file(Some(path.clone())), Purpose::Serve);
    for line in [2, 4, 5, 6] {
        let place = format!("{}:{line}: ", path.display());
        assert!(found.iter().any(|problem| problem.starts_with(&place)), "{line}: {found:#?}");
    }
    assert!(!found.iter().any(|problem| problem.contains("required") || problem.contains("hunter2")), "{found:#?}");
}

#[test]
fn files_that_are_nested_without_end_are_refused() {
    let many = 20_000;
    for content in [
        format!("[cloudflare]\ndefault_metadata = {{ a = {}{} }}", "[".repeat(many), "]".repeat(many)),
        format!("[cloudflare]\ndefault_metadata = {}1{}", "{ a = ".repeat(many), "}".repeat(many)),
        format!("[cloudflare]\ndefault_metadata{} = 1", ".a".repeat(many)),
        format!("[cloudflare.default_metadata{}]", ".a".repeat(many)),
    ] {
        assert!(!problems_of_file(&content).is_empty());
    }
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_that_names_it() {
    let files = Files::new();
    let (missing, binary) = (files.path("missing.toml"), files.write("binary.toml", [0xff]));
    for path in [missing, binary, files.path("")] {
        let found = problems(Loader::new().config_file(Some(path.clone())), Purpose::Serve);
        let want = format!("{}: cannot read the configuration file: ", path.display());
        assert!(matches!(found.as_slice(), [problem] if problem.starts_with(&want)), "{found:#?}");
    }
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_unicode_are_problems_only_where_they_are_ours() {
    use std::os::unix::ffi::OsStringExt;
    let garbage = || OsString::from_vec(vec![0xff]);
    let loader = Loader::new().environment([
        (garbage(), garbage()),
        ("OTHER".into(), garbage()),
        ("CFIMAGES_LOG".into(), garbage()),
    ]);
    assert_eq!(problems(loader, Purpose::Database), ["CFIMAGES_LOG (environment): must be UTF-8"]);
}

#[test]
fn secrets_are_in_no_debug_output_no_problem_and_no_effective_value() {
    let files = Files::new();
    let path = files.write(
        "c.toml",
        "[server]\ndatabase_url = 'postgres://shop:hunter2@db/shop'\n\
         [cloudflare]\naccount_id = 'account'\napi_token = 'hunter2'\nsigning_key = 'hunter2'\nwebhook_secret = 'hunter2'\n",
    );
    let loader = || Loader::new().config_file(Some(path.clone()));
    let config = loader().load(Purpose::Serve).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", loader().inspect()).contains("hunter2"));

    let wrong = || {
        environment(&[
            ("DATABASE_URL", "mysql://shop:hunter2@db/shop"),
            ("CLOUDFLARE_IMAGES_API_TOKEN", "hunter2 hunter2"),
            ("CLOUDFLARE_IMAGES_BASE_URL", "https://shop:hunter2@api.example"),
            ("CLOUDFLARE_IMAGES_API_TOKN", "hunter2"),
        ])
    };
    let found = problems(wrong(), Purpose::Database);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(!found.concat().contains("hunter2"), "{found:#?}");
    assert!(!format!("{:?}", wrong().inspect()).contains("hunter2"));
    let found = problems_of_file("[cloudflare]\napi_token = ['hunter2']\nsigning_key = { a = 'hunter2' }");
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(!found.concat().contains("hunter2"), "{found:#?}");
}

#[test]
fn the_account_is_required_only_to_serve() {
    let config = load(Loader::new());
    assert_eq!(config.cloudflare().map(drop).unwrap_err().problems().len(), 2);
    let account = [("CLOUDFLARE_IMAGES_ACCOUNT_ID", "account"), ("CLOUDFLARE_IMAGES_API_TOKEN", "token")];
    let config = environment(&account).load(Purpose::Serve).unwrap();
    let cloudflare = config.cloudflare().unwrap();
    assert_eq!(cloudflare.account_id, "account");
    assert_eq!(cloudflare.base_url, "https://api.cloudflare.com/client/v4");
}

#[test]
fn a_list_of_secrets_is_a_list_and_kept_secret() {
    let files = Files::new();
    let secrets = files.write("keys", "hunter2,hunter3\n");
    let content = "[server]\ndjango_secret_key = 'hunter1'\ndjango_secret_key_fallbacks = ['hunter2', 'hunter3']";
    let loaders = || {
        [
            Loader::new().config_file(Some(files.write("c.toml", content))),
            environment(&[("CFIMAGES_DJANGO_SECRET_KEY_FALLBACKS", " hunter2 , hunter3")]),
            environment(&[("CFIMAGES_DJANGO_SECRET_KEY_FALLBACKS_FILE", secrets.to_str().unwrap())]),
        ]
    };
    for loader in loaders() {
        let auth = load(loader).auth;
        let keys: Vec<_> = auth.secret_key_fallbacks.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(keys, ["hunter2", "hunter3"]);
        assert!(!format!("{auth:?}").contains("hunter"));
    }
    for loader in loaders() {
        assert_eq!(effective(loader, "CFIMAGES_DJANGO_SECRET_KEY_FALLBACKS").value.as_deref(), Some("***"));
    }
}

#[test]
fn sessions_alone_need_the_key_that_they_are_signed_with() {
    let serve = |more: (&str, &str)| {
        environment(&[
            ("CLOUDFLARE_IMAGES_ACCOUNT_ID", "account"),
            ("CLOUDFLARE_IMAGES_API_TOKEN", "token"),
            ("CFIMAGES_AUTH_ORDER", "session"),
            more,
        ])
    };
    assert_eq!(
        problems(serve(("OTHER", "")), Purpose::Serve),
        ["CFIMAGES_DJANGO_SECRET_KEY: is required where CFIMAGES_AUTH_ORDER has sessions alone"]
    );
    assert!(serve(("CFIMAGES_DJANGO_SECRET_KEY", "k")).load(Purpose::Serve).is_ok());
    assert!(serve(("CFIMAGES_AUTH_ORDER", "session,token")).load(Purpose::Serve).is_ok());
}

/// Lines that come close to a configuration file.
fn likely_file() -> impl Strategy<Value = String> {
    let key = prop::sample::select(SETTINGS).prop_map(Setting::key);
    let value = prop_oneof![
        "\\PC{0,8}",
        "'[^']{0,12}'",
        "-?[0-9_.e]{1,24}",
        Just("[ '1', ['a'], 2 ]".to_owned()),
        Just("{ a = [1, { b = inf }], c.d = 0xffffffffffffffffff }".to_owned()),
        Just("1979-05-27T07:32:00Z".to_owned()),
    ];
    let line = prop_oneof![
        (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
        Just("[cloudflare]".to_owned()),
        Just("[server]".to_owned()),
        "\\PC{0,12}",
    ];
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.join("\n"))
}

fn likely_environment() -> impl Strategy<Value = Vec<(String, String)>> {
    let known = prop::sample::select(SETTINGS).prop_map(|setting| setting.name.to_owned());
    let name =
        prop_oneof![3 => known, 1 => "CFIMAGES_[A-Z_]{0,8}", 1 => "CLOUDFLARE_IMAGES_\\PC{0,8}", 1 => "\\PC{0,8}"];
    let value = prop_oneof!["\\PC{0,16}", "[a-z0-9:/.,=@\\[\\]{}\"-]{0,16}", "-?[0-9]{1,24}"];
    prop::collection::vec((name, value), 0..6)
}

proptest! {
    #[test]
    fn neither_a_file_nor_an_environment_makes_loading_panic(
        likely in likely_file(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
        variables in likely_environment(),
    ) {
        let files = Files::new();
        for content in [likely.as_bytes(), &bytes] {
            let path = files.write("c.toml", content);
            let loader = || Loader::new().config_file(Some(path.clone())).environment(variables.clone());
            if let Err(errors) = loader().load(Purpose::Serve) {
                prop_assert!(!errors.problems().is_empty());
                prop_assert!(errors.problems().iter().all(|problem| !problem.to_string().contains('\n')));
            }
            let _ = loader().inspect();
        }
    }
}
