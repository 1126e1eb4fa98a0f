//! `cfimages webhook deliveries`

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::Context;
use crate::cli::database::open_current;
use crate::cli::output::{print_rows, print_warning};
use crate::domain::{DeliveryFilter, PageFrom, WebhookDelivery, WebhookOutcome};
use crate::store;

/// Lists the webhooks that came to any instance, the latest first. They are kept for a week.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cfimages webhook deliveries --outcome refused     why were they refused?\n  \
    cfimages webhook deliveries --json --limit 1000   with their bodies")]
pub(super) struct DeliveriesArgs {
    /// Only those that ended so.
    #[arg(long)]
    outcome: Option<WebhookOutcome>,
    /// The most to list.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Print JSON, with the beginnings of the bodies.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    received_at: String,
    form: &'static str,
    proof: &'static str,
    outcome: &'static str,
    status: i32,
    cloudflare_id: Option<String>,
    client: Option<String>,
    reason: String,
    body: String,
}

impl From<WebhookDelivery> for Row {
    fn from(delivery: WebhookDelivery) -> Self {
        Self {
            received_at: delivery.received_at.to_string(),
            form: delivery.form.as_str(),
            proof: delivery.proof.as_str(),
            outcome: delivery.outcome.as_str(),
            status: delivery.status,
            cloudflare_id: delivery.cloudflare_id.map(|id| id.to_string()),
            client: delivery.client,
            reason: delivery.reason,
            body: delivery.body,
        }
    }
}

impl DeliveriesArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let config = context.database_config()?;
        let database = open_current(&config).await?;
        let filter = DeliveryFilter { outcome: self.outcome, form: None };
        let deliveries = store::webhook_deliveries::list(&database, filter, PageFrom::Start, self.limit).await?;
        let count = store::webhook_deliveries::count(&database, self.outcome).await?;
        database.close().await;
        let rows: Vec<Row> = deliveries.into_iter().map(|kept| Row::from(kept.delivery)).collect();
        let headings = ["RECEIVED", "FORM", "PROOF", "OUTCOME", "STATUS", "IMAGE", "FROM", "REASON"];
        print_rows(self.json, &headings, &rows, |row| {
            let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                row.received_at.clone(),
                row.form.to_owned(),
                row.proof.to_owned(),
                row.outcome.to_owned(),
                row.status.to_string(),
                or_none(&row.cloudflare_id),
                or_none(&row.client),
                row.reason.clone(),
            ]
        })?;
        if count > u64::from(self.limit) {
            print_warning(format_args!("{count} are kept; --limit shows more than {}", self.limit));
        }
        Ok(ExitCode::SUCCESS)
    }
}
