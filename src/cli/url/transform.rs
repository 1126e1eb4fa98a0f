//! `cfimages url build`, `preset` and `srcset`

use std::borrow::Cow;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::lines::{Failure, answer_each};
use super::{help, json_line};
use crate::config::settings::CLOUDFLARE_IMAGES_ACCOUNT_HASH;
use crate::delivery::{DeliveryUrls, Fit, Format, Picture, Preset, Transform, TransformError, density_srcset, srcset};

const BUILD_EXAMPLES: &str = "Examples:\n  \
    cfimages url build https://imagedelivery.net/<account hash>/<image id>/public width=300 fit=cover\n  \
    cfimages url build /media/cat.jpg --zone example.com w=640 f=auto onerror=redirect\n  \
    cfimages url build --id 2cdc28f0-017a-49c4-9ed7-87056c83901f crop='10;10;300;200'\n  \
    cfimages url build - width=640 <urls.txt >transformed.txt";
const PRESET_EXAMPLES: &str = "Examples:\n  \
    cfimages url preset thumbnail https://imagedelivery.net/<account hash>/<image id>/public\n  \
    cfimages url preset hero /media/cat.jpg 1600 800 --zone example.com";
const SRCSET_EXAMPLES: &str = "Examples:\n  \
    cfimages url srcset https://imagedelivery.net/<account hash>/<image id>/public 320,640 --original-width 1000\n  \
    cfimages url srcset https://imagedelivery.net/<account hash>/<image id>/public 1x,2x width=150";

/// A way to name a picture.
#[derive(Debug, Args)]
struct PictureArgs {
    /// The picture: a delivery URL, a path on a zone, or any URL of the web; `-` for one a line from standard input.
    url: String,
    /// URL is the id of an image of the account.
    #[arg(long, conflicts_with = "zone")]
    id: bool,
    /// The domain that fetches and transforms pictures that are not in Cloudflare Images.
    #[arg(long, value_name = "DOMAIN", value_parser = zone)]
    zone: Option<String>,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// What is done to the picture.
#[derive(Debug, Args)]
struct OptionArgs {
    /// What is done to the picture, such as `width=300`; `--help` lists all options.
    #[arg(value_name = "OPTION=VALUE", value_parser = option)]
    options: Vec<(String, String)>,
}

/// Prints the URL of a picture with these options, which take the place of those it has.
#[derive(Debug, Args)]
#[command(after_help = BUILD_EXAMPLES, after_long_help = help::with_options(BUILD_EXAMPLES))]
pub(super) struct BuildArgs {
    #[command(flatten)]
    picture: PictureArgs,
    #[command(flatten)]
    options: OptionArgs,
}

/// Prints the URL of a picture for a common use.
#[derive(Debug, Args)]
#[command(after_help = PRESET_EXAMPLES)]
pub(super) struct PresetArgs {
    /// The use.
    #[arg(value_parser = help::preset_names())]
    name: String,
    #[command(flatten)]
    picture: PictureArgs,
    /// The sizes of the preset in pixels, in its order.
    #[arg(value_name = "SIZE")]
    sizes: Vec<u32>,
}

/// Prints the attribute `srcset`: one picture in several sizes. Where no option says otherwise they fit the width
/// (`fit=scale-down`), in the best format of the browser (`format=auto`).
#[derive(Debug, Args)]
#[command(after_help = SRCSET_EXAMPLES, after_long_help = help::with_options(SRCSET_EXAMPLES))]
pub(super) struct SrcsetArgs {
    #[command(flatten)]
    picture: PictureArgs,
    /// Widths in pixels (`320,640,1280`), or densities (`1x,2x`) of a picture whose width or height the options give.
    widths: Descriptors,
    #[command(flatten)]
    options: OptionArgs,
    /// The quality: 1 to 100, or high, medium-high, medium-low or low.
    #[arg(long, value_name = "N", default_value = "85")]
    quality: String,
    /// The width of the original in pixels; nothing wider is offered.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    original_width: Option<u32>,
}

/// What the candidates of a `srcset` differ in.
#[derive(Debug, Clone)]
enum Descriptors {
    Widths(Vec<u32>),
    Densities(Vec<f64>),
}

impl FromStr for Descriptors {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = || text.split(',').map(str::trim);
        let widths: Result<Vec<u32>, _> = parts().map(|part| part.strip_suffix('w').unwrap_or(part).parse()).collect();
        if let Ok(widths) = widths {
            return Ok(Self::Widths(widths));
        }
        let densities: Option<Vec<f64>> = parts().map(|part| part.strip_suffix('x')?.parse().ok()).collect();
        densities.map(Self::Densities).ok_or("must be widths such as 320,640,1280, or densities such as 1x,2x")
    }
}

