//! The pipeline from bytes to bytes. Pictures are compared by pixels within a tolerance.

use std::io::Cursor;

use bytes::Bytes;
use image::codecs::gif::{GifDecoder, GifEncoder};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::metadata::Orientation;
use image::{
    AnimationDecoder as _, DynamicImage, Frame, GenericImageView as _, ImageDecoder as _, ImageEncoder as _,
    ImageFormat, Rgba, RgbaImage,
};
use proptest::prelude::*;

use super::decode::{MAX_PIXELS, MAX_SIDE};
use super::{Browser, Format, Made, Picture, Recipe, Size, exif, make, read_header, read_picture};
use crate::delivery::{OPTIONS, Transform};

const RED: Rgba<u8> = Rgba([220, 20, 20, 255]);
const GREEN: Rgba<u8> = Rgba([20, 200, 20, 255]);
const BLUE: Rgba<u8> = Rgba([20, 20, 220, 255]);
const YELLOW: Rgba<u8> = Rgba([220, 220, 20, 255]);
const WHITE: Rgba<u8> = Rgba([255, 255, 255, 255]);
const CLEAR: Rgba<u8> = Rgba([0, 0, 0, 0]);

/// Red, green; blue, yellow.
fn quadrants(width: u32, height: u32) -> DynamicImage {
    RgbaImage::from_fn(width, height, |x, y| match (x * 2 < width, y * 2 < height) {
        (true, true) => RED,
        (false, true) => GREEN,
        (true, false) => BLUE,
        (false, false) => YELLOW,
    })
    .into()
}

fn png(pixels: &DynamicImage) -> Bytes {
    let mut out = Vec::new();
    pixels.write_with_encoder(PngEncoder::new(&mut out)).unwrap();
    out.into()
}

/// A JPEG with EXIF data.
fn jpeg(pixels: &DynamicImage, exif: Vec<u8>) -> Bytes {
    let mut out = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut out, 98);
    if !exif.is_empty() {
        encoder.set_exif_metadata(exif).unwrap();
    }
    encoder.encode_image(&pixels.to_rgb8()).unwrap();
    out.into()
}

fn gif(frames: &[DynamicImage]) -> Bytes {
    let mut out = Vec::new();
    GifEncoder::new(&mut out).encode_frames(frames.iter().map(|frame| Frame::new(frame.to_rgba8()))).unwrap();
    out.into()
}

fn oriented(orientation: u8) -> Vec<u8> {
    let mut exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
    exif
}

fn read(file: &Bytes) -> Picture {
    let format = match image::guess_format(file).unwrap() {
        ImageFormat::Jpeg => Format::Jpeg,
        ImageFormat::Png => Format::Png,
        ImageFormat::WebP => Format::Webp,
        _ => Format::Gif,
    };
    read_picture(&read_header(format, file).unwrap(), file).unwrap()
}

fn recipe(file: &Bytes, options: &str) -> (Picture, Recipe) {
    let picture = read(file);
    let (transform, _) = Transform::parse_leniently(options);
    let recipe = Recipe::new(&transform.resolved(), &picture, Browser::default());
    (picture, recipe)
}

fn made(file: &Bytes, options: &str) -> (Format, Bytes) {
    let (picture, recipe) = recipe(file, options);
    match make(file, &picture, &recipe).unwrap() {
        Made::Original(bytes) => (picture.format, bytes),
        Made::Picture { bytes, format, .. } => (format, bytes),
        Made::Size(size) => panic!("{size:?} is no picture"),
    }
}

fn decoded(file: &Bytes, options: &str) -> DynamicImage {
    let (format, bytes) = made(file, options);
    image::load_from_memory_with_format(&bytes, format.into()).unwrap()
}

fn is_close(left: Rgba<u8>, right: Rgba<u8>) -> bool {
    left.0.iter().zip(right.0).all(|(left, right)| left.abs_diff(right) < 24)
}

#[track_caller]
fn assert_colours(picture: &DynamicImage, wanted: &[((u32, u32), Rgba<u8>)], what: &str) {
    for ((x, y), colour) in wanted {
        let got = picture.get_pixel(*x, *y);
        assert!(is_close(got, *colour), "{what}: {got:?} at {x},{y}, not {colour:?}");
    }
}

