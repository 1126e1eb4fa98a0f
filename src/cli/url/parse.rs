//! `cfimages url parse`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::json_line;
use super::lines::{Failure, answer_each};
use crate::cli::output::printable;
use crate::delivery::{DeliveryUrls, Picture, Transform, TransformError};

/// Takes a URL apart into the picture and what is done to it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cfimages url parse https://example.com/cdn-cgi/image/w=300,fit=cover/media/cat.jpg\n  \
    cfimages url parse --json - <urls.txt")]
pub(super) struct ParseArgs {
    /// A delivery URL, or one with `/cdn-cgi/image/`; `-` for one a line from standard input.
    url: String,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

/// A URL, taken apart.
#[derive(Serialize)]
struct Parsed {
    /// The picture as it is.
    picture: String,
    /// The id at Cloudflare, where the picture is kept there.
    id: Option<String>,
    /// The name of the variant, where it is not options.
    variant: Option<String>,
    options: Transform,
}

impl Parsed {
    fn of(urls: &DeliveryUrls, url: &str) -> Result<Self, Failure> {
        let picture = Picture::new(urls, url).map_err(|error| Failure::new(format_args!("the URL {error}")))?;
        let options = match Transform::parse(urls, url) {
            Err(TransformError::NotTransformed) => Transform::new(),
            parsed => parsed.map_err(Failure::new)?.1,
        };
        let parts = urls.split(picture.url());
        Ok(Self {
            picture: picture.untransformed().into_owned(),
            id: parts.map(|parts| parts.id().into_owned()),
            variant: parts.filter(|parts| !parts.is_flexible()).and_then(|parts| parts.variant).map(str::to_owned),
            options,
        })
    }

    /// As lines, for people.
    fn describe(&self) -> String {
        let options = self.options.to_string();
        let parts = [
            ("picture", Some(self.picture.as_str())),
            ("id", self.id.as_deref()),
            ("variant", self.variant.as_deref()),
            ("options", Some(options.as_str()).filter(|options| !options.is_empty())),
        ];
        let lines = parts.into_iter().filter_map(|(name, value)| Some(format!("{name:<8} {}", printable(value?))));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl ParseArgs {
    pub(super) fn run(self, urls: &DeliveryUrls) -> anyhow::Result<ExitCode> {
        answer_each(&self.url, |url| {
            let parsed = Parsed::of(urls, url)?;
            Ok(if self.json { json_line(&parsed) } else { parsed.describe() })
        })
    }
}
