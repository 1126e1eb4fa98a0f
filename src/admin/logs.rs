//! What happened to all images.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::image::{entry_data, event_title};
use super::list::{Asked, Choice, Filter, LINES, Selection, Shown, choice, refusal};
use super::page::{Frame, Section, render};
use super::text::{Moment, shortened};
use super::{Admin, Staff};
use crate::domain::{LogFilter, LoggedEvent, Timestamp};

/// Events with names; there may be others in the database.
const EVENTS: [Choice; 7] = [
    choice("upload_url_created", "Upload URL handed out"),
    choice("image_uploaded", "Uploaded through the server"),
    choice("webhook_received", "Webhook received"),
    choice("status_checked", "Status checked"),
    choice("image_registered", "Registered"),
    choice("image_imported", "Found in the account"),
    choice("staff_action", "By staff"),
];
const FILTERS: [Filter; 5] = [
    Filter { name: "event", label: "Event", choices: &EVENTS },
    Filter { name: "image", label: "Image", choices: &[] },
    Filter { name: "from", label: "From", choices: &[] },
    Filter { name: "to", label: "To", choices: &[] },
    Filter { name: "message", label: "Message", choices: &[] },
];
/// How much of the data of an entry is shown; its image shows more.
const MAX_DATA_CHARS: usize = 3000;

#[derive(Template)]
#[template(path = "admin/logs.html")]
struct LogsPage {
    frame: Frame,
    selection: Selection,
    /// The events that there are: words and what they are called.
    events: Vec<(String, String)>,
    list: Shown<Line>,
}

struct Line {
    title: String,
    message: String,
    image_id: String,
    image: String,
    time: Moment,
    data: String,
}

/// Lists what happened, the latest first.
pub(super) async fn list(State(admin): State<Admin>, staff: Staff, Asked(query): Asked) -> Result<Response, PageError> {
    let selection = Selection::read(&query, "logs", &FILTERS);
    let known = admin.service.list_event_types().await?;
    let list = match conditions(&admin, &selection, &known).await? {
        Ok(filter) => {
            let now = admin.service.clock().now();
            match admin.service.browse_logs(&filter, selection.from()?, LINES).await {
                Ok(part) => selection.show(&part, ("entry", "entries"), |event| line(event, now)),
                Err(error) => Shown::refused(refusal(error, "Choose an event or an image, or fewer days.")?),
            }
        }
        Err(problems) => Shown::refused(problems),
    };
    let events = known.into_iter().map(|word| (event_title(&word), word)).map(|(title, word)| (word, title)).collect();
    Ok(render(&LogsPage { frame: Frame::new(&admin, &staff, Section::Logs), selection, events, list }))
}

/// The conditions, or what is wrong with the filters.
async fn conditions(
    admin: &Admin,
    selection: &Selection,
    known: &[String],
) -> Result<Result<LogFilter, Vec<String>>, PageError> {
    let mut reader = selection.reader();
    let event_types = reader.text("event").map_or_else(|| known.to_vec(), |event| vec![event]);
    let (from, before, message) = (reader.day("from"), reader.end_of_day("to"), reader.text("message"));
    let image = reader.text("image");
    if message.is_some() && image.is_none() && from.is_none() {
        reader.refuse("message", "needs an image or a first day beside it, as no index helps to find texts");
    }
    let mut filter = match reader.finish(LogFilter { event_types, image: None, from, before, message }) {
        Ok(filter) => filter,
        Err(problems) => return Ok(Err(problems)),
    };
    if let Some(named) = image {
        filter.image = admin.service.find_image_key(&named).await?;
        if filter.image.is_none() {
            return Ok(Err(vec![format!("There is no image {}.", shortened(&named, 120))]));
        }
    }
    Ok(Ok(filter))
}

fn line(event: &LoggedEvent, now: Timestamp) -> Line {
    let LoggedEvent { entry, cloudflare_id, filename, original_filename, upload_url } = event;
    let name = [original_filename, filename].into_iter().find(|name| !name.trim().is_empty());
    Line {
        title: event_title(&entry.event_type),
        message: shortened(&entry.message, 500),
        image_id: entry.image_id.to_string(),
        image: shortened(name.unwrap_or(cloudflare_id), 60),
        time: Moment::new(entry.timestamp, now),
        data: entry_data(entry, upload_url, MAX_DATA_CHARS),
    }
}