#[test]
fn every_fit_shows_the_parts_it_should() {
    let all = |width: u32, height: u32| {
        let (right, bottom) = (width - 3, height - 3);
        vec![((2, 2), RED), ((right, 2), GREEN), ((2, bottom), BLUE), ((right, bottom), YELLOW)]
    };
    let file = png(&quadrants(120, 80));
    for (options, size, colours) in [
        ("w=60,h=60", (60, 40), all(60, 40)),
        ("w=600", (120, 80), all(120, 80)),
        ("fit=contain,w=240", (240, 160), all(240, 160)),
        ("fit=scale-up,w=60", (120, 80), all(120, 80)),
        ("fit=scale-up,h=160", (240, 160), all(240, 160)),
        ("fit=squeeze,w=30,h=90", (30, 90), all(30, 90)),
        ("fit=cover,w=40,h=40", (40, 40), all(40, 40)),
        ("fit=cover,w=20,h=40,g=left", (20, 40), vec![((2, 2), RED), ((17, 2), RED), ((17, 37), BLUE)]),
        ("fit=cover,w=20,h=40,g=right", (20, 40), vec![((2, 2), GREEN), ((17, 37), YELLOW)]),
        ("fit=cover,w=60,h=10,g=top", (60, 10), vec![((2, 2), RED), ((57, 8), GREEN)]),
        ("fit=cover,w=60,h=10,g=bottom", (60, 10), vec![((2, 2), BLUE), ((57, 8), YELLOW)]),
        ("fit=cover,w=20,h=40,g=0x0.5", (20, 40), vec![((17, 2), RED), ((17, 37), BLUE)]),
        ("fit=cover,w=400,h=400", (400, 400), all(400, 400)),
        ("fit=crop,w=40,h=40", (40, 40), all(40, 40)),
        ("fit=crop,w=400,h=400", (120, 80), all(120, 80)),
        ("fit=crop,w=30,h=400,g=left", (30, 80), vec![((27, 2), RED), ((27, 77), BLUE)]),
        ("fit=aspect-crop,w=400,h=400,g=right", (80, 80), vec![((2, 2), RED), ((30, 2), GREEN), ((77, 77), YELLOW)]),
        ("fit=pad,w=60,h=60", (60, 60), vec![((2, 2), WHITE), ((2, 12), RED), ((57, 47), YELLOW), ((57, 57), WHITE)]),
        ("fit=pad,w=60,h=60,background=%2314dc", (60, 60), vec![((2, 2), Rgba([17, 68, 221, 204]))]),
        ("fit=cover,w=10,h=20,dpr=2,g=left", (20, 40), vec![((17, 2), RED), ((17, 37), BLUE)]),
    ] {
        let picture = decoded(&file, options);
        assert_eq!(picture.dimensions(), size, "{options}");
        assert_colours(&picture, &colours, options);
    }
}

#[test]
fn pictures_are_trimmed_mirrored_turned_and_only_then_fitted() {
    let file = png(&quadrants(120, 80));
    for (options, size, colours) in [
        ("flip=h", (120, 80), vec![((2, 2), GREEN), ((117, 77), BLUE)]),
        ("flip=v", (120, 80), vec![((2, 2), BLUE), ((117, 77), GREEN)]),
        ("flip=hv", (120, 80), vec![((2, 2), YELLOW), ((117, 77), RED)]),
        ("rotate=90", (80, 120), vec![((2, 2), BLUE), ((77, 2), RED), ((77, 117), GREEN)]),
        ("rotate=180", (120, 80), vec![((2, 2), YELLOW), ((117, 2), BLUE)]),
        ("rotate=270", (80, 120), vec![((2, 2), GREEN), ((2, 117), RED)]),
        ("flip=h,rotate=90", (80, 120), vec![((2, 2), YELLOW), ((77, 2), GREEN), ((77, 117), RED)]),
        ("rotate=90,w=40", (40, 60), vec![((2, 2), BLUE), ((37, 57), GREEN)]),
        ("rotate=90,fit=cover,w=40,h=20,g=top", (40, 20), vec![((2, 2), BLUE), ((37, 17), RED)]),
        ("trim=40;0;0;60", (60, 40), vec![((2, 2), YELLOW), ((57, 37), YELLOW)]),
        ("trim=0.5;0.5;0.0;0.0", (60, 40), vec![((2, 2), BLUE), ((57, 37), BLUE)]),
        ("trim.left=60,trim.width=60", (60, 80), vec![((2, 2), GREEN), ((57, 77), YELLOW)]),
        ("trim=0;0;0;60,flip=v,rotate=90", (80, 60), vec![((2, 2), GREEN), ((77, 57), YELLOW)]),
        ("trim=80;0;0;0", (120, 80), vec![((2, 2), RED)]),
    ] {
        let picture = decoded(&file, options);
        assert_eq!(picture.dimensions(), size, "{options}");
        assert_colours(&picture, &colours, options);
    }
}

