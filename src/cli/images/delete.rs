//! `cfimages images delete`

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::Serialize;

use super::super::Context;
use super::super::database::{get_image, open_current, records_in};
use super::super::output::{describe, print_error, print_json, print_line, print_rows, printable};
use crate::app::{self, SystemClock};
use crate::domain::{Image, ImageUsage};
use crate::service::{CloudflareService, Error, ImageRecords};

/// Deletes images, at Cloudflare and here.
#[derive(Debug, Args)]
#[command(
    after_help = "Each is deleted at Cloudflare first, then here, with its log; the server's log tells that it was. One that content refers to \
    stays, unless --force is given: its usages are kept as references to an image that is not recorded. So does one that a row of the \
    application requires, see CFIMAGES_HOST_DELETE_TABLES.\n\n\
    On a terminal it asks first. A failure does not keep the others from being deleted; the exit code is 0 only if all are gone.\n\n\
    Examples:\n  \
    cfimages images delete 2cdc28f0-017a-49c4-9ed7-87056c83901f\n  \
    cfimages images delete --yes --force products/42/hero products/43/hero\n  \
    cfimages images list --status failed --all --json | jq -r '.[].id' | xargs cfimages images delete --yes"
)]
pub(super) struct DeleteArgs {
    /// The keys of the images, here or at Cloudflare.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Also delete images that content refers to.
    #[arg(long)]
    force: bool,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Print what became of each as JSON.
    #[arg(long)]
    json: bool,
}

/// What became of an image.
#[derive(Serialize)]
struct Outcome {
    /// As it was named.
    id: String,
    is_deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl DeleteArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        config.cloudflare()?; // Told before anything is looked at.
        let database = open_current(&config).await?;
        let service = app::build_service(&config, database.clone(), Arc::new(SystemClock))?;
        let records = records_in(&config, database);
        if !self.yes && !self.is_confirmed(&records).await? {
            bail!("nothing was deleted");
        }
        let mut outcomes = Vec::new();
        for id in &self.ids {
            let error = self.delete(&records, &service, id).await.err().map(|error| describe(&error));
            self.tell(id, error.as_deref())?;
            outcomes.push(Outcome { id: id.clone(), is_deleted: error.is_none(), error });
        }
        service.finish().await;
        if self.json {
            print_json(&outcomes)?;
        }
        let are_all_gone = outcomes.iter().all(|outcome| outcome.is_deleted);
        Ok(if are_all_gone { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn delete(&self, records: &ImageRecords, service: &CloudflareService, id: &str) -> anyhow::Result<()> {
        let image = get_image(records, id).await?;
        match service.delete_image(&image, self.force).await {
            Err(Error::InUse) => {
                let (_, usages) = records.history(image.id).await?;
                bail!("{} Use --force to delete it anyway.", in_use(&usages))
            }
            deleted => Ok(deleted?),
        }
    }

    fn tell(&self, id: &str, error: Option<&str>) -> anyhow::Result<()> {
        match error {
            Some(error) => print_error(format_args!("{}: {error}", printable(id))),
            None if self.json => {}
            None => print_line(format_args!("deleted {}", printable(id)))?,
        }
        Ok(())
    }

    /// Shows the images that are to go, and asks.
    async fn is_confirmed(&self, records: &ImageRecords) -> anyhow::Result<bool> {
        if !std::io::stdin().is_terminal() {
            bail!("there is no terminal to ask whether the images are to be deleted: use --yes");
        }
        let mut rows = Vec::new();
        for id in &self.ids {
            let image = get_image(records, id).await?;
            let (_, usages) = records.history(image.id).await?;
            rows.push(row(&image, usages.len()));
        }
        print_rows(false, &["ID", "ID AT CLOUDFLARE", "NAME", "STATUS", "USAGES"], &rows, Vec::clone)?;
        let mut stdout = std::io::stdout();
        write!(stdout, "Delete {} at Cloudflare and here? [y/N] ", if rows.len() == 1 { "it" } else { "them" })?;
        stdout.flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer).context("the answer cannot be read")?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }
}

fn row(image: &Image, usages: usize) -> Vec<String> {
    vec![
        image.id.to_string(),
        image.cloudflare_id.as_str().to_owned(),
        image.name().to_owned(),
        image.status.to_string(),
        usages.to_string(),
    ]
}

/// That content refers to an image, and which.
fn in_use(usages: &[ImageUsage]) -> String {
    const NAMED: usize = 3;
    let named = usages.iter().take(NAMED).map(|usage| {
        format!("{} {} ({})", usage.content_type(), printable(&usage.object_id), printable(&usage.field_name))
    });
    let more = usages.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("content refers to it: {}{more}.", named.collect::<Vec<_>>().join(", "))
}
