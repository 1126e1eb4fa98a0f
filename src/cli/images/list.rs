//! `cfimages images list`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::super::Context;
use super::super::database::{find_owner, open_records};
use super::super::output::{JsonArray, print_rows, print_warning, yes};
use crate::domain::{
    BrowseFrom, BrowseOrder, Image, ImageFilter, ImageId, ImageQuery, ImageStatus, PageFrom, Timestamp,
};
use crate::service::{ImagePage, ImageRecords};

/// How many images are read in one go.
const BATCH: u32 = 500;

/// Lists images, the newest first.
#[derive(Debug, Args)]
#[command(
    after_help = "Times are in ISO 8601 form; without a zone they are in UTC. The list costs the same wherever it is, and with --all is \
    printed while it is read; conditions other than --user, --status and the times may have to look at all images.\n\n\
    Examples:\n  \
    cfimages images list --status pending --created-before 2026-03-01\n  \
    cfimages images list --user alice --private --limit 10\n  \
    cfimages images list --all --json > images.json"
)]
pub(super) struct ListArgs {
    /// Only images with this status: pending, draft, uploaded, failed or expired.
    #[arg(long)]
    status: Option<ImageStatus>,
    /// Only images of this user.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only images with this `creator` at Cloudflare.
    #[arg(long, value_name = "TEXT")]
    creator: Option<String>,
    /// Only images that were recorded at this time or later.
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_after: Option<Timestamp>,
    /// Only images that were recorded before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_before: Option<Timestamp>,
    /// Only images that are delivered by signed URLs alone.
    #[arg(long)]
    private: bool,
    /// The most images that are listed.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// List all of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A date, or a date with a time.
fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "must be a date, or a date with a time, such as 2026-03-15 or 2026-03-15T10:00:00Z".to_owned())
}

#[derive(Serialize)]
struct Row {
    id: ImageId,
    cloudflare_id: String,
    status: String,
    user: Option<String>,
    creator: String,
    filename: String,
    file_size: Option<i64>,
    require_signed_urls: bool,
    created_at: Timestamp,
    uploaded_at: Option<Timestamp>,
}

impl Row {
    fn new(image: &Image, page: &ImagePage) -> Self {
        Self {
            id: image.id,
            cloudflare_id: image.cloudflare_id.as_str().to_owned(),
            status: image.status.to_string(),
            user: image.user_id.and_then(|owner| page.owners.get(&owner).cloned()),
            creator: image.creator.clone(),
            filename: image.name().to_owned(),
            file_size: image.file_size,
            require_signed_urls: image.require_signed_urls,
            created_at: image.created_at,
            uploaded_at: image.uploaded_at,
        }
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.cloudflare_id.clone(),
            self.status.clone(),
            self.user.clone().unwrap_or_else(|| "-".to_owned()),
            self.filename.clone(),
            self.file_size.map_or_else(|| "-".to_owned(), |bytes| bytes.to_string()),
            yes(self.require_signed_urls),
            self.created_at.to_string(),
        ]
    }
}

const HEADINGS: [&str; 8] = ["ID", "ID AT CLOUDFLARE", "STATUS", "USER", "NAME", "BYTES", "PRIVATE", "CREATED"];

impl ListArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let records = open_records(&config).await?;
        let query = self.query(&records).await?;
        let (mut from, mut left) = (BrowseFrom::Start, if self.all { u64::MAX } else { self.limit.into() });
        let mut json = self.json.then(JsonArray::default);
        loop {
            let size = u32::try_from(left).unwrap_or(BATCH).min(BATCH);
            let page = records.browse(&query, BrowseOrder::NEWEST_FIRST, from, size).await?;
            let rows: Vec<Row> = page.images.iter().map(|image| Row::new(image, &page)).collect();
            left = left.saturating_sub(rows.len() as u64);
            match &mut json {
                Some(json) => json.print(&rows)?,
                None if rows.is_empty() && from != BrowseFrom::Start => {}
                None => print_rows(false, &HEADINGS, &rows, Row::cells)?,
            }
            match page.next {
                Some(next) if left > 0 => from = PageFrom::After(next),
                next => {
                    if let Some(json) = json {
                        json.end()?;
                    }
                    if next.is_some() {
                        print_warning(format_args!(
                            "these are the newest {}; there are more: see --limit and --all",
                            self.limit
                        ));
                    }
                    return Ok(ExitCode::SUCCESS);
                }
            }
        }
    }

    async fn query(&self, records: &ImageRecords) -> anyhow::Result<ImageQuery> {
        let owner = match &self.user {
            Some(name) => Some(find_owner(records, name).await?),
            None => None,
        };
        let filter = ImageFilter {
            status: self.status.clone(),
            creator: self.creator.clone(),
            require_signed_urls: self.private.then_some(true),
            ..ImageFilter::default()
        };
        Ok(ImageQuery {
            filter,
            owner,
            created_from: self.created_after,
            created_before: self.created_before,
            ..ImageQuery::default()
        })
    }
}
