//! `cfimages webhook test`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::Args;
use reqwest::{Client, Url, header};
use secrecy::SecretString;
use serde::Serialize;

use super::read_secret;
use super::samples::{Sample, SampleForm, Verdict, judge};
use crate::app::SystemClock;
use crate::cli::Context;
use crate::cli::output::{print_rows, print_warning, printable};
use crate::domain::Clock;
use crate::service::random_text;

/// How long a server may take to answer; it may wait for Cloudflare itself.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an answer is read, in bytes, and shown, in characters.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
const SHOWN_CHARS: usize = 60;
/// What ids of images that do not exist end with.
const ID_ALPHABET: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";

/// Sends a valid webhook of each form to a server, and tells what it answers. The secret is that of the configuration.
///
/// Without --image the webhooks are about an image that does not exist, and change nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cfimages webhook test --url https://images.example.com/cloudflare-images/api/webhook/\n  \
    pass show webhook-secret | cfimages webhook test --url URL --secret-stdin --form notification\n\n\
    The exit code is 0 if the server took every one as it should.")]
pub(super) struct ProbeArgs {
    /// Where to send them.
    #[arg(long)]
    url: Url,
    /// Read the secret from standard input.
    #[arg(long)]
    secret_stdin: bool,
    /// Send only one form.
    #[arg(long, default_value = "all")]
    form: FormChoice,
    /// Say of this image at Cloudflare that it was uploaded. Its record changes.
    #[arg(long, value_name = "ID")]
    image: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Which samples are sent.
#[derive(Debug, Clone, Copy)]
enum FormChoice {
    All,
    One(SampleForm),
}

impl clap::ValueEnum for FormChoice {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::All,
            Self::One(SampleForm::Test),
            Self::One(SampleForm::Notification),
            Self::One(SampleForm::Signature),
            Self::One(SampleForm::Event),
            Self::One(SampleForm::Timestamped),
        ]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        match self {
            Self::All => Some(clap::builder::PossibleValue::new("all").help("Each of the following")),
            Self::One(form) => form.to_possible_value(),
        }
    }
}

#[derive(Serialize)]
struct Row {
    form: &'static str,
    /// None where there was no answer.
    status: Option<u16>,
    answer: String,
    ok: bool,
    verdict: &'static str,
    /// What to do where it is not as it should be.
    advice: Option<String>,
}

impl ProbeArgs {
    pub(super) async fn run(self, context: &Context) -> anyhow::Result<ExitCode> {
        let secret = if self.secret_stdin { read_secret()? } else { configured_secret(context)? };
        let image = match &self.image {
            Some(id) => id.clone(),
            None => format!("cfimages-webhook-test-{}", random_text(ID_ALPHABET, 12)?),
        };
        let forms = match self.form {
            FormChoice::All => SampleForm::ALL.to_vec(),
            FormChoice::One(form) => vec![form],
        };
        let http = http_client(&self.url)?;
        let mut rows = Vec::new();
        for form in forms {
            let sample = Sample::new(form, &secret, &image, SystemClock.now());
            rows.push(self.send(&http, form, sample).await);
        }
        print_rows(self.json, &["FORM", "STATUS", "ANSWER", "VERDICT"], &rows, |row| {
            let status = row.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            vec![row.form.to_owned(), status, row.answer.clone(), row.verdict.to_owned()]
        })?;
        let mut advice: Vec<&String> = rows.iter().filter_map(|row| row.advice.as_ref()).collect();
        advice.dedup();
        advice.into_iter().for_each(print_warning);
        Ok(if rows.iter().all(|row| row.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn send(&self, http: &Client, form: SampleForm, sample: Sample) -> Row {
        let (name, value) = sample.header;
        let request = http.post(self.url.clone()).header(header::CONTENT_TYPE, "application/json").header(name, value);
        let (status, answer, verdict) = match answer_of(request.body(sample.body)).await {
            Ok((status, text, location)) => {
                let verdict = judge(form, self.image.is_some(), status, text.trim(), location.as_deref());
                (Some(status), text, verdict)
            }
            Err(error) => (None, String::new(), no_answer(&error)),
        };
        let (ok, verdict, advice) = match verdict {
            Verdict::Good(what) => (true, what, None),
            Verdict::Bad(what, advice) => (false, what, Some(advice)),
        };
        Row { form: form.as_str(), status, answer: shown(&answer), ok, verdict, advice }
    }
}

fn configured_secret(context: &Context) -> anyhow::Result<SecretString> {
    context.loader().load_webhook()?.secret.ok_or_else(|| {
        anyhow!("no secret is known: set CLOUDFLARE_IMAGES_WEBHOOK_SECRET to that of the server, or use --secret-stdin")
    })
}

fn http_client(url: &Url) -> anyhow::Result<Client> {
    let mut builder = Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()) {
        // A proxy of the environment would look for its own loopback.
        builder = builder.no_proxy();
    }
    builder
        .user_agent(concat!("cfimages/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("the HTTP client cannot be set up")
}

/// Status, text and target of an answer.
async fn answer_of(request: reqwest::RequestBuilder) -> reqwest::Result<(u16, String, Option<String>)> {
    let mut response = request.send().await?;
    let location =
        response.headers().get(header::LOCATION).map(|url| printable(&String::from_utf8_lossy(url.as_bytes())));
    let mut body = Vec::new();
    while body.len() < MAX_ANSWER_BYTES
        && let Some(chunk) = response.chunk().await?
    {
        body.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), String::from_utf8_lossy(&body).into_owned(), location))
}

fn no_answer(error: &reqwest::Error) -> Verdict {
    let (what, advice) = if error.is_builder() {
        ("not sent", "The secret holds characters that no header may hold.")
    } else if error.is_timeout() {
        (
            "no answer in time",
            "Something took the request and did not answer: look at the server and at what is before it.",
        )
    } else {
        ("no connection", "Nothing answers there: is the server running, and are name, port and certificate right?")
    };
    Verdict::Bad(what, format!("{advice} ({})", crate::cli::output::with_causes(error)))
}

/// The first line of an answer, as far as there is room.
fn shown(answer: &str) -> String {
    let line = printable(answer.trim().lines().next().unwrap_or_default());
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
