//! The settings in effect, for superusers: they tell of hosts, networks and files that would help whoever attacks the server.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::page::{Frame, Section, render};
use super::text::{Moment, visible};
use super::{Admin, Superuser};
use crate::config::EffectiveValue;

#[derive(Template)]
#[template(path = "admin/settings.html")]
struct SettingsPage {
    frame: Frame,
    version: &'static str,
    database: &'static str,
    platform: String,
    has_emulator: bool,
    started: Moment,
    groups: Vec<Group>,
}

/// Settings under a heading.
struct Group {
    name: &'static str,
    settings: Vec<SettingLine>,
}

struct SettingLine {
    name: &'static str,
    /// None where it has no value.
    value: Option<String>,
    origin: String,
    /// Whether somebody gave the value.
    is_given: bool,
    /// What it is for, in pieces that are code or not.
    purpose: Vec<(bool, String)>,
}

/// Shows the settings.
pub(super) async fn show(State(admin): State<Admin>, Superuser(staff): Superuser) -> Result<Response, PageError> {
    Ok(render(&SettingsPage {
        frame: Frame::new(&admin, &staff, Section::Settings),
        version: env!("CARGO_PKG_VERSION"),
        database: admin.service.engine_name(),
        platform: format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH),
        has_emulator: cfg!(feature = "emulator"),
        started: Moment::new(admin.started_at, admin.service.clock().now()),
        groups: groups(&admin.settings),
    }))
}

/// The settings in their order, under their headings.
fn groups(settings: &[EffectiveValue]) -> Vec<Group> {
    let same_group = |one: &EffectiveValue, other: &EffectiveValue| one.setting.group() == other.setting.group();
    let groups = settings.chunk_by(same_group);
    groups.map(|chunk| Group { name: chunk[0].setting.group(), settings: chunk.iter().map(line).collect() }).collect()
}

fn line(EffectiveValue { setting, value, origin }: &EffectiveValue) -> SettingLine {
    let purpose = setting.purpose();
    SettingLine {
        name: setting.name,
        value: value.as_deref().map(visible),
        is_given: origin.as_deref().is_some_and(|origin| origin != "default"),
        origin: origin.as_deref().map_or_else(|| "not set".to_owned(), visible),
        purpose: purpose.split('`').enumerate().map(|(at, piece)| (at % 2 == 1, piece.to_owned())).collect(),
    }
}
