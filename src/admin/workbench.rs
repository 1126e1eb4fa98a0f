//! The workbench: options of transformations beside the picture that they make, and what leads to it.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::error::PageError;
use super::page::{Frame, Section, render};
use super::picture::{Thumbnail, is_of_the_web, name};
use super::text::{Moment, visible};
use super::{Admin, Staff};
use crate::delivery::{Format, OPTIONS, OptionInfo, OptionKind, PRESETS, Picture, Preset, Transform, TransformError};
use crate::domain::{BrowseFrom, BrowseOrder, Image, ImageFilter, ImageQuery, ImageStatus};
use crate::http::query::Query;
use crate::service::{self, DEFAULT_LIFETIME};
use crate::snippets::{Dimensions, ResponsiveImage, TransformedImage};

/// Which picture it is about, and which of its named variants in place of options.
const IMAGE: &str = "image";
const VARIANT: &str = "variant";
/// How many pictures there are to choose from, and how many variants.
const MAX_PICTURES: u32 = 24;
const MAX_VARIANTS: usize = 50;
/// The size of presets that have no usual one, in pixels.
const PRESET_SIZE: u32 = 800;
/// Options that mean nothing to pictures that are kept at Cloudflare.
const NOT_OFFERED: [&str; 1] = ["onerror"];

/// How the options are arranged; those that are in none of these come last.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Size", &["width", "height", "fit", "gravity", "zoom", "dpr"]),
    ("Output", &["format", "quality", "background", "metadata", "anim", "slow-connection-quality"]),
    ("Colours", &["brightness", "contrast", "gamma", "saturation", "blur", "sharpen"]),
    (
        "Turn and trim",
        &[
            "rotate",
            "flip",
            "trim",
            "trim.top",
            "trim.left",
            "trim.width",
            "trim.height",
            "trim.border.color",
            "trim.border.tolerance",
            "trim.border.keep",
        ],
    ),
];
const OTHERS: &str = "More";

#[derive(Template)]
#[template(path = "admin/workbench.html")]
struct WorkbenchPage {
    frame: Frame,
    bench: Bench,
}

/// The picture on the bench, or those to choose from.
enum Bench {
    Choice(Vec<ChoiceOfPicture>),
    Picture(Box<Workpiece>),
}

struct ChoiceOfPicture {
    id: String,
    name: String,
    thumbnail: Thumbnail,
}

struct Workpiece {
    id: String,
    name: String,
    is_private: bool,
    variants: Vec<String>,
    variant: String,
    presets: Vec<PresetLink>,
    groups: Vec<Group>,
    result: Outcome,
}

/// What comes out of it.
enum Outcome {
    Picture(Delivered),
    /// What is wrong, in sentences.
    Problems(Vec<String>),
}

struct Delivered {
    url: String,
    is_link: bool,
    /// Whether what is delivered is no picture.
    is_json: bool,
    until: Option<Moment>,
    codes: Vec<Code>,
}

/// A text to copy.
struct Code {
    title: &'static str,
    text: String,
}

/// A transformation for a common use, as a start.
struct PresetLink {
    name: &'static str,
    about: &'static str,
    link: String,
}

struct Group {
    title: &'static str,
    is_open: bool,
    controls: Vec<Control>,
}

struct Control {
    info: OptionInfo,
    value: String,
    /// What is wrong with the value; empty where nothing is.
    problem: String,
}

impl Control {
    /// The name, as the attribute `id` has it and style sheets can name it.
    fn id(&self) -> String {
        self.info.name.replace('.', "-")
    }

    /// What may be given, where it is short enough to stand in the field.
    fn placeholder(&self) -> String {
        match self.info.kind {
            OptionKind::Integer { least, most } => format!("{least} to {most}"),
            OptionKind::Decimal { least, most: Some(most) } => format!("{least} to {most}"),
            OptionKind::Decimal { most: None, .. } => "such as 1.2".to_owned(),
            OptionKind::Color => "#ff8800".to_owned(),
            OptionKind::Text(some) => some.first().map(|text| format!("such as {text}")).unwrap_or_default(),
            OptionKind::Flag | OptionKind::Words(_) => String::new(),
        }
    }
}

