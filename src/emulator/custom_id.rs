//! The rules for ids that the application chooses itself.

use axum::http::StatusCode;
use uuid::Uuid;

use super::envelope::ApiError;

/// Characters an id may have.
const MAX_CHARS: usize = 1024;
/// The endings that make a file name one of an image.
const IMAGE_EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "gif", "webp", "svg", "avif", "heic", "heif"];

/// Refuses ids that Cloudflare refuses.
///
/// UNCONFIRMED, and chosen here: a UUID counts as one in its form with hyphens only; an extension is one to five letters and
/// digits behind the last dot, the first a letter; empty ids and control characters are refused; and so are the segments `.`
/// and `..`, which browsers resolve before they ask for a picture.
pub(super) fn check(id: &str) -> Result<(), ApiError> {
    match problem(id) {
        None => Ok(()),
        Some(reason) => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            5411,
            format!(
                "The Custom ID is invalid. Custom IDs can include 1024 characters or less, any number of subpaths, and \
                 support the UTF-8 encoding standard for characters. Enter a new Custom ID and try again: {reason}"
            ),
        )),
    }
}

/// Whether an image has an id that the application chose: generated ones are UUIDs, and only they are.
pub(super) fn is_custom(id: &str) -> bool {
    Uuid::try_parse(id).is_err()
}

fn problem(id: &str) -> Option<&'static str> {
    if id.is_empty() {
        Some("Must not be empty")
    } else if id.chars().count() > MAX_CHARS {
        Some("Must not be longer than 1024 characters")
    } else if id.starts_with('/') || id.ends_with('/') {
        Some("Must not start or end with a slash")
    } else if id.chars().any(char::is_control) {
        Some("Must not contain control characters")
    } else if id.split('/').any(|segment| matches!(segment, "." | "..")) {
        Some("Must not contain relative subpaths")
    } else if id.len() == 36 && Uuid::try_parse(id).is_ok() {
        Some("Must not be UUID")
    } else if extension(id).is_some_and(|extension| !is_image_extension(extension)) {
        Some("Must not use a non-image file name extension")
    } else {
        None
    }
}

fn extension(id: &str) -> Option<&str> {
    let (_, extension) = id.rsplit('/').next()?.rsplit_once('.')?;
    let is_extension = (1..=5).contains(&extension.len())
        && extension.starts_with(|c: char| c.is_ascii_alphabetic())
        && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    is_extension.then_some(extension)
}

fn is_image_extension(extension: &str) -> bool {
    IMAGE_EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_that_cloudflare_takes_are_taken() {
        let longest = "é".repeat(1024);
        for id in
            ["a", "a/b", "a/b.png", "A.JPG", "50% off?#&=+", "日本/🦀", "v1.2", "a//b", "..a/b..", "a.b/c", &longest]
        {
            assert_eq!(check(id), Ok(()), "{id}");
        }
    }

    #[test]
    fn ids_that_cloudflare_refuses_are_refused() {
        let too_long = "é".repeat(1025);
        for id in [
            "",
            "/a",
            "a/",
            "/",
            "2cdc28f0-017a-49c4-9ed7-87056c839010",
            "2CDC28F0-017A-49C4-9ED7-87056C839010",
            "a/b.txt",
            "x.bmp",
            "x.png.exe",
            "a/../b",
            "..",
            "./a",
            "a\0b",
            "a\nb",
            &too_long,
        ] {
            assert_eq!(check(id).unwrap_err().code(), Some(5411), "{id}");
        }
    }

    proptest! {
        #[test]
        fn no_id_makes_the_check_panic(id in "\\PC*") {
            let _ = check(&id);
        }
    }
}