/// The orientation, the trimming and the turning are reckoned as one; here they are done one by one.
#[test]
fn parts_are_found_whatever_exif_says() {
    for orientation in 1..=8 {
        let stored = quadrants(120, 80);
        let file = jpeg(&stored, oriented(orientation));
        let mut upright = stored;
        upright.apply_orientation(Orientation::from_exif(orientation).unwrap());
        for (options, flip, rotate) in [
            ("trim=8;16;24;32,flip=h,rotate=90", Orientation::FlipHorizontal, Orientation::Rotate90),
            ("trim=8;16;24;32,flip=v,rotate=270", Orientation::FlipVertical, Orientation::Rotate270),
            ("trim=8;16;24;32", Orientation::NoTransforms, Orientation::NoTransforms),
        ] {
            let (width, height) = upright.dimensions();
            let mut want = upright.crop_imm(32, 8, width - 48, height - 32);
            want.apply_orientation(flip);
            want.apply_orientation(rotate);
            let got = decoded(&file, options);
            assert_eq!(got.dimensions(), want.dimensions(), "{orientation} {options}");
            let far = got.pixels().filter(|(x, y, pixel)| !is_close(*pixel, want.get_pixel(*x, *y))).count();
            // Compression blurs the edges of the quadrants.
            assert!(far < 250, "{orientation} {options}: {far}");
        }
    }
}

#[test]
fn a_border_is_cut_off_and_its_rest_is_fitted() {
    let mut framed = RgbaImage::from_pixel(200, 100, WHITE);
    image::imageops::overlay(&mut framed, &quadrants(60, 40).to_rgba8(), 50, 30);
    let file = png(&framed.into());
    for (options, size, corner) in [
        ("trim=border", (60, 40), RED),
        ("trim=border,rotate=90", (40, 60), BLUE),
        ("trim=border,fit=contain,w=120", (120, 80), RED),
        ("trim=border,trim.border.keep=5", (70, 50), WHITE),
        ("trim=border,trim.border.color=black", (200, 100), WHITE),
        ("trim=border,trim.border.tolerance=255", (200, 100), WHITE),
    ] {
        let picture = decoded(&file, options);
        assert_eq!(picture.dimensions(), size, "{options}");
        assert_colours(&picture, &[((2, 2), corner)], options);
        let (read, recipe) = recipe(&file, &format!("{options},f=json"));
        assert_eq!(
            make(&file, &read, &recipe).unwrap(),
            Made::Size(Size { width: size.0, height: size.1 }),
            "{options}"
        );
    }
}

#[test]
fn the_eye_catcher_stays_in_view() {
    let picture =
        RgbaImage::from_fn(300, 100, |x, y| if (230..280).contains(&x) && (30..80).contains(&y) { RED } else { WHITE });
    let file = png(&picture.into());
    for gravity in ["auto", "face"] {
        let cut = decoded(&file, &format!("fit=cover,w=100,h=100,g={gravity}"));
        assert!(is_close(cut.get_pixel(50, 55), RED), "{gravity}");
    }
    assert!(is_close(decoded(&file, "fit=cover,w=100,h=100").get_pixel(50, 55), WHITE));
}

