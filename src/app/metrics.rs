//! `/metrics`, for Prometheus, on a listener of its own.
//!
//! Beside what is counted (`crate::metrics`) there are families that are looked up when they are asked for; each is declared here. What cannot be
//! had is left out, so that a database that is down does not fail the scrape.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::process::ProcessUse;
use crate::domain::Timestamp;
use crate::metrics::{PREFIX, seconds_of, write};
use crate::service::{CloudflareService, DatabaseStatus, Status};
use crate::store::PoolState;

/// How long the database may take, all questions together.
const PATIENCE: Duration = Duration::from_secs(1);
/// Prometheus's text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

type Figure = Gauge<f64, AtomicU64>;
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The router of the listener for Prometheus.
pub fn router(service: CloudflareService) -> Router {
    Router::new().route("/metrics", get(tell)).with_state(service)
}

async fn tell(State(service): State<CloudflareService>) -> impl IntoResponse {
    let status = service.status(PATIENCE).await;
    let mut text = String::new();
    service.metrics().write(&mut text);
    write(&looked_up(&status), &mut text);
    write(&of_process(status.started_at), &mut text);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}

/// The families that are looked up.
fn looked_up(status: &Status) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register("build", "The program that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    add_cloudflare(&mut registry, status);
    add_pools(&mut registry, &status.pools);
    let is_up = f64::from(u8::from(status.database.is_some()));
    add(&mut registry, "database_up", "Whether the database answered within a second", is_up);
    let is_ready = f64::from(u8::from(status.is_database_ready));
    add(&mut registry, "database_ready", "Whether the database answers, lets us in and has all that is ours", is_ready);
    if let Some(database) = &status.database {
        add_database(&mut registry, database);
    }
    registry
}

fn add_cloudflare(registry: &mut Registry, status: &Status) {
    let health = &status.cloudflare;
    let is_open = f64::from(u8::from(health.outage.is_some()));
    add(registry, "cloudflare_breaker_open", "Whether calls fail at once, because Cloudflare does not answer", is_open);
    add(
        registry,
        "cloudflare_pause_seconds",
        "How long no call is made, because Cloudflare wants none",
        health.paused_for.as_secs_f64(),
    );
    if let Some(headroom) = health.headroom {
        let help = "Requests that may be made to Cloudflare at once, by our own limit";
        add(registry, "cloudflare_requests_left", help, headroom.left);
        let help = "Requests that may be made to Cloudflare at once where none was made for a while";
        add(registry, "cloudflare_requests_left_max", help, headroom.most);
    }
    if let Some(left) = health.told_requests_left {
        let help = "Requests that Cloudflare last said to be left";
        add(registry, "cloudflare_told_requests_left", help, figure(left));
    }
}

fn add_pools(registry: &mut Registry, pools: &[PoolState]) {
    let (connections, most) = (Family::<Labels<2>, Figure>::default(), Family::<Labels<1>, Figure>::default());
    for pool in pools {
        for (state, count) in [("idle", pool.idle), ("used", pool.used())] {
            connections.get_or_create(&[("pool", pool.name), ("state", state)]).set(count.into());
        }
        most.get_or_create(&[("pool", pool.name)]).set(pool.most.into());
    }
    registry.register("database_connections", "Connections to the database", connections);
    registry.register("database_connections_max", "How many connections there may be", most);
}

fn add_database(registry: &mut Registry, database: &DatabaseStatus) {
    let DatabaseStatus { answered_in, images: counts, backlogs, .. } = database;
    let help = "How long the database took to answer this scrape, the wait for a connection included";
    add(registry, "database_answer_seconds", help, answered_in.as_secs_f64());
    let images = Family::<Labels<1>, Figure>::default();
    for (status, count) in [
        ("uploaded", counts.uploaded),
        ("pending", counts.pending),
        ("draft", counts.draft),
        ("failed", counts.failed),
        ("expired", counts.expired),
    ] {
        images.get_or_create(&[("status", status)]).set(figure(u64::try_from(count).unwrap_or(0)));
    }
    registry.register("images", "Images that are recorded, by all instances", images);
    let (waiting, overdue) = (Family::<Labels<1>, Figure>::default(), Family::<Labels<1>, Figure>::default());
    for backlog in backlogs {
        let labels = [("name", backlog.job.as_str())];
        waiting.get_or_create(&labels).set(figure(backlog.waiting));
        overdue.get_or_create(&labels).set(backlog.overdue.as_secs_f64());
    }
    registry.register(
        "job_queue_length",
        "What waits for the jobs of all instances, be its turn now or later",
        waiting,
    );
    registry.register("job_queue_overdue_seconds", "For how long the first in the queue has had its turn", overdue);
}

fn add(registry: &mut Registry, name: &'static str, help: &'static str, value: impl Into<f64>) {
    let gauge = Figure::default();
    gauge.set(value.into());
    registry.register(name, help, gauge);
}

/// The families of processes that every program has under these names.
fn of_process(started_at: Timestamp) -> Registry {
    let mut registry = Registry::default();
    add(&mut registry, "process_start_time_seconds", "When the server started", seconds_of(started_at));
    let used = ProcessUse::now();
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Memory that the process holds", used.resident_bytes),
        ("process_open_fds", "Files and sockets that are open", used.open_fds),
        ("process_max_fds", "How many files and sockets may be open", used.max_fds),
    ] {
        if let Some(value) = value {
            add(&mut registry, name, help, figure(value));
        }
    }
    if let Some(seconds) = used.cpu_seconds {
        registry.register_collector(Box::new(CpuTime(seconds)));
    }
    registry
}

/// A counter that somebody else counts.
#[derive(Debug)]
struct CpuTime(f64);

impl Collector for CpuTime {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let counter = ConstCounter::new(self.0);
        let help = "Seconds of processors that were used.";
        counter.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?)
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn figure(count: u64) -> f64 {
    count as f64
}
