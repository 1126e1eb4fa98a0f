//! What came to the webhook, and what became of it.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use super::error::PageError;
use super::list::{Asked, Choice, Filter, LINES, Selection, Shown, choice};
use super::page::{Frame, Section, render};
use super::picture::{Badge, indented, name};
use super::text::{Moment, shortened, visible};
use super::{Admin, Staff};
use crate::domain::{
    DeliveryDigest, DeliveryFilter, KeptDelivery, Timestamp, WebhookDelivery, WebhookForm, WebhookOutcome, WebhookProof,
};

const OUTCOMES: [Choice; 6] = [
    choice("recorded", "Recorded"),
    choice("postponed", "Postponed"),
    choice("duplicate", "Duplicate"),
    choice("ignored", "Ignored"),
    choice("refused", "Refused"),
    choice("failed", "Failed"),
];
const FORMS: [Choice; 5] = [
    choice("notification", "Notification"),
    choice("report", "Report"),
    choice("event", "Event"),
    choice("test", "Test message"),
    choice("unknown", "Not understood"),
];
const FILTERS: [Filter; 2] = [
    Filter { name: "outcome", label: "Outcome", choices: &OUTCOMES },
    Filter { name: "form", label: "Form", choices: &FORMS },
];
/// How much of a body is shown, once it is indented.
const MAX_BODY_CHARS: usize = 20_000;

#[derive(Template)]
#[template(path = "admin/webhooks.html")]
struct WebhooksPage {
    frame: Frame,
    selection: Selection,
    list: Shown<Line>,
}

struct Line {
    id: String,
    outcome: Badge,
    form: &'static str,
    reason: String,
    client: String,
    time: Moment,
}

/// Lists what came, the latest first.
pub(super) async fn list(State(admin): State<Admin>, staff: Staff, Asked(query): Asked) -> Result<Response, PageError> {
    let selection = Selection::read(&query, "webhooks", &FILTERS);
    let list = match conditions(&selection) {
        Ok(filter) => {
            let part = admin.service.list_webhook_deliveries(filter, selection.from()?, LINES).await?;
            let now = admin.service.clock().now();
            selection.show(&part, ("webhook", "webhooks"), |kept| line(kept, now))
        }
        Err(problems) => Shown::refused(problems),
    };
    Ok(render(&WebhooksPage { frame: Frame::new(&admin, &staff, Section::Webhooks), selection, list }))
}

fn conditions(selection: &Selection) -> Result<DeliveryFilter, Vec<String>> {
    let mut reader = selection.reader();
    let outcome = reader.one_of("outcome", &OUTCOMES).and_then(WebhookOutcome::from_word);
    let form = reader.one_of("form", &FORMS).and_then(WebhookForm::from_word);
    reader.finish(DeliveryFilter { outcome, form })
}

fn line(kept: &KeptDelivery, now: Timestamp) -> Line {
    let KeptDelivery { digest, delivery } = kept;
    Line {
        id: digest.to_string(),
        outcome: outcome_badge(delivery.outcome),
        form: form_name(delivery.form),
        reason: shortened(&delivery.reason, 300),
        client: delivery.client.as_deref().map(visible).unwrap_or_default(),
        time: Moment::new(delivery.received_at, now),
    }
}

#[derive(Template)]
#[template(path = "admin/webhook.html")]
struct WebhookPage {
    frame: Frame,
    outcome: Badge,
    form: &'static str,
    proof: &'static str,
    status: i32,
    reason: String,
    client: String,
    time: Moment,
    cloudflare_id: String,
    /// The record of the image, by key and name.
    image: Option<(String, String)>,
    body: String,
    is_cut: bool,
}

/// Shows one that came.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    staff: Staff,
) -> Result<Response, PageError> {
    let digest: DeliveryDigest = id.parse().map_err(|_| PageError::NotFound)?;
    let (delivery, image) = admin.service.get_webhook_delivery(&digest).await?;
    Ok(render(&WebhookPage {
        frame: Frame::new(&admin, &staff, Section::Webhooks),
        outcome: outcome_badge(delivery.outcome),
        form: form_name(delivery.form),
        proof: proof_name(delivery.proof),
        status: delivery.status,
        reason: visible(&delivery.reason),
        client: delivery.client.as_deref().map(visible).unwrap_or_default(),
        time: Moment::new(delivery.received_at, admin.service.clock().now()),
        cloudflare_id: delivery.cloudflare_id.as_ref().map(|id| visible(id.as_str())).unwrap_or_default(),
        image: image.map(|image| (image.id.to_string(), name(&image, 120))),
        is_cut: delivery.body.chars().count() >= WebhookDelivery::MAX_BODY_CHARS,
        body: body(&delivery.body),
    }))
}

/// A body for people: JSON with its lines, anything else as it came.
fn body(text: &str) -> String {
    if text.trim_start().starts_with(['{', '[']) {
        indented(text, MAX_BODY_CHARS)
    } else {
        shortened(text, MAX_BODY_CHARS)
    }
}

/// What became of a webhook.
pub(super) fn outcome_badge(outcome: WebhookOutcome) -> Badge {
    let (icon, tone, word) = match outcome {
        WebhookOutcome::Recorded => ("check", "good", "Recorded"),
        WebhookOutcome::Postponed => ("clock", "info", "Postponed"),
        WebhookOutcome::Duplicate => ("dots", "plain", "Duplicate"),
        WebhookOutcome::Ignored => ("dots", "plain", "Ignored"),
        WebhookOutcome::Refused => ("cross", "bad", "Refused"),
        WebhookOutcome::Failed => ("cross", "bad", "Failed"),
    };
    Badge { icon, tone, word: word.to_owned() }
}

fn form_name(form: WebhookForm) -> &'static str {
    match form {
        WebhookForm::Notification => "Notification of Cloudflare",
        WebhookForm::Report => "Report of an image",
        WebhookForm::Event => "Event of an image",
        WebhookForm::Test => "Test message",
        WebhookForm::Unknown => "Not understood",
    }
}

fn proof_name(proof: WebhookProof) -> &'static str {
    match proof {
        WebhookProof::None => "None",
        WebhookProof::Secret => "The secret itself, in cf-webhook-auth",
        WebhookProof::Signature => "A signature of the body, in X-Signature or X-Cloudflare-Signature",
        WebhookProof::Timestamped => "A signature of time and body, in Webhook-Signature",
    }
}