#[test]
fn transparent_parts_stay_or_show_what_is_below() {
    let half = RgbaImage::from_fn(40, 40, |x, _| if x < 20 { CLEAR } else { RED }).into();
    let file = png(&half);
    for (options, format, left) in [
        ("w=20", Format::Png, CLEAR),
        ("w=20,f=webp", Format::Webp, CLEAR),
        ("w=20,f=jpeg", Format::Png, CLEAR),
        ("w=20,f=baseline-jpeg", Format::Jpeg, WHITE),
        ("w=20,f=jpeg,background=blue", Format::Jpeg, Rgba([0, 0, 255, 255])),
        ("w=20,background=rgba(0%2C0%2C255%2C0.5)", Format::Png, Rgba([0, 0, 255, 128])),
        ("fit=pad,w=20,h=60", Format::Png, WHITE),
    ] {
        let (got, bytes) = made(&file, options);
        assert_eq!(got, format, "{options}");
        let picture = image::load_from_memory(&bytes).unwrap();
        let left_pixel = picture.get_pixel(4, picture.height() / 2);
        let is_clear = left == CLEAR && left_pixel[3] == 0;
        assert!(is_clear || is_close(left_pixel, left), "{options}: {left_pixel:?}");
        assert_colours(&picture, &[((16, picture.height() / 2), RED)], options);
    }
}

#[test]
fn quality_decides_about_size() {
    let noise = RgbaImage::from_fn(200, 200, |x, y| {
        let value = u8::try_from((x * 7919 + y * 104_729 + x * y * 31) % 256).unwrap();
        Rgba([value, value.wrapping_mul(3), 255 - value, 255])
    });
    let file = jpeg(&noise.into(), Vec::new());
    let size = |options: &str| made(&file, options).1.len();
    assert!(size("w=100,q=10") < size("w=100,q=50") && size("w=100,q=50") < size("w=100,q=85"));
    assert_eq!(size("w=100"), size("w=100,q=85"));
    assert!(size("w=100,q=low") < size("w=100,q=high"));
}

#[test]
fn metadata_are_those_that_were_asked_for_whether_encoded_anew_or_not() {
    let mut upright = exif::tests::of_camera();
    let _ = Orientation::remove_from_exif_chunk(&mut upright);
    for file in [jpeg(&quadrants(80, 80), exif::tests::of_camera()), jpeg(&quadrants(80, 80), upright)] {
        for options in ["w=40", "w=400"] {
            for (metadata, has_camera, has_copyright) in
                [("keep", true, true), ("copyright", false, true), ("none", false, false)]
            {
                let (_, bytes) = made(&file, &format!("{options},metadata={metadata}"));
                let has = |text: &[u8]| bytes.windows(text.len()).any(|bytes| bytes == text);
                assert_eq!((has(b"Camera"), has(b"(c) A")), (has_camera, has_copyright), "{options} {metadata}");
                let mut decoder = image::codecs::jpeg::JpegDecoder::new(Cursor::new(&bytes)).unwrap();
                assert_eq!(decoder.orientation().unwrap(), Orientation::NoTransforms, "{options} {metadata}");
            }
            let (_, bytes) = made(&file, options);
            assert!(!bytes.windows(6).any(|bytes| bytes == b"Camera"));
        }
    }
}

/// Pictures that EXIF asks to be turned, in all formats that have EXIF.
#[test]
fn the_orientation_is_applied_in_every_format_that_has_one() {
    let pixels = quadrants(120, 80).into_rgb8();
    let write = |encoder: &mut dyn FnMut(&mut Vec<u8>)| {
        let mut out = Vec::new();
        encoder(&mut out);
        Bytes::from(out)
    };
    let color = image::ExtendedColorType::Rgb8;
    let in_png = write(&mut |out| {
        let mut encoder = PngEncoder::new(out);
        encoder.set_exif_metadata(oriented(6)).unwrap();
        encoder.write_image(&pixels, 120, 80, color).unwrap();
    });
    let in_webp = write(&mut |out| {
        let mut encoder = WebPEncoder::new_lossless(out);
        encoder.set_exif_metadata(oriented(6)).unwrap();
        encoder.write_image(&pixels, 120, 80, color).unwrap();
    });
    for file in [jpeg(&pixels.clone().into(), oriented(6)), in_png, in_webp] {
        for (options, size) in [("metadata=keep", (80, 120)), ("metadata=none", (80, 120)), ("w=40", (40, 60))] {
            let (format, bytes) = made(&file, options);
            assert!(!read(&bytes).is_turned, "{format:?} {options}");
            let picture = image::load_from_memory(&bytes).unwrap();
            assert_eq!(picture.dimensions(), size, "{format:?} {options}");
            assert_colours(&picture, &[((2, 2), BLUE), ((size.0 - 3, 2), RED)], options);
        }
    }
}

