//! A whole service with its emulator, over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cfimages::app::{self, AppState, Lifecycle, SystemClock};
use cfimages::config::{Config, Loader, Purpose, Setting, settings};
use cfimages::domain::{Clock, NewUser, Role, UserKey};
use cfimages::emulator::{Destination, Emulator, EmulatorConfig, Sources, StorageKind, Variant};
use cfimages::service::CloudflareService;
use cfimages::store::{self, Database, DatabaseSettings};
use reqwest::{Method, RequestBuilder, StatusCode, multipart};
use serde_json::Value;
use tokio::net::TcpListener;

use super::django::AUTH_USERS;
use super::emulator::checked_router;
use super::suite::{Engine, TestDatabaseUrl};

pub(crate) const ALICE: &str = "616c696365616c696365616c696365616c696365";
pub(crate) const BOB: &str = "626f62626f62626f62626f62626f62626f62626f";
pub(crate) const CAROL_WHO_IS_INACTIVE: &str = "6361726f6c6361726f6c6361726f6c6361726f6c";
pub(crate) const WEBHOOK_SECRET: &str = "whsec-test";
pub(crate) const ACCOUNT_HASH: &str = "hash-0001";
pub(crate) const SIGNING_KEY: &str = "signing-key-of-the-tests";
pub(crate) const API_TOKEN: &str = "cloudflare-token-of-the-tests";
pub(crate) const ACCOUNT_ID: &str = "acct-0001";
const WEBHOOK_PATH: &str = "/cloudflare-images/api/webhook/";

/// A running service with one user's token at hand. It stops when it is dropped.
pub(crate) struct TestApp {
    pub(crate) origin: String,
    /// The address of the emulator.
    pub(crate) emulator: String,
    /// The address of the listener for Prometheus.
    pub(crate) metrics: String,
    pub(crate) service: CloudflareService,
    pub(crate) database_url: TestDatabaseUrl,
    pub(crate) http: reqwest::Client,
    lifecycle: Lifecycle,
}

/// What differs from the usual service.
#[derive(Default)]
pub(crate) struct TestAppBuilder {
    overrides: Vec<(&'static Setting, String)>,
    unset: Vec<&'static Setting>,
    cloudflare: Option<String>,
    proxied: Option<SocketAddr>,
    clock: Option<Arc<dyn Clock>>,
}

impl TestApp {
    /// A service in its defaults but for public pictures, as `dev` runs it, with a pool of one connection.
    pub(crate) async fn start(engine: &Engine) -> Self {
        Self::builder().set(&settings::CLOUDFLARE_IMAGES_REQUIRE_SIGNED_URLS, "false").start(engine).await
    }

    pub(crate) fn builder() -> TestAppBuilder {
        TestAppBuilder::default()
    }

    /// A request to the API on behalf of alice.
    pub(crate) fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).header("Authorization", format!("Token {ALICE}"))
    }

    /// A request to the API on behalf of nobody.
    pub(crate) fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}/cloudflare-images/api/{path}", self.origin))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.api(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.api(Method::POST, path).header("Content-Type", "application/json").body(body.to_string())).await
    }

    /// Gets an upload URL; the answer, checked to be a success.
    pub(crate) async fn create_upload(&self, body: &Value) -> Value {
        let answer = self.post("upload-url/", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json()
    }

    /// Sends a file to an upload URL.
    pub(crate) async fn upload(&self, upload_url: &str, name: &str, kind: &str, bytes: Vec<u8>) -> Answer {
        let part = multipart::Part::bytes(bytes).file_name(name.to_owned()).mime_str(kind).unwrap();
        Answer::of(self.http.post(upload_url).multipart(multipart::Form::new().part("file", part))).await
    }

    /// What the emulator says of an image or a draft, whose id needs no encoding.
    pub(crate) async fn at_emulator(&self, id: &str) -> StatusCode {
        let url = format!("{}/client/v4/accounts/{ACCOUNT_ID}/images/v1/{id}", self.emulator);
        self.http.get(url).bearer_auth(API_TOKEN).send().await.unwrap().status()
    }

    /// Waits until the image has a status.
    pub(crate) async fn wait_for_status(&self, id: &str, status: &str) -> Value {
        super::eventually(&format!("image {id} is {status}"), async || {
            let image = self.get(&format!("images/{id}/")).await.json();
            (image["status"] == status).then_some(image)
        })
        .await
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.lifecycle.stop();
    }
}

