//! One image: all that is known of it, and what the staff do with it.

mod actions;
mod deletion;
mod edit;
mod metadata_text;
mod privacy;
mod raw;
mod subject;

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::error::PageError;
use super::page::{Frame, Notice, Section, render};
use super::picture::{Badge, indented, is_of_the_web, name, status_badge};
use super::text::{Grouped, Moment, shortened, size, visible};
use super::{Admin, Staff};
use crate::domain::{Image, ImageId, ImageStatus, ImageUsage, LogEntry, Timestamp, User};
use crate::http::query::Query;
use crate::service::{self, DEFAULT_LIFETIME};

pub(super) use self::actions::{check_status, mark_expired};
pub(super) use self::deletion::{ask_to_delete, delete};
pub(super) use self::edit::{edit, show_editor};
pub(super) use self::privacy::{ask_to_change_privacy, change_privacy};
pub(super) use self::raw::show_raw;

/// The most entries of the log, and the most references, that are shown.
const MAX_LINES: u32 = 100;
/// The most variants that are shown, and signed.
const MAX_VARIANTS: usize = 100;
/// How much of a JSON value is shown.
const MAX_JSON_CHARS: usize = 20_000;

#[derive(Template)]
#[template(path = "admin/image.html")]
struct ImagePage {
    frame: Frame,
    csrf: String,
    notice: Option<Notice>,
    id: String,
    name: String,
    status: Badge,
    is_private: bool,
    stage: Stage,
    /// Where the picture is shown from, or why it is not.
    preview: Result<String, String>,
    facts: Vec<Fact>,
    variants: Vec<VariantLine>,
    upload: Option<UploadLine>,
    usages: Vec<UsageLine>,
    has_more_usages: bool,
    log: Vec<LogLine>,
    has_more_log: bool,
    metadata: String,
    cloudflare_metadata: String,
}

/// What was done, by the word that the address has for it.
fn done(word: &str) -> Option<Notice> {
    let text = match word {
        "checked" => "Cloudflare was asked, and its answer is recorded.",
        "expired" => "The upload is marked as expired.",
        "private" => "The image is private now.",
        "public" => "The image is public now.",
        "edited" => "The changes are saved.",
        _ => return None,
    };
    Some(Notice::good(text))
}

/// How far the upload has come, as far as it matters for what can be done.
enum Stage {
    /// It may still happen.
    Waiting,
    Uploaded,
    Ended,
}

impl Stage {
    fn of(image: &Image) -> Self {
        match image.status {
            ImageStatus::Pending | ImageStatus::Draft => Self::Waiting,
            ImageStatus::Uploaded => Self::Uploaded,
            _ => Self::Ended,
        }
    }
}

/// A field of an image.
struct Fact {
    label: &'static str,
    value: FactValue,
}

enum FactValue {
    Text(String),
    /// An id, to be copied.
    Code(String),
    Time(Moment),
    Unknown,
}

struct VariantLine {
    name: String,
    url: String,
    is_link: bool,
}

/// The one-time URL of an upload that has not happened yet.
struct UploadLine {
    url: String,
    until: Moment,
}

struct UsageLine {
    content: String,
    object: String,
    field: String,
    updated: Moment,
}

struct LogLine {
    title: String,
    message: String,
    time: Moment,
    data: String,
}

/// Shows an image.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    staff: Staff,
    request: Request,
) -> Result<Response, PageError> {
    let query = Query::parse(request.uri().query().unwrap_or_default()).unwrap_or_default();
    let notice = query.get("done").and_then(done);
    let (image, owner) = admin.service.find_any_image(read_id(&id)?).await?;
    Ok(render(&page(&admin, &staff, &image, owner.as_ref(), notice).await?))
}

fn read_id(id: &str) -> Result<ImageId, PageError> {
    id.parse().map_err(|_| PageError::NotFound)
}