#[test]
fn untouched_files_have_the_metadata_that_were_asked_for_and_the_same_pixels() {
    let pixels = quadrants(80, 40).into_rgb8();
    let mut exif = exif::tests::of_camera();
    let _ = Orientation::remove_from_exif_chunk(&mut exif);
    let mut png = Vec::new();
    let mut encoder = PngEncoder::new(&mut png);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    encoder.write_image(&pixels, 80, 40, image::ExtendedColorType::Rgb8).unwrap();
    let mut webp = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.set_exif_metadata(exif.clone()).unwrap();
    encoder.write_image(&pixels, 80, 40, image::ExtendedColorType::Rgb8).unwrap();
    for (file, keeps_copyright) in
        [(jpeg(&pixels.clone().into(), exif), true), (Bytes::from(png), false), (Bytes::from(webp), false)]
    {
        for (metadata, has_camera, has_copyright) in
            [("keep", true, true), ("copyright", false, keeps_copyright), ("none", false, false)]
        {
            let (format, bytes) = made(&file, &format!("metadata={metadata},w=5000"));
            let has = |text: &[u8]| bytes.windows(text.len()).any(|bytes| bytes == text);
            assert_eq!((has(b"Camera"), has(b"(c) A")), (has_camera, has_copyright), "{format:?} {metadata}");
            assert_eq!(image::load_from_memory(&bytes).unwrap(), image::load_from_memory(&file).unwrap());
            assert_eq!(bytes == file, metadata == "keep", "{format:?} {metadata}");
        }
    }
}

#[test]
fn every_format_shows_the_same_picture() {
    let pixels = quadrants(120, 80);
    let mut webp = Vec::new();
    pixels.write_with_encoder(WebPEncoder::new_lossless(&mut webp)).unwrap();
    let of_jpeg = [Format::Jpeg, Format::Jpeg, Format::Jpeg, Format::Webp, Format::Webp];
    let with = |own: Format| [own, Format::Jpeg, Format::Jpeg, Format::Webp, Format::Webp];
    for (file, formats) in [
        (jpeg(&pixels, Vec::new()), of_jpeg),
        (png(&pixels), with(Format::Png)),
        (gif(std::slice::from_ref(&pixels)), with(Format::Gif)),
        (webp.into(), with(Format::Webp)),
    ] {
        let options = ["w=60", "w=60,f=jpeg", "w=60,f=baseline-jpeg", "w=60,f=webp", "w=60,f=webp,q=100"];
        for (options, want) in options.into_iter().zip(formats) {
            let (format, bytes) = made(&file, options);
            assert_eq!((format, read(&bytes).format), (want, want), "{options}");
            let picture = image::load_from_memory(&bytes).unwrap();
            assert_eq!(picture.dimensions(), (60, 40));
            assert_colours(&picture, &[((8, 8), RED), ((50, 8), GREEN), ((8, 32), BLUE), ((50, 32), YELLOW)], options);
        }
    }
}

/// Colours as the options say they become, computed by hand from red, green, blue and yellow.
#[test]
fn colours_and_sharpness_are_adjusted_in_the_file_that_comes_out() {
    let file = png(&quadrants(120, 80));
    let rgb = |r, g, b| Rgba([r, g, b, 255]);
    for (options, red, green, blue, yellow) in [
        ("brightness=0.5", rgb(110, 10, 10), rgb(10, 100, 10), rgb(10, 10, 110), rgb(110, 110, 10)),
        ("brightness=1.2", rgb(255, 24, 24), rgb(24, 240, 24), rgb(24, 24, 255), rgb(255, 255, 24)),
        ("contrast=0.5", rgb(174, 74, 74), rgb(74, 164, 74), rgb(74, 74, 174), rgb(174, 174, 74)),
        ("contrast=1.5", rgb(255, 0, 0), rgb(0, 236, 0), rgb(0, 0, 255), rgb(255, 255, 0)),
        ("gamma=0.5", rgb(237, 71, 71), rgb(71, 226, 71), rgb(71, 71, 237), rgb(237, 237, 71)),
        ("gamma=2", rgb(190, 2, 2), rgb(2, 157, 2), rgb(2, 2, 190), rgb(190, 190, 2)),
        ("saturation=0", rgb(63, 63, 63), rgb(149, 149, 149), rgb(34, 34, 34), rgb(206, 206, 206)),
        ("saturation=0.5", rgb(141, 41, 41), rgb(84, 174, 84), rgb(27, 27, 127), rgb(213, 213, 113)),
        ("blur=4", RED, GREEN, BLUE, YELLOW),
        ("sharpen=5", RED, GREEN, BLUE, YELLOW),
    ] {
        let picture = decoded(&file, options);
        let places = [((20, 15), red), ((100, 15), green), ((20, 65), blue), ((100, 65), yellow)];
        for ((x, y), want) in places {
            let got: Rgba<u8> = picture.get_pixel(x, y);
            assert!(got.0.iter().zip(want.0).all(|(got, want)| got.abs_diff(want) <= 2), "{options}: {got:?} {want:?}");
        }
    }
    // At the edge between red and green, a blur mixes them, and sharpening drives them apart.
    let edge = |options: &str| decoded(&file, options).get_pixel(59, 15);
    let (blurred, sharp) = (edge("blur=8"), edge("sharpen=5"));
    assert!((100..200).contains(&blurred[0]) && (40..150).contains(&blurred[1]), "{blurred:?}");
    assert!(sharp[0] > 230 && sharp[1] < 10, "{sharp:?}");
}

