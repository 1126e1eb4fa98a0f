//! `cfimages images show`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::super::Context;
use super::super::database::{get_image, open_records};
use super::super::output::{print_json, print_line, print_rows};
use crate::api::{ImageResponse, LogResponse, UsageResponse};
use crate::app::{self, SystemClock};
use crate::domain::Clock;

/// Shows all fields of an image, what happened to it, and what refers to it.
#[derive(Debug, Args)]
#[command(
    after_help = "The fields are those of `GET api/images/{id}/`, with its owner, its creator and its size in pixels besides. Whoever \
    has the upload URL of a pending image can upload its picture.\n\n\
    Examples:\n  \
    cfimages images show 2cdc28f0-017a-49c4-9ed7-87056c83901f\n  \
    cfimages images show products/42/hero --json | jq '.logs[].message'"
)]
pub(super) struct ShowArgs {
    /// The key of the image, here or at Cloudflare.
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    image: ImageResponse,
    user: Option<String>,
    creator: String,
    width: Option<i64>,
    height: Option<i64>,
    logs: Vec<LogResponse>,
    usages: Vec<UsageResponse>,
}

impl ShowArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let records = open_records(&config).await?;
        let image = get_image(&records, &self.id).await?;
        let user = records.find_owner_of(&image).await?.map(|user| user.username);
        let (logs, usages) = records.history(image.id).await?;
        let shown = Shown {
            user,
            creator: image.creator.clone(),
            width: image.width,
            height: image.height,
            logs: logs.into_iter().map(LogResponse::from).collect(),
            usages: usages.into_iter().map(UsageResponse::from).collect(),
            image: ImageResponse::new(image, &app::image_links(&config), SystemClock.now()),
        };
        if self.json {
            print_json(&shown)?;
        } else {
            shown.print()?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Shown {
    fn print(&self) -> anyhow::Result<()> {
        let Value::Object(fields) = serde_json::to_value(self)? else { return Ok(()) };
        let fields: Vec<(String, Value)> =
            fields.into_iter().filter(|(name, _)| !matches!(name.as_str(), "logs" | "usages")).collect();
        print_rows(false, &["FIELD", "VALUE"], &fields, |(name, value)| vec![name.clone(), text_of(value)])?;
        print_line("")?;
        print_rows(false, &["WHEN", "EVENT", "WHAT HAPPENED"], &self.logs, |entry| {
            vec![entry.timestamp.to_string(), entry.event_type.clone(), entry.message.clone()]
        })?;
        print_line("")?;
        print_rows(false, &["CONTENT", "KEY", "FIELD", "SINCE"], &self.usages, |usage| {
            let names = [&usage.content_type, &usage.object_id, &usage.field_name];
            names.into_iter().cloned().chain([usage.created_at.to_string()]).collect()
        })
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}
