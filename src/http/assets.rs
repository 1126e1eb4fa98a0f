//! Static files, embedded in the binary; read from disk in debug builds.
//!
//! Each has two names: its own, and one with a digest of its content in it, `admin.0123456789abcdef.css`, which pages of ours use and
//! browsers may keep for good. Text is compressed once, and kept so.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use miniz_oxide::deflate::compress_to_vec;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::EntityTag;
use super::media_type::accepts_coding;
use super::security_headers::CROSS_ORIGIN_RESOURCE_POLICY;
use crate::api::not_found_page;
use crate::signature::encode_hex;

/// How many hexadecimal digits of the digest are in a name.
const DIGITS: usize = 16;
/// For names that change with the content.
const FOR_GOOD: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// For names that stay.
const FOR_AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");
/// For the name of another content, which a page of another release asks for while servers are being replaced.
const NOT_AT_ALL: HeaderValue = HeaderValue::from_static("no-cache");

#[derive(RustEmbed)]
#[folder = "static/"]
struct Assets;

/// The name of a file that changes with its content; the name itself where there is no such file.
pub fn hashed_name(name: &str) -> Cow<'_, str> {
    let named = Assets::get(name).zip(name.rsplit_once('.'));
    match named {
        Some((file, (stem, extension))) => Cow::Owned(format!("{stem}.{}.{extension}", digest(&file))),
        None => Cow::Borrowed(name),
    }
}

fn digest(file: &EmbeddedFile) -> String {
    let mut digits = encode_hex(&file.metadata.sha256_hash());
    digits.truncate(DIGITS);
    digits
}

/// Answers with a static file, or 304 where the client has it already.
pub async fn serve_asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    if let Some(file) = Assets::get(&path) {
        return respond(&path, file, FOR_AN_HOUR, &headers);
    }
    match split_digest(&path).and_then(|(name, wanted)| Some((Assets::get(&name)?, name, wanted))) {
        Some((file, name, wanted)) => {
            let caching = if digest(&file) == wanted { FOR_GOOD } else { NOT_AT_ALL };
            respond(&name, file, caching, &headers)
        }
        None => not_found_page(),
    }
}

/// A file's own name, and the digest that stands before its last part.
fn split_digest(path: &str) -> Option<(String, &str)> {
    let (rest, extension) = path.rsplit_once('.')?;
    let (stem, digest) = rest.rsplit_once('.')?;
    let is_digest = digest.len() == DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| (format!("{stem}.{extension}"), digest))
}

fn respond(name: &str, file: EmbeddedFile, caching: HeaderValue, headers: &HeaderMap) -> Response {
    let tag = EntityTag::of_sha256(&file.metadata.sha256_hash());
    let is_known = tag.is_known(headers);
    let (content_type, is_text) = content_type(name);
    let is_compressed = is_text && accepts_coding(headers, "gzip");
    // The same content in two codings has a tag that is weak.
    let tag = if is_compressed { tag.weak() } else { tag.into() };
    let about = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, caching),
        (header::VARY, HeaderValue::from_static("Accept-Encoding")),
        // Pages of any origin may use the modules, which browsers fetch with CORS. Nothing here is secret.
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin")),
    ];
    if is_known {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let content_type = [(header::CONTENT_TYPE, content_type)];
    if is_compressed {
        let coding = [(header::CONTENT_ENCODING, "gzip")];
        return (about, content_type, coding, compressed(&file)).into_response();
    }
    (about, content_type, file.data).into_response()
}

/// The media type of a file, and whether it is text.
fn content_type(name: &str) -> (&'static str, bool) {
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("css") => ("text/css; charset=utf-8", true),
        Some("js") => ("text/javascript; charset=utf-8", true),
        Some("svg") => ("image/svg+xml", true),
        Some("txt" | "md") => ("text/plain; charset=utf-8", true),
        _ => ("application/octet-stream", false),
    }
}

/// The file, compressed the first time that it is asked for. Only debug builds have files that change.
fn compressed(file: &EmbeddedFile) -> Bytes {
    static KNOWN: LazyLock<Mutex<HashMap<[u8; 32], Bytes>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(file.metadata.sha256_hash()).or_insert_with(|| gzip(&file.data).into()).clone()
}

/// RFC 1952: a header without a name or a time, the compressed data, its checksum and its size.
fn gzip(data: &[u8]) -> Vec<u8> {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    let mut out = HEADER.to_vec();
    out.extend(compress_to_vec(data, 9));
    out.extend(crc32(data).to_le_bytes());
    let size = data.len() & 0xffff_ffff;
    out.extend(u32::try_from(size).unwrap_or_default().to_le_bytes());
    out
}

/// The checksum of gzip, bit by bit: it is made once for each file.
fn crc32(data: &[u8]) -> u32 {
    let byte = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !data.iter().fold(!0, byte)
}

#[cfg(test)]
mod tests {
    use miniz_oxide::inflate::decompress_to_vec;

    use super::*;

    #[test]
    fn names_change_with_the_content_and_lead_to_the_same_file() {
        let hashed = hashed_name("admin.css").into_owned();
        let (name, digest) = split_digest(&hashed).unwrap();
        assert_eq!((name.as_str(), digest.len()), ("admin.css", DIGITS));
        assert_eq!(hashed_name("no-such-file.css"), "no-such-file.css");
        for path in ["admin.css", "htmx-2.0.11.min.js", "a.0123456789abcde.css", "a.0123456789abcdeg.css", "", "."] {
            assert_eq!(split_digest(path), None, "{path}");
        }
    }

    #[test]
    fn gzip_has_the_checksum_and_the_size_at_its_end() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let data = b"cfimages ".repeat(100);
        let packed = gzip(&data);
        let (body, trailer) = packed[10..].split_at(packed.len() - 18);
        assert_eq!(decompress_to_vec(body).unwrap(), data);
        assert_eq!(trailer, [crc32(&data).to_le_bytes(), 900_u32.to_le_bytes()].concat());
    }
}
