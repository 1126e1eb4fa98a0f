//! The selection as a file, for spreadsheets and scripts.
//!
//! It is written while it is sent, page by page, so that a million images take no more memory than a page. It has no secrets: upload URLs
//! are not in it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;

use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use tracing::{error, info};

use super::selection::Selection;
use crate::admin::error::PageError;
use crate::admin::list::read_query;
use crate::admin::{Admin, Staff};
use crate::domain::{BrowseFrom, Image, ImageQuery, Json, Timestamp, UserId, error_chain};
use crate::http::streamed::{Pieces, streamed};
use crate::service::{ImagePage, SearchError};

/// How many images are read, and sent, in one go.
const IMAGES_AT_ONCE: u32 = 100;

/// What is told of an image; documented in `docs/admin.md`.
const COLUMNS: [&str; 17] = [
    "id",
    "cloudflare_id",
    "original_filename",
    "filename",
    "status",
    "require_signed_urls",
    "owner",
    "creator",
    "content_type",
    "file_size",
    "width",
    "height",
    "created_at",
    "uploaded_at",
    "updated_at",
    "expires_at",
    "metadata",
];

/// Sends the selection as CSV.
pub(in crate::admin) async fn csv(State(admin): State<Admin>, staff: Staff, uri: Uri) -> Result<Response, PageError> {
    export(&admin, &staff, &uri, Format::Csv).await
}

/// Sends the selection as JSON.
pub(in crate::admin) async fn json(State(admin): State<Admin>, staff: Staff, uri: Uri) -> Result<Response, PageError> {
    export(&admin, &staff, &uri, Format::Json).await
}

async fn export(admin: &Admin, staff: &Staff, uri: &Uri, format: Format) -> Result<Response, PageError> {
    let selection = Selection::read(&read_query(uri)?);
    let Ok(query) = selection.query(admin).await? else {
        // The list says what is wrong with the filters.
        return Ok(Redirect::to(&admin.path(&format!("images/{}", selection.first_page()))).into_response());
    };
    info!(user.name = staff.user.username, "{:?} exports images: {}", staff.user.username, selection.first_page());
    // A failure by now has a page of its own; one after the first page can only cut the file.
    let first = next_page(admin, &query, BrowseFrom::Start).await?;
    let name =
        format!("images-{}.{}", admin.service.clock().now().as_datetime().format("%Y-%m-%d"), format.extension());
    let headers = [
        (header::CONTENT_TYPE, format.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    let admin = admin.clone();
    Ok((headers, streamed(|pieces| write(admin, query, format, first, pieces))).into_response())
}

/// A page of the images, newest first whatever the order of the list: those that come meanwhile are not in the way.
async fn next_page(admin: &Admin, query: &ImageQuery, from: BrowseFrom) -> Result<ImagePage, SearchError> {
    admin.service.export_images(query, from, IMAGES_AT_ONCE).await
}

async fn write(admin: Admin, query: ImageQuery, format: Format, mut page: ImagePage, pieces: Pieces) -> io::Result<()> {
    let mut is_first = true;
    let mut text = format.head();
    loop {
        for image in &page.images {
            format.push(&mut text, &cells(image, &page.owners), is_first);
            is_first = false;
        }
        let Some(place) = page.next else { break };
        pieces.send(std::mem::take(&mut text)).await?;
        page = next_page(&admin, &query, BrowseFrom::After(place)).await.map_err(|error| {
            error!(error = %error_chain(&error), "An export was cut off: {error}");
            io::Error::other(error)
        })?;
    }
    text.push_str(format.tail());
    pieces.send(text).await
}

/// A value of an image.
enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(Option<i64>),
    Flag(bool),
    Time(Option<Timestamp>),
    Json(&'a Json),
}

/// The values of an image, in the order of [`COLUMNS`].
fn cells<'a>(image: &'a Image, owners: &'a HashMap<UserId, String>) -> [Cell<'a>; COLUMNS.len()] {
    let owner = image.user_id.and_then(|id| owners.get(&id)).map_or("", String::as_str);
    let text = |text: &'a str| Cell::Text(text.into());
    [
        Cell::Text(image.id.to_string().into()),
        text(image.cloudflare_id.as_str()),
        text(&image.original_filename),
        text(&image.filename),
        text(image.status.as_str()),
        Cell::Flag(image.require_signed_urls),
        text(owner),
        text(&image.creator),
        text(&image.content_type),
        Cell::Number(image.file_size),
        Cell::Number(image.width),
        Cell::Number(image.height),
        Cell::Time(Some(image.created_at)),
        Cell::Time(image.uploaded_at),
        Cell::Time(Some(image.updated_at)),
        Cell::Time(Some(image.expires_at)),
        Cell::Json(&image.metadata),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Csv,
    Json,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8; header=present",
            Self::Json => "application/json",
        }
    }

    /// What comes before the first image.
    fn head(self) -> String {
        match self {
            Self::Csv => format!("{}\r\n", COLUMNS.join(",")),
            Self::Json => "[".to_owned(),
        }
    }

    /// What comes after the last image.
    fn tail(self) -> &'static str {
        match self {
            Self::Csv => "",
            Self::Json => "\n]\n",
        }
    }

    fn push(self, out: &mut String, cells: &[Cell<'_>; COLUMNS.len()], is_first: bool) {
        match self {
            Self::Csv => push_csv(out, cells),
            Self::Json => {
                out.push_str(if is_first { "\n" } else { ",\n" });
                push_json(out, cells);
            }
        }
    }
}