impl TestAppBuilder {
    pub(crate) fn set(mut self, setting: &'static Setting, value: &str) -> Self {
        self.overrides.push((setting, value.to_owned()));
        self
    }

    /// Leaves out what the tests usually set.
    pub(crate) fn unset(mut self, setting: &'static Setting) -> Self {
        self.unset.push(setting);
        self
    }

    /// Calls this address for Cloudflare's API, not the emulator.
    pub(crate) fn cloudflare(mut self, base_url: String) -> Self {
        self.cloudflare = Some(base_url);
        self
    }

    /// Reaches PostgreSQL at this address.
    pub(crate) fn database_at(mut self, address: SocketAddr) -> Self {
        self.proxied = Some(address);
        self
    }

    /// Takes the time from this clock, as the emulator does.
    pub(crate) fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    pub(crate) async fn start(self, engine: &Engine) -> TestApp {
        self.start_on(migrated_database(engine).await).await
    }

    pub(crate) async fn start_on(self, database_url: TestDatabaseUrl) -> TestApp {
        let lifecycle = Lifecycle::default();
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let emulator = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", server.local_addr().unwrap());
        let emulator_origin = format!("http://{}", emulator.local_addr().unwrap());

        let config = self.config(database_url.as_str(), &emulator_origin);
        let database = app::open_database(&config.database).await.unwrap();
        let clock = self.clock.clone().unwrap_or_else(|| Arc::new(SystemClock));
        let state = AppState::with_clock(&config, database, lifecycle.clone(), Arc::clone(&clock)).unwrap();
        let service = state.service.clone();
        let metrics = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metrics_origin = format!("http://{}", metrics.local_addr().unwrap());
        let telling = app::metrics_router(service.clone());
        tokio::spawn(app::serve(metrics, telling, lifecycle.clone(), Duration::from_secs(1)));
        let router = app::build_router(state, &config.server);
        tokio::spawn(app::serve(server, router, lifecycle.clone(), Duration::from_secs(1)));

        let look_alike = Emulator::open(emulator_config(&origin, &emulator_origin, clock)).unwrap();
        tokio::spawn(app::serve(emulator, checked_router(&look_alike), lifecycle.clone(), Duration::from_secs(1)));
        let http = http_client();
        TestApp { origin, emulator: emulator_origin, metrics: metrics_origin, service, database_url, http, lifecycle }
    }

    fn config(&self, database_url: &str, emulator_origin: &str) -> Config {
        let database_url = match self.proxied {
            Some(address) => through(address, database_url),
            None => database_url.to_owned(),
        };
        let base_url = self.cloudflare.clone().unwrap_or_else(|| format!("{emulator_origin}/client/v4"));
        let mut overrides = vec![
            (&settings::DATABASE_URL, database_url),
            (&settings::CFIMAGES_DB_MAX_CONNECTIONS, "1".to_owned()),
            (&settings::CFIMAGES_DB_ACQUIRE_TIMEOUT_SECONDS, "5".to_owned()),
            (&settings::CLOUDFLARE_IMAGES_BASE_URL, base_url),
            (&settings::CLOUDFLARE_IMAGES_ACCOUNT_ID, ACCOUNT_ID.to_owned()),
            (&settings::CLOUDFLARE_IMAGES_API_TOKEN, API_TOKEN.to_owned()),
            (&settings::CLOUDFLARE_IMAGES_ACCOUNT_HASH, ACCOUNT_HASH.to_owned()),
            (&settings::CLOUDFLARE_IMAGES_WEBHOOK_SECRET, WEBHOOK_SECRET.to_owned()),
            (&settings::CLOUDFLARE_IMAGES_DELIVERY_URL, emulator_origin.to_owned()),
        ];
        overrides.retain(|(usual, _)| self.overrides.iter().all(|(own, _)| own.name != usual.name));
        overrides.retain(|(usual, _)| self.unset.iter().all(|unset| unset.name != usual.name));
        overrides.extend(self.overrides.iter().cloned());
        Loader::new().overrides(overrides).load(Purpose::Serve).unwrap_or_else(|errors| panic!("{errors}"))
    }
}

