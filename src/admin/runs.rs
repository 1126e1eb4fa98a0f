//! Runs: what is done with many images in the background, how far it has come, and what could not be done.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};

use super::error::PageError;
use super::images::chips_of;
use super::list::Chip;
use super::page::{Frame, Section, render};
use super::picture::{Badge, indented};
use super::text::{Grouped, Moment, shortened, visible};
use super::{Admin, Staff, StaffForm};
use crate::domain::{BulkFailure, BulkRun, BulkState, MetadataEdit, StaffAction, Timestamp};
use crate::http::query::Query;

/// How many runs a page has.
const RUNS: u32 = 25;
/// How much of a change of metadata is shown.
const MAX_JSON_CHARS: usize = 5000;

#[derive(Template)]
#[template(path = "admin/runs.html")]
struct RunsPage {
    frame: Frame,
    csrf: String,
    runs: Vec<RunLine>,
    is_first: bool,
    /// The last run of this page, where there are older ones.
    older: Option<i64>,
}

#[derive(Template)]
#[template(path = "admin/run.html")]
struct RunPage {
    frame: Frame,
    csrf: String,
    run: RunLine,
    is_open: bool,
    standstill: Option<Standstill>,
    /// Why it does not get on, or was stopped.
    trouble: String,
    /// The filters of the images, where they were not chosen one by one.
    chips: Vec<Chip>,
    list: String,
    /// What is changed in the metadata.
    change: Option<Change>,
    failures: Vec<FailureLine>,
    has_more_failures: bool,
}

/// Why this server or none works on a run.
enum Standstill {
    /// Another version of cfimages began it, and this one cannot know what it does.
    Foreign,
    /// No server does jobs.
    LeftAlone,
}

/// A run, as it is shown.
struct RunLine {
    id: i64,
    title: String,
    state: Badge,
    who: String,
    began: Moment,
    ended: Option<Moment>,
    /// How many images had their turn, and of how many, where that is known.
    settled: i64,
    total: Option<i64>,
    progress: String,
    done: Grouped,
    unchanged: Grouped,
    failed: Grouped,
    has_failures: bool,
}

struct Change {
    over: String,
    without: Vec<String>,
}

struct FailureLine {
    id: String,
    name: String,
    message: String,
}

/// Lists the runs of the last month, the latest first.
pub(super) async fn list(State(admin): State<Admin>, staff: Staff, uri: Uri) -> Result<Response, PageError> {
    const UNREADABLE: PageError = PageError::BadRequest("The address of this page is not complete, or was changed.");
    let query = Query::parse(uri.query().unwrap_or_default()).map_err(|_| UNREADABLE)?;
    let before = query.get("before").map(str::parse::<i64>).transpose().map_err(|_| UNREADABLE)?;
    let mut runs = admin.service.list_bulk_runs(before, RUNS + 1).await?;
    let has_older = runs.len() > RUNS as usize;
    runs.truncate(RUNS as usize);
    let now = admin.service.clock().now();
    Ok(render(&RunsPage {
        frame: Frame::new(&admin, &staff, Section::Runs),
        csrf: staff.csrf.to_string(),
        older: runs.last().map(|run| run.id).filter(|_| has_older),
        runs: runs.iter().map(|run| line(run, now)).collect(),
        is_first: before.is_none(),
    }))
}

/// Shows a run. While it goes on, the page renews itself.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    staff: Staff,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let run = admin.service.find_bulk_run(read_id(&id)?).await?;
    let list = run.task().map(|(_, selection)| selection.list.clone()).unwrap_or_default();
    let failures = if run.failed > 0 { admin.service.list_bulk_failures(run.id).await? } else { Vec::new() };
    let line_of = |failure: &BulkFailure| FailureLine {
        id: failure.image_id.to_string(),
        name: shortened(&failure.name, 80),
        message: shortened(&failure.message, 500),
    };
    // A page that renews a part of itself learns that all of it is another by now.
    let is_over = !run.is_open() && headers.contains_key("hx-request");
    let whole = is_over.then_some([("hx-retarget", "#run"), ("hx-reselect", "#run")]).map(AppendHeaders);
    let page = render(&RunPage {
        frame: Frame::new(&admin, &staff, Section::Runs),
        csrf: staff.csrf.to_string(),
        is_open: run.is_open(),
        standstill: match run.task() {
            None => Some(Standstill::Foreign),
            Some(_) => admin.service.is_left_alone(&run).await?.then_some(Standstill::LeftAlone),
        },
        trouble: shortened(&run.last_error, 500),
        chips: chips_of(&list),
        list,
        change: run.task().and_then(|(action, _)| change(action)),
        has_more_failures: run.failed > i64::try_from(failures.len()).unwrap_or(i64::MAX),
        failures: failures.iter().map(line_of).collect(),
        run: line(&run, admin.service.clock().now()),
    });
    Ok((whole, page).into_response())
}

