//! How the site is doing.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::image::event_title;
use super::page::{Frame, Section, render};
use super::picture::{Badge, Thumbnail, name};
use super::text::{Grouped, Moment, shortened, size};
use super::webhooks::outcome_badge;
use super::{Admin, Staff};
use crate::cloudflare::Health;
use crate::domain::{
    DeliveryFilter, Image, KeptDelivery, PageFrom, RecentEvent, StatusCounts, Timestamp, WebhookDelivery,
};
use crate::metrics::JobKind;
use crate::service::{DayOfUploads, Overview};

/// The height of the chart, in units of its own.
const CHART_HEIGHT: u64 = 100;
/// How many deliveries of webhooks are listed.
const DELIVERIES: u32 = 5;

#[derive(Template)]
#[template(path = "admin/dashboard.html")]
struct DashboardPage {
    frame: Frame,
    total: Grouped,
    storage: String,
    success_rate: String,
    private: Grouped,
    statuses: Vec<StatusTile>,
    bars: Vec<Bar>,
    most: u64,
    uploads: u64,
    first_day: String,
    last_day: String,
    recent: Vec<RecentImage>,
    expiring: Vec<ExpiringImage>,
    events: Vec<EventLine>,
    health: Vec<HealthLine>,
    deliveries: Vec<DeliveryLine>,
}

struct StatusTile {
    value: &'static str,
    label: &'static str,
    icon: &'static str,
    tone: &'static str,
    count: Grouped,
}

/// A day of the chart.
struct Bar {
    x: usize,
    y: u64,
    height: u64,
    day: String,
    uploads: u64,
}

struct RecentImage {
    id: String,
    name: String,
    thumbnail: Thumbnail,
}

struct ExpiringImage {
    id: String,
    name: String,
    until: Moment,
}

struct EventLine {
    id: String,
    name: String,
    title: String,
    time: Moment,
}

/// The state of something that the site depends on.
struct HealthLine {
    what: &'static str,
    icon: &'static str,
    tone: &'static str,
    word: &'static str,
    detail: String,
}

struct DeliveryLine {
    id: String,
    outcome: Badge,
    reason: String,
    time: Moment,
}

/// Shows the first page.
pub(super) async fn show(State(admin): State<Admin>, staff: Staff) -> Result<Response, PageError> {
    let now = admin.service.clock().now();
    let overview = admin.service.overview().await?;
    let deliveries =
        admin.service.list_webhook_deliveries(DeliveryFilter::default(), PageFrom::Start, DELIVERIES).await?;
    let most = overview.days.iter().map(|day| day.uploads).max().unwrap_or(0);
    let bars: Vec<_> = overview.days.iter().enumerate().map(|(at, day)| bar(at, day, most)).collect();
    let day = |bar: Option<&Bar>| bar.map(|bar| bar.day.clone()).unwrap_or_default();
    let page = DashboardPage {
        frame: Frame::new(&admin, &staff, Section::Dashboard),
        total: Grouped(overview.database.images.total),
        storage: size(overview.database.images.total_file_size),
        success_rate: format!("{} %", overview.database.images.success_rate()),
        private: Grouped(overview.database.images.signed),
        statuses: status_tiles(&overview.database.images),
        most,
        uploads: overview.days.iter().map(|day| day.uploads).sum(),
        first_day: day(bars.first()),
        last_day: day(bars.last()),
        bars,
        recent: overview.recent.iter().map(|image| recent(&admin, image, now)).collect(),
        expiring: overview.expiring.iter().map(|image| expiring(image, now)).collect(),
        events: overview.events.iter().map(|event| event_line(event, now)).collect(),
        health: health(&overview, deliveries.items.first().map(|kept| &kept.delivery), now),
        deliveries: deliveries.items.iter().map(|kept| delivery_line(kept, now)).collect(),
    };
    Ok(render(&page))
}

