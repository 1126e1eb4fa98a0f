//! The formats of pictures that Cloudflare takes, and how a file shows its own.

/// A format of pictures that Cloudflare takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PictureFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// GIF, still or animated.
    Gif,
    /// WebP, still or animated.
    WebP,
    /// HEIC: HEVC in HEIF.
    Heic,
    /// AVIF: AV1 in HEIF.
    Avif,
    /// SVG.
    Svg,
}

impl PictureFormat {
    /// How many bytes of a file at most are looked at to find its format.
    pub const PREFIX_BYTES: usize = 8192;

    /// The format of the file that begins with these bytes: the whole of it, or its first [`PREFIX_BYTES`](Self::PREFIX_BYTES). What
    /// name and type the file is said to have does not count. That the rest of it is whole is not checked.
    ///
    /// # Examples
    /// ```
    /// use cfimages::domain::PictureFormat;
    ///
    /// assert_eq!(PictureFormat::of(b"GIF89a\x01\x00"), Some(PictureFormat::Gif));
    /// assert_eq!(PictureFormat::of(b"<!doctype html><svg>"), None);
    /// ```
    pub fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => of_brands(start),
            _ => is_svg(start).then_some(Self::Svg),
        }
    }

    /// The MIME type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Gif => "image/gif",
            Self::WebP => "image/webp",
            Self::Heic => "image/heic",
            Self::Avif => "image/avif",
            Self::Svg => "image/svg+xml",
        }
    }
}

/// Looks for a brand of pictures in the box at the beginning of ISO base media files: its size, `ftyp`, the brand, a version, and other
/// brands that readers may go by.
fn of_brands(start: &[u8]) -> Option<PictureFormat> {
    let size = usize::try_from(u32::from_be_bytes(*start.first_chunk()?)).ok()?;
    let (brands, _) = start.get(8..size.min(start.len()))?.as_chunks::<4>();
    let has = |wanted: &[&[u8; 4]]| brands.iter().enumerate().any(|(at, brand)| at != 1 && wanted.contains(&brand));
    if has(&[b"avif", b"avis"]) {
        return Some(PictureFormat::Avif);
    }
    let is_heic = has(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"]);
    is_heic.then_some(PictureFormat::Heic)
}

/// Whether the first element of an XML document is `svg`, with or without the prefix of a namespace.
fn is_svg(start: &[u8]) -> bool {
    let text = start.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let mut rest = text.trim_start_matches('\u{feff}');
    loop {
        rest = rest.trim_start();
        let after = if let Some(comment) = rest.strip_prefix("<!--") {
            comment.split_once("-->").map(|(_, after)| after)
        } else if let Some(instruction) = rest.strip_prefix("<?") {
            instruction.split_once("?>").map(|(_, after)| after)
        } else if let Some(doctype) = rest.strip_prefix("<!DOCTYPE") {
            after_doctype(doctype)
        } else {
            return rest.strip_prefix('<').is_some_and(begins_svg);
        };
        let Some(after) = after else { return false };
        rest = after;
    }
}

/// What comes after a document type, which may hold declarations in brackets. One of another kind of document leads nowhere.
fn after_doctype(doctype: &str) -> Option<&str> {
    let end = doctype.find(['>', '['])?;
    if !doctype[..end].trim_start().starts_with("svg") {
        return None;
    }
    let rest = &doctype[end..];
    match rest.strip_prefix('[') {
        Some(declarations) => declarations.split_once(']')?.1.trim_start().strip_prefix('>'),
        None => rest.strip_prefix('>'),
    }
}

fn begins_svg(tag: &str) -> bool {
    let Some(end) = tag.find(|c: char| c.is_whitespace() || matches!(c, '>' | '/')) else { return false };
    let name = &tag[..end];
    name.rsplit_once(':').map_or(name, |(_, local)| local) == "svg"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ftyp(brands: &[&[u8; 4]]) -> Vec<u8> {
        let size = u32::try_from(8 + 4 * (brands.len() + 1)).unwrap();
        let mut bytes = [&size.to_be_bytes()[..], b"ftyp", brands[0], &[0; 4]].concat();
        bytes.extend(brands[1..].iter().flat_map(|brand| **brand));
        bytes.extend_from_slice(b"\0\0\0\x20metaavifheic");
        bytes
    }

    #[test]
    fn formats_are_told_by_the_first_bytes() {
        let heif = |brands: &[&[u8; 4]]| PictureFormat::of(&ftyp(brands));
        assert_eq!(PictureFormat::of(b"\xff\xd8\xff\xe0\0\x10JFIF"), Some(PictureFormat::Jpeg));
        assert_eq!(PictureFormat::of(b"\x89PNG\r\n\x1a\n\0"), Some(PictureFormat::Png));
        assert_eq!(PictureFormat::of(b"GIF87a"), Some(PictureFormat::Gif));
        assert_eq!(PictureFormat::of(b"RIFF\x01\0\0\0WEBPVP8 "), Some(PictureFormat::WebP));
        assert_eq!(heif(&[b"avif"]), Some(PictureFormat::Avif));
        assert_eq!(heif(&[b"mif1", b"miaf", b"avif"]), Some(PictureFormat::Avif));
        assert_eq!(heif(&[b"mif1", b"heic"]), Some(PictureFormat::Heic));
        assert_eq!(heif(&[b"heix", b"mif1"]), Some(PictureFormat::Heic));
        assert_eq!((heif(&[b"isom", b"mp42"]), heif(&[b"mif1"])), (None, None));
    }

    #[test]
    fn svg_is_told_by_its_first_element() {
        for svg in [
            "<svg>",
            "\u{feff}<?xml version=\"1.0\"?>\n<!-- made <by> hand -->\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
            "<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\" \"http://www.w3.org/x.dtd\">\r\n<svg width='1'>",
            "<!DOCTYPE svg [ <!ENTITY a \"b\"> ]><svg:svg xmlns:svg='x'>",
        ] {
            assert_eq!(PictureFormat::of(svg.as_bytes()), Some(PictureFormat::Svg), "{svg}");
        }
        for other in
            ["", "<", "<svg", "svg", "<svgx>", "<!-- <svg>", "<!doctype html><svg>", "<!DOCTYPE html><svg>", "<p><svg>"]
        {
            assert_eq!(PictureFormat::of(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn other_files_are_no_pictures() {
        for bytes in
            [&b"BM6"[..], b"%PDF-1.7", b"II*\0", b"MZ", b"RIFF\0\0\0\0WAVE", b"\0\0\0\x01ftyp", b"\xff\xd8", b"text"]
        {
            assert_eq!(PictureFormat::of(bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_look_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[<!?\\-\\[\\]>svg: DOCTYPE]{0,40}") {
            let _ = PictureFormat::of(&bytes);
            let _ = PictureFormat::of(text.as_bytes());
            let _ = PictureFormat::of(&[&[0, 0, 0, 16], b"ftyp", &bytes[..]].concat());
        }
    }
}