/// Stops a run.
pub(super) async fn stop(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    StaffForm { staff, .. }: StaffForm,
) -> Result<Response, PageError> {
    let id = read_id(&id)?;
    admin.service.stop_bulk_run(id, &staff.user).await?;
    Ok(Redirect::to(&admin.path(&format!("runs/{id}/"))).into_response())
}

/// Has the images of a run tried again that could not be done.
pub(super) async fn retry(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    StaffForm { staff, .. }: StaffForm,
) -> Result<Response, PageError> {
    let again = admin.service.retry_bulk_failures(read_id(&id)?, &staff.user).await?;
    Ok(Redirect::to(&admin.path(&format!("runs/{again}/"))).into_response())
}

fn read_id(id: &str) -> Result<i64, PageError> {
    id.parse().map_err(|_| PageError::NotFound)
}

/// What is done, with words for the images.
pub(super) fn title(action: &StaffAction, images: &str) -> String {
    match action {
        StaffAction::CheckStatus => format!("Check the status of {images}"),
        StaffAction::MarkExpired => format!("Mark {images} as expired"),
        StaffAction::MakePrivate => format!("Make {images} private"),
        StaffAction::MakePublic => format!("Make {images} public"),
        StaffAction::Edit(_) => format!("Edit the metadata of {images}"),
        StaffAction::Delete { .. } => format!("Delete {images}"),
    }
}

fn line(run: &BulkRun, now: Timestamp) -> RunLine {
    let settled = run.settled();
    let images = match run.total {
        Some(1) => "1 image".to_owned(),
        Some(total) => format!("{} images", Grouped(total)),
        None => "images".to_owned(),
    };
    RunLine {
        id: run.id,
        title: run.task().map_or_else(|| "A run of another version".to_owned(), |(action, _)| title(action, &images)),
        state: state_badge(run),
        who: visible(&run.username),
        began: Moment::new(run.created_at, now),
        ended: run.finished_at.map(|time| Moment::new(time, now)),
        settled,
        // Images that were deleted or changed meanwhile had no turn.
        total: if run.is_open() { run.total.map(|total| total.max(settled)) } else { Some(settled.max(1)) },
        progress: match run.total {
            Some(total) if run.is_open() => format!("{} of {}", Grouped(settled), Grouped(total.max(settled))),
            _ => Grouped(settled).to_string(),
        },
        done: Grouped(run.done),
        unchanged: Grouped(run.unchanged),
        failed: Grouped(run.failed),
        has_failures: run.failed > 0 && run.task().is_some(),
    }
}

fn state_badge(run: &BulkRun) -> Badge {
    let (icon, tone, word) = match run.state {
        BulkState::Waiting => ("clock", "info", "Waiting"),
        BulkState::Running => ("dots", "info", "Running"),
        BulkState::Done if run.failed > 0 => ("warning", "warn", "Done, with failures"),
        BulkState::Done => ("check", "good", "Done"),
        BulkState::Stopped => ("cross", "plain", "Stopped"),
        BulkState::Other => ("dots", "plain", "Not known"),
    };
    Badge { icon, tone, word: word.to_owned() }
}

fn change(action: &StaffAction) -> Option<Change> {
    let StaffAction::Edit(edit) = action else { return None };
    let MetadataEdit::Merge { over, without } = edit.metadata.as_ref()? else { return None };
    Some(Change {
        over: if over.is_empty() { String::new() } else { indented(over.as_str(), MAX_JSON_CHARS) },
        without: without.iter().map(|key| shortened(key, 80)).collect(),
    })
}