fn option(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("must be OPTION=VALUE, such as width=300")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn zone(text: &str) -> Result<String, String> {
    let picture = Picture::new(&DeliveryUrls::default(), "/any").and_then(|picture| picture.on_zone(text));
    picture.map(|_| text.to_owned()).map_err(|error| error.to_string())
}

impl OptionArgs {
    /// These options over others.
    fn over(&self, transform: Transform) -> anyhow::Result<Transform> {
        let options = self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        transform.with_options(options).or_else(|errors| {
            let errors: Vec<String> = errors.iter().map(TransformError::to_string).collect();
            bail!("{}", errors.join("\n"))
        })
    }
}

impl PictureArgs {
    /// Prints what is made of the picture, or of each.
    fn answer(
        &self,
        urls: &DeliveryUrls,
        mut make: impl FnMut(&Picture<'_>, bool) -> Result<String, TransformError>,
    ) -> anyhow::Result<ExitCode> {
        answer_each(&self.url, |url| {
            let url = self.url_of(urls, url)?;
            let picture = Picture::new(urls, &url).and_then(|picture| match &self.zone {
                Some(zone) => picture.on_zone(zone),
                None => Ok(picture),
            });
            let picture = picture.map_err(|error| Failure::new(format_args!("the URL {error}")))?;
            make(&picture, self.json).map_err(Failure::new)
        })
    }

    fn url_of<'a>(&self, urls: &DeliveryUrls, url: &'a str) -> Result<Cow<'a, str>, Failure> {
        if !self.id {
            return Ok(Cow::Borrowed(url));
        }
        let missing = || Failure::new(format_args!("--id needs {} to be set", CLOUDFLARE_IMAGES_ACCOUNT_HASH.name));
        urls.build(url, "public").map(Cow::Owned).ok_or_else(missing)
    }
}

/// A transformed picture.
#[derive(Serialize)]
struct Built<'a> {
    url: String,
    options: &'a Transform,
}

fn answer_with(picture: &PictureArgs, urls: &DeliveryUrls, transform: &Transform) -> anyhow::Result<ExitCode> {
    picture.answer(urls, |picture, json| {
        let url = transform.build(picture)?;
        Ok(if json { json_line(&Built { url, options: transform }) } else { url })
    })
}

impl BuildArgs {
    pub(super) fn run(self, urls: &DeliveryUrls) -> anyhow::Result<ExitCode> {
        answer_with(&self.picture, urls, &self.options.over(Transform::new())?)
    }
}

impl PresetArgs {
    pub(super) fn run(self, urls: &DeliveryUrls) -> anyhow::Result<ExitCode> {
        answer_with(&self.picture, urls, &Preset::named(&self.name, &self.sizes)?.transform()?)
    }
}

#[derive(Serialize)]
struct Srcset {
    srcset: String,
}

impl SrcsetArgs {
    pub(super) fn run(self, urls: &DeliveryUrls) -> anyhow::Result<ExitCode> {
        let mut base = Transform::new().fit(Fit::ScaleDown).format(Format::Auto);
        base.set("quality", &self.quality)?;
        let transform = self.options.over(base)?;
        if let Descriptors::Densities(_) = self.widths
            && transform.width_in_pixels().or(transform.height_in_pixels()).is_none()
        {
            bail!("densities need width=... or height=..., the size of the picture on the page");
        }
        self.picture.answer(urls, |picture, json| {
            let srcset = match &self.widths {
                Descriptors::Widths(widths) => srcset(picture, &transform, widths, self.original_width)?,
                Descriptors::Densities(densities) => {
                    density_srcset(picture, &transform, densities, self.original_width)?
                }
            };
            Ok(if json { json_line(&Srcset { srcset }) } else { srcset })
        })
    }
}