impl Workpiece {
    /// The places of all problems, which change with the picture.
    fn problem_places(&self) -> String {
        let controls = self.groups.iter().flat_map(|group| &group.controls);
        controls.map(|control| format!("#problem-{}", control.id())).collect::<Vec<_>>().join(",")
    }
}

/// Shows a picture with what the address says of it, or pictures to choose from.
pub(super) async fn show(State(admin): State<Admin>, staff: Staff, request: Request) -> Result<Response, PageError> {
    let query = Query::parse(request.uri().query().unwrap_or_default())
        .map_err(|_| PageError::BadRequest("The address has too many parameters."))?;
    let bench = match query.get(IMAGE).filter(|id| !id.is_empty()) {
        None => Bench::Choice(pictures(&admin).await?),
        Some(id) => {
            let id = id.parse().map_err(|_| PageError::NotFound)?;
            let (image, _) = admin.service.find_any_image(id).await?;
            Bench::Picture(Box::new(workpiece(&admin, &image, &query).await?))
        }
    };
    Ok(render(&WorkbenchPage { frame: Frame::new(&admin, &staff, Section::Workbench), bench }))
}

/// The newest pictures.
async fn pictures(admin: &Admin) -> Result<Vec<ChoiceOfPicture>, PageError> {
    let filter = ImageFilter { status: Some(ImageStatus::Uploaded), ..ImageFilter::default() };
    let query = ImageQuery { filter, ..ImageQuery::default() };
    let order = BrowseOrder::NEWEST_FIRST;
    let page = admin.service.browse_images(&query, order, BrowseFrom::Start, MAX_PICTURES).await?;
    let now = admin.service.clock().now();
    let choice = |image: &Image| ChoiceOfPicture {
        id: image.id.to_string(),
        name: name(image, 40),
        thumbnail: Thumbnail::new(&admin.links, image, now),
    };
    Ok(page.images.iter().map(choice).collect())
}

async fn workpiece(admin: &Admin, image: &Image, query: &Query) -> Result<Workpiece, PageError> {
    let given: Vec<_> =
        query.pairs().filter(|(name, value)| !matches!(*name, IMAGE | VARIANT) && !value.trim().is_empty()).collect();
    let variant = query.get(VARIANT).unwrap_or_default();
    // Private pictures are delivered in named variants alone.
    let variant = if image.require_signed_urls && variant.is_empty() { "public" } else { variant };
    let (result, errors) = if !image.is_uploaded() {
        (Outcome::Problems(vec!["There is no picture yet.".to_owned()]), Vec::new())
    } else if variant.is_empty() {
        transformed(admin, image, &given)
    } else {
        (in_variant(admin, image, variant).await?, Vec::new())
    };
    let mut variants: Vec<_> = image.variants.entries().into_iter().map(|(name, _)| name).take(MAX_VARIANTS).collect();
    if !variants.iter().any(|name| name == "public") {
        variants.insert(0, "public".to_owned());
    }
    Ok(Workpiece {
        id: image.id.to_string(),
        name: name(image, 120),
        is_private: image.require_signed_urls,
        variants,
        variant: variant.to_owned(),
        presets: presets(image),
        groups: groups(&given, &errors),
        result,
    })
}

