//! What has to be seen to at Cloudflare after failures.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use tracing::info;

use super::cursor;
use super::error::PageError;
use super::list::{Asked, BROKEN, LINES, Selection, Shown};
use super::page::{Frame, Notice, Section, render};
use super::picture::Badge;
use super::text::{Moment, shortened};
use super::{Admin, Staff, StaffForm};
use crate::domain::{CloudflareId, DeletionReason, PageFrom, PendingDeletion, PendingPlace, Timestamp, WaitingImage};
use crate::http::query::Query;
use crate::service::{self, LeftoverOutcome};

/// The parameter with the place of the uploads that are asked about again, and the name of their list.
const WAITING: &str = "uploads";
/// How many of them a page has.
const MAX_WAITING: u32 = 20;

#[derive(Template)]
#[template(path = "admin/repairs.html")]
struct RepairsPage {
    frame: Frame,
    csrf: String,
    notice: Option<Notice>,
    selection: Selection,
    list: Shown<Line>,
    /// Uploads that are asked about again.
    waiting: Vec<Waiting>,
    /// The place of the next of them, where there are more.
    more_waiting: Option<String>,
    /// Whether these are not the first.
    is_later: bool,
}

/// An upload that Cloudflare is asked about again.
struct Waiting {
    id: String,
    name: String,
    since: Moment,
    next: Moment,
    attempts: i32,
    error: String,
}

#[derive(Template)]
#[template(path = "admin/give_up.html")]
struct GiveUpPage {
    frame: Frame,
    csrf: String,
    line: Line,
    is_lost: bool,
}

/// Something that has to be seen to.
struct Line {
    cloudflare_id: String,
    shown_id: String,
    /// What happened.
    title: String,
    /// What is going to be done.
    plan: &'static str,
    state: Badge,
    error: String,
    since: Moment,
    next: Moment,
    is_claimed: bool,
    /// Whether its time has come, or it was tried before.
    can_be_tried: bool,
    /// The key of the image that it belongs to.
    record: Option<String>,
}

/// Lists what has to be seen to, the oldest first.
pub(super) async fn list(State(admin): State<Admin>, staff: Staff, Asked(query): Asked) -> Result<Response, PageError> {
    let notice = query.get("done").and_then(done);
    page(&admin, &staff, &query, notice).await
}

async fn page(admin: &Admin, staff: &Staff, query: &Query, notice: Option<Notice>) -> Result<Response, PageError> {
    let selection = Selection::read(query, "repairs", &[]);
    let from: PageFrom<PendingPlace> = selection.from()?;
    let part = admin.service.records().list_leftovers(from, LINES).await?;
    let now = admin.service.clock().now();
    let list = selection.show(&part, ("repair", "repairs"), |leftover| line(leftover, now));
    let after = query.get(WAITING).filter(|place| !place.is_empty());
    let waiting_from = after.map_or(Ok(PageFrom::Start), |place| {
        cursor::decode(WAITING, place).map(PageFrom::After).ok_or(PageError::BadRequest(BROKEN))
    })?;
    let waiting = admin.service.list_waiting_images(waiting_from, MAX_WAITING).await?;
    Ok(render(&RepairsPage {
        frame: Frame::new(admin, staff, Section::Repairs),
        csrf: staff.csrf.to_string(),
        notice,
        selection,
        list,
        more_waiting: waiting.next.map(|place| cursor::encode(WAITING, &place)),
        is_later: after.is_some(),
        waiting: waiting.items.iter().map(|image| waiting_line(image, now)).collect(),
    }))
}

fn waiting_line(image: &WaitingImage, now: Timestamp) -> Waiting {
    let named = [image.original_filename.as_str(), image.cloudflare_id.as_str()];
    Waiting {
        id: image.id.to_string(),
        name: shortened(named.into_iter().find(|name| !name.trim().is_empty()).unwrap_or_default(), 120),
        since: Moment::new(image.created_at, now),
        next: Moment::new(image.next_poll_at.max(now), now),
        attempts: image.attempts,
        error: shortened(&image.last_error, 300),
    }
}

/// What was done, by the word in the address.
fn done(word: &str) -> Option<Notice> {
    Some(match word {
        "deleted" => Notice::good("It is gone at Cloudflare, and done with."),
        "kept" => Notice::good("There was nothing to repair any more, so it is done with."),
        "failed" => Notice::bad("It could not be done. The reason is below; it will be tried again."),
        "busy" => Notice::bad("Somebody is at it just now. Look again in a moment."),
        "early" => {
            Notice::bad("Cloudflare may still be at it, so nothing was done. It is tried by itself when that is over.")
        }
        "gone" => Notice::good("Somebody was faster: it is done with."),
        "all" => Notice::good(
            "All that were tried before are due now. The server sees to them one after the other, within minutes.",
        ),
        "given-up" => Notice::good("It is left as it is, and nobody will see to it any more."),
        _ => return None,
    })
}