fn status_tiles(counts: &StatusCounts) -> Vec<StatusTile> {
    let tile = |value, label, icon, tone, count| StatusTile { value, label, icon, tone, count: Grouped(count) };
    vec![
        tile("uploaded", "Uploaded", "check", "good", counts.uploaded),
        tile("pending", "Pending", "clock", "info", counts.pending),
        tile("draft", "Draft", "dots", "plain", counts.draft),
        tile("failed", "Failed", "cross", "bad", counts.failed),
        tile("expired", "Expired", "hourglass", "warn", counts.expired),
    ]
}

/// A day without uploads has no bar; every other has one that can be seen.
fn bar(at: usize, day: &DayOfUploads, most: u64) -> Bar {
    let height = if day.uploads == 0 { 0 } else { (day.uploads * CHART_HEIGHT / most.max(1)).max(2) };
    let name = day.day.as_datetime().format("%-d %b").to_string();
    Bar { x: at * 10, y: CHART_HEIGHT - height, height, day: name, uploads: day.uploads }
}

fn recent(admin: &Admin, image: &Image, now: Timestamp) -> RecentImage {
    RecentImage { id: image.id.to_string(), name: name(image, 40), thumbnail: Thumbnail::new(&admin.links, image, now) }
}

fn expiring(image: &Image, now: Timestamp) -> ExpiringImage {
    ExpiringImage { id: image.id.to_string(), name: name(image, 60), until: Moment::new(image.expires_at, now) }
}

fn event_line(event: &RecentEvent, now: Timestamp) -> EventLine {
    let names = [&event.original_filename, &event.filename];
    let name = names.into_iter().find(|name| !name.trim().is_empty()).unwrap_or(&event.cloudflare_id);
    EventLine {
        id: event.image_id.to_string(),
        name: shortened(name, 60),
        title: event_title(&event.event_type),
        time: Moment::new(event.timestamp, now),
    }
}

fn health(overview: &Overview, last: Option<&WebhookDelivery>, now: Timestamp) -> Vec<HealthLine> {
    const GOOD: (&str, &str, &str) = ("check", "good", "Works");
    let line = |what, (icon, tone, word), detail| HealthLine { what, icon, tone, word, detail };
    let cloudflare = match overview.cloudflare {
        Health { outage: Some(outage), .. } => line(
            "Cloudflare",
            ("cross", "bad", "Down"),
            format!(
                "It has not answered for {} seconds. Calls fail at once, and are tried now and then.",
                outage.since.as_secs()
            ),
        ),
        Health { outage: None, paused_for, .. } if !paused_for.is_zero() => line(
            "Cloudflare",
            ("warning", "warn", "Paused"),
            format!("It took too many requests, and wants none for {} seconds.", paused_for.as_secs().max(1)),
        ),
        Health { .. } => line("Cloudflare", GOOD, "This server knows of no failure.".to_owned()),
    };
    let waiting = overview.database.backlog(JobKind::Compensation).map_or(0, |backlog| backlog.waiting);
    let leftovers = match waiting {
        0 => "Nothing is left there to be deleted.".to_owned(),
        1 => "1 image is left there and will be deleted.".to_owned(),
        count => format!("{count} images are left there and will be deleted."),
    };
    let leftovers_state = if waiting == 0 { GOOD } else { ("clock", "info", "Waiting") };
    let webhooks = match last {
        None => line("Webhooks", ("dots", "plain", "Quiet"), "None came within the last week.".to_owned()),
        Some(delivery) => {
            let Badge { icon, tone, .. } = outcome_badge(delivery.outcome);
            let word = if tone == "bad" { "Look at it" } else { "Works" };
            let when = Moment::new(delivery.received_at, now).relative;
            line("Webhooks", (icon, tone, word), format!("The last came {when}."))
        }
    };
    let time =
        format!("{} answers within {:.1} ms.", overview.engine, overview.database.answered_in.as_secs_f64() * 1000.0);
    vec![cloudflare, line("Cleaning up", leftovers_state, leftovers), webhooks, line("Database", GOOD, time)]
}

fn delivery_line(kept: &KeptDelivery, now: Timestamp) -> DeliveryLine {
    DeliveryLine {
        id: kept.digest.to_string(),
        outcome: outcome_badge(kept.delivery.outcome),
        reason: shortened(&kept.delivery.reason, 160),
        time: Moment::new(kept.delivery.received_at, now),
    }
}