/// The picture as options make it, and what is wrong with them.
fn transformed(admin: &Admin, image: &Image, given: &[(&str, &str)]) -> (Outcome, Vec<TransformError>) {
    let fail = |problem: String| (Outcome::Problems(vec![problem]), Vec::new());
    let Some(original) = admin.links.picture_url(image) else {
        return fail("The URL of the picture is not known: CLOUDFLARE_IMAGES_ACCOUNT_HASH is not set.".to_owned());
    };
    let picture = match Picture::new(admin.links.urls(), &original) {
        Ok(picture) => picture,
        Err(error) => return fail(format!("The URL of the picture {error}.")),
    };
    let built = Transform::new().with_options(given.iter().copied()).and_then(|transform| {
        let url = transform.build(&picture).map_err(|error| vec![error])?;
        Ok((transform, url))
    });
    match built {
        Ok((transform, url)) => {
            let delivered = Delivered {
                is_link: is_of_the_web(&url),
                is_json: transform.resolved().format == Some(Format::Json),
                until: None,
                codes: codes(admin, image, &original, &transform, &url),
                url,
            };
            (Outcome::Picture(delivered), Vec::new())
        }
        Err(errors) => {
            let problems = errors.iter().map(|error| format!("{}.", visible(&error.to_string()))).collect();
            (Outcome::Problems(problems), errors)
        }
    }
}

/// What leads to a transformed picture.
fn codes(admin: &Admin, image: &Image, original: &str, transform: &Transform, url: &str) -> Vec<Code> {
    let alt = name(image, 120);
    let snippet =
        TransformedImage { alt: &alt, original: original_size(image), ..TransformedImage::new(original, transform) };
    let urls = admin.links.urls();
    let html = if transform.resolved().format == Some(Format::Json) {
        Vec::new()
    } else {
        let written =
            [("HTML, one picture", snippet.html(urls)), ("HTML, for each screen", snippet.picture_html(urls))];
        written.into_iter().filter_map(|(title, html)| Some(Code { title, text: html.ok()? })).collect()
    };
    let options =
        options_of(transform).into_iter().map(|(name, value)| format!(" {}", quoted(&format!("{name}={value}"))));
    let command = format!("cfimages url build {}{}", quoted(original), options.collect::<String>());
    let mut codes = vec![Code { title: "URL", text: url.to_owned() }];
    codes.extend(html);
    codes.push(Code { title: "Command line", text: command });
    codes
}

/// The picture in a named variant, signed where it is private.
async fn in_variant(admin: &Admin, image: &Image, variant: &str) -> Result<Outcome, PageError> {
    if variant.contains('=') {
        return Ok(Outcome::Problems(vec!["That is no name of a variant.".to_owned()]));
    }
    let made = match admin.service.variant_url(image, &admin.links, variant, DEFAULT_LIFETIME).await {
        Ok(made) => made,
        Err(error @ (service::Error::Store(_) | service::Error::NotFound)) => return Err(error.into()),
        Err(error) => return Ok(Outcome::Problems(vec![visible(&error.to_string())])),
    };
    let (url, alt) = (made.url.as_str(), name(image, 120));
    let mut codes = vec![Code { title: "URL", text: url.to_owned() }];
    if made.expires_at.is_some() {
        // A signed picture has one size, which the fragment shows as it is.
        let image = ResponsiveImage { alt: &alt, ..ResponsiveImage::new(url) };
        codes.extend(
            image.html(admin.links.urls()).map(|text| Code { title: "HTML, while the signature is good", text }),
        );
    }
    if let Some(unsigned) = admin.links.urls().build(image.cloudflare_id.as_str(), variant) {
        let text = if image.require_signed_urls {
            format!("cfimages url sign {} --expiry {DEFAULT_LIFETIME}", quoted(&unsigned))
        } else {
            format!("cfimages url build {}", quoted(&unsigned))
        };
        codes.push(Code { title: "Command line", text });
    }
    let now = admin.service.clock().now();
    Ok(Outcome::Picture(Delivered {
        is_link: is_of_the_web(url),
        is_json: false,
        until: made.expires_at.map(|until| Moment::new(until, now)),
        url: url.to_owned(),
        codes,
    }))
}

fn original_size(image: &Image) -> Option<Dimensions> {
    let (width, height) = (image.width?, image.height?);
    Some(Dimensions { width: u32::try_from(width).ok()?, height: u32::try_from(height).ok()? })
}

