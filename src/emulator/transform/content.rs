//! What a file is: pixels in one of the formats, or a drawing.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::decode::{Rejection, read_header, read_picture};
use super::memory::OF_HEADER;
use super::workers::{Panicked, Workers};
use super::{Format, Picture, svg};

/// What a file is said to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::emulator) enum Kind {
    Pixels(Format),
    Drawing(Drawing),
}

/// The formats of drawings, which have no pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::emulator) enum Drawing {
    Svg,
}

/// What there is to know about a file that has been read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::emulator) enum Content {
    Pixels(Picture),
    Drawing(Drawing),
}

impl Kind {
    /// The kind with this MIME type; parameters behind it and its case do not matter.
    pub(in crate::emulator) fn of_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let is_it = |name: &str| name.eq_ignore_ascii_case(essence);
        let pixels = Format::ALL.into_iter().find(|format| is_it(format.content_type())).map(Self::Pixels);
        pixels.or_else(|| is_it(Drawing::Svg.content_type()).then_some(Self::Drawing(Drawing::Svg)))
    }

    /// What a file is by its first bytes.
    pub(in crate::emulator) fn of_bytes(file: &[u8]) -> Option<Self> {
        let Ok(format) = image::guess_format(file) else {
            let is_svg =
                file.trim_ascii_start().starts_with(b"<") && file.windows(4).take(4096).any(|tag| tag == b"<svg");
            return is_svg.then_some(Self::Drawing(Drawing::Svg));
        };
        Format::ALL.into_iter().find(|known| image::ImageFormat::from(*known) == format).map(Self::Pixels)
    }
}

impl Drawing {
    /// The MIME type.
    pub(in crate::emulator) fn content_type(self) -> &'static str {
        match self {
            Self::Svg => "image/svg+xml",
        }
    }
}

impl Content {
    /// The picture that a file with pixels holds.
    pub(in crate::emulator) fn pixels(&self) -> Option<&Picture> {
        match self {
            Self::Pixels(picture) => Some(picture),
            Self::Drawing(_) => None,
        }
    }

    /// The MIME type.
    pub(in crate::emulator) fn content_type(&self) -> &'static str {
        match self {
            Self::Pixels(picture) => picture.format.content_type(),
            Self::Drawing(drawing) => drawing.content_type(),
        }
    }
}

/// Reads a file to its end, away from the threads that answer requests: first what its header says, and only then the pixels.
pub(in crate::emulator) async fn inspect(workers: &Workers, kind: Kind, file: Bytes) -> Result<Content, Rejection> {
    let Kind::Pixels(format) = kind else {
        return workers.run(svg::MEMORY, move || inspect_svg(&file)).await.map_err(gave_up)?;
    };
    let header_bytes = file.clone();
    let header = workers.run(OF_HEADER, move || read_header(format, &header_bytes)).await.map_err(gave_up)??;
    let picture = workers.run(header.memory(), move || read_picture(&header, &file)).await.map_err(gave_up)??;
    Ok(Content::Pixels(picture))
}

fn inspect_svg(file: &[u8]) -> Result<Content, Rejection> {
    if image::guess_format(file).is_ok() {
        return Err(Rejection::WrongType);
    }
    svg::sanitise(file).map_err(|invalid| Rejection::Unreadable(invalid.to_string()))?;
    Ok(Content::Drawing(Drawing::Svg))
}

fn gave_up(_: Panicked) -> Rejection {
    Rejection::Unreadable("the decoder gave up".to_owned())
}
