//! Where images are used, recorded here or not.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::error::PageError;
use super::list::{Asked, Choice, Filter, LINES, Selection, Shown, choice, refusal};
use super::page::{Frame, Section, render};
use super::text::{Moment, shortened, visible};
use super::{Admin, Staff};
use crate::domain::{ContentType, Timestamp, UsageEntry, UsageQuery};

const REGISTERED: [Choice; 2] =
    [choice("registered", "Images that are recorded"), choice("unregistered", "Images that are not recorded")];
const FILTERS: [Filter; 3] = [
    Filter { name: "images", label: "Images", choices: &REGISTERED },
    Filter { name: "content", label: "Content", choices: &[] },
    Filter { name: "id", label: "Id", choices: &[] },
];

#[derive(Template)]
#[template(path = "admin/usages.html")]
struct UsagesPage {
    frame: Frame,
    selection: Selection,
    /// The models that refer to images.
    models: Vec<String>,
    list: Shown<Line>,
}

struct Line {
    content: String,
    object: String,
    field: String,
    /// Who keeps the reference.
    source: &'static str,
    /// The record of the image, by key.
    image_id: Option<String>,
    /// What the image is called, or its id at Cloudflare.
    image: String,
    created: Moment,
    updated: Option<Moment>,
}

/// Lists references, the newest first.
pub(super) async fn list(State(admin): State<Admin>, staff: Staff, Asked(query): Asked) -> Result<Response, PageError> {
    let selection = Selection::read(&query, "usages", &FILTERS);
    let list = match conditions(&selection) {
        Ok(query) => {
            let now = admin.service.clock().now();
            match admin.service.browse_usages(&query, selection.from()?, LINES).await {
                Ok(part) => selection.show(&part, ("reference", "references"), |entry| line(entry, now)),
                Err(error) => Shown::refused(refusal(error, "Use fewer filters, or look at the page of the image.")?),
            }
        }
        Err(problems) => Shown::refused(problems),
    };
    let models = admin.service.list_content_types().await?.iter().map(ContentType::to_string).collect();
    Ok(render(&UsagesPage { frame: Frame::new(&admin, &staff, Section::Usages), selection, models, list }))
}

fn conditions(selection: &Selection) -> Result<UsageQuery, Vec<String>> {
    let mut reader = selection.reader();
    let is_registered = reader.one_of("images", &REGISTERED).map(|word| word == "registered");
    let content_type =
        reader.read("content", "must be an application and a model, such as shop.product", ContentType::split);
    let key = reader.text("id").map(|id| {
        let record = id.parse().ok();
        (id, record)
    });
    reader.finish(UsageQuery { content_type, is_registered, key })
}

fn line(entry: &UsageEntry, now: Timestamp) -> Line {
    let UsageEntry { usage, is_manual, filename, original_filename } = entry;
    let names = [original_filename, filename].into_iter().flatten();
    let name = names.into_iter().find(|name| !name.trim().is_empty());
    Line {
        content: visible(&usage.content_type()),
        object: shortened(&usage.object_id, 60),
        field: shortened(&usage.field_name, 60),
        source: if *is_manual { "recorded by an application" } else { "kept by Django" },
        image_id: usage.image_id.map(|id| id.to_string()),
        image: shortened(name.map_or(usage.cloudflare_id.as_str(), |name| name), 60),
        created: Moment::new(usage.created_at, now),
        updated: (usage.updated_at != usage.created_at).then(|| Moment::new(usage.updated_at, now)),
    }
}