#[test]
fn pixels_per_pixel_multiply_sizes_and_what_is_trimmed() {
    let file = png(&quadrants(120, 80));
    for (options, size, corner) in [
        ("w=30,dpr=2", (60, 40), RED),
        ("h=20,dpr=1.5", (45, 30), RED),
        ("fit=pad,w=30,h=30,dpr=2,background=%231414dc", (60, 60), BLUE),
        ("trim=20;0;0;30,dpr=2", (60, 40), YELLOW),
    ] {
        let picture = decoded(&file, options);
        assert_eq!(picture.dimensions(), size, "{options}");
        assert_colours(&picture, &[((2, 2), corner)], options);
    }
}

#[test]
fn animations_are_transformed_frame_by_frame_or_become_stills() {
    let frames = [quadrants(120, 80), quadrants(120, 80).fliph()];
    let file = gif(&frames);
    let (format, bytes) = made(&file, "w=60,flip=v,saturation=0,trim=border,f=webp");
    assert_eq!(format, Format::Gif);
    let decoder = GifDecoder::new(Cursor::new(&bytes)).unwrap();
    let frames = decoder.into_frames().collect_frames().unwrap();
    assert_eq!(frames.len(), 2);
    // Grey as bright as blue is on one side, as yellow on the other.
    for (frame, darker) in frames.iter().zip([true, false]) {
        assert_eq!(frame.buffer().dimensions(), (60, 40));
        let [left, right] = [2, 57].map(|x| *frame.buffer().get_pixel(x, 2));
        assert!(left[0].abs_diff(left[2]) < 12 && (left[0] < right[0]) == darker, "{left:?} {right:?}");
    }
    for (options, want) in
        [("anim=false,w=60", Format::Gif), ("f=jpeg,w=60", Format::Jpeg), ("anim=false,f=webp,w=60", Format::Webp)]
    {
        let (format, bytes) = made(&file, options);
        assert_eq!((format, read(&bytes).frames), (want, 1), "{options}");
        assert_colours(&image::load_from_memory(&bytes).unwrap(), &[((2, 2), RED), ((50, 2), GREEN)], options);
    }
}

#[test]
fn pictures_of_16_bits_and_in_grey_are_transformed() {
    let deep = DynamicImage::ImageRgba16(quadrants(120, 80).to_rgba16());
    assert_colours(&decoded(&png(&deep), "w=60,blur=1"), &[((5, 5), RED), ((55, 35), YELLOW)], "16 bits");
    for grey in [
        DynamicImage::ImageLuma8(quadrants(120, 80).to_luma8()),
        DynamicImage::ImageLumaA16(quadrants(120, 80).to_luma_alpha16()),
    ] {
        for options in
            ["w=60", "w=60,contrast=1.2", "fit=pad,w=60,h=60,f=jpeg", "w=60,f=webp", "fit=cover,w=10,h=20,g=auto"]
        {
            let picture = decoded(&png(&grey), options);
            let pixel = picture.get_pixel(5, 15);
            assert!(pixel[0].abs_diff(pixel[2]) < 6, "{options}: {pixel:?}");
        }
    }
}