pub(crate) fn emulator_config(origin: &str, emulator_origin: &str, clock: Arc<dyn Clock>) -> EmulatorConfig {
    EmulatorConfig {
        account_id: ACCOUNT_ID.to_owned(),
        account_hash: ACCOUNT_HASH.to_owned(),
        api_token: API_TOKEN.to_owned(),
        limited_tokens: vec![],
        signing_keys: vec![("default".to_owned(), SIGNING_KEY.to_owned())],
        public_url: emulator_origin.to_owned(),
        address: ([127, 0, 0, 1], 0).into(),
        storage: StorageKind::Memory,
        variants: vec![Variant::public(), Variant::scale_down("thumbnail", 300, 300)],
        flexible_variants: true,
        sources: Sources::default(),
        cache_bytes: 0,
        notify: Some(Destination { url: format!("{origin}{WEBHOOK_PATH}"), secret: Some(WEBHOOK_SECRET.to_owned()) }),
        clock,
    }
}

/// The same database, reached through a proxy.
fn through(address: SocketAddr, database_url: &str) -> String {
    let (_, path) = database_url.rsplit_once('/').map_or(("", database_url), |_| {
        let rest = database_url.split_once("://").unwrap().1;
        rest.split_once('/').unwrap()
    });
    let name = path.split('?').next().unwrap();
    let user = database_url.split_once("://").unwrap().1.split_once('@').map_or("postgres", |(user, _)| user);
    format!("postgres://{user}@{address}/{name}")
}

pub(crate) fn http_client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_mins(1)).build().unwrap()
}

/// A database with all tables and the users alice, bob and carol, who have tokens; carol is not active.
pub(crate) async fn migrated_database(engine: &Engine) -> TestDatabaseUrl {
    engine.create_database_from("migrated", async |url| prepare(url).await).await
}

async fn prepare(url: &str) {
    let database = connect(url).await;
    store::migrations::run(&database).await.unwrap();
    let now = SystemClock.now();
    let mut transaction = database.begin().await.unwrap();
    for (username, token) in [("alice", ALICE), ("bob", BOB), ("carol", CAROL_WHO_IS_INACTIVE)] {
        let user = NewUser {
            username: username.to_owned(),
            email: String::new(),
            password_hash: "!".to_owned(),
            role: Role::User,
        };
        let user = store::users::insert(&mut transaction, &user, now).await.unwrap();
        store::tokens::find_or_insert(&mut transaction, user.id, token, now).await.unwrap();
    }
    transaction.commit().await.unwrap();
    database.close().await;
    super::sql::execute(url, "UPDATE auth_user SET is_active = false WHERE username = 'carol'").await;
}

/// Opens a database with a pool of one connection.
pub(crate) async fn connect(url: &str) -> Database {
    connect_with_users(url, AUTH_USERS.table, AUTH_USERS.key).await
}

/// The same, with users of another model.
pub(crate) async fn connect_with_users(url: &str, table: &str, key: &str) -> Database {
    connect_with(url, table, key, 1).await
}

/// The same as [`connect`], with two connections, for what needs another one while a statement takes long.
pub(crate) async fn connect_twice(url: &str) -> Database {
    connect_with(url, AUTH_USERS.table, AUTH_USERS.key, 2).await
}

async fn connect_with(url: &str, table: &str, key: &str, max_connections: u32) -> Database {
    let settings = DatabaseSettings {
        max_connections,
        acquire_timeout: Duration::from_secs(10),
        statement_timeout: Duration::from_secs(30),
        slow_query: None,
        user_table: table.parse().unwrap(),
        user_key: UserKey::from_name(key).unwrap(),
    };
    Database::connect(url, &settings).await.unwrap()
}

/// What a request was answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// Asserts status and body.
    #[track_caller]
    pub(crate) fn assert_is(&self, status: u16, body: &Value) {
        assert_eq!((self.status.as_u16(), &self.json()), (status, body));
    }
}