/// The presets, each as the page with its options.
fn presets(image: &Image) -> Vec<PresetLink> {
    let preset = |name: &str| Preset::named(name, &[]).or_else(|_| Preset::named(name, &[PRESET_SIZE]));
    let link = |transform: &Transform| {
        let options = options_of(transform).into_iter();
        let options = options.map(|(name, value)| format!("&{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC)));
        format!("?{IMAGE}={}{}", image.id, options.collect::<String>())
    };
    let links = PRESETS.iter().filter_map(|info| {
        let transform = preset(info.name).ok()?.transform().ok()?;
        Some(PresetLink { name: info.name, about: info.about, link: link(&transform) })
    });
    links.collect()
}

/// The options that are set, by name, as they are given to forms and commands.
fn options_of(transform: &Transform) -> Vec<(String, String)> {
    let Ok(Value::Object(options)) = serde_json::to_value(transform) else { return Vec::new() };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    options.into_iter().map(|(name, value)| (name, text(value))).collect()
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.,:/=@%+".contains(&byte);
    if word.bytes().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// All options in groups, with what was given and what is wrong with it.
fn groups(given: &[(&str, &str)], errors: &[TransformError]) -> Vec<Group> {
    let is_offered = |info: &&OptionInfo| !NOT_OFFERED.contains(&info.name);
    let is_grouped = |info: &&OptionInfo| GROUPS.iter().any(|(_, names)| names.contains(&info.name));
    let named = |name: &&str| OPTIONS.iter().find(|info| info.name == *name);
    let groups = GROUPS.iter().map(|(title, names)| (*title, names.iter().filter_map(named).collect::<Vec<_>>()));
    let others = OPTIONS.iter().filter(is_offered).filter(|info| !is_grouped(info)).collect();
    let group = |(at, (title, infos)): (usize, (&'static str, Vec<&OptionInfo>))| {
        let controls: Vec<_> = infos.into_iter().map(|info| control(info, given, errors)).collect();
        // What is set must be seen.
        let is_open = at == 0 || controls.iter().any(|control| !control.value.is_empty());
        Group { title, is_open, controls }
    };
    groups.chain([(OTHERS, others)]).enumerate().map(group).collect()
}

fn control(info: &OptionInfo, given: &[(&str, &str)], errors: &[TransformError]) -> Control {
    let is_named = |name: &str| name == info.name || Some(name) == info.alias;
    let value = given.iter().rev().find(|(name, _)| is_named(name)).map(|(_, value)| (*value).to_owned());
    let problem = errors.iter().find(|error| error.option() == Some(info.name)).map(TransformError::problem);
    Control { info: *info, value: value.unwrap_or_default(), problem: problem.unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_has_a_control_and_no_other() {
        let groups = groups(&[("w", "30"), ("width", "40"), ("blur", "x")], &[]);
        let controls: Vec<_> = groups.iter().flat_map(|group| &group.controls).collect();
        let mut names: Vec<_> = controls.iter().map(|control| control.info.name).collect();
        names.extend(NOT_OFFERED);
        names.sort_unstable();
        let mut all: Vec<_> = OPTIONS.iter().map(|info| info.name).collect();
        all.sort_unstable();
        assert_eq!(names, all);
        let arranged: usize = GROUPS.iter().map(|(_, names)| names.len()).sum();
        let shown: usize = groups[..GROUPS.len()].iter().map(|group| group.controls.len()).sum();
        assert_eq!(arranged, shown, "a group names what there is not");
        assert_eq!(controls.iter().find(|control| control.info.name == "width").unwrap().value, "40");
        assert_eq!(groups.iter().map(|group| group.is_open).collect::<Vec<_>>(), [true, false, true, false, false]);
    }

    #[test]
    fn commands_are_quoted_for_a_shell() {
        assert_eq!(quoted("width=300"), "width=300");
        assert_eq!(quoted("background=#fff; rm -rf 'x'"), r"'background=#fff; rm -rf '\''x'\'''");
        assert_eq!(quoted("a\nb$(c)"), "'a\nb$(c)'");
    }
}
