//! What thumbnails of photos of 12 megapixels cost the emulator in time on a CPU, from the request to the answer.
//!
//! `cargo bench --bench thumbnail` prints it. Only Linux tells a process its time.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has failed, and tells its result"
)]

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use axum::{Router, response::Response};
use cfimages::app::SystemClock;
use cfimages::emulator::{Emulator, EmulatorConfig, Sources, StorageKind, Variant};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use tower::ServiceExt as _;

const TIMES: u32 = 20;
const ACCOUNT: &str = "account";
const HASH: &str = "hash";
const BOUNDARY: &str = "the-boundary";

#[tokio::main]
async fn main() {
    let emulator = Emulator::open(EmulatorConfig {
        account_id: ACCOUNT.to_owned(),
        account_hash: HASH.to_owned(),
        api_token: "token".to_owned(),
        limited_tokens: Vec::new(),
        signing_keys: Vec::new(),
        public_url: "http://127.0.0.1:1".to_owned(),
        address: "127.0.0.1:1".parse().unwrap(),
        storage: StorageKind::Memory,
        variants: vec![Variant::public()],
        flexible_variants: true,
        sources: Sources::default(),
        cache_bytes: 0,
        notify: None,
        clock: Arc::new(SystemClock),
    })
    .unwrap();
    let router = emulator.router();
    for (id, grain, quality) in [("by-day", 16.0, 90), ("by-night", 48.0, 95)] {
        let photo = photo(4000, 3000, grain, quality);
        println!("{id}, a JPEG of 4000x3000 pixels and {} kB", photo.len() / 1000);
        upload(&router, id, &photo).await;
        for options in ["w=300,fit=scale-down", "w=200,h=200,fit=cover"] {
            let cost = cost(&router, &format!("/{HASH}/{id}/{options}")).await;
            println!("  {options}: {cost} ms of CPU each");
        }
    }
}

/// The milliseconds that a request takes a CPU, on average.
async fn cost(router: &Router, path: &str) -> u64 {
    let request = || Request::get(path).body(Body::empty()).unwrap();
    finished(router, request()).await;
    let before = cpu_milliseconds();
    for _ in 0..TIMES {
        finished(router, request()).await;
    }
    (cpu_milliseconds() - before) / u64::from(TIMES)
}

async fn upload(router: &Router, id: &str, photo: &[u8]) {
    let part = |name: &str, more: &str, content: &[u8]| {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{more}\r\n\r\n");
        [head.as_bytes(), content, b"\r\n"].concat()
    };
    let id = part("id", "", id.as_bytes());
    let file = part("file", "; filename=\"photo.jpg\"\r\nContent-Type: image/jpeg", photo);
    let body = [id, file, format!("--{BOUNDARY}--\r\n").into_bytes()].concat();
    let request = Request::post(format!("/client/v4/accounts/{ACCOUNT}/images/v1"))
        .header(header::AUTHORIZATION, "Bearer token")
        .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}"));
    finished(router, request.body(Body::from(body)).unwrap()).await;
}

async fn finished(router: &Router, request: Request<Body>) {
    let response: Response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(status.is_success(), "{status} {}", String::from_utf8_lossy(&body));
}

/// Slopes, textures of several sizes, and the noise of a sensor, which is most of what a camera's file holds.
fn photo(width: u32, height: u32, grain: f32, quality: u8) -> Vec<u8> {
    let wave = |x: u32, y: u32, scale: f32| {
        #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
        let (x, y) = (x as f32 / scale, y as f32 / scale);
        (x + (y * 0.7).sin()).sin() * (y - (x * 0.6).cos()).cos()
    };
    let mut state = 1_u32;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        #[expect(clippy::cast_precision_loss, reason = "noise")]
        let noise = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
        noise
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
    let pixels = RgbImage::from_fn(width, height, |x, y| {
        let light =
            120.0 + 70.0 * wave(x, y, 700.0) + 25.0 * wave(x, y, 60.0) + 10.0 * wave(x, y, 5.0) + grain * noise();
        Rgb([light + 20.0 * wave(y, x, 300.0), light, light - 25.0 * wave(x, y, 400.0)].map(|value| value as u8))
    });
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, quality).encode_image(&pixels).unwrap();
    jpeg
}

/// The time of this process on all CPUs, in user mode and in the system.
fn cpu_milliseconds() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the process is in parentheses, and may hold anything.
    let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |at: usize| fields[at].parse::<u64>().unwrap();
    // Ticks are hundredths of a second on every Linux there is.
    (ticks(11) + ticks(12)) * 10
}
