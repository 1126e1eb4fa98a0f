//! How images are shown: name, status, and a small picture.

use super::text::{shortened, visible};
use crate::domain::{Image, ImageStatus, Timestamp};
use crate::service::ImageLinks;

/// A word with a sign and a colour.
#[derive(Debug)]
pub(super) struct Badge {
    /// The name of the sign in the layout.
    pub(super) icon: &'static str,
    /// The class that colours it.
    pub(super) tone: &'static str,
    pub(super) word: String,
}

/// How far the upload of an image has come.
pub(super) fn status_badge(status: &ImageStatus) -> Badge {
    let (icon, tone, word) = match status {
        ImageStatus::Uploaded => ("check", "good", "Uploaded"),
        ImageStatus::Pending => ("clock", "info", "Pending"),
        ImageStatus::Draft => ("dots", "plain", "Draft"),
        ImageStatus::Failed => ("cross", "bad", "Failed"),
        ImageStatus::Expired => ("hourglass", "warn", "Expired"),
        ImageStatus::Other(word) => return Badge { icon: "dots", tone: "plain", word: shortened(word, 20) },
    };
    Badge { icon, tone, word: word.to_owned() }
}

/// What people call an image: the name of its file, else its id at Cloudflare.
pub(super) fn name(image: &Image, max_chars: usize) -> String {
    match image.name() {
        "" => "(no name)".to_owned(),
        name => shortened(name, max_chars),
    }
}

/// A small picture, or what stands in its place.
#[derive(Debug)]
pub(super) enum Thumbnail {
    Picture(String),
    /// It is private, and there is no key to sign its URL with.
    Locked,
    /// There is no picture.
    Missing,
}

impl Thumbnail {
    pub(super) fn new(links: &ImageLinks, image: &Image, now: Timestamp) -> Self {
        if !image.is_uploaded() {
            return Self::Missing;
        }
        let url = if image.require_signed_urls {
            let Some(signed) = links.signed(image, now) else { return Self::Locked };
            signed.thumbnail_url.or(signed.public_url).map(|url| url.as_str().to_owned())
        } else {
            links.thumbnail_url(image).or_else(|| links.picture_url(image))
        };
        url.filter(|url| is_of_the_web(url)).map_or(Self::Missing, Self::Picture)
    }
}

/// Whether a URL is one that a link may lead to. What Cloudflare listed is in the database, where others write, too.
pub(super) fn is_of_the_web(url: &str) -> bool {
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
    is_plain && (url.starts_with("https://") || url.starts_with("http://"))
}

/// JSON with a line for each value, as it is shown, cut where it is longer than `max_chars`.
pub(super) fn indented(json: &str, max_chars: usize) -> String {
    let text = visible(&indent(json, max_chars.saturating_mul(char::MAX_LEN_UTF8)));
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// JSON with a line for each value. Texts and numbers stay as they are written. Deep JSON would grow with the square of its length: no
/// more is written than `max_bytes` and a line.
pub(super) fn indent(json: &str, max_bytes: usize) -> String {
    let mut out = String::new();
    let (mut depth, mut is_in_text, mut is_escaped) = (0_usize, false, false);
    let mut characters = json.chars().peekable();
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(max_bytes)));
    };
    while out.len() <= max_bytes
        && let Some(c) = characters.next()
    {
        if is_in_text {
            out.push(c);
            is_in_text = is_escaped || c != '"';
            is_escaped = !is_escaped && c == '\\';
            continue;
        }
        match c {
            ' ' | '\n' | '\t' | '\r' => {}
            '{' | '[' => {
                out.push(c);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = characters.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                is_in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_as_it_is_written() {
        assert_eq!(
            indented(r#"{"a":[1.50,{}],"b":"x, \"y\": {\\","c":[ ]}"#, 1000),
            "{\n  \"a\": [\n    1.50,\n    {}\n  ],\n  \"b\": \"x, \\\"y\\\": {\\\\\",\n  \"c\": []\n}"
        );
        assert_eq!((indented("[]", 4), indented("null", 4)), ("[]".to_owned(), "null".to_owned()));
    }

    #[test]
    fn long_json_is_cut_before_it_is_indented() {
        assert_eq!(indented(r#"["ééé"]"#, 6), "[\n  \"é…");
        // In full this would be hundreds of gigabytes.
        let deep = "[".repeat(1_000_000);
        assert_eq!(indented(&deep, 20_000).chars().count(), 20_001);
    }

    #[test]
    fn links_lead_to_the_web_alone() {
        assert!(is_of_the_web("https://imagedelivery.net/a/b/public") && is_of_the_web("http://127.0.0.1:8001/x"));
        for url in ["javascript:alert(1)", "data:text/html,x", "//evil.example/", "https://a b", "", "https://é"] {
            assert!(!is_of_the_web(url), "{url}");
        }
    }
}
