//! `cfimages webhook register`

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use reqwest::Url;
use serde::Serialize;

use crate::app;
use crate::cli::Context;
use crate::cli::output::{print_json, print_rows, print_warning};
use crate::cloudflare::Client;
use crate::service::{RegisteredPart, RegistrationAction, RegistrationPlan, WebhookRegistration};

/// Has Cloudflare send notifications of direct creator uploads to a URL: makes a destination and a policy, unless they are there.
#[derive(Debug, Args)]
#[command(after_help = "Cloudflare sends a test message first: the server has to run at this URL, with the secret in \
    CLOUDFLARE_IMAGES_WEBHOOK_SECRET. The API token needs the permission \"Notifications: Edit\". Notifications by webhook need a zone \
    on the Pro plan or above in the account.\n\n\
    To run it twice is as good as once. Cloudflare does not tell which secret a destination has: after a change of the secret, use \
    --rotate-secret.\n\n\
    Examples:\n  \
    cfimages webhook register --url https://images.example.com/cloudflare-images/api/webhook/ --dry-run\n  \
    cfimages webhook register --url https://images.example.com/cloudflare-images/api/webhook/")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct RegisterArgs {
    /// Where Cloudflare is to send notifications.
    #[arg(long)]
    url: Url,
    /// What destination and policy are called at Cloudflare.
    #[arg(long, default_value = "cfimages")]
    name: String,
    /// Let the destination of this name, which is for another URL so far, go to this one.
    #[arg(long = "move")]
    moves: bool,
    /// Send the secret again to the destination that is there.
    #[arg(long)]
    rotate_secret: bool,
    /// Tell what there is and what would be done, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    what: &'static str,
    /// None where it is only to be made.
    id: Option<String>,
    name: String,
    action: &'static str,
    #[serde(skip)]
    sentence: &'static str,
}

#[derive(Serialize)]
struct Report {
    dry_run: bool,
    url: String,
    destination: Row,
    policy: Row,
}

impl RegisterArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let webhook = context.loader().load_webhook()?;
        if webhook.secret.is_none() && !webhook.allow_unsigned {
            bail!(
                "CLOUDFLARE_IMAGES_WEBHOOK_SECRET is not set, so anybody could send webhooks: let it be a long random text, here and \
                 for the server, as from `openssl rand -hex 32`"
            );
        }
        let client = app::cloudflare_client(&context.loader().load_cloudflare()?)?;
        self.check_url(&client)?;
        let registration = WebhookRegistration {
            url: self.url.clone(),
            name: self.name.clone(),
            secret: webhook.secret,
            moves: self.moves,
            rotates_secret: self.rotate_secret,
        };
        let mut plan = RegistrationPlan::make(&client, registration).await?;
        if !self.dry_run {
            plan = plan.carry_out(&client).await?;
        }
        self.print(&plan)?;
        Ok(ExitCode::SUCCESS)
    }

    /// What Cloudflare would refuse, or lose webhooks by.
    fn check_url(&self, client: &Client) -> anyhow::Result<()> {
        let (url, is_web) = (&self.url, matches!(self.url.scheme(), "http" | "https"));
        if !is_web || url.host_str().is_none() {
            bail!("--url must be an https:// URL");
        }
        if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
            bail!("--url must be without user and fragment: the secret proves who sends");
        }
        if client.is_local() {
            return Ok(());
        }
        if url.scheme() == "http" {
            bail!("--url must be an https:// URL: the secret goes along with every webhook");
        }
        if !matches!(url.port_or_known_default(), Some(443)) {
            bail!("--url must be at port 443: Cloudflare sends to no other with https");
        }
        if !url.path().ends_with("/webhook/") {
            print_warning(format_args!("the path of {url} does not end with /webhook/, as that of the webhook does"));
        }
        Ok(())
    }

    fn print(&self, plan: &RegistrationPlan) -> anyhow::Result<()> {
        let destination = row("destination", &plan.destination, self.dry_run);
        let policy = row("policy", &plan.policy, self.dry_run);
        if self.json {
            let report = Report { dry_run: self.dry_run, url: self.url.to_string(), destination, policy };
            print_json(&report)?;
        } else {
            print_rows(false, &["", "ID", "NAME", "WHAT"], &[destination, policy], |row| {
                let id = row.id.clone().unwrap_or_else(|| "-".to_owned());
                vec![row.what.to_owned(), id, row.name.clone(), row.sentence.to_owned()]
            })?;
        }
        if plan.twins > 0 {
            let twins = plan.twins;
            print_warning(format_args!(
                "{twins} more destination(s) at Cloudflare have this URL; remove in the dashboard those that policies name, or \
                 every upload is told several times"
            ));
        }
        if plan.destination.action == RegistrationAction::Keep {
            print_warning(
                "Cloudflare does not tell which secret the destination has; if it is not the one that is configured, --rotate-secret sends it",
            );
        }
        Ok(())
    }
}

fn row(what: &'static str, part: &RegisteredPart, dry_run: bool) -> Row {
    let (action, done, to_do) = match part.action {
        RegistrationAction::Keep => ("keep", "is there as it should be", "is there as it should be"),
        RegistrationAction::Create => ("create", "was made", "would be made"),
        RegistrationAction::Move => ("move", "goes to the new URL now", "would go to the new URL"),
        RegistrationAction::RotateSecret => ("rotate_secret", "has the secret now", "would get the secret"),
        RegistrationAction::Enable => ("enable", "is switched on now", "would be switched on"),
        RegistrationAction::Extend => ("extend", "tells the destination now", "would tell the destination"),
    };
    Row { what, id: part.id.clone(), name: part.name.clone(), action, sentence: if dry_run { to_do } else { done } }
}
