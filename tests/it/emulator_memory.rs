//! Hostile files, sent to an emulator of its own many at a time: what it answers, and how much memory that takes it.

use std::io::Cursor;

use image::codecs::gif::GifEncoder;
use image::{DynamicImage, Frame, ImageFormat, Rgb, RgbImage, RgbaImage};
use reqwest::{Method, StatusCode, multipart};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::emulator::Emulator;
use crate::support::app::{Answer, http_client};
use crate::support::picture;
use crate::support::suite::Suite;
use crate::support::webp_bomb;

/// Megabytes that the process may have had at its worst. Room for uploads is 256 MiB of these, most of the rest is for the largest
/// picture that is accepted.
const MOST_MEMORY: u64 = 800;
/// How often each file is sent, all at once.
const TIMES: usize = 4;

pub(crate) fn register(suite: &mut Suite) {
    if cfg!(target_os = "linux") {
        suite.test("emulator::hostile_files_are_refused_within_a_bound_of_memory", hostile_files);
    }
}

async fn hostile_files() {
    let folder = TempDir::new().unwrap();
    let emulator = Emulator::start(folder.path(), &["--memory"]);
    let mut uploads = JoinSet::new();
    for (name, content_type, file, want) in files() {
        for _ in 0..TIMES {
            let part = multipart::Part::bytes(file.clone()).file_name(name).mime_str(content_type).unwrap();
            let request = emulator.request(Method::POST, "v1").multipart(multipart::Form::new().part("file", part));
            uploads.spawn(async move {
                let answer = Answer::of(request).await;
                let code = answer.json()["errors"][0]["code"].as_u64().unwrap_or_default();
                assert_eq!((answer.status.as_u16(), code), want, "{name}: {}", answer.text);
            });
        }
    }
    uploads.join_all().await;
    let most = most_memory(emulator.process_id());
    assert!(most < MOST_MEMORY, "{most} MB");
    let delivery = emulator.setting("Delivery").replace("IMAGE_ID", "none").replace("VARIANT", "public");
    assert_eq!(http_client().get(delivery).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

/// Megabytes that a process has had in memory at its worst.
fn most_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1000
}

/// Name, declared type and content of a file, and the status and code that it gets.
type HostileFile = (&'static str, &'static str, Vec<u8>, (u16, u64));

fn files() -> Vec<HostileFile> {
    let photo = picture("photo.jpg");
    let large = encoded(&RgbImage::new(9_999, 9_999).into(), ImageFormat::Png);
    vec![
        ("empty.png", "image/png", Vec::new(), (400, 9422)),
        ("zeros.png", "image/png", vec![0; 9_000_000], (400, 9422)),
        ("noise.webp", "image/webp", [b"RIFF\0\0\0\0WEBPVP8L".to_vec(), vec![0x5a; 9_000_000]].concat(), (400, 9422)),
        ("truncated.jpg", "image/jpeg", picture("truncated.jpg"), (400, 9422)),
        ("truncated.png", "image/png", large[..large.len() / 2].to_vec(), (400, 9422)),
        ("wrong-extension.png", "image/png", photo.clone(), (415, 5455)),
        ("page.jpg", "image/jpeg", [b"<html>".to_vec(), photo.clone()].concat(), (400, 9422)),
        ("photo.html", "text/html", [photo.clone(), b"<script>alert(1)</script>".to_vec()].concat(), (415, 5455)),
        ("script.gif", "image/gif", b"GIF89a/*\0\0\0\0\0*/=1;alert(1)//;".to_vec(), (400, 9422)),
        ("12001.png", "image/png", claiming_png(12_001, 1), (413, 5413)),
        ("bomb.png", "image/png", claiming_png(60_000, 60_000), (413, 5413)),
        ("bomb.gif", "image/gif", claiming_gif(60_000), (413, 5413)),
        ("bomb.webp", "image/webp", claiming_webp(16_000), (413, 5413)),
        ("frames.gif", "image/gif", animation(1_000, 101), (413, 5443)),
        ("codes.webp", "image/webp", webp_bomb::file(4, 60_000), (400, 9422)),
        ("entities.svg", "image/svg+xml", entities(), (400, 9422)),
        ("deep.svg", "image/svg+xml", deep_svg(), (400, 9422)),
        // This one is right, and about the largest there may be.
        ("large.png", "image/png", large, (200, 0)),
    ]
}

fn encoded(pixels: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    pixels.write_to(&mut out, format).unwrap();
    out.into_inner()
}

/// A PNG of one pixel whose header speaks of others.
fn claiming_png(width: u32, height: u32) -> Vec<u8> {
    let mut png = encoded(&RgbImage::from_pixel(1, 1, Rgb([1, 2, 3])).into(), ImageFormat::Png);
    png[16..20].copy_from_slice(&width.to_be_bytes());
    png[20..24].copy_from_slice(&height.to_be_bytes());
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
    let crc = !png[12..29].iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)));
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    png
}

fn claiming_gif(side: u16) -> Vec<u8> {
    let mut gif = animation(1, 1);
    gif[6..8].copy_from_slice(&side.to_le_bytes());
    gif[8..10].copy_from_slice(&side.to_le_bytes());
    gif
}

/// A WebP without loss whose header speaks of more pixels than are in it.
fn claiming_webp(side: u32) -> Vec<u8> {
    let mut webp = encoded(&RgbaImage::new(1, 1).into(), ImageFormat::WebP);
    let at = webp.windows(4).position(|name| name == b"VP8L").unwrap() + 9;
    let both = (side - 1) | (side - 1) << 14;
    webp[at..at + 4].copy_from_slice(&both.to_le_bytes());
    webp
}

/// A GIF of so many frames, which are all the same.
fn animation(side: u32, frames: usize) -> Vec<u8> {
    let mut gif = Vec::new();
    GifEncoder::new_with_speed(&mut gif, 30).encode_frames([Frame::new(RgbaImage::new(side, side))]).unwrap();
    let start = gif.windows(2).position(|bytes| bytes == [0x21, 0xf9]).unwrap();
    let frame = gif[start..gif.len() - 1].repeat(frames);
    [&gif[..start], &frame, &[0x3b]].concat()
}

/// Entities of entities, which would be billions of characters.
fn entities() -> Vec<u8> {
    let definition = |level: u32| format!("<!ENTITY a{} \"{}\">", level + 1, format!("&a{level};").repeat(10));
    let all: String = (0..9).map(definition).collect();
    format!("<!DOCTYPE svg [<!ENTITY a0 \"x\">{all}]><svg xmlns=\"http://www.w3.org/2000/svg\">&a9;</svg>").into_bytes()
}

fn deep_svg() -> Vec<u8> {
    format!("<svg xmlns=\"http://www.w3.org/2000/svg\">{}", "<g>".repeat(3_000_000)).into_bytes()
}