#[test]
fn extreme_sizes_are_worked_on() {
    for (size, options, want) in [
        ((1, 1), "w=1,h=1,rotate=90", (1, 1)),
        ((1, 1), "fit=cover,w=200,h=1,blur=250,sharpen=10", (200, 1)),
        ((1, 1), "fit=squeeze,w=12000,h=1", (12_000, 1)),
        ((12_000, 1), "w=10", (10, 1)),
        ((12_000, 1), "fit=cover,w=1,h=100", (1, 100)),
        ((12_000, 1), "fit=cover,w=1,h=12000", (1, 12_000)),
        ((12_000, 1), "fit=pad,w=10,h=10,rotate=90", (10, 10)),
        ((1, 12_000), "fit=cover,w=120,h=1,g=bottom", (120, 1)),
        ((1, 12_000), "trim=11999;0;0;0,fit=contain,w=3", (3, 3)),
        ((1, 12_000), "fit=aspect-crop,w=12000,h=1", (1, 1)),
        ((3, 2), "trim=0.5;0.0;0.0;0.9,fit=cover,w=50,h=2,dpr=3", (150, 6)),
    ] {
        let picture = decoded(&png(&quadrants(size.0, size.1)), options);
        assert_eq!(picture.dimensions(), want, "{size:?} {options}");
    }
}

/// A value that an option may have, or may not.
fn value(option: &'static str) -> BoxedStrategy<String> {
    let words = OPTIONS.iter().find(|info| info.name == option).map_or("", |info| info.allowed);
    let words: Vec<String> = words.split([' ', ',']).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    prop_oneof![
        4 => prop::sample::select(words),
        4 => (0_u32..40).prop_map(|number| number.to_string()),
        3 => (0_u32..40).prop_map(|number| format!("{:.2}", f64::from(number) / 13.0)),
        1 => "[0-3];[0-3];[0-3];[0-3]",
        1 => "(0\\.[0-9]);(0\\.[0-9]);(0\\.[0-9]);(0\\.[0-9])",
        1 => "(0\\.[0-9]|[01])x(0\\.[0-9]|[01])",
        1 => prop::sample::select(vec!["red", "%23ff000080", "transparent", "90", "270"]).prop_map(str::to_owned),
    ]
    .boxed()
}

/// Width and height, and some options more.
fn options() -> impl Strategy<Value = String> {
    let names: Vec<_> = OPTIONS.iter().map(|info| info.name).collect();
    let more = prop::collection::vec(
        prop::sample::select(names).prop_flat_map(|name| value(name).prop_map(move |value| format!("{name}={value}"))),
        0..7,
    );
    let sides = (prop::option::of(1..60), prop::option::of(1..60), value("fit"));
    (sides, more).prop_map(|((width, height, fit), more)| {
        let width = width.map(|width: i32| format!("w={width}"));
        let height = height.map(|height: i32| format!("h={height}"));
        let fit = Some(format!("fit={fit}"));
        width.into_iter().chain(height).chain(fit).chain(more).collect::<Vec<_>>().join(",")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_transformation_of_a_small_picture_gives_the_size_it_promises(
        (width, height) in (1_u32..24, 1_u32..24),
        kind in 0..5,
        orientation in 1_u8..=8,
        options in options(),
    ) {
        let pixels = quadrants(width, height);
        let file = match kind {
            0 => jpeg(&pixels, oriented(orientation)),
            1 => png(&pixels),
            2 => png(&DynamicImage::ImageLumaA16(pixels.to_luma_alpha16())),
            3 => gif(&[pixels.clone(), pixels.fliph()]),
            _ => gif(&[pixels]),
        };
        let (picture, recipe) = recipe(&file, &options);
        let size = match make(&file, &picture, &recipe).unwrap() {
            Made::Size(size) => size,
            Made::Original(bytes) => {
                prop_assert!(recipe.is_original());
                read(&bytes).size
            }
            Made::Picture { bytes, format, .. } => {
                let made = read(&bytes);
                prop_assert_eq!(made.format, format);
                prop_assert_eq!(made.is_turned, false);
                made.size
            }
        };
        prop_assert!(size.width <= MAX_SIDE && size.height <= MAX_SIDE && size.pixels() <= MAX_PIXELS);
        if let Some(promised) = recipe.size(&picture) {
            prop_assert_eq!(size, promised);
        }
    }
}