/// Writes a line by RFC 4180. All texts are in quotes, so that no separator of a spreadsheet parts them.
fn push_csv(out: &mut String, cells: &[Cell<'_>]) {
    for (at, cell) in cells.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match cell {
            Cell::Text(text) => push_csv_text(out, text),
            Cell::Json(json) => push_csv_text(out, json.as_str()),
            Cell::Time(Some(time)) => push_csv_text(out, &time.to_string()),
            Cell::Number(Some(number)) => _ = write!(out, "{number}"),
            Cell::Flag(flag) => _ = write!(out, "{flag}"),
            Cell::Time(None) | Cell::Number(None) => {}
        }
    }
    out.push_str("\r\n");
}

/// Writes a text in quotes. An apostrophe before what a spreadsheet takes for the beginning of a formula makes it a text there.
fn push_csv_text(out: &mut String, text: &str) {
    const BEGINNINGS: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    out.push('"');
    if text.trim_start_matches(' ').starts_with(BEGINNINGS) {
        out.push('\'');
    }
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

/// Writes an object with a line of its own.
fn push_json(out: &mut String, cells: &[Cell<'_>]) {
    out.push('{');
    for (at, (name, cell)) in COLUMNS.iter().zip(cells).enumerate() {
        out.push_str(if at == 0 { "\"" } else { ", \"" });
        out.push_str(name);
        out.push_str("\": ");
        match cell {
            Cell::Text(text) => out.push_str(&serde_json::Value::from(text.as_ref()).to_string()),
            Cell::Json(json) => out.push_str(json.as_str()),
            Cell::Time(Some(time)) => _ = write!(out, "\"{time}\""),
            Cell::Number(Some(number)) => _ = write!(out, "{number}"),
            Cell::Flag(flag) => _ = write!(out, "{flag}"),
            Cell::Time(None) | Cell::Number(None) => out.push_str("null"),
        }
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv_of(text: &str) -> String {
        let mut out = String::new();
        push_csv_text(&mut out, text);
        out
    }

    #[test]
    fn no_text_is_a_formula_or_leaves_its_cell() {
        for (text, cell) in [
            ("lake.jpg", r#""lake.jpg""#),
            ("a \"lake\", 2 m; deep", r#""a ""lake"", 2 m; deep""#),
            ("=HYPERLINK(\"x\")", r#""'=HYPERLINK(""x"")""#),
            ("+1", r#""'+1""#),
            ("-1", r#""'-1""#),
            ("@sum", r#""'@sum""#),
            ("  =1", r#""'  =1""#),
            ("\t=1", "\"'\t=1\""),
            ("＝1", r#""'＝1""#),
            ("a=1", r#""a=1""#),
            ("", r#""""#),
        ] {
            assert_eq!(csv_of(text), cell);
        }
    }
}