/// Sees to one now.
pub(super) async fn try_now(
    State(admin): State<Admin>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let id = read_id(form.get("id"))?;
    let word = match admin.service.retry_leftover_for(&id, &staff.user).await {
        Ok(Some(LeftoverOutcome::Deleted(_))) => "deleted",
        Ok(Some(LeftoverOutcome::Kept(_))) => "kept",
        Ok(Some(LeftoverOutcome::Failed(_, service::Error::NotCertainYet { .. }))) => "early",
        Ok(Some(LeftoverOutcome::Failed(..))) => "failed",
        Ok(None) => "gone",
        Err(service::Error::BeingCleared(_)) => "busy",
        Err(error) => return Err(error.into()),
    };
    Ok(back(&admin, word))
}

/// Makes it the turn of all.
pub(super) async fn try_all(
    State(admin): State<Admin>,
    StaffForm { staff, .. }: StaffForm,
) -> Result<Response, PageError> {
    admin.service.records().hasten_leftovers().await?;
    info!(user.name = ?staff.user.username, "{:?} made all repairs due", staff.user.username);
    Ok(back(&admin, "all"))
}

/// Asks whether one is to be given up, and says what that means.
pub(super) async fn ask_to_give_up(
    State(admin): State<Admin>,
    staff: Staff,
    Asked(query): Asked,
) -> Result<Response, PageError> {
    let id = read_id(query.get("id").unwrap_or_default())?;
    let leftover = admin.service.records().get_leftover(&id).await?;
    Ok(render(&GiveUpPage {
        frame: Frame::new(&admin, &staff, Section::Repairs),
        csrf: staff.csrf.to_string(),
        is_lost: leftover.reason == DeletionReason::IdUnsure,
        line: line(&leftover, admin.service.clock().now()),
    }))
}

/// Forgets one, which stays at Cloudflare.
pub(super) async fn give_up(
    State(admin): State<Admin>,
    StaffForm { staff, form }: StaffForm,
) -> Result<Response, PageError> {
    let id = read_id(form.get("id"))?;
    let word = match admin.service.give_up_leftover(&id, &staff.user).await {
        Ok(true) => "given-up",
        Ok(false) => "gone",
        Err(service::Error::BeingCleared(_)) => "busy",
        Err(error) => return Err(error.into()),
    };
    Ok(back(&admin, word))
}

fn back(admin: &Admin, word: &str) -> Response {
    Redirect::to(&admin.path(&format!("repairs/?done={word}"))).into_response()
}

fn read_id(id: &str) -> Result<CloudflareId, PageError> {
    if id.is_empty() || id.contains('\0') { Err(PageError::NotFound) } else { Ok(CloudflareId::new(id)) }
}

fn line(leftover: &PendingDeletion, now: Timestamp) -> Line {
    let (title, plan) = explain(&leftover.reason);
    let is_claimed = leftover.claimed_until.is_some_and(|until| until > now);
    let (icon, tone, word) = match leftover.attempts {
        _ if is_claimed => ("clock", "info", "Being tried".to_owned()),
        0 => ("clock", "plain", "Waiting".to_owned()),
        1 => ("warning", "warn", "Failed once".to_owned()),
        attempts => ("warning", "warn", format!("Failed {attempts} times")),
    };
    let id = leftover.cloudflare_id.as_str();
    Line {
        cloudflare_id: id.to_owned(),
        shown_id: shortened(id, 120),
        title,
        plan,
        state: Badge { icon, tone, word },
        error: shortened(&leftover.last_error, 300),
        since: Moment::new(leftover.created_at, now),
        next: Moment::new(leftover.next_attempt_at.max(now), now),
        is_claimed,
        can_be_tried: leftover.attempts > 0 || leftover.next_attempt_at <= now,
        record: leftover.marks.record.map(|id| id.to_string()),
    }
}

/// What happened, and what is going to be done about it.
fn explain(reason: &DeletionReason) -> (String, &'static str) {
    let (title, plan) = match reason {
        DeletionReason::Unrecorded => (
            "An image could not be recorded",
            "Cloudflare has it, and there is no record of it here. It will be deleted there.",
        ),
        DeletionReason::AnswerLost => (
            "The answer to an upload URL was lost",
            "Cloudflare may have made a draft. Where it did, it will be deleted there.",
        ),
        DeletionReason::UploadLost => (
            "The answer to an upload was lost",
            "Whoever sent the picture was told that it failed. Where Cloudflare has it, it will be deleted there.",
        ),
        DeletionReason::IdUnsure => (
            "An image may have another id",
            "Its privacy was to change, and the answer was lost. It will be looked for, and recorded under the id that it has.",
        ),
        DeletionReason::Other(words) => {
            return (shortened(words, 120), "Another version of cfimages knows what to do.");
        }
    };
    (title.to_owned(), plan)
}