async fn page(
    admin: &Admin,
    staff: &Staff,
    image: &Image,
    owner: Option<&User>,
    notice: Option<Notice>,
) -> Result<ImagePage, PageError> {
    let now = admin.service.clock().now();
    // The one too many says that there are more.
    let mut usages = admin.service.list_image_usages(image.id, MAX_LINES + 1).await?;
    let mut log = admin.service.list_logs(image.id, MAX_LINES + 1).await?;
    let mut has_key = true;
    Ok(ImagePage {
        frame: Frame::new(admin, staff, Section::Images),
        csrf: staff.csrf.to_string(),
        notice,
        id: image.id.to_string(),
        name: name(image, 120),
        status: status_badge(&image.status),
        is_private: image.require_signed_urls,
        stage: Stage::of(image),
        preview: preview(admin, image, &mut has_key).await,
        facts: facts(image, owner, now),
        variants: variants(admin, image, has_key).await,
        upload: upload(image, now),
        has_more_usages: cut(&mut usages),
        usages: usages.iter().map(|usage| usage_line(usage, now)).collect(),
        has_more_log: cut(&mut log),
        log: log.iter().map(|entry| log_line(entry, image, now)).collect(),
        metadata: json(image.metadata.as_str()),
        cloudflare_metadata: json(image.cloudflare_metadata.as_str()),
    })
}

/// Leaves as much as is shown; whether there was more.
fn cut<T>(lines: &mut Vec<T>) -> bool {
    let max = MAX_LINES as usize;
    let has_more = lines.len() > max;
    lines.truncate(max);
    has_more
}

/// The picture itself, signed where it is private. `has_key` tells where there is no key to sign with.
async fn preview(admin: &Admin, image: &Image, has_key: &mut bool) -> Result<String, String> {
    const NO_PICTURE: &str = "There is no picture yet.";
    const NO_URL: &str =
        "Nothing tells where the picture is delivered from: CLOUDFLARE_IMAGES_ACCOUNT_HASH is not set.";
    if !image.is_uploaded() {
        return Err(NO_PICTURE.to_owned());
    }
    let url = match admin.service.variant_url(image, &admin.links, "public", DEFAULT_LIFETIME).await {
        Ok(variant) => variant.url.as_str().to_owned(),
        // Cloudflare listed URLs, which are good without the account hash.
        Err(service::Error::NoAccountHash) => admin.links.public_url(image).ok_or_else(|| NO_URL.to_owned())?,
        Err(error) => {
            *has_key = !matches!(error, service::Error::NoSigningKey(_));
            return Err(visible(&error.to_string()));
        }
    };
    if is_of_the_web(&url) { Ok(url) } else { Err(NO_URL.to_owned()) }
}

fn facts(image: &Image, owner: Option<&User>, now: Timestamp) -> Vec<Fact> {
    let text = |text: &str| if text.is_empty() { FactValue::Unknown } else { FactValue::Text(visible(text)) };
    let time = |time: Timestamp| FactValue::Time(Moment::new(time, now));
    let owner = match (owner, image.user_id) {
        (Some(owner), _) => FactValue::Text(visible(&owner.username)),
        (None, Some(id)) => FactValue::Text(format!("user {id}, who is gone")),
        (None, None) => FactValue::Unknown,
    };
    let dimensions = match (image.width, image.height) {
        (Some(width), Some(height)) => FactValue::Text(format!("{width} × {height} pixels")),
        _ => FactValue::Unknown,
    };
    let bytes = image.file_size.map_or(FactValue::Unknown, |bytes| {
        FactValue::Text(if bytes < 1000 { size(bytes) } else { format!("{} ({} bytes)", size(bytes), Grouped(bytes)) })
    });
    let delivery = if image.require_signed_urls { "Private: by signed URLs" } else { "Public" };
    [
        ("Id", FactValue::Code(image.id.to_string())),
        ("Id at Cloudflare", FactValue::Code(image.cloudflare_id.as_str().to_owned())),
        ("Owner", owner),
        ("Creator", text(&image.creator)),
        ("Delivery", FactValue::Text(delivery.to_owned())),
        ("File name", text(&image.original_filename)),
        ("Name at Cloudflare", text(&image.filename)),
        ("Type", text(&image.content_type)),
        ("Size", bytes),
        ("Dimensions", dimensions),
        ("Created", time(image.created_at)),
        ("Uploaded", image.uploaded_at.map_or(FactValue::Unknown, time)),
        ("Changed", time(image.updated_at)),
        ("Upload URL ends", time(image.expires_at)),
    ]
    .map(|(label, value)| Fact { label, value })
    .into()
}

