//! A page of a shop, with everything that `cfimages::snippets` offers. It needs `cfimages dev` beside it, in the same folder:
//!
//! ```sh
//! cargo run -- dev
//! cargo run --example gallery
//! ```
#![expect(clippy::print_stdout, reason = "tells where the page is")]

use std::error::Error;
use std::sync::Arc;
use std::{env, fs};

use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use cfimages::delivery::{DeliveryShape, DeliveryUrls};
use cfimages::snippets::{GalleryImage, Site, filters};
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde_json::json;

const LISTEN: &str = "127.0.0.1:3000";
/// The pictures that an empty service is given: file, type, what it shows, width and height.
type Sample = (&'static str, &'static str, &'static str, u32, u32);
const SAMPLES: [Sample; 3] = [
    ("photo.jpg", "image/jpeg", "A lake at dusk, with mountains behind it", 1200, 800),
    ("photo.webp", "image/webp", "Mountains above the lake", 640, 960),
    ("photo-rotated.jpg", "image/jpeg", "The lake, seen from its shore", 400, 600),
];

#[derive(Template)]
#[template(path = "../examples/gallery/page.html")]
struct Page {
    photos: Vec<Photo>,
}

impl Page {
    fn gallery(&self) -> Vec<GalleryImage<'_>> {
        self.photos.iter().map(|photo| GalleryImage::new(photo.url(), &*photo.metadata.alt)).collect()
    }
}

/// An image, as the service tells it.
#[derive(Deserialize)]
struct Photo {
    public_url: Option<String>,
    metadata: Metadata,
}

/// What this application keeps with its images.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Metadata {
    alt: String,
    width: u32,
    height: u32,
}

impl Photo {
    fn url(&self) -> &str {
        self.public_url.as_deref().unwrap_or_default()
    }
}

/// The service, as this application reaches it.
struct Backend {
    http: reqwest::Client,
    origin: String,
    token: String,
}

impl Backend {
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/cloudflare-images/{path}", self.origin);
        self.http.request(method, url).header(header::AUTHORIZATION, format!("Token {}", self.token))
    }

    async fn photos(&self) -> Result<Vec<Photo>, Box<dyn Error>> {
        #[derive(Deserialize)]
        struct List {
            results: Vec<Photo>,
        }
        let answer = self.request(Method::GET, "api/images/?status=uploaded&page_size=24").send().await?;
        let list: List = serde_json::from_str(&answer.error_for_status()?.text().await?)?;
        Ok(list.results.into_iter().filter(|photo| photo.public_url.is_some()).collect())
    }

    /// Uploads a sample picture, as a browser would.
    async fn add_sample(&self, sample: Sample) -> Result<(), Box<dyn Error>> {
        #[derive(Deserialize)]
        struct Upload {
            upload_url: String,
        }
        let (file, kind, alt, width, height) = sample;
        let body = json!({"filename": file, "metadata": {"alt": alt, "width": width, "height": height}});
        let request = self.request(Method::POST, "api/upload-url/").header(header::CONTENT_TYPE, "application/json");
        let answer = request.body(body.to_string()).send().await?.error_for_status()?;
        let Upload { upload_url } = serde_json::from_str(&answer.text().await?)?;
        let bytes = fs::read(format!("tests/fixtures/images/{file}"))?;
        let part = reqwest::multipart::Part::bytes(bytes).file_name(file).mime_str(kind)?;
        let form = reqwest::multipart::Form::new().part("file", part);
        self.http.post(upload_url).multipart(form).send().await?.error_for_status()?;
        Ok(())
    }
}

#[derive(Clone)]
struct App {
    backend: Arc<Backend>,
    site: Arc<Site>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let app = App::of_dev()?;
    if app.backend.photos().await.map_err(|error| format!("is `cfimages dev` running? {error}"))?.is_empty() {
        for sample in SAMPLES {
            app.backend.add_sample(sample).await?;
        }
    }
    let router = Router::new()
        .route("/", get(show_page))
        .route("/style.css", get(([(header::CONTENT_TYPE, "text/css")], include_str!("style.css"))))
        .route("/cloudflare-images/{*path}", any(pass_on))
        .layer(DefaultBodyLimit::max(20 << 20))
        .with_state(app);
    println!("http://{LISTEN}/");
    axum::serve(tokio::net::TcpListener::bind(LISTEN).await?, router).await?;
    Ok(())
}

impl App {
    /// What `cfimages dev` says of itself. `DATA` is its folder, `BACKEND` and `DELIVERY` are its addresses, if they are others.
    fn of_dev() -> Result<Self, Box<dyn Error>> {
        #[derive(Deserialize)]
        struct Credentials {
            token: String,
            account_hash: String,
        }
        let setting = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        let file = format!("{}/credentials.json", setting("DATA", "cfimages-dev"));
        let text = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}; start `cfimages dev` first"))?;
        let Credentials { token, account_hash } = serde_json::from_str(&text)?;
        let delivery_url = Some(setting("DELIVERY", "http://127.0.0.1:8001"));
        let urls = DeliveryUrls::new(Some(account_hash), &DeliveryShape { delivery_url, ..DeliveryShape::default() });
        let http = reqwest::Client::builder().redirect(Policy::none()).build()?;
        let backend = Backend { http, origin: setting("BACKEND", "http://127.0.0.1:8000"), token };
        Ok(Self { backend: backend.into(), site: Site { urls, ..Site::default() }.into() })
    }
}

async fn show_page(State(app): State<App>) -> Response {
    let page = match app.backend.photos().await {
        Ok(photos) => Page { photos }.render_with_values(&app.site.values()).map_err(Into::into),
        Err(error) => Err(error),
    };
    match page {
        Ok(html) => Html(html).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("The page cannot be made: {error}")).into_response(),
    }
}

/// Passes requests on to the service, on behalf of the one user that this application has. Pages of others may not have that.
async fn pass_on(State(app): State<App>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let is_own = headers.get(header::HOST).is_some_and(|host| host == LISTEN || host == "localhost:3000");
    let sender = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !is_own || !matches!(sender, Some(b"same-origin" | b"none")) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let path = uri.path_and_query().map_or("", |path| path.as_str().trim_start_matches("/cloudflare-images/"));
    let mut request = app.backend.request(method, path).body(body);
    for name in [header::ACCEPT, header::CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    let Ok(answer) = request.send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let passed =
        [header::CONTENT_TYPE, header::LOCATION].map(|name| (name.clone(), answer.headers().get(name).cloned()));
    let passed: HeaderMap = passed.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    (answer.status(), passed, answer.bytes().await.unwrap_or_default()).into_response()
}