/// The variants that Cloudflare listed, signed where the picture is private. Cloudflare is not asked for a key again and again.
async fn variants(admin: &Admin, image: &Image, mut has_key: bool) -> Vec<VariantLine> {
    let mut lines = Vec::new();
    for (name, listed) in image.variants.entries().into_iter().take(MAX_VARIANTS) {
        let signed = if has_key && image.require_signed_urls && image.is_uploaded() {
            let variant = admin.service.variant_url(image, &admin.links, &name, DEFAULT_LIFETIME).await;
            has_key = !matches!(variant, Err(service::Error::NoSigningKey(_)));
            variant.ok().map(|variant| variant.url.as_str().to_owned())
        } else {
            None
        };
        let url = signed.unwrap_or_else(|| admin.links.urls().rewrite(&listed).into_owned());
        lines.push(VariantLine { name: shortened(&name, 60), is_link: is_of_the_web(&url), url });
    }
    lines
}

/// The upload URL while it is of use.
fn upload(image: &Image, now: Timestamp) -> Option<UploadLine> {
    let url = image.upload_url.as_str();
    let is_open = matches!(image.status, ImageStatus::Pending | ImageStatus::Draft) && !image.is_expired(now);
    (is_open && !url.is_empty()).then(|| UploadLine { url: url.to_owned(), until: Moment::new(image.expires_at, now) })
}

fn usage_line(usage: &ImageUsage, now: Timestamp) -> UsageLine {
    UsageLine {
        content: visible(&usage.content_type()),
        object: visible(&usage.object_id),
        field: visible(&usage.field_name),
        updated: Moment::new(usage.updated_at, now),
    }
}

fn log_line(entry: &LogEntry, image: &Image, now: Timestamp) -> LogLine {
    LogLine {
        title: event_title(&entry.event_type),
        message: shortened(&entry.message, 500),
        time: Moment::new(entry.timestamp, now),
        data: entry_data(entry, image.upload_url.as_str(), MAX_JSON_CHARS),
    }
}

/// The data of an entry, if any.
pub(super) fn entry_data(entry: &LogEntry, upload_url: &str, max_chars: usize) -> String {
    match entry.data.as_str() {
        "{}" | "null" => String::new(),
        data => indented(&without_upload_url(upload_url, data), max_chars),
    }
}

/// A text without the upload URL, which is shown in its place alone, and only while it is of use.
fn without_upload_url(upload_url: &str, text: &str) -> String {
    match upload_url {
        "" => text.to_owned(),
        secret => text.replace(secret, "(the upload URL)"),
    }
}

/// What an event is called.
pub(super) fn event_title(event_type: &str) -> String {
    let title = match event_type {
        "upload_url_created" => "Upload URL handed out",
        "status_checked" => "Status checked",
        "image_registered" => "Registered",
        "image_imported" => "Found in the account",
        "image_uploaded" => "Uploaded through the server",
        "webhook_received" => "Webhook received",
        "staff_action" => "By staff",
        other => return shortened(&other.replace('_', " "), 60),
    };
    title.to_owned()
}

fn json(text: &str) -> String {
    indented(text, MAX_JSON_CHARS)
}
